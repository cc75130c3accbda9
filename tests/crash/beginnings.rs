//! A run that was never recorded as created never was: it is no run, and stands in nobody's way.

use std::fs;
use std::process::Command;

use crate::helpers::TestEnvironment;

const ONE: &str = "\nsteps:\n  - {id: a, run: echo a >> \"$LEDGER\"}\n";

/// What a process leaves that is killed between the opening of the journal and the creation of the run, at each byte.
#[test]
fn a_run_that_was_cut_off_at_its_creation_is_no_run() {
    let test = TestEnvironment::with(ONE);
    let whole = test.runbook(&["run", "main"]).succeeds().run_id();
    let journal = fs::read(test.run_folder(&whole).join("journal-000001.jsonl")).unwrap();
    let mut newlines = journal.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let (first, second) = (newlines.next().unwrap(), newlines.next().unwrap());
    let cut = "20991231T235959-aaaa";
    for bytes in [0, 1, first, first + 1, first + 40, second] {
        let folder = test.run_folder(cut);
        fs::create_dir_all(folder.join("inbox")).unwrap();
        fs::create_dir_all(folder.join("logs")).unwrap();
        for file in ["plan.json", "runbook.yaml", "environment.json", "lock"] {
            fs::copy(test.run_folder(&whole).join(file), folder.join(file)).unwrap();
        }
        fs::write(folder.join("witness"), "").unwrap();
        let text = String::from_utf8(journal[..bytes].to_vec()).unwrap().replace(&whole, cut);
        fs::write(folder.join("journal-000001.jsonl"), text).unwrap();
        test.runbook(&["status", "last"]).succeeds().stdout_has(&whole).lacks(cut);
        test.runbook(&["status", "main"]).succeeds().stdout_has(&whole);
        test.runbook(&["runs"]).succeeds().lacks(cut);
        test.runbook(&["status", cut]).exits(2);
        test.runbook(&["resume", "last"]).succeeds();
        fs::remove_dir_all(folder).unwrap();
    }
}

/// A journal that has lost its records though commands ran is damage, and is not passed over.
#[test]
fn a_journal_that_lost_what_its_witnesses_know_is_still_a_run() {
    let test = TestEnvironment::with(ONE);
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let path = test.run_folder(&run).join("journal-000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.split_inclusive('\n').next().unwrap()).unwrap();
    for arguments in [&["status", "last"][..], &["resume", "last"], &["status", &run]] {
        test.runbook(arguments).exits(6);
    }
    test.runbook(&["verify", &run]).exits(1);
}

/// Not even the creation fits on the disk: nothing starts, no run is left, and nothing is advised that can't be.
#[test]
fn a_disk_that_is_full_from_the_start_leaves_no_run() {
    let may_mount = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .is_ok_and(|done| done.status.success());
    if !may_mount {
        return;
    }
    let test = TestEnvironment::with(ONE);
    let state = test.state().display().to_string();
    let binary = env!("CARGO_BIN_EXE_runbook");
    let script = format!(
        "mount -t tmpfs -o size=96k tmpfs '{state}' && chmod 700 '{state}' && '{binary}' run main; status=$?; ls '{state}/runs'; exit $status"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).current_dir(test.project()).env("RUNBOOK_STATE", &state);
    let output = test.spawn_command(command).wait().exits(6).stderr_has("nothing was started");
    assert_eq!(output.stdout, "", "no run is left: {output}");
    assert!(!output.stderr.contains("runbook resume"), "{output}");
    assert!(test.ledger().is_empty());
}
