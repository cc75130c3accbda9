//! What it costs to read the journal of a chain of 1,000 steps: 2,002 lines,
//! each checked against the hash of the one before it, then understood.
//!
//! `cargo bench -p runbook-runtime --bench journal`

#![expect(clippy::print_stdout, clippy::disallowed_macros, reason = "a benchmark prints its table")]

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use runbook_core::event::{EventKind, Outcome};
use runbook_core::moment::Moment;
use runbook_runtime::journal::{Writer, read};
use runbook_runtime::store::{RunDir, Store};

const STEPS: u32 = 1000;
const ROUNDS: u32 = 200;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let (dir, _lock) =
        store.create_run(&"20261121T203324-y977".parse().expect("a run id")).expect("a new run");
    write(&dir);
    let replay = read(&dir).expect("a journal");
    println!("{} lines", replay.events.len());
    measure("read and checked", || read(&dir).expect("a journal").events.len());
    measure("understood", || replay.typed().expect("known events").len());
}

/// Says what the fastest round took, and the middle one.
fn measure(name: &str, mut once: impl FnMut() -> usize) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(once());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{name}: {:.2?} at best, median {:.2?}", times[0], times[times.len() / 2]);
}

fn write(dir: &RunDir) {
    let at = Moment::from_millis(1_795_314_600_123);
    let (writer, _) = Writer::create(dir, at, &[]).expect("a new journal");
    let mut batch = Vec::new();
    for number in 0..STEPS {
        let step: runbook_core::id::StepId = format!("s{number}").parse().expect("a step id");
        batch.push(EventKind::StepStarted {
            step: step.clone(),
            attempt: 1,
            command: Some("true".into()),
            digest: Some("b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b".into()),
            boot: Some("28b89689-d3eb-40e8-a403-8935e7c794a4".into()),
            slot: Some(number),
            why: None,
            until: None,
        });
        batch.push(EventKind::StepFinished {
            step,
            attempt: 1,
            outcome: Outcome::Succeeded,
            reason: None,
            exit_code: Some(0),
            signal: None,
            duration_ms: 1,
            outputs: IndexMap::new(),
            log_sha256: None,
            dropped_bytes: 0,
            recovered: false,
            by: Vec::new(),
            choice: None,
            fields: IndexMap::new(),
            values: IndexMap::new(),
            warnings: Vec::new(),
        });
    }
    writer.append_and_seal(at, &batch).expect("recorded");
}
