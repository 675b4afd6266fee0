//! The other clients: the AWS CLI and boto3, where they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;
use crate::report::say;
use crate::workspace::{TABLE, Workspace};

/// What there is to compare with.
pub(crate) struct Peers {
    aws: Option<String>,
    boto3: Option<String>,
    script: PathBuf,
}

impl Peers {
    /// Looks for them, and says which is missing.
    pub(crate) fn find(root: &Path) -> Self {
        let aws = answer(Command::new("aws").arg("--version"));
        let aws = aws.and_then(|line| line.split(' ').next().map(|name| name.replace('/', " ")));
        let boto3 = answer(Command::new("python3").args(["-c", "import boto3; print(boto3.__version__)"]));
        let boto3 = boto3.map(|version| format!("boto3 {version}"));
        for (name, found) in [("the AWS CLI", &aws), ("boto3", &boto3)] {
            if found.is_none() {
                say(format_args!("{name} is not installed: the figures leave it out"));
            }
        }
        Self { aws, boto3, script: root.join(".ci/peers/items.py") }
    }

    /// Their names and versions.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &str> {
        [&self.aws, &self.boto3].into_iter().flatten().map(String::as_str)
    }

    /// `aws dynamodb scan`, which follows the pages by itself.
    pub(crate) fn aws_scan(&self, work: &Workspace) -> Option<Command> {
        self.aws.as_ref()?;
        let mut command = work.command("aws");
        command.args(["dynamodb", "scan", "--table-name", TABLE, "--output", "json"]);
        Some(command)
    }

    /// boto3's paginator.
    pub(crate) fn boto3_scan(&self, work: &Workspace) -> Option<Command> {
        self.boto3.as_ref()?;
        let mut command = work.command("python3");
        command.arg(&self.script).arg("scan");
        Some(command)
    }

    /// boto3's batch writer. It prints how many seconds it wrote the items of a file.
    pub(crate) fn boto3_write(&self, work: &Workspace, items: &Path) -> Option<Command> {
        self.boto3.as_ref()?;
        let mut command = work.command("python3");
        command.arg(&self.script).arg("write").arg(items);
        Some(command)
    }
}

fn answer(command: &mut Command) -> Option<String> {
    Some(program::ask(command).ok()?.output.trim().to_owned())
}
