//! What goes wrong with a command, and the exit status that it has.

use runbook_core::schedule::{Refusal, RefusalKind};
use runbook_runtime::journal::JournalError;
use runbook_runtime::store::lock::LockError;
use runbook_runtime::store::{Family, ResolveError, ShareError, StoreError};

use crate::exit_code;

/// Which exit status an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The words are off, or what they name isn't there or is invalid: 2.
    Usage,
    /// It may not be: 5.
    Refused,
    /// The store or the journal: 6.
    Store,
    /// A decision is needed and nobody can be asked: 7.
    Undecided,
}

impl ErrorKind {
    /// The exit status.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Usage => exit_code::USAGE,
            Self::Refused => exit_code::REFUSED,
            Self::Store => exit_code::STORE,
            Self::Undecided => exit_code::UNDECIDED,
        }
    }
}

/// A command that came to nothing: what to say, and with which status to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandError {
    /// Decides the exit status.
    pub(crate) kind: ErrorKind,
    /// One sentence; empty where everything was said already.
    pub(crate) message: String,
    /// What lies behind it, the nearest first.
    pub(crate) causes: Vec<String>,
    /// What to do about it, each a sentence or a command to paste.
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    /// An error of this kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// The words are off: exit 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// It may not be: exit 5.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// The store or the journal: exit 6.
    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Store, message)
    }

    /// A feature of the language or the command line that comes later: exit 2.
    pub(crate) fn not_yet(what: &str) -> Self {
        Self::usage(format!("{what} is not supported yet"))
    }

    /// Everything was said already; only the status is left.
    pub(crate) fn said(kind: ErrorKind) -> Self {
        Self::new(kind, "")
    }

    /// The same with advice.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with what lies behind it, source by source.
    pub(crate) fn with_cause(mut self, cause: &dyn std::error::Error) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            let text = error.to_string();
            // Many messages repeat their source; saying it twice helps nobody.
            let said = self.message.contains(&text) || self.causes.iter().any(|cause| cause.contains(&text));
            if !said {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }
}

fn kind_of(family: Family) -> ErrorKind {
    match family {
        Family::NotFound => ErrorKind::Usage,
        Family::Busy => ErrorKind::Refused,
        Family::Broken => ErrorKind::Store,
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::new(kind_of(error.family()), error.to_string()).with_cause(&error)
    }
}

impl From<ShareError> for CommandError {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::NoSuchGroup(_) => Self::usage(error.to_string()),
            ShareError::Store(error) => error.into(),
        }
    }
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        Self::new(kind_of(error.family()), error.to_string()).with_cause(&error)
    }
}

impl From<ResolveError> for CommandError {
    fn from(error: ResolveError) -> Self {
        let told = Self::new(kind_of(error.family()), error.to_string()).with_cause(&error);
        match error {
            ResolveError::NoRuns => told.with_hint("runbook list"),
            ResolveError::Unknown { .. } => told.with_hint("runbook runs"),
            ResolveError::Ambiguous { .. } | ResolveError::AmbiguousName { .. } | ResolveError::Store(_) => {
                told
            }
        }
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        let told = Self::new(kind_of(error.family()), error.to_string()).with_cause(&error);
        match &error {
            LockError::Busy(busy) => told.with_hint(format!("runbook watch {}", busy.run)),
            LockError::Store(_) => told,
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::Usage => ErrorKind::Usage,
            // Who says the same again is not refused; callers answer that with 0 before it gets here.
            RefusalKind::NotAllowed | RefusalKind::Unchanged => ErrorKind::Refused,
            RefusalKind::Undecided => ErrorKind::Undecided,
        };
        Self::new(kind, refusal.message)
    }
}

impl CommandError {
    /// What to say: the sentence, what lies behind it, and what to do about it. Empty where all was said.
    pub(crate) fn to_text(&self) -> String {
        use crate::console::{BAD, STRONG, styled};
        use std::fmt::Write as _;

        if self.message.is_empty() && self.hints.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        if !self.message.is_empty() {
            let _ = writeln!(text, "{} {}", styled(BAD, "error:"), harmless(&self.message));
        }
        for cause in &self.causes {
            let _ = writeln!(text, "  because: {}", harmless(cause));
        }
        for hint in &self.hints {
            let _ = writeln!(text, "  {} {}", styled(STRONG, "→"), harmless(hint));
        }
        text
    }
}

/// Messages hold names and values from files and arguments.
fn harmless(text: &str) -> String {
    use runbook_runtime::sanitize::{Style, sanitize};
    sanitize(text, Style::Text).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_the_message_holds_already_is_not_said_again() {
        let io = std::io::Error::other("disk on fire");
        let error = CommandError::store("cannot write journal: disk on fire").with_cause(&io);
        assert_eq!(error.causes, Vec::<String>::new());
        let error =
            CommandError::store("cannot write journal").with_cause(&io).with_hint("runbook verify last");
        let text = anstream::adapter::strip_str(&error.to_text()).to_string();
        assert_eq!(text, "error: cannot write journal\n  because: disk on fire\n  → runbook verify last\n");
    }

    #[test]
    fn what_is_foreign_in_a_message_is_harmless() {
        let text = CommandError::usage("no runbook `\x1b[2Jx`").to_text();
        assert!(text.contains("no runbook `␛[2Jx`"), "{text}");
    }
}
