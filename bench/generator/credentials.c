#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **users, **passwords;
static long count;

/* Lines of `user password`; connections take them in turn. */
void load_credentials(const char *file) {
  FILE *stream = fopen(file, "r");
  char line[256], user[120], password[120];
  if (stream == NULL) {
    perror(file);
    exit(2);
  }
  while (fgets(line, sizeof line, stream) != NULL) {
    if (sscanf(line, "%119s %119s", user, password) != 2) continue;
    users = realloc(users, (size_t)(count + 1) * sizeof *users);
    passwords = realloc(passwords, (size_t)(count + 1) * sizeof *passwords);
    users[count] = strdup(user);
    passwords[count++] = strdup(password);
  }
  fclose(stream);
}

static long turn_of(const struct connection *c) {
  if (count > 0) return c->number % count;
  fprintf(stderr, "load: no credentials\n");
  exit(2);
}

const char *user_of(const struct connection *c) { return users[turn_of(c)]; }
const char *password_of(const struct connection *c) { return passwords[turn_of(c)]; }
