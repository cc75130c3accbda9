//! The life of a keeper, in order: take the slot, claim it, start the command, watch it, leave its exit. Where nothing is left of the command, it then
//! waits for another attempt of the same engine, as fresh as it was.
//!
//! Everything here runs in a process of its own, forked by the helper, with one thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::attempt::NotStarted;
use super::exit::{Ended, Exit, SpawnFailure};
use super::message::{Report, SPEC_PART, is_order};
use super::output::Sink;
use super::processes::Identity;
use super::spec::AttemptSpec;
use super::start::{Prepared, prepare};
use super::supervise::{Ending, Supervision};
use super::system;
use super::witness::{Witness, WitnessError};
use crate::capture::LogWriter;
use crate::redact::Masker;

/// Signals that a keeper reads: orders from a resume (see [`end_keeper`](super::end_keeper)), and the ends of children.
const READ: [i32; 3] = [libc::SIGTERM, libc::SIGUSR1, libc::SIGCHLD];

/// Signals that a keeper doesn't follow: it outlives its engine, its terminal and its service on purpose.
pub(super) const IGNORED: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGTSTP,
    // A record that reaches the limit of a file's size is an error that is told, not the end of whoever writes it.
    libc::SIGXFSZ,
];

/// Runs attempts, one after the other. What goes wrong before a command starts is reported, as far as anybody listens.
pub(super) fn keep(socket: &OwnedFd, inherit: Vec<OwnedFd>, boot: &str) {
    let kept = Keeper::new(socket, boot).and_then(|keeper| {
        let mut inherit = inherit;
        // Descriptors come with the first attempt alone.
        while keeper.attempt(std::mem::take(&mut inherit))? == Next::Wait {}
        Ok(())
    });
    if let Err(reason) = kept {
        let _ = send(socket, &Report::not_started(&reason), SendFlags::NOSIGNAL);
    }
}

/// What a keeper does after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It is as fresh as it was: it can have another one.
    Wait,
    /// It ends: the engine is gone, or something is left of the command.
    End,
}

/// What a keeper has for its life.
struct Keeper<'a> {
    socket: &'a OwnedFd,
    signals: OwnedFd,
    own: Identity,
    boot: &'a str,
}

impl<'a> Keeper<'a> {
    fn new(socket: &'a OwnedFd, boot: &'a str) -> Result<Self, NotStarted> {
        let failed = |error: io::Error| NotStarted::Keeper { errno: errno(&error) };
        let signals = become_keeper().map_err(failed)?;
        let own = Identity::of(rustix::process::getpid().as_raw_nonzero().get()).map_err(failed)?;
        Ok(Self { socket, signals, own, boot })
    }

    fn attempt(&self, inherit: Vec<OwnedFd>) -> Result<Next, NotStarted> {
        let socket = self.socket;
        // An engine that died before it had said everything wants nothing started.
        let Some(spec) = receive_spec(socket, inherit) else { return Ok(Next::End) };
        // Orders that concerned the attempt before.
        system::read_signals(self.signals.as_fd());
        let slot = take_slot(&spec)?;
        let masker = Masker::new(&spec.secrets);
        let prepared = prepare(&spec, &masker);
        if engine_is_gone(socket) {
            return Ok(Next::End);
        }
        if let Some((witness, number)) = &slot {
            witness.write_claim(*number, self.own, self.boot).map_err(store_failure)?;
        }
        let begun = Begun { clock: Instant::now(), wall_ms: wall_ms() };
        let log = spec.log.clone().map(|path| LogWriter::new(path, spec.log_mode, spec.log_limit));
        let sink = Sink::new(log);
        let (exit, fresh) = match prepared.and_then(|prepared| prepared.start()) {
            Err(failure) => (finish(&spec, &masker, &begun, not_spawned(failure), sink), false),
            Ok(started) => {
                if let Some((witness, number)) = &slot {
                    // For people alone: what lives is found by session and environment.
                    let session = spec.terminal.as_ref().and_then(|_| Identity::of(started.pid).ok());
                    let _ = witness.write_command(*number, started.pid, session);
                }
                let _ = send(socket, &Report::started(started.pid), SendFlags::NOSIGNAL);
                let supervision =
                    Supervision::new(&spec, started, sink, socket.as_fd(), self.signals.as_fd());
                let (ending, sink) = supervision.run();
                let fresh = ending.nothing_left && spec.inherit.is_empty() && spec.terminal.is_none();
                (finish(&spec, &masker, &begun, ending, sink), fresh)
            }
        };
        // The command's folder must not be held by a process that waits.
        let waits = fresh && std::env::set_current_dir("/").is_ok();
        conclude(socket, slot.as_ref(), exit, waits);
        Ok(if waits { Next::Wait } else { Next::End })
    }
}

/// Leaves the session of the engine, and adopts what the command will leave behind.
fn become_keeper() -> io::Result<OwnedFd> {
    let signals = system::signals_as_descriptor(&READ)?;
    // The others are as the helper has them: IGNORED, or at their defaults.
    system::restore_signals(&READ);
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::thread::set_name(c"runbook-keeper")?;
    Ok(signals)
}

fn receive_spec(socket: &OwnedFd, inherit: Vec<OwnedFd>) -> Option<AttemptSpec> {
    let mut packet = vec![0; SPEC_PART + 1];
    let mut spec = zeroize::Zeroizing::new(Vec::new());
    loop {
        let (length, _) =
            rustix::io::retry_on_intr(|| recv(socket, &mut packet[..], RecvFlags::empty())).ok()?;
        if is_order(&packet[..length]) && spec.is_empty() {
            continue;
        }
        let (last, part) = packet[..length].split_first()?;
        spec.extend_from_slice(part);
        if *last != 0 {
            break;
        }
    }
    zeroize::Zeroize::zeroize(&mut packet);
    // Both ends are the same program: what doesn't decode isn't from an engine.
    AttemptSpec::decode(&spec, inherit).ok()
}

/// Locks the slot, for the life of this process, and looks whether a resume was faster.
fn take_slot(spec: &AttemptSpec) -> Result<Option<(Witness, u32)>, NotStarted> {
    let Some((path, number)) = &spec.slot else { return Ok(None) };
    let witness = Witness::open(path).map_err(store_failure)?;
    witness.hold(*number).map_err(store_failure)?;
    if witness.is_revoked(*number).map_err(store_failure)? {
        return Err(NotStarted::Revoked);
    }
    Ok(Some((witness, *number)))
}

#[expect(clippy::needless_pass_by_value, reason = "the end of the error is here")]
fn store_failure(error: WitnessError) -> NotStarted {
    NotStarted::Store { errno: errno(&error.source) }
}

fn engine_is_gone(socket: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// When the command began.
struct Begun {
    clock: Instant,
    wall_ms: u64,
}

fn not_spawned(failure: SpawnFailure) -> Ending {
    Ending {
        ended: Ended::NotSpawned(failure),
        ended_by: None,
        pipe_held: false,
        leftovers: Vec::new(),
        leftover_count: 0,
        nothing_left: false,
    }
}

/// Completes the record: the values that the command left, the log.
fn finish(spec: &AttemptSpec, masker: &Masker, begun: &Begun, ending: Ending, sink: Sink) -> Exit {
    let duration = begun.clock.elapsed();
    let outputs = super::start::collect_outputs(spec);
    let content = outputs.as_ref().map(|content| masker.bytes(content)).unwrap_or_default();
    Prepared::remove_files(spec);
    let (log, dropped, failure) = match sink.into_log() {
        Some(log) => log.finish(&content),
        None => Default::default(),
    };
    // Values that could not be kept are lost: the step must not pass without them.
    let outputs_lost = failure.is_some() && !content.is_empty();
    Exit {
        ended: ending.ended,
        ended_by: ending.ended_by,
        started_at_ms: begun.wall_ms,
        ended_at_ms: wall_ms(),
        duration,
        log,
        dropped: dropped.total(),
        store_failure: failure.as_ref().map(errno),
        outputs_unreadable: outputs.is_err() || outputs_lost,
        pipe_held: ending.pipe_held,
        leftovers: ending.leftovers,
        leftover_count: ending.leftover_count,
    }
}

/// Leaves the exit in the slot, and tells the engine, if there still is one. An engine that reads nothing for now (it was stopped, say) is waited for:
/// the slot is written already.
fn conclude(socket: &OwnedFd, slot: Option<&(Witness, u32)>, mut exit: Exit, waits: bool) {
    if let Some((witness, number)) = slot
        && let Err(error) = witness.write_exit(*number, &exit)
    {
        exit.store_failure.get_or_insert(errno(&error.source));
    }
    let report = Report::exited(&exit, waits);
    let _ = rustix::io::retry_on_intr(|| send(socket, &report, SendFlags::NOSIGNAL));
}

pub(super) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
