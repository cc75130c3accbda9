//! Tables of (text, mistakes), the examples of the language page, and what must hold for any text.

mod accepted;
mod limits;
mod mistakes;
mod params;
mod properties;
mod schemas;

use super::model::Runbook;
use crate::diagnostic::Diagnostic;
use crate::source::Source;

/// Reads a runbook that must have no mistakes.
#[track_caller]
fn good(text: &str) -> Runbook {
    let source = Source::new("a.yaml", text);
    let (document, diagnostics) = super::parse(&source);
    let shown = shown(&source, diagnostics.into_sorted());
    assert!(shown.is_empty(), "{text}\n{shown:#?}");
    document.expect("a text without mistakes is a document")
}

/// Each mistake as `code line:column message`.
fn shown(source: &Source, diagnostics: impl IntoIterator<Item = Diagnostic>) -> Vec<String> {
    let line = |diagnostic: &Diagnostic| {
        let place = source.location(diagnostic.span.start);
        let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{} {}:{} {}{help}", diagnostic.code, place.line, place.column, diagnostic.message)
    };
    diagnostics.into_iter().map(|diagnostic| line(&diagnostic)).collect()
}

/// The mistakes of a text.
fn mistakes(text: &str) -> Vec<String> {
    let source = Source::new("a.yaml", text);
    shown(&source, super::parse(&source).1.into_sorted())
}
