//! Old runs: `gc` and `keep` (cli, language §9).

use crate::helpers::{TestEnvironment, eventually};

const BODY: &str = r#"
params:
  how: {type: string, default: "true"}
steps:
  - {id: a, run: 'test "{{ params.how }}" = true'}
  - {id: gate, when: params.how == "park", approve: Go?}
"#;

/// The moment at which the test's later commands are run: long after the first.
const LATER: &str = "2040-01-01T00:00:00Z";

/// A world with a run that succeeded, one that failed and one that is parked, and what happens there later.
fn world() -> (TestEnvironment, [String; 3]) {
    let test = TestEnvironment::with(BODY);
    test.runbook_named("parks", "\nsteps:\n  - {id: gate, approve: Go?}\n");
    let good = test.runbook(&["run", "main"]).succeeds().run_id();
    let bad = test.runbook(&["run", "main", "-p", "how=false"]).exits(1).run_id();
    let parked = test.runbook(&["run", "parks"]).exits(3).run_id();
    (test.variable("RUNBOOK_TEST_ONLY_CLOCK", LATER), [good, bad, parked])
}

fn sorted<const N: usize>(runs: [&String; N]) -> Vec<String> {
    let mut runs = runs.map(Clone::clone).to_vec();
    runs.sort();
    runs
}

#[test]
fn gc_deletes_old_finished_runs_and_nothing_else() {
    let (test, [good, bad, parked]) = world();
    test.runbook(&["gc", "--older-than", "36500d"]).succeeds();
    assert_eq!(test.runs().len(), 3);
    test.runbook(&["gc", "--older-than", "90d", "--dry-run"])
        .succeeds()
        .stdout_has(&good)
        .stdout_has(&bad)
        .lacks(&parked);
    assert_eq!(test.runs().len(), 3);
    let listed = test.runbook(&["gc", "--older-than", "90d", "--format", "json"]).succeeds().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(test.runs(), std::slice::from_ref(&parked));
    let left = test.runbook(&["runs", "--format", "json"]).succeeds().json();
    assert_eq!(left.as_array().unwrap().len(), 1);
    test.runbook(&["status", &good]).exits(2);
    test.runbook(&["verify", &parked]).succeeds();
    let index = std::fs::read_to_string(test.state().join("index.jsonl")).unwrap();
    assert!(!index.contains(&good) && !index.contains(&bad), "{index}");
}

#[test]
fn gc_wants_an_age_with_a_unit() {
    let test = TestEnvironment::with(BODY);
    test.runbook(&["gc"]).exits(2);
    test.runbook(&["gc", "--older-than", "90"]).exits(2);
}

#[test]
fn gc_removes_what_commands_have_closed_and_follows_no_link() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - id: a\n    run: 'mkdir \"$RUNBOOK_RUN_DIR/x\"; touch \"$RUNBOOK_RUN_DIR/x/y\"; ln -s \"$PWD\" \"$RUNBOOK_RUN_DIR/link\"; chmod 0 \"$RUNBOOK_RUN_DIR/x\"'\n",
    );
    test.runbook(&["run", "main"]).succeeds();
    test.runbook(&["gc", "--older-than", "0s"]).succeeds();
    assert!(test.runs().is_empty());
    assert!(test.project().join("runbooks/main.yaml").is_file());
}

#[test]
fn keep_is_applied_at_the_start_of_a_run_by_how_runs_ended() {
    let (test, [good, bad, parked]) = world();
    test.write("runbooks/project.yaml", "keep: {succeeded: 30d, failed: 36500d}\n");
    test.runbook(&["plan", "main"]).succeeds();
    assert_eq!(test.runs().len(), 3);
    let new = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.runs(), sorted([&bad, &parked, &new]));
    assert!(!test.run_folder(&good).exists());
    test.write("runbooks/project.yaml", "keep: {failed: 30d}\n");
    let newest = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.runs(), sorted([&parked, &new, &newest]));
}

#[test]
fn keep_is_about_the_runs_of_its_own_project() {
    let (test, _) = world();
    let other = test.outside("other/runbooks");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("project.yaml"), "keep: {succeeded: 1d, failed: 1d}\n").unwrap();
    std::fs::write(other.join("main.yaml"), "steps:\n  - {id: a, run: 'true'}\n").unwrap();
    test.runbook(&["run", "main", "--dir", &other.display().to_string()]).succeeds();
    assert_eq!(test.runs().len(), 4);
}

/// What is locked, waits or can't be trusted stays, however old it is.
#[test]
fn gc_leaves_what_is_taken_up_again_or_damaged() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: a, run: 'while [ -e \"$HOLD\" ]; do sleep 0.02; done; test -e fixed'}\n",
    );
    let held = test.runbook(&["run", "main"]).exits(1).run_id();
    let damaged = test.runbook(&["run", "main"]).exits(1).run_id();
    let journal = test.run_folder(&damaged).join("journal-000001.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("run_created", "run_creates", 1)).unwrap();
    test.hold();
    let live = test.spawn(&["resume", &held, "--retry", "a"]);
    eventually("the second attempt", || {
        let started = test.journal(&held).of("step_started", "a").len();
        (started == 2).then_some(())
    });
    let said = test.runbook(&["gc", "--older-than", "0s"]).succeeds();
    said.lacks(&format!("{held}  "));
    assert_eq!(test.runs().len(), 2);
    test.release();
    live.wait().exits(1);
    test.runbook(&["gc", "--older-than", "0s"]).succeeds().stdout_has(&held);
    assert_eq!(test.runs(), [damaged]);
}

#[test]
fn keep_says_what_it_deleted_after_the_run() {
    let (test, [good, ..]) = world();
    test.write("runbooks/project.yaml", "keep: {succeeded: 30d}\n");
    test.runbook(&["plan", "main", "-o", "plan.json"]).succeeds();
    let ran = test.runbook(&["run", "--plan", "plan.json"]).succeeds().stderr_has("1 old run");
    let run = ran.run_id();
    ran.ends("succeeded");
    assert!(!test.run_folder(&good).exists());
    assert!(test.run_folder(&run).exists());
}

/// However many old runs there are, a start deletes a few of them, and the next ones the rest.
#[test]
fn keep_takes_no_longer_than_a_few_runs_a_start() {
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: 'true'}\n");
    for _ in 0..66 {
        let mut old = test.command(&["run", "main"]);
        old.env("RUNBOOK_TEST_ONLY_CLOCK", "2026-01-01T00:00:00Z");
        assert!(old.output().unwrap().status.success());
    }
    test.write("runbooks/project.yaml", "keep: {succeeded: 30d}\n");
    let first = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.runs().len(), 66 - 64 + 1, "a start deletes no more than it can at once");
    let second = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.runs(), sorted([&first, &second]));
}
