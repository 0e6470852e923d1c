#!/usr/bin/env bash
# pgBackRest's restore and the replay behind it: see postgresql.sh.
#
#   pgbackrest.sh FOLDER RECORDS TRANSACTIONS      prints {"recoverMs": N}
exec "$(dirname "$0")/postgresql.sh" "$1" "$2" "$3" pgbackrest
