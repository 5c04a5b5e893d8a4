#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* 127.0.0.2 to 127.0.0.9, as one address has too few ports for many runs in a row. */
#define SOURCES 8

static int epoll, free_slots, *free_slot;
static SSL_CTX *context;
static unsigned char buffer[65536];
static bool is_stdin_closed;

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000;
}

void prepare_connections(int slots) {
  epoll = epoll_create1(0);
  free_slot = malloc((size_t)slots * sizeof *free_slot);
  while (free_slots < slots) {
    free_slot[free_slots] = free_slots;
    free_slots++;
  }
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL); /* a throw-away certificate on loopback */
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
}

bool has_slot(void) { return free_slots > 0; }

void note_error(const char *what, const char *detail) {
  outcome.errors++;
  if (outcome.first_error[0] != 0) return;
  snprintf(outcome.first_error, sizeof outcome.first_error, "%s: %.150s", what, detail);
  for (char *p = outcome.first_error; *p != 0; p++)
    if (*p < 32 || *p > 126 || *p == '"' || *p == '\\') *p = ' '; /* goes into JSON */
}

void fail(struct connection *c, const char *what) {
  if (c->state == IMAP_IDLING) outcome.idling--;
  note_error(what, c->line);
  close_connection(c);
}

void close_connection(struct connection *c) {
  if (c->ssl != NULL) SSL_free(c->ssl);
  close(c->fd);
  free_slot[free_slots++] = c->slot;
  free(c);
  outcome.in_flight--;
  outcome.last = now();
}

static void watch(struct connection *c, uint32_t events) {
  if (c->events == events) return;
  struct epoll_event event = { .events = events, .data.ptr = c };
  epoll_ctl(epoll, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
  c->events = events;
}

void begin(uint64_t due) {
  struct connection *c = calloc(1, sizeof *c);
  c->slot = free_slot[--free_slots];
  c->number = outcome.begun++;
  c->due = due;
  outcome.in_flight++;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) {
    perror("socket");
    exit(2);
  }
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in from = { .sin_family = AF_INET };
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(c->number % SOURCES));
  bind(c->fd, (struct sockaddr *)&from, sizeof from);
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port) };
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
    fail(c, strerror(errno));
    return;
  }
  c->state = CONNECTING;
  watch(c, EPOLLOUT);
}

/* What became of a read, write or handshake: bytes, or one of these. */
enum { WAIT = 0, GONE = -1 };

static int ssl_result(struct connection *c, int result) {
  if (result > 0) return result;
  int error = SSL_get_error(c->ssl, result);
  if (error == SSL_ERROR_WANT_READ) return WAIT;
  if (error == SSL_ERROR_WANT_WRITE) {
    watch(c, EPOLLIN | EPOLLOUT);
    return WAIT;
  }
  ERR_clear_error();
  return GONE;
}

static int plain_result(ssize_t result) {
  if (result > 0) return (int)result;
  return result < 0 && errno == EAGAIN ? WAIT : GONE;
}

static int receive(struct connection *c) {
  if (c->ssl != NULL) return ssl_result(c, SSL_read(c->ssl, buffer, sizeof buffer));
  return plain_result(read(c->fd, buffer, sizeof buffer));
}

/* false: the connection is gone. */
static bool send_queued(struct connection *c) {
  while (c->out_length > 0) {
    int piece = c->out_length > 262144 ? 262144 : (int)c->out_length;
    int sent = c->ssl != NULL ? ssl_result(c, SSL_write(c->ssl, c->out, piece))
                              : plain_result(write(c->fd, c->out, (size_t)piece));
    if (sent == GONE) {
      fail(c, "write");
      return false;
    }
    if (sent == WAIT) {
      watch(c, EPOLLIN | EPOLLOUT);
      return true;
    }
    c->out += sent;
    c->out_length -= (size_t)sent;
  }
  watch(c, EPOLLIN);
  return true;
}

/* Cuts lines and skips literals; false: the connection is gone. */
static bool take(struct connection *c, const unsigned char *bytes, size_t length) {
  if (options.mode == FETCH) outcome.bytes += length;
  while (length > 0) {
    if (c->literal > 0) {
      size_t skipped = c->literal < length ? c->literal : length;
      c->literal -= skipped;
      bytes += skipped;
      length -= skipped;
      continue;
    }
    const unsigned char *end = memchr(bytes, '\n', length);
    size_t piece = end != NULL ? (size_t)(end - bytes) + 1 : length;
    size_t room = sizeof c->line - 1 - c->line_length;
    size_t kept = piece < room ? piece : room;
    memcpy(c->line + c->line_length, bytes, kept);
    c->line_length += kept;
    bytes += piece;
    length -= piece;
    if (end == NULL) continue;
    c->line[c->line_length] = 0;
    c->line_length = 0;
    if (!on_line(c)) return false;
  }
  return true;
}

static bool connected(struct connection *c) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    fail(c, strerror(error));
    return false;
  }
  c->state = GREETING;
  if (options.is_tls) {
    c->state = HANDSHAKE;
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
  }
  watch(c, EPOLLIN);
  return true;
}

/* false: not established, or gone. */
static bool established(struct connection *c) {
  int result = ssl_result(c, SSL_do_handshake(c->ssl));
  if (result == GONE) fail(c, "handshake");
  if (result <= 0) return false;
  if (outcome.tls[0] == 0)
    snprintf(outcome.tls, sizeof outcome.tls, "%s %s %s", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl),
             OBJ_nid2sn(SSL_get_negotiated_group(c->ssl)));
  c->state = GREETING;
  watch(c, EPOLLIN);
  return true;
}

void on_events(struct connection *c, uint32_t events) {
  if (c->state == CONNECTING && !connected(c)) return;
  if (c->state == HANDSHAKE && !established(c)) return;
  if (c->out_length > 0 && !send_queued(c)) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  /* Bounded, so that one busy connection does not starve the others. */
  for (int turn = 0; turn < 64; turn++) {
    int length = receive(c);
    if (length == WAIT) return;
    if (length == GONE) {
      if (on_end(c)) close_connection(c);
      else fail(c, "closed by the peer");
      return;
    }
    if (!take(c, buffer, (size_t)length)) return;
    if (c->out_length > 0 && (c->events & EPOLLOUT) == 0 && !send_queued(c)) return;
  }
}

void wait_events(int ms) {
  struct epoll_event events[512];
  int count = epoll_wait(epoll, events, 512, ms);
  for (int i = 0; i < count; i++) {
    if (events[i].data.ptr != NULL) {
      on_events(events[i].data.ptr, events[i].events);
      continue;
    }
    char ignored[16];
    ssize_t length = read(0, ignored, sizeof ignored);
    if (length == 0) is_stdin_closed = true;
  }
}

bool watch_stdin(void) {
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
  return epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) == 0;
}

bool stdin_closed(void) { return is_stdin_closed; }
