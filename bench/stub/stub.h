/* The cheapest backend: IMAP and SMTP in clear on 127.0.0.1, one thread, epoll. Whoever logs in is let in. */
#ifndef STUB_H
#define STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_BYTES 2048

/* The size of message 1 of INBOX; what it holds is of no interest. */
#define LARGE_MESSAGE_BYTES (20u << 20)

struct connection {
  int fd;
  bool is_smtp;
  uint32_t events;
  bool is_closing;
  /* A command line, while it is incomplete: an idle connection keeps none. */
  char *command;
  size_t command_length;
  char out[1024];
  size_t out_length;
  /* IMAP */
  size_t literal_left;  /* of the command (RFC 9051 4.3) */
  char tag[64];         /* of the command that waits for more from the client */
  bool is_idle;
  bool awaits_credentials;
  size_t large_left;    /* of the large message, after `out` */
  char large_end[80];   /* what follows it */
  /* SMTP */
  bool is_in_message;
  int end_matched;      /* characters of CR LF . CR LF */
};

/* Queues text for the client; what does not fit is a fault of the stub and ends it. */
void put(struct connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define CAPABILITIES "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE MOVE UIDPLUS AUTH=PLAIN"

/* Whether the line goes on with a literal, which is then asked for. */
bool imap_literal(struct connection *c, const char *line);
void imap_command(struct connection *c, char *line);
void smtp_command(struct connection *c, char *line);
/* Takes bytes of a message and answers how many; the rest is commands again. */
size_t smtp_message(struct connection *c, const char *bytes, size_t length);

#endif
