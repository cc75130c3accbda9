//! From a runbook's name to its plan, or to everything that is wrong with it.

use std::path::Path;

use indexmap::IndexMap;
use runbook_core::diagnostic::{Diagnostic, Diagnostics};
use runbook_core::document::model::{Choices, Keep, Project, Runbook};
use runbook_core::document::yaml::source_of_bytes;
use runbook_core::document::{parse, parse_params_file, parse_project};
use runbook_core::plan::{
    BuildInput, GivenValue, InputFiles, LOST_STEP, OnFailure, Plan, ProjectInput, Selection, build,
    missing_params, validate,
};
use runbook_core::source::{Source, Span};
use runbook_runtime::run::hash_inputs;

use crate::calls::Called;
use crate::commands::run::Parameters;
use crate::context::Context;
use crate::diagnostics::{all_of, to_text};
use crate::error::{CommandError, ErrorKind};
use crate::find::RunbookFile;
use crate::options::{Format, OnFailure as OnFailureOption};
use crate::report::wording::harmless;

/// The file beside the runbooks that holds what they share.
const PROJECT: &str = "project.yaml";

/// A runbook that was read without errors.
pub(crate) struct Loaded {
    /// Where it was found.
    pub(crate) file: RunbookFile,
    /// Its text.
    pub(crate) source: Source,
    /// What it says.
    pub(crate) document: Runbook,
    /// What the runbooks beside it share.
    pub(crate) project: Option<(Source, Project)>,
    /// The runbooks that it calls.
    called: Called,
}

/// A text with what is wrong in it.
pub(crate) type Findings = Vec<(Source, Diagnostics)>;

/// Reads a runbook and the project it belongs to.
///
/// # Errors
/// Where a file can't be read. Mistakes in them are findings, beside what
/// could be understood.
pub(crate) fn load(context: &Context, file: RunbookFile) -> Result<(Option<Loaded>, Findings), CommandError> {
    let mut findings = Findings::new();
    let Some(source) = read(context, &file.path, &mut findings)? else { return Ok((None, findings)) };
    let (document, diagnostics) = parse(&source);
    let broken = diagnostics.has_errors();
    let braced: Vec<Span> = diagnostics
        .iter()
        .filter(|found| found.code == "expression-braces")
        .map(|found| found.span)
        .collect();
    findings.push((source.clone(), diagnostics));
    let mut project = None;
    let folder = folder_of(&file);
    let project_path = folder.map(|folder| folder.join(PROJECT)).filter(|path| path.is_file());
    if let Some(path) = project_path
        && let Some(source) = read(context, &path, &mut findings)?
    {
        let (parsed, diagnostics) = parse_project(&source);
        findings.push((source.clone(), diagnostics));
        project = parsed.map(|parsed| (source, parsed));
    }
    let Some(document) = document else { return Ok((None, findings)) };
    let called = Called::by(context, source.name(), &document, &mut findings)?;
    let loaded = Loaded { file, source, document, project, called };
    if broken {
        // What the plan adds is worth saying all the same, but for what follows from what was said.
        let mut more = loaded.validate();
        for (_, diagnostics) in &mut more {
            let inside = |span: Span| braced.iter().any(|at| at.start <= span.start && span.end <= at.end);
            diagnostics.retain(|found| {
                found.code != LOST_STEP && (found.code != "template-syntax" || !inside(found.span))
            });
        }
        findings.extend(more);
        return Ok((None, findings));
    }
    Ok((Some(loaded), findings))
}

/// The folder of runbooks: the name is the path below it, so it is as far above the file.
fn folder_of(file: &RunbookFile) -> Option<&Path> {
    file.path.ancestors().nth(file.name.split('/').count())
}

/// How long a project keeps its runs, where a plan of it is run without its files being read.
pub(crate) fn keep_beside(root: &Path, file: &Path) -> Keep {
    let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    let text = folders
        .map(|folder| folder.join(PROJECT))
        .find(|path| path.is_file())
        .and_then(|path| std::fs::read(path).ok());
    let source = text.and_then(|bytes| source_of_bytes(PROJECT, &bytes).ok());
    let project = source.and_then(|source| parse_project(&source).0);
    project.map(|project| project.keep).unwrap_or_default()
}

/// A file that can't be read, as a finding among others.
pub(crate) fn unreadable(error: &CommandError) -> (Source, Diagnostics) {
    let shown = error.message.strip_prefix("cannot read ").unwrap_or(&error.message);
    let source = Source::new(shown, "");
    let mut diagnostics = Diagnostics::default();
    let why = error.causes.join(": ");
    diagnostics.push(Diagnostic::error(
        &source.shared_name(),
        "unreadable",
        Span::default(),
        format!("the file can't be read: {why}"),
    ));
    (source, diagnostics)
}

/// Reads a file as text; what is no text is a finding.
pub(crate) fn read(
    context: &Context,
    path: &Path,
    findings: &mut Findings,
) -> Result<Option<Source>, CommandError> {
    let shown = path.strip_prefix(&context.environment.current_dir).unwrap_or(path).display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| CommandError::usage(format!("cannot read {shown}")).with_cause(&error))?;
    match source_of_bytes(shown.as_str(), &bytes) {
        Ok(source) => Ok(Some(source)),
        Err(broken) => {
            let (source, diagnostic) = *broken;
            let mut diagnostics = Diagnostics::default();
            diagnostics.push(diagnostic);
            findings.push((source, diagnostics));
            Ok(None)
        }
    }
}

impl Loaded {
    /// The project as the plan takes it.
    pub(crate) fn project_input(&self) -> Option<ProjectInput<'_>> {
        self.project.as_ref().map(|(source, project)| ProjectInput { project, source })
    }

    /// Mistakes that need neither values nor files to be found.
    pub(crate) fn validate(&self) -> Findings {
        self.by_file(validate(&self.document, &self.source, self.project_input(), &self.called))
    }

    /// The plan of a scenario: with these values and nothing from the command line.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn rehearsed(&self, given: &IndexMap<String, GivenValue>) -> Result<Plan, Findings> {
        let files = RehearsedFiles(ProjectFiles { root: &self.file.root, folder: folder_of(&self.file) });
        let input = BuildInput {
            document: &self.document,
            source: &self.source,
            stem: self.stem(),
            given,
            on_failure: None,
            selection: &Selection::default(),
            files: &files,
            calls: &self.called,
            project: self.project_input(),
        };
        build(&input).map_err(|diagnostics| self.by_file(diagnostics))
    }

    /// Mistakes with the texts that they are in: its own, the project's or one of a runbook that it calls.
    fn by_file(&self, diagnostics: Diagnostics) -> Findings {
        let project = self.project.iter().map(|(source, _)| source);
        let mut findings: Findings = std::iter::once(&self.source)
            .chain(project)
            .chain(self.called.sources())
            .map(|source| (source.clone(), Diagnostics::new()))
            .collect();
        for diagnostic in diagnostics.into_sorted() {
            let place = findings.iter().position(|(source, _)| *source.name() == *diagnostic.file);
            findings[place.unwrap_or(0)].1.push(diagnostic);
        }
        findings.retain(|(_, diagnostics)| !diagnostics.is_empty());
        findings
    }

    /// The stem of its file: its name where it gives itself none.
    pub(crate) fn stem(&self) -> &str {
        self.file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("runbook")
    }
}

/// The runbook of this name, without errors; all that is wrong is said.
pub(crate) fn load_or_say(context: &Context, name: &str) -> Result<Loaded, CommandError> {
    let file = context.library()?.find(name)?;
    let (loaded, findings) = load(context, file)?;
    match loaded {
        Some(loaded) if !has_errors(&findings) => Ok(loaded),
        _ => Err(say(context, &findings)),
    }
}

/// Makes the plan; missing parameters are asked for where somebody is there.
pub(crate) fn plan(
    context: &Context,
    loaded: &Loaded,
    parameters: &Parameters,
) -> Result<Plan, CommandError> {
    let given = given(context, parameters)?;
    let selection = selection(context, loaded)?;
    make(context, loaded, given, &selection)
}

/// Makes the plan from values that are known.
pub(crate) fn make(
    context: &Context,
    loaded: &Loaded,
    mut given: IndexMap<String, GivenValue>,
    selection: &Selection,
) -> Result<Plan, CommandError> {
    if !context.console.non_interactive {
        for (name, spec) in missing_params(&loaded.document, &given) {
            let value = ask_for(context, name, spec)?;
            given.insert(name.to_owned(), GivenValue::Text(value));
        }
    }
    let files = ProjectFiles { root: &loaded.file.root, folder: folder_of(&loaded.file) };
    let input = BuildInput {
        document: &loaded.document,
        source: &loaded.source,
        stem: loaded.stem(),
        given: &given,
        selection,
        on_failure: context.global.on_failure.map(on_failure),
        files: &files,
        calls: &loaded.called,
        project: loaded.project_input(),
    };
    build(&input).map_err(|diagnostics| say(context, &loaded.by_file(diagnostics)))
}

/// What `--tags` and `--skip-tags` select of this runbook.
fn selection(context: &Context, loaded: &Loaded) -> Result<Selection, CommandError> {
    let (tags, skip_tags) = context.global.selected_tags();
    let selection = Selection { tags, skip_tags };
    selection.check(&loaded.document).map_err(CommandError::usage)?;
    Ok(selection)
}

fn on_failure(option: OnFailureOption) -> OnFailure {
    match option {
        OnFailureOption::Stop => OnFailure::Stop,
        OnFailureOption::Continue => OnFailure::Continue,
        OnFailureOption::Warn => OnFailure::Warn,
        OnFailureOption::Ask => OnFailure::Ask,
    }
}

/// The values that were typed and those of the file; typed ones win.
fn given(context: &Context, parameters: &Parameters) -> Result<IndexMap<String, GivenValue>, CommandError> {
    let mut given = IndexMap::new();
    if let Some(file) = &parameters.file {
        let mut findings = Findings::new();
        let path = context.environment.typed(file);
        if let Some(source) = read(context, &path, &mut findings)? {
            let (values, diagnostics) = parse_params_file(&source);
            findings.push((source, diagnostics));
            for (name, value) in values.iter().flat_map(|values| values.iter()) {
                given.insert(name.to_string(), GivenValue::Data(value.clone()));
            }
        }
        if has_errors(&findings) {
            return Err(say(context, &findings));
        }
    }
    for (name, value) in &parameters.values {
        given.insert(name.clone(), GivenValue::Text(value.clone()));
    }
    Ok(given)
}

/// Hashes what steps name by `inputs`.
struct ProjectFiles<'a> {
    root: &'a Path,
    /// Where `project.yaml` is.
    folder: Option<&'a Path>,
}

impl InputFiles for ProjectFiles<'_> {
    fn hash(&self, cwd: Option<&str>, globs: &[String]) -> Result<IndexMap<String, String>, String> {
        let folder = cwd.map_or_else(|| self.root.to_owned(), |cwd| self.root.join(cwd));
        hash_inputs(&folder, globs).map_err(|error| error.to_string())
    }

    fn calendar(&self, path: &str) -> Result<String, String> {
        let folder = self.folder.unwrap_or(self.root);
        std::fs::read_to_string(folder.join(path)).map_err(|error| format!("cannot read {path}: {error}"))
    }
}

/// A rehearsal reads none of the files that commands would: they need not be there.
struct RehearsedFiles<'a>(ProjectFiles<'a>);

impl InputFiles for RehearsedFiles<'_> {
    fn hash(&self, _: Option<&str>, _: &[String]) -> Result<IndexMap<String, String>, String> {
        Ok(IndexMap::new())
    }

    fn calendar(&self, path: &str) -> Result<String, String> {
        self.0.calendar(path)
    }
}

/// Asks for a parameter at the terminal, again until the value fits.
fn ask_for(
    context: &Context,
    name: &str,
    spec: &runbook_core::document::model::ParamSpec,
) -> Result<String, CommandError> {
    let unanswered = |error: &dialoguer::Error| {
        CommandError::usage(format!("no value was given for `{name}`"))
            .with_cause(error)
            .with_hint(format!("give it by -p {name}=VALUE"))
    };
    let mut prompt = name.to_owned();
    if let Some(description) = &spec.description {
        prompt = format!("{name}: {}", harmless(description));
    }
    if let Some(Choices::List(choices)) = &spec.choices {
        let shown: Vec<String> = choices.iter().map(|choice| harmless(choice)).collect();
        let chosen = dialoguer::Select::new()
            .with_prompt(prompt)
            .items(&shown)
            .interact()
            .map_err(|error| unanswered(&error))?;
        return Ok(choices[chosen].to_string());
    }
    if let Some(pattern) = &spec.pattern {
        context.console.say(&format!("{name} matches {}\n", harmless(pattern)));
    }
    dialoguer::Input::<String>::new()
        .with_prompt(prompt)
        .allow_empty(true)
        .validate_with(|text: &String| spec.parse_text(text).map(|_| ()).map_err(|why| harmless(&why)))
        .interact_text()
        .map_err(|error| unanswered(&error))
}

/// Whether anything stands in the way.
pub(crate) fn has_errors(findings: &Findings) -> bool {
    findings.iter().any(|(_, diagnostics)| diagnostics.has_errors())
}

/// Says all findings: as text to standard error, as a list to standard output.
pub(crate) fn say(context: &Context, findings: &Findings) -> CommandError {
    let text = to_text(&all_of(findings.clone()), context.global.format);
    if context.global.format == Format::Json {
        context.console.print(&text);
    } else {
        context.console.say(&text);
    }
    CommandError::said(ErrorKind::Usage)
}
