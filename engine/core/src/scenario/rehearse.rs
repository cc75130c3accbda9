//! An engine whose journal is a list, whose clock is a number and whose processes are entries in a table.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::answers::{Answers, EXPIRED, SOMEBODY, Said};
use super::judge::{Seen, mismatches};
use super::policy::settled;
use super::report::Report;
use super::stubs::{Found as FoundStub, Stubs};
use super::timeline::timeline;
use super::world::{Attempt, End};
use crate::calendar::Standing;
use crate::document::model::Scenario;
use crate::event::{EventKind, Gate};
use crate::id::{RunId, StepId};
use crate::moment::Moment;
use crate::plan::{Action, Outside, Plan};
use crate::render::{Recorded, RunFacts, SecretView, Stream, Texts};
use crate::schedule::{Attendance, Circumstances, Found, Input, LockStanding, Terminal, advance, next_due};
use crate::state::{IllegalEvent, RunState, Status};

/// When a run starts whose scenario doesn't say: 2026-01-01, so that it goes the same way every day.
const START_MS: i64 = 1_767_225_600_000;
/// Who starts the run, and on which machine.
const STARTER: &str = "scenario";
/// Where its own files would be.
const FOLDER: &str = "/run/scenario";
/// More than any procedure needs: a rehearsal that goes round in circles ends.
const INPUTS_MAX: usize = 100_000;

/// Rehearses a scenario that has no [`mistakes`](super::mistakes).
#[must_use]
pub fn rehearse(plan: &Arc<Plan>, scenario: &Scenario) -> Report {
    let start = moment(scenario).unwrap_or_else(|| Moment::from_millis(START_MS));
    let plan = &settled(plan, &Answers::new(scenario));
    let mut rehearsal = Rehearsal::new(plan, scenario, start);
    let refused = outside_window(plan, start);
    if refused.is_none()
        && let Err(illegal) = rehearsal.run()
    {
        rehearsal.errors.push(format!("the scheduler decided what can't be: {illegal} (this is a bug)"));
    }
    rehearsal.report(refused)
}

/// The moment at which a scenario starts.
pub(super) fn moment(scenario: &Scenario) -> Option<Moment> {
    scenario.at.as_ref()?.trim().parse::<jiff::Timestamp>().ok().map(Moment::from)
}

/// Why the run may not begin, where its window is shut.
fn outside_window(plan: &Plan, start: Moment) -> Option<String> {
    let window = plan.guards.window.as_ref().filter(|window| window.outside == Outside::Refuse)?;
    match window.standing(start) {
        Standing::Open => None,
        Standing::Shut { why, .. } => Some(why),
    }
}

/// What the steps printed.
#[derive(Default)]
struct Printed(Mutex<HashMap<(StepId, u32, Stream), Arc<str>>>);

impl Printed {
    fn keep(&self, step: &StepId, attempt: u32, end: &End) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (stream, text) in [(Stream::Stdout, &end.stdout), (Stream::Stderr, &end.stderr)] {
            texts.insert((step.clone(), attempt, stream), text.as_str().into());
        }
    }
}

impl Recorded for Printed {
    fn output(&self, step: &StepId, attempt: u32, stream: Stream) -> Result<Arc<str>, String> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(texts.get(&(step.clone(), attempt, stream)).cloned().unwrap_or_else(|| "".into()))
    }
}

struct Rehearsal<'s> {
    scenario: &'s Scenario,
    stubs: Stubs<'s>,
    answers: Answers,
    texts: Texts,
    printed: Arc<Printed>,
    plan: Arc<Plan>,
    state: RunState,
    log: Vec<(Moment, EventKind)>,
    now: Moment,
    /// What runs: step and attempt, and how and when it ends.
    running: BTreeMap<(usize, u32), (Moment, End)>,
    locks: BTreeMap<usize, LockStanding>,
    wake_at: Option<Moment>,
    end_backgrounds: bool,
    /// How many attempts of a step have ended, and of how many the engine died.
    turns: BTreeMap<usize, (usize, usize)>,
    unstubbed: BTreeSet<StepId>,
    errors: Vec<String>,
}

impl<'s> Rehearsal<'s> {
    fn new(plan: &Arc<Plan>, scenario: &'s Scenario, start: Moment) -> Self {
        let printed = Arc::new(Printed::default());
        let facts = RunFacts {
            id: RunId::new(start.timestamp(), [0; 4]),
            user: STARTER.into(),
            host: STARTER.into(),
            started_at: start,
            dir: FOLDER.into(),
            interactive: false,
        };
        Self {
            scenario,
            stubs: Stubs::new(scenario),
            answers: Answers::new(scenario),
            texts: Texts { facts, recorded: Arc::clone(&printed) as Arc<dyn Recorded> },
            printed,
            plan: Arc::clone(plan),
            state: RunState::new(Arc::clone(plan)),
            log: Vec::new(),
            now: start,
            running: BTreeMap::new(),
            locks: BTreeMap::new(),
            wake_at: None,
            end_backgrounds: false,
            turns: BTreeMap::new(),
            unstubbed: BTreeSet::new(),
            errors: Vec::new(),
        }
    }

    /// From the start of the run to its end, or until it waits for people.
    fn run(&mut self) -> Result<(), IllegalEvent> {
        self.record(created(&self.plan))?;
        if let Ok(Some(lock)) = self.texts.run_lock(&self.plan, &self.state) {
            self.record(EventKind::LockAcquired { lock, step: None })?;
        }
        self.input(Input::Started)?;
        for _ in 0..INPUTS_MAX {
            if self.state.outcome.is_some() || self.state.parked.is_some() {
                return Ok(());
            }
            if !self.go_on()? {
                self.errors.push("the run neither ends nor waits for anybody (this is a bug)".into());
                return Ok(());
            }
        }
        self.errors.push(format!("the run goes on for ever: given up after {INPUTS_MAX} inputs"));
        Ok(())
    }

    /// The next thing that happens; whether there was one.
    fn go_on(&mut self) -> Result<bool, IllegalEvent> {
        if self.end_backgrounds {
            return self.end_backgrounds();
        }
        if self.answer()? {
            return Ok(true);
        }
        if let Some(at) = self.next_moment() {
            self.now = self.now.max(at);
            self.pass_time()?;
            return Ok(true);
        }
        if self.state.gates.is_empty() {
            return Ok(false);
        }
        // Nobody is left to answer: the run parks.
        let before = self.log.len();
        self.note_unfit_answers();
        self.input(Input::OperatorLeft)?;
        Ok(self.log.len() > before || self.end_backgrounds)
    }

    fn record(&mut self, event: EventKind) -> Result<(), IllegalEvent> {
        self.state.apply(self.now, &event)?;
        self.log.push((self.now, event));
        Ok(())
    }

    /// One input: decided, and put into effect.
    fn input(&mut self, input: Input) -> Result<Option<String>, IllegalEvent> {
        let mut inputs = VecDeque::from([input]);
        let mut refusal = None;
        while let Some(next) = inputs.pop_front() {
            let survivors = BTreeMap::new();
            let circumstances = Circumstances {
                now: self.now,
                attendance: Attendance::Waiting,
                terminal: Terminal::Free,
                boot: "scenario",
                max_parallel: None,
                survivors: &survivors,
                locks: &self.locks,
                renderer: &self.texts,
            };
            let decision = advance(&mut self.state, next, &circumstances)?;
            refusal = refusal.or(decision.refusal.map(|refusal| refusal.message));
            self.end_backgrounds = decision.end_backgrounds;
            self.wake_at = decision.wishes.wake_at;
            self.log.extend(decision.events.iter().map(|event| (self.now, event.clone())));
            for event in &decision.events {
                self.put_into_effect(event);
            }
            self.release_locks();
            // No other run holds what this one wants.
            for (step, _, _) in decision.wishes.locks {
                self.locks.insert(step, LockStanding::Taken);
                inputs.push_back(Input::Tick);
            }
            inputs.extend(decision.wishes.looks.into_iter().map(|step| self.look(step)));
        }
        Ok(refusal)
    }

    /// What the step's stub says to its `done_when`: a crash that it rehearses comes before it is done.
    fn look(&self, step: usize) -> Input {
        let known = &self.state.plan.steps[step];
        let stubs = match self.stubs.of(&known.id) {
            FoundStub::Given(stubs) => stubs,
            FoundStub::Succeeds | FoundStub::Missing => &[],
        };
        let attempt = self.state.steps[step].attempts;
        let done = stubs.iter().any(|stub| stub.done && (attempt > 0 || !stub.interrupted));
        let secret = |_: &str| Some("secret".to_owned());
        let rendered = known.done_when.as_deref().map_or(Ok(()), |check| {
            let secrets = SecretView::Real(&secret);
            self.texts.probe(&self.state.plan, &self.state, step, check, &secrets).map(|_| ())
        });
        match rendered {
            Ok(()) => Input::Looked { step, attempt, done: Some(done), reason: None },
            Err(error) => {
                let reason = Some(format!("template: done_when: {error}"));
                Input::Looked { step, attempt, done: None, reason }
            }
        }
    }

    fn put_into_effect(&mut self, event: &EventKind) {
        let (index, step, attempt) = match event {
            EventKind::StepStarted { step, attempt, .. }
            | EventKind::AttemptReissued { step, attempt, undo: false, .. } => {
                (self.state.index_of(step), step, attempt)
            }
            EventKind::UndoStarted { step, attempt, .. }
            | EventKind::AttemptReissued { step, attempt, undo: true, .. } => {
                (self.state.index_of(step).and_then(|step| self.state.undo_of(step)), step, attempt)
            }
            _ => return,
        };
        let Some(index) = index else { return };
        let runs =
            matches!(&self.state.steps[index].status, Status::Running(running) if running.number == *attempt);
        if !runs || !self.state.plan.steps[index].action.takes_slot() {
            return;
        }
        // What undoes a step needs no stub: it succeeds then, with all its texts rendered.
        let declared = &self.state.plan.steps[index];
        let named = if declared.undoes().is_some() { &step.undo_call() } else { step };
        let stub = match self.stubs.of(named) {
            FoundStub::Missing if declared.is_added() => FoundStub::Succeeds,
            stub => stub,
        };
        if matches!(stub, FoundStub::Missing) {
            self.unstubbed.insert(step.clone());
        }
        let (earlier, died) = self.turns.get(&index).copied().unwrap_or_default();
        let plan = Arc::clone(&self.state.plan);
        let attempted =
            Attempt { texts: &self.texts, plan: &plan, state: &self.state, step: index, earlier, died };
        let end = attempted.end(stub);
        self.running.insert((index, *attempt), (self.now.after(end.after), end));
    }

    /// Gives back the locks of steps that are over.
    fn release_locks(&mut self) {
        let state = &self.state;
        self.locks.retain(|step, _| {
            !matches!(state.steps[*step].status, Status::Ended(_))
                || state.retrying.contains(step)
                || state.interrupted.contains(step)
        });
    }

    /// When something happens by itself; none where only people can go on.
    fn next_moment(&self) -> Option<Moment> {
        let state = &self.state;
        let ends = self.running.values().map(|(at, _)| *at);
        let retries = state.delayed.iter().filter_map(|step| match state.steps[*step].status {
            Status::Delayed { due_at } => Some(due_at),
            _ => None,
        });
        let waits = state.waits.iter().filter_map(|step| match &state.steps[*step].status {
            Status::Running(running) => running.until,
            _ => None,
        });
        let clocks = retries.chain(waits).chain(self.wake_at).filter(|at| *at > self.now);
        let next = ends.chain(clocks).min();
        let meant = state.gates.iter().filter(|(step, _)| {
            let id = &state.plan.steps[**step].id;
            self.answers.lets_expire(id)
        });
        // Clocks of questions and deadlines go on only while something else does.
        let next =
            next.or_else(|| meant.filter_map(|(_, gate)| gate.expires_at).filter(|at| *at > self.now).min())?;
        let clock = next_due(state).filter(|at| *at > self.now);
        Some(clock.map_or(next, |clock| clock.min(next)))
    }

    /// What is due at this moment.
    fn pass_time(&mut self) -> Result<(), IllegalEvent> {
        let due = self.running.iter().find(|(_, (at, _))| *at <= self.now).map(|(key, _)| *key);
        let Some((step, attempt)) = due else {
            self.input(Input::Tick)?;
            return Ok(());
        };
        let Some((_, end)) = self.running.remove(&(step, attempt)) else { return Ok(()) };
        let turns = self.turns.entry(step).or_default();
        turns.0 += 1;
        let id = self.state.plan.steps[step].files_id();
        match end.result {
            Some(ref result) => {
                let result = result.clone();
                self.printed.keep(&id, attempt, &end);
                self.input(Input::Finished { step, attempt, result })?;
            }
            None => {
                turns.1 += 1;
                self.crash(step)?;
            }
        }
        Ok(())
    }

    /// The engine dies, and another takes the run on: commands have lived on, but for the one whose end nobody knows.
    fn crash(&mut self, lost: usize) -> Result<(), IllegalEvent> {
        let mut state = RunState::new(Arc::clone(&self.plan));
        for (at, event) in &self.log {
            state.apply(*at, event)?;
        }
        self.state = state;
        let mut found = Vec::new();
        for &step in &self.state.running {
            let lives = step != lost && matches!(self.state.plan.steps[step].action, Action::Run(_));
            found.push((step, if lives { Found::StillRunning } else { Found::Unknown }));
            if !lives {
                self.running.retain(|(of, _), _| *of != step);
            }
        }
        self.input(Input::Resumed {
            by: STARTER.into(),
            host: STARTER.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            found,
            changed_inputs: Vec::new(),
            guards: Vec::new(),
            question: Vec::new(),
            answers: Vec::new(),
            rewind: None,
            cancel: None,
            rollback: false,
        })?;
        Ok(())
    }

    fn end_backgrounds(&mut self) -> Result<bool, IllegalEvent> {
        self.end_backgrounds = false;
        let living: Vec<usize> = self.state.backgrounds.iter().copied().collect();
        for &step in &living {
            self.input(Input::BackgroundEnded { step, expected: true, reason: "ended".into() })?;
        }
        if self.state.outcome.is_none() && self.state.parked.is_none() && !self.state.gates.is_empty() {
            self.input(Input::OperatorLeft)?;
        }
        Ok(!living.is_empty())
    }

    /// Answers the first open question to which the scenario has an answer; whether it had one.
    fn answer(&mut self) -> Result<bool, IllegalEvent> {
        let plan = Arc::clone(&self.state.plan);
        let mut open: Vec<(StepId, Gate, Vec<String>, String)> = Vec::new();
        for (step, gate) in &self.state.gates {
            open.push((plan.steps[*step].id.clone(), gate.gate, gate.words.clone(), gate.nonce.clone()));
        }
        for step in &self.state.waits {
            // A wait is cut short once, as a failure is decided about once.
            open.push((plan.steps[*step].id.clone(), Gate::Failure, vec!["done".into()], String::new()));
        }
        for (step, gate, words, nonce) in open {
            if let Some(said) = self.answers.next(&step, gate, &words, &nonce) {
                self.say(&step, gate, &said)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn say(&mut self, step: &StepId, gate: Gate, said: &Said) -> Result<(), IllegalEvent> {
        let mut people = said.people.clone();
        if people.is_empty() {
            people.push(self.somebody(step));
        }
        let is_open = |state: &RunState| {
            let index = state.asked_about(step);
            index.is_some_and(|index| state.gates.contains_key(&index) || state.waits.contains(&index))
        };
        for person in people {
            // The others are not asked any more.
            if !is_open(&self.state) {
                break;
            }
            if let Some(refusal) = self.input(Input::Answered(Box::new(said.by(step, gate, &person))))? {
                self.errors.push(format!("the answer of {person} to `{step}` is not taken: {refusal}"));
            }
        }
        Ok(())
    }

    /// Who answers where nobody is named: the first who may.
    fn somebody(&self, step: &StepId) -> String {
        let gate = self.state.asked_about(step).and_then(|step| self.state.gates.get(&step));
        let may = gate.map(|gate| self.state.plan.people.members(&gate.from)).unwrap_or_default();
        may.first().map_or_else(|| SOMEBODY.to_owned(), |person| (*person).to_owned())
    }

    /// Says which answers could never settle the questions that stay open.
    fn note_unfit_answers(&mut self) {
        for (step, gate) in &self.state.gates {
            let id = &self.state.plan.steps[*step].id;
            let words = self.answers.words(id);
            if words.is_empty() || words.iter().any(|word| gate.words.iter().any(|known| known == word)) {
                continue;
            }
            self.errors.push(if words == [EXPIRED] {
                format!("`{id}` can't expire: it has no `expires`")
            } else {
                format!("`{}` is no answer to `{id}`: it takes {}", words.join("`, `"), gate.words.join(", "))
            });
        }
    }

    fn report(self, refused: Option<String>) -> Report {
        let mut errors = self.errors;
        for step in &self.unstubbed {
            errors.push(format!(
                "`{step}` has no stub: say what it does by `steps: {{{step}: {{exit_code: 0}}}}`, or `unstubbed: succeed`"
            ));
        }
        let outcome = match (&refused, self.state.outcome) {
            (Some(_), _) => "refused".to_owned(),
            (None, Some(outcome)) => outcome.to_string(),
            (None, None) => "waiting".to_owned(),
        };
        let seen = Seen { outcome: &outcome, state: &self.state, log: &self.log };
        let mismatches = mismatches(&self.scenario.expect, &seen);
        let ran = seen.ran();
        let start = self.log.first().map_or(self.now, |(at, _)| *at);
        let mut timeline = timeline(&self.log, &self.state);
        if let Some(why) = refused {
            timeline.push(super::report::Happened {
                after_ms: 0,
                step: None,
                what: format!("refused: window: {why}"),
            });
        }
        Report {
            name: self.scenario.name.to_string(),
            outcome,
            errors,
            mismatches,
            ran,
            timeline,
            duration_ms: u64::try_from(self.now.since(start).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn created(plan: &Plan) -> EventKind {
    EventKind::RunCreated {
        runbook: plan.runbook.clone(),
        plan_digest: "scenario".into(),
        params: plan.params.clone(),
        user: STARTER.into(),
        host: STARTER.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        interactive: false,
        environment_digest: None,
        ahead: Vec::new(),
    }
}
