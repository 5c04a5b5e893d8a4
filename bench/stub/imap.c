#include "stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_command(const char *line, const char *name) {
  size_t length = strlen(name);
  return strncasecmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == 0);
}

static void logged_in(struct connection *c, const char *tag) {
  put(c, "%s OK [CAPABILITY " CAPABILITIES "] Logged in\r\n", tag);
}

static void authenticate(struct connection *c, const char *tag, const char *arguments) {
  if (strchr(arguments, ' ') != NULL) {
    logged_in(c, tag);
    return;
  }
  snprintf(c->tag, sizeof c->tag, "%s", tag);
  c->awaits_credentials = true;
  put(c, "+ \r\n");
}

static void fetch(struct connection *c, const char *tag) {
  put(c, "* 1 FETCH (BODY[] {%u}\r\n", LARGE_MESSAGE_BYTES);
  c->large_left = LARGE_MESSAGE_BYTES;
  snprintf(c->large_end, sizeof c->large_end, ")\r\n%s OK done\r\n", tag);
}

bool imap_literal(struct connection *c, const char *line) {
  const char *brace = strrchr(line, '{');
  size_t length = strlen(line);
  if (brace == NULL || line[length - 1] != '}') return false;
  c->literal_left = strtoul(brace + 1, NULL, 10);
  if (line[length - 2] != '+') put(c, "+ go on\r\n");
  return true;
}

void imap_command(struct connection *c, char *line) {
  if (c->is_idle || c->awaits_credentials) {
    if (c->is_idle) put(c, "%s OK done\r\n", c->tag);
    else logged_in(c, c->tag);
    c->is_idle = c->awaits_credentials = false;
    return;
  }
  char *space = strchr(line, ' ');
  if (space == NULL || space - line >= (long)sizeof c->tag) {
    put(c, "* BAD no command\r\n");
    return;
  }
  *space = 0;
  const char *tag = line, *command = space + 1;
  if (is_command(command, "LOGIN")) logged_in(c, tag);
  else if (is_command(command, "AUTHENTICATE")) authenticate(c, tag, command + strlen("AUTHENTICATE "));
  else if (is_command(command, "CAPABILITY")) put(c, "* CAPABILITY " CAPABILITIES "\r\n%s OK done\r\n", tag);
  else if (is_command(command, "ID")) put(c, "* ID NIL\r\n%s OK done\r\n", tag);
  else if (is_command(command, "SELECT")) put(c, "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n%s OK [READ-WRITE] done\r\n", tag);
  else if (is_command(command, "FETCH")) fetch(c, tag);
  else if (is_command(command, "IDLE")) {
    snprintf(c->tag, sizeof c->tag, "%s", tag);
    c->is_idle = true;
    put(c, "+ idling\r\n");
  } else if (is_command(command, "LOGOUT")) {
    put(c, "* BYE bye\r\n%s OK done\r\n", tag);
    c->is_closing = true;
  } else put(c, "%s OK done\r\n", tag);
}
