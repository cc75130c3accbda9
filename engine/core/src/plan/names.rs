//! Which names a place of a runbook can see: what is declared, which steps are over by then, and what each of them has.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use std::rc::Rc;

use super::input::Calls;
use super::order::Order;
use crate::document::model::{Action, Gate, Probe, Project, Runbook, Step};
use crate::template::{Names, SecretUse, StepNames, StepScope, StepUse, canonical_name};

/// What the top level's `env` may use of `run` (language.md §1).
pub(super) const RUN_AT_THE_TOP: &[&str] = &["id", "name", "user", "host"];
/// What a command's result is called in `expect`, `warn` and `outputs`.
pub(super) const COMMAND_NAMES: &[&str] = &["exit_code", "stdout", "stderr", "json", "lines", "number"];
/// What an HTTP answer is called in `expect` and `outputs` of a step: those of the probe, and its body as a command's output.
pub(super) const HTTP_ANSWER_NAMES: &[&str] =
    &["status", "headers", "body", "json", "elapsed", "stdout", "lines", "number"];
/// What every step has.
const COMMON_FIELDS: &[&str] =
    &["outcome", "succeeded", "failed", "skipped", "outputs", "by", "artifacts", "duration", "attempts"];
/// How many ids are listed or compared for suggestions, in all.
const LISTED_MAX: usize = 60_000;

/// The bare names of a probe (language.md §5).
pub(super) const fn probe_names(probe: &Probe) -> &'static [&'static str] {
    match probe {
        Probe::Run(_) => COMMAND_NAMES,
        Probe::Http(_) => &["status", "headers", "body", "json", "elapsed"],
        Probe::Tcp(_) => &["open", "elapsed"],
        Probe::File(_) => &["exists", "size", "age", "modified", "sha256"],
        Probe::Dns(_) => &["addresses", "elapsed"],
        Probe::Tls(_) => &["days_left", "subject", "issuer", "not_after", "valid"],
        Probe::Prometheus(_) => &["value", "series"],
        Probe::Postgres(_) => &["value", "row", "rows"],
        Probe::Disk(_) => &["used_percent", "free", "total"],
        Probe::Redis(_) => &["value"],
        Probe::Invalid => &[],
    }
}

/// The name that tells whether a probe succeeded by itself; expected where no expectation mentions it. Empty where there is none.
pub(super) const fn success_name(probe: &Probe) -> &'static str {
    match probe {
        Probe::Http(_) => "status",
        Probe::Tcp(_) => "open",
        Probe::File(_) => "exists",
        Probe::Tls(_) => "valid",
        Probe::Run(_) => "exit_code",
        _ => "",
    }
}

/// The environment variables that a place can name.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    /// All of them.
    pub(super) names: Names,
    /// Those whose templates use a secret, which count as secrets themselves.
    pub(super) secret: BTreeSet<String>,
}

impl Environment {
    pub(super) fn empty() -> Self {
        Self { names: Names::none(), secret: BTreeSet::new() }
    }

    /// Adds a variable, or gives one another meaning.
    pub(super) fn set(&mut self, name: &str, is_secret: bool) {
        if let Names::Known(known) = &mut self.names {
            known.insert(name.to_owned());
        }
        if is_secret {
            self.secret.insert(name.to_owned());
        } else {
            self.secret.remove(name);
        }
    }
}

/// The steps that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// None: no step has run.
    Nothing,
    /// Those that are surely over when this step starts.
    Before(usize),
    /// Those, and the step itself.
    BeforeAndItself(usize),
    /// All: the run is over.
    Everything,
}

/// One place of a runbook.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) reach: Reach,
    pub(super) secrets: SecretUse,
    pub(super) env: &'a Environment,
    pub(super) run: &'a [&'a str],
    pub(super) bare: &'a [&'a str],
    /// Whether it is inside a step with items: `item` and `index` are known.
    pub(super) item: bool,
}

impl<'a> Place<'a> {
    /// The same place with the names of a result.
    pub(super) fn with_bare(self, bare: &'a [&'a str]) -> Self {
        Self { bare, ..self }
    }

    /// The same place where secrets may be used.
    pub(super) fn with_secrets(self) -> Self {
        Self { secrets: SecretUse::Allowed, ..self }
    }

    /// The same place where the step's own result is known.
    pub(super) fn with_itself(self) -> Self {
        let reach = match self.reach {
            Reach::Before(step) => Reach::BeforeAndItself(step),
            other => other,
        };
        Self { reach, ..self }
    }
}

/// What a runbook declares.
pub(super) struct Declared<'d> {
    pub(super) runbook: &'d Runbook,
    pub(super) params: Names,
    pub(super) secrets: Names,
    pub(super) project_vars: Names,
    pub(super) steps: Vec<&'d Step>,
    pub(super) order: Rc<Order>,
    /// What runbooks share; empty where there is nothing.
    pub(super) project: Rc<Project>,
    /// The names around a group, and its place among them.
    pub(super) outer: Option<(Box<Self>, usize)>,
    calls: &'d dyn Calls,
    file: String,
    by_name: HashMap<String, usize>,
    listed: Cell<usize>,
}

impl<'d> Declared<'d> {
    pub(super) fn new(
        runbook: &'d Runbook,
        project: Option<&Project>,
        order: Rc<Order>,
        calls: &'d dyn Calls,
        file: &str,
    ) -> Self {
        let steps: Vec<&Step> = runbook.top_steps().collect();
        let by_name = by_name(&steps);
        let vars = project
            .map_or_else(Names::none, |project| Names::known(project.vars.keys().map(|key| key.as_str())));
        Self {
            runbook,
            params: Names::known(runbook.params.keys().map(|key| key.as_str())),
            secrets: Names::known(runbook.secrets.keys().map(|key| key.as_str())),
            project_vars: vars,
            steps,
            order,
            project: Rc::new(project.cloned().unwrap_or_default()),
            outer: None,
            calls,
            file: file.to_owned(),
            by_name,
            listed: Cell::new(0),
        }
    }

    /// What is declared inside a group of the same runbook.
    pub(super) fn inside(&self, steps: &'d [Step], order: Rc<Order>) -> Self {
        let steps: Vec<&Step> = steps.iter().collect();
        Self {
            runbook: self.runbook,
            params: self.params.clone(),
            secrets: self.secrets.clone(),
            project_vars: self.project_vars.clone(),
            by_name: by_name(&steps),
            steps,
            order,
            project: Rc::clone(&self.project),
            outer: None,
            calls: self.calls,
            file: self.file.clone(),
            listed: Cell::new(self.listed.get()),
        }
    }

    /// The same with the project of a caller.
    pub(super) fn with_project_of(self, caller: &Self) -> Self {
        Self { project_vars: caller.project_vars.clone(), project: Rc::clone(&caller.project), ..self }
    }

    /// The step of this name, `-` and `_` being the same.
    pub(super) fn step(&self, id: &str) -> Option<usize> {
        self.by_name.get(id).or_else(|| self.by_name.get(&canonical_name(id))).copied()
    }
}

fn by_name(steps: &[&Step]) -> HashMap<String, usize> {
    let mut by_name = HashMap::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        by_name.entry(canonical_name(&step.id)).or_insert(index);
    }
    by_name
}

/// The steps as one place sees them.
pub(super) struct StepsInReach<'c, 'd> {
    pub(super) declared: &'c Declared<'d>,
    pub(super) reach: Reach,
}

impl StepScope for StepsInReach<'_, '_> {
    fn find(&self, id: &str) -> Option<StepUse> {
        let Some(found) = self.declared.step(id) else {
            return self.find_inside(id).or_else(|| self.find_around(id));
        };
        let available = match self.reach {
            Reach::Nothing => false,
            Reach::Everything => true,
            Reach::Before(own) if own == found => return Some(StepUse::Itself),
            Reach::BeforeAndItself(own) if own == found => true,
            Reach::Before(own) | Reach::BeforeAndItself(own) => {
                self.declared.order.is_finished_before(found, own)
            }
        };
        Some(if available {
            let step = self.declared.steps[found];
            // Itself, a step with items is the item.
            let itself = self.reach == Reach::BeforeAndItself(found);
            StepUse::Available(if itself {
                names_of_one(step, self.declared)
            } else {
                step_names(step, self.declared)
            })
        } else {
            StepUse::NotFinished
        })
    }

    fn ids(&self) -> Vec<String> {
        // In a long runbook full of mistakes the later ones get no suggestions: looking for them would take longer than all else.
        let steps = &self.declared.steps;
        let listed = self.declared.listed.get();
        let count = if listed + steps.len() <= LISTED_MAX { steps.len() } else { steps.len().min(5) };
        self.declared.listed.set(listed + count);
        let mut ids: Vec<String> = steps.iter().take(count).map(|step| step.id.to_string()).collect();
        if count == steps.len() {
            let before = ids.len();
            for step in steps.iter().filter(|step| step.for_each.is_none()) {
                let room = LISTED_INSIDE_MAX.saturating_sub(ids.len() - before);
                ids_inside(step, step.id.as_str(), self.declared, &self.declared.file, room, &mut ids);
            }
        }
        ids
    }
}

/// The dotted ids of the steps directly inside a group or call, up to so many.
fn ids_inside(
    holder: &Step,
    prefix: &str,
    declared: &Declared<'_>,
    file: &str,
    room: usize,
    ids: &mut Vec<String>,
) {
    match &holder.action {
        Action::Steps(group) => {
            ids.extend(group.steps.iter().take(room).map(|step| format!("{prefix}.{}", *step.id)));
        }
        Action::Call(call) => {
            if let Ok(called) = declared.calls.find(file, &call.call) {
                let steps = called.document.top_steps();
                ids.extend(steps.take(room).map(|step| format!("{prefix}.{}", *step.id)));
            }
        }
        _ => {}
    }
}

impl StepsInReach<'_, '_> {
    /// A step inside a group or call, by its dotted name.
    fn find_inside(&self, id: &str) -> Option<StepUse> {
        let (first, rest) = id.split_once('.')?;
        let holder = self.declared.steps[self.declared.step(first)?];
        let names = names_inside(holder, rest, self.declared, &self.declared.file, 0)?;
        Some(match self.find(first)? {
            StepUse::Available(_) => StepUse::Available(names),
            other => other,
        })
    }

    /// A step around the group: surely finished where it is that before the group begins.
    fn find_around(&self, id: &str) -> Option<StepUse> {
        let (outer, at) = self.declared.outer.as_ref()?;
        let reach = if self.reach == Reach::Nothing { Reach::Nothing } else { Reach::Before(*at) };
        StepsInReach { declared: outer, reach }.find(id)
    }
}

/// How many steps inside groups and calls are suggested.
const LISTED_INSIDE_MAX: usize = 200;
/// How deep runbooks may call each other, where it is only looked for names.
const CALLS_MAX: usize = 32;

fn names_inside(
    holder: &Step,
    rest: &str,
    declared: &Declared<'_>,
    file: &str,
    depth: usize,
) -> Option<StepNames> {
    // Which items there are is only known in the run.
    if holder.for_each.is_some() || depth > CALLS_MAX {
        return None;
    }
    let (name, further) = rest.split_once('.').map_or((rest, None), |(name, rest)| (name, Some(rest)));
    let named = |step: &&Step| canonical_name(&step.id) == canonical_name(name);
    let (found, file) = match &holder.action {
        Action::Steps(group) => (group.steps.iter().find(named)?, file),
        Action::Call(call) => {
            let called = declared.calls.find(file, &call.call).ok()?;
            (called.document.top_steps().find(named)?, called.source.name())
        }
        _ => return None,
    };
    match further {
        Some(further) => names_inside(found, further, declared, file, depth + 1),
        None => Some(step_names(found, declared)),
    }
}

/// What a finished step has.
fn step_names(step: &Step, around: &Declared<'_>) -> StepNames {
    if step.for_each.is_some() {
        let fields = Names::known(COMMON_FIELDS.iter().chain(&["items"]).copied());
        return StepNames { fields, outputs: Names::none(), answers: Names::none() };
    }
    names_of_one(step, around)
}

fn names_of_one(step: &Step, around: &Declared<'_>) -> StepNames {
    let declared = || Names::known(step.outputs.keys().map(|key| key.as_str()));
    let (own, outputs): (&[&str], Names) = match &step.action {
        Action::Steps(_) => (&[], declared()),
        Action::Call(call) => match around.calls.find(&around.file, &call.call) {
            Ok(called) => {
                let given = called.document.outputs.keys().chain(step.outputs.keys());
                (&[], Names::known(given.map(|name| name.as_str())))
            }
            Err(_) => (&[], Names::Open),
        },
        // What a command appends to RUNBOOK_OUTPUT is only known when it has.
        Action::Run(_) => (COMMAND_NAMES, Names::Open),
        Action::Check(check) => match &check.probe {
            Probe::Run(_) => (COMMAND_NAMES, Names::Open),
            Probe::Http(_) => (&["json"], declared()),
            _ => (&[], declared()),
        },
        Action::Http(_) => (HTTP_ANSWER_NAMES, declared()),
        Action::Wait(_) | Action::Notify(_) => (&[], declared()),
        Action::Approve(_) | Action::Manual(_) => (&["fields"], declared()),
        Action::Choose(_) => (&["choice", "fields"], declared()),
        // Refused or mistaken for another reason: nothing more is said of it.
        _ => return StepNames::any(),
    };
    let gate = gate_of(&step.action);
    let answers =
        gate.map_or_else(Names::none, |gate| Names::known(gate.fields.keys().map(|key| key.as_str())));
    StepNames { fields: Names::known(COMMON_FIELDS.iter().chain(own).copied()), outputs, answers }
}

/// What a step asks of people, where that is what it does.
pub(super) fn gate_of(action: &Action) -> Option<&Gate> {
    match action {
        Action::Approve(approve) => Some(&approve.gate),
        Action::Manual(manual) => Some(&manual.gate),
        Action::Choose(choose) => Some(&choose.gate),
        _ => None,
    }
}
