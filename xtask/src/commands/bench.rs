use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask_base::package::Package;
use xtask_base::process;

use crate::context::Context;
use crate::engine::embedded;

/// What measures.
static PACKAGE: Package = Package {
    name: "xtask-bench",
    program: "xtask-bench",
    folder: "xtask/bench",
    first_build: "bench: what measures is built once, which takes about a minute",
};

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// What to measure, and how
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Bench {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let program = PACKAGE.built(&context.root, &context.ui).await?;
        // The workspace that it works in has no packages to build this one from.
        embedded::DYNAMODB.built(&context.root, &context.ui).await?;
        let here = std::env::current_exe().context("cannot tell where this program is")?;
        let mut command = Command::new(program);
        command.arg("--program").arg(here).arg("--workspace").arg(&context.root).args(self.arguments);
        process::become_program(&mut command).context("cannot run what measures")
    }
}
