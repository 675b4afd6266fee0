use std::io::Write as _;

use crate::environment::quoted;
use crate::output::{self, stdout};
use crate::targets::{DYNAMODB_URL, POSTGRES_URL};
use anyhow::{Result, ensure};
use backend_flask::http::{LOCAL_KEY, LOCAL_REGION};
use backend_flask::messages::TABLE_VARIABLE;
use clap::ValueEnum;

use crate::context::Context;
use crate::engine::{self, Found};

#[derive(Debug, clap::Args)]
pub(crate) struct Env {
    /// The format of the settings
    #[arg(short = 'o', long, visible_alias = "output", value_enum, default_value = "sh")]
    format: EnvFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EnvFormat {
    /// A shell: eval "$(cargo xtask env)"
    Sh,
    /// A .env file
    Dotenv,
    /// Programs: one JSON object
    Json,
    /// GitHub Actions: $GITHUB_ENV
    Github,
}

impl Env {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let found = Found::ask(context).await?;
        let targets = found.targets(context)?;
        let settings = [
            (engine::VARIABLE, found.engine.name().to_string()),
            (POSTGRES_URL, targets.postgres.url),
            (DYNAMODB_URL, targets.dynamodb.endpoint().unwrap_or_default().to_owned()),
            (TABLE_VARIABLE, targets.dynamodb.table),
            ("AWS_ACCESS_KEY_ID", LOCAL_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", LOCAL_KEY.to_owned()),
            ("AWS_REGION", LOCAL_REGION.to_owned()),
            ("AWS_DEFAULT_REGION", LOCAL_REGION.to_owned()),
        ];
        if let EnvFormat::Json = self.format {
            let object = settings.map(|(name, value)| (name.to_owned(), serde_json::Value::String(value)));
            let object = serde_json::Map::from_iter(object);
            return output::print_json(&object);
        }
        // Print all settings or, after an error, none.
        let mut lines = String::new();
        for (name, value) in settings {
            match self.format {
                EnvFormat::Sh => lines += &format!("export {name}={}\n", shell_words::quote(&value)),
                EnvFormat::Dotenv => lines += &format!("{name}={}\n", quoted(&value)),
                EnvFormat::Json | EnvFormat::Github => {
                    // The text after a line end would become another setting.
                    ensure!(
                        !value.contains(['\n', '\r']),
                        "{name} contains a line end, which this format cannot write"
                    );
                    lines += &format!("{name}={value}\n");
                }
            }
        }
        Ok(write!(stdout(), "{lines}")?)
    }
}
