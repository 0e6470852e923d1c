/* RocksDB 7.8 with its defaults and synced writes; writers of one moment share a write and a sync by themselves. */
#include <rocksdb/c.h>
#include "driver.h"

struct store {
  rocksdb_t *database;
  rocksdb_options_t *options;
  rocksdb_writeoptions_t *synced, *unsynced;
};

static void check(char *error, const char *what) {
  if (error != NULL) fail(what, error);
}

static struct store *store_open(const char *directory) {
  struct store *store = calloc(1, sizeof *store);
  char *error = NULL;
  store->options = rocksdb_options_create();
  rocksdb_options_set_create_if_missing(store->options, 1);
  store->database = rocksdb_open(store->options, directory, &error);
  check(error, "open");
  store->synced = rocksdb_writeoptions_create();
  rocksdb_writeoptions_set_sync(store->synced, 1);
  store->unsynced = rocksdb_writeoptions_create();
  return store;
}

static void *connection_open(struct store *store) { return store; }

static void connection_put(void *connection, const char *key, const char *value) {
  struct store *store = connection;
  char *error = NULL;
  rocksdb_put(store->database, store->synced, key, KEY_BYTES, value, (size_t)value_bytes, &error);
  check(error, "put");
}

static void store_fill(struct store *store, int records) {
  char key[KEY_BYTES], value[VALUE_BYTES_MAX], *error = NULL;
  for (int at = 0; at < records;) {
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (int end = at + 1000; at < end && at < records; at++) {
      key_of((unsigned)at, key);
      value_of((unsigned)at, value);
      rocksdb_writebatch_put(batch, key, KEY_BYTES, value, (size_t)value_bytes);
    }
    rocksdb_write(store->database, store->unsynced, batch, &error);
    check(error, "batch");
    rocksdb_writebatch_destroy(batch);
  }
}

static void store_backup(struct store *store, const char *directory, const char *target) {
  char *error = NULL;
  (void)directory;
  /* Opened by default with sync: files are fsynced, each by a temporary name and a rename. */
  rocksdb_backup_engine_t *engine = rocksdb_backup_engine_open(store->options, target, &error);
  check(error, "backup engine");
  rocksdb_backup_engine_create_new_backup_flush(engine, store->database, 0, &error);
  check(error, "backup");
  rocksdb_backup_engine_close(engine);
}

static void store_keep_log(struct store *store) {
  const char *names[] = {"write_buffer_size"}, *values[] = {"1073741824"};
  char *error = NULL;
  rocksdb_set_options(store->database, 1, names, values, &error);
  check(error, "write buffer");
}

/* It has no log archive: what it can replay is the log of a crash, beside the files that were there; linked, which takes no time. */
static void store_recover(const char *directory, const char *target) {
  char command[16384], crashed[8192];
  snprintf(crashed, sizeof crashed, "%s-crashed", target);
  snprintf(command, sizeof command, "cp -al '%s' '%s'", directory, crashed);
  if (system(command) != 0) fail("cp", crashed);
  store_open(crashed);
}
