#!/usr/bin/env bash
# Litestream's recovery: a snapshot of the base and the log behind it out of a replica in a folder, to an open database and one read.
# 0.3 compacts nothing: `restore` fetches that snapshot and every WAL file since, and has SQLite checkpoint one after the other. The
# transactions come as fast as SQLite takes them, which leaves few and large WAL files: its best case.
#
#   litestream.sh FOLDER RECORDS TRANSACTIONS      prints {"recoverMs": N}
set -euo pipefail
folder=$1 records=$2 transactions=$3
litestream=$(cd "$(dirname "$0")" && pwd)/build/node_modules/@flydotio/litestream-linux-x64/litestream
cd "$folder"
cat > litestream.yml <<CONF
dbs:
  - path: $folder/db
    replicas:
      - {type: file, path: $folder/replica}
CONF
replicate() {
  "$litestream" replicate -config litestream.yml >replicate.log 2>&1 &
  replicating=$!
}
trap 'kill "${replicating:-}" 2>/dev/null || true' EXIT
# Litestream makes the checkpoints. Nobody waits for a flush here, which is no part of what is measured.
settings="pragma wal_autocheckpoint = 0; pragma synchronous = off; pragma cache_size = -400000; pragma busy_timeout = 60000;"
record="randomblob(16), randomblob(100)"

sqlite3 db "pragma journal_mode = wal; $settings
  create table records (key blob primary key, value blob) without rowid;
  with recursive n (i) as (select 1 union all select i + 1 from n where i < $records) insert into records select $record from n;
  pragma wal_checkpoint(truncate)" >/dev/null
replicate
until compgen -G "replica/generations/*/wal/*.lz4" >/dev/null; do sleep 0.1; done
# A commit for each record.
{ echo "$settings"; seq "$transactions" | sed "s/.*/insert into records values ($record);/"; } | sqlite3 db >/dev/null
# Beside other work it may be behind by more than its end waits for.
size() { du -sb replica | cut -f1; }
until before=$(size) && sleep 2 && [ "$(size)" = "$before" ]; do :; done
# Its end ships what is left of the log; then it reports that a last checkpoint of its own was cancelled. The count below is the judge.
kill -INT "$replicating"
wait "$replicating" || true

begin=$(date +%s%N)
"$litestream" restore -o copy "file://$folder/replica" 2>restore.log
sqlite3 copy "select value from records limit 1" >/dev/null
end=$(date +%s%N)
found=$(sqlite3 copy "select count(*) from records")
[ "$found" = $((records + transactions)) ] || { echo "only $found records were recovered" >&2; exit 1; }
echo "{\"recoverMs\": $(((end - begin) / 1000000))}"
