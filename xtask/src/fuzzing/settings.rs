//! What a user sets: the command line, the two files of settings, URLs; and what was remembered of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use clap::Parser as _;
use xtask_base::environment::Environment;
use xtask_base::environment::dotenv::{Variables, parse_dotenv, quoted};
use xtask_databases::target::postgres::UrlSetting;
use xtask_databases::target::reach::Reach;
use xtask_databases::target::{DYNAMODB_URL, DynamoDbTarget, POSTGRES_URL, PostgresTarget};
use xtask_docker::compose::{Compose, Source};

use super::text;
use crate::commands::{Arguments, with_prod_word};
use crate::state::State;

/// The command line, an argument a line.
pub(super) fn arguments(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let words = ["xtask"].into_iter().chain(text.lines()).map(Into::into).collect();
    if let Err(error) = Arguments::try_parse_from(with_prod_word(words)) {
        assert!([0, 2].contains(&error.exit_code()), "{error}");
    }
}

/// `docker-compose.yml`.
pub(super) fn compose(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let environment = Environment::from([("DYNAMODB_IMAGE", "mirror/dynamodb"), ("POSTGRES_PORT", "5433")]);
    let Ok(compose) = Compose::parse(Path::new("/srv/cruddur"), text, &environment) else { return };
    assert!(!compose.project.is_empty());
    for service in compose.services() {
        assert!(service.port.host > 0 && service.port.container > 0);
        assert!(!service.image.trim().is_empty());
        for mount in &service.volumes {
            assert!(mount.target.starts_with('/'));
            assert!(!matches!(&mount.source, Source::Path(path) if path.is_relative()));
        }
    }
    compose.postgres_login();
}

/// `.env`.
pub(super) fn dotenv(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let process = BTreeMap::from([("SET".to_owned(), "outside".to_owned())]);
    match parse_dotenv(Path::new(".env"), text, &process) {
        Ok(variables) => {
            let good = variables.into_iter().filter(|(_, value)| value.is_ok());
            let good: Variables = good.collect();
            let lines = good.iter().flat_map(|(name, value)| value.iter().map(move |value| (name, value)));
            let written: String = lines.map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
            assert_eq!(parse_dotenv(Path::new(".env"), &written, &process).ok(), Some(good));
        }
        Err(error) => {
            let error = error.to_string();
            let line = error.strip_prefix(".env:").and_then(|rest| rest.split(':').next());
            let line = line.and_then(|line| line.parse::<usize>().ok());
            assert!(line.is_some_and(|line| (1..=text.lines().count()).contains(&line)), "{error}");
        }
    }
}

fn parse(url: &str) -> Result<PostgresTarget> {
    let environment = &Environment::default();
    let setting = UrlSetting { variable: POSTGRES_URL, url, reach: Reach::Local(&[]), environment };
    PostgresTarget::parse(&setting, String::new())
}

/// A Postgres URL; and as two lines, a user and a password of which one is written.
pub(super) fn postgres_url(input: &[u8]) {
    let Some(text) = text(input) else { return };
    if let Ok(target) = parse(text) {
        assert!(parse(&target.url()).is_ok() && target.to_string().contains('@'));
        target.libpq_environment();
    }
    let Some((user, password)) = text.split_once('\n').filter(|(user, _)| !user.is_empty()) else { return };
    let written = PostgresTarget::local(5432, user, password, "cruddur", String::new()).url();
    match parse(&written) {
        Ok(read) => assert_eq!(read.url(), written),
        Err(error) => panic!("{written}: {error:#}"),
    }
}

/// A DynamoDB endpoint. None that is accepted without `--prod` is AWS's.
pub(super) fn dynamodb_url(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let local = DynamoDbTarget::local(DYNAMODB_URL, text, "t".to_owned(), String::new(), Reach::Local(&[]));
    let Ok(target) = local else { return };
    let endpoint = target.endpoint().unwrap_or_default().to_ascii_lowercase();
    let (_, rest) = endpoint.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = authority.rsplit('@').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default().trim_end_matches('.');
    assert!(!name.ends_with("amazonaws.com") && !name.ends_with("api.aws"), "{endpoint}");
}

/// The state folder's `state.json`.
pub(super) fn state(input: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(input) else { return };
    let written = serde_json::to_vec(&state).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<State>(&written).ok(), Some(state));
}
