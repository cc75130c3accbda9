//! What the procedures of an operations team meet: narrow terminals, people who may not answer, long lists.

use crate::helpers::{Connection, TestEnvironment, eventually};

/// A name as long as a step of a group has is a column like any other, at sixty columns too.
#[test]
fn status_keeps_its_columns_on_a_narrow_terminal() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - id: immediate\n    steps:\n      - {id: acknowledge-it, run: 'true'}\n      - {id: pods, run: 'true'}\n",
    )
    .variable("COLUMNS", "60");
    test.runbook(&["run", "main"]).succeeds();
    let shown = test.runbook(&["status", "last"]).succeeds().stdout;
    let columns: Vec<usize> =
        shown.lines().filter_map(|line| line.strip_prefix("  ✓ ")?.find("succeeded")).collect();
    assert_eq!(columns.len(), 3, "{shown}");
    assert!(columns.iter().all(|column| *column == columns[0]), "{shown}");
}

/// Nobody types a reason and three fields only to be told that it does not count.
#[test]
fn who_may_not_answer_is_told_at_the_word() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: gate, approve: {prompt: Go?, from: [somebody-else], fields: {ticket: {}}}}\n",
    );
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("Not by you");
    terminal.await_text("or ?:");
    terminal.type_line("approve");
    let shown = terminal.await_text("may not answer");
    assert!(!shown.contains("because"), "{shown}");
    terminal.await_text("or ?:");
    terminal.press_ctrl_c();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 3, "{shown}");
    assert!(!shown.contains("ticket:"), "{shown}");
}

/// SIGHUP: the run goes on without a terminal until it needs a person, then parks (engine §4); live lines stood on it.
#[test]
fn a_connection_that_breaks_while_steps_run_does_not_stop_the_run() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: deploy, run: 'echo up >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done; echo done >> "$LEDGER"'}
  - {id: next, run: 'echo next >> "$LEDGER"'}
  - {id: gate, approve: {prompt: Go?}}
"#,
    );
    test.hold();
    let mut connection = Connection::start(&test.command(&["run", "main"]));
    // The live line of the step.
    connection.await_text("while [ -e");
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    let mut engine = connection.close();
    test.release();
    assert_eq!(engine.wait().unwrap().code(), Some(3));
    assert_eq!(test.ledger(), ["up", "done", "next"]);
    test.runbook(&["status", "last"]).succeeds().stdout_has("waiting");
}

/// Of a step that a signal ended it is known how it ended: the question doesn't say that nobody knows.
#[test]
fn the_question_about_a_stopped_step_says_what_ended_it() {
    // It ends by the signal, or takes no notice of it and is killed: the run was stopped by the signal in both cases.
    for (heeds, grace) in [("", "1s"), ("trap \"\" TERM; ", "100ms")] {
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n  - {{id: deploy, run: '{heeds}echo up >> \"$LEDGER\"; sleep 60', grace: {grace}}}\n"
        ));
        let live = test.spawn(&["run", "main"]);
        eventually("the step", || (test.ledger() == ["up"]).then_some(()));
        live.signal("TERM");
        live.wait().exits(143);
        test.runbook(&["resume", "last"])
            .exits(7)
            .stderr_has("deploy was stopped with the run (SIGTERM) before it was over. Did it take effect?");
    }
}

/// Times in messages are those of `status`.
#[test]
fn a_refused_start_says_when_the_window_opens_as_people_write_it() {
    let days = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    // The first day was a Thursday; in three days from now it is not today, whatever midnight comes between.
    let day = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"][usize::try_from((days + 3) % 7).unwrap()];
    let test = TestEnvironment::with(&format!(
        "\nwindow: {{allow: [{{days: [{day}], from: \"02:00\", to: \"02:01\", tz: UTC}}]}}\nsteps:\n  - {{id: a, run: 'true'}}\n"
    ));
    let refused = test.runbook(&["run", "main"]).exits(5);
    assert!(refused.stderr.contains(" 02:00:00 UTC"), "{}", refused.stderr);
}

/// A list of stubs is for one attempt after the other, of a check that probes once as of a command.
#[test]
fn a_rehearsed_check_that_is_tried_again_takes_the_next_stub() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: health, check: {http: 'http://h/', expect: status == 200}, retry: {times: 2, delay: 1s}}\n",
    );
    test.write(
        "runbooks/main.test.yaml",
        "scenarios:\n  - {name: second, steps: {health: [{status: 503}, {status: 200}]}, expect: {outcome: succeeded, order: [health, health]}}\n",
    );
    test.runbook(&["test", "main"]).succeeds();
}

/// The SQL that a command reads, and what a request sends, are what would happen as much as the command is.
#[test]
fn plan_shows_what_a_command_reads_and_a_request_sends() {
    let test = TestEnvironment::with(
        r#"
params: {table: tasks}
steps:
  - {id: first, run: echo 7}
  - {id: analyze, run: 'psql -X -v t={{ params.table }}', stdin: 'ANALYZE {{ params.table }};'}
  - {id: page, http: {method: POST, url: 'http://h/', json: {name: '{{ steps.first.stdout }}', on: true, of: ['{{ params.table }}']}}}
"#,
    );
    let shown = test.runbook(&["plan", "main"]).succeeds();
    for part in [
        "     reads ANALYZE tasks;\n",
        "     sends {\"name\":\"‹steps.first.stdout›\",\"on\":true,\"of\":[\"tasks\"]}\n",
    ] {
        assert!(shown.stdout.contains(part), "{part:?} is not in\n{}", shown.stdout);
    }
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    assert_eq!(plan["steps"][1]["stdin"], "ANALYZE tasks;");
    assert!(plan["steps"][0].get("stdin").is_none());
}

/// A step with items says what it runs for when it starts, not the name of a key.
#[test]
fn a_step_with_items_says_what_it_runs_for() {
    let test = TestEnvironment::with(
        "\nparams: {hosts: {type: list, default: [a, b]}}\nsteps:\n  - {id: all, for_each: params.hosts, run: 'echo {{ item }}'}\n  - {id: two, for_each: [1, 2], run: 'echo {{ item }}'}\n",
    );
    let ran = test.runbook(&["run", "main"]).succeeds();
    assert!(ran.stderr.contains("▸ all for each of params.hosts\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("▸ two for each of 2 items\n"), "{}", ran.stderr);
}

/// A page to read has the bounds of values, what a command reads, and what is only warned of.
#[test]
fn show_has_bounds_warnings_and_what_a_command_reads() {
    let test = TestEnvironment::with(
        r#"
params: {days: {type: integer, min: 7, max: 90, default: 30}}
steps:
  - {id: disk, check: {disk: /, expect: used_percent < 99, warn: used_percent < 85}}
  - {id: clean, run: psql -X, stdin: "DELETE FROM logs;"}
"#,
    );
    let page = test.runbook(&["show", "main"]).succeeds().stdout;
    for part in [
        "integer, at least 7, at most 90, default 30",
        "warns unless used_percent < 85",
        "reads DELETE FROM logs;",
    ] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
}

/// What a step leaves in `run.dir`, or above its folder, is kept under its names, and found there by `verify`.
#[test]
fn artifacts_from_elsewhere_are_kept_and_can_be_verified() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: own, run: 'echo list > "$RUNBOOK_RUN_DIR/going"', artifacts: ['{{ run.dir }}/going']}
  - {id: above, cwd: runbooks, run: 'echo x > ../beside.txt', artifacts: [../beside.txt]}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    test.runbook(&["verify", &run]).succeeds();
    let kept = test.run_folder(&run).join("artifacts/above/beside.txt");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "x\n");
    std::fs::write(&kept, "y\n").unwrap();
    test.runbook(&["verify", &run]).exits(1).stdout_or_stderr_has("beside.txt");
}

/// Whoever comes second is told who was first, and where to look.
#[test]
fn a_run_that_is_held_elsewhere_can_be_watched() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'echo up >> \"$LEDGER\"; while [ -e \"$HOLD\" ]; do sleep 0.02; done'}\n",
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    test.runbook(&["resume", &run])
        .exits(5)
        .stderr_has("is held by")
        .stderr_has(&format!("→ runbook watch {run}"));
    test.release();
    live.wait().succeeds();
}
