#!/usr/bin/env bash
# Tests that need more than Node: Berkeley DB's own tools, SQLite and LevelDB in Python, RocksDB, mounted and full file systems,
# recorded system calls, age, Ceph's S3, PostgreSQL, Virtuoso. Debian, as root.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { # need COMMAND PACKAGE
  command -v "$1" >/dev/null || install "$1" "$2"
}

install() { # install WHAT PACKAGE
  if [ "$(id -u)" != 0 ]; then
    echo "test-servers: '$1' is missing; install the Debian package '$2' or run this as root" >&2
    exit 1
  fi
  if [ -z "${updated:-}" ]; then apt-get update -qq; updated=1; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

need db5.3_hotbackup db5.3-util
need mount mount
need mkfs.ext4 e2fsprogs
need strace strace
need age age
need virtuoso-t virtuoso-opensource-7-bin
need ceph-mon ceph-mon
need ceph-osd ceph-osd
need radosgw radosgw
need /usr/bin/python3 python3
/usr/bin/python3 -c 'import plyvel' 2>/dev/null || install plyvel python3-plyvel
need ldb rocksdb-tools
# The package also makes a cluster of its own, main, which the tests leave alone.
need /usr/lib/postgresql/15/bin/postgres postgresql-15

exec npx -y pnpm@10 exec vitest run --project servers "$@"
