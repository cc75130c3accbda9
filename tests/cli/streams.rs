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
