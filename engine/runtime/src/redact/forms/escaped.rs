//! JSON and shell escapes.

use std::fmt::Write as _;

use super::Spellings;
use super::percent::replace;

pub(super) fn add(piece: &[u8], spellings: &mut Spellings) {
    for json in json(piece) {
        // A JSON text within a JSON string, as webhooks and structured logs carry it.
        spellings.add(json_minimal(&json).into_bytes());
        spellings.add(json.into_bytes());
    }
    spellings.add(replace(piece, b"'", b"'\\''"));
    spellings.add(replace(piece, b"'", b"'\"'\"'"));
    spellings.add(double_quoted(piece, b"\\\"$`"));
    spellings.add(double_quoted(piece, b"\\\"$`!"));
    spellings.add(double_quoted(piece, b"\\\""));
    spellings.add(bash_backslashed(piece));
    spellings.add(all_backslashed(piece));
    spellings.add(bash_ansi_c(piece, NonAscii::Kept));
    spellings.add(bash_ansi_c(piece, NonAscii::Octal));
}

/// The contents of a JSON string, as different writers escape it.
fn json(piece: &[u8]) -> [String; 5] {
    let text = String::from_utf8_lossy(piece);
    let minimal = json_minimal(&text);
    let slashes = minimal.replace('/', "\\/");
    let html = minimal.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let ascii = json_ascii(&minimal);
    let ascii_slashes = ascii.replace('/', "\\/");
    [minimal, slashes, html, ascii, ascii_slashes]
}

fn json_minimal(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is always representable");
    quoted[1..quoted.len() - 1].to_owned()
}

fn json_ascii(minimal: &str) -> String {
    let mut ascii = String::with_capacity(minimal.len());
    for character in minimal.chars() {
        if character.is_ascii() && character != '\x7f' {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(ascii, "\\u{unit:04x}").expect("writing to a string never fails");
        }
    }
    ascii
}

/// Inside `"…"`: a backslash before each of `special`.
fn double_quoted(piece: &[u8], special: &[u8]) -> Vec<u8> {
    backslashed(piece, |_, byte| special.contains(&byte))
}

/// `printf %q` of bash for a value that it can print.
fn bash_backslashed(piece: &[u8]) -> Vec<u8> {
    backslashed(piece, |before, byte| match byte {
        b'#' => before.is_none(),
        b'~' => matches!(before, None | Some(b':' | b'=')),
        _ => b" \t!\"$&'()*,;<>?[\\]^`{|}".contains(&byte),
    })
}

/// Ruby's `shellescape` and its like.
fn all_backslashed(piece: &[u8]) -> Vec<u8> {
    backslashed(piece, |_, byte| !byte.is_ascii_alphanumeric() && !b"_-.,:+/@".contains(&byte))
}

fn backslashed(piece: &[u8], special: impl Fn(Option<u8>, u8) -> bool) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(2 * piece.len());
    let mut before = None;
    for &byte in piece {
        if special(before, byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
        before = Some(byte);
    }
    escaped
}

/// Whether the locale of the shell could print it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NonAscii {
    Kept,
    Octal,
}

/// `printf %q` of bash, and `set -x`, for a value that it can't print: what stands inside `$'…'`.
fn bash_ansi_c(piece: &[u8], non_ascii: NonAscii) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(2 * piece.len());
    for &byte in piece {
        match byte {
            0x07 => escaped.extend_from_slice(b"\\a"),
            0x08 => escaped.extend_from_slice(b"\\b"),
            b'\t' => escaped.extend_from_slice(b"\\t"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            0x0b => escaped.extend_from_slice(b"\\v"),
            0x0c => escaped.extend_from_slice(b"\\f"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            0x1b => escaped.extend_from_slice(b"\\E"),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\'' => escaped.extend_from_slice(b"\\'"),
            b' '..=b'~' => escaped.push(byte),
            0x80.. if non_ascii == NonAscii::Kept => escaped.push(byte),
            _ => escaped.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    escaped
}
