-- The two queries that DynamoDB answers for a page of a conversation, in turn: what wrk sends it without the app.
-- Takes the user's uuid from USER_UUID.
local group = "5ae290ed-55d1-47a0-bc6d-fe2bc2700399"
local membership = [[{"TableName": "cruddur-messages", "ConsistentRead": true, "ScanIndexForward": false, "Limit": 1000,
  "KeyConditionExpression": "pk = :pk", "FilterExpression": "message_group_uuid = :value",
  "ExpressionAttributeValues": {":pk": {"S": "GRP#%s"}, ":value": {"S": "%s"}}}]]
local messages = [[{"TableName": "cruddur-messages", "ConsistentRead": true, "ScanIndexForward": false, "Limit": 20,
  "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "MSG#%s"}}}]]
local bodies = { membership:format(os.getenv("USER_UUID"), group), messages:format(group) }
local sent = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-amz-json-1.0"
wrk.headers["X-Amz-Target"] = "DynamoDB_20120810.Query"
wrk.headers["X-Amz-Date"] = "20260101T000000Z"
-- The server asks for a signature of this form, and does not check it.
wrk.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
  .. "SignedHeaders=host, Signature=0"

function request()
  sent = sent + 1
  return wrk.format(nil, "/", nil, bodies[sent % 2 + 1])
end
