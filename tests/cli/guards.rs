//! What stands before a start: tags, windows, locks (language §3, §9; cli).

use crate::helpers::{HOLD, Process, TestEnvironment, eventually, processes_of_run, send};

const TAGGED: &str = r#"
steps:
  - {id: build, run: echo build >> "$LEDGER", tags: [code]}
  - {id: gate, approve: {prompt: Go on?}}
  - {id: docs, run: echo docs >> "$LEDGER", tags: [docs, slow]}
  - {id: plain, run: echo plain >> "$LEDGER"}
"#;

#[test]
fn tags_choose_steps_and_never_leave_an_approval_out() {
    let table: &[(&[&str], &[&str])] = &[
        (&["--tags", "code"], &["build"]),
        (&["--tags", "code,docs"], &["build", "docs"]),
        (&["--skip-tags", "slow"], &["build", "plain"]),
        (&["--tags", "docs", "--skip-tags", "slow"], &[]),
    ];
    for (options, expected) in table {
        let test = TestEnvironment::with(TAGGED);
        let arguments = [&["run", "main", "--approve", "gate=seen"], *options].concat();
        let run = test.runbook(&arguments).succeeds().run_id();
        assert_eq!(test.ledger(), *expected, "{options:?}");
        assert_eq!(test.step_outcome(&run, "gate"), "succeeded");
        let journal = test.journal(&run);
        for skipped in journal.kind("step_skipped") {
            let reason = skipped["reason"].as_str().unwrap();
            assert!(reason.contains(options[options.len() - 2]) || reason.contains(options[0]), "{reason}");
        }
        // The approval waits for people, whatever the tags.
        let test = TestEnvironment::with(TAGGED);
        test.runbook(&[&["run", "main"], *options].concat()).exits(3);
    }
}

#[test]
fn tags_that_no_step_has_are_mistakes() {
    let test = TestEnvironment::with(TAGGED);
    test.runbook(&["run", "main", "--tags", "cod"]).exits(2).stderr_has("did you mean `code`?");
    test.runbook(&["run", "main", "--skip-tags", "nothing"]).exits(2);
    assert!(test.runs().is_empty());
    let plan = test.runbook(&["plan", "main", "--tags", "code", "--format", "json"]).succeeds().json();
    assert!(plan["steps"][2]["left_out"].as_str().unwrap().contains("--tags code"), "{plan}");
}

const LOCKED: &str = r#"
lock: "deploy-{{ params.target }}"
params: {target: blue}
steps:
  - {id: first, run: echo first >> "$LEDGER"}
  - {id: apply, run: 'echo apply >> "$LEDGER"; HOLD'}
"#;

fn locked(text: &str) -> TestEnvironment {
    let test = TestEnvironment::with(&text.replace("HOLD'", &format!("{HOLD}'")));
    test.hold();
    test
}

/// Waits until a step wrote to the ledger.
fn at(test: &TestEnvironment, line: &str) {
    eventually(line, || test.ledger().iter().any(|known| known == line).then_some(()));
}

#[test]
fn a_second_run_under_a_lock_is_refused_and_told_who_holds_it() {
    let test = locked(LOCKED);
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    at(&test, "apply");
    let refused = test.runbook(&["run", "main"]).exits(5);
    for said in [run.as_str(), "deploy-blue", "apply", "since", "main"] {
        assert!(refused.stderr.contains(said), "{said} in {refused}");
    }
    assert_eq!(test.runs(), std::slice::from_ref(&run), "a refused start leaves no run");
    let listed = test.runbook(&["lock", "list"]).succeeds();
    assert!(listed.stdout.contains("deploy-blue") && listed.stdout.contains(&run), "{listed}");
    // Another name is another lock.
    let mut other = test.spawn(&["run", "main", "-p", "target=green"]);
    other.run_id();
    test.release();
    live.wait().succeeds();
    other.wait().succeeds();
    assert_eq!(test.journal(&run).kind("lock_acquired")[0]["lock"], "deploy-blue");
    test.runbook(&["run", "main"]).succeeds();
    assert!(!test.runbook(&["lock", "list"]).succeeds().stdout.contains("deploy"));
}

#[test]
fn a_keeper_holds_the_lock_of_a_killed_engine() {
    let test = locked(LOCKED);
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    at(&test, "apply");
    live.kill().whatever_status();
    let refused = test.runbook(&["run", "main"]).exits(5);
    assert!(refused.stderr.contains(&run), "{refused}");
    // The run itself joins what its keeper holds.
    let resumed = test.spawn(&["resume", &run]);
    test.runbook(&["run", "main"]).exits(5);
    test.release();
    resumed.wait().succeeds();
    assert_eq!(test.ledger(), ["first", "apply"]);
    assert_eq!(test.journal(&run).kind("lock_acquired").len(), 2, "it is taken again");
    test.runbook(&["run", "main"]).succeeds();
}

#[test]
fn on_busy_skip_is_no_run_and_wait_waits() {
    let lock = "lock: {name: deploy, on_busy: WORD}\n";
    let steps = "steps:\n  - {id: apply, run: 'echo apply >> \"$LEDGER\"; HOLD'}\n";
    let test = locked(&format!("{}{steps}", lock.replace("WORD", "skip")));
    let mut live = test.spawn(&["run", "main"]);
    live.run_id();
    at(&test, "apply");
    let skipped = test.runbook(&["run", "main"]).exits(0);
    assert!(skipped.stderr.contains("deploy"), "{skipped}");
    assert_eq!(test.runs().len(), 1);
    test.runbook_named(
        "waits",
        &format!(
            "{}{}",
            lock.replace("WORD", "wait"),
            "steps:\n  - {id: after, run: echo after >> \"$LEDGER\"}\n"
        ),
    );
    let waits = test.spawn(&["run", "waits"]);
    eventually("who is waited for", || waits.stderr().contains("deploy").then_some(()));
    assert_eq!(test.runs().len(), 1);
    test.release();
    waits.wait().succeeds();
    live.wait().succeeds();
    assert_eq!(test.ledger(), ["apply", "after"]);
}

#[test]
fn a_step_that_finds_its_lock_taken_fails_skips_or_waits() {
    for (word, code) in [("fail", 1), ("skip", 0), ("wait", 0)] {
        let test = locked("steps:\n  - {id: hold, lock: shared, run: 'echo hold >> \"$LEDGER\"; HOLD'}\n");
        test.runbook_named(
            "other",
            &format!("steps:\n  - {{id: before, run: echo before >> \"$LEDGER\"}}\n  - {{id: mine, lock: {{name: shared, on_busy: {word}}}, run: echo mine >> \"$LEDGER\"}}\n"),
        );
        let mut live = test.spawn(&["run", "main"]);
        let holder = live.run_id();
        at(&test, "hold");
        let mut other = test.spawn(&["run", "other"]);
        let run = other.run_id();
        if word == "wait" {
            eventually("the wait", || {
                let waits = test.journal(&run).of("waiting", "mine").len() == 1;
                waits.then_some(())
            });
        } else {
            let other = other.wait().exits(code);
            assert!(other.stderr.contains("shared"), "{other}");
            for said in [&format!("held by run {holder} of main"), "since 20", ", at hold"] {
                assert!(other.stderr.contains(said), "{said} in {other}");
            }
            let journal = test.journal(&run);
            if word == "fail" {
                assert!(journal.reason("mine").starts_with("lock"), "{}", journal.reason("mine"));
            } else {
                assert!(journal.one("step_skipped", "mine")["reason"].as_str().unwrap().starts_with("lock"));
            }
            test.release();
            live.wait().succeeds();
            assert_eq!(test.ledger(), ["hold", "before"]);
            continue;
        }
        test.release();
        other.wait().exits(code);
        live.wait().succeeds();
        assert_eq!(test.ledger(), ["hold", "before", "mine"]);
        assert_eq!(test.journal(&run).one("lock_acquired", "mine")["lock"], "shared");
    }
}

/// What a step under the same lock left half done is named before the next one does its work.
#[test]
fn a_step_that_takes_its_lock_names_the_runs_that_are_unfinished_under_it() {
    let test = locked("steps:\n  - {id: half, lock: shared, run: 'echo half >> \"$LEDGER\"; HOLD'}\n");
    test.runbook_named(
        "over",
        "steps:\n  - {id: a, lock: shared, run: 'true'}\n  - {id: go, approve: {prompt: Go?}}\n",
    );
    test.runbook_named("next", "steps:\n  - {id: mine, lock: shared, run: echo mine >> \"$LEDGER\"}\n");
    // One whose step under the lock is over isn't under it any more.
    let parked = test.runbook(&["run", "over"]).exits(3).run_id();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    at(&test, "half");
    let shell = eventually("the step's process", || processes_of_run(&run).into_iter().next());
    let keeper = shell.keeper(&run).expect("a keeper");
    let _ = live.kill();
    send(keeper.pid, "KILL");
    Process::wait_until_gone(keeper.pid);
    test.release();
    let next = test.runbook(&["run", "next"]).succeeds();
    let told = format!("run {run} is unfinished under the lock `shared`: it is interrupted, at half");
    assert!(next.stderr.contains(&told) && !next.stderr.contains(&parked), "{next}");
    assert_eq!(test.ledger(), ["half", "mine"]);
}

#[test]
fn steps_of_one_run_under_one_lock_take_turns() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, needs: [], lock: shared, run: 'mkdir busy; sleep 0.1; rmdir busy'}
  - {id: b, needs: [], lock: shared, run: 'mkdir busy; sleep 0.1; rmdir busy'}
  - {id: c, needs: [], lock: shared, run: 'mkdir busy; sleep 0.1; rmdir busy'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
}

#[test]
fn a_parked_run_releases_its_lock_unless_it_is_to_hold_it() {
    for (holds, code) in [(false, 3), (true, 5)] {
        let test = TestEnvironment::with(&format!(
            "lock: {{name: deploy, hold_while_waiting: {holds}}}\nsteps:\n  - {{id: gate, approve: {{prompt: Go on?}}}}\n"
        ));
        let first = test.runbook(&["run", "main"]).exits(3).run_id();
        let second = test.runbook(&["run", "main"]).exits(code);
        assert!(second.stderr.contains(&first), "the unfinished run is named: {second}");
        let listed = test.runbook(&["lock", "list"]).succeeds();
        assert_eq!(listed.stdout.contains(&first), holds, "{listed}");
        if holds {
            // It goes on, and ends.
            test.runbook(&["approve", &first, "gate", "--resume"]).succeeds();
            let third = test.runbook(&["run", "main"]).exits(3).run_id();
            test.runbook(&["cancel", &third]).succeeds();
            test.runbook(&["run", "main"]).exits(3);
        }
    }
}

const SUNDAY: &str = "window: {allow: [{days: [sun], from: \"02:00\", to: \"04:00\", tz: America/New_York, week: 1}], outside: WORD}\nsteps:\n  - {id: work, run: echo work >> \"$LEDGER\"}\n";

fn at_clock(text: &str, clock: &str) -> TestEnvironment {
    TestEnvironment::with(text).variable("RUNBOOK_TEST_ONLY_CLOCK", clock)
}

#[test]
fn outside_its_window_a_run_is_refused() {
    let text = SUNDAY.replace("WORD", "refuse");
    let inside = "2026-11-01T07:30:00Z";
    for outside in ["2026-11-08T07:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T09:30:00Z"] {
        let test = at_clock(&text, outside);
        let refused = test.runbook(&["run", "main"]).exits(5);
        assert!(refused.stderr.contains("window"), "{refused}");
        assert!(test.runs().is_empty());
        let run = test.runbook(&["run", "main", "--override-window", "an incident"]).succeeds().run_id();
        let journal = test.journal(&run);
        assert_eq!(journal.kind("window_overridden")[0]["reason"], "an incident");
        assert_eq!(test.ledger(), ["work"]);
    }
    at_clock(&text, inside).runbook(&["run", "main"]).succeeds();
}

#[test]
fn a_window_that_is_waited_for_opens() {
    let text = SUNDAY.replace("WORD", "wait");
    let test = at_clock(&text, "2026-11-01T06:59:58Z");
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let journal = test.journal(&run);
    let waiting = journal.one("waiting", "work");
    assert_eq!(waiting["until"], "2026-11-01T07:00:00.000Z");
    assert!(journal.seq("waiting", "work") < journal.seq("step_started", "work"));
}

#[test]
fn a_window_asks_and_takes_wait_override_or_abort() {
    let text = SUNDAY.replace("WORD", "ask");
    let park = || {
        let test = at_clock(&text, "2026-11-03T12:00:00Z");
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        assert_eq!(test.journal(&run).one("gate_opened", "work")["gate"], "window");
        (test, run)
    };
    let (test, run) = park();
    test.runbook(&["answer", &run, "work", "override"]).exits(2);
    test.runbook(&["answer", &run, "work", "override", "--reason", "an incident"]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["work"]);
    assert_eq!(test.journal(&run).kind("window_overridden")[0]["reason"], "an incident");
    let (test, run) = park();
    test.runbook(&["answer", &run, "work", "abort"]).succeeds();
    assert_eq!(test.runbook(&["status", &run, "--format", "json"]).succeeds().json()["outcome"], "failed");
    assert!(test.ledger().is_empty());
    let (test, run) = park();
    test.runbook(&["answer", &run, "work", "wait"]).succeeds();
    let test = test.variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-06T07:30:00Z");
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["work"]);
    assert!(test.journal(&run).kind("window_overridden").is_empty());
}

#[test]
fn a_guarded_step_outside_its_window_fails() {
    let text = "steps:\n  - {id: before, run: echo before >> \"$LEDGER\"}\n  - {id: work, retry: 1, window: freeze, run: echo work >> \"$LEDGER\"}\n";
    let project = "calendars:\n  freeze: {deny: [{from: 2026-12-20, to: 2027-01-02, tz: UTC, why: Year end}], ics: freeze.ics}\n";
    let ics = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Audit\nDTSTART;VALUE=DATE:20261110\nEND:VEVENT\nEND:VCALENDAR\n";
    for (clock, why) in [
        ("2027-01-02T23:00:00Z", "Year end"),
        ("2026-11-10T12:00:00Z", "Audit"),
        ("2026-11-12T12:00:00Z", ""),
    ] {
        let test = at_clock(text, clock);
        test.write("runbooks/project.yaml", project);
        test.write("runbooks/freeze.ics", ics);
        let run = test.runbook(&["run", "main"]).exits(i32::from(!why.is_empty())).run_id();
        if why.is_empty() {
            assert_eq!(test.ledger(), ["before", "work"]);
            continue;
        }
        let reason = test.journal(&run).reason("work");
        assert!(reason.starts_with("window") && reason.contains(why), "{reason}");
        assert_eq!(test.ledger(), ["before"]);
        let run = test.runbook(&["run", "main", "--override-window", "it must"]).succeeds().run_id();
        assert_eq!(test.step_outcome(&run, "work"), "succeeded");
    }
    let test = TestEnvironment::with(text);
    test.runbook(&["validate", "main"]).exits(1).stdout_has("no calendar `freeze`");
    test.write("runbooks/project.yaml", project);
    test.write("runbooks/freeze.ics", &ics.replace("END:VEVENT", "RRULE:FREQ=HOURLY\nEND:VEVENT"));
    test.runbook(&["run", "main"]).exits(2).stderr_has("FREQ=HOURLY");
}
