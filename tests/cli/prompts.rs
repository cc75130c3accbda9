//! Gates at a terminal (cli, "A prompt shows …"; engine §3, "Enter, EOF, a pipe … never approve").

use crate::helpers::{Connection, Terminal, TestEnvironment, eventually};

fn gated() -> TestEnvironment {
    TestEnvironment::with(
        r#"
steps:
  - {id: gate, approve: {prompt: "Promote v7 to production?", details: "all 12 tests passed"}}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    )
}

#[test]
fn approve_with_a_reason() {
    let test = gated();
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("Promote v7 to production?");
    terminal.await_text("all 12 tests passed");
    terminal.await_text("approve");
    terminal.type_line("approve");
    terminal.await_text("because");
    terminal.type_line("looks fine");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["after"]);
    let journal = test.journal(&test.only_run());
    let answer = journal.one("gate_answered", "gate");
    assert_eq!(
        (&answer["via"], &answer["reason"], &answer["answer"]),
        (&"terminal".into(), &"looks fine".into(), &"approve".into())
    );
}

#[test]
fn reject_needs_a_reason() {
    let test = gated();
    let mut terminal = test.at_terminal(&["run", "main"]);
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
    assert_eq!(test.journal(&test.only_run()).one("gate_answered", "gate")["reason"], "not today");
}

#[test]
fn anything_else_asks_again() {
    let test = gated();
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("approve");
    for nonsense in ["", "y", "yes", "ok", "app", "APPROVED", "approve it"] {
        terminal.type_line(nonsense);
    }
    // `?` shows the details again, after all those.
    terminal.type_line("?");
    terminal.await_text("all 12 tests passed");
    assert!(test.journal(&test.only_run()).of("gate_answered", "gate").is_empty());
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
        let mut terminal = test.at_terminal(&["run", "main"]);
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
        let run = test.only_run();
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
    let mut terminal = test.at_terminal(&["run", "main"]);
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
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("approve");
    let run = test.only_run();
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
    let mut terminal = test.at_terminal(&["run", "main"]);
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

/// The random word that is shown for a word: `amber-42 (to approve)`.
fn shown_word(before: &str) -> String {
    before.split_whitespace().next_back().unwrap().to_owned()
}

#[test]
fn typed_confirmation_wants_the_word_that_is_shown() {
    // The gate, what is asked, the words that are shown in place of the answer, the answer.
    let table = [
        ("approve: {prompt: Drop it?, confirm: typed}", "approve", "approve"),
        ("manual: {prompt: Drop it?, confirm: typed}", "done", "done"),
        ("ask: {prompt: Drop it?, confirm: typed}, run: 'true'", "yes", "yes"),
        ("choose: {prompt: Drop it?, options: [left, right], confirm: typed}", "left", "left"),
    ];
    for (gate, habit, answer) in table {
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n  - {{id: gate, {gate}}}\n  - {{id: after, run: echo after >> \"$LEDGER\"}}\n"
        ));
        let mut terminal = test.at_terminal(&["run", "main"]);
        terminal.await_text("Drop it?");
        let word = if answer == "left" {
            terminal.await_text("1. left (type ");
            terminal.await_text(")")
        } else {
            shown_word(&terminal.await_text(&format!(" (to {answer})")))
        };
        // What is typed by habit, an empty line, a wrong word, and half of the right one decide nothing.
        let half = &word[..word.len() - 1];
        for (wrong, told) in
            [(habit, "type "), ("", "says nothing"), ("amber-00x", "is no answer"), (half, "is no answer")]
        {
            terminal.type_line(wrong);
            terminal.await_text(told);
        }
        let run = test.only_run();
        assert!(test.journal(&run).of("gate_answered", "gate").is_empty(), "{gate}");
        terminal.type_line(&word);
        terminal.await_text("because");
        terminal.type_line("");
        let (code, shown) = terminal.finish();
        assert_eq!(code, 0, "{gate}: {shown}");
        assert_eq!(
            test.journal(&run).one("gate_answered", "gate")["answer"],
            answer,
            "the word itself is recorded"
        );
        assert_eq!(test.ledger(), ["after"]);
    }
    // A no needs no word of its own.
    let test =
        TestEnvironment::with("\nsteps:\n  - {id: gate, approve: {prompt: Drop it?, confirm: typed}}\n");
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("reject");
    terminal.type_line("reject");
    terminal.await_text("because");
    terminal.type_line("too risky");
    assert_eq!(terminal.finish().0, 4);
}

/// A question of each kind, and what brings it about at a terminal.
struct Kind {
    name: &'static str,
    body: &'static str,
    /// What is run first, without a terminal; then what is run at one.
    before: &'static [&'static [&'static str]],
    command: &'static [&'static str],
    /// What the prompt shows, and a word that must not decide anything by being typed in part.
    prompt: &'static str,
    /// The exit status when nobody answers.
    unanswered: i32,
}

const KINDS: [Kind; 9] = [
    Kind {
        name: "approve",
        body: "  - {id: gate, approve: {prompt: Go?}}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "approve, reject or ?:",
        unanswered: 3,
    },
    Kind {
        name: "manual",
        body: "  - {id: gate, manual: {prompt: Go?, checklist: [a, b]}}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "an item's number",
        unanswered: 3,
    },
    Kind {
        name: "choose",
        body: "  - {id: gate, choose: {prompt: Go?, options: [left, right]}}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "an option's name or number",
        unanswered: 3,
    },
    Kind {
        name: "ask",
        body: "  - {id: gate, ask: Go?, run: 'echo gate >> \"$LEDGER\"'}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "yes, no or ?:",
        unanswered: 3,
    },
    Kind {
        name: "failure",
        body: "  - {id: gate, on_failure: ask, run: exit 3}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "retry, skip, done, abort or ?:",
        unanswered: 3,
    },
    Kind {
        name: "interrupted",
        body: "  - {id: gate, run: 'kill -9 $PPID $$'}\n",
        before: &[&["run", "main"]],
        command: &["resume", "last"],
        prompt: "retry, skip, done, failed, abort or ?:",
        unanswered: 7,
    },
    Kind {
        name: "rollback",
        body: "  - {id: made, run: 'true', undo: {run: 'echo undone >> \"$LEDGER\"'}}\n  - {id: gate, on_failure: stop, run: exit 3}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "undo, keep or ?:",
        unanswered: 3,
    },
    Kind {
        name: "undo",
        body: "  - {id: made, run: 'true', undo: {run: exit 4}}\n  - {id: gate, on_failure: stop, run: exit 3}\n",
        before: &[],
        command: &["run", "main", "--answer", "rollback=undo"],
        prompt: "retry, skip, abort or ?:",
        unanswered: 3,
    },
    Kind {
        name: "window",
        body: "  - {id: gate, window: {allow: [{days: [sun], from: '02:00', to: '04:00', tz: UTC}], outside: ask}, run: 'echo gate >> \"$LEDGER\"'}\n",
        before: &[],
        command: &["run", "main"],
        prompt: "wait, override, abort or ?:",
        unanswered: 3,
    },
];

impl Kind {
    /// The question on a terminal, in the middle of a week.
    fn asked(&self, more: &[&str]) -> (TestEnvironment, Terminal) {
        let test = TestEnvironment::with(&format!(
            "steps:\n{}  - {{id: after, run: 'echo after >> \"$LEDGER\"'}}\n",
            self.body
        ))
        .variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-02T12:00:00Z");
        for arguments in self.before {
            test.runbook(arguments).whatever_status();
        }
        let arguments: Vec<&str> = self.command.iter().chain(more).copied().collect();
        let mut terminal = test.at_terminal(&arguments);
        terminal.await_text(self.prompt);
        (test, terminal)
    }

    /// Nothing was decided by nobody.
    fn is_unanswered(&self, test: &TestEnvironment, how: &str) {
        let run = test.only_run();
        let journal = test.journal(&run);
        let said: Vec<_> =
            journal.kind("gate_answered").into_iter().filter(|answer| answer["via"] != "ahead").collect();
        assert!(said.is_empty(), "{} {how}: {said:?}", self.name);
        assert!(test.ledger().is_empty(), "{} {how}: {:?}", self.name, test.ledger());
        let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
        assert_eq!(status["outcome"], "waiting", "{} {how}: {status}", self.name);
        assert_eq!(status["waiting_for"][0]["gate"], self.name, "{how}: {status}");
    }
}

#[test]
fn whoever_leaves_a_question_decides_nothing() {
    for kind in &KINDS {
        for how in ["ctrl-c", "ctrl-d"] {
            let (test, mut terminal) = kind.asked(&[]);
            if how == "ctrl-c" {
                terminal.press_ctrl_c();
            } else {
                terminal.press_ctrl_d();
            }
            let (code, shown) = terminal.finish();
            assert_eq!(code, kind.unanswered, "{} {how}: {shown}", kind.name);
            assert!(shown.contains("runbook "), "what to do next, {} {how}: {shown}", kind.name);
            kind.is_unanswered(&test, how);
        }
    }
}

#[test]
fn garbage_is_no_answer_to_any_question() {
    for kind in &KINDS {
        let (test, mut terminal) = kind.asked(&[]);
        for garbage in [
            "",
            "y",
            "\u{1b}[A\u{1b}[200~approve\u{1b}[201~x",
            "\u{202e}approve\u{7f}\u{fffd}",
            "0",
            "99999999999999999999",
        ] {
            terminal.type_line(garbage);
            let number = kind.name == "manual" && garbage.starts_with(['0', '9']);
            terminal.await_text(if number { "items are" } else { "Write a whole word" });
        }
        // Longer than the screen is wide.
        terminal.type_line(&"approve ".repeat(15));
        terminal.await_text("whole");
        terminal.press_ctrl_d();
        let (code, shown) = terminal.finish();
        assert_eq!(code, kind.unanswered, "{}: {shown}", kind.name);
        kind.is_unanswered(&test, "garbage");
    }
}

#[test]
fn a_terminal_that_is_closed_parks_every_question() {
    for kind in &KINDS {
        let test = TestEnvironment::with(&format!("steps:\n{}", kind.body))
            .variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-02T12:00:00Z");
        for arguments in kind.before {
            test.runbook(arguments).whatever_status();
        }
        let mut connection = Connection::start(&test.command(kind.command));
        connection.await_text(kind.prompt);
        let code = connection.close().wait().unwrap().code();
        assert_eq!(code, Some(kind.unanswered), "{}", kind.name);
        kind.is_unanswered(&test, "closed");
    }
}

/// Narrow, without colours and without boxes, each question can be read: no line is longer than the screen, no control sequence is there
/// but those that redraw the line that is typed.
#[test]
fn narrow_and_plain_terminals_show_every_question() {
    for kind in &KINDS {
        let test = TestEnvironment::with(&format!("steps:\n{}", kind.body))
            .variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-02T12:00:00Z")
            .variable("COLUMNS", "60")
            .variable("NO_COLOR", "1");
        for arguments in kind.before {
            test.runbook(arguments).whatever_status();
        }
        let arguments: Vec<&str> = kind.command.iter().chain(&["--plain"]).copied().collect();
        let mut terminal = test.at_terminal(&arguments);
        let opening = terminal.await_text(kind.prompt);
        terminal.press_ctrl_d();
        let (code, rest) = terminal.finish();
        assert_eq!(code, kind.unanswered, "{}", kind.name);
        assert!(
            !opening.contains("\u{1b}[3") && !rest.contains("\u{1b}[3"),
            "{}: no colour: {opening}{rest}",
            kind.name
        );
        let question: Vec<&str> = opening.lines().filter(|line| line.starts_with('|')).collect();
        assert!(!question.is_empty(), "{}: {opening}", kind.name);
        for line in question {
            assert!(line.trim_end().chars().count() <= 60, "{}: {line:?}", kind.name);
        }
        assert!(!opening.contains(['│', '┌', '└']), "{}: {opening}", kind.name);
    }
}

#[test]
fn a_plain_resume_at_a_terminal_asks_about_the_failed_step() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: flaky, run: 'echo try >> \"$LEDGER\"; test -e fixed'}\n  - {id: after, run: echo after >> \"$LEDGER\"}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.write("fixed", "");
    let mut terminal = test.at_terminal(&["resume", &run]);
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
    let mut terminal = test.at_terminal(&["run", "main"]);
    terminal.await_text("name");
    terminal.type_line("Ada");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["Ada"]);
}

#[test]
fn non_interactive_asks_nothing_at_a_terminal() {
    let test = gated();
    let terminal = test.at_terminal(&["run", "main", "--non-interactive"]);
    let (code, shown) = terminal.finish();
    assert_eq!(code, 3, "{shown}");
}
