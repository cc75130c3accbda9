//! A foreign value in a prompt, laid out so that it can't be taken for the prompt's own words.

use unicode_width::UnicodeWidthChar as _;

use super::visible::{Style, sanitize};

/// Begins a line that the value itself doesn't break.
const CONTINUED: &str = "↪ ";
/// A tab is at most this wide; taking it as such keeps every line within the width.
const TAB_COLUMNS: usize = 8;
/// A value of more lines than this is followed by its length, although none of them is wrapped.
const LINES_WITHOUT_LENGTH: usize = 20;

/// A long or foreign value as it stands in a prompt: no colour, every line behind `prefix`, wrapped at `width` columns (prefix
/// included) with `↪` where the value has no newline of its own, nothing left out. A value that is wrapped or of more than 20 lines ends
/// with its length, `(4,812 characters)`, so that a reader knows when he has seen all; an empty one is `(empty)`.
///
/// Every line ends with a newline. `prefix` is the caller's and is not sanitised.
pub fn prompt_block(text: &str, prefix: &str, width: usize) -> String {
    let visible = sanitize(text, Style::Text);
    // A prefix wider than the terminal must not keep a value from being shown.
    let columns = width.saturating_sub(columns_of(prefix) + columns_of(CONTINUED)).max(8);
    let mut out = String::with_capacity(visible.len() + prefix.len());
    let mut line = |parts: &[&str]| {
        out.push_str(prefix);
        out.extend(parts.iter().copied());
        out.push('\n');
    };
    let (mut lines, mut wrapped) = (0, false);
    for text in visible.lines() {
        // Without `↪ ` a line has two more columns to fill.
        let (first, mut rest) = split_at_columns(text, columns + columns_of(CONTINUED));
        line(&[first]);
        lines += 1;
        while !rest.is_empty() {
            let (part, later) = split_at_columns(rest, columns);
            line(&[CONTINUED, part]);
            (rest, wrapped) = (later, true);
        }
    }
    if text.is_empty() {
        line(&["(empty)"]);
    } else if wrapped || lines > LINES_WITHOUT_LENGTH {
        line(&["(", &grouped(text.chars().count()), " characters)"]);
    }
    out
}

fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_character).sum()
}

fn columns_of_character(character: char) -> usize {
    if character == '\t' { TAB_COLUMNS } else { character.width().unwrap_or(0) }
}

/// The beginning of `text` that fits, at least one character, and the rest.
fn split_at_columns(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += columns_of_character(character);
        if used > columns && at > 0 {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// `4812` as `4,812`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_laid_out_behind_their_prefix() {
        let table = [
            ("short", 20, "│ short\n"),
            ("two\nlines\n", 20, "│ two\n│ lines\n"),
            ("", 20, "│ (empty)\n"),
            ("exactly eighteen c", 20, "│ exactly eighteen c\n"),
            ("exactly nineteen ch", 20, "│ exactly nineteen c\n│ ↪ h\n│ (19 characters)\n"),
            ("\x1b[31mred\rX", 20, "│ ␛[31mred␍X\n"),
            ("数数数数数数", 12, "│ 数数数数数\n│ ↪ 数\n│ (6 characters)\n"),
        ];
        for (text, width, expected) in table {
            assert_eq!(prompt_block(text, "│ ", width), expected, "{text:?}");
        }
    }

    #[test]
    fn lengths_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (4812, "4,812"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
        let long = prompt_block(&"x".repeat(4812), "> ", 80);
        assert!(long.ends_with("> (4,812 characters)\n"), "{long}");
        let many = prompt_block(&"x\n".repeat(21), "> ", 80);
        assert!(many.ends_with("> x\n> (42 characters)\n"), "{many}");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_wide(text in "[ -~äß数\n\u{202e}\x1b]{1,200}", width in 24_usize..60) {
            let block = prompt_block(&text, "| ", width);
            let mut shown = String::new();
            for line in block.lines() {
                prop_assert!(columns_of(line) <= width, "{}", line);
                let line = line.strip_prefix("| ");
                prop_assert!(line.is_some(), "{}", block);
                let line = line.unwrap_or_default();
                shown.push_str(line.strip_prefix("↪ ").unwrap_or(line));
            }
            let expected = sanitize(&text, Style::Text).replace('\n', "");
            prop_assert!(shown.starts_with(&expected), "{} in {}", expected, block);
            let rest = &shown[expected.len()..];
            prop_assert!(rest.is_empty() || rest == format!("({} characters)", grouped(text.chars().count())), "{}", rest);
        }
    }
}
