//! The loop of a keeper: output, time, orders and ends, until nothing of the command is left.

use std::collections::HashSet;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::exit::{Ended, EndedBy, Fate, LEFTOVERS_NAMED, Leftover};
use super::message::Order;
use super::output::{Sink, Source};
use super::processes::{Identity, Status, descendants};
use super::spec::AttemptSpec;
use super::start::Started;
use super::system;
use super::terminal::OperatorTerminal;

/// How long what a command left running may take to end by itself, and its output to be read: what was started with `> >(tee log)` ends just after
/// its shell (engine.md §4).
const LINGER: Duration = Duration::from_millis(200);

/// How long a process may take to die of SIGKILL. One in uninterruptible sleep takes longer; it then counts as still running.
const DEATH: Duration = Duration::from_secs(5);

/// How a command ended, apart from its output.
pub(super) struct Ending {
    pub(super) ended: Ended,
    pub(super) ended_by: Option<EndedBy>,
    pub(super) pipe_held: bool,
    pub(super) leftovers: Vec<Leftover>,
    pub(super) leftover_count: u32,
    /// Whether this process has no children any more, adopted ones included.
    pub(super) nothing_left: bool,
}

/// A running command and everything that can happen to it.
pub(super) struct Supervision<'a> {
    engine: BorrowedFd<'a>,
    engine_listens: bool,
    signals: BorrowedFd<'a>,
    sources: [Source; 2],
    sink: Sink,
    /// The command's end of its terminal: it lasts as long as the command.
    held: Option<OwnedFd>,
    /// What the operator's terminal is given back with, where the engine dies.
    operator: Option<&'a OperatorTerminal>,
    has_terminal: bool,
    command: i32,
    /// Whether what the command leaves running is part of it.
    background: bool,
    timeout: Option<Duration>,
    grace: Duration,
    clock: Clock,
    /// How the command itself ended, once it has.
    ended: Option<Ended>,
    ended_by: Option<EndedBy>,
    /// When SIGTERM was enough.
    kill_at: Option<Duration>,
    /// When even SIGKILL didn't help.
    give_up_at: Option<Duration>,
    /// Whether anything that was started is still to be reaped.
    has_children: bool,
}

impl<'a> Supervision<'a> {
    pub(super) fn new(
        spec: &'a AttemptSpec,
        started: Started,
        sink: Sink,
        engine: BorrowedFd<'a>,
        signals: BorrowedFd<'a>,
    ) -> Self {
        Self {
            engine,
            engine_listens: true,
            signals,
            sources: started.sources,
            sink,
            held: started.held,
            operator: spec.terminal.as_ref().and_then(|terminal| terminal.operator.as_ref()),
            has_terminal: spec.terminal.is_some(),
            command: started.pid,
            background: spec.background,
            timeout: spec.timeout,
            grace: spec.grace,
            clock: Clock::new(),
            ended: None,
            ended_by: None,
            kill_at: None,
            give_up_at: None,
            has_children: true,
        }
    }

    /// Watches until the attempt is over.
    pub(super) fn run(mut self) -> (Ending, Sink) {
        self.watch();
        self.held = None;
        self.linger();
        let pipe_held = self.ended_by.is_none() && self.sources.iter().any(|source| source.pipe().is_some());
        let (leftovers, leftover_count) = self.end_rest();
        self.close_sources();
        let nothing_left = !self.has_children && self.ended.is_some();
        let ending = Ending {
            ended: self.ended.unwrap_or(Ended::StillRunning),
            ended_by: self.ended_by,
            pipe_held,
            leftovers,
            leftover_count,
            nothing_left,
        };
        (ending, self.sink)
    }

    /// Until the command has ended, and with a background also what it started.
    fn watch(&mut self) {
        loop {
            let lives_on = self.background && self.has_children && self.ended_by.is_none();
            if self.ended.is_some() && !lives_on {
                return;
            }
            let now = self.clock.now();
            if self.give_up_at.is_some_and(|at| now >= at) {
                return;
            }
            if self.kill_at.is_some_and(|at| now >= at) {
                self.kill_at = None;
                self.give_up_at = Some(now + self.kill_everything());
            } else if self.ended_by.is_none() && self.timeout.is_some_and(|timeout| now >= timeout) {
                self.terminate(EndedBy::Timeout);
            }
            let timeout = self.timeout.filter(|_| self.ended_by.is_none());
            let next = [timeout, self.kill_at, self.give_up_at].into_iter().flatten().min();
            self.turn(next);
        }
    }

    /// Gives what the command left running a moment to end: its own `grace` where it was asked to end, else a short one.
    fn linger(&mut self) {
        if self.ended_by.is_some() {
            // The command's group has had its SIGTERM.
            self.signal_where(Signal::TERM, |status| status.group != self.command);
        }
        let moment = self.clock.now() + LINGER;
        while self.has_children || self.sources.iter().any(|source| source.pipe().is_some()) {
            let end = if self.ended_by.is_some() { self.kill_at.unwrap_or(moment) } else { moment };
            if self.clock.now() >= end || self.give_up_at.is_some() {
                return;
            }
            self.turn(Some(end));
        }
    }

    /// Ends what is still there, and says what that was.
    fn end_rest(&mut self) -> (Vec<Leftover>, u32) {
        self.reap();
        let mut rest = if self.has_children { descendants() } else { Vec::new() };
        rest.retain(|(pid, _)| *pid != self.command);
        if !rest.is_empty() && self.ended_by.is_none() {
            self.signal_where(Signal::TERM, |_| true);
            let end = self.clock.now() + self.grace.min(LINGER);
            while self.has_children && self.clock.now() < end {
                self.turn(Some(end));
            }
        }
        let leaked = self.kill_rest();
        let is_leaked = |pid: i32| leaked.iter().any(|(leaked, _)| *leaked == pid);
        if self.ended_by.is_some() {
            // They were told to end with the command, so there is nothing odd about them, unless they didn't.
            rest.retain(|(pid, _)| is_leaked(*pid));
        }
        let seen: HashSet<i32> = rest.iter().map(|(pid, _)| *pid).collect();
        rest.extend(leaked.iter().filter(|(pid, _)| !seen.contains(pid)).cloned());
        // Those that live on are named first.
        rest.sort_by_key(|(pid, _)| !is_leaked(*pid));
        let named = rest.iter().take(LEFTOVERS_NAMED).map(|(pid, status)| Leftover {
            pid: *pid,
            name: status.name.clone(),
            fate: if is_leaked(*pid) { Fate::Leaked } else { Fate::Ended },
        });
        (named.collect(), u32::try_from(rest.len()).unwrap_or(u32::MAX))
    }

    /// SIGKILL to all that is left, until nothing is that may be signalled. Gives what lives on.
    fn kill_rest(&mut self) -> Vec<(i32, Status)> {
        let end = self.clock.now() + DEATH;
        loop {
            self.reap();
            if !self.has_children {
                return Vec::new();
            }
            let rest = descendants();
            let mut signalled = false;
            for (pid, status) in &rest {
                signalled |= Identity { pid: *pid, started: status.started }.signal(Signal::KILL).is_ok();
            }
            if !signalled && !rest.is_empty() || self.clock.now() >= end {
                return rest;
            }
            // Their deaths arrive as signals; what they forked just before is met in the next round.
            self.turn(Some(self.clock.now() + Duration::from_millis(5)));
        }
    }

    /// Waits for the next thing to happen, or for a moment of the clock, and deals with it.
    fn turn(&mut self, until: Option<Duration>) {
        let mut watched = vec![PollFd::from_borrowed_fd(self.signals, PollFlags::IN)];
        if self.engine_listens {
            watched.push(PollFd::from_borrowed_fd(self.engine, PollFlags::IN));
        }
        let open: Vec<usize> = (0..self.sources.len())
            .filter(|index| self.sources[*index].pipe().is_some() && !self.is_held_back(*index))
            .collect();
        if let Some(first) = watched.get_mut(1).filter(|_| open.len() < self.open_sources()) {
            // The engine has to take what it was sent before more is read.
            *first = PollFd::from_borrowed_fd(self.engine, PollFlags::IN | PollFlags::OUT);
        }
        watched.extend(
            open.iter()
                .filter_map(|index| self.sources[*index].pipe())
                .map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)),
        );
        let wait = self.clock.until(until).map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        if poll(&mut watched, wait.as_ref()).is_err() {
            return;
        }
        let to_order = self.engine_listens && watched[1].revents().intersects(!PollFlags::OUT);
        let ready: Vec<bool> = watched.iter().map(|watched| !watched.revents().is_empty()).collect();
        let (first, rest) = ready.split_at(1 + usize::from(self.engine_listens));
        let first = first[0];
        for (index, ready) in open.into_iter().zip(rest) {
            if *ready {
                self.sink.transfer(&mut self.sources[index], self.engine);
            }
        }
        if to_order {
            self.take_order();
        }
        if first {
            self.take_signals();
        }
    }

    fn open_sources(&self) -> usize {
        self.sources.iter().filter(|source| source.pipe().is_some()).count()
    }

    /// Whether a source isn't read for now: the engine shows all of it, and doesn't keep up.
    fn is_held_back(&self, index: usize) -> bool {
        if !self.engine_listens || !self.sources[index].is_whole() {
            return false;
        }
        let mut engine = [PollFd::from_borrowed_fd(self.engine, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut engine, Some(&now)).is_ok() && !engine[0].revents().contains(PollFlags::OUT)
    }

    fn take_order(&mut self) {
        let mut packet = [0; 8];
        match recv(self.engine, &mut packet[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.engine_listens = false;
                // Who paused it can't resume it any more.
                self.resume();
                self.engine_is_gone();
            }
            Ok((length, _)) => {
                if let Ok(order) = Order::decode(&packet[..length]) {
                    self.obey(order);
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => {
                self.engine_listens = false;
                self.engine_is_gone();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Terminate => self.terminate(EndedBy::Terminated),
            Order::Kill => {
                self.resume();
                self.ended_by.get_or_insert(EndedBy::Killed);
                self.kill_at = Some(self.clock.now());
            }
            Order::HangUp => self.hang_up(),
            Order::Pause => self.pause(),
            Order::Resume => self.resume(),
        }
    }

    fn take_signals(&mut self) {
        for signal in system::read_signals(self.signals) {
            match signal {
                libc::SIGTERM => self.obey(Order::Terminate),
                libc::SIGUSR1 => self.obey(Order::Kill),
                _ => self.reap(),
            }
        }
    }

    /// SIGTERM to the process group, once; SIGKILL follows after `grace`.
    fn terminate(&mut self, by: EndedBy) {
        if self.ended_by.is_some() {
            return;
        }
        self.resume();
        self.ended_by = Some(by);
        self.kill_at = Some(self.clock.now() + self.grace);
        self.signal_group(Signal::TERM);
    }

    /// Nobody is at the command's terminal any more: what it types to is gone with the engine.
    fn engine_is_gone(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.give_back();
        }
        if self.has_terminal {
            self.hang_up();
        }
    }

    /// What a terminal does that goes away: SIGHUP to all that it has, stopped or not; SIGKILL follows after `grace`.
    fn hang_up(&mut self) {
        if self.ended_by.is_some() || self.ended.is_some() {
            return;
        }
        self.resume();
        self.ended_by = Some(EndedBy::HungUp);
        self.kill_at = Some(self.clock.now() + self.grace);
        self.signal_where(Signal::HUP, |_| true);
        self.signal_where(Signal::CONT, |_| true);
    }

    /// SIGKILL to everything that was started. Gives how long its death may take: not at all where it may not be signalled.
    fn kill_everything(&mut self) -> Duration {
        self.signal_group(Signal::KILL);
        let mut reached = HashSet::new();
        loop {
            let signalled = self.signal_where(Signal::KILL, |_| true);
            if signalled.is_subset(&reached) {
                break;
            }
            reached.extend(signalled);
        }
        let command = Identity::of(self.command);
        if command.is_ok_and(|command| {
            command.signal(Signal::KILL).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
        }) {
            return Duration::ZERO;
        }
        DEATH
    }

    fn signal_group(&self, signal: Signal) {
        // As long as the command isn't reaped, or has left others in its group, the number is its own.
        if let Some(group) = Pid::from_raw(self.command) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Signals those descendants, and gives those that got it.
    fn signal_where(&self, signal: Signal, wanted: impl Fn(&Status) -> bool) -> HashSet<i32> {
        if !self.has_children {
            return HashSet::new();
        }
        let mut signalled = HashSet::new();
        for (pid, status) in descendants() {
            if wanted(&status) && (Identity { pid, started: status.started }).signal(signal).is_ok() {
                signalled.insert(pid);
            }
        }
        signalled
    }

    /// Stops everything that was started and doesn't stand yet, again and again until nothing is new, and the clock with it.
    fn pause(&mut self) {
        self.clock.pause();
        let mut stopped = HashSet::new();
        loop {
            let signalled = self.signal_where(Signal::STOP, |_| true);
            if signalled.is_subset(&stopped) {
                return;
            }
            stopped.extend(signalled);
        }
    }

    fn resume(&mut self) {
        if self.clock.resume() {
            self.signal_where(Signal::CONT, |_| true);
        }
    }

    /// Takes note of every child that has ended, adopted ones included.
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid.as_raw_nonzero().get() == self.command {
                        self.ended = ended(status);
                    }
                }
                Ok(None) => return self.has_children = true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return self.has_children = false,
            }
        }
    }

    /// Reads what is still in the pipes, and closes them.
    fn close_sources(&mut self) {
        for source in &mut self.sources {
            // A pipe holds a bounded amount; who goes on writing is not waited for.
            self.sink.drain(source, self.engine);
            self.sink.close(source, self.engine);
        }
    }
}

fn ended(status: WaitStatus) -> Option<Ended> {
    status.exit_status().map(Ended::Exited).or_else(|| status.terminating_signal().map(Ended::Signalled))
}

/// Time since the command's start that was not paused.
struct Clock {
    begun: Instant,
    paused: Duration,
    paused_since: Option<Instant>,
}

impl Clock {
    fn new() -> Self {
        Self { begun: Instant::now(), paused: Duration::ZERO, paused_since: None }
    }

    fn now(&self) -> Duration {
        let until = self.paused_since.unwrap_or_else(Instant::now);
        until.duration_since(self.begun).saturating_sub(self.paused)
    }

    fn pause(&mut self) {
        self.paused_since.get_or_insert_with(Instant::now);
    }

    /// Goes on; says whether it stood.
    fn resume(&mut self) -> bool {
        let Some(since) = self.paused_since.take() else { return false };
        self.paused += since.elapsed();
        true
    }

    /// How long to wait for a moment: for ever where there is none, or while the clock stands.
    fn until(&self, moment: Option<Duration>) -> Option<Duration> {
        let wait = moment?.saturating_sub(self.now());
        self.paused_since.is_none().then_some(wait)
    }
}
