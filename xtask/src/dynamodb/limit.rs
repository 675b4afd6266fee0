//! Limits the size of answers, so that a faulty server cannot fill the memory.

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// The maximum size of an answer in bytes. DynamoDB's have at most 16 MB of items, and JSON takes a few times more.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const LONGEST_ANSWER: usize = 64 << 20;

/// Makes a longer answer an error.
#[derive(Debug)]
pub(super) struct Limit;

impl Intercept for Limit {
    fn name(&self) -> &'static str {
        "Limit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let too_long = || BoxError::from(format!("its answer is longer than {LONGEST_ANSWER} bytes"));
        let response = context.response_mut();
        let announced = response.headers().get("content-length").and_then(|length| length.parse().ok());
        if announced.is_some_and(|announced: usize| announced > LONGEST_ANSWER) {
            return Err(too_long());
        }
        let body = Limited::new(response.take_body(), LONGEST_ANSWER);
        let body = body.map_err(move |error| if error.is::<LengthLimitError>() { too_long() } else { error });
        *response.body_mut() = SdkBody::from_body_1_x(body);
        Ok(())
    }
}
