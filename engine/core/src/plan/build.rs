//! From a document to a plan, or to everything that is wrong with it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use indexmap::IndexMap;

use super::check::Checker;
use super::guards::Guards;
use super::input::{BuildInput, Calls, GivenValue, InputFiles, ProjectInput};
use super::model::{OnFailure, PLAN_FORMAT, Plan, Rollback, SecretSource};
use super::names::Declared;
use super::order::Order;
use super::people;
use super::report::Report;
use super::resolve::{Resolver, plain_params, values};
use super::selection::Selection;
use super::unsupported;
use crate::diagnostic::Diagnostics;
use crate::document::model::{Rollback as Written, Runbook, Secret};
use crate::document::text::Text;
use crate::source::Source;

/// The code of a step that is not in the plan because the document was read with mistakes: it follows from those.
pub const LOST_STEP: &str = "lost-step";

/// How many steps may run at a time where nothing is said (language.md §2).
const MAX_PARALLEL: u32 = 16;

/// Makes a plan of a runbook and the values of its parameters.
///
/// # Errors
/// Every mistake that can be found before anything runs, none standing in the way of another.
pub fn build(input: &BuildInput<'_>) -> Result<Plan, Diagnostics> {
    let rest = Rest {
        given: input.given,
        files: input.files,
        on_failure: input.on_failure,
        selection: input.selection,
    };
    let (plan, diagnostics) =
        assemble(input.document, input.source, input.stem, input.project, input.calls, Some(&rest));
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(plan) }
}

/// Every mistake that can be found without values and files.
#[must_use]
pub fn validate(
    document: &Runbook,
    source: &Source,
    project: Option<ProjectInput<'_>>,
    calls: &dyn Calls,
) -> Diagnostics {
    assemble(document, source, stem_of(source.name()), project, calls, None).1
}

/// The name of a file without its folders and its ending.
fn stem_of(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// What a plan needs beside what is written.
struct Rest<'a> {
    given: &'a IndexMap<String, GivenValue>,
    files: &'a dyn InputFiles,
    on_failure: Option<OnFailure>,
    selection: &'a Selection,
}

fn assemble(
    document: &Runbook,
    source: &Source,
    stem: &str,
    project: Option<ProjectInput<'_>>,
    calls: &dyn Calls,
    rest: Option<&Rest<'_>>,
) -> (Plan, Diagnostics) {
    let mut report = Report::new(source);
    unsupported::refuse(document, &mut report);
    let params = rest.map_or_else(IndexMap::new, |rest| values(document, rest.given, &mut report));
    let order = Rc::new(Order::of(&document.steps, &document.finally, &mut report));
    let mut plan = skeleton(document, stem, project);
    plan.params = params;
    let declared = Declared::new(document, project.map(|input| input.project), order, calls, source.name());
    let checker = Checker { declared, report, used_vars: RefCell::new(BTreeSet::new()) };
    let vars = project.map_or_else(IndexMap::new, all_vars);
    let on_failure = rest.and_then(|rest| rest.on_failure);
    let mut resolver = Resolver::new(checker, plan, vars, on_failure, rest.map(|rest| rest.files), calls);
    resolver.project = project;
    resolver.selection = rest.map_or_else(Selection::default, |rest| rest.selection.clone());
    resolver.stack.push((source.name().to_owned(), resolver.plan.runbook.clone()));
    resolver.check_channels();
    resolver.top();
    let steps = resolver.list();
    let Resolver { checker, mut plan, vars, secrets, channels, pass_env, foreign, .. } = resolver;
    plan.steps = steps;
    plan.secrets = secrets;
    plan.channels = channels;
    for name in pass_env {
        if !plan.pass_env.contains(&name) {
            plan.pass_env.push(name);
        }
    }
    plan.complete(0);
    plan.project_vars = used_vars(vars, &checker.used_vars.borrow());
    plan.people = people::frozen(&checker.declared.project, &plan.steps);
    let mut diagnostics = checker.report.into_diagnostics();
    diagnostics.extend(foreign);
    if let Some(project) = project {
        diagnostics.extend(unsupported::refuse_project(project));
        diagnostics.extend(people::check_project(project));
    }
    (plan, diagnostics)
}

/// A plan without values and steps.
pub(super) fn skeleton(document: &Runbook, stem: &str, project: Option<ProjectInput<'_>>) -> Plan {
    let name = document.name.as_ref().map_or_else(|| stem.to_owned(), Text::to_string);
    let mut pass_env: Vec<String> = Vec::new();
    let shared = project.iter().flat_map(|input| &input.project.pass_env);
    for name in document.pass_env.iter().chain(shared) {
        if !pass_env.iter().any(|known| *name == **known) {
            pass_env.push(name.to_string());
        }
    }
    Plan {
        format: PLAN_FORMAT,
        title: document.title.as_ref().map_or_else(|| name.clone(), Text::to_string),
        runbook: name,
        description: document.description.as_ref().map(Text::to_string),
        params: IndexMap::new(),
        plain_params: plain_params(document),
        secrets: document
            .secrets
            .iter()
            .map(|(name, secret)| (name.to_string(), secret_source(secret)))
            .collect(),
        env: IndexMap::new(),
        pass_env,
        project_vars: IndexMap::new(),
        guards: Guards::default(),
        channels: IndexMap::new(),
        people: people::People::default(),
        max_parallel: document.max_parallel.map_or(MAX_PARALLEL, std::num::NonZeroU32::get),
        outputs: IndexMap::new(),
        rollback: match document.rollback {
            Written::Auto => Rollback::Auto,
            Written::Ask => Rollback::Ask,
            Written::Manual => Rollback::Manual,
        },
        steps: Vec::new(),
    }
}

pub(super) fn secret_source(secret: &Secret) -> SecretSource {
    match secret {
        Secret::Env(name) => SecretSource::Env(name.to_string()),
        Secret::File(path) => SecretSource::File(path.to_string()),
        Secret::Command(argv) => SecretSource::Command(argv.iter().map(Text::to_string).collect()),
    }
}

fn all_vars(input: ProjectInput<'_>) -> IndexMap<String, serde_json::Value> {
    input.project.vars.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect()
}

/// Only what is used is part of what is approved.
fn used_vars(
    vars: IndexMap<String, serde_json::Value>,
    used: &BTreeSet<Option<String>>,
) -> IndexMap<String, serde_json::Value> {
    let all = used.contains(&None);
    vars.into_iter().filter(|(name, _)| all || used.contains(&Some(name.clone()))).collect()
}
