//! DynamoDB's rules for values: it would reject other values, or store them differently.

use std::collections::BTreeSet;

use aws_smithy_types::base64;

use crate::dynamodb::json::{AttributeValue, Item, SHOWN, sorted};
use crate::dynamodb::number::Number;
use crate::text::shortened;

/// The maximum number of digits, without leading and trailing zeros.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
const DIGITS: usize = 38;

/// The permitted exponents of a number's first digit, from 1E-130 to 9.99...E+125.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// The maximum nesting of lists and maps, including the innermost values.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const DEPTH: usize = 32;

/// Checks an item's values: a number's syntax, digits and range; sets are not empty and have no duplicates; null is
/// true; lists and maps are not nested too deeply. The error names the first invalid attribute.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub(crate) fn check(item: &Item) -> Result<(), String> {
    sorted(item).into_iter().try_for_each(|(name, value)| check_value(name, value, 0))
}

/// Checks a value. `path` is its place in the item, such as `name.member[2]`; `depth` is its nesting.
fn check_value(path: &str, value: &AttributeValue, depth: usize) -> Result<(), String> {
    let checked = match value {
        _ if depth == DEPTH => Err(format!("it has more than {DEPTH} levels of lists and maps")),
        AttributeValue::S(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null(true) => Ok(()),
        AttributeValue::Null(false) => Err("NULL is always true".to_owned()),
        AttributeValue::N(text) => number(text).map(drop),
        AttributeValue::Ss(texts) => check_set(texts, |text| Ok(text.clone())),
        AttributeValue::Ns(numbers) => check_set(numbers, |text| number(text)),
        AttributeValue::Bs(elements) => {
            let elements: Vec<_> = elements.iter().map(base64::encode).collect();
            check_set(&elements, |text| Ok(text.clone()))
        }
        AttributeValue::M(item) => {
            return sorted(item)
                .into_iter()
                .try_for_each(|(name, value)| check_value(&format!("{path}.{name}"), value, depth + 1));
        }
        AttributeValue::L(values) => {
            return (0_usize..)
                .zip(values)
                .try_for_each(|(index, value)| check_value(&format!("{path}[{index}]"), value, depth + 1));
        }
        _ => Err("its type is not known here".to_owned()),
    };
    checked.map_err(|why| format!("attribute `{path}`: {why}"))
}

/// Checks a set. `same` maps elements that DynamoDB considers equal, such as `1` and `1.0`, to equal keys.
fn check_set<K: Ord>(elements: &[String], same: impl Fn(&String) -> Result<K, String>) -> Result<(), String> {
    if elements.is_empty() {
        return Err("a set cannot be empty".to_owned());
    }
    let mut seen = BTreeSet::new();
    for element in elements {
        if !seen.insert(same(element)?) {
            return Err(format!("the set holds `{}` twice", shortened(element, SHOWN)));
        }
    }
    Ok(())
}

/// Reads a number as DynamoDB does. A zero must be in the range as well, as if its last digit were 1.
fn number(text: &str) -> Result<Number, String> {
    let shown = || shortened(text, SHOWN);
    let Some((number, exponent)) = Number::read(text) else {
        return Err(format!("`{}` is not a number", shown()));
    };
    if !EXPONENTS.contains(&exponent) {
        let (than, limit) = if exponent < 0 { ("smaller", "1E-130") } else { ("larger", "9.99...E+125") };
        return Err(format!("the number `{}` is {than} than {limit}", shown()));
    }
    if number.digits.len() > DIGITS {
        return Err(format!(
            "the number `{}` has {} significant digits, and DynamoDB keeps {DIGITS}",
            shown(),
            number.digits.len()
        ));
    }
    Ok(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn numbers_are_held_to_syntax_digits_and_range() {
        let longest = "9".repeat(38);
        for good in [
            "0",
            "-0",
            "+5",
            "-.5",
            "5.",
            "00042",
            "1e2",
            "1.5E+3",
            "1E-130",
            "9.9E+125",
            "0.0E-129",
            &longest,
            &format!("-{longest}E-37"),
            &format!("000{longest}000.000"),
            &format!("0.000{longest}"),
        ] {
            assert!(number(good).is_ok(), "{good}: {:?}", number(good));
        }
        for (bad, why) in [
            ("", "is not a number"),
            ("+", "is not a number"),
            (".", "is not a number"),
            ("1.2.3", "is not a number"),
            ("++5", "is not a number"),
            ("1e", "is not a number"),
            (" 5", "is not a number"),
            ("1_0", "is not a number"),
            ("NaN", "is not a number"),
            ("Infinity", "is not a number"),
            ("0x1", "is not a number"),
            ("٣", "is not a number"),
            ("1e99999999999999999999", "is not a number"),
            ("1e126", "larger"),
            ("-10E+125", "larger"),
            ("0e126", "larger"),
            ("9.9E-131", "smaller"),
            ("0.0e-130", "smaller"),
            (&format!("{longest}.9"), "39 significant digits"),
            (&format!("1{longest}"), "39 significant digits"),
        ] {
            let error = number(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn the_attribute_with_a_wrong_value_is_named() {
        let wrong = [
            (AttributeValue::Null(false), "attribute `a`: NULL is always true"),
            (AttributeValue::Ss(vec![]), "attribute `a`: a set cannot be empty"),
            (AttributeValue::Ss(vec![text(""), text("")]), "attribute `a`: the set holds `` twice"),
            (
                AttributeValue::Ns(vec![text("1"), text("10e-1")]),
                "attribute `a`: the set holds `10e-1` twice",
            ),
            (AttributeValue::Ns(vec![text("-0"), text("0.0")]), "attribute `a`: the set holds `0.0` twice"),
            (
                AttributeValue::L(vec![
                    AttributeValue::Bool(true),
                    AttributeValue::M(Item::from([(text("b"), AttributeValue::N(text("x")))])),
                ]),
                "attribute `a[1].b`: `x` is not a number",
            ),
        ];
        for (value, why) in wrong {
            assert_eq!(check(&Item::from([(text("a"), value)])), Err(text(why)));
        }
        let fine = AttributeValue::Ns(vec![text("1"), text("-1"), text("0.1"), text("11")]);
        assert_eq!(check(&Item::from([(text("a"), fine)])), Ok(()));
    }
}
