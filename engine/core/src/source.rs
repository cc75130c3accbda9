//! A text with a name, and places in it.

use std::sync::Arc;

/// A range of byte offsets into one [`Source`], end exclusive. It says nothing about which source: whoever holds it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The range from `start` to `end`; offsets beyond 4 GiB (no source is that long) are clamped.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let end = u32::try_from(end).unwrap_or(u32::MAX).max(start);
        Self { start, end }
    }

    /// The empty range at `offset`.
    #[must_use]
    pub fn at(offset: usize) -> Self {
        Self::new(offset, offset)
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The same as a range for slicing.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A place as people count: both from 1, the column in characters (language.md §1 "Errors").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The text of one file, with the name under which people know it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Offset of each line's first byte.
    line_starts: Arc<[u32]>,
}

impl Source {
    /// A source of that name. A byte order mark at the start is dropped (language.md §1).
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = breaks.map(|(offset, _)| u32::try_from(offset + 1).unwrap_or(u32::MAX));
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self { name: name.into(), text: text.into(), line_starts }
    }

    /// The name under which the file is shown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, shared.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The whole text, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands at `span`; empty where the span is not of this source.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Line and column of a byte offset. An offset inside a character is that character's place, one beyond the end the end's.
    #[must_use]
    pub fn location(&self, offset: u32) -> Location {
        let offset = self.floor(offset as usize);
        let line = self.line_index(offset);
        let start = self.line_starts[line] as usize;
        Location { line: line + 1, column: self.text[start..offset].chars().count() + 1 }
    }

    /// The text of a line (from 1), without its line break; empty for a line that does not exist.
    #[must_use]
    pub fn line_text(&self, line: usize) -> &str {
        let Some(range) = self.line_range(line) else { return "" };
        let text = &self.text[range];
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// Byte offset at which a line (from 1) starts.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.line_range(line).map_or(self.text.len(), |range| range.start)
    }

    /// The nearest character boundary at or before `offset`.
    pub(crate) fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|offset| self.text.is_char_boundary(*offset)).unwrap_or(0)
    }

    fn line_index(&self, offset: usize) -> usize {
        let after = self.line_starts.partition_point(|start| *start as usize <= offset);
        after.saturating_sub(1)
    }

    fn line_range(&self, line: usize) -> Option<std::ops::Range<usize>> {
        let start = *self.line_starts.get(line.checked_sub(1)?)? as usize;
        let end = self.line_starts.get(line).map_or(self.text.len(), |end| *end as usize);
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::new("a.yaml", "eins\nzwö: x\r\n\ndrei");
        for (offset, line, column) in [
            (0, 1, 1),
            (4, 1, 5),
            (5, 2, 1),
            (7, 2, 3),
            (8, 2, 3),
            (9, 2, 4),
            (14, 3, 1),
            (19, 4, 5),
            (99, 4, 5),
        ] {
            assert_eq!(source.location(offset), Location { line, column }, "offset {offset}");
        }
        assert_eq!(source.line_text(2), "zwö: x");
        assert_eq!(source.line_text(3), "");
        assert_eq!(source.line_text(4), "drei");
        assert_eq!(source.line_text(0), "");
        assert_eq!(source.line_text(5), "");
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let source = Source::new("a.yaml", "\u{feff}name: x");
        assert_eq!(source.text(), "name: x");
        assert_eq!(source.location(4), Location { line: 1, column: 5 });
    }

    #[test]
    fn an_empty_text_has_one_line() {
        let source = Source::new("a.yaml", "");
        assert_eq!(source.location(7), Location { line: 1, column: 1 });
        assert_eq!(source.line_text(1), "");
    }
}
