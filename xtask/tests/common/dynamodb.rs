//! DynamoDB's wire format without the SDK, for an independent client and for proxies.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// A formal signature. Local servers check only its form.
const SIGNATURE: &str = "X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
                         Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
                         Signature=0";

/// A local DynamoDB-compatible server, given by its port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint(pub(crate) u16);

impl Endpoint {
    pub(crate) fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.0)
    }

    /// Sends a request that must succeed.
    #[track_caller]
    pub(crate) fn call(self, operation: &str, request: Value) -> Value {
        let answer = self.send(operation, &request.to_string()).unwrap();
        assert_eq!(answer.status, 200, "{operation} {request}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Sends a request unchanged.
    ///
    /// # Errors
    /// The server cannot be reached or does not speak HTTP.
    pub(crate) fn send(self, operation: &str, body: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{SIGNATURE}\r\n\
             X-Amz-Target: DynamoDB_20120810.{operation}\r\nContent-Type: application/x-amz-json-1.0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.0,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let head = Head::read(&mut reader)?;
        let mut status = head.first_line.split(' ').skip(1);
        let status = status.next().and_then(|status| status.parse().ok()).unwrap_or_default();
        let mut body = String::new();
        reader.take(head.length.unwrap_or(u64::MAX)).read_to_string(&mut body)?;
        Ok(Answer { status, body })
    }

    /// Every item of a table, sorted by key.
    #[track_caller]
    pub(crate) fn items(self, table: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut request = json!({ "TableName": table, "ConsistentRead": true });
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let mut page = self.call("Scan", request);
            items.append(page["Items"].as_array_mut().unwrap());
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                break;
            }
        }
        let key = |item: &Value| ["pk", "sk"].map(|name| item[name]["S"].as_str().unwrap_or("").to_owned());
        items.sort_by_key(key);
        items
    }

    /// Puts an item of string attributes.
    #[track_caller]
    pub(crate) fn put(self, table: &str, attributes: &[(&str, &str)]) {
        let item: serde_json::Map<_, _> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), json!({ "S": value }))).collect();
        self.call("PutItem", json!({ "TableName": table, "Item": item }));
    }

    /// Puts items given in DynamoDB JSON.
    #[track_caller]
    pub(crate) fn put_items(self, table: &str, items: impl IntoIterator<Item = Value>) {
        let requests: Vec<_> =
            items.into_iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
        for batch in requests.chunks(25) {
            let answer = self.call("BatchWriteItem", json!({ "RequestItems": { table: batch } }));
            assert_eq!(answer["UnprocessedItems"], json!({}));
        }
    }

    /// Creates a table. Each key is a name and a type, such as `("id", "N")`; the partition key comes first.
    #[track_caller]
    pub(crate) fn create_table(self, table: &str, keys: &[(&str, &str)]) {
        self.create(table, keys, &[], json!({}));
    }

    /// Creates a table with a global secondary index, whose keys have the same form.
    #[track_caller]
    pub(crate) fn create_table_with_index(
        self,
        table: &str,
        keys: &[(&str, &str)],
        index: &str,
        index_keys: &[(&str, &str)],
    ) {
        let index = json!({ "IndexName": index, "KeySchema": key_schema(index_keys), "Projection": { "ProjectionType": "ALL" } });
        self.create(table, keys, index_keys, json!({ "GlobalSecondaryIndexes": [index] }));
    }

    #[track_caller]
    fn create(self, table: &str, keys: &[(&str, &str)], index_keys: &[(&str, &str)], mut request: Value) {
        let types: std::collections::BTreeMap<_, _> = keys.iter().chain(index_keys).copied().collect();
        let definition = |(name, kind): (&str, &str)| json!({ "AttributeName": name, "AttributeType": kind });
        request["TableName"] = table.into();
        request["KeySchema"] = key_schema(keys);
        request["AttributeDefinitions"] = types.into_iter().map(definition).collect();
        request["BillingMode"] = "PAY_PER_REQUEST".into();
        self.call("CreateTable", request);
    }

    #[track_caller]
    pub(crate) fn tables(self) -> Vec<String> {
        let answer = self.call("ListTables", json!({}));
        answer["TableNames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }
}

fn key_schema(keys: &[(&str, &str)]) -> Value {
    let roles = keys.iter().zip(["HASH", "RANGE"]);
    roles.map(|((name, _), role)| json!({ "AttributeName": name, "KeyType": role })).collect()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// The head of an HTTP request or response.
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) length: Option<u64>,
    /// The operation: the value of `X-Amz-Target` after the API's version.
    pub(crate) operation: String,
    /// The value of `Authorization`, or of Docker's `X-Registry-Auth`.
    pub(crate) credentials: String,
}

impl Head {
    /// Reads up to the empty line.
    ///
    /// # Errors
    /// The other side closed before that.
    pub(crate) fn read(reader: &mut impl std::io::BufRead) -> std::io::Result<Self> {
        let mut lines = reader.lines();
        let first_line = lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
        let (operation, credentials) = (String::new(), String::new());
        let mut head = Self { first_line, length: None, operation, credentials };
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { return Ok(head) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().ok(),
                "x-amz-target" => head.operation = value.rsplit('.').next().unwrap_or("").to_owned(),
                "authorization" | "x-registry-auth" => head.credentials = value.trim().to_owned(),
                _ => {}
            }
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}
