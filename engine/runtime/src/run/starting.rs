//! The effects of durable events: attempts are started.

use std::sync::Arc;

use runbook_core::event::EventKind;
use runbook_core::id::StepId;
use runbook_core::plan::Action;
use runbook_core::render::SecretView;
use runbook_core::state::Status;

use super::dispatcher::{Dispatcher, Task};
use super::files;
use super::message::Message;
use super::process::{Attempt, Lending};

impl Dispatcher<'_> {
    /// Starts what a durable event asks for.
    pub(super) fn effect(&mut self, event: &EventKind) {
        match event {
            EventKind::StepStarted { step, attempt, slot, .. } => {
                self.start(self.state.index_of(step), *attempt, *slot);
            }
            EventKind::UndoStarted { step, attempt, slot, .. } => {
                self.start(self.undo_of(step), *attempt, *slot);
            }
            EventKind::AttemptReissued { step, attempt, slot, undo, .. } => {
                let index = if *undo { self.undo_of(step) } else { self.state.index_of(step) };
                self.start(index, *attempt, Some(*slot));
            }
            EventKind::StepFinished { step, .. } => self.forget_busy_lock(step),
            EventKind::Escalated { step, notify, .. } => self.escalate(step, notify),
            EventKind::CancelRequested { by, .. } => {
                self.order_all(&format!("stopped: cancelled by {by}"));
            }
            EventKind::RunStopped { signal } => self.order_all(&format!("stopped: {signal}")),
            _ => {}
        }
    }

    pub(super) fn undo_of(&self, id: &StepId) -> Option<usize> {
        self.state.index_of(id).and_then(|step| self.state.undo_of(step))
    }

    /// Starts the attempt of a step, where it is still to be started.
    pub(super) fn start(&mut self, index: Option<usize>, attempt: u32, slot: Option<u32>) {
        let Some(step) = index else { return };
        let still =
            matches!(&self.state.steps[step].status, Status::Running(running) if running.number == attempt);
        if !still || !self.state.plan.steps[step].action.takes_slot() || self.store_failure.is_some() {
            return;
        }
        self.tasks.insert(step, Task::new(attempt));
        let plan = Arc::clone(&self.state.plan);
        let secrets = Arc::clone(&self.workshop.secrets);
        let real = |name: &str| secrets.text_of(name);
        let view = SecretView::Real(&real);
        let changed = self.inputs_now_changed(step);
        let started = if let Some(path) = changed {
            Err(("inputs", format!("{path} changed since it was approved")))
        } else {
            match &plan.steps[step].action {
                Action::Run(run) if run.interactive => self
                    .texts
                    .launch(&plan, &self.state, step, &view)
                    .map_err(|error| ("template", error))
                    .and_then(|launch| {
                        let lending = self.lend(step).map_err(|error| {
                            ("spawn", format!("the terminal can't be lent to it: {error}"))
                        })?;
                        self.spawn_process(step, attempt, slot, launch, Some(lending));
                        Ok(())
                    }),
                Action::Run(run) => self
                    .texts
                    .launch(&plan, &self.state, step, &view)
                    .map(|launch| self.spawn_process(step, attempt, slot, launch, None))
                    .and_then(|()| match &run.background {
                        Some(ready) => self.spawn_check(step, attempt, ready, &view),
                        None => Ok(()),
                    })
                    .map_err(|error| ("template", error)),
                Action::Check(check) => {
                    self.spawn_check(step, attempt, check, &view).map_err(|error| ("template", error))
                }
                Action::Http(_) | Action::Notify(_) => {
                    self.spawn_errand(step, attempt, &view).map_err(|error| ("template", error))
                }
                _ => Ok(()),
            }
        };
        if let Err((kind, error)) = started {
            self.tasks.remove(&step);
            self.finish_unstarted(step, attempt, &format!("{kind}: {error}"));
        }
    }

    /// The first input of a step that isn't what was approved.
    pub(super) fn inputs_now_changed(&self, step: usize) -> Option<String> {
        let inputs = &self.state.plan.steps[step].inputs;
        if inputs.is_empty() {
            return None;
        }
        let mut seen = inputs.files.clone();
        for ((of, path), sha256) in &self.state.changed_inputs {
            if *of == step {
                match sha256 {
                    Some(sha256) => seen.insert(path.clone(), sha256.clone()),
                    None => seen.shift_remove(path),
                };
            }
        }
        let folder = self.folder_of(step)?;
        files::changed_inputs(&folder, &inputs.globs, &seen).into_iter().next().map(|(path, _)| path)
    }

    /// The step's working folder.
    pub(super) fn folder_of(&self, step: usize) -> Option<std::path::PathBuf> {
        let root = &self.workshop.environment.root;
        let cwd = self.texts.cwd(&self.state.plan, &self.state, step).ok()?;
        Some(cwd.map_or_else(|| root.clone(), |cwd| root.join(cwd)))
    }

    pub(super) fn spawn_process(
        &self,
        step: usize,
        attempt: u32,
        slot: Option<u32>,
        launch: runbook_core::render::Launch,
        terminal: Option<Lending>,
    ) {
        let known = &self.state.plan.steps[step];
        let description = Attempt::of(known, attempt, slot);
        let workshop = self.workshop.clone();
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let controls = messages.clone();
            let end = workshop
                .run(&description, launch, terminal, &messages, move |control| {
                    let _ = controls.send(Message::Controllable { step, attempt, control });
                })
                .await;
            let _ = messages.send(Message::Process { step, attempt, end });
        });
    }
}
