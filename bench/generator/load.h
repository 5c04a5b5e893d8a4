/* Load generator: IMAP and SMTP over TLS, one thread, epoll. Only 127.0.0.1 is ever connected to. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

enum mode { LOGIN, IDLE, FETCH, SUBMIT };

struct options {
  enum mode mode;
  int port;
  bool is_tls;
  int at_once;    /* connections at once; in IDLE mode, those that are not idle yet */
  long total;     /* connections in all; 0: no limit */
  double seconds; /* new connections are begun for so long; 0: no limit */
  double rate;    /* connections begun per second; 0: as many as `at_once` lets */
  int per;        /* messages per connection */
  size_t message_bytes;
  bool must_refuse; /* every login has to be refused */
  double patience;  /* seconds without any progress */
};

/* What the peer's next line answers. */
enum state {
  CONNECTING, HANDSHAKE,
  GREETING, IMAP_LOGIN, IMAP_SELECT, IMAP_IDLE, IMAP_IDLING, IMAP_FETCH, IMAP_LOGOUT,
  SMTP_EHLO, SMTP_AUTH, SMTP_MAIL, SMTP_RCPT, SMTP_DATA, SMTP_BODY, SMTP_QUIT
};

struct connection {
  int fd;
  int slot;
  SSL *ssl; /* NULL without TLS */
  uint32_t events;
  enum state state;
  long number;
  uint64_t due;     /* when it was to begin, in microseconds */
  uint64_t message; /* when its current message began */
  int messages;
  const char *out;
  size_t out_length;
  char command[512];
  char line[512]; /* what fits of the line that is being read */
  size_t line_length;
  size_t literal; /* bytes of a literal still to come */
};

/* What happened so far. */
struct outcome {
  long begun, in_flight, idling;
  long logins, refusals, messages, errors;
  uint64_t bytes;
  uint64_t last; /* when the last connection ended */
  char first_error[200];
  char tls[80];
};

extern struct options options;
extern struct outcome outcome;

/* connection.c */
void prepare_connections(int slots);
bool has_slot(void);
void begin(uint64_t due);
void on_events(struct connection *c, uint32_t events);
void wait_events(int ms);
bool watch_stdin(void);
bool stdin_closed(void);
void close_connection(struct connection *c);
void fail(struct connection *c, const char *what);
void note_error(const char *what, const char *detail);
uint64_t now(void);

/* session.c */
bool on_line(struct connection *c);    /* false: the connection is gone */
bool on_end(struct connection *c);     /* the peer closed; false: it should not have */
void prepare_message(size_t bytes);

/* credentials.c */
void load_credentials(const char *file);
const char *user_of(const struct connection *c);
const char *password_of(const struct connection *c);

/* report.c */
void note_latency(uint64_t since);
void print_report(double seconds);

#endif
