//! `retry`, `timeout` and `grace` (language §3).

use crate::helpers::{HOLD, TestEnvironment, eventually};

/// Fails until it has been tried three times.
const THIRD_TIME: &str = r#"echo "$RUNBOOK_ATTEMPT" >> "$LEDGER"; [ "$RUNBOOK_ATTEMPT" = 3 ]"#;

#[test]
fn retries_are_further_attempts_with_growing_delays() {
    let test = TestEnvironment::with(&format!(
        "\nsteps:\n  - {{id: flaky, run: '{THIRD_TIME}', retry: {{times: 3, delay: 20ms, backoff: 2, jitter: false}}}}\n"
    ));
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["1", "2", "3"]);
    let journal = test.journal(&run);
    let delays: Vec<_> = journal
        .of("retry_scheduled", "flaky")
        .iter()
        .map(|event| event["delay_ms"].as_u64().unwrap())
        .collect();
    assert_eq!(delays, [20, 40]);
    let outcomes: Vec<_> =
        journal.of("step_finished", "flaky").iter().map(|event| event["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "failed", "succeeded"]);
    let attempts: Vec<_> =
        journal.of("step_started", "flaky").iter().map(|event| event["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["steps"][0]["attempts"], 3);
}

#[test]
fn max_delay_bounds_the_delay_and_the_short_form_counts_further_attempts() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: bounded, run: exit 1, retry: {times: 3, delay: 10ms, backoff: 10, max_delay: 50ms, jitter: false}, on_failure: continue}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    let journal = test.journal(&run);
    let delays: Vec<_> = journal
        .of("retry_scheduled", "bounded")
        .iter()
        .map(|event| event["delay_ms"].as_u64().unwrap())
        .collect();
    assert_eq!(delays, [10, 50, 50]);

    let test = TestEnvironment::with(
        "\ndefaults: {retry: 1}\nsteps:\n  - {id: a, run: 'echo a >> \"$LEDGER\"; exit 1'}\n",
    );
    test.runbook(&["run", "main"]).exits(1);
    assert_eq!(test.ledger(), ["a", "a"], "one more attempt after the first");
}

#[test]
fn only_the_named_exit_codes_are_retried() {
    for (code, attempts) in [(75, 3), (1, 1)] {
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n  - {{id: a, run: 'echo a >> \"$LEDGER\"; exit {code}', retry: {{times: 2, delay: 10ms, exit_codes: [75]}}}}\n"
        ));
        test.runbook(&["run", "main"]).exits(1);
        assert_eq!(test.ledger().len(), attempts, "exit {code}");
    }
}

#[test]
fn a_timeout_asks_first_and_then_kills() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: obeys
    timeout: 3s
    grace: 50s
    on_failure: continue
    run: |
      trap 'echo obeyed >> "$LEDGER"; exit 3' TERM
      sleep 60 & wait
  - id: ignores
    needs: []
    timeout: 3s
    grace: 100ms
    on_failure: continue
    run: |
      trap '' TERM
      echo $$ > pid
      while true; do sleep 0.05; done
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(test.ledger(), ["obeyed"]);
    let journal = test.journal(&run);
    for step in ["obeys", "ignores"] {
        assert!(journal.reason(step).starts_with("timeout"), "{step}: {}", journal.reason(step));
    }
    let pid = test.read("pid").trim().parse().unwrap();
    assert!(!crate::helpers::Process::is_alive(pid), "it must be dead when the step is over");
}

/// What a command leaves running is ended with its step, and doesn't hold it.
#[test]
fn processes_left_behind_are_ended_with_the_step() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: leaves, run: 'sleep 1000 & echo $! > pid'}
  - {id: daemon, run: 'setsid sleep 1000 > /dev/null 2>&1 & sleep 0; echo done'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    let pid = test.read("pid").trim().parse().unwrap();
    assert!(!crate::helpers::Process::is_alive(pid));
}

/// Where the system gives no more descriptors, a step fails for that reason, and nothing is in doubt: it never began.
#[test]
fn what_no_keeper_could_be_had_for_has_failed() {
    let steps: String = (0..60)
        .map(|number| {
            format!("  - {{id: s{number}, needs: [], run: 'echo s{number} >> \"$LEDGER\"; {HOLD}'}}\n")
        })
        .collect();
    let test = TestEnvironment::with(&format!(
        "max_parallel: 60\ndefaults: {{on_failure: continue}}\nsteps:\n{steps}"
    ));
    test.hold();
    let engine = test.command(&["run", "main"]);
    let mut limited = std::process::Command::new("bash");
    limited.args(["-c", "ulimit -n 48; exec \"$0\" run main"]).arg(engine.get_program());
    limited.current_dir(test.project()).env_clear();
    limited.envs(engine.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut live = test.spawn_command(limited);
    let run = live.run_id();
    eventually("one has failed", || (!test.journal(&run).kind("step_finished").is_empty()).then_some(()));
    test.release();
    live.wait().exits(1);
    let journal = test.journal(&run);
    let mut began = test.ledger();
    let mut succeeded: Vec<String> = Vec::new();
    for number in 0..60 {
        let step = format!("s{number}");
        let finished = journal.finished(&step);
        if finished["outcome"] == "succeeded" {
            succeeded.push(step);
        } else {
            let reason = journal.reason(&step);
            assert!(reason.starts_with("spawn: no keeper could be started: Too many open files"), "{reason}");
        }
    }
    began.sort();
    succeeded.sort();
    assert_eq!(began, succeeded);
    assert!(began.len() < 60);
}
