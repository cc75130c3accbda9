//! `plan --probe` makes the checks, and records nothing (cli, language §4, §5).

use crate::helpers::TestEnvironment;
use serde_json::Value;

/// What came of each check: whether it holds, and why not.
fn probes(test: &TestEnvironment, arguments: &[&str], status: i32) -> Vec<(String, Option<bool>, String)> {
    let mut all = vec!["plan", "main", "--probe", "--format", "json"];
    all.extend(arguments);
    let plan = test.runbook(&all).exits(status).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let probes = plan["probes"].as_array().unwrap().iter();
    probes.map(|probe| (text(&probe["id"]), probe["ok"].as_bool(), text(&probe["reason"]))).collect()
}

#[test]
fn checks_that_hold_are_0_and_nothing_is_recorded_or_run() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: change, run: echo changed >> "$LEDGER"}
  - {id: there, check: {file: runbooks/main.yaml, expect: size > 10}}
  - {id: ask, approve: Go?}
  - id: group
    steps:
      - {id: answer, check: {run: echo 42, expect: number == 42, warn: [number < 40]}}
      - {id: never, run: echo never >> "$LEDGER"}
finally:
  - {id: clean, check: 'true'}
"#,
    );
    let text = test.runbook(&["plan", "main", "--probe"]).succeeds();
    text.stdout_has("change (run)")
        .stdout_has("0 of 3 checks failed")
        .stdout_has("stdout = 42")
        .stdout_has("number < 40");
    let all = probes(&test, &[], 0);
    let ids: Vec<(&str, Option<bool>)> = all.iter().map(|(id, ok, _)| (id.as_str(), *ok)).collect();
    assert_eq!(ids, [("there", Some(true)), ("group.answer", Some(true)), ("clean", Some(true))]);
    assert!(test.ledger().is_empty());
    assert!(test.runs().is_empty());
    // Without it nothing is looked at.
    assert!(test.runbook(&["plan", "main", "--format", "json"]).succeeds().json().get("probes").is_none());
}

#[test]
fn a_check_that_does_not_hold_is_1_and_all_are_made_once() {
    let test = TestEnvironment::with(
        r#"
params: {name: nothing}
steps:
  - {id: gone, retry: 3, check: {file: '{{ params.name }}', within: 10m, every: 1s}}
  - {id: counted, check: {run: 'echo probed >> "$LEDGER"', hold: 10m, every: 1s}}
  - {id: items, for_each: [a, runbooks], check: {file: '{{ item }}'}}
"#,
    );
    let all = probes(&test, &[], 1);
    let of = |id: &str| all.iter().find(|(known, ..)| known == id).unwrap();
    assert_eq!(of("gone").1, Some(false));
    assert!(of("gone").2.contains("nothing does not exist"), "{all:?}");
    assert_eq!(of("counted").1, Some(true));
    assert_eq!((of("items[0]").1, of("items[1]").1), (Some(false), Some(true)));
    assert_eq!(test.ledger(), ["probed"]);
    assert_eq!(probes(&test, &["-p", "name=runbooks"], 1)[0].1, Some(true));
}

#[test]
fn what_only_the_run_gives_is_not_looked_at() {
    let test = TestEnvironment::with(
        r#"
params: {wanted: false}
steps:
  - {id: build, run: echo out}
  - {id: out, check: {file: '{{ steps.build.stdout }}'}}
  - {id: number, check: {run: echo 1, expect: number == steps.build.number}}
  - {id: when, when: steps.build.succeeded, check: 'false'}
  - {id: unwanted, when: params.wanted, check: 'false'}
  - {id: tagged, tags: [slow], check: 'false'}
finally:
  - {id: after, when: run.failed, check: 'false'}
"#,
    );
    let all = probes(&test, &["--skip-tags", "slow"], 0);
    assert!(all.iter().all(|(_, ok, reason)| ok.is_none() && !reason.is_empty()), "{all:?}");
    let ids: Vec<&str> = all.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["out", "number", "when", "unwanted", "tagged", "after"]);
    assert!(all[0].2.contains("steps.build.stdout"));
}

#[test]
fn mistakes_and_missing_secrets_are_2() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, check: {file: x, expcet: 1}}\n");
    test.runbook(&["plan", "main", "--probe"]).exits(2);
    let test = TestEnvironment::with(
        "\nsecrets: {key: {env: NOT_THERE_AT_ALL}}\nsteps:\n  - {id: a, env: {KEY: '{{ secrets.key }}'}, check: 'true'}\n",
    );
    test.runbook(&["plan", "main", "--probe"]).exits(2).stderr_has("NOT_THERE_AT_ALL");
}

#[test]
fn secrets_stay_masked_in_what_is_seen() {
    let test = TestEnvironment::with(
        "\nsecrets: {key: {env: THE_KEY}}\nsteps:\n  - {id: a, env: {KEY: '{{ secrets.key }}'}, check: 'echo \"got $KEY\"'}\n",
    )
    .variable("THE_KEY", "correct-horse-battery");
    let shown = test.runbook(&["plan", "main", "--probe"]).succeeds().stdout_has("stdout = got ");
    shown.lacks("correct-horse-battery");
}

#[test]
fn a_plan_without_checks_is_0() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: 'true'}\n");
    test.runbook(&["plan", "main", "--probe"]).succeeds().stdout_has("no check");
    assert!(probes(&test, &[], 0).is_empty());
}
