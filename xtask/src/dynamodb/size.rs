//! The size of an item as DynamoDB counts it.

use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::number::Number;

/// The size of an item in bytes, of which 400 KB are allowed: its names and values, and some overhead for each list,
/// map and element. <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub(crate) fn size_of(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

/// The size of a value in bytes.
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

/// The size of a number: one byte for each pair of digits, aligned to the decimal point, one more, and one for a
/// minus sign. That is how DynamoDB Local counts; DynamoDB's documentation gives it as approximate.
fn size_of_number(text: &str) -> usize {
    let Some((number, _)) = Number::read(text) else { return text.len() };
    // A pair ends at an even power of ten, so a first digit at an even power has a byte of its own.
    let is_alone = !number.digits.is_empty() && number.exponent.rem_euclid(2) == 0;
    let pairs = (number.digits.len() + usize::from(is_alone)).div_ceil(2);
    pairs + 1 + usize::from(number.is_negative)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::dynamodb::json::{Attributes, Notation, parsed};

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
            let item = parsed(text, Attributes(Notation::Typed)).unwrap();
            assert_eq!(size_of(&item), bytes, "{text}");
        }
    }
}
