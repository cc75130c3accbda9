//! What people and programs are shown of a run. Every report is a rendering of the one stream of events: none of them can call the
//! engine, and none is asked.
//!
//! | report | for |
//! | --- | --- |
//! | `live` | a terminal: running steps as live lines |
//! | `lines` | a file, a pipe, a build server: a line at each start and end, output by step |
//! | `json` | programs: the journal's own lines |
//! | `Quiet` | nobody: what went wrong is said at the end |

mod buffer;
mod dialect;
pub(crate) mod ending;
#[cfg(test)]
pub(crate) mod fixture;
mod history;
mod json;
mod junit;
mod lines;
mod live;
pub(crate) mod next;
pub(crate) mod rehearsals;
mod screen;
mod sentences;
mod surviving;
mod undoing;
pub(crate) mod wording;

use std::path::PathBuf;
use std::rc::Rc;

use runbook_core::event::Event;
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_runtime::capture::Stream;
use runbook_runtime::run::{Observer, View};

pub(crate) use ending::Closing;
pub(crate) use screen::{Held, Screen};
pub(crate) use undoing::Undoing;

use crate::context::Context;
use crate::error::CommandError;
use crate::options::Format;
use dialect::Dialect;
use next::Paste;

/// Something that shows a run while it goes on.
trait Report {
    /// An event, and its line in the journal.
    fn event(&mut self, event: &Event, line: &str, view: View<'_>);
    /// Output of a running attempt.
    fn output(&mut self, step: &StepId, attempt: u32, stream: Stream, bytes: &[u8]);
    /// Time has passed.
    fn tick(&mut self, now: Moment, view: View<'_>);
    /// The process is done with the run.
    fn finish(&mut self, view: View<'_>);
}

/// The report that was asked for, with what every report begins and ends with.
pub(crate) struct Reporter {
    screen: Rc<Screen>,
    report: Box<dyn Report>,
    format: Format,
    junit: Option<PathBuf>,
    begun: bool,
}

impl Reporter {
    /// The report that the options and the streams ask for. `run`: how the run is named in commands to paste.
    pub(crate) fn new(context: &Context, screen: &Rc<Screen>, run: &str) -> Self {
        let console = &context.console;
        let format = context.global.format;
        let paste = Paste::new(context, run);
        let stays = context.global.wait.is_some();
        let lines = |dialect| Box::new(lines::Lines::new(Rc::clone(screen), dialect, paste.clone(), stays));
        let report: Box<dyn Report> = match format {
            Format::Json => Box::new(json::Json::new(console.clone())),
            Format::Text if console.quiet => Box::new(Quiet),
            Format::Text if console.stderr_terminal && !console.plain => {
                // Without a store there is no history, and whoever needs one says so.
                Box::new(live::Live::new(Rc::clone(screen), paste, context.store().ok()))
            }
            Format::Text => lines(Dialect::Text),
            Format::Github => lines(Dialect::github(context.environment.github_summary.clone())),
            Format::Gitlab => lines(Dialect::Gitlab),
        };
        let junit = context.global.junit.as_ref().map(|path| context.environment.typed(path));
        Self { screen: Rc::clone(screen), report, format, junit, begun: false }
    }

    /// Nothing more is shown, though the run isn't over.
    pub(crate) fn leave(&mut self, view: View<'_>) {
        self.report.finish(view);
    }

    /// The end: the closing block, the last line for programs, JUnit's file.
    ///
    /// # Errors
    /// Where the file of `--junit` can't be written.
    pub(crate) fn finish(&mut self, view: View<'_>, closing: &Closing) -> Result<(), CommandError> {
        self.report.finish(view);
        let console = self.screen.console();
        let quiet_success = console.quiet && closing.is_success(view.state);
        if !quiet_success {
            self.screen.say(&closing.to_text(view, console.width, console.plain));
        }
        let at_terminal = console.stdout_terminal && console.stderr_terminal;
        if self.format == Format::Text && !at_terminal {
            console.print(&format!("run {} {}\n", closing.run, closing.word(view.state)));
        }
        match &self.junit {
            Some(path) => std::fs::write(path, junit::document(view, &closing.run))
                .map_err(|error| CommandError::store(format!("cannot write {}: {error}", path.display()))),
            None => Ok(()),
        }
    }
}

impl Observer for Reporter {
    fn event(&mut self, event: &Event, line: &str, view: View<'_>) {
        if !self.begun {
            self.begun = true;
            // The first line of all, in every format: which run this is.
            if let Some(line) = self.screen.console().announcement(&event.run, &view.plan.runbook) {
                self.screen.say(&line);
            }
        }
        self.report.event(event, line, view);
    }

    fn output(&mut self, step: &StepId, attempt: u32, stream: Stream, bytes: &[u8]) {
        self.report.output(step, attempt, stream, bytes);
    }

    fn tick(&mut self, now: Moment, view: View<'_>) {
        self.report.tick(now, view);
    }

    fn remark(&mut self, text: &str) {
        self.screen.say(&format!("{}\n", wording::harmless(text)));
    }
}

/// Says nothing while a run goes on.
struct Quiet;

impl Report for Quiet {
    fn event(&mut self, _: &Event, _: &str, _: View<'_>) {}
    fn output(&mut self, _: &StepId, _: u32, _: Stream, _: &[u8]) {}
    fn tick(&mut self, _: Moment, _: View<'_>) {}
    fn finish(&mut self, _: View<'_>) {}
}
