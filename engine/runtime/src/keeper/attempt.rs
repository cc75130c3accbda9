//! The engine's end of an attempt: what its keeper reports, and what it can be told.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::unix::AsyncFd;

use super::exit::Exit;
use super::message::{Order, Report};
use super::pool::Pool;
use crate::capture::Stream;

/// What a keeper reports, in this order: at most one `Started`, any number of `Output`, and one of the other three at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The command runs.
    Started {
        /// Its process id, which is also its process group.
        pid: i32,
    },
    /// Some of its output, already masked. A live view that may lose under pressure: the log has it all.
    Output {
        /// Where it was printed.
        stream: Stream,
        /// What was printed.
        bytes: Vec<u8>,
        /// How many bytes of this stream were lost just before these.
        lost: u64,
    },
    /// The attempt is over; log and slot are written.
    Exited(Exit),
    /// Nothing was started, and nothing of this attempt ever will be.
    NotStarted(NotStarted),
    /// The keeper died without a word: its slot tells, as on resume. Nothing is known about the command.
    Lost,
}

/// Why a keeper started nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// A resume revoked the slot before its keeper had it.
    #[error("a resume revoked this attempt")]
    Revoked,
    /// The witness file can't be locked or written: a failed store (engine.md §3).
    #[error("the witness file cannot be used: {}", io::Error::from_raw_os_error(*errno))]
    Store {
        /// The error number of the operating system.
        errno: i32,
    },
    /// The system gave no process, descriptor or memory for a keeper.
    #[error("no keeper could be started: {}", io::Error::from_raw_os_error(*errno))]
    Keeper {
        /// The error number of the operating system.
        errno: i32,
    },
}

/// A running attempt. Dropping it (and every [`Control`]) does what the engine's death does: the keeper goes on and leaves its exit in the slot.
#[derive(Debug)]
pub struct Attempt {
    line: Arc<Line>,
    over: bool,
}

/// The connection to a keeper, shared by an attempt and all its [`Control`]s. Only when the last of them is gone may the keeper be given another
/// attempt: an order can then no longer meet the wrong one.
#[derive(Debug)]
struct Line {
    /// Taken at the end alone.
    socket: Option<AsyncFd<OwnedFd>>,
    /// The keeper said that it waits for another attempt.
    waits: AtomicBool,
    pool: Arc<Pool>,
}

impl Line {
    fn socket(&self) -> &AsyncFd<OwnedFd> {
        self.socket.as_ref().expect("the socket is taken when the line is dropped, and not before")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take()
            && self.waits.load(Ordering::Relaxed)
        {
            self.pool.put(socket.into_inner());
        }
    }
}

impl Attempt {
    pub(super) fn new(socket: AsyncFd<OwnedFd>, pool: Arc<Pool>) -> Self {
        let line = Line { socket: Some(socket), waits: AtomicBool::new(false), pool };
        Self { line: Arc::new(line), over: false }
    }

    /// Waits for the next message; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        if self.over {
            return None;
        }
        let report = receive(self.line.socket()).await;
        let message = match report {
            Ok(Some(Report::Started { pid })) => Message::Started { pid },
            Ok(Some(Report::Output { stream, lost, bytes })) => Message::Output { stream, bytes, lost },
            Ok(Some(Report::Exited { exit, waits })) => {
                self.line.waits.store(waits, Ordering::Relaxed);
                Message::Exited(exit)
            }
            Ok(Some(Report::NotStarted(reason))) => Message::NotStarted(reason),
            Ok(None) | Err(_) => Message::Lost,
        };
        self.over = matches!(message, Message::Exited(_) | Message::NotStarted(_) | Message::Lost);
        Some(message)
    }

    /// Gives what tells the keeper to end or pause its command, from anywhere.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { line: Arc::clone(&self.line) }
    }
}

/// Receives one report; `None` where the keeper closed its end.
async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<Report>> {
    let mut buffer = vec![0_u8; super::message::REPORT_MAX];
    loop {
        let mut ready = socket.readable().await?;
        // Readiness may be stale (of a reused keeper it often is), and the socket itself blocks.
        let received =
            ready.try_io(|socket| Ok(recv(socket.get_ref(), &mut buffer[..], RecvFlags::DONTWAIT)?.0));
        match received {
            Ok(Ok(0)) => return Ok(None),
            Ok(Ok(length)) => return Report::decode(&buffer[..length]).map(Some).map_err(io::Error::other),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}

/// Tells a keeper what to do with its command. Orders to a keeper that is gone are forgotten: its last message, or the lack of one, says so.
#[derive(Debug, Clone)]
pub struct Control {
    line: Arc<Line>,
}

impl Control {
    /// SIGTERM to the process group, SIGKILL after the step's `grace`.
    pub fn terminate(&self) {
        self.order(Order::Terminate);
    }

    /// SIGKILL to everything that the command started.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// SIGSTOP to everything that the command started; its timeout doesn't run on meanwhile. Undone by [`resume`](Self::resume), by an end, or by
    /// the engine's death.
    pub fn pause(&self) {
        self.order(Order::Pause);
    }

    /// SIGHUP to everything that the command started, SIGKILL after the step's `grace`: its terminal is gone.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    /// SIGCONT to everything that the command started.
    pub fn resume(&self) {
        self.order(Order::Resume);
    }

    fn order(&self, order: Order) {
        // A keeper reads its orders at once, so the socket has room; where the keeper has gone, there is nobody to tell.
        let _ =
            send(self.line.socket().get_ref(), &order.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}
