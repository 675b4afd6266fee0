#!/usr/bin/env python3
"""A table of many items, as boto3 writes and reads it: its batch writer, and its paginator.

    items.py write FILE    writes a file's items, one as JSON a line
    items.py scan          prints every item, one as DynamoDB JSON a line
"""

import json
import sys

import boto3

TABLE = "cruddur-messages"


def write(file):
    with open(file) as lines:
        items = [json.loads(line) for line in lines]
    table = boto3.resource("dynamodb").Table(TABLE)
    with table.batch_writer() as batch:
        for item in items:
            batch.put_item(Item=item)


def scan():
    # The client's paginator, because a resource's takes longer: it converts the attributes to Python values.
    for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE):
        for item in page["Items"]:
            print(json.dumps(item))


def main():
    match sys.argv[1]:
        case "write":
            write(sys.argv[2])
        case "scan":
            scan()


main()
