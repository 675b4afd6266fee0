//! The hosts that a command may reach without `--prod`: this machine, private networks, and those allowed by name.

use crate::error::Failure;
use backend_flask::hosts::{self, NotNear};

/// Which databases a setting may name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach<'a> {
    /// Production's, on any host. `.env` is ignored.
    Production,
    /// Development databases: on this machine, in private networks, or on the hosts in the list.
    Local(&'a [String]),
}

impl Reach<'_> {
    pub(crate) fn is_production(self) -> bool {
        matches!(self, Self::Production)
    }

    /// Fails if the host must not be reached. `setting` is the variable that names it.
    pub(crate) fn check(self, setting: &str, host: &str) -> Result<(), Failure> {
        let Self::Local(allowed) = self else { return Ok(()) };
        match hosts::check_near(host) {
            Ok(()) => return Ok(()),
            Err(NotNear::Aws) => {
                let problem = format!("{setting} names `{host}`, which is AWS itself");
                return Err(Failure::refused(problem, "production is reached with --prod only"));
            }
            Err(NotNear::NoName) => {
                let problem = format!("{setting} names a host with an invalid character");
                let remedy = "a host is an address, or letters, digits, `-`, `.` and `_`";
                return Err(Failure::usage(problem, remedy));
            }
            Err(NotNear::Public) if allowed.iter().any(|allowed| hosts::is_same(allowed, host)) => {
                return Ok(());
            }
            Err(NotNear::Public) => {}
        }
        let problem =
            format!("{setting} names `{host}`, which is neither this machine nor in a private network");
        let remedy = format!(
            "production is reached with --prod only; if its data may be changed and lost, add `--allow-host {host}`"
        );
        Err(Failure::refused(problem, remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Report;

    fn check(host: &str, allowed: &[&str]) -> Result<(), String> {
        let allowed: Vec<_> = allowed.iter().map(|&host| host.to_owned()).collect();
        let checked = Reach::Local(&allowed).check("CONNECTION_URL", host);
        checked.map_err(|failure| Report::of(&failure.into()).to_string())
    }

    #[test]
    fn this_machine_its_networks_and_services_are_reached() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "0.0.0.0",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "fd00::1",
            "postgres",
            "db_1",
            "dynamodb-local",
            "host.docker.internal",
            "printer.local",
            "db.prod.internal",
            "9db",
        ] {
            assert_eq!(check(host, &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn public_hosts_are_refused() {
        for host in [
            "db.example.com",
            "8.8.8.8",
            "172.32.0.1",
            "172.15.0.1",
            "192.169.0.1",
            "11.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "::ffff:169.254.170.2",
            "fe80::1%eth0",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "134744072",
            "0x08080808",
            "8.2056",
            "notlocalhost.com",
            "localhost.example.com",
            "internal.example.com",
            "127.0.0.1.example.com",
        ] {
            let report = check(host, &[]).unwrap_err();
            assert!(report.contains("neither this machine nor in a private network"), "{report}");
            assert!(report.contains(&format!("add `--allow-host {host}`")), "{report}");
        }
    }

    #[test]
    fn an_invalid_host_name_is_refused_and_not_shown() {
        for host in
            ["", "a b", "ex%61mple", "far.example,x.localhost", "user@localhost", "pass/word", "[db]x"]
        {
            let report = check(host, &[host]).unwrap_err();
            let problem = "error: CONNECTION_URL names a host with an invalid character\n";
            assert!(report.starts_with(problem) && (host.is_empty() || !report.contains(host)), "{report}");
        }
    }

    #[test]
    fn only_allowed_hosts_are_reached() {
        assert_eq!(check("db.example.com", &["other", "DB.example.com"]), Ok(()));
        assert!(check("db2.example.com", &["db.example.com"]).is_err());
        assert!(check("db.example.com", &["example.com"]).is_err());
    }

    #[test]
    fn aws_is_never_reached() {
        for host in [
            "dynamodb.us-east-1.amazonaws.com",
            "DynamoDB.eu-west-1.AmazonAWS.com.",
            "dynamodb.cn-north-1.amazonaws.com.cn",
            "dynamodb.us-east-1.api.aws",
            "x.dsql.us-east-1.on.aws",
            "cruddur.abc.us-east-1.rds.amazonaws.com",
            "amazonaws.com",
        ] {
            let report = check(host, &[host]).unwrap_err();
            assert!(report.ends_with("help: production is reached with --prod only"), "{report}");
        }
        assert!(Reach::Production.check("PROD_CONNECTION_URL", "cruddur.rds.amazonaws.com").is_ok());
    }
}
