//! What becomes of results that standard output doesn't take (cli "Standard output is data, standard error is talk").

use std::fs::File;
use std::process::Stdio;

use crate::helpers::TestEnvironment;

const ONE: &str = "\ntags: [deploy]\nsteps:\n  - {id: a, run: echo hello}\n";

/// The commands whose results are what they print.
const RESULTS: [&[&str]; 20] = [
    &["status", "last"],
    &["status", "last", "--format", "json"],
    &["validate"],
    &["validate", "--format", "json"],
    &["plan", "main"],
    &["plan", "main", "--format", "json"],
    &["run", "main", "--dry-run"],
    &["list"],
    &["list", "--format", "json"],
    &["show", "main"],
    &["runs"],
    &["runs", "--format", "json"],
    &["logs", "last"],
    &["logs", "last", "a"],
    &["verify", "last"],
    &["schema"],
    &["completions", "bash"],
    &["man"],
    &["--help"],
    &["--version"],
];

#[test]
fn results_that_are_lost_are_no_success() {
    let test = TestEnvironment::with(ONE);
    test.runbook(&["run", "main"]).succeeds();
    for arguments in RESULTS {
        test.runbook(arguments).succeeds();
        let mut command = test.command(arguments);
        command.stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert_eq!(stderr.matches("could not be written").count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains("No space left on device"), "{arguments:?}: {stderr}");
    }
}

/// `runbook list | head -1`: it had enough.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let test = TestEnvironment::with(ONE);
    test.runbook(&["run", "main"]).succeeds();
    for arguments in RESULTS {
        let mut command = test.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{arguments:?}");
    }
}

/// The exit status of a run is the run's; that nobody heard it is said.
#[test]
fn a_run_whose_last_line_is_lost_ends_as_it_ended() {
    let test = TestEnvironment::with(ONE);
    for arguments in [&["run", "main"][..], &["run", "main", "--format", "json"], &["note", "last", "hello"]]
    {
        let mut command = test.command(arguments);
        command.stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        let is_silent = arguments[0] == "note";
        assert_eq!(stderr.contains("could not be written"), !is_silent, "{arguments:?}: {stderr}");
    }
    assert_eq!(test.runs().len(), 2);
}

/// `--color WHEN` and `--color=WHEN` are one option.
#[test]
fn a_colour_may_stand_behind_a_space() {
    let test = TestEnvironment::with(ONE);
    for (arguments, coloured) in [
        (&["list", "--color", "always"][..], true),
        (&["--color", "always", "list"], true),
        (&["list", "--color=always"], true),
        (&["list", "--color"], true),
        (&["list", "--color", "never"], false),
        (&["list", "--color=never"], false),
        (&["list"], false),
    ] {
        let output = test.runbook(arguments).succeeds();
        assert_eq!(output.stdout.contains('\u{1b}'), coloured, "{output}");
    }
}

/// What is set in the environment wasn't typed.
#[test]
fn the_usage_line_shows_no_option_of_the_environment() {
    let test = TestEnvironment::with(ONE).variable("RUNBOOK_DIR", "runbooks");
    test.runbook(&["run"]).exits(2).stderr_has("Usage: runbook run").lacks("--state").lacks("--dir");
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.runs().len(), 1, "both are followed all the same");
    test.runbook(&["--help"]).succeeds().stdout_has("RUNBOOK_STATE").stdout_has("RUNBOOK_DIR");
}

#[test]
fn list_is_narrowed_by_tags() {
    let test = TestEnvironment::new();
    for (name, tags) in [("a", "[deploy, web]"), ("b", "[deploy]"), ("c", "[]")] {
        test.runbook_named(name, &format!("tags: {tags}\nsteps: [{{id: x, run: 'true'}}]\n"));
    }
    for (arguments, expected) in [
        (&["--tags", "deploy"][..], &["a", "b"][..]),
        (&["--tags", "web,other"], &["a"]),
        (&["--skip-tags", "web"], &["b", "c"]),
        (&["--tags", "deploy", "--skip-tags", "web"], &["b"]),
        (&["--tags", "none"], &[]),
        (&[], &["a", "b", "c"]),
    ] {
        let listed = test.runbook(&[&["list", "--format", "json"], arguments].concat()).succeeds().json();
        let names: Vec<&str> =
            listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{arguments:?}");
    }
    test.runbook(&["list", "--tags", "none"]).succeeds().stderr_has("No runbook with these tags");
    test.write("runbooks/broken.yaml", "steps: 1\n");
    test.runbook(&["list", "--tags", "web"]).succeeds().stdout_has("a").stderr_has("1 runbook left out");
}
