//! `runbook approve`, `reject`, `done` and `answer`: one way for every answer that is given from elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use runbook_core::event::{Evidence, Gate, Identity, RunOutcome, Via};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::schedule::{
    Answer, Attendance, Circumstances, Refusal, RefusalKind, ResumeRequest, Terminal, record_answer,
};
use runbook_core::template::quote_for_display;
use runbook_runtime::keeper::Helper;
use runbook_runtime::run::{self, AtHand, Opened};
use runbook_runtime::signature::{self, SignatureError};
use runbook_runtime::store::evidence::{AttachError, attach};
use runbook_runtime::store::identity::current_user;
use runbook_runtime::store::inbox::{AnswerFile, FileName, Request};
use runbook_runtime::store::{RunDir, lock};

use super::deliver::{Delivered, deliver, event_of};
use crate::console::{GOOD, styled};
use crate::context::Context;
use crate::drive;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::report::next::Paste;
use crate::report::wording::{Signs, count, harmless};
use crate::values::{key_value, step_id};

/// Which question is meant.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step; without it the only open question of this kind
    #[arg(value_name = "STEP", value_parser = step_id)]
    pub(crate) step: Option<StepId>,
}

/// What every answering command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Go on with the run at once, in this process
    #[arg(long)]
    pub(crate) resume: bool,
    /// A value that the question asks for (repeatable)
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) fields: Vec<(String, String)>,
    /// Sign the answer by SSH: with this key, or with the first of the agent or ~/.ssh that project.yaml lists
    #[arg(long, value_name = "KEYFILE", num_args = 0..=1, require_equals = true)]
    pub(crate) sign: Option<Option<PathBuf>>,
}

/// Options of `approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveOptions {
    #[command(flatten)]
    pub(crate) question: Question,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `reject`.
#[derive(Debug, Args)]
pub(crate) struct RejectOptions {
    #[command(flatten)]
    pub(crate) question: Question,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `done`.
#[derive(Debug, Args)]
pub(crate) struct DoneOptions {
    #[command(flatten)]
    pub(crate) question: Question,
    /// Tick this item, from 1 (repeatable); without it the step is ended
    #[arg(long = "item", value_name = "N")]
    pub(crate) items: Vec<u32>,
    /// Tick all the rest and end the step
    #[arg(long, conflicts_with = "failed")]
    pub(crate) all: bool,
    /// Evidence: free text (repeatable)
    #[arg(long = "note", value_name = "TEXT")]
    pub(crate) notes: Vec<String>,
    /// Evidence: a link (repeatable)
    #[arg(long = "link", value_name = "URL")]
    pub(crate) links: Vec<String>,
    /// Evidence: a file (repeatable)
    #[arg(long = "attach", value_name = "FILE")]
    pub(crate) attachments: Vec<PathBuf>,
    /// It could not be done: say why with --reason
    #[arg(long)]
    pub(crate) failed: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `choose`.
#[derive(Debug, Args)]
pub(crate) struct ChooseOptions {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step; without it the only open choice
    #[arg(value_name = "STEP")]
    pub(crate) step: String,
    /// The option: its name or its number
    #[arg(value_name = "OPTION")]
    pub(crate) option: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerOptions {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step
    #[arg(value_name = "STEP", value_parser = step_id)]
    pub(crate) step: StepId,
    /// The word, as it would be typed at the prompt
    #[arg(value_name = "WORD")]
    pub(crate) word: String,
    /// Another value for the step's environment, with `retry` (repeatable)
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) env: Vec<(String, String)>,
    /// A value that the step would have given, with `done` (repeatable)
    #[arg(long = "output", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) outputs: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What is said, before it is known to which question.
struct Said {
    /// The word; empty where items are only ticked.
    word: String,
    /// Items to tick.
    items: Vec<u32>,
    /// Tick all the rest.
    all: bool,
    /// Notes, links and files.
    evidence: Vec<Evidence>,
    /// Files to be kept as evidence.
    attachments: Vec<PathBuf>,
    /// Values for later steps.
    outputs: Vec<(String, String)>,
    /// Other values for the step's environment.
    env: Vec<(String, String)>,
    common: Common,
}

impl Said {
    fn word(word: &str, common: Common) -> Self {
        Self {
            word: word.to_owned(),
            items: Vec::new(),
            all: false,
            evidence: Vec::new(),
            attachments: Vec::new(),
            outputs: Vec::new(),
            env: Vec::new(),
            common,
        }
    }
}

/// Executes `approve`; the exit status.
pub(crate) fn approve(context: &Context, options: ApproveOptions) -> Result<u8, CommandError> {
    give(context, &options.question, Some(Gate::Approve), Said::word("approve", options.common))
}

/// Executes `reject`; the exit status.
pub(crate) fn reject(context: &Context, options: RejectOptions) -> Result<u8, CommandError> {
    give(context, &options.question, Some(Gate::Approve), Said::word("reject", options.common))
}

/// Executes `done`; the exit status.
pub(crate) fn done(context: &Context, options: DoneOptions) -> Result<u8, CommandError> {
    let word = match (options.failed, options.all || options.items.is_empty()) {
        (true, _) => "failed",
        (false, true) => "done",
        (false, false) => "",
    };
    let notes = options.notes.into_iter().map(|text| Evidence::Note { text });
    let links = options.links.into_iter().map(|url| Evidence::Link { url });
    let said = Said {
        items: options.items,
        all: options.all,
        evidence: notes.chain(links).collect(),
        attachments: options.attachments.iter().map(|path| context.environment.typed(path)).collect(),
        ..Said::word(word, options.common)
    };
    give(context, &options.question, Some(Gate::Manual), said)
}

/// Executes `choose`; the exit status.
pub(crate) fn choose(context: &Context, options: ChooseOptions) -> Result<u8, CommandError> {
    let (step, option) = match options.option {
        Some(option) => (Some(step_id(&options.step).map_err(CommandError::usage)?), option),
        None => (None, options.step),
    };
    let question = Question { run: options.run, step };
    give(context, &question, Some(Gate::Choose), Said::word(&option, options.common))
}

/// Executes `answer`; the exit status.
pub(crate) fn answer(context: &Context, options: AnswerOptions) -> Result<u8, CommandError> {
    let question = Question { run: options.run, step: Some(options.step) };
    let said =
        Said { outputs: options.outputs, env: options.env, ..Said::word(&options.word, options.common) };
    give(context, &question, None, said)
}

/// Gives an answer to a question of a run, whoever holds the run.
fn give(context: &Context, question: &Question, kind: Option<Gate>, said: Said) -> Result<u8, CommandError> {
    let sign = said.common.sign.clone();
    let goes_on = said.common.resume;
    // Before anything else: it must be small and alone.
    let helper = if goes_on { Some(drive::helper()?) } else { None };
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &question.run)?)?;
    context.refuse_from_inside(dir.run())?;
    let opened = run::open(&dir)?;
    let step = match &question.step {
        Some(step) => step.clone(),
        None => only_open(&opened, kind, &said.word)?,
    };
    is_of_kind(&opened, &step, kind)?;
    let mut answer = to_answer(&dir, &opened, &step, said)?;
    AtHand::of(&opened, &run::outside()).answer(&mut answer)?;
    let mut written = AnswerFile {
        run: dir.run().clone(),
        step: answer.step.clone(),
        nonce: answer.nonce.clone().unwrap_or_default(),
        digest: answer.digest.clone().unwrap_or_default(),
        word: answer.word.clone(),
        reason: answer.reason.clone(),
        fields: answer.fields.clone(),
        items: answer.items.clone(),
        env: answer.env.clone(),
        outputs: answer.outputs.clone(),
        evidence: answer.evidence.clone(),
        via: Via::Command,
        at: run::now(),
        pid: std::process::id(),
        signature: None,
    };
    if let Some(key) = sign {
        signed(context, &opened, &mut written, &mut answer, key)?;
    }
    // What can be seen to be wrong leaves no trace.
    if let Some(refusal) = obvious_refusal(&opened, &answer) {
        return Err(refusal.into());
    }
    let request = Request::Answer(written);
    let mut ended = None;
    let delivered = deliver(&dir, &request, |file| {
        let answer = Answer { file: Some(file.as_str().to_owned()), ..answer.clone() };
        let noted = run::note_answer(&store, &dir, &answer)?;
        if context.global.format == Format::Json && !goes_on {
            for record in &noted.recorded {
                context.console.print(&format!("{}\n", record.line));
            }
        }
        ended = noted.state.outcome;
        Ok(match noted.refusal {
            None => Delivered::Taken { live: None },
            Some(refusal) if refusal.kind == RefusalKind::Unchanged => Delivered::Unchanged(refusal.message),
            Some(refusal) => Delivered::Refused(refusal.into()),
        })
    })?;
    let live = match delivered {
        Delivered::Taken { live: Some(file) } => {
            if context.global.format == Format::Json {
                print_event(context, &dir, &file)?;
            }
            true
        }
        Delivered::Taken { live: None } => false,
        Delivered::Unchanged(message) => {
            context.console.say(&format!("{}\n", harmless(&message)));
            let live = lock::is_held(&dir)?.is_some();
            if !goes_on || live {
                return Ok(exit_code::SUCCEEDED);
            }
            live
        }
        Delivered::Refused(error) => return Err(error),
    };
    match helper {
        Some(helper) if !live && ended.is_none() => go_on(context, helper, &dir, &question.run),
        _ => {
            if context.global.format != Format::Json && !context.console.quiet {
                context.console.print(&receipt(context, question, &answer, live, ended));
            }
            Ok(ended.filter(|_| goes_on).map_or(exit_code::SUCCEEDED, of_outcome))
        }
    }
}

/// The line of the journal that took an answer, as the process that holds the run has written it.
fn print_event(context: &Context, dir: &RunDir, file: &FileName) -> Result<(), CommandError> {
    let taken = event_of(dir, file)?.map(|event| event.seq);
    let replay = run::open(dir)?.replay;
    if let Some(event) = replay.events.iter().find(|event| Some(event.seq) == taken) {
        context.console.print(&format!("{}\n", event.line()));
    }
    Ok(())
}

/// Goes on with the run (`--resume`).
fn go_on(context: &Context, helper: Arc<Helper>, dir: &RunDir, named: &str) -> Result<u8, CommandError> {
    let request = ResumeRequest {
        by: current_user(),
        attended: drive::is_attended(context),
        ..ResumeRequest::default()
    };
    drive::resume(context, helper, dir, named, &request, drive::Taking::default())
}

/// The exit status of a run that was ended by the answer (`--resume`).
fn of_outcome(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Succeeded => exit_code::SUCCEEDED,
        RunOutcome::Rejected => exit_code::REJECTED,
        RunOutcome::Failed | RunOutcome::Cancelled => exit_code::FAILED,
    }
}

/// Signs an answer, and sees whose signature that is as everybody else will.
fn signed(
    context: &Context,
    opened: &Opened,
    written: &mut AnswerFile,
    answer: &mut Answer,
    key: Option<PathBuf>,
) -> Result<(), CommandError> {
    let people = &opened.state.plan.people;
    let key = key.map(|key| context.environment.typed(&key));
    let said = |error: &SignatureError| match error {
        SignatureError::Unknown => CommandError::refused(error.to_string()),
        _ => CommandError::usage(error.to_string()),
    };
    let home = context.environment.home.as_deref();
    let signature = signature::sign(written, key.as_deref(), people, home).map_err(|error| said(&error))?;
    answer.by = signature::signer(written, &signature, people).map_err(|error| said(&error))?;
    answer.identity = Identity::Signed;
    written.signature = Some(signature);
    Ok(())
}

/// Each kind of question has its command: an approval isn't given by `choose`, whatever the option is called.
fn is_of_kind(opened: &Opened, step: &StepId, kind: Option<Gate>) -> Result<(), CommandError> {
    let open = opened.state.index_of(step).and_then(|index| opened.state.gates.get(&index));
    match (open, kind) {
        (Some(open), Some(kind)) if open.gate != kind => Err(CommandError::usage(format!(
            "the question of `{step}` is of another kind: {}",
            match open.gate {
                Gate::Approve => "use approve or reject".to_owned(),
                Gate::Manual => "use done".to_owned(),
                Gate::Choose => "use choose".to_owned(),
                _ => format!("use answer with {}", open.words.join(", ")),
            }
        ))),
        _ => Ok(()),
    }
}

/// The only open question of this kind.
fn only_open(opened: &Opened, kind: Option<Gate>, word: &str) -> Result<StepId, CommandError> {
    let open: Vec<&StepId> = opened
        .state
        .gates
        .iter()
        .filter(|(_, gate)| kind.is_none_or(|kind| gate.gate == kind))
        .map(|(step, _)| &opened.state.plan.steps[*step].id)
        .collect();
    let what = match kind {
        Some(Gate::Manual) => "manual step",
        Some(Gate::Choose) => "choice",
        _ => "approval",
    };
    match open.as_slice() {
        [step] => Ok((*step).clone()),
        [] => {
            Err(CommandError::refused(format!("no {what} of run {} waits for an answer", opened.dir.run()))
                .with_hint(format!("runbook status {}", opened.dir.run())))
        }
        several => {
            let steps: Vec<&str> = several.iter().map(|step| step.as_str()).collect();
            let word = if word == "reject" {
                "reject"
            } else if kind == Some(Gate::Manual) {
                "done"
            } else if kind == Some(Gate::Choose) {
                "choose"
            } else {
                "approve"
            };
            let mut error = CommandError::usage(format!(
                "{} wait for an answer: say which one: {}",
                count(several.len(), what),
                steps.join(", ")
            ));
            for step in steps {
                let option = if kind == Some(Gate::Choose) { " OPTION" } else { "" };
                let step = quote_for_display(step);
                error = error.with_hint(format!("runbook {word} {} {step}{option}", opened.dir.run()));
            }
            Err(error)
        }
    }
}

/// The answer to the question as it is open now; without one, the run says why it isn't.
fn to_answer(dir: &RunDir, opened: &Opened, step: &StepId, said: Said) -> Result<Answer, CommandError> {
    let gate = opened.state.asked_about(step).and_then(|index| opened.state.gates.get(&index));
    let mut items = said.items;
    if let Some(gate) = gate.filter(|_| said.all) {
        items.extend((1u32..).take(gate.checklist.len()).filter(|item| !gate.ticked.contains_key(item)));
        items.sort_unstable();
        items.dedup();
    }
    let mut evidence = said.evidence;
    for path in &said.attachments {
        evidence.push(attach(dir, path).map_err(|error| {
            let message = format!("{} can't be attached", path.display());
            match error {
                AttachError::Source(error) => CommandError::usage(message).with_cause(&error),
                AttachError::Store(error) => CommandError::from(error),
            }
        })?);
    }
    Ok(Answer {
        step: step.clone(),
        nonce: gate.map(|gate| gate.nonce.clone()),
        digest: gate.map(|gate| gate.digest.clone()),
        word: said.word,
        by: current_user(),
        via: Via::Command,
        identity: Identity::User,
        reason: said.common.reason.filter(|reason| !reason.trim().is_empty()),
        fields: said.common.fields.into_iter().map(|(name, value)| (name, value.into())).collect(),
        items,
        all_items: said.all,
        evidence,
        outputs: said.outputs.into_iter().map(|(name, value)| (name, value.into())).collect(),
        env: said.env.into_iter().collect(),
        file: None,
    })
}

/// Why an answer can't be taken, as far as the journal tells. What fell due meanwhile is for whoever records.
fn obvious_refusal(opened: &Opened, answer: &Answer) -> Option<Refusal> {
    let texts = run::texts_of(&opened.dir, &opened.state);
    let survivors = std::collections::BTreeMap::new();
    let circumstances = Circumstances {
        // An expired question is closed by recording that, so it isn't obvious here.
        now: Moment::default(),
        attendance: Attendance::Nobody,
        terminal: Terminal::Absent,
        boot: "",
        max_parallel: None,
        survivors: &survivors,
        locks: &std::collections::BTreeMap::new(),
        renderer: &texts,
    };
    let (_, verdict) = record_answer(&mut opened.state.clone(), answer, &circumstances).ok()?;
    verdict.err().filter(|refusal| refusal.kind != RefusalKind::Unchanged)
}

/// What was recorded, and what to do next.
fn receipt(
    context: &Context,
    question: &Question,
    answer: &Answer,
    live: bool,
    ended: Option<RunOutcome>,
) -> String {
    let signs = Signs::new(context.console.plain);
    let what = if answer.word.is_empty() {
        let items: Vec<String> = answer.items.iter().map(u32::to_string).collect();
        format!("{} ticked {} of {}", harmless(&answer.by), items.join(", "), answer.step)
    } else {
        format!("{} said {} to {}", harmless(&answer.by), harmless(&answer.word), answer.step)
    };
    let mut text = format!("{} recorded: {what}\n", styled(GOOD, signs.good));
    let paste = Paste::new(context, question.run.as_str());
    match (live, ended) {
        (true, _) => text.push_str("  The process that holds the run goes on with it.\n"),
        (false, Some(outcome)) => {
            text.push_str(&format!("  Nothing was left to run: the run is over, {outcome}.\n"));
            text.push_str(&format!("  {} {}\n", signs.next, paste.command("status", &[])));
        }
        (false, None) => text.push_str(&format!("  {} {}\n", signs.next, paste.command("resume", &[]))),
    }
    text
}
