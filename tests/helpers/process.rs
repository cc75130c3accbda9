//! Finding the processes of a run in `/proc`, and signalling exactly those.

use std::fs;
use std::process::Command;

use super::waiting::eventually;

/// A process, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// One letter: `R`, `S`, `T`, `Z`…
    pub(crate) state: char,
}

impl Process {
    pub(crate) fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything: what follows its last parenthesis is regular.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { pid, parent: fields.next()?.parse().ok()?, state })
    }

    /// Whether it still runs (one that is dead and waits to be collected doesn't).
    pub(crate) fn is_alive(pid: u32) -> bool {
        Self::find(pid).is_some_and(|process| process.state != 'Z')
    }

    pub(crate) fn wait_until_gone(pid: u32) {
        eventually(&format!("the end of process {pid}"), || (!Self::is_alive(pid)).then_some(()));
    }

    fn runs_for(&self, run: &str) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let wanted = format!("RUNBOOK_RUN_ID={run}");
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
    }

    /// The keeper of a step's process: the nearest ancestor that isn't itself a command of the run.
    pub(crate) fn keeper(&self, run: &str) -> Option<Self> {
        let mut candidate = Self::find(self.parent)?;
        while candidate.runs_for(run) {
            candidate = Self::find(candidate.parent)?;
        }
        Some(candidate)
    }
}

/// The commands of a run's steps that still run.
pub(crate) fn processes_of_run(run: &str) -> Vec<Process> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::find).filter(|process| process.state != 'Z' && process.runs_for(run)).collect()
}

/// Sends a signal, by its name without SIG.
#[track_caller]
pub(crate) fn send(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {signal} {pid}: {status}");
}
