//! What a step is called (language §3: `title`, default the id): beside its id wherever people are shown it.

use crate::helpers::TestEnvironment;

const TITLED: &str = r#"
params: {version: v7}
steps:
  - {id: build, title: "Build {{ params.version }}", run: echo b}
  - {id: told, title: "After {{ steps.build.outcome }}: {{ steps.build.stdout }}", run: 'true'}
  - {id: each, for_each: [web, db], title: "Restart {{ item }}", run: 'true'}
  - {id: plain, run: 'true'}
  - {id: go, title: Get a go, approve: {prompt: Go?}}
"#;

#[test]
fn plan_shows_the_title_beside_the_id() {
    let test = TestEnvironment::with(TITLED);
    test.runbook(&["plan", "main"])
        .succeeds()
        .stdout_has("build — Build v7 (run)")
        .stdout_has("told — After ‹steps.build.outcome›: ‹steps.build.stdout› (run)")
        .stdout_has("plain (run)")
        .stdout_has("go — Get a go (approve)");
}

#[test]
fn a_run_shows_the_title_with_what_is_known_by_then() {
    let test = TestEnvironment::with(TITLED);
    test.runbook(&["run", "main"])
        .exits(3)
        .stderr_has("build — Build v7\n")
        .stderr_has("told — After ‹steps.build.outcome›: ‹steps.build.stdout›\n")
        .stderr_has("each[0] — Restart web\n")
        .stderr_has("each[1] — Restart db\n")
        .stderr_has("plain true\n")
        .stderr_has("go — Get a go — waits for a person: Go?");
}

#[test]
fn a_terminal_shows_the_title_of_what_ended_and_of_what_is_asked() {
    let test = TestEnvironment::with(TITLED).variable("COLUMNS", "60");
    let mut terminal = test.at_terminal(&["run", "main", "--color", "never"]);
    terminal.await_text("build succeeded");
    let ending = terminal.await_text("plain succeeded");
    assert!(ending.contains(" — Build v7\r\n") && ending.contains(" — Restart db\r\n"), "{ending}");
    terminal.await_text("go — Get a go: a decision is needed");
    terminal.press_ctrl_d();
    assert_eq!(terminal.finish().0, 3);
}

#[test]
fn plan_shows_what_is_only_reported() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, check: {disk: /, expect: used_percent < 101, warn: [used_percent < 80, free > 1]}}\n",
    );
    test.runbook(&["plan", "main"])
        .succeeds()
        .stdout_has("expects used_percent < 101")
        .stdout_has("warns unless used_percent < 80")
        .stdout_has("warns unless free > 1");
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    assert_eq!(plan["steps"][0]["warn"], serde_json::json!(["used_percent < 80", "free > 1"]));
}
