//! What the tests of journal and store begin with: a real state directory.

use std::process::{Command, Stdio};

use runbook_core::event::{EventKind, RunOutcome};
use runbook_core::id::RunId;
use runbook_core::moment::Moment;

use super::lock::RunLock;
use super::{RunDir, Store};
use crate::journal::Writer;

pub(crate) const RUN: &str = "20261122T023000-k3f9";

pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) dir: RunDir,
    pub(crate) lock: RunLock,
}

/// A store with one run that has no journal yet.
pub(crate) fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("state")).expect("a store");
    let (dir, lock) = store.create_run(&run_id(RUN)).expect("a run");
    Fixture { folder, store, dir, lock }
}

pub(crate) fn run_id(text: &str) -> RunId {
    text.parse().expect("a run id")
}

pub(crate) fn at(millis: i64) -> Moment {
    Moment::from_millis(1_795_314_600_000 + millis)
}

pub(crate) fn note(text: &str) -> EventKind {
    EventKind::Note { by: "ana".into(), text: text.into() }
}

pub(crate) fn created(runbook: &str) -> EventKind {
    EventKind::RunCreated {
        runbook: runbook.into(),
        plan_digest: "p".repeat(64),
        params: indexmap::IndexMap::new(),
        user: "ana".into(),
        host: "box".into(),
        version: "0".into(),
        interactive: false,
        environment_digest: None,
        ahead: Vec::new(),
    }
}

pub(crate) fn finished() -> EventKind {
    EventKind::RunFinished {
        outcome: RunOutcome::Succeeded,
        reason: None,
        outputs: indexmap::IndexMap::new(),
    }
}

/// A journal of two segments: one left open, one sealed.
pub(crate) fn two_segments(dir: &RunDir) {
    let (mut writer, _) = Writer::create(dir, at(0), &[created("deploy")]).expect("a journal");
    writer.append(at(1), &[note("one"), note("two \u{2028} \"quoted\"")]).expect("recorded");
    drop(writer);
    let replay = crate::journal::read(dir).expect("a journal");
    let (mut writer, _) = Writer::reopen(dir, &replay, at(2), &[note("three")]).expect("another segment");
    writer.append(at(3), &[finished()]).expect("recorded");
    writer.seal(at(4)).expect("a seal");
}

/// Runs one ignored test of this binary in a process of its own, behind a
/// shell that prepares it: `prepare` ends with `exec "$@"`. It must pass.
#[track_caller]
pub(crate) fn in_a_child(prepare: &str, test: &str, state: &std::path::Path) {
    let binary = std::env::current_exe().expect("this binary");
    let output = Command::new("sh")
        .args(["-c", prepare, "sh"])
        .arg(binary)
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("RUNBOOK_TEST_STATE", state)
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // A name that fits no test would pass as well.
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

/// The folder that [`in_a_child`] has handed over.
pub(crate) fn handed_over() -> std::path::PathBuf {
    std::env::var_os("RUNBOOK_TEST_STATE").expect("this test is run by another one").into()
}
