//! The ways to find production's AWS credentials and region, and the errors if there are none.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use cruddur_testing::fixtures::dynamodb::DynamoDb;
use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use insta::assert_snapshot;

use crate::common::dynamodb::{Answer, Head};
use crate::common::run::Run;
use crate::common::{SECRET_KEY, Workspace};

/// A request has been sent when the command ends. Without this bound a test would wait forever for a missing one.
const SOON: Duration = Duration::from_secs(5);

/// A workspace whose production is the test's own DynamoDB, without credentials or region.
struct Production {
    workspace: Workspace,
    dynamodb: DynamoDb,
}

impl Production {
    fn new() -> Self {
        let dynamodb = DynamoDb::start();
        let workspace = Workspace::new()
            .with("PROD_DYNAMODB_ENDPOINT_URL", dynamodb.endpoint.url())
            .with("AWS_EC2_METADATA_DISABLED", "true");
        std::fs::create_dir(workspace.path("home/.aws")).unwrap();
        Self { workspace, dynamodb }
    }

    /// Adds profiles. In `config`, HOME/ stands for the home directory.
    fn with_config(config: &str) -> Self {
        let production = Self::new();
        let home = production.workspace.path("home/").display().to_string();
        production.workspace.write("home/.aws/config", &config.replace("HOME/", &home));
        production
    }

    /// Two commands that need credentials.
    fn runs(&self) -> [Run; 2] {
        ["ddb list-tables --prod", "ddb scan --prod"].map(|line| self.workspace.xtask(line))
    }

    /// Both commands get an answer; the second one's is that the table does not exist.
    #[track_caller]
    fn is_reached(&self, with: impl Fn(Run) -> Run) {
        let [list, scan] = self.runs();
        with(list).ok();
        with(scan).fails(1).says(&["has no such table"]);
    }

    /// Both commands fail with this status and the same error, which is returned.
    #[track_caller]
    fn fails(&self, code: i32, with: impl Fn(Run) -> Run) -> String {
        let [list, scan] = self.runs().map(|run| self.redact(with(run).fails(code).error()));
        assert_eq!(list, scan.replace("cannot scan table cruddur-messages\n  because: ", ""));
        list
    }

    fn redact(&self, text: &str) -> String {
        text.replace(&self.dynamodb.endpoint.url(), "ENDPOINT")
            .replace(&self.workspace.path("").display().to_string(), "WORKSPACE/")
    }
}

/// The output of a program for `credential_process`.
fn process_output() -> String {
    format!(
        r#"{{"Version":1,"AccessKeyId":"AKIDPROCESS","SecretAccessKey":"{SECRET_KEY}","SessionToken":"t"}}"#
    )
}

#[test]
fn keys_and_region_may_be_in_the_environment() {
    let production = Production::new();
    production.is_reached(|run| {
        run.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).env("AWS_REGION", "r")
    });
}

#[test]
fn a_profile_has_keys_and_region() {
    let production = Production::with_config("[profile live]\nregion = eu-central-1\n");
    let keys = format!("[live]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET_KEY}\n");
    production.workspace.write("home/.aws/credentials", &keys);
    production.is_reached(|run| run.env("AWS_PROFILE", "live"));
    let told = production.workspace.xtask("ddb schema-load --prod --dry-run").env("AWS_PROFILE", "live").ok();
    told.says(&["region    eu-central-1"]);
}

#[test]
fn the_aws_cli_s_own_variables_count_and_empty_ones_do_not() {
    let production = Production::with_config("[profile live]\nregion = eu-central-1\n");
    let keys = format!("[live]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET_KEY}\n");
    production.workspace.write("home/.aws/credentials", &keys);
    let told = |variables: &[(&'static str, &str)]| {
        let run = production.workspace.xtask("ddb schema-load --prod --dry-run");
        variables.iter().fold(run, |run, (name, value)| run.env(name, value)).ok()
    };
    told(&[("AWS_DEFAULT_PROFILE", "live")]).says(&["region    eu-central-1"]);
    told(&[("AWS_PROFILE", "live"), ("AWS_DEFAULT_REGION", "us-east-2")]).says(&["region    us-east-2"]);
    told(&[("AWS_PROFILE", "live"), ("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-east-2")])
        .says(&["region    us-east-2"]);
}

#[test]
fn production_is_reached_through_a_proxy_and_local_servers_are_not() {
    let mut production = Production::new();
    let (proxy, asked) = answering(|_| None);
    production.workspace.set("AWS_ACCESS_KEY_ID", "AKID");
    production.workspace.set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    production.workspace.set("AWS_REGION", "us-east-1");
    let list = |variables: &[(&'static str, &str)]| {
        let run = production.workspace.xtask("ddb list-tables --prod");
        variables.iter().fold(run, |run, (name, value)| run.env(name, value))
    };
    let aws = ("PROD_DYNAMODB_ENDPOINT_URL", "");
    list(&[aws, ("HTTPS_PROXY", &proxy)]).fails(3).says(&["help: check the proxy that HTTPS_PROXY names"]);
    list(&[aws, ("AWS_REGION", "eu-west-1 ")])
        .fails(2)
        .says(&["DynamoDB on AWS has no endpoint for region `eu-west-1 `", "help: set AWS_REGION"]);
    let asked_for = asked.recv_timeout(SOON).unwrap();
    assert!(asked_for.starts_with("CONNECT dynamodb.us-east-1.amazonaws.com:443 "), "{asked_for}");
    let elsewhere = ("PROD_DYNAMODB_ENDPOINT_URL", "http://dynamodb.example:8000");
    for [http_proxy, no_proxy] in [["HTTP_PROXY", "NO_PROXY"], ["http_proxy", "no_proxy"]] {
        asked.try_iter().for_each(drop);
        list(&[elsewhere, (http_proxy, &proxy)]).fails(3);
        let asked_for = asked.recv_timeout(SOON).unwrap();
        assert!(asked_for.starts_with("POST http://dynamodb.example:8000/ "), "{asked_for}");
        asked.try_iter().for_each(drop);
        list(&[(http_proxy, &proxy), (no_proxy, "127.0.0.1")]).ok();
    }
    let local = production.workspace.xtask("--engine external ddb list-tables").env("HTTP_PROXY", &proxy);
    let local = local.env("CONNECTION_URL", "postgresql://me@127.0.0.1/database");
    local.env("AWS_ENDPOINT_URL_DYNAMODB", production.dynamodb.endpoint.url()).ok();
    assert_eq!(asked.try_iter().count(), 0);
}

#[test]
fn the_services_that_give_credentials_are_asked_through_the_proxy() {
    let production = Production::with_config(&format!("{SSO}{}", role()));
    write_sso_token(&production, "2099-01-01T00:00:00Z");
    let (proxy, asked) = answering(|_| None);
    for (variable, profile, host) in [
        ("HTTPS_PROXY", "live", "portal.sso.us-east-1.amazonaws.com"),
        ("https_proxy", "role", "sts.us-east-1.amazonaws.com"),
    ] {
        let run = production.workspace.xtask("ddb list-tables --prod").env("AWS_PROFILE", profile);
        run.env(variable, &proxy).env("NO_PROXY", "127.0.0.1").fails(3);
        let asked_for = asked.recv_timeout(SOON).unwrap();
        assert!(asked_for.starts_with(&format!("CONNECT {host}:443 ")), "{asked_for}");
        asked.try_iter().for_each(drop);
    }
}

#[test]
fn an_endpoint_of_production_s_that_is_no_url_is_told() {
    let mut production = Production::new();
    production.workspace.set("PROD_DYNAMODB_ENDPOINT_URL", "me:hush.example:8000");
    let fails = production.fails(2, |run| run.env("AWS_REGION", "r"));
    assert_snapshot!(fails, @"
    error: PROD_DYNAMODB_ENDPOINT_URL is not a DynamoDB endpoint
      help: write it as https://HOST
    ");
}

#[test]
fn a_profile_s_files_may_be_elsewhere() {
    let production = Production::new();
    let config =
        format!("[default]\nregion = r\naws_access_key_id = AKID\naws_secret_access_key = {SECRET_KEY}\n");
    let path = production.workspace.write("elsewhere", &config);
    production.is_reached(|run| run.env("AWS_CONFIG_FILE", &path));
}

#[test]
fn a_profile_may_have_a_process() {
    let production = Production::with_config("[default]\nregion = r\ncredential_process = HOME/get-keys\n");
    let script =
        production.workspace.write("home/get-keys", &format!("#!/bin/sh\necho '{}'", process_output()));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    production.is_reached(|run| run);
    std::fs::write(&script, "#!/bin/sh\necho 'no ticket' >&2\nexit 3\n").unwrap();
    assert_snapshot!(production.fails(3, |run| run), @"
    error: there are no AWS credentials for production's DynamoDB at ENDPOINT: those of profile `default` cannot be loaded, or have expired
      because: an error occurred while loading credentials: Error retrieving credentials: external process exited with code exit status: 3. Stderr: no ticket
      help: `aws sso login --profile default` renews a profile with SSO, `aws configure --profile default` sets keys; AWS_PROFILE names another profile
    ");
}

const SSO: &str = "
[profile live]
region = r
sso_session = company
sso_account_id = 123456789012
sso_role_name = developer

[profile login]
region = r
login_session = arn:aws:iam::123456789012:user/me

[sso-session company]
sso_region = us-east-1
sso_start_url = https://example.awsapps.amazonaws.com/start
";

/// Writes the token of `aws sso login` for the session `company`. The file's name is the SHA-1 of the session's name.
fn write_sso_token(production: &Production, expires: &str) {
    let token = format!(r#"{{"accessToken":"a-token","expiresAt":"{expires}"}}"#);
    std::fs::create_dir_all(production.workspace.path("home/.aws/sso/cache")).unwrap();
    production.workspace.write("home/.aws/sso/cache/71b21161ffa1e6516bcc072aaf5ef38cbe85b511.json", &token);
}

#[test]
fn a_profile_has_sso() {
    let production = Production::with_config(SSO);
    write_sso_token(&production, "2099-01-01T00:00:00Z");
    let body = format!(
        r#"{{"roleCredentials":{{"accessKeyId":"AKIDROLE","secretAccessKey":"{SECRET_KEY}","sessionToken":"t","expiration":4070908800000}}}}"#
    );
    let (url, asked) = answering(move |_| Some(body.clone()));
    production.is_reached(|run| run.env("AWS_PROFILE", "live").env("AWS_ENDPOINT_URL_SSO", &url));
    let request = asked.recv_timeout(SOON).unwrap();
    assert!(request.starts_with("GET /federation/credentials?"), "{request}");
    assert!(request.contains("role_name=developer") && request.contains("123456789012"), "{request}");
}

#[test]
fn an_sso_session_that_has_expired_is_told_with_the_command_that_renews_it() {
    let production = Production::with_config(SSO);
    let fails = |production: &Production| production.fails(3, |run| run.env("AWS_PROFILE", "live"));
    let never = fails(&production);
    write_sso_token(&production, "2020-01-01T00:00:00Z");
    for error in [never, fails(&production)] {
        let problem = "those of profile `live` cannot be loaded, or have expired";
        assert!(error.contains(problem) && error.contains("help: `aws sso login --profile live`"), "{error}");
    }
}

#[test]
fn a_profile_of_aws_login_has_a_remedy() {
    let production = Production::with_config(SSO);
    let fails = production.fails(3, |run| run.env("AWS_PROFILE", "login"));
    let remedy = "`credential_process = aws configure export-credentials --profile login --format process`";
    assert!(fails.contains(remedy), "{fails}");
}

#[test]
fn missing_credentials_and_profiles_are_told() {
    let production = Production::new();
    assert_snapshot!(production.fails(3, |run| run.env("AWS_REGION", "r")), @"
    error: there are no AWS credentials for production's DynamoDB at ENDPOINT: no keys in the environment, none in profile `default`, no web identity, and no role of this machine or container
      help: `aws sso login --profile default` renews a profile with SSO, `aws configure --profile default` sets keys; AWS_PROFILE names another profile
    ");
    let nobody = |run: Run| run.env("AWS_REGION", "r").env("AWS_PROFILE", "nobody");
    assert_snapshot!(production.fails(2, nobody), @"
    error: there is no AWS profile `nobody`
      help: `aws configure list-profiles` lists the profiles; name one of them in AWS_PROFILE
    ");
}

#[test]
fn a_missing_region_is_told() {
    let production = Production::new();
    let keys = |run: Run| run.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    assert_snapshot!(production.fails(2, keys), @"
    error: no region is set for production's DynamoDB at ENDPOINT
      help: set AWS_REGION
    ");
    assert_eq!(production.fails(2, keys), production.fails(2, |run| keys(run).env("AWS_REGION", "")));
    production.workspace.write("home/.aws/config", "[profile live]\noutput = json\n");
    let fails = production.fails(2, |run| run.env("AWS_PROFILE", "live"));
    assert!(fails.contains("help: set AWS_REGION, or `region` of profile live in ~/.aws/config"), "{fails}");
}

#[test]
fn credentials_that_the_server_refuses_are_told() {
    let mut production = Production::new();
    for (code, problem) in [
        ("com.amazon.coral.service#ExpiredTokenException", "have expired"),
        ("com.amazon.coral.service#UnrecognizedClientException", "are not known"),
        ("com.amazon.coral.service#AccessDeniedException", "do not allow it"),
    ] {
        let body = format!(
            r#"{{"__type":"{code}","message":"The security token included in the request is no good"}}"#
        );
        let proxy = Proxy::start(production.dynamodb.endpoint, move |_, _| {
            Ok(Fate::Answered(Answer { status: 400, body: body.clone() }))
        });
        production.workspace.set("PROD_DYNAMODB_ENDPOINT_URL", proxy.endpoint.url());
        let config = format!(
            "[profile live]\nregion = r\naws_access_key_id = AKID\naws_secret_access_key = {SECRET_KEY}\n"
        );
        production.workspace.write("home/.aws/config", &config);
        for run in production.runs() {
            run.env("AWS_PROFILE", "live").fails(3).says(&[
                &format!("the AWS credentials {problem}: profile `live`, for production's DynamoDB"),
                "is no good",
                "help: `aws sso login --profile live`",
            ]);
        }
    }
}

/// Starts a server. `answer` maps a request's first line to the answer's body; without one, the answer is 404. The
/// channel returns the requests' first lines and bodies.
fn answering(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let mut reader = BufReader::new(stream.try_clone()?);
            let Ok(head) = Head::read(&mut reader) else { continue };
            let mut request = String::new();
            reader.take(head.length.unwrap_or_default()).read_to_string(&mut request)?;
            let (status, body) = answer(&head.first_line).map_or((404, String::new()), |body| (200, body));
            // The test may have ended.
            _ = told.send(format!("{}\n{request}", head.first_line));
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} .\r\nContent-Length: {length}\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\nConnection: close\r\n\r\n{body}"
            )?;
        }
        std::io::Result::Ok(())
    });
    (url, asked)
}

#[test]
fn a_container_has_a_role() {
    let production = Production::new();
    let body = format!(
        r#"{{"AccessKeyId":"AKIDROLE","SecretAccessKey":"{SECRET_KEY}","Token":"t","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let (url, asked) = answering(move |_| Some(body.clone()));
    production.is_reached(|run| {
        run.env("AWS_REGION", "r").env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/role"))
    });
    assert!(asked.recv_timeout(SOON).unwrap().starts_with("GET /role "));
}

/// STS's answer.
fn assumed(action: &str) -> String {
    format!(
        "<{action}Response><{action}Result><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>\
         <SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
         <Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>r:s</AssumedRoleId>\
         </AssumedRoleUser></{action}Result></{action}Response>"
    )
}

/// Profile `role`, which takes a role with the keys of another profile.
fn role() -> String {
    format!(
        "[profile role]\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/developer\n\
         source_profile = me\n[profile me]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET_KEY}\n"
    )
}

#[test]
fn a_profile_takes_a_role() {
    let production = Production::with_config(&role());
    let body = assumed("AssumeRole");
    let (url, asked) = answering(move |_| Some(body.clone()));
    production.is_reached(|run| run.env("AWS_PROFILE", "role").env("AWS_ENDPOINT_URL_STS", &url));
    let request = asked.recv_timeout(SOON).unwrap();
    assert!(request.contains("Action=AssumeRole&") && request.contains("role%2Fdeveloper"), "{request}");
}

#[test]
fn a_web_identity_takes_a_role() {
    let production = Production::new();
    let body = assumed("AssumeRoleWithWebIdentity");
    let (url, asked) = answering(move |_| Some(body.clone()));
    let token = production.workspace.write("token", "a-token");
    production.is_reached(|run| {
        run.env("AWS_REGION", "r")
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
            .env("AWS_ENDPOINT_URL_STS", &url)
    });
    let request = asked.recv_timeout(SOON).unwrap();
    assert!(request.contains("Action=AssumeRoleWithWebIdentity") && request.contains("a-token"), "{request}");
}

#[test]
fn a_machine_has_a_role() {
    let production = Production::new();
    let keys = format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"AKIDROLE","SecretAccessKey":"{SECRET_KEY}","Token":"t","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let (url, asked) = answering(move |line| match line.split(' ').nth(1)? {
        "/latest/api/token" => Some("token".to_owned()),
        "/latest/meta-data/iam/security-credentials/" => Some("developer".to_owned()),
        "/latest/meta-data/iam/security-credentials/developer" => Some(keys.clone()),
        _ => None,
    });
    production.is_reached(|run| {
        let run = run.env("AWS_REGION", "r").without("AWS_EC2_METADATA_DISABLED");
        run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)
    });
    assert!(asked.try_iter().any(|request| request.contains("/security-credentials/developer ")));
}
