//! `resume` and what it is told (cli, language §8).

use crate::done_when::interrupted;
use crate::helpers::TestEnvironment;

fn fails_at_second() -> TestEnvironment {
    TestEnvironment::with(
        r#"
steps:
  - {id: one, run: echo one >> "$LEDGER"}
  - {id: two, run: 'echo two >> "$LEDGER"; test -e fixed'}
  - {id: three, run: echo three >> "$LEDGER"}
"#,
    )
}

#[test]
fn a_plain_resume_of_a_failed_run_needs_a_decision() {
    let test = fails_at_second();
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.runbook(&["resume", &run]).exits(7).stderr_has("--retry").stderr_has("--skip");
    assert_eq!(test.ledger(), ["one", "two"]);
}

#[test]
fn retry_runs_the_failed_step_again_and_no_other() {
    for arguments in [&["--retry", "two"][..], &["--retry-failed"]] {
        let test = fails_at_second();
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        test.write("fixed", "");
        let resume: Vec<&str> = ["resume", &run].into_iter().chain(arguments.iter().copied()).collect();
        test.runbook(&resume).succeeds().ends("succeeded");
        assert_eq!(test.ledger(), ["one", "two", "two", "three"]);
        let journal = test.journal(&run);
        let attempts: Vec<_> =
            journal.of("step_started", "two").iter().map(|event| event["attempt"].clone()).collect();
        assert_eq!(attempts, [1, 2]);
        assert!(journal.of("step_started", "two")[1]["why"].is_string(), "its record says why");
        assert_eq!(journal.kind("run_resumed").len(), 1);
        // A run that succeeded: nothing to do.
        test.runbook(&["resume", &run]).succeeds();
        assert_eq!(test.ledger().len(), 4);
    }
}

#[test]
fn skip_and_done_go_on_with_a_reason() {
    for (flag, outcome) in [("--skip", "skipped"), ("--done", "succeeded")] {
        let test = fails_at_second();
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        test.runbook(&["resume", &run, flag, "two"]).exits(2);
        test.runbook(&["resume", &run, flag, "two=fixed by hand"]).succeeds();
        assert_eq!(test.ledger(), ["one", "two", "three"]);
        assert_eq!(test.step_outcome(&run, "two"), outcome);
        assert!(test.journal(&run).lines.iter().any(|line| line.contains("fixed by hand")));
    }
}

#[test]
fn done_by_hand_gives_the_outputs_that_later_steps_need() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: make, run: 'echo file=made >> "$RUNBOOK_OUTPUT"; exit 1'}
  - {id: use, run: 'echo {{ steps.make.outputs.file }} >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.runbook(&["resume", &run, "--done", "make=by hand", "--output", "file=by-hand"]).succeeds();
    assert_eq!(test.ledger(), ["by-hand"]);
}

#[test]
fn finally_runs_again_when_a_run_that_had_ended_goes_on() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: work, run: test -e fixed}\nfinally:\n  - {id: tell, run: 'echo {{ run.outcome }} >> \"$LEDGER\"'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--retry", "work"]).succeeds();
    assert_eq!(test.ledger(), ["failed", "succeeded"]);
}

#[test]
fn what_runs_is_what_was_planned() {
    let test = fails_at_second();
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.write("fixed", "");
    // Edited in between: the run goes on with its own plan.
    test.runbook_named("main", "\nsteps:\n  - {id: two, run: echo edited >> \"$LEDGER\"}\n");
    test.runbook(&["resume", &run, "--retry", "two"]).succeeds();
    assert_eq!(test.ledger(), ["one", "two", "two", "three"]);
}

#[test]
fn a_plan_that_is_not_the_journals_is_refused() {
    let test = fails_at_second();
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    let plan = test.run_folder(&run).join("plan.json");
    let text = std::fs::read_to_string(&plan).unwrap();
    assert!(text.contains("echo three"), "{text}");
    std::fs::remove_file(&plan).unwrap();
    std::fs::write(&plan, text.replace("echo three", "echo evil")).unwrap();
    test.runbook(&["resume", &run, "--retry", "two"]).exits(6);
    assert_eq!(test.ledger(), ["one", "two"]);
}

#[test]
fn a_damaged_journal_is_refused_and_not_touched() {
    let test = fails_at_second();
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    let journal = test.run_folder(&run).join("journal-000001.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let damaged = text.replacen("\"outcome\":\"succeeded\"", "\"outcome\":\"failed\"", 1);
    assert_ne!(damaged, text);
    std::fs::write(&journal, &damaged).unwrap();
    test.runbook(&["resume", &run, "--retry", "two"]).exits(6);
    test.runbook(&["verify", &run]).exits(1);
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), damaged);
    assert_eq!(test.ledger(), ["one", "two"]);
}

#[test]
fn a_run_is_named_by_id_beginning_runbook_or_last() {
    let test = fails_at_second();
    test.write("fixed", "");
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    for name in [&run[..], &run[..18], "main", "last"] {
        let status = test.runbook(&["status", name, "--format", "json"]).succeeds().json();
        assert_eq!(status["run"], run, "{name}");
    }
    test.runbook(&["status", "nothing-like-it"]).exits(2);
}

#[test]
fn resume_of_what_never_was_is_a_usage_error() {
    let test = fails_at_second();
    test.runbook(&["resume", "20000101T000000-aaaa"]).exits(2);
    test.runbook(&["resume", "../../etc"]).exits(2);
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.runbook(&["resume", &run, "--retry", "nine"]).exits(2);
}

#[test]
fn of_fifty_that_resume_at_once_one_proceeds() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: gate, approve: {prompt: Go?}}
  - id: once
    run: |
      echo once >> "$LEDGER"
      while [ -e "$HOLD" ]; do sleep 0.02; done
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "gate"]).succeeds();
    test.hold();
    let mut contenders: Vec<_> = (0..50).map(|_| test.spawn(&["resume", &run])).collect();
    // All but the winner give up while it holds the run.
    crate::helpers::eventually("49 to give up", || {
        let over = contenders.iter_mut().filter_map(|live| live.is_over().then_some(())).count();
        (over == 49).then_some(())
    });
    test.release();
    let codes: Vec<i32> = contenders.into_iter().map(|live| live.wait().whatever_status().code()).collect();
    assert_eq!(codes.iter().filter(|&&code| code == 0).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|&&code| code == 5).count(), 49, "{codes:?}");
    assert_eq!(test.ledger(), ["once"]);
    test.runbook(&["verify", &run]).succeeds();
}

/// Who loses is told who holds the run.
#[test]
fn a_run_that_is_live_elsewhere_is_refused_with_its_holder() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'echo up >> \"$LEDGER\"; while [ -e \"$HOLD\" ]; do sleep 0.02; done'}\n",
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    crate::helpers::eventually("the step", || (!test.ledger().is_empty()).then_some(()));
    test.runbook(&["resume", &run]).exits(5).stderr_has(&live.pid().to_string());
    test.release();
    live.wait().succeeds();
}

/// "These also answer the question of an interrupted step": each of them, and what comes of it.
#[test]
fn each_way_to_go_on_answers_the_question_of_an_interrupted_step() {
    let table: [(&[&str], &[&str], &str); 5] = [
        (&["--retry", "a"], &["up", "up", "done", "b"], "succeeded"),
        (&["--from", "a"], &["up", "up", "done", "b"], "succeeded"),
        (&["--skip", "a=not needed"], &["up", "b"], "skipped"),
        (&["--done", "a=I looked"], &["up", "b"], "succeeded"),
        (&["--adopt", "--done", "a=I looked"], &["up", "edited"], "succeeded"),
    ];
    for (arguments, ledger, outcome) in table {
        let (test, run) = interrupted("{http: 'http://127.0.0.1:1/'}");
        if arguments.contains(&"--adopt") {
            let text = test.read("runbooks/main.yaml");
            test.write("runbooks/main.yaml", &text.replace("echo b ", "echo edited "));
        }
        test.runbook(&["resume", &run]).exits(7).stderr_has("--retry");
        let resume: Vec<&str> = ["resume", &run].into_iter().chain(arguments.iter().copied()).collect();
        test.runbook(&resume).succeeds().ends("succeeded");
        assert_eq!(test.ledger(), ledger, "{arguments:?}");
        assert_eq!(test.step_outcome(&run, "a"), outcome, "{arguments:?}");
        test.runbook(&["verify", &run]).succeeds();
    }
}

#[test]
fn a_run_that_is_over_is_not_resumed() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: gate, approve: Go?}\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["reject", &run, "--reason", "no"]).succeeds();
    test.runbook(&["resume", &run]).whatever_status();
    let before = test.journal(&run).lines;
    for arguments in [&[][..], &["--retry", "gate"], &["--retry-failed"], &["--from", "gate"], &["--adopt"]] {
        let resume: Vec<&str> = ["resume", &run].into_iter().chain(arguments.iter().copied()).collect();
        test.runbook(&resume).exits(5).stderr_has("rejected");
    }
    assert_eq!(test.journal(&run).lines, before);
}

#[test]
fn with_json_the_standard_output_is_the_segment_and_nothing_else() {
    let test = fails_at_second();
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.write("fixed", "");
    let resumed = test.runbook(&["resume", &run, "--retry-failed", "--format", "json"]).succeeds();
    let segment = std::fs::read_to_string(test.run_folder(&run).join("journal-000002.jsonl")).unwrap();
    assert_eq!(resumed.stdout, segment);
    assert_eq!(resumed.json_lines()[0]["kind"], "journal_opened");
    assert_eq!(resumed.json_lines().last().unwrap()["kind"], "sealed");
    assert!(resumed.stderr.starts_with(&format!("run {run} main\n")), "{resumed}");
}

#[test]
fn the_first_line_names_the_run_and_the_last_its_outcome() {
    for arguments in [&["--retry", "two"][..], &["--from", "one"], &["--adopt", "--retry", "two"]] {
        let test = fails_at_second();
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        let text = test.read("runbooks/main.yaml");
        test.write("runbooks/main.yaml", &text.replace("echo three", "echo 3"));
        test.write("fixed", "");
        let resume: Vec<&str> = ["resume", &run].into_iter().chain(arguments.iter().copied()).collect();
        let resumed = test.runbook(&resume).succeeds();
        assert!(resumed.stderr.starts_with(&format!("run {run} main\n")), "{resumed}");
        assert_eq!(resumed.last_line(), format!("run {run} succeeded"));
    }
}
