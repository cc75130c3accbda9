//! Gates at a terminal (cli, "A prompt shows …"; engine §3, "Enter, EOF, a pipe … never approve").

use crate::helpers::{Terminal, TestEnvironment, eventually};

fn gated() -> TestEnvironment {
    TestEnvironment::with(
        r#"
steps:
  - {id: gate, approve: {prompt: "Promote v7 to production?", details: "all 12 tests passed"}}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    )
}

fn at_terminal(test: &TestEnvironment, arguments: &[&str]) -> Terminal {
    Terminal::start(test.command(arguments))
}

/// The only run of a test.
fn only_run(test: &TestEnvironment) -> String {
    let runs = test.runs();
    assert_eq!(runs.len(), 1);
    runs[0].clone()
}

#[test]
fn approve_with_a_reason() {
    let test = gated();
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("Promote v7 to production?");
    terminal.await_text("all 12 tests passed");
    terminal.await_text("approve");
    terminal.type_line("approve");
    terminal.await_text("because");
    terminal.type_line("looks fine");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["after"]);
    let journal = test.journal(&only_run(&test));
    let answer = journal.one("gate_answered", "gate");
    assert_eq!(
        (&answer["via"], &answer["reason"], &answer["answer"]),
        (&"terminal".into(), &"looks fine".into(), &"approve".into())
    );
}

#[test]
fn reject_needs_a_reason() {
    let test = gated();
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("approve");
    terminal.type_line("reject");
    terminal.await_text("because");
    terminal.type_line("");
    // Only the reason is missing: only the reason is asked for again.
    terminal.await_text("because");
    terminal.type_line("not today");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 4, "{shown}");
    assert!(test.ledger().is_empty());
    assert_eq!(test.journal(&only_run(&test)).one("gate_answered", "gate")["reason"], "not today");
}

#[test]
fn anything_else_asks_again() {
    let test = gated();
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("approve");
    for nonsense in ["", "y", "yes", "ok", "app", "APPROVED", "approve it"] {
        terminal.type_line(nonsense);
    }
    // `?` shows the details again, after all those.
    terminal.type_line("?");
    terminal.await_text("all 12 tests passed");
    assert!(test.journal(&only_run(&test)).of("gate_answered", "gate").is_empty());
    terminal.type_line("approve");
    terminal.await_text("because");
    terminal.type_line("");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["after"]);
}

#[test]
fn ctrl_c_and_the_end_of_input_park() {
    for key in ["ctrl-c", "ctrl-d"] {
        let test = gated();
        let mut terminal = at_terminal(&test, &["run", "main"]);
        terminal.await_text("approve");
        if key == "ctrl-c" {
            terminal.press_ctrl_c();
        } else {
            terminal.press_ctrl_d();
        }
        let (code, shown) = terminal.finish();
        assert_eq!(code, 3, "{key}: {shown}");
        assert!(shown.contains("resume"), "what to do next: {shown}");
        assert!(test.ledger().is_empty());
        let run = only_run(&test);
        test.runbook(&["approve", &run, "--resume"]).succeeds();
        assert_eq!(test.ledger(), ["after"]);
    }
}

/// What was typed before the question is no answer to it.
#[test]
fn what_was_typed_ahead_is_no_answer() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: long, run: 'echo up >> "$LEDGER"; while [ -e "$HOLD" ]; do sleep 0.02; done'}
  - {id: gate, approve: {prompt: "Promote v7?"}}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    );
    test.hold();
    let mut terminal = at_terminal(&test, &["run", "main"]);
    eventually("the step", || (test.ledger() == ["up"]).then_some(()));
    terminal.type_line("approve");
    terminal.type_line("because");
    test.release();
    terminal.await_text("Promote v7?");
    terminal.await_text("approve");
    terminal.press_ctrl_c();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 3, "{shown}");
    assert_eq!(test.ledger(), ["up"]);
}

/// A prompt is taken away when somebody answers elsewhere.
#[test]
fn an_answer_from_elsewhere_ends_the_prompt() {
    let test = gated();
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("approve");
    let run = only_run(&test);
    test.runbook(&["approve", &run, "--reason", "from afar"]).succeeds();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["after"]);
}

#[test]
fn a_checklist_is_ticked_by_number() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: list, manual: {prompt: Before we start, checklist: [First thing, Second thing]}}\n  - {id: after, run: echo after >> \"$LEDGER\"}\n",
    );
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("Second thing");
    terminal.await_text("an item's number");
    terminal.type_line("done");
    terminal.await_text("Not done while items are open");
    for item in ["1", "2"] {
        // What is typed before a question isn't taken for an answer to it.
        terminal.await_text("an item's number");
        terminal.type_line(item);
        terminal.await_text(&format!("ticked {item}"));
    }
    terminal.await_text("done, failed");
    terminal.type_line("done");
    terminal.await_text("because");
    terminal.type_line("");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["after"]);
}

#[test]
fn typed_confirmation_wants_the_word_that_is_shown() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: gate, approve: {prompt: Drop it?, confirm: typed}}\n  - {id: after, run: echo after >> \"$LEDGER\"}\n",
    );
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("Drop it?");
    terminal.type_line("approve");
    terminal.press_ctrl_c();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 3, "{shown}");
    assert!(test.ledger().is_empty());
}

#[test]
fn a_plain_resume_at_a_terminal_asks_about_the_failed_step() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: flaky, run: 'echo try >> \"$LEDGER\"; test -e fixed'}\n  - {id: after, run: echo after >> \"$LEDGER\"}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.write("fixed", "");
    let mut terminal = at_terminal(&test, &["resume", &run]);
    terminal.await_text("abort or ?");
    terminal.type_line("retry");
    terminal.await_text("because");
    terminal.type_line("it is mended");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["try", "try", "after"]);
}

#[test]
fn missing_parameters_are_asked_for() {
    let test = TestEnvironment::with(
        "\nparams: {name: {type: string, description: Who it is for}}\nsteps:\n  - {id: a, run: 'echo {{ params.name }} >> \"$LEDGER\"'}\n",
    );
    let mut terminal = at_terminal(&test, &["run", "main"]);
    terminal.await_text("name");
    terminal.type_line("Ada");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["Ada"]);
}

#[test]
fn non_interactive_asks_nothing_at_a_terminal() {
    let test = gated();
    let terminal = at_terminal(&test, &["run", "main", "--non-interactive"]);
    let (code, shown) = terminal.finish();
    assert_eq!(code, 3, "{shown}");
}
