//! What a step does.

use super::leaf::RequestParts;
use super::step::Resolver;
use crate::document::model::{self as document, Step};
use crate::document::text::{Expression, Text};
use crate::duration::Duration;
use crate::plan::model::{Action, Check, Command, Probe, Run};
use crate::plan::names::{COMMAND_NAMES, Place, probe_names, success_name};
use crate::plan::structure::Group;
use crate::plan::{DnsQuery, PostgresQuery, PrometheusQuery, RedisCommand};
use crate::render::dialect_of;

/// How long a command in the background has until it is ready, where nothing is said (language.md §4).
const READY_WITHIN: Duration = Duration::from_secs(30);

impl Resolver<'_> {
    /// The action; `None` where it is refused or mistaken, which has been said.
    pub(super) fn action(&mut self, step: &Step, place: Place<'_>, shell: &[String]) -> Option<Action> {
        self.action_of(step, &step.action, place, shell)
    }

    /// An action of a step: its own, or that of its undo.
    pub(super) fn action_of(
        &mut self,
        step: &Step,
        action: &document::Action,
        place: Place<'_>,
        shell: &[String],
    ) -> Option<Action> {
        Some(match action {
            document::Action::Run(run) => Action::Run(self.run(step, run, place, shell)?),
            document::Action::Check(check) => Action::Check(self.check(check, place, shell)?),
            document::Action::Approve(approve) => Action::Approve(self.approve(step, approve, place)),
            document::Action::Manual(manual) => Action::Manual(self.manual(step, manual, place)),
            document::Action::Choose(choose) => Action::Choose(self.choose(step, choose, place)),
            // What is inside is added where the step has its place.
            document::Action::Steps(_) | document::Action::Call(_) => Action::Steps(Group::default()),
            document::Action::Wait(wait) => self.wait_step(wait, place),
            document::Action::Http(http) => self.http_step(http, place),
            document::Action::Notify(notify) => self.notify_step(notify, place),
            _ => return None,
        })
    }

    fn run(&mut self, step: &Step, run: &document::Run, place: Place<'_>, shell: &[String]) -> Option<Run> {
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
        if run.interactive {
            self.refuse_beside_a_terminal(step, run);
        }
        Some(Run {
            command,
            stdin: run.stdin.as_ref().map(Text::to_string),
            expect,
            background,
            interactive: run.interactive,
        })
    }

    /// Reports what has no meaning for a command whose input is a keyboard.
    fn refuse_beside_a_terminal(&mut self, step: &Step, run: &document::Run) {
        if let Some(stdin) = &run.stdin {
            let message = "`stdin` has no meaning beside `interactive: true`".to_owned();
            let help = "the command reads what is typed; leave one of the two out".to_owned();
            self.checker.report.at(stdin, 0..stdin.len(), "meaningless-key", message, Some(help));
        }
        if run.background.is_some() {
            let message = "a command in the `background` has no keyboard: it can't be `interactive`";
            self.checker.report.error("meaningless-key", step.id.span(), message);
        }
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

    pub(super) fn check(
        &mut self,
        check: &document::Check,
        place: Place<'_>,
        shell: &[String],
    ) -> Option<Check> {
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
    pub(super) fn conditions(
        &mut self,
        written: &[Expression],
        place: Place<'_>,
        name: &str,
    ) -> (Vec<String>, bool) {
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
            document::Probe::Http(http) => {
                let parts = RequestParts {
                    url: &http.url,
                    method: http.method.as_ref(),
                    headers: &http.headers,
                    json: http.json.as_ref(),
                    body: None,
                    insecure: http.insecure,
                    follow: http.follow,
                };
                Probe::Http(self.request(&parts, place))
            }
            document::Probe::Tcp(address) => {
                self.checker.text(address, place);
                self.must_be_address(address);
                Probe::Tcp(address.to_string())
            }
            document::Probe::File(path) => {
                self.checker.text(path, place);
                self.must_be_path(path);
                Probe::File(path.to_string())
            }
            document::Probe::Tls(address) => {
                self.checker.text(address, place);
                self.must_be_address(address);
                Probe::Tls(address.to_string())
            }
            document::Probe::Disk(path) => {
                self.checker.text(path, place);
                self.must_be_path(path);
                Probe::Disk(path.to_string())
            }
            document::Probe::Dns(dns) => {
                self.checker.text(&dns.name, place);
                Probe::Dns(DnsQuery { name: dns.name.to_string(), record_type: dns.record_type })
            }
            document::Probe::Prometheus(prometheus) => {
                self.checker.text(&prometheus.url, place.with_secrets());
                self.must_be_url(&prometheus.url);
                self.checker.text(&prometheus.query, place);
                Probe::Prometheus(PrometheusQuery {
                    url: prometheus.url.to_string(),
                    query: prometheus.query.to_string(),
                    empty: prometheus.empty,
                })
            }
            document::Probe::Postgres(postgres) => {
                self.checker.text(&postgres.url, place.with_secrets());
                self.checker.text(&postgres.query, place);
                Probe::Postgres(PostgresQuery {
                    url: postgres.url.to_string(),
                    query: postgres.query.to_string(),
                })
            }
            document::Probe::Redis(redis) => {
                self.checker.text(&redis.url, place.with_secrets());
                for word in &redis.command {
                    self.checker.text(word, place);
                }
                Probe::Redis(RedisCommand {
                    url: redis.url.to_string(),
                    command: redis.command.iter().map(Text::to_string).collect(),
                })
            }
            document::Probe::Invalid => return None,
        })
    }
}
