//! What the dispatcher does with decisions: durable first, then shown, told and put into effect.

use runbook_core::event::EventKind;
use runbook_core::schedule::{Input, Refusal, finished_event};

use super::dispatcher::{Dispatcher, Opening, now};
use super::surface::View;
use crate::journal::{JournalError, Recorded, Writer};
use crate::store::index;

impl Dispatcher<'_> {
    /// After the store failed: the ends of what ran are recorded if that is
    /// still possible, and nothing follows from them.
    pub(super) fn take_last_words(&mut self, input: &Input) {
        let Input::Finished { step, attempt, result } = input else { return };
        let event = finished_event(&self.state.plan, *step, *attempt, result.as_ref().clone());
        if let Some(writer) = &mut self.writer
            && let Ok(recorded) = writer.last_words(now(), std::slice::from_ref(&event))
        {
            let _ = self.state.apply(now(), &event);
            self.show(&recorded);
        }
    }

    /// Makes durable what was decided, shows it, and starts what it asks for.
    pub(super) fn commit(&mut self) {
        // Effects may decide more (a command that can't be started): until all is said.
        while !self.pending.is_empty() {
            let events = std::mem::take(&mut self.pending);
            match self.record(&events) {
                Ok(recorded) => {
                    self.show(&recorded);
                    self.tell_verdicts();
                    for event in &events {
                        self.effect(event);
                    }
                    self.list_run();
                }
                Err(error) => self.store_failed(&error),
            }
        }
        self.tell_verdicts();
        self.release_locks();
        self.outlast_survivors();
        if self.end_backgrounds || self.state.stopped.is_some() && self.tasks.is_empty() {
            self.end_backgrounds = false;
            for (control, expected) in self.backgrounds.values_mut() {
                if !*expected {
                    *expected = true;
                    control.terminate();
                }
            }
        }
    }

    /// Makes a batch durable: with the opening of the journal if it is the
    /// first, with its seal if nothing can follow.
    pub(super) fn record(&mut self, events: &[EventKind]) -> Result<Vec<Recorded>, JournalError> {
        if let Some(opening) = self.opening.take() {
            let dir = &self.workshop.dir;
            let (writer, recorded) = match opening {
                Opening::New { files, .. } => Writer::create_with(dir, files, now(), events)?,
                Opening::Again { replay } => Writer::reopen(dir, &replay, now(), events)?,
            };
            self.writer = Some(writer);
            self.opened = true;
            return Ok(recorded);
        }
        if self.is_over()
            && let Some(writer) = self.writer.take()
        {
            let (head, recorded) = writer.append_and_seal(now(), events)?;
            self.head = Some(head);
            return Ok(recorded);
        }
        match &mut self.writer {
            Some(writer) => writer.append(now(), events),
            None => Ok(Vec::new()),
        }
    }

    /// The run is listed from its first record on.
    pub(super) fn list_run(&mut self) {
        if !std::mem::take(&mut self.opened) {
            return;
        }
        if let Some(summary) = self.summary.summary(self.workshop.dir.run(), true)
            && let Err(error) = index::record(&self.store, &summary)
        {
            tracing::warn!(%error, "the index of runs can't be written");
        }
    }

    pub(super) fn store_failed(&mut self, error: &JournalError) {
        tracing::error!(%error, "the journal can't be written");
        self.store_failure.get_or_insert_with(|| error.to_string());
        for (file, verdict) in &mut self.verdicts {
            tracing::debug!(file, "not recorded");
            *verdict = Err(Refusal::not_allowed("the journal can't be written"));
        }
        for (control, expected) in self.backgrounds.values_mut() {
            *expected = true;
            control.terminate();
        }
    }

    pub(super) fn show(&mut self, recorded: &[Recorded]) {
        for record in recorded {
            self.summary.apply(record.event.at, &record.event.kind);
            let view = View::of(&self.state);
            self.observer.event(&record.event, &record.line, view);
        }
    }

    pub(super) fn tell_verdicts(&mut self) {
        for (file, verdict) in std::mem::take(&mut self.verdicts) {
            self.mailbox.tell(&file, verdict.as_ref().err());
        }
    }
}
