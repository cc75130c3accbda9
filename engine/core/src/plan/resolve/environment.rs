//! Environment variables: the top's, those of `defaults`, and a step's own, each over those before it.

use indexmap::IndexMap;

use crate::document::text::{Named, Text};
use crate::plan::check::{Checker, uses_environment, uses_secret};
use crate::plan::names::{Environment, Place};

/// Checks variables in the order in which they are written: each sees those before it.
pub(super) fn check(checker: &mut Checker<'_>, entries: &Named<Text>, place: Place<'_>) {
    let mut seen = place.env.clone();
    for (name, text) in entries.iter() {
        checker.text(text, Place { env: &seen, ..place.with_secrets() });
        let is_secret = uses_secret(text, &seen);
        seen.set(name, is_secret);
    }
}

/// Variables over others of `defaults`: a name that is there already keeps its place, so that what uses it still can. One that itself
/// uses variables comes last, so that it sees them all.
pub(super) fn merge(inherited: &IndexMap<String, Text>, own: &Named<Text>) -> IndexMap<String, Text> {
    let mut merged = inherited.clone();
    for (name, text) in own.iter() {
        put(&mut merged, name, text);
    }
    merged
}

/// Sets one variable over others.
pub(super) fn put(merged: &mut IndexMap<String, Text>, name: &str, text: &Text) {
    if uses_environment(text) {
        merged.shift_remove(name);
    }
    merged.insert(name.to_owned(), text.clone());
}

/// The variables that can be named where these are set, over those of `outer`.
pub(super) fn environment(entries: &IndexMap<String, Text>, outer: &Environment) -> Environment {
    let mut environment = outer.clone();
    for (name, text) in entries {
        let is_secret = uses_secret(text, &environment);
        environment.set(name, is_secret);
    }
    environment
}
