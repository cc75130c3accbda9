//! Reading logs: whole streams for expressions, frames and last lines for people, and the growing end of one for those who watch.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::frame::{COMPLETE, CONTENT_MAX, CONTINUED, DROPPED, Dropped, Frame, HEADER, LOST, Stream, header};

/// A log to read. A log whose keeper was killed over its limit is read together with the segments of its tail; a last frame that is cut short is
/// given as far as it goes.
#[derive(Debug, Clone)]
pub struct CaptureLog {
    path: PathBuf,
}

/// What was read of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether there was more than the limit of the reading.
    pub truncated: bool,
    /// How many bytes of the stream `log_limit` left out, somewhere in the middle.
    pub dropped: u64,
    /// How many bytes of the stream couldn't be written, at its end.
    pub lost: u64,
}

/// The longest line that [`CaptureLog::tail_lines`] gives whole, in bytes.
const LINE_MAX: usize = 64 * 1024;

impl CaptureLog {
    /// Opens the log of an attempt.
    ///
    /// # Errors
    /// There is none (the attempt printed nothing), it is a symlink, or it can't be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        FrameFile::open(path)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// All frames, in the order in which they were read from the command.
    ///
    /// # Errors
    /// The log can't be opened; each item may be a failure to read, or a log that isn't one.
    pub fn frames(&self) -> io::Result<Frames> {
        Ok(Frames {
            log: self.path.clone(),
            file: FrameFile::open(&self.path)?,
            segments: None,
            past_first_segment: false,
        })
    }

    /// One stream whole, as an expression needs it, up to `limit` bytes.
    ///
    /// # Errors
    /// The log can't be read, or isn't one.
    pub fn read_stream(&self, wanted: Stream, limit: usize) -> io::Result<Read> {
        let mut read = Read::default();
        for frame in self.frames()? {
            match frame? {
                Frame::Bytes { stream, bytes } if stream == wanted => {
                    let room = (limit - read.bytes.len()).min(bytes.len());
                    read.bytes.extend_from_slice(&bytes[..room]);
                    read.truncated |= room < bytes.len();
                }
                Frame::Bytes { .. } => {}
                Frame::Dropped(dropped) => read.dropped += dropped.of(wanted),
                Frame::Lost(lost) => read.lost += lost.of(wanted),
            }
        }
        Ok(read)
    }

    /// The last lines of standard output and error together, without their line ends, in the order in which they were completed; unfinished ones
    /// come last. A line over 64 KiB is cut there.
    ///
    /// # Errors
    /// The log can't be read, or isn't one.
    pub fn tail_lines(&self, count: usize) -> io::Result<Vec<(Stream, Vec<u8>)>> {
        let mut lines = VecDeque::new();
        let mut open: [(Stream, Vec<u8>); 2] = [(Stream::Stdout, Vec::new()), (Stream::Stderr, Vec::new())];
        let mut push = |stream: Stream, line: Vec<u8>| {
            lines.push_back((stream, line));
            if lines.len() > count {
                lines.pop_front();
            }
        };
        for frame in self.frames()? {
            let Frame::Bytes { stream, bytes } = frame? else { continue };
            let Some((_, unfinished)) = open.iter_mut().find(|(known, _)| *known == stream) else { continue };
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
                let room = (LINE_MAX - unfinished.len()).min(text.len());
                unfinished.extend_from_slice(&text[..room]);
                if ended {
                    push(stream, std::mem::take(unfinished));
                }
            }
        }
        for (stream, unfinished) in open {
            if !unfinished.is_empty() {
                push(stream, unfinished);
            }
        }
        Ok(lines.into())
    }

    /// SHA-256 and length of the file, to compare with what `step_finished` records.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn sha256(&self) -> io::Result<([u8; 32], u64)> {
        let mut file = open_file(&self.path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        let mut length = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((hash.finalize().into(), length)),
                count => {
                    hash.update(&buffer[..count]);
                    length += count as u64;
                }
            }
        }
    }

    /// Follows the log from its beginning.
    ///
    /// # Errors
    /// The log can't be opened.
    pub fn follow(&self) -> io::Result<Follower> {
        Ok(Follower { file: FrameFile::open(&self.path)?, offset: 0 })
    }
}

/// The frames of a log, one after the other.
#[derive(Debug)]
pub struct Frames {
    log: PathBuf,
    file: FrameFile,
    /// The segments of the tail that are still to come, where they stand for the end of the log.
    segments: Option<VecDeque<PathBuf>>,
    past_first_segment: bool,
}

impl Iterator for Frames {
    type Item = io::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl Frames {
    fn advance(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match self.file.next_raw()? {
                Some((CONTINUED, _)) => {
                    if !self.file.is_complete()? {
                        self.continue_in_segments()?;
                    }
                }
                // Each segment counts what came between the head and itself. Of that nothing is there only for the first.
                Some((DROPPED, _)) if self.past_first_segment => {}
                Some((code, content)) => {
                    if let Some(frame) = interpret(code, content)? {
                        return Ok(Some(frame));
                    }
                }
                None => match self.segments.as_mut().and_then(VecDeque::pop_front) {
                    Some(segment) => {
                        self.file = FrameFile::open(&segment)?;
                        self.past_first_segment = true;
                    }
                    None => return Ok(None),
                },
            }
        }
    }

    /// Goes on in the segments that the keeper left, if it was killed (or still runs).
    fn continue_in_segments(&mut self) -> io::Result<()> {
        let mut segments = segments_of(&self.log)?;
        if let Some(first) = segments.front() {
            // It is read from its beginning, the count included: nothing of the log itself follows.
            self.file = FrameFile::open(first)?;
            segments.pop_front();
            self.segments = Some(segments);
        }
        Ok(())
    }
}

/// The growing end of a log. What goes to the tail of an output over its limit is seen when the attempt is over.
#[derive(Debug)]
pub struct Follower {
    file: FrameFile,
    offset: u64,
}

impl Follower {
    /// Gives the whole frames that were added since the last call.
    ///
    /// # Errors
    /// The log can't be read, or isn't one.
    pub fn read_new(&mut self) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        self.file.0.seek(SeekFrom::Start(self.offset))?;
        while let Some((code, content, whole)) = self.file.next_part()? {
            if !whole {
                break;
            }
            self.offset += (HEADER + content.len()) as u64;
            frames.extend(interpret(code, content)?);
        }
        Ok(frames)
    }
}

/// The segments of a log's tail, the oldest first.
fn segments_of(log: &Path) -> io::Result<VecDeque<PathBuf>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return Ok(VecDeque::new()) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let prefix = [name.as_encoded_bytes(), b".tail-"].concat();
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(&prefix) {
            segments.push(entry.path());
        }
    }
    segments.sort();
    Ok(segments.into())
}

fn interpret(code: u8, content: Vec<u8>) -> io::Result<Option<Frame>> {
    if let Some(stream) = Stream::from_code(code) {
        return Ok(Some(Frame::Bytes { stream, bytes: content }));
    }
    match code {
        DROPPED => {
            Dropped::decode(&content).map(|dropped| Some(Frame::Dropped(dropped))).ok_or_else(not_a_log)
        }
        LOST => Dropped::decode(&content).map(|lost| Some(Frame::Lost(lost))).ok_or_else(not_a_log),
        CONTINUED | COMPLETE => Ok(None),
        _ => Err(not_a_log()),
    }
}

/// A file of frames.
#[derive(Debug)]
pub(super) struct FrameFile(BufReader<File>);

impl FrameFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::with_capacity(64 * 1024, open_file(path)?)))
    }

    /// The next frame's code and content, or `None` at the end. A content that is cut short is given as far as it goes.
    pub(super) fn next_raw(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        Ok(self.next_part()?.map(|(code, content, _)| (code, content)))
    }

    /// As [`next_raw`](Self::next_raw), and whether the frame is whole.
    fn next_part(&mut self) -> io::Result<Option<(u8, Vec<u8>, bool)>> {
        let mut head = Vec::with_capacity(HEADER);
        self.0.by_ref().take(HEADER as u64).read_to_end(&mut head)?;
        let Ok([code, a, b, c, d]) = <[u8; HEADER]>::try_from(head) else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > CONTENT_MAX {
            return Err(not_a_log());
        }
        let mut content = Vec::with_capacity(length);
        self.0.by_ref().take(length as u64).read_to_end(&mut content)?;
        let whole = content.len() == length;
        Ok(Some((code, content, whole)))
    }

    /// Whether the log ends with the mark that its tail was moved into it.
    fn is_complete(&self) -> io::Result<bool> {
        let file = self.0.get_ref();
        let length = file.metadata()?.len();
        let mut end = [0; HEADER];
        file.read_exact_at(&mut end, length.saturating_sub(HEADER as u64))?;
        Ok(end == header(COMPLETE, 0))
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn not_a_log() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is not the log of a command")
}
