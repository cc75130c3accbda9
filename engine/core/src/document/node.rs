//! The located tree: what a YAML text says, and where it says it.

use std::ops::Range;
use std::sync::Arc;

use crate::source::Span;

/// One value of a YAML text.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands: a scalar whole with its quotes, a flow collection from bracket to bracket, a block collection its first line's
    /// key or dash. For a value that came by an alias: where it was written.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A map, in the order of the text, without duplicates.
    Mapping(Vec<(Node, Node)>),
}

/// A single value as text; what it means is decided by who reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// The value without quotes, escapes and indentation.
    pub text: Arc<str>,
    /// How it is written.
    pub style: Style,
    /// Where its bytes come from.
    pub map: ScalarMap,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// From an offset in a scalar's decoded text to the place in the source that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScalarMap {
    /// Byte for byte, from this offset on.
    Linear(u32),
    /// Pairs of (decoded offset, source offset), ascending; byte for byte from each pair to the next.
    Pieces(Arc<[(u32, u32)]>),
    /// Only the start is known.
    Start(u32),
}

impl ScalarMap {
    /// The byte offset in the source of a byte of the decoded text.
    #[must_use]
    pub fn source_offset(&self, decoded: usize) -> u32 {
        let decoded = u32::try_from(decoded).unwrap_or(u32::MAX);
        match self {
            Self::Linear(start) => start.saturating_add(decoded),
            Self::Start(start) => *start,
            Self::Pieces(pieces) => {
                let after = pieces.partition_point(|(offset, _)| *offset <= decoded);
                let Some((offset, source)) = pieces.get(after.saturating_sub(1)) else { return 0 };
                source.saturating_add(decoded.saturating_sub(*offset))
            }
        }
    }

    /// The span in the source of a range of the decoded text, kept inside `whole`, the scalar's own span.
    #[must_use]
    pub fn source_span(&self, range: &Range<usize>, whole: Span) -> Span {
        if matches!(self, Self::Start(_)) {
            return whole;
        }
        let start = self.source_offset(range.start);
        // The end is mapped by its last byte: the piece after it may be far away.
        let end =
            if range.end > range.start { self.source_offset(range.end - 1).saturating_add(1) } else { start };
        let start = start.clamp(whole.start, whole.end);
        Span { start, end: end.clamp(start, whole.end) }
    }
}

/// What a plain scalar means by the YAML 1.2 core schema; a quoted or block one is always text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// Anything else.
    Text,
}

impl Scalar {
    /// What it means by the core schema.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.style != Style::Plain {
            return Kind::Text;
        }
        match &*self.text {
            "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
            "true" | "True" | "TRUE" => return Kind::Boolean(true),
            "false" | "False" | "FALSE" => return Kind::Boolean(false),
            _ => {}
        }
        if let Some(value) = integer(&self.text) {
            Kind::Integer(value)
        } else {
            float(&self.text).map_or(Kind::Text, Kind::Float)
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return if digits.starts_with(['+', '-']) { None } else { i64::from_str_radix(digits, 16).ok() };
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return if digits.starts_with(['+', '-']) { None } else { i64::from_str_radix(digits, 8).ok() };
    }
    text.parse().ok()
}

fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // Rust also reads `inf` and `nan`, which are words in YAML.
    let numeric = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if numeric { text.parse().ok() } else { None }
}

impl Node {
    /// The scalar, if it is one.
    #[must_use]
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The value under a key, if it is a map that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else { return None };
        let found = entries.iter().find(|(key, _)| key.scalar().is_some_and(|key| &*key.text == name));
        found.map(|(_, value)| value)
    }

    /// Whether it is null: `null`, `~` or nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.kind() == Kind::Null)
    }

    /// The byte offset in the source of a byte of a scalar's decoded text; for a collection its start.
    #[must_use]
    pub fn source_offset(&self, decoded: usize) -> u32 {
        self.scalar().map_or(self.span.start, |scalar| {
            scalar.map.source_offset(decoded).clamp(self.span.start, self.span.end)
        })
    }

    /// What it is in words, for "expected …, found …".
    #[must_use]
    pub fn found(&self) -> String {
        match &self.value {
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a map".to_owned(),
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => "nothing (null)".to_owned(),
                Kind::Boolean(_) => format!("the boolean `{}`", scalar.text),
                Kind::Integer(_) | Kind::Float(_) => format!("the number `{}`", crop(&scalar.text)),
                Kind::Text => format!("the text `{}`", crop(&scalar.text)),
            },
        }
    }
}

/// The first line of a text, at most 60 characters of it, for messages.
pub(crate) fn crop(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let mut shown: String = line.chars().take(60).collect();
    if shown.len() < text.trim_end().len() {
        shown.push('…');
    }
    shown
}
