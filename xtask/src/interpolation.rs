//! Replaces variables in the texts of docker-compose.yml, as `docker compose` does.

use anyhow::{Context as _, Result, ensure};

use crate::environment::is_variable_name;

/// Replaces `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}` (which keeps an empty value) and `$$`.
/// <https://docs.docker.com/reference/compose-file/interpolation/>
///
/// # Errors
/// Another form, or a variable with neither a value nor a default.
pub(crate) fn fill_in<'a>(text: &str, value_of: impl Fn(&str) -> Option<&'a str> + Copy) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let (expression, after) =
                after.split_once('}').with_context(|| format!("`{text}`: `${{` without `}}`"))?;
            filled.push_str(&value_of_expression(expression, value_of)?);
            after
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            filled.push_str(&value_of_expression(&after[..end], value_of)?);
            &after[end..]
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The value of the text between `${` and `}`.
fn value_of_expression<'a>(expression: &str, value_of: impl Fn(&str) -> Option<&'a str>) -> Result<String> {
    let (name, default, takes_empty) = match (expression.split_once(":-"), expression.split_once('-')) {
        (Some((name, default)), _) if is_variable_name(name) => (name, Some(default), false),
        (_, Some((name, default))) => (name, Some(default), true),
        (_, None) => (expression, None, true),
    };
    ensure!(
        is_variable_name(name) && default.is_none_or(|default| !default.contains('$')),
        "`${{{expression}}}` is not supported: ${{NAME}} and ${{NAME:-default}} are, and $$ for a dollar sign"
    );
    let value = value_of(name).filter(|value| takes_empty || !value.is_empty());
    value.or(default).map(str::to_owned).with_context(|| {
        format!("variable {name} is not set and has no default: set it, or write ${{{name}:-default}}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let value_of = |name: &str| (name == "A").then_some("1");
        for (text, expected) in [
            ("$A-${A}", "1-1"),
            ("${B:-2}", "2"),
            ("${B-}", ""),
            ("$$A", "$A"),
            ("é${A:-x}é", "é1é"),
            ("plain", "plain"),
        ] {
            assert_eq!(fill_in(text, value_of).unwrap(), expected, "{text}");
        }
        for text in ["$", "${A", "${}", "$-", "${1A}", "${B}"] {
            assert!(fill_in(text, value_of).is_err(), "{text}");
        }
    }
}
