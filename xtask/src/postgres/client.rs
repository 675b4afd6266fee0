//! Runs Postgres's client programs: psql, pg_dump, pg_restore.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::target::PostgresTarget;
use crate::error::Failure;
use crate::process;
use crate::ui::Ui;

/// libpq's variables that change only how psql shows data. Any other could lead it to another database than the
/// tasks.
/// <https://www.postgresql.org/docs/current/libpq-envars.html>
const HARMLESS: [&str; 4] = ["PGAPPNAME", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ"];

/// The remedy if a client program is missing.
pub(crate) const INSTALL: &str =
    "install PostgreSQL's client (Debian: `apt install postgresql-client`; macOS: `brew install libpq`)";

/// A non-interactive run of a client program.
pub(crate) struct PostgresClient {
    pub(crate) program: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) input: Option<File>,
    /// The file for its output. Without one, the output of a failed run goes into the error.
    pub(crate) output: Option<File>,
}

impl PostgresClient {
    /// The command that runs the program in a container, with the docker CLI. Secrets are masked.
    pub(crate) fn in_container(&self, container: &str, environment: &[String]) -> String {
        let words = ["docker", "exec", container, "env"].map(str::to_owned).into_iter();
        let words = words.chain(environment.iter().map(|variable| process::masked(variable)));
        let words = words.chain([self.program.to_owned()]).chain(self.arguments.iter().cloned());
        process::line([], &words.collect::<Vec<_>>())
    }

    /// Runs the program at `path` on this machine, on the database at `target`.
    pub(crate) async fn run(self, path: &Path, target: &PostgresTarget, ui: &Ui) -> Result<()> {
        let mut command = Command::new(path);
        lead_to(&mut command, target);
        // These variables must not change the dump's format.
        HARMLESS.iter().for_each(|name| _ = command.env_remove(name));
        command.args(&self.arguments).stderr(Stdio::piped());
        ui.starts(|| process::shown(&command));
        let program = self.program;
        command.stdin(self.input.map_or(Stdio::null(), Stdio::from));
        command.stdout(self.output.map_or(Stdio::piped(), Stdio::from));
        // The program ends with this one, even if this one is killed.
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        let output = output
            .map_err(|error| Failure::new(format!("cannot run {program}"), INSTALL).caused_by(error))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        anyhow::ensure!(output.status.success(), "{program} failed:\n{}", said.trim_end());
        Ok(())
    }
}

/// Makes a program connect to `target` and nowhere else. Settings are passed in the environment, so the password does
/// not appear in the process list.
pub(crate) fn lead_to(command: &mut Command, target: &PostgresTarget) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("PG") && !HARMLESS.contains(&name.as_str())) {
        command.env_remove(name);
    }
    command.envs(target.libpq_environment());
}
