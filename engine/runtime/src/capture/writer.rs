//! The one writer of a log: the keeper.
//!
//! While the output is within the first half of its limit, frames go to the log itself. After that they go to segments beside it
//! (`<log>.tail-<n>`), of which the oldest is removed as soon as the younger ones hold the second half. At the end the tail is moved into the log.
//! So memory stays constant, at most about 9/8 of the limit lies on disk, and everything that was kept is on disk at every moment: a log whose keeper
//! was killed is read with its segments.
//!
//! Where a write fails, nothing more is written. The log is then cut behind its last whole frame, so that its hash is that of what lies there, and says how
//! much is missing where that still fits.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::frame::{COMPLETE, CONTENT_MAX, CONTINUED, DROPPED, Dropped, HEADER, LOST, Stream, header};
use crate::keeper::LogSummary;

/// Into how many segments the tail is cut. More waste less disk, fewer cost fewer files.
const SEGMENTS: u64 = 4;

/// Writes the log of one attempt. Its file is created with the first byte.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    mode: u32,
    log: Option<Hashed>,
    /// How many bytes of output still belong to the head.
    head_left: u64,
    tail: Tail,
    failure: Option<io::Error>,
    /// What was printed since the failure, or in the write that failed.
    lost: Dropped,
}

/// The log's file, with the hash over everything in it.
#[derive(Debug)]
struct Hashed {
    file: File,
    hash: Sha256,
    length: u64,
}

#[derive(Debug)]
struct Tail {
    /// How many bytes of output the tail keeps.
    size: u64,
    segments: VecDeque<Segment>,
    next: u64,
    /// What was printed after the head and is in no segment any more.
    dropped: Dropped,
}

/// A file of frames beside the log. The first frame counts what was dropped before it.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    /// How many bytes of each stream are in it.
    content: Dropped,
}

impl LogWriter {
    /// Prepares a log that keeps `limit` bytes of output; creates nothing yet.
    pub(crate) fn new(path: PathBuf, mode: u32, limit: u64) -> Self {
        let tail = limit / 2;
        Self {
            path,
            mode,
            log: None,
            head_left: limit - tail,
            tail: Tail { size: tail, segments: VecDeque::new(), next: 0, dropped: Dropped::default() },
            failure: None,
            lost: Dropped::default(),
        }
    }

    /// Records output. After a failure nothing more is written; [`finish`](Self::finish) says what failed.
    pub(crate) fn append(&mut self, stream: Stream, bytes: &[u8]) {
        for bytes in bytes.chunks(CONTENT_MAX) {
            let head = usize::try_from(self.head_left).unwrap_or(usize::MAX).min(bytes.len());
            let (head, tail) = bytes.split_at(head);
            self.head_left -= head.len() as u64;
            if !head.is_empty() {
                self.attempt(|writer| writer.append_to_log(stream.code(), head));
                self.count_lost(stream, head);
            }
            if !tail.is_empty() {
                self.attempt(|writer| writer.append_to_tail(stream, tail));
                self.count_lost(stream, tail);
            }
        }
    }

    /// Moves the tail into the log, adds the values that the command left, and forces the log to disk. Gives no summary where nothing was printed, or where
    /// nobody knows what is on disk: a log that can't be forced there. What was lost counts as dropped.
    pub(crate) fn finish(mut self, outputs: &[u8]) -> (Option<LogSummary>, Dropped, Option<io::Error>) {
        self.attempt(Self::move_tail);
        for part in outputs.chunks(CONTENT_MAX) {
            self.attempt(|writer| writer.append_to_log(Stream::Outputs.code(), part));
        }
        if self.tail.next > 0 {
            self.attempt(|writer| writer.append_to_log(COMPLETE, &[]));
        }
        if self.failure.is_some() {
            self.cut();
        }
        // What was written is forced to disk even where not all was. A flush that fails is never tried again.
        if let Some(log) = &self.log
            && let Err(error) = log.file.sync_data()
        {
            self.failure.get_or_insert(error);
            self.log = None;
        }
        // The segments are needed as long as the log isn't safe.
        if self.failure.is_none() {
            for segment in &self.tail.segments {
                // One that stays is noise: the log's end says that it is complete.
                let _ = fs::remove_file(&segment.path);
            }
        }
        let summary =
            self.log.map(|log| LogSummary { sha256: log.hash.finalize().into(), length: log.length });
        let mut missing = self.tail.dropped;
        missing.stdout += self.lost.stdout;
        missing.stderr += self.lost.stderr;
        (summary, missing, self.failure)
    }

    /// After a failure: leaves whole frames alone in the log, and the count of what is missing behind them.
    fn cut(&mut self) {
        // In segments the log goes on, so nothing ends here.
        let marks = self.lost.total() > 0 && self.tail.next == 0;
        let Some(log) = &mut self.log else { return };
        if marks && log.mark_lost(&self.path, self.lost).is_ok() {
            return;
        }
        if log.file.set_len(log.length).is_err() {
            self.log = None;
        }
    }

    fn count_lost(&mut self, stream: Stream, bytes: &[u8]) {
        if self.failure.is_some() {
            self.lost.count(stream, bytes.len() as u64);
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.failure.is_none() {
            self.failure = write(self).err();
        }
    }

    fn append_to_log(&mut self, code: u8, content: &[u8]) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            None => {
                let file = create(&self.path, self.mode)?;
                self.log.insert(Hashed { file, hash: Sha256::new(), length: 0 })
            }
        };
        let header = header(code, content.len());
        write_frame(&mut log.file, &header, content)?;
        log.hash.update(header);
        log.hash.update(content);
        log.length += (HEADER + content.len()) as u64;
        Ok(())
    }

    fn append_to_tail(&mut self, stream: Stream, content: &[u8]) -> io::Result<()> {
        if self.tail.next == 0 {
            self.append_to_log(CONTINUED, &[])?;
        }
        let (path, mode, tail) = (&self.path, self.mode, &mut self.tail);
        if tail.segments.back().is_none_or(|segment| segment.content.total() >= (tail.size / SEGMENTS).max(1))
        {
            tail.begin_segment(path, mode)?;
        }
        let segment = tail.segments.back_mut().expect("a segment was begun above");
        write_frame(&mut segment.file, &header(stream.code(), content.len()), content)?;
        segment.content.count(stream, content.len() as u64);
        tail.drop_oldest()
    }

    /// Copies the last bytes of the tail behind the head, with the count of what is dropped between them.
    fn move_tail(&mut self) -> io::Result<()> {
        let kept: u64 = self.tail.segments.iter().map(|segment| segment.content.total()).sum();
        let mut surplus = kept.saturating_sub(self.tail.size);
        let mut marked = false;
        for index in 0..self.tail.segments.len() {
            let mut frames = super::reader::FrameFile::open(&self.tail.segments[index].path)?;
            // What follows the first count is output alone.
            frames.next_raw()?;
            while let Some((code, mut content)) = frames.next_raw()? {
                let cut = usize::try_from(surplus).unwrap_or(usize::MAX).min(content.len());
                if let Some(stream) = Stream::from_code(code) {
                    self.tail.dropped.count(stream, cut as u64);
                }
                surplus -= cut as u64;
                content.drain(..cut);
                if content.is_empty() {
                    continue;
                }
                if !marked {
                    self.mark_dropped()?;
                    marked = true;
                }
                self.append_to_log(code, &content)?;
            }
        }
        if marked { Ok(()) } else { self.mark_dropped() }
    }

    fn mark_dropped(&mut self) -> io::Result<()> {
        if self.tail.dropped.total() == 0 {
            return Ok(());
        }
        self.append_to_log(DROPPED, &self.tail.dropped.encode())
    }
}

impl Hashed {
    /// Writes the count over what is left of the frame that failed: the disk gave that room already.
    fn mark_lost(&mut self, path: &Path, lost: Dropped) -> io::Result<()> {
        let count = lost.encode();
        let frame = [&header(LOST, count.len())[..], &count].concat();
        // Ours appends, whatever the place.
        let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        file.write_all_at(&frame, self.length)?;
        let length = self.length + frame.len() as u64;
        file.set_len(length)?;
        self.hash.update(&frame);
        self.length = length;
        Ok(())
    }
}

impl Tail {
    fn begin_segment(&mut self, log: &Path, mode: u32) -> io::Result<()> {
        let path = segment_path(log, self.next);
        let mut file = create(&path, mode)?;
        let mut before = self.dropped;
        for segment in &self.segments {
            before.stdout += segment.content.stdout;
            before.stderr += segment.content.stderr;
        }
        let count = before.encode();
        write_frame(&mut file, &header(DROPPED, count.len()), &count)?;
        self.next += 1;
        self.segments.push_back(Segment { path, file, content: Dropped::default() });
        Ok(())
    }

    /// Removes the oldest segment where the others hold enough.
    fn drop_oldest(&mut self) -> io::Result<()> {
        let kept: u64 = self.segments.iter().map(|segment| segment.content.total()).sum();
        let Some(oldest) = self.segments.front() else { return Ok(()) };
        if self.segments.len() < 2 || kept - oldest.content.total() < self.size {
            return Ok(());
        }
        fs::remove_file(&oldest.path)?;
        self.dropped.stdout += oldest.content.stdout;
        self.dropped.stderr += oldest.content.stderr;
        self.segments.pop_front();
        Ok(())
    }
}

/// Where a segment of a log's tail lies.
pub(super) fn segment_path(log: &Path, number: u64) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    // Twenty digits, so that their names sort as their numbers do.
    name.push(format!(".tail-{number:020}"));
    PathBuf::from(name)
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    if mode != 0o600 {
        // The user's mask is meant for other files, and narrows what the group shares.
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Writes header and content, in one call as a rule.
fn write_frame(file: &mut File, header: &[u8; HEADER], content: &[u8]) -> io::Result<()> {
    let mut slices = &mut [IoSlice::new(header), IoSlice::new(content)][..];
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a whole file that may be at most so long; `None` where it is longer.
pub(crate) fn read_at_most(file: &mut File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= limit).then_some(content))
}
