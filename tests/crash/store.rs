//! Fail closed: what can't be recorded doesn't start (engine §3).

use std::process::Command;

use crate::helpers::TestEnvironment;

/// Mounts a small file system in a name space of its own and runs the binary there.
fn on_a_small_disk(test: &TestEnvironment, size: &str, fill: &str) -> Command {
    let state = test.state();
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs '{0}' && chmod 700 '{0}' && {fill} '{1}' run main --state '{0}'",
        state.display(),
        env!("CARGO_BIN_EXE_runbook")
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).current_dir(test.project());
    command
}

fn may_mount() -> bool {
    Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .is_ok_and(|done| done.status.success())
}

#[test]
fn a_full_disk_starts_nothing_and_is_6() {
    if !may_mount() {
        // Not root: a limit on the size of files is the disk that is full.
        return;
    }
    let test = TestEnvironment::with("\nsteps:\n  - {id: a, run: echo a >> \"$LEDGER\"}\n");
    let fill =
        format!("{{ head -c 10m /dev/zero > '{}/full' 2>/dev/null || true; }} &&", test.state().display());
    test.spawn_command(on_a_small_disk(&test, "64k", &fill)).wait().exits(6);
    assert!(test.ledger().is_empty());
}

/// The disk fills up in the middle: what runs is let finish, nothing new starts.
#[test]
fn a_disk_that_fills_up_in_mid_run_starts_nothing_new() {
    if !may_mount() {
        return;
    }
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, run: echo a >> "$LEDGER"}
  - {id: fill, run: 'head -c 100m /dev/zero > "$RUNBOOK_RUN_DIR/full" || true; head -c 1m /dev/urandom | base64; echo filled >> "$LEDGER"'}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    );
    let output = test.spawn_command(on_a_small_disk(&test, "4m", "")).wait().exits(6);
    assert_eq!(test.ledger(), ["a", "filled"], "{output}");
}

/// The same by a limit on the size of a file, for whoever may not mount.
#[test]
fn a_journal_that_cannot_grow_starts_nothing_new() {
    let steps: String =
        (0..200).map(|i| format!("  - {{id: s{i}, run: echo s{i} >> \"$LEDGER\"}}\n")).collect();
    let test = TestEnvironment::with(&format!("\nsteps:\n{steps}"));
    let script = format!(
        "ulimit -f 64; trap '' XFSZ; exec '{}' run main --state '{}'",
        env!("CARGO_BIN_EXE_runbook"),
        test.state().display()
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(test.project());
    let output = test.spawn_command(command).wait().exits(6);
    let ledger = test.ledger();
    assert!(ledger.len() < 200, "{output}");
    let Some(run) = test.runs().pop() else { return };
    // On a disk with room it goes on where it was.
    let resumed = test.runbook(&["resume", &run]).whatever_status();
    assert_eq!(resumed.code(), 0, "{resumed}");
    let expected: Vec<String> = (0..200).map(|i| format!("s{i}")).collect();
    assert_eq!(test.ledger(), expected);
}
