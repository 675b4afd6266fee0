//! Attribute values as the SDK has them, and as text has them.

use crate::dynamodb::items::{Attribute, Item};
use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::base64;

/// An item as the data layer and the SDK know it.
///
/// # Errors
/// Binary that is not base64.
pub(crate) fn to_sdk(item: Item) -> Result<backend_flask::messages::Item> {
    item.into_iter().map(|(name, value)| Ok((name, value_to_sdk(value)?))).collect()
}

fn value_to_sdk(value: Attribute) -> Result<AttributeValue> {
    let bytes = |text: String| base64::decode(text).map(Blob::new).context("binary that is not base64");
    Ok(match value {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(number) => AttributeValue::N(number),
        Attribute::B(text) => AttributeValue::B(bytes(text)?),
        Attribute::Bool(value) => AttributeValue::Bool(value),
        Attribute::Null(value) => AttributeValue::Null(value),
        Attribute::M(item) => AttributeValue::M(to_sdk(item)?),
        Attribute::L(values) => {
            AttributeValue::L(values.into_iter().map(value_to_sdk).collect::<Result<_>>()?)
        }
        Attribute::Ss(texts) => AttributeValue::Ss(texts),
        Attribute::Ns(numbers) => AttributeValue::Ns(numbers),
        Attribute::Bs(texts) => AttributeValue::Bs(texts.into_iter().map(bytes).collect::<Result<_>>()?),
    })
}

/// An item of the data layer's as text has it.
pub(crate) fn item_from_sdk(item: backend_flask::messages::Item) -> Item {
    item.into_iter().map(|(name, value)| (name, from_sdk(value))).collect()
}

/// A value of the SDK's as text has it.
pub(crate) fn from_sdk(value: AttributeValue) -> Attribute {
    match value {
        AttributeValue::S(text) => Attribute::S(text),
        AttributeValue::N(number) => Attribute::N(number),
        AttributeValue::B(bytes) => Attribute::B(base64::encode(bytes)),
        AttributeValue::Bool(value) => Attribute::Bool(value),
        AttributeValue::M(item) => Attribute::M(item_from_sdk(item)),
        AttributeValue::L(values) => Attribute::L(values.into_iter().map(from_sdk).collect()),
        AttributeValue::Ss(texts) => Attribute::Ss(texts),
        AttributeValue::Ns(numbers) => Attribute::Ns(numbers),
        AttributeValue::Bs(values) => Attribute::Bs(values.into_iter().map(base64::encode).collect()),
        // Null is the one that is left; a type that a later SDK adds is in nothing that we make.
        _ => Attribute::Null(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_goes_there_and_back() {
        let text = r#"{"b":{"B":"AQL/"},"bool":{"BOOL":true},"bs":{"BS":["AA=="]},"l":{"L":[{"S":"x"},{"N":"1"}]},"m":{"M":{"a":{"S":""}}},"n":{"N":"1.50"},"ns":{"NS":["1"]},"null":{"NULL":true},"ss":{"SS":["x"]}}"#;
        let item: Item = serde_json::from_str(text).unwrap();
        assert_eq!(item_from_sdk(to_sdk(item.clone()).unwrap()), item);
        let bad = Item::from([("b".to_owned(), Attribute::B("?".to_owned()))]);
        assert!(to_sdk(bad).is_err());
    }
}
