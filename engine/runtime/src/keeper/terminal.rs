//! The terminal of an `interactive` command: a pseudo-terminal of its own, whose other end its keeper holds (engine.md §4).
//!
//! ```text
//! operator's terminal ── typed, size ──► engine ──► master ══ slave: the command's controlling terminal
//!         ▲                                │          │
//!         └────────── masked ──────────────┴── keeper ◄┘ ──► log
//! ```
//!
//! The keeper also has the operator's terminal, to give it back where the engine can't any more: a killed engine leaves it raw.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, Termios};

use super::wire::{Decoder, Encoder, Malformed};

/// What makes a terminal usable again after a program that didn't clean up: colours, character set and cursor as usual, the main screen, no reports of
/// the mouse or of pasting, keys as usual.
pub const TERMINAL_RESET: &str = "\x1b[0m\x1b(B\x0f\x1b[?25h\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?7h";

/// A new pseudo-terminal, on its way to a command.
#[derive(Debug)]
pub struct CommandTerminal {
    /// The end that the keeper holds: what is written to it is typed, what is read from it was printed. It doesn't block.
    pub master: OwnedFd,
    /// Where the command's end is found.
    pub(super) path: CString,
    /// The terminal that it stands for.
    pub operator: Option<OperatorTerminal>,
}

impl CommandTerminal {
    /// Makes one that nobody uses yet.
    ///
    /// # Errors
    /// The system gives none.
    pub fn open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let path = rustix::pty::ptsname(&master, Vec::new())?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { master, path, operator: None })
    }

    /// The command's end, so that the terminal lasts while the command only closes and opens it.
    pub(super) fn hold(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(self.path.as_c_str(), flags, Mode::empty())?;
        // Erasing takes whole characters away.
        let mut modes = rustix::termios::tcgetattr(&slave)?;
        modes.input_modes |= InputModes::IUTF8;
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &modes)?;
        Ok(slave)
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.bytes(self.path.as_bytes());
        out.option(self.operator.as_ref(), |out, operator| {
            operator.lent.encode(out);
            operator.before.encode(out);
        });
    }

    /// Reads what [`encode`](Self::encode) wrote; its descriptors are the last that came.
    pub(super) fn decode(input: &mut Decoder<'_>, descriptors: &mut Vec<OwnedFd>) -> Result<Self, Malformed> {
        let path = CString::new(input.bytes()?).map_err(|_| Malformed)?;
        let modes = input.option(|input| Ok((Modes::decode(input)?, Modes::decode(input)?)))?;
        let operator = match modes {
            Some((lent, before)) => {
                Some(OperatorTerminal { terminal: descriptors.pop().ok_or(Malformed)?, lent, before })
            }
            None => None,
        };
        Ok(Self { master: descriptors.pop().ok_or(Malformed)?, path, operator })
    }

    /// Its descriptors, in the order in which they travel.
    pub(super) fn into_descriptors(self) -> impl Iterator<Item = OwnedFd> {
        std::iter::once(self.master).chain(self.operator.map(|operator| operator.terminal))
    }
}

/// The operator's terminal while it is lent to a command.
#[derive(Debug)]
pub struct OperatorTerminal {
    /// The terminal.
    pub terminal: OwnedFd,
    /// Its modes meanwhile.
    pub lent: Modes,
    /// Its modes before, and afterwards.
    pub before: Modes,
}

impl OperatorTerminal {
    /// Gives it back after the engine's death, unless somebody else (a shell) has already.
    pub(super) fn give_back(&self) {
        let Ok(mut now) = rustix::termios::tcgetattr(&self.terminal) else { return };
        if Modes::of(&now) != self.lent {
            return;
        }
        self.before.put_into(&mut now);
        let _ = rustix::io::write(self.terminal.as_fd(), TERMINAL_RESET.as_bytes());
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &now);
    }
}

/// The modes of a terminal, as numbers that can be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes([u32; 4]);

impl Modes {
    /// Those of these attributes.
    #[must_use]
    pub fn of(attributes: &Termios) -> Self {
        Self([
            attributes.input_modes.bits(),
            attributes.output_modes.bits(),
            attributes.control_modes.bits(),
            attributes.local_modes.bits(),
        ])
    }

    fn put_into(self, attributes: &mut Termios) {
        let [input, output, control, local] = self.0;
        attributes.input_modes = InputModes::from_bits_retain(input);
        attributes.output_modes = OutputModes::from_bits_retain(output);
        attributes.control_modes = ControlModes::from_bits_retain(control);
        attributes.local_modes = LocalModes::from_bits_retain(local);
    }

    fn encode(self, out: &mut Encoder) {
        self.0.into_iter().for_each(|part| out.u32(part));
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self([input.u32()?, input.u32()?, input.u32()?, input.u32()?]))
    }
}
