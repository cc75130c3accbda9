//! The helper: a small process that forks one keeper per attempt, without a new start of a large program (engine.md §6).
//!
//! It is forked from the engine before anything else exists, so that a copy of it is cheap and safe for the engine's whole life. It knows nothing
//! about runs: a request is one packet with descriptors, the first of which leads from the engine to the new keeper. Its death ends no keeper.
//!
//! One that somebody has killed is replaced when it is needed next. The engine has threads by then and can't fork: the new one is the same program,
//! started anew, which [`serve_if_asked`] makes a helper before it is anything else. That costs a start of the program, once.
//!
//! The first keeper is forked at once and waits for an attempt, as keepers do whose attempt is over: see [`pool`](super::pool).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
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

/// How often a request is made again where the helper was killed just then. More than once is malice.
const RESTARTS_MAX: u32 = 3;

/// The name by which the program is asked to be a helper, in place of its own.
const HELPER_NAME: &std::ffi::CStr = c"runbook-helper";

/// Signals that end or stop other processes of a terminal or a service, and which neither helper nor keepers follow: they outlive the engine on
/// purpose. (SIGTERM is an order to a keeper, which then no longer ignores it.)
const IGNORED: [i32; 10] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGTSTP,
    libc::SIGXFSZ,
    // Ignoring it reaps keepers by itself.
    libc::SIGCHLD,
];

/// The engine's connection to its helper process.
#[derive(Debug)]
pub struct Helper {
    serving: Mutex<Serving>,
    pool: Arc<Pool>,
}

/// The helper process of now.
#[derive(Debug, Clone)]
struct Serving {
    socket: Arc<OwnedFd>,
    pid: i32,
}

/// An attempt couldn't be handed to a keeper. Nothing of it was started, or ever will be.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The helper process is gone, and no other one could take its place.
    #[error("the helper process that starts commands is gone")]
    HelperGone(#[source] io::Error),
    /// The system gave no socket, or a path of the spec can't be made absolute.
    #[error("cannot prepare the start of a command")]
    Prepare(#[source] io::Error),
    /// More descriptors than a keeper holds.
    #[error("a step can hold at most {} named locks", DESCRIPTORS_MAX - 1 - TERMINAL_DESCRIPTORS)]
    TooManyDescriptors,
}

impl From<KeeperError> for NotStarted {
    fn from(error: KeeperError) -> Self {
        let errno = match error {
            KeeperError::HelperGone(error) | KeeperError::Prepare(error) => error.raw_os_error(),
            KeeperError::TooManyDescriptors => Some(libc::EMFILE),
        };
        Self::Keeper { errno: errno.unwrap_or(libc::EINVAL) }
    }
}

impl Helper {
    /// Forks the helper. Must be the first thing that `main` does: before any thread exists. Also makes this process and all that it forks
    /// undumpable (engine.md §5).
    ///
    /// # Errors
    /// This process has threads already (`EDEADLK`), or the system gives no socket or process.
    pub fn start() -> io::Result<Self> {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        // As in keepers: what can't be written is told.
        system::ignore_signal(libc::SIGXFSZ);
        let boot = processes::boot_id()?;
        let (ours, theirs) = socket_pair()?;
        let (first_ours, first) = socket_pair()?;
        match system::fork()? {
            Forked::Parent(pid) => {
                let serving = Serving { socket: Arc::new(ours), pid };
                Ok(Self { serving: Mutex::new(serving), pool: Arc::new(Pool::with(first_ours)) })
            }
            Forked::Child => {
                drop((ours, first_ours));
                serve_to_the_end(|| {
                    rustix::process::setsid()?;
                    serve(theirs, Some(first), &boot)
                })
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

    /// Passes descriptors to the helper, or to another one where it is gone: a request that it couldn't be sent was never seen by it.
    async fn request(
        &self,
        socket: OwnedFd,
        inherit: impl Iterator<Item = OwnedFd>,
    ) -> Result<(), KeeperError> {
        let descriptors: Arc<[OwnedFd]> = std::iter::once(socket).chain(inherit).collect();
        let mut serving = self.serving().clone();
        for _ in 0..RESTARTS_MAX {
            match serving.send(&descriptors).await? {
                Ok(()) => return Ok(()),
                Err(gone @ (Errno::PIPE | Errno::CONNRESET)) => {
                    tracing::warn!(pid = serving.pid, error = %gone, "the helper is gone: another one is started");
                    serving = self.replace(&serving).map_err(KeeperError::HelperGone)?;
                }
                Err(error) => return Err(KeeperError::HelperGone(error.into())),
            }
        }
        Err(KeeperError::HelperGone(Errno::PIPE.into()))
    }

    /// Starts a helper in the place of one that is gone, unless somebody else has done so already.
    fn replace(&self, gone: &Serving) -> io::Result<Serving> {
        let mut serving = self.serving();
        if Arc::ptr_eq(&serving.socket, &gone.socket) {
            *serving = Serving::start()?;
            // Our child: its number is nobody else's before it is collected here.
            let _ = rustix::process::Pid::from_raw(gone.pid)
                .map(|pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG));
        }
        Ok(serving.clone())
    }

    fn serving(&self) -> MutexGuard<'_, Serving> {
        // It is replaced whole, whatever panics.
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Starts this program again, as a helper. The file may have been replaced or deleted meanwhile: `/proc` has the one that runs.
    fn start() -> io::Result<Self> {
        let (ours, theirs) = socket_pair()?;
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let pid = system::spawn(&system::Spawn {
            program: c"/proc/self/exe".into(),
            arguments: vec![HELPER_NAME.into()],
            environment: Vec::new(),
            standard: [theirs.as_fd(), null.as_fd(), null.as_fd()],
            terminal: None,
            leads_session: true,
            ignored: &IGNORED,
        })?;
        Ok(Self { socket: Arc::new(ours), pid })
    }

    /// Sends one request. The inner error is the helper's socket's.
    async fn send(&self, descriptors: &Arc<[OwnedFd]>) -> Result<Result<(), Errno>, KeeperError> {
        match send_descriptors(self.socket.as_fd(), descriptors, SendFlags::DONTWAIT) {
            Err(Errno::AGAIN) => {}
            result => return Ok(result),
        }
        // Many attempts at once fill the socket; the helper needs some milliseconds to empty it.
        let (socket, descriptors) = (Arc::clone(&self.socket), Arc::clone(descriptors));
        tokio::task::spawn_blocking(move || {
            send_descriptors(socket.as_fd(), &descriptors, SendFlags::empty())
        })
        .await
        .map_err(|error| KeeperError::Prepare(io::Error::other(error)))
    }
}

/// Makes this process a helper where an engine has started it as one (see the head of this file), and doesn't return then. To be called first of all in
/// `main`: otherwise it costs a look at the program's name.
pub fn serve_if_asked() {
    use std::os::unix::ffi::OsStrExt;
    let mut arguments = std::env::args_os();
    let asked = arguments.next().is_some_and(|name| name.as_bytes() == HELPER_NAME.to_bytes());
    if !asked || arguments.next().is_some() {
        return;
    }
    let stdin = rustix::stdio::stdin();
    // Somebody may have given the program this name; what it then has there is no engine's socket.
    if !rustix::net::sockopt::socket_type(stdin).is_ok_and(|kind| kind == SocketType::SEQPACKET) {
        return;
    }
    serve_to_the_end(|| {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        let requests = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
        serve(requests, None, &processes::boot_id()?)
    })
}

/// A helper's life and end. A panic must not unwind into the engine's `main`, of which this process may be a copy.
fn serve_to_the_end(serve: impl FnOnce() -> io::Result<()>) -> ! {
    let served = std::panic::catch_unwind(AssertUnwindSafe(serve));
    system::exit_now(if matches!(served, Ok(Ok(()))) { 0 } else { 70 })
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

fn send_descriptors(socket: BorrowedFd<'_>, descriptors: &[OwnedFd], flags: SendFlags) -> Result<(), Errno> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&borrowed));
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(&[1])], &mut control, flags | SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// One keeper at once where its socket is there already, and one per request until the engine closes its end. The process leads a session.
fn serve(requests: OwnedFd, first: Option<OwnedFd>, boot: &str) -> io::Result<()> {
    system::reset_signals(&IGNORED);
    // Inherited masks of the engine's parent are of no use here.
    drop(system::signals_as_descriptor(&[])?);
    system::wipe_environment();
    detach_standard_streams()?;
    match &first {
        Some(first) => system::close_all_but([requests.as_fd(), first.as_fd()]),
        None => system::close_all_but([requests.as_fd()]),
    }
    rustix::thread::set_name(HELPER_NAME)?;
    let mut wanted = first.map(|first| (first, Vec::new()));
    loop {
        if let Some((socket, descriptors)) = wanted.take() {
            match system::fork() {
                Ok(Forked::Parent(_)) => {}
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
