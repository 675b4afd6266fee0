//! The guard before anything that destroys or overwrites production's data.

use std::io::{IsTerminal as _, stdin};

use anyhow::{Context as _, Result};

use crate::failure::Failure;
use crate::ui::Ui;

/// What is about to happen, and to what.
pub(crate) struct Guard<'a> {
    /// The deed, in the infinitive: `drop the table`.
    pub(crate) what: &'a str,
    /// The target in full.
    pub(crate) target: &'a str,
    /// The name to type.
    pub(crate) name: &'a str,
}

impl Guard<'_> {
    /// Lets pass only who typed the name, here or as `--confirm NAME`.
    ///
    /// # Errors
    /// Another name, or nobody there to type one.
    pub(crate) fn pass(&self, ui: &Ui, confirmed: Option<&str>) -> Result<()> {
        let Self { what, target, name } = self;
        ui.warn(format_args!("PRODUCTION: about to {what}: {target}"));
        let typed = match confirmed {
            Some(name) => name.to_owned(),
            None => self.ask(ui)?,
        };
        if typed == *name {
            return Ok(());
        }
        let problem = format!("`{typed}` is not the name of the target; nothing was changed");
        Err(Failure::new(problem, format!("to {what}, the name is `{name}`")).into())
    }

    fn ask(&self, ui: &Ui) -> Result<String> {
        let Self { what, name, .. } = self;
        if !stdin().is_terminal() {
            let problem = "nobody is there to type the target's name; nothing was changed";
            return Err(Failure::new(problem, format!("to {what}, add `--confirm {name}`")).into());
        }
        ui.line(format_args!("Type `{name}` to {what}, anything else to stop:"));
        let mut typed = String::new();
        stdin().read_line(&mut typed).context("cannot read the answer")?;
        Ok(typed.trim().to_owned())
    }
}
