//! `runbook test`: the scenarios of runbooks (`language.md` §10), each rehearsed without a process.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indexmap::IndexMap;
use runbook_core::diagnostic::{Diagnostic, Diagnostics};
use runbook_core::document::model::Scenario;
use runbook_core::document::parse_scenarios;
use runbook_core::plan::{GivenValue, Plan};
use runbook_core::scenario::{Report, given, mistakes, rehearse};
use runbook_core::source::{Source, Span};

use super::validate::shape;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::find::{Library, RunbookFile};
use crate::planning::{self, Findings, Loaded};
use crate::report::rehearsals::{self, Rehearsed};

/// How many plans of one runbook are kept for scenarios with the same values.
const PLANS_KEPT_MAX: usize = 16;

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbooks; the whole library when none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// A scenario that can be rehearsed.
pub(super) struct Ready {
    runbook: String,
    source: Source,
    scenario: Scenario,
    plan: Arc<Plan>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let library = context.library()?;
    let mut findings = Findings::new();
    let mut ready = Vec::new();
    for file in wanted(&library, options, &mut findings)? {
        let Some(path) = file.scenarios() else { continue };
        let (loaded, found) = planning::load(context, file)?;
        findings.extend(found);
        match loaded {
            Some(loaded) => prepare(context, &loaded, &path, &mut ready, &mut findings)?,
            None => shape(context, &path, &mut findings)?,
        }
    }
    if planning::has_errors(&findings) {
        return Err(planning::say(context, &findings));
    }
    let reports = rehearse_all(&ready);
    let rehearsed: Vec<Rehearsed> = ready
        .into_iter()
        .zip(reports)
        .map(|(Ready { runbook, source, scenario, .. }, report)| Rehearsed {
            report,
            runbook,
            at: scenario.name.span(),
            source,
        })
        .collect();
    if let Some(junit) = &context.global.junit {
        let path = context.environment.typed(junit);
        std::fs::write(&path, rehearsals::junit(&rehearsed))
            .map_err(|error| CommandError::store(format!("cannot write {}: {error}", path.display())))?;
    }
    context.console.print(&rehearsals::text(context, &rehearsed));
    let passed = rehearsed.iter().all(|rehearsed| rehearsed.report.passed());
    Ok(if passed { exit_code::SUCCEEDED } else { exit_code::FAILED })
}

/// What became of each scenario, in their order. They know nothing of each other, so every processor rehearses some.
fn rehearse_all(ready: &[Ready]) -> Vec<Report> {
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = ready.len().div_ceil(workers).max(1);
    let rehearse_share = |share: &[Ready]| -> Vec<Report> {
        share.iter().map(|one| rehearse(&one.plan, &one.scenario)).collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            ready.chunks(share).map(|share| scope.spawn(move || rehearse_share(share))).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|reports| reports.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// The runbooks to be tested. Scenarios without a runbook are a finding, lest they pass unseen.
fn wanted(
    library: &Library,
    options: &Options,
    findings: &mut Findings,
) -> Result<Vec<RunbookFile>, CommandError> {
    if options.names.is_empty() {
        findings.extend(strays(library));
        return Ok(library.list());
    }
    let mut files = Vec::new();
    for name in &options.names {
        let file = library.find(&runbook_of(name))?;
        if file.scenarios().is_none() {
            let expected = file.path.with_extension("test.yaml");
            return Err(CommandError::usage(format!("`{name}` has no scenarios"))
                .with_hint(format!("write them to {}", expected.display())));
        }
        files.push(file);
    }
    Ok(files)
}

/// The runbook that a name means: the scenarios' own file means the one beside it.
pub(super) fn runbook_of(name: &str) -> Cow<'_, str> {
    let beside = ["yaml", "yml"].iter().find_map(|ending| {
        name.strip_suffix(&format!(".test.{ending}")).map(|stem| format!("{stem}.{ending}"))
    });
    beside.map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Scenarios that no runbook stands beside, each a finding.
pub(super) fn strays(library: &Library) -> Findings {
    let finding = |path: PathBuf| {
        let shown = path.display().to_string();
        let source = Source::new(shown.as_str(), "");
        let mut diagnostics = Diagnostics::new();
        let message = "there is no runbook beside these scenarios";
        diagnostics.push(
            Diagnostic::error(&source.shared_name(), "no-runbook", Span::default(), message)
                .with_help("`NAME.test.yaml` stands beside `NAME.yaml`"),
        );
        (source, diagnostics)
    };
    library.stray_scenarios().into_iter().map(finding).collect()
}

/// Reads the scenarios of a runbook and plans it for each.
pub(super) fn prepare(
    context: &Context,
    loaded: &Loaded,
    path: &Path,
    ready: &mut Vec<Ready>,
    findings: &mut Findings,
) -> Result<(), CommandError> {
    let Some(source) = planning::read(context, path, findings)? else { return Ok(()) };
    let (scenarios, diagnostics) = parse_scenarios(&source);
    findings.push((source.clone(), diagnostics));
    // What could be understood of a broken file is looked at all the same, so that all is told at once.
    let Some(scenarios) = scenarios else { return Ok(()) };
    let mut plans: Vec<(IndexMap<String, GivenValue>, Arc<Plan>)> = Vec::new();
    let mut unplanned = Vec::new();
    let mut remaining = scenarios.scenarios.into_iter();
    while let Some(mut scenario) = remaining.next() {
        scenario.unstubbed = scenario.unstubbed.or(scenarios.unstubbed);
        if mistakes(&loaded.document, None, &scenario, &source).has_errors() {
            unplanned.push(scenario);
            continue;
        }
        let given = given(&scenario);
        let known = plans.iter().find(|(values, _)| *values == given).map(|(_, plan)| Arc::clone(plan));
        let plan = match known.map_or_else(|| loaded.rehearsed(&given).map(Arc::new), Ok) {
            Ok(plan) => plan,
            Err(found) => {
                // The same mistakes would be found for every scenario.
                findings.extend(found);
                unplanned.push(scenario);
                unplanned.extend(remaining);
                break;
            }
        };
        plans.insert(0, (given, Arc::clone(&plan)));
        plans.truncate(PLANS_KEPT_MAX);
        findings.push((source.clone(), mistakes(&loaded.document, Some(&plan), &scenario, &source)));
        ready.push(Ready { runbook: loaded.file.name.clone(), source: source.clone(), scenario, plan });
    }
    // Which steps there are is the same for all values.
    let known = plans.into_iter().next().map(|(_, plan)| plan);
    for scenario in unplanned {
        let plan = known.clone().or_else(|| loaded.rehearsed(&fitting(loaded, &scenario)).ok().map(Arc::new));
        findings.push((source.clone(), mistakes(&loaded.document, plan.as_deref(), &scenario, &source)));
    }
    Ok(())
}

/// The values of a scenario that its runbook can take.
fn fitting(loaded: &Loaded, scenario: &Scenario) -> IndexMap<String, GivenValue> {
    let mut given = given(scenario);
    given.retain(|name, value| {
        let spec = loaded.document.params.iter().find(|(known, _)| **known == **name);
        spec.is_some_and(|(_, spec)| matches!(value, GivenValue::Data(data) if spec.accept(data).is_ok()))
    });
    given
}
