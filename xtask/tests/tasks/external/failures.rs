//! Failures and their messages.

use std::net::TcpListener;
use std::time::Duration;

use insta::assert_snapshot;

use super::{DynamoDbOnly, TABLE, World};
use crate::common::{WRONG_PASSWORD, Workspace, free_port, wait_for};

/// The maximum time until a command reports a server that does not run.
const QUICK: Duration = Duration::from_secs(10);

#[test]
fn a_postgres_that_does_not_run_is_named_with_a_remedy() {
    let port = free_port();
    let workspace = Workspace::new()
        .with("CONNECTION_URL", format!("postgresql://me:{WRONG_PASSWORD}@127.0.0.1:{port}/cruddur"))
        .with("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{}", free_port()));
    let failed = workspace.xtask("db test").fails(3);
    assert_snapshot!(failed.error().replace(&port.to_string(), "PORT"), @"
    error: cannot connect to Postgres at me@127.0.0.1:PORT/cruddur
      because: error connecting to server
      because: Connection refused (os error 111)
      help: check that CONNECTION_URL names a Postgres that is running
    ");
    for command in ["create", "drop", "schema-load", "seed", "setup", "sessions", "kill-all"] {
        let failed = workspace.xtask("db").arg(command).fails(3);
        failed.within(QUICK).says(&[&format!("me@127.0.0.1:{port}"), "help: "]);
    }
}

#[test]
fn a_dynamodb_that_does_not_run_is_named_with_a_remedy() {
    let world = World::new();
    world.xtask("db setup").ok();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let fails = |line: &str| world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", &nowhere).fails(3);
    let failed = fails("ddb list-tables");
    // The error includes the last cause: the system's reason.
    failed.says(&[
        &format!("error: cannot reach DynamoDB at {nowhere}"),
        "Connection refused",
        "help: check that AWS_ENDPOINT_URL_DYNAMODB names a DynamoDB that is running",
    ]);
    for line in [
        "ddb schema-load",
        "ddb drop cruddur-messages",
        "ddb seed",
        "ddb scan",
        "ddb scan --segments 3",
        "ddb query --pk a",
        "ddb get a 1",
        r#"ddb put {"pk":"a","sk":"1"}"#,
        "ddb delete a 1",
        "ddb patterns get-conversation",
        "ddb patterns list-conversations",
    ] {
        fails(line).within(QUICK).says(&[&nowhere, "help: "]);
    }
}

#[test]
fn a_wrong_password_or_user_is_told_at_once() {
    let world = World::new();
    let fails = |line: &str, user: &str| {
        let url = world.database.url_with(user, WRONG_PASSWORD);
        let failed = world.xtask(line).env("CONNECTION_URL", url).fails(3);
        failed.within(QUICK).says(&["because: password authentication failed for user", user, "help: "]);
        failed
    };
    fails("db test", "cruddur-tests");
    fails("db create", "stranger");
    fails("ddb-setup", "cruddur-tests").says(&["refuses the user or password", "help: set the password"]);
    assert!(!world.database.exists());
    assert!(world.endpoint().tables().is_empty());
}

#[test]
fn a_url_that_is_none_is_told_without_its_password() {
    let world = World::new();
    let fails = |name: &str, value: &str| {
        let line = if name == "CONNECTION_URL" { "db test" } else { "ddb list-tables" };
        let failed = world.xtask(line).env(name, value).end();
        assert!(matches!(failed.code, Some(2 | 4)), "{failed}");
        world.redact(failed.error())
    };
    let url = |text: &str| text.replace("PASSWORD", WRONG_PASSWORD);
    assert_snapshot!(fails("CONNECTION_URL", &url("mysql://me:PASSWORD@host/database")), @"
    error: CONNECTION_URL is not a Postgres URL
      help: write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE
    ");
    assert_snapshot!(fails("CONNECTION_URL", &url("postgres://me:PASSWORD@host")), @"
    error: CONNECTION_URL names no database
      help: write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE
    ");
    assert_snapshot!(fails("AWS_ENDPOINT_URL_DYNAMODB", "127.0.0.1:8000"), @"
    error: AWS_ENDPOINT_URL_DYNAMODB is not a DynamoDB endpoint
      help: write it as http://HOST:PORT
    ");
    // In each URL the password is in a place where a parser does not expect it.
    for (url, problem) in [
        ("postgres:/me:PASSWORD@host/database?connect_timeout=5", "is not a Postgres URL"),
        ("postgres://me:x@host:PASSWORD/database", "is not a Postgres URL"),
        ("postgres://me:ha@PASSWORD@host/database", "has more than one `@`"),
        ("postgres://me:ha@PASSWORD%40host/database", "names a host with an invalid character"),
        ("postgres://me:x@host/database?PASSWORD=1", "has a parameter that cannot be used"),
        ("PASSWORD", "is not a Postgres URL"),
    ] {
        for line in ["db test", "status", "doctor", "ddb-setup", "env"] {
            let run = world.xtask(line).arg("--engine=external");
            let ran = run.env("CONNECTION_URL", url.replace("PASSWORD", WRONG_PASSWORD)).end();
            let told = format!("{}{}", ran.stdout, ran.stderr);
            assert!(told.contains(&format!("CONNECTION_URL {problem}")), "{ran}");
        }
    }
    for url in [
        "http//me:PASSWORD",
        "http://127.0.0.1:PASSWORD",
        "http://me:PASSWORD/x@127.0.0.1:1",
        "http://PASSWORD!/",
    ] {
        let url = url.replace("PASSWORD", WRONG_PASSWORD);
        let failed = world.xtask("ddb list-tables").env("AWS_ENDPOINT_URL_DYNAMODB", url).fails(2);
        failed.says(&["error: AWS_ENDPOINT_URL_DYNAMODB"]);
    }
    // The HTTP client would use port 80.
    assert_snapshot!(fails("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:80000"), @"
    error: AWS_ENDPOINT_URL_DYNAMODB has no port of 1 to 65535
      help: write it as http://HOST:PORT
    ");
    assert_snapshot!(fails("AWS_ENDPOINT_URL_DYNAMODB", &url("http://me:PASSWORD@127.0.0.1:8000")), @"error: AWS_ENDPOINT_URL_DYNAMODB: a DynamoDB endpoint takes no user or password");
}

#[test]
fn without_prod_nothing_reaches_aws() {
    let world = World::new();
    for endpoint in [
        "https://dynamodb.us-east-1.amazonaws.com",
        "http://dynamodb.eu-west-1.amazonaws.com:80/",
        "https://dynamodb.us-east-1.api.aws",
        "https://DYNAMODB.cn-north-1.amazonaws.com.cn.",
    ] {
        for line in ["ddb list-tables", "ddb drop cruddur-messages", "ddb-setup", "status"] {
            let failed = world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", endpoint).fails(4);
            failed.within(QUICK).says(&["is AWS itself", "--prod"]);
        }
    }
}

#[test]
fn the_external_engine_names_the_variable_that_is_missing() {
    let world = World::new();
    let failed = world.xtask("--engine external ddb-setup").without("CONNECTION_URL").fails(2);
    assert_snapshot!(failed.error(), @"
    error: engine external needs CONNECTION_URL, which is not set
      help: set CONNECTION_URL to where the server is, in the environment or in .env
    ");
    let failed = world.xtask("--engine external ddb scan").without("AWS_ENDPOINT_URL_DYNAMODB").fails(2);
    failed.says(&["AWS_ENDPOINT_URL_DYNAMODB, which is not set"]);
    // Each command needs only the variable that it uses.
    world.xtask("--engine external db setup").without("AWS_ENDPOINT_URL_DYNAMODB").ok();
    world.xtask("--engine external ddb list-tables").without("CONNECTION_URL").ok();
    let failed = world.xtask("status").env("CRUDDUR_ENGINE", "cloud").fails(2);
    let none = "CRUDDUR_ENGINE=`cloud` is none of auto, docker, embedded, external";
    failed.says(&[none, "help: correct CRUDDUR_ENGINE, or unset it"]);
    world.write(".env", "CRUDDUR_ENGINE=cloud\n");
    let failed = world.xtask("status").without("CRUDDUR_ENGINE").fails(2);
    failed.says(&[none, "help: correct CRUDDUR_ENGINE in .env"]);
}

#[test]
fn settings_come_from_dotenv_and_the_process_environment_wins() {
    let world = World::new();
    let dotenv = format!(
        "# settings\nexport CONNECTION_URL=\"{}\"\nAWS_ENDPOINT_URL_DYNAMODB={}\nDDB_MESSAGE_TABLE=from-dotenv\n",
        world.database.url(),
        world.endpoint().url()
    );
    let workspace = Workspace::new();
    workspace.write(".env", &dotenv);
    workspace.xtask("ddb schema-load").ok();
    workspace.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", "from-process").ok();
    workspace.xtask("db create").ok();
    assert_eq!(world.endpoint().tables(), ["from-dotenv", "from-process"]);
    assert!(world.database.exists());

    workspace.write(".env", &format!("A=1\nnonsense {WRONG_PASSWORD}\n"));
    workspace.xtask("status").fails(2).says(&[".env:2: expected NAME=value"]);
    // A line with a variable is an error, because variables are not replaced.
    workspace.write(".env", "A='$1'\nDDB_MESSAGE_TABLE=${TABLE:-other}\n");
    let failed = workspace.xtask("status").fails(2);
    failed.says(&[".env:2: a `$` stands outside single quotes", "help: put a value with"]);
}

#[test]
#[cfg(unix)]
fn a_dotenv_that_is_a_pipe_is_not_waited_for() {
    let workspace = Workspace::new();
    assert!(std::process::Command::new("mkfifo").arg(workspace.path(".env")).status().unwrap().success());
    workspace.xtask("status").fails(2).within(QUICK).says(&["/.env is not a file", "help: make it one"]);
}

#[test]
fn a_broken_compose_file_is_named_with_what_is_wrong() {
    let workspace = Workspace::new();
    let fails = || {
        let failed = workspace
            .xtask("--engine docker ddb-setup")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .fails(2);
        failed.within(QUICK);
        failed.error().replace(&workspace.path("").display().to_string(), "WORKSPACE/")
    };
    workspace.edit("docker-compose.yml", "    user: root", "    privileged: true\n    user: root");
    let error = fails();
    assert!(error.starts_with("error: WORKSPACE/docker-compose.yml cannot be used\n"), "{error}");
    assert!(
        error.contains(
            "services.dynamodb-local: unknown field `privileged`, expected one of `image`, `ports`,"
        ),
        "{error}"
    );
    workspace.write("docker-compose.yml", "services:\n  db: [\n");
    assert_snapshot!(fails(), @"
    error: WORKSPACE/docker-compose.yml cannot be used
      because: services.db: invalid type: sequence, expected a service as keys and values at line 2 column 7
      help: correct the file, or the setting that it names
    ");
    workspace.write("docker-compose.yml", "services:\n  db:\n    image: postgres\n");
    assert_snapshot!(fails(), @"
    error: WORKSPACE/docker-compose.yml cannot be used
      because: services: missing field `dynamodb-local` at line 2 column 3
      help: correct the file, or the setting that it names
    ");
    std::fs::remove_file(workspace.path("docker-compose.yml")).unwrap();
    assert_snapshot!(fails(), @"
    error: cannot read WORKSPACE/docker-compose.yml, which defines the two services
      because: No such file or directory (os error 2)
      help: `git restore docker-compose.yml` brings it back
    ");
}

#[test]
fn without_a_docker_daemon_the_places_tried_are_listed() {
    let workspace = Workspace::new();
    let fails = |line: &str| {
        let failed = workspace
            .xtask(&format!("--engine docker {line}"))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .fails(3);
        failed.within(QUICK);
        failed
    };
    assert_snapshot!(fails("ddb-setup").error(), @"
    error: no Docker daemon answered; tried:
        unix:///nonexistent/docker.sock (DOCKER_HOST): there is no such socket
      help: start Docker (Linux: `sudo systemctl start docker`; macOS and Windows: start Docker Desktop), or say where it is with DOCKER_HOST,
            or use databases that run elsewhere with `--engine external`
    ");
    for line in ["up", "down", "status", "logs"] {
        fails(line).says(&["unix:///nonexistent/docker.sock", "help: "]);
    }
}

/// A server that accepts connections and never answers.
fn silent_server() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Waits for a connection. Both ends stay open.
fn connection(listener: &TcpListener) -> std::net::TcpStream {
    listener.set_nonblocking(true).unwrap();
    wait_for("connection", Duration::from_secs(20), || Some(listener.accept().ok()?.0))
}

#[test]
fn a_signal_ends_a_run_that_waits_for_dynamodb() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let world = DynamoDbOnly::new();
        let silent = silent_server();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let running = world.xtask("ddb list-tables").env("AWS_ENDPOINT_URL_DYNAMODB", url).start();
        let _connection = connection(&silent);
        running.signal(signal);
        let ended = running.end_within(Duration::from_secs(5));
        assert_eq!(ended.code, Some(code), "{ended}");
        assert_eq!(ended.stdout, "");
        ended.says(&["interrupted"]);
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_postgres() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let silent = silent_server();
        let url = format!("postgresql://me:nothing@{}/cruddur", silent.local_addr().unwrap());
        let workspace = Workspace::new()
            .with("CONNECTION_URL", url)
            .with("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{}", free_port()));
        for line in ["db test", "ddb-setup"] {
            let running = workspace.xtask(line).start();
            let _connection = connection(&silent);
            running.signal(signal);
            let ended = running.end_within(Duration::from_secs(5));
            assert_eq!(ended.code, Some(code), "{ended}");
        }
    }
}

#[test]
fn a_run_that_was_killed_is_made_good_by_the_next() {
    let world = World::set_up();
    let complete = world.endpoint().items(TABLE).len();
    // A run takes a few hundred milliseconds, so these delays interrupt all of its steps.
    for delay in (0..400).step_by(50) {
        let running = world.xtask("ddb-setup").start();
        std::thread::sleep(Duration::from_millis(delay));
        drop(running);
        let left = world.endpoint().tables();
        world.xtask("ddb-setup").ok();
        let there = world.endpoint().items(TABLE).len();
        assert_eq!(there, complete, "killed after {delay} ms, leaving {left:?}");
        assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
    }
}

#[test]
fn a_run_that_was_killed_while_the_server_creates_the_database_is_made_good_by_the_next() {
    let world = World::set_up();
    let mut observer = world.database.maintenance_session();
    let running = world.xtask("ddb-setup").start();
    wait_for("create database", Duration::from_secs(20), || {
        let sql = "select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()
                   and query ilike '%create database%' || $1 || '%'";
        (!observer.query(sql, &[&world.database.name]).unwrap().is_empty()).then_some(())
    });
    // The server continues to create the database, because it checks its client only afterwards.
    drop(running);
    world.xtask("ddb-setup").ok();
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
}

/// Another user of the machine could listen at our server's port.
#[test]
fn a_server_that_asks_for_the_password_in_clear_text_gets_none() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let mut heard = Vec::new();
        // A client that wants encryption and does not get it may connect again.
        for _ in 0..4 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
            stream.read_exact(&mut startup).unwrap();
            if startup.len() == 4 {
                stream.write_all(b"N").unwrap();
                continue;
            }
            for byte in b"R\0\0\0\x08\0\0\0\x03" {
                stream.write_all(&[*byte]).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            stream.read_to_end(&mut heard).unwrap();
        }
        heard
    });
    let world = World::new();
    for (line, mode) in [("db test", "disable"), ("db drop", "disable"), ("db test", "prefer")] {
        let url = format!("{}?sslmode={mode}", world.database.url_at(port));
        let failed = world.xtask(line).env("CONNECTION_URL", url).fails(3);
        failed.within(QUICK).says(&["the server asks for the password in clear text"]);
    }
    assert_eq!(heard.join().unwrap(), b"", "no byte follows");
}

#[test]
fn a_suggested_command_is_for_the_same_databases() {
    let world = World::new();
    let failed =
        world.xtask("--engine external ddb scan --allow-host db.example").without("CRUDDUR_ENGINE").fails(1);
    failed.says(&["`cargo xtask prepare --engine external --allow-host db.example`"]);
    let failed = world.xtask("ddb scan").fails(1);
    failed.says(&["`cargo xtask prepare`"]);
}

/// `down --volumes` would remove this checkout's own data.
#[test]
fn the_data_of_a_server_of_others_are_not_to_be_removed_here() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            _ = stream.read(&mut [0; 1024]);
            let fields = b"SFATAL\0VFATAL\0C58P01\0Mcould not open file\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            _ = stream.write_all(&[b"E", &length[..], fields].concat());
        }
    });
    let world = World::new();
    let url = format!("{}?sslmode=disable", world.database.url_at(port));
    let failed = world.xtask("up").env("CONNECTION_URL", url).fails(3);
    failed.says(&["cannot use its data", "help: see the server's log, or tell its operator"]);
    assert!(!failed.stderr.contains("--volumes"), "{failed}");
}

/// An error suggests a command that destroys nothing, or says what it would destroy.
#[test]
fn a_suggestion_destroys_nothing_unsaid() {
    let workspace = Workspace::new();
    for command in ["ddb scan", "db test", "env"] {
        let failed = workspace.xtask(command).arg("--engine=embedded").fails(3);
        let help = "help: `cargo xtask prepare --engine embedded` starts both databases, at other ports if theirs are \
                    taken, and sets them up if that is needed\n";
        assert!(failed.stderr.ends_with(help), "{failed}");
    }
    let help = workspace.xtask("ddb-setup --help").ok().stdout;
    assert!(help.lines().next().unwrap().contains("delete what they hold"), "{help}");

    let world = World::new();
    world.xtask("ddb schema-load").ok();
    let failed = world.xtask("ddb schema-load").fails(1);
    failed.says(&["help: use it as it is; `cargo xtask ddb drop", "with all its items"]);
}
