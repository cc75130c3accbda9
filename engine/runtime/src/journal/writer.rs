//! The one writer of a run's journal.
//!
//! A batch of events decided together is one write and one flush. What can't be
//! recorded must not happen, so every failure is final for the file it hit: a
//! flush that failed once may pretend to succeed the second time (`engine.md`
//! §3, "Fail closed"). Space is set aside ahead, so that the last words fit
//! even on a full disk.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use runbook_core::event::{Event, EventKind, JOURNAL_FORMAT};
use runbook_core::moment::Moment;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::error::JournalError;
use super::format::{self, Head};
use super::reader::Replay;
use crate::store::{NewFiles, RunDir, StoreError, begin, segment_name};

/// How much space is set aside beyond the last line, in bytes.
const RESERVE_BYTES: u64 = 256 * 1024;
/// What must still be set aside after a batch, in bytes: below, more is asked
/// for. Between the two there are hundreds of batches that needn't ask.
const RESERVE_BYTES_MIN: u64 = 128 * 1024;
/// The version that `journal_opened` names.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An event that is durable.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// Its line in the journal, without the newline.
    pub line: Arc<str>,
}

/// Appends to a run's journal. Whoever has one holds the run's lock.
#[derive(Debug)]
pub struct Writer {
    dir: RunDir,
    segment: Segment,
    next_seq: u64,
    head: Head,
    state: State,
    buffer: Vec<u8>,
    /// What is flushed before the first batch.
    files: Option<NewFiles>,
}

/// The file that is being written.
#[derive(Debug)]
struct Segment {
    number: u32,
    file: File,
    path: PathBuf,
    /// Bytes that were acknowledged.
    length: u64,
    /// Up to where space is set aside; `u64::MAX` where the file system can't.
    reserved: u64,
}

/// Whether a batch is the segment's last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Seal,
}

/// What may still be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything.
    Open,
    /// Only last words, into this file.
    LastWords,
    /// Only last words, into another file: this one failed.
    Poisoned,
}

impl Writer {
    /// Creates the journal of a new run: `journal_opened` and `kinds` in one
    /// batch. With it everything that was written into the run's folder before
    /// becomes durable and the run visible.
    ///
    /// # Errors
    /// Where there is a journal already or it can't be written.
    pub fn create(
        dir: &RunDir,
        at: Moment,
        kinds: &[EventKind],
    ) -> Result<(Self, Vec<Recorded>), JournalError> {
        Self::open(dir, 1, (1, Head::ZERO), at, kinds, None)
    }

    /// Creates the journal of a new run whose files are still to be flushed: before the first batch is, so that nothing is acknowledged, and
    /// nothing starts, before all of it is durable.
    ///
    /// # Errors
    /// Where there is a journal already, or anything can't be written.
    pub fn create_with(
        dir: &RunDir,
        files: NewFiles,
        at: Moment,
        kinds: &[EventKind],
    ) -> Result<(Self, Vec<Recorded>), JournalError> {
        Self::open(dir, 1, (1, Head::ZERO), at, kinds, Some(files))
    }

    /// Goes on with the journal of an earlier process in a new segment:
    /// `journal_opened` and `kinds` in one batch.
    ///
    /// # Errors
    /// Where it can't be written, or what was read can't be made durable.
    pub fn reopen(
        dir: &RunDir,
        replay: &Replay,
        at: Moment,
        kinds: &[EventKind],
    ) -> Result<(Self, Vec<Recorded>), JournalError> {
        // The dead writer may not have flushed the last lines that we have read
        // and go on from. Nor does a seal say that it was: its writer may have
        // been killed between writing and flushing it.
        let name = segment_name(replay.segment);
        let last = dir.directory().open(&name)?;
        last.sync_data().map_err(|source| StoreError::io("sync", &dir.path().join(&name), source))?;
        Self::open(dir, replay.segment + 1, (replay.last_seq + 1, replay.last_head()), at, kinds, None)
    }

    fn open(
        dir: &RunDir,
        number: u32,
        (next_seq, head): (u64, Head),
        at: Moment,
        kinds: &[EventKind],
        files: Option<NewFiles>,
    ) -> Result<(Self, Vec<Recorded>), JournalError> {
        let mut segment = Segment::create(dir, number)?;
        segment.reserve(0).map_err(|source| JournalError::Full { file: segment.path.clone(), source })?;
        let mut writer = Self {
            dir: dir.clone(),
            segment,
            next_seq,
            head,
            state: State::Open,
            buffer: Vec::with_capacity(4096),
            files,
        };
        let recorded = writer.write(at, &with_opened(kinds), Closing::Open)?;
        dir.directory().sync()?;
        Ok((writer, recorded))
    }

    /// Records a batch of events that were decided together: durable when this
    /// returns. Fast enough to be called from the loop: one write, one flush.
    ///
    /// # Errors
    /// Where it can't be recorded. From then on every call is an error, and
    /// nothing new may start; see [`Writer::last_words`].
    pub fn append(&mut self, at: Moment, kinds: &[EventKind]) -> Result<Vec<Recorded>, JournalError> {
        if self.state != State::Open {
            return Err(JournalError::Closed { file: self.segment.path.clone() });
        }
        self.write(at, kinds, Closing::Open)
    }

    /// Records how what still ran ended, after [`Writer::append`] failed: into
    /// the space set aside, or into a new segment that goes on from the last
    /// acknowledged line.
    ///
    /// # Errors
    /// Where that fails too; the next call tries another segment.
    pub fn last_words(&mut self, at: Moment, kinds: &[EventKind]) -> Result<Vec<Recorded>, JournalError> {
        match self.state {
            State::Open | State::LastWords => {
                self.state = State::LastWords;
                self.write(at, kinds, Closing::Open)
            }
            State::Poisoned => {
                let mut segment = Segment::create(&self.dir, self.segment.number + 1)?;
                // Without a reserve it is still worth trying.
                let _ = segment.reserve(0);
                self.segment = segment;
                self.state = State::LastWords;
                let recorded = self.write(at, &with_opened(kinds), Closing::Open)?;
                self.dir.directory().sync()?;
                Ok(recorded)
            }
        }
    }

    /// Ends the segment in order, gives the reserved space back, and returns
    /// the head: the hash that vouches for the whole journal.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn seal(self, at: Moment) -> Result<(String, Recorded), JournalError> {
        let (head, recorded) = self.append_and_seal(at, &[])?;
        let sealed = recorded.into_iter().next().expect("the seal was written");
        Ok((head, sealed))
    }

    /// Records a last batch and the seal in one flush; see [`Writer::seal`].
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn append_and_seal(
        mut self,
        at: Moment,
        kinds: &[EventKind],
    ) -> Result<(String, Vec<Recorded>), JournalError> {
        if self.state == State::Poisoned {
            return Err(JournalError::Closed { file: self.segment.path.clone() });
        }
        self.state = State::LastWords;
        let recorded = self.write(at, kinds, Closing::Seal)?;
        let head = match recorded.last().map(|record| &record.event.kind) {
            Some(EventKind::Sealed { head }) => head.clone(),
            _ => self.head.as_str().to_owned(),
        };
        Ok((head, recorded))
    }

    /// The number of the last durable event.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// The hash of the last durable line.
    #[must_use]
    pub fn head(&self) -> &str {
        self.head.as_str()
    }

    fn write(
        &mut self,
        at: Moment,
        kinds: &[EventKind],
        closing: Closing,
    ) -> Result<Vec<Recorded>, JournalError> {
        if kinds.is_empty() && closing == Closing::Open {
            return Ok(Vec::new());
        }
        self.buffer.clear();
        let mut recorded = Vec::with_capacity(kinds.len() + 1);
        let (mut seq, mut head) = (self.next_seq, self.head);
        let count = kinds.len() + usize::from(closing == Closing::Seal);
        for index in 0..count {
            // The seal names the hash of the line before it, which is known only now.
            let seal;
            let kind = match kinds.get(index) {
                Some(kind) => kind,
                None => {
                    seal = EventKind::Sealed { head: head.as_str().to_owned() };
                    &seal
                }
            };
            let start = self.buffer.len();
            let (event, hash) = format::write_line(&mut self.buffer, seq, at, self.dir.run(), kind, head);
            let line = std::str::from_utf8(&self.buffer[start..]).expect("JSON is written as UTF-8");
            recorded.push(Recorded { event, line: line.into() });
            self.buffer.push(b'\n');
            (seq, head) = (seq + 1, hash);
        }
        if self.state == State::Open
            && let Err(source) = self.segment.reserve(self.buffer.len() as u64)
        {
            self.state = State::LastWords;
            return Err(JournalError::Full { file: self.segment.path.clone(), source });
        }
        let mut written = self.segment.write(&self.buffer);
        if let Some(files) = self.files.take()
            && written.is_ok()
        {
            begin(&self.segment.file);
            if let Err(error) = files.flush() {
                self.state = State::Poisoned;
                return Err(error.into());
            }
        }
        written = written.and_then(|()| self.segment.flush(self.buffer.len() as u64));
        if let Err((action, source)) = written {
            self.state = State::Poisoned;
            return Err(JournalError::Unwritable { action, file: self.segment.path.clone(), source });
        }
        (self.next_seq, self.head) = (seq, head);
        Ok(recorded)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A file that failed is left as it is: evidence.
        if self.state != State::Poisoned {
            self.segment.release();
        }
    }
}

/// The first line of a segment, then the rest.
fn with_opened(kinds: &[EventKind]) -> Vec<EventKind> {
    let opened = EventKind::JournalOpened { format: JOURNAL_FORMAT, version: VERSION.to_owned() };
    std::iter::once(opened).chain(kinds.iter().cloned()).collect()
}

impl Segment {
    fn create(dir: &RunDir, number: u32) -> Result<Self, JournalError> {
        let name = segment_name(number);
        let path = dir.path().join(&name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND;
        let file = dir.directory().create_with(&name, flags)?;
        Ok(Self { number, file, path, length: 0, reserved: 0 })
    }

    /// Sets space aside, where less than the minimum would be left after
    /// another `bytes`.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let length = self.length + bytes;
        if self.reserved >= length.saturating_add(RESERVE_BYTES_MIN) {
            return Ok(());
        }
        let wanted = length + RESERVE_BYTES;
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, wanted) {
            Ok(()) => self.reserved = wanted,
            // Some file systems can't; then there is nothing to rely on.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.reserved = u64::MAX,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Writes all of `bytes` to the end.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (&'static str, io::Error)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&self.file, rest) {
                Ok(0) => return Err(("write", io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(("write", errno.into())),
            }
        }
        Ok(())
    }

    /// Flushes what was written: so many bytes.
    fn flush(&mut self, bytes: u64) -> Result<(), (&'static str, io::Error)> {
        rustix::fs::fdatasync(&self.file).map_err(|errno| ("sync", errno.into()))?;
        self.length += bytes;
        Ok(())
    }

    /// Gives the space beyond the last line back.
    fn release(&mut self) {
        // Cutting a file to the length that it has frees what was set aside.
        let _ = rustix::fs::ftruncate(&self.file, self.length);
    }
}
