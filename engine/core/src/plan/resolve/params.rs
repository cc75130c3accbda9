//! The values of parameters, and which of them no shell can read as more than text.

use indexmap::IndexMap;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::Value;

use crate::diagnostic::suggest;
use crate::document::model::{Choices, ParamKind, ParamSpec, ParamValue, Runbook};
use crate::plan::input::{GivenValue, missing_params};
use crate::plan::report::Report;
use crate::source::Span;
use crate::template::is_plain_text;

/// The value of every declared parameter, in the author's order.
pub(in crate::plan) fn values(
    runbook: &Runbook,
    given: &IndexMap<String, GivenValue>,
    report: &mut Report,
) -> IndexMap<String, Value> {
    refuse_unknown(runbook, given, report);
    let mut values = IndexMap::new();
    let missing = missing_params(runbook, given);
    for (name, spec) in runbook.params.iter() {
        let value = match given.get(name.as_str()) {
            Some(GivenValue::Text(text)) => spec.parse_text(text),
            Some(GivenValue::Data(data)) => spec.accept(data),
            None if missing.iter().any(|(missing, _)| *missing == name.as_str()) => {
                let message = format!("the parameter `{name}` needs a value");
                let diagnostic = report.make("missing-param", name.span(), message);
                report.push(diagnostic.with_help(format!("give it with `-p {name}=…`")));
                continue;
            }
            None => Ok(spec.default.clone().unwrap_or(ParamValue::None)),
        };
        match value {
            Ok(value) => {
                let value = serde_json::to_value(value).unwrap_or(Value::Null);
                values.insert(name.to_string(), value);
            }
            Err(message) => {
                report.error("invalid-param", name.span(), format!("the parameter `{name}`: {message}"));
            }
        }
    }
    values
}

fn refuse_unknown(runbook: &Runbook, given: &IndexMap<String, GivenValue>, report: &mut Report) {
    let declared: Vec<&str> = runbook.params.keys().map(|name| name.as_str()).collect();
    // What is typed has no place in the file: shown is where it should have been declared.
    let span = runbook.params.keys().next().map_or_else(Span::default, |first| first.span());
    for name in given.keys().filter(|name| !declared.contains(&name.as_str())) {
        let shown = crate::document::node::crop(name);
        let diagnostic = report.make("unknown-param", span, format!("there is no parameter `{shown}`"));
        let help = match suggest(name, declared.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if declared.is_empty() => "the runbook declares none".to_owned(),
            None => format!("declared are: {}", declared.join(", ")),
        };
        report.push(diagnostic.with_help(help));
    }
}

/// The parameters whose values hold no characters but `A-Za-z0-9@%_+=:,./-`, whatever is given.
pub(in crate::plan) fn plain_params(runbook: &Runbook) -> Vec<String> {
    runbook.params.iter().filter(|(_, spec)| is_plain(spec)).map(|(name, _)| name.to_string()).collect()
}

fn is_plain(spec: &ParamSpec) -> bool {
    match spec.kind {
        ParamKind::Integer | ParamKind::Number | ParamKind::Boolean => true,
        ParamKind::String => {
            let by_choices = matches!(&spec.choices, Some(Choices::List(choices)) if choices.iter().all(|text| is_plain_text(text)));
            by_choices || by_pattern(spec)
        }
        ParamKind::Duration | ParamKind::List => false,
    }
}

/// Whether all that the pattern matches is plain: every part of it that consumes a character must be.
fn by_pattern(spec: &ParamSpec) -> bool {
    let Some(Ok(regex)) = spec.pattern_regex() else { return false };
    regex_syntax::parse(regex.as_str()).is_ok_and(|pattern| matches_only_plain(&pattern))
}

fn matches_only_plain(pattern: &Hir) -> bool {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).is_ok_and(is_plain_text),
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().all(|range| {
            // A range with a plain start and end may hold others between them, so each is looked at.
            u32::from(range.end()) < 128 && (range.start()..=range.end()).all(is_plain_character)
        }),
        HirKind::Class(Class::Bytes(class)) => class.ranges().iter().all(|range| {
            (range.start()..=range.end()).all(|byte| byte < 128 && is_plain_character(byte.into()))
        }),
        HirKind::Repetition(repetition) => matches_only_plain(&repetition.sub),
        HirKind::Capture(capture) => matches_only_plain(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(matches_only_plain),
    }
}

fn is_plain_character(character: char) -> bool {
    is_plain_text(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::text::Text;

    fn is_plain_pattern(pattern: &str) -> bool {
        is_plain(&ParamSpec { pattern: Some(Text::new(pattern)), ..ParamSpec::of(ParamKind::String) })
    }

    #[test]
    fn patterns_that_admit_only_plain_characters() {
        for pattern in [
            r"v\d+\.\d+\.\d+",
            "[a-z][a-z0-9_-]*",
            "(blue|green)?",
            r"\w+@\w+",
            "^a$",
            "(?i)abc",
            r"[\w.-]{1,63}",
            "",
        ] {
            assert!(is_plain_pattern(pattern), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_admit_more() {
        for pattern in [
            ".*",
            r"\S+",
            "[^ ]+",
            "[A-z]",
            "[+-9];",
            "a b",
            "(?i)k",
            "a|;",
            r"\D",
            "(?s).",
            r"\pL+",
            "é",
            "[[:print:]]",
            "~",
            "(?x) a # b\n|c;",
        ] {
            // `(?i)k` also matches U+212A, the Kelvin sign.
            assert!(!is_plain_pattern(pattern), "{pattern}");
        }
    }

    #[test]
    fn types_and_choices() {
        let of = |kind, choices: Option<Vec<&str>>| {
            let choices = choices.map(|choices| Choices::List(choices.into_iter().map(Text::new).collect()));
            is_plain(&ParamSpec { choices, ..ParamSpec::of(kind) })
        };
        for kind in [ParamKind::Integer, ParamKind::Number, ParamKind::Boolean] {
            assert!(of(kind, None));
        }
        assert!(of(ParamKind::String, Some(vec!["blue", "eu-1/a"])));
        assert!(!of(ParamKind::String, Some(vec!["blue", "a b"])));
        assert!(!of(ParamKind::String, None));
        assert!(!of(ParamKind::List, Some(vec!["a"])));
    }
}
