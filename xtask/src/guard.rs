//! Confirmation of commands that destroy or overwrite production's data, and `--dry-run`.

use std::io::{IsTerminal as _, stdin};

use crate::error::Failure;
use crate::facts::Facts;
use crate::ui::Ui;
use anyhow::{Context as _, Result};

/// The heading of the options that protect data.
pub(crate) const SAFETY: &str = "Safety";

/// The option of commands that write.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Rehearsal {
    /// Say what would happen, and to what, and change nothing
    #[arg(long, help_heading = SAFETY)]
    pub(crate) dry_run: bool,
}

/// Prints what a command would do, as in `drop the table`, and to which targets.
pub(crate) fn rehearse(ui: &Ui, production: bool, deed: &str, facts: &[Facts]) {
    let whose = if production { "in PRODUCTION, " } else { "" };
    ui.line(format_args!("dry run: {whose}it would {deed}{}", shown(facts)));
    ui.line("nothing was changed");
}

/// Shows what is about to be done in production. Fails unless the user types the target's name, now or as
/// `--confirm NAME`. `hint` is a line to print before the question, or an empty text.
pub(crate) async fn pass(
    ui: &Ui,
    deed: &str,
    facts: &[Facts],
    name: &str,
    hint: &str,
    confirmed: Option<&str>,
) -> Result<()> {
    ui.warn(format_args!("PRODUCTION: about to {deed}{}", shown(facts)));
    if !hint.is_empty() {
        ui.line(hint);
    }
    let typed = match confirmed {
        Some(name) => name.to_owned(),
        None if stdin().is_terminal() => {
            ask(ui, &format!("Type `{name}` to {deed}, anything else to stop:")).await?
        }
        None => {
            let problem =
                "the target's name cannot be typed, because stdin is not a terminal; nothing was changed";
            return Err(Failure::refused(problem, format!("to {deed}, add `--confirm {name}`")).into());
        }
    };
    if typed == name {
        return Ok(());
    }
    let problem = match typed.as_str() {
        "" => "nothing was typed; nothing was changed".to_owned(),
        _ => format!("`{typed}` is not the name of the target; nothing was changed"),
    };
    Err(Failure::refused(problem, format!("to {deed}, the name is `{name}`")).into())
}

fn shown(facts: &[Facts]) -> String {
    facts.iter().map(ToString::to_string).collect()
}

/// Asks on the terminal. The end of input counts as an empty answer.
pub(crate) async fn ask(ui: &Ui, question: &str) -> Result<String> {
    ui.line(question);
    let read = || {
        let mut typed = String::new();
        stdin().read_line(&mut typed).map(|_| typed)
    };
    // On another thread, so that signals are handled meanwhile.
    let typed = tokio::task::spawn_blocking(read).await?.context("cannot read the answer")?;
    Ok(typed.trim().to_owned())
}
