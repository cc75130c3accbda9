//! The mistakes found while a plan is made.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, suggest};
use crate::document::text::Text;
use crate::source::{Source, Span};
use crate::template::TemplateError;

/// How many names are compared with mistyped ones in all: near names for the first mistakes of a long runbook, not for all of them.
const COMPARED_MAX: usize = 60_000;

/// Collects mistakes in one text.
pub(super) struct Report {
    source: Source,
    file: Arc<str>,
    diagnostics: Diagnostics,
    compared: usize,
}

impl Report {
    pub(super) fn new(source: &Source) -> Self {
        Self {
            source: source.clone(),
            file: source.shared_name(),
            diagnostics: Diagnostics::new(),
            compared: 0,
        }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The text's name.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn into_diagnostics(self) -> Diagnostics {
        self.diagnostics
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds all that another report has collected, in its own file.
    pub(super) fn take(&mut self, other: Self) {
        self.diagnostics.extend(other.diagnostics);
    }

    pub(super) fn make(&self, code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.file, code, span, message)
    }

    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        let diagnostic = self.make(code, span, message);
        self.push(diagnostic);
    }

    /// An error with the nearest candidate as help, as long as looking for it stays cheap.
    pub(super) fn unknown<'c>(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        word: &str,
        candidates: impl ExactSizeIterator<Item = &'c str>,
    ) {
        let mut diagnostic = self.make(code, span, message);
        self.compared += candidates.len();
        if self.compared <= COMPARED_MAX
            && let Some(near) = suggest(word, candidates)
        {
            diagnostic = diagnostic.with_help(format!("did you mean `{near}`?"));
        }
        self.push(diagnostic);
    }

    /// Mistakes in a template or expression, at their places in the file.
    pub(super) fn template(&mut self, text: &Text, errors: impl IntoIterator<Item = TemplateError>) {
        for error in errors {
            self.at(text, error.range, error.code, error.message, error.help);
        }
    }

    /// A mistake in a part of a text.
    pub(super) fn at(
        &mut self,
        text: &Text,
        range: Range<usize>,
        code: &'static str,
        message: String,
        help: Option<String>,
    ) {
        let mut span = text.source_span(range.clone());
        if span == text.span() {
            span = self.found_again(text, range).unwrap_or(span);
        }
        let mut diagnostic = self.make(code, span, message);
        diagnostic.help = help;
        self.push(diagnostic);
    }

    /// The place of a part of a text that stands in the file otherwise, folded or over several lines: where its words are found
    /// again there, as often as in the text.
    fn found_again(&self, text: &Text, range: Range<usize>) -> Option<Span> {
        let part = text.get(range.clone()).filter(|part| !part.is_empty())?;
        let whole = text.span();
        let written = self.source.text().get(whole.start as usize..whole.end as usize)?;
        let before = text.get(..range.start)?.matches(part).count();
        if written.matches(part).count() != text.matches(part).count() {
            return None;
        }
        let (at, _) = written.match_indices(part).nth(before)?;
        let start = whole.start as usize + at;
        Some(Span::new(start, start + part.len()))
    }
}
