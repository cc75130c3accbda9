//! Signals, and telling what runs to end.

use std::time::Duration;

use runbook_core::schedule::{Attendance, Input};
use runbook_core::state::Outliving;

use super::dispatcher::{Dispatcher, Signal};
use super::exit::EndOrder;
use super::message::Message;
use crate::keeper::{self, Control, Ending as KeeperEnding, Verdict, Witness};

impl Dispatcher<'_> {
    /// Tells everything that runs to end, for this reason.
    pub(super) fn order_all(&mut self, reason: &str) {
        let path = self.workshop.dir.witness_path();
        for task in self.tasks.values_mut() {
            task.order.get_or_insert_with(|| EndOrder { reason: reason.to_owned() });
            if let Some(control) = &task.control {
                control.terminate();
            }
            if let Some(end) = &task.end_check {
                let _ = end.send(true);
            }
            if let Some((slot, boot)) = &task.attached {
                end_attached(&path, *slot, boot);
            }
        }
        for end in self.looks.values() {
            let _ = end.send(true);
        }
    }

    pub(super) fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::HangUp => {
                // The run goes on until it needs somebody.
                self.terminal_gone();
            }
            Signal::Suspend => {
                self.each_control(Control::pause);
                self.loan.iter_mut().for_each(|loan| loan.lent.pause());
            }
            Signal::Continue => {
                self.loan.iter_mut().for_each(|loan| loan.lent.resume());
                self.each_control(Control::resume);
            }
            Signal::Interrupt | Signal::Terminate => {
                self.signals_seen += 1;
                match self.signals_seen {
                    1 if signal == Signal::Interrupt && self.can_ask() => {
                        let running =
                            self.tasks.keys().map(|step| self.state.plan.steps[*step].id.clone()).collect();
                        self.interruption = Some(self.operator.interrupted(running));
                    }
                    1 => self.stop(signal),
                    2 if self.signal.is_none() => self.stop(signal),
                    _ => self.each_control(Control::kill),
                }
            }
        }
    }

    pub(super) fn can_ask(&self) -> bool {
        self.attendance() == Attendance::Operator && !self.tasks.is_empty() && self.loan.is_none()
    }

    pub(super) fn each_control(&self, order: impl Fn(&Control)) {
        let tasks = self.tasks.values().filter_map(|task| task.control.as_ref());
        for control in tasks.chain(self.backgrounds.values().map(|(control, _)| control)) {
            order(control);
        }
    }

    pub(super) fn stop(&mut self, signal: Signal) {
        self.interruption = None;
        self.asking = None;
        self.signal = Some(signal);
        self.take(Input::Stopped { signal: signal.name().to_owned() });
    }

    /// Waits for what interrupted steps have left running, or ends it first, as
    /// a person has decided.
    pub(super) fn outlast_survivors(&mut self) {
        if self.store_failure.is_some() || self.state.stopped.is_some() {
            return;
        }
        for (&step, &decided) in &self.state.outliving {
            if !self.outlasting.insert(step) {
                continue;
            }
            let run = self.workshop.dir.run().as_str().to_owned();
            let name = self.state.plan.steps[step].id.as_str().to_owned();
            let grace: Duration = self.state.plan.steps[step].grace.into();
            let messages = self.messages.clone();
            let claim = self.claims.get(&step).cloned();
            tokio::spawn(async move {
                loop {
                    let found = keeper::survivors(&run, &name, claim.as_ref()).unwrap_or_default();
                    if found.is_empty() {
                        break;
                    }
                    match decided {
                        Outliving::End => {
                            keeper::end_survivors(&found, grace).await;
                        }
                        Outliving::Wait => tokio::time::sleep(Duration::from_millis(200)).await,
                    }
                }
                let _ = messages.send(Message::SurvivorsEnded { step });
            });
        }
    }

    /// Notes what an interrupted step has left running.
    pub(super) fn survive(&mut self, step: usize, found: &[keeper::Survivor]) {
        if !found.is_empty() {
            self.survivors.insert(step, super::recover::named(found));
        }
    }
}

/// Asks the keeper of an earlier engine's attempt to end its command.
fn end_attached(witness: &std::path::Path, slot: u32, boot: &str) {
    let verdict = Witness::open_to_look(witness).and_then(|witness| witness.inspect(slot, boot));
    if let Ok(Verdict::StillRunning { claim: Some(claim) }) = verdict
        && let Err(error) = keeper::end_keeper(&claim, KeeperEnding::Terminate)
    {
        tracing::warn!(slot, %error, "the keeper can't be told to end");
    }
}
