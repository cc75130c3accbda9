//! From the keeper's last word to a result.

use std::time::Duration;

use runbook_core::event::{LeakedProcess, Outcome};
use runbook_core::schedule::AttemptResult;

use super::files::hex;
use crate::keeper::{Ended, EndedBy, Exit, Fate};

/// The name of a signal, as in `SIGTERM`.
#[must_use]
pub(super) fn signal_name(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("SIG{other}"),
    };
    name.to_owned()
}

/// Why the engine asked for a command's end.
#[derive(Debug, Clone)]
pub(super) struct EndOrder {
    /// For the record: `stopped: SIGINT`.
    pub reason: String,
}

/// What an exit means for the attempt: everything but expectations, outputs
/// and artifacts.
#[must_use]
pub(super) fn result_of(exit: &Exit, timeout: Option<Duration>, ordered: Option<&EndOrder>) -> AttemptResult {
    let (exit_code, signal, plain_failure) = match exit.ended {
        Ended::Exited(0) => (Some(0), None, None),
        Ended::Exited(code) => (Some(code), None, Some(format!("exit {code}"))),
        Ended::Signalled(number) => {
            let name = signal_name(number);
            (None, Some(name.clone()), Some(format!("signal {name}")))
        }
        Ended::NotSpawned(failure) => (None, None, Some(format!("spawn: {failure}"))),
        Ended::StillRunning => {
            (None, None, Some("stopped: it may not be signalled, and still runs".to_owned()))
        }
    };
    let leaked = leaked(exit);
    let failure = match (exit.ended_by, ordered) {
        (Some(EndedBy::Timeout), _) => {
            let limit = timeout.map_or_else(String::new, |limit| {
                format!(" after {}", runbook_core::duration::Duration::from(limit))
            });
            let running = leaked.iter().filter(|process| !process.ended && process.pid > 0);
            let pids: Vec<String> = running.map(|process| process.pid.to_string()).collect();
            let still =
                if pids.is_empty() { String::new() } else { format!("; still running: {}", pids.join(", ")) };
            Some((Outcome::Failed, format!("timeout{limit}{still}")))
        }
        // It was told to end; one that succeeded all the same has succeeded.
        (_, Some(order)) => plain_failure.map(|_| (Outcome::Cancelled, order.reason.clone())),
        // Nobody was there any more to finish it.
        (Some(EndedBy::HungUp), None) => {
            plain_failure.map(|_| (Outcome::Interrupted, "stopped: its terminal is gone".to_owned()))
        }
        (Some(EndedBy::Terminated | EndedBy::Killed), None) => {
            plain_failure.map(|_| (Outcome::Cancelled, "stopped: the keeper was told to end it".to_owned()))
        }
        (None, None) => plain_failure.map(|reason| (Outcome::Failed, reason)),
    };
    AttemptResult {
        failure,
        exit_code,
        signal,
        duration_ms: u64::try_from(exit.duration.as_millis()).unwrap_or(u64::MAX),
        log_sha256: exit.log.as_ref().map(|log| hex(&log.sha256)),
        dropped_bytes: exit.dropped,
        leaked,
        ..AttemptResult::default()
    }
}

/// What the command left running.
fn leaked(exit: &Exit) -> Vec<LeakedProcess> {
    let mut leaked: Vec<LeakedProcess> = exit
        .leftovers
        .iter()
        .map(|leftover| LeakedProcess {
            pid: u32::try_from(leftover.pid).unwrap_or(0),
            command: leftover.name.clone(),
            ended: leftover.fate == Fate::Ended,
        })
        .collect();
    if exit.pipe_held && leaked.is_empty() {
        leaked.push(LeakedProcess { pid: 0, command: "pipe".into(), ended: false });
    }
    leaked
}
