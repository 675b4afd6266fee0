"""Reads a user's conversations and their messages as the old scripts did, with boto3.

Called with the endpoint, the table and the user's uuid. Prints JSON.
"""

import datetime
import json
import sys

import boto3

endpoint, table, user_uuid = sys.argv[1:]
client = boto3.client("dynamodb", endpoint_url=endpoint)


def query(partition_key):
    """Every item of a partition, newest first."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": partition_key}},
        ScanIndexForward=False,
    )
    return [item for page in pages for item in page["Items"]]


def moment(item):
    """The sort key, in seconds since 1970."""
    return datetime.datetime.strptime(item["sk"]["S"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


groups = query(f"GRP#{user_uuid}")
messages = [item for group in groups for item in query(f"MSG#{group['message_group_uuid']['S']}")]
print(
    json.dumps(
        {
            "groups": [
                {
                    "group": group["message_group_uuid"]["S"],
                    "with": group["user_handle"]["S"],
                    "at": moment(group),
                }
                for group in groups
            ],
            "messages": len(messages),
            "first": moment(messages[-1]),
            "last": moment(messages[0]),
        }
    )
)
