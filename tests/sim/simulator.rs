//! An engine whose journal is a list, whose clock is a number and whose
//! processes are entries in a table that outlives it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use runbook_core::event::{AheadAnswer, EventKind, Gate, Identity, LeakedProcess, Outcome, Via};
use runbook_core::moment::Moment;
use runbook_core::plan::{Action, Plan};
use runbook_core::schedule::{
    Answer, AttemptResult, Attendance, Circumstances, Decision, Found, Input, ResumeRequest, Terminal,
    advance, plan_resume, record_answer, undoable,
};
use runbook_core::state::{RunState, Status, kind_name};

use crate::holding::moved;
use crate::invariants::Watch;
use crate::world::{Dice, Ending, Reply, Script, Scripts, Texts};

/// The digest of a plan that says the same in other words.
const EDITED: &str = "edited";

/// What may happen beside what the script says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing.
    Calm,
    /// Signals, cancels, dying servers, changed inputs.
    Rough,
}

/// A run with the world around it.
#[derive(Clone)]
pub(crate) struct Simulator<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) scripts: &'a Scripts,
    pub(crate) state: RunState,
    pub(crate) log: Vec<(u64, Moment, EventKind)>,
    /// Lengths of the log after each durable batch.
    pub(crate) batches: Vec<usize>,
    pub(crate) now: Moment,
    pub(crate) attendance: Attendance,
    pub(crate) survivors: BTreeMap<usize, Vec<LeakedProcess>>,
    /// A person decided otherwise than to go on as before.
    pub(crate) diverged: bool,
    /// What runs now: step and attempt, and whether it has been told to end.
    processes: BTreeMap<(usize, u32), bool>,
    /// Every attempt that ever took effect.
    executed: BTreeSet<(usize, u32)>,
    replayed: RunState,
    watch: Watch,
    dice: Dice,
    weather: Weather,
    end_backgrounds: bool,
    /// Steps whose `done_when` is looked at.
    looks: BTreeSet<usize>,
}

pub(crate) fn created(ahead: Vec<AheadAnswer>) -> EventKind {
    EventKind::RunCreated {
        runbook: "sim".into(),
        plan_digest: "digest".into(),
        params: IndexMap::new(),
        user: "alice".into(),
        host: "here".into(),
        version: "0".into(),
        interactive: false,
        environment_digest: None,
        ahead,
    }
}

pub(crate) fn answer(step: &runbook_core::id::StepId, word: &str, by: &str) -> Answer {
    Answer {
        step: step.clone(),
        nonce: None,
        digest: None,
        word: word.into(),
        by: by.into(),
        via: Via::Command,
        identity: Identity::User,
        reason: Some("because".into()),
        fields: IndexMap::new(),
        items: Vec::new(),
        all_items: false,
        evidence: Vec::new(),
        outputs: IndexMap::new(),
        env: IndexMap::new(),
        file: None,
    }
}

fn in_short(kind: &EventKind) -> String {
    let step = kind.step().map_or_else(String::new, ToString::to_string);
    let rest = match kind {
        EventKind::StepStarted { attempt, why, .. } => format!("{attempt} {why:?}"),
        EventKind::AttemptReissued { attempt, .. } => format!("{attempt}"),
        EventKind::StepFinished { attempt, outcome, reason, .. } => format!("{attempt} {outcome} {reason:?}"),
        EventKind::UndoStarted { attempt, why, .. } => format!("{attempt} {why:?}"),
        EventKind::UndoFinished { attempt, outcome, reason, .. } => format!("{attempt} {outcome} {reason:?}"),
        EventKind::StepSkipped { reason, .. } | EventKind::StepCancelled { reason, .. } => reason.clone(),
        EventKind::GateOpened { gate, words, .. } => format!("{gate} {words:?}"),
        EventKind::GateAnswered { answer, items, .. } => format!("{answer} {items:?}"),
        EventKind::GateClosed { result, reason, .. } => format!("{result} {reason:?}"),
        EventKind::Rewound { steps, .. } => format!("{steps:?}"),
        EventKind::RunFinished { outcome, reason, .. } => format!("{outcome} {reason:?}"),
        _ => String::new(),
    };
    format!("{} {step} {rest}", kind_name(kind))
}

/// What ran by the places of steps in one plan, by those in another: the items of a run may stand elsewhere in a plan that it adopts.
fn placed_anew(executed: &BTreeSet<(usize, u32)>, before: &Plan, after: &Plan) -> BTreeSet<(usize, u32)> {
    let same = before.steps.iter().zip(&after.steps).all(|(before, after)| before.id == after.id);
    if same {
        return executed.clone();
    }
    let moved = moved(before, after);
    executed.iter().filter_map(|(step, attempt)| Some((moved[*step]?, *attempt))).collect()
}

/// Something that may happen next.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Ends(usize, u32),
    Answers(usize),
    TimePasses(Moment),
    SurvivorsGo(usize),
    Looks(usize),
    BackgroundsEnd,
    Resumes,
    Stops,
    Cancels,
    BackgroundDies(usize),
}

impl<'a> Simulator<'a> {
    /// A run that has just been created; the first steps have started.
    pub(crate) fn start(
        plan: &'a Plan,
        scripts: &'a Scripts,
        attendance: Attendance,
        weather: Weather,
        seed: u64,
    ) -> Self {
        let mut simulator = Self::empty(plan, scripts, attendance, weather, seed);
        let ahead = plan
            .steps
            .iter()
            .enumerate()
            .filter(|(index, step)| {
                let asks = step.action.question().is_some() || step.ask.is_some();
                scripts.of(plan, *index).reply == Reply::Ahead && asks
            })
            .map(|(_, step)| AheadAnswer {
                step: step.id.clone(),
                word: match &step.action {
                    _ if step.ask.is_some() => "yes".into(),
                    Action::Approve(_) => "approve".into(),
                    _ => "done".into(),
                },
                reason: None,
                by: None,
            })
            .collect();
        simulator.append(created(ahead), true);
        simulator.batches.push(1);
        simulator.input(Input::Started);
        simulator
    }

    fn empty(
        plan: &'a Plan,
        scripts: &'a Scripts,
        attendance: Attendance,
        weather: Weather,
        seed: u64,
    ) -> Self {
        let new = std::sync::Arc::new(plan.clone());
        let mut state = RunState::new(std::sync::Arc::clone(&new));
        state.offer(EDITED.into(), std::sync::Arc::clone(&new));
        Self {
            plan,
            scripts,
            state: state.clone(),
            log: Vec::new(),
            batches: Vec::new(),
            now: Moment::from_millis(1_795_000_000_000),
            attendance,
            survivors: BTreeMap::new(),
            diverged: false,
            processes: BTreeMap::new(),
            executed: BTreeSet::new(),
            replayed: state,
            watch: Watch::new(&new),
            dice: Dice(seed),
            weather,
            end_backgrounds: false,
            looks: BTreeSet::new(),
        }
    }

    fn append(&mut self, kind: EventKind, apply: bool) {
        if apply {
            self.state.apply(self.now, &kind).expect("legal");
        }
        self.replayed.apply(self.now, &kind).expect("what was decided can be replayed");
        // The plan as it has grown so far.
        self.watch.see(&self.replayed.plan, &kind);
        self.log.push((self.log.len() as u64 + 1, self.now, kind));
    }

    /// What is scripted of a step.
    pub(crate) fn script(&self, step: usize) -> &'a Script {
        self.scripts.of(&self.state.plan, step)
    }

    /// One input: decided, made durable, and put into effect.
    pub(crate) fn input(&mut self, input: Input) -> Decision {
        let texts = Texts(self.scripts);
        let circumstances = Circumstances {
            now: self.now,
            attendance: self.attendance,
            terminal: if self.attendance == Attendance::Operator { Terminal::Free } else { Terminal::Absent },
            boot: "boot",
            max_parallel: None,
            survivors: &self.survivors,
            locks: &std::collections::BTreeMap::new(),
            renderer: &texts,
        };
        let plan = std::sync::Arc::clone(&self.state.plan);
        let decision = advance(&mut self.state, input, &circumstances).expect("decisions are legal");
        self.executed = placed_anew(&self.executed, &plan, &self.state.plan);
        for event in decision.events.clone() {
            self.append(event, false);
        }
        assert!(self.replayed == self.state, "the replayed state differs from the live one");
        if !decision.events.is_empty() {
            self.batches.push(self.log.len());
        }
        self.end_backgrounds = decision.end_backgrounds;
        self.looks = decision.wishes.looks.iter().copied().collect();
        for event in &decision.events {
            self.put_into_effect(event);
        }
        self.is_not_stuck();
        decision
    }

    /// An answer while no process carries the run on.
    fn file(&mut self, answer: &Answer) {
        let texts = Texts(self.scripts);
        let circumstances = Circumstances {
            now: self.now,
            attendance: Attendance::Nobody,
            terminal: Terminal::Absent,
            boot: "boot",
            max_parallel: None,
            survivors: &self.survivors,
            locks: &std::collections::BTreeMap::new(),
            renderer: &texts,
        };
        let (events, verdict) =
            record_answer(&mut self.state, answer, &circumstances).expect("decisions are legal");
        assert_eq!(verdict, Ok(()));
        for event in events {
            // A group that begins around what ends starts nothing.
            let holds = self.index_of(&event).is_some_and(|step| {
                // Nor does what only fails because nobody answered whether to do it.
                self.state.plan.steps[step].is_container()
                    || self.state.steps[step].asked.as_deref() == Some("")
            });
            let starts = matches!(event, EventKind::StepStarted { .. } | EventKind::GateOpened { .. });
            assert!(!starts || holds, "answering starts nothing: {event:?}");
            self.append(event, false);
        }
        assert!(self.replayed == self.state, "the replayed state differs from the live one");
        self.batches.push(self.log.len());
    }

    fn put_into_effect(&mut self, event: &EventKind) {
        let index = self.index_of(event);
        match (event, index) {
            (
                EventKind::StepStarted { attempt, .. }
                | EventKind::UndoStarted { attempt, .. }
                | EventKind::AttemptReissued { attempt, .. },
                Some(step),
            ) => {
                let runs =
                    matches!(&self.state.steps[step].status, Status::Running(now) if now.number == *attempt);
                if runs && self.state.plan.steps[step].action.takes_slot() {
                    assert!(
                        self.watch.may_run(step),
                        "{} runs and nobody said yes",
                        self.state.plan.steps[step].id
                    );
                    assert!(
                        self.executed.insert((step, *attempt)),
                        "attempt {attempt} of {} runs twice",
                        self.state.plan.steps[step].id
                    );
                    self.processes.insert((step, *attempt), false);
                }
            }
            (
                EventKind::StepFinished { attempt, .. } | EventKind::UndoFinished { attempt, .. },
                Some(step),
            ) => {
                self.processes.remove(&(step, *attempt));
            }
            (EventKind::RunStopped { .. } | EventKind::CancelRequested { .. }, _) => {
                for told in self.processes.values_mut() {
                    *told = true;
                }
            }
            _ => {}
        }
    }

    /// The step of the plan that an attempt is one of.
    fn index_of(&self, event: &EventKind) -> Option<usize> {
        let step = self.state.index_of(event.step()?)?;
        let undo = matches!(
            event,
            EventKind::UndoStarted { .. }
                | EventKind::UndoFinished { .. }
                | EventKind::AttemptReissued { undo: true, .. }
        );
        if undo { self.state.undo_of(step) } else { Some(step) }
    }

    fn is_not_stuck(&self) {
        let state = &self.state;
        let rests = state.outcome.is_some() || state.parked.is_some() || state.stopped.is_some();
        let goes_on = !self.processes.is_empty()
            || state.delayed.iter().any(
                |step| matches!(state.steps[*step].status, Status::Delayed { due_at } if due_at > self.now),
            )
            || state.waits.iter().any(|step| self.wait_end(*step) > self.now)
            || self.end_backgrounds
            || !self.looks.is_empty()
            || (!state.outliving.is_empty() && !self.survivors.is_empty())
            || (!state.gates.is_empty() && self.attendance != Attendance::Nobody);
        assert!(rests || goes_on, "the run is stuck:\n{}", self.tell());
        for step in &state.running {
            let Status::Running(attempt) = &state.steps[*step].status else { panic!("it runs") };
            let known = self.processes.contains_key(&(*step, attempt.number));
            assert!(known, "{} is said to run", self.state.plan.steps[*step].id);
        }
    }

    fn wait_end(&self, step: usize) -> Moment {
        let Status::Running(running) = &self.state.steps[step].status else { panic!("it waits") };
        running.until.expect("a wait that was rendered has an end")
    }

    /// The record in short, for a failing test.
    pub(crate) fn tell(&self) -> String {
        self.log.iter().map(|(seq, _, kind)| format!("{seq:>4} {}\n", in_short(kind))).collect()
    }

    /// Lets things happen until the run has ended.
    pub(crate) fn run_to_its_end(&mut self) {
        self.run_for(200 * self.plan.steps.len() + 2000);
        assert!(self.state.outcome.is_some(), "the run doesn't end:\n{}", self.tell());
    }

    /// Lets so many things happen, or fewer where the run ends before.
    pub(crate) fn run_for(&mut self, happenings: usize) {
        for _ in 0..happenings {
            if self.state.outcome.is_some() {
                return;
            }
            let options = self.options();
            assert!(!options.is_empty(), "nothing can happen any more:\n{}", self.tell());
            let pick = self.dice.roll(options.len());
            self.happen(options[pick]);
        }
    }

    fn options(&mut self) -> Vec<Happening> {
        let mut options = Vec::new();
        let rests =
            self.state.parked.is_some() || (self.state.stopped.is_some() && self.processes.is_empty());
        options.extend(self.processes.keys().map(|(step, attempt)| Happening::Ends(*step, *attempt)));
        let somebody = rests || self.attendance != Attendance::Nobody;
        let mut waits_for_clock = Vec::new();
        for (&step, gate) in &self.state.gates {
            match (self.script(step).reply, gate.gate) {
                (Reply::Silence, Gate::Approve | Gate::Manual | Gate::Ask) => {
                    waits_for_clock.extend(gate.expires_at);
                }
                _ if somebody => options.push(Happening::Answers(step)),
                _ => {}
            }
        }
        for step in &self.state.delayed {
            if let Status::Delayed { due_at } = self.state.steps[*step].status {
                // One that is due already waits for something else.
                if due_at > self.now {
                    waits_for_clock.push(due_at);
                }
            }
        }
        for &step in &self.state.waits {
            waits_for_clock.push(self.wait_end(step));
            if self.script(step).reply == Reply::No {
                options.push(Happening::Answers(step));
            }
        }
        if let Some(next) = waits_for_clock.into_iter().min().filter(|_| !rests || options.is_empty()) {
            options.push(Happening::TimePasses(next));
        }
        if rests {
            options.push(Happening::Resumes);
            return options;
        }
        options.extend(self.state.outliving.keys().map(|step| Happening::SurvivorsGo(*step)));
        options.extend(self.looks.iter().map(|step| Happening::Looks(*step)));
        if self.end_backgrounds {
            options.push(Happening::BackgroundsEnd);
        }
        if self.weather == Weather::Rough && self.state.stopped.is_none() && self.dice.roll(8) == 0 {
            options.extend(self.state.backgrounds.iter().map(|step| Happening::BackgroundDies(*step)));
            options.push(Happening::Stops);
            if self.dice.roll(3) == 0 {
                options.push(Happening::Cancels);
            }
        }
        options
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Ends(step, attempt) => {
                let told = self.processes.remove(&(step, attempt)).expect("it runs");
                let result = Box::new(self.result(step, told));
                self.input(Input::Finished { step, attempt, result });
            }
            Happening::Answers(step) => {
                let answer = self.says(step);
                let rests = self.state.parked.is_some() || self.state.stopped.is_some();
                if rests {
                    self.file(&answer);
                } else {
                    let decision = self.input(Input::Answered(Box::new(answer)));
                    assert_eq!(decision.refusal, None);
                }
            }
            Happening::TimePasses(until) => {
                self.now = self.now.max(until);
                self.input(Input::Tick);
            }
            Happening::SurvivorsGo(step) => {
                self.survivors.remove(&step);
                self.input(Input::Tick);
            }
            Happening::Looks(step) => self.look(step),
            Happening::BackgroundsEnd => {
                for step in self.state.backgrounds.clone() {
                    self.input(Input::BackgroundEnded { step, expected: true, reason: "ended".into() });
                }
            }
            Happening::Resumes => self.resume(Vec::new()),
            Happening::Stops => {
                self.input(Input::Stopped { signal: "SIGTERM".into() });
                for step in self.state.backgrounds.clone() {
                    self.input(Input::BackgroundEnded { step, expected: true, reason: "stopped".into() });
                }
            }
            Happening::Cancels => {
                self.input(Input::Cancelled { by: "bob".into(), reason: None, undo: false });
            }
            Happening::BackgroundDies(step) => {
                self.input(Input::BackgroundEnded { step, expected: false, reason: "exit 1".into() });
            }
        }
    }

    /// Before the first attempt the script tells; after an interruption it may have taken effect or not.
    fn look(&mut self, step: usize) {
        let attempt = self.state.steps[step].attempts;
        // What can't be evaluated before can't be after an interruption.
        let interrupted =
            self.state.interrupted.contains(&step) && !self.script(step).unknown.starts_with("template");
        let done = if interrupted {
            [Some(true), Some(false), Some(false), None][self.dice.roll(4)]
        } else {
            self.script(step).done
        };
        // Whether the attempt would have succeeded is another matter.
        self.diverged |= self.state.interrupted.contains(&step) && done == Some(true);
        let why =
            if interrupted || done.is_some() { "connection refused" } else { self.script(step).unknown };
        let reason = (done != Some(true)).then(|| why.to_owned());
        self.input(Input::Looked { step, attempt, done, reason });
    }

    fn resume(&mut self, found: Vec<(usize, Found)>) {
        let mut changed_inputs = Vec::new();
        if self.weather == Weather::Rough && self.dice.roll(3) == 0 {
            let hash = format!("{:x}", self.dice.roll(3));
            changed_inputs.push((0, "deploy.sh".to_owned(), Some(hash)));
        }
        self.input(Input::Resumed {
            by: "carol".into(),
            host: "there".into(),
            version: "0".into(),
            found,
            changed_inputs,
            guards: Vec::new(),
            question: Vec::new(),
            answers: Vec::new(),
            rewind: None,
            cancel: None,
            rollback: false,
        });
    }

    /// `runbook resume --from STEP` of a run that has ended, with the runbook as it is now where that is adopted; whether that
    /// may be.
    pub(crate) fn go_back(&mut self, step: usize, adopts: bool) -> bool {
        let id = self.state.plan.steps[step].id.clone();
        let request = ResumeRequest {
            by: "carol".into(),
            from: Some(id.clone()),
            attended: true,
            ..ResumeRequest::default()
        };
        let Ok((question, answers)) = plan_resume(&self.state, &request) else { return false };
        let adopted = EventKind::RunAdopted { differences: Vec::new(), plan_digest: EDITED.into() };
        self.input(Input::Resumed {
            by: "carol".into(),
            host: "there".into(),
            version: "0".into(),
            found: Vec::new(),
            changed_inputs: Vec::new(),
            guards: adopts.then_some(adopted).into_iter().collect(),
            question,
            answers,
            rewind: self.state.plan.index_of(&id).map(|step| (step, "carol".into())),
            cancel: None,
            rollback: false,
        });
        true
    }

    /// `runbook rollback` of a run that has ended; whether anything is left to undo.
    pub(crate) fn roll_back(&mut self) -> bool {
        if undoable(&self.state.plan, &self.state).order.is_empty() {
            return false;
        }
        self.input(Input::Resumed {
            by: "carol".into(),
            host: "there".into(),
            version: "0".into(),
            found: Vec::new(),
            changed_inputs: Vec::new(),
            guards: Vec::new(),
            question: Vec::new(),
            answers: Vec::new(),
            rewind: None,
            cancel: None,
            rollback: true,
        });
        true
    }

    /// How an attempt ends: by what its step has failed so far.
    fn result(&self, step: usize, told: bool) -> AttemptResult {
        if told {
            return AttemptResult {
                failure: Some((Outcome::Cancelled, "stopped: SIGTERM".into())),
                signal: Some("SIGTERM".into()),
                ..AttemptResult::default()
            };
        }
        self.ending(step).result()
    }

    fn ending(&self, step: usize) -> Ending {
        let failed = self.log.iter().filter(|(_, _, kind)| {
            let failed = matches!(
                kind,
                EventKind::StepFinished { outcome: Outcome::Failed, .. }
                    | EventKind::UndoFinished { outcome: Outcome::Failed, .. }
            );
            failed && self.index_of(kind) == Some(step)
        });
        let endings = &self.script(step).endings;
        endings[failed.count().min(endings.len() - 1)]
    }

    fn says(&mut self, step: usize) -> Answer {
        if self.state.waits.contains(&step) {
            return answer(&self.state.plan.steps[step].id, "done", "alice");
        }
        let gate = self.state.gates[&step].clone();
        let no = self.script(step).reply == Reply::No;
        let mut given = answer(&self.state.plan.steps[step].id, "", ["alice", "bob"][self.dice.roll(2)]);
        given.word = match gate.gate {
            Gate::Approve => if no { "reject" } else { "approve" }.into(),
            Gate::Manual => if no { "failed" } else { "done" }.into(),
            Gate::Ask => if no { "no" } else { "yes" }.into(),
            Gate::Failure => {
                self.diverged = true;
                let words = ["retry", "skip", "done", "undo", "abort"];
                let word = words[self.dice.roll(words.len())];
                let fits = gate.words.iter().any(|known| known == word);
                if fits { word } else { "abort" }.into()
            }
            Gate::Rollback => ["undo", "undo", "keep"][self.dice.roll(3)].into(),
            Gate::Undo if !gate.words.iter().any(|word| word == "wait") => {
                ["retry", "retry", "retry", "skip", "abort"][self.dice.roll(5)].into()
            }
            _ if gate.words.iter().any(|word| word == "wait") => ["wait", "end"][self.dice.roll(2)].into(),
            _ => self.script(step).decision.into(),
        };
        if matches!(gate.gate, Gate::Failure | Gate::Interrupted) {
            self.diverged |= !matches!(given.word.as_str(), "retry" | "wait" | "end");
            // Who says `retry` gives the step all its retries back.
            let used = self.state.steps[step].attempts_in_round > 0;
            self.diverged |= given.word == "retry" && used && self.state.plan.steps[step].retry.is_some();
        }
        let open = u32::try_from(gate.checklist.len() - gate.ticked.len()).expect("a short list");
        if gate.gate == Gate::Manual && !no && open > 0 {
            let next = (1..).find(|item| !gate.ticked.contains_key(item)).expect("one is open");
            if self.dice.roll(2) == 0 {
                given.word = String::new();
                given.items = vec![next];
            } else {
                given.all_items = true;
            }
        }
        given
    }

    /// The run as another engine finds it after a crash that left this much of
    /// the record, resumed.
    pub(crate) fn crash_after(&self, events: usize, seed: u64) -> Self {
        let mut after = Self::empty(self.plan, self.scripts, self.attendance, self.weather, seed);
        for (_, at, kind) in &self.log[..events] {
            after.now = *at;
            after.append(kind.clone(), true);
        }
        after.diverged = self.diverged;
        after.batches = self.batches.iter().copied().filter(|length| *length <= events).collect();
        let durable = after.batches.last().copied().unwrap_or(0);
        after.batches.push(events);
        after.now = after.now.after(std::time::Duration::from_millis(1));
        if after.state.outcome.is_some() {
            return after;
        }
        // What finished has run; so has what ran when the last engine took the run on.
        after.executed = placed_anew(&self.executed, &self.state.plan, &after.state.plan);
        after.executed.retain(|(step, attempt)| {
            after.state.steps.get(*step).is_some_and(|known| *attempt <= known.attempts)
        });
        let mut found = Vec::new();
        for step in after.state.running.clone() {
            found.push((step, after.fate(self, step, durable)));
        }
        for step in after.state.backgrounds.clone() {
            let lives = after.dice.roll(2) == 0;
            found.push((step, if lives { Found::StillRunning } else { Found::Unknown }));
        }
        after.resume(found);
        after
    }

    /// What became of an attempt that ran at the crash.
    fn fate(&mut self, before: &Self, step: usize, durable: usize) -> Found {
        let Status::Running(attempt) = self.state.steps[step].status.clone() else { panic!("it runs") };
        let key = (step, attempt.number);
        let started = |(_, _, kind): &&(u64, Moment, EventKind)| {
            matches!(kind, EventKind::StepStarted { attempt, .. }
                | EventKind::UndoStarted { attempt, .. }
                | EventKind::AttemptReissued { attempt, .. }
                if *attempt == key.1)
                && before.index_of(kind) == Some(step)
        };
        let recorded = before
            .log
            .iter()
            .filter(started)
            .map(|(seq, ..)| *seq)
            .filter(|seq| *seq <= self.log.len() as u64)
            .max();
        let took_effect = before.executed.contains(&key) && recorded.is_some_and(|seq| seq <= durable as u64);
        let told = (self.state.cancel.is_some() && !self.state.plan.steps[step].is_added())
            || self.state.stopped.is_some();
        if !matches!(self.state.plan.steps[step].action, Action::Run(_)) {
            return Found::Unknown;
        }
        if !took_effect {
            self.executed.remove(&key);
            return Found::NeverStarted;
        }
        match self.dice.roll(5) {
            0 => {
                self.processes.insert(key, told);
                Found::StillRunning
            }
            1 | 2 => Found::Ended(Box::new(self.result(step, false))),
            // Only what no engine has seen at work may never have started.
            3 if !before.inherited(key) => {
                self.executed.remove(&key);
                Found::NeverStarted
            }
            fate => {
                self.diverged |= self.state.plan.steps[step].on_interrupt
                    == runbook_core::plan::OnInterrupt::Fail
                    && !self.state.plan.steps[step].action.is_background();
                if fate == 4 && self.dice.roll(3) == 0 {
                    self.survivors
                        .insert(step, vec![LeakedProcess { pid: 7, command: "sleep".into(), ended: false }]);
                }
                Found::Unknown
            }
        }
    }

    /// Whether this engine found the attempt at work when it took the run on.
    fn inherited(&self, key: (usize, u32)) -> bool {
        let resumed = self.log.iter().rposition(|(_, _, kind)| matches!(kind, EventKind::RunResumed { .. }));
        let Some(resumed) = resumed else { return false };
        let again = self.log[resumed..].iter().any(|(_, _, kind)| {
            matches!(kind, EventKind::StepStarted { attempt, .. }
                | EventKind::UndoStarted { attempt, .. }
                | EventKind::AttemptReissued { attempt, .. }
                if *attempt == key.1)
                && self.index_of(kind) == Some(key.0)
        });
        !again && self.executed.contains(&key)
    }
}
