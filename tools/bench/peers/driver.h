/*
 * What the C peers share: writers in threads, their waits, and one line of JSON at the end, as the workloads in TypeScript print
 * it. A peer defines `struct store` and the four calls below; `main` is here. Built by install.sh.
 *
 *   PEER commits DIR WRITERS SECONDS BYTES    single-record durable commits, values of BYTES
 *   PEER backup DIR TARGET RECORDS SECONDS    commits of one writer before and during hot backups
 *   PEER paced DIR RATE SECONDS               commits of one writer at a rate, and when each began
 *   PEER recovery DIR TARGET RECORDS COUNT    a base, COUNT commits after it, and their recovery up to an open database
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEY_BYTES = 16, VALUE_BYTES_MAX = 200, WRITERS_MAX = 1024 };
static int value_bytes = 100;

struct store;
static struct store *store_open(const char *directory);
/* One record, durable when it returns. A connection is one writer's own. */
static void *connection_open(struct store *store);
static void connection_put(void *connection, const char *key, const char *value);
/* `records` records in large transactions; then a state that a backup may begin from. */
static void store_fill(struct store *store, int records);
/* A hot backup into a folder that does not exist yet. */
static void store_backup(struct store *store, const char *directory, const char *target);
/* What is committed from here on stays in the log until a recovery replays it, however much it is. */
static void store_keep_log(struct store *store);
/* Brings a backup to the end of the log and opens it. */
static void store_recover(const char *directory, const char *target);

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why == NULL ? "" : why);
  exit(1);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Keys in scattered order and values that hardly compress, as the other peers are given them. */
static void key_of(unsigned number, char *key) {
  unsigned scattered = number * 2654435761u;
  char digits[16];
  for (int at = 0; at < 4; at++) key[at] = (char)(scattered >> (24 - 8 * at));
  snprintf(digits, sizeof digits, "%012u", number);
  memcpy(key + 4, digits, 12);
}

static void value_of(unsigned number, char *value) {
  unsigned state = number * 2 + 1;
  for (int at = 0; at < value_bytes; at += 4) {
    state = (state ^ (state >> 15)) * 2246822519u + (unsigned)at;
    memcpy(value + at, &state, 4);
  }
}

struct waits {
  float *ms;
  size_t count, capacity;
};

static void waits_add(struct waits *waits, double ms) {
  if (waits->count == waits->capacity) {
    waits->capacity = waits->capacity == 0 ? 4096 : waits->capacity * 2;
    waits->ms = realloc(waits->ms, waits->capacity * sizeof(float));
    if (waits->ms == NULL) fail("memory", "out of it");
  }
  waits->ms[waits->count++] = (float)ms;
}

static int by_size(const void *a, const void *b) {
  float left = *(const float *)a, right = *(const float *)b;
  return left < right ? -1 : left > right;
}

struct writer {
  struct store *store;
  pthread_t thread;
  struct waits waits;
};

static unsigned next_number;
static volatile int writing;

static void *write_until_told(void *argument) {
  struct writer *writer = argument;
  void *connection = connection_open(writer->store);
  char key[KEY_BYTES], value[VALUE_BYTES_MAX];
  double before = now_ms();
  while (writing) {
    unsigned number = __sync_fetch_and_add(&next_number, 1);
    key_of(number, key);
    value_of(number, value);
    connection_put(connection, key, value);
    double after = now_ms();
    waits_add(&writer->waits, after - before);
    before = after;
  }
  return NULL;
}

struct result {
  double rate, p50, p99, longest;
};

static void *sleep_for(void *seconds) {
  usleep((useconds_t)(*(double *)seconds * 1e6));
  return NULL;
}

/* Commits by `count` writers while `work` runs. */
static struct result write_during(struct store *store, int count, void *(*work)(void *), void *argument) {
  static struct writer writers[WRITERS_MAX];
  memset(writers, 0, sizeof writers);
  writing = 1;
  double begin = now_ms();
  for (int at = 0; at < count; at++) {
    writers[at].store = store;
    if (pthread_create(&writers[at].thread, NULL, write_until_told, &writers[at]) != 0) fail("thread", "refused");
  }
  work(argument);
  writing = 0;
  struct waits all = {0};
  for (int at = 0; at < count; at++) {
    pthread_join(writers[at].thread, NULL);
    for (size_t wait = 0; wait < writers[at].waits.count; wait++) waits_add(&all, writers[at].waits.ms[wait]);
    free(writers[at].waits.ms);
  }
  double seconds = (now_ms() - begin) / 1e3;
  if (all.count == 0) fail("commits", "there was none");
  qsort(all.ms, all.count, sizeof(float), by_size);
  struct result result = {(double)all.count / seconds, all.ms[all.count / 2], all.ms[all.count * 99 / 100],
                          all.ms[all.count - 1]};
  free(all.ms);
  return result;
}

/* Wall-clock times, so that they compare with those of files. */
static void write_at(struct store *store, double rate, double seconds) {
  void *connection = connection_open(store);
  char key[KEY_BYTES], value[VALUE_BYTES_MAX];
  double begin = now_ms();
  printf("{\"begunAtMs\":[");
  for (unsigned number = 0; now_ms() < begin + seconds * 1e3; number++) {
    struct timespec at;
    double early_ms = begin + number * 1e3 / rate - now_ms();
    if (early_ms > 0) usleep((useconds_t)(early_ms * 1e3));
    clock_gettime(CLOCK_REALTIME, &at);
    printf("%s%lld.%06ld", number == 0 ? "" : ",", (long long)at.tv_sec * 1000 + at.tv_nsec / 1000000, at.tv_nsec % 1000000);
    key_of(number, key);
    value_of(number, value);
    connection_put(connection, key, value);
  }
  printf("]");
}

static void remove_tree(const char *path) {
  char command[8192];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  if (system(command) != 0) fail("rm", path);
}

static void *wait_for_number(void *last) {
  while (next_number < *(unsigned *)last) usleep(100);
  return NULL;
}

struct backups {
  struct store *store;
  const char *directory, *target;
  double seconds, spent_ms;
  int made;
};

static void *back_up_for(void *argument) {
  struct backups *backups = argument;
  double end = now_ms() + backups->seconds * 1e3;
  do {
    char target[4096];
    snprintf(target, sizeof target, "%s-%d", backups->target, backups->made++);
    double before = now_ms();
    store_backup(backups->store, backups->directory, target);
    backups->spent_ms += now_ms() - before;
    remove_tree(target);
  } while (now_ms() < end);
  return NULL;
}

static void print_result(const char *name, struct result result) {
  printf("\"%s\":{\"commitsPerSecond\":%.1f,\"p50Ms\":%.4f,\"p99Ms\":%.4f,\"longestMs\":%.4f}", name, result.rate,
         result.p50, result.p99, result.longest);
}

int main(int count, char **words) {
  if (count == 6 && strcmp(words[1], "commits") == 0) {
    value_bytes = atoi(words[5]);
    if (value_bytes < 4 || value_bytes > VALUE_BYTES_MAX) fail("bytes", words[5]);
    struct store *store = store_open(words[2]);
    double warm = 3, seconds = atof(words[4]);
    int writers = atoi(words[3]);
    write_during(store, writers, sleep_for, &warm);
    struct result result = write_during(store, writers, sleep_for, &seconds);
    printf("{\"total\":%u,", next_number);
    print_result("commits", result);
  } else if (count == 6 && strcmp(words[1], "backup") == 0) {
    struct store *store = store_open(words[2]);
    double seconds = atof(words[5]);
    int records = atoi(words[4]);
    store_fill(store, records);
    next_number = (unsigned)records;
    struct result without = write_during(store, 1, sleep_for, &seconds);
    struct backups backups = {store, words[2], words[3], seconds, 0, 0};
    struct result with = write_during(store, 1, back_up_for, &backups);
    double bytes = (double)records * (KEY_BYTES + value_bytes);
    printf("{\"mbPerS\":%.2f,", bytes * backups.made / 1e6 / (backups.spent_ms / 1e3));
    print_result("without", without);
    printf(",");
    print_result("during", with);
  } else if (count == 5 && strcmp(words[1], "paced") == 0) {
    write_at(store_open(words[2]), atof(words[3]), atof(words[4]));
  } else if (count == 6 && strcmp(words[1], "recovery") == 0) {
    struct store *store = store_open(words[2]);
    int records = atoi(words[4]);
    unsigned last = (unsigned)records + (unsigned)atoi(words[5]);
    store_fill(store, records);
    store_backup(store, words[2], words[3]);
    store_keep_log(store);
    next_number = (unsigned)records;
    write_during(store, 64, wait_for_number, &last);
    double before = now_ms();
    store_recover(words[2], words[3]);
    printf("{\"recoverMs\":%.2f", now_ms() - before);
  } else {
    fail("usage", "commits DIR WRITERS SECONDS BYTES | backup DIR TARGET RECORDS SECONDS | paced DIR RATE SECONDS | "
                  "recovery DIR TARGET RECORDS COUNT");
  }
  printf("}\n");
  fflush(stdout);
  /* The store is thrown away: an orderly end would only take time. */
  _exit(0);
}
