//! Each row of the table of exit statuses (cli "Exit status") that no other module has a test for.

use crate::helpers::TestEnvironment;

const TRIVIAL: &str = "\nparams: {n: {type: integer, default: 1, max: 5}}\nsteps:\n  - {id: a, run: 'echo {{ params.n }} >> \"$LEDGER\"'}\n";

#[test]
fn usage_and_invalid_runbooks_are_2_and_leave_no_run() {
    let test = TestEnvironment::with(TRIVIAL);
    test.runbook_named("broken", "\nsteps:\n  - {id: a, rum: echo}\n");
    for arguments in [
        &["run"][..],
        &["run", "no-such-runbook"],
        &["run", "broken"],
        &["run", "main", "-p", "n=many"],
        &["run", "main", "-p", "n=6"],
        &["run", "main", "-p", "m=1"],
        &["run", "main", "--no-such-option"],
        &["no-such-command"],
        &["status", "last"],
        &["resume", "last"],
        &["logs", "last"],
        &["plan", "main", "-p", "n=many"],
        &["validate", "no-such-runbook"],
    ] {
        let output = test.runbook(arguments).exits(2);
        assert!(!output.stderr.is_empty(), "it says why: {output}");
    }
    assert!(test.runs().is_empty() && test.ledger().is_empty());
}

#[test]
fn missing_parameters_are_all_listed() {
    let test = TestEnvironment::with(
        "\nparams: {first: {type: string}, second: {type: integer}, given: x, free: {required: false}}\nsteps:\n  - {id: a, run: 'echo {{ params.first }}{{ params.second }}{{ params.given }}{{ params.free }}'}\n",
    );
    test.runbook(&["run", "main"]).exits(2).stderr_has("first").stderr_has("second").lacks("`given`");
}

#[test]
fn parameters_are_typed_and_come_from_options_and_files() {
    let test = TestEnvironment::with(
        r#"
params:
  text: {type: string, pattern: 'v\d+'}
  number: {type: number, default: 1.5}
  flag: {type: boolean, default: false}
  span: {type: duration, default: 5m}
  names: {type: list, default: [a, b]}
steps:
  - {id: a, run: 'echo {{ params.text }} {{ params.number }} {{ params.flag }} {{ params.names | join("+") }} >> "$LEDGER"'}
"#,
    );
    test.write("params.yaml", "text: v1\nnumber: 2\nflag: true\nnames: [c]\n");
    test.runbook(&["run", "main", "--params", "params.yaml"]).succeeds();
    test.runbook(&["run", "main", "--params", "params.yaml", "-p", "text=v9", "-p", "flag=false"]).succeeds();
    assert_eq!(test.ledger()[0].split(' ').next_back(), Some("c"));
    assert!(test.ledger()[1].starts_with("v9 "), "-p wins: {:?}", test.ledger());
    for wrong in
        ["text=w1", "text=xv1", "text=v1x", "flag=yes", "flag=True", "number=ten", "span=5", "span=soon"]
    {
        test.runbook(&["run", "main", "-p", "text=v1", "-p", wrong]).exits(2);
    }
    // Only ASCII digits are `\d`.
    test.runbook(&["run", "main", "-p", "text=v\u{0661}"]).exits(2);
    assert_eq!(test.ledger().len(), 2);
}

#[test]
fn a_pattern_or_choice_stops_a_value_before_anything_runs() {
    let test = TestEnvironment::with(
        "\nparams: {slot: {choices: [blue, green]}}\nsteps:\n  - {id: a, run: 'echo {{ params.slot }} >> \"$LEDGER\"'}\n",
    );
    test.runbook(&["run", "main", "-p", "slot=red"]).exits(2).stderr_has("blue").stderr_has("green");
    test.runbook(&["run", "main", "-p", "slot=green"]).succeeds();
    assert_eq!(test.ledger(), ["green"]);
}

#[test]
fn validate_is_0_fine_1_findings_2_usage() {
    let test = TestEnvironment::with(TRIVIAL);
    test.runbook(&["validate"]).succeeds();
    test.runbook(&["validate", "main"]).succeeds();
    test.runbook_named("broken", "\nsteps:\n  - {id: a, rum: echo}\n");
    test.runbook(&["validate"]).exits(1);
    test.runbook(&["validate", "main"]).succeeds();
}

#[test]
fn verify_is_0_for_a_sound_run() {
    let test = TestEnvironment::with(TRIVIAL);
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let found = test.runbook(&["verify", &run, "--format", "json"]).succeeds().json();
    assert_eq!(found["ok"], true);
    assert_eq!(found["problems"].as_array().unwrap().len(), 0);
}

/// A store that can't be written: nothing starts.
#[test]
fn a_store_that_cannot_be_written_is_6() {
    let test = TestEnvironment::with(TRIVIAL);
    test.write("not-a-folder", "");
    let state = test.project().join("not-a-folder");
    test.runbook(&["run", "main", "--state", &state.display().to_string()]).exits(6);
    assert!(test.ledger().is_empty());
}

#[test]
fn a_symbolic_link_inside_the_store_is_refused() {
    let test = TestEnvironment::with(TRIVIAL);
    let elsewhere = test.outside("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, test.state().join("runs")).unwrap();
    test.runbook(&["run", "main"]).exits(6);
    assert!(test.ledger().is_empty());
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_reader_that_goes_away_stops_no_run() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: talk, run: 'i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done'}\n  - {id: after, run: echo after >> \"$LEDGER\"}\n",
    );
    let binary = env!("CARGO_BIN_EXE_runbook");
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        &format!("'{binary}' run main --state '{}' --format json 2>&1 | head -n 1", test.state().display()),
    ]);
    command.current_dir(test.project());
    test.spawn_command(command).wait().succeeds();
    crate::helpers::eventually("the last step", || (test.ledger() == ["after"]).then_some(()));
}
