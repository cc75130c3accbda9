//! What follows from each word that answers a question, as the prompt says it.

use runbook_core::event::Gate;

/// What each of these words does; `in_undo`: at a step of what undoes another one.
pub(super) fn consequences<'a>(gate: Gate, in_undo: bool, words: &[String]) -> impl Iterator<Item = &'a str> {
    let all: &[(&str, &str)] = match gate {
        Gate::Approve if in_undo => &[("reject", "After reject the undo goes no further, and has failed.")],
        Gate::Approve => &[("reject", "After reject nothing new starts, and the run ends rejected.")],
        Gate::Manual if in_undo => &[("failed", "After failed the undo goes no further, and has failed.")],
        Gate::Manual => &[("failed", "After failed nothing new starts, and the run ends failed.")],
        Gate::Failure if in_undo => &[
            ("retry", "retry: it runs again."),
            ("skip", "skip: the undo goes on without it."),
            ("done", "done: you did it by hand; the undo goes on."),
            ("abort", "abort: the undo has failed, and nothing more is undone."),
        ],
        Gate::Failure => &[
            ("retry", "retry: it runs again."),
            ("skip", "skip: the run goes on without it."),
            ("done", "done: you did it by hand; the run goes on."),
            ("undo", "undo: the run ends failed, and what was done is undone."),
            ("abort", "abort: the run ends failed."),
        ],
        Gate::Rollback => &[
            ("undo", "undo: what was done is undone, the last first."),
            ("keep", "keep: it stays; `runbook rollback` can undo it later."),
        ],
        Gate::Undo => &[
            ("retry", "retry: the undo runs again."),
            ("skip", "skip: this step stays as it is; the rest is undone."),
            ("done", "done: it took effect, or you did it by hand; the rest is undone."),
            ("abort", "abort: nothing more is undone."),
            ("wait", "wait: ask again when those processes are over."),
            ("end", "end: those processes are ended, then it is asked again."),
        ],
        Gate::Interrupted if in_undo => &[
            ("retry", "retry: it runs again, from its beginning."),
            ("skip", "skip: the undo goes on without it."),
            ("done", "done: it took effect, or you did it by hand; the undo goes on."),
            ("failed", "failed: it counts as failed."),
            ("abort", "abort: the undo has failed, and nothing more is undone."),
            ("wait", "wait: ask again when those processes are over."),
            ("end", "end: those processes are ended, then it is asked again."),
        ],
        Gate::Interrupted => &[
            ("retry", "retry: it runs again, from its beginning."),
            ("skip", "skip: the run goes on without it."),
            ("done", "done: it took effect, or you did it by hand; the run goes on."),
            ("failed", "failed: it counts as failed."),
            ("abort", "abort: the run ends failed."),
            ("wait", "wait: ask again when those processes are over."),
            ("end", "end: those processes are ended, then it is asked again."),
        ],
        Gate::Ask => &[("no", "After no the step is skipped, and the run goes on.")],
        Gate::Terminal => &[("skip", "skip: the run goes on without it.")],
        Gate::Choose | Gate::Window => &[],
    };
    let words = words.to_vec();
    all.iter().filter(move |(word, _)| words.iter().any(|known| known == word)).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_undoes_neither_ends_the_run_nor_lets_it_go_on() {
        let words: Vec<String> = ["approve", "reject", "done", "failed", "retry", "skip", "abort", "undo"]
            .map(str::to_owned)
            .into();
        for gate in [Gate::Approve, Gate::Manual, Gate::Failure, Gate::Interrupted] {
            let of = |in_undo: bool| consequences(gate, in_undo, &words).collect::<Vec<_>>().join("\n");
            assert!(of(false).contains("the run "), "{gate:?}: {}", of(false));
            assert!(!of(true).contains("the run ") && of(true).contains("undo"), "{gate:?}: {}", of(true));
        }
    }
}
