//! Templates, expressions, names and filters, rule by rule of language.md §7.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::{
    Context, Expression, Names, Scope, SecretUse, StepNames, StepUse, StepValue, StepValues, Template, Type,
    Value, canonical_name, value_from_json,
};

struct Steps;

impl StepValues for Steps {
    fn get(&self, step: &str, field: &str) -> StepValue {
        match (canonical_name(step).as_str(), field) {
            ("smoke_tests", "stdout") => StepValue::Value(Value::from("fine\n")),
            ("smoke_tests", "json") => {
                StepValue::Value(value_from_json(&json!({"version": "v2", "items": [1, 2.5], "on": true})))
            }
            ("smoke_tests", "outputs") => StepValue::Value(value_from_json(&json!({"file": "b.sql"}))),
            ("smoke_tests" | "backup.dump", "exit_code") => StepValue::Value(Value::from(0)),
            ("backup", "outcome") => StepValue::Value(Value::from("skipped")),
            ("backup", "stdout" | "outputs") => {
                StepValue::Undefined { why: "the step was skipped".to_owned() }
            }
            ("shown", "json") => StepValue::Placeholder("‹steps.shown.json: skipped›".to_owned()),
            _ => StepValue::Missing,
        }
    }
}

fn context() -> Context {
    let mut context = Context::new();
    context
        .set("status", Value::from(503))
        .set("item", Value::from("$(x) {{ status }}"))
        .set("flag", Value::from(true))
        .set("none", Value::from(()))
        .set("half", Value::from(0.5))
        .set("whole", Value::from(4.0))
        .set("list", Value::from(vec!["a", "b c"]))
        .set_names("params", [("version", Value::from("v1.2.3")), ("my-name", Value::from("dashed"))])
        .set_steps(Arc::new(Steps));
    context
}

fn render(source: &str) -> Result<String, String> {
    let template = Template::parse(source).map_err(|errors| errors[0].to_string())?;
    template.render(&context()).map_err(|error| error.to_string())
}

fn evaluate(source: &str) -> Result<Value, String> {
    let expression = Expression::parse(source).map_err(|errors| errors[0].to_string())?;
    expression.evaluate(&context()).map_err(|error| error.to_string())
}

#[test]
fn only_double_braces_are_special() {
    let table = [
        ("", ""),
        ("plain\n", "plain\n"),
        ("{% if x %}{# no comment #}\n", "{% if x %}{# no comment #}\n"),
        ("{{ status }}\n\n", "503\n\n"),
        ("{{status}}", "503"),
        ("{{ '}}' }}", "}}"),
        ("{{ \"}}\" ~ '\\'}}' }}", "}}'}}"),
        ("{{ {'a': {'b': 1}}.a.b }}", "1"),
        ("{\"spec\":{\"slot\":\"{{ params.version }}\"}}}", "{\"spec\":{\"slot\":\"v1.2.3\"}}}"),
        ("{{ '{{.State}}' }}", "{{.State}}"),
        ("a } b }} c { d", "a } b }} c { d"),
        ("é{{ status }}é", "é503é"),
        ("{{ item }}", "$(x) {{ status }}"),
        ("{{ status\n  | string }}", "503"),
        ("{{ [1,\n2]|length }}", "2"),
    ];
    for (source, expected) in table {
        assert_eq!(render(source), Ok(expected.to_owned()), "{source}");
    }
}

#[test]
fn values_print_as_the_language_says() {
    let table = [
        ("{{ flag }} {{ not flag }}", Ok("true false")),
        ("{{ 3 }} {{ -3 }} {{ half }} {{ whole }} {{ 4 / 2 }}", Ok("3 -3 0.5 4 2")),
        ("{{ list | join(' ') }} {{ list | to_json }}", Ok("a b c [\"a\",\"b c\"]")),
        ("{{ [true, 1.0] | join(',') }}", Ok("true,1")),
        ("{{ none }}", Err("none")),
        ("{{ list }}", Err("list")),
        ("{{ steps.smoke_tests.json }}", Err("map")),
        ("{{ 1 / 0 }}", Err("")),
    ];
    for (source, expected) in table {
        match (render(source), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{source}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{source}: {message}"),
            (got, _) => panic!("{source}: {got:?}"),
        }
    }
    let list = Template::parse("{{ list }}").unwrap().render(&context()).unwrap_err();
    assert!(list.help.unwrap().contains("| join(\" \")"));
    assert_eq!(Template::parse("{{ list }}").unwrap().render_value(&context()).unwrap().len(), Some(2));
}

#[test]
fn mistakes_are_found_when_a_template_is_parsed() {
    let table = [
        ("{{ }}", "template-empty", 2..3),
        ("{{ status", "template-open", 0..9),
        ("{{ status +  }}", "template-syntax", 2..13),
        ("{{.State}}", "template-go", 0..10),
        ("ab {{ .State.Status }}", "template-go", 3..22),
        ("{{range .Items}}", "template-go", 0..16),
        ("{{ json .Config }}", "template-go", 0..18),
        ("{{ end }}", "template-go", 0..9),
        ("{{ status | nope }}", "template-unknown", 12..16),
        ("{{ nope(1) }}", "template-unknown", 3..10),
        ("{{ debug() }}", "template-unknown", 3..10),
        ("{{ item.upper() }}", "template-method", 3..15),
        ("{{ steps.smoke-tests.stdout }}", "template-dash", 3..20),
        ("{{ steps.a-1 }}", "template-dash", 3..12),
        ("{{ item | raw | upper }}", "template-raw", 10..13),
        ("{{ 'a' if flag }}", "template-syntax", 2..14),
        ("{{ item -}}", "template-syntax", 0..11),
    ];
    for (source, code, range) in table {
        let errors = Template::parse(source).unwrap_err();
        assert_eq!((errors[0].code, errors[0].range.clone()), (code, range), "{source}: {errors:?}");
    }
    assert_eq!(Template::parse("{{ a | x }} {{ b | y }} {{.C}}").unwrap_err().len(), 3);
    let go = Template::parse("{{.State}}").unwrap_err();
    assert!(go[0].help.as_deref().unwrap().contains("{{ '{{.State}}' }}"), "{go:?}");
    let quoted = Template::parse("{{index .Labels 'x'}}").unwrap_err();
    let help = quoted[0].help.clone().unwrap();
    assert_eq!(
        render(&help[help.find("{{ ").unwrap()..help.rfind('`').unwrap()]),
        Ok("{{index .Labels 'x'}}".to_owned())
    );
    let dash = Template::parse("{{ steps.smoke-tests.stdout }}").unwrap_err();
    let help = dash[0].help.as_deref().unwrap();
    assert!(help.contains("steps.smoke_tests") && help.contains("steps[\"smoke-tests\"]"), "{help}");
}

#[test]
fn names_are_found_with_their_places() {
    let source = "x {{ params.version }} {{ steps[\"backup.dump\"].outputs.file | default('-') }} {{ item[status].a if list[0] is defined else d.e | d }}";
    let template = Template::parse(source).unwrap();
    let found: Vec<(String, &str, bool)> = template
        .references()
        .iter()
        .map(|reference| (reference.dotted(), &source[reference.range.clone()], reference.defaulted))
        .collect();
    let expected = [
        ("params.version", "params.version", false),
        ("steps[\"backup.dump\"].outputs.file", "steps[\"backup.dump\"].outputs.file", true),
        ("list", "list", false),
        ("item", "item", false),
        ("status", "status", false),
        ("d.e", "d.e", true),
    ];
    let expected: Vec<(String, &str, bool)> =
        expected.into_iter().map(|(name, text, defaulted)| (name.to_owned(), text, defaulted)).collect();
    assert_eq!(found, expected);
}

#[test]
fn comparisons_with_a_literal_are_found() {
    let expression = Expression::parse(
        "steps.pick.choice == \"deploy\" or 'x' != params.slot and params.slot in ['a', 'b'] and 1 < 2",
    )
    .unwrap();
    let found: Vec<(String, &str)> =
        expression.comparisons().iter().map(|found| (found.path.join("."), found.literal.as_str())).collect();
    let expected =
        [("steps.pick.choice", "deploy"), ("params.slot", "x"), ("params.slot", "a"), ("params.slot", "b")];
    assert_eq!(found, expected.map(|(path, literal)| (path.to_owned(), literal)));
    assert_eq!(&expression.source()[expression.comparisons()[0].range.clone()], "\"deploy\"");
}

#[test]
fn steps_are_looked_up_with_dashes_or_underscores() {
    let table = [
        ("steps.smoke_tests.stdout | trim", "fine"),
        ("steps[\"smoke-tests\"].stdout | trim", "fine"),
        ("steps.smoke_tests.json.version", "v2"),
        ("steps.smoke_tests.json['items'][1]", "2.5"),
        ("steps[\"backup.dump\"].exit_code == 0", "true"),
        ("steps.backup.stdout | default('none')", "none"),
        ("steps.backup.outputs.file | default('none')", "none"),
        ("steps.backup.outputs.a.b | default('none')", "none"),
        ("steps.backup.stdout is defined", "false"),
        ("steps.backup.outcome == 'skipped' or steps.backup.stdout == 'x'", "true"),
        ("params.my_name ~ params['my-name']", "dasheddashed"),
        ("steps.shown.json.a.b", "‹steps.shown.json: skipped›"),
        ("steps.shown.json | upper", "‹STEPS.SHOWN.JSON: SKIPPED›"),
    ];
    for (source, expected) in table {
        assert_eq!(render(&format!("{{{{ {source} }}}}")), Ok(expected.to_owned()), "{source}");
    }
}

#[test]
fn undefined_values_fail_with_the_reason() {
    let table = [
        ("steps.backup.stdout", "`steps.backup.stdout` is not defined: the step was skipped"),
        ("steps.backup.stdout == 'x'", "`steps.backup.stdout` is not defined: the step was skipped"),
        ("'x' in steps.backup.stdout", "`steps.backup.stdout` is not defined: the step was skipped"),
        ("steps.backup.stdout | trim", "`steps.backup.stdout` is not defined: the step was skipped"),
        (
            "(steps.backup.outputs.x | default('')) ~ steps.backup.outputs.file",
            "`steps.backup.outputs` is not defined: the step was skipped",
        ),
        ("steps.backup.outputs.file", "`steps.backup.outputs` is not defined: the step was skipped"),
        ("not steps.backup.stdout", "`steps.backup.stdout` is not defined: the step was skipped"),
        ("steps.smoke_tests.outputs.fill", "`steps.smoke_tests.outputs.fill` is not defined"),
        ("params.nope", "`params.nope` is not defined"),
        ("nope > 1", "`nope` is not defined"),
        ("nope.a.b", "`nope.a.b` is not defined"),
    ];
    for (source, expected) in table {
        assert_eq!(evaluate(source).unwrap_err(), expected, "{source}");
    }
    let error =
        Expression::parse("steps.smoke_tests.outputs.fil == 1").unwrap().evaluate(&context()).unwrap_err();
    assert_eq!(error.help.as_deref(), Some("did you mean `file`?"));
}

#[test]
fn a_condition_is_true_or_false() {
    let check = |source: &str| {
        Expression::parse(source).unwrap().evaluate_bool(&context()).map_err(|error| error.to_string())
    };
    assert_eq!(check("status == 200 or status > 500 and flag"), Ok(true));
    assert_eq!(check("not flag"), Ok(false));
    assert!(check("status").unwrap_err().contains("an integer: 503"));
    assert!(check("params.version").unwrap_err().contains("a string: \"v1.2.3\""));
    assert!(check("list").unwrap_err().contains("a list"));
    let types = [
        ("status == 200", Some(Type::Boolean)),
        ("a in b", Some(Type::Boolean)),
        ("not a", Some(Type::Boolean)),
        ("a == 1 and b < 2", Some(Type::Boolean)),
        ("a is defined", Some(Type::Boolean)),
        ("1 < a < 3", Some(Type::Boolean)),
        ("true", Some(Type::Boolean)),
        ("'yes'", Some(Type::String)),
        ("1", Some(Type::Integer)),
        ("1.5", Some(Type::Number)),
        ("['a']", Some(Type::List)),
        ("a", None),
        ("a and b", None),
        ("a or true", None),
    ];
    for (source, expected) in types {
        assert_eq!(Expression::parse(source).unwrap().static_type(), expected, "{source}");
    }
}

#[test]
fn a_failed_condition_is_explained_with_what_it_saw() {
    let explain = |source: &str| Expression::parse(source).unwrap().explain(&context());
    assert_eq!(explain("status == 200"), "status == 200  (status: 503)");
    assert_eq!(
        explain("status == 200 and\n  status < nope"),
        "status == 200 and status < nope  (status: 503, nope: not defined)"
    );
    assert_eq!(explain("1 > 2"), "1 > 2");
    let mut context = Context::new();
    context.set("body", Value::from(format!("\u{1b}[31m{}", "x".repeat(500))));
    let text = Expression::parse("body == ''").unwrap().explain(&context);
    assert!(text.contains("\\u{1b}") && !text.contains('\u{1b}') && text.len() < 200, "{text}");
}

#[test]
fn filters_do_what_the_language_says() {
    let table = [
        ("'2026-11-22T02:30:00Z' | date('%Y%m%d_%H%M%S')", Ok("20261122_023000")),
        ("'2026-11-22T02:30:00Z' | date('%H:%M', tz='Europe/Berlin')", Ok("03:30")),
        ("'2026-11-22T02:30:00Z' | date('%H:%M', 'America/New_York')", Ok("21:30")),
        ("0 | date('%F')", Ok("1970-01-01")),
        ("'x' | date('%F')", Err("needs a moment")),
        ("0 | date('%F', tz='Nowhere')", Err("no time zone")),
        ("0 | date('%Q%')", Err("format")),
        ("('{\"a\": [1, 2.0]}' | from_json).a[0]", Ok("1")),
        ("'{' | from_json", Err("no valid JSON")),
        ("{'b': 1, 'a': '<'} | to_json", Ok("{\"b\":1,\"a\":\"<\"}")),
        ("'version 1.2' | regex('(\\\\d+)\\\\.(\\\\d+)')", Ok("1.2")),
        ("'version 1.2' | regex('(\\\\d+)\\\\.(\\\\d+)', 2)", Ok("2")),
        ("'version 1.2' | regex('(?<major>\\\\d+)', group='major')", Ok("1")),
        ("'٣4' | regex('\\\\d')", Ok("4")),
        ("('x' | regex('y')) is none", Ok("true")),
        ("'x' | regex('(')", Err("pattern")),
        ("'x' | regex('x', 3)", Err("no group")),
        ("'a b' | quote", Ok("'a b'")),
        ("['a', 'b c'] | quote", Ok("a 'b c'")),
        ("'a' | raw", Ok("a")),
        ("'zażółć' | b64encode | b64decode", Ok("zażółć")),
        ("'%' | b64decode", Err("base64")),
        ("'a\\nb\\r\\n' | lines | join('|')", Ok("a|b")),
        ("' 3.0 ' | number", Ok("3")),
        ("'0.25' | number", Ok("0.25")),
        ("'inf' | number", Err("no number")),
        ("'1h30m' | duration", Ok("5400")),
        ("'500ms' | duration", Ok("0.5")),
        ("5400 | duration", Ok("1h30m")),
        ("'5' | duration", Err("no duration")),
        ("('/a/b.sql' | basename) ~ ' ' ~ ('/a/b.sql' | dirname) ~ ' ' ~ ('b' | dirname)", Ok("b.sql /a .")),
    ];
    for (source, expected) in table {
        match (render(&format!("{{{{ {source} }}}}")), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{source}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{source}: {message}"),
            (got, _) => panic!("{source}: {got:?}"),
        }
    }
}

#[test]
fn what_would_take_too_much_is_an_error() {
    for source in
        ["'a' * 10**9", "range(10**9) | list", "('a' * 90000000)", "['a' * 9000000, 'b' * 9000000] | join"]
    {
        assert!(render(&format!("{{{{ {source} }}}}")).is_err(), "{source}");
    }
    let long = ["1", &"+1".repeat(100_000)].concat();
    assert_eq!(Expression::parse(&long).unwrap_err()[0].code, "template-too-long");
    for part in ["+1", ".a", "|d", "[0]", " and a", " is defined"] {
        for count in [190, 250, 3000] {
            let source = ["a", &part.repeat(count)].concat();
            if let Ok(expression) = Expression::parse(&source) {
                let _ = expression.evaluate(&context());
            }
        }
    }
    for open in ["(", "[", "not ", "-", "{'a':"] {
        let _ = Expression::parse(&open.repeat(5000));
        let _ = Expression::parse(&open.repeat(180));
    }
}

struct World {
    params: Names,
    env: Names,
    secrets: Names,
    vars: Names,
    steps: BTreeMap<String, StepUse>,
}

fn check(source: &str, secret_use: SecretUse) -> Vec<(String, String)> {
    let world = World {
        params: Names::known(["version", "my-name"]),
        env: Names::known(["NAMESPACE"]),
        secrets: Names::known(["slack"]),
        vars: Names::known(["region"]),
        steps: BTreeMap::from([
            (
                "smoke-tests".to_owned(),
                StepUse::Available(StepNames {
                    outputs: Names::known(["file"]),
                    answers: Names::none(),
                    ..StepNames::any()
                }),
            ),
            ("late".to_owned(), StepUse::NotFinished),
            ("me".to_owned(), StepUse::Itself),
            ("backup.dump".to_owned(), StepUse::Available(StepNames::any())),
        ]),
    };
    let scope = Scope {
        params: &world.params,
        env: &world.env,
        secrets: &world.secrets,
        secret_use,
        project_vars: &world.vars,
        run: &["id", "started_at"],
        steps: &world.steps,
        bare: &["item", "status"],
    };
    let expression = Expression::parse(source).unwrap();
    scope
        .check(expression.references())
        .into_iter()
        .map(|error| (error.message, error.help.unwrap_or_default()))
        .collect()
}

#[test]
fn names_that_exist_pass() {
    for source in [
        "params.version ~ params.my_name ~ params['my-name'] ~ env.NAMESPACE ~ project.vars.region",
        "run.id ~ item.x ~ status",
        "steps.smoke_tests.stdout ~ steps['smoke-tests'].outputs.file ~ steps['backup.dump'].outputs.any",
        "steps.smoke_tests.json.anything.goes",
    ] {
        assert_eq!(check(source, SecretUse::Refused), [], "{source}");
    }
    assert_eq!(check("secrets.slack", SecretUse::Allowed), []);
}

#[test]
fn names_that_do_not_exist_are_errors_with_a_suggestion() {
    let table = [
        ("params.versoin", "no parameter `versoin`", "did you mean `version`?"),
        ("params.my-name", "no parameter `my`", "params.my_name"),
        ("env.NAMESPCE", "no variable `NAMESPCE`", "`NAMESPACE`"),
        ("project.vars.regoin", "no project variable", "`region`"),
        ("project.x", "only `vars`", "project.vars"),
        ("run.idd", "no `run.idd`", "`id`"),
        ("run.outcome", "`run.outcome` does not exist here", "id, started_at"),
        ("version", "`version` is not defined here", "params.version"),
        ("stauts", "`stauts` is not defined here", "`status`"),
        ("zzzzzz", "`zzzzzz` is not defined here", "params"),
        ("steps.smoke_test.stdout", "no step `smoke_test`", "did you mean"),
        ("steps.backup.dump.stdout", "no step `backup`", "steps[\"backup.dump\"]"),
        ("steps.late.stdout", "`steps.late` may not be finished here", "add `late` to `needs`"),
        ("steps.me.stdout", "this step itself", "outputs"),
        ("steps.smoke_tests.stduot", "steps have no `stduot`", "`stdout`"),
        ("steps.smoke_tests.outputs.fle", "no output `fle`", "`file`"),
        ("steps.smoke_tests.fields.x", "no field `x`", "no fields"),
        ("steps[item].stdout", "written out", "steps.id"),
        ("secrets.slack", "can't be used here", "env: {SLACK:"),
    ];
    for (source, message, help) in table {
        let found = check(source, SecretUse::Refused);
        assert!(found.iter().any(|(m, h)| m.contains(message) && h.contains(help)), "{source}: {found:?}");
    }
    assert!(check("secrets.slak", SecretUse::Allowed)[0].1.contains("`slack`"));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(source in "([a-z .]|\\{\\{|\\}\\}|[-'\"\\\\|\\[\\](){}%#~+*/<>=!,:]|é|steps\\.|default|not |in |if | else ){0,40}") {
        let _ = Template::parse(&source).map(|template| template.render(&context()));
        let _ = Expression::parse(&source).map(|expression| { let _ = expression.evaluate(&context()); expression.explain(&context()) });
    }

    #[test]
    fn text_without_braces_is_kept(source in "[^{]{0,80}") {
        prop_assert_eq!(render(&source), Ok(source));
    }

    #[test]
    fn a_value_is_inserted_as_it_is(value in "\\PC{0,40}") {
        let mut context = Context::new();
        context.set("v", Value::from(value.as_str()));
        prop_assert_eq!(Template::parse("<{{ v }}>").unwrap().render(&context).unwrap(), format!("<{value}>"));
    }
}
