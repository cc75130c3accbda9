//! Base64, alone or within a longer text: the characters depend on where in a group of three bytes the secret begins.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::{Spellings, wrapped};

/// Columns at which `base64` (76) and PEM writers (64) break their lines.
const COLUMNS: [usize; 2] = [76, 64];

pub(super) fn add(piece: &[u8], spellings: &mut Spellings) {
    for engine in [&STANDARD, &URL_SAFE] {
        for bytes_before in 0..3 {
            let padded = [&vec![0; bytes_before][..], piece].concat();
            let encoded = engine.encode(&padded).into_bytes();
            // A character that also holds bits of a neighbour says nothing certain: it is left out.
            let from = (bytes_before * 8).div_ceil(6);
            let to = padded.len() * 8 / 6;
            let certain = encoded[from..to].to_vec();
            if bytes_before == 0 {
                for columns in COLUMNS {
                    spellings.add(wrapped(&certain, columns));
                    spellings.add(wrapped(&encoded, columns));
                }
            }
            spellings.add(certain);
            // Where the text ends with the secret, its last character and the padding are certain, too.
            spellings.add(encoded[from..].to_vec());
            let unpadded = encoded[from..].iter().copied().filter(|&byte| byte != b'=').collect();
            spellings.add(unpadded);
        }
    }
}
