//! Features of the language together: what each promises also holds beside the others.

use serde_json::Value;

use crate::helpers::TestEnvironment;

/// A called runbook with a lock of its own name.
const LIBRARY: &str = "params: {db: {}}
lock: \"library-{{ params.db }}-{{ env.SITE }}\"
env: {SITE: west}
steps:
  - {id: dump, run: 'echo dump'}
  - {id: look, approve: {prompt: \"Is {{ params.db }} there?\"}}
finally: [{id: clean, run: 'echo clean'}]
";

#[test]
fn the_lock_of_a_called_runbook_is_named_with_its_own_parameters() {
    let test = TestEnvironment::with(
        "steps: [{id: backup, for_each: [a, b], call: library, with: {db: \"{{ item }}\"}}]",
    );
    test.write("runbooks/library.yaml", LIBRARY);
    let arguments =
        ["run", "main", "--answer", "backup[0].look=approve", "--answer", "backup[1].look=approve"];
    let run = test.runbook(&arguments).succeeds().run_id();
    let locks: Vec<Value> =
        test.journal(&run).kind("lock_acquired").into_iter().map(|event| event["lock"].clone()).collect();
    assert_eq!(locks, ["library-a-west", "library-b-west"]);
}

#[test]
fn a_plan_shows_what_holds_for_groups_and_calls() {
    let test = TestEnvironment::with(
        "steps:
  - id: switch
    title: Switch over
    when: run.host != 'none'
    ask: Shall we switch?
    lock: switching
    deadline: 5m
    steps: [{id: a, run: 'echo a'}]
  - {id: backup, call: library, with: {db: main}}
",
    );
    test.write("runbooks/library.yaml", LIBRARY);
    let text = test.runbook(&["plan", "main"]).succeeds().stdout;
    for part in [
        "switch — Switch over:",
        "when run.host != 'none'",
        "asks before: Shall we switch?",
        "lock switching",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("In backup: under the lock library-main-west"), "{text}");
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let groups = &plan["groups"];
    assert_eq!((&groups[0]["id"], &groups[0]["ask"]), (&"switch".into(), &"Shall we switch?".into()));
    assert_eq!((&groups[1]["kind"], &groups[1]["lock"]), (&"call".into(), &"library-main-west".into()));
}

#[test]
fn a_plan_shows_that_the_finally_of_a_called_runbook_comes_after_its_steps() {
    let test = TestEnvironment::with("steps: [{id: backup, call: library, with: {db: main}}]");
    test.write("runbooks/library.yaml", LIBRARY);
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let clean = &plan["steps"][2];
    assert_eq!(
        (&clean["id"], &clean["needs"]),
        (&"backup.clean".into(), &serde_json::json!(["backup.look"]))
    );
}

#[test]
fn a_group_of_a_parked_run_waits_and_is_not_interrupted() {
    let test = TestEnvironment::with("steps: [{id: g, for_each: [1], steps: [{id: look, manual: Look}]}]");
    test.runbook(&["run", "main"]).exits(3);
    let status = test.runbook(&["status", "last", "--format", "json"]).succeeds().json();
    for step in status["steps"].as_array().unwrap() {
        assert_eq!(step["outcome"], "waiting", "{step}");
    }
}

#[test]
fn runbooks_that_call_each_other_are_named_in_a_circle() {
    let test = TestEnvironment::with("steps: [{id: a, call: other}]");
    test.runbook_named("other", "steps: [{id: b, call: main}]");
    let said = test.runbook(&["validate", "main"]).exits(1).stdout;
    assert!(said.contains("main → other → main"), "{said}");
}

#[test]
fn commands_that_tell_gates_of_items_apart_can_be_pasted() {
    let test = TestEnvironment::with(
        "steps: [{id: g, for_each: [1, 2], max_parallel: 2, steps: [{id: ok, approve: {prompt: P}}]}]",
    );
    test.runbook(&["run", "main"]).exits(3);
    let said = test.runbook(&["approve", "last"]).exits(2).stderr;
    assert!(said.contains("'g[0].ok'"), "{said}");
}

#[test]
fn an_empty_note_is_no_evidence() {
    let test = TestEnvironment::with("steps: [{id: m, manual: {prompt: M, evidence: required}}]");
    test.runbook(&["run", "main"]).exits(3);
    for empty in [["--note", " "], ["--link", ""]] {
        test.runbook(&[&["done", "last"][..], &empty[..]].concat()).exits(2).stderr_has("needs evidence");
    }
    test.runbook(&["done", "last", "--note", "seen"]).succeeds();
}

#[test]
fn what_to_do_outside_a_window_can_be_said_ahead_of_time() {
    let never =
        "window: {allow: [{days: [mon], from: '02:00', to: '02:01', tz: UTC, week: 1}], outside: ask}";
    for runbook in
        [format!("{never}\nsteps: [{{id: a, run: echo}}]"), format!("steps: [{{id: a, run: echo, {never}}}]")]
    {
        let test = TestEnvironment::with(&runbook);
        test.runbook(&["run", "main", "--answer", "a=override"]).exits(2).stderr_has("needs a reason");
        let run = test.runbook(&["run", "main", "--answer", "a=override:urgent"]).succeeds().run_id();
        assert_eq!(test.journal(&run).one("gate_answered", "a")["via"], "ahead");
    }
}

#[test]
fn what_to_do_about_an_interrupted_step_can_be_said_with_resume() {
    let test = TestEnvironment::with("steps: [{id: a, run: sleep 600}, {id: b, run: echo}]");
    for asked_before in [false, true] {
        let mut live = test.spawn(&["run", "main"]);
        let run = live.run_id();
        crate::helpers::eventually("the step runs", || {
            (!test.journal(&run).of("step_started", "a").is_empty()).then_some(())
        });
        live.signal("TERM");
        live.wait().exits(143);
        if asked_before {
            test.runbook(&["resume", &run]).exits(7);
        }
        test.runbook(&["resume", &run, "--answer", "a=skip"]).exits(2).stderr_has("needs a reason");
        test.runbook(&["resume", &run, "--answer", "a=undo"]).exits(2);
        test.runbook(&["resume", &run, "--answer", "a=skip:seen"]).succeeds();
        assert_eq!(test.step_outcome(&run, "a"), "skipped");
    }
}

#[test]
fn a_step_that_a_question_stands_before_waits() {
    let test = TestEnvironment::with("steps: [{id: a, ask: 'Do it?', run: echo}]");
    test.runbook(&["run", "main"]).exits(3);
    let status = test.runbook(&["status", "last", "--format", "json"]).succeeds().json();
    assert_eq!(status["steps"][0]["outcome"], "waiting");
    test.runbook(&["status", "last"]).succeeds().stdout_has("? a  waiting");
}

#[test]
fn what_people_type_is_masked() {
    const SECRET: &str = "s3cr3t-value-of-42";
    let test = TestEnvironment::with(
        "secrets: {token: {env: TOKEN}}
steps:
  - {id: m, manual: M}
  - {id: a, run: exit 3, on_failure: ask}
  - {id: b, run: exit 3, window: {allow: [{days: [mon], from: '02:00', to: '04:00', tz: UTC}]}}
",
    )
    .variable("TOKEN", SECRET);
    let said = |what: &str| format!("{what}{SECRET}");
    let live =
        test.spawn(&["run", "main", "--wait", "--answer", &said("a=skip:"), "--override-window", SECRET]);
    crate::helpers::eventually("the question is open", || {
        let run = test.runs().into_iter().next()?;
        (!test.journal(&run).of("gate_opened", "m").is_empty()).then_some(())
    });
    test.runbook(&["done", "last", "--note", &said("seen "), "--link", &said("https://x.example/")])
        .succeeds();
    live.wait().exits(1);
    test.runbook(&["resume", "last", "--skip", &said("b=")]).succeeds().lacks(SECRET);
    let run = test.only_run();
    for kind in ["window_overridden", "gate_answered", "step_skipped"] {
        let events = test.journal(&run);
        assert!(!events.kind(kind).is_empty(), "{kind}");
        for event in events.kind(kind) {
            let text = event.to_string();
            assert!(text.contains("‹secrets.token›") && !text.contains(SECRET), "{text}");
        }
    }
}

/// One of two locks would not be held: the page lets a call have the called runbook's, as a group has its own.
#[test]
fn a_call_has_one_lock_and_one_window() {
    let window = "{allow: [{days: [mon], from: '02:00', to: '04:00', tz: UTC}], outside: ask}";
    for (key, own, called) in [("lock", "x", "y"), ("window", window, window)] {
        let test = TestEnvironment::with(&format!("steps:\n  - {{id: b, call: lib, {key}: {own}}}\n"));
        test.runbook_named("lib", &format!("{key}: {called}\nsteps: [{{id: a, run: echo}}]\n"));
        test.runbook(&["validate", "main"])
            .exits(1)
            .stdout_has(&format!("`{key}` stands beside this call and in `lib`, which it calls"))
            .stdout_has("put the call into a group");
        test.runbook_named(
            "main",
            &format!("steps:\n  - id: b\n    {key}: {own}\n    steps: [{{id: c, call: lib}}]\n"),
        );
        test.runbook(&["validate", "main"]).succeeds();
    }
}

#[test]
fn a_text_holds_no_nul() {
    for step in ["run: \"echo x\\0y\"", "run: [echo, \"x\\0\"]", "manual: \"x\\0\""] {
        let test = TestEnvironment::with(&format!("steps:\n  - {{id: a, {step}}}\n"));
        test.runbook(&["run", "main"]).exits(2).stderr_has("can't hold the character NUL");
        assert!(test.runs().is_empty(), "{step}");
    }
}
