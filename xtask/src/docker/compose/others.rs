//! Files that `docker compose` reads here beside docker-compose.yml. They may add services of the app's, and have
//! to leave the two as they are: else compose and we would replace each other's containers in turn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::{Context as _, Result, ensure};
use serde::de::IgnoredAny;

use super::file::{File, check_volume};
use super::{Compose, FILE, Source, yaml};

/// The names that compose looks for, in its order: it reads the first file of each kind.
/// <https://github.com/compose-spec/compose-go/blob/main/cli/options.go>
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", FILE, "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The variables by which compose reads other files.
/// <https://docs.docker.com/compose/how-tos/environment-variables/envvars/>
const FILES: &str = "COMPOSE_FILE";
const SEPARATOR: &str = "COMPOSE_PATH_SEPARATOR";

/// The variables by which compose takes settings from elsewhere than `.env`, with the values by which it does not.
const SETTINGS: [(&str, [&str; 2]); 2] =
    [("COMPOSE_ENV_FILES", [".env", "./.env"]), ("COMPOSE_DISABLE_ENV_FILE", ["false", "0"])];

/// What is looked at of another file: which services there are.
type Other = File<Option<BTreeMap<String, IgnoredAny>>>;

/// # Errors
/// A file that makes something else of the two services; or it cannot be read. The message names it.
pub(super) fn check(compose: &Compose, environment: &Environment) -> Result<()> {
    for (name, usual) in SETTINGS {
        if let Some(value) = environment.process_only(name).filter(|value| !usual.contains(value)) {
            let problem =
                format!("by {name}={value}, `docker compose` does not take its settings from .env, as we do");
            return Err(Failure::new(problem, format!("unset {name}")).into());
        }
    }
    let own = compose.folder.join(FILE);
    for path in read_by_compose(&compose.folder, environment)? {
        if path == own || path.canonicalize().ok() == own.canonicalize().ok() {
            continue;
        }
        check_file(compose, &path).map_err(|why| {
            let path = path.display();
            let problem = format!(
                "`docker compose` reads {path} too, which has to leave the two services of {FILE} as they are: \
                 else it would replace the containers that are made here"
            );
            let remedy = format!(
                "have {FILE} alone say what the two services are;\n\
                 or set {FILES}={FILE} (in .env, to keep it): compose then reads no other file"
            );
            Failure::new(problem, remedy).caused_by(why)
        })?;
    }
    Ok(())
}

/// The files that compose reads in the folder, as far as they are there.
///
/// # Errors
/// See [`Environment::get`].
fn read_by_compose(folder: &Path, environment: &Environment) -> Result<Vec<PathBuf>> {
    let first = |names: [&'static str; 4]| names.into_iter().find(|name| folder.join(name).is_file());
    let names: Vec<&str> = match environment.get(FILES) {
        Some(names) => {
            let usual = if cfg!(windows) { ";" } else { ":" };
            names.split(environment.get(SEPARATOR).unwrap_or(usual)).collect()
        }
        None => [NAMES, OVERRIDES].into_iter().filter_map(first).collect(),
    };
    Ok(names.into_iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect())
}

fn check_file(compose: &Compose, path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).context("cannot read it")?;
    let other: Other = yaml(&text)?;
    other.check()?;
    ensure!(other.name.is_none(), "name: it would make another project of this one");
    let services = other.services.unwrap_or_default();
    for service in compose.services() {
        let name = service.name;
        ensure!(!services.contains_key(name), "services.{name}: {FILE} alone says what it is");
        for mount in &service.volumes {
            if let Source::Volume(key) = &mount.source {
                check_volume(&other.volumes, key)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::error::Report;

    use super::*;

    const OWN: &str = "
services:
  db: {image: postgres, ports: ['5432:5432'], volumes: ['data:/data']}
  dynamodb-local: {image: dynamodb, ports: ['8000:8000']}
volumes: {data: }
";
    const WEB: &str = "
services:
  web: {image: web, depends_on: [db], networks: [default, front], volumes: ['cache:/cache'], ports: !override []}
  other: !reset null
networks: {front: {internal: true}}
volumes: {cache: {name: mine}, data: }
";
    const DB: &str = "services: {db: {user: me}}";

    /// What is said where these files are in the folder beside docker-compose.yml.
    fn said<const N: usize>(files: [(&str, &str); N], environment: &Environment) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files.into_iter().chain([(FILE, OWN)]) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let error = Compose::read(folder.path(), environment).err()?;
        Some(Report(&error).to_string().replace(&folder.path().display().to_string(), "[folder]"))
    }

    #[test]
    fn what_compose_reads_may_say_nothing_of_the_two_services() {
        let none = Environment::default();
        for name in NAMES.into_iter().chain(OVERRIDES).filter(|name| *name != FILE) {
            assert_eq!(said([(name, WEB)], &none), None, "{name}");
            let is_read = name != "docker-compose.yaml";
            assert_eq!(said([(name, DB)], &none).is_some(), is_read, "{name}");
        }
        // The first of its kind only.
        let both = [("compose.override.yml", WEB), ("docker-compose.override.yml", DB)];
        assert_eq!(said(both, &none), None);
        insta::assert_snapshot!(said([("docker-compose.override.yml", DB)], &none).unwrap());
        for (text, why) in [
            (
                "services: {dynamodb-local: }",
                "services.dynamodb-local: docker-compose.yml alone says what it is",
            ),
            ("name: other", "name: it would make another project of this one"),
            (
                "networks: {default: {internal: true}}",
                "networks.default: not supported: the two services are on the project's own network",
            ),
            (
                "include: [x.yml]",
                "include: not supported: the two services are read from docker-compose.yml alone",
            ),
            (
                "volumes: {data: {external: true}}",
                "volumes.data: external: not supported: it is a volume without options",
            ),
            ("- web", "invalid type: sequence, expected struct File"),
        ] {
            let said = said([("compose.yaml", text)], &none).unwrap();
            assert_eq!(said.lines().nth(1).unwrap(), format!("  because: {why}"));
        }
    }

    #[test]
    fn compose_s_variables_choose_the_files() {
        let files = [("compose.yaml", DB), ("web.yml", WEB), ("db.yml", DB)];
        let with = |variables: [(&str, &str); 2]| said(files, &Environment::from(variables));
        let none = ("A", "");
        assert_eq!(with([(FILES, FILE), none]), None);
        assert_eq!(with([(FILES, "./docker-compose.yml:web.yml:missing.yml"), none]), None);
        assert!(with([(FILES, ""), none]).unwrap().contains("reads [folder]/compose.yaml too"));
        assert!(with([(FILES, "docker-compose.yml:db.yml"), none]).unwrap().contains("[folder]/db.yml"));
        let comma = (SEPARATOR, ",");
        assert!(with([(FILES, "web.yml,db.yml"), comma]).unwrap().contains("[folder]/db.yml"));
        for (name, usual) in SETTINGS {
            assert!(usual.iter().all(|value| with([(name, *value), (FILES, FILE)]).is_none()), "{name}");
            assert!(with([(name, "1"), (FILES, FILE)]).unwrap().contains(&format!("by {name}=1, ")));
        }
        insta::assert_snapshot!(with([("COMPOSE_ENV_FILES", "a.env,b.env"), none]).unwrap());
    }
}
