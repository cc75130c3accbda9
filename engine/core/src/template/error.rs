//! What can be wrong with a template or an expression: as written, and when it is rendered.

use std::ops::Range;

/// A mistake in a template or expression, found before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The bytes of the template's (or expression's) own source that are meant.
    pub range: Range<usize>,
    /// A stable name of the rule, such as `template-syntax` or `shell-eval`.
    pub code: &'static str,
    /// What is wrong, as a fragment that starts in lower case.
    pub message: String,
    /// How to write it instead.
    pub help: Option<String>,
}

impl TemplateError {
    pub(crate) fn new(range: Range<usize>, code: &'static str, message: impl Into<String>) -> Self {
        Self { range, code, message: message.into(), help: None }
    }

    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn moved_by(mut self, bytes: usize) -> Self {
        self.range = self.range.start + bytes..self.range.end + bytes;
        self
    }
}

/// Why a template could not be rendered, or an expression not be evaluated, with the values at hand.
///
/// The message may quote values: whoever shows it sends it through the redactor and the sanitiser like any other text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RenderError {
    /// The bytes of the template's (or expression's) own source that are meant.
    pub range: Range<usize>,
    /// A stable name of the rule, such as `undefined-value` or `value-too-long`.
    pub code: &'static str,
    /// What is wrong, as a fragment that starts in lower case.
    pub message: String,
    /// How to write it instead.
    pub help: Option<String>,
}

impl RenderError {
    pub(crate) fn new(range: Range<usize>, code: &'static str, message: impl Into<String>) -> Self {
        Self { range, code, message: message.into(), help: None }
    }

    /// What is wrong and how to write it instead, as the reason of a step that failed: a run has no place to point at.
    #[must_use]
    pub(crate) fn in_one_line(self) -> String {
        match self.help {
            Some(help) => format!("{}: {help}", self.message),
            None => self.message,
        }
    }

    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn moved_by(mut self, bytes: usize) -> Self {
        self.range = self.range.start + bytes..self.range.end + bytes;
        self
    }
}
