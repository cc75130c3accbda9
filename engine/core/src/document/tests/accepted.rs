//! What the language page shows is read as it says.

use super::{good, shown};
use crate::document::model::{
    Action, Choices, Command, Escalate, ForEach, Options, ParamKind, ParamValue, Probe, Wait,
};
use crate::document::text::{Data, Text};
use crate::document::{parse_params_file, parse_project, parse_scenarios};
use crate::duration::Duration;
use crate::source::Source;

#[test]
fn the_example_of_the_language_page() {
    let runbook = good(include_str!("whole.yaml"));
    let kinds: Vec<&str> = runbook.top_steps().map(|step| step.action.key()).collect();
    assert_eq!(kinds, ["manual", "run", "run", "approve", "run", "run", "check", "check", "notify"]);
    assert_eq!(
        runbook.params.get("migrate").map(|spec| (spec.kind, spec.default.clone())),
        Some((ParamKind::Boolean, Some(ParamValue::Boolean(false))))
    );
    assert_eq!(
        runbook.steps[1].retry.as_ref().map(|retry| (retry.times, retry.delay)),
        Some((2, Duration::from_secs(1)))
    );
}

#[test]
fn the_project_of_the_language_page() {
    let source = Source::new("project.yaml", include_str!("project.yaml"));
    let (project, diagnostics) = parse_project(&source);
    assert_eq!(shown(&source, diagnostics.into_sorted()), Vec::<String>::new());
    let project = project.expect("it has no mistakes");
    assert_eq!(project.targets.get("web").map(|target| target.ssh.len()), Some(2));
    assert_eq!(
        project.targets.get("db").and_then(|target| target.ssh[0].jump.clone()),
        Some(Text::new("bastion"))
    );
    assert_eq!(project.keep.failed, Some(Duration::from_secs(365 * 86_400)));
}

#[test]
fn an_empty_project_is_one() {
    for text in ["", "\n# nothing\n", "{}", "~"] {
        let (project, diagnostics) = parse_project(&Source::new("project.yaml", text));
        assert!(project.is_some() && diagnostics.is_empty(), "{text:?}");
    }
}

#[test]
fn the_scenarios_of_the_language_page() {
    let source = Source::new("a.test.yaml", include_str!("scenarios.yaml"));
    let (scenarios, diagnostics) = parse_scenarios(&source);
    assert_eq!(shown(&source, diagnostics.into_sorted()), Vec::<String>::new());
    let scenario = &scenarios.expect("it has no mistakes").scenarios[0];
    assert_eq!(scenario.steps.get("smoke").and_then(|stubs| stubs[0].exit_code), Some(1));
    assert_eq!(scenario.expect.undone.as_deref(), Some(&[Text::new("apply")][..]));
}

#[test]
fn every_key_of_the_language() {
    let runbook = good(include_str!("everything.yaml"));
    let step = |id: &str| runbook.top_steps().find(|step| *step.id == *id).expect(id);
    for (name, expected) in [("A", "1.10"), ("B", "true"), ("C", "012"), ("D", "no")] {
        assert_eq!(runbook.env.get(name), Some(&Text::new(expected)), "{name}");
    }
    assert!(matches!(&step("run").action, Action::Run(run) if run.run == Command::Script(Text::new("true"))));
    let argv = Command::Argv(vec![Text::new("sleep"), Text::new("5")]);
    assert!(matches!(&step("argv").action, Action::Run(run) if run.run == argv));
    assert!(matches!(&step("run").for_each, Some(ForEach::List(items)) if items.len() == 3));
    assert!(
        matches!(&step("triage").for_each, Some(ForEach::Expression(text)) if *text.0 == *"params.hosts")
    );
    assert!(matches!(&step("approve").action, Action::Approve(approve)
        if matches!(&approve.gate.escalate, Some(Escalate::Policy(name)) if *name == "p0")
        && matches!(approve.gate.fields.get("slot").and_then(|slot| slot.choices.as_ref()), Some(Choices::Expression(_)))
        && !approve.starter_counts()));
    assert!(
        matches!(&step("quick").action, Action::Check(check) if matches!(&check.probe, Probe::Run(_)) && check.every == Duration::from_secs(5))
    );
    assert!(
        matches!(&step("wait").action, Action::Wait(wait) if **wait == Wait::For(Duration::from_secs(120)))
    );
    assert!(
        matches!(&step("choose-found").action, Action::Choose(choose) if matches!(choose.options, Options::Expression(_)))
    );
    assert!(matches!(&step("call").action, Action::Call(call)
        if matches!(call.with.get("count"), Some(Data::Integer(12, text)) if *text == "012")));
    assert_eq!(
        runbook.params.get("code").and_then(|spec| spec.default.clone()),
        Some(ParamValue::String("012".to_owned()))
    );
    assert_eq!(
        runbook.params.get("ports").and_then(|spec| spec.default.clone()),
        Some(ParamValue::List(vec!["80".to_owned(), "443".to_owned()]))
    );
    assert_eq!(runbook.params.get("note").map(|spec| spec.required), Some(false));
}

#[test]
fn aliases_and_merge_keys() {
    let runbook = good(
        "steps:\n- &base {id: a, run: 'true', timeout: 5s}\n- {<<: *base, id: b}\n- {<<: [{timeout: 1s}, *base], id: c}\n",
    );
    let timeouts: Vec<_> = runbook.steps.iter().map(|step| (step.id.as_str(), step.timeout)).collect();
    let (five, one) = (Some(Duration::from_secs(5)), Some(Duration::from_secs(1)));
    assert_eq!(timeouts, [("a", five), ("b", five), ("c", one)]);
}

#[test]
fn the_way_it_is_written_does_not_matter() {
    let text = "\u{feff}name: a\r\nsteps:\r\n  - id: x\r\n    run: |\r\n      one\r\n      two\r\n";
    let runbook = good(text);
    assert!(
        matches!(&runbook.steps[0].action, Action::Run(run) if run.run == Command::Script(Text::new("one\ntwo\n")))
    );
    good(r#"{"steps": [{"id": "x", "run": ["true"]}]}"#);
    good("%YAML 1.2\n---\nsteps: [{id: x, run: 'true'}]\n...\n");
}

#[test]
fn a_place_in_a_text_is_a_place_in_the_file() {
    for (yaml, inside, line, column) in [
        ("plain: a {x} b", "{x}", 1, 10),
        ("quoted: 'it''s {x}'", "{x}", 1, 16),
        (r#"quoted: "a\tb\u00e9\" {x}""#, "{x}", 1, 23),
        (r#"quoted: "\uD834\uDD1E{x}""#, "{x}", 1, 22),
        ("quoted: \"ä {x}\"", "{x}", 1, 12),
        ("block: |\n  one\n\n    two {x}\n  three\n", "{x}", 4, 9),
        ("block: |\n\n\n  one {x}\n", "{x}", 4, 7),
        ("block: |-\r\n  one\r\n  two {x}\r\n", "{x}", 3, 7),
        ("- - |2\n     indented {x}\n", "{x}", 2, 15),
        ("folded: >\n  one\n  {x}\n", "{x}", 2, 3),
        ("plain: one\n  {x}\n", "{x}", 1, 8),
    ] {
        let source = Source::new("a.yaml", yaml);
        let mut diagnostics = crate::diagnostic::Diagnostics::new();
        let mut node = crate::document::yaml::read(&source, &mut diagnostics).root.expect(yaml);
        assert!(diagnostics.is_empty(), "{yaml}");
        loop {
            node = match node.value {
                crate::document::node::Value::Mapping(mut entries) => entries.remove(0).1,
                crate::document::node::Value::Sequence(mut items) => items.remove(0),
                crate::document::node::Value::Scalar(_) => break,
            };
        }
        let scalar = node.scalar().expect("the loop ends at one");
        let text = Text::of(scalar, node.span);
        let start = text.find(inside).expect(yaml);
        let span = text.source_span(start..start + inside.len());
        let place = source.location(span.start);
        assert_eq!((place.line, place.column), (line, column), "{yaml}");
        if !yaml.starts_with("folded") && !yaml.starts_with("plain: one") {
            assert_eq!(source.slice(span), inside, "{yaml}");
            assert_eq!(node.source_offset(start), span.start);
        }
    }
}

#[test]
fn a_file_of_parameters() {
    for text in ["version: 1.10\nn: 5\nl: [a, b]\n", r#"{"version": 1.10, "n": 5, "l": ["a", "b"]}"#] {
        let (params, diagnostics) = parse_params_file(&Source::new("p.yaml", text));
        assert!(diagnostics.is_empty());
        let params = params.expect("it has no mistakes");
        let of =
            |kind, name: &str| super::super::model::ParamSpec::of(kind).accept(params.get(name).expect(name));
        assert_eq!(of(ParamKind::String, "version"), Ok(ParamValue::String("1.10".to_owned())));
        assert_eq!(of(ParamKind::Integer, "n"), Ok(ParamValue::Integer(5)));
        assert_eq!(of(ParamKind::List, "l"), Ok(ParamValue::List(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(
            of(ParamKind::Boolean, "n"),
            Err("expected `true` or `false`, found the number `5`".to_owned())
        );
    }
}
