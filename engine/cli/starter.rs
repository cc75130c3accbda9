//! The files that a beginning is made of, and writing them without ever overwriting one.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use runbook_core::document::schema;
use runbook_core::template::quote_for_display;

use crate::context::Context;
use crate::error::CommandError;

/// The folder for editors, beside the runbooks: its name is hidden, so it holds no runbook.
const EDITORS: &str = ".schema";

/// The text of a new runbook.
pub(crate) fn runbook(name: &str, title: &str, schema: &str) -> String {
    let title = serde_json::Value::from(title);
    let name = quote_for_display(name);
    format!(
        r#"# yaml-language-server: $schema={schema}
# Steps run from top to bottom: a step waits for all above it, unless `needs` names what it waits for.
#   runbook validate {name}   every mistake, with its place
#   runbook plan {name}       what would happen
#   runbook run {name}        do it
version: 1
title: {title}
description: |
  What this procedure is for, when it is done, and what to know before.
# owner: platform-team
# tags: [deploy]

params:
  # Given by `-p service=web`. Without `default` a value must be given.
  service: {{type: string, pattern: '[a-z0-9-]+', default: web, description: What is worked on}}

steps:
  # Look first: a check changes nothing, and what it expects must hold.
  - id: space
    check: {{disk: /, expect: used_percent < 99}}

  # A person decides. Nothing below starts before.
  - id: go
    approve: {{prompt: "Work on {{{{ params.service }}}}?"}}

  # A value reaches the shell as one word, whatever is in it.
  - id: work
    title: Do the work
    run: echo "working on {{{{ params.service }}}}"
    timeout: 5m
    # retry: 2
    # done_when: {{run: test -e finished}}

  # What only people can do.
  - id: tell
    manual: {{prompt: Tell who should know, checklist: [Status page updated]}}

# Runs last, whatever happened.
finally:
  - id: over
    run: echo "it {{{{ run.outcome }}}}"
"#
    )
}

/// The first runbook of a project.
pub(crate) fn hello(schema: &str) -> String {
    format!(
        r#"# yaml-language-server: $schema={schema}
# `runbook run hello`: a first look. `runbook new NAME` writes one to begin with.
version: 1
title: Say hello
description: Greets somebody, asks a person, and says goodbye.

params:
  name: {{type: string, default: world, description: Whom to greet}}

steps:
  - id: greet
    run: echo "Hello, {{{{ params.name }}}}!"
  - id: ask
    approve: {{prompt: Was that friendly enough?}}
  - id: goodbye
    run: echo "Goodbye, {{{{ params.name }}}}."
"#
    )
}

/// What the runbooks of a project share.
pub(crate) fn project(schema: &str) -> String {
    format!(
        r#"# yaml-language-server: $schema={schema}
# What the runbooks of this folder share. All of it is optional.

# Values that every runbook may use: {{{{ project.vars.region }}}}
vars:
  region: eu-1

# Who may answer: `from: [group:release-managers]` in an approval.
# groups: {{release-managers: [ana, bob]}}

# Variables that commands inherit from whoever starts a run.
# pass_env: [AWS_PROFILE]

# Where `notify: {{channel: ops, message: …}}` goes.
# channels:
#   ops: {{command: [logger, -t, runbook, "{{{{ message }}}}"]}}
"#
    )
}

/// Which file's schema an editor is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A runbook.
    Runbook,
    /// `project.yaml`.
    Project,
}

/// The path of a schema as a file in the folder of runbooks, `depth` folders down, names it: that of the project's `schemas/` where it
/// has one, else one that is written beside the runbooks, so that an editor needs no network.
///
/// # Errors
/// Where it can't be written.
pub(crate) fn schema_path(folder: &Path, depth: usize, kind: Kind) -> Result<String, CommandError> {
    let (name, schema) = match kind {
        Kind::Runbook => ("runbook.schema.json", schema::runbook_schema()),
        Kind::Project => ("project.schema.json", schema::project_schema()),
    };
    let up = "../".repeat(depth);
    if folder.parent().is_some_and(|root| root.join("schemas").join(name).is_file()) {
        return Ok(format!("{up}../schemas/{name}"));
    }
    let editors = folder.join(EDITORS);
    let path = editors.join(name);
    // Made from the program, so it may be made anew: what is newer in the language is known then.
    std::fs::create_dir_all(&editors)
        .and_then(|()| std::fs::write(&path, format!("{schema:#}\n")))
        .map_err(|error| unwritable(&path, &error))?;
    Ok(format!("{up}{EDITORS}/{name}"))
}

/// What became of a file that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is new.
    New,
    /// It was there already and is as it was.
    Kept,
}

/// Writes a file that isn't there yet, with its folders.
///
/// # Errors
/// Where it can't be written.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<Written, CommandError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Kept),
        other => other
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map(|()| Written::New)
            .map_err(|error| unwritable(path, &error)),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::usage(format!("cannot write {}", path.display())).with_cause(error)
}

/// A path as it is said: from where the command was typed.
pub(crate) fn shown(context: &Context, path: &Path) -> String {
    path.strip_prefix(&context.environment.current_dir).unwrap_or(path).display().to_string()
}

/// The project's folder of runbooks: what `--dir` names, else the nearest `runbooks/`; `None` where there is none.
pub(crate) fn folder(context: &Context) -> Option<PathBuf> {
    let current_dir = &context.environment.current_dir;
    match &context.global.dir {
        Some(typed) => Some(context.environment.typed(typed)),
        None => current_dir.ancestors().map(|parent| parent.join("runbooks")).find(|folder| folder.is_dir()),
    }
}

#[cfg(test)]
mod tests {
    use runbook_core::document::{parse, parse_project};
    use runbook_core::source::Source;

    use super::*;

    #[test]
    fn what_is_written_has_no_mistakes() {
        for text in [runbook("a-b", "A \"title\": with\n#signs", "s"), hello("s")] {
            let (document, diagnostics) = parse(&Source::new("new.yaml", text.as_str()));
            assert!(document.is_some() && !diagnostics.has_errors(), "{diagnostics:?}\n{text}");
        }
        let (document, diagnostics) = parse_project(&Source::new("project.yaml", project("s").as_str()));
        assert!(document.is_some() && !diagnostics.has_errors(), "{diagnostics:?}");
    }
}
