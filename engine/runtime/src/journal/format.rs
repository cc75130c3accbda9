//! The form of a line: an event's fields in order, then `prev` and `hash`.
//!
//! ```text
//! {"seq":7,"at":"…","run":"…","kind":"…", … ,"prev":"<64 hex>","hash":"<64 hex>"}
//!  └────────────────────── hashed ───────────────────────────┘
//! ```
//!
//! `hash` is SHA-256 over the raw bytes before the last `,"hash"`; `prev` is
//! the hash of the line before, across segments. Reading slices the fixed
//! places by hand: the hash vouches for the rest.

use runbook_core::event::{Event, EventKind};
use runbook_core::id::RunId;
use runbook_core::moment::Moment;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The largest segment that is read, in bytes: millions of events, far above
/// any run. What is larger was not written by us.
pub(super) const SEGMENT_BYTES_MAX: u64 = 4 << 30;

const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b"\",\"hash\":\"";
const END: &[u8] = b"\"}";
/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;
/// Bytes of a line after what is hashed.
const SUFFIX: usize = HASH.len() - 1 + DIGITS + END.len();

/// A SHA-256 in lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head([u8; DIGITS]);

impl Head {
    /// What the very first line has as `prev`.
    pub(super) const ZERO: Self = Self([b'0'; DIGITS]);

    /// The digits.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// What stands in a line that was checked.
    pub(super) fn written(digits: &str) -> Self {
        Self(digits.as_bytes().try_into().expect("a checked hash has its length"))
    }

    fn of(bytes: &[u8]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(bytes)) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(digits)
    }
}

/// An event as it is written, borrowed.
#[derive(Serialize)]
struct Borrowed<'a> {
    seq: u64,
    at: Moment,
    run: &'a RunId,
    #[serde(flatten)]
    kind: &'a EventKind,
}

/// Writes one line, without its newline, to the end of `buffer`, and returns
/// the event and its hash.
pub(super) fn write_line(
    buffer: &mut Vec<u8>,
    seq: u64,
    at: Moment,
    run: &RunId,
    kind: &EventKind,
    prev: Head,
) -> (Event, Head) {
    let start = buffer.len();
    serde_json::to_writer(&mut *buffer, &Borrowed { seq, at, run, kind })
        .expect("an event is plain data with text keys: it always serializes");
    buffer.pop();
    buffer.extend_from_slice(PREV);
    buffer.extend_from_slice(&prev.0);
    buffer.push(b'"');
    let head = Head::of(&buffer[start..]);
    buffer.extend_from_slice(&HASH[1..]);
    buffer.extend_from_slice(&head.0);
    buffer.extend_from_slice(END);
    (Event { seq, at, run: run.clone(), kind: kind.clone() }, head)
}

/// The fixed places of a line, and that its hash is right.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) seq: u64,
    pub(super) at: Moment,
    pub(super) run: &'a str,
    pub(super) kind: &'a str,
    pub(super) prev: Head,
    pub(super) head: Head,
}

/// Reads the fixed places of a line and checks its hash.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read_line(line: &str) -> Result<Envelope<'_>, &'static str> {
    const SHAPE: &str = "is not a line of a journal";
    let (head, prev) = read_chain(line.as_bytes()).ok_or(SHAPE)?;
    if Head::of(&line.as_bytes()[..line.len() - SUFFIX]) != head {
        return Err("its hash is not that of its content");
    }
    let rest = line.strip_prefix("{\"seq\":").ok_or(SHAPE)?;
    let (seq, rest) = rest.split_once(',').ok_or(SHAPE)?;
    let (at, rest) = quoted(rest, "\"at\":\"").ok_or(SHAPE)?;
    let (run, rest) = quoted(rest, ",\"run\":\"").ok_or(SHAPE)?;
    let (kind, _) = quoted(rest, ",\"kind\":\"").ok_or(SHAPE)?;
    let at: jiff::Timestamp = at.parse().map_err(|_| SHAPE)?;
    Ok(Envelope { seq: seq.parse().map_err(|_| SHAPE)?, at: at.into(), run, kind, prev, head })
}

/// The text after a name and its quote, up to the next quote, and what follows: none of these places needs escapes.
fn quoted<'a>(line: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(name)?.split_once('"')
}

/// The hash at the end of a line that was checked.
pub(super) fn hash_of(line: &str) -> &str {
    &line[line.len() - END.len() - DIGITS..line.len() - END.len()]
}

/// The hashes at the end of a line: its own, and that of the line before.
fn read_chain(line: &[u8]) -> Option<(Head, Head)> {
    let line = line.strip_suffix(END)?;
    let (line, head) = split_digits(line)?;
    let line = line.strip_suffix(HASH)?;
    let (line, prev) = split_digits(line)?;
    line.ends_with(PREV).then_some((head, prev))
}

fn split_digits(line: &[u8]) -> Option<(&[u8], Head)> {
    let (line, digits) = line.split_last_chunk::<DIGITS>()?;
    Some((line, Head(*digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_hashed_by_the_rule() {
        let run: RunId = "20261122T023000-k3f9".parse().expect("a run id");
        // A text that looks like the end of a line must not mislead.
        let text = "a \",\"hash\":\"x\"} ,\"prev\":\" \n \u{2028}".to_owned();
        let kind = EventKind::Note { by: "ana".into(), text };
        let mut buffer = b"before\n".to_vec();
        let (event, head) =
            write_line(&mut buffer, 9, Moment::from_millis(1_795_314_600_123), &run, &kind, Head::ZERO);
        let line = std::str::from_utf8(&buffer[7..]).expect("text");
        assert!(!line.contains('\n'));

        let envelope = read_line(line).expect("a line");
        assert_eq!((envelope.seq, envelope.run, envelope.kind), (9, run.as_str(), "note"));
        assert_eq!((envelope.at, envelope.prev, envelope.head), (event.at, Head::ZERO, head));
        assert_eq!(Event::from_json(line).expect("an event"), event);

        let hashed = &line[..line.rfind(",\"hash\"").expect("it has a hash")];
        assert_eq!(Head::of(hashed.as_bytes()), head);
        assert!(line.ends_with(&format!(
            ",\"prev\":\"{}\",\"hash\":\"{}\"}}",
            "0".repeat(64),
            head.as_str()
        )));
    }

    #[test]
    fn the_hash_is_sha_256_in_lower_case() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Head::of(b"abc").as_str(), expected);
    }
}
