#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *message;
static size_t message_length;

void prepare_message(size_t bytes) {
  message = malloc(bytes + 512);
  message_length = (size_t)sprintf(message, "From: a@bench.example\r\nTo: b@bench.example\r\nSubject: bench\r\n"
                                            "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n");
  while (message_length < bytes) {
    for (int column = 0; column < 76; column++, message_length++)
      message[message_length] = (char)('A' + (message_length * 7 + (size_t)column) % 26);
    message[message_length++] = '\r';
    message[message_length++] = '\n';
  }
  memcpy(message + message_length, ".\r\n", 3);
  message_length += 3;
}

static bool begins(const struct connection *c, const char *prefix) {
  return strncmp(c->line, prefix, strlen(prefix)) == 0;
}

/* Queues `text`, to which the next line is the answer. */
static bool say(struct connection *c, enum state state, const char *text) {
  if (text != c->command) snprintf(c->command, sizeof c->command, "%s", text);
  c->state = state;
  c->out = c->command;
  c->out_length = strlen(c->command);
  return true;
}

static bool give_up(struct connection *c, const char *what) {
  fail(c, what);
  return false;
}

/* RFC 4616: an empty authzid, the name, the password. */
static bool say_auth_plain(struct connection *c) {
  unsigned char plain[280];
  char encoded[400];
  int length = snprintf((char *)plain, sizeof plain, "%c%.120s%c%.120s", 0, user_of(c), 0, password_of(c));
  EVP_EncodeBlock((unsigned char *)encoded, plain, length);
  snprintf(c->command, sizeof c->command, "AUTH PLAIN %s\r\n", encoded);
  return say(c, SMTP_AUTH, c->command);
}

static bool say_login(struct connection *c) {
  snprintf(c->command, sizeof c->command, "a LOGIN %s %s\r\n", user_of(c), password_of(c));
  return say(c, IMAP_LOGIN, c->command);
}

static bool say_fetch(struct connection *c) {
  c->message = now();
  return say(c, IMAP_FETCH, "f FETCH 1 BODY.PEEK[]\r\n");
}

static bool say_mail(struct connection *c) {
  /* The first message of a connection counts from its beginning, with handshake and login. */
  c->message = c->messages == 0 ? c->due : now();
  snprintf(c->command, sizeof c->command, "MAIL FROM:<%s@bench.example>\r\n", user_of(c));
  return say(c, SMTP_MAIL, c->command);
}

static bool refused(struct connection *c) {
  /* "Try again later" is no judgement of the password (RFC 5530). */
  if (!options.must_refuse || strstr(c->line, "[UNAVAILABLE]") != NULL) return give_up(c, "login refused");
  note_latency(c->due);
  outcome.refusals++;
  close_connection(c);
  return false;
}

static bool on_imap_login(struct connection *c) {
  if (begins(c, "a NO")) return refused(c);
  if (begins(c, "a BAD")) return give_up(c, "login");
  if (!begins(c, "a OK")) return true;
  if (options.must_refuse) return give_up(c, "login accepted");
  note_latency(c->due);
  outcome.logins++;
  return options.mode == LOGIN ? say(c, IMAP_LOGOUT, "z LOGOUT\r\n") : say(c, IMAP_SELECT, "s SELECT INBOX\r\n");
}

static bool on_fetched(struct connection *c) {
  if (!begins(c, "f ")) {
    char *brace = strrchr(c->line, '{');
    if (brace != NULL && c->line[0] == '*') c->literal = strtoul(brace + 1, NULL, 10);
    return true;
  }
  if (!begins(c, "f OK")) return give_up(c, "fetch");
  note_latency(c->message);
  outcome.messages++;
  c->messages++;
  return c->messages < options.per ? say_fetch(c) : say(c, IMAP_LOGOUT, "z LOGOUT\r\n");
}

static bool on_imap_line(struct connection *c) {
  switch (c->state) {
  case GREETING:
    return begins(c, "* OK") ? say_login(c) : give_up(c, "greeting");
  case IMAP_LOGIN:
    return on_imap_login(c);
  case IMAP_SELECT:
    if (!begins(c, "s ")) return true;
    if (!begins(c, "s OK")) return give_up(c, "select");
    return options.mode == IDLE ? say(c, IMAP_IDLE, "i IDLE\r\n") : say_fetch(c);
  case IMAP_IDLE:
    if (c->line[0] != '+') return true;
    c->state = IMAP_IDLING;
    outcome.idling++;
    return true;
  case IMAP_FETCH:
    return on_fetched(c);
  case IMAP_LOGOUT:
    if (!begins(c, "z ")) return true;
    close_connection(c);
    return false;
  default:
    return true;
  }
}

static bool on_message_taken(struct connection *c) {
  note_latency(c->message);
  outcome.messages++;
  outcome.bytes += message_length;
  c->messages++;
  return c->messages < options.per ? say_mail(c) : say(c, SMTP_QUIT, "QUIT\r\n");
}

static bool on_smtp_line(struct connection *c) {
  if (c->line[3] == '-') return true;
  switch (c->state) {
  case GREETING:
    return begins(c, "220") ? say(c, SMTP_EHLO, "EHLO client.bench.example\r\n") : give_up(c, "greeting");
  case SMTP_EHLO:
    return begins(c, "250") ? say_auth_plain(c) : give_up(c, "EHLO");
  case SMTP_AUTH:
    if (begins(c, "535")) return refused(c);
    if (!begins(c, "235") || options.must_refuse) return give_up(c, "AUTH");
    outcome.logins++;
    return say_mail(c);
  case SMTP_MAIL:
    return begins(c, "250") ? say(c, SMTP_RCPT, "RCPT TO:<b@bench.example>\r\n") : give_up(c, "MAIL");
  case SMTP_RCPT:
    return begins(c, "250") ? say(c, SMTP_DATA, "DATA\r\n") : give_up(c, "RCPT");
  case SMTP_DATA:
    if (!begins(c, "354")) return give_up(c, "DATA");
    c->state = SMTP_BODY;
    c->out = message;
    c->out_length = message_length;
    return true;
  case SMTP_BODY:
    return begins(c, "250") ? on_message_taken(c) : give_up(c, "message");
  case SMTP_QUIT:
    close_connection(c);
    return false;
  default:
    return true;
  }
}

bool on_line(struct connection *c) { return options.mode == SUBMIT ? on_smtp_line(c) : on_imap_line(c); }

bool on_end(struct connection *c) { return c->state == IMAP_LOGOUT || c->state == SMTP_QUIT; }
