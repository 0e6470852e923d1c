/* SQLite in WAL mode with synchronous=FULL: a commit is durable when it returns. One connection a writer, one table. */
#include <sqlite3.h>
#include "driver.h"

struct store {
  char path[4096];
};

struct connection {
  sqlite3 *database;
  sqlite3_stmt *insert;
};

static void check(int status, sqlite3 *database, const char *what) {
  if (status != SQLITE_OK && status != SQLITE_DONE) fail(what, sqlite3_errmsg(database));
}

static void run(sqlite3 *database, const char *text) { check(sqlite3_exec(database, text, NULL, NULL, NULL), database, text); }

static struct connection *connect_to(struct store *store) {
  struct connection *connection = calloc(1, sizeof *connection);
  check(sqlite3_open(store->path, &connection->database), connection->database, "open");
  sqlite3_busy_timeout(connection->database, 60000);
  run(connection->database, "pragma journal_mode = wal; pragma synchronous = full;"
                            "create table if not exists kv (k blob primary key, v blob) without rowid");
  /* As Litestream's guide asks: it makes the checkpoints itself, and has no use for the application's flushes. */
  if (getenv("BESIDE_LITESTREAM") != NULL) run(connection->database, "pragma wal_autocheckpoint = 0; pragma synchronous = normal");
  check(sqlite3_prepare_v2(connection->database, "insert or replace into kv values (?, ?)", -1, &connection->insert, NULL),
        connection->database, "prepare");
  return connection;
}

static struct store *store_open(const char *directory) {
  struct store *store = calloc(1, sizeof *store);
  snprintf(store->path, sizeof store->path, "%s.sqlite", directory);
  connect_to(store);
  return store;
}

static void *connection_open(struct store *store) { return connect_to(store); }

static void connection_put(void *argument, const char *key, const char *value) {
  struct connection *connection = argument;
  sqlite3_bind_blob(connection->insert, 1, key, KEY_BYTES, SQLITE_STATIC);
  sqlite3_bind_blob(connection->insert, 2, value, value_bytes, SQLITE_STATIC);
  check(sqlite3_step(connection->insert), connection->database, "insert");
  sqlite3_reset(connection->insert);
}

static void store_fill(struct store *store, int records) {
  struct connection *connection = connect_to(store);
  char key[KEY_BYTES], value[VALUE_BYTES_MAX];
  run(connection->database, "begin");
  for (int at = 0; at < records; at++) {
    key_of((unsigned)at, key);
    value_of((unsigned)at, value);
    connection_put(connection, key, value);
  }
  run(connection->database, "commit; pragma wal_checkpoint(truncate)");
}

/* The shell's .backup, as far as it is this call: all pages in one step, from a connection that does not write. */
static void store_backup(struct store *store, const char *directory, const char *target) {
  struct connection *from = connect_to(store);
  sqlite3 *to = NULL;
  (void)directory;
  check(sqlite3_open(target, &to), to, "open target");
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", from->database, "main");
  if (backup == NULL) fail("backup", sqlite3_errmsg(to));
  check(sqlite3_backup_step(backup, -1), to, "backup");
  check(sqlite3_backup_finish(backup), to, "backup");
  sqlite3_close(to);
  sqlite3_finalize(from->insert);
  sqlite3_close(from->database);
}

/* Nothing is recovered from a log. */
static void store_keep_log(struct store *store) { (void)store; }

static void store_recover(const char *directory, const char *target) {
  (void)directory;
  fail("it has no log archive to recover from", target);
}
