//! The controlling terminal: a line at a time, typed and corrected, with Ctrl-C and Ctrl-D as keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::StreamExt as _;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

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
    events: EventStream,
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
        let terminal = Self { tty, before, events: EventStream::new(), is_dirty: false };
        tcflush(&terminal.tty, QueueSelector::IFlush)?;
        while crossterm::event::poll(Duration::ZERO).unwrap_or(false) {
            let _ = crossterm::event::read();
        }
        Ok(terminal)
    }

    /// Shows a text, whole lines.
    pub(super) fn show(&mut self, text: &str) {
        // A terminal that is gone is noticed when it is read.
        let _ = self.tty.write_all(text.as_bytes());
        let _ = self.tty.flush();
    }

    /// Reads a line behind a prompt.
    pub(super) async fn line(&mut self, prompt: &str) -> Typed {
        let mut line = Line::default();
        self.draw(prompt, &line);
        self.is_dirty = true;
        loop {
            let key = match self.events.next().await {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => key,
                Some(Ok(Event::Resize(..))) => {
                    self.draw(prompt, &line);
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return self.end(Typed::End),
            };
            match line.press(key) {
                Some(typed) => return self.end(typed),
                None => self.draw(prompt, &line),
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
    fn press(&mut self, key: KeyEvent) -> Option<Typed> {
        let with = |modifier| key.modifiers.contains(modifier);
        match key.code {
            KeyCode::Char(letter) if with(KeyModifiers::CONTROL) => match letter {
                'c' => return Some(Typed::Interrupt),
                'd' if self.text.is_empty() => return Some(Typed::End),
                // Raw terminals send Enter as Ctrl-M, programs that type for people as Ctrl-J.
                'j' | 'm' => return Some(Typed::Line(std::mem::take(&mut self.text))),
                'u' => self.text.clear(),
                'w' => {
                    let kept = self.text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                    self.text.truncate(kept);
                }
                'h' => {
                    self.text.pop();
                }
                _ => {}
            },
            KeyCode::Enter => return Some(Typed::Line(std::mem::take(&mut self.text))),
            KeyCode::Backspace => {
                self.text.pop();
            }
            KeyCode::Char(character)
                if !with(KeyModifiers::ALT)
                    && !character.is_control()
                    && self.text.len() + character.len_utf8() <= LINE_BYTES_MAX =>
            {
                self.text.push(character);
            }
            _ => {}
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

    fn typed(keys: &[KeyEvent]) -> (Option<Typed>, String) {
        let mut line = Line::default();
        let result = keys.iter().find_map(|key| line.press(*key));
        (result, line.text)
    }

    fn text(text: &str) -> Vec<KeyEvent> {
        text.chars().map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)).collect()
    }

    fn control(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    #[test]
    fn keys_make_a_line() {
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let table = [
            ([text("appr"), vec![key(KeyCode::Enter)]].concat(), Some(Typed::Line("appr".into()))),
            (
                [text("x"), vec![key(KeyCode::Backspace)], text("ja"), vec![control('j')]].concat(),
                Some(Typed::Line("ja".into())),
            ),
            ([text("one two"), vec![control('w'), control('m')]].concat(), Some(Typed::Line("one ".into()))),
            (
                [text("one"), vec![control('u'), key(KeyCode::Enter)]].concat(),
                Some(Typed::Line(String::new())),
            ),
            (vec![control('c')], Some(Typed::Interrupt)),
            (vec![control('d')], Some(Typed::End)),
            ([text("x"), vec![control('d')]].concat(), None),
            (vec![key(KeyCode::Up), key(KeyCode::Tab)], None),
        ];
        for (keys, expected) in table {
            assert_eq!(typed(&keys).0, expected, "{keys:?}");
        }
    }

    #[test]
    fn of_a_long_line_its_end_is_shown() {
        let line = Line { text: "abcdefgh".into() };
        assert_eq!(line.end_that_fits(8), "abcdefgh");
        assert_eq!(line.end_that_fits(5), "…efgh");
    }
}
