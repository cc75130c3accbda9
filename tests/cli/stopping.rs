//! `cancel`, signals and `background` (cli "Signals", language §4).

use crate::helpers::{Process, TestEnvironment, eventually, processes_of_run};

fn held() -> TestEnvironment {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: before, run: echo before >> "$LEDGER"}
  - id: long
    run: |
      echo long-started >> "$LEDGER"
      while [ -e "$HOLD" ]; do sleep 0.02; done
      echo long-ended >> "$LEDGER"
  - {id: after, run: echo after >> "$LEDGER"}
finally:
  - {id: last, run: echo last >> "$LEDGER"}
"#,
    );
    test.hold();
    test
}

fn await_ledger(test: &TestEnvironment, line: &str) {
    eventually(&format!("{line} in the ledger"), || {
        test.ledger().iter().any(|found| found == line).then_some(())
    });
}

#[test]
fn a_signal_stops_the_run_so_that_it_can_be_resumed() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let test = held();
        let mut live = test.spawn(&["run", "main"]);
        let run = live.run_id();
        await_ledger(&test, "long-started");
        live.signal(signal);
        let output = live.wait().exits(code).ends("stopped");
        assert!(output.stderr.contains("resume"), "what to do next: {output}");
        assert!(processes_of_run(&run).is_empty(), "its steps are over");
        let journal = test.journal(&run);
        assert_eq!(journal.kind("run_stopped")[0]["signal"], format!("SIG{signal}"));
        assert!(journal.kind("run_finished").is_empty());
        assert_eq!(test.ledger(), ["before", "long-started"], "`finally` waits");
        let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
        assert_eq!(status["outcome"], "interrupted");
        // What to do about the step it cut off is a person's decision.
        test.runbook(&["resume", &run]).exits(7).stderr_has("long");
        test.release();
        test.runbook(&["resume", &run, "--retry", "long"]).succeeds().ends("succeeded");
        assert_eq!(test.ledger(), ["before", "long-started", "long-started", "long-ended", "after", "last"]);
    }
}

#[test]
fn a_second_signal_after_a_step_that_ignores_the_first_kills() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: stubborn, grace: 1h, run: 'trap \"\" TERM INT; echo up >> \"$LEDGER\"; while true; do sleep 0.02; done'}\n",
    );
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    await_ledger(&test, "up");
    live.signal("TERM");
    eventually("the stop in the journal", || {
        let stopped = !test.journal(&run).kind("run_stopped").is_empty();
        live.signal("TERM");
        (stopped || live.is_over()).then_some(())
    });
    live.wait().exits(143);
    eventually("the end of the step", || processes_of_run(&run).is_empty().then_some(()));
}

#[test]
fn cancel_stops_a_live_run_and_finally_runs() {
    let test = held();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    await_ledger(&test, "long-started");
    test.runbook(&["cancel", &run]).succeeds();
    live.wait().exits(1).ends("cancelled");
    assert_eq!(test.ledger(), ["before", "long-started", "last"]);
    assert_eq!(test.step_outcome(&run, "long"), "cancelled");
    assert_eq!(test.step_outcome(&run, "after"), "cancelled");
    let journal = test.journal(&run);
    assert_eq!(journal.kind("cancel_requested").len(), 1);
    assert_eq!(journal.kind("run_finished")[0]["outcome"], "cancelled");
    test.runbook(&["cancel", &run]).exits(5);
    test.runbook(&["resume", &run]).exits(5);
}

#[test]
fn cancel_ends_a_parked_run() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: gate, approve: {prompt: Go?}}\n  - {id: after, run: echo after >> \"$LEDGER\"}\nfinally:\n  - {id: last, run: echo last >> \"$LEDGER\"}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    assert!(test.ledger().is_empty(), "a parked run is not over");
    test.runbook(&["cancel", &run]).succeeds();
    assert_eq!(test.ledger(), ["last"]);
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["outcome"], "cancelled");
}

const SERVER: &str = r#"
import http.server, sys, os
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
open("port.new", "w").write(str(server.server_address[1]))
os.rename("port.new", "port")
open("pid", "w").write(str(os.getpid()))
server.serve_forever()
"#;

#[test]
fn a_background_command_lives_until_the_run_is_over() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: serve
    run: [python3, server.py]
    background: {ready: {run: 'test -s port', every: 20ms}}
  - {id: use, run: 'exec 3<> "/dev/tcp/127.0.0.1/$(cat port)"; echo reached >> "$LEDGER"'}
finally:
  - {id: last, run: 'exec 3<> "/dev/tcp/127.0.0.1/$(cat port)"; echo reached >> "$LEDGER"'}
"#,
    );
    test.write("server.py", SERVER);
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["reached", "reached"]);
    assert!(!Process::is_alive(test.read("pid").parse().unwrap()), "ended with the run");
    assert_eq!(test.step_outcome(&run, "serve"), "succeeded");
}

#[test]
fn a_background_command_that_is_never_ready_fails() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: never, run: sleep 1000, background: {ready: {run: exit 1, every: 10ms, within: 200ms}}}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert!(test.ledger().is_empty());
    assert!(processes_of_run(&run).is_empty());
}

#[test]
fn a_background_command_that_dies_fails_the_run() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: serve
    run: 'touch up; until [ -e die ]; do sleep 0.02; done; exit 9'
    background: {ready: {run: test -e up, every: 10ms}}
  - {id: kill, run: 'touch die; while [ -e "$HOLD" ]; do sleep 0.02; done', timeout: 50s}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the end of the server in the journal", || {
        let journal = test.journal(&run);
        (!journal.of("background_ended", "serve").is_empty() || live.is_over()).then_some(())
    });
    test.release();
    live.wait().exits(1).ends("failed");
}

/// The engine that told a step to end died before the step did: the next one asks about it, and doesn't take it for over.
#[test]
fn what_an_engine_that_died_had_told_to_end_is_asked_about() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: a
    grace: 1m
    run: |
      trap 'echo told >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done; exit 3' TERM
      echo up >> "$LEDGER"
      while true; do sleep 0.02; done
  - {id: b, run: echo b >> "$LEDGER"}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    live.signal("TERM");
    eventually("the word to end", || (test.ledger() == ["up", "told"]).then_some(()));
    let _ = live.kill();
    let resumed = test.spawn(&["resume", &run]);
    eventually("the resume", || (test.journal(&run).kind("run_resumed").len() == 1).then_some(()));
    test.release();
    resumed.wait().exits(7);
    assert_eq!(test.step_outcome(&run, "a"), "interrupted");
    assert_eq!(test.ledger(), ["up", "told"]);
    test.runbook(&["resume", &run, "--skip", "a=it was told to end"]).succeeds();
    assert_eq!(test.ledger(), ["up", "told", "b"]);
}
