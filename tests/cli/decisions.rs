//! Decisions that are said twice, and those that the command line of `resume` and `rollback` brings along (language §6, §8;
//! cli, `resume`, `rollback`).

use crate::helpers::{TestEnvironment, eventually};

/// A step that fails until `fixed` is there, and asks what to do.
fn asks() -> TestEnvironment {
    TestEnvironment::with(
        r#"
rollback: manual
steps:
  - {id: one, run: echo one >> "$LEDGER", undo: {run: 'true'}}
  - {id: bad, on_failure: ask, run: 'echo bad >> "$LEDGER"; test -e fixed'}
  - {id: end, run: echo end >> "$LEDGER"}
"#,
    )
}

#[test]
fn the_same_decision_again_changes_nothing_and_another_one_comes_too_late() {
    for (words, other) in [
        (&["retry"][..], &["skip", "--reason", "known"][..]),
        (&["skip", "--reason", "known"], &["retry"]),
        (&["done", "--reason", "by hand"], &["skip", "--reason", "known"]),
        (&["undo"], &["retry"]),
    ] {
        let test = asks();
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        let answer = |words: &[&str]| test.runbook(&[&["answer", &run, "bad"], words].concat());
        answer(words).succeeds();
        let (before, files) = (test.journal(&run).lines.len(), test.state_files().len());
        answer(words).exits(0).stdout_or_stderr_has(&format!("has said `{}` to `bad` already", words[0]));
        answer(other).exits(5);
        assert_eq!(test.journal(&run).lines.len(), before, "{words:?}: nothing is recorded");
        assert_eq!(test.state_files().len(), files, "{words:?}: nothing is left behind");
        // With `--resume` the run goes on with what was said first.
        test.write("fixed", "");
        answer(&[words, &["--resume"]].concat()).exits(if words == ["undo"] { 1 } else { 0 });
        test.runbook(&["verify", &run]).succeeds();
    }
}

/// An option is meant by its name and by its number alike; a question before a step is decided once, too.
#[test]
fn a_choice_and_a_question_before_a_step_said_again_change_nothing() {
    let test = TestEnvironment::with(
        "steps:\n  - {id: pick, choose: {prompt: Which?, options: {x: X, y: Y}}}\n  - {id: a, ask: Really?, run: 'true'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["choose", &run, "pick", "2"]).succeeds();
    for again in ["2", "y"] {
        test.runbook(&["choose", &run, "pick", again]).succeeds().stdout_or_stderr_has("already");
    }
    for other in ["1", "x"] {
        test.runbook(&["choose", &run, "pick", other]).exits(5);
    }
    test.runbook(&["resume", &run]).exits(3);
    test.runbook(&["answer", &run, "a", "yes"]).succeeds();
    test.runbook(&["answer", &run, "a", "yes"]).succeeds().stdout_or_stderr_has("already");
    test.runbook(&["answer", &run, "a", "no"]).exits(5).stderr_has("decided already: yes");
    assert_eq!(test.journal(&run).kind("gate_answered").len(), 2);
}

/// Once the step has started again, what was said about it before says nothing any more.
#[test]
fn a_decision_about_an_earlier_attempt_is_none_about_the_next() {
    let test = asks();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    for _ in 0..2 {
        test.runbook(&["answer", &run, "bad", "retry"]).succeeds();
        test.runbook(&["resume", &run]).exits(3);
    }
    assert_eq!(test.ledger(), ["one", "bad", "bad", "bad"]);
    assert_eq!(test.journal(&run).of("gate_answered", "bad").len(), 2);
}

#[test]
fn resume_answers_the_question_of_a_failed_step() {
    const FAILS: &str = r#"
steps:
  - {id: one, run: echo one >> "$LEDGER", undo: {run: echo undone >> "$LEDGER"}}
  - {id: bad, run: 'echo bad >> "$LEDGER"; test -e fixed'}
  - {id: end, run: echo end >> "$LEDGER"}
"#;
    for (word, code, ledger, outcome) in [
        ("retry", 0, &["one", "bad", "bad", "end"][..], "succeeded"),
        ("skip:known", 0, &["one", "bad", "end"], "skipped"),
        ("done:by hand", 0, &["one", "bad", "end"], "succeeded"),
        ("undo", 1, &["one", "bad", "undone"], "failed"),
        ("abort", 1, &["one", "bad"], "failed"),
    ] {
        let test = TestEnvironment::with(FAILS);
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        test.runbook(&["resume", &run]).exits(7);
        test.runbook(&["resume", &run, "--answer", "bad=skip"]).exits(2).stderr_has("needs a reason");
        test.runbook(&["resume", &run, "--answer", "bad=approve"]).exits(2);
        test.runbook(&["resume", &run, "--retry", "bad", "--answer", "bad=failed:x"]).exits(2);
        assert_eq!(test.ledger(), ["one", "bad"], "nothing has run yet");
        test.write("fixed", "");
        test.runbook(&["resume", &run, "--answer", &format!("bad={word}")]).exits(code);
        assert_eq!(test.ledger(), ledger, "{word}");
        assert_eq!(test.step_outcome(&run, "bad"), outcome, "{word}");
        let said = test.journal(&run).of("gate_answered", "bad")[0]["answer"].clone();
        assert_eq!(said, word.split(':').next().unwrap(), "{word}");
        test.runbook(&["verify", &run]).succeeds();
    }
}

/// A reason that no word needs is recorded all the same.
#[test]
fn resume_records_why_a_failed_step_is_answered() {
    for (word, code) in [("retry", 1), ("undo", 1), ("abort", 1), ("skip", 0), ("done", 0)] {
        let test = TestEnvironment::with(
            "steps:\n  - {id: one, run: 'true', undo: {run: 'true'}}\n  - {id: bad, run: exit 3}\n",
        );
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        test.runbook(&["resume", &run, "--answer", &format!("bad={word}:the disk was full")]).exits(code);
        let journal = test.journal(&run);
        let said = journal.one("gate_answered", "bad");
        assert_eq!((&said["answer"], &said["reason"]), (&word.into(), &"the disk was full".into()), "{said}");
    }
}

/// A step would take the mask for the value: neither a secret nor its mask is given to it by an answer.
#[test]
fn a_secret_is_no_value_for_the_environment_of_a_step() {
    const SECRET: &str = "supersecretvalue";
    const REFUSED: &str = "the value holds the secret `token`";
    let test = TestEnvironment::with(
        "secrets: {token: {env: TOKEN}}\nsteps:\n  - {id: bad, env: {T: old}, on_failure: ask, run: 'echo \"$T\" >> \"$LEDGER\"; test \"$T\" = new'}\n",
    )
    .variable("TOKEN", SECRET);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let before = (test.journal(&run).lines.len(), test.state_files().len());
    let (with_secret, with_mask) = (format!("T=new-{SECRET}"), "T=new-‹secrets.token›");
    for value in [with_secret.as_str(), with_mask] {
        test.runbook(&["answer", &run, "bad", "retry", "--env", value])
            .exits(2)
            .stderr_has(REFUSED)
            .stderr_has("{{ secrets.token }}")
            .lacks(SECRET);
    }
    assert_eq!((test.journal(&run).lines.len(), test.state_files().len()), before, "nothing is recorded");
    test.runbook(&["answer", &run, "bad", "retry", "--env", "T=new", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["old", "new"]);

    // Where the answering process doesn't have the secret, the one that holds the run refuses.
    let mut live = test.spawn(&["run", "main", "--wait"]);
    let run = live.run_id();
    eventually("the question", || (!test.journal(&run).of("gate_opened", "bad").is_empty()).then_some(()));
    let mut elsewhere = test.command(&["answer", &run, "bad", "retry", "--env", &with_secret]);
    elsewhere.env_remove("TOKEN");
    test.spawn_command(elsewhere).wait().exits(2).stderr_has(REFUSED).lacks(SECRET);
    assert!(test.journal(&run).of("gate_answered", "bad").is_empty());
    test.runbook(&["answer", &run, "bad", "retry", "--env", "T=new"]).succeeds();
    live.wait().succeeds();
    assert_eq!(test.ledger(), ["old", "new", "old", "new"]);
}

#[test]
fn rollback_takes_an_answer_about_an_undo_that_failed() {
    const UNDOES: &str = r#"
rollback: auto
steps:
  - {id: one, run: 'true', undo: {run: echo undo-one >> "$LEDGER"}}
  - {id: two, run: 'true', undo: {run: 'echo undo-two >> "$LEDGER"; test -e fixed'}}
  - {id: bad, run: exit 3}
"#;
    for (word, code, ledger) in [
        ("skip:gone", 0, &["undo-two", "undo-one"][..]),
        ("retry", 1, &["undo-two", "undo-two"]),
        ("abort", 1, &["undo-two"]),
    ] {
        let test = TestEnvironment::with(UNDOES);
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        test.runbook(&["rollback", &run, "--answer", "two=skip"]).exits(2).stderr_has("needs a reason");
        test.runbook(&["rollback", &run, "--answer", "two=approve"]).exits(2);
        test.runbook(&["rollback", &run, "--answer", "nine=skip:x"]).exits(2);
        // Of an undo that has failed it is known how it ended.
        test.runbook(&["rollback", &run, "--answer", "two=done:by hand"])
            .exits(2)
            .stderr_has("`done` is no answer to `two`: it takes retry, skip, abort");
        test.runbook(&["rollback", &run, "--answer", &format!("two={word}")]).exits(code);
        assert_eq!(test.ledger(), ledger, "{word}");
        test.runbook(&["verify", &run]).succeeds();
        // Whatever was said, what is left can still be undone.
        test.write("fixed", "");
        test.runbook(&["rollback", &run]).succeeds();
        assert_eq!(test.ledger().last().map(String::as_str), Some("undo-one"), "{word}");
    }
}

/// A question about an undo that is still open takes the answer, too.
#[test]
fn rollback_answers_the_open_question_of_a_failed_undo() {
    let test = TestEnvironment::with(
        r#"
rollback: auto
steps:
  - {id: one, run: 'true', undo: {run: echo undo-one >> "$LEDGER"}}
  - {id: two, run: 'true', undo: {run: 'echo undo-two >> "$LEDGER"; exit 1'}}
  - {id: bad, run: exit 3}
"#,
    );
    let run = test.runbook(&["run", "main", "--wait=1s"]).exits(3).run_id();
    assert_eq!(test.journal(&run).of("gate_opened", "two").len(), 1);
    test.runbook(&["rollback", &run, "--answer", "two=skip:gone"]).succeeds();
    assert_eq!(test.ledger(), ["undo-two", "undo-one"]);
    test.runbook(&["verify", &run]).succeeds();
}

/// What undoes by hand is answered with the command as well, and what fails meanwhile takes what was said about it.
#[test]
fn rollback_answers_an_undo_by_hand_and_what_fails_after_it() {
    let test = TestEnvironment::with(
        r#"
rollback: auto
steps:
  - {id: zero, run: 'true', undo: {run: echo undo-zero >> "$LEDGER"}}
  - {id: one, run: 'true', undo: {run: 'echo undo-one >> "$LEDGER"; exit 1'}}
  - {id: two, run: 'true', undo: {manual: Take it back}}
  - {id: bad, run: exit 3}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["rollback", &run, "--answer", "two=approve"]).exits(2);
    test.runbook(&["rollback", &run, "--answer", "two=done", "--answer", "one=skip:gone"]).succeeds();
    assert_eq!(test.ledger(), ["undo-one", "undo-zero"]);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn overriding_no_window_records_nothing_and_says_so() {
    const SUNDAY: &str = "window: {allow: [{days: [sun], from: \"02:00\", to: \"04:00\", tz: UTC}]}\n";
    const MOOT: &str = "no window needed overriding";
    let (sunday, monday) = ("2026-11-01T02:30:00Z", "2026-11-02T02:30:00Z");
    for (window, clock, is_moot) in [("", sunday, true), (SUNDAY, sunday, true), (SUNDAY, monday, false)] {
        let test = TestEnvironment::with(&format!("{window}steps:\n  - {{id: gate, manual: Look}}\n"))
            .variable("RUNBOOK_TEST_ONLY_CLOCK", clock);
        let output = test.runbook(&["run", "main", "--override-window", "an incident"]).exits(3);
        let run = output.run_id();
        assert_eq!(output.stderr.contains(MOOT), is_moot, "{window}: {output}");
        assert!(output.stderr.starts_with(&format!("run {run} main\n")), "{output}");
        assert_eq!(test.journal(&run).kind("window_overridden").len(), usize::from(!is_moot), "{window}");
        // What was overridden stays so.
        let resumed = test.runbook(&["resume", &run, "--override-window", "again"]).exits(3);
        assert!(resumed.stderr.contains(MOOT), "{window}: {resumed}");
        assert!(resumed.stderr.starts_with(&format!("run {run} main\n")), "{resumed}");
        assert_eq!(test.journal(&run).kind("window_overridden").len(), usize::from(!is_moot), "{window}");
    }
}

/// A step's window may shut before the run comes to it.
#[test]
fn overriding_is_recorded_where_a_step_has_a_window() {
    let step = "window: {allow: [{days: [sun], from: \"02:00\", to: \"04:00\", tz: UTC}]}";
    let test = TestEnvironment::with(&format!("steps:\n  - {{id: one, run: 'true', {step}}}\n"))
        .variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-11-02T02:30:00Z");
    let run = test.runbook(&["run", "main", "--override-window", "it must"]).succeeds().run_id();
    assert_eq!(test.journal(&run).kind("window_overridden").len(), 1);
}

/// An override is recorded where it lets something start that a window could hold, and nowhere else.
#[test]
fn overriding_is_recorded_where_something_is_still_to_start() {
    const SUNDAY: &str = "allow: [{days: [sun], from: \"02:00\", to: \"04:00\", tz: UTC}]";
    const MANUAL: &str = "  - {id: gate, manual: Look}\n";
    let (sunday, monday) = ("2026-11-01T02:30:00Z", "2026-11-02T02:30:00Z");
    let of_run = |steps: &str| format!("window: {{{SUNDAY}, outside: ask}}\nsteps:\n{steps}");
    let of_step = |step: &str| format!("steps:\n  - {{{step}, window: {{{SUNDAY}}}}}\n{MANUAL}");
    let next = "  - {id: next, run: 'true'}\n";
    let failed = of_step("id: bad, on_failure: continue, run: exit 1");
    let cases = [
        ("the run's, nothing to start", sunday, of_run(MANUAL), monday, "", false),
        ("the run's, a step to start", sunday, of_run(&format!("{MANUAL}{next}")), monday, "", true),
        ("the run's, open", sunday, of_run(&format!("{MANUAL}{next}")), sunday, "", false),
        ("the run's, overridden", monday, of_run(&format!("{MANUAL}{next}")), monday, "", false),
        ("a failed step's", sunday, failed.clone(), monday, "", false),
        ("that of one tried again", sunday, failed, monday, "--retry bad", true),
        ("a passed step's", sunday, of_step("id: one, run: 'true'"), monday, "", false),
        ("that of one run again", sunday, of_step("id: one, run: 'true'"), monday, "--from one", true),
        (
            "that of one to come, open now",
            sunday,
            format!("steps:\n{MANUAL}  - {{id: end, run: 'true', window: {{{SUNDAY}}}}}\n"),
            sunday,
            "",
            true,
        ),
    ];
    for (name, started, body, resumed, options, is_recorded) in cases {
        let test = TestEnvironment::with(&body).variable("RUNBOOK_TEST_ONLY_CLOCK", started);
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        let is_asked =
            !test.journal(&run).of("gate_opened", "gate").iter().all(|gate| gate["gate"] == "manual");
        if is_asked {
            test.runbook(&["answer", &run, "gate", "override", "--reason", "urgent", "--resume"]).exits(3);
        }
        let test = test.variable("RUNBOOK_TEST_ONLY_CLOCK", resumed);
        let mut resume = vec!["resume", &run, "--override-window", "it must"];
        resume.extend(options.split_whitespace());
        let output = test.runbook(&resume).exits(3);
        assert_eq!(output.stderr.contains("no window needed overriding"), !is_recorded, "{name}: {output}");
        let journal = test.journal(&run);
        let mut overridden = journal.kind("window_overridden");
        overridden.retain(|event| event["step"].is_null());
        assert_eq!(overridden.len(), usize::from(is_recorded), "{name}: {overridden:?}");
    }
}

/// `done` ahead of time ticks the items with it, and the record says that it was given unseen.
#[test]
fn a_checklist_is_done_ahead_of_time() {
    let test =
        TestEnvironment::with("steps:\n  - {id: m, manual: {prompt: M, checklist: [first, second]}}\n");
    let run = test.runbook(&["run", "main", "--answer", "m=done"]).succeeds().run_id();
    let journal = test.journal(&run);
    let answers = journal.of("gate_answered", "m");
    assert!(answers.iter().all(|answer| answer["via"] == "ahead"), "{answers:?}");
    let items: Vec<_> = answers.iter().filter_map(|answer| answer["items"].as_array()).flatten().collect();
    assert_eq!(items, [1, 2]);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn a_manual_step_with_a_checklist_can_fail_ahead_of_time() {
    let test = TestEnvironment::with("steps:\n  - {id: m, manual: {prompt: M, checklist: [first]}}\n");
    test.runbook(&["run", "main", "--answer", "m=failed:not today"]).exits(1);
}
