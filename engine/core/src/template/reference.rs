//! The names that an expression uses.

use std::ops::Range;

/// One use of a name in a template or expression, as far as the name is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The bytes of the template's (or expression's) own source that hold the name.
    pub range: Range<usize>,
    /// The parts of the name as written: `params.version` is `["params", "version"]`,
    /// `steps["backup.dump"].outputs.file` is `["steps", "backup.dump", "outputs", "file"]`. It ends where a part is computed.
    pub path: Vec<String>,
    /// True where `| default(…)`, `is defined` or `is undefined` directly follows, so that an undefined value is no error.
    pub defaulted: bool,
}

impl Reference {
    /// Returns the name as people read it: `steps.backup.stdout`, `steps["backup.dump"].stdout`.
    #[must_use]
    pub fn dotted(&self) -> String {
        dotted(&self.path)
    }
}

/// A reference that an expression compares with a text written out beside it: `steps.pick.choice == "deploy"`.
///
/// Validation uses it to refuse a comparison with an option or choice that doesn't exist (language.md §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The bytes of the expression's own source that hold the text, quotes included.
    pub range: Range<usize>,
    /// The parts of the name, as in [`Reference::path`].
    pub path: Vec<String>,
    /// The text that it is compared with.
    pub literal: String,
}

/// Returns the form of a name under which names that differ only in `-` and `_` are the same (language.md §7).
#[must_use]
pub fn canonical_name(name: &str) -> String {
    name.replace('-', "_")
}

pub(crate) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        let plain = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if text.is_empty() {
            text.push_str(part);
        } else if plain {
            text.push('.');
            text.push_str(part);
        } else {
            text.push_str("[\"");
            text.push_str(part);
            text.push_str("\"]");
        }
    }
    text
}
