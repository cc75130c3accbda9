//! What the engine can't decide: how commands end, what people say, what is
//! known after a crash. All of it follows from a script and a seed.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};

use indexmap::IndexMap;
use runbook_core::event::{Gate, Outcome};
use runbook_core::moment::Moment;
use runbook_core::plan::{Action, Items, Options, Plan, Wait};
use runbook_core::schedule::{AttemptResult, RenderedQuestion, Renderer, Shown};
use runbook_core::state::RunState;
use serde_json::Value;

/// How one attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Exit(i32),
    Killed,
}

impl Ending {
    pub(crate) fn result(self) -> AttemptResult {
        let failure = |reason: String| Some((Outcome::Failed, reason));
        match self {
            Self::Success => AttemptResult { exit_code: Some(0), ..AttemptResult::default() },
            Self::Exit(code) => AttemptResult {
                failure: failure(format!("exit {code}")),
                exit_code: Some(code),
                ..AttemptResult::default()
            },
            Self::Killed => AttemptResult {
                failure: failure("signal SIGKILL".into()),
                signal: Some("SIGKILL".into()),
                ..AttemptResult::default()
            },
        }
    }
}

/// What people do about a step's own question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `approve` or `done`.
    Yes,
    /// `reject` or `failed`.
    No,
    /// Nothing: it expires.
    Silence,
    /// It was said when the run was started.
    Ahead,
}

/// What is scripted of one step.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// How its attempts end that are not lost; the last one goes on for ever.
    pub(crate) endings: Vec<Ending>,
    pub(crate) reply: Reply,
    pub(crate) when: Result<bool, String>,
    pub(crate) renders: bool,
    /// What `done_when` says before anything was tried.
    pub(crate) done: Option<bool>,
    /// Why that isn't known, where it isn't.
    pub(crate) unknown: &'static str,
    /// What is answered when it isn't known how it ended.
    pub(crate) decision: &'static str,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            endings: vec![Ending::Success],
            reply: Reply::Yes,
            when: Ok(true),
            renders: true,
            done: Some(false),
            unknown: "connection refused",
            decision: "retry",
        }
    }
}

/// The scripts of all steps of a plan, those included that only the run makes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripts {
    /// By the steps' places, where a table of cases says it so.
    placed: Vec<Script>,
    /// By the steps' ids; those of items without their indexes.
    named: HashMap<String, Script>,
    /// Of a step of which nothing is said.
    otherwise: Script,
    seed: u64,
}

impl Scripts {
    pub(crate) fn placed(scripts: Vec<Script>) -> Self {
        Self { placed: scripts, ..Self::default() }
    }

    pub(crate) fn named(named: HashMap<String, Script>, seed: u64) -> Self {
        Self { named, seed, ..Self::default() }
    }

    /// What is scripted of a step. Of the items of a step some go as it is scripted, and all else is well.
    pub(crate) fn of(&self, plan: &Plan, step: usize) -> &Script {
        if let Some(script) = self.placed.get(step) {
            return script;
        }
        let id = plan.steps[step].files_id();
        let id = id.as_str();
        if !id.contains('[') {
            return self.named.get(id).unwrap_or(&self.otherwise);
        }
        let mut plain = String::with_capacity(id.len());
        for part in id.split('[') {
            plain.push_str(part.split_once(']').map_or(part, |(_, rest)| rest));
        }
        let script = self.named.get(&plain).unwrap_or(&self.otherwise);
        let mut dice = Dice(id.bytes().fold(self.seed, |seed, byte| seed.rotate_left(5) ^ u64::from(byte)));
        // Where nobody ever answers it is so for all of them: else it would depend on the clock how it ends.
        if script.reply == Reply::Silence || dice.roll(2) == 0 { script } else { &self.otherwise }
    }

    pub(crate) fn any(&self, wanted: impl Fn(&Script) -> bool) -> bool {
        self.named.values().any(wanted)
    }
}

impl Index<usize> for Scripts {
    type Output = Script;

    fn index(&self, step: usize) -> &Script {
        &self.placed[step]
    }
}

impl IndexMut<usize> for Scripts {
    fn index_mut(&mut self, step: usize) -> &mut Script {
        &mut self.placed[step]
    }
}

/// The texts of a plan, by the script.
pub(crate) struct Texts<'a>(pub(crate) &'a Scripts);

impl Texts<'_> {
    fn render<T: Default>(&self, plan: &Plan, step: usize, text: T) -> Result<T, String> {
        let renders = self.0.of(plan, step).renders;
        if renders { Ok(text) } else { Err("`steps.gone.stdout` is not defined".into()) }
    }
}

impl Renderer for Texts<'_> {
    fn when(&self, plan: &Plan, _: &RunState, step: usize) -> Result<bool, String> {
        self.0.of(plan, step).when.clone()
    }

    fn items(&self, plan: &Plan, _: &RunState, step: usize) -> Result<Vec<Value>, String> {
        let Action::Each(each) = &plan.steps[step].action else { return Err("no items".into()) };
        match &each.items {
            Items::List(list) => self.render(plan, step, list.clone()),
            Items::Expression(_) => Err("not a list".into()),
        }
    }

    fn results(&self, _: &Plan, _: &RunState, _: usize) -> Result<IndexMap<String, Value>, String> {
        Ok(IndexMap::new())
    }

    fn until(&self, _: &Plan, state: &RunState, step: usize) -> Result<bool, String> {
        Ok(state.steps[step].attempts_in_round >= 2)
    }

    fn shown(&self, plan: &Plan, _: &RunState, step: usize) -> Result<Shown, String> {
        let command = Some(plan.steps[step].id.to_string());
        self.render(plan, step, Shown { command, digest: None })
    }

    fn wait_end(
        &self,
        plan: &Plan,
        _: &RunState,
        step: usize,
        now: Moment,
    ) -> Result<Option<Moment>, String> {
        let Action::Wait(Wait::For(span)) = &plan.steps[step].action else { return Ok(None) };
        self.render(plan, step, Some(now.after((*span).into())))
    }

    fn question(
        &self,
        plan: &Plan,
        _: &RunState,
        step: usize,
        gate: Gate,
    ) -> Result<RenderedQuestion, String> {
        let Some(question) = plan.steps[step].question(gate) else {
            return Err("it asks nothing".into());
        };
        self.render(
            plan,
            step,
            RenderedQuestion {
                prompt: question.prompt.clone(),
                details: None,
                checklist: question.checklist.clone(),
                options: match &question.options {
                    Some(Options::Named(options)) => {
                        options.iter().map(|(name, meaning)| (name.clone(), meaning.clone())).collect()
                    }
                    Some(Options::Expression(_)) | None => Vec::new(),
                },
                choices: IndexMap::new(),
                without_run: Vec::new(),
            },
        )
    }

    fn outputs(&self, _: &Plan, _: &RunState) -> IndexMap<String, Value> {
        IndexMap::new()
    }
}

/// A small generator of numbers (splitmix64), so that a seed tells a whole run.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        usize::try_from(z % sides.max(1) as u64).expect("below a usize")
    }
}
