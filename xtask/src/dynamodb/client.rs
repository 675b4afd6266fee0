//! The SDK's client for a DynamoDB target. All requests go through it.
//!
//! The SDK retries requests that failed on the way. If a server still throttles after those retries, the request is
//! sent again for as long as the server makes any progress, and the user sees the current rate.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{Builder, Config, IdentityCache, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ConsumedCapacity;
use backend_flask::http;

use super::error::RequestError;
use super::limit::Limit;
use super::target::{AwsAccount, DEFAULT_PROFILE, DynamoDbTarget};
use crate::error::Failure;
use crate::poll::Look;
use crate::text::counted;
use crate::ui::{Ui, seconds};

/// A local server that refuses a connection is down, not busy, so the user need not wait a second for the error.
const LOCAL_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

const CONNECT_BOUND: Duration = Duration::from_secs(5);

/// How long a request may take, including its answer and the SDK's retries.
pub(crate) const REQUEST_BOUND: Duration = Duration::from_secs(30);

/// How long the lookup of production's credentials and region may take. It may run a program or ask a service.
const CREDENTIALS_BOUND: Duration = Duration::from_secs(20);

/// How long a server may take to answer a probe.
const PROBE_BOUND: Duration = Duration::from_secs(2);

/// How long a server may throttle without any progress. While it makes progress, however slow, requests are repeated.
const NOTHING_BOUND: Duration = Duration::from_secs(30);

/// How often the rate is printed while the server throttles. A terminal also shows the progress.
const TOLD_EVERY: Duration = Duration::from_secs(3);
const TOLD_EVERY_ON_TERMINAL: Duration = Duration::from_secs(30);

pub(crate) struct DynamoDb {
    pub(crate) client: Client,
    pub(crate) target: DynamoDbTarget,
    /// Shows the messages about throttling.
    pub(crate) ui: Ui,
    endpoint: String,
    throttling: RefCell<Throttling>,
    /// By kind, `read` or `write`: the capacity units consumed so far, and in how many requests.
    pub(crate) spent: RefCell<BTreeMap<&'static str, (f64, u64)>>,
}

#[derive(Default)]
struct Throttling {
    /// How many answers said so.
    count: u64,
    /// Since when the server has made no progress.
    fruitless_since: Option<Instant>,
    /// When the user last saw a message.
    told: Option<Instant>,
    /// The number of items read and written since then.
    items: u64,
}

impl DynamoDb {
    /// Makes the client. This sends no request, but may look up production's region.
    pub(crate) async fn new(target: &DynamoDbTarget, ui: &Ui) -> Result<Self> {
        let (config, endpoint) = match &target.account {
            // A local server needs neither a proxy nor the credential chain, which may use the network.
            None => {
                let endpoint = target.endpoint().unwrap_or_default().to_owned();
                let retries = RetryConfig::standard().with_initial_backoff(LOCAL_BACKOFF);
                (http::local_config(&endpoint).retry_config(retries), endpoint)
            }
            Some(account) => production(target, account).await?,
        };
        // The SDK limits retries by a budget, which is meant for servers with many clients. A long import must
        // survive a connection that breaks now and then.
        let retries = RetryPartition::custom("xtask").token_bucket(TokenBucket::unlimited()).build();
        let config = config
            .retry_partition(retries)
            .interceptor(Limit)
            .timeout_config(timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_BOUND).build());
        let (target, ui) = (target.clone(), ui.clone());
        let (throttling, spent) = Default::default();
        let client = Client::from_conf(config.build());
        Ok(Self { client, target, ui, endpoint, throttling, spent })
    }

    /// Sends a request, and repeats it while the server throttles but makes progress. The error contains a
    /// [`RequestError`].
    pub(crate) async fn send<T, E>(
        &self,
        request: impl AsyncFn() -> std::result::Result<T, SdkError<E>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let answer = self.send_batch(request).await?;
        self.gained(0);
        Ok(answer)
    }

    /// Like [`DynamoDb::send`], for a request whose answer says how much of it was done.
    pub(super) async fn send_batch<T, E>(
        &self,
        request: impl AsyncFn() -> std::result::Result<T, SdkError<E>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let mut attempt = 0;
        loop {
            let error = match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => RequestError::new(error, &self.target),
            };
            if !error.is_throttling() {
                return Err(error.explained(&self.target));
            }
            self.throttled(&error.to_string())?;
            attempt += 1;
            self.wait(attempt).await?;
        }
    }

    /// Sends one signed request and checks that the server answers. It is not retried: the caller polls, and needs
    /// each answer.
    pub(crate) async fn look(&self) -> Look<()> {
        let bound = TimeoutConfig::builder().operation_timeout(PROBE_BOUND).build();
        let probe = self.client.list_tables().limit(1).customize();
        let error = match probe.config_override(once().timeout_config(bound)).send().await {
            Ok(_) => return Look::Ready(()),
            Err(SdkError::TimeoutError(_)) => {
                return Look::NotYet(format!("no answer within {}", seconds(PROBE_BOUND)));
            }
            Err(error) => RequestError::new(error, &self.target),
        };
        match error {
            RequestError::NoCredentials(failure) => Look::Failed(failure.into()),
            RequestError::Lost { why, is_refused: true } => Look::Nobody(why),
            error if error.is_passing() => Look::NotYet(error.to_string()),
            error => {
                let problem = format!("{} refuses ListTables", self.target);
                Look::Failed(Failure::unreachable(problem, &self.target.remedy).caused_by(error).into())
            }
        }
    }

    pub(crate) fn region(&self) -> &str {
        self.client.config().region().map_or(http::LOCAL_REGION, Region::as_ref)
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.endpoint.trim_end_matches('/')
    }

    pub(crate) fn throttled_count(&self) -> u64 {
        self.throttling.borrow().count
    }

    /// Records what a request consumed.
    pub(super) fn spend<'a>(&self, kind: &'static str, by: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        let mut spent = self.spent.borrow_mut();
        let (units, requests) = spent.entry(kind).or_default();
        *units += by.into_iter().filter_map(|consumed| consumed.capacity_units).sum::<f64>();
        *requests += 1;
    }

    /// Records progress: items read or written. It may be none, if a read found no items.
    pub(super) fn gained(&self, items: u64) {
        let mut throttling = self.throttling.borrow_mut();
        throttling.fruitless_since = None;
        throttling.items += items;
    }

    /// Records that the server throttled because of `reason`. Tells the user, at most every few seconds. Fails if the
    /// server has made no progress for too long.
    pub(super) fn throttled(&self, reason: &str) -> Result<()> {
        let (now, name) = (Instant::now(), &self.target);
        let mut throttling = self.throttling.borrow_mut();
        throttling.count += 1;
        let every = if self.ui.shows_progress() { TOLD_EVERY_ON_TERMINAL } else { TOLD_EVERY };
        let told = throttling.told;
        if told.is_none_or(|told| now.duration_since(told) >= every) {
            self.ui.warn(match told {
                None => format!("{name} is throttling: going on as quickly as it lets us"),
                Some(told) => format!("{name} is throttling: {}", pace(throttling.items, now - told)),
            });
            (throttling.told, throttling.items) = (Some(now), 0);
        }
        let since = *throttling.fruitless_since.get_or_insert(now);
        if now.duration_since(since) < NOTHING_BOUND {
            return Ok(());
        }
        let problem =
            format!("{name} is throttling: no item was written or read for {}", seconds(NOTHING_BOUND));
        let remedy = "run the command again later, or give the table more capacity units";
        Err(Failure::new(problem, remedy).caused_by(reason).into())
    }

    /// Waits after failed attempt number `attempt`, counted from 1, with exponential backoff and full jitter.
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    pub(super) async fn wait(&self, attempt: u32) -> Result<()> {
        let longest = LOCAL_BACKOFF.saturating_mul(1 << attempt.min(16)).min(LONGEST_BACKOFF);
        let waited = async {
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
            Ok(())
        };
        self.ui.stop.or(waited).await
    }
}

/// Settings for a request that must not be repeated. The SDK does not send it again if its answer is lost.
pub(crate) fn once() -> Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown to people")]
fn pace(items: u64, elapsed: Duration) -> String {
    let rate = items as f64 / elapsed.as_secs_f64().max(1e-3);
    format!("{} in {}, {rate:.1}/s", counted(items, "item", "items"), seconds(elapsed))
}

/// The configuration for production, from AWS's own chain: the environment, profiles, SSO, web identity, roles of the
/// machine or container. <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>
async fn production(target: &DynamoDbTarget, account: &AwsAccount) -> Result<(Builder, String)> {
    let is_url = |endpoint: &str| endpoint.starts_with("https://") || endpoint.starts_with("http://");
    if target.endpoint().is_some_and(|endpoint| !is_url(endpoint)) {
        // The text is not shown: it may be a password.
        let problem = "PROD_DYNAMODB_ENDPOINT_URL is not a DynamoDB endpoint";
        return Err(Failure::usage(problem, "write it as https://HOST").into());
    }
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::client(None))
        .timeout_config(timeouts())
        .retry_config(RetryConfig::standard());
    // A profile that the user named must exist. The default one need not.
    if let Some(profile) = account.profile.as_ref().filter(|profile| *profile != DEFAULT_PROFILE) {
        if !is_defined(profile).await {
            let problem = format!("there is no AWS profile `{profile}`");
            let remedy = "`aws configure list-profiles` lists the profiles; name one of them in AWS_PROFILE";
            return Err(Failure::usage(problem, remedy).into());
        }
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &account.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = tokio::time::timeout(CREDENTIALS_BOUND, loader.load()).await.map_err(|_| {
        let waited = seconds(CREDENTIALS_BOUND);
        Failure::new(format!("no region was found for {target} within {waited}"), account.region_remedy())
    })?;
    if config.region().is_none_or(|region| region.as_ref().is_empty()) {
        let problem = format!("no region is set for {target}");
        return Err(Failure::usage(problem, account.region_remedy()).into());
    }
    // Pin the endpoint, so that the one shown is the one used, and a local endpoint from the environment is ignored.
    let endpoint = match target.endpoint() {
        Some(endpoint) => endpoint.to_owned(),
        None => aws_endpoint(&config).await.map_err(|error| {
            let region = config.region().map_or_else(String::new, ToString::to_string);
            let problem = format!("DynamoDB on AWS has no endpoint for region `{region}`");
            Failure::usage(problem, account.region_remedy()).caused_by(error)
        })?,
    };
    let mut builder = Builder::from(&config);
    builder.set_endpoint_url(Some(endpoint.clone())).set_use_fips(None).set_use_dual_stack(None);
    Ok((builder, endpoint))
}

/// Whether the profile is in `~/.aws/config` or `~/.aws/credentials`. If these cannot be read, the credentials' own
/// error explains it.
async fn is_defined(profile: &str) -> bool {
    // The defaults are the real files and environment.
    let profiles =
        aws_config::profile::load(&Default::default(), &Default::default(), &Default::default(), None).await;
    profiles.map_or(true, |profiles| profiles.get_profile(profile).is_some())
}

/// AWS's endpoint in the region, with the options from the profile or the environment.
async fn aws_endpoint(config: &SdkConfig) -> Result<String> {
    let parameters = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .build()?;
    let endpoint = DefaultResolver::new().resolve_endpoint(&parameters).await;
    let url = endpoint.map_err(|error| anyhow!(error))?.url().to_owned();
    // The SDK has a region `local`.
    ensure!(url.starts_with("https://"), "{url} is not on AWS");
    Ok(url)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_BOUND).operation_timeout(REQUEST_BOUND).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_tells_items_a_second() {
        assert_eq!(pace(26, Duration::from_secs(5)), "26 items in 5.0 s, 5.2/s");
    }

    #[test]
    fn aws_s_endpoint_is_the_one_that_the_settings_want() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let endpoint = |region: &'static str, use_fips: bool| {
            let config = SdkConfig::builder().region(Region::from_static(region)).use_fips(use_fips).build();
            runtime.block_on(aws_endpoint(&config)).map_err(|error| error.to_string())
        };
        assert_eq!(endpoint("eu-west-1", false).unwrap(), "https://dynamodb.eu-west-1.amazonaws.com");
        assert_eq!(endpoint("cn-north-1", false).unwrap(), "https://dynamodb.cn-north-1.amazonaws.com.cn");
        assert_eq!(endpoint("us-east-1", true).unwrap(), "https://dynamodb-fips.us-east-1.amazonaws.com");
        assert_eq!(endpoint("local", false).unwrap_err(), "http://localhost:8000 is not on AWS");
    }
}
