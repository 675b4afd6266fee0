//! `TestDatabases` on the servers of this checkout.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use backend_flask::{messages, sql};
use cruddur_testing::TestDatabases;
use tokio_postgres::Client;

async fn users(client: &Client) -> i64 {
    client.query_one("select count(*) from users", &[]).await.unwrap().get(0)
}

async fn put(databases: &TestDatabases, key: &str) {
    let [pk, sk] = [key, "1"].map(|text| AttributeValue::S(text.to_owned()));
    let put = databases.dynamodb().put_item().table_name(databases.table());
    put.item("pk", pk).item("sk", sk).send().await.unwrap();
}

async fn keys(databases: &TestDatabases) -> BTreeSet<String> {
    let scan = databases.dynamodb().scan().table_name(databases.table());
    let items = scan.consistent_read(true).send().await.unwrap().items.unwrap_or_default();
    items.iter().map(|item| item["pk"].as_s().unwrap().clone()).collect()
}

/// Asserts that two pairs of databases begin the same and stay apart.
async fn assert_apart() {
    let (one, other) = (TestDatabases::new().await, TestDatabases::new().await);
    let (in_one, inother) = (one.postgres().await, other.postgres().await);
    let seeded = users(&in_one).await;
    assert!(seeded > 0);
    assert_eq!(users(&inother).await, seeded);
    in_one.batch_execute("delete from activities; delete from users").await.unwrap();
    put(&one, "A").await;
    put(&other, "B").await;
    assert_eq!((users(&in_one).await, users(&inother).await), (0, seeded));
    assert_eq!(keys(&one).await, ["A".to_owned()].into());
    assert_eq!(keys(&other).await, ["B".to_owned()].into());
}

#[tokio::test]
async fn two_are_apart_on_one_thread() {
    assert_apart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_are_apart_on_many_threads() {
    assert_apart().await;
}

/// Asks the servers of `other` whether databases and tables exist.
struct Looking {
    other: TestDatabases,
    postgres: postgres::Client,
    dynamodb: DynamoDb,
    runtime: tokio::runtime::Runtime,
}

impl Looking {
    fn new() -> Self {
        let other = TestDatabases::new_blocking();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (postgres, dynamodb) = (other.postgres_blocking(), other.dynamodb().clone());
        Self { other, postgres, dynamodb, runtime }
    }

    /// Whether there is a database of this name, and a table.
    fn sees(&mut self, name: &str) -> (bool, bool) {
        let sql = "select from pg_database where datname = $1";
        let database = self.postgres.query_opt(sql, &[&name]).unwrap().is_some();
        let described = self.runtime.block_on(self.dynamodb.describe_table().table_name(name).send());
        // A table that is being deleted is described for a moment longer.
        let is_leaving = |table: aws_sdk_dynamodb::operation::describe_table::DescribeTableOutput| {
            table
                .table
                .and_then(|table| table.table_status)
                .is_some_and(|status| status.as_str() == "DELETING")
        };
        (database, described.is_ok_and(|table| !is_leaving(table)))
    }

    /// Runs another test process, which removes leftovers when it starts.
    fn next_run(&self) {
        let mut next = Run::start(self, "passes");
        next.name();
        assert_eq!(next.end(), (true, String::new()));
    }
}

#[test]
fn a_blocking_test_has_databases_until_it_ends() {
    let databases = TestDatabases::new_blocking();
    let name = databases.table().to_owned();
    let mut client = databases.postgres_blocking();
    assert!(client.query_one("select count(*) from users", &[]).unwrap().get::<_, i64>(0) > 0);
    assert!(databases.postgres_url().ends_with(&format!("/{name}")));
    let mut looking = Looking::new();
    assert_eq!(looking.sees(&name), (true, true));
    // An open session must not prevent the removal.
    drop(databases);
    assert_eq!(looking.sees(&name), (false, false));
    assert!(client.is_valid(std::time::Duration::from_secs(5)).is_err());
}

#[test]
fn the_table_is_the_app_s() {
    let mut looking = Looking::new();
    let databases = TestDatabases::new_blocking();
    let described =
        looking.runtime.block_on(looking.dynamodb.describe_table().table_name(databases.table()).send());
    let table = described.unwrap().table.unwrap();
    let wanted = messages::create_table(databases.table()).build().unwrap();
    assert_eq!(table.key_schema(), wanted.key_schema());
    assert_eq!(table.table_status.unwrap().as_str(), "ACTIVE");
    assert_eq!(databases.settings()["DDB_MESSAGE_TABLE"], databases.table());
    looking.postgres.batch_execute("select 1").unwrap();
}

#[test]
fn sixteen_tests_at_once_have_databases() {
    let names: BTreeSet<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|number| {
                scope.spawn(move || {
                    let databases = TestDatabases::new_blocking();
                    let mut client = databases.postgres_blocking();
                    let sql = "update users set handle = $1 where handle = 'bayko'";
                    assert_eq!(client.execute(sql, &[&number.to_string()]).unwrap(), 1);
                    databases.table().to_owned()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(names.len(), 16);
    let mut looking = Looking::new();
    for name in &names {
        assert_eq!(looking.sees(name), (false, false), "{name}");
    }
}

/// [`another_run`] in a process of its own.
struct Run {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// Tells that process how to end.
const ENDING: &str = "CRUDDUR_TESTING_ENDING";

impl Run {
    fn start(on: &Looking, ending: &str) -> Self {
        let mut run = Command::new(std::env::current_exe().unwrap());
        run.args(["--exact", "another_run", "--nocapture"]).env(ENDING, ending).envs(on.other.settings());
        if ending == "is to keep them" {
            run.env("CRUDDUR_KEEP_TEST_DATABASES", "1");
        }
        let mut child =
            run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// The name of its databases.
    fn name(&mut self) -> String {
        let mut lines = (&mut self.stdout).lines().map(Result::unwrap);
        let line = lines.find_map(|line| line.split_once("made ").map(|(_, name)| name.to_owned()));
        line.expect("it prints the name of its databases")
    }

    /// Whether it passed, and what it printed on stderr.
    fn end(&mut self) -> (bool, String) {
        drop(self.child.stdin.take());
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().success(), stderr)
    }
}

/// Makes databases. If another test runs it as [`Run`], it prints their name and waits for the end of its stdin.
#[test]
fn another_run() {
    let databases = TestDatabases::new_blocking();
    if let Some(ending) = std::env::var_os(ENDING) {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "made {}", databases.table()).unwrap();
        stdout.flush().unwrap();
        assert_eq!(std::io::stdin().read_line(&mut String::new()).unwrap(), 0);
        assert_ne!(ending, "panics", "as it was told");
    }
    let users = databases.postgres_blocking().query_one("select count(*) from users", &[]).unwrap();
    assert!(users.get::<_, i64>(0) > 0);
}

#[test]
fn the_next_run_removes_only_what_a_killed_run_left() {
    let mut looking = Looking::new();
    let (mut killed, mut alive) = (Run::start(&looking, "is killed"), Run::start(&looking, "passes"));
    let names = [killed.name(), alive.name()];
    looking.next_run();
    assert_eq!(looking.sees(&names[0]), (true, true));
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    // The server may take a moment to see that the session has ended.
    let began = Instant::now();
    while looking.sees(&names[0]) != (false, false) {
        assert!(began.elapsed().as_secs() < 20, "{} is still there", names[0]);
        looking.next_run();
    }
    assert_eq!(looking.sees(&names[1]), (true, true));
    assert_eq!(alive.end(), (true, String::new()));
    assert_eq!(looking.sees(&names[1]), (false, false));
}

#[test]
fn the_databases_of_a_failed_test_are_kept_for_a_day_and_named() {
    let mut looking = Looking::new();
    let url = looking.other.postgres_url();
    let password = url.split_once(':').unwrap().1.split_once('@').unwrap().0.rsplit(':').next().unwrap();
    let mut failing = Run::start(&looking, "panics");
    let mut asked = Run::start(&looking, "is to keep them");
    for (run, passes) in [(&mut failing, false), (&mut asked, true)] {
        let name = run.name();
        let (passed, stderr) = run.end();
        assert_eq!(passed, passes, "{stderr}");
        assert!(!stderr.contains(password), "the password is printed");
        for text in [
            format!("/{name} "),
            format!("psql \"${{CONNECTION_URL%/*}}/{name}\""),
            format!("ddb scan --table {name}"),
        ] {
            assert!(stderr.contains(&text), "{text}: {stderr}");
        }
        looking.next_run();
        assert_eq!(looking.sees(&name), (true, true));
        // A day later.
        let until = sql::comment_on_database(&name, "kept until 2020-01-01T00:00:00Z");
        looking.postgres.batch_execute(&until).unwrap();
        looking.next_run();
        assert_eq!(looking.sees(&name), (false, false));
    }
}

#[test]
fn an_old_template_is_dropped_and_an_incomplete_one_is_made_again() {
    const OLD: &str = "cruddur_template_20200101_000000000000";
    let mut looking = Looking::new();
    looking.postgres.batch_execute(&sql::drop_database(OLD)).unwrap();
    looking.postgres.batch_execute(&sql::create_database(OLD)).unwrap();
    let names = "select datname::text from pg_database where datname like 'cruddur\\_template\\_%' and not datallowconn";
    // There is one for each state of the seed that was tested today.
    let whole = looking.postgres.query(names, &[]).unwrap();
    assert!(!whole.is_empty());
    for template in whole {
        // Looks like a template whose process was killed while it made it.
        let open = format!("alter database {} with allow_connections true", template.get::<_, &str>(0));
        looking.postgres.batch_execute(&open).unwrap();
    }
    looking.next_run();
    assert!(!looking.sees(OLD).0);
    assert_eq!(looking.postgres.query(names, &[]).unwrap().len(), 1, "the one of this seed");
}
