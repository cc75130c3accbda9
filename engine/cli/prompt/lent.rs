//! The terminal while an `interactive` command has it: what is typed goes there byte by byte, what it prints comes here, and the size follows.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::pin::Pin;

use runbook_runtime::keeper::{CommandTerminal, Modes, OperatorTerminal, TERMINAL_RESET, watch};
use runbook_runtime::run::Lent;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::keyboard::Keyboard;
use crate::report::Held;

/// How much is read of what is typed, or pasted, before it is passed on.
const TYPED: usize = 4096;

/// The operator's terminal, lent.
pub(super) struct LentTerminal {
    /// For reading, without blocking.
    keyboard: Keyboard,
    /// For writing.
    screen: File,
    command: AsyncFd<OwnedFd>,
    before: Termios,
    lent: Termios,
    resized: Signal,
    /// Typed, and still to be passed on.
    typed: Vec<u8>,
    /// What was printed last, so that our next line begins a line.
    last: u8,
    /// The command used control sequences, and may have left something switched on.
    controlled: bool,
    _held: Held,
}

impl LentTerminal {
    /// Takes the controlling terminal. What was typed before the command had it is thrown away.
    ///
    /// # Errors
    /// Where there is no terminal.
    pub(super) fn open(command: &CommandTerminal, held: Held) -> io::Result<Self> {
        let screen = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&screen)?;
        let mut lent = before.clone();
        lent.make_raw();
        let terminal = Self {
            keyboard: Keyboard::open()?,
            command: watch(command.master.try_clone()?)?,
            before,
            lent,
            resized: signal(SignalKind::window_change())?,
            typed: Vec::new(),
            last: b'\n',
            controlled: false,
            screen,
            _held: held,
        };
        terminal.copy_size();
        tcsetattr(&terminal.screen, OptionalActions::Now, &terminal.lent)?;
        tcflush(&terminal.screen, QueueSelector::IFlush)?;
        Ok(terminal)
    }

    fn copy_size(&self) {
        if let Ok(size) = tcgetwinsize(&self.screen) {
            // A command that is over needs no size.
            let _ = tcsetwinsize(self.command.get_ref(), size);
        }
    }

    async fn carry_typed(&mut self) {
        let mut buffer = [0; TYPED];
        loop {
            let waiting = !self.typed.is_empty();
            tokio::select! {
                read = self.keyboard.read(&mut buffer), if !waiting => match read {
                    Some(length) => self.typed.extend_from_slice(&buffer[..length]),
                    None => return,
                },
                ready = self.command.writable(), if waiting => {
                    let Ok(mut ready) = ready else { return };
                    match ready.try_io(|command| Ok(rustix::io::write(command.get_ref(), &self.typed)?)) {
                        Ok(Ok(length)) => drop(self.typed.drain(..length)),
                        Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                        // The command is over: nobody reads it any more.
                        Ok(Err(_)) => self.typed.clear(),
                        Err(_would_block) => {}
                    }
                }
                Some(()) = self.resized.recv() => self.copy_size(),
            }
        }
    }

    fn give_back(&mut self) {
        let reset = if self.controlled { TERMINAL_RESET } else { "" };
        let end = if self.last == b'\n' { "" } else { "\r\n" };
        // Nothing can be done about a terminal that is gone.
        let _ = self.screen.write_all(format!("{reset}{end}").as_bytes());
        let _ = tcsetattr(&self.screen, OptionalActions::Now, &self.before);
    }
}

impl Lent for LentTerminal {
    fn operator(&self) -> io::Result<OperatorTerminal> {
        // As the system has it now: it may have taken less than it was told.
        let lent = Modes::of(&tcgetattr(&self.screen)?);
        Ok(OperatorTerminal {
            terminal: self.screen.try_clone()?.into(),
            lent,
            before: Modes::of(&self.before),
        })
    }

    fn show(&mut self, bytes: &[u8]) {
        self.controlled |= bytes.contains(&0x1b);
        self.last = bytes.last().copied().unwrap_or(self.last);
        // A terminal that is gone is noticed when it is read.
        let _ = self.screen.write_all(bytes);
    }

    fn kind(&self) -> Option<String> {
        std::env::var("TERM").ok()
    }

    fn carry(&mut self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(self.carry_typed())
    }

    fn pause(&mut self) {
        self.give_back();
    }

    fn resume(&mut self) {
        self.copy_size();
        let _ = tcsetattr(&self.screen, OptionalActions::Now, &self.lent);
    }
}

impl Drop for LentTerminal {
    fn drop(&mut self) {
        self.give_back();
    }
}
