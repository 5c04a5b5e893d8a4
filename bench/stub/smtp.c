#include "stub.h"

#include <string.h>
#include <strings.h>

static bool is_command(const char *line, const char *name) { return strncasecmp(line, name, strlen(name)) == 0; }

void smtp_command(struct connection *c, char *line) {
  if (c->awaits_credentials) {
    c->awaits_credentials = false;
    put(c, "235 2.7.0 ok\r\n");
  } else if (is_command(line, "EHLO")) {
    put(c, "250-stub.bench.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n"
           "250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN\r\n");
  } else if (is_command(line, "AUTH PLAIN ")) {
    put(c, "235 2.7.0 ok\r\n");
  } else if (is_command(line, "AUTH PLAIN")) {
    c->awaits_credentials = true;
    put(c, "334 \r\n");
  } else if (is_command(line, "DATA")) {
    c->is_in_message = true;
    c->end_matched = 2; /* the line end of DATA counts: a message may be empty */
    put(c, "354 go\r\n");
  } else if (is_command(line, "QUIT")) {
    put(c, "221 2.0.0 bye\r\n");
    c->is_closing = true;
  } else put(c, "250 2.0.0 ok\r\n");
}

size_t smtp_message(struct connection *c, const char *bytes, size_t length) {
  static const char end[] = "\r\n.\r\n";
  size_t at = 0;
  while (at < length) {
    if (c->end_matched == 0) {
      const char *found = memchr(bytes + at, '\r', length - at);
      if (found == NULL) return length;
      at = (size_t)(found - bytes);
    }
    char character = bytes[at++];
    if (character == end[c->end_matched]) c->end_matched++;
    else c->end_matched = character == '\r' ? 1 : 0;
    if (c->end_matched < 5) continue;
    c->is_in_message = false;
    put(c, "250 2.0.0 queued\r\n");
    return at;
  }
  return at;
}
