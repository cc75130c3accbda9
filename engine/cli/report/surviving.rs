//! Where live lines are drawn: the terminal, also when it is gone.
//!
//! Drawing on a terminal that was closed fails, and indicatif (0.18) takes that for impossible: a connection that breaks would end the
//! engine in the middle of a deployment. What can't be shown any more is nobody's loss.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressDrawTarget, TermLike};
use rustix::termios::tcgetwinsize;

/// How often a second live lines are drawn at most, as indicatif does it by itself.
const DRAWN_PER_SECOND: u8 = 20;

/// Standard error as a terminal to draw on; drawing never fails.
pub(super) fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::<Surviving>::default(), DRAWN_PER_SECOND)
}

/// What is drawn, until it is shown in one piece.
#[derive(Debug, Default)]
struct Surviving {
    drawn: Mutex<String>,
}

impl Surviving {
    fn drawn(&self) -> MutexGuard<'_, String> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the cursor by so many places, to where this letter of ECMA-48 says.
    fn step(&self, count: usize, letter: char) -> io::Result<()> {
        if count > 0 {
            // Writing into a text can't fail.
            let _ = write!(self.drawn(), "\x1b[{count}{letter}");
        }
        Ok(())
    }
}

impl TermLike for Surviving {
    fn width(&self) -> u16 {
        tcgetwinsize(io::stderr()).map(|size| size.ws_col).ok().filter(|columns| *columns > 0).unwrap_or(80)
    }

    fn height(&self) -> u16 {
        tcgetwinsize(io::stderr()).map(|size| size.ws_row).ok().filter(|rows| *rows > 0).unwrap_or(24)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.step(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.step(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.step(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.step(count, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        let mut drawn = self.drawn();
        drawn.push_str(line);
        drawn.push('\n');
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.drawn().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.drawn().push_str("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let drawn = std::mem::take(&mut *self.drawn());
        let _ = io::stderr().lock().write_all(drawn.as_bytes());
        Ok(())
    }
}
