//! One run under the hand of a test.

use std::collections::BTreeMap;
use std::time::Duration;

use runbook_core::event::{AheadAnswer, EventKind, LeakedProcess, Outcome};
use runbook_core::moment::Moment;
use runbook_core::plan::Plan;
use runbook_core::schedule::{
    Answer, AttemptResult, Attendance, Circumstances, Found, Input, Refusal, RefusalKind, Terminal, advance,
    record_answer,
};
use runbook_core::state::{RunState, kind_name};

use crate::simulator::created;
use crate::world::{Script, Scripts, Texts};

pub(super) struct Desk {
    pub(super) state: RunState,
    pub(super) scripts: Scripts,
    pub(super) attendance: Attendance,
    pub(super) survivors: BTreeMap<usize, Vec<LeakedProcess>>,
    pub(super) now: Moment,
    pub(super) refusal: Option<Refusal>,
    pub(super) end_backgrounds: bool,
    pub(super) last: Vec<EventKind>,
}

impl Desk {
    pub(super) fn new(plan: Plan) -> Self {
        Self::ahead(plan, Vec::new())
    }

    pub(super) fn ahead(plan: Plan, ahead: Vec<AheadAnswer>) -> Self {
        let scripts = Scripts::placed(vec![Script::default(); plan.steps.len()]);
        let mut state = RunState::new(std::sync::Arc::new(plan));
        let now = Moment::from_millis(1_795_000_000_000);
        state.apply(now, &created(ahead)).expect("the first event");
        Self {
            scripts,
            state,
            attendance: Attendance::Operator,
            survivors: BTreeMap::new(),
            now,
            refusal: None,
            end_backgrounds: false,
            last: Vec::new(),
        }
    }

    /// One input, and what follows in short.
    pub(super) fn input(&mut self, input: Input) -> Vec<String> {
        let texts = Texts(&self.scripts);
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
        let decision = advance(&mut self.state, input, &circumstances).expect("legal");
        self.refusal = decision.refusal;
        self.end_backgrounds = decision.end_backgrounds;
        self.last = decision.events;
        self.last.iter().map(in_short).collect()
    }

    pub(super) fn start(&mut self) -> Vec<String> {
        self.input(Input::Started)
    }

    pub(super) fn ends(&mut self, step: usize, result: AttemptResult) -> Vec<String> {
        let attempt = self.state.steps[step].attempts;
        self.input(Input::Finished { step, attempt, result: Box::new(result) })
    }

    pub(super) fn succeeds(&mut self, step: usize) -> Vec<String> {
        self.ends(step, AttemptResult { exit_code: Some(0), ..AttemptResult::default() })
    }

    pub(super) fn fails(&mut self, step: usize) -> Vec<String> {
        self.ends(step, exit(1))
    }

    pub(super) fn says(&mut self, answer: Answer) -> Vec<String> {
        self.input(Input::Answered(Box::new(answer)))
    }

    pub(super) fn refused(&mut self, answer: Answer) -> RefusalKind {
        let events = self.says(answer);
        assert_eq!(events, Vec::<String>::new(), "a refused answer changes nothing");
        self.refusal.take().expect("it is refused").kind
    }

    /// An answer while no process carries the run on.
    pub(super) fn file(&mut self, answer: &Answer) -> Vec<String> {
        let texts = Texts(&self.scripts);
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
        let (events, verdict) = record_answer(&mut self.state, answer, &circumstances).expect("legal");
        self.refusal = verdict.err();
        events.iter().map(in_short).collect()
    }

    pub(super) fn passes(&mut self, seconds: u64) -> Vec<String> {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.input(Input::Tick)
    }

    pub(super) fn resumes(&mut self, found: Vec<(usize, Found)>) -> Vec<String> {
        self.resumes_with(found, Vec::new(), Vec::new(), Vec::new())
    }

    pub(super) fn resumes_with(
        &mut self,
        found: Vec<(usize, Found)>,
        changed_inputs: Vec<(usize, String, Option<String>)>,
        question: Vec<usize>,
        answers: Vec<Answer>,
    ) -> Vec<String> {
        self.input(Input::Resumed {
            by: "carol".into(),
            host: "there".into(),
            version: "0".into(),
            found,
            changed_inputs,
            guards: Vec::new(),
            question,
            answers,
            rewind: None,
            cancel: None,
            rollback: false,
        })
    }

    /// `cancel` of a run that no process carries on.
    pub(super) fn resumes_to_end(&mut self) -> Vec<String> {
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
            cancel: Some(("carol".into(), None)),
            rollback: false,
        })
    }
}

pub(super) fn exit(code: i32) -> AttemptResult {
    AttemptResult {
        failure: Some((Outcome::Failed, format!("exit {code}"))),
        exit_code: Some(code),
        ..AttemptResult::default()
    }
}

pub(super) fn told_to_stop() -> AttemptResult {
    AttemptResult {
        failure: Some((Outcome::Cancelled, "stopped: SIGTERM".into())),
        signal: Some("SIGTERM".into()),
        ..AttemptResult::default()
    }
}

fn in_short(kind: &EventKind) -> String {
    let step = kind.step().map_or_else(String::new, |step| format!(" {step}"));
    let rest = match kind {
        EventKind::StepStarted { attempt, .. } if *attempt > 1 => format!(" {attempt}"),
        EventKind::StepFinished { outcome, .. } => format!(" {outcome}"),
        EventKind::StepBlocked { needs, .. } => format!(" by {needs}"),
        EventKind::RetryScheduled { delay_ms, .. } => format!(" {delay_ms}"),
        EventKind::GateOpened { gate, .. } => format!(" {gate}"),
        EventKind::GateAnswered { answer, .. } => format!(" {answer}"),
        EventKind::GateClosed { result, .. } => format!(" {result}"),
        EventKind::RunFinished { outcome, .. } => format!(" {outcome}"),
        _ => String::new(),
    };
    format!("{}{step}{rest}", kind_name(kind))
}
