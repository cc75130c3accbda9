//! What a step does.

use indexmap::IndexMap;

use super::step::Resolver;
use crate::document::model::{self as document, Step};
use crate::document::text::{Data, Expression, Map, Text};
use crate::duration::Duration;
use crate::plan::model::{Action, Check, Command, EvidenceRule, HttpRequest, OnExpiry, Probe, Question, Run};
use crate::plan::names::{COMMAND_NAMES, Place, probe_names, success_name};
use crate::plan::structure::Group;
use crate::render::dialect_of;

/// How long a command in the background has until it is ready, where nothing is said (language.md §4).
const READY_WITHIN: Duration = Duration::from_secs(30);

impl Resolver<'_> {
    /// The action; `None` where it is refused or mistaken, which has been said.
    pub(super) fn action(&mut self, step: &Step, place: Place<'_>, shell: &[String]) -> Option<Action> {
        Some(match &step.action {
            document::Action::Run(run) => Action::Run(self.run(run, place, shell)?),
            document::Action::Check(check) => Action::Check(self.check(check, place, shell)?),
            document::Action::Approve(approve) => Action::Approve(self.question(step, &approve.gate, place)),
            document::Action::Manual(manual) => {
                for item in &manual.checklist {
                    self.checker.text(item, place);
                }
                let mut question = self.question(step, &manual.gate, place);
                question.checklist = manual.checklist.iter().map(Text::to_string).collect();
                question.evidence = match manual.evidence {
                    document::Evidence::None => EvidenceRule::None,
                    document::Evidence::Optional => EvidenceRule::Optional,
                    document::Evidence::Required => EvidenceRule::Required,
                };
                Action::Manual(question)
            }
            // What is inside is added where the step has its place.
            document::Action::Steps(_) | document::Action::Call(_) => Action::Steps(Group::default()),
            _ => return None,
        })
    }

    fn run(&mut self, run: &document::Run, place: Place<'_>, shell: &[String]) -> Option<Run> {
        let command = self.command(&run.run, place, shell);
        if let Some(stdin) = &run.stdin {
            self.checker.text(stdin, place);
        }
        let (expect, _) = self.conditions(&run.expect, place.with_bare(COMMAND_NAMES), "exit_code");
        let background = match &run.background {
            None => None,
            Some(background) => {
                let mut ready = self.check(&background.ready, place, shell)?;
                ready.within = ready.within.or(Some(READY_WITHIN));
                Some(ready)
            }
        };
        Some(Run { command, stdin: run.stdin.as_ref().map(Text::to_string), expect, background })
    }

    fn command(&mut self, command: &document::Command, place: Place<'_>, shell: &[String]) -> Command {
        match command {
            document::Command::Script(script) => {
                self.checker.script(script, place, dialect_of(shell), &self.plan);
                Command::Script(script.to_string())
            }
            document::Command::Argv(argv) => {
                for argument in argv {
                    self.checker.text(argument, place);
                }
                Command::Argv(argv.iter().map(Text::to_string).collect())
            }
        }
    }

    fn check(&mut self, check: &document::Check, place: Place<'_>, shell: &[String]) -> Option<Check> {
        let probe = self.probe(&check.probe, place, shell);
        let place = place.with_bare(probe_names(&check.probe));
        // The names of a probe that is refused are not known: its expectations would all seem to be wrong.
        let probe = probe?;
        let (expect, mentioned) = self.conditions(&check.expect, place, success_name(&check.probe));
        let (warn, _) = self.conditions(&check.warn, place, "");
        Some(Check {
            probe,
            expect,
            expect_success: !mentioned,
            warn,
            within: check.within,
            every: check.every,
            hold: check.hold,
            max_failures: check.max_failures,
        })
    }

    /// Conditions as texts, and whether any of them uses a name.
    fn conditions(&mut self, written: &[Expression], place: Place<'_>, name: &str) -> (Vec<String>, bool) {
        let mut mentioned = false;
        for condition in written {
            if let Some(expression) = self.checker.condition(condition, place) {
                mentioned |= expression
                    .references()
                    .iter()
                    .any(|reference| reference.path.first().is_some_and(|first| first == name));
            }
        }
        (written.iter().map(|condition| condition.to_string()).collect(), mentioned)
    }

    fn probe(&mut self, probe: &document::Probe, place: Place<'_>, shell: &[String]) -> Option<Probe> {
        Some(match probe {
            document::Probe::Run(command) => Probe::Run(self.command(command, place, shell)),
            document::Probe::Http(http) => Probe::Http(self.http(http, place.with_secrets())),
            document::Probe::Tcp(address) => {
                self.checker.text(address, place);
                Probe::Tcp(address.to_string())
            }
            document::Probe::File(path) => {
                self.checker.text(path, place);
                Probe::File(path.to_string())
            }
            _ => return None,
        })
    }

    fn http(&mut self, http: &document::HttpProbe, place: Place<'_>) -> HttpRequest {
        self.checker.text(&http.url, place);
        for (_, value) in http.headers.iter() {
            self.checker.text(value, place);
        }
        if let Some(json) = &http.json {
            self.data(json, place);
        }
        HttpRequest {
            url: http.url.to_string(),
            method: http.method.as_ref().map_or_else(|| "GET".to_owned(), Text::to_string),
            headers: strings(&http.headers),
            json: http.json.as_ref().map(Data::to_json),
            body: None,
            insecure: http.insecure,
            follow: http.follow,
        }
    }

    /// Checks the texts in data.
    pub(super) fn data(&mut self, data: &Data, place: Place<'_>) {
        match data {
            Data::Text(text) => {
                self.checker.text(text, place);
            }
            Data::List(items) => items.iter().for_each(|item| self.data(item, place)),
            Data::Map(entries) => entries.iter().for_each(|(_, value)| self.data(value, place)),
            Data::Null | Data::Boolean(_) | Data::Integer(..) | Data::Number(..) => {}
        }
    }

    fn question(&mut self, step: &Step, gate: &document::Gate, place: Place<'_>) -> Question {
        for text in [&gate.prompt, &gate.details].into_iter().flatten() {
            self.checker.text(text, place);
        }
        let prompt = gate.prompt.as_ref().or(step.title.as_ref()).unwrap_or(&step.id);
        Question {
            prompt: prompt.to_string(),
            details: gate.details.as_ref().map(Text::to_string),
            checklist: Vec::new(),
            evidence: EvidenceRule::None,
            confirm_typed: gate.confirm.is_some(),
            expires: gate.expires,
            on_expiry: match gate.on_expiry {
                document::OnExpiry::Reject => OnExpiry::Reject,
                document::OnExpiry::Fail => OnExpiry::Fail,
            },
        }
    }
}

fn strings(map: &Map<Text>) -> IndexMap<String, String> {
    map.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}
