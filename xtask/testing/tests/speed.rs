//! Measures the cost of a test's databases against the bare statements that make them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client as DynamoDb;
use backend_flask::{messages, sql};
use cruddur_testing::TestDatabases;

const ROUNDS: usize = 31;
const NAME: &str = "cruddur_testing_speed";

/// Creates a table and waits until it is active.
async fn create_table(dynamodb: &DynamoDb) {
    messages::create_table(NAME).send_with(dynamodb).await.unwrap();
    let is_active = async || {
        let described = dynamodb.describe_table().table_name(NAME).send().await.unwrap();
        described.table.unwrap().table_status.unwrap().as_str() == "ACTIVE"
    };
    while !is_active().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
#[ignore = "measures"]
fn databases_of_a_test_cost_little_more_than_their_statements() {
    let other = TestDatabases::new_blocking();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut postgres, dynamodb) = (other.postgres_blocking(), other.dynamodb());
    let templates = "select max(datname::text) from pg_database where datname like 'cruddur\\_template\\_%'";
    let template: String = postgres.query_one(templates, &[]).unwrap().get(0);
    let version = postgres.query_one("select current_setting('server_version_num')::int4", &[]).unwrap();
    let strategy = if version.get::<_, i32>(0) >= 150_000 { "strategy file_copy" } else { "" };
    let create = format!("create database {NAME} template {template} {strategy}");
    postgres.batch_execute(&sql::drop_database(NAME)).unwrap();
    let (mut made, mut whole) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut note = |which: usize, began: Instant, made_after: Duration| {
        made[which].push(made_after.as_secs_f64() * 1e3);
        whole[which].push(began.elapsed().as_secs_f64() * 1e3);
    };
    for _ in 0..ROUNDS {
        let began = Instant::now();
        postgres.batch_execute(&create).unwrap();
        runtime.block_on(create_table(dynamodb));
        let made_after = began.elapsed();
        runtime.block_on(dynamodb.delete_table().table_name(NAME).send()).unwrap();
        postgres.batch_execute(&sql::drop_database(NAME)).unwrap();
        note(0, began, made_after);
        // A table that is being deleted keeps its name for a moment.
        while runtime.block_on(dynamodb.describe_table().table_name(NAME).send()).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        let databases = TestDatabases::new_blocking();
        let made_after = began.elapsed();
        drop(databases);
        note(1, began, made_after);
    }
    let [plain, ours] = made.map(median);
    let [plain_whole, ours_whole] = whole.map(median);
    let ratios = [ours / plain, ours_whole / plain_whole];
    let line = format!(
        "\nmade in {ours:.1} ms, statements alone {plain:.1} ms: {:.2}; with their end {ours_whole:.1} ms, {plain_whole:.1} \
         ms: {:.2}\n",
        ratios[0], ratios[1]
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    // The goal is 1.5. A busy machine needs some room.
    assert!(ratios.iter().all(|ratio| *ratio < 2.0), "{line}");
}
