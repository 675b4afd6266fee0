//! Numbers, compared by value.

/// A number's value: `1`, `1.0` and `10e-1` are equal.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number>
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Number {
    pub(crate) is_negative: bool,
    /// Its digits in ASCII, without leading and trailing zeros. Zero has no digits.
    pub(crate) digits: Vec<u8>,
    /// The power of ten of its first digit.
    pub(crate) exponent: i64,
}

impl Number {
    /// Reads a number as DynamoDB does: sign, digits with at most one decimal point, exponent. Also returns the power
    /// of ten that DynamoDB's range applies to: that of the first digit or, for zero, of the last.
    pub(crate) fn read(text: &str) -> Option<(Self, i64)> {
        let (coefficient, exponent) = match text.split_once(['e', 'E']) {
            Some((coefficient, exponent)) => (coefficient, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let unsigned = coefficient.strip_prefix(['+', '-']).unwrap_or(coefficient);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let first = zeros.min(digits.len() - 1);
        let length = |length| i64::try_from(length).unwrap_or(i64::MAX);
        let exponent = exponent.saturating_add(length(whole.len()) - length(first) - 1);
        let Some(last) = digits.iter().rposition(|digit| *digit != b'0') else {
            return Some((Self::default(), exponent));
        };
        let digits = digits[first..=last].to_vec();
        Some((Self { is_negative: coefficient.starts_with('-'), digits, exponent }, exponent))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_written_in_many_ways() {
        for ways in [
            &["10", "1e1", "+10.0", "0010", "0.1E+2", "100e-1"][..],
            &["-0.5", "-.5", "-5e-1", "-00.50"],
            &["0", "-0", "0.00", "0e7"],
        ] {
            let first = Number::read(ways[0]).unwrap().0;
            for way in ways {
                assert_eq!(Number::read(way).unwrap().0, first, "{way}");
            }
        }
        let different = ["1", "-1", "10", "0.1", "12", "21", "0"];
        for (index, number) in different.iter().enumerate() {
            for other in &different[..index] {
                assert_ne!(Number::read(number), Number::read(other), "{number} {other}");
            }
        }
        for text in ["", "+", ".", "1.2.3", "++5", "1e", " 5", "1_0", "NaN", "0x1"] {
            assert_eq!(Number::read(text), None, "{text}");
        }
    }
}
