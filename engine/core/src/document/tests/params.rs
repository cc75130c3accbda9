//! What a parameter's value may be.

use super::good;
use crate::document::model::{ParamSpec, ParamValue};

fn spec(definition: &str) -> ParamSpec {
    let runbook = good(&format!("params: {{p: {definition}}}\nsteps: [{{id: a, run: x}}]"));
    runbook.params.get("p").expect("it is declared").clone()
}

fn text(value: &str) -> ParamValue {
    ParamValue::String(value.to_owned())
}

fn list(values: &[&str]) -> ParamValue {
    ParamValue::List(values.iter().map(|value| (*value).to_owned()).collect())
}

#[test]
fn what_is_typed_is_read_by_type() {
    for (definition, typed, expected) in [
        ("{}", "", text("")),
        ("{}", "a b; rm -rf /", text("a b; rm -rf /")),
        ("{type: integer}", "-5", ParamValue::Integer(-5)),
        ("{type: number}", "5", ParamValue::Integer(5)),
        ("{type: number}", "1.10", ParamValue::Number(1.1)),
        ("{type: boolean}", "true", ParamValue::Boolean(true)),
        ("{type: duration}", "90m", text("90m")),
        ("{type: list}", "", list(&[])),
        ("{type: list}", "a, b", list(&["a", "b"])),
        ("{type: list}", "[a, 'b, c', 1.10]", list(&["a", "b, c", "1.10"])),
        ("{type: list}", r#"["a", "b"]"#, list(&["a", "b"])),
        ("{type: integer, choices: [1, 2]}", "2", ParamValue::Integer(2)),
        ("{type: integer, min: 1, max: 5}", "5", ParamValue::Integer(5)),
        ("{type: duration, min: 1m, max: 1h}", "60m", text("60m")),
        (r"{pattern: 'v\d+\.\d+'}", "v1.10", text("v1.10")),
        (r"{pattern: '[\w.-]+'}", "a_b.c-9", text("a_b.c-9")),
        ("{pattern: 'a|b'}", "b", text("b")),
        ("{pattern: '(?x) a | b # either'}", "b", text("b")),
    ] {
        assert_eq!(spec(definition).parse_text(typed), Ok(expected), "{definition} {typed}");
    }
}

#[test]
fn what_is_typed_may_be_refused() {
    for (definition, typed, expected) in [
        ("{}", "a\0b", "a value can't hold NUL"),
        ("{type: integer}", "1.5", "expected a whole number, found `1.5`"),
        ("{type: integer}", "99999999999999999999", "expected a whole number, found `99999999999999999999`"),
        ("{type: number}", "inf", "expected a number, found `inf`"),
        ("{type: number}", "1e999", "expected a number, found `1e999`"),
        ("{type: boolean}", "yes", "expected `true` or `false`, found `yes`"),
        ("{type: boolean}", "True", "expected `true` or `false`, found `True`"),
        ("{type: duration}", "5", "`5` has no unit; write `5s` for seconds (units: d h m s ms)"),
        ("{type: list}", "[a, {b: c}]", "expected a list of texts, found something else in it"),
        ("{type: integer, choices: [1, 2]}", "3", "`3` is none of the choices 1, 2"),
        (
            "{choices: [blue, green]}",
            "bleu",
            "`bleu` is none of the choices blue, green; did you mean `blue`?",
        ),
        ("{type: list, choices: [a, b]}", "a,c", "`c` is none of the choices a, b"),
        ("{type: integer, min: 1}", "0", "`0` is too small: at least 1"),
        ("{type: number, max: 0.5}", "1", "`1` is too large: at most 0.5"),
        ("{type: duration, max: 1h}", "61m", "`61m` is too large: at most 1h"),
        (r"{pattern: 'v\d'}", "v1\n", r"`v1` does not match the pattern `v\d`"),
        (r"{pattern: '\d'}", "٣", r"`٣` does not match the pattern `\d`"),
        (r"{pattern: '\w'}", "ä", r"`ä` does not match the pattern `\w`"),
        ("{pattern: 'a|b'}", "ab", "`ab` does not match the pattern `a|b`"),
        ("{pattern: '.*', type: list}", "[\"a\\nb\"]", "`a…` does not match the pattern `.*`"),
    ] {
        assert_eq!(spec(definition).parse_text(typed), Err(expected.to_owned()), "{definition} {typed:?}");
    }
}

#[test]
fn none_is_a_value_only_where_nothing_is_required() {
    assert_eq!(spec("{required: false}").check(&ParamValue::None), Ok(()));
    assert_eq!(spec("{}").check(&ParamValue::None), Err("expected a text".to_owned()));
}
