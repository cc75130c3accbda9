//! What can be typed next: the shell asks this program, which knows the runbooks, runs and steps of the moment.
//!
//! What an argument takes is told by the name of its value (`NAME`, `RUN`, `STEP`, `KEY=VALUE`), so a new command is completed
//! without a line here. Nothing that goes wrong is said: a shell that completes has no place for it.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::{CommandFactory as _, Parser as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use runbook_core::document::model::Choices;
use runbook_core::event::Gate;
use runbook_runtime::run;
use runbook_runtime::store::index::{self, Filter};
use runbook_runtime::store::{Store, Summary};

use crate::args::Arguments;
use crate::context::Context;
use crate::planning;
use crate::report::wording::harmless;

/// The variable that carries the name of the shell that asks.
pub(crate) const VARIABLE: &str = "RUNBOOK_COMPLETE";
/// How many runs are offered, the latest.
const RUNS: usize = 30;

/// Answers a shell: `words` are this process's arguments, of which those after `--` are the line that is typed.
pub(crate) fn answer(shell: &str, words: Vec<OsString>) -> Vec<u8> {
    let mut answer = Vec::new();
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(shell) else { return answer };
    let line: Vec<OsString> = words.into_iter().skip_while(|word| word != "--").skip(1).collect();
    let current_dir = std::env::current_dir().ok();
    let mut command = command(&line);
    // What can't be completed is typed by hand.
    let _ = completer.write_complete(&mut command, line, current_dir.as_deref(), &mut answer);
    answer
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: &str) -> Option<Vec<u8>> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(shell)?;
    completer.write_registration(VARIABLE, "runbook", "runbook", "runbook", &mut script).ok()?;
    Some(script)
}

/// The command line with somebody to ask at each argument.
fn command(line: &[OsString]) -> clap::Command {
    Arguments::command().mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        subcommand.mut_args(|argument| {
            let takes = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
            let typed = Typed { command: name.clone(), line: line.to_vec() };
            match takes.as_deref() {
                Some("NAME") => argument
                    .add(ArgValueCompleter::new(move |word: &OsStr| typed.offer(word, Typed::runbooks))),
                Some("RUN") => {
                    argument.add(ArgValueCompleter::new(move |word: &OsStr| typed.offer(word, Typed::runs)))
                }
                Some("STEP") => {
                    argument.add(ArgValueCompleter::new(move |word: &OsStr| typed.offer(word, Typed::steps)))
                }
                Some("KEY=VALUE") => {
                    argument.add(ArgValueCompleter::new(move |word: &OsStr| typed.offer(word, Typed::params)))
                }
                _ => argument,
            }
        })
    })
}

/// The line as far as it is typed.
struct Typed {
    command: String,
    line: Vec<OsString>,
}

/// Something that can be typed, and what it is.
type Offer = (String, Option<String>);

impl Typed {
    /// Those of the offers that begin with what is typed of the word.
    fn offer(&self, word: &OsStr, offers: impl Fn(&Self) -> Option<Vec<Offer>>) -> Vec<CompletionCandidate> {
        let Some(word) = word.to_str() else { return Vec::new() };
        offers(self)
            .unwrap_or_default()
            .into_iter()
            .filter(|(value, _)| value.starts_with(word))
            .map(|(value, help)| CompletionCandidate::new(value).help(help.map(StyledStr::from)))
            .collect()
    }

    /// The runbooks by name, and by the last part of it where that is enough.
    fn runbooks(&self) -> Option<Vec<Offer>> {
        let known = self.context()?.library().ok()?.list();
        let stem = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        let mut offers: Vec<Offer> = Vec::new();
        for runbook in &known {
            offers.push((runbook.name.clone(), None));
            let short = stem(&runbook.name);
            let is_unique = known.iter().filter(|other| stem(&other.name) == short).count() == 1;
            if short != runbook.name && is_unique {
                offers.push((short, Some(runbook.name.clone())));
            }
        }
        Some(offers)
    }

    /// The runs that the command may mean.
    fn runs(&self) -> Option<Vec<Offer>> {
        let filter = Filter { limit: Some(RUNS), ..Filter::default() };
        let runs: Vec<Summary> =
            index::list(&self.store()?, &filter).ok()?.into_iter().filter(|run| self.fits(run)).collect();
        let about = |run: &Summary| {
            let waits: Vec<&str> = run.waiting_for.iter().map(|waiting| waiting.step.as_str()).collect();
            let waits =
                if waits.is_empty() { String::new() } else { format!(", waits at {}", waits.join(", ")) };
            Some(format!("{}{waits}", harmless(&run.runbook)))
        };
        let mut offers: Vec<Offer> = runs.first().map(|_| ("last".to_owned(), None)).into_iter().collect();
        offers.extend(runs.iter().map(|run| (run.run.to_string(), about(run))));
        Some(offers)
    }

    /// Whether the command has a use for a run: an answer needs a question.
    fn fits(&self, run: &Summary) -> bool {
        match self.command.as_str() {
            "approve" | "reject" | "done" | "choose" | "answer" => {
                run.waiting_for.iter().any(|waiting| self.answers(waiting.gate))
            }
            "cancel" | "resume" => !matches!(run.outcome, runbook_runtime::store::Standing::Succeeded),
            _ => true,
        }
    }

    /// Whether the command answers such a question.
    fn answers(&self, gate: Gate) -> bool {
        match self.command.as_str() {
            "approve" | "reject" => gate == Gate::Approve,
            "done" => gate == Gate::Manual,
            "choose" => gate == Gate::Choose,
            _ => !matches!(gate, Gate::Approve | Gate::Manual | Gate::Choose),
        }
    }

    /// The steps of the run that is named: of an answering command those with an open question.
    fn steps(&self) -> Option<Vec<Offer>> {
        let (context, store) = (self.context()?, self.store()?);
        let run = self.operands().find_map(|word| context.resolve(&store, word).ok())?;
        let state = run::open(&store.run(&run).ok()?).ok()?.state;
        let is_answer = matches!(self.command.as_str(), "approve" | "reject" | "done" | "choose" | "answer");
        let offers = state.plan.steps.iter().enumerate().filter_map(|(index, step)| {
            let gate = state.gates.get(&index);
            if is_answer && !gate.is_some_and(|gate| self.answers(gate.gate)) {
                return None;
            }
            let about = gate.map(|gate| harmless(&gate.prompt));
            Some((step.id.to_string(), about))
        });
        Some(offers.collect())
    }

    /// The parameters of the runbook that is named, and their choices.
    fn params(&self) -> Option<Vec<Offer>> {
        let context = self.context()?;
        let library = context.library().ok()?;
        let file = self.operands().find_map(|word| library.find(word).ok())?;
        let document = planning::load(&context, file).ok()?.0?.document;
        let mut offers = Vec::new();
        for (name, spec) in document.params.iter() {
            let about = spec.description.as_ref().map(|about| harmless(about));
            match &spec.choices {
                Some(Choices::List(choices)) => {
                    offers.extend(choices.iter().map(|choice| (format!("{name}={choice}"), about.clone())));
                }
                Some(Choices::Expression(_)) | None => offers.push((format!("{name}="), about)),
            }
        }
        Some(offers)
    }

    /// The words of the line that are no options, the command's own name left out. The value of an option may be among them: what it
    /// isn't the name of is passed over.
    fn operands(&self) -> impl Iterator<Item = &str> {
        let words = self.line.iter().skip(1).filter_map(|word| word.to_str());
        words.filter(|word| !word.starts_with('-') && *word != self.command)
    }

    /// Where runs and runbooks are, as the line says.
    fn context(&self) -> Option<Context> {
        let mut words: Vec<OsString> = vec!["runbook".into(), "runs".into()];
        for (index, word) in self.line.iter().enumerate() {
            let Some(text) = word.to_str() else { continue };
            if matches!(text, "--dir" | "--state") && index + 1 < self.line.len() {
                words.extend([word.clone(), self.line[index + 1].clone()]);
            } else if text.starts_with("--dir=") || text.starts_with("--state=") {
                words.push(word.clone());
            }
        }
        Arguments::try_parse_from(words).ok().map(|arguments| Context::new(arguments.global))
    }

    /// The store, where there is one: looking doesn't make it.
    fn store(&self) -> Option<Store> {
        let context = self.context()?;
        if context.state_dir().ok()?.is_dir() { context.store().ok() } else { None }
    }
}
