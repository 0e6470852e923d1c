/* A disk whose flush takes BENCH_FLUSH_US microseconds longer: preloaded, so that every program's fsync and fdatasync sleep. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void linger(void) {
  const char *text = getenv("BENCH_FLUSH_US");
  if (text != NULL) usleep((useconds_t)atoi(text));
}

int fsync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  linger();
  return real(file);
}

int fdatasync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  linger();
  return real(file);
}
