//! How an attempt ends: by its stub, and by what the runbook expects.

use std::time::Duration;

use serde_json::{Value, json};

use super::stubs::Found;
use crate::document::model::Stub;
use crate::event::Outcome;
use crate::plan::{Action, Check, Plan, Probe, Run};
use crate::render::{Measured, SecretView, Texts, reason_of_check, recordable};
use crate::schedule::{AttemptResult, KeptFile, Next, Progress};
use crate::state::RunState;

/// How long a probe over the network may take where the step doesn't say (`language.md` §3).
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
/// The most probes of one check that are made one by one.
const PROBES_MAX: usize = 100_000;

/// How an attempt ends, and when.
pub(super) struct End {
    /// From its start.
    pub(super) after: Duration,
    /// What it comes to; none where the engine dies first.
    pub(super) result: Option<Box<AttemptResult>>,
    /// What it printed.
    pub(super) stdout: String,
    /// The same to standard error.
    pub(super) stderr: String,
}

/// What the end of an attempt follows from.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) texts: &'a Texts,
    pub(super) plan: &'a Plan,
    pub(super) state: &'a RunState,
    /// The step, by index.
    pub(super) step: usize,
    /// How many attempts there were before.
    pub(super) earlier: usize,
    /// How many of them the engine did not survive.
    pub(super) died: usize,
}

impl Attempt<'_> {
    /// How it ends.
    pub(super) fn end(self, stub: Found<'_>) -> End {
        if let Err(error) = self.render() {
            return End::failed(format!("template: {error}"));
        }
        let stubs = match stub {
            Found::Given(stubs) => stubs,
            Found::Succeeds | Found::Missing => &[],
        };
        let action = &self.plan.steps[self.step].action;
        // A check's stubs are for its probes, one after the other; an attempt that the engine did not survive is made again by the same.
        let turn = self.earlier.saturating_sub(self.died);
        let nothing = Stub::nothing();
        let own = stubs.get(turn).or(stubs.last()).unwrap_or(&nothing);
        let dies = match action {
            Action::Check(_) => stubs.iter().any(|stub| stub.interrupted) && self.died == 0,
            _ => own.interrupted && self.died == 0,
        };
        if dies {
            return End { result: None, ..End::succeeded(own) };
        }
        let mut end = match action {
            Action::Run(run) => self.command(run, own),
            Action::Check(check) => {
                let probes = if stubs.is_empty() { std::slice::from_ref(&nothing) } else { stubs };
                // Without `within` the first sample decides: the next attempt takes the next stub. With it each attempt has the whole list.
                let from =
                    if Progress::new(check).end() == Duration::ZERO { turn.min(probes.len() - 1) } else { 0 };
                self.check(check, &probes[from..])
            }
            Action::Http(_) | Action::Notify(_) => self.errand(own),
            _ => End::succeeded(own),
        };
        self.keep(&mut end);
        if let Some(result) = &mut end.result {
            result.duration_ms = u64::try_from(end.after.as_millis()).unwrap_or(u64::MAX);
        }
        end
    }

    /// All that would be handed to a process or server must be there, as in a run.
    fn render(self) -> Result<(), String> {
        let Self { texts, plan, state, step, .. } = self;
        // A secret has a value, which nobody sees.
        let value = |_: &str| Some("secret".to_owned());
        let secrets = SecretView::Real(&value);
        match &plan.steps[step].action {
            Action::Run(run) => {
                texts.launch(plan, state, step, &secrets)?;
                if let Some(ready) = &run.background {
                    texts.probe(plan, state, step, ready, &secrets)?;
                }
            }
            Action::Check(check) => {
                texts.probe(plan, state, step, check, &secrets)?;
            }
            Action::Http(http) => {
                texts.http_call(plan, state, step, &http.request, &secrets)?;
            }
            Action::Notify(notify) => {
                let told = texts.notification(plan, state, step, &secrets)?;
                texts.delivery(plan, state, Some(step), &notify.channel, &told, &secrets)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn timeout(self) -> Option<Duration> {
        self.plan.steps[self.step].timeout.map(Into::into)
    }

    /// An attempt that would take longer than it may; none where it wouldn't.
    fn timed_out(self, stub: &Stub) -> Option<End> {
        let limit = self.timeout().filter(|limit| *limit < stub.takes())?;
        let reason = format!("timeout after {}", crate::duration::Duration::from(limit));
        Some(End { after: limit, ..End::failed(reason) }.saying(stub))
    }

    /// A command.
    fn command(self, run: &Run, stub: &Stub) -> End {
        if run.background.is_some() {
            return self.background(run, stub);
        }
        if let Some(end) = self.timed_out(stub) {
            return end;
        }
        let mut result = exit_of(stub);
        result.outputs = outputs_of(stub);
        let Self { texts, plan, state, step, .. } = self;
        if stub.says_nothing() {
            // It succeeds; what it would have printed isn't known.
            if let Ok(declared) = texts.step_outputs(plan, state, step, &stub.measured(), &result.outputs) {
                result.outputs.extend(declared);
            }
        } else {
            let mut measured = stub.measured();
            if let Some(code) = result.exit_code {
                measured.values.insert("exit_code".into(), code.into());
            }
            let exited = result.exit_code.is_some();
            texts.conclude_command(plan, state, step, exited, &mut result, || Ok(measured));
        }
        End::of(stub, result)
    }

    /// A command that lives on: it passes when what it must reach is reached.
    fn background(self, run: &Run, stub: &Stub) -> End {
        let ended = exit_of(stub).failure;
        if let Some((_, how)) = ended {
            let reason = format!("{how} before it was ready");
            return End { after: stub.takes(), ..End::failed(reason) }.saying(stub);
        }
        let Some(ready) = &run.background else { return End::succeeded(stub) };
        let asks_nothing = stub.sample.0.is_empty();
        let probe = if asks_nothing { Stub::nothing() } else { stub.clone() };
        let mut end = self.check(ready, std::slice::from_ref(&probe));
        if let Some(result) = &mut end.result {
            if let Some((_, reason)) = &mut result.failure {
                let why = reason.trim_start_matches("expectation: ");
                *reason = format!("expectation: it was not ready: {why}");
            }
            result.exit_code = None;
            result.outputs.extend(outputs_of(stub));
        }
        end.after = end.after.max(stub.takes());
        end
    }

    /// A request or a message.
    fn errand(self, stub: &Stub) -> End {
        if let Some(end) = self.timed_out(stub) {
            return end;
        }
        let Self { texts, plan, state, step, .. } = self;
        if let Some(reason) = unreached(stub) {
            return End { after: stub.takes(), ..End::failed(format!("expectation: {reason}")) };
        }
        let is_http = matches!(plan.steps[step].action, Action::Http(_));
        let mut result = AttemptResult::default();
        if stub.says_nothing() || !is_http {
            if is_http {
                result.values.insert("status".into(), 200.into());
            }
            if let Ok(declared) = texts.step_outputs(plan, state, step, &stub.measured(), &result.outputs) {
                result.outputs.extend(declared);
            }
        } else {
            let measured = http_measured(stub);
            let shortfall = http_shortfall(&measured);
            texts.conclude_errand(plan, state, step, shortfall, measured, &mut result);
        }
        End::of(stub, result)
    }

    /// A check over simulated time: probe after probe, each by its stub.
    fn check(self, check: &Check, stubs: &[Stub]) -> End {
        let every = Duration::from(check.every).max(Duration::from_millis(1));
        let mut progress = Progress::new(check);
        let mut now = Duration::ZERO;
        let mut judged: Vec<Option<Sample>> = vec![None; stubs.len()];
        let mut probe = 0;
        loop {
            let at = probe.min(stubs.len() - 1);
            let sample: &Sample = judged[at].get_or_insert_with(|| self.sample(check, &stubs[at]));
            now += sample.takes;
            let ok = sample.failure.is_none();
            let mut next = progress.sampled(ok, now);
            // From here on all samples are alike: there is only one way on.
            let settled =
                at + 1 == stubs.len() && (ok || progress.end() == Duration::ZERO || probe >= PROBES_MAX);
            if next == Next::Again && settled {
                now = now.max(progress.end());
                next = progress.sampled(ok, now);
            }
            match next {
                Next::Again => now = progress.next_at(every, now),
                Next::Passed => return self.checked(sample.clone(), &stubs[at], now, None),
                Next::Failed(more) => {
                    let why = sample.failure.clone().unwrap_or_default();
                    let why = more.map_or(why.clone(), |more| format!("{why} ({more})"));
                    return self.checked(sample.clone(), &stubs[at], now, Some(why));
                }
            }
            probe += 1;
        }
    }

    fn checked(self, sample: Sample, stub: &Stub, after: Duration, failure: Option<String>) -> End {
        let Self { texts, plan, state, step, .. } = self;
        let exit_code = sample.measured.values.get("exit_code").and_then(Value::as_i64);
        let mut result = AttemptResult {
            values: recordable(&sample.measured),
            exit_code: exit_code.and_then(|code| code.try_into().ok()),
            warnings: sample.warnings,
            failure: failure.map(|why| (Outcome::Failed, reason_of_check(&why))),
            ..AttemptResult::default()
        };
        if result.failure.is_none() {
            if stub.says_nothing() {
                if let Ok(declared) = texts.step_outputs(plan, state, step, &sample.measured, &result.outputs)
                {
                    result.outputs.extend(declared);
                }
            } else {
                texts.declare_outputs(plan, state, step, &sample.measured, &mut result);
            }
        }
        End { after, result: Some(Box::new(result)), stdout: stub.printed(), stderr: stub.complaints() }
    }

    /// One probe.
    fn sample(self, check: &Check, stub: &Stub) -> Sample {
        let takes = stub.takes();
        let limit = match check.probe {
            Probe::Run(_) => self.timeout(),
            _ => Some(self.timeout().unwrap_or(NETWORK_TIMEOUT)),
        };
        if let Some(limit) = limit.filter(|limit| *limit < takes) {
            let limit_shown = crate::duration::Duration::from(limit);
            return Sample::without_data(limit, format!("timed out after {limit_shown}"));
        }
        let (measured, own_success) = match &check.probe {
            Probe::Run(_) => command_measured(stub),
            _ if unreached(stub).is_some() => {
                return Sample::without_data(takes, unreached(stub).unwrap_or_default());
            }
            Probe::Http(_) => {
                let measured = http_measured(stub);
                let own = http_shortfall(&measured).map_or(Ok(()), Err);
                (measured, own)
            }
            Probe::Tcp(_) => flagged(stub, "open", "the port is closed"),
            Probe::Tls(_) => flagged(stub, "valid", "the certificate is not valid"),
            Probe::File(_) => flagged(stub, "exists", "the file does not exist"),
            Probe::Dns(_) | Probe::Disk(_) | Probe::Prometheus(_) | Probe::Postgres(_) | Probe::Redis(_) => {
                (timed(stub), Ok(()))
            }
        };
        if stub.says_nothing() {
            return Sample { takes, measured, failure: None, warnings: Vec::new() };
        }
        let verdict = self.texts.judge_check(self.plan, self.state, self.step, check, &measured, own_success);
        Sample { takes, measured, failure: verdict.failure, warnings: verdict.warnings }
    }

    /// Files are not there to be kept; those that are named without wildcards count as kept.
    fn keep(self, end: &mut End) {
        let Some(result) = end.result.as_mut().filter(|result| result.failure.is_none()) else { return };
        if self.plan.steps[self.step].artifacts.is_empty() {
            return;
        }
        // The step's own outputs are in sight: they are not in the state yet.
        let mut seen = self.state.clone();
        seen.steps[self.step].result.outputs.clone_from(&result.outputs);
        seen.steps[self.step].result.exit_code = result.exit_code;
        match self.texts.artifacts(self.plan, &seen, self.step) {
            Ok(globs) => {
                let named = globs.into_iter().filter(|glob| !glob.contains(['*', '?', '[']));
                result.artifacts =
                    named.map(|path| KeptFile { path, size: 0, sha256: String::new() }).collect();
            }
            Err(error) => result.failure = Some((Outcome::Failed, format!("template: {error}"))),
        }
    }
}

/// What a probe saw.
#[derive(Clone)]
struct Sample {
    takes: Duration,
    measured: Measured,
    failure: Option<String>,
    warnings: Vec<String>,
}

impl Sample {
    fn without_data(takes: Duration, why: String) -> Self {
        Self { takes, measured: Measured::default(), failure: Some(why), warnings: Vec::new() }
    }
}

impl End {
    fn of(stub: &Stub, result: AttemptResult) -> Self {
        Self { result: Some(Box::new(result)), ..Self::succeeded(stub) }
    }

    fn succeeded(stub: &Stub) -> Self {
        let result = AttemptResult { exit_code: Some(0), ..AttemptResult::default() };
        Self {
            after: stub.takes(),
            result: Some(Box::new(result)),
            stdout: stub.printed(),
            stderr: stub.complaints(),
        }
    }

    fn failed(reason: String) -> Self {
        let failure = Some((Outcome::Failed, reason));
        let result = AttemptResult { failure, ..AttemptResult::default() };
        Self {
            after: Duration::ZERO,
            result: Some(Box::new(result)),
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    /// The same, with what its stub prints.
    fn saying(mut self, stub: &Stub) -> Self {
        (self.stdout, self.stderr) = (stub.printed(), stub.complaints());
        if let Some(result) = &mut self.result {
            result.outputs = outputs_of(stub);
        }
        self
    }
}

impl Stub {
    /// A stub that says nothing.
    fn nothing() -> Self {
        Self {
            exit_code: None,
            stdout: None,
            stderr: None,
            outputs: crate::document::text::Named::default(),
            interrupted: false,
            done: false,
            duration: None,
            sample: crate::document::model::Sample::default(),
        }
    }
}

/// How a command ended.
fn exit_of(stub: &Stub) -> AttemptResult {
    if let Some(Value::String(signal)) = stub.value("signal") {
        let failure = Some((Outcome::Failed, format!("signal {signal}")));
        return AttemptResult { failure, signal: Some(signal), ..AttemptResult::default() };
    }
    let code = i32::from(stub.exit_code.unwrap_or(0));
    let failure = (code != 0).then(|| (Outcome::Failed, format!("exit {code}")));
    AttemptResult { failure, exit_code: Some(code), ..AttemptResult::default() }
}

/// What it wrote to `RUNBOOK_OUTPUT`.
fn outputs_of(stub: &Stub) -> indexmap::IndexMap<String, Value> {
    stub.outputs.iter().map(|(name, value)| (name.to_string(), Value::String(value.to_string()))).collect()
}

/// Why a server or network gave no answer: its stub has an exit code other than 0.
fn unreached(stub: &Stub) -> Option<String> {
    stub.exit_code.filter(|code| *code != 0)?;
    let said = stub.complaints();
    let line = said.lines().rev().find(|line| !line.trim().is_empty());
    Some(line.map_or_else(|| "no answer".to_owned(), |line| line.trim().to_owned()))
}

fn command_measured(stub: &Stub) -> (Measured, Result<(), String>) {
    let mut measured = stub.measured();
    let ended = exit_of(stub);
    if let Some(code) = ended.exit_code {
        measured.values.insert("exit_code".into(), code.into());
    }
    let own = match ended.failure {
        None => Ok(()),
        Some((_, how)) => {
            let said = stub.complaints();
            let line = said.lines().rev().find(|line| !line.trim().is_empty());
            Err(line.map_or_else(|| how.clone(), |line| format!("{how}: {}", line.trim())))
        }
    };
    (measured, own)
}

/// The variables of an answer over HTTP.
fn http_measured(stub: &Stub) -> Measured {
    let mut measured = timed(stub);
    measured.values.entry("status".into()).or_insert_with(|| 200.into());
    measured.values.entry("headers".into()).or_insert_with(|| json!({}));
    let body = stub.printed();
    if !measured.values.contains_key("json")
        && let Ok(json) = serde_json::from_str::<Value>(&body)
    {
        measured.values.insert("json".into(), json);
    }
    measured.values.insert("body".into(), Value::String(body));
    measured
}

fn http_shortfall(measured: &Measured) -> Option<String> {
    let status = measured.values.get("status")?;
    let good = status.as_i64().is_some_and(|status| (200..300).contains(&status));
    (!good).then(|| format!("status {status}"))
}

/// A probe whose success is a variable.
fn flagged(stub: &Stub, name: &str, otherwise: &str) -> (Measured, Result<(), String>) {
    let mut measured = timed(stub);
    let flag = measured.values.entry(name.to_owned()).or_insert(Value::Bool(true));
    let own = if *flag == Value::Bool(true) { Ok(()) } else { Err(otherwise.to_owned()) };
    (measured, own)
}

/// What a stub measures, with how long it took.
fn timed(stub: &Stub) -> Measured {
    let mut measured = stub.measured();
    measured.values.entry("elapsed".into()).or_insert_with(|| json!(stub.takes().as_secs_f64()));
    Measured { stdout: None, stderr: None, ..measured }
}
