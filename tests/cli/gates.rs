//! Gates: `approve` and `manual`, answered ahead, from elsewhere and later (language §6, cli "Answering").

use serde_json::Value;

use crate::helpers::{TestEnvironment, eventually};

fn gated() -> TestEnvironment {
    TestEnvironment::with(
        r#"
params: {version: v1}
steps:
  - {id: before, run: echo before >> "$LEDGER"}
  - {id: approve, approve: {prompt: "Promote {{ params.version }}?", details: "{{ steps.before.exit_code }}"}}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    )
}

/// What is taken back because of another step says so: nobody decided it.
#[test]
fn a_gate_and_a_wait_that_another_step_ends_name_it() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: gate, needs: [], approve: {prompt: "Go?"}}
  - {id: wait, needs: [], wait: 1h}
  - {id: bad, needs: [], run: 'while [ -e "$HOLD" ]; do sleep 0.02; done; exit 3'}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the question", || (test.journal(&run).of("gate_opened", "gate").len() == 1).then_some(()));
    test.release();
    let output = live.wait().exits(1);
    let journal = test.journal(&run);
    for step in ["gate", "wait"] {
        assert_eq!(journal.finished(step)["outcome"], "cancelled", "{output}");
        assert_eq!(journal.reason(step), "stopped: bad failed", "{output}");
    }
    assert_eq!(journal.one("gate_closed", "gate")["reason"], "bad failed");
    // Both are begun again when the run goes on, and are no interrupted steps.
    let live = test.spawn(&["resume", &run, "--skip", "bad=known"]);
    eventually("both again", || {
        let journal = test.journal(&run);
        let again = |step: &str| journal.of("step_started", step).len() == 2;
        (again("gate") && again("wait")).then_some(())
    });
    assert!(!live.stderr().contains("interrupted"), "{}", live.stderr());
    // What a person ends is said to be a person's doing.
    test.runbook(&["cancel", &run]).succeeds();
    live.wait().exits(1);
    let journal = test.journal(&run);
    assert!(journal.reason("gate").starts_with("operator: cancelled by "), "{}", journal.reason("gate"));
}

#[test]
fn without_anyone_to_ask_a_run_parks_and_goes_on_after_the_answer() {
    let test = gated();
    let run = test.runbook(&["run", "main"]).exits(3).ends("waiting").run_id();
    assert_eq!(test.ledger(), ["before"]);
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["outcome"], "waiting");
    assert_eq!(status["waiting_for"][0]["step"], "approve");
    assert_eq!(status["waiting_for"][0]["gate"], "approve");
    assert_eq!(status["waiting_for"][0]["prompt"], "Promote v1?");
    // Resuming answers nothing.
    test.runbook(&["resume", &run]).exits(3);
    // Answering starts nothing.
    test.runbook(&["approve", &run, "approve", "--reason", "looks good"]).succeeds();
    assert_eq!(test.ledger(), ["before"]);
    test.runbook(&["resume", &run]).succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ["before", "after"]);
    let journal = test.journal(&run);
    let answer = journal.one("gate_answered", "approve");
    assert_eq!(
        (&answer["answer"], &answer["via"], &answer["reason"]),
        (&"approve".into(), &"command".into(), &"looks good".into())
    );
    assert!(!answer["by"].as_str().unwrap().is_empty());
    journal.one("gate_opened", "approve");
    journal.one("gate_closed", "approve");
    assert_eq!(journal.kind("run_parked")[0]["waiting_for"][0]["step"], "approve");
}

#[test]
fn an_answer_can_resume_at_once() {
    let test = gated();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["before", "after"]);
}

#[test]
fn answers_given_ahead_count_and_are_recorded_as_such() {
    for flag in [&["--approve", "approve=first try"][..], &["--answer", "approve=approve:first try"]] {
        let test = gated();
        let arguments: Vec<&str> = ["run", "main"].iter().chain(flag).copied().collect();
        let run = test.runbook(&arguments).succeeds().ends("succeeded").run_id();
        assert_eq!(test.ledger(), ["before", "after"]);
        let journal = test.journal(&run);
        let answer = journal.one("gate_answered", "approve");
        assert_eq!((&answer["via"], &answer["reason"]), (&"ahead".into(), &"first try".into()));
    }
    let test = gated();
    test.runbook(&["run", "main", "--answer", "approve=reject:too early"]).exits(4).ends("rejected");
    assert_eq!(test.ledger(), ["before"]);
    let test = gated();
    test.runbook(&["run", "main", "--approve", "aprove=typo"]).exits(2).stderr_has("aprove");
    assert!(test.runs().is_empty());
}

#[test]
fn nothing_but_an_answer_approves() {
    let test = gated();
    let mut command = test.command(&["run", "main"]);
    let answers = test.write("answers", &"approve\nyes\ny\n\n".repeat(1000));
    command.stdin(std::fs::File::open(answers).unwrap());
    test.spawn_command(command).wait().exits(3).ends("waiting");
    assert_eq!(test.ledger(), ["before"]);
    for refused in [&["run", "main", "--yes"][..], &["run", "main", "-y"]] {
        test.runbook(refused).exits(2);
    }
}

#[test]
fn an_approval_is_no_step_to_skip_or_do_by_hand() {
    let test = gated();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    for arguments in [
        &["resume", &run, "--skip", "approve=why not"][..],
        &["resume", &run, "--done", "approve=did it"],
        &["answer", &run, "approve", "skip", "--reason", "why not"],
    ] {
        test.runbook(arguments).exits(2);
    }
    assert_eq!(test.runbook(&["status", &run, "--format", "json"]).succeeds().json()["outcome"], "waiting");
    for key in ["retry: 2", "timeout: 5s", "on_failure: continue"] {
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n  - id: gate\n    {key}\n    approve: {{prompt: Go?}}\n"
        ));
        test.runbook(&["validate", "main"]).exits(1).stdout_or_stderr_has(key.split(':').next().unwrap());
    }
}

#[test]
fn a_rejection_ends_the_run() {
    let test = gated();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["reject", &run, "approve"]).exits(2).stderr_has("reason");
    test.runbook(&["reject", &run, "approve", "--reason", "not on a Friday"]).succeeds();
    // Nothing was left to run: it ended there and then.
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["outcome"], "rejected");
    test.runbook(&["resume", &run]).exits(5);
    assert_eq!(test.step_outcome(&run, "approve"), "rejected");
    assert_eq!(test.step_outcome(&run, "after"), "blocked");
    assert_eq!(test.ledger(), ["before"]);
}

#[test]
fn a_live_run_takes_answers_from_another_process() {
    let test = gated();
    let mut live = test.spawn(&["run", "main", "--wait"]);
    let run = live.run_id();
    eventually("the open gate", || {
        (!test.journal(&run).of("gate_opened", "approve").is_empty()).then_some(())
    });
    assert!(!live.is_over());
    test.runbook(&["approve", &run, "approve", "--reason", "go"]).succeeds();
    live.wait().succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ["before", "after"]);
}

#[test]
fn a_live_run_can_be_rejected_from_another_process() {
    let test = gated();
    let mut live = test.spawn(&["run", "main", "--wait"]);
    let run = live.run_id();
    eventually("the open gate", || {
        (!test.journal(&run).of("gate_opened", "approve").is_empty()).then_some(())
    });
    test.runbook(&["reject", &run, "--reason", "no"]).succeeds();
    live.wait().exits(4).ends("rejected");
}

#[test]
fn a_changed_input_voids_an_approval() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: approve, approve: {prompt: Run the script?}}
  - {id: use, run: sh script.sh, inputs: [script.sh]}
"#,
    );
    test.write("script.sh", "echo good >> \"$LEDGER\"\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "approve"]).succeeds();
    test.write("script.sh", "echo evil >> \"$LEDGER\"\n");
    let output = test.runbook(&["resume", &run]).whatever_status();
    assert_ne!(output.code(), 0, "{output}");
    assert!(
        test.ledger().is_empty(),
        "what was approved is not what would run: {:?}\n{output}",
        test.ledger()
    );
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["waiting_for"][0]["step"], "approve", "asked for again: {status}");
}

#[test]
fn an_answer_to_nothing_is_refused() {
    let test = gated();
    test.runbook(&["approve", "20000101T000000-aaaa", "approve"]).exits(2);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "nonsense"]).exits(2);
    test.runbook(&["done", &run, "approve"]).exits(2);
    test.runbook(&["answer", &run, "approve", "perhaps"]).exits(2);
    test.runbook(&["approve", &run, "approve"]).succeeds();
    // The same again changes nothing.
    test.runbook(&["approve", &run, "approve"]).succeeds();
    assert_eq!(test.journal(&run).of("gate_answered", "approve").len(), 1);
}

#[test]
fn two_open_gates_are_told_apart() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: east, approve: {prompt: East?}}\n  - {id: west, needs: [], approve: {prompt: West?}}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run]).exits(2).stderr_has("east").stderr_has("west");
    test.runbook(&["approve", &run, "west"]).succeeds();
    test.runbook(&["approve", &run]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
}

#[test]
fn a_gate_whose_when_is_false_passes() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: gate, when: \"false\", approve: {prompt: Go?}}\n  - {id: after, run: echo after >> \"$LEDGER\"}\n",
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.step_outcome(&run, "gate"), "skipped");
    assert_eq!(test.ledger(), ["after"]);
}

/// A step cannot approve its own run.
#[test]
fn a_step_may_not_answer_for_its_own_run() {
    let test = TestEnvironment::new();
    let binary = env!("CARGO_BIN_EXE_runbook");
    let state = test.state();
    test.runbook_named(
        "main",
        &format!(
            "\nsteps:\n  - {{id: gate, approve: {{prompt: Go?}}}}\n  - id: sly\n    needs: []\n    run: |\n      code=0; '{binary}' --state '{}' approve \"$RUNBOOK_RUN_ID\" gate || code=$?\n      echo \"$code\" >> \"$LEDGER\"\n",
            state.display()
        ),
    );
    test.runbook(&["run", "main"]).exits(3);
    assert_eq!(test.ledger(), ["5"]);
}

fn with_checklist() -> TestEnvironment {
    TestEnvironment::with(
        r#"
steps:
  - id: checklist
    manual: {prompt: Before the release, checklist: [Tests pass, Stakeholders notified, Backup taken]}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    )
}

#[test]
fn a_checklist_is_ticked_item_by_item() {
    let test = with_checklist();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["done", &run, "checklist"]).exits(5);
    test.runbook(&["done", &run, "checklist", "--item", "2"]).succeeds();
    test.runbook(&["done", &run, "checklist", "--item", "4"]).exits(2);
    test.runbook(&["done", &run, "checklist"]).exits(5);
    test.runbook(&["done", &run, "checklist", "--item", "1", "--item", "3"]).succeeds();
    test.runbook(&["done", &run, "checklist"]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    let journal = test.journal(&run);
    let ticked: Vec<Value> = journal
        .of("gate_answered", "checklist")
        .iter()
        .flat_map(|answer| answer["items"].as_array().cloned().unwrap_or_default())
        .collect();
    assert!([1, 2, 3].iter().all(|item| ticked.contains(&(*item).into())), "{ticked:?}");
}

#[test]
fn all_ticks_the_rest_and_a_failure_needs_a_reason() {
    let test = with_checklist();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["done", &run, "--all", "--note", "as always", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);

    let test = with_checklist();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["done", &run, "--failed"]).exits(2);
    test.runbook(&["done", &run, "--failed", "--reason", "no backup"]).succeeds();
    assert_eq!(test.step_outcome(&run, "checklist"), "failed");
    assert!(test.ledger().is_empty());
}

#[test]
fn a_string_is_a_short_manual_step() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: look, manual: Look at the dashboard}\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["done", &run, "look", "--resume"]).succeeds();
    test.runbook(&["run", "main", "--answer", "look=done"]).succeeds();
}
