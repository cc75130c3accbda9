//! An author's mistake, with its place: collected, sorted, shown. Nothing here stops at the first one.
//!
//! Codes are stable words that scripts may match (`validate --format json`). Those of reading a document:
//!
//! | code | meaning |
//! | --- | --- |
//! | `encoding` | not UTF-8 |
//! | `too-large` | over 8 MiB, deeper than 64, or more nodes after aliases than the limit |
//! | `forbidden-character` | control, bidirectional or line-separator character |
//! | `yaml-syntax` | not YAML |
//! | `yaml-tag`, `yaml-document`, `yaml-alias`, `yaml-merge` | a tag; a second document; an unknown alias; a merge key without a map |
//! | `unquoted-template` | `{{ … }}` at the start of a value without quotes |
//! | `duplicate-key` | a key that stands twice in one map |
//! | `unknown-key` | a key that the language does not have there |
//! | `missing-key` | a key that must be there |
//! | `wrong-type` | another kind of YAML value than expected |
//! | `invalid-value` | the right kind, but not in the range or form |
//! | `invalid-name` | an id, parameter or other name that breaks the rules of names |
//! | `duplicate-id` | two steps of one name, `-` and `_` being the same |
//! | `no-action`, `several-actions` | a step, check or undo without exactly one action |
//! | `meaningless-key` | a key of the language that means nothing beside this action |
//! | `expression-braces` | an expression written inside `{{ }}` |
//! | `invalid-pattern` | a regular expression that does not compile |
//! | `invalid-default` | a default that its own parameter would refuse |
//! | `too-many` | the closing line when there are more mistakes than are shown |

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::source::{Source, Span};

/// How many diagnostics are reported; a file with more has one cause, not a thousand.
pub const MAXIMUM_SHOWN: usize = 1000;
/// How many are kept while collecting, so that a hostile file can't fill the memory.
const MAXIMUM_KEPT: usize = 10_000;
/// Longest part of a source line that is quoted, in characters.
const MAXIMUM_QUOTED: usize = 160;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs; `lint --deny warnings` refuses it.
    Warning,
}

impl Severity {
    /// The word as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake of an author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable kebab-case word, see the module's list.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Name of the [`Source`] that the spans are of.
    pub file: Arc<str>,
    /// The place.
    pub span: Span,
    /// What is wrong: a lowercase sentence without a full stop.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
    /// Other places in the same file that belong to it ("first defined here").
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// An error at `span` of `file`.
    #[must_use]
    pub fn error(file: &Arc<str>, code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            file: Arc::clone(file),
            span,
            message: message.into(),
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning at `span` of `file`.
    #[must_use]
    pub fn warning(file: &Arc<str>, code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, code, span, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with another place.
    #[must_use]
    pub fn with_related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }

    /// The shape of `--format json` (cli.md). `source` is the one named by `file`.
    #[must_use]
    pub fn located(&self, source: &Source) -> Located {
        let location = source.location(self.span.start);
        Located {
            file: self.file.to_string(),
            line: location.line,
            column: location.column,
            severity: self.severity,
            code: self.code,
            message: self.message.clone(),
            help: self.help.clone(),
        }
    }
}

/// One diagnostic as `validate --format json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Located {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// Stable word.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Collects diagnostics while reading goes on.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Beyond an internal limit they are only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.kept.len() < MAXIMUM_KEPT {
            self.kept.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Self) {
        self.dropped += other.dropped;
        for diagnostic in other.kept {
            self.push(diagnostic);
        }
    }

    /// Drops those that `keep` says no to.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.kept.retain(keep);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether any is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.kept.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Those collected so far, in the order of discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// All of them by file and position, each once (an alias repeats its mistakes), at most [`MAXIMUM_SHOWN`] and then a closing line
    /// that says how many more there are.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        // The files stay in the order in which they were read.
        let mut files: Vec<Arc<str>> = Vec::new();
        for diagnostic in &self.kept {
            if !files.contains(&diagnostic.file) {
                files.push(Arc::clone(&diagnostic.file));
            }
        }
        let rank = |file: &Arc<str>| files.iter().position(|known| known == file);
        self.kept.sort_by_key(|diagnostic| (rank(&diagnostic.file), diagnostic.span));
        let mut seen = std::collections::HashSet::new();
        self.kept.retain(|diagnostic| {
            seen.insert((
                diagnostic.code,
                Arc::clone(&diagnostic.file),
                diagnostic.span,
                diagnostic.message.clone(),
            ))
        });
        let more = self.kept.len().saturating_sub(MAXIMUM_SHOWN) + self.dropped;
        self.kept.truncate(MAXIMUM_SHOWN);
        if let Some(last) = self.kept.last().filter(|_| more > 0) {
            let closing = Diagnostic::error(
                &last.file,
                "too-many",
                last.span,
                format!("{more} more mistakes are not shown"),
            );
            self.kept.push(closing);
        }
        self.kept
    }
}

/// The candidate that was probably meant by `word`: equal but for case, `-`, `_` and spaces, or no further away than about a third of its
/// length in typing mistakes (swapped letters count as one).
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Words of this length are no typing mistakes, and the distance is quadratic.
    if word.len() > 100 {
        return None;
    }
    let folded = fold(word);
    let allowed = folded.chars().count().div_ceil(3).min(4);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate.len() > 100 || candidate == word {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
        let near = distance <= allowed && distance < folded.chars().count().max(1);
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.chars()
        .filter(|character| !matches!(character, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// One diagnostic as plain text in the manner of rustc, ending in a newline. Control, bidirectional and invisible characters of the
/// source line and the message are made visible. `source` is the one that the diagnostic's `file` names.
#[must_use]
pub fn render(diagnostic: &Diagnostic, source: &Source) -> String {
    let location = source.location(diagnostic.span.start);
    let related = diagnostic.related.iter().map(|(span, _)| source.location(span.start).line);
    let widest = related.chain([location.line]).max().unwrap_or(1).to_string().len();
    let mut text =
        format!("{}[{}]: {}\n", diagnostic.severity.as_str(), diagnostic.code, visible(&diagnostic.message));
    let (file, line, column) = (visible(&diagnostic.file), location.line, location.column);
    let _ = writeln!(text, "{:widest$}--> {file}:{line}:{column}", "");
    let _ = writeln!(text, "{:widest$} |", "");
    quote(&mut text, source, diagnostic.span, widest, '^', "");
    for (span, note) in &diagnostic.related {
        quote(&mut text, source, *span, widest, '-', &visible(note));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(text, "{:widest$} = help: {}", "", visible(help));
    }
    text
}

/// A source line with its number and a marker line under `span`.
fn quote(text: &mut String, source: &Source, span: Span, widest: usize, mark: char, note: &str) {
    let location = source.location(span.start);
    let line = source.line_text(location.line);
    let start = location.column - 1;
    // A line may be megabytes long: only the part around the place is shown.
    let skipped = start.saturating_sub(MAXIMUM_QUOTED / 2);
    let length = source.slice(span).lines().next().map_or(0, |marked| marked.chars().count());
    let (mut shown, mut before, mut marked) = (String::new(), 0, 0);
    for (index, character) in line.chars().enumerate().skip(skipped).take(MAXIMUM_QUOTED) {
        let piece = visible_character(character);
        let width = piece.chars().count();
        if index < start {
            before += width;
        } else if index < start + length {
            marked += width;
        }
        shown.push_str(&piece);
    }
    let marks: String = std::iter::repeat_n(mark, marked.max(1)).collect();
    let _ = writeln!(text, "{:>widest$} | {shown}", location.line);
    let _ = writeln!(
        text,
        "{:widest$} | {:before$}{marks}{}{note}",
        "",
        "",
        if note.is_empty() { "" } else { " " }
    );
}

fn visible(text: &str) -> String {
    text.chars().map(visible_character).collect()
}

fn visible_character(character: char) -> String {
    match character {
        '\t' => " ".to_owned(),
        character if is_deceptive(character) => format!("\\u{{{:x}}}", u32::from(character)),
        character => character.to_string(),
    }
}

/// Whether a character can make a text look like another: controls, bidirectional and zero-width characters, line separators.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(span: Span) -> Diagnostic {
        Diagnostic::error(&Arc::from("a.yaml"), "unknown-key", span, "unknown key `timout`")
            .with_help("did you mean `timeout`?")
    }

    #[test]
    fn suggestions() {
        let candidates = ["timeout", "needs", "on_failure", "id", "run"];
        for (word, expected) in [
            ("timout", Some("timeout")),
            ("tiemout", Some("timeout")),
            ("needz", Some("needs")),
            ("onFailure", Some("on_failure")),
            ("on-failure", Some("on_failure")),
            ("ID", Some("id")),
            ("nonsense", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(suggest(word, candidates), expected, "{word}");
        }
    }

    #[test]
    fn rendering_marks_the_place() {
        let source = Source::new("a.yaml", "steps:\n  - timout: 5\n");
        let diagnostic = sample(Span::new(11, 17)).with_related(Span::new(0, 5), "in these");
        insta::assert_snapshot!(render(&diagnostic, &source), @r"
        error[unknown-key]: unknown key `timout`
         --> a.yaml:2:5
          |
        2 |   - timout: 5
          |     ^^^^^^
        1 | steps:
          | ----- in these
          = help: did you mean `timeout`?
        ");
    }

    #[test]
    fn what_deceives_is_made_visible() {
        let source = Source::new("a.yaml", "a\u{202e}b\u{1b}: timout");
        let start = source.text().find("timout").expect("it is there");
        let rendered = render(&sample(Span::new(start, start + 6)), &source);
        assert!(rendered.contains("1 | a\\u{202e}b\\u{1b}: timout\n"), "{rendered}");
        assert!(rendered.contains(&format!("  | {}^^^^^^\n", " ".repeat(18))), "{rendered}");
        assert!(!rendered.contains(['\u{202e}', '\u{1b}']));
    }

    #[test]
    fn a_very_long_line_is_cropped() {
        let source = Source::new("a.yaml", &"x".repeat(100_000));
        let rendered = render(&sample(Span::new(50_000, 50_006)), &source);
        assert!(rendered.len() < 1000);
        assert!(rendered.contains("^^^^^^\n"));
    }

    #[test]
    fn sorted_once_each_and_capped() {
        let mut diagnostics = Diagnostics::new();
        for start in (0..1500).rev() {
            diagnostics.push(sample(Span::at(start)));
            diagnostics.push(sample(Span::at(start)));
        }
        let sorted = diagnostics.into_sorted();
        assert_eq!(sorted.len(), MAXIMUM_SHOWN + 1);
        assert!(sorted.is_sorted_by_key(|diagnostic| diagnostic.span));
        assert_eq!(sorted[MAXIMUM_SHOWN].message, "500 more mistakes are not shown");
    }

    #[test]
    fn the_shape_of_json() {
        let source = Source::new("a.yaml", "ö: 1\nü: 2");
        let located = sample(Span::new(6, 8)).located(&source);
        assert_eq!(
            serde_json::to_string(&located).expect("it is plain data"),
            r#"{"file":"a.yaml","line":2,"column":1,"severity":"error","code":"unknown-key","message":"unknown key `timout`","help":"did you mean `timeout`?"}"#
        );
    }
}
