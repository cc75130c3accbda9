//! The two streams: standard output is data, standard error is talk (`cli.md`).
//!
//! All texts are written with colours; this is where they are dropped when nobody wants them. A reader that has gone away
//! (`runbook runs | head -1`) is no error and never a panic. Results that are lost in another way, on a full disk say, are: the commands write them
//! without a thought, and [`Console::lost`] tells at the end.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal as _, Write as _};
use std::rc::Rc;

use anstyle::{AnsiColor, Style};
use runbook_core::id::RunId;

use crate::environment::Environment;
use crate::options::{ColorChoice, Global};
use crate::report::wording::harmless;

/// Without a terminal and without `COLUMNS`, texts are laid out for this width.
const WIDTH_DEFAULT: usize = 80;
/// Nothing can be laid out for less.
const WIDTH_MIN: usize = 40;

/// Good news.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something that wants attention.
pub(crate) const ATTENTION: Style = AnsiColor::Yellow.on_default();
/// What is less important.
pub(crate) const DIM: Style = Style::new().dimmed();
/// A heading, a name.
pub(crate) const STRONG: Style = Style::new().bold();

/// `text` in a style.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How this process may talk.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    /// Results are read by a person.
    pub(crate) stdout_terminal: bool,
    /// Talk is read by a person, live.
    pub(crate) stderr_terminal: bool,
    /// Colours on standard output.
    pub(crate) stdout_color: bool,
    /// Colours on standard error.
    pub(crate) stderr_color: bool,
    /// Columns to lay texts out for.
    pub(crate) width: usize,
    /// No live lines, no box drawing.
    pub(crate) plain: bool,
    /// Only what went wrong.
    pub(crate) quiet: bool,
    /// Nobody may be asked.
    pub(crate) non_interactive: bool,
    /// The first failure of standard output, by this console or a copy of it.
    pub(crate) failure: Rc<RefCell<Option<std::io::Error>>>,
    /// Which run this is about was said: once, and before anything else about it.
    pub(crate) announced: Rc<Cell<bool>>,
}

impl Console {
    /// Looks at the streams.
    pub(crate) fn open(global: &Global, environment: &Environment) -> Self {
        let stdin_terminal = std::io::stdin().is_terminal();
        let stdout_terminal = std::io::stdout().is_terminal();
        let stderr_terminal = std::io::stderr().is_terminal();
        let color = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !environment.no_color && !environment.dumb,
        };
        let seen = rustix::termios::tcgetwinsize(std::io::stderr())
            .or_else(|_| rustix::termios::tcgetwinsize(std::io::stdout()))
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0);
        Self {
            stdout_terminal,
            stderr_terminal,
            stdout_color: color(stdout_terminal),
            stderr_color: color(stderr_terminal),
            width: environment.columns.or(seen).unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN),
            plain: global.plain || environment.dumb,
            quiet: global.quiet,
            non_interactive: global.non_interactive || environment.ci || !stdin_terminal || !stderr_terminal,
            failure: Rc::default(),
            announced: Rc::default(),
        }
    }

    /// Results, to standard output. The text ends its lines itself.
    pub(crate) fn print(&self, text: &str) {
        self.note(write(&mut std::io::stdout().lock(), text, self.stdout_color));
    }

    /// The first line about a run, where it wasn't said yet.
    pub(crate) fn announcement(&self, run: &RunId, runbook: &str) -> Option<String> {
        (!self.announced.replace(true)).then(|| format!("run {run} {}\n", harmless(runbook)))
    }

    /// Talk, to standard error. The text ends its lines itself.
    pub(crate) fn say(&self, text: &str) {
        // Nobody is left to be told that nobody reads.
        let _ = write(&mut std::io::stderr().lock(), text, self.stderr_color);
    }

    /// Bytes as recorded, to standard output; whether somebody still reads.
    pub(crate) fn print_bytes(&self, bytes: &[u8]) -> bool {
        let mut stdout = std::io::stdout().lock();
        self.note(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// Keeps the first failure; whether there is none.
    fn note(&self, written: std::io::Result<()>) -> bool {
        let Err(error) = written else { return true };
        self.failure.borrow_mut().get_or_insert(error);
        false
    }

    /// Why results were lost; nothing where they weren't, or where their reader didn't want more of them.
    pub(crate) fn lost(&self) -> Option<std::io::Error> {
        self.failure.borrow_mut().take().filter(is_loss)
    }
}

/// Whether somebody misses what couldn't be written: a reader that goes away has had enough.
pub(crate) fn is_loss(error: &std::io::Error) -> bool {
    error.kind() != std::io::ErrorKind::BrokenPipe
}

/// Writes all of a text or as much as the reader takes.
fn write(stream: &mut dyn std::io::Write, text: &str, color: bool) -> std::io::Result<()> {
    let written = if color {
        stream.write_all(text.as_bytes())
    } else {
        write!(stream, "{}", anstream::adapter::strip_str(text))
    };
    written.and_then(|()| stream.flush())
}
