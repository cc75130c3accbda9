//! `plan --probe`: the checks as they are now, made by the engine that makes them in a run. Nothing of it is recorded: the run that
//! makes them lies in a folder of its own, which is gone when they are made.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::event::{Event, EventKind, Outcome};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::plan::{Action, Plan, probing};
use runbook_core::schedule::Attendance;
use runbook_runtime::capture::Stream;
use runbook_runtime::keeper::Helper;
use runbook_runtime::run::{self, Environment, NewRun, Observer, Unattended, View};
use runbook_runtime::store::Store;
use serde::Serialize;
use serde_json::Value;

use crate::console::{ATTENTION, DIM, STRONG, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::report::wording::{Signs, count, harmless, wrap};
use crate::{drive, exit_code};

/// The most characters of one measured value that are shown to people.
const SHOWN_MAX: usize = 60;

/// What came of one check.
#[derive(Debug, Serialize)]
pub(crate) struct Probed {
    id: StepId,
    /// Whether it holds; absent where it was not made.
    ok: Option<bool>,
    /// Why it doesn't hold, or was not made.
    reason: Option<String>,
    /// What was measured.
    values: IndexMap<String, Value>,
    /// What is only reported.
    warnings: Vec<String>,
}

/// All checks of a plan, and what the command comes to.
pub(crate) struct Probes {
    found: Vec<Probed>,
    stopped: Option<u8>,
}

/// Makes the checks of a plan that can be made before anything has run.
///
/// # Errors
/// Where they can't even be begun: a secret is missing.
pub(crate) fn probe(
    context: &Context,
    helper: Arc<Helper>,
    plan: &Plan,
    root: &Path,
    file: &Path,
) -> Result<Probes, CommandError> {
    let picked = probing(plan);
    let mut collector = Collector::default();
    let mut stopped = None;
    if !picked.plan.steps.is_empty() {
        let folder = Folder::new(context)?;
        let outside = run::outside();
        let environment = Environment::take(&picked.plan, root, file, &outside);
        stopped = drive::block_on(async {
            let store = Store::open(&folder.0)?;
            let new = NewRun {
                plan: picked.plan,
                runbook_text: "",
                environment,
                outside: &outside,
                interactive: false,
                ahead: Vec::new(),
                override_window: None,
                id: None,
            };
            let held = run::create(&store, new, &mut |_| {}).await?;
            let nobody = Unattended { attendance: Attendance::Nobody };
            let surroundings = drive::surroundings(context, helper, store, &mut collector, &nobody)?;
            let ending = held.start(surroundings).await?;
            let whole = ending.outcome.is_some() && ending.store_failure.is_none();
            Ok::<_, CommandError>((!whole).then(|| drive::exit_status(&ending)))
        })??;
    }
    let left = picked.left.into_iter().map(|(id, looks_at)| Probed {
        id,
        ok: None,
        reason: Some(format!("it looks at {looks_at}, which only the run will give")),
        values: IndexMap::new(),
        warnings: Vec::new(),
    });
    let mut found: Vec<Probed> = collector.found.into_iter().chain(left).collect();
    let place = |probed: &Probed| {
        let declared = probed.id.as_str().split('[').next().unwrap_or_default();
        plan.steps.iter().position(|step| step.id.as_str() == declared)
    };
    found.sort_by_key(place);
    Ok(Probes { found, stopped })
}

impl Probes {
    /// The exit status (`cli.md`): 0 fine, 1 findings.
    pub(crate) fn exit_status(&self) -> u8 {
        let failed = self.found.iter().any(|probed| probed.ok == Some(false));
        self.stopped.unwrap_or(if failed { exit_code::FAILED } else { exit_code::SUCCEEDED })
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(&self.found).unwrap_or_default()
    }

    /// For people.
    pub(crate) fn to_text(&self, width: usize, plain: bool) -> String {
        let signs = Signs::new(plain);
        if self.found.is_empty() {
            return "\nThere is no check to be made.\n".into();
        }
        let failed = self.found.iter().filter(|probed| probed.ok == Some(false)).count();
        let made = self.found.iter().filter(|probed| probed.ok.is_some()).count();
        let mut text =
            format!("\nThe checks, as they are now: {failed} of {} failed\n\n", count(made, "check"));
        for probed in &self.found {
            let sign = match probed.ok {
                Some(true) => styled(STRONG, signs.good).to_string(),
                Some(false) => styled(ATTENTION, signs.bad).to_string(),
                None => styled(DIM, signs.skipped).to_string(),
            };
            let said = match (&probed.reason, probed.ok) {
                (Some(reason), Some(_)) => format!(": {}", harmless(reason)),
                (Some(reason), None) => format!(" was not made: {}", harmless(reason)),
                (None, _) => String::new(),
            };
            text.push_str(&wrap(&format!("{sign} {}{said}", styled(STRONG, &probed.id)), width, "     "));
            text.push('\n');
            let is_seen = |value: &Value| !value.is_null() && value.as_str() != Some("");
            for (name, value) in probed.values.iter().filter(|(_, value)| is_seen(value)) {
                text.push_str(&format!("     {name} = {}\n", harmless(&brief(value))));
            }
            for warning in &probed.warnings {
                let sign = styled(ATTENTION, signs.attention);
                text.push_str(&wrap(&format!("     {sign} {}", harmless(warning)), width, "       "));
                text.push('\n');
            }
        }
        text
    }
}

fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.trim_end().to_owned(),
        other => other.to_string(),
    };
    let first: String = text.lines().next().unwrap_or_default().chars().take(SHOWN_MAX).collect();
    if first == text { first } else { format!("{first}…") }
}

/// Keeps what came of each check.
#[derive(Default)]
struct Collector {
    found: Vec<Probed>,
}

impl Observer for Collector {
    fn event(&mut self, event: &Event, _: &str, view: View<'_>) {
        let is_check = |id: &StepId| {
            let step = view.state.index_of(id);
            step.is_some_and(|step| matches!(view.plan.steps[step].action, Action::Check(_)))
        };
        match &event.kind {
            EventKind::StepFinished { step, outcome, reason, values, warnings, .. } if is_check(step) => {
                let ok = match outcome {
                    Outcome::Succeeded => Some(true),
                    Outcome::Failed => Some(false),
                    _ => None,
                };
                self.found.push(Probed {
                    id: step.clone(),
                    ok,
                    reason: reason.clone(),
                    values: values.clone(),
                    warnings: warnings.clone(),
                });
            }
            EventKind::StepSkipped { step, reason, .. } if is_check(step) => self.found.push(Probed {
                id: step.clone(),
                ok: None,
                reason: Some(reason.clone()),
                values: IndexMap::new(),
                warnings: Vec::new(),
            }),
            _ => {}
        }
    }

    fn output(&mut self, _: &StepId, _: u32, _: Stream, _: &[u8]) {}

    fn tick(&mut self, _: Moment, _: View<'_>) {}

    fn remark(&mut self, _: &str) {}
}

/// A folder for the owner alone, which goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(context: &Context) -> Result<Self, CommandError> {
        let login = context.environment.runtime_dir.clone().filter(|folder| folder.is_dir());
        let above = login.unwrap_or_else(std::env::temp_dir);
        let unique = run::now().as_millis();
        let path = above.join(format!("runbook-probe-{}-{unique}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            CommandError::store(format!("cannot make the folder {}", path.display())).with_cause(&error)
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
