//! Characters that act, hide or reorder, shown as what they are.

use std::fmt::Write as _;

/// How much of a text's own layout is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A text of several lines: tabs and newlines are kept, CR LF is a newline.
    Text,
    /// A value within a line (a name, a title, a reason): tabs and newlines are made visible, too.
    Line,
}

/// `text` with everything that acts on a terminal, or hides or reorders what is read, made visible: controls as their picture
/// (`␛`), all else by its number (`‹U+202E›`).
pub fn sanitize(text: &str, style: Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (style, character) {
            (Style::Text, '\n' | '\t') => out.push(character),
            (Style::Text, '\r') if characters.peek() == Some(&'\n') => {}
            (Style::Text | Style::Line, _) => push_visible(before, character, &mut out),
        }
        before = Some(character);
    }
    out
}

/// The same for bytes: what is not UTF-8 is shown as `\xNN`.
pub fn sanitize_bytes(bytes: &[u8], style: Style) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        push_invalid(chunk.invalid(), &mut text);
    }
    sanitize(&text, style)
}

/// Bytes that are no UTF-8.
pub(super) fn push_invalid(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        write!(out, "\\x{byte:02x}").expect("writing to a string never fails");
    }
}

/// One character, `before` being the one that stands before it.
pub(super) fn push_visible(before: Option<char>, character: char, out: &mut String) {
    match character {
        ' '..='~' => out.push(character),
        '\0'..='\x1f' => out.push(picture(u32::from(character))),
        '\x7f' => out.push('␡'),
        _ if is_deceptive(before, character) => {
            write!(out, "‹U+{:04X}›", u32::from(character)).expect("writing to a string never fails");
        }
        _ => out.push(character),
    }
}

/// The Unicode block Control Pictures follows the order of the controls.
fn picture(control: u32) -> char {
    char::from_u32(0x2400 + control).expect("controls are below 32, their pictures assigned")
}

/// Whether it isn't seen, or changes how its neighbours are seen.
fn is_deceptive(before: Option<char>, character: char) -> bool {
    match character {
        // C1 controls; among them U+009B, which is ESC [ to some terminals, and the line separator U+0085.
        '\u{80}'..='\u{9f}' => true,
        // Bidirectional marks, embeddings, overrides and isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Line and paragraph separators.
        '\u{2028}' | '\u{2029}' => true,
        // Without width: soft hyphen, joiners, fillers, invisible operators, deprecated format characters, byte order mark.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' => true,
        '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        // They choose the look of a symbol (✔️); after a letter or digit they would only make equal texts different.
        '\u{fe0e}' | '\u{fe0f}' => before.is_none_or(|before| before.is_ascii() || before.is_alphanumeric()),
        '\u{fe00}'..='\u{fe0d}' => true,
        // Tags and supplementary variation selectors: whole hidden messages are written with them.
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_hides_or_reorders_is_shown() {
        let table = [
            ("plain\ttext\nof two lines", "plain\ttext\nof two lines", "plain␉text␊of two lines"),
            ("a\r\nb\rc", "a\nb␍c", "a␍␊b␍c"),
            ("\x1b[2J\x07\x08\x7f\0", "␛[2J␇␈␡␀", "␛[2J␇␈␡␀"),
            ("\u{9b}31m\u{85}", "‹U+009B›31m‹U+0085›", "‹U+009B›31m‹U+0085›"),
            ("user\u{202e}txt.exe", "user‹U+202E›txt.exe", "user‹U+202E›txt.exe"),
            ("pa\u{200b}y\u{feff}\u{ad}", "pa‹U+200B›y‹U+FEFF›‹U+00AD›", "pa‹U+200B›y‹U+FEFF›‹U+00AD›"),
            ("a\u{2028}b", "a‹U+2028›b", "a‹U+2028›b"),
            ("x\u{e0041}", "x‹U+E0041›", "x‹U+E0041›"),
            ("✔\u{fe0f} prod\u{fe0f}", "✔\u{fe0f} prod‹U+FE0F›", "✔\u{fe0f} prod‹U+FE0F›"),
            ("größe 数 🚀", "größe 数 🚀", "größe 数 🚀"),
            ("", "", ""),
        ];
        for (text, as_text, as_line) in table {
            assert_eq!(sanitize(text, Style::Text), as_text);
            assert_eq!(sanitize(text, Style::Line), as_line);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_by_number() {
        assert_eq!(sanitize_bytes(b"a\xff\xc3(\xe2\x82\x1b", Style::Text), "a\\xff\\xc3(\\xe2\\x82␛");
        assert_eq!(sanitize_bytes("é\u{202e}".as_bytes(), Style::Text), "é‹U+202E›");
    }

    /// Independent of the table above: by Unicode's own properties as the standard library and unicode-width know them.
    pub(in crate::sanitize) fn is_harmless(character: char) -> bool {
        let bidirectional =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        !character.is_control()
            && !bidirectional.contains(character)
            && !"\u{2028}\u{2029}\u{200b}\u{feff}".contains(character)
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text in any::<String>(), raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            let lines = [sanitize(&text, Style::Line), sanitize_bytes(&raw, Style::Line)];
            prop_assert!(lines.iter().all(|line| line.chars().all(is_harmless)), "{:?}", lines);
            let texts = [sanitize(&text, Style::Text), sanitize_bytes(&raw, Style::Text)];
            prop_assert!(texts.iter().all(|text| text.chars().all(|c| is_harmless(c) || c == '\n' || c == '\t')), "{:?}", texts);
        }

        #[test]
        fn ordinary_text_is_left_alone_and_twice_is_once(text in "[ -~äöüß€数\n\t]{0,60}", any in any::<String>()) {
            prop_assert_eq!(&sanitize(&text, Style::Text), &text);
            let once = sanitize(&any, Style::Text);
            prop_assert_eq!(&sanitize(&once, Style::Text), &once);
        }
    }
}
