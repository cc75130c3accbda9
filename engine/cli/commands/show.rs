//! `runbook show`: a runbook as a page to read. Nothing is planned: no value is needed, and templates stand as they are written.

use clap::Args;
use runbook_core::document::model::{
    Action, Check, Choices, Command, Evidence, ForEach, Gate, Http, OnFailure, Options as Choice, ParamSpec,
    Probe, Rollback, Runbook, Secret, Step, Wait,
};
use runbook_core::template::quote_for_display;
use runbook_runtime::sanitize::{Style as SanitizeStyle, sanitize};
use serde_json::{Value, json};

use crate::console::{DIM, STRONG, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::planning::{self, Loaded};
use crate::report::wording::{count, harmless, wrap};

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbook
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let loaded = planning::load_or_say(context, &options.name)?;
    let text = match context.global.format {
        Format::Json => format!("{}\n", to_json(&loaded)?),
        Format::Text | Format::Github | Format::Gitlab => {
            let mut page = Page { text: String::new(), width: context.console.width };
            page.whole(&loaded);
            page.text
        }
    };
    context.console.print(&text);
    Ok(exit_code::SUCCEEDED)
}

/// The document as it was read, with its name and file; of secrets only the names.
fn to_json(loaded: &Loaded) -> Result<Value, CommandError> {
    let mut value = serde_json::to_value(&loaded.document)
        .map_err(|error| CommandError::store("the runbook can't be shown as JSON").with_cause(&error))?;
    value["name"] = loaded.file.name.clone().into();
    value["file"] = loaded.file.path.display().to_string().into();
    let secrets: Vec<&str> = loaded.document.secrets.keys().map(|name| name.as_str()).collect();
    value["secrets"] = json!(secrets);
    Ok(value)
}

/// The page for people, line by line.
struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn whole(&mut self, loaded: &Loaded) {
        let document = &loaded.document;
        let title =
            document.title.as_ref().map_or_else(String::new, |title| format!(": {}", harmless(title)));
        self.line(0, &format!("{}{title}", styled(STRONG, harmless(&loaded.file.name))));
        self.about(document);
        self.line(2, &styled(DIM, harmless(loaded.source.name())));
        if let Some(description) = &document.description {
            self.blank();
            self.foreign(0, description);
        }
        self.wants(document);
        self.heading("Steps");
        self.steps(&document.steps, "", 0);
        if !document.finally.is_empty() {
            self.heading("In the end, whatever happened");
            self.steps(&document.finally, "", document.steps.len());
        }
        let rollback = match document.rollback {
            Rollback::Auto => "What was done is undone at once when the run fails.",
            Rollback::Ask => "When the run fails, a person is asked whether what was done is undone.",
            Rollback::Manual => "What was done is undone only by runbook rollback.",
        };
        if can_undo(&document.steps) {
            self.blank();
            self.line(0, rollback);
        }
    }

    fn about(&mut self, document: &Runbook) {
        let list = |texts: &[runbook_core::document::text::Text]| {
            texts.iter().map(|text| harmless(text)).collect::<Vec<_>>().join(", ")
        };
        if let Some(owner) = &document.owner {
            self.line(2, &format!("owner: {}", harmless(owner)));
        }
        if !document.tags.is_empty() {
            self.line(2, &format!("tags: {}", list(&document.tags)));
        }
        if !document.source.is_empty() {
            self.line(2, &format!("written down in: {}", list(&document.source)));
        }
        for (name, address) in document.links.iter() {
            self.line(2, &format!("{}: {}", harmless(name), harmless(address)));
        }
        if let Some(review) = &document.review {
            self.line(2, &format!("last reviewed {}, every {}", review.last.0, review.every));
        }
    }

    /// What it asks of who starts it, and of the world.
    fn wants(&mut self, document: &Runbook) {
        if !document.params.is_empty() {
            self.heading("Parameters");
            for (name, spec) in document.params.iter() {
                self.line(2, &format!("{}  {}", styled(STRONG, harmless(name)), parameter(spec)));
            }
        }
        if !document.secrets.is_empty() {
            self.heading("Secrets");
            for (name, secret) in document.secrets.iter() {
                let from = match secret {
                    Secret::Env(variable) => format!("the environment variable {}", harmless(variable)),
                    Secret::File(path) => format!("the file {}", harmless(path)),
                    Secret::Command(argv) => {
                        format!("the command {}", argv.first().map_or_else(String::new, |it| harmless(it)))
                    }
                };
                self.line(2, &format!("{}  from {from}", styled(STRONG, harmless(name))));
            }
        }
        let mut around = Vec::new();
        around.extend(
            document
                .lock
                .as_ref()
                .map(|lock| format!("one run at a time under the lock {}", harmless(&lock.name))),
        );
        around.extend(document.window.as_ref().map(|window| {
            let calendar = window
                .calendar
                .as_ref()
                .map_or_else(String::new, |it| format!(", calendar {}", harmless(it)));
            let times: Vec<String> =
                window.allow.iter().map(|time| format!("{} ({})", clock(time), harmless(&time.tz))).collect();
            format!(
                "may start {}{calendar}",
                if times.is_empty() {
                    "outside its calendar's closed days".to_owned()
                } else {
                    times.join(" or ")
                }
            )
        }));
        around.extend(document.schedule.iter().map(|schedule| {
            format!(
                "starts by itself (runbook serve): {} {}",
                harmless(&schedule.cron),
                harmless(&schedule.tz)
            )
        }));
        if !around.is_empty() {
            self.heading("When");
            for what in around {
                self.line(2, &what);
            }
        }
    }

    fn steps(&mut self, steps: &[Step], outer: &str, before: usize) {
        for (index, step) in steps.iter().enumerate() {
            let number = format!("{outer}{}", before + index + 1);
            self.step(step, &number);
            if let Action::Steps(group) = &step.action {
                self.steps(&group.steps, &format!("{number}."), 0);
            }
        }
    }

    fn step(&mut self, step: &Step, number: &str) {
        let depth = 2 * number.matches('.').count();
        let title = step.title.as_ref().map_or_else(String::new, |title| format!(": {}", harmless(title)));
        self.line(depth, &format!("{number}. {}{title}", styled(STRONG, harmless(&step.id))));
        let indent = depth + 5;
        for note in order(step) {
            self.line(indent, &note);
        }
        if let Some(description) = &step.description {
            self.foreign(indent, description);
        }
        if let Some(ask) = &step.ask {
            self.line(indent, &format!("first asks{}: {}", people(&ask.gate), prompt(&ask.gate, step)));
        }
        self.action(indent, &step.action, step);
        let notes = bounds(step);
        if !notes.is_empty() {
            self.line(indent, &styled(DIM, notes.join("; ")));
        }
        if let Some(undo) = &step.undo {
            self.line(indent, "undone by:");
            self.action(indent + 2, &undo.action, step);
        }
        if !step.source.is_empty() {
            let places: Vec<String> = step.source.iter().map(|place| harmless(place)).collect();
            self.line(indent, &styled(DIM, format_args!("written down in: {}", places.join(", "))));
        }
    }

    fn action(&mut self, indent: usize, action: &Action, step: &Step) {
        match action {
            Action::Run(run) => {
                self.command(indent, &run.run);
                if let Some(stdin) = &run.stdin {
                    self.foreign(indent, &format!("reads {stdin}"));
                }
                self.expect(indent, &run.expect);
                if run.interactive {
                    self.line(indent, "interactive: it gets a terminal of its own");
                }
                if let Some(background) = &run.background {
                    self.line(indent, "in the background; ready when:");
                    self.check(indent + 2, &background.ready);
                }
            }
            Action::Check(check) => self.check(indent, check),
            Action::Approve(approve) => {
                let quorum = match approve.quorum.get() {
                    1 => String::new(),
                    many => format!(" by {many} people"),
                };
                self.line(
                    indent,
                    &format!("approval{quorum}{}: {}", people(&approve.gate), prompt(&approve.gate, step)),
                );
                self.gate(indent, &approve.gate);
                if approve.signed {
                    self.line(indent, "only signed answers count");
                }
            }
            Action::Manual(manual) => {
                self.line(
                    indent,
                    &format!("by hand{}: {}", people(&manual.gate), prompt(&manual.gate, step)),
                );
                for item in &manual.checklist {
                    self.line(indent, &format!("[ ] {}", harmless(item)));
                }
                self.gate(indent, &manual.gate);
                match manual.evidence {
                    Evidence::None => {}
                    Evidence::Optional => self.line(indent, "evidence may be given"),
                    Evidence::Required => self.line(indent, "evidence must be given"),
                }
            }
            Action::Choose(choose) => {
                self.line(indent, &format!("choice{}: {}", people(&choose.gate), prompt(&choose.gate, step)));
                match &choose.options {
                    Choice::Named(options) => {
                        for (name, meaning) in options.iter() {
                            self.line(indent, &format!("- {}: {}", harmless(name), harmless(meaning)));
                        }
                    }
                    Choice::List(options) => {
                        for name in options {
                            self.line(indent, &format!("- {}", harmless(name)));
                        }
                    }
                    Choice::Expression(from) => self.line(indent, &format!("one of {}", harmless(from))),
                }
                self.gate(indent, &choose.gate);
            }
            Action::Wait(wait) => self.line(
                indent,
                &match wait.as_ref() {
                    Wait::For(span) => format!("waits {span}"),
                    Wait::Until(until) => format!(
                        "waits until {}{}",
                        harmless(&until.until),
                        until.tz.as_ref().map_or_else(String::new, |tz| format!(" {}", harmless(tz)))
                    ),
                },
            ),
            Action::Http(http) => self.request(indent, http),
            Action::Notify(notify) => {
                self.line(
                    indent,
                    &format!("tells {}: {}", harmless(&notify.channel), harmless(&notify.message)),
                );
            }
            Action::Call(call) => {
                let with: Vec<String> = call
                    .with
                    .iter()
                    .map(|(name, value)| format!("{}={}", harmless(name), data(&value.to_json())))
                    .collect();
                let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
                self.line(indent, &format!("the runbook {}{with}", styled(STRONG, harmless(&call.call))));
            }
            Action::Steps(group) => {
                if let Some(repeat) = &group.repeat {
                    self.line(
                        indent,
                        &format!("again until {}, up to {} times", harmless(&repeat.until), repeat.times),
                    );
                }
            }
            Action::Invalid => {}
        }
    }

    fn request(&mut self, indent: usize, http: &Http) {
        let method = http.method.as_ref().map_or_else(|| "GET".to_owned(), |method| harmless(method));
        self.line(indent, &format!("{method} {}", harmless(&http.url)));
        self.expect(indent, &http.expect);
    }

    fn check(&mut self, indent: usize, check: &Check) {
        match &check.probe {
            Probe::Run(command) => self.command(indent, command),
            Probe::Http(http) => {
                let method = http.method.as_ref().map_or_else(|| "GET".to_owned(), |method| harmless(method));
                self.line(indent, &format!("{method} {}", harmless(&http.url)));
            }
            Probe::Tcp(what) | Probe::Tls(what) | Probe::File(what) | Probe::Disk(what) => {
                self.line(indent, &format!("{} {}", check.probe.key(), harmless(what)));
            }
            Probe::Dns(dns) => self.line(indent, &format!("dns {}", harmless(&dns.name))),
            Probe::Prometheus(probe) => self.line(indent, &format!("prometheus {}", harmless(&probe.query))),
            Probe::Postgres(probe) => self.line(indent, &format!("postgres {}", harmless(&probe.query))),
            Probe::Redis(probe) => {
                let words: Vec<String> = probe.command.iter().map(|word| harmless(word)).collect();
                self.line(indent, &format!("redis {}", words.join(" ")));
            }
            Probe::Invalid => {}
        }
        self.expect(indent, &check.expect);
        for expression in check.warn.iter() {
            self.line(indent, &format!("warns unless {}", harmless(expression)));
        }
        let mut notes = Vec::new();
        notes.extend(check.within.map(|span| format!("within {span}")));
        notes.extend(check.hold.map(|span| format!("and holds for {span}")));
        if !notes.is_empty() {
            self.line(indent, &notes.join(" "));
        }
    }

    fn command(&mut self, indent: usize, command: &Command) {
        match command {
            Command::Script(script) => {
                for line in sanitize(script.trim_end(), SanitizeStyle::Text).lines() {
                    self.text.push_str(&format!("{}{} {line}\n", " ".repeat(indent), styled(DIM, "$")));
                }
            }
            Command::Argv(argv) => {
                let words: Vec<String> = argv.iter().map(|word| quote_for_display(word)).collect();
                let text = sanitize(&words.join(" "), SanitizeStyle::Text);
                self.text.push_str(&format!("{}{} {text}\n", " ".repeat(indent), styled(DIM, "$")));
            }
        }
    }

    fn expect(&mut self, indent: usize, expected: &[runbook_core::document::text::Expression]) {
        for expression in expected {
            self.line(indent, &format!("expects {}", harmless(expression)));
        }
    }

    fn gate(&mut self, indent: usize, gate: &Gate) {
        if let Some(details) = &gate.details {
            self.foreign(indent, details);
        }
        for (name, spec) in gate.fields.iter() {
            self.line(indent, &format!("asks for {}: {}", harmless(name), parameter(spec)));
        }
        if let Some(expires) = gate.expires {
            self.line(indent, &format!("expires after {expires}"));
        }
    }

    fn heading(&mut self, text: &str) {
        self.blank();
        self.line(0, &styled(STRONG, text));
        self.blank();
    }

    /// A text of several lines that an author wrote.
    fn foreign(&mut self, indent: usize, text: &str) {
        for line in paragraphs(&sanitize(text.trim_end(), SanitizeStyle::Text)) {
            let space = " ".repeat(indent);
            self.text.push_str(wrap(&format!("{space}{line}"), self.width, &space).trim_end());
            self.text.push('\n');
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        let space = " ".repeat(indent);
        let line = wrap(&format!("{space}{text}"), self.width, &format!("{space}  "));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }
}

/// The lines of a Markdown text, each paragraph as one, to be broken anew; lists, code and the like keep their lines.
fn paragraphs(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let (mut flows, mut in_code) = (false, false);
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        let is_plain = !in_code
            && !is_fence
            && line.starts_with(|c: char| c.is_alphabetic() || matches!(c, '`' | '(' | '"' | '\'' | '{'));
        in_code ^= is_fence;
        match lines.last_mut() {
            Some(last) if flows && is_plain => {
                last.push(' ');
                last.push_str(line.trim_end());
            }
            _ => lines.push(line.trim_end().to_owned()),
        }
        flows = is_plain;
    }
    lines
}

/// `string, blue or green, default blue: Which slot`.
fn parameter(spec: &ParamSpec) -> String {
    let mut parts = vec![format!("{}", json!(spec.kind).as_str().unwrap_or("string"))];
    match &spec.choices {
        Some(Choices::List(choices)) => {
            let names: Vec<String> = choices.iter().map(|choice| harmless(choice)).collect();
            parts.push(names.join(" or "));
        }
        Some(Choices::Expression(from)) => parts.push(format!("one of {}", harmless(from))),
        None => {}
    }
    parts.extend(spec.pattern.as_ref().map(|pattern| format!("matches {}", harmless(pattern))));
    parts.extend(spec.min.as_ref().map(|min| format!("at least {}", data(&json!(min)))));
    parts.extend(spec.max.as_ref().map(|max| format!("at most {}", data(&json!(max)))));
    match &spec.default {
        Some(default) => parts.push(format!("default {}", data(&json!(default)))),
        None if spec.required => parts.push("must be given".into()),
        None => parts.push("may be left out".into()),
    }
    let about = spec.description.as_ref().map_or_else(String::new, |about| format!(": {}", harmless(about)));
    format!("{}{about}", parts.join(", "))
}

fn data(value: &Value) -> String {
    harmless(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// When it runs, as far as that is said.
fn order(step: &Step) -> Vec<String> {
    let mut notes = Vec::new();
    match step.needs.as_deref() {
        Some([]) => notes.push("starts at once".to_owned()),
        Some(needs) => {
            let needs: Vec<String> = needs.iter().map(|id| harmless(id)).collect();
            notes.push(format!("after {}", needs.join(", ")));
        }
        None => {}
    }
    notes.extend(step.when.as_ref().map(|when| format!("only when {}", harmless(when))));
    notes.extend(step.for_each.as_ref().map(|items| match items {
        ForEach::List(items) => format!("for each of {}", count(items.len(), "item")),
        ForEach::Expression(from) => format!("for each of {}", harmless(from)),
    }));
    notes.extend(step.on.as_ref().map(|on| format!("on {}", harmless(on))));
    notes
}

/// What bounds it, and what its failure means.
fn bounds(step: &Step) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(step.timeout.map(|span| format!("timeout {span}")));
    notes.extend(step.deadline.map(|span| format!("should take {span} at most")));
    notes.extend(
        step.retry
            .as_ref()
            .map(|retry| format!("up to {} after a failure", count(retry.times as usize, "more attempt"))),
    );
    match step.on_failure {
        None | Some(OnFailure::Stop) => {}
        Some(OnFailure::Continue) => notes.push("a failure lets the run go on".into()),
        Some(OnFailure::Warn) => notes.push("a failure is only a warning".into()),
        Some(OnFailure::Ask) => notes.push("a failure is asked about".into()),
    }
    notes.extend(step.lock.as_ref().map(|lock| format!("under the lock {}", harmless(&lock.name))));
    notes
}

/// ` of alice, group:release-managers`.
fn people(gate: &Gate) -> String {
    match gate.from.as_deref() {
        None | Some([]) => String::new(),
        Some(from) => {
            let names: Vec<String> = from.iter().map(|name| harmless(name)).collect();
            format!(" of {}", names.join(", "))
        }
    }
}

fn prompt(gate: &Gate, step: &Step) -> String {
    let text = gate.prompt.as_ref().or(step.title.as_ref()).unwrap_or(&step.id);
    harmless(text)
}

/// `sun 02:00-04:00`.
fn clock(time: &runbook_core::document::model::WindowTime) -> String {
    let days: Vec<String> = time.days.iter().flatten().map(|day| data(&json!(day))).collect();
    let hours = format!("{}-{}", data(&json!(time.from)), data(&json!(time.to)));
    if days.is_empty() { hours } else { format!("{} {hours}", days.join(" ")) }
}

/// Whether any step can be undone.
fn can_undo(steps: &[Step]) -> bool {
    steps.iter().any(|step| {
        step.undo.is_some() || matches!(&step.action, Action::Steps(group) if can_undo(&group.steps))
    })
}
