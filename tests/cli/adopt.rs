//! A run goes on with an edited runbook, or from an earlier step (`resume --adopt`, `resume --from`; cli).

use crate::helpers::{TestEnvironment, eventually};

const FAILS: &str = r#"
steps:
  - {id: one, run: echo one >> "$LEDGER"}
  - {id: two, run: 'echo two >> "$LEDGER"; test -e fixed'}
  - {id: three, run: echo three >> "$LEDGER"}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#;

fn sha256(path: &std::path::Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(std::fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The world and the run's id, after `main` has ended with a status.
fn after(body: &str, status: i32) -> (TestEnvironment, String) {
    let test = TestEnvironment::with(body);
    let run = test.runbook(&["run", "main"]).exits(status).run_id();
    (test, run)
}

#[test]
fn adopt_takes_the_edited_runbook_and_records_what_differs() {
    let (test, run) = after(FAILS, 1);
    test.runbook_named(
        "main",
        r#"
steps:
  - {id: one, run: echo changed >> "$LEDGER"}
  - {id: two, run: 'echo better >> "$LEDGER"'}
  - {id: between, run: echo between >> "$LEDGER"}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#,
    );
    test.runbook(&["resume", &run, "--adopt", "--retry", "two"])
        .succeeds()
        .ends("succeeded")
        .stderr_has("`one` changed")
        .stderr_has("`three` removed")
        .stderr_has("`between` added");
    assert_eq!(test.ledger(), ["one", "two", "last", "better", "between", "last"]);
    let journal = test.journal(&run);
    let adopted = journal.kind("run_adopted");
    assert_eq!(adopted.len(), 1);
    let differences = adopted[0]["differences"].as_array().unwrap();
    assert!(
        differences.iter().any(|said| said.as_str().unwrap().starts_with("`one` changed")
            && said.as_str().unwrap().contains("not run again")),
        "{differences:?}"
    );
    let plan = test.run_folder(&run).join("plan.json");
    assert_eq!(sha256(&plan), adopted[0]["plan_digest"]);
    assert!(std::fs::read_to_string(test.run_folder(&run).join("runbook.yaml")).unwrap().contains("between"));
    test.runbook(&["verify", &run]).succeeds();
    assert_eq!(test.step_outcome(&run, "between"), "succeeded");
    // What is read again afterwards follows both plans.
    test.runbook(&["status", &run]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
}

#[test]
fn without_adopt_an_edit_changes_nothing() {
    let (test, run) = after(FAILS, 1);
    test.write("fixed", "");
    test.runbook_named("main", "\nsteps:\n  - {id: other, run: 'false'}\n");
    test.runbook(&["resume", &run, "--retry", "two"]).succeeds();
    assert!(test.journal(&run).kind("run_adopted").is_empty());
}

#[test]
fn adopting_what_has_not_changed_is_a_plain_resume() {
    let (test, run) = after(FAILS, 1);
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--adopt", "--retry", "two"]).succeeds();
    assert!(test.journal(&run).kind("run_adopted").is_empty());
}

#[test]
fn a_finished_step_must_still_be_there() {
    let table = [
        // The one that succeeded, and the one that failed.
        "\nsteps:\n  - {id: two, run: 'true'}\n",
        "\nsteps:\n  - {id: one, run: 'true'}\n",
        // It has become something else altogether.
        "\nsteps:\n  - {id: one, approve: Go?}\n  - {id: two, run: 'true'}\nfinally:\n  - {id: last, run: 'true'}\n",
        // A mistake.
        "\nsteps:\n  - {id: one}\n",
    ];
    for edited in table {
        let (test, run) = after(FAILS, 1);
        test.runbook_named("main", edited);
        let before = test.journal(&run).lines;
        test.runbook(&["resume", &run, "--adopt", "--retry", "two"]).exits(2);
        assert_eq!(test.journal(&run).lines, before, "{edited}");
        assert_eq!(test.ledger(), ["one", "two", "last"]);
        test.runbook(&["verify", &run]).succeeds();
    }
}

#[test]
fn approvals_given_before_are_void_and_asked_again() {
    let body = r#"
steps:
  - {id: gate, approve: {prompt: Really?}}
  - {id: two, run: 'echo two >> "$LEDGER"; test -e fixed'}
  - {id: three, run: echo three >> "$LEDGER"}
"#;
    let test = TestEnvironment::with(body);
    let run = test.runbook(&["run", "main", "--approve", "gate=seen"]).exits(1).run_id();
    test.runbook_named("main", &body.replace("echo three", "echo other"));
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--adopt", "--retry", "two"]).exits(3);
    assert_eq!(test.ledger(), ["two"], "nothing may run behind a void approval");
    let journal = test.journal(&run);
    assert_eq!(journal.of("gate_opened", "gate").len(), 2);
    let digests: Vec<_> =
        journal.of("gate_opened", "gate").iter().map(|event| event["digest"].clone()).collect();
    assert_ne!(digests[0], digests[1]);
    test.runbook(&["approve", &run, "gate"]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["two", "two", "other"]);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn an_open_question_is_asked_anew_with_its_new_text() {
    let (test, run) =
        after("\nsteps:\n  - {id: gate, approve: {prompt: Old?}}\n  - {id: a, run: 'true'}\n", 3);
    test.runbook_named(
        "main",
        "\nsteps:\n  - {id: gate, approve: {prompt: New?}}\n  - {id: a, run: 'true'}\n",
    );
    test.runbook(&["resume", &run, "--adopt"]).exits(3).stdout_or_stderr_has("New?");
    test.runbook(&["approve", &run, "gate"]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
}

#[test]
fn items_that_were_settled_stay() {
    let body = r#"
steps:
  - {id: each, for_each: [a, b], run: 'echo "{{ item }}" >> "$LEDGER"'}
  - {id: then, run: 'test -e fixed'}
"#;
    let (test, run) = after(body, 1);
    test.runbook_named(
        "main",
        &body.replace("[a, b]", "[a, b, c]").replace("test -e fixed", "echo then >> $LEDGER"),
    );
    test.runbook(&["resume", &run, "--adopt", "--retry", "then"]).succeeds();
    assert_eq!(test.ledger(), ["a", "b", "then"]);
}

#[test]
fn a_plan_that_is_not_the_last_adopted_one_is_refused() {
    let (test, run) = after(FAILS, 1);
    let folder = test.run_folder(&run);
    let old = std::fs::read(folder.join("plan.json")).unwrap();
    test.runbook_named("main", &FAILS.replace("echo three", "echo 3"));
    test.runbook(&["resume", &run, "--adopt", "--retry", "two"]).exits(1);
    std::fs::write(folder.join("plan.json"), &old).unwrap();
    test.runbook(&["resume", &run, "--retry", "two"]).exits(6);
    test.runbook(&["verify", &run]).exits(1);
}

/// The new plan is in place, and the journal does not say so yet.
#[test]
fn an_adoption_that_was_cut_off_never_was() {
    let (test, run) = after(FAILS, 1);
    let folder = test.run_folder(&run);
    let digest = sha256(&folder.join("plan.json"));
    std::fs::copy(folder.join("plan.json"), folder.join(format!("plan-{digest}.json"))).unwrap();
    let text = std::fs::read_to_string(folder.join("plan.json")).unwrap();
    std::fs::write(folder.join("plan.json"), text.replace("echo three", "echo new")).unwrap();
    test.runbook(&["status", &run]).succeeds();
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--retry", "two"]).succeeds();
    assert_eq!(test.ledger(), ["one", "two", "last", "two", "three", "last"]);
    assert_eq!(sha256(&folder.join("plan.json")), digest);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn from_runs_a_step_and_all_that_follows_again() {
    let body = r#"
steps:
  - {id: one, run: echo one >> "$LEDGER"}
  - {id: two, run: echo two >> "$LEDGER"}
  - {id: aside, needs: [one], run: echo aside >> "$LEDGER"}
  - {id: three, needs: [two, aside], run: 'echo three >> "$LEDGER"; test -e fixed'}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#;
    let (test, run) = after(body, 1);
    test.write("fixed", "");
    let before = test.ledger().len();
    test.runbook(&["resume", &run, "--from", "two"]).succeeds().ends("succeeded");
    assert_eq!(test.ledger()[before..], ["two", "three", "last"]);
    let journal = test.journal(&run);
    let again = journal.of("step_started", "two");
    assert!(again[1]["why"].as_str().unwrap().starts_with("resume --from two by "), "{}", again[1]);
    assert_eq!(journal.of("step_started", "one").len(), 1);
    assert_eq!(journal.kind("rewound").len(), 1);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn from_asks_the_approvals_that_follow_again_and_no_others() {
    let body = r#"
steps:
  - {id: first, approve: Begin?}
  - {id: build, run: echo build >> "$LEDGER"}
  - {id: second, approve: Ship?}
  - {id: ship, run: 'echo ship >> "$LEDGER"; test -e fixed'}
"#;
    let test = TestEnvironment::with(body);
    let run =
        test.runbook(&["run", "main", "--approve", "first=y", "--approve", "second=y"]).exits(1).run_id();
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--from", "build"]).exits(3);
    assert_eq!(test.ledger(), ["build", "ship", "build"]);
    let journal = test.journal(&run);
    assert_eq!(journal.of("gate_opened", "first").len(), 1);
    assert_eq!(journal.of("gate_opened", "second").len(), 2);
    // From a parked run, too: the open question is taken back.
    test.runbook(&["resume", &run, "--from", "build"]).exits(3);
    test.runbook(&["approve", &run, "second"]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["build", "ship", "build", "build", "ship"]);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn from_inside_a_group_runs_the_rest_of_it_and_what_follows_the_group() {
    let body = r#"
steps:
  - id: stage
    steps:
      - {id: a, run: echo a >> "$LEDGER"}
      - {id: b, run: echo b >> "$LEDGER"}
      - {id: c, run: echo c >> "$LEDGER"}
  - {id: then, run: 'echo then >> "$LEDGER"; test -e fixed'}
"#;
    let (test, run) = after(body, 1);
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--from", "stage.b"]).succeeds();
    assert_eq!(test.ledger(), ["a", "b", "c", "then", "b", "c", "then"]);
    let (test, run) = after(body, 1);
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--from", "stage"]).succeeds();
    assert_eq!(test.ledger(), ["a", "b", "c", "then", "a", "b", "c", "then"]);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn from_what_is_not_there_or_has_not_started_is_a_usage_error() {
    let (test, run) = after(FAILS, 1);
    for step in ["nine", "three", "last"] {
        test.runbook(&["resume", &run, "--from", step]).exits(2).stderr_has(step);
    }
    test.runbook(&["resume", &run, "--from", "two", "--retry", "two"]).exits(2);
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--from", "two"]).succeeds();
    test.runbook(&["resume", &run, "--from", "two"]).succeeds();
    assert_eq!(test.ledger(), ["one", "two", "last", "two", "three", "last"]);
}

/// `done_when` is about the first attempt, and this is another one, which somebody asked for.
#[test]
fn from_does_again_what_is_done_already() {
    let body = r#"
steps:
  - {id: build, run: echo build >> "$LEDGER"}
  - {id: deploy, done_when: test -e deployed, run: 'echo deploy >> "$LEDGER"; touch deployed'}
  - {id: never, done_when: 'true', run: echo never >> "$LEDGER"}
  - {id: look, run: test -e fixed}
"#;
    let (test, run) = after(body, 1);
    test.write("fixed", "");
    test.runbook(&["resume", &run, "--from", "build"]).succeeds();
    assert_eq!(test.ledger(), ["build", "deploy", "build", "deploy"]);
    test.runbook(&["verify", &run]).succeeds();
}

const UNDONE: &str = r#"
rollback: auto
steps:
  - {id: one, run: echo one >> "$LEDGER", undo: {run: echo undo-one >> "$LEDGER"}}
  - {id: two, for_each: [a, b], run: 'echo "{{ item }}" >> "$LEDGER"', undo: {run: 'echo "undo-{{ item }}" >> "$LEDGER"'}}
  - {id: bad, run: test -e fixed}
"#;

#[test]
fn an_undone_run_is_neither_adopted_nor_taken_back() {
    let (test, run) = after(UNDONE, 1);
    let before = test.journal(&run).lines;
    test.runbook_named("main", &UNDONE.replace("test -e fixed", "'true'"));
    test.runbook(&["resume", &run, "--adopt"]).exits(5).stderr_has("was undone");
    test.runbook(&["resume", &run, "--from", "one"]).exits(5).stderr_has("was undone");
    assert_eq!(test.journal(&run).lines, before);
    assert_eq!(test.ledger(), ["one", "a", "b", "undo-b", "undo-a", "undo-one"]);
}

#[test]
fn what_is_undone_later_is_undone_as_the_adopted_runbook_says() {
    let body = UNDONE.replace("auto", "manual");
    let (test, run) = after(&body, 1);
    test.runbook_named("main", &body.replace("undo-one", "better-one"));
    test.runbook(&["resume", &run, "--adopt", "--retry", "bad"]).exits(1).stderr_has("undo: ");
    test.runbook(&["rollback", &run]).succeeds();
    assert_eq!(test.ledger(), ["one", "a", "b", "undo-b", "undo-a", "better-one"]);
    test.runbook(&["verify", &run]).succeeds();
    test.runbook(&["status", &run]).succeeds();
}

#[test]
fn what_ran_again_is_undone_once() {
    let body = UNDONE.replace("auto", "manual");
    let (test, run) = after(&body, 1);
    test.runbook(&["resume", &run, "--from", "two"]).exits(1);
    test.runbook(&["rollback", &run]).succeeds();
    assert_eq!(test.ledger(), ["one", "a", "b", "a", "b", "undo-b", "undo-a", "undo-one"]);
}

#[test]
fn a_run_that_was_rejected_or_cancelled_is_not_adopted() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: gate, approve: Go?}\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["cancel", &run]).succeeds();
    test.runbook_named("main", "\nsteps:\n  - {id: gate, approve: Really go?}\n");
    test.runbook(&["resume", &run, "--adopt"]).exits(5).stderr_has("cancelled");
    assert!(test.journal(&run).kind("run_adopted").is_empty());
}

#[test]
fn a_run_that_succeeded_adopts_nothing() {
    let (test, run) = after("\nsteps:\n  - {id: a, run: 'true'}\n", 0);
    test.runbook_named("main", "\nsteps:\n  - {id: b, run: 'true'}\n");
    let before = test.journal(&run).lines;
    test.runbook(&["resume", &run, "--adopt"]).succeeds();
    assert_eq!(test.journal(&run).lines, before);
}

#[test]
fn a_watch_follows_a_run_across_its_adoption() {
    let body = r#"
steps:
  - {id: one, run: echo one >> "$LEDGER"}
  - {id: two, run: test -e fixed}
"#;
    let (test, run) = after(body, 1);
    test.runbook_named(
        "main",
        r#"
steps:
  - {id: one, run: echo one >> "$LEDGER"}
  - {id: two, run: 'true'}
  - {id: added, run: 'echo added >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done'}
"#,
    );
    test.hold();
    let live = test.spawn(&["resume", &run, "--adopt", "--retry", "two"]);
    eventually("the new step", || (test.ledger() == ["one", "added"]).then_some(()));
    let watch = test.spawn(&["watch", &run]);
    test.release();
    live.wait().succeeds();
    watch.wait().succeeds().stderr_has("added");
}

/// Which run it is comes first, also where somebody is asked about the differences.
#[test]
fn at_a_terminal_the_run_is_named_before_the_differences() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: 'true'}\n  - {id: bad, run: 'false'}\n");
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.runbook_named("main", "\nsteps:\n  - {id: a, run: 'true'}\n  - {id: bad, run: 'true'}\n");
    let mut terminal = test.at_terminal(&["resume", &run, "--adopt", "--retry", "bad"]);
    let before = terminal.await_text("The runbook has changed since");
    assert!(before.contains(&format!("run {run} main")), "{before}");
    terminal.await_text("Go on with it?");
    terminal.type_line("yes");
    let (code, shown) = terminal.finish();
    assert_eq!((code, shown.matches(&format!("run {run} main")).count()), (0, 1), "{shown}");
}
