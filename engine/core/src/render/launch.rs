//! Commands and probes, ready to be started.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::context::{Missing, SecretView, parse_template, refuse_mask};
use super::texts::{Texts, missing_of};
use crate::document::model::DnsType;
use crate::plan::{Action, Check, Command, Plan, Probe};
use crate::state::RunState;
use crate::template::{
    Dialect, Reference, RenderError, ShellScript, VALUE_BYTES_MAX, VALUES_BYTES_MAX, display_argv,
};

/// A command, ready to be started.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// The shell with its options, to which the script's file is added; or the command itself.
    pub argv: Vec<String>,
    /// The script's text, where there is one.
    pub script: Option<String>,
    /// The environment beside the run's own: declared variables, then the values of the script.
    pub env: Vec<(String, String)>,
    /// Relative to the project's root.
    pub cwd: Option<String>,
    /// For standard input.
    pub stdin: Option<String>,
}

impl Launch {
    /// What the system would refuse at the start is refused before, with the way out (`language.md` §7).
    fn must_fit(&self) -> Result<(), String> {
        const WAY_OUT: &str =
            "give it to the command by `stdin:`, or let an earlier step write it to a file in `run.dir`";
        let arguments = self.argv.iter().enumerate().map(|(at, text)| {
            // The system counts the closing NUL.
            (text.len() + 1, text, if at == 0 { "the program".to_owned() } else { format!("argument {at}") })
        });
        let variables = self
            .env
            .iter()
            .map(|(name, value)| (name.len() + value.len() + 2, value, format!("the variable `{name}`")));
        let mut together = 0;
        for (size, text, what) in arguments.chain(variables) {
            if text.contains('\0') {
                return Err(format!(
                    "{what} holds a NUL character, which no command can be given: {WAY_OUT}"
                ));
            }
            if size > VALUE_BYTES_MAX {
                let long = text.len();
                return Err(format!("{what} is {long} bytes long, and may have 128 KiB: {WAY_OUT}"));
            }
            together += size;
            if together > VALUES_BYTES_MAX {
                return Err(format!("the arguments and variables are longer than 1 MiB together: {WAY_OUT}"));
            }
        }
        Ok(())
    }
}

/// An HTTP request, ready to be sent; its texts may hold secrets.
#[derive(Clone, PartialEq)]
pub struct HttpCall {
    /// Where to.
    pub url: String,
    /// As in `GET`.
    pub method: String,
    /// Names to values.
    pub headers: IndexMap<String, String>,
    /// Sent as JSON.
    pub json: Option<Json>,
    /// Sent as it is.
    pub body: Option<String>,
    /// Whether a certificate that can't be trusted is taken.
    pub insecure: bool,
    /// Whether redirects are followed.
    pub follow: bool,
}

/// A probe, ready to be made.
#[derive(Clone, PartialEq)]
pub enum ProbeCall {
    /// A command.
    Run(Launch),
    /// A request.
    Http(HttpCall),
    /// `host:port`.
    Tcp(String),
    /// A path, relative to the step's `cwd`.
    File {
        /// The path.
        path: String,
        /// The step's `cwd`.
        cwd: Option<String>,
    },
    /// A name.
    Dns {
        /// The name.
        name: String,
        /// The kind of record.
        record_type: Option<DnsType>,
    },
    /// `host:port`.
    Tls(String),
    /// A path on a file system, relative to the step's `cwd`.
    Disk {
        /// The path.
        path: String,
        /// The step's `cwd`.
        cwd: Option<String>,
    },
    /// A query.
    Prometheus {
        /// The server.
        url: String,
        /// In PromQL.
        query: String,
        /// What an empty answer stands for.
        empty: Option<f64>,
    },
    /// A query.
    Postgres {
        /// The server.
        url: String,
        /// In SQL.
        query: String,
    },
    /// A command.
    Redis {
        /// The server.
        url: String,
        /// The command with its arguments.
        command: Vec<String>,
    },
}

impl Texts {
    /// The command of a step's `run`, ready to be started.
    ///
    /// # Errors
    /// Where a text can't be rendered, or a value would hold a mask.
    pub fn launch(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        secrets: &SecretView<'_>,
    ) -> Result<Launch, String> {
        let Action::Run(run) = &plan.steps[step].action else {
            return Err("the step runs no command".into());
        };
        let mut launch = self.command(plan, state, step, &run.command, secrets)?.0;
        if let Some(stdin) = &run.stdin {
            let text = self.text(plan, state, step, stdin, secrets, missing_of(plan, step))?;
            refuse_mask(&text)?;
            launch.stdin = Some(text);
        }
        Ok(launch)
    }

    /// The probe of a step's check, or of what its background command must reach.
    ///
    /// # Errors
    /// Where a text can't be rendered.
    pub fn probe(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        check: &Check,
        secrets: &SecretView<'_>,
    ) -> Result<ProbeCall, String> {
        match &check.probe {
            Probe::Run(command) => Ok(ProbeCall::Run(self.command(plan, state, step, command, secrets)?.0)),
            other => self.probe_call(plan, state, step, other, secrets),
        }
    }

    /// Globs of files to keep, rendered; the step itself is in sight.
    ///
    /// # Errors
    /// Where a text can't be rendered.
    pub fn artifacts(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Vec<String>, String> {
        plan.steps[step]
            .artifacts
            .iter()
            .map(|glob| self.text(plan, state, step, glob, &SecretView::Masked, Missing::Fails))
            .collect()
    }

    /// The step's `cwd`, rendered.
    ///
    /// # Errors
    /// Where it can't be rendered.
    pub fn cwd(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Option<String>, String> {
        plan.steps[step]
            .cwd
            .as_deref()
            .map(|cwd| self.text(plan, state, step, cwd, &SecretView::Masked, Missing::Fails))
            .transpose()
    }

    /// A command and how people are shown it.
    pub(super) fn command(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        command: &Command,
        secrets: &SecretView<'_>,
    ) -> Result<(Launch, String), String> {
        let sight = self.sight(plan, state, Some(step), secrets, missing_of(plan, step));
        let mut env: Vec<(String, String)> = sight.environment()?.into_iter().collect();
        let cwd = plan.steps[step]
            .cwd
            .as_deref()
            .map(|cwd| self.text(plan, state, step, cwd, secrets, Missing::Fails))
            .transpose()?;
        match command {
            Command::Script(source) => {
                let template = parse_template(source)?;
                let (script, shown) = if template.is_literal() {
                    (source.clone(), source.clone())
                } else {
                    let dialect = dialect_of(&plan.steps[step].shell);
                    let script = ShellScript::compile(&template, dialect, &|reference| {
                        is_plain(plan, plan.steps[step].group, reference)
                    })
                    .map_err(|errors| super::context::first_message(&errors))?;
                    let references: Vec<&Reference> = template.references().iter().collect();
                    let rendered =
                        script.render(&sight.context(&references)?).map_err(RenderError::in_one_line)?;
                    for (_, value) in &rendered.variables {
                        refuse_mask(value)?;
                    }
                    env.extend(rendered.variables);
                    (rendered.script, rendered.display)
                };
                let argv = plan.steps[step].shell.clone();
                let launch = Launch { argv, script: Some(script), env, cwd, stdin: None };
                launch.must_fit()?;
                Ok((launch, shown.trim_end().to_owned()))
            }
            Command::Argv(argv) => {
                let mut rendered = Vec::with_capacity(argv.len());
                for argument in argv {
                    let value = self.text(plan, state, step, argument, secrets, missing_of(plan, step))?;
                    refuse_mask(&value)?;
                    rendered.push(value);
                }
                let shown = display_argv(&rendered);
                let launch = Launch { argv: rendered, script: None, env, cwd, stdin: None };
                launch.must_fit()?;
                Ok((launch, shown))
            }
        }
    }
}

/// What reads a script, from the step's shell.
pub(crate) fn dialect_of(shell: &[String]) -> Dialect {
    let Some(program) = shell.first() else { return Dialect::Bash };
    match program.rsplit('/').next().unwrap_or_default() {
        "bash" => Dialect::Bash,
        "sh" | "dash" | "ash" => Dialect::Posix,
        _ => Dialect::Other,
    }
}

/// Whether a reference can only hold characters that no shell reads as more than text.
pub(crate) fn is_plain(plan: &Plan, scope: Option<usize>, reference: &Reference) -> bool {
    match reference.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["params", name] => {
            let plain = plan.call_of(scope).map_or(&plan.plain_params, |(_, call)| &call.plain_params);
            plain.iter().any(|plain| plain == name)
        }
        ["index"] => true,
        ["steps", _, field] => matches!(
            *field,
            "exit_code" | "attempts" | "duration" | "number" | "succeeded" | "failed" | "skipped"
        ),
        ["run", field] => matches!(*field, "interactive" | "failed" | "succeeded" | "id"),
        _ => false,
    }
}
