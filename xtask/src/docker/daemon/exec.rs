//! Runs programs in a container.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::{Docker, answer, failed};
use crate::postgres::client::PostgresClient;
use crate::ui::Ui;

impl Docker {
    /// Runs a program in a running container, with `environment` as `NAME=VALUE`, and waits until it ends.
    pub(crate) async fn exec(
        &self,
        container: &str,
        environment: Vec<String>,
        client: PostgresClient,
        ui: &Ui,
    ) -> Result<()> {
        ui.starts(|| client.in_container(container, &environment));
        let PostgresClient { program, arguments, input, mut output } = client;
        let failed_to_run = || failed(format!("cannot run {program} in the container"));
        let options = CreateExecOptions {
            attach_stdin: Some(input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(environment),
            cmd: Some(std::iter::once(program.to_owned()).chain(arguments).collect()),
            ..Default::default()
        };
        let id = answer(self.api.create_exec(container, options)).await.map_err(failed_to_run())?.id;
        let started = answer(self.api.start_exec(&id, None::<StartExecOptions>)).await;
        let StartExecResults::Attached { output: mut chunks, input: mut into } =
            started.map_err(failed_to_run())?
        else {
            bail!("{program} was started without its output")
        };
        let feed = async move {
            if let Some(input) = input {
                // A program that ends early stops reading. Its output says why.
                _ = tokio::io::copy(&mut tokio::fs::File::from_std(input), &mut into).await;
                _ = into.shutdown().await;
            }
            anyhow::Ok(())
        };
        let mut said = Vec::new();
        let take = async {
            while let Some(chunk) = chunks.next().await {
                match (chunk.map_err(failed_to_run())?, &mut output) {
                    (LogOutput::StdOut { message }, Some(output)) => {
                        output
                            .write_all(&message)
                            .with_context(|| format!("cannot keep the output of {program}"))?;
                    }
                    (chunk, _) => said.extend_from_slice(chunk.as_ref()),
                }
            }
            anyhow::Ok(())
        };
        tokio::try_join!(feed, take)?;
        let ended = answer(self.api.inspect_exec(&id)).await.map_err(failed_to_run())?;
        let said = String::from_utf8_lossy(&said);
        anyhow::ensure!(ended.exit_code == Some(0), "{program} failed:\n{}", said.trim_end());
        Ok(())
    }
}
