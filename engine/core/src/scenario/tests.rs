//! Rehearsals of small plans, without a file.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Report, given, mistakes, rehearse};
use crate::document::{parse, parse_scenarios};
use crate::plan::{BuildInput, InputFiles, NoCalls, Plan, Selection, build};
use crate::source::Source;

struct NoFiles;

impl InputFiles for NoFiles {
    fn hash(&self, _: Option<&str>, _: &[String]) -> Result<IndexMap<String, String>, String> {
        Err("there are no files".into())
    }

    fn calendar(&self, _: &str) -> Result<String, String> {
        Err("there are no files".into())
    }
}

fn plan(runbook: &str) -> Plan {
    let source = Source::new("a.yaml", runbook);
    let document = parse(&source).0.expect("it is a runbook");
    let input = BuildInput {
        document: &document,
        source: &source,
        stem: "a",
        given: &IndexMap::new(),
        on_failure: None,
        selection: &Selection::default(),
        files: &NoFiles,
        calls: &NoCalls,
        project: None,
    };
    build(&input).expect("it has no mistakes")
}

fn rehearsed(runbook: &str, scenario: &str) -> Report {
    let runbook_source = Source::new("a.yaml", runbook);
    let document = parse(&runbook_source).0.expect("it is a runbook");
    let source = Source::new("a.test.yaml", &format!("scenarios:\n- name: it\n{scenario}"));
    let scenarios = parse_scenarios(&source).0.expect("they are scenarios").scenarios;
    let plan = Arc::new(plan(runbook));
    let found = mistakes(&document, Some(&plan), &scenarios[0], &source);
    assert!(found.is_empty(), "{found:?}");
    assert!(given(&scenarios[0]).is_empty());
    rehearse(&plan, &scenarios[0])
}

fn seen(report: &Report) -> Vec<String> {
    let errors = report.errors.iter().cloned();
    let mismatches = report.mismatches.iter().map(|m| format!("{}: {} / {}", m.key, m.expected, m.seen));
    errors.chain(mismatches).collect()
}

const SOAK: &str =
    "steps:\n- {id: soak, check: {tcp: 'a:1', every: 1m, within: 5m, hold: 10m, max_failures: 1}}\n";

#[test]
fn a_soak_takes_its_samples_in_simulated_time() {
    for (stubs, outcome, minutes) in [
        ("{open: true}", "succeeded", 10),
        ("{open: false}", "failed", 5),
        ("[{open: false}, {open: true}]", "succeeded", 11),
        ("[{open: true}, {open: false}, {open: true}]", "succeeded", 10),
        ("[{open: true}, {open: true}, {open: false}]", "failed", 3),
    ] {
        let report =
            rehearsed(SOAK, &format!("  steps: {{soak: {stubs}}}\n  expect: {{outcome: {outcome}}}\n"));
        assert_eq!(seen(&report), Vec::<String>::new(), "{stubs}");
        assert_eq!(report.duration_ms, minutes * 60_000, "{stubs}");
    }
}

#[test]
fn a_soak_of_years_takes_no_time() {
    let runbook = "steps:\n- {id: soak, check: {tcp: 'a:1', every: 1ms, hold: 1000d}}\n- {id: end, run: x}\n";
    let report =
        rehearsed(runbook, "  unstubbed: succeed\n  expect: {outcome: succeeded, order: [soak, end]}\n");
    assert_eq!(seen(&report), Vec::<String>::new());
    assert_eq!(report.duration_ms, 1000 * 24 * 3_600_000);
}

#[test]
fn a_list_of_answers_is_used_up() {
    let runbook = "
steps:
- id: triage
  repeat: {until: steps.look.choice == 'found', times: 3}
  steps:
  - {id: look, choose: {prompt: Where?, options: {load: A, found: B}}}
";
    for (answers, outcome) in [
        ("[load, found]", "succeeded"),
        ("[load]", "waiting"),
        ("load", "failed"),
        ("[load, load, {found: bob}]", "succeeded"),
    ] {
        let scenario = format!("  answers: {{triage.look: {answers}}}\n  expect: {{outcome: {outcome}}}\n");
        assert_eq!(seen(&rehearsed(runbook, &scenario)), Vec::<String>::new(), "{answers}");
    }
}

#[test]
fn quorums_need_as_many_people() {
    let runbook = "steps:\n- {id: gate, approve: {prompt: Go?, quorum: 2, from: [alice, bob, carol]}}\n";
    for (answer, outcome) in [
        ("{approve: [alice, bob]}", "succeeded"),
        ("approve", "waiting"),
        ("{approve: alice}", "waiting"),
        ("[{approve: alice}, {reject: bob}]", "rejected"),
    ] {
        let scenario = format!("  answers: {{gate: {answer}}}\n  expect: {{outcome: {outcome}}}\n");
        assert_eq!(seen(&rehearsed(runbook, &scenario)), Vec::<String>::new(), "{answer}");
    }
    let report = rehearsed(runbook, "  answers: {gate: {approve: mallory}}\n");
    assert!(report.errors[0].contains("mallory may not answer `gate`"), "{report:?}");
}

#[test]
fn a_window_is_looked_at_by_the_simulated_clock() {
    let window = |outside: &str| {
        format!(
            "window: {{allow: [{{days: [sun], from: '02:00', to: '04:00', tz: UTC}}], outside: {outside}}}\nsteps:\n- {{id: a, run: x}}\n"
        )
    };
    // 2026-11-22 is a Sunday.
    for (outside, at, outcome, waits_ms) in [
        ("refuse", "2026-11-22T02:30:00Z", "succeeded", 0),
        ("refuse", "2026-11-22T05:00:00Z", "refused", 0),
        ("wait", "2026-11-22T01:00:00Z", "succeeded", 3_600_000),
        ("ask", "2026-11-22T01:00:00Z", "waiting", 0),
    ] {
        let scenario = format!("  at: {at}\n  unstubbed: succeed\n  expect: {{outcome: {outcome}}}\n");
        let report = rehearsed(&window(outside), &scenario);
        assert_eq!((seen(&report), report.duration_ms), (Vec::new(), waits_ms), "{outside} {at}");
    }
}
