//! Single sentences of the command line's and the engine's pages that no other module has a test for.

use crate::helpers::{Terminal, TestEnvironment};

/// language §4: "What a command leaves running is ended with the step and recorded"; cli: `leaked` (step, pids).
#[test]
fn what_a_command_leaves_running_is_recorded_with_its_pids() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: leaves, run: 'sleep 1000 > /dev/null 2>&1 & echo $! > pid'}\n  - {id: clean, run: 'true'}\n",
    );
    let run = test.runbook(&["run", "main"]).succeeds().stderr_has("ended with it").run_id();
    let pid: u64 = test.read("pid").trim().parse().unwrap();
    let journal = test.journal(&run);
    let leaked = journal.one("leaked", "leaves");
    assert_eq!(leaked["pids"], serde_json::json!([pid]), "{leaked}");
    assert_eq!(journal.of("leaked", "clean").len(), 0);
    assert!(journal.seq("leaked", "leaves") < journal.seq("step_finished", "leaves"));
}

/// language §7: a step itself may be named in its `outputs`.
#[test]
fn a_step_may_be_named_in_its_own_outputs() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: a
    run: 'echo "{\"v\": 7}"; echo oops >&2; echo written=5 >> "$RUNBOOK_OUTPUT"'
    outputs:
      text: steps.a.stdout
      value: steps.a.json.v
      error: steps.a.stderr
      code: steps.a.exit_code + 1
      twice: steps.a.outputs.written ~ steps.a.outputs.written
  - id: c
    check: {run: echo 3, expect: number == 3}
    outputs: {n: steps.c.number, code: steps.c.exit_code}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let journal = test.journal(&run);
    let outputs = &journal.finished("a")["outputs"];
    assert_eq!(outputs["text"], "{\"v\": 7}", "{outputs}");
    assert_eq!((&outputs["value"], &outputs["error"]), (&7.into(), &"oops".into()), "{outputs}");
    assert_eq!((&outputs["code"], &outputs["twice"]), (&1.into(), &"55".into()), "{outputs}");
    assert_eq!(journal.finished("c")["outputs"], serde_json::json!({"n": 3, "code": 0}));
}

/// An option may be named by its number, and the record is as sound as with its name.
#[test]
fn a_choice_by_number_can_be_verified() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: pick, choose: {prompt: Which?, options: {left: L, right: R}}}\n  - {id: use, run: 'echo {{ steps.pick.choice }} >> \"$LEDGER\"'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["choose", &run, "pick", "2", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["right"]);
    test.runbook(&["verify", &run]).succeeds();
}

/// Saying the same again is 0 and told so; another word to what is decided is 5, and says who decided.
#[test]
fn another_word_to_what_is_decided_is_refused() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: go, approve: {prompt: Go?}}\n  - {id: hands, manual: Do it}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "go", "--resume"]).exits(3);
    let events = test.journal(&run).lines.len();
    test.runbook(&["approve", &run, "go"]).succeeds().stdout_or_stderr_has("already");
    test.runbook(&["done", &run, "go"]).exits(5).stderr_has("decided").lacks("recorded");
    test.runbook(&["reject", &run, "go", "--reason", "late"]).exits(5).lacks("recorded");
    assert_eq!(test.journal(&run).lines.len(), events, "nothing was recorded");
}

/// cli: a plain `resume` of a failed run exits 7 and names `--retry` and `--skip`, as commands that can be pasted.
#[test]
fn a_decision_that_is_missing_is_asked_for_as_commands() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: exit 3}\n  - {id: b, run: 'true'}\n");
    test.runbook(&["run", "main"]).exits(1);
    let told = test.runbook(&["resume", "main"]).exits(7);
    for command in
        ["runbook logs main a", "runbook resume main --retry a", "runbook resume main --skip a=WHY"]
    {
        assert!(told.stderr.contains(command), "{command} in {told}");
    }
    test.runbook(&["resume", "main", "--retry", "b"]).exits(2).stderr_has("`b` was blocked");
    test.runbook(&["resume", "main", "--skip", "a=not needed"])
        .succeeds()
        .stderr_has("skipped by")
        .lacks("operator");
    test.runbook(&["answer", "main", "a", "retry"]).exits(5).stderr_has("was skipped");
}

/// What a run has settled when it started is not taken and dropped by what takes it on.
#[test]
fn options_that_come_too_late_are_refused() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: go, approve: Go?}\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let events = test.journal(&run).lines.len();
    test.runbook(&["resume", &run, "--on-failure", "warn"]).exits(2);
    test.runbook(&["resume", &run, "--tags", "x"]).exits(2);
    assert_eq!(test.journal(&run).lines.len(), events);
}

/// Answers ahead of time may be given by who takes a run on, too: to what is open, and to what is still to come.
#[test]
fn who_resumes_may_answer_ahead_of_time() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: first, approve: One?}\n  - {id: a, run: echo a >> \"$LEDGER\"}\n  - {id: second, approve: Two?}\n  - {id: b, run: echo b >> \"$LEDGER\"}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let events = test.journal(&run).lines.len();
    for (wrong, code) in [("nothing=x", 2), ("a=x", 2)] {
        test.runbook(&["resume", &run, "--approve", wrong]).exits(code);
    }
    test.runbook(&["resume", &run, "--answer", "first=maybe"]).exits(2);
    test.runbook(&["resume", &run, "--answer", "second=reject"]).exits(2);
    assert_eq!(test.journal(&run).lines.len(), events, "nothing was recorded");
    test.runbook(&["resume", &run, "--approve", "first=seen"]).exits(3);
    assert_eq!(test.ledger(), ["a"]);
    test.runbook(&["resume", &run, "--approve", "first=again"]).exits(5).stderr_has("decided");
    test.runbook(&["resume", &run, "--answer", "second=approve:seen too"]).succeeds();
    assert_eq!(test.ledger(), ["a", "b"]);
    let journal = test.journal(&run);
    for (step, reason) in [("first", "seen"), ("second", "seen too")] {
        let answer = journal.one("gate_answered", step);
        assert_eq!((&answer["via"], &answer["reason"]), (&"ahead".into(), &reason.into()), "{answer}");
    }
    test.runbook(&["verify", &run]).succeeds();
    // One that is given long before its question opens waits for it.
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["resume", &run, "--approve", "first=x", "--approve", "second=y"]).succeeds();
}

/// A report that can't be written is found before anything runs.
#[test]
fn a_report_that_has_no_place_is_refused_before_anything_runs() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: echo a >> \"$LEDGER\"}\n");
    test.runbook(&["run", "main", "--junit", "nowhere/report.xml"]).exits(2).stderr_has("--junit");
    assert!(test.runs().is_empty() && test.ledger().is_empty());
    test.runbook(&["run", "main", "--junit", "report.xml"]).succeeds();
    assert!(test.read("report.xml").contains("testcase"));
}

/// One file that can't be read doesn't hide what is wrong with the others.
#[test]
fn validate_goes_on_after_a_file_that_cannot_be_read() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: 'true'}\n");
    test.runbook_named("broken", "\nsteps:\n  - {id: a, rum: echo}\n");
    // Reading one's own memory from the start is an error for everybody, root included.
    std::os::unix::fs::symlink("/proc/self/mem", test.project().join("runbooks/odd.yaml")).unwrap();
    let found = test.runbook(&["validate", "--format", "json"]).exits(1).json();
    let codes: Vec<(&str, &str)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["file"].as_str().unwrap(), finding["code"].as_str().unwrap()))
        .collect();
    assert!(codes.contains(&("runbooks/odd.yaml", "unreadable")), "{codes:?}");
    assert!(codes.contains(&("runbooks/broken.yaml", "unknown-key")), "{codes:?}");
    test.runbook(&["validate", "odd"]).exits(2).stderr_has("cannot read");
    test.runbook(&["run", "odd"]).exits(2);
}

/// Where there is no folder of runbooks, nothing was checked, and nobody is told that all is well.
#[test]
fn validate_of_nothing_is_no_success() {
    let test = TestEnvironment::new();
    let mut elsewhere = test.command(&["validate"]);
    elsewhere.current_dir(test.outside("home"));
    test.spawn_command(elsewhere).wait().exits(2).stderr_has("--dir");
    test.runbook(&["validate"]).succeeds();
}

/// Whatever is done says what was done, and whatever isn't says what to do.
#[test]
fn every_command_says_what_happened() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: pick, choose: {prompt: Which?, options: {left: L, right: R}}}\n  - {id: go, approve: {prompt: Go?, fields: {ticket: {type: string}}}}\n  - {id: absent, run: [/nonexistent/program]}\n",
    );
    test.runbook(&["status", "last"]).exits(2).stderr_has("runbook list");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["status", "nothing"]).exits(2).stderr_has("runbook runs");
    test.runbook(&["note", &run, "the database was slow"]).succeeds().stderr_has("noted");
    test.runbook(&["runs", "main"]).succeeds().stdout_has(&run);
    // Without STEP the only open choice is meant.
    test.runbook(&["choose", &run, "left", "--resume"])
        .exits(3)
        .stderr_has(&format!("runbook approve {run} go --field ticket=VALUE --resume"));
    test.runbook(&["choose", &run, "left"]).exits(5).stderr_has("choice");
    test.runbook(&["approve", &run, "--field", "ticket=T-1", "--resume"])
        .exits(1)
        .stderr_has("spawn: the program does not exist (/nonexistent/program)");
}

/// The command that is offered for manual work brings along the evidence that it asks for.
#[test]
fn what_is_offered_as_an_answer_is_one() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: m, manual: {prompt: Do it, checklist: [one], evidence: required}}\n",
    );
    let run = test
        .runbook(&["run", "main"])
        .exits(3)
        .stderr_has("runbook done last m --all --note TEXT --resume")
        .run_id();
    test.runbook(&["status", "main"]).succeeds().stdout_has("runbook done main m --all --note TEXT --resume");
    test.runbook(&["done", &run, "m", "--all", "--resume"]).exits(2).stderr_has("--note");
    test.runbook(&["done", &run, "m", "--all", "--note", "TEXT", "--resume"]).succeeds();
}

/// Items stand where their step does, though they are only known in the run.
#[test]
fn status_lists_items_below_their_step() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: each, for_each: [x, y], run: 'true'}\n  - {id: stage, steps: [{id: in, run: 'true'}]}\n  - {id: last, run: 'true'}\nfinally:\n  - {id: tell, run: 'true'}\n",
    );
    test.runbook(&["run", "main"]).succeeds();
    let status = test.runbook(&["status", "last", "--format", "json"]).succeeds().json();
    let ids: Vec<&str> =
        status["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["each", "each[0]", "each[1]", "stage", "stage.in", "last", "tell"]);
}

/// cli: at a terminal the running steps are live lines with elapsed time and the usual duration from history.
#[test]
fn live_lines_tell_elapsed_and_usual_time_while_output_comes() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: busy, run: 'i=0; while [ -e \"$HOLD\" ] || [ $i -lt 12 ]; do echo line $i; i=$((i+1)); sleep 0.05; done'}\n",
    );
    test.runbook(&["run", "main"]).succeeds();
    test.hold();
    let mut terminal = Terminal::start(test.command(&["run", "main", "--color=never"]));
    // Output comes more often than the clock ticks, and puts it off for nobody.
    terminal.await_text("busy 2.");
    terminal.await_text("(usually ");
    test.release();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    for colour in ["\u{1b}[36m", "\u{1b}[1m", "\u{1b}[2m"] {
        assert!(!shown.contains(colour), "{colour:?} although no colour is wanted");
    }
}
