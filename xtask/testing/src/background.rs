//! A runtime that lasts as long as the process. Each async test has its own, which ends with the test and takes the
//! connections that were made in it along; other tests have none; and `Drop` must not wait on the one it is called in.

use std::sync::OnceLock;
use std::sync::mpsc;

use anyhow::{Context as _, Result, anyhow};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("cruddur-testing").enable_all();
        runtime.build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|error| anyhow!("no runtime: {error}"))
}

/// Runs work there, and waits for it in the caller's runtime.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    runtime()?.spawn(work).await.context("the work panicked")?
}

/// Runs work there, and waits for it on the caller's thread.
pub(crate) fn run_blocking<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (done, wait) = mpsc::channel();
    runtime()?.spawn(async move { done.send(work.await) });
    wait.recv().context("the work panicked")?
}
