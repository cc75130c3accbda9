//! The controlling terminal: a line at a time, typed and corrected, with Ctrl-C and Ctrl-D as keys.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::keyboard::Keyboard;
use super::keys::{Decoder, Key};

/// The longest line that is taken, in bytes: a reason, not a document.
const LINE_BYTES_MAX: usize = 4096;

/// What a person typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line, with Enter.
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line, or the terminal is gone.
    End,
}

/// The terminal while a question stands on it. Dropping it puts everything back, also in the middle of a line.
pub(super) struct Terminal {
    tty: File,
    before: Termios,
    keyboard: Keyboard,
    decoder: Decoder,
    /// Typed, and not yet read.
    keys: VecDeque<Key>,
    resized: Signal,
    /// Something stands on the current line.
    is_dirty: bool,
}

impl Terminal {
    /// Takes the terminal. What was typed before the question was seen is thrown away.
    ///
    /// # Errors
    /// Where there is no terminal.
    pub(super) fn open() -> io::Result<Self> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&tty)?;
        let mut raw = before.clone();
        raw.make_raw();
        // Only reading is raw: a newline still begins a line.
        raw.output_modes = before.output_modes;
        raw.local_modes.remove(LocalModes::ISIG);
        tcsetattr(&tty, OptionalActions::Now, &raw)?;
        let terminal = Self {
            tty,
            before,
            keyboard: Keyboard::open()?,
            decoder: Decoder::default(),
            keys: VecDeque::new(),
            resized: signal(SignalKind::window_change())?,
            is_dirty: false,
        };
        tcflush(&terminal.tty, QueueSelector::IFlush)?;
        Ok(terminal)
    }

    /// Shows a text, whole lines.
    pub(super) fn show(&mut self, text: &str) {
        // A terminal that is gone is noticed when it is read.
        let _ = self.tty.write_all(text.as_bytes());
        let _ = self.tty.flush();
    }

    /// Reads a line behind the last line of a prompt; what stands above that is shown once.
    pub(super) async fn line(&mut self, prompt: &str) -> Typed {
        let (above, prompt) = prompt.split_at(prompt.rfind('\n').map_or(0, |end| end + 1));
        self.show(above);
        let mut line = Line::default();
        self.is_dirty = true;
        let mut buffer = [0; 256];
        loop {
            while let Some(key) = self.keys.pop_front() {
                if let Some(typed) = line.press(key) {
                    return self.end(typed);
                }
            }
            self.draw(prompt, &line);
            tokio::select! {
                read = self.keyboard.read(&mut buffer) => match read {
                    Some(length) => self.keys.extend(self.decoder.keys(&buffer[..length])),
                    None => return self.end(Typed::End),
                },
                Some(()) = self.resized.recv() => {}
            }
        }
    }

    fn end(&mut self, typed: Typed) -> Typed {
        self.show("\n");
        self.is_dirty = false;
        typed
    }

    fn draw(&mut self, prompt: &str, line: &Line) {
        let columns =
            rustix::termios::tcgetwinsize(&self.tty).map_or(80, |size| usize::from(size.ws_col).max(20));
        let room = columns.saturating_sub(prompt.width() + 1).max(8);
        self.show(&format!("\r\x1b[K{prompt}{}", line.end_that_fits(room)));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.is_dirty {
            self.show("\n");
        }
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}

/// A line that is being typed.
#[derive(Debug, Default)]
struct Line {
    text: String,
}

impl Line {
    /// Takes a key; what was typed, when it is complete.
    fn press(&mut self, key: Key) -> Option<Typed> {
        match key {
            Key::Interrupt => return Some(Typed::Interrupt),
            Key::End if self.text.is_empty() => return Some(Typed::End),
            Key::Enter => return Some(Typed::Line(std::mem::take(&mut self.text))),
            Key::EraseLine => self.text.clear(),
            Key::EraseWord => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.text.truncate(kept);
            }
            Key::Backspace => {
                self.text.pop();
            }
            Key::Character(character) if self.text.len() + character.len_utf8() <= LINE_BYTES_MAX => {
                self.text.push(character);
            }
            Key::Character(_) | Key::End => {}
        }
        None
    }

    /// The end of the line, as much of it as fits.
    fn end_that_fits(&self, columns: usize) -> String {
        if self.text.width() <= columns {
            return self.text.clone();
        }
        let mut used = 1;
        let mut from = self.text.len();
        for (at, character) in self.text.char_indices().rev() {
            used += character.width().unwrap_or(0);
            if used > columns {
                break;
            }
            from = at;
        }
        format!("…{}", &self.text[from..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Option<Typed> {
        let mut line = Line::default();
        Decoder::default().keys(bytes).into_iter().find_map(|key| line.press(key))
    }

    #[test]
    fn keys_make_a_line() {
        let line = |text: &str| Some(Typed::Line(text.into()));
        let table: [(&[u8], Option<Typed>); 8] = [
            (b"appr\r", line("appr")),
            (b"x\x7fja\n", line("ja")),
            (b"one two\x17\r", line("one ")),
            (b"one\x15\r", line("")),
            (b"\x03", Some(Typed::Interrupt)),
            (b"\x04", Some(Typed::End)),
            (b"x\x04", None),
            (b"\x1b[A\t", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(typed(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn of_a_long_line_its_end_is_shown() {
        let line = Line { text: "abcdefgh".into() };
        assert_eq!(line.end_that_fits(8), "abcdefgh");
        assert_eq!(line.end_that_fits(5), "…efgh");
    }
}
