use std::io::Write as _;

use anyhow::Result;
use backend_flask::messages::TABLE_VARIABLE;

use crate::context::Context;
use crate::engine;
use crate::output::{self, Format};
use crate::target::dynamodb::{LOCAL_KEY, LOCAL_REGION};
use crate::target::{DYNAMODB_URL, POSTGRES_URL};

/// Print the settings of the databases for a shell: eval "$(cargo xtask env)"
#[derive(Debug, clap::Args)]
pub(crate) struct Env {}

impl Env {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let engine = context.engine()?;
        let targets = engine.targets(&context.environment)?;
        let settings = [
            (engine::VARIABLE, engine.name().to_string()),
            (POSTGRES_URL, targets.postgres.url()),
            (DYNAMODB_URL, targets.dynamodb.endpoint().unwrap_or_default().to_owned()),
            (TABLE_VARIABLE, targets.dynamodb.table),
            ("AWS_ACCESS_KEY_ID", LOCAL_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", LOCAL_KEY.to_owned()),
            ("AWS_REGION", LOCAL_REGION.to_owned()),
            ("AWS_DEFAULT_REGION", LOCAL_REGION.to_owned()),
        ];
        if context.format != Format::Table {
            let object = settings.map(|(name, value)| (name.to_owned(), serde_json::Value::String(value)));
            return output::print_json(&serde_json::Map::from_iter(object));
        }
        let mut out = std::io::stdout().lock();
        for (name, value) in settings {
            writeln!(out, "export {name}={}", shell_words::quote(&value))?;
        }
        Ok(())
    }
}
