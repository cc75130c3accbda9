//! Seeing what another process adds to a journal.

use std::os::unix::fs::FileExt;

use super::error::JournalError;
use super::reader::{Chain, Lines, RawEvent, Replay, damaged, read};
use crate::store::{RunDir, segment_name};

/// The most that is read at once, in bytes; a longer line is read in pieces.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads what is new in a journal each time it is asked, every line checked,
/// over all segments. For `logs -f`, `watch`, and the commands that wait for
/// the engine's word on their answer.
#[derive(Debug)]
pub struct Follower {
    dir: RunDir,
    chain: Chain,
    /// Up to where the current segment was understood, in bytes.
    offset: u64,
}

impl Follower {
    /// Begins before the first event.
    #[must_use]
    pub fn from_start(dir: &RunDir) -> Self {
        let mut chain = Chain::new(dir.run().clone());
        chain.open(1);
        Self { dir: dir.clone(), chain, offset: 0 }
    }

    /// Begins after what was read already.
    #[must_use]
    pub fn after(dir: &RunDir, replay: &Replay) -> Self {
        let (_, offset) = replay.end();
        Self { dir: dir.clone(), chain: Chain::after(replay), offset }
    }

    /// The events that came since the last call; none while a line is still
    /// being written.
    ///
    /// # Errors
    /// As [`read`]; then nothing more can be followed.
    pub fn read_new(&mut self) -> Result<Vec<RawEvent>, JournalError> {
        let mut events = Vec::new();
        loop {
            self.read_segment(&mut events)?;
            let following = self.chain.segment + 1;
            if self.dir.directory().stat(&segment_name(following))?.is_none() {
                return Ok(events);
            }
            // The old segment may have grown between the two looks at it.
            self.read_segment(&mut events)?;
            self.chain.open(following);
            self.offset = 0;
        }
    }

    fn read_segment(&mut self, events: &mut Vec<RawEvent>) -> Result<(), JournalError> {
        let (lines, _) = Lines::of(self.new_bytes()?);
        for place in lines.places() {
            let length = place.as_ref().map_or(0, |place| place.len() as u64 + 1);
            match place.and_then(|place| self.chain.accept(&lines.text, place, self.offset)) {
                Ok(event) => events.push(event),
                // The first line of a segment may go on from an earlier line
                // than the last one that we saw: reading all of it tells.
                Err(_) if self.offset == 0 && self.chain.segment > 1 => return self.start_over(events),
                Err(what) => return Err(damaged(&self.dir, self.chain.segment, 0, what)),
            }
            self.offset += length;
        }
        Ok(())
    }

    fn start_over(&mut self, events: &mut Vec<RawEvent>) -> Result<(), JournalError> {
        let replay = read(&self.dir)?;
        let segment = self.chain.segment;
        events.extend(replay.events.iter().filter(|event| event.segment() >= segment).cloned());
        *self = Self::after(&self.dir, &replay);
        Ok(())
    }

    fn new_bytes(&self) -> Result<Vec<u8>, JournalError> {
        let name = segment_name(self.chain.segment);
        let file = match self.dir.directory().open(&name) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            other => other?,
        };
        let mut bytes = Vec::new();
        loop {
            let filled = bytes.len();
            bytes.resize(filled + CHUNK_BYTES, 0);
            let count =
                file.read_at(&mut bytes[filled..], self.offset + filled as u64).map_err(|source| {
                    crate::store::StoreError::io("read", &self.dir.path().join(&name), source)
                })?;
            bytes.truncate(filled + count);
            if count == 0 {
                return Ok(bytes);
            }
        }
    }
}
