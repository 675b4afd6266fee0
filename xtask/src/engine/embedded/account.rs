//! The account that Postgres's programs run under. They refuse to run as root.
#![cfg_attr(not(unix), allow(dead_code, unused, reason = "there is no such engine on other systems"))]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment::Environment;
use crate::error::Failure;
use crate::process;
use anyhow::{Context as _, Result};

use super::log::START_AFRESH;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Account {
    /// The current user.
    Own,
    /// Another user, because the current one is root.
    Other { user: u32, group: u32 },
    /// Root in a user namespace that maps it to another user: for data that only root can reach.
    Namespace { user: u32, group: u32 },
}

/// Chooses the account of the programs and the folder of their data: `wanted`, or `elsewhere`, which every user can
/// reach. A folder that exists already is kept.
#[cfg(unix)]
pub(super) fn choose(wanted: PathBuf, elsewhere: PathBuf) -> Result<(Account, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return Ok((Account::Own, wanted));
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (user, group) = ["postgres", "nobody"]
        .iter()
        .find_map(|name| numbers_of(name, &users))
        .context("run as another user: there is neither `postgres` nor `nobody` here")?;
    check_owner(&elsewhere, user)?;
    // Only its owner can enter the state folder.
    let namespace = Account::Namespace { user, group };
    let works = namespace.works();
    match (wanted.exists(), elsewhere.exists()) {
        (true, _) | (false, false) if works => Ok((namespace, wanted)),
        (true, false) => {
            let problem = format!(
                "{} is root's, and Postgres, which refuses to run as root, takes root for another user in a user \
                 namespace alone: `unshare --user` does not work here any more",
                wanted.display()
            );
            let remedy = format!("allow user namespaces again, or {START_AFRESH}");
            Err(Failure::new(problem, remedy).into())
        }
        _ => Ok((Account::Other { user, group }, elsewhere)),
    }
}

/// Systems without a root user use the wanted folder.
#[cfg(not(unix))]
pub(super) fn choose(wanted: PathBuf, _elsewhere: PathBuf) -> Result<(Account, PathBuf)> {
    Ok((Account::Own, wanted))
}

/// Fails if another user made the folder: everybody may create folders in /var/tmp.
#[cfg(unix)]
pub(super) fn check_owner(folder: &Path, user: u32) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    match folder.symlink_metadata() {
        Ok(there) if there.uid() != user || !there.is_dir() => {
            let problem = format!("{} is not the folder that was made for Postgres", folder.display());
            Err(Failure::new(problem, "have it removed: another user made it").into())
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn check_owner(_: &Path, _: u32) -> Result<()> {
    Ok(())
}

impl Account {
    /// A command that runs `program` under this account, with a cleaned environment.
    pub(super) fn command(&self, program: &Path, environment: &Environment) -> Command {
        let mut command = self.command_by(program, |program| Command::new(program));
        process::clean_environment(&mut command, environment);
        // Another user may not be able to enter the current folder.
        command.current_dir("/");
        command
    }

    /// Like [`Account::command`], for a server that outlives this program. It inherits its lock as standard input.
    pub(super) fn server(&self, program: &Path, environment: &Environment) -> Command {
        let mut command = self.command_by(program, process::detached);
        process::clean_environment(&mut command, environment);
        command
    }

    fn command_by(&self, program: &Path, command: impl Fn(&Path) -> Command) -> Command {
        match self {
            Self::Own => command(program),
            #[cfg(unix)]
            Self::Other { user, group } => {
                use std::os::unix::process::CommandExt as _;
                let mut command = command(program);
                command.uid(*user).gid(*group);
                command
            }
            #[cfg(not(unix))]
            Self::Other { .. } => command(program),
            Self::Namespace { user, group } => {
                let mut command = command(Path::new("unshare"));
                command.arg("--user").arg(format!("--map-user={user}")).arg(format!("--map-group={group}"));
                command.arg(program);
                command
            }
        }
    }

    /// Creates a folder that only this account can enter.
    pub(super) fn make_folder(&self, folder: &Path) -> Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        #[cfg(unix)]
        if let Self::Other { user, group } = self {
            std::os::unix::fs::chown(folder, Some(*user), Some(*group))
                .with_context(|| format!("cannot hand {} over to user {user}", folder.display()))?;
        }
        Ok(())
    }

    /// Whether this account can run programs.
    fn works(&self) -> bool {
        let mut command = self.command_by(Path::new("true"), |program| Command::new(program));
        // In a process group of its own, so that Ctrl-C does not look like a failure.
        crate::process::lead_group(&mut command);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }
}

/// A user's and its group's number in /etc/passwd, whose lines are `name:password:user:group:...`.
fn numbers_of(name: &str, users: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_s_numbers_are_read() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(numbers_of("postgres", users), Some((101, 104)));
        assert_eq!(numbers_of("post", users), None);
    }
}
