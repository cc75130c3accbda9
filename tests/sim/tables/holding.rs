//! Steps that hold others: what of them starts, waits and ends, where that went wrong once.

use runbook_core::event::{EventKind, RunOutcome};
use runbook_core::plan::{Action, OnFailure, OnInterrupt, Plan, Rollback, Step};
use runbook_core::schedule::{Attendance, Found, Input};

use super::desk::Desk;
use crate::plans::{approve, background, call, check, each, group, plan, probe, run, step, undo_by_call};
use crate::simulator::answer;

fn inside(id: &str, needs: &[usize], action: Action) -> Step {
    Step { group: Some(0), ..step(id, needs, action) }
}

/// A command in the background that ends with the engine, as when the run is parked.
fn ends(desk: &mut Desk, step: usize) -> Vec<String> {
    assert!(desk.end_backgrounds, "the run is about to be parked");
    desk.input(Input::BackgroundEnded { step, expected: true, reason: "ended".into() })
}

#[test]
fn an_interrupted_item_keeps_its_place() {
    let body = Step { on_interrupt: OnInterrupt::Rerun, ..step("e", &[], run()) };
    let mut desk = Desk::new(plan(vec![step("e", &[], each(2, 0, vec![body]))]));
    assert_eq!(desk.start(), ["step_started e", "items e", "step_started e[0]"]);
    assert_eq!(
        desk.resumes(vec![(1, Found::Unknown)]),
        ["run_resumed", "step_finished e[0] interrupted", "step_started e[0] 2"]
    );
}

