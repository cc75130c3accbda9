//! Small runs for the tests of reports, told by events.

use indexmap::IndexMap;
use runbook_core::event::{
    Event, EventKind, Gate, Identity, LeakedProcess, Outcome, RunOutcome, Via, WaitingFor,
};
use runbook_core::id::RunId;
use runbook_core::moment::Moment;
use runbook_core::plan::Plan;
use runbook_core::state::{OpenGate, RunState};
use runbook_runtime::run::View;

use serde_json::json;

use crate::console::Console;

pub(crate) fn run_id() -> RunId {
    "20261122T023000-k3f9".parse().expect("a run id")
}

/// A console without a terminal.
pub(crate) fn console(width: usize, plain: bool) -> Console {
    Console {
        stdout_terminal: false,
        stderr_terminal: false,
        stdout_color: false,
        stderr_color: false,
        width,
        plain,
        quiet: false,
        non_interactive: true,
        failure: std::rc::Rc::default(),
        announced: std::rc::Rc::default(),
    }
}

/// A question that is open.
pub(crate) fn open_gate(gate: Gate, words: &[&str], checklist: &[&str]) -> OpenGate {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    OpenGate {
        gate,
        prompt: "Send v1.2.3 to green?".into(),
        details: None,
        from: Vec::new(),
        quorum: 1,
        expires_at: None,
        digest: "d".repeat(64),
        nonce: "n".repeat(32),
        words: texts(words),
        checklist: texts(checklist),
        ticked: std::collections::BTreeMap::new(),
        answers: Vec::new(),
        opened_at: start(),
        survivors: Vec::new(),
        options: IndexMap::new(),
        fields: IndexMap::new(),
        escalated: 0,
    }
}

fn start() -> Moment {
    Moment::from_millis(1_795_314_600_000)
}

/// A plan of tests, approve, apply and smoke, and a `finally` step.
pub(crate) fn plan() -> Plan {
    let step = |id: &str, needs: &[usize], action: serde_json::Value| {
        json!({
            "id": id, "needs": needs, "action": action, "grace": "10s", "on_failure": "stop", "on_interrupt": "ask",
            "shell": ["bash"], "log_limit": 1024
        })
    };
    let run = |script: &str| json!({"run": {"command": {"script": script}}});
    let mut tell = step("tell", &[3], run("echo over"));
    tell["finally"] = true.into();
    let mut smoke = step("smoke", &[2], run("curl -f https://zetra.app"));
    smoke["retry"] = json!({"times": 2, "delay": "1s", "backoff": 1.0, "max_delay": "1m", "jitter": false});
    let plan = json!({
        "format": 1, "runbook": "deploy-production", "title": "Deploy to production", "params": {}, "max_parallel": 16,
        "steps": [
            step("tests", &[], run("npm run test:all\nnpm run build")),
            step("approve", &[0], json!({"approve": {"prompt": "Send v1.2.3 to green?"}})),
            step("apply", &[1], run("kubectl apply -f .")),
            smoke,
            tell,
        ],
    });
    serde_json::from_value(plan).expect("a plan")
}

/// Events, and what follows from them.
pub(crate) struct Story {
    pub(crate) plan: Plan,
    pub(crate) state: RunState,
    pub(crate) events: Vec<Event>,
    now: Moment,
}

impl Story {
    fn new() -> Self {
        let plan = plan();
        let state = RunState::new(std::sync::Arc::new(plan.clone()));
        let mut story = Self { plan, state, events: Vec::new(), now: start() };
        story.tell(EventKind::RunCreated {
            runbook: "deploy-production".into(),
            plan_digest: "p".repeat(64),
            params: IndexMap::new(),
            user: "ana".into(),
            host: "here".into(),
            version: "0.1.0".into(),
            interactive: false,
            environment_digest: None,
            ahead: Vec::new(),
        });
        story
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::of(&self.state)
    }

    fn tell(&mut self, kind: EventKind) {
        self.state.apply(self.now, &kind).expect("a legal event");
        self.events.push(Event { seq: self.events.len() as u64 + 1, at: self.now, run: run_id(), kind });
    }

    fn start_step(&mut self, step: &str, attempt: u32, command: Option<&str>) {
        self.tell(EventKind::StepStarted {
            step: step.parse().expect("a step id"),
            attempt,
            command: command.map(str::to_owned),
            digest: None,
            boot: None,
            slot: None,
            why: (attempt > 1).then(|| format!("retry {} of 2", attempt - 1)),
            until: None,
        });
    }

    fn finish_step(&mut self, step: &str, attempt: u32, outcome: Outcome, reason: Option<&str>, by: &[&str]) {
        self.now = self.now.after(std::time::Duration::from_millis(12_400));
        self.tell(EventKind::StepFinished {
            step: step.parse().expect("a step id"),
            attempt,
            outcome,
            reason: reason.map(str::to_owned),
            exit_code: reason
                .and_then(|reason| reason.strip_prefix("exit "))
                .and_then(|code| code.parse().ok()),
            signal: None,
            duration_ms: 12_400,
            outputs: IndexMap::new(),
            log_sha256: None,
            dropped_bytes: 0,
            recovered: false,
            by: by.iter().map(|by| (*by).to_owned()).collect(),
            choice: None,
            fields: IndexMap::new(),
            values: IndexMap::new(),
            warnings: Vec::new(),
        });
    }

    fn open(&mut self, step: &str, gate: Gate, prompt: &str, words: &[&str]) {
        self.tell(EventKind::GateOpened {
            step: step.parse().expect("a step id"),
            gate,
            prompt: prompt.into(),
            from: Vec::new(),
            quorum: 1,
            expires_at: (gate == Gate::Approve).then(|| start().after(std::time::Duration::from_secs(1800))),
            digest: "d".repeat(64),
            nonce: "n".repeat(32),
            details: None,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            checklist: Vec::new(),
            survivors: Vec::<LeakedProcess>::new(),
            options: IndexMap::new(),
            fields: IndexMap::new(),
        });
    }

    fn answer(&mut self, word: &str, reason: Option<&str>) {
        self.tell(EventKind::GateAnswered {
            step: "approve".parse().expect("a step id"),
            answer: word.into(),
            by: "bob".into(),
            user: None,
            via: Via::Command,
            identity: Identity::User,
            reason: reason.map(str::to_owned),
            fields: IndexMap::new(),
            evidence: Vec::new(),
            items: Vec::new(),
            outputs: IndexMap::new(),
            env: IndexMap::new(),
            file: None,
        });
        self.tell(EventKind::GateClosed {
            step: "approve".parse().expect("a step id"),
            result: word.into(),
            reason: None,
        });
    }

    fn finish(&mut self, outcome: RunOutcome) {
        self.tell(EventKind::RunFinished { outcome, reason: None, outputs: IndexMap::new() });
    }

    fn until_approved() -> Self {
        let mut story = Self::waiting();
        story.answer("approve", Some("looks fine"));
        story.finish_step("approve", 1, Outcome::Succeeded, None, &["bob"]);
        story.start_step("apply", 1, Some("kubectl apply -f ."));
        story.finish_step("apply", 1, Outcome::Succeeded, None, &[]);
        story
    }

    fn waiting() -> Self {
        let mut story = Self::new();
        story.start_step("tests", 1, Some("npm run test:all\nnpm run build"));
        story.finish_step("tests", 1, Outcome::Succeeded, None, &[]);
        story.start_step("approve", 1, None);
        story.open("approve", Gate::Approve, "Send v1.2.3 to green?", &["approve", "reject"]);
        story
    }

    fn tell_all(&mut self) {
        self.start_step("tell", 1, Some("echo over"));
        self.finish_step("tell", 1, Outcome::Succeeded, None, &[]);
    }

    pub(crate) fn parked() -> Self {
        let mut story = Self::waiting();
        story.tell(EventKind::RunParked {
            waiting_for: vec![WaitingFor {
                step: "approve".parse().expect("a step id"),
                gate: Gate::Approve,
            }],
        });
        story
    }

    pub(crate) fn succeeded() -> Self {
        let mut story = Self::until_approved();
        story.start_step("smoke", 1, Some("curl -f https://zetra.app"));
        story.finish_step("smoke", 1, Outcome::Succeeded, None, &[]);
        story.tell_all();
        story.finish(RunOutcome::Succeeded);
        story
    }

    pub(crate) fn failed() -> Self {
        let mut story = Self::until_approved();
        for attempt in 1..=3 {
            story.start_step("smoke", attempt, Some("curl -f https://zetra.app"));
            story.finish_step("smoke", attempt, Outcome::Failed, Some("exit 1"), &[]);
            if attempt < 3 {
                let due_at = story.now.after(std::time::Duration::from_secs(1));
                let step = "smoke".parse().expect("a step id");
                story.tell(EventKind::RetryScheduled { step, attempt, delay_ms: 1000, due_at });
            }
        }
        story.tell_all();
        story.finish(RunOutcome::Failed);
        story
    }

    pub(crate) fn rejected() -> Self {
        let mut story = Self::waiting();
        story.answer("reject", Some("not on a Friday"));
        story.finish_step("approve", 1, Outcome::Rejected, Some("operator: not on a Friday"), &["bob"]);
        for (step, needs) in [("apply", "approve"), ("smoke", "apply")] {
            let kind = EventKind::StepBlocked {
                step: step.parse().expect("a step id"),
                needs: needs.parse().expect("a step id"),
            };
            story.tell(kind);
        }
        story.tell_all();
        story.finish(RunOutcome::Rejected);
        story
    }

    pub(crate) fn cancelled() -> Self {
        let mut story = Self::waiting();
        story.tell(EventKind::CancelRequested {
            by: "ana".into(),
            reason: Some("wrong version".into()),
            undo: false,
        });
        story.tell(EventKind::GateClosed {
            step: "approve".parse().expect("a step id"),
            result: "cancelled".into(),
            reason: Some("cancelled by ana".into()),
        });
        story.finish_step("approve", 1, Outcome::Cancelled, Some("cancelled by ana"), &[]);
        story.finish(RunOutcome::Cancelled);
        story
    }

    pub(crate) fn stopped() -> Self {
        let mut story = Self::until_approved();
        story.start_step("smoke", 1, Some("curl -f https://zetra.app"));
        story.tell(EventKind::RunStopped { signal: "SIGINT".into() });
        story.finish_step("smoke", 1, Outcome::Cancelled, Some("stopped by SIGINT"), &[]);
        story
    }

    pub(crate) fn undecided() -> Self {
        let mut story = Self::until_approved();
        story.start_step("smoke", 1, Some("curl -f https://zetra.app"));
        story.finish_step("smoke", 1, Outcome::Interrupted, Some("stopped: the engine died"), &[]);
        let prompt =
            "smoke was interrupted: it had started, and how it ended is not known. Did it take effect?";
        story.open("smoke", Gate::Interrupted, prompt, &["retry", "skip", "done", "failed", "abort"]);
        let step = "smoke".parse().expect("a step id");
        story.tell(EventKind::RunParked { waiting_for: vec![WaitingFor { step, gate: Gate::Interrupted }] });
        story
    }
}
