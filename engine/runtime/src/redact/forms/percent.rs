//! URL encodings. They differ in which characters are escaped, in the case of the digits and in what a space becomes.

use super::Spellings;

/// What stays as it is besides letters and digits, by who writes it.
const UNESCAPED: [&[u8]; 8] = [
    b"-._~",                          // RFC 3986: curl, Python's quote(safe=""), Go's QueryEscape
    b"-._~/",                         // Python's quote
    b"-._~!*'()",                     // JavaScript's encodeURIComponent
    b"-._~!*'();,/?:@&=+$#",          // JavaScript's encodeURI
    b"*-._",                          // HTML forms
    b"-._~!$&'()*+,%|",               // URL standard: user information
    b"-._~!$&'()*+,;=:@/%|[]\\^",     // URL standard: path
    b"-._~!$&'()*+,;=:@/%|[]\\^?`{}", // URL standard: query
];

pub(super) fn add(piece: &[u8], spellings: &mut Spellings) {
    for unescaped in UNESCAPED {
        for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
            let encoded = encode(piece, unescaped, digits);
            let with_plus = replace(&encoded, b"%20", b"+");
            // The query of a special URL escapes the apostrophe that its other parts keep.
            spellings.add(replace(&encoded, b"'", b"%27"));
            spellings.add(encoded);
            spellings.add(with_plus);
        }
    }
}

fn encode(piece: &[u8], unescaped: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(3 * piece.len());
    for &byte in piece {
        if byte.is_ascii_alphanumeric() || unescaped.contains(&byte) {
            encoded.push(byte);
        } else {
            encoded.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
    }
    encoded
}

/// `text` with each `from` replaced by `to`.
pub(super) fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
