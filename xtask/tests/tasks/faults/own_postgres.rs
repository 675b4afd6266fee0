//! A Postgres for one test, which may kill it, stop it from writing, or give it a disk that is too small.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cruddur_testing::fixtures::postgres::{binaries, connect, folder, server_user};

use crate::common::{PASSWORD, PASSWORD_IN_URL, free_port, wait_for};

/// The supervisor's script. It runs in the server's folder as the server's user. `$1` is the folder of the binaries,
/// `$2` the port, `$3` commands to run before the server starts. It restarts a server that dies.
const SUPERVISE: &str = r#"
trap '' INT HUP
"$1/initdb" --pgdata=data/cluster --waldir="$PWD/wal" --username=cruddur-tests --pwfile=password \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >log 2>&1 || exit
eval "$3"
while :; do
    "$1/postgres" -D "$PWD/data/cluster" -p "$2" -k "$PWD" -c listen_addresses=127.0.0.1 -c fsync=off >>log 2>&1
    sleep 0.05
done &
loop=$!
read -r line
kill -KILL $loop
kill -QUIT "$(head -n 1 data/cluster/postmaster.pid)"
wait
cd / && rm -rf "$OLDPWD"
"#;

/// Runs [`SUPERVISE`] on a private in-memory disk of `$1` MB. `$2` and `$3` are the server's user and group; the
/// other arguments follow.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o "size=$1m,uid=$2,gid=$3,mode=700" none data || exit
user=$2 group=$3 && shift 3
exec setpriv --reuid="$user" --regid="$group" --clear-groups sh -c "$SUPERVISE" supervise "$@"
"#;

pub(crate) struct OwnPostgres {
    pub(crate) port: u16,
    folder: PathBuf,
    /// Holds the supervisor's stdin. When it closes, the supervisor stops the server and removes its folder.
    _supervisor: Child,
}

impl OwnPostgres {
    /// Starts a server. The shell commands in `prepare` run before that; they may change its cluster in
    /// `data/cluster`.
    pub(crate) fn start(prepare: &str) -> Self {
        let user = server_user();
        let mut shell = Command::new("sh");
        shell.args(["-c", SUPERVISE, "supervise"]);
        if let Some((user, group)) = user {
            use std::os::unix::process::CommandExt as _;
            shell.uid(user).gid(group);
        }
        Self::supervised(shell, user, prepare)
    }

    /// Starts a server on a disk of this many megabytes. `None` if the tests do not run as root.
    pub(crate) fn on_a_small_disk(megabytes: u32) -> Option<Self> {
        let user = server_user()?;
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", ON_A_SMALL_DISK, "mount"]).arg(megabytes.to_string());
        shell.args([user.0.to_string(), user.1.to_string()]).env("SUPERVISE", SUPERVISE);
        Some(Self::supervised(shell, Some(user), ":"))
    }

    fn supervised(mut shell: Command, user: Option<(u32, u32)>, prepare: &str) -> Self {
        let folder = folder(user);
        fs::write(folder.join("password"), PASSWORD).unwrap();
        fs::create_dir(folder.join("data")).unwrap();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(folder.join("data"), Some(user), Some(group)).unwrap();
        }
        let port = free_port();
        shell.arg(binaries()).arg(port.to_string()).arg(prepare).current_dir(&folder);
        shell.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let supervisor = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let own = Self { port, folder, _supervisor: supervisor.unwrap() };
        own.answers();
        own
    }

    pub(crate) fn answers(&self) {
        let answer = || connect(self.port, "postgres").ok();
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let started = std::time::Instant::now();
        wait_for("answer of Postgres", Duration::from_secs(60), || {
            assert!(started.elapsed() < Duration::from_secs(50), "Postgres does not answer:\n{}", log());
            answer()
        });
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(self.port)
    }

    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgresql://cruddur-tests:{PASSWORD_IN_URL}@127.0.0.1:{port}/cruddur")
    }

    /// Kills the server and its sessions' processes, as a power failure would.
    pub(crate) fn kill(&self) {
        let lock = fs::read_to_string(self.folder.join("data/cluster/postmaster.pid")).unwrap();
        let id = lock.lines().next().unwrap();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        // A session's process may end by itself at the same time.
        let status = Command::new("kill").args(["-s", "KILL", id]).args(children.split_whitespace()).output();
        assert!(status.is_ok());
    }

    /// Runs a statement in the maintenance database, in a session of its own.
    #[track_caller]
    pub(crate) fn execute(&self, sql: &str) {
        connect(self.port, "postgres").unwrap().batch_execute(sql).unwrap();
    }
}
