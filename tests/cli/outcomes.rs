//! How steps and runs end (language §2), and what `on_failure` makes of it (§8).

use serde_json::json;

use crate::helpers::{TestEnvironment, eventually};

#[test]
fn a_failure_blocks_what_depends_on_it_and_cancels_the_rest() {
    let test = TestEnvironment::with(
        r#"
max_parallel: 1
steps:
  - {id: good, run: "true"}
  - {id: bad, run: exit 7}
  - {id: dependent, needs: [bad], run: echo no >> "$LEDGER"}
  - {id: further, needs: [dependent], run: echo no >> "$LEDGER"}
  - {id: other, needs: [good], run: echo maybe}
"#,
    );
    // `other` may have started beside `bad`: it depends on nothing that failed. `further` depends on what failed.
    let run = test.runbook(&["run", "main"]).exits(1).ends("failed").run_id();
    assert!(test.ledger().is_empty());
    for (step, outcome) in
        [("good", "succeeded"), ("bad", "failed"), ("dependent", "blocked"), ("further", "blocked")]
    {
        assert_eq!(test.step_outcome(&run, step), outcome, "{step}");
    }
    let journal = test.journal(&run);
    let failed = journal.finished("bad");
    assert_eq!((&failed["exit_code"], &failed["signal"]), (&json!(7), &json!(null)));
    assert!(journal.reason("bad").starts_with("exit"), "{failed}");
    journal.one("step_blocked", "dependent");
    assert!(journal.of("step_started", "dependent").is_empty());
    assert_eq!(journal.kind("run_finished")[0]["outcome"], "failed");
}

#[test]
fn after_a_failure_nothing_new_starts_and_what_runs_ends() {
    let test = TestEnvironment::with(
        r#"
defaults: {timeout: 50s}
steps:
  - id: running
    run: |
      touch started
      while [ -e "$HOLD" ]; do sleep 0.02; done
      echo running >> "$LEDGER"
  - {id: bad, needs: [], run: 'until [ -e started ]; do sleep 0.02; done; exit 1'}
  - {id: later, needs: [running], run: echo later >> "$LEDGER"}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the failure in the journal", || {
        (!test.journal(&run).of("step_finished", "bad").is_empty()).then_some(())
    });
    test.release();
    live.wait().exits(1).ends("failed");
    assert_eq!(test.ledger(), ["running"], "what ran went on, what had not started did not start");
    assert_eq!(test.step_outcome(&run, "running"), "succeeded");
    assert_eq!(test.step_outcome(&run, "later"), "cancelled");
}

#[test]
fn each_way_to_fail_has_its_reason() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: status, run: exit 3, on_failure: continue}
  - {id: killed, run: kill -KILL $$, on_failure: continue}
  - {id: slow, run: sleep 60, timeout: 100ms, grace: 100ms, on_failure: continue}
  - {id: wrong, run: echo 5, expect: number > 6, on_failure: continue}
  - {id: missing, run: [no-such-program-anywhere], on_failure: continue}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    let journal = test.journal(&run);
    for (step, reason) in [
        ("status", "exit"),
        ("killed", "signal"),
        ("slow", "timeout"),
        ("wrong", "expectation"),
        ("missing", "spawn"),
    ] {
        assert_eq!(journal.finished(step)["outcome"], "failed", "{step}");
        assert!(journal.reason(step).starts_with(reason), "{step}: {}", journal.reason(step));
    }
    let killed = journal.finished("killed");
    assert_eq!((&killed["exit_code"], &killed["signal"]), (&json!(null), &json!("SIGKILL")));
    assert!(journal.reason("wrong").contains('5'), "the values it saw: {}", journal.reason("wrong"));
}

#[test]
fn on_failure_decides_about_dependents_and_the_run() {
    for (mode, outcome, code, ledger) in [
        ("stop", "failed", 1, &[][..]),
        ("continue", "failed", 1, &["after"]),
        ("warn", "succeeded", 0, &["after"]),
    ] {
        let body = |at_step: &str| {
            format!(
                "\nsteps:\n  - {{id: bad, run: exit 1{at_step}}}\n  - {{id: after, run: echo after >> \"$LEDGER\"}}\n"
            )
        };
        let test = TestEnvironment::with(&body(&format!(", on_failure: {mode}")));
        test.runbook(&["run", "main"]).exits(code).ends(outcome);
        assert_eq!(test.ledger(), ledger, "on_failure: {mode}");

        let test = TestEnvironment::with(&body(""));
        test.runbook(&["run", "main", "--on-failure", mode]).exits(code).ends(outcome);
        assert_eq!(test.ledger(), ledger, "--on-failure {mode}");

        let test = TestEnvironment::with(&format!("defaults: {{on_failure: {mode}}}\n{}", body("")));
        test.runbook(&["run", "main"]).exits(code).ends(outcome);
        assert_eq!(test.ledger(), ledger, "defaults: {mode}");
    }
}

#[test]
fn an_expectation_about_the_exit_code_replaces_the_default_one() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: differs, run: exit 1, expect: exit_code < 2}
  - {id: default, run: 'echo yes; exit 1', expect: stdout == "yes"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(test.step_outcome(&run, "differs"), "succeeded");
    assert_eq!(test.step_outcome(&run, "default"), "failed", "the probe's own success is expected too");
}

#[test]
fn when_skips_and_what_needs_it_goes_on() {
    let test = TestEnvironment::with(
        r#"
params: {migrate: false}
steps:
  - {id: migrate, when: params.migrate, run: echo migrate >> "$LEDGER"}
  - {id: after, run: echo after >> "$LEDGER"}
  - {id: seen, when: steps.migrate.skipped, run: echo seen >> "$LEDGER"}
  - {id: either, when: steps.migrate.succeeded or steps.after.failed, run: echo either >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["after", "seen"]);
    assert_eq!(test.step_outcome(&run, "migrate"), "skipped");
    let journal = test.journal(&run);
    let reason = journal.one("step_skipped", "migrate")["reason"].as_str().unwrap().to_owned();
    assert!(!reason.is_empty());
    test.runbook(&["run", "main", "-p", "migrate=true"]).succeeds();
    assert_eq!(test.ledger()[2..], ["migrate", "after", "either"]);
}

#[test]
fn a_failed_check_can_start_the_way_back_and_the_run_still_fails() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: verify, check: {run: exit 1}, on_failure: continue}
  - {id: back, when: steps.verify.failed, run: echo back >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).ends("failed").run_id();
    assert_eq!(test.ledger(), ["back"]);
    assert_eq!(test.step_outcome(&run, "back"), "succeeded");
}

#[test]
fn finally_runs_whatever_happened() {
    let body = |run: &str, finally: &str| {
        format!(
            "\nsteps:\n  - {{id: work, run: {run}}}\n  - {{id: later, run: \"true\"}}\nfinally:\n{finally}  - {{id: tell, run: 'echo {{{{ run.outcome }}}} >> \"$LEDGER\"'}}\n"
        )
    };
    let test = TestEnvironment::with(&body("'true'", ""));
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["succeeded"]);

    let test = TestEnvironment::with(&body(
        "exit 1",
        "  - {id: cleanup, when: run.failed, run: echo cleanup >> \"$LEDGER\"}\n",
    ));
    test.runbook(&["run", "main"]).exits(1);
    assert_eq!(test.ledger(), ["cleanup", "failed"]);

    let test =
        TestEnvironment::with(&body("'true'", "  - {id: cleanup, run: exit 1, on_failure: continue}\n"));
    test.runbook(&["run", "main"]).exits(1).ends("failed");
}

#[test]
fn an_expression_that_is_no_boolean_is_an_error_before_anything_runs() {
    for when in ["params.count", "'yes'", "1"] {
        let test = TestEnvironment::with(&format!(
            "params: {{count: {{type: integer, default: 1}}}}\nsteps:\n  - {{id: a, when: \"{when}\", run: echo a >> \"$LEDGER\"}}\n"
        ));
        test.runbook(&["run", "main"]).exits(2);
        assert!(test.ledger().is_empty() && test.runs().is_empty(), "{when}");
    }
}
