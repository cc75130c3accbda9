//! Fail closed: what can't be recorded doesn't start (engine §3).

use std::process::Command;

use serde_json::Value;

use crate::helpers::{Output, TestEnvironment, events_of};

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

/// The same, and afterwards looks at what was recorded, on a disk that has room again. Gives the run's end and journal.
fn look_at_a_full_disk(test: &TestEnvironment, size: &str) -> (Output, Vec<Value>) {
    let script = r#"
        mount -t tmpfs -o size="$SIZE" tmpfs "$STATE" && chmod 700 "$STATE"
        code=0; "$RUNBOOK" run main || code=$?
        rm -f "$STATE"/runs/*/files/full
        "$RUNBOOK" verify last >&2 || echo "verify: $?" >&2
        "$RUNBOOK" logs last fill | head -c 20 >&2
        "$RUNBOOK" resume last --retry-failed >&2 || echo "resume: $?" >&2
        "$RUNBOOK" verify last >&2 || echo "verify: $?" >&2
        cat "$STATE"/runs/*/journal-*.jsonl
        exit $code
    "#;
    let mut command = test.command(&[]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script]).current_dir(test.project());
    unshare.env("SIZE", size).env("STATE", test.state()).env("RUNBOOK", command.get_program());
    unshare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command = unshare;
    let output = test.spawn_command(command).wait().exits(6);
    let events = output.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    (output, events)
}

fn finished<'a>(events: &'a [Value], step: &str) -> Vec<&'a Value> {
    let all = events_of(events, "step_finished");
    all.into_iter().filter(|event| event["step"] == step).collect()
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

/// The step's outcome is its command's; what its log lacks is counted, and the hash is that of what is there.
#[test]
fn what_is_recorded_of_a_log_that_did_not_fit_is_true() {
    if !may_mount() {
        return;
    }
    let test = TestEnvironment::with(
        r#"
steps:
  - id: fill
    run: |
      echo before
      head -c 100m /dev/zero > "$RUNBOOK_RUN_DIR/full" || true
      head -c 1m /dev/zero | tr '\0' x
      echo filled >> "$LEDGER"
  - {id: after, run: 'echo "after {{ steps.fill.outcome }}" >> "$LEDGER"'}
  - {id: uses, run: 'echo {{ steps.fill.stdout }} >> "$LEDGER"'}
"#,
    );
    let (output, events) = look_at_a_full_disk(&test, "4m");
    let filled = finished(&events, "fill");
    assert_eq!(filled.len(), 1, "{output}");
    assert_eq!(
        (&filled[0]["outcome"], &filled[0]["exit_code"]),
        (&"succeeded".into(), &0.into()),
        "{output}"
    );
    assert!(filled[0]["dropped_bytes"].as_u64() > Some(500_000), "{output}");
    let output = output.lacks("verify:").stderr_has("before\n").stderr_has("the log could not be written");
    // On a disk with room it goes on, and what is lost is used by nobody.
    assert_eq!(test.ledger(), ["filled", "after succeeded"], "{output}");
    let reason = finished(&events, "uses")[0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.starts_with("template") && reason.contains("is lost"), "{reason}");
}

/// Values that a step left for later ones, and that are lost, fail it: nothing may go on without them.
#[test]
fn a_step_whose_values_did_not_fit_has_failed() {
    if !may_mount() {
        return;
    }
    let test = TestEnvironment::with(
        r#"
steps:
  - id: fill
    run: |
      [ -e "$HOLD" ] || head -c 100m /dev/zero > "$RUNBOOK_RUN_DIR/full" || true
      touch "$HOLD"
      head -c 1m /dev/zero | tr '\0' x
      echo value=1 >> "$RUNBOOK_OUTPUT"
      echo filled >> "$LEDGER"
  - {id: after, run: 'echo "after {{ steps.fill.outputs.value }}" >> "$LEDGER"'}
"#,
    );
    let (output, events) = look_at_a_full_disk(&test, "4m");
    let filled = finished(&events, "fill");
    assert_eq!(filled[0]["outcome"], "failed", "{output}");
    assert!(filled[0]["reason"].as_str().is_some_and(|reason| reason.starts_with("output: ")), "{output}");
    let output = output.lacks("verify:");
    // A person decided to do it again, on a disk with room.
    assert_eq!(test.ledger(), ["filled", "filled", "after 1"], "{output}");
}

/// The same by a limit on the size of a file, for whoever may not mount.
#[test]
fn a_journal_that_cannot_grow_starts_nothing_new() {
    let steps: String =
        (0..200).map(|i| format!("  - {{id: s{i}, run: echo s{i} >> \"$LEDGER\"}}\n")).collect();
    let test = TestEnvironment::with(&format!("\nsteps:\n{steps}"));
    let script = format!(
        "ulimit -f 64; exec '{}' run main --state '{}'",
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
