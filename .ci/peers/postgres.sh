#!/usr/bin/env bash
# The least that an embedded set-up has to wait for: initdb, and the server until it answers.
# postgres.sh FOLDER PORT starts it, postgres.sh FOLDER stops it.
set -euo pipefail
folder=$1
bin=$(dirname "$(readlink -f "$(command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1)")")
as_postgres() { if [[ $EUID -eq 0 ]]; then (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@"); else "$@"; fi; }

if [[ $# -eq 1 ]]; then
    as_postgres "$bin/pg_ctl" --pgdata "$folder/data" --mode fast --wait stop >/dev/null
    exit
fi
echo "$PGPASSWORD" >"$folder/password"
if [[ $EUID -eq 0 ]]; then chown --recursive postgres "$folder"; fi
as_postgres "$bin/initdb" --pgdata "$folder/data" --username postgres --auth scram-sha-256 \
    --pwfile "$folder/password" --encoding UTF8 --locale C --no-sync >/dev/null
as_postgres "$bin/postgres" -D "$folder/data" -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    >"$folder.log" 2>&1 </dev/null &
until psql --quiet --dbname postgres --command 'select 1' >/dev/null 2>&1; do sleep 0.02; done
rm "$folder.log"
