/* Berkeley DB 5.3, transactional, as its manual advises for many writers: an environment, a B-tree, DB_TXN_SYNC commits. */
#include <db.h>
#include <sys/stat.h>
#include "driver.h"

struct store {
  DB_ENV *environment;
  DB *database;
};

static void check(int status, const char *what) {
  if (status != 0) fail(what, db_strerror(status));
}

static struct store *store_open(const char *directory) {
  struct store *store = calloc(1, sizeof *store);
  mkdir(directory, 0700);
  check(db_env_create(&store->environment, 0), "environment");
  DB_ENV *environment = store->environment;
  environment->set_cachesize(environment, 0, 256 << 20, 1);
  environment->set_lk_detect(environment, DB_LOCK_DEFAULT);
  environment->set_lk_max_lockers(environment, 4096);
  environment->set_lk_max_locks(environment, 65536);
  environment->set_lk_max_objects(environment, 65536);
  environment->set_tx_max(environment, 4096);
  environment->set_lg_max(environment, 64 << 20);
  environment->set_lg_bsize(environment, 4 << 20);
  u_int32_t flags = DB_CREATE | DB_INIT_TXN | DB_INIT_LOG | DB_INIT_LOCK | DB_INIT_MPOOL | DB_RECOVER | DB_THREAD;
  check(environment->open(environment, directory, flags, 0600), "open environment");
  check(db_create(&store->database, environment, 0), "database");
  DB *database = store->database;
  check(database->open(database, NULL, "kv.db", NULL, DB_BTREE, DB_CREATE | DB_THREAD | DB_AUTO_COMMIT, 0600), "open");
  return store;
}

static void *connection_open(struct store *store) { return store; }

static int put_in(struct store *store, DB_TXN *transaction, const char *key, const char *value) {
  DBT k = {0}, v = {0};
  k.data = (void *)key;
  k.size = KEY_BYTES;
  v.data = (void *)value;
  v.size = (u_int32_t)value_bytes;
  return store->database->put(store->database, transaction, &k, &v, 0);
}

static void connection_put(void *connection, const char *key, const char *value) {
  struct store *store = connection;
  for (;;) {
    DB_TXN *transaction;
    check(store->environment->txn_begin(store->environment, NULL, &transaction, 0), "begin");
    int status = put_in(store, transaction, key, value);
    if (status == 0) {
      check(transaction->commit(transaction, DB_TXN_SYNC), "commit");
      return;
    }
    transaction->abort(transaction);
    if (status != DB_LOCK_DEADLOCK) check(status, "put");
  }
}

static void store_fill(struct store *store, int records) {
  char key[KEY_BYTES], value[VALUE_BYTES_MAX];
  for (int at = 0; at < records;) {
    DB_TXN *transaction;
    check(store->environment->txn_begin(store->environment, NULL, &transaction, 0), "begin");
    for (int end = at + 1000; at < end && at < records; at++) {
      key_of((unsigned)at, key);
      value_of((unsigned)at, value);
      check(put_in(store, transaction, key, value), "put");
    }
    check(transaction->commit(transaction, DB_TXN_NOSYNC), "commit");
  }
  check(store->environment->txn_checkpoint(store->environment, 0, 0, DB_FORCE), "checkpoint");
}

/* The tool itself: it copies, and runs recovery on the copy. */
static void store_backup(struct store *store, const char *directory, const char *target) {
  char command[8192];
  (void)store;
  snprintf(command, sizeof command, "db5.3_hotbackup -c -h '%s' -b '%s' >/dev/null", directory, target);
  if (system(command) != 0) fail("db5.3_hotbackup", target);
}

/* It checkpoints when it is told to. */
static void store_keep_log(struct store *store) { (void)store; }

/* The log files as an archive of them would bring them; catastrophic recovery reads all of them. */
static void store_recover(const char *directory, const char *target) {
  char command[16384];
  snprintf(command, sizeof command, "cp '%s'/log.* '%s'/ && db5.3_recover -c -h '%s'", directory, target, target);
  if (system(command) != 0) fail("db5.3_recover", target);
  store_open(target);
}
