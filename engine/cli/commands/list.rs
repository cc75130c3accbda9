//! `runbook list`: the runbooks.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use runbook_core::document::model::Choices;
use runbook_runtime::run;
use runbook_runtime::store::Summary;
use runbook_runtime::store::index::{self, Filter};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::status::standing_word;
use crate::console::{ATTENTION, DIM, STRONG, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::find::RunbookFile;
use crate::options::Format;
use crate::planning::{self, Loaded};
use crate::report::wording::{count, distance, harmless, pad, wrap};

/// Options of `list`.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// A runbook as it is listed.
struct Entry {
    file: RunbookFile,
    /// `None` where it has mistakes.
    loaded: Option<Loaded>,
    last_run: Option<Summary>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, _: &Options) -> Result<u8, CommandError> {
    let files = context.library()?.list();
    let mut latest = latest_runs(context)?;
    let (tags, skip_tags) = context.global.selected_tags();
    let is_narrowed = !tags.is_empty() || !skip_tags.is_empty();
    let (total, mut unknown) = (files.len(), 0);
    let mut entries = Vec::with_capacity(files.len());
    for file in files {
        // A file that can't be read is listed all the same; `validate` says why.
        let loaded = planning::load(context, file.clone()).ok().and_then(|(loaded, _)| loaded);
        if is_narrowed {
            let Some(loaded) = &loaded else {
                unknown += 1;
                continue;
            };
            let has = |wanted: &String| loaded.document.tags.iter().any(|tag| **tag == **wanted);
            if skip_tags.iter().any(has) || !tags.is_empty() && !tags.iter().any(has) {
                continue;
            }
        }
        let last_run = file.place().and_then(|place| latest.remove(&place.file));
        entries.push(Entry { file, loaded, last_run });
    }
    if unknown > 0 {
        let what = count(unknown, "runbook");
        context.console.say(&format!(
            "{what} left out: the tags of one with mistakes aren't known (runbook validate)\n"
        ));
    }
    match context.global.format {
        Format::Json => {
            let values: Vec<Value> = entries.iter().map(to_json).collect();
            context.console.print(&format!("{}\n", Value::from(values)));
        }
        Format::Text | Format::Github | Format::Gitlab if entries.is_empty() && total > 0 => {
            context.console.say("No runbook with these tags. `runbook list` shows all.\n");
        }
        Format::Text | Format::Github | Format::Gitlab if entries.is_empty() => {
            context.console.say("No runbooks. They are looked for in the folder `runbooks`, here and above; --dir names another.\n");
        }
        Format::Text | Format::Github | Format::Gitlab => {
            context.console.print(&table(&entries, context.console.width));
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// The latest run of each runbook, by its file.
fn latest_runs(context: &Context) -> Result<HashMap<PathBuf, Summary>, CommandError> {
    let mut latest = HashMap::new();
    for summary in index::list(&context.store()?, &Filter::default())? {
        latest.entry(summary.file.clone()).or_insert(summary);
    }
    Ok(latest)
}

fn to_json(entry: &Entry) -> Value {
    let document = entry.loaded.as_ref().map(|loaded| &loaded.document);
    let params: Vec<Value> = document
        .into_iter()
        .flat_map(|document| document.params.iter())
        .map(|(name, spec)| {
            let choices = match &spec.choices {
                Some(Choices::List(choices)) => Some(choices),
                Some(_) | None => None,
            };
            json!({
                "name": name,
                "type": spec.kind,
                "description": spec.description,
                "default": spec.default,
                "required": spec.required && spec.default.is_none(),
                "choices": choices,
                "pattern": spec.pattern,
            })
        })
        .collect();
    json!({
        "name": entry.file.name,
        "file": entry.file.path,
        "title": document.and_then(|document| document.title.as_ref()),
        "owner": document.and_then(|document| document.owner.as_ref()),
        "tags": document.map(|document| &document.tags[..]).unwrap_or_default(),
        "params": params,
        "valid": document.is_some(),
        "last_run": entry.last_run.as_ref().map(super::runs::to_json),
    })
}

fn table(entries: &[Entry], width: usize) -> String {
    let columns = entries.iter().map(|entry| entry.file.name.width()).max().unwrap_or(0).min(width / 2);
    let now = run::now();
    let mut text = String::new();
    for entry in entries {
        let mut notes = Vec::new();
        match &entry.loaded {
            None => notes.push(styled(ATTENTION, "has mistakes (runbook validate)")),
            Some(Loaded { document, .. }) => {
                notes.extend(document.title.as_ref().map(|title| harmless(title)));
                notes.extend(document.owner.as_ref().map(|owner| styled(DIM, harmless(owner))));
                let params: Vec<String> = document.params.iter().map(|(name, _)| harmless(name)).collect();
                if !params.is_empty() {
                    notes.push(format!("-p {}", params.join(", -p ")));
                }
            }
        }
        if let Some(last) = &entry.last_run {
            notes.push(format!("{} {}", standing_word(last.outcome), distance(last.started_at, now)));
        }
        let line =
            format!("{}  {}", styled(STRONG, pad(&harmless(&entry.file.name), columns)), notes.join(" · "));
        text.push_str(wrap(line.trim_end(), width, "    ").trim_end());
        text.push('\n');
    }
    text
}
