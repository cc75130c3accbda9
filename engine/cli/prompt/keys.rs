//! Keys from the bytes that a raw terminal sends: those that a line is typed and corrected with. All others mean nothing.

/// A key, or several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter, digit or sign.
    Character(char),
    /// Enter.
    Enter,
    /// One character back.
    Backspace,
    /// Ctrl-W: one word back.
    EraseWord,
    /// Ctrl-U: the whole line.
    EraseLine,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    End,
}

/// Where in a key's bytes the reading is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    /// Behind an Escape: Alt with a key, or the beginning of a sequence.
    Escape,
    /// Behind `ESC [`, up to its last byte (ECMA-48, 5.4).
    Sequence,
    /// Behind `ESC O`: one byte more.
    Function,
}

/// Reads keys from bytes, however they come divided.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    at: At,
    /// The bytes so far of a character that has several.
    partial: Vec<u8>,
}

impl Decoder {
    /// The keys in the next bytes. An Escape with nothing behind it is the key itself, which means nothing.
    pub(super) fn keys(&mut self, bytes: &[u8]) -> Vec<Key> {
        let keys = bytes.iter().filter_map(|byte| self.key(*byte)).collect();
        if self.at == At::Escape {
            self.at = At::Start;
        }
        keys
    }

    fn key(&mut self, byte: u8) -> Option<Key> {
        match self.at {
            At::Start => self.plain(byte),
            At::Escape => {
                self.at = match byte {
                    b'[' => At::Sequence,
                    b'O' => At::Function,
                    0x1b => At::Escape,
                    _ => At::Start,
                };
                None
            }
            At::Sequence => {
                if (0x40..=0x7e).contains(&byte) {
                    self.at = At::Start;
                }
                None
            }
            At::Function => {
                self.at = At::Start;
                None
            }
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        if byte >= 0x80 {
            return self.of_character(byte);
        }
        self.partial.clear();
        Some(match byte {
            0x1b => {
                self.at = At::Escape;
                return None;
            }
            0x03 => Key::Interrupt,
            0x04 => Key::End,
            // Raw terminals send Enter as Ctrl-M, programs that type for people as Ctrl-J.
            b'\r' | b'\n' => Key::Enter,
            0x08 | 0x7f => Key::Backspace,
            0x15 => Key::EraseLine,
            0x17 => Key::EraseWord,
            b' '..=b'~' => Key::Character(char::from(byte)),
            _ => return None,
        })
    }

    /// A byte of a character beyond ASCII: UTF-8 or nothing.
    fn of_character(&mut self, byte: u8) -> Option<Key> {
        if byte >= 0xc0 {
            self.partial.clear();
        }
        self.partial.push(byte);
        let read = match std::str::from_utf8(&self.partial) {
            Ok(text) => text.chars().next().filter(|character| !character.is_control()),
            Err(error) if error.error_len().is_none() => return None,
            Err(_) => None,
        };
        self.partial.clear();
        read.map(Key::Character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(chunks: &[&[u8]]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        chunks.iter().flat_map(|chunk| decoder.keys(chunk)).collect()
    }

    #[test]
    fn bytes_are_keys_however_they_come() {
        let characters = |text: &str| text.chars().map(Key::Character).collect::<Vec<_>>();
        let table: [(&[&[u8]], Vec<Key>); 10] = [
            (&[b"ab\r"], vec![Key::Character('a'), Key::Character('b'), Key::Enter]),
            (&[b"\n", b"\x7f\x08"], vec![Key::Enter, Key::Backspace, Key::Backspace]),
            (&[b"\x03\x04\x15\x17"], vec![Key::Interrupt, Key::End, Key::EraseLine, Key::EraseWord]),
            (&["äö€".as_bytes()], characters("äö€")),
            (&[b"\xe2\x82", b"\xac!"], characters("€!")),
            (&[b"\xff\xfea\xc3b"], characters("ab")),
            // Arrows, function keys, Delete, and Alt with a letter.
            (&[b"\x1b[A\x1bOPx\x1b[3~\x1b[1;5Cy\x1bbz"], characters("xyz")),
            (&[b"\x1b[", b"3", b"~a"], characters("a")),
            // The key Escape alone takes nothing with it.
            (&[b"\x1b", b"a"], characters("a")),
            (&[b"\x00\x01\tb"], characters("b")),
        ];
        for (chunks, expected) in table {
            assert_eq!(keys(chunks), expected, "{chunks:?}");
        }
    }
}
