#!/usr/bin/env bash
# The scripts that the tasks replace: Postgres by psql, the table by the AWS CLI and boto3, one put_item per message.
# Takes libpq's and the AWS tools' variables from the environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sql=$here/../../backend-flask-rs/db

export PGOPTIONS='--client-min-messages=warning'
psql --quiet --dbname postgres --command 'drop database if exists cruddur'
psql --quiet --dbname postgres --command 'create database cruddur'
psql --quiet --dbname cruddur --set ON_ERROR_STOP=1 --file "$sql/schema.sql"
psql --quiet --dbname cruddur --set ON_ERROR_STOP=1 --file "$sql/seed.sql"
aws dynamodb delete-table --table-name cruddur-messages >/dev/null
python3 "$here/messages.py" schema-load
python3 "$here/messages.py" seed
