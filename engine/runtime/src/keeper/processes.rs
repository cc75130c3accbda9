//! What `/proc` says about processes: who they are, whose descendants, and which of them an attempt left behind.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::witness::Claim;

/// A process within one boot: its number alone may be given to another one later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its process id.
    pub pid: i32,
    /// When it started: clock ticks since the boot, as in `/proc/<pid>/stat`.
    pub started: u64,
}

impl Identity {
    /// The identity of the process that has this pid now.
    ///
    /// # Errors
    /// There is no such process, or `/proc` can't be read.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, started: Status::of(pid)?.started })
    }

    /// Whether this very process still runs (a dead one that nobody has reaped doesn't).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Status::of(self.pid).is_ok_and(|status| status.started == self.started && !status.is_dead())
    }

    /// A descriptor of this very process.
    fn open(&self) -> io::Result<OwnedFd> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let descriptor =
            rustix::process::pidfd_open(Pid::from_raw(self.pid).ok_or_else(gone)?, PidfdFlags::empty())?;
        // Compared after it was opened: from here on the number can't come to mean another process unnoticed.
        if self.is_alive() { Ok(descriptor) } else { Err(gone()) }
    }

    /// Sends a signal to this very process.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(self.open()?, signal)?)
    }
}

/// The id of the machine's current boot, which `step_started` records.
///
/// # Errors
/// `/proc` isn't mounted.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) name: String,
    state: u8,
    pub(super) parent: i32,
    pub(super) group: i32,
    session: i32,
    pub(super) started: u64,
}

impl Status {
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        let content = std::fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&content).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Reads `pid (name) state ppid pgrp session … starttime`, where the name may hold anything, brackets and spaces included.
    fn parse(content: &[u8]) -> Option<Self> {
        let open = memchr::memchr(b'(', content)?;
        let close = memchr::memrchr(b')', content)?;
        let name = String::from_utf8_lossy(content.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(content.get(close + 1..)?).ok()?;
        // Counted from the state, which is the third field of the manual page.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            name,
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it has ended and only its entry is left.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// All living descendants of this process, each with its status.
pub(super) fn descendants() -> Vec<(i32, Status)> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    match children_of(own) {
        Some(children) => descend(children),
        None => descend_by_parents(own),
    }
}

fn descend(mut outstanding: Vec<i32>) -> Vec<(i32, Status)> {
    let mut found = Vec::new();
    while let Some(pid) = outstanding.pop() {
        let Ok(status) = Status::of(pid) else { continue };
        if !status.is_dead() {
            found.push((pid, status));
        }
        // A dead process may still have children where another of its threads lives.
        outstanding.extend(children_of(pid).unwrap_or_default());
    }
    found
}

/// The children of a process, or `None` where it is gone or the kernel doesn't list them (`CONFIG_PROC_CHILDREN`).
fn children_of(pid: i32) -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = thread.ok()?.path().join("children");
        let list = std::fs::read_to_string(path).ok()?;
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(children)
}

/// The slow way to all descendants: every process of the machine, by its parent.
fn descend_by_parents(ancestor: i32) -> Vec<(i32, Status)> {
    let mut children: HashMap<i32, Vec<(i32, Status)>> = HashMap::new();
    for pid in all_processes() {
        if let Ok(status) = Status::of(pid) {
            children.entry(status.parent).or_default().push((pid, status));
        }
    }
    let mut found = Vec::new();
    let mut outstanding = vec![ancestor];
    while let Some(pid) = outstanding.pop() {
        for (child, status) in children.remove(&pid).unwrap_or_default() {
            outstanding.push(child);
            if !status.is_dead() {
                found.push((child, status));
            }
        }
    }
    found
}

fn all_processes() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process of an attempt whose keeper is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Who it is.
    pub identity: Identity,
    /// Its command line, arguments joined by spaces; its bare name in brackets where it shows none. Text of foreign origin: to be sanitised.
    pub command: String,
}

/// Looks for processes of an attempt whose outcome is unknown: those in the session of its keeper, and those whose environment names the run
/// and the step. Finds nothing after a reboot, since then nothing can have survived.
///
/// # Errors
/// `/proc` can't be read.
pub fn survivors(run: &str, step: &str, claim: Option<&Claim>) -> io::Result<Vec<Survivor>> {
    let boot = boot_id()?;
    let claim = claim.filter(|claim| claim.boot == boot);
    let run = format!("RUNBOOK_RUN_ID={run}");
    let step = format!("RUNBOOK_STEP={step}");
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut found = Vec::new();
    for pid in all_processes() {
        let Ok(status) = Status::of(pid) else { continue };
        if pid == own || status.is_dead() {
            continue;
        }
        if claim.is_some_and(|claim| in_session_of(pid, &status, claim))
            || environment_names(pid, &run, &step)
        {
            found.push(Survivor {
                identity: Identity { pid, started: status.started },
                command: command_line(pid, &status),
            });
        }
    }
    found.sort_by_key(|survivor| (survivor.identity.started, survivor.identity.pid));
    Ok(found)
}

/// Whether a process is in the session that the keeper made, or in that of a command at a terminal. A session's number isn't given away while the session lasts, but it may be the
/// number of a later one: then its leader is not the keeper.
fn in_session_of(pid: i32, status: &Status, claim: &Claim) -> bool {
    std::iter::once(claim.keeper).chain(claim.session).any(|leader| is_led_by(pid, status, leader))
}

fn is_led_by(pid: i32, status: &Status, leader: Identity) -> bool {
    if status.session != leader.pid || status.started < leader.started {
        return false;
    }
    let now = if pid == leader.pid { Ok(status.clone()) } else { Status::of(leader.pid) };
    now.map_or(true, |now| now.started == leader.started)
}

fn environment_names(pid: i32, run: &str, step: &str) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
    has(run) && has(step)
}

fn command_line(pid: i32, status: &Status) -> String {
    let content = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<_> = content
        .split(|byte| *byte == 0)
        .map(|argument| OsStr::from_bytes(argument).to_string_lossy())
        .collect();
    let line = arguments.join(" ");
    if line.trim().is_empty() { format!("[{}]", status.name) } else { line.trim_end().to_owned() }
}

/// Ends survivors: SIGTERM, and SIGKILL to those that still live after `grace`. Gives back those that may not be signalled, or that live on.
pub async fn end_survivors(survivors: &[Survivor], grace: Duration) -> Vec<Survivor> {
    let mut remaining = signal_all(survivors, Signal::TERM);
    wait_for_ends(&mut remaining, grace).await;
    let mut remaining = signal_all(&remaining, Signal::KILL);
    wait_for_ends(&mut remaining, Duration::from_secs(2)).await;
    survivors.iter().filter(|survivor| survivor.identity.is_alive()).cloned().collect()
}

/// Signals each, and gives back those that got it.
fn signal_all(survivors: &[Survivor], signal: Signal) -> Vec<Survivor> {
    survivors.iter().filter(|survivor| survivor.identity.signal(signal).is_ok()).cloned().collect()
}

/// Waits until all have ended, at most so long.
async fn wait_for_ends(survivors: &mut Vec<Survivor>, longest: Duration) {
    let begun = Instant::now();
    loop {
        survivors.retain(|survivor| survivor.identity.is_alive());
        if survivors.is_empty() || begun.elapsed() >= longest {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How a keeper is asked to end its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM, and SIGKILL after the step's `grace`.
    Terminate,
    /// SIGKILL at once.
    Kill,
}

/// Asks a keeper that outlived its engine to end its command; its slot then says how that went. A keeper that is gone already, or one of an
/// earlier boot, needs no asking.
///
/// # Errors
/// The keeper belongs to another user.
pub fn end_keeper(claim: &Claim, ending: Ending) -> io::Result<()> {
    if boot_id()? != claim.boot {
        return Ok(());
    }
    let signal = match ending {
        Ending::Terminate => Signal::TERM,
        Ending::Kill => Signal::USR1,
    };
    match claim.keeper.signal(signal) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ESRCH))
                || error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let line = b"42 (a) Z 1 (b) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 998877 0 0\n";
        let status = Status::parse(line).expect("the line has all fields");
        assert_eq!(
            status,
            Status {
                name: "a) Z 1 (b".to_owned(),
                state: b'S',
                parent: 7,
                group: 42,
                session: 41,
                started: 998_877
            }
        );
    }

    #[test]
    fn a_line_that_is_cut_short_is_no_status() {
        assert_eq!(Status::parse(b"42 (sleep) S 7 42"), None);
        assert_eq!(Status::parse(b""), None);
    }
}
