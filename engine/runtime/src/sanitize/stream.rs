//! What a step prints, made harmless for a live terminal.
//!
//! ```text
//!            ESC          [            m                 pass (colour wanted) or drop
//!   text ───────▶ escape ───▶ sequence ─┬─ K             drop: it only tidies up
//!    ▲                │                 └─ anything else show `␛[…`, read on as text
//!    └────────────────┴── show `␛`, read on as text
//! ```

use super::visible::{push_invalid, push_visible};

/// A longer sequence is none that sets a colour.
const SEQUENCE_LEN_MAX: usize = 64;
/// A line without an end is shown in parts of this size, so that memory is bounded.
const LINE_LEN_MAX: usize = 16 * 1024;
const RESET: &str = "\x1b[0m";

/// Whether colours of the command are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Sequences that set colours pass, and are closed at the end of each line.
    Keep,
    /// They are dropped.
    Drop,
}

/// Turns output that arrives in pieces into lines for a terminal; how it was cut makes no difference.
///
/// Complete lines are appended to `out`, the unfinished one is [`TerminalStream::partial`]. Of a line that a carriage return
/// starts over, as progress bars do, only the last state is shown. Anything else that acts on a terminal is made visible.
#[derive(Debug)]
pub struct TerminalStream {
    colour: Colour,
    /// The line at hand, sanitised.
    line: String,
    /// A carriage return came last: what follows replaces the line, unless it is the newline.
    returned: bool,
    /// A colour is set in `line` and not taken back.
    coloured: bool,
    before: Option<char>,
    /// The beginning of a character, at most 3 bytes.
    bytes: Vec<u8>,
    /// The beginning of a sequence: empty, `ESC`, or `ESC [` and parameters.
    sequence: String,
}

impl TerminalStream {
    /// Begins a stream.
    pub fn new(colour: Colour) -> Self {
        Self {
            colour,
            line: String::new(),
            returned: false,
            coloured: false,
            before: None,
            bytes: Vec::new(),
            sequence: String::new(),
        }
    }

    /// Takes a piece in; appends the lines that it completes, each with its newline.
    pub fn push(&mut self, input: &[u8], out: &mut String) {
        let mut joined = std::mem::take(&mut self.bytes);
        let input = if joined.is_empty() {
            input
        } else {
            joined.extend_from_slice(input);
            &joined
        };
        let mut chunks = input.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for character in chunk.valid().chars() {
                self.take(character, out);
            }
            if chunks.peek().is_none() && is_beginning_of_character(chunk.invalid()) {
                self.bytes = chunk.invalid().to_vec();
            } else {
                self.take_invalid(chunk.invalid(), out);
            }
        }
    }

    /// The unfinished line as it can be shown by now: a prompt, a progress bar.
    pub fn partial(&self) -> String {
        if self.coloured { format!("{}{RESET}", self.line) } else { self.line.clone() }
    }

    /// Ends the stream: appends the unfinished line, if there is one, with a newline.
    pub fn finish(&mut self, out: &mut String) {
        let bytes = std::mem::take(&mut self.bytes);
        self.take_invalid(&bytes, out);
        self.show_sequence();
        if !self.line.is_empty() {
            self.end_line(out);
        }
        self.returned = false;
    }

    fn take(&mut self, character: char, out: &mut String) {
        if !self.sequence.is_empty() && self.take_in_sequence(character) {
            return;
        }
        match character {
            '\x1b' => self.sequence.push(character),
            '\n' => self.end_line(out),
            '\r' => self.returned = true,
            _ => {
                self.begin_over(out);
                if character == '\t' {
                    self.line.push(character);
                } else {
                    push_visible(self.before, character, &mut self.line);
                }
                self.before = Some(character);
            }
        }
    }

    fn take_invalid(&mut self, bytes: &[u8], out: &mut String) {
        if !bytes.is_empty() {
            self.show_sequence();
            self.begin_over(out);
            push_invalid(bytes, &mut self.line);
            self.before = None;
        }
    }

    /// Whether `character` belongs to the sequence that is open; otherwise what was held of it is shown.
    fn take_in_sequence(&mut self, character: char) -> bool {
        match (self.sequence.len(), character) {
            (1, '[') => {}
            (2..SEQUENCE_LEN_MAX, '0'..='9' | ';' | ':') => {}
            (2.., 'm') if !conceals(&self.sequence[2..]) => {
                self.set_colour();
                return true;
            }
            (2.., 'K') => {
                self.sequence.clear();
                return true;
            }
            _ => {
                self.show_sequence();
                return false;
            }
        }
        self.sequence.push(character);
        true
    }

    fn set_colour(&mut self) {
        let sequence = std::mem::take(&mut self.sequence);
        if self.colour == Colour::Drop {
            return;
        }
        // A colour after a carriage return belongs to what comes next.
        if self.returned {
            self.clear_line();
        }
        let parameters = &sequence[2..];
        let resets = parameters.split(';').all(|parameter| parameter.bytes().all(|byte| byte == b'0'));
        // Taking back what isn't set says nothing; many programs do it at each line.
        if resets && !self.coloured {
            return;
        }
        self.line.push_str(&sequence);
        self.line.push('m');
        self.coloured = !resets;
    }

    /// What looked like a sequence that may pass is none.
    fn show_sequence(&mut self) {
        if self.sequence.is_empty() {
            return;
        }
        if self.returned {
            self.clear_line();
        }
        for character in std::mem::take(&mut self.sequence).chars() {
            push_visible(self.before, character, &mut self.line);
            self.before = Some(character);
        }
    }

    /// Makes room for the next character.
    fn begin_over(&mut self, out: &mut String) {
        if self.returned {
            self.clear_line();
        } else if self.line.len() >= LINE_LEN_MAX {
            self.close_colour();
            out.push_str(&self.line);
            self.line.clear();
        }
    }

    fn clear_line(&mut self) {
        self.line.clear();
        (self.returned, self.coloured, self.before) = (false, false, None);
    }

    fn close_colour(&mut self) {
        if std::mem::take(&mut self.coloured) {
            self.line.push_str(RESET);
        }
    }

    fn end_line(&mut self, out: &mut String) {
        self.close_colour();
        out.push_str(&self.line);
        out.push('\n');
        self.clear_line();
    }
}

/// Whether the sequence hides text (8); as part of a colour (`38;5;8`) the number means something else.
fn conceals(parameters: &str) -> bool {
    let mut parameters = parameters.split(';').map(|parameter| parameter.trim_start_matches('0'));
    while let Some(parameter) = parameters.next() {
        match parameter {
            "8" => return true,
            "38" | "48" | "58" => {
                let skipped = match parameters.next() {
                    Some("5") => 1,
                    Some("2") => 3,
                    _ => 0,
                };
                parameters.by_ref().take(skipped).for_each(drop);
            }
            // With colons the number stands before them (`8:…` is not defined, and not let through).
            _ if parameter.starts_with("8:") => return true,
            _ => {}
        }
    }
    false
}

/// Whether more bytes could make a character of it.
fn is_beginning_of_character(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(colour: Colour, pieces: &[&[u8]]) -> String {
        let mut out = String::new();
        let mut stream = TerminalStream::new(colour);
        for piece in pieces {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        out
    }

    #[test]
    fn lines_of_a_step_are_shown_harmless() {
        let table: [(&str, &str, &str); 18] = [
            ("plain\ttext\r\n", "plain\ttext\n", "plain\ttext\n"),
            ("no end", "no end\n", "no end\n"),
            ("", "", ""),
            ("\n\n", "\n\n", "\n\n"),
            ("\x1b[31mred\nnext", "\x1b[31mred\x1b[0m\nnext\n", "red\nnext\n"),
            ("\x1b[1;38;5;8mred\x1b[0m\x1b[m.\n", "\x1b[1;38;5;8mred\x1b[0m.\n", "red.\n"),
            ("\x1b[8mhidden\n", "␛[8mhidden\n", "␛[8mhidden\n"),
            ("\x1b[0;08mhidden\n", "␛[0;08mhidden\n", "␛[0;08mhidden\n"),
            ("10%\r20%\r30%\n", "30%\n", "30%\n"),
            ("10%\r\x1b[K\x1b[32m20%\n", "\x1b[32m20%\x1b[0m\n", "20%\n"),
            ("50%\r", "50%\n", "50%\n"),
            ("a\r\r\nb", "a\nb\n", "a\nb\n"),
            ("\x1b[2J\x1b[Hx", "␛[2J␛[Hx\n", "␛[2J␛[Hx\n"),
            ("\x1b]0;title\x07x", "␛]0;title␇x\n", "␛]0;title␇x\n"),
            ("\x1b\x1b[31mx", "␛\x1b[31mx\x1b[0m\n", "␛x\n"),
            ("\x1b[31", "␛[31\n", "␛[31\n"),
            ("\u{202e}\u{9b}1m", "‹U+202E›‹U+009B›1m\n", "‹U+202E›‹U+009B›1m\n"),
            ("\x1b[?25l\x1b[3\n1m", "␛[?25l␛[3\n1m\n", "␛[?25l␛[3\n1m\n"),
        ];
        for (output, coloured, plain) in table {
            assert_eq!(shown(Colour::Keep, &[output.as_bytes()]), coloured, "{output:?}");
            assert_eq!(shown(Colour::Drop, &[output.as_bytes()]), plain, "{output:?}");
        }
    }

    #[test]
    fn an_unfinished_line_is_seen_at_once() {
        let mut out = String::new();
        let mut stream = TerminalStream::new(Colour::Keep);
        stream.push(b"done\n\x1b[1mContinue? \xe2\x80", &mut out);
        assert_eq!((out.as_str(), stream.partial().as_str()), ("done\n", "\x1b[1mContinue? \x1b[0m"));
        stream.push(b"\xa6\x1b[0m\x1b", &mut out);
        assert_eq!(stream.partial(), "\x1b[1mContinue? …\x1b[0m");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_by_number() {
        assert_eq!(shown(Colour::Keep, &[b"\xff\xe2\x82", b"(\xe2"]), "\\xff\\xe2\\x82(\\xe2\n");
    }

    #[test]
    fn a_line_without_end_is_shown_in_parts() {
        let mut out = String::new();
        let mut stream = TerminalStream::new(Colour::Drop);
        for _ in 0..100 {
            stream.push(&[b'x'; 1024], &mut out);
            assert!(stream.partial().len() <= LINE_LEN_MAX);
        }
        stream.finish(&mut out);
        assert_eq!(out, format!("{}\n", "x".repeat(100 * 1024)));
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left_however_it_is_cut(
            output in "([ -~]|\n|\r|\t|\x1b|\x1b\\[|\x1b\\[3[1-7]m|\x1b\\[0m|\x1b\\[2?K|[0-9;:m]|\u{9b}|\u{202e}|é|\u{0}){0,60}",
            raw in proptest::collection::vec(any::<u8>(), 0..9),
            cut in 1_usize..9,
        ) {
            let bytes = [output.as_bytes(), &raw].concat();
            for colour in [Colour::Keep, Colour::Drop] {
                let whole = shown(colour, &[&bytes]);
                prop_assert_eq!(&shown(colour, &bytes.chunks(cut).collect::<Vec<_>>()), &whole);
                for line in whole.lines() {
                    let mut open = false;
                    for (index, part) in line.split('\x1b').enumerate() {
                        let text = if index == 0 { part } else {
                            prop_assert_eq!(colour, Colour::Keep);
                            let sequence = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
                            prop_assert!(sequence.is_some(), "{:?}", line);
                            let (parameters, text) = sequence.unwrap_or_default();
                            prop_assert!(parameters.bytes().all(|byte| b"0123456789;:".contains(&byte)), "{:?}", line);
                            open = !parameters.trim_matches(['0', ';']).is_empty();
                            text
                        };
                        prop_assert!(text.chars().all(|c| c == '\t' || !c.is_control() && c != '\u{202e}'), "{:?}", line);
                    }
                    prop_assert!(!open || line.ends_with(RESET), "{:?}", line);
                }
            }
        }
    }
}
