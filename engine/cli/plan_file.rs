//! Plans in files: `plan -o FILE` writes one, `run --plan FILE` runs exactly that.
//!
//! The file is JSON. `digest` is the plan's, as `plan` shows it; `seal` covers the rest of what is run with it: the runbook's text and
//! where it was found.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use runbook_core::document::model::Keep;
use runbook_core::plan::{PLAN_FORMAT, Plan};
use runbook_runtime::run::{inputs_since_planning, plan_digest, plan_text};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::CommandError;
use crate::planning;
use crate::report::wording::harmless;

/// The version of the file's own format.
const FORMAT: u32 = 1;
/// How often a plan is read back until its text stays as it is: numbers may lose a last digit on the way.
const SETTLING_MAX: usize = 4;
/// The largest file that is read, in bytes.
const BYTES_MAX: u64 = 256 << 20;

/// A plan in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanFile {
    /// [`FORMAT`].
    format: u32,
    /// The plan's digest.
    digest: String,
    /// Of digest, root, file and text.
    seal: String,
    /// The project's root, in which commands run.
    root: PathBuf,
    /// The runbook's file.
    file: PathBuf,
    /// The runbook's text.
    text: String,
    /// What runs.
    plan: Plan,
}

/// A plan that was read from a file, ready to run.
pub(crate) struct Frozen {
    /// What runs.
    pub(crate) plan: Plan,
    /// The runbook's text.
    pub(crate) text: String,
    /// The project's root.
    pub(crate) root: PathBuf,
    /// The runbook's file.
    pub(crate) file: PathBuf,
    /// How long its project keeps runs, as it says now.
    pub(crate) keep: Keep,
}

impl PlanFile {
    fn seal_of(digest: &str, root: &Path, file: &Path, text: &str) -> String {
        let text = plan_digest(text);
        plan_digest(&format!("{digest}\n{}\n{}\n{text}\n", root.display(), file.display()))
    }
}

/// Whether `-o` names no file but standard output, as `-` does everywhere; a file of that name is `./-`.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a plan to a file, whole or not at all.
pub(crate) fn write(
    context: &Context,
    path: &Path,
    plan: &Plan,
    text: &str,
    root: &Path,
    file: &Path,
) -> Result<(), CommandError> {
    let plan = settled(plan)?;
    let digest = plan_digest(&plan_text(&plan));
    let seal = PlanFile::seal_of(&digest, root, file, text);
    let content = PlanFile {
        format: FORMAT,
        digest,
        seal,
        root: root.to_owned(),
        file: file.to_owned(),
        text: text.to_owned(),
        plan,
    };
    let mut bytes = serde_json::to_vec_pretty(&content)
        .map_err(|error| CommandError::usage("the plan can't be written").with_cause(&error))?;
    bytes.push(b'\n');
    if is_standard_output(path) {
        context.console.print_bytes(&bytes);
        return Ok(());
    }
    let target = context.environment.typed(path);
    put(&target, &bytes).map_err(|error| {
        CommandError::usage(format!("cannot write {}", target.display())).with_cause(&error)
    })?;
    if !context.console.quiet {
        let shown = harmless(&path.display().to_string());
        context.console.say(&format!("The plan is in {shown}; `run --plan` runs exactly that.\n"));
    }
    Ok(())
}

/// The plan as it is when it is read back.
fn settled(plan: &Plan) -> Result<Plan, CommandError> {
    let mut plan = plan.clone();
    for _ in 0..SETTLING_MAX {
        let text = plan_text(&plan);
        let again: Plan = serde_json::from_str(&text)
            .map_err(|error| CommandError::usage("the plan can't be written").with_cause(&error))?;
        if plan_text(&again) == text {
            return Ok(again);
        }
        plan = again;
    }
    Err(CommandError::usage("the plan holds a number that can't be written exactly"))
}

/// Beside the target first, so that nobody reads half a plan; what is no file (`/dev/stdout`) is just written to.
fn put(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if target.exists() && !target.is_file() {
        return std::fs::OpenOptions::new().write(true).open(target)?.write_all(bytes);
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = target.with_file_name(name);
    let written = std::fs::File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, target));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Reads a plan and holds it against its digest and against the files that it names.
pub(crate) fn read(context: &Context, path: &Path) -> Result<Frozen, CommandError> {
    let shown = path.display();
    let read = read_text(&context.environment.typed(path));
    let text =
        read.map_err(|error| CommandError::usage(format!("cannot read {shown}")).with_cause(&error))?;
    let no_plan = |why: String| {
        CommandError::usage(format!("{shown} is no plan: {why}"))
            .with_hint("runbook plan NAME -o FILE writes one")
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| no_plan(error.to_string()))?;
    let versions = [("format", &value["format"], FORMAT), ("plan", &value["plan"]["format"], PLAN_FORMAT)];
    for (what, found, known) in versions {
        match found.as_u64() {
            Some(found) if found == u64::from(known) => {}
            Some(found) => {
                let error = CommandError::usage(format!(
                    "{shown} was written by another version of runbook: its {what} is of format {found}, this one reads {known}"
                ));
                return Err(error.with_hint("make the plan again with this version"));
            }
            None => return Err(no_plan("it doesn't say its format".into())),
        }
    }
    let content: PlanFile = serde_json::from_str(&text).map_err(|error| no_plan(error.to_string()))?;
    let digest = plan_digest(&plan_text(&content.plan));
    let seal = PlanFile::seal_of(&content.digest, &content.root, &content.file, &content.text);
    if digest != content.digest || seal != content.seal {
        return Err(CommandError::usage(format!(
            "{shown} was changed after it was written: its digest is {digest}, not {}",
            content.digest
        ))
        .with_hint("make the plan again: runbook plan NAME -o FILE"));
    }
    content.plan.check_sound().map_err(no_plan)?;
    let frozen = located(context, content)?;
    refuse_changed_inputs(&frozen)?;
    Ok(frozen)
}

fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the plan runs: the project that `--dir` names, the one it was made in, or, where that isn't on this machine, the one here.
fn located(context: &Context, content: PlanFile) -> Result<Frozen, CommandError> {
    let PlanFile { root, file, text, plan, .. } = content;
    let below = file.strip_prefix(&root).unwrap_or(&file).to_owned();
    let here = || {
        let folders = context.library().map(|library| library.roots()).unwrap_or_default();
        folders.into_iter().find(|root| root.join(&below).is_file())
    };
    let named = if context.global.dir.is_some() { here() } else { None };
    let found = named.or_else(|| root.is_dir().then(|| root.clone())).or_else(here);
    match found {
        Some(root) => {
            let file = root.join(&below);
            let keep = planning::keep_beside(&root, &file);
            Ok(Frozen { plan, text, file, root, keep })
        }
        None => Err(CommandError::usage(format!(
            "the plan was made in {}, which is not on this machine, and there is no {} here",
            root.display(),
            below.display()
        ))
        .with_hint("run it from the project's folder, or name its runbooks with --dir")),
    }
}

/// What the plan has seen must be what is there.
fn refuse_changed_inputs(frozen: &Frozen) -> Result<(), CommandError> {
    let changed = inputs_since_planning(&frozen.plan, &frozen.root);
    if changed.is_empty() {
        return Ok(());
    }
    let mut words: Vec<String> = changed
        .iter()
        .map(|(step, path, now)| match now {
            Some(_) => format!("{path} (of `{step}`) changed"),
            None => format!("{path} (of `{step}`) is gone"),
        })
        .collect();
    words.dedup();
    let error = CommandError::usage(format!("since the plan was made {}", words.join(", ")));
    Err(error.with_hint("make the plan again: runbook plan NAME -o FILE"))
}
