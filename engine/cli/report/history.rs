//! How long steps usually take: the median of the latest runs of the same runbook, for whoever waits at a terminal.

use std::collections::HashMap;
use std::time::Duration;

use runbook_core::event::{EventKind, Outcome};
use runbook_core::id::{RunId, StepId};
use runbook_runtime::journal;
use runbook_runtime::store::index::{self, Filter};
use runbook_runtime::store::{RunDir, Runbook, Store};

/// So many of the latest runs are looked at.
const RUNS: usize = 8;
/// A journal that is larger, in bytes, is left out: nobody waits for its being read.
const JOURNAL_BYTES_MAX: u64 = 1 << 20;

/// How long each step of a runbook usually takes when it succeeds, by the latest runs before this one. What can't be read tells nothing.
pub(super) fn usual(store: &Store, runbook: &str, this: &RunId) -> HashMap<StepId, Duration> {
    let filter =
        Filter { runbook: Some(Runbook::Name(runbook.to_owned())), limit: Some(RUNS), ..Filter::default() };
    let mut spans: HashMap<StepId, Vec<u64>> = HashMap::new();
    for summary in index::list(store, &filter).unwrap_or_default() {
        // A name is also the last part of another.
        if summary.run == *this || summary.runbook != runbook || !summary.outcome.is_final() {
            continue;
        }
        let Ok(dir) = store.run(&summary.run) else { continue };
        if !is_small(&dir) {
            continue;
        }
        for event in journal::read(&dir).and_then(|replay| replay.typed()).unwrap_or_default() {
            if let EventKind::StepFinished { step, outcome: Outcome::Succeeded, duration_ms, .. } = event.kind
            {
                spans.entry(step).or_default().push(duration_ms);
            }
        }
    }
    spans.into_iter().map(|(step, spans)| (step, Duration::from_millis(median(spans)))).collect()
}

fn is_small(dir: &RunDir) -> bool {
    let segments = dir.segments().unwrap_or_default();
    let bytes = segments.into_iter().map(|number| {
        let path = dir.path().join(runbook_runtime::store::segment_name(number));
        path.metadata().map_or(u64::MAX, |metadata| metadata.len())
    });
    bytes.fold(0, u64::saturating_add) <= JOURNAL_BYTES_MAX
}

/// The middle one; of two the lower.
fn median(mut spans: Vec<u64>) -> u64 {
    spans.sort_unstable();
    spans.get(spans.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_is_usual() {
        for (spans, expected) in
            [(vec![], 0), (vec![7], 7), (vec![9, 1], 1), (vec![5, 1, 900], 5), (vec![4, 1, 3, 2], 2)]
        {
            assert_eq!(median(spans.clone()), expected, "{spans:?}");
        }
    }
}
