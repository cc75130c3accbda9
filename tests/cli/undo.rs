//! Undo: what was done is taken back, one step at a time, the last first (language §8, cli `rollback`).

use std::collections::HashMap;

use crate::helpers::{Journal, TestEnvironment, eventually};

/// Two steps that leave a trace, one that fails, and `finally`.
fn three(rollback: &str) -> TestEnvironment {
    TestEnvironment::with(&format!(
        r#"
rollback: {rollback}
steps:
  - {{id: one, run: echo one >> "$LEDGER", undo: {{run: echo undo-one >> "$LEDGER"}}}}
  - {{id: two, run: echo two >> "$LEDGER", undo: {{run: echo undo-two >> "$LEDGER"}}}}
  - {{id: bad, run: exit 3, undo: {{run: echo undo-bad >> "$LEDGER"}}}}
  - {{id: never, run: echo never >> "$LEDGER", undo: {{run: echo undo-never >> "$LEDGER"}}}}
finally:
  - {{id: last, run: echo last >> "$LEDGER"}}
"#
    ))
}

fn undone(test: &TestEnvironment, run: &str) -> Vec<String> {
    let status = test.runbook(&["status", run, "--format", "json"]).succeeds().json();
    let steps = status["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["undone"] == true).map(|step| step["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rollback_auto_undoes_in_reverse_before_finally() {
    let test = three("auto");
    let run = test.runbook(&["run", "main"]).exits(1).ends("failed").run_id();
    assert_eq!(test.ledger(), ["one", "two", "undo-two", "undo-one", "last"]);
    assert_eq!(undone(&test, &run), ["one", "two"]);
    let journal = test.journal(&run);
    let finished = journal.one("undo_finished", "two");
    assert_eq!((&finished["outcome"], &finished["attempt"]), (&"succeeded".into(), &1.into()));
    assert_eq!(journal.one("undo_started", "one")["command"], r#"echo undo-one >> "$LEDGER""#);
    test.runbook(&["verify", &run]).succeeds();
    test.runbook(&["resume", &run, "--retry", "bad"]).exits(5);
    let status = test.runbook(&["status", &run]).succeeds();
    assert!(!status.stdout.contains("resume"), "an undone run is over: {status}");
    test.runbook(&["rollback", &run]).succeeds();
    assert_eq!(test.ledger().len(), 5, "nothing is undone twice");
}

#[test]
fn rollback_ask_without_anyone_is_manual_and_rollback_undoes_later() {
    for policy in ["ask", "manual"] {
        let test = three(policy);
        let output = test.runbook(&["run", "main"]).exits(1).ends("failed");
        assert!(output.stderr.contains("2 of 2 completed steps can be undone."), "{}", output.stderr);
        assert!(output.stderr.contains("bad failed: its undo does not run."), "{}", output.stderr);
        assert!(output.stderr.contains("→ runbook rollback last"), "{}", output.stderr);
        let run = output.run_id();
        assert_eq!(test.ledger(), ["one", "two", "last"]);
        test.runbook(&["rollback", &run]).succeeds().ends("failed");
        assert_eq!(test.ledger(), ["one", "two", "last", "undo-two", "undo-one", "last"]);
        let journal = test.journal(&run);
        let again = journal.of("step_started", "last");
        assert_eq!(again.len(), 2);
        assert!(again[1]["why"].as_str().unwrap().contains("ended"), "{}", again[1]);
    }
}

#[test]
fn rollback_is_answered_ahead_of_time() {
    let test = three("ask");
    test.runbook(&["run", "main", "--answer", "rollback=undo"]).exits(1);
    assert_eq!(test.ledger(), ["one", "two", "undo-two", "undo-one", "last"]);
    let test = three("ask");
    let run = test.runbook(&["run", "main", "--answer", "rollback=keep"]).exits(1).run_id();
    assert_eq!(test.ledger(), ["one", "two", "last"]);
    assert_eq!(test.journal(&run).kind("gate_answered")[0]["via"], "ahead");
    test.runbook(&["run", "main", "--answer", "rollback=maybe"]).exits(2);
}

#[test]
fn rollback_is_answered_from_elsewhere() {
    let test = three("ask");
    let mut live = test.spawn(&["run", "main", "--wait"]);
    let run = live.run_id();
    eventually("the question", || {
        (!test.journal(&run).of("gate_opened", "rollback").is_empty()).then_some(())
    });
    test.runbook(&["answer", &run, "rollback", "perhaps"]).exits(2);
    test.runbook(&["answer", &run, "rollback", "undo"]).succeeds();
    live.wait().exits(1);
    assert_eq!(test.ledger(), ["one", "two", "undo-two", "undo-one", "last"]);
}

#[test]
fn always_undoes_what_failed_and_undo_inherits_and_sees_the_step() {
    let test = TestEnvironment::with(
        r#"
rollback: auto
defaults: {env: {TOP: top}}
steps:
  - id: bad
    env: {OWN: own}
    run: 'echo id=42 >> "$RUNBOOK_OUTPUT"; exit 9'
    undo:
      always: true
      env: {MORE: "{{ env.OWN }}-more"}
      run: echo "$TOP $OWN $MORE {{ steps.bad.exit_code }} {{ steps.bad.outputs.id }} $RUNBOOK_STEP" >> "$LEDGER"
"#,
    );
    test.runbook(&["run", "main"]).exits(1);
    assert_eq!(test.ledger(), ["top own own-more 9 42 bad"]);
}

#[test]
fn a_failed_undo_stops_and_rollback_tries_it_again() {
    let test = TestEnvironment::with(
        r#"
rollback: auto
steps:
  - {id: one, run: "true", undo: {run: echo undo-one >> "$LEDGER"}}
  - {id: two, run: "true", undo: {run: 'echo undo-two >> "$LEDGER"; [ -e fixed ]'}}
  - {id: bad, run: exit 1}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(test.ledger(), ["undo-two", "last"], "one needs two to be undone first");
    assert_eq!(test.journal(&run).one("undo_finished", "two")["reason"], "exit 1");
    test.runbook(&["rollback", &run]).exits(1);
    test.write("fixed", "");
    test.runbook(&["rollback", &run]).succeeds();
    assert_eq!(test.ledger().iter().filter(|line| *line == "undo-one").count(), 1);
    assert_eq!(undone(&test, &run), ["one", "two"]);
    test.runbook(&["rollback", &run]).succeeds();
}

#[test]
fn a_rejected_and_a_cancelled_run_are_undone() {
    let body = r#"
rollback: auto
steps:
  - {id: one, run: "true", undo: {run: echo undo-one >> "$LEDGER"}}
  - {id: gate, approve: {prompt: Go on?}}
"#;
    let test = TestEnvironment::with(body);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["reject", &run, "--reason", "no", "--resume"]).exits(4);
    assert_eq!(test.ledger(), ["undo-one"]);
    let test = TestEnvironment::with(body);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["cancel", &run]).succeeds();
    assert_eq!(test.ledger(), ["undo-one"]);
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["outcome"], "cancelled");
}

#[test]
fn a_manual_undo_is_a_gate() {
    let test = TestEnvironment::with(
        r#"
rollback: auto
steps:
  - {id: one, run: "true", undo: {manual: Take it back}}
  - {id: bad, run: exit 1}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    assert_eq!(test.journal(&run).one("gate_opened", "one")["gate"], "manual");
    test.runbook(&["done", &run, "one", "--resume"]).exits(1);
    assert_eq!(undone(&test, &run), ["one"]);
}

#[test]
fn plan_shows_undo() {
    let test = three("ask");
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 5, "an undo is no step of its own");
    assert_eq!(steps[0]["undo"], r#"echo undo-one >> "$LEDGER""#);
    assert_eq!(steps[4]["undo"], serde_json::Value::Null);
    test.runbook(&["plan", "main"]).succeeds().stdout_has("undone by: echo undo-two");
}

/// Killed in the middle of an undo: its end is found or waited for, and nothing is undone twice.
#[test]
fn a_run_killed_while_it_is_undone_goes_on_with_that() {
    for waits in [true, false] {
        let test = TestEnvironment::with(
            r#"
rollback: auto
steps:
  - {id: one, run: "true", undo: {run: echo undo-one >> "$LEDGER"}}
  - id: two
    run: "true"
    undo: {run: 'echo undo-two >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done'}
  - {id: bad, run: exit 1}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#,
        );
        test.hold();
        let mut live = test.spawn(&["run", "main"]);
        let run = live.run_id();
        eventually("the undo", || (test.ledger() == ["undo-two"]).then_some(()));
        let _ = live.kill();
        if waits {
            let live = test.spawn(&["resume", &run]);
            test.release();
            live.wait().exits(1);
        } else {
            test.release();
            test.runbook(&["resume", &run]).exits(1);
        }
        assert_eq!(test.ledger(), ["undo-two", "undo-one", "last"]);
        let mut counts: HashMap<String, usize> = HashMap::new();
        let journal: Journal = test.journal(&run);
        for event in journal.kind("undo_started") {
            *counts.entry(event["step"].to_string()).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    }
}
