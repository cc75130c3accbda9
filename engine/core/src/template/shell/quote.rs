//! Quoting for people's eyes: what is shown could be pasted into a shell and would mean the same.

use crate::template::analysis::is_plain_text;

/// Quotes a value where it holds anything but `A-Za-z0-9@%_+=:,./-`, and an empty one.
#[must_use]
pub fn quote_for_display(value: &str) -> String {
    if !value.is_empty() && is_plain_text(value) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// Shows an argv as the shell text that would run it.
#[must_use]
pub fn display_argv(argv: &[String]) -> String {
    argv.iter().map(|argument| quote_for_display(argument)).collect::<Vec<_>>().join(" ")
}

/// Escapes a value that stands inside "…", or in a here-document whose body is expanded.
pub(super) fn escape_expanded(value: &str, in_quotes: bool) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '$' | '`' | '\\') || in_quotes && character == '"' {
            text.push('\\');
        }
        text.push(character);
    }
    text
}
