use std::process::{Command, Stdio};

use crate::error::Failure;
use anyhow::Result;

use crate::app;
use crate::context::Context;
use crate::process;

/// The program that opens a page in the browser, and its arguments before the address.
const OPENER: (&str, &[&str]) = if cfg!(target_os = "macos") {
    ("open", &[])
} else if cfg!(windows) {
    ("cmd", &["/C", "start", ""])
} else {
    ("xdg-open", &[])
};

pub(crate) async fn open(context: &Context) -> Result<()> {
    let app = app::running(context)?;
    app.answers().await?;
    let (program, arguments) = OPENER;
    context.ui.note(format_args!("opening {app}"));
    let mut command = Command::new(program);
    command.args(arguments).arg(app.to_string()).stdout(Stdio::null());
    context.ui.starts(|| process::shown(&command));
    let problem = match command.status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("{program} ended with {status}"),
        Err(error) => format!("cannot run {program}: {error}"),
    };
    Err(Failure::new(problem, format!("open {app} by hand")).into())
}
