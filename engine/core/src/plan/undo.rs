//! What a plan has beside the steps that its author wrote: the undo of each step
//! that has one, and the question whether to undo at all.
//!
//! Both are steps like any other to whatever starts, keeps, records, recovers and
//! asks. They follow from the plan, so they are not part of its text or digest.

use super::model::{OnFailure, OnInterrupt, Plan, Role, Step};
use crate::event::EventKind;
use crate::id::StepId;

/// What the question whether to undo is called where it is answered:
/// `--answer rollback=undo` (`language.md` §10).
pub const ROLLBACK: &str = "rollback";

impl Step {
    /// Whether it was added to the plan, and is no step to people.
    #[must_use]
    pub fn is_added(&self) -> bool {
        self.role != Role::Declared
    }

    /// The step that it undoes.
    #[must_use]
    pub fn undoes(&self) -> Option<usize> {
        match self.role {
            Role::Undoes(step) => Some(step),
            Role::Declared | Role::InUndo | Role::Rollback => None,
        }
    }

    /// Whether unwinding alone starts it, and never that what it needs has passed.
    #[must_use]
    pub fn waits_for_unwinding(&self) -> bool {
        matches!(self.role, Role::Undoes(_) | Role::Rollback)
    }

    /// An event about this step as it is recorded: an undo's starts and ends have names of their own.
    #[must_use]
    pub fn recorded(&self, event: EventKind) -> EventKind {
        if self.undoes().is_some() { event.of_undo() } else { event }
    }

    /// The name under which the files of its attempts are kept: an undo shares
    /// its id with what it undoes.
    #[must_use]
    pub fn files_id(&self) -> StepId {
        if self.undoes().is_some() { self.id.of_undo() } else { self.id.clone() }
    }

    /// The undo of this step, which stands at `index`.
    #[must_use]
    pub fn undo_step(&self, index: usize) -> Option<Self> {
        let undo = self.undo.as_ref()?;
        let mut env = self.env.clone();
        env.extend(undo.env.clone());
        Some(Self {
            id: self.id.clone(),
            action: undo.action.clone(),
            timeout: undo.timeout,
            grace: self.grace,
            env,
            cwd: self.cwd.clone(),
            shell: self.shell.clone(),
            log_limit: self.log_limit,
            group: self.group,
            cleanup: self.cleanup,
            item: self.item.clone(),
            ..Self::added(&self.id, Role::Undoes(index), undo.action.clone())
        })
    }

    /// A step with nothing but a role and an action.
    pub(super) fn added(id: &StepId, role: Role, action: super::Action) -> Self {
        Self {
            id: id.clone(),
            title: None,
            description: None,
            needs: Vec::new(),
            finally: false,
            group: None,
            cleanup: false,
            item: None,
            when: None,
            guards: super::Guards::default(),
            done_when: None,
            ask: None,
            deadline: None,
            escalate: Vec::new(),
            action,
            timeout: None,
            grace: crate::duration::Duration::from_secs(10),
            retry: None,
            on_failure: OnFailure::Stop,
            on_interrupt: OnInterrupt::Ask,
            env: indexmap::IndexMap::new(),
            cwd: None,
            shell: Vec::new(),
            outputs: indexmap::IndexMap::new(),
            inputs: super::Inputs::default(),
            artifacts: Vec::new(),
            log_limit: 64 << 20,
            source: None,
            undo: None,
            role,
        }
    }
}

impl Plan {
    /// The steps that people know of.
    pub fn declared(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(|(_, step)| !step.is_added())
    }

    /// The step whose undo this step is, or is a part of.
    #[must_use]
    pub fn undone_by(&self, index: usize) -> Option<usize> {
        let undo = if self.steps[index].undoes().is_some() { Some(index) } else { self.undo_around(index) };
        undo.and_then(|undo| self.steps[undo].undoes())
    }

    /// The undo that a step of the runbook which it calls belongs to.
    #[must_use]
    pub fn undo_around(&self, index: usize) -> Option<usize> {
        let around = || self.containers_of(index).find(|around| self.steps[*around].undoes().is_some());
        if self.steps[index].role == Role::InUndo { around() } else { None }
    }

    /// Where the undo of the step at `index` stands.
    #[must_use]
    pub fn undo_of(&self, index: usize) -> Option<usize> {
        self.steps[index].undo.as_ref()?;
        self.steps.iter().position(|step| step.undoes() == Some(index))
    }

    /// Adds the undo of every step from `first` on that has one, and the question
    /// whether to undo where it is not there yet.
    pub fn complete(&mut self, first: usize) {
        complete(&mut self.steps, first);
    }
}

/// Whether a step has an undo, or a step that it holds once per item has.
fn can_be_undone(step: &Step) -> bool {
    let inside = match &step.action {
        super::Action::Each(each) => each.body.iter().any(can_be_undone),
        _ => false,
    };
    step.undo.is_some() || inside
}

fn complete(steps: &mut Vec<Step>, first: usize) {
    let undone = steps.iter().enumerate().skip(first).filter(|(_, step)| !step.is_added());
    let undos: Vec<(Step, Vec<Step>)> = undone
        .filter_map(|(index, step)| Some((step.undo_step(index)?, step.undo.as_ref()?.steps.clone())))
        .collect();
    if !steps.iter().any(can_be_undone) {
        return;
    }
    if !steps.iter().any(|step| step.role == Role::Rollback) {
        let id: StepId = ROLLBACK.parse().expect("invariant: a word is an id");
        let question = super::Question { on_expiry: super::OnExpiry::Fail, ..super::Question::default() };
        steps.push(Step::added(&id, Role::Rollback, super::Action::Manual(question)));
    }
    for (undo, parts) in undos {
        let place = steps.len();
        steps.push(undo);
        for mut part in parts {
            part.role = Role::InUndo;
            for need in &mut part.needs {
                *need += place + 1;
            }
            part.group = Some(part.group.map_or(place, |group| group + place + 1));
            steps.push(part);
        }
    }
}

/// The steps as they are written down: what is added follows from them.
pub(super) mod declared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Step;

    pub(in crate::plan) fn serialize<S: Serializer>(
        steps: &[Step],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let written: Vec<&Step> = steps.iter().filter(|step| !step.is_added()).collect();
        written.serialize(serializer)
    }

    pub(in crate::plan) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Step>, D::Error> {
        let mut steps = Vec::<Step>::deserialize(deserializer)?;
        super::complete(&mut steps, 0);
        Ok(steps)
    }
}
