//! What people type is masked before anything sees it: a reason, a field or a note may hold a secret as well as any output.

use indexmap::IndexMap;
use runbook_core::event::{AheadAnswer, Evidence};
use runbook_core::schedule::{Answer, Refusal};

use super::opened::{Opened, read_environment};
use super::session::{Carry, secret_sources};
use crate::redact::{Masker, find_mask};
use crate::secrets::read_at_hand;

/// Masks what is typed in a process that doesn't hold the run, as far as that process can have the run's secrets: variables
/// and files that it can read. What only a command tells is not asked for here.
pub struct AtHand(Masker);

impl AtHand {
    /// What this process can know of a run's secrets.
    #[must_use]
    pub fn of(opened: &Opened, outside: &IndexMap<String, String>) -> Self {
        let plan = &*opened.state.plan;
        let root = if plan.secrets.is_empty() {
            None
        } else {
            read_environment(&opened.dir).ok().map(|(environment, _)| environment.root)
        };
        let secrets = root.map(|root| read_at_hand(&secret_sources(plan), &root, outside));
        Self(Masker::new(&secrets.unwrap_or_default()))
    }

    /// Masks what an answer says.
    ///
    /// # Errors
    /// Where a value for the step's environment holds a secret.
    pub fn answer(&self, answer: &mut Answer) -> Result<(), Refusal> {
        refuse_secret_in_env(&self.0, answer)?;
        mask_answer(&self.0, answer);
        Ok(())
    }

    /// Masks a text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.0.text(text)
    }
}

/// A value for a step's environment can't be masked: the step would take the mask for the value.
///
/// # Errors
/// Where one holds a secret, or the mask of one; usage.
pub(super) fn refuse_secret_in_env(masker: &Masker, answer: &Answer) -> Result<(), Refusal> {
    for (variable, value) in &answer.env {
        if let Some(secret) = masker.holds_secret(value).or_else(|| find_mask(value)) {
            return Err(Refusal::usage(format!(
                "--env {variable}: the value holds the secret `{secret}`, which is never recorded: pass the secret by the runbook, as in `env: {{{variable}: \"{{{{ secrets.{secret} }}}}\"}}`"
            )));
        }
    }
    Ok(())
}

/// Masks what an answer says. Words, people and the names of files are no texts of a person's own.
pub(super) fn mask_answer(masker: &Masker, answer: &mut Answer) {
    if masker.is_empty() {
        return;
    }
    mask(masker, answer.reason.as_mut());
    for value in answer.fields.values_mut().chain(answer.outputs.values_mut()) {
        *value = masker.json(value);
    }
    for evidence in &mut answer.evidence {
        match evidence {
            Evidence::Note { text: said } | Evidence::Link { url: said } => *said = masker.text(said),
            Evidence::File { .. } => {}
        }
    }
}

/// Masks the reasons of answers that are given ahead of time.
pub(super) fn mask_ahead(masker: &Masker, answers: &mut [AheadAnswer]) {
    mask(masker, answers.iter_mut().filter_map(|answer| answer.reason.as_mut()));
}

/// Masks texts.
pub(super) fn mask<'t>(masker: &Masker, texts: impl IntoIterator<Item = &'t mut String>) {
    for text in texts {
        *text = masker.text(text);
    }
}

/// Masks what is said together with a command that takes a run on.
pub(super) fn mask_carry(masker: &Masker, carry: &mut Carry) {
    mask_ahead(masker, &mut carry.ahead);
    for answer in &mut carry.answers {
        mask_answer(masker, answer);
    }
    mask(masker, carry.override_window.as_mut());
    mask(masker, carry.cancel.as_mut().and_then(Option::as_mut));
}
