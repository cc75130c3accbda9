//! Single sentences of the command line's and the engine's pages that no other module has a test for.

use crate::helpers::TestEnvironment;

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
