//! `done_when`: what is done already is not done again, and after an interruption the world is asked before a person is.

use crate::helpers::{Live, Process, TestEnvironment, eventually, processes_of_run, send};

#[test]
fn a_step_that_is_done_already_is_skipped() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, done_when: {file: '{{ env.MARK }}'}, env: {MARK: mark}, run: echo a >> "$LEDGER"; touch mark}
  - {id: b, done_when: test -e mark, ask: Really?, run: echo b >> "$LEDGER"}
  - {id: c, needs: [b], when: 'false', done_when: touch looked, run: echo c >> "$LEDGER"}
  - {id: d, needs: [c], run: 'echo d >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["a", "d"], "nobody is asked about what is done already");
    assert_eq!(test.step_outcome(&run, "b"), "skipped");
    let journal = test.journal(&run);
    assert_eq!(journal.one("done_checked", "a")["done"], false);
    assert_eq!(journal.one("done_checked", "b")["done"], true);
    assert!(journal.one("step_skipped", "b")["reason"].as_str().unwrap().starts_with("done_when"));
    assert!(journal.of("step_started", "b").is_empty());
    // `when` comes first: a step that is not wanted isn't looked at.
    assert!(!test.project().join("looked").exists());
    let again = test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["a", "d", "d"]);
    assert!(again.stderr.contains("a skipped: done_when"), "{again}");
    test.runbook(&["verify", &run]).succeeds();
}

/// Where nothing can be measured the step isn't known to be done: it is what the runbook is for.
#[test]
fn a_look_that_sees_nothing_starts_the_step() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, done_when: {http: 'http://127.0.0.1:1/', expect: status == 200}, run: echo a >> "$LEDGER"}
  - {id: b, done_when: {tcp: '127.0.0.1:1'}, run: echo b >> "$LEDGER"}
  - {id: c, done_when: {run: 'echo 7', expect: number > 6}, run: echo c >> "$LEDGER"}
  - {id: d, done_when: {run: 'echo 7', expect: number > 7}, run: echo d >> "$LEDGER"}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["a", "b", "d"]);
}

#[test]
fn groups_and_items_can_be_done_already() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: group, done_when: 'true', steps: [{id: inner, run: echo inner >> "$LEDGER"}]}
  - {id: each, for_each: [x, y], done_when: 'test {{ item }} = x', run: 'echo {{ item }} >> "$LEDGER"'}
  - id: manual
    done_when: 'true'
    manual: Do it
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["y"]);
}

#[test]
fn a_mistake_in_it_fails_the_step() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, run: 'echo {} '}
  - {id: b, done_when: {file: '{{ steps.a.json.path }}'}, run: echo b >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert!(test.ledger().is_empty());
    assert!(
        test.journal(&run).reason("b").starts_with("template: done_when"),
        "{}",
        test.journal(&run).reason("b")
    );
}

/// A run whose step is killed with all that knew of it.
pub(crate) fn interrupted(done_when: &str) -> (TestEnvironment, String) {
    let test = TestEnvironment::with(&format!(
        r#"
rollback: auto
steps:
  - id: a
    done_when: {done_when}
    run: 'echo up >> "$LEDGER"; touch half; while [ -e "$HOLD" ]; do sleep 0.02; done; echo done >> "$LEDGER"'
    undo: {{run: echo undo-a >> "$LEDGER"}}
  - {{id: b, run: '[ ! -e broken ] && echo b >> "$LEDGER"'}}
"#
    ));
    test.hold();
    let mut live: Live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    let (shell, keeper) = eventually("the step's process and its keeper", || {
        let processes = processes_of_run(&run);
        let shell =
            processes.iter().find(|process| !processes.iter().any(|other| other.pid == process.parent))?;
        Some((shell.clone(), shell.keeper(&run)?))
    });
    let _ = live.kill();
    send(keeper.pid, "KILL");
    send(shell.pid, "KILL");
    Process::wait_until_gone(shell.pid);
    test.release();
    eventually("its children's end", || processes_of_run(&run).is_empty().then_some(()));
    (test, run)
}

#[test]
fn an_interrupted_step_that_took_effect_has_succeeded() {
    let (test, run) = interrupted("test -e half");
    let resumed = test.runbook(&["resume", &run]).succeeds().ends("succeeded");
    assert!(resumed.stderr.contains("a succeeded: it took effect"), "{resumed}");
    assert_eq!(test.ledger(), ["up", "b"], "it is not run a second time");
    assert_eq!(test.step_outcome(&run, "a"), "succeeded");
    let journal = test.journal(&run);
    let checks: Vec<_> = journal.of("done_checked", "a").iter().map(|event| event["done"].clone()).collect();
    assert_eq!(checks, [false, true]);
    assert!(journal.kind("gate_opened").is_empty());
    test.runbook(&["verify", &run]).succeeds();
}

/// What took effect is undone like anything else that was done.
#[test]
fn what_took_effect_is_undone() {
    let (test, run) = interrupted("test -e half");
    test.write("broken", "");
    test.runbook(&["resume", &run]).exits(1);
    assert_eq!(test.ledger(), ["up", "undo-a"]);
}

#[test]
fn an_interrupted_step_that_took_no_effect_is_done_again_and_says_so() {
    let (test, run) = interrupted("test -e whole");
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["up", "up", "done", "b"]);
    let journal = test.journal(&run);
    assert_eq!(journal.of("step_started", "a")[1]["why"], "done_when: it did not take effect");
}

/// Nothing was measured: that is no answer, and the next rule decides.
#[test]
fn an_interrupted_step_of_which_nothing_is_seen_is_asked_about() {
    let (test, run) = interrupted("{http: 'http://127.0.0.1:1/'}");
    test.runbook(&["resume", &run]).exits(7).stderr_has("is not known to have taken effect");
    assert_eq!(test.ledger(), ["up"]);
    test.runbook(&["resume", &run, "--done", "a=I looked"]).succeeds();
    assert_eq!(test.ledger(), ["up", "b"]);
}

/// A word on the command line wins over what is declared.
#[test]
fn a_word_about_an_interrupted_step_wins() {
    let (test, run) = interrupted("test -e half");
    test.runbook(&["resume", &run, "--retry", "a"]).succeeds();
    assert_eq!(test.ledger(), ["up", "up", "done", "b"]);
}
