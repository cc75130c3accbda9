//! A plan as people are shown it before anything runs: each step in one line's worth, what is not known yet as `‹steps.x.outputs.y›`.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::layout::Layout;
use super::model::{Action, Check, Command, OnFailure, OnInterrupt, Plan, Probe, Retry, Step, Undo};
use super::people::Escalation;
use super::project_value;
use super::question::{EvidenceRule, Options, Question};
use super::sends;
use super::structure::{Batch, Binding, Each, Items};
use crate::duration::Duration;
use crate::id::StepId;
use crate::render::{dialect_of, is_plain, secret_mask, shown_leaf, shown_probe};
use crate::template::{
    Context, Expression, Reference, ShellScript, Template, Value, display_argv, has_pipe, value_from_json,
};

/// One step of a plan as people are shown it; an entry of `steps` in `plan --format json` (cli.md).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanLine {
    /// The step.
    pub id: StepId,
    /// What it is called, rendered as far as it is known; absent where it is the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The steps that must have passed. Of a step that waits for all above it: those that no other of them needs.
    pub needs: Vec<StepId>,
    /// The key of its action: `run`, `check`, `approve`, `http` and the like.
    pub kind: &'static str,
    /// The command or probe, with the values that are known in place.
    pub command: Option<String>,
    /// What the command reads: its standard input, with the values that are known in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// What a request sends, with the values that are known in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What undoes it, with the values that are known in place: a command, or what a person is asked to do.
    pub undo: Option<String>,
    /// The group or call that it belongs to.
    pub group: Option<String>,
    /// What it, or a group around it, runs for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Whether it stands under `finally`.
    pub finally: bool,
    /// Whether it stands under the `finally` of a called runbook: it runs when that runbook's steps are over, whatever happened.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cleanup: bool,
    /// Until what a group runs again, and how often at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    /// Approvals above it that it does not wait for: it may run before they are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_behind: Vec<StepId>,
    /// The shell of a script with pipes in it; empty: the usual one. Whether failures in them are seen depends on where it runs.
    #[serde(skip)]
    pub piped_in: Option<Vec<String>>,
    /// What may go wrong unseen: nothing, until who knows the machine says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why tags leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// The times in which it may start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The lock that it runs under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// The steps of the runbook that its undo calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undo_steps: Vec<Self>,
    /// Whether its undo runs also where it failed or was interrupted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undo_always: bool,
    /// The check that can skip it as already done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_when: Option<String>,
    /// The expression that can skip it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What must be true of the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// What is reported where it isn't true, and fails nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warn: Vec<String>,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What is shown with the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// What is to be ticked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<String>,
    /// Whether a note, link or file comes with the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRule>,
    /// How long the gate stays open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Duration>,
    /// Who may answer; empty: anyone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// How many distinct people must approve, of an approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// Whether only signed answers count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
    /// What is asked for beside the word, and of which type it is.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub fields: IndexMap<String, String>,
    /// The options of a choice with what they mean, or the expression that gives them.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<String, String>,
    /// The expression that gives the options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options_from: Option<String>,
    /// The question that is put before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// How long it should take at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Who is told while it, or its question, isn't over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
    /// Its own environment variables, over the runbook's; secrets by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// The working folder, where it is not the project's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Whether the command gets a terminal of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interactive: bool,
    /// What the command in the background must reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// How long it is probed until it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// How long it must go on holding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// What bounds an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How failed attempts are repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What a failure does to the run.
    pub on_failure: OnFailure,
    /// What `resume` does where it isn't known how the step ended.
    pub on_interrupt: OnInterrupt,
    /// The files that are part of what is approved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// The files that are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// A plan as people are shown it.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The lock of the whole run.
    pub lock: Option<String>,
    /// The window of the whole run.
    pub window: Option<String>,
    /// Every step, in the plan's order; groups and calls appear as the steps in them (`cli.md`).
    pub steps: Vec<PlanLine>,
    /// What holds for each group or call as a whole: its condition, question, lock, window, undo and the like, in the plan's order.
    pub groups: Vec<PlanLine>,
}

/// Describes a plan.
#[must_use]
pub fn describe(plan: &Plan) -> Description {
    let layout = Layout::of(plan);
    let mut before = Before::new(&layout.plan);
    let mut not_behind = layout.approvals_not_awaited();
    let mut lines: Vec<(usize, PlanLine)> = Vec::new();
    let mut in_undo: BTreeMap<usize, Vec<PlanLine>> = BTreeMap::new();
    for (index, step) in layout.plan.steps.iter().enumerate() {
        let undone = layout.plan.undone_by(index);
        // What is around the steps of an undo is shown by them.
        if step.waits_for_unwinding() || (step.is_container() && undone.is_some()) {
            continue;
        }
        let mut line = before.line(step, std::mem::take(&mut not_behind[index]));
        line.needs = layout.needs(index);
        line.group = step.group.map(|group| layout.plan.steps[group].id.to_string());
        line.for_each = if step.is_container() {
            layout.items[index].as_ref().map(items_shown)
        } else {
            let around = std::iter::once(index).chain(layout.plan.containers_of(index));
            around.filter_map(|index| layout.items[index].as_ref()).map(items_shown).next()
        };
        if let (Action::Call(call), Some(lock)) = (&step.action, &step.guards.lock)
            && call.has_own_lock
        {
            let context = before.context_of(Some(index), &IndexMap::new()).0;
            line.lock = Some(before.text(&lock.name, &context));
        }
        match undone {
            Some(undone) => in_undo.entry(undone).or_default().push(line),
            None => lines.push((index, line)),
        }
    }
    let (mut steps, mut groups) = (Vec::new(), Vec::new());
    for (index, mut line) in lines {
        line.undo_steps = in_undo.remove(&index).unwrap_or_default();
        if layout.plan.steps[index].is_container() {
            // Which approvals are not waited for is said of the steps.
            line.not_behind.clear();
            groups.push(line);
        } else {
            steps.push(line);
        }
    }
    let context = before.context_of(None, &IndexMap::new()).0;
    let lock = plan.guards.lock.as_ref().map(|lock| before.text(&lock.name, &context));
    Description { lock, window: plan.guards.window.as_ref().map(ToString::to_string), steps, groups }
}

/// Whether a script of the step has pipes in it.
fn has_pipes(step: &Step) -> bool {
    let of_check = |check: &Check| match &check.probe {
        Probe::Run(Command::Script(script)) => has_pipe(script),
        _ => false,
    };
    let of_action = |action: &Action| match action {
        Action::Run(run) => {
            let script = matches!(&run.command, Command::Script(script) if has_pipe(script));
            script || run.background.as_ref().is_some_and(of_check)
        }
        Action::Check(check) => of_check(check),
        _ => false,
    };
    of_action(&step.action) || step.undo.as_ref().is_some_and(|undo| of_action(&undo.action))
}

/// The fields of a question, each with what may be given.
fn fields_shown(question: &Question) -> IndexMap<String, String> {
    let shown = question.fields.iter().map(|(name, spec)| {
        let kind = serde_json::to_value(spec.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("string").to_owned();
        (name.clone(), kind)
    });
    shown.collect()
}

/// The items of a step in one line.
fn items_shown(each: &Each) -> String {
    let mut text = match &each.items {
        Items::List(list) => serde_json::to_string(list).unwrap_or_default(),
        Items::Expression(source) => source.clone(),
    };
    if each.max_parallel > 1 {
        text.push_str(&format!(", {} at a time", each.max_parallel));
    }
    if !each.batches.is_empty() {
        let waves = each.batches.iter().map(|batch| match batch {
            Batch::Count(count) => count.to_string(),
            Batch::Percent(percent) => format!("{percent}%"),
        });
        text.push_str(&format!(", in waves up to {}", waves.collect::<Vec<_>>().join(", ")));
    }
    if each.max_failures > 0 {
        text.push_str(&format!(", {} may fail", each.max_failures));
    }
    text
}

/// The texts of a plan before there is a run.
///
/// An expression that uses what only the run will know is replaced by a mark, which stands for it until the text is complete: so it is
/// neither quoted nor computed with.
struct Before<'p> {
    plan: &'p Plan,
    /// What marks begin with; nothing in the plan reads like it.
    mark: String,
    /// What the marks stand for, as `steps.x.outputs.y`.
    unknown: IndexSet<String>,
}

impl<'p> Before<'p> {
    fn new(plan: &'p Plan) -> Self {
        let text = serde_json::to_string(plan).unwrap_or_default();
        let mut mark = "unknown".to_owned();
        while text.contains(&mark) {
            mark.push('x');
        }
        Self { plan, mark, unknown: IndexSet::new() }
    }

    fn line(&mut self, step: &Step, not_behind: Vec<StepId>) -> PlanLine {
        self.unknown.clear();
        let plan = self.plan;
        let (context, environment) = self.context(step);
        let question = step.action.question().map(|(_, question)| question);
        let check = match &step.action {
            Action::Check(check) => Some(check),
            _ => None,
        };
        let ready = match &step.action {
            Action::Run(run) => run.background.as_ref(),
            _ => None,
        };
        let expect = match &step.action {
            Action::Run(run) => &run.expect[..],
            Action::Check(check) => &check.expect[..],
            Action::Http(http) => &http.expect[..],
            _ => &[],
        };
        let command = match &step.action {
            Action::Run(run) => Some(self.command(&run.command, step, &context)),
            Action::Check(check) => Some(self.probe(check, step, &context)),
            other => shown_leaf(other, &mut |text| Ok(self.marked(text, &context)))
                .and_then(Result::ok)
                .map(|shown| self.complete(&shown)),
        };
        PlanLine {
            id: step.id.clone(),
            title: step.title.as_deref().map(|title| self.text(title, &context)),
            needs: step.needs.iter().map(|need| plan.steps[*need].id.clone()).collect(),
            kind: step.action.kind(),
            command,
            stdin: sends::read_by(&step.action, &mut |text| self.text(text, &context)),
            body: sends::sent_by(&step.action, &mut |text| self.text(text, &context)),
            undo: step.undo.as_ref().map(|undo| self.undo(undo, step)),
            group: None,
            for_each: None,
            finally: step.finally,
            cleanup: step.cleanup,
            repeat: match &step.action {
                Action::Steps(group) => group
                    .repeat
                    .as_ref()
                    .map(|repeat| format!("{}, in at most {} rounds", repeat.until, repeat.times)),
                _ => None,
            },
            not_behind,
            piped_in: has_pipes(step).then(|| step.shell.clone()),
            warnings: Vec::new(),
            left_out: step.guards.left_out.clone(),
            window: step.guards.window.as_ref().map(ToString::to_string),
            lock: step.guards.lock.as_ref().map(|lock| self.text(&lock.name, &context)),
            undo_steps: Vec::new(),
            undo_always: step.undo.as_ref().is_some_and(|undo| undo.always),
            done_when: step.done_when.as_ref().map(|check| self.probe(check, step, &context)),
            when: step.when.clone(),
            expect: expect.to_vec(),
            warn: check.map(|check| check.warn.clone()).unwrap_or_default(),
            prompt: question.map(|question| self.text(&question.prompt, &context)),
            details: question
                .and_then(|question| question.details.as_deref())
                .map(|text| self.text(text, &context)),
            checklist: question
                .map(|question| question.checklist.iter().map(|item| self.text(item, &context)).collect())
                .unwrap_or_default(),
            evidence: question.map(|question| question.evidence).filter(|rule| *rule != EvidenceRule::None),
            expires: question.and_then(|question| question.expires),
            from: question.map(|question| question.from.clone()).unwrap_or_default(),
            quorum: question
                .filter(|_| matches!(step.action, Action::Approve(_)))
                .map(|question| question.quorum.max(1)),
            signed: question.is_some_and(|question| question.signed),
            fields: question.map(fields_shown).unwrap_or_default(),
            options: match question.and_then(|question| question.options.as_ref()) {
                Some(Options::Named(options)) => options
                    .iter()
                    .map(|(name, meaning)| (self.text(name, &context), self.text(meaning, &context)))
                    .collect(),
                Some(Options::Expression(_)) | None => IndexMap::new(),
            },
            options_from: match question.and_then(|question| question.options.as_ref()) {
                Some(Options::Expression(source)) => Some(source.clone()),
                Some(Options::Named(_)) | None => None,
            },
            ask: step.ask.as_deref().map(|ask| self.text(&ask.prompt, &context)),
            deadline: step.deadline,
            escalate: {
                let questions = question.into_iter().chain(step.ask.as_deref());
                let of_questions = questions.flat_map(|question| &question.escalate);
                step.escalate.iter().chain(of_questions).cloned().collect()
            },
            env: step
                .env
                .keys()
                .filter_map(|name| Some((name.clone(), self.complete(environment.get(name)?))))
                .collect(),
            cwd: step.cwd.as_deref().map(|cwd| self.text(cwd, &context)),
            interactive: step.action.is_interactive(),
            ready: ready.map(|ready| self.probe(ready, step, &context)),
            within: check.or(ready).and_then(|check| check.within),
            hold: check.or(ready).and_then(|check| check.hold),
            timeout: step.timeout,
            retry: step.retry.clone(),
            on_failure: if step.on_failure == OnFailure::Unsaid { OnFailure::Stop } else { step.on_failure },
            on_interrupt: step.on_interrupt,
            inputs: step.inputs.globs.clone(),
            artifacts: step.artifacts.iter().map(|glob| self.text(glob, &context)).collect(),
        }
    }

    /// What undoes a step, in a few words.
    fn undo(&mut self, undo: &Undo, step: &Step) -> String {
        let own = Step {
            env: step.env.iter().chain(&undo.env).map(|(n, v)| (n.clone(), v.clone())).collect(),
            ..step.clone()
        };
        let (context, _) = self.context(&own);
        match &undo.action {
            Action::Run(run) => self.command(&run.command, &own, &context),
            Action::Check(check) => self.probe(check, &own, &context),
            Action::Approve(question) | Action::Manual(question) => self.text(&question.prompt, &context),
            other => match undo.steps.first().map(|first| &first.action) {
                Some(Action::Call(call)) => format!("call {}", call.runbook),
                _ => other.kind().to_owned(),
            },
        }
    }

    /// What is known, and the environment of a step with marks for what isn't.
    fn context(&mut self, step: &Step) -> (Context, IndexMap<String, String>) {
        self.context_of(step.group, &step.env)
    }

    /// What is known inside a group or call, with more variables.
    fn context_of(
        &mut self,
        group: Option<usize>,
        env: &IndexMap<String, String>,
    ) -> (Context, IndexMap<String, String>) {
        let plan = self.plan;
        let mut context = Context::new();
        let called = plan.call_of(group);
        let mut environment = match called {
            None => {
                context.set_names(
                    "params",
                    plan.params.iter().map(|(name, value)| (name.as_str(), value_from_json(value))),
                );
                context.set_names(
                    "secrets",
                    plan.secrets.keys().map(|name| (name.as_str(), Value::from(secret_mask(name)))),
                );
                IndexMap::new()
            }
            Some((index, call)) => {
                let step = &plan.steps[index];
                let (outer, environment) = self.context_of(step.group, &step.env);
                let mut params = Vec::new();
                for (name, binding) in &call.params {
                    let value = match binding {
                        Binding::Value(value) => value_from_json(value),
                        Binding::Text(text, _) => Value::from(self.marked(text, &outer)),
                    };
                    params.push((name.as_str(), value));
                }
                context.set_names("params", params);
                context.set_names(
                    "secrets",
                    call.secrets.iter().map(|(name, of)| (name.as_str(), Value::from(secret_mask(of)))),
                );
                environment
            }
        };
        context.set_names("run", [("name", Value::from(plan.runbook.as_str()))]);
        context.set("project", project_value(&plan.project_vars));
        let declared = called.map_or(&plan.env, |(_, call)| &call.env);
        for (name, text) in declared.iter().chain(env) {
            let value = self.marked(text, &context);
            environment.insert(name.clone(), value);
            context.set_names(
                "env",
                environment.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))),
            );
        }
        (context, environment)
    }

    fn command(&mut self, command: &Command, step: &Step, context: &Context) -> String {
        match command {
            Command::Argv(argv) => {
                let argv: Vec<String> = argv.iter().map(|argument| self.marked(argument, context)).collect();
                self.complete(&display_argv(&argv))
            }
            Command::Script(script) => {
                let shown = self.script(script, step, context).unwrap_or_else(|| script.clone());
                self.complete(shown.trim_end())
            }
        }
    }

    /// A script with its values quoted for their places; `None` where a known value can't be put in.
    fn script(&mut self, script: &str, step: &Step, context: &Context) -> Option<String> {
        if !script.contains("{{") {
            return Some(script.to_owned());
        }
        let template = self.with_marks(script)?;
        let plain = |reference: &Reference| is_plain(self.plan, step.group, reference);
        let compiled = ShellScript::compile(&template, dialect_of(&step.shell), &plain).ok()?;
        compiled.render(context).ok().map(|rendered| rendered.display)
    }

    fn probe(&mut self, check: &Check, step: &Step, context: &Context) -> String {
        if let Probe::Run(command) = &check.probe {
            return self.command(command, step, context);
        }
        let shown = shown_probe(&check.probe, &mut |text| Ok(self.marked(text, context)));
        self.complete(&shown.and_then(Result::ok).unwrap_or_default())
    }

    /// A text with `‹…›` for what isn't known.
    fn text(&mut self, text: &str, context: &Context) -> String {
        let marked = self.marked(text, context);
        self.complete(&marked)
    }

    /// A text with marks for what isn't known; as it is written where a known value has no text.
    fn marked(&mut self, text: &str, context: &Context) -> String {
        if !text.contains("{{") {
            return text.to_owned();
        }
        let rendered = self.with_marks(text).and_then(|template| template.render(context).ok());
        rendered.unwrap_or_else(|| text.to_owned())
    }

    /// The template in which marks stand for what isn't known.
    fn with_marks(&mut self, text: &str) -> Option<Template> {
        let template = Template::parse(text).ok()?;
        let mut marked = String::with_capacity(text.len());
        let mut copied = 0;
        for (start, expression) in template.expressions() {
            if expression.references().iter().all(is_known) {
                continue;
            }
            let (number, _) = self.unknown.insert_full(shown(expression));
            marked.push_str(text.get(copied..start)?);
            for part in [" \"", &self.mark, "-", &number.to_string(), "-\" "] {
                marked.push_str(part);
            }
            copied = start + expression.source().len();
        }
        marked.push_str(text.get(copied..)?);
        Template::parse(&marked).ok()
    }

    /// Puts what marks stand for in their places.
    fn complete(&self, text: &str) -> String {
        if !text.contains(&self.mark) {
            return text.to_owned();
        }
        self.unknown.iter().enumerate().fold(text.to_owned(), |text, (number, shown)| {
            text.replace(&format!("{}-{number}-", self.mark), &format!("‹{shown}›"))
        })
    }
}

/// Whether a name has its value before the run.
fn is_known(reference: &Reference) -> bool {
    match reference.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", "name"] => true,
        ["run" | "steps" | "item" | "index", ..] => false,
        _ => true,
    }
}

/// An expression as it is shown where its value isn't known.
pub(crate) fn shown(expression: &Expression) -> String {
    let source = expression.source().split_whitespace().collect::<Vec<_>>().join(" ");
    match expression.references() {
        [reference]
            if expression.source().get(reference.range.clone()) == Some(expression.source().trim()) =>
        {
            reference.dotted()
        }
        _ => source,
    }
}
