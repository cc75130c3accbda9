//! The system calls that no safe crate offers: fork, record locks, signal dispositions, `posix_spawn`.
//!
//! Everything unsafe in the engine is in this file. Each function is safe to call where its comment says so; the fork is the one with a
//! condition that a type can't carry, and it checks it.
#![expect(unsafe_code, reason = "fork, OFD locks, signal masks and posix_spawn exist in libc alone")]

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr;

use tokio::io::unix::AsyncFd;

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forked {
    /// The process that forked, with the pid of the new one.
    Parent(i32),
    /// The new process.
    Child,
}

/// Copies this process, which must have one thread only: another thread could hold a lock (of the allocator, say) that nobody would ever
/// release in the copy. Refuses with `EDEADLK` otherwise.
pub(super) fn fork() -> io::Result<Forked> {
    // The link count of the folder of threads is their number plus two. It is owned by root where the process isn't dumpable, yet readable.
    let threads = std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2);
    if threads != 1 {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: there is one thread, so the child is a complete copy in which everything that was allocated and unlocked still is.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Registers a non-blocking descriptor with the current runtime.
///
/// # Errors
/// The system can't watch it, or there is no runtime.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is an open descriptor and keeps its number; nobody replaces or closes it while the `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// Ends this process at once, without running what `main`'s owner registered for its own end.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Overwrites this process's environment and forgets it, so that neither `/proc` nor a later `getenv` finds it.
///
/// Only for a process with one thread, as the helper is just after its fork.
pub(super) fn wipe_environment() {
    // SAFETY: with one thread nobody reads or changes the environment meanwhile. The strings are writable memory of this process: those
    // that the kernel put on the stack, or copies that libc allocated.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let length = libc::strlen(*entry);
            ptr::write_bytes(*entry, 0, length);
            entry = entry.add(1);
        }
        libc::clearenv();
    }
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Closes every descriptor beyond the standard streams but those: what the engine was started with (a pipe that somebody waits on, say) must not be held
/// by processes that may outlive it.
///
/// Only for a process that owns no other descriptor, as the helper is just after its fork.
pub(super) fn close_all_but<const N: usize>(kept: [BorrowedFd<'_>; N]) {
    let mut kept = kept.map(|kept| kept.as_raw_fd().cast_unsigned());
    kept.sort_unstable();
    let mut first = 3;
    for kept in kept {
        if first < kept {
            close_range(first, kept - 1);
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: nothing in this process uses the descriptors in the range. A kernel before 5.9 refuses, and they stay open.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// Sets the disposition of every signal that has one to the default, then ignores the given ones.
pub(super) fn reset_signals(ignored: &[c_int]) {
    for signal in 1..=libc::SIGRTMAX() {
        let disposition = if ignored.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: both dispositions run no code of ours. Signals that can't be changed are refused, which is fine.
        unsafe { libc::signal(signal, disposition) };
    }
}

/// Ignores a signal in this process.
pub(super) fn ignore_signal(signal: c_int) {
    // SAFETY: the disposition runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Blocks the given signals, and no others, in this thread, and gives a descriptor from which they are read instead.
pub(super) fn signals_as_descriptor(signals: &[c_int]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: the set is initialised, the old mask isn't wanted.
    if unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the set is initialised.
    let descriptor = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `signalfd` just opened it, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Reads the signals that arrived since the last call.
pub(super) fn read_signals(descriptor: BorrowedFd<'_>) -> Vec<c_int> {
    // `signalfd_siginfo` is 128 bytes and begins with the signal's number.
    const RECORD: usize = size_of::<libc::signalfd_siginfo>();
    let mut buffer = [0_u8; RECORD * 8];
    let Ok(length) = rustix::io::read(descriptor, &mut buffer) else { return Vec::new() };
    buffer[..length]
        .chunks_exact(RECORD)
        .map(|record| c_int::from_ne_bytes([record[0], record[1], record[2], record[3]]))
        .collect()
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, `sigaddset` changes an initialised one.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// Sets the dispositions of the given signals to the default.
pub(super) fn restore_signals(signals: &[c_int]) {
    for signal in signals {
        // SAFETY: the default runs no code of ours.
        unsafe { libc::signal(*signal, libc::SIG_DFL) };
    }
}

/// How a range of a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeLock {
    /// Others may read.
    Shared,
    /// Nobody else may lock.
    Exclusive,
    /// Nothing is locked any more.
    None,
}

/// Locks a range of a file for the life of its open file description, without waiting: `false` says that another one has it.
pub(super) fn try_lock_range(file: impl AsFd, start: u64, length: u64, lock: RangeLock) -> io::Result<bool> {
    match lock_range(file.as_fd(), start, length, lock, libc::F_OFD_SETLK) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks a range of a file for the life of its open file description, and waits until it may.
pub(super) fn wait_to_lock_range(
    file: impl AsFd,
    start: u64,
    length: u64,
    lock: RangeLock,
) -> io::Result<()> {
    loop {
        match lock_range(file.as_fd(), start, length, lock, libc::F_OFD_SETLKW) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn lock_range(
    file: BorrowedFd<'_>,
    start: u64,
    length: u64,
    lock: RangeLock,
    command: c_int,
) -> io::Result<()> {
    let offset =
        |value: u64| libc::off_t::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW));
    // SAFETY: all zeros is a valid `flock` structure.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    let kind = match lock {
        RangeLock::Shared => libc::F_RDLCK,
        RangeLock::Exclusive => libc::F_WRLCK,
        RangeLock::None => libc::F_UNLCK,
    };
    request.l_type = kind as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_start = offset(start)?;
    request.l_len = offset(length)?;
    // SAFETY: the descriptor is open and the structure is complete; `l_pid` is zero, as these commands demand.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const request) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A program to start with `posix_spawn`.
#[derive(Debug)]
pub(super) struct Spawn<'a> {
    /// Where the program is.
    pub(super) program: CString,
    /// Its arguments, its name first.
    pub(super) arguments: Vec<CString>,
    /// Its whole environment, as `NAME=value`.
    pub(super) environment: Vec<CString>,
    /// Its standard input, output and error.
    pub(super) standard: [BorrowedFd<'a>; 3],
    /// A terminal in their place, which controls the session of its own that the program then needs.
    pub(super) terminal: Option<CString>,
    /// Whether the program leads a session, or only a process group.
    pub(super) leads_session: bool,
    /// The signals that this process ignores, and the program shall not. (Naming all would cost a system call for each.)
    pub(super) ignored: &'a [c_int],
}

/// Starts a program in a process group or a session of its own, with all signals at their defaults and none blocked. Everything else that is open must be
/// close-on-exec. Returns its pid.
pub(super) fn spawn(request: &Spawn<'_>) -> io::Result<i32> {
    let arguments = pointers(&request.arguments);
    let environment = pointers(&request.environment);
    let mut pid = 0;
    let actions = match &request.terminal {
        None => FileActions::new(&request.standard)?,
        Some(terminal) => FileActions::at_terminal(terminal)?,
    };
    let attributes = Attributes::new(request.ignored, request.leads_session)?;
    // SAFETY: program, arguments and environment are NUL-terminated strings in NULL-terminated arrays that live until the call returns, by
    // which time the child has executed the program or failed (the kernel suspends us until then).
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            request.program.as_ptr(),
            actions.0.as_ptr(),
            attributes.0.as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    check(error)?;
    Ok(pid)
}

fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

fn check(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

struct FileActions(Box<MaybeUninit<libc::posix_spawn_file_actions_t>>);

impl FileActions {
    fn new(standard: &[BorrowedFd<'_>; 3]) -> io::Result<Self> {
        let mut actions = Box::new(MaybeUninit::uninit());
        // SAFETY: `init` initialises the memory it is given.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        let mut actions = Self(actions);
        for (target, descriptor) in (0..).zip(standard) {
            // SAFETY: the actions are initialised; a duplicate onto its own number clears close-on-exec, as POSIX says.
            check(unsafe {
                libc::posix_spawn_file_actions_adddup2(actions.0.as_mut_ptr(), descriptor.as_raw_fd(), target)
            })?;
        }
        Ok(actions)
    }
}

impl FileActions {
    /// All three streams are the terminal. A process that leads a session without one gets the first that it opens.
    fn at_terminal(terminal: &CString) -> io::Result<Self> {
        let mut actions = Box::new(MaybeUninit::uninit());
        // SAFETY: `init` initialises the memory it is given.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        let mut actions = Self(actions);
        // SAFETY: the actions are initialised; the path is NUL-terminated, and copied by the call.
        unsafe {
            let pointer = actions.0.as_mut_ptr();
            check(libc::posix_spawn_file_actions_addopen(pointer, 0, terminal.as_ptr(), libc::O_RDWR, 0))?;
            check(libc::posix_spawn_file_actions_adddup2(pointer, 0, 1))?;
            check(libc::posix_spawn_file_actions_adddup2(pointer, 0, 2))?;
        }
        Ok(actions)
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: `new` initialised it, and it is destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

/// Not in the `libc` crate for every target; the same number in glibc and musl.
const POSIX_SPAWN_SETSID: c_int = 0x80;

struct Attributes(Box<MaybeUninit<libc::posix_spawnattr_t>>);

impl Attributes {
    fn new(ignored: &[c_int], leads_session: bool) -> io::Result<Self> {
        let mut attributes = Box::new(MaybeUninit::uninit());
        // SAFETY: `init` initialises the memory it is given.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Self(attributes);
        let pointer = attributes.0.as_mut_ptr();
        let none = signal_set(&[]);
        let ignored = signal_set(ignored);
        // Who leads a session leads a group, too.
        let own = if leads_session { POSIX_SPAWN_SETSID } else { libc::POSIX_SPAWN_SETPGROUP };
        let flags = own | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        // SAFETY: the attributes are initialised, and so are both sets.
        unsafe {
            check(libc::posix_spawnattr_setpgroup(pointer, 0))?;
            check(libc::posix_spawnattr_setsigmask(pointer, &raw const none))?;
            check(libc::posix_spawnattr_setsigdefault(pointer, &raw const ignored))?;
            check(libc::posix_spawnattr_setflags(pointer, flags as libc::c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `new` initialised it, and it is destroyed once.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}
