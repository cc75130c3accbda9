//! From the command's pipes to the log and the live view, masked on the way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, sendmsg};
use rustix::pipe::PipeFlags;

use super::message::{OUTPUT_PART, Report};
use super::terminal::CommandTerminal;
use crate::capture::{LogWriter, Stream};
use crate::redact::{Masker, StreamMasker};

/// How much is read at once.
const READ: usize = 128 * 1024;

/// What a pipe holds, for a command that fills it.
const PIPE: usize = 1024 * 1024;

/// How many bytes the live view is sent at once and per second: more than anybody reads, and little beside what recording costs.
const LIVE_BURST: u64 = 4 * 1024 * 1024;
const LIVE_PER_SECOND: u64 = 8 * 1024 * 1024;

/// One output of the command: the keeper's end of its pipe, and what is on the way.
pub(super) struct Source {
    stream: Stream,
    pipe: Option<OwnedFd>,
    /// `None` where there are no secrets, so that nothing needs to be copied.
    mask: Option<StreamMasker>,
    enlarged: bool,
    /// Bytes that the live view lost since it last got any.
    lost: u64,
    /// The live view is the operator's own terminal: nothing may be lost, so nothing is read that can't be shown.
    whole: bool,
}

impl Source {
    /// What a command prints on its terminal: one stream.
    pub(super) fn of_terminal(terminal: &CommandTerminal, masker: &Masker) -> io::Result<Self> {
        Ok(Self {
            stream: Stream::Stdout,
            pipe: Some(terminal.master.try_clone()?),
            mask: (!masker.is_empty()).then(|| masker.stream()),
            // A terminal has no size to enlarge.
            enlarged: true,
            lost: 0,
            whole: true,
        })
    }

    /// Whether it is read only as fast as the engine takes it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Makes a pipe; gives the keeper's end and the command's.
    pub(super) fn new(stream: Stream, masker: &Masker) -> io::Result<(Self, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        let source = Self {
            stream,
            pipe: Some(read),
            mask: (!masker.is_empty()).then(|| masker.stream()),
            enlarged: false,
            lost: 0,
            whole: false,
        };
        Ok((source, write))
    }

    /// The pipe to wait for, while it is open.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }
}

/// Where output goes.
pub(super) struct Sink {
    log: Option<LogWriter>,
    buffer: Vec<u8>,
    masked: Vec<u8>,
    /// How many bytes the live view may still get, and since when that is so.
    live_budget: u64,
    live_since: Instant,
    live: bool,
}

impl Sink {
    pub(super) fn new(log: Option<LogWriter>) -> Self {
        Self {
            log,
            // Without zeros in it: small commands never touch most of its pages.
            buffer: Vec::with_capacity(READ),
            masked: Vec::new(),
            live_budget: LIVE_BURST,
            live_since: Instant::now(),
            live: true,
        }
    }

    /// Reads once from a source that has something, records and shows it. Closes the source at its end.
    pub(super) fn transfer(&mut self, source: &mut Source, engine: BorrowedFd<'_>) {
        let Some(pipe) = &source.pipe else { return };
        self.buffer.clear();
        if source.whole {
            self.live_budget = LIVE_BURST;
        }
        match rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut self.buffer)) {
            Ok(0) => self.close(source, engine),
            Ok(length) => {
                if length >= 32 * 1024 && !source.enlarged {
                    // Fewer turns for a command that prints much; the system may refuse, which only makes it slower.
                    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
                    source.enlarged = true;
                }
                let buffer = std::mem::take(&mut self.buffer);
                match &mut source.mask {
                    None => self.record(source.stream, &mut source.lost, &buffer, engine),
                    Some(mask) => {
                        let mut masked = std::mem::take(&mut self.masked);
                        masked.clear();
                        mask.push(&buffer, &mut masked);
                        self.record(source.stream, &mut source.lost, &masked, engine);
                        self.masked = masked;
                    }
                }
                self.buffer = buffer;
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.close(source, engine),
        }
    }

    /// Reads what a source still holds, and no more than a pipe can hold.
    pub(super) fn drain(&mut self, source: &mut Source, engine: BorrowedFd<'_>) {
        for _ in 0..PIPE / READ {
            self.transfer(source, engine);
        }
    }

    /// Ends a source: what its mask held back is recorded, and whoever writes on gets SIGPIPE.
    pub(super) fn close(&mut self, source: &mut Source, engine: BorrowedFd<'_>) {
        if source.pipe.take().is_none() {
            return;
        }
        if let Some(mut mask) = source.mask.take() {
            let mut rest = Vec::new();
            mask.finish(&mut rest);
            self.record(source.stream, &mut source.lost, &rest, engine);
        }
    }

    /// Gives the log back, for its end.
    pub(super) fn into_log(self) -> Option<LogWriter> {
        self.log
    }

    fn record(&mut self, stream: Stream, lost: &mut u64, bytes: &[u8], engine: BorrowedFd<'_>) {
        if bytes.is_empty() {
            return;
        }
        if let Some(log) = &mut self.log {
            log.append(stream, bytes);
        }
        if self.live {
            for part in bytes.chunks(OUTPUT_PART) {
                self.show(stream, lost, part, engine);
            }
        }
    }

    /// Sends output to the live view where that costs no waiting.
    fn show(&mut self, stream: Stream, lost: &mut u64, part: &[u8], engine: BorrowedFd<'_>) {
        let length = part.len() as u64;
        if self.live_budget < length {
            self.refill();
        }
        if self.live_budget < length {
            *lost += length;
            return;
        }
        let header = Report::output_header(stream, *lost);
        let slices = [io::IoSlice::new(&header), io::IoSlice::new(part)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(engine, &slices, &mut rustix::net::SendAncillaryBuffer::default(), flags) {
            Ok(_) => {
                *lost = 0;
                self.live_budget -= length;
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => {
                *lost += length;
            }
            // The engine is gone. The command and its record go on.
            Err(_) => self.live = false,
        }
    }

    fn refill(&mut self) {
        let elapsed = self.live_since.elapsed();
        // Not for every packet: that would cost more than it admits.
        if elapsed >= Duration::from_millis(20) {
            let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.live_budget = milliseconds
                .saturating_mul(LIVE_PER_SECOND / 1000)
                .saturating_add(self.live_budget)
                .min(LIVE_BURST);
            self.live_since = Instant::now();
        }
    }
}
