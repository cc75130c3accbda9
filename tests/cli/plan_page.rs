//! What `plan` shows: each word of its row (cli), black box.

use crate::helpers::TestEnvironment;
use serde_json::Value;

const BODY: &str = r#"
params: {version: {type: string, default: "v 1"}}
lock: deploys
window: {allow: [{days: [sun], from: "02:00", to: "04:00", tz: UTC}]}
steps:
  - {id: late, needs: [first], run: 'echo {{ steps.first.outputs.y }}'}
  - {id: first, needs: [], run: 'echo {{ params.version }}; echo y=1 >> "$RUNBOOK_OUTPUT"', undo: {run: echo back}}
  - {id: gate, approve: {prompt: 'Send {{ params.version }} to {{ steps.first.stdout }}?', from: [alice]}}
  - id: stage
    steps:
      - {id: inner, check: {tcp: 'h:1'}}
finally:
  - {id: last, run: [echo, 'a b']}
"#;

#[test]
fn plan_shows_order_commands_gates_undo_locks_windows_and_what_is_unknown() {
    let test = TestEnvironment::with(BODY);
    let shown = test.runbook(&["plan", "main"]).succeeds();
    for part in [
        "first (run)",
        "echo 'v 1'",
        "‹steps.first.outputs.y›",
        "Send v 1 to ‹steps.first.stdout›?",
        "undone by: echo back",
        "lock: deploys",
        "window: ",
        "02:00",
        "alice",
        "echo 'a b'",
        "In the end, whatever happened",
    ] {
        assert!(shown.stdout.contains(part), "{part:?} is not in\n{}", shown.stdout);
    }
    let place = |id: &str| shown.stdout.find(&format!("{id} (")).unwrap();
    assert!(place("first") < place("late") && place("late") < place("gate"), "{}", shown.stdout);
    assert_eq!(test.runbook(&["run", "main", "--dry-run"]).succeeds().stdout, shown.stdout);
    assert!(test.runs().is_empty());
}

#[test]
fn plan_as_json_has_the_shape_of_the_page() {
    let test = TestEnvironment::with(BODY);
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    assert_eq!(plan["runbook"], "main");
    assert_eq!(plan["digest"].as_str().unwrap().len(), 64);
    let steps = plan["steps"].as_array().unwrap();
    let of = |key: &str| -> Vec<Value> { steps.iter().map(|step| step[key].clone()).collect() };
    assert_eq!(of("id"), ["first", "late", "gate", "stage.inner", "last"]);
    assert_eq!(of("kind"), ["run", "run", "approve", "check", "run"]);
    assert_eq!(steps[1]["needs"], serde_json::json!(["first"]));
    assert_eq!(steps[0]["undo"], "echo back");
    assert_eq!(steps[1]["command"], "echo ‹steps.first.outputs.y›");
    assert_eq!(steps[3]["group"], "stage");
    let other = test.runbook(&["plan", "main", "-p", "version=v2", "--format", "json"]).succeeds().json();
    assert_ne!(other["digest"], plan["digest"]);
    assert_eq!(test.runbook(&["plan", "main", "--format", "json"]).succeeds().json(), plan);
}

#[test]
fn plan_of_what_is_not_there_or_lacks_values_is_2() {
    let test =
        TestEnvironment::with("\nparams: {a: {}, b: {type: integer}}\nsteps:\n  - {id: s, run: 'true'}\n");
    test.runbook(&["plan", "other"]).exits(2);
    test.runbook(&["plan", "main"]).exits(2).stderr_has("`a`").stderr_has("`b`");
    test.runbook(&["plan", "main", "-p", "a=1", "-p", "b=x"]).exits(2);
    test.runbook(&["plan", "main", "-p", "a=1", "-p", "b=2", "-p", "c=3"]).exits(2);
}
