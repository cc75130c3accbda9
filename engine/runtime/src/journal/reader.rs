//! Reading a journal back: all segments in order, every line checked.
//!
//! Torn is not corrupt (`engine.md` §3). A writer acknowledges a batch only
//! when it is durable, so what a dying writer leaves behind at the end of its
//! segment never had an effect: a last line cut short (zeros of the reserved
//! space included), and, where the next segment goes on from an earlier line,
//! the lines that a failed flush left unacknowledged. Such a tail is ignored,
//! kept and reported. Anything else wrong is damage.

use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use runbook_core::event::{Event, JOURNAL_FORMAT};
use runbook_core::id::RunId;
use runbook_core::moment::Moment;

use super::error::JournalError;
use super::format::{self, Head};
use crate::store::{RunDir, StoreError, segment_name};

/// One line of a journal, checked, its meaning not yet read.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// Position in the run's journal, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Moment,
    /// What was read together with it, and its place there.
    text: Arc<String>,
    place: Range<usize>,
    /// The kind's place in the line.
    kind: (u32, u32),
    segment: u32,
    /// Where the line begins in its segment, in bytes.
    offset: u64,
}

impl RawEvent {
    /// The line as it stands, without its newline.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.text[self.place.clone()]
    }

    /// The kind, also of an event that this version doesn't know.
    #[must_use]
    pub fn kind_name(&self) -> &str {
        &self.line()[self.kind.0 as usize..self.kind.1 as usize]
    }

    /// The line's own hash: what its successor has as `prev`.
    #[must_use]
    pub fn hash(&self) -> &str {
        format::hash_of(self.line())
    }

    fn head(&self) -> Head {
        Head::written(self.hash())
    }

    /// Where the line ends in its segment, with its newline, in bytes.
    fn end(&self) -> u64 {
        self.offset + self.place.len() as u64 + 1
    }

    pub(super) fn segment(&self) -> u32 {
        self.segment
    }

    /// The event.
    ///
    /// # Errors
    /// [`JournalError::Newer`] where this version doesn't know its kind or
    /// something in it: the hash says that it is as it was written.
    pub fn typed(&self, run: &RunId) -> Result<Event, JournalError> {
        let kind = serde_json::from_str(self.line()).map_err(|source| JournalError::Newer {
            seq: self.seq,
            kind: self.kind_name().to_owned(),
            source,
        })?;
        if let runbook_core::event::EventKind::JournalOpened { format, .. } = &kind
            && *format > JOURNAL_FORMAT
        {
            let source = serde::de::Error::custom(format_args!("format {format} of the journal"));
            return Err(JournalError::Newer { seq: self.seq, kind: self.kind_name().to_owned(), source });
        }
        Ok(Event { seq: self.seq, at: self.at, run: run.clone(), kind })
    }
}

/// The end of a segment that its writer left unfinished: ignored and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment, from 1.
    pub segment: u32,
    /// Where the ignored part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// What a journal says.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The run.
    pub run: RunId,
    /// All events, in order.
    pub events: Vec<RawEvent>,
    /// Ends of segments that were left out. While another process holds the
    /// run, one in the last segment is just a line being written.
    pub torn: Vec<Torn>,
    /// Whether the last segment was closed in order.
    pub sealed: bool,
    /// The hash of the last line; 64 zeros where there is none.
    pub head: String,
    /// The number of the last event; 0 where there is none.
    pub last_seq: u64,
    /// The number of the last segment.
    pub segment: u32,
}

impl Replay {
    /// All events with their meaning.
    ///
    /// # Errors
    /// [`JournalError::Newer`] at the first that this version doesn't know.
    pub fn typed(&self) -> Result<Vec<Event>, JournalError> {
        let mut events = Vec::with_capacity(self.events.len());
        for event in &self.events {
            events.push(event.typed(&self.run)?);
        }
        Ok(events)
    }

    pub(super) fn last_head(&self) -> Head {
        self.events.last().map_or(Head::ZERO, RawEvent::head)
    }

    /// Where to go on reading: the last segment, and its length as far as it
    /// was understood, in bytes.
    pub(super) fn end(&self) -> (u32, u64) {
        match self.events.last() {
            Some(event) if event.segment == self.segment => (event.segment, event.end()),
            _ => (self.segment, 0),
        }
    }
}

/// Reads and checks the whole journal of a run.
///
/// # Errors
/// [`StoreError::NoSuchRun`] where the run has no journal (its creation was cut
/// short); [`JournalError::Damaged`] where it isn't what was written.
pub fn read(dir: &RunDir) -> Result<Replay, JournalError> {
    let segments = dir.segments()?;
    if segments.is_empty() {
        return Err(StoreError::NoSuchRun { run: dir.run().clone() }.into());
    }
    let mut chain = Chain::new(dir.run().clone());
    let mut events: Vec<RawEvent> = Vec::new();
    let mut torn = Vec::new();
    for (expected, segment) in (1..).zip(segments) {
        if segment != expected {
            return Err(damaged(dir, expected, 0, "the segment is missing"));
        }
        let bytes = dir.directory().read(&segment_name(segment), format::SEGMENT_BYTES_MAX)?;
        read_segment(
            dir,
            segment,
            bytes,
            &mut Progress { chain: &mut chain, events: &mut events, torn: &mut torn },
        )?;
    }
    Ok(Replay {
        run: dir.run().clone(),
        torn,
        sealed: chain.sealed,
        head: chain.head.as_str().to_owned(),
        last_seq: chain.next_seq - 1,
        segment: chain.segment,
        events,
    })
}

/// When a run's journal was opened first, and whether its creation was recorded: all that is read is the beginning
/// of its first segment. The moment is `None` where that can't be understood.
///
/// # Errors
/// Where the file can't be opened.
pub(crate) fn opened_at(dir: &RunDir) -> Result<Opened, StoreError> {
    let mut file = dir.directory().open(&segment_name(1))?;
    let mut start = Vec::with_capacity(OPENING_BYTES);
    let mut seen = 0;
    let mut lines = 0;
    // The opening and the creation are the first two lines of all.
    while lines < 2 {
        match file.by_ref().take(OPENING_BYTES as u64).read_to_end(&mut start) {
            Ok(0) | Err(_) => break,
            Ok(_) => lines += memchr::memchr_iter(b'\n', &start[seen..]).count(),
        }
        seen = start.len();
    }
    let first = String::from_utf8_lossy(&start[..start.len().min(OPENED_AT_BYTES)]);
    let at = first.split_once(",\"at\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let at = at.and_then(|(at, _)| at.parse::<jiff::Timestamp>().ok()).map(Moment::from);
    // Anything but the beginning of an opening is damage, and damage is not passed over.
    let is_beginning = start.starts_with(FIRST_BYTES) || FIRST_BYTES.starts_with(&start);
    Ok(Opened { at, is_created: lines >= 2 || !is_beginning })
}

/// How a run's journal begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    /// When.
    pub(crate) at: Option<Moment>,
    /// Whether the line that creates the run is whole, or may have been.
    pub(crate) is_created: bool,
}

/// What every journal begins with.
const FIRST_BYTES: &[u8] = b"{\"seq\":1,\"at\":\"";
/// Where `at` of the first line has ended, in bytes.
const OPENED_AT_BYTES: usize = 64;
/// How much of a journal is read at a time to find its first two lines.
const OPENING_BYTES: usize = 4096;

/// What reading has come to.
struct Progress<'a> {
    chain: &'a mut Chain,
    events: &'a mut Vec<RawEvent>,
    torn: &'a mut Vec<Torn>,
}

fn read_segment(
    dir: &RunDir,
    segment: u32,
    bytes: Vec<u8>,
    so_far: &mut Progress<'_>,
) -> Result<(), JournalError> {
    let length = bytes.len() as u64;
    let (lines, end) = Lines::of(bytes);
    so_far.chain.open(segment);
    for (number, place) in (1..).zip(lines.places()) {
        let accepted = place.and_then(|place| {
            if number == 1 {
                drop_superseded(&lines.text[place.clone()], so_far);
            }
            let offset = place.start as u64;
            so_far.chain.accept(&lines.text, place, offset)
        });
        so_far.events.push(accepted.map_err(|what| damaged(dir, segment, number, what))?);
    }
    if end < length {
        if so_far.chain.sealed {
            return Err(damaged(dir, segment, 0, "goes on after its seal"));
        }
        so_far.torn.push(Torn { segment, offset: end, bytes: length - end });
    }
    Ok(())
}

/// Whole lines that were read together: one text, which their events share.
pub(super) struct Lines {
    pub(super) text: Arc<String>,
    /// A line that is no text follows.
    is_cut: bool,
}

impl Lines {
    /// The whole lines of `bytes`, and where the last of them ends.
    pub(super) fn of(mut bytes: Vec<u8>) -> (Self, u64) {
        let end = whole_lines(&bytes);
        bytes.truncate(end);
        let lines = match String::from_utf8(bytes) {
            Ok(text) => Self { text: Arc::new(text), is_cut: false },
            Err(error) => {
                let is_text = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(whole_lines(&bytes[..is_text]));
                let text = String::from_utf8(bytes).expect("this part was found to be UTF-8");
                Self { text: Arc::new(text), is_cut: true }
            }
        };
        (lines, end as u64)
    }

    /// The place of each line, without its newline; what is wrong with the last, where it is no text.
    pub(super) fn places(&self) -> impl Iterator<Item = Result<Range<usize>, &'static str>> {
        let mut start = 0;
        let places = memchr::memchr_iter(b'\n', self.text.as_bytes()).map(move |end| {
            let place = start..end;
            start = end + 1;
            Ok(place)
        });
        places.chain(self.is_cut.then_some(Err("is not UTF-8")))
    }
}

/// The length of the whole lines in `bytes`.
fn whole_lines(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1)
}

/// Leaves out the lines of the segment before that this segment's first line
/// doesn't go on from: their writer never got them acknowledged.
fn drop_superseded(first_line: &str, so_far: &mut Progress<'_>) {
    // There is nothing yet that it could take the place of.
    let Some(last) = so_far.events.last() else { return };
    let Ok(envelope) = format::read_line(first_line) else { return };
    let (segment, end) = (last.segment, last.end());
    let kept = usize::try_from(envelope.seq.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(dropped) = so_far.events.get(kept) else { return };
    let is_explained = dropped.segment == segment
        && last.kind_name() != SEALED
        && kept.checked_sub(1).map_or(Head::ZERO, |before| so_far.events[before].head()) == envelope.prev;
    if !is_explained {
        return;
    }
    let offset = dropped.offset;
    let cut_short: u64 =
        so_far.torn.iter().filter(|torn| torn.segment == segment).map(|torn| torn.bytes).sum();
    so_far.torn.retain(|torn| torn.segment != segment);
    so_far.torn.push(Torn { segment, offset, bytes: end - offset + cut_short });
    so_far.chain.head = envelope.prev;
    so_far.chain.next_seq = envelope.seq;
    so_far.events.truncate(kept);
}

const OPENED: &str = "journal_opened";
const SEALED: &str = "sealed";

/// What the next line must fit.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) run: RunId,
    pub(super) segment: u32,
    pub(super) next_seq: u64,
    pub(super) head: Head,
    /// No line of this segment was seen yet.
    at_start: bool,
    /// The last line was a seal.
    pub(super) sealed: bool,
}

impl Chain {
    pub(super) fn new(run: RunId) -> Self {
        Self { run, segment: 0, next_seq: 1, head: Head::ZERO, at_start: true, sealed: false }
    }

    /// The chain where a replay ends.
    pub(super) fn after(replay: &Replay) -> Self {
        Self {
            run: replay.run.clone(),
            segment: replay.segment,
            next_seq: replay.last_seq + 1,
            head: replay.last_head(),
            at_start: replay.events.last().is_none_or(|event| event.segment != replay.segment),
            sealed: replay.sealed,
        }
    }

    /// A new segment begins.
    pub(super) fn open(&mut self, segment: u32) {
        self.segment = segment;
        self.at_start = true;
        self.sealed = false;
    }

    /// Checks the next line: that at a place in a text. `offset` is where it begins in its segment, in bytes.
    pub(super) fn accept(
        &mut self,
        text: &Arc<String>,
        place: Range<usize>,
        offset: u64,
    ) -> Result<RawEvent, &'static str> {
        let line = &text[place.clone()];
        let envelope = format::read_line(line)?;
        if self.sealed {
            return Err("stands after the seal of its segment");
        }
        if envelope.seq != self.next_seq {
            return Err("its seq does not follow that of the line before");
        }
        if envelope.prev != self.head {
            return Err("its prev is not the hash of the line before");
        }
        if envelope.run != self.run.as_str() {
            return Err("it belongs to another run");
        }
        if self.at_start != (envelope.kind == OPENED) {
            return Err(if self.at_start {
                "the segment does not begin with journal_opened"
            } else {
                "a segment is opened twice"
            });
        }
        if envelope.kind == SEALED && !line.contains(&format!("\"head\":\"{}\"", self.head.as_str())) {
            return Err("the seal's head is not the hash of the line before");
        }
        let kind_start = envelope.kind.as_ptr() as usize - line.as_ptr() as usize;
        let event = RawEvent {
            seq: envelope.seq,
            at: envelope.at,
            kind: (near(kind_start), near(kind_start + envelope.kind.len())),
            segment: self.segment,
            offset,
            text: Arc::clone(text),
            place,
        };
        self.at_start = false;
        self.sealed = envelope.kind == SEALED;
        self.head = envelope.head;
        self.next_seq += 1;
        Ok(event)
    }
}

/// A place near the start of a line: the envelope is short.
fn near(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(0)
}

pub(super) fn damaged(dir: &RunDir, segment: u32, line: u64, what: &str) -> JournalError {
    let file: PathBuf = dir.path().join(segment_name(segment));
    JournalError::Damaged { file, line, what: what.to_owned() }
}
