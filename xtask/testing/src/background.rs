//! A runtime that lasts as long as the process. An async test's own runtime ends with the test, and so do the
//! connections made in it. Other tests have none, and `Drop` must not block the runtime that calls it.

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

/// Runs `work` on the background runtime, and waits for it in the caller's runtime.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    runtime()?.spawn(work).await.context("the work panicked")?
}

/// Runs `work` on the background runtime, and blocks the caller's thread until it ends.
pub(crate) fn run_blocking<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (done, wait) = mpsc::channel();
    runtime()?.spawn(async move { done.send(work.await) });
    wait.recv().context("the work panicked")?
}
