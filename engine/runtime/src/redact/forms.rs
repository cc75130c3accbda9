//! How programs print a secret: every spelling that is masked (engine.md §5).
//!
//! A multi-line secret is also spelled line by line, for a tool that prints just one line of a key, and without the white space
//! around it, which `$( )` and most parsers drop.

mod base64;
mod escaped;
mod percent;

use std::collections::BTreeSet;

use zeroize::{Zeroize, Zeroizing};

use super::search::SPELLING_LEN_MIN;
use super::secret::{SECRET_CHARACTERS_MIN, characters};

/// A shorter line of a multi-line secret (`}`, `-----`) is no secret by itself.
const LINE_CHARACTERS_MIN: usize = 8;

/// All spellings of `value`, each once.
pub(super) fn of(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut spellings = Spellings(BTreeSet::new());
    for piece in pieces(value) {
        spellings.add(piece.to_vec());
        base64::add(piece, &mut spellings);
        percent::add(piece, &mut spellings);
        add_hex(piece, &mut spellings);
        escaped::add(piece, &mut spellings);
    }
    spellings.0.into_iter().map(Zeroizing::new).collect()
}

/// All spellings so far; one that is refused or known is overwritten before it is given back.
struct Spellings(BTreeSet<Vec<u8>>);

impl Spellings {
    fn add(&mut self, spelling: Vec<u8>) {
        if spelling.contains(&b'\n') {
            // A terminal, as interactive steps have one, turns each newline into two characters.
            self.add_one(percent::replace(&spelling, b"\n", b"\r\n"));
        }
        self.add_one(spelling);
    }

    fn add_one(&mut self, mut spelling: Vec<u8>) {
        // No encoding shortens a value, so this only guards the search's own condition.
        if spelling.len() < SPELLING_LEN_MIN || self.0.contains(&spelling) {
            spelling.zeroize();
        } else {
            self.0.insert(spelling);
        }
    }
}

/// The whole, the whole without white space around it, and the lines long enough.
fn pieces(value: &[u8]) -> BTreeSet<&[u8]> {
    let mut pieces = BTreeSet::from([value]);
    let trimmed = value.trim_ascii();
    if characters(trimmed) >= SECRET_CHARACTERS_MIN {
        pieces.insert(trimmed);
    }
    for line in value.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        for line in [line, line.trim_ascii()] {
            if characters(line) >= LINE_CHARACTERS_MIN {
                pieces.insert(line);
            }
        }
    }
    pieces
}

/// Columns at which `xxd -p` breaks its lines.
const HEX_COLUMNS: usize = 60;

fn add_hex(piece: &[u8], spellings: &mut Spellings) {
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let mut hex = Vec::with_capacity(2 * piece.len());
        for byte in piece {
            hex.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
        spellings.add(wrapped(&hex, HEX_COLUMNS));
        spellings.add(hex);
    }
}

/// `text` in lines of `columns` characters.
fn wrapped(text: &[u8], columns: usize) -> Vec<u8> {
    text.chunks(columns).collect::<Vec<_>>().join(&b'\n')
}
