//! `kill -9` of the engine, of the keeper, of both, and of the engine at each of its writes (engine §3, §4).

use std::process::Command;

use crate::helpers::{Journal, Live, Process, TestEnvironment, eventually, processes_of_run, send};

const THREE: &str = r#"
steps:
  - {id: one, run: echo one >> "$LEDGER"}
  - id: two
    run: |
      echo two-started >> "$LEDGER"
      while [ -e "$HOLD" ]; do sleep 0.02; done
      echo two-ended >> "$LEDGER"
      echo value=42 >> "$RUNBOOK_OUTPUT"
      echo printed
  - {id: three, run: 'echo "three {{ steps.two.stdout }} {{ steps.two.outputs.value }}" >> "$LEDGER"'}
"#;

const ONCE: [&str; 4] = ["one", "two-started", "two-ended", "three printed 42"];

/// A run whose second step is held.
fn held() -> (TestEnvironment, Live, String) {
    let test = TestEnvironment::with(THREE);
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the second step", || test.ledger().contains(&"two-started".to_owned()).then_some(()));
    (test, live, run)
}

/// The step's shell and its keeper.
fn step_and_keeper(run: &str) -> (Process, Process) {
    eventually("the step's process and its keeper", || {
        let processes = processes_of_run(run);
        let shell =
            processes.iter().find(|process| !processes.iter().any(|other| other.pid == process.parent))?;
        Some((shell.clone(), shell.keeper(run)?))
    })
}

/// A deploy is not cut in half by our crash, and its result isn't lost.
#[test]
fn a_step_outlives_the_engine_and_its_result_is_recovered() {
    let (test, live, run) = held();
    let (shell, _) = step_and_keeper(&run);
    let _ = live.kill();
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["outcome"], "interrupted", "{status}");
    test.release();
    Process::wait_until_gone(shell.pid);
    test.runbook(&["resume", &run]).succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ONCE);
    let journal = test.journal(&run);
    let finished = journal.one("step_finished", "two");
    assert_eq!(
        (&finished["recovered"], &finished["attempt"], &finished["exit_code"]),
        (&true.into(), &1.into(), &0.into())
    );
    assert_eq!(journal.of("step_started", "two").len(), 1);
    test.runbook(&["verify", &run]).succeeds();
    test.runbook(&["logs", &run, "two"]).succeeds().stdout_has("printed");
}

/// Whoever resumes while the step still runs waits for it.
#[test]
fn resume_waits_for_a_step_that_still_runs() {
    let (test, live, run) = held();
    let (shell, _) = step_and_keeper(&run);
    let _ = live.kill();
    let mut resumed = test.spawn(&["resume", &run]);
    eventually("the resume in the journal", || {
        (test.journal(&run).kind("run_resumed").len() == 1).then_some(())
    });
    assert!(!resumed.is_over() && Process::is_alive(shell.pid));
    test.release();
    resumed.wait().succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ONCE);
}

#[test]
fn a_step_that_failed_while_nobody_looked_has_failed() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, run: 'echo up >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done; exit 5'}
  - {id: b, run: echo b >> "$LEDGER"}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    let (shell, _) = step_and_keeper(&run);
    let _ = live.kill();
    test.release();
    Process::wait_until_gone(shell.pid);
    let output = test.runbook(&["resume", &run]).whatever_status();
    assert!([1, 7].contains(&output.code()), "{output}");
    let journal = test.journal(&run);
    let finished = journal.one("step_finished", "a");
    assert_eq!(
        (&finished["exit_code"], &finished["recovered"], &finished["outcome"]),
        (&5.into(), &true.into(), &"failed".into())
    );
    assert_eq!(test.ledger(), ["up"]);
}

/// With the keeper gone too nobody knows how the step ended: it is named, and nothing new starts.
#[test]
fn without_a_witness_the_step_is_interrupted_and_survivors_are_named() {
    let (test, live, run) = held();
    let (shell, keeper) = step_and_keeper(&run);
    let _ = live.kill();
    send(keeper.pid, "KILL");
    Process::wait_until_gone(keeper.pid);
    assert!(Process::is_alive(shell.pid), "this test is about a survivor");
    test.runbook(&["resume", &run]).exits(7).stderr_has("two").stderr_has(&shell.pid.to_string());
    assert_eq!(test.step_outcome(&run, "two"), "interrupted");
    // While it runs, the step is not run a second time.
    let refused = test.runbook(&["resume", &run, "--retry", "two"]).whatever_status();
    assert_ne!(refused.code(), 0, "{refused}");
    assert_eq!(test.ledger(), ["one", "two-started"]);
    test.release();
    Process::wait_until_gone(shell.pid);
    // Now it is over, and still nobody knows how.
    test.runbook(&["resume", &run]).exits(7);
    test.runbook(&["resume", &run, "--done", "two=it went through", "--output", "value=42"])
        .succeeds()
        .ends("succeeded");
    let ledger = test.ledger();
    assert_eq!(ledger[..3], ["one", "two-started", "two-ended"], "not a second time");
    assert!(ledger[3].starts_with("three "), "{ledger:?}");
}

#[test]
fn on_interrupt_rerun_runs_it_again() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, on_interrupt: rerun, run: 'echo up >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done; echo done >> "$LEDGER"'}
  - {id: b, on_interrupt: fail, run: echo b >> "$LEDGER"}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    let (shell, keeper) = step_and_keeper(&run);
    let _ = live.kill();
    send(keeper.pid, "KILL");
    send(shell.pid, "KILL");
    Process::wait_until_gone(shell.pid);
    test.release();
    eventually("its children's end", || processes_of_run(&run).is_empty().then_some(()));
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["up", "up", "done", "b"]);
    assert_eq!(test.journal(&run).of("step_started", "a").len(), 2);
}

/// A check that a crash cut off is done again without asking.
#[test]
fn an_interrupted_check_is_done_again() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, check: {run: 'echo probe >> \"$LEDGER\"; test ! -e \"$HOLD\"', every: 20ms, within: 50s}}\n  - {id: b, run: echo b >> \"$LEDGER\"}\n",
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("a probe", || (!test.ledger().is_empty()).then_some(()));
    let _ = live.kill();
    test.release();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger().last().unwrap(), "b");
}

/// A keeper's death under a living engine is handled at once as on resume.
#[test]
fn a_keeper_that_dies_under_a_living_engine_leaves_an_interrupted_step() {
    let (test, live, run) = held();
    let (shell, keeper) = step_and_keeper(&run);
    send(keeper.pid, "KILL");
    Process::wait_until_gone(keeper.pid);
    live.wait().exits(7).stderr_has("two");
    test.release();
    Process::wait_until_gone(shell.pid);
    assert_eq!(test.step_outcome(&run, "two"), "interrupted");
    assert!(!test.ledger().iter().any(|line| line.starts_with("three")));
}

/// Killed again and again, wherever it happens to be, it gets to the same end, each step once.
#[test]
fn killed_at_many_moments_each_step_runs_once() {
    let steps: String =
        (0..12).map(|i| format!("  - {{id: s{i}, run: echo s{i} >> \"$LEDGER\"}}\n")).collect();
    let expected: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
    let test = TestEnvironment::with(&format!("\nsteps:\n{steps}"));
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    for round in 0..12 {
        // As soon as one more step has written its line.
        eventually("one more line", || (test.ledger().len() > round || live.is_over()).then_some(()));
        let _ = live.kill();
        live = test.spawn(&["resume", &run]);
        eventually("the next engine", || {
            let resumed = test.journal(&run).kind("run_resumed").len() > round;
            (resumed || live.is_over()).then_some(())
        });
    }
    let output = live.wait().whatever_status();
    assert_eq!(output.code(), 0, "{output}");
    assert_eq!(test.ledger(), expected);
    let journal = test.journal(&run);
    for i in 0..12 {
        let finished = journal.of("step_finished", &format!("s{i}"));
        assert_eq!(finished.len(), 1, "s{i} in\n{}", journal.lines.join("\n"));
    }
    test.runbook(&["verify", &run]).succeeds();
}

/// The engine killed at its n-th flush to disk, for each n until it ends by itself: nothing is lost, nothing happens twice.
fn killed_at_each_flush(body: &str, others: &[(&str, &str)], code: i32, ledger: &[&str]) {
    let mut survived = None;
    for number in 1..80 {
        let test = TestEnvironment::with(body);
        for (name, body) in others {
            test.runbook_named(name, body);
        }
        let mut command = Command::new("strace");
        let injection = format!("inject=fdatasync,fsync:signal=KILL:when={number}");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &injection]);
        let plain = test.command(&["run", "main"]);
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(test.project()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(std::process::Stdio::null());
        let output = test.spawn_command(command).wait().whatever_status();
        if output.code() == code {
            survived = Some(number);
            break;
        }
        let runs = test.runs();
        for run in &runs {
            let folder = test.run_folder(run);
            if Journal::read(&folder).kind("run_created").is_empty() {
                continue;
            }
            eventually("the end of its steps", || processes_of_run(run).is_empty().then_some(()));
            let over = !Journal::read(&folder).kind("run_finished").is_empty();
            let resumed = test.runbook(&["resume", run]).whatever_status();
            let as_expected =
                if over && code != 0 { [5, 7].contains(&resumed.code()) } else { resumed.code() == code };
            let lines = || Journal::read(&folder).lines.join("\n");
            assert!(as_expected, "killed at flush {number}: {resumed}\n{}", lines());
            assert_eq!(test.ledger(), ledger, "killed at flush {number}\n{}", lines());
            test.runbook(&["verify", run]).succeeds();
        }
        if test.ledger().is_empty() {
            // It had not begun: nothing of it happened.
            assert!(
                runs.iter().all(|run| Journal::read(&test.run_folder(run)).kind("run_created").is_empty())
            );
        }
    }
    let survived = survived.expect("some number of flushes is enough for a run");
    assert!(survived > 3, "it was killed at {} flushes only", survived - 1);
}

#[test]
fn killed_at_each_flush_each_step_runs_once() {
    let body = "\nsteps:\n  - {id: a, run: echo a >> \"$LEDGER\"}\n  - {id: b, run: echo b >> \"$LEDGER\"}\n";
    killed_at_each_flush(body, &[], 0, &["a", "b"]);
}

#[test]
fn killed_at_each_flush_each_undo_runs_once() {
    let body = r#"
rollback: auto
steps:
  - {id: a, run: echo a >> "$LEDGER", undo: {run: echo undo-a >> "$LEDGER"}}
  - {id: b, run: echo b >> "$LEDGER", undo: {run: echo undo-b >> "$LEDGER"}}
  - {id: bad, run: exit 1}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#;
    killed_at_each_flush(body, &[], 1, &["a", "b", "undo-b", "undo-a", "last"]);
}

#[test]
fn killed_at_each_flush_each_step_of_a_called_undo_runs_once() {
    let body = r#"
rollback: auto
steps:
  - {id: a, run: echo a >> "$LEDGER", undo: {call: back}}
  - {id: bad, run: exit 1}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#;
    let back = r#"
steps:
  - {id: x, run: echo x >> "$LEDGER"}
  - {id: y, run: echo y >> "$LEDGER"}
finally:
  - {id: tidy, run: echo tidy >> "$LEDGER"}
"#;
    killed_at_each_flush(body, &[("back", back)], 1, &["a", "x", "y", "tidy", "last"]);
}

/// A torn last line is what a crash leaves: kept, reported, no obstacle.
#[test]
fn a_torn_last_line_is_no_damage() {
    let (test, live, run) = held();
    let (shell, _) = step_and_keeper(&run);
    let _ = live.kill();
    test.release();
    Process::wait_until_gone(shell.pid);
    let segment = test.run_folder(&run).join("journal-000001.jsonl");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.truncate(bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1);
    bytes.extend_from_slice(b"{\"seq\":99,\"at\":\"2026-");
    std::fs::write(&segment, &bytes).unwrap();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ONCE);
}

/// What was decided is on disk before anything of it happens.
#[test]
fn a_step_is_recorded_before_it_starts() {
    let test = TestEnvironment::new();
    let journals = test.state().join("runs").display().to_string();
    test.runbook_named(
        "main",
        &format!("\nsteps:\n  - {{id: a, run: 'grep -c step_started {journals}/\"$RUNBOOK_RUN_ID\"/journal-*.jsonl >> \"$LEDGER\"'}}\n"),
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["1"]);
}

/// A keeper that comes to life after a resume has taken its attempt away does nothing.
#[test]
fn a_late_keeper_does_nothing() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: one, run: 'echo one >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done'}
  - {id: two, run: echo two >> "$LEDGER"}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the first step", || (test.ledger() == ["one"]).then_some(()));
    let (_, keeper) = step_and_keeper(&run);
    // Who forks the keepers sleeps, so that the second one is asked for and not yet there when the engine dies.
    let helper = keeper.parent;
    assert_eq!(Process::find(helper).unwrap().parent, live.pid());
    send(helper, "STOP");
    test.release();
    eventually("the start of the second step in the journal", || {
        (!test.journal(&run).of("step_started", "two").is_empty()).then_some(())
    });
    let _ = live.kill();
    test.runbook(&["resume", &run]).succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ["one", "two"]);
    send(helper, "CONT");
    Process::wait_until_gone(helper);
    eventually("the end of what it may have started", || processes_of_run(&run).is_empty().then_some(()));
    assert_eq!(test.ledger(), ["one", "two"], "not a second time");
    let journal = test.journal(&run);
    assert_eq!(journal.of("step_started", "two").len(), 1, "the same attempt, no retry used");
    test.runbook(&["verify", &run]).succeeds();
}
