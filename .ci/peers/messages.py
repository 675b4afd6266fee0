#!/usr/bin/env python3
"""The boto3 scripts that the tasks replace, one for each operation on the messages table."""

import datetime
import json
import sys

import boto3

TABLE = "cruddur-messages"
GROUP = "5ae290ed-55d1-47a0-bc6d-fe2bc2700399"


def user_uuid(handle):
    from psycopg_pool import ConnectionPool

    with ConnectionPool("dbname=cruddur") as pool, pool.connection() as connection:
        query = "select uuid from public.users where handle = %(handle)s"
        return connection.execute(query, {"handle": handle}).fetchone()[0]


def schema_load(client):
    client.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )


def seed(client):
    now = datetime.datetime.now(datetime.timezone.utc)
    for index in range(100):
        sent = now - datetime.timedelta(minutes=100 - index)
        item = {
            "pk": f"MSG#{GROUP}",
            "sk": sent.isoformat(timespec="microseconds"),
            "message_uuid": f"00000000-0000-4000-8000-{index:012}",
            "message": "A message of about sixty characters, as people write them.",
            "user_uuid": "00000000-0000-4000-8000-000000000000",
            "user_display_name": "Andrew Brown",
            "user_handle": "andrewbrown",
        }
        client.put_item(TableName=TABLE, Item={name: {"S": value} for name, value in item.items()})


def query(client, partition_key, limit):
    response = client.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": partition_key}},
        ScanIndexForward=False,
        Limit=limit,
        ReturnConsumedCapacity="TOTAL",
    )
    print(json.dumps(response["Items"], indent=4))


def scan():
    for item in boto3.resource("dynamodb").Table(TABLE).scan()["Items"]:
        print(item)


def main():
    if sys.argv[1] == "scan":
        return scan()
    client = boto3.client("dynamodb")
    match sys.argv[1]:
        case "schema-load":
            schema_load(client)
        case "seed":
            seed(client)
        case "get-conversation":
            query(client, f"MSG#{GROUP}", 20)
        case "list-conversations":
            query(client, f"GRP#{user_uuid('andrewbrown')}", 20)


main()
