#!/usr/bin/env bash
# The parts of a snapshot without the tasks: PostgreSQL's programs, and an export or import of the items.
# Takes libpq's variables, the program in XTASK and a folder in FOLDER from the environment.
set -euo pipefail

case $1 in
save)
    pg_dump --format=custom --file="$FOLDER/postgres.dump" cruddur
    "$XTASK" ddb export --force "$FOLDER/items.jsonl.zst"
    ;;
restore)
    pg_restore --clean --if-exists --no-owner --single-transaction --dbname=cruddur "$FOLDER/postgres.dump"
    "$XTASK" ddb import "$FOLDER/items.jsonl.zst"
    ;;
esac
