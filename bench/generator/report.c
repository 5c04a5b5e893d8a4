#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static uint32_t *latencies; /* microseconds */
static long count, capacity;

void note_latency(uint64_t since) {
  if (count == capacity) {
    capacity = capacity > 0 ? capacity * 2 : 65536;
    latencies = realloc(latencies, (size_t)capacity * sizeof *latencies);
  }
  latencies[count++] = (uint32_t)(now() - since);
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static double percentile(double share) {
  return count > 0 ? latencies[(long)((double)(count - 1) * share)] / 1000.0 : 0;
}

static double own_cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* One line of JSON; latencies in milliseconds. */
void print_report(double seconds) {
  qsort(latencies, (size_t)count, sizeof *latencies, compare);
  printf("{\"begun\":%ld,\"logins\":%ld,\"refusals\":%ld,\"messages\":%ld,\"bytes\":%llu,\"errors\":%ld,"
         "\"seconds\":%.4f,\"ownCpu\":%.4f,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f,"
         "\"tls\":\"%s\",\"firstError\":\"%s\"}\n",
         outcome.begun, outcome.logins, outcome.refusals, outcome.messages, (unsigned long long)outcome.bytes,
         outcome.errors, seconds, own_cpu(), percentile(.5), percentile(.99), percentile(1), outcome.tls,
         outcome.first_error);
}
