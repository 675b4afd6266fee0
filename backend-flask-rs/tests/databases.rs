//! The whole app on two databases of its own. docs/testing.md shows this test.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use axum::http::{Request, StatusCode};
use backend_flask::server::{Server, Settings};
use bytes::Bytes;
use cruddur_testing::TestDatabases;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Sends a request, and returns the status and the JSON of the answer.
async fn send(request: Request<String>) -> (StatusCode, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.request(request.map(Full::from)).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_message_is_read_back_by_its_recipient() {
    let databases = TestDatabases::new().await;
    let settings = databases.settings();
    let settings = Settings::read(|name| settings.get(name).cloned()).unwrap();
    let server = Server::bind(settings).await.unwrap();
    let api = format!("http://{}/api", server.address());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { _ = stopped.await }));

    // The two users are rows of the seed, in Postgres.
    let message = json!({ "message": "Hello", "handle": "bayko" }).to_string();
    let post = Request::post(format!("{api}/messages")).header("X-Cruddur-User", "andrewbrown");
    let post = post.header("Content-Type", "application/json").body(message).unwrap();
    let (status, sent) = send(post).await;
    assert_eq!(status, StatusCode::CREATED, "{sent}");

    let group = sent["message_group_uuid"].as_str().unwrap();
    let get = Request::get(format!("{api}/messages/{group}")).header("X-Cruddur-User", "bayko");
    let (status, read) = send(get.body(String::new()).unwrap()).await;
    assert_eq!((status, read), (StatusCode::OK, json!([sent])));

    // The table is this test's own, so it has no other messages.
    let scan = databases.dynamodb().scan().table_name(databases.table()).consistent_read(true);
    let items = scan.send().await.unwrap().items.unwrap();
    assert_eq!(items.iter().filter(|item| item["pk"].as_s().unwrap().starts_with("MSG#")).count(), 1);

    drop(stop);
    serving.await.unwrap();
}
