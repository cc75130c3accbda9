//! `kill -9` of the one process that forks keepers: it costs nothing but a line of tracing, and runs nothing twice.

use crate::helpers::{Live, Process, TestEnvironment, eventually, processes_of_run, send};

const SIDE_BY_SIDE: &str = r#"
steps:
  - {id: one, run: 'echo one >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done'}
  - {id: alone, lock: mine, run: echo alone >> "$LEDGER"}
  - {id: a, needs: [alone], run: echo a >> "$LEDGER"}
  - {id: b, needs: [alone], run: echo b >> "$LEDGER"}
  - {id: c, needs: [alone], check: {run: echo c >> "$LEDGER"}}
  - {id: last, run: echo last >> "$LEDGER"}
"#;

/// A run whose first step is held, and the helper of its engine.
fn held() -> (TestEnvironment, Live, String, u32) {
    let test = TestEnvironment::with(SIDE_BY_SIDE);
    test.hold();
    let mut live = test.spawn(&["run", "main", "-v"]);
    let run = live.run_id();
    eventually("the first step", || (test.ledger() == ["one"]).then_some(()));
    let shell = eventually("its process", || {
        let processes = processes_of_run(&run);
        processes.iter().find(|one| !processes.iter().any(|other| other.pid == one.parent)).cloned()
    });
    let helper = shell.keeper(&run).expect("a keeper").parent;
    assert_eq!(Process::find(helper).expect("a helper").parent, live.pid());
    (test, live, run, helper)
}

#[track_caller]
fn each_ran_once(test: &TestEnvironment, live: Live, run: &str) {
    let output = live.wait().succeeds().ends("succeeded").stderr_has("the helper is gone");
    let mut ledger = test.ledger();
    ledger[2..5].sort();
    assert_eq!(ledger, ["one", "alone", "a", "b", "c", "last"], "{output}");
    let journal = test.journal(run);
    for step in ["one", "alone", "a", "b", "c", "last"] {
        journal.one("step_started", step);
        journal.one("step_finished", step);
    }
    test.runbook(&["verify", run]).succeeds();
}

#[test]
fn a_helper_that_is_killed_between_two_steps_is_replaced() {
    let (test, live, run, helper) = held();
    send(helper, "KILL");
    Process::wait_until_gone(helper);
    test.release();
    each_ran_once(&test, live, &run);
}

/// What it was asked for, and hadn't seen yet, goes to the next one.
#[test]
fn a_helper_that_is_killed_with_requests_before_it_starts_nothing_twice() {
    let (test, live, run, helper) = held();
    send(helper, "STOP");
    test.release();
    // It has its lock's descriptor, so it needs a keeper of its own.
    eventually("the next step", || (test.journal(&run).of("step_started", "alone").len() == 1).then_some(()));
    send(helper, "KILL");
    each_ran_once(&test, live, &run);
}
