//! From a decoded scalar back to its source, and from the parser's errors to what helps an author.

use granit_parser::ErrorKind;

use super::node::{ScalarMap, Style};
use crate::source::{Source, Span};

/// How the bytes of a scalar's text are found again in the source.
pub(crate) fn scalar_map(source: &Source, text: &str, style: Style, span: Span) -> ScalarMap {
    let written = source.slice(span);
    let inexact = ScalarMap::Start(span.start);
    match style {
        Style::Plain if written == text => ScalarMap::Linear(span.start),
        Style::SingleQuoted | Style::DoubleQuoted => {
            let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or("");
            if inner == text && !inner.contains('\n') {
                return ScalarMap::Linear(span.start + 1);
            }
            if inner.contains('\n') {
                return inexact;
            }
            quoted_pieces(inner, text, span.start + 1, style)
                .map_or(inexact, |pieces| ScalarMap::Pieces(pieces.into()))
        }
        Style::Literal => {
            literal_pieces(source, text, span).map_or(inexact, |pieces| ScalarMap::Pieces(pieces.into()))
        }
        Style::Plain | Style::Folded => inexact,
    }
}

/// Pieces of a one-line quoted scalar, split at its escapes; `None` when they don't add up to the text.
fn quoted_pieces(inner: &str, text: &str, start: u32, style: Style) -> Option<Vec<(u32, u32)>> {
    let mut pieces = vec![(0, start)];
    let (mut decoded, mut at) = (0, 0);
    while at < inner.len() {
        let rest = &inner[at..];
        let escape = match style {
            Style::SingleQuoted => usize::from(rest.starts_with("''")) * 2,
            _ => escape_length(rest),
        };
        let written = if escape > 0 { escape } else { rest.chars().next()?.len_utf8() };
        let length = text.get(decoded..)?.chars().next()?.len_utf8();
        at += written;
        decoded += length;
        if escape > 0 {
            pieces.push((u32::try_from(decoded).ok()?, start + u32::try_from(at).ok()?));
        }
    }
    if decoded == text.len() { Some(pieces) } else { None }
}

/// Bytes of the escape with which a text begins; 0 when it begins with none.
fn escape_length(rest: &str) -> usize {
    let Some(after) = rest.strip_prefix('\\') else { return 0 };
    match after.bytes().next() {
        Some(b'x') => 4,
        Some(b'u') if is_surrogate(after) => 12,
        Some(b'u') => 6,
        Some(b'U') => 10,
        Some(_) => 1 + after.chars().next().map_or(0, char::len_utf8),
        None => 1,
    }
    .min(rest.len())
}

/// Whether `uXXXX` is the first half of a pair, which together are one character.
fn is_surrogate(after: &str) -> bool {
    let half = after.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    half.is_some_and(|half| (0xd800..0xdc00).contains(&half))
}

/// A piece for each line of a literal block: the line without its indentation.
fn literal_pieces(source: &Source, text: &str, span: Span) -> Option<Vec<(u32, u32)>> {
    let mut line = source.location(span.start).line;
    let leading = text.len() - text.trim_start_matches('\n').len();
    // The parser's span may begin after blank lines that are part of the text.
    if !source.line_text(line).trim().is_empty() {
        line -= leading.min(line - 1);
    }
    let mut pieces = Vec::new();
    let mut decoded = 0;
    for content in text.split_inclusive('\n') {
        let shown = content.strip_suffix('\n').unwrap_or(content);
        let written = source.line_text(line);
        let indent = written.len().checked_sub(shown.len()).filter(|_| written.ends_with(shown));
        // A blank line may have fewer blanks than the indentation, or more than the text keeps.
        let indent =
            indent.filter(|indent| written.as_bytes()[..*indent].iter().all(|byte| *byte == b' '))?;
        pieces.push((u32::try_from(decoded).ok()?, u32::try_from(source.line_start(line) + indent).ok()?));
        decoded += content.len();
        line += 1;
    }
    Some(pieces)
}

/// What the parser found, in words for authors, and what to do about it.
pub(crate) fn explain(kind: &ErrorKind, info: &str, line: &str) -> (String, Option<&'static str>) {
    let help = match kind {
        ErrorKind::MappingValueNotAllowed => Some("quote a value that holds `: `"),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            Some("indent with spaces")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            Some("use single quotes, in which a backslash is a backslash")
        }
        ErrorKind::UnexpectedCharacter { .. } => Some("quote a value that begins with this character"),
        ErrorKind::UnclosedQuotedScalar => Some("the closing quote is missing"),
        _ if info.contains("tab") => Some("indent with spaces"),
        // Also where a bracket is missing; but that is seen, and this is not.
        _ if info.contains("flow mapping") || info.contains("flow sequence") => {
            Some("within `{ }` and `[ ]` quote a value that holds `{{ }}`, a brace, a bracket or a comma")
        }
        _ if line.contains("{{") => {
            Some("quote a value that begins with `{{`, `[`, `*`, `&`, `!` or `%`, or holds `: ` or ` #`")
        }
        _ => None,
    };
    (format!("this is not YAML: {info}"), help)
}
