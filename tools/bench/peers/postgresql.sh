#!/usr/bin/env bash
# PostgreSQL's recovery: a base backup and the archived log behind it, to a server that takes connections. pgBackRest restores files and
# starts this very replay; here the files are merely copied, so that its own work is left out.
#
#   postgresql.sh FOLDER RECORDS TRANSACTIONS      prints {"recoverMs": N}
set -euo pipefail
folder=$1 records=$2 transactions=$3
bin=/usr/lib/postgresql/15/bin
if [ "$(id -u)" = 0 ]; then
  # The server refuses to run as root.
  chown postgres "$folder"
  exec runuser -u postgres -- "$0" "$@"
fi
cd "$folder"
mkdir archive sockets
ctl() { "$bin/pg_ctl" -s -w -t 600 -D "$1" -l "$folder/server.log" "${@:2}" >/dev/null; }
query() { "$bin/psql" -qAt -h "$folder/sockets" -d postgres -v ON_ERROR_STOP=1 -c "$1" >/dev/null; }
trap '"$bin/pg_ctl" -s -D data -m immediate stop 2>/dev/null || true; "$bin/pg_ctl" -s -D copy -m immediate stop 2>/dev/null || true' EXIT

"$bin/initdb" -D data -A trust --no-sync >/dev/null
cat >> data/postgresql.conf <<CONF
listen_addresses = ''
unix_socket_directories = '$folder/sockets'
shared_buffers = 512MB
checkpoint_timeout = 1d
max_wal_size = 64GB
hot_standby = off
archive_mode = on
archive_command = 'cp %p $folder/archive/%f'
restore_command = 'cp $folder/archive/%f %p'
CONF
ctl data start
query "create table records (key bytea primary key, value bytea)"
fill="insert into records select substr(sha256(n::text::bytea), 1, 16), decode(repeat(md5(n::text), 6) || left(md5(n::text), 8), 'hex')"
query "$fill from generate_series(1, $records) n"
"$bin/pg_basebackup" -h "$folder/sockets" -D base -X none -c fast 2>/dev/null
# A commit for each record; nobody waits for its flush, which is no part of what is measured.
query "do \$\$ begin
  set synchronous_commit = off;
  for n in $records + 1 .. $records + $transactions loop
    insert into records values (substr(sha256(n::text::bytea), 1, 16), decode(repeat(md5(n::text), 6) || left(md5(n::text), 8), 'hex'));
    commit;
  end loop;
end \$\$"
query "select pg_switch_wal()"
# A clean stop archives what is left of the log.
ctl data stop

begin=$(date +%s%N)
cp -a base copy
find copy -type f -exec sync -d {} +
touch copy/recovery.signal
ctl copy start
# `pg_ctl` is content with a server that still replays.
until "$bin/pg_isready" -q -h "$folder/sockets"; do sleep 0.02; done
end=$(date +%s%N)
found=$("$bin/psql" -qAt -h "$folder/sockets" -d postgres -c "select count(*) from records")
[ "$found" = $((records + transactions)) ] || { echo "only $found records were recovered" >&2; exit 1; }
ctl copy -m immediate stop
echo "{\"recoverMs\": $(((end - begin) / 1000000))}"
