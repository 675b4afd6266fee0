//! How large an item is to DynamoDB.

use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::number::Number;

/// The bytes that an item takes of the 400 KB that it may have: those of its names and values, and some for
/// each list, map and element. <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub(crate) fn size_of(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

/// The bytes that a value takes of them.
pub(crate) fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => size_of_number(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::M(item) => 3 + item.len() + size_of(item),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size_of_value(value)).sum::<usize>(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| size_of_number(number)).sum(),
        AttributeValue::Bs(elements) => elements.iter().map(|element| element.as_ref().len()).sum(),
        _ => 0,
    }
}

/// A byte for two digits, in pairs from the decimal point, one more, and one for the sign of a negative number, as
/// DynamoDB Local counts them: DynamoDB's documentation says "approximately".
fn size_of_number(text: &str) -> usize {
    let Some((number, _)) = Number::read(text) else { return text.len() };
    // A pair ends with an even power of ten.
    let is_alone = !number.digits.is_empty() && number.exponent.rem_euclid(2) == 0;
    let pairs = (number.digits.len() + usize::from(is_alone)).div_ceil(2);
    pairs + 1 + usize::from(number.is_negative)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::dynamodb::json::{Typed, Unique};

    #[test]
    fn names_and_values_count() {
        for (text, bytes) in [
            (r#"{"pk":{"S":"é"}}"#, 4),
            (r#"{"n":{"N":"15"}}"#, 3),
            (r#"{"n":{"N":"1500.0"}}"#, 3),
            (r#"{"n":{"N":"12.34"}}"#, 4),
            (r#"{"n":{"N":"150"}}"#, 4),
            (r#"{"n":{"N":"1.5"}}"#, 4),
            (r#"{"n":{"N":"0.015"}}"#, 4),
            (r#"{"n":{"N":"123.4"}}"#, 5),
            (r#"{"n":{"N":"-5"}}"#, 4),
            (r#"{"n":{"N":"-0012300"}}"#, 5),
            (r#"{"n":{"N":"0"}}"#, 2),
            (r#"{"b":{"B":"AQI="}}"#, 3),
            (r#"{"l":{"L":[{"BOOL":true},{"NULL":true}]}}"#, 8),
            (r#"{"m":{"M":{"a":{"S":"xy"}}}}"#, 8),
            (r#"{"s":{"SS":["a","bc"]}}"#, 4),
        ] {
            let item = serde_json::from_str::<Unique<Typed>>(text).unwrap().0;
            assert_eq!(size_of(&item), bytes, "{text}");
        }
    }
}
