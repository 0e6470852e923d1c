/*
 * A disk whose flush takes BENCH_FLUSH_US microseconds longer: preloaded, so that every program's fsync and fdatasync sleep. A sync
 * of a file that has grown asks the device twice, for the data and for the journal that tells of its length: `pnpm bench flushes`
 * counts 2.0 for whoever appends and 1.0 for whoever writes into space that is there. So it sleeps twice.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 65536 };
static off_t lengths[FILES];

static void linger(int file) {
  const char *text = getenv("BENCH_FLUSH_US");
  if (text == NULL) return;
  useconds_t each = (useconds_t)atoi(text);
  struct stat status;
  int has_grown = file >= 0 && file < FILES && fstat(file, &status) == 0 && status.st_size != lengths[file];
  if (has_grown) lengths[file] = status.st_size;
  usleep(has_grown ? 2 * each : each);
}

int fsync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  linger(file);
  return real(file);
}

int fdatasync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  linger(file);
  return real(file);
}
