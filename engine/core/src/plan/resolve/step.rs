//! One step: its common keys, with `defaults` where it says nothing.

use indexmap::IndexMap;

use super::environment;
use crate::diagnostic::Diagnostics;
use crate::document::model::{self as document, Action, Probe, Runbook, Step};
use crate::document::text::{Map, Text};
use crate::duration::Duration;
use crate::id::StepId;
use crate::plan::Channel;
use crate::plan::check::Checker;
use crate::plan::input::{Calls, InputFiles, ProjectInput};
use crate::plan::model::{Inputs, OnFailure, OnInterrupt, Plan, Retry, Role, SecretSource, Step as Resolved};
use crate::plan::names::{
    COMMAND_NAMES, Environment, HTTP_ANSWER_NAMES, Place, RUN_AT_THE_TOP, Reach, probe_names,
};
use crate::plan::selection::Selection;
use crate::template::{Context, Scope, SecretUse, Template, Value, value_from_json};

/// Between SIGTERM and SIGKILL where nothing is said (language.md §3).
const GRACE: Duration = Duration::from_secs(10);
/// How much of an attempt's output is kept where nothing is said.
const LOG_LIMIT: u64 = 64 << 20;
/// How long one probe over the network may take where nothing is said.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a message may take where nothing is said: who is told must not hold up the run for ever.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(30);

/// Resolves the steps of one runbook, and checks all its texts.
pub(in crate::plan) struct Resolver<'d> {
    pub(in crate::plan) checker: Checker<'d>,
    /// What is known before the steps are: parameters above all.
    pub(in crate::plan) plan: Plan,
    /// The project's variables.
    pub(in crate::plan) vars: IndexMap<String, serde_json::Value>,
    /// `--on-failure`.
    pub(in crate::plan) on_failure: Option<OnFailure>,
    /// Absent where only mistakes are looked for.
    pub(in crate::plan) files: Option<&'d dyn InputFiles>,
    /// What runbooks share: calendars above all.
    pub(in crate::plan) project: Option<ProjectInput<'d>>,
    /// `--tags`, `--skip-tags`.
    pub(in crate::plan) selection: Selection,
    /// The runbooks that steps call.
    pub(super) calls: &'d dyn Calls,
    /// The top's variables, and those with `defaults` and of the groups around.
    pub(super) env: Environment,
    pub(super) default_env: Environment,
    /// What the groups around say.
    pub(super) inherited: Inherited<'d>,
    /// What the ids of the list in hand begin with.
    pub(super) prefix: String,
    /// Whether the list in hand is that of a called runbook itself.
    pub(super) in_call: bool,
    /// Whether it stands under the run's `finally`.
    pub(super) finally: bool,
    /// Whether a step around it has items.
    pub(super) has_item: bool,
    /// The runbooks that call each other down to the list in hand: files and names.
    pub(in crate::plan) stack: Vec<(String, String)>,
    /// Where each secret of all runbooks is read from.
    pub(in crate::plan) secrets: IndexMap<String, SecretSource>,
    /// The project's channels that are used, of called runbooks too.
    pub(in crate::plan) channels: IndexMap<String, Channel>,
    /// What called runbooks let in from outside.
    pub(in crate::plan) pass_env: Vec<String>,
    /// Mistakes in called runbooks.
    pub(in crate::plan) foreign: Diagnostics,
}

/// What groups say for the steps in them.
#[derive(Clone, Default)]
pub(super) struct Inherited<'d> {
    pub(super) env: IndexMap<String, Text>,
    pub(super) cwd: Option<Text>,
    pub(super) shell: Option<&'d document::Shell>,
    pub(super) tags: Vec<String>,
}

impl<'d> Resolver<'d> {
    pub(in crate::plan) fn new(
        checker: Checker<'d>,
        plan: Plan,
        vars: IndexMap<String, serde_json::Value>,
        on_failure: Option<OnFailure>,
        files: Option<&'d dyn InputFiles>,
        calls: &'d dyn Calls,
    ) -> Self {
        Self {
            checker,
            secrets: plan.secrets.clone(),
            channels: IndexMap::new(),
            plan,
            vars,
            on_failure,
            files,
            calls,
            project: None,
            selection: Selection::default(),
            env: Environment::empty(),
            default_env: Environment::empty(),
            inherited: Inherited::default(),
            prefix: String::new(),
            in_call: false,
            finally: false,
            has_item: false,
            stack: Vec::new(),
            pass_env: Vec::new(),
            foreign: Diagnostics::new(),
        }
    }

    /// What bounds an attempt where nothing is said.
    pub(super) fn default_timeout(&self) -> Option<Duration> {
        self.runbook().defaults.timeout
    }

    fn runbook(&self) -> &'d Runbook {
        self.checker.declared.runbook
    }

    /// Everything at the top that isn't a step.
    pub(in crate::plan) fn top(&mut self) {
        let runbook = self.runbook();
        let nothing = Environment::empty();
        let place = Place {
            reach: Reach::Nothing,
            secrets: SecretUse::Refused,
            env: &nothing,
            run: RUN_AT_THE_TOP,
            bare: &[],
            item: false,
        };
        environment::check(&mut self.checker, &runbook.env, place);
        self.env = environment::environment(&entries(&runbook.env), &nothing);
        self.plan.env = texts(&runbook.env);
        self.title(runbook, place);
        let env = self.env.clone();
        let guarded = Place { env: &env, ..place };
        self.plan.guards = self.guards(runbook.window.as_ref(), runbook.lock.as_ref(), guarded);
        self.defaults(runbook);
        let env = self.env.clone();
        let place = Place { reach: Reach::Everything, env: &env, run: Scope::RUN_NAMES, ..place };
        for (name, expression) in runbook.outputs.iter() {
            self.checker.expression(expression, place);
            self.plan.outputs.insert(name.to_string(), expression.to_string());
        }
    }

    /// The title is shown before there is a run, so it is rendered now.
    fn title(&mut self, runbook: &Runbook, place: Place<'_>) {
        let Some(title) = &runbook.title else { return };
        self.plan.title = title.to_string();
        let Some(template) = self.checker.text(title, Place { run: &["name"], ..place }) else { return };
        if self.files.is_none() || self.checker.report.has_errors() {
            return;
        }
        match template.render(&self.known()) {
            Ok(text) => self.plan.title = text,
            Err(error) => self.checker.report.at(title, error.range, error.code, error.message, error.help),
        }
    }

    fn defaults(&mut self, runbook: &Runbook) {
        let defaults = &runbook.defaults;
        let env = self.env.clone();
        // They hold for every step, so no step is surely over.
        let place = Place {
            reach: Reach::Nothing,
            secrets: SecretUse::Refused,
            env: &env,
            run: Scope::RUN_NAMES,
            bare: &[],
            item: false,
        };
        environment::check(&mut self.checker, &defaults.env, place);
        self.default_env = environment::environment(&entries(&defaults.env), &env);
        let env = self.default_env.clone();
        if let Some(cwd) = &defaults.cwd {
            self.checker.text(cwd, Place { env: &env, ..place });
        }
        self.shell_is_no_template(defaults.shell.as_ref());
    }

    fn shell_is_no_template(&mut self, shell: Option<&document::Shell>) {
        let words = match shell {
            None => return,
            Some(document::Shell::Name(name)) => std::slice::from_ref(name),
            Some(document::Shell::Argv(argv)) => argv.as_slice(),
        };
        for word in words {
            if let Some(at) = word.find("{{") {
                let message = "`shell` is no template: what reads a script must be known before".to_owned();
                self.checker.report.at(word, at..at + 2, "template-place", message, None);
            }
        }
    }

    /// The context of what is known before a run: parameters and the project's variables.
    pub(super) fn known(&self) -> Context {
        let mut context = Context::new();
        let params = self.plan.params.iter().map(|(name, value)| (name.clone(), value_from_json(value)));
        context.set_names("params", params);
        context.set_names("run", [("name", Value::from(self.plan.runbook.as_str()))]);
        context.set("project", project_value(&self.vars));
        context
    }

    /// A step, with `needs` still those of declaration; `None` where it has no well-formed id or no action.
    pub(in crate::plan) fn step(&mut self, index: usize, finally: bool) -> Option<Resolved> {
        let runbook = self.runbook();
        let step: &'d Step = self.checker.declared.steps[index];
        let approve = matches!(step.action, Action::Approve(_));
        let merged =
            environment::merge(&if approve { self.inherited.env.clone() } else { self.entries() }, &step.env);
        let own;
        let env = match (approve, step.env.is_empty()) {
            (false, true) => &self.default_env.clone(),
            (true, _) | (false, false) => {
                own = environment::environment(&merged, &self.env);
                &own
            }
        };
        let place = Place {
            reach: Reach::Before(index),
            secrets: SecretUse::Refused,
            env,
            run: Scope::RUN_NAMES,
            // `on` is refused: what belongs to it needs no error of its own.
            bare: if step.on.is_some() { &["target"] } else { &[] },
            item: self.has_item,
        };
        if !step.env.is_empty() {
            let inherited = self.default_env.clone();
            environment::check(&mut self.checker, &step.env, Place { env: &inherited, ..place });
        }
        self.shell_is_no_template(step.shell.as_ref());
        let shell =
            shell_argv(step.shell.as_ref().or(self.inherited.shell).or(runbook.defaults.shell.as_ref()));
        self.common_texts(step, place);
        let action = self.action(step, place, &shell);
        let tags = self.inherited.tags.clone();
        let guards = self.guards_of_step(step, &tags, place);
        let ask = self.ask(step, place);
        let escalate = self.escalation(step.escalate.as_ref());
        let outputs = self.outputs(step, place);
        let inputs = self.inputs(step);
        let done_when = match &step.done_when {
            Some(check) => self.check(check, place, &shell).map(Box::new),
            None => None,
        };
        let undo = self.undo(step, place, &merged, &shell, finally);
        let defaults = &runbook.defaults;
        let inherited_cwd = self.inherited.cwd.clone().or_else(|| defaults.cwd.clone());
        let attempts =
            matches!(step.action, Action::Run(_) | Action::Check(_) | Action::Http(_) | Action::Notify(_));
        let log_limit = step.log_limit.or(defaults.log_limit).map_or(LOG_LIMIT, |size| size.0);
        Some(Resolved {
            id: self.id_of(step)?,
            title: step.title.as_ref().map(Text::to_string),
            description: step.description.as_ref().map(Text::to_string),
            needs: Vec::new(),
            finally,
            group: None,
            cleanup: false,
            item: None,
            when: step.when.as_ref().map(|when| when.to_string()),
            guards,
            ask,
            deadline: step.deadline,
            escalate,
            action: action?,
            timeout: timeout(step, defaults.timeout),
            grace: step.grace.or(defaults.grace).unwrap_or(GRACE),
            retry: step.retry.as_deref().or(defaults.retry.as_ref()).filter(|_| attempts).and_then(retry),
            on_failure: if approve { OnFailure::Stop } else { self.on_failure_of(step) },
            on_interrupt: on_interrupt(step.on_interrupt.or(defaults.on_interrupt)),
            env: merged.into_iter().map(|(name, text)| (name, text.to_string())).collect(),
            cwd: step.cwd.as_ref().or(inherited_cwd.as_ref().filter(|_| attempts)).map(Text::to_string),
            shell,
            outputs,
            inputs,
            artifacts: step.artifacts.iter().map(Text::to_string).collect(),
            log_limit,
            source: Some(step.source.iter().map(Text::as_str).collect::<Vec<_>>().join(", "))
                .filter(|source| !source.is_empty()),
            done_when,
            undo,
            role: Role::Declared,
        })
    }

    /// The variables that a step has where it says nothing.
    pub(super) fn entries(&self) -> IndexMap<String, Text> {
        let mut merged = entries(&self.runbook().defaults.env);
        for (name, text) in &self.inherited.env {
            environment::put(&mut merged, name, text);
        }
        merged
    }

    /// Takes in what a group says for its steps.
    pub(super) fn enter(&mut self, step: &'d Step) {
        for (name, text) in step.env.iter() {
            environment::put(&mut self.inherited.env, name, text);
        }
        if let Some(cwd) = &step.cwd {
            self.inherited.cwd = Some(cwd.clone());
        }
        self.inherited.tags.extend(step.tags.iter().map(Text::to_string));
        self.inherited.shell = step.shell.as_ref().or(self.inherited.shell);
        self.default_env = environment::environment(&self.entries(), &self.env);
    }

    fn id_of(&mut self, step: &Step) -> Option<StepId> {
        let id = format!("{}{}", self.prefix, *step.id);
        let parsed = id.parse().ok();
        if parsed.is_none() && crate::id::is_step_name(&step.id) {
            let message = format!("the whole id `{}` is too long", crate::document::node::crop(&id));
            self.checker.report.error("long-id", step.id.span(), message);
        }
        parsed
    }

    fn common_texts(&mut self, step: &Step, place: Place<'_>) {
        for text in [&step.title, &step.description, &step.cwd].into_iter().flatten() {
            self.checker.text(text, place);
        }
        if let Some(when) = &step.when {
            self.checker.condition(when, place);
        }
        for glob in &step.artifacts {
            self.checker.text(glob, place.with_itself());
        }
    }

    fn outputs(&mut self, step: &Step, place: Place<'_>) -> IndexMap<String, String> {
        let bare = match &step.action {
            Action::Run(_) => COMMAND_NAMES,
            Action::Check(check) => probe_names(&check.probe),
            Action::Http(_) => HTTP_ANSWER_NAMES,
            _ => &[],
        };
        // What a group or call gives is an expression over what is inside.
        if matches!(step.action, Action::Steps(_) | Action::Call(_)) {
            return step
                .outputs
                .iter()
                .map(|(name, expression)| (name.to_string(), expression.to_string()))
                .collect();
        }
        let place = place.with_itself().with_bare(bare);
        for (_, expression) in step.outputs.iter() {
            self.checker.expression(expression, place);
        }
        step.outputs.iter().map(|(name, expression)| (name.to_string(), expression.to_string())).collect()
    }

    /// The files that a step names, as they are now.
    fn inputs(&mut self, step: &Step) -> Inputs {
        let globs: Vec<String> = step.inputs.iter().map(Text::to_string).collect();
        let (Some(files), Some(first)) = (self.files, step.inputs.first()) else {
            return Inputs { globs, files: IndexMap::new() };
        };
        // Without a parameter's value, which has been said, it isn't known where they are.
        if self.plan.params.len() < self.runbook().params.len() {
            return Inputs { globs, files: IndexMap::new() };
        }
        let inherited = self.inherited.cwd.clone();
        let cwd = step.cwd.as_ref().or(inherited.as_ref()).or(self.runbook().defaults.cwd.as_ref());
        let found = match cwd.map(|cwd| self.known_text(cwd)).transpose() {
            Ok(cwd) => files.hash(cwd.as_deref(), &globs),
            Err(why) => Err(why),
        };
        let files = found.unwrap_or_else(|why| {
            self.checker.report.error("inputs", first.span(), format!("`inputs`: {why}"));
            IndexMap::new()
        });
        Inputs { globs, files }
    }

    /// A text of which all must be known before a run.
    fn known_text(&self, text: &Text) -> Result<String, String> {
        let Some(template) = Template::parse(text).ok().filter(|template| !template.is_literal()) else {
            return Ok(text.to_string());
        };
        template.render(&self.known()).map_err(|_| {
            "these files are part of what is approved, but where they are is only known in the run: use only params and project.vars in `cwd`".to_owned()
        })
    }

    fn on_failure_of(&self, step: &Step) -> OnFailure {
        match step.on_failure.or(self.runbook().defaults.on_failure) {
            None if matches!(step.action, Action::Notify(_)) => OnFailure::Warn,
            None => self.on_failure.unwrap_or(OnFailure::Unsaid),
            Some(document::OnFailure::Stop) => OnFailure::Stop,
            Some(document::OnFailure::Ask) => OnFailure::Ask,
            Some(document::OnFailure::Continue) => OnFailure::Continue,
            Some(document::OnFailure::Warn) => OnFailure::Warn,
        }
    }
}

/// `project` in templates.
pub(crate) fn project_value(vars: &IndexMap<String, serde_json::Value>) -> Value {
    let vars = Value::from_pairs(vars.iter().map(|(name, value)| (name.clone(), value_from_json(value))));
    Value::from_pairs([("vars", vars)])
}

fn entries(map: &Map<Text, true>) -> IndexMap<String, Text> {
    map.iter().map(|(name, text)| (name.to_string(), text.clone())).collect()
}

fn texts(map: &Map<Text, true>) -> IndexMap<String, String> {
    map.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

/// A shell as the command that is given the script's file; empty: `bash`, else `sh`.
fn shell_argv(shell: Option<&document::Shell>) -> Vec<String> {
    match shell {
        None => Vec::new(),
        Some(document::Shell::Name(name)) => vec![name.to_string()],
        Some(document::Shell::Argv(argv)) => argv.iter().map(Text::to_string).collect(),
    }
}

/// What bounds an attempt or a probe; gates are bounded by `expires`.
fn timeout(step: &Step, default: Option<Duration>) -> Option<Duration> {
    match &step.action {
        Action::Run(_) => step.timeout.or(default),
        Action::Check(check) => {
            let network = !matches!(check.probe, Probe::Run(_) | Probe::File(_) | Probe::Disk(_));
            step.timeout.or(default).or(Some(NETWORK_TIMEOUT).filter(|_| network))
        }
        Action::Http(http) => http.timeout.or(step.timeout).or(default),
        Action::Notify(_) => step.timeout.or(default).or(Some(NOTIFY_TIMEOUT)),
        _ => None,
    }
}

fn retry(retry: &document::Retry) -> Option<Retry> {
    let document::Retry { times, delay, backoff, max_delay, jitter, exit_codes } = retry;
    let exit_codes = exit_codes.iter().flatten().map(|code| i32::from(*code)).collect();
    let (times, delay, backoff, max_delay, jitter) = (*times, *delay, *backoff, *max_delay, *jitter);
    (times > 0).then_some(Retry { times, delay, backoff, max_delay, jitter, exit_codes })
}

fn on_interrupt(word: Option<document::OnInterrupt>) -> OnInterrupt {
    match word {
        None | Some(document::OnInterrupt::Ask) => OnInterrupt::Ask,
        Some(document::OnInterrupt::Rerun) => OnInterrupt::Rerun,
        Some(document::OnInterrupt::Fail) => OnInterrupt::Fail,
    }
}
