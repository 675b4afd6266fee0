//! Postgres over TLS: a server with `ssl = on` and a certificate of a private authority.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use cruddur_testing::fixtures::certificates::{Authority, Identity};
use cruddur_testing::fixtures::postgres::{Database, Server, start};
use insta::assert_snapshot;

use crate::common::run::Run;
use crate::common::{PASSWORD, PASSWORD_IN_URL, WRONG_PASSWORD, Workspace, wait_for};

/// The only name in the server's certificate, which does not contain the address.
const HOST: &str = "db.internal";

/// The users and how they may connect: `certified` with a certificate, `secure` only encrypted, `open` only
/// unencrypted.
const PG_HBA: &str = "
hostssl   all certified 127.0.0.1/32 cert
hostnossl all secure    127.0.0.1/32 reject
hostssl   all open      127.0.0.1/32 reject
host      all all       127.0.0.1/32 scram-sha-256
";

/// The authority that signed the certificates of the server and the clients, and another one.
struct Authorities {
    good: Authority,
    other: Authority,
}

fn authorities() -> &'static Authorities {
    static AUTHORITIES: OnceLock<Authorities> = OnceLock::new();
    AUTHORITIES.get_or_init(|| Authorities { good: Authority::new("good"), other: Authority::new("other") })
}

fn start_with(identity: &Identity) -> Server {
    let files = [
        ("server.crt", identity.certificate.as_str()),
        ("server.key", &identity.key),
        ("root.crt", &authorities().good.certificate),
        ("pg_hba.conf", PG_HBA),
    ];
    let server = start(&files, &["-c", "ssl=on", "-c", "ssl_ca_file=root.crt"]);
    let roles = ["certified", "secure", "open"]
        .map(|name| format!("create role {name} superuser login password '{PASSWORD}';"));
    Database::on(&server).maintenance_session().batch_execute(&roles.concat()).unwrap();
    server
}

/// The shared server. The first test that needs it starts it.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start_with(&authorities().good.server(&[HOST, "other.internal"])))
}

/// A workspace with the files that URLs name, and a seeded database on that server.
struct Secure {
    workspace: Workspace,
    database: Database,
}

impl Secure {
    fn new() -> Self {
        Self::on(server())
    }

    fn on(server: &Server) -> Self {
        let database = Database::on(server);
        let workspace = Workspace::new()
            .with("CRUDDUR_ENGINE", "external")
            .with("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
            .with("CONNECTION_URL", database.url());
        let Authorities { good, other } = authorities();
        workspace.write("good.crt", &good.certificate);
        workspace.write("other.crt", &other.certificate);
        workspace.xtask("db setup").ok();
        Self { workspace, database }
    }

    /// A run with a URL that contains the server's name. In `parameters`, FILE/ stands for the workspace.
    fn run(&self, line: &str, parameters: &str) -> Run {
        self.run_at(HOST, line, parameters)
    }

    /// Like [`Secure::run`], with another host name. All names lead to the loopback address.
    fn run_at(&self, host: &str, line: &str, parameters: &str) -> Run {
        let folder = self.workspace.path("").display().to_string();
        let parameters = format!("hostaddr=127.0.0.1&{}", parameters.replace("FILE/", &folder));
        self.workspace.xtask(line).env("CONNECTION_URL", self.database.url_by(host, &parameters))
    }

    /// Whether `db test` uses encryption with `user` and `parameters`. The run is held up until this has been
    /// checked.
    #[track_caller]
    fn encrypts(&self, user: &str, parameters: &str) -> bool {
        self.is_encrypted(&self.database.name, |run| {
            let url = self.database.url_with(user, PASSWORD_IN_URL);
            run.env("CONNECTION_URL", format!("{url}?{parameters}"))
        })
    }

    fn is_encrypted(&self, database: &str, with: impl FnOnce(Run) -> Run) -> bool {
        let mut holder = self.database.session();
        let mut lock = holder.transaction().unwrap();
        lock.batch_execute("lock table users in access exclusive mode").unwrap();
        let running = with(self.workspace.xtask("db test")).start();
        let sql = "select ssl from pg_stat_ssl join pg_stat_activity using (pid)
                   where application_name = 'cargo xtask' and datname = $1 and wait_event_type = 'Lock'";
        let mut watcher = self.database.maintenance_session();
        let encrypted = wait_for("session of the program", Duration::from_secs(30), || {
            watcher.query_opt(sql, &[&database]).unwrap().map(|row| row.get(0))
        });
        lock.commit().unwrap();
        let ran = running.end_within(Duration::from_secs(30));
        assert_eq!(ran.code, Some(0), "{ran}");
        encrypted
    }

    fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.workspace.path("").display().to_string(), "FILE/");
        self.database.redact(&text).replace(&format!(":{}", self.database.port), ":PORT")
    }

    /// Writes a certificate and its key. Only the owner can read the key.
    fn write_identity(&self, name: &str, identity: &Identity) -> [PathBuf; 2] {
        let certificate = self.workspace.write(&format!("{name}.crt"), &identity.certificate);
        let key = self.workspace.write(&format!("{name}.key"), &identity.key);
        self.chmod(&format!("{name}.key"), 0o600);
        [certificate, key]
    }

    fn chmod(&self, inner: &str, mode: u32) {
        std::fs::set_permissions(self.workspace.path(inner), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn verify_full_works_with_the_right_authority_and_name() {
    let secure = Secure::new();
    let tested = secure.run("db test -o jsonl", "sslmode=verify-full&sslrootcert=FILE/good.crt").ok();
    assert_eq!(tested.json_lines()[0]["users"], 5);
    // The client binds the password's proof to a hash of the server's certificate, and the server verifies that.
    for mode in ["verify-full&sslrootcert=FILE/good.crt", "require"] {
        secure.run("db test", &format!("sslmode={mode}&channel_binding=require")).ok();
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let secure = Secure::new();
    let failed = secure.run("db test", "sslmode=verify-full&sslrootcert=FILE/other.crt").fails(3);
    assert_snapshot!(secure.redact(failed.error()), @"
    error: cannot connect to Postgres at cruddur-tests@db.internal:PORT/DATABASE
      because: error performing TLS handshake
      because: the server's certificate is not signed by any of the roots
      help: it is not the server you mean, or its authority's certificate is missing in FILE/other.crt: name the file with sslrootcert
    ");
    // As in libpq, `require` verifies the authority too if there is a file of roots.
    for mode in ["verify-ca", "require"] {
        let failed = secure.run("db test", &format!("sslmode={mode}&sslrootcert=FILE/other.crt")).fails(3);
        failed.says(&["because: the server's certificate is not signed by any of the roots"]);
    }
    secure.run("db setup", "sslmode=verify-full&sslrootcert=FILE/other.crt").fails(3);
    assert_eq!(secure.database.column("select count(*)::text from users"), ["5"]);
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let secure = Secure::new();
    let parameters = "sslmode=verify-full&sslrootcert=FILE/good.crt";
    let failed = secure.run_at("elsewhere.internal", "db test", parameters).fails(3);
    assert_snapshot!(secure.redact(failed.error()), @"
    error: cannot connect to Postgres at cruddur-tests@elsewhere.internal:PORT/DATABASE
      because: error performing TLS handshake
      because: the server's certificate is not for elsewhere.internal, but for db.internal, other.internal
      help: connect by a name that the certificate is for; sslmode=verify-ca does not look at the name
    ");
    let failed = secure.run_at("127.0.0.1", "db test", parameters).fails(3);
    failed.says(&["is not for 127.0.0.1, but for db.internal, other.internal"]);
    secure.run_at("other.internal", "db test", parameters).ok();
}

#[test]
fn verify_ca_does_not_look_at_the_host() {
    let secure = Secure::new();
    for host in ["elsewhere.internal", "127.0.0.1", "localhost"] {
        secure.run_at(host, "db test", "sslmode=verify-ca&sslrootcert=FILE/good.crt").ok();
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let expired = start_with(&authorities().good.expired_server(&[HOST]));
    let secure = Secure::on(&expired);
    let failed = secure.run("db test", "sslmode=verify-full&sslrootcert=FILE/good.crt").fails(3);
    assert_snapshot!(secure.redact(failed.error()), @"
    error: cannot connect to Postgres at cruddur-tests@db.internal:PORT/DATABASE
      because: error performing TLS handshake
      because: the server's certificate has expired, at 2022-01-01 00:00:00 UTC
      help: have the certificate renewed, and check this machine's clock
    ");
    secure.run("db test", "sslmode=require").ok();
}

#[test]
fn each_mode_encrypts_as_libpq_s_does() {
    let secure = Secure::new();
    for (user, parameters, encrypted) in [
        ("cruddur-tests", "", false),
        ("cruddur-tests", "sslmode=disable", false),
        ("cruddur-tests", "sslmode=prefer", true),
        ("open", "sslmode=prefer", false),
        ("cruddur-tests", "sslmode=require", true),
        ("cruddur-tests", "ssl=true", true),
    ] {
        assert_eq!(secure.encrypts(user, parameters), encrypted, "{user} {parameters}");
    }
    let fails = |user: &str, mode: &str| {
        let url = secure.database.url_with(user, PASSWORD_IN_URL) + "?sslmode=" + mode;
        secure.workspace.xtask("db test").env("CONNECTION_URL", url).fails(3)
    };
    fails("secure", "disable").says(&["pg_hba.conf rejects connection"]);
    fails("open", "require").says(&["pg_hba.conf rejects connection"]);
}

#[test]
fn production_prefers_to_be_encrypted_and_local_databases_are_not_asked() {
    let secure = Secure::new();
    let url = secure.database.url();
    let production = |run: Run| run.arg("--prod").env("PROD_CONNECTION_URL", &url);
    assert!(secure.is_encrypted(&secure.database.name, production));
    assert!(!secure.is_encrypted(&secure.database.name, |run| run));
}

#[test]
fn production_s_url_verifies_in_full() {
    let secure = Secure::new();
    let url = |file: &str| {
        let file = secure.workspace.path(file).display().to_string();
        secure.database.url_by(HOST, &format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={file}"))
    };
    let run = |file| secure.workspace.xtask("db test prod").env("PROD_CONNECTION_URL", url(file));
    run("good.crt").ok();
    run("other.crt").fails(3).says(&["is not signed by any of the roots"]);
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_required() {
    let world = super::World::set_up();
    let url = |mode: &str| world.database.url() + "?sslmode=" + mode;
    let failed = world.xtask("db test").env("CONNECTION_URL", url("require")).fails(3);
    assert_snapshot!(world.redact(failed.error()), @"
    error: cannot connect to Postgres at cruddur-tests@HOST/DATABASE
      because: error performing TLS handshake
      because: server does not support TLS
      help: sslmode=require wants it encrypted: turn `ssl` on in the server, or give up encryption with sslmode=disable
    ");
    for mode in ["prefer", "disable"] {
        world.xtask("db test").env("CONNECTION_URL", url(mode)).ok();
    }
}

#[test]
fn a_client_s_certificate_takes_a_password_s_place() {
    let secure = Secure::new();
    secure.write_identity("me", &authorities().good.client("certified"));
    secure.write_identity("you", &authorities().good.client("somebody"));
    let url = format!("postgresql://certified@127.0.0.1:{}/{}", secure.database.port, secure.database.name);
    let run = |parameters: &str| {
        let parameters = parameters.replace("FILE/", &secure.workspace.path("").display().to_string());
        secure.workspace.xtask("db test").env("CONNECTION_URL", format!("{url}?sslmode=require{parameters}"))
    };
    run("&sslcert=FILE/me.crt&sslkey=FILE/me.key").ok();
    let failed = run("&sslcert=FILE/you.crt&sslkey=FILE/you.key").fails(3);
    failed.says(&["because: certificate authentication failed for user \"certified\""]);
    run("").fails(3).says(&["because: connection requires a valid client certificate"]);

    let failed = run("&sslcert=FILE/me.crt&sslkey=FILE/you.key").fails(2);
    failed.says(&["the client's certificate cannot be used", "help: name a certificate with sslcert"]);
    let failed = run("&sslcert=FILE/me.crt&sslkey=FILE/none.key").fails(2);
    failed.says(&["no private key can be read from", "none.key", "No such file"]);
    secure.chmod("me.key", 0o644);
    let failed = run("&sslcert=FILE/me.crt&sslkey=FILE/me.key").fails(2);
    assert_snapshot!(secure.redact(failed.error()), @"
    error: the private key FILE/me.key is open to others (mode 0644)
      help: `chmod 600 FILE/me.key`
    ");
    secure.workspace.write("me.key", "nothing");
    secure.chmod("me.key", 0o600);
    let failed = run("&sslcert=FILE/me.crt&sslkey=FILE/me.key").fails(2);
    failed.says(&["no private key can be read from", "help: name a readable key in PEM"]);
}

#[test]
fn files_that_lie_where_libpq_looks_are_used() {
    let secure = Secure::new();
    let folder = secure.workspace.path("home/.postgresql");
    std::fs::create_dir(&folder).unwrap();
    let failed = secure.run("db test", "sslmode=verify-full").fails(2);
    failed.says(&["none are named", "help: name the authority's certificate with sslrootcert=FILE"]);
    secure.workspace.write("home/.postgresql/root.crt", &authorities().good.certificate);
    secure.run("db test", "sslmode=verify-full").ok();
    secure.workspace.write("home/.postgresql/root.crt", &authorities().other.certificate);
    secure.run("db test", "sslmode=require").fails(3).says(&["home/.postgresql/root.crt"]);

    let Identity { certificate, key } = authorities().good.client("certified");
    secure.workspace.write("home/.postgresql/root.crt", &authorities().good.certificate);
    secure.workspace.write("home/.postgresql/postgresql.crt", &certificate);
    secure.workspace.write("home/.postgresql/postgresql.key", &key);
    secure.chmod("home/.postgresql/postgresql.key", 0o600);
    assert!(secure.encrypts("certified", "sslmode=require"));
}

#[test]
fn the_roots_of_this_machine_are_used_on_request() {
    let secure = Secure::new();
    let run = |roots: &str, parameters: &str| {
        secure.run("db test", parameters).env("SSL_CERT_FILE", secure.workspace.path(roots))
    };
    run("good.crt", "sslrootcert=system").ok();
    run("good.crt", "sslmode=verify-full&sslrootcert=system").ok();
    run("other.crt", "sslrootcert=system")
        .fails(3)
        .says(&["not signed by any", "missing in the roots of this machine"]);
    let failed = run("good.crt", "sslmode=require&sslrootcert=system").fails(2);
    failed.says(&["sslmode=require is too weak", "help: write sslmode=verify-full"]);
}

#[test]
fn settings_that_cannot_be_used_are_told_before_anything_is_asked() {
    let secure = Secure::new();
    for (parameters, says) in [
        ("sslmode=strict", "its sslmode is unknown"),
        ("sslmode=verify-ca&sslrootcert=FILE/none.crt", "no certificate can be read from"),
        ("sslmode=require&sslrootcert=FILE/docker-compose.yml", "no certificate can be read from"),
    ] {
        for line in ["db test", "ddb-setup"] {
            let failed = secure.run(line, parameters).fails(2);
            failed.within(Duration::from_secs(10)).says(&[says, "help: "]);
        }
    }
}

#[test]
fn the_password_is_the_url_s_the_environment_s_or_the_file_s() {
    let secure = Secure::new();
    let Database { name, .. } = &secure.database;
    let port = secure.database.port;
    let url = format!("postgresql://cruddur-tests@127.0.0.1:{port}/{name}");
    let run = || secure.workspace.xtask("db test").env("CONNECTION_URL", &url);
    let prod = || secure.workspace.xtask("db test prod").env("PROD_CONNECTION_URL", &url);
    let failed = run().fails(3);
    assert_snapshot!(secure.redact(failed.error()), @"
    error: cannot connect to Postgres at cruddur-tests@HOST/DATABASE
      because: invalid configuration
      because: password missing
      help: write the password into the URL, PGPASSWORD or ~/.pgpass
    ");
    run().env("PGPASSWORD", PASSWORD).ok();
    prod().env("PGPASSWORD", PASSWORD).ok();

    let escaped = PASSWORD.replace(':', "\\:");
    let text =
        format!("# mine\nother:*:*:*:{WRONG_PASSWORD}\n127.0.0.1:{port}:{name}:cruddur-tests:{escaped}\n");
    secure.workspace.write("home/.pgpass", &text);
    secure.chmod("home/.pgpass", 0o644);
    for run in [run(), prod()] {
        let failed = run.fails(3);
        failed.says(&["is not used: others may read it (mode 0644); `chmod 600` it", "password missing"]);
    }
    secure.chmod("home/.pgpass", 0o600);
    run().ok();
    prod().ok();
    // The maintenance database has the same password.
    secure.workspace.xtask("db sessions").env("CONNECTION_URL", &url).ok();
    secure.workspace.xtask("db kill-all").env("CONNECTION_URL", &url).ok();

    std::fs::rename(secure.workspace.path("home/.pgpass"), secure.workspace.path("passwords")).unwrap();
    let path = secure.workspace.path("passwords").display().to_string();
    run().fails(3);
    run().env("PGPASSFILE", &path).ok();
    prod().env("PGPASSFILE", &path).ok();
    secure.workspace.xtask("db test").env("CONNECTION_URL", format!("{url}?passfile={path}")).ok();
    // `.env` does not affect production.
    secure.workspace.write(".env", &format!("PGPASSFILE={path}\nPGPASSWORD={PASSWORD}\n"));
    run().ok();
    prod().fails(3);
}

#[test]
fn psql_gets_the_same_settings() {
    if std::process::Command::new("psql").arg("--version").output().is_err() {
        return crate::common::skip("psql is not on PATH");
    }
    let secure = Secure::new();
    secure.write_identity("me", &authorities().good.client("certified"));
    let sql = "\\pset format unaligned\n\\pset tuples_only\nselect ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid();\n";
    let connect = |parameters: &str| {
        let run = secure.run("db connect", parameters).stdin(sql);
        // libpq variables in the shell must not override the URL.
        run.env("PGSSLMODE", "disable").env("PGSSLROOTCERT", "/nonexistent").env("PGPASSWORD", WRONG_PASSWORD)
    };
    let connected = connect("sslmode=verify-full&sslrootcert=FILE/good.crt").ok();
    assert!(connected.stdout.contains("\nt|\n"), "{connected}");
    let connected = connect("sslmode=require&sslcert=FILE/me.crt&sslkey=FILE/me.key").ok();
    assert!(connected.stdout.contains("\nt|/CN=certified\n"), "{connected}");
    let connected = connect("sslmode=disable").ok();
    assert!(connected.stdout.contains("\nf|\n"), "{connected}");
    let refused = connect("sslmode=verify-full&sslrootcert=FILE/other.crt").fails(3);
    refused.says(&["the server's certificate is not signed by any of the roots", "help: "]);
}

#[test]
fn psql_s_command_line_has_no_secret() {
    let secure = Secure::new();
    std::fs::create_dir(secure.workspace.path("bin")).unwrap();
    let script = "#!/bin/sh\necho \"$# arguments, sslmode $PGSSLMODE, address $PGHOSTADDR, password ${PGPASSWORD:+set}, not by $PGREQUIREAUTH\"\n";
    secure.workspace.write("bin/psql", script);
    secure.chmod("bin/psql", 0o755);
    let path = format!("{}:/usr/bin:/bin", secure.workspace.path("bin").display());
    let told = secure.run("db connect", "sslmode=require").env("PATH", &path).ok();
    assert_eq!(told.stdout, "0 arguments, sslmode require, address 127.0.0.1, password set, not by \n");
    // libpq 16 and later then send no password in clear text.
    let told = secure.run("db connect", "sslmode=disable").env("PATH", &path).ok();
    assert!(told.stdout.ends_with("password set, not by !password\n"), "{told}");
    let told = secure.run("db connect", "sslmode=prefer").env("PATH", &path).ok();
    assert!(told.stdout.contains("sslmode prefer") && told.stdout.ends_with("not by \n"), "{told}");
    let plain = super::World::new();
    plain.xtask("db create").ok();
    let url = format!("{}?sslmode=prefer", plain.database.url());
    let told = plain.xtask("db connect").env("CONNECTION_URL", url).env("PATH", &path).ok();
    assert!(told.stdout.contains("sslmode disable") && told.stdout.ends_with("not by !password\n"), "{told}");
}
