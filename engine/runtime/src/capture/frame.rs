//! The frames of a log.

/// Where a command printed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// What it wrote to the file behind `RUNBOOK_OUTPUT`, kept at the end of the log.
    Outputs,
}

impl Stream {
    /// The byte that names the stream in a log.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Stdout => b'o',
            Self::Stderr => b'e',
            Self::Outputs => b'v',
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Stdout, Self::Stderr, Self::Outputs].into_iter().find(|stream| stream.code() == code)
    }
}

/// How many bytes aren't in a log: left out by `log_limit`, between its head and its tail, or lost with a disk that took no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
}

impl Dropped {
    /// All bytes left out.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.stdout.saturating_add(self.stderr)
    }

    pub(super) fn of(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
            // Values aren't subject to the limit, and those that can't be kept fail their step.
            Stream::Outputs => 0,
        }
    }

    pub(super) fn count(&mut self, stream: Stream, bytes: u64) {
        match stream {
            Stream::Stdout => self.stdout += bytes,
            Stream::Stderr => self.stderr += bytes,
            // Values aren't subject to the limit: they are bounded by their own.
            Stream::Outputs => {}
        }
    }

    pub(super) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.stdout.to_le_bytes());
        bytes[8..].copy_from_slice(&self.stderr.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (stdout, stderr) = bytes.split_at_checked(8)?;
        Some(Self {
            stdout: u64::from_le_bytes(stdout.try_into().ok()?),
            stderr: u64::from_le_bytes(stderr.try_into().ok()?),
        })
    }
}

/// The byte that names a frame which counts dropped bytes.
pub(super) const DROPPED: u8 = b'd';

/// The byte that names a frame which counts bytes that couldn't be written, at the end of a log.
pub(super) const LOST: u8 = b'l';

/// The byte that names an empty frame which ends the head of an output over its limit: the tail lies in segments, until it is moved behind this frame.
pub(super) const CONTINUED: u8 = b'c';

/// The byte that names an empty frame which ends a log whose tail was moved into it: segments that may still be there don't count.
pub(super) const COMPLETE: u8 = b'z';

/// The bytes before the content of a frame.
pub(super) const HEADER: usize = 5;

/// The longest content of a frame. The writer makes none longer, so a longer one isn't ours.
pub(super) const CONTENT_MAX: usize = 1024 * 1024;

/// One piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of one stream.
    Bytes {
        /// Which.
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Here `log_limit` left something out.
    Dropped(Dropped),
    /// From here on nothing could be written: the disk was full, say.
    Lost(Dropped),
}

pub(super) fn header(code: u8, length: usize) -> [u8; HEADER] {
    let length = u32::try_from(length).expect("the writer cuts frames at CONTENT_MAX");
    let [a, b, c, d] = length.to_le_bytes();
    [code, a, b, c, d]
}
