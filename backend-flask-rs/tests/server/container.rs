//! DynamoDB Local in a container for one test.

use std::process::Command;
use std::time::Duration;

use crate::common::dynamodb::Endpoint;
use crate::common::{free_port, wait_for};

/// A container. Dropping it removes it.
pub(crate) struct DynamoDbLocal {
    pub(crate) endpoint: Endpoint,
    id: String,
}

impl DynamoDbLocal {
    /// Starts it from the image in `DYNAMODB_IMAGE`, like docker-compose.yml.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let image =
            std::env::var("DYNAMODB_IMAGE").unwrap_or_else(|_| "amazon/dynamodb-local:2.6.1".to_owned());
        let endpoint = Endpoint(free_port());
        let port = format!("127.0.0.1:{}:8000", endpoint.0);
        let run = ["run", "--detach", "--rm", "--publish", &port, &image];
        let flags = ["-jar", "DynamoDBLocal.jar", "-sharedDb", "-inMemory"];
        let id = docker(&[&run[..], &flags[..]].concat());
        let container = Self { endpoint, id: id.trim().to_owned() };
        wait_for("answer of DynamoDB Local", Duration::from_secs(60), || {
            let answer = endpoint.send("ListTables", "{}").ok()?;
            (answer.status == 200).then_some(())
        });
        container
    }
}

impl Drop for DynamoDbLocal {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.id]).output();
    }
}

/// The output of a docker command that must succeed.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {stderr}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}
