#!/usr/bin/env bash
# PostgreSQL's recovery: a base backup and the archived log behind it, to a server that takes connections. Files are copied by cp, so that
# the replay is seen alone, or stored and fetched by pgBackRest, whose defaults are left as they are: gzip, one process, checksums.
#
#   postgresql.sh FOLDER RECORDS TRANSACTIONS [cp|pgbackrest]      prints {"recoverMs": N}
set -euo pipefail
folder=$1 records=$2 transactions=$3 tool=${4:-cp}
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

case $tool in
cp)
  archive_command="cp %p $folder/archive/%f"
  restore_command="cp $folder/archive/%f %p"
  prepare() { :; }
  back_up() { "$bin/pg_basebackup" -h "$folder/sockets" -D base -X none -c fast 2>/dev/null; }
  restore() {
    cp -a base copy
    find copy -type f -exec sync -d {} +
    touch copy/recovery.signal
  }
  ;;
pgbackrest)
  cat > pgbackrest.conf <<CONF
[global]
repo1-path=$folder/archive
repo1-retention-full=2
lock-path=$folder/lock
spool-path=$folder/spool
log-level-file=off
log-level-console=error
start-fast=y
[bench]
pg1-path=$folder/data
pg1-socket-path=$folder/sockets
CONF
  # The server hands it on to the commands below.
  export PGBACKREST_CONFIG=$folder/pgbackrest.conf PGBACKREST_STANZA=bench
  archive_command='pgbackrest archive-push %p'
  restore_command='pgbackrest archive-get %f "%p"'
  prepare() { pgbackrest stanza-create; }
  back_up() { pgbackrest backup --type=full; }
  # It writes recovery.signal itself.
  restore() { mkdir -m 700 copy && pgbackrest restore --pg1-path="$folder/copy"; }
  ;;
esac

"$bin/initdb" -D data -A trust --no-sync >/dev/null
cat >> data/postgresql.conf <<CONF
listen_addresses = ''
unix_socket_directories = '$folder/sockets'
shared_buffers = 512MB
checkpoint_timeout = 1d
max_wal_size = 64GB
hot_standby = off
archive_mode = on
archive_command = '$archive_command'
restore_command = '$restore_command'
CONF
ctl data start
prepare
query "create table records (key bytea primary key, value bytea)"
# Scattered keys of 16 bytes, and 100 bytes that do not compress.
record="substr(sha256(n::text::bytea), 1, 16), substr(sha512(n::text::bytea) || sha512(('+' || n)::bytea), 1, 100)"
query "insert into records select $record from generate_series(1, $records) n"
back_up
# A commit for each record; nobody waits for its flush, which is no part of what is measured.
query "do \$\$ begin
  set synchronous_commit = off;
  for n in $records + 1 .. $records + $transactions loop
    insert into records values ($record);
    commit;
  end loop;
end \$\$"
query "select pg_switch_wal()"
# A clean stop archives what is left of the log.
ctl data stop

begin=$(date +%s%N)
restore
ctl copy start
# `pg_ctl` is content with a server that still replays.
until "$bin/pg_isready" -q -h "$folder/sockets"; do sleep 0.02; done
end=$(date +%s%N)
found=$("$bin/psql" -qAt -h "$folder/sockets" -d postgres -c "select count(*) from records")
[ "$found" = $((records + transactions)) ] || { echo "only $found records were recovered" >&2; exit 1; }
ctl copy -m immediate stop
echo "{\"recoverMs\": $(((end - begin) / 1000000))}"
