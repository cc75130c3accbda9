//! The checks that the dispatcher starts: of steps, of what background commands must reach, and of `done_when`.

use runbook_core::plan::{Action, Check};
use runbook_core::render::{Measured, ProbeCall, SecretView, Texts, Verdict};
use runbook_core::schedule::Input;
use tokio::sync::watch;

use super::check::CheckTask;
use super::dispatcher::Dispatcher;
use super::message::{CheckEnd, Message, Purpose};
use super::process::Attempt;

impl Dispatcher<'_> {
    /// Starts the check that is a step's attempt, or that its background command must pass.
    pub(super) fn spawn_check(
        &mut self,
        step: usize,
        attempt: u32,
        check: &Check,
        secrets: &SecretView<'_>,
    ) -> Result<(), String> {
        let call = self.texts.probe(&self.state.plan, &self.state, step, check, secrets)?;
        let (task, end) = self.check_task(step, attempt, check, call, Purpose::Attempt);
        if let Some(running) = self.tasks.get_mut(&step) {
            running.end_check = Some(end);
        }
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let end = Box::new(task.run().await);
            let _ = messages.send(Message::Check { step, attempt, end });
        });
        Ok(())
    }

    /// Looks at the `done_when` of steps, each once at a time.
    pub(super) fn look(&mut self, steps: Vec<usize>) {
        for step in steps {
            if self.looks.contains_key(&step) || self.has_store_failed() {
                continue;
            }
            let plan = std::sync::Arc::clone(&self.state.plan);
            let Some(check) = plan.steps[step].done_when.as_deref() else { continue };
            let attempt = self.state.steps[step].attempts;
            let secrets = std::sync::Arc::clone(&self.workshop.secrets);
            let real = |name: &str| secrets.text_of(name);
            let messages = self.messages.clone();
            match self.texts.probe(&plan, &self.state, step, check, &SecretView::Real(&real)) {
                Ok(call) => {
                    let (task, end) = self.check_task(step, attempt, check, call, Purpose::DoneWhen);
                    self.looks.insert(step, end);
                    tokio::spawn(async move {
                        let end = Box::new(task.run().await);
                        let _ = messages.send(Message::Looked { step, attempt, end });
                    });
                }
                Err(error) => {
                    let (end, _) = watch::channel(false);
                    self.looks.insert(step, end);
                    let failure = Some(format!("template: done_when: {error}"));
                    let end = Box::new(CheckEnd { failure, no_data: true, ..CheckEnd::default() });
                    let _ = messages.send(Message::Looked { step, attempt, end });
                }
            }
        }
    }

    /// What `done_when` says. One that was cut off says nothing: it is looked at again in time.
    pub(super) fn looked(&mut self, step: usize, attempt: u32, end: CheckEnd) {
        self.looks.remove(&step);
        if end.cut_off {
            return;
        }
        let done = match (&end.failure, end.no_data) {
            (None, _) => Some(true),
            (Some(_), false) => Some(false),
            (Some(_), true) => None,
        };
        self.take(Input::Looked { step, attempt, done, reason: end.failure });
    }

    /// Judges a sample: the state that expressions see is the dispatcher's.
    pub(super) fn judge_sample(
        &self,
        step: usize,
        purpose: Purpose,
        measured: &Measured,
        own_success: Result<(), String>,
    ) -> Option<Verdict> {
        let known = &self.state.plan.steps[step];
        let check = match (purpose, &known.action) {
            (Purpose::DoneWhen, _) => known.done_when.as_deref(),
            (Purpose::Attempt, Action::Check(check)) => Some(check),
            (Purpose::Attempt, Action::Run(run)) => run.background.as_ref(),
            (Purpose::Attempt, _) => None,
        };
        let (plan, state) = (&self.state.plan, &self.state);
        check.map(|check| self.texts.judge_check(plan, state, step, check, measured, own_success))
    }

    fn check_task(
        &self,
        step: usize,
        attempt: u32,
        check: &Check,
        call: ProbeCall,
        purpose: Purpose,
    ) -> (CheckTask, watch::Sender<bool>) {
        let known = &self.state.plan.steps[step];
        let (end, ended) = watch::channel(false);
        let outputs = known.outputs.values().filter(|_| purpose == Purpose::Attempt);
        let expressions: Vec<String> =
            check.expect.iter().chain(&check.warn).chain(outputs).cloned().collect();
        let task = CheckTask {
            step,
            purpose,
            looks_at_series: Texts::mentions(&expressions, "series"),
            looks_at_hash: Texts::mentions(&expressions, "sha256"),
            check: check.clone(),
            call,
            attempt: Attempt::beside(known, attempt),
            workshop: self.workshop.clone(),
            messages: self.messages.clone(),
            ended,
        };
        (task, end)
    }
}
