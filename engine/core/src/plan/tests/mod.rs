//! Tables of (text, mistakes), and what plans are.

mod mistakes;
mod order;
mod plans;

use indexmap::IndexMap;

use super::{BuildInput, GivenValue, InputFiles, Plan, ProjectInput, build};
use crate::diagnostic::Diagnostics;
use crate::document::{parse, parse_project};
use crate::source::Source;

/// A project whose files all have the same content.
struct SameFiles;

impl InputFiles for SameFiles {
    fn hash(&self, cwd: Option<&str>, globs: &[String]) -> Result<IndexMap<String, String>, String> {
        let folder = cwd.map_or_else(String::new, |cwd| format!("{cwd}/"));
        globs
            .iter()
            .map(|glob| {
                let missing = glob.starts_with("missing");
                let path = format!("{folder}{glob}");
                if missing { Err(format!("`{path}` matches no file")) } else { Ok((path, "0".repeat(64))) }
            })
            .collect()
    }

    fn calendar(&self, path: &str) -> Result<String, String> {
        if path.starts_with("missing") {
            Err(format!("cannot read {path}"))
        } else {
            Ok("BEGIN:VCALENDAR\nEND:VCALENDAR\n".into())
        }
    }
}

/// A plan of a text, with values as typed, and a project where its text isn't empty.
fn plan_with(text: &str, given: &[(&str, &str)], project: &str) -> Result<Plan, Vec<String>> {
    let source = Source::new("a.yaml", text);
    let (document, diagnostics) = parse(&source);
    let document = document.expect("the text is a document");
    assert_eq!(shown(&source, diagnostics), Vec::<String>::new(), "{text}");
    let project_source = Source::new("project.yaml", project);
    let (parsed, diagnostics) = parse_project(&project_source);
    assert_eq!(shown(&project_source, diagnostics), Vec::<String>::new(), "{project}");
    let parsed = parsed.expect("the text is a project");
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), GivenValue::Text((*value).to_owned())))
        .collect();
    let input = BuildInput {
        document: &document,
        source: &source,
        stem: "stem",
        given: &given,
        on_failure: None,
        selection: &super::Selection::default(),
        files: &SameFiles,
        calls: &super::NoCalls,
        project: Some(ProjectInput { project: &parsed, source: &project_source }),
    };
    build(&input).map_err(|diagnostics| shown(&source, diagnostics))
}

/// The plan of a text without mistakes.
#[track_caller]
pub(super) fn plan(text: &str) -> Plan {
    match plan_with(text, &[], "") {
        Ok(plan) => plan,
        Err(mistakes) => panic!("{text}\n{mistakes:#?}"),
    }
}

/// Each mistake as `code line:column message (help)`.
fn shown(source: &Source, diagnostics: Diagnostics) -> Vec<String> {
    let line = |diagnostic: &crate::diagnostic::Diagnostic| {
        let place = source.location(diagnostic.span.start);
        let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{} {}:{} {}{help}", diagnostic.code, place.line, place.column, diagnostic.message)
    };
    diagnostics.into_sorted().iter().map(line).collect()
}
