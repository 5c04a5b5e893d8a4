#define _GNU_SOURCE
#include "stub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int epoll;
static char *large_message;
static char buffer[262144];

void put(struct connection *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = sizeof c->out - c->out_length;
  int length = vsnprintf(c->out + c->out_length, room, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= room) {
    fprintf(stderr, "stub: more to say than fits\n");
    exit(1);
  }
  c->out_length += (size_t)length;
}

static void watch(struct connection *c, uint32_t events) {
  if (c->events == events) return;
  struct epoll_event event = { .events = events, .data.ptr = c };
  epoll_ctl(epoll, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
  c->events = events;
}

/* What the kernel took; 0: it has no room now; negative: the peer is gone. */
static ssize_t send_some(struct connection *c, const char *bytes, size_t length) {
  ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  if (errno != EAGAIN) return -1;
  watch(c, EPOLLOUT);
  return 0;
}

/* false: the connection is over. */
static bool send_all(struct connection *c) {
  while (c->out_length > 0 || c->large_left > 0) {
    bool is_text = c->out_length > 0;
    size_t piece = c->large_left < sizeof buffer ? c->large_left : sizeof buffer;
    ssize_t sent = is_text ? send_some(c, c->out, c->out_length)
                           : send_some(c, large_message + LARGE_MESSAGE_BYTES - c->large_left, piece);
    if (sent <= 0) return sent == 0;
    if (is_text) {
      c->out_length -= (size_t)sent;
      memmove(c->out, c->out + sent, c->out_length);
    } else {
      c->large_left -= (size_t)sent;
      if (c->large_left == 0) put(c, "%s", c->large_end);
    }
  }
  watch(c, EPOLLIN);
  return !c->is_closing;
}

static void on_command(struct connection *c) {
  while (c->command_length > 0 && strchr("\r\n", c->command[c->command_length - 1]) != NULL) c->command_length--;
  c->command[c->command_length] = 0;
  if (!c->is_smtp && imap_literal(c, c->command)) return;
  if (c->is_smtp) smtp_command(c, c->command);
  else imap_command(c, c->command);
  c->command_length = 0;
}

/* false: the peer sent what is no command. */
static bool take(struct connection *c, const char *bytes, size_t length) {
  while (length > 0 && !c->is_closing) {
    if (c->is_in_message) {
      size_t taken = smtp_message(c, bytes, length);
      bytes += taken;
      length -= taken;
      continue;
    }
    if (c->command == NULL) c->command = malloc(COMMAND_BYTES);
    const char *end = c->literal_left > 0 ? NULL : memchr(bytes, '\n', length);
    size_t piece = end != NULL ? (size_t)(end - bytes) + 1 : length;
    if (c->literal_left > 0 && piece > c->literal_left) piece = c->literal_left;
    if (c->command_length + piece >= COMMAND_BYTES) return false;
    memcpy(c->command + c->command_length, bytes, piece);
    c->command_length += piece;
    bytes += piece;
    length -= piece;
    if (c->literal_left > 0) c->literal_left -= piece;
    if (end != NULL) on_command(c);
  }
  if (c->command_length == 0) {
    free(c->command);
    c->command = NULL;
  }
  return true;
}

static void close_connection(struct connection *c) {
  close(c->fd);
  free(c->command);
  free(c);
}

static void accept_some(struct connection *listener) {
  for (int turn = 0; turn < 64; turn++) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->is_smtp = listener->is_smtp;
    put(c, c->is_smtp ? "220 stub.bench.example ESMTP\r\n" : "* OK [CAPABILITY " CAPABILITIES "] stub ready\r\n");
    if (!send_all(c)) close_connection(c);
  }
}

static void on_events(struct connection *c, uint32_t events) {
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    ssize_t length = read(c->fd, buffer, sizeof buffer);
    bool is_alive = length > 0 ? take(c, buffer, (size_t)length) : length < 0 && errno == EAGAIN;
    if (!is_alive) {
      close_connection(c);
      return;
    }
  }
  if (!send_all(c)) close_connection(c);
}

static void listen_on(struct connection *listener, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
    perror("stub");
    exit(1);
  }
  listener->fd = fd;
  watch(listener, EPOLLIN);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "use: stub IMAP_PORT SMTP_PORT\n");
    return 2;
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  large_message = malloc(LARGE_MESSAGE_BYTES);
  for (size_t i = 0; i < LARGE_MESSAGE_BYTES; i++) large_message[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'A';
  epoll = epoll_create1(0);
  static struct connection imap, smtp = { .is_smtp = true };
  listen_on(&imap, atoi(arguments[1]));
  listen_on(&smtp, atoi(arguments[2]));
  for (;;) {
    struct epoll_event events[512];
    int ready = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == &imap || c == &smtp) accept_some(c);
      else on_events(c, events[i].events);
    }
  }
}
