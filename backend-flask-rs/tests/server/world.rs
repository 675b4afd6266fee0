//! Two seeded databases for one test, and servers on them.

use std::any::Any;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::thread::JoinHandle;

use backend_flask::conversation::Conversation;
use backend_flask::messages::{DEFAULT_TABLE, Item, SEED_GROUP, TABLE_VARIABLE};
use backend_flask::server::{Server, Settings};
use backend_flask::sql;
use backend_flask::users::User;
use cruddur_testing::TestDatabases;
use cruddur_testing::fixtures::{CONVERSATION, SEED};
use postgres::{Client, NoTls};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::client::{Answer, Request};
use crate::common::dynamodb::Endpoint;
use crate::dynamodb::DynamoDb;
use crate::postgres::Database;

/// The two members of the seed's group, and a user who is not a member.
pub(crate) const ONE: &str = "andrewbrown";
pub(crate) const TWO: &str = "bayko";
pub(crate) const STRANGER: &str = "zoekestrel";

/// Seeded databases, and a server with local access to them.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) endpoint: Endpoint,
    pub(crate) table: String,
    /// The Postgres database's URL.
    url: String,
    /// Dropped after the app.
    _databases: Box<dyn Any>,
}

impl World {
    /// A world with databases of its own on the servers that all tests share.
    pub(crate) fn new() -> Self {
        let databases = TestDatabases::new_blocking();
        let port = databases.dynamodb_url().rsplit(':').next().unwrap().parse().unwrap();
        let (url, table) = (databases.postgres_url(), databases.table().to_owned());
        Self::of(url, Endpoint(port), table, Box::new(databases))
    }

    /// A world with the DynamoDB at `endpoint`, which has no table yet, and a Postgres of this program.
    pub(crate) fn on(endpoint: Endpoint, dynamodb: Option<DynamoDb>) -> Self {
        Self::with(&Database::new(), endpoint, dynamodb)
    }

    /// The same with a name for a database that does not exist yet.
    pub(crate) fn with(database: &Database, endpoint: Endpoint, dynamodb: Option<DynamoDb>) -> Self {
        database.maintenance_session().batch_execute(&sql::create_database(&database.name)).unwrap();
        database.execute(include_str!("../../db/schema.sql"));
        endpoint.create_table(DEFAULT_TABLE, &[("pk", "S"), ("sk", "S")]);
        crate::common::wait_for("active table", std::time::Duration::from_secs(30), || {
            let table = endpoint.call("DescribeTable", json!({ "TableName": DEFAULT_TABLE }));
            (table["Table"]["TableStatus"] == "ACTIVE").then_some(())
        });
        Self::of(database.url(), endpoint, DEFAULT_TABLE.to_owned(), Box::new(dynamodb))
    }

    fn of(url: String, endpoint: Endpoint, table: String, databases: Box<dyn Any>) -> Self {
        let mut session = connect(&url);
        session.batch_execute("delete from activities; delete from users").unwrap();
        session.batch_execute(SEED).unwrap();
        let [one, two] =
            [ONE, TWO].map(|handle| User::find_by_handle(&mut session, handle).unwrap().unwrap());
        let conversation = Conversation::parse("", CONVERSATION).unwrap();
        let items = conversation.items(SEED_GROUP, [&one, &two], chrono::Utc::now());
        endpoint.put_items(&table, items.map(in_json));
        let app = App::start(&local(&url, endpoint, &table));
        Self { app, endpoint, table, url, _databases: databases }
    }

    /// Starts another server on the same databases.
    pub(crate) fn another(&self) -> App {
        App::start(&self.settings())
    }

    /// The settings of a server on these databases.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        local(&self.url, self.endpoint, &self.table)
    }

    /// A session of another client in the Postgres database.
    pub(crate) fn session(&self) -> Client {
        connect(&self.url)
    }

    /// The items whose partition key has this prefix: group rows or messages.
    pub(crate) fn items(&self, prefix: &str) -> Vec<Value> {
        let mut items = self.endpoint.items(&self.table);
        items.retain(|item| item["pk"]["S"].as_str().unwrap().starts_with(prefix));
        items
    }
}

fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}

pub(crate) struct Address(pub(crate) SocketAddr);

/// A server in its own thread. Dropping it stops it.
pub(crate) struct App {
    address: Address,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl App {
    #[track_caller]
    pub(crate) fn start(settings: &[(&'static str, String)]) -> Self {
        let find = |name: &str| settings.iter().find(|(set, _)| *set == name);
        let settings = Settings::read(|name| find(name).map(|(_, value)| value.clone())).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(settings).await.unwrap();
                tell.send(server.address()).unwrap();
                server.serve(async { _ = stopped.await }).await;
            });
        });
        Self { address: Address(told.recv().unwrap()), stop: Some(stop), thread: Some(thread) }
    }
}

impl Deref for App {
    type Target = Address;

    fn deref(&self) -> &Address {
        &self.address
    }
}

impl Address {
    pub(crate) fn get(&self, path: &str) -> Request {
        Request::new(self.0, "GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        Request::new(self.0, "POST", path)
    }

    /// Sends a request's head as it is, and returns all that comes back until the server closes the connection.
    pub(crate) fn send_head(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.0).unwrap();
        // The server may close the connection before it has read all.
        _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes());
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// Sends a message to the seed's group.
    pub(crate) fn write(&self, from: &str, text: &str) -> Answer {
        let body = json!({ "message": text, "message_group_uuid": SEED_GROUP.to_string() });
        self.post("/api/messages").from(from).json(&body).send()
    }

    pub(crate) fn write_to(&self, from: &str, to: &str, text: &str) -> Answer {
        self.post("/api/messages").from(from).json(&json!({ "message": text, "handle": to })).send()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // If the server panicked, a request has failed, and the test with it.
            let _ = thread.join();
        }
    }
}

fn local(url: &str, endpoint: Endpoint, table: &str) -> Vec<(&'static str, String)> {
    vec![
        ("BACKEND_ACCESS", "local".to_owned()),
        ("BACKEND_ADDRESS", "127.0.0.1:0".to_owned()),
        ("CONNECTION_URL", url.to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint.url()),
        (TABLE_VARIABLE, table.to_owned()),
    ]
}

/// An item of strings in DynamoDB JSON.
fn in_json(item: Item) -> Value {
    item.into_iter().map(|(name, value)| (name, json!({ "S": value.as_s().unwrap() }))).collect()
}
