//! What starts now, and with which record.

use indexmap::IndexMap;

use super::done::{self, Before};
use super::follow::{Phase, Standing, standing};
use super::gate;
use super::guard::{Entrance, Wishes, admit};
use super::input::{Circumstances, Shown};
use super::structure::{Admission, Halting, is_held, started};
use super::terminal::{Seat, seat};
use crate::event::{EventKind, Gate, Outcome};
use crate::moment::Moment;
use crate::plan::{Action, Plan, Step};
use crate::state::{RunState, Status};

/// Why a question that nobody answered ends a step.
pub(super) const EXPIRED: &str = "expired: nobody answered in time";

/// Starts what can start: background commands that others rely on before all
/// else, then ready steps in the plan's order, interrupted ones that are done
/// again by declaration, and retries that are due.
pub(super) fn start(
    plan: &Plan,
    state: &RunState,
    phase: Phase,
    halting: &Halting,
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Vec<EventKind> {
    if !state.restarting.is_empty()
        && state.restarting.iter().all(|step| !is_due(state, *step, circumstances))
    {
        return Vec::new();
    }
    let in_phase = |step: &usize| Phase::of(&plan.steps[*step]) == phase && !halting.holds(plan, *step);
    let resolved = state.interrupted.iter().filter(|step| state.needs_are_met(**step));
    let again = resolved.filter_map(|&step| match standing(plan, state, step, circumstances) {
        Standing::Declared(why) => Some((step, Some(why))),
        Standing::Moot | Standing::Looked | Standing::Undecided => None,
    });
    // A retry can have lost an approval that it needs since it was scheduled.
    let due = state
        .delayed
        .iter()
        .filter(|step| is_due(state, **step, circumstances) && state.needs_are_met(**step));
    let mut others = again.chain(due.map(|&step| (step, None))).filter(|(step, _)| in_phase(step));
    let mut starting = Starting::new(plan, state, circumstances, wishes);
    // What was done is undone however the rest ended, and so is brought up what that may rely on.
    let may = |step: &usize| phase == Phase::Undo || !halting.holds(plan, *step);
    let lost = || down(plan, state, phase).filter(|step| state.needs_are_met(*step) && may(step));
    if lost().next().is_some() || !state.restarting.is_empty() {
        // Nothing starts before what it may rely on is up again; and nothing is
        // brought up that nothing will use.
        let mut admission = Admission::default();
        let mut uses = |step: &&usize| in_phase(step) && admission.admits(plan, state, **step);
        if state.ready.iter().any(|step| uses(&step)) || others.next().is_some() {
            for &step in state.restarting.iter().filter(|step| is_due(state, **step, circumstances)) {
                starting.add(step, None);
            }
            // One after the other, in the plan's order: one may rely on another.
            if state.restarting.is_empty()
                && let Some(step) = lost().min()
            {
                starting.add(step, Some("the background command is started again"));
            }
        }
        return starting.events;
    }
    for &step in &state.ready {
        if starting.free == 0 {
            // Thousands may wait for a place: beyond here only gates are looked at, which take none.
            for &gate in state.ready_gates.range(step..).filter(|step| in_phase(step)) {
                starting.add(gate, None);
            }
            return starting.events;
        }
        if in_phase(&step) {
            starting.add(step, None);
        }
    }
    for (step, why) in others {
        starting.add(step, why);
    }
    starting.events
}

/// Background commands that were ready once and don't live: a start of them that was cut off is made again in
/// whatever phase needs it; of `finally` only there.
fn down<'a>(plan: &'a Plan, state: &'a RunState, phase: Phase) -> impl Iterator<Item = usize> {
    let cut_off = state.interrupted.iter().filter(|step| state.steps[**step].was_ready);
    let may = move |step: &usize| {
        // What an undo has started, nothing relies on once it is over.
        let undo = plan.undo_around(*step);
        (phase == Phase::Finally || !plan.steps[*step].finally)
            && undo.is_none_or(|undo| state.open.contains(&undo))
    };
    state.lost.iter().chain(cut_off).copied().filter(may)
}

/// Brings the background commands up again that undoing may rely on; none where
/// none is missing.
pub(super) fn restart_backgrounds(
    plan: &Plan,
    state: &RunState,
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Option<Vec<EventKind>> {
    let lost = down(plan, state, Phase::Undo).find(|step| state.needs_are_met(*step));
    if lost.is_none() && state.restarting.is_empty() {
        return None;
    }
    let mut starting = Starting::new(plan, state, circumstances, wishes);
    for &step in state.restarting.iter().filter(|step| is_due(state, **step, circumstances)) {
        starting.add(step, None);
    }
    if let Some(step) = lost.filter(|_| state.restarting.is_empty()) {
        starting.add(step, Some("the background command is started again"));
    }
    Some(starting.events)
}

/// Starts the undo of a step.
pub(super) fn start_undo(
    plan: &Plan,
    state: &RunState,
    undo: usize,
    why: Option<&str>,
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Vec<EventKind> {
    let mut starting = Starting::new(plan, state, circumstances, wishes);
    starting.free = 1;
    starting.add(undo, why);
    starting.events.into_iter().map(EventKind::of_undo).collect()
}

fn is_due(state: &RunState, step: usize, circumstances: &Circumstances<'_>) -> bool {
    matches!(state.steps[step].status, Status::Delayed { due_at } if due_at <= circumstances.now)
}

/// The events of all that starts in one round, with what they use up.
struct Starting<'a> {
    plan: &'a Plan,
    state: &'a RunState,
    circumstances: &'a Circumstances<'a>,
    free: usize,
    slot: u32,
    /// A step could not be rendered and stops the run: nothing starts after it.
    stops: bool,
    /// An `interactive` step starts in this round.
    seated: bool,
    admission: Admission,
    events: Vec<EventKind>,
    wishes: &'a mut Wishes,
}

impl<'a> Starting<'a> {
    fn new(
        plan: &'a Plan,
        state: &'a RunState,
        circumstances: &'a Circumstances<'a>,
        wishes: &'a mut Wishes,
    ) -> Self {
        let limit = circumstances.max_parallel.unwrap_or(plan.max_parallel).max(1) as usize;
        let free = limit.saturating_sub(state.running.len());
        Self {
            plan,
            state,
            circumstances,
            free,
            slot: state.next_slot,
            stops: false,
            seated: false,
            admission: Admission::default(),
            events: Vec::new(),
            wishes,
        }
    }

    /// Starts one step, skips it or fails it; or leaves it where no place is free.
    fn add(&mut self, index: usize, why: Option<&str>) {
        let step = &self.plan.steps[index];
        let asks = step.ask.is_some() && self.state.steps[index].asked.is_none();
        let waits = asks && self.state.gates.contains_key(&index);
        if self.stops || waits || (!asks && step.action.takes_slot() && self.free == 0) {
            return;
        }
        if let Some(reason) = step.guards.left_out.clone() {
            self.events.push(EventKind::StepSkipped { step: step.id.clone(), reason, by: None });
            return;
        }
        if !self.admission.admits(self.plan, self.state, index) {
            return;
        }
        match self.is_wanted(index) {
            Ok(true) => {}
            Ok(false) => {
                let reason = format!("when: {}", step.when.as_deref().unwrap_or_default());
                self.events.push(EventKind::StepSkipped { step: step.id.clone(), reason, by: None });
                return;
            }
            Err(reason) => return self.fail(index, why, &reason),
        }
        if self.is_first(index) {
            match done::before_first(self.plan, self.state, index) {
                Before::Starts => {}
                Before::Looks => {
                    // The look is a command or a request, too: it takes a place like the step's own.
                    if self.free > 0 {
                        self.free -= 1;
                        self.wishes.looks.push(index);
                    }
                    return;
                }
                Before::Done(reason) => {
                    self.events.push(EventKind::StepSkipped { step: step.id.clone(), reason, by: None });
                    return;
                }
                Before::Fails(reason) => return self.fail(index, why, &reason),
            }
        }
        if asks {
            match gate::opening(self.plan, self.state, index, Gate::Ask, self.circumstances) {
                Ok(opened) => self.events.push(opened),
                Err(error) => self.fail(index, why, &format!("template: {error}")),
            }
            return;
        }
        match seat(self.plan, self.state, index, self.circumstances, self.seated) {
            Seat::Taken => {}
            Seat::Later(event) => return self.events.extend(event.map(|event| *event)),
        }
        match admit(self.plan, self.state, index, self.circumstances, self.wishes) {
            Entrance::Open(events) => self.events.extend(events),
            Entrance::Later(event) => return self.events.extend(event),
            Entrance::Failed(reason) => return self.fail(index, why, &reason),
            Entrance::Skipped(reason) => {
                self.events.push(EventKind::StepSkipped { step: step.id.clone(), reason, by: None });
                return;
            }
        }
        if step.is_container() {
            let rounds = || match (&self.state.steps[index].status, &step.action) {
                (Status::Delayed { .. }, Action::Steps(group)) => group.repeat.as_ref().map(|repeat| {
                    format!("round {} of {}", self.state.steps[index].attempts_in_round + 1, repeat.times)
                }),
                _ => None,
            };
            let why = why.map(str::to_owned).or_else(rounds);
            self.events.push(started(self.plan, self.state, index, why));
            return;
        }
        if step.action.question().is_some() {
            // What is asked follows from the record that the step has started.
            self.events.push(self.started(index, why, Shown::default(), None, None));
            return;
        }
        let Circumstances { renderer, now, .. } = self.circumstances;
        let shown = renderer
            .shown(self.plan, self.state, index)
            .and_then(|shown| Ok((shown, renderer.wait_end(self.plan, self.state, index, *now)?)));
        match shown {
            Ok((shown, until)) => {
                let slot = matches!(step.action, Action::Run(_)).then_some(self.slot);
                self.slot += u32::from(slot.is_some());
                self.free -= usize::from(step.action.takes_slot());
                self.seated |= step.action.is_interactive();
                self.events.push(self.started(index, why, shown, slot, until));
            }
            Err(error) => self.fail(index, why, &format!("template: {error}")),
        }
    }

    /// Whether `when` holds: settled once, before the first attempt. A `finally`
    /// that runs again looks again at what it is about. Else why it fails.
    fn is_wanted(&self, index: usize) -> Result<bool, String> {
        let step = &self.plan.steps[index];
        if self.state.steps[index].status != Status::Pending {
            return cut_off_condition(self.plan, self.state, index, self.circumstances).map(|()| true);
        }
        if step.when.is_none() || !self.is_first(index) {
            return Ok(true);
        }
        self.circumstances.renderer.when(self.plan, self.state, index).map_err(of_template)
    }

    /// Whether nothing of the step has been tried yet.
    fn is_first(&self, index: usize) -> bool {
        let (step, known) = (&self.plan.steps[index], &self.state.steps[index]);
        let first = known.attempts == 0 || known.fresh || (step.finally && known.attempts_in_round == 0);
        first && known.status == Status::Pending
    }

    fn fail(&mut self, index: usize, why: Option<&str>, reason: &str) {
        self.events.push(self.started(index, why, Shown::default(), None, None));
        let attempt = self.state.steps[index].attempts + 1;
        self.events.push(not_started(&self.plan.steps[index], attempt, reason));
        self.stops |= self.plan.steps[index].on_failure.stops();
    }

    fn started(
        &self,
        index: usize,
        why: Option<&str>,
        shown: Shown,
        slot: Option<u32>,
        until: Option<Moment>,
    ) -> EventKind {
        let (step, known) = (&self.plan.steps[index], &self.state.steps[index]);
        let retry = || {
            let times = step.retry.as_ref().map_or(0, |retry| retry.times);
            matches!(known.status, Status::Delayed { .. })
                .then(|| format!("retry {} of {times}", known.attempts_in_round))
        };
        EventKind::StepStarted {
            step: step.id.clone(),
            attempt: known.attempts + 1,
            command: shown.command,
            digest: shown.digest,
            boot: slot.map(|_| self.circumstances.boot.to_owned()),
            slot,
            why: why.map(str::to_owned).or_else(|| known.why.clone()).or_else(retry),
            until,
        }
    }
}

/// A recorded attempt that had never started, under a new slot; or its end,
/// where it can't be started as it was meant.
pub(super) fn reissue(
    plan: &Plan,
    state: &RunState,
    index: usize,
    attempt: u32,
    circumstances: &Circumstances<'_>,
) -> EventKind {
    let step = &plan.steps[index];
    // Without a slot the record is that of a step whose texts can't be rendered.
    let recorded = |slot: Option<u32>| slot.is_some();
    let slot = match &state.steps[index].status {
        Status::Running(running) => running.slot,
        Status::Pending | Status::Delayed { .. } | Status::Ended(_) => None,
    };
    if !recorded(slot) {
        let shown = cut_off_condition(plan, state, index, circumstances)
            .and_then(|()| circumstances.renderer.shown(plan, state, index).map_err(of_template));
        if let Err(reason) = shown {
            return not_started(step, attempt, &reason);
        }
    }
    EventKind::AttemptReissued {
        step: step.id.clone(),
        attempt,
        slot: state.next_slot,
        boot: circumstances.boot.to_owned(),
        undo: step.undoes().is_some(),
    }
}

/// A first attempt that was cut off may have been recorded because its `when`, or its `done_when`,
/// can't be evaluated, and not because it is to run: its record went on to say so.
///
/// # Errors
/// Why it fails: what is wrong with the condition, or that the question before it expired.
pub(super) fn cut_off_condition(
    plan: &Plan,
    state: &RunState,
    index: usize,
    circumstances: &Circumstances<'_>,
) -> Result<(), String> {
    let known = &state.steps[index];
    // A clock settled the question, and the step fails for it: a person would have said yes.
    if known.asked.as_deref() == Some("") {
        return Err(EXPIRED.to_owned());
    }
    let is_unasked = plan.steps[index].ask.is_some() && known.asked.is_none();
    if known.attempts_in_round > 1 && !is_unasked {
        return Ok(());
    }
    let looked = known.done_checked.as_ref().filter(|checked| checked.done.is_none());
    let unlooked = looked.and_then(|checked| checked.reason.as_deref());
    if let Some(reason) = unlooked.filter(|reason| reason.starts_with("template: ")) {
        return Err(reason.to_owned());
    }
    if plan.steps[index].when.is_some() {
        circumstances.renderer.when(plan, state, index).map_err(of_template)?;
    }
    if is_unasked {
        gate::opening(plan, state, index, Gate::Ask, circumstances).map_err(of_template)?;
        return Err(of_template("it could not be asked about".to_owned()));
    }
    Ok(())
}

/// Why a step fails of which a text can't be rendered.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
pub(super) fn of_template(error: String) -> String {
    format!("template: {error}")
}

/// The end of an attempt whose texts could not be rendered, or that was not let start: nothing of it ran.
pub(super) fn not_started(step: &Step, attempt: u32, reason: &str) -> EventKind {
    step.recorded(EventKind::StepFinished {
        step: step.id.clone(),
        attempt,
        outcome: Outcome::Failed,
        reason: Some(reason.to_owned()),
        exit_code: None,
        signal: None,
        duration_ms: 0,
        outputs: IndexMap::new(),
        log_sha256: None,
        dropped_bytes: 0,
        recovered: false,
        by: Vec::new(),
        choice: None,
        fields: IndexMap::new(),
        values: IndexMap::new(),
        warnings: Vec::new(),
    })
}

/// How long to wait before the next attempt of a step that has failed `used`
/// times; none where the run ends.
pub(super) fn retry_delay(
    plan: &Plan,
    state: &RunState,
    step: usize,
    used: u32,
    jitter: f64,
) -> Option<std::time::Duration> {
    if state.stopped.is_some() || is_held(plan, state, step) {
        return None;
    }
    if state.steps[step].round_remains(&plan.steps[step]) {
        return Some(std::time::Duration::ZERO);
    }
    let retry = plan.steps[step].retry.as_ref()?;
    let longest = retry.max_delay.as_millis() as f64;
    let exponent = i32::try_from(used).unwrap_or(i32::MAX).saturating_sub(1).max(0);
    let grown = retry.delay.as_millis() as f64 * retry.backoff.powi(exponent);
    let mut delay = if grown.is_finite() { grown.clamp(0.0, longest) } else { longest };
    if retry.jitter {
        delay *= 1.0 - jitter.clamp(0.0, 1.0) / 2.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a duration above"
    )]
    Some(std::time::Duration::from_millis(delay as u64))
}
