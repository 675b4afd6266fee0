//! One Postgres for the whole test program, from the machine's own binaries.
//!
//! A shell supervises it and reads from a pipe that only this process writes to. However this process ends, even by
//! SIGKILL, the pipe closes. Then the shell stops Postgres and removes its folder.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::common::{PASSWORD, PASSWORD_IN_URL, free_port, wait_for};

const USER: &str = "cruddur-tests";

/// The supervisor's script. It runs in the server's folder as the server's user. `$1` is the folder of the binaries,
/// `$2` the port, and more arguments are the server's. The files in `extra` go into the data folder; keys among them
/// must belong to the server's user. Durability is off, because the data is temporary. Of the two signals at the end,
/// SIGTERM stops a server that does not handle signals yet, and SIGQUIT one that has clients.
const SUPERVISE: &str = r#"
trap '' INT HUP
umask 077
binaries=$1 port=$2
shift 2
"$binaries/initdb" --pgdata=data --username=cruddur-tests --pwfile=password --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --no-sync >log 2>&1 && {
    if [ -d extra ]; then cp extra/* data; fi
    "$binaries/postgres" -D "$PWD/data" -p "$port" -k "$PWD" -c listen_addresses=127.0.0.1 \
        -c fsync=off -c full_page_writes=off -c synchronous_commit=off "$@" >>log 2>&1 &
}
read -r line
kill -TERM $!
kill -QUIT $!
wait
cd / && rm -rf "$OLDPWD"
"#;

/// Log lines of a server that cannot be created or started.
const SAID_BY_ONE_THAT_ENDS: [&str; 3] = ["FATAL:  could not", "initdb: error", "initdb: removing"];

pub(crate) struct Server {
    pub(crate) port: u16,
    /// Holds the supervisor's stdin, which is the pipe.
    _supervisor: Child,
}

/// The shared server. The first test that needs it starts it.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start(&[], &[]))
}

/// Starts a server with additional files in its data folder (name and text) and additional arguments.
pub(crate) fn start(files: &[(&str, &str)], arguments: &[&str]) -> Server {
    let binaries = binaries();
    let user = server_user();
    let folder = folder(user);
    for (name, text) in files {
        fs::create_dir_all(folder.join("extra")).unwrap();
        fs::write(folder.join("extra").join(name), text).unwrap();
    }
    fs::write(folder.join("password"), PASSWORD).unwrap();
    let port = free_port();
    let mut shell = Command::new("sh");
    shell.args(["-c", SUPERVISE, "supervise"]).arg(binaries).arg(port.to_string()).args(arguments);
    shell.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // In a process group of its own: Ctrl-C ends the tests, and the supervisor notices their end.
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).process_group(0);
    if let Some((user, group)) = user {
        shell.uid(user).gid(group);
    }
    let supervisor = shell.spawn().unwrap();
    let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    wait_for("answer of Postgres", Duration::from_secs(60), || match connect(port, "postgres") {
        Ok(_) => Some(()),
        Err(_) if SAID_BY_ONE_THAT_ENDS.iter().any(|words| log().contains(words)) => {
            panic!("Postgres does not start:\n{}", log())
        }
        Err(_) => None,
    });
    Server { port, _supervisor: supervisor }
}

pub(crate) fn connect(port: u16, database: &str) -> Result<Client, postgres::Error> {
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(port).user(USER).password(PASSWORD).dbname(database);
    config.application_name("another client").connect(NoTls)
}

/// The server's user and group, if they differ from the tests': Postgres refuses to run as root.
pub(crate) fn server_user() -> Option<(u32, u32)> {
    let probe = tempfile::tempfile().unwrap();
    if probe.metadata().unwrap().uid() != 0 {
        return None;
    }
    let id = |option: &str, name: &str| -> Option<u32> {
        let output = Command::new("id").args([option, name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let mut found =
        ["postgres", "nobody"].into_iter().filter_map(|name| Some((id("-u", name)?, id("-g", name)?)));
    Some(found.next().expect("as root the tests need a user `postgres` or `nobody` to run Postgres as"))
}

/// A new folder that belongs to the server's user and that this user can reach.
pub(crate) fn folder(user: Option<(u32, u32)>) -> PathBuf {
    let reachable = |folder: &Path| {
        let others_may_enter = |folder: &Path| fs::metadata(folder).is_ok_and(|m| m.mode() & 0o001 != 0);
        user.is_none() || folder.ancestors().all(others_may_enter)
    };
    let mut places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()].into_iter();
    let place = places.find(|place| reachable(place)).expect("a temporary folder that others may enter");
    let folder = tempfile::Builder::new().prefix("xtask-test-postgres-").tempdir_in(place).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    if let Some((user, group)) = user {
        std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
    }
    // From now on the supervisor removes it.
    folder.keep()
}

/// The folder of `initdb` and `postgres`.
pub(crate) fn binaries() -> PathBuf {
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        places.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    // Debian and its derivatives, then Homebrew on both kinds of Mac and on Linux.
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
    ] {
        let versions = fs::read_dir(parent).into_iter().flatten().flatten();
        let versions = versions.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        let mut versions: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
        versions.sort();
        places.extend(versions.into_iter().rev());
    }
    let found =
        places.iter().find(|place| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file()));
    let Some(found) = found else {
        let mut looked = String::new();
        places.iter().for_each(|place| write!(looked, "\n  {}", place.display()).unwrap());
        panic!(
            "these tests need PostgreSQL's server (initdb and postgres), and it is not installed.\n\
             Install it: Debian `apt install postgresql`, macOS `brew install postgresql`.\nLooked in:{looked}"
        );
    };
    found.clone()
}

/// The name of a database for one test on the shared server. The database does not exist yet.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self::on(server())
    }

    /// A database on another server.
    pub(crate) fn on(server: &Server) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { name, port: server.port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The value for CONNECTION_URL.
    pub(crate) fn url(&self) -> String {
        self.url_with(USER, PASSWORD_IN_URL)
    }

    /// The URL with another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        self.url().replace(&format!(":{}/", self.port), &format!(":{port}/"))
    }

    /// The URL with another user or password.
    pub(crate) fn url_with(&self, user: &str, password: &str) -> String {
        format!("postgresql://{user}:{password}@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// The URL with another host, and with parameters.
    pub(crate) fn url_by(&self, host: &str, parameters: &str) -> String {
        self.url().replace("127.0.0.1", host) + "?" + parameters
    }

    /// A session in this database, independent of the program.
    #[track_caller]
    pub(crate) fn session(&self) -> Client {
        connect(self.port, &self.name).unwrap()
    }

    /// A session in the server's maintenance database, independent of the program.
    #[track_caller]
    pub(crate) fn maintenance_session(&self) -> Client {
        connect(self.port, "postgres").unwrap()
    }

    #[track_caller]
    pub(crate) fn exists(&self) -> bool {
        let sql = "select 1 from pg_database where datname = $1";
        !self.maintenance_session().query(sql, &[&self.name]).unwrap().is_empty()
    }

    /// The first column of a query's rows, as text.
    #[track_caller]
    pub(crate) fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.session().query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Runs statements in a session of its own.
    #[track_caller]
    pub(crate) fn execute(&self, sql: &str) {
        self.session().batch_execute(sql).unwrap();
    }

    /// Replaces the port and the name in a text, for snapshots.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(&format!("127.0.0.1:{}/{}", self.port, self.name), "HOST/DATABASE")
            .replace(&format!("127.0.0.1:{}", self.port), "HOST")
            .replace(&format!("port {}", self.port), "port PORT")
            .replace(&self.name, "DATABASE")
    }
}
