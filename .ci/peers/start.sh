#!/usr/bin/env bash
# The least that any set-up has to wait for: both containers started at once, until both answer.
# start.sh POSTGRES_PORT DYNAMODB_PORT
set -euo pipefail
: "${POSTGRES_IMAGE:?}" "${DYNAMODB_IMAGE:?}"
postgres_port=$1
dynamodb_port=$2

docker run --detach --name bench-postgres --env POSTGRES_USER=postgres --env POSTGRES_PASSWORD=password \
    --publish "127.0.0.1:$postgres_port:5432" --volume /var/lib/postgresql/data "$POSTGRES_IMAGE" &
postgres=$!
docker run --detach --name bench-dynamodb --user root --workdir /home/dynamodblocal --env DDB_LOCAL_TELEMETRY=0 \
    --publish "127.0.0.1:$dynamodb_port:8000" --volume /home/dynamodblocal/data "$DYNAMODB_IMAGE" \
    -XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 \
    -XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000 -XX:+UseSerialGC -jar DynamoDBLocal.jar -sharedDb -inMemory &
# One that does not start would be waited for without an end.
wait "$postgres"
wait $!

until psql --quiet --dbname postgres --command 'select 1' >/dev/null 2>&1; do sleep 0.02; done
# The server asks for a signature of this form, and does not check it.
until curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$dynamodb_port" --data '{}' \
    --header 'Content-Type: application/x-amz-json-1.0' --header 'X-Amz-Target: DynamoDB_20120810.ListTables' \
    --header 'X-Amz-Date: 20260101T000000Z' \
    --header 'Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0'
do sleep 0.02; done
