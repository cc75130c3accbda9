//! The shapes that programs rely on (cli "Shapes that programs may rely on").

use serde_json::Value;

use crate::helpers::{TestEnvironment, eventually};

const TWO: &str = "\nsteps:\n  - {id: a, run: 'echo hello; echo name=value >> \"$RUNBOOK_OUTPUT\"'}\n  - {id: b, check: {run: 'true'}}\n";

#[test]
fn run_in_json_prints_the_journals_own_lines_and_nothing_else() {
    let test = TestEnvironment::with(TWO);
    let output = test.runbook(&["run", "main", "--format", "json"]).succeeds();
    let run = output.run_id();
    let journal = test.journal(&run);
    let printed: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(printed, journal.lines, "{output}");
    let first = &journal.events[0];
    assert_eq!(
        (&first["kind"], &first["format"], &first["seq"]),
        (&"journal_opened".into(), &1.into(), &1.into())
    );
    for (index, event) in journal.events.iter().enumerate() {
        assert_eq!(event["seq"], index + 1, "without gaps");
        assert_eq!(event["run"], run);
        let at = event["at"].as_str().unwrap();
        assert!(at.len() == "2026-11-22T02:30:00.123Z".len() && at.ends_with('Z'), "{at}");
    }
    let kinds: Vec<&str> = journal.events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[1], "run_created");
    assert_eq!(kinds.last(), Some(&"sealed"));
    for step in ["a", "b"] {
        journal.one("step_started", step);
        let finished = journal.one("step_finished", step);
        for field in ["attempt", "outcome", "reason", "exit_code", "signal", "duration_ms", "outputs"] {
            assert!(finished.get(field).is_some(), "{field} in {finished}");
        }
    }
    assert_eq!(journal.one("step_finished", "a")["outputs"]["name"], "value");
    assert!(journal.one("step_finished", "a")["log_sha256"].is_string());
    let created = journal.kind("run_created")[0];
    for field in ["runbook", "plan_digest", "params", "user", "host", "version"] {
        assert!(created.get(field).is_some(), "{field} in {created}");
    }
}

#[test]
fn resume_in_json_prints_its_own_segment() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: gate, approve: {prompt: Go?}}\n  - {id: after, run: 'true'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run]).succeeds();
    let before = test.journal(&run).lines.len();
    let output = test.runbook(&["resume", &run, "--format", "json"]).succeeds();
    let printed: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(printed, test.journal(&run).lines[before..], "{output}");
    assert_eq!(output.json_lines()[0]["kind"], "journal_opened");
    assert_eq!(output.json_lines()[1]["kind"], "run_resumed");
}

#[test]
fn status_tells_where_a_run_stands() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'true'}\n  - {id: gate, manual: {prompt: Look}}\n  - {id: b, run: 'true'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(
        (&status["run"], &status["runbook"], &status["outcome"]),
        (&run.as_str().into(), &"main".into(), &"waiting".into())
    );
    assert!(
        status["started_at"].is_string() && status["user"].is_string() && status["finished_at"].is_null()
    );
    let outcomes: Vec<_> = status["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["id"].as_str().unwrap(), step["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, [("a", "succeeded"), ("gate", "waiting"), ("b", "pending")]);
    for field in ["attempts", "exit_code", "duration_ms", "reason", "undone"] {
        assert!(status["steps"][0].get(field).is_some(), "{field} in {status}");
    }
    let waiting = &status["waiting_for"][0];
    assert_eq!(
        (&waiting["step"], &waiting["gate"], &waiting["prompt"]),
        (&"gate".into(), &"manual".into(), &"Look".into())
    );
    for field in ["from", "expires_at"] {
        assert!(waiting.get(field).is_some(), "{field} in {waiting}");
    }
}

#[test]
fn status_tells_what_runs() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'echo up >> \"$LEDGER\"; while [ -e \"$HOLD\" ]; do sleep 0.02; done'}\n",
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the step", || (!test.ledger().is_empty()).then_some(()));
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!((&status["outcome"], &status["steps"][0]["outcome"]), (&"running".into(), &"running".into()));
    test.release();
    live.wait().succeeds();
}

#[test]
fn runs_is_a_list_of_the_same_without_steps() {
    let test = TestEnvironment::with(TWO);
    assert_eq!(test.runbook(&["runs", "--format", "json"]).succeeds().json(), Value::Array(Vec::new()));
    let first = test.runbook(&["run", "main"]).succeeds().run_id();
    let second = test.runbook(&["run", "main"]).succeeds().run_id();
    let runs = test.runbook(&["runs", "--format", "json"]).succeeds().json();
    let mut ids: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let mut expected = vec![first, second];
    expected.sort();
    assert_eq!(ids, expected);
    assert!(runs[0].get("steps").is_none() && runs[0]["outcome"] == "succeeded");
}

#[test]
fn plan_shows_steps_kinds_needs_and_a_digest() {
    let test = TestEnvironment::with(
        r#"
params: {v: x}
steps:
  - {id: a, run: 'echo {{ params.v }}'}
  - {id: b, check: {run: 'true'}}
  - {id: c, needs: [a], approve: {prompt: Go?}}
  - {id: d, manual: Look}
"#,
    );
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    assert_eq!(plan["runbook"], "main");
    assert_eq!(plan["digest"].as_str().unwrap().len(), 64);
    let kinds: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run", "check", "approve", "manual"]);
    assert_eq!(plan["steps"][2]["needs"], serde_json::json!(["a"]));
    let same = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    assert_eq!(same["digest"], plan["digest"], "stable");
    let other = test.runbook(&["plan", "main", "-p", "v=y", "--format", "json"]).succeeds().json();
    assert_ne!(other["digest"], plan["digest"], "of the parameters too");
    assert!(test.runs().is_empty() && test.ledger().is_empty(), "a plan runs nothing");
    let dry = test.runbook(&["run", "main", "--dry-run", "--format", "json"]).succeeds().json();
    assert_eq!(dry["digest"], plan["digest"]);
}

#[test]
fn the_first_line_names_the_run_and_the_last_its_outcome() {
    let test = TestEnvironment::with(TWO);
    let output = test.runbook(&["run", "main"]).succeeds();
    let run = output.run_id();
    assert_eq!(output.stderr.lines().next(), Some(&*format!("run {run} main")));
    assert_eq!(output.last_line(), format!("run {run} succeeded"));
    let (date, suffix) = run.split_once('-').unwrap();
    assert!(date.len() == 15 && suffix.len() == 4 && date.as_bytes()[8] == b'T', "{run}");
}

#[test]
fn a_failed_run_says_what_to_do_next() {
    let test =
        TestEnvironment::with("\nsteps:\n  - {id: smoke, run: 'echo the reason is this >&2; exit 22'}\n");
    test.runbook(&["run", "main"])
        .exits(1)
        .stderr_has("the reason is this")
        .stderr_has("runbook logs")
        .stderr_has("runbook resume")
        .stderr_has("--retry smoke");
}

#[test]
fn list_shows_the_runbooks() {
    let test = TestEnvironment::with(TWO);
    test.write(
        "runbooks/sub/other.yaml",
        "title: The other one\nowner: ops\nsteps:\n  - {id: a, run: 'true'}\n",
    );
    test.runbook(&["list"]).succeeds().stdout_has("main").stdout_has("sub/other").stdout_has("The other one");
    test.runbook(&["run", "sub/other"]).succeeds();
    test.runbook(&["run", "other"]).succeeds();
    let file = test.project().join("runbooks/sub/other.yaml");
    test.runbook(&["run", &file.display().to_string()]).succeeds();
}

/// What a command prints can do nothing to the terminal of who reads it.
#[test]
fn control_sequences_are_made_harmless() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'printf \"\\033]0;owned\\007\\033[2Jcleared \\342\\200\\256 turned\\n\"'}\n",
    );
    let output = test.runbook(&["run", "main"]).succeeds().stderr_has("cleared");
    assert!(
        !output.stderr.contains("\u{1b}]0;")
            && !output.stderr.contains("\u{1b}[2J")
            && !output.stderr.contains('\u{202e}'),
        "{:?}",
        output.stderr
    );
}

/// A second reader of the format, in another language, with nothing of ours in it.
#[test]
fn ten_lines_of_python_can_verify_a_journal() {
    let verifier = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/helpers/verify_journal.py");
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: echo hello}\n  - {id: gate, approve: {prompt: Go?}}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "--resume"]).succeeds();
    let verify = || {
        let mut command = std::process::Command::new("python3");
        command.arg(verifier).arg(test.run_folder(&run));
        test.spawn_command(command).wait()
    };
    verify().succeeds();
    let segment = test.run_folder(&run).join("journal-000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("hello", "hallo", 1)).unwrap();
    assert_ne!(verify().whatever_status().code(), 0, "a changed byte is found");
}
