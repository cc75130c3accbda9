//! The helper: a small process that forks one keeper per attempt, without a new start of a large program (engine.md §6).
//!
//! It is forked from the engine before anything else exists, so that a copy of it is cheap and safe for the engine's whole life. It knows nothing
//! about runs: a request is one packet with descriptors, the first of which leads from the engine to the new keeper. Its death ends no keeper.
//!
//! The first keeper is forked at once and waits for an attempt, as keepers do whose attempt is over: see [`pool`](super::pool).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use tokio::io::unix::AsyncFd;

use super::attempt::{Attempt, NotStarted};
use super::message::{Report, spec_packets};
use super::pool::Pool;
use super::spec::AttemptSpec;
use super::system::{self, Forked};
use super::terminal::CommandTerminal;
use super::{keep, processes};

/// The most descriptors that one request carries: the keeper's socket, the named locks, a terminal.
const DESCRIPTORS_MAX: usize = 64;

/// Those of a terminal, which come last.
const TERMINAL_DESCRIPTORS: usize = 2;

/// Signals that end or stop other processes of a terminal or a service, and which neither helper nor keepers follow: they outlive the engine on
/// purpose. (SIGTERM is an order to a keeper, which then no longer ignores it.)
const IGNORED: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGTSTP,
    // Ignoring it reaps keepers by itself.
    libc::SIGCHLD,
];

/// The engine's connection to its helper process.
#[derive(Debug)]
pub struct Helper {
    socket: Arc<OwnedFd>,
    pool: Arc<Pool>,
}

/// An attempt couldn't be handed to a keeper. Nothing of it was started, or ever will be.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The helper process is gone.
    #[error("the helper process that starts commands is gone")]
    HelperGone(#[source] io::Error),
    /// The system gave no socket, or a path of the spec can't be made absolute.
    #[error("cannot prepare the start of a command")]
    Prepare(#[source] io::Error),
    /// More descriptors than a keeper holds.
    #[error("a step can hold at most {} named locks", DESCRIPTORS_MAX - 1 - TERMINAL_DESCRIPTORS)]
    TooManyDescriptors,
}

impl Helper {
    /// Forks the helper. Must be the first thing that `main` does: before any thread exists. Also makes this process and all that it forks
    /// undumpable (engine.md §5).
    ///
    /// # Errors
    /// This process has threads already (`EDEADLK`), or the system gives no socket or process.
    pub fn start() -> io::Result<Self> {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        let boot = processes::boot_id()?;
        let (ours, theirs) = socket_pair()?;
        let (first_ours, first) = socket_pair()?;
        match system::fork()? {
            Forked::Parent => Ok(Self { socket: Arc::new(ours), pool: Arc::new(Pool::with(first_ours)) }),
            Forked::Child => {
                drop((ours, first_ours));
                // A panic must not unwind into the engine's `main`, of which this process is a copy.
                let served = std::panic::catch_unwind(AssertUnwindSafe(|| serve(theirs, first, &boot)));
                system::exit_now(if matches!(served, Ok(Ok(()))) { 0 } else { 70 })
            }
        }
    }

    /// Hands an attempt to a new keeper. Where the future is dropped before it is done, nothing is started.
    ///
    /// # Errors
    /// See [`KeeperError`]; what goes wrong later is a [`Message`](super::Message).
    pub async fn launch(&self, spec: AttemptSpec) -> Result<Attempt, KeeperError> {
        if spec.inherit.len() + TERMINAL_DESCRIPTORS >= DESCRIPTORS_MAX {
            return Err(KeeperError::TooManyDescriptors);
        }
        let encoded = spec.encode().map_err(KeeperError::Prepare)?;
        if spec.inherit.is_empty()
            && spec.terminal.is_none()
            && let Some(attempt) = self.launch_waiting(&encoded).await?
        {
            return Ok(attempt);
        }
        let (ours, theirs) = socket_pair().map_err(KeeperError::Prepare)?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(|error| KeeperError::Prepare(error.into()))?;
        let ours = system::watch(ours).map_err(KeeperError::Prepare)?;
        let mut packets = spec_packets(&encoded).peekable();
        // What fits is there before the keeper is, which then needn't wait for it.
        while let Some(packet) = packets.peek() {
            match rustix::net::send(ours.get_ref(), packet, SendFlags::NOSIGNAL) {
                Ok(_) => packets.next(),
                Err(_full) => break,
            };
        }
        let terminal = spec.terminal.into_iter().flat_map(CommandTerminal::into_descriptors);
        self.request(theirs, spec.inherit.into_iter().chain(terminal)).await?;
        for packet in packets {
            // A keeper that has gone closes its end, which the attempt then reports.
            if send_when_possible(&ours, &packet).await.is_err() {
                break;
            }
        }
        Ok(Attempt::new(ours, Arc::clone(&self.pool)))
    }

    /// Hands an attempt to a keeper that waits for one; `None` where none does.
    async fn launch_waiting(&self, encoded: &[u8]) -> Result<Option<Attempt>, KeeperError> {
        while let Some(keeper) = self.pool.take() {
            let keeper = system::watch(keeper).map_err(KeeperError::Prepare)?;
            let mut packets = spec_packets(encoded);
            let Some(first) = packets.next() else { return Ok(None) };
            // One that somebody has killed meanwhile was told nothing yet, so another one can have the attempt.
            if send_when_possible(&keeper, &first).await.is_err() {
                continue;
            }
            for packet in packets {
                // From here on its death is that of a keeper which has an attempt.
                if send_when_possible(&keeper, &packet).await.is_err() {
                    break;
                }
            }
            return Ok(Some(Attempt::new(keeper, Arc::clone(&self.pool))));
        }
        Ok(None)
    }

    /// Passes descriptors to the helper.
    async fn request(
        &self,
        socket: OwnedFd,
        inherit: impl Iterator<Item = OwnedFd>,
    ) -> Result<(), KeeperError> {
        let descriptors: Vec<OwnedFd> = std::iter::once(socket).chain(inherit).collect();
        match send_descriptors(self.socket.as_fd(), &descriptors, SendFlags::DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result.map_err(KeeperError::HelperGone),
        }
        // Many attempts at once fill the socket; the helper needs some milliseconds to empty it.
        let socket = Arc::clone(&self.socket);
        tokio::task::spawn_blocking(move || {
            send_descriptors(socket.as_fd(), &descriptors, SendFlags::empty())
        })
        .await
        .map_err(|error| KeeperError::Prepare(io::Error::other(error)))?
        .map_err(KeeperError::HelperGone)
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

async fn send_when_possible(socket: &AsyncFd<OwnedFd>, packet: &[u8]) -> io::Result<()> {
    loop {
        let mut ready = socket.writable().await?;
        match ready.try_io(|socket| Ok(rustix::net::send(socket.get_ref(), packet, SendFlags::NOSIGNAL)?)) {
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(result) => return result.map(|_| ()),
            Err(_would_block) => {}
        }
    }
}

fn send_descriptors(socket: BorrowedFd<'_>, descriptors: &[OwnedFd], flags: SendFlags) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&borrowed));
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(&[1])], &mut control, flags | SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// The helper's life: one keeper per request, until the engine closes its end.
fn serve(requests: OwnedFd, first: OwnedFd, boot: &str) -> io::Result<()> {
    rustix::process::setsid()?;
    system::reset_signals(&IGNORED);
    // Inherited masks of the engine's parent are of no use here.
    drop(system::signals_as_descriptor(&[])?);
    system::wipe_environment();
    detach_standard_streams()?;
    system::close_all_but([requests.as_fd(), first.as_fd()]);
    rustix::thread::set_name(c"runbook-helper")?;
    let mut wanted = Some((first, Vec::new()));
    loop {
        if let Some((socket, descriptors)) = wanted.take() {
            match system::fork() {
                Ok(Forked::Parent) => {}
                Ok(Forked::Child) => {
                    drop(requests);
                    let kept =
                        std::panic::catch_unwind(AssertUnwindSafe(|| keep::keep(&socket, descriptors, boot)));
                    system::exit_now(if kept.is_ok() { 0 } else { 70 });
                }
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                    let report = Report::not_started(&NotStarted::Keeper { errno });
                    // The engine sees the end of the socket where even this can't be said.
                    let _ = rustix::net::send(&socket, &report, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
                }
            }
        }
        let Some(mut descriptors) = receive_descriptors(&requests)? else { return Ok(()) };
        if !descriptors.is_empty() {
            wanted = Some((descriptors.remove(0), descriptors));
        }
    }
}

fn detach_standard_streams() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // The folder that the engine was started in must not be held by processes that may outlive it.
    std::env::set_current_dir("/")
}

/// Receives the descriptors of one request; `None` where the engine closed its end.
fn receive_descriptors(socket: &OwnedFd) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
    });
    match received {
        Ok(message) if message.bytes == 0 => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(Some(descriptors))
}
