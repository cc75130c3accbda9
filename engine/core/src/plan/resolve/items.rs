//! What of a step with items is settled once, and what for each item.

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use crate::document::model::{self as document, Step};
use crate::plan::guards::Guards;
use crate::plan::model::{Action, Check, Inputs, OnFailure, Step as Resolved};
use crate::plan::structure::{Batch, Each, Items};
use crate::template::{Expression as Parsed, Reference, Template};

/// The step that runs what is in a block once per item.
pub(super) fn each(step: &Step, items: Items, mut body: Vec<Resolved>) -> Resolved {
    let batches = step.batches.iter().flatten().map(|batch| match batch {
        document::Batch::Count(count) => Batch::Count(count.get()),
        document::Batch::Percent(percent) => Batch::Percent(*percent),
    });
    let first = &mut body[0];
    let mut outer = first.clone();
    // What names the item is settled for each, all else once.
    let of_item = first.when.as_deref().is_some_and(expression_names_item);
    if of_item { &mut outer } else { &mut *first }.when = None;
    let of_item = first.done_when.as_deref().is_some_and(check_names_item);
    if of_item { &mut outer } else { &mut *first }.done_when = None;
    let of_item = first.ask.as_deref().is_some_and(|ask| json_names_item(&json!(ask)));
    if of_item { &mut outer } else { &mut *first }.ask = None;
    first.on_failure = OnFailure::Stop;
    first.cleanup = false;
    let of_call = matches!(&first.action, Action::Call(call) if call.has_own_lock);
    let of_item = of_call || first.guards.lock.as_ref().is_some_and(|lock| text_names_item(&lock.name));
    let lock = first.guards.lock.take();
    first.guards = Guards::default();
    if of_item {
        first.guards.lock = lock;
        outer.guards.lock = None;
    }
    outer.retry = None;
    outer.timeout = None;
    outer.outputs = IndexMap::new();
    outer.inputs = Inputs { globs: Vec::new(), files: IndexMap::new() };
    outer.artifacts = Vec::new();
    // Each item is undone by itself.
    outer.undo = None;
    outer.action = Action::Each(Box::new(Each {
        items,
        max_parallel: step.max_parallel.map_or(1, std::num::NonZeroU32::get),
        max_failures: step.max_failures.unwrap_or(0),
        batches: batches.collect(),
        body,
    }));
    outer
}

fn expression_names_item(condition: &str) -> bool {
    let Ok(condition) = Parsed::parse(condition) else { return false };
    names_item(condition.references())
}

fn text_names_item(text: &str) -> bool {
    text.contains("{{")
        && Template::parse(text).is_ok_and(|template| names_item(template.references().iter()))
}

fn json_names_item(json: &Json) -> bool {
    match json {
        Json::String(text) => text_names_item(text),
        Json::Array(items) => items.iter().any(json_names_item),
        Json::Object(entries) => entries.values().any(json_names_item),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

fn check_names_item(check: &Check) -> bool {
    check.expect.iter().chain(&check.warn).any(|expression| expression_names_item(expression))
        || json_names_item(&json!(check.probe))
}

fn names_item<'r>(references: impl IntoIterator<Item = &'r Reference>) -> bool {
    references
        .into_iter()
        .any(|reference| reference.path.first().is_some_and(|first| first == "item" || first == "index"))
}
