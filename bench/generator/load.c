#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct options options = { .is_tls = true, .at_once = 16, .per = 1, .message_bytes = 10240, .patience = 60 };
struct outcome outcome;

static int usage(const char *problem) {
  fprintf(stderr,
          "load: %s\n"
          "use: load login|idle|fetch|submit --port N --credentials FILE (--total N | --seconds S)\n"
          "     [--at-once N] [--rate N] [--per N] [--bytes N] [--patience S] [--must-refuse] [--plain]\n",
          problem);
  return 2;
}

static bool read_mode(const char *name) {
  static const char *const names[] = { "login", "idle", "fetch", "submit" };
  for (int i = 0; i < 4; i++) {
    if (!strcmp(name, names[i])) {
      options.mode = (enum mode)i;
      return true;
    }
  }
  return false;
}

/* Answers how many arguments it took; 0: not understood. */
static int read_option(const char *name, const char *value) {
  if (!strcmp(name, "--plain")) return options.is_tls = false, 1;
  if (!strcmp(name, "--must-refuse")) return options.must_refuse = true, 1;
  if (value == NULL) return 0;
  if (!strcmp(name, "--port")) options.port = atoi(value);
  else if (!strcmp(name, "--credentials")) load_credentials(value);
  else if (!strcmp(name, "--at-once")) options.at_once = atoi(value);
  else if (!strcmp(name, "--total")) options.total = atol(value);
  else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
  else if (!strcmp(name, "--rate")) options.rate = atof(value);
  else if (!strcmp(name, "--per")) options.per = atoi(value);
  else if (!strcmp(name, "--bytes")) options.message_bytes = (size_t)atol(value);
  else if (!strcmp(name, "--patience")) options.patience = atof(value);
  else return 0;
  return 2;
}

static void raise_file_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static bool may_begin(double elapsed) {
  return (options.total == 0 || outcome.begun < options.total) &&
         (options.seconds <= 0 || elapsed < options.seconds);
}

static void begin_due(uint64_t start) {
  double elapsed = (double)(now() - start) / 1e6;
  if (options.rate > 0) {
    /* Open loop: a slow target does not slow the arrivals, and the wait counts from when a connection was due. */
    while (has_slot() && may_begin(elapsed) && (double)outcome.begun < elapsed * options.rate)
      begin(start + (uint64_t)((double)outcome.begun * 1e6 / options.rate));
    return;
  }
  while (has_slot() && may_begin(elapsed) && outcome.in_flight - outcome.idling < options.at_once) begin(now());
}

static long progress(void) {
  return outcome.logins + outcome.refusals + outcome.messages + outcome.errors + outcome.idling +
         (long)(outcome.bytes >> 20);
}

/* Until everything asked for was done, or nothing moves any more. */
static void run(uint64_t start) {
  long before = 0;
  uint64_t moved = start;
  bool is_holding = false;
  for (;;) {
    begin_due(start);
    bool is_more = may_begin((double)(now() - start) / 1e6);
    if (options.mode == IDLE && !is_holding && outcome.idling + outcome.errors >= options.total) {
      printf("READY %ld\n", outcome.idling);
      fflush(stdout);
      is_holding = true;
      if (!watch_stdin()) return;
    }
    if (is_holding ? stdin_closed() : !is_more && outcome.in_flight == 0) return;
    long after = progress();
    if (after != before) moved = now();
    before = after;
    if (!is_holding && (double)(now() - moved) / 1e6 > options.patience) {
      note_error("stalled", "");
      return;
    }
    wait_events(options.rate > 0 && is_more ? 1 : 200);
  }
}

int main(int count, char **arguments) {
  if (count < 2 || !read_mode(arguments[1])) return usage("say what to do");
  for (int i = 2; i < count;) {
    int taken = read_option(arguments[i], i + 1 < count ? arguments[i + 1] : NULL);
    if (taken == 0) return usage(arguments[i]);
    i += taken;
  }
  if (options.total == 0 && options.seconds <= 0) return usage("every run is bounded, by --total or --seconds");
  if (options.mode == IDLE && (options.total == 0 || options.total > 20000)) return usage("--total: 1 to 20000");
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  if (options.mode == SUBMIT) prepare_message(options.message_bytes);
  prepare_connections(options.mode == IDLE ? (int)options.total : options.rate > 0 ? 4096 : options.at_once);
  uint64_t start = now();
  run(start);
  if (outcome.last == 0) outcome.last = now();
  print_report((double)(outcome.last - start) / 1e6);
  return 0;
}
