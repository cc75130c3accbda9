//! A check over time: one probe after the other, until it is known.

use std::time::Duration;

use indexmap::IndexMap;
use runbook_core::event::EventKind;
use runbook_core::plan::Check;
use runbook_core::render::{Measured, ProbeCall, Verdict};
use runbook_core::schedule::{Next, Progress};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::errand::request_of;
use super::message::{CheckEnd, Message, Purpose};
use super::process::{Attempt, ProcessEnd, Workshop};
use crate::keeper::{Ended, EndedBy};
use crate::probe;

/// How long a network probe may take where the step doesn't say.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
/// At most one sample in so much time is recorded where nothing changes.
const SAMPLE_EVERY: Duration = Duration::from_secs(60);
/// The most characters of one measured value that a sample records.
const SAMPLE_VALUE_CHARACTERS_MAX: usize = 200;

/// A check that is to be carried out.
pub(super) struct CheckTask {
    /// The step, by index.
    pub step: usize,
    /// Which of its checks it is.
    pub purpose: Purpose,
    /// What is expected, and for how long.
    pub check: Check,
    /// The probe, rendered.
    pub call: ProbeCall,
    /// How a probe that is a command is run; its `timeout` is the step's.
    pub attempt: Attempt,
    /// What commands are started with.
    pub workshop: Workshop,
    /// Where samples are judged and recorded.
    pub messages: UnboundedSender<Message>,
    /// Whether an expression of the step looks at `series`, so that there may be several.
    pub looks_at_series: bool,
    /// An expression names `sha256`: only then is the whole file read.
    pub looks_at_hash: bool,
    /// True when the engine wants the check to end.
    pub ended: watch::Receiver<bool>,
}

/// What one probe gave.
struct Seen {
    measured: Measured,
    own_success: Result<(), String>,
    /// Without data nothing is judged: no expectation passes on nothing (language.md §5).
    has_data: bool,
}

/// What a command came to that is run beside the steps' own.
pub(super) struct Ran {
    pub(super) end: ProcessEnd,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs a command without a witness and without a log, and collects what it prints.
pub(super) async fn run_command(
    workshop: &Workshop,
    attempt: &Attempt,
    launch: runbook_core::render::Launch,
    messages: &UnboundedSender<Message>,
) -> Ran {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let end = workshop.run(attempt, launch, None, &sender, |_| {}).await;
    drop(sender);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Ok(message) = receiver.try_recv() {
        if let Message::Output { stream, bytes, step, attempt } = message {
            match stream {
                crate::capture::Stream::Stdout => stdout.extend_from_slice(&bytes),
                crate::capture::Stream::Stderr => stderr.extend_from_slice(&bytes),
                crate::capture::Stream::Outputs => {}
            }
            let _ = messages.send(Message::Output { step, attempt, stream, bytes });
        }
    }
    Ran { end, stdout, stderr }
}

impl CheckTask {
    /// Carries the check out.
    pub(super) async fn run(mut self) -> CheckEnd {
        let started = Instant::now();
        let mut progress = Progress::new(&self.check);
        let mut recorder = SampleRecorder::default();
        loop {
            let mut ended = self.ended.clone();
            let seen = tokio::select! {
                seen = self.probe() => seen,
                () = told_to_end(&mut ended) => return cut_off(started, Measured::default()),
            };
            let Some(verdict) = self.judge(&seen).await else { return cut_off(started, seen.measured) };
            let ok = verdict.failure.is_none();
            let now = started.elapsed();
            let next = progress.sampled(ok, now);
            recorder.note(&self, ok, &seen.measured, verdict.failure.as_deref(), next != Next::Again);
            let failure = match next {
                Next::Again => {
                    let due = started + progress.next_at(self.check.every.into(), now);
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = told_to_end(&mut ended) => return cut_off(started, seen.measured),
                    }
                    continue;
                }
                Next::Passed => None,
                Next::Failed(more) => {
                    let why = verdict.failure.unwrap_or_default();
                    Some(match more {
                        Some(more) => format!("{why} ({more})"),
                        None => why,
                    })
                }
            };
            return CheckEnd {
                failure,
                measured: seen.measured,
                warnings: verdict.warnings,
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                cut_off: false,
                no_data: !seen.has_data,
            };
        }
    }

    async fn judge(&self, seen: &Seen) -> Option<Verdict> {
        if let (false, Err(reason)) = (seen.has_data, &seen.own_success) {
            return Some(Verdict { failure: Some(reason.clone()), warnings: Vec::new() });
        }
        let (reply, verdict) = oneshot::channel();
        let message = Message::Judge {
            step: self.step,
            purpose: self.purpose,
            measured: Box::new(seen.measured.clone()),
            own_success: seen.own_success.clone(),
            reply,
        };
        self.messages.send(message).ok()?;
        verdict.await.ok()
    }

    async fn probe(&mut self) -> Seen {
        let timeout = self.attempt.timeout.unwrap_or(NETWORK_TIMEOUT);
        let folder = |cwd: &Option<String>| match cwd {
            Some(cwd) => self.workshop.environment.root.join(cwd),
            None => self.workshop.environment.root.clone(),
        };
        let sample = match &self.call {
            ProbeCall::Run(launch) => return self.run_command(launch.clone()).await,
            ProbeCall::Tcp(address) => probe::tcp::probe(address, timeout).await,
            ProbeCall::File { path, cwd } => {
                let wanted = if self.looks_at_hash {
                    probe::file::Checksum::Wanted
                } else {
                    probe::file::Checksum::Skipped
                };
                probe::file::probe(&folder(cwd).join(path), wanted, timeout).await
            }
            ProbeCall::Http(call) => probe::http::probe(&request_of(call), timeout).await,
            ProbeCall::Dns { name, record_type } => probe::dns::probe(name, *record_type, timeout).await,
            ProbeCall::Tls(address) => probe::tls::probe(address, timeout).await,
            ProbeCall::Disk { path, cwd } => probe::disk::probe(&folder(cwd).join(path), timeout).await,
            ProbeCall::Prometheus { url, query, empty } => {
                let request = probe::prometheus::PrometheusRequest {
                    url: url.clone(),
                    query: query.clone(),
                    empty: *empty,
                };
                let series = if self.looks_at_series {
                    probe::prometheus::Series::Any
                } else {
                    probe::prometheus::Series::One
                };
                probe::prometheus::probe(&request, series, timeout).await
            }
            ProbeCall::Postgres { url, query } => {
                let request = probe::postgres::PostgresRequest { url: url.clone(), query: query.clone() };
                probe::postgres::probe(&request, timeout).await
            }
            ProbeCall::Redis { url, command } => {
                let request = probe::redis::RedisRequest { url: url.clone(), command: command.clone() };
                probe::redis::probe(&request, timeout).await
            }
        };
        let own_success = match (&sample.reached, sample.own_success) {
            (Ok(()), true) => Ok(()),
            _ => Err(sample.reason.clone().unwrap_or_else(|| "no success".into())),
        };
        // Whatever a server answers may hold what was sent to it.
        let masker = &self.workshop.masker;
        let values = if masker.is_empty() {
            sample.values
        } else {
            sample.values.into_iter().map(|(name, value)| (name, masker.json(&value))).collect()
        };
        let own_success = own_success.map_err(|reason| masker.text(&reason));
        let has_data = sample.reached.is_ok();
        Seen { measured: Measured { values, stdout: None, stderr: None }, own_success, has_data }
    }

    async fn run_command(&self, launch: runbook_core::render::Launch) -> Seen {
        let Ran { end, stdout, stderr } =
            run_command(&self.workshop, &self.attempt, launch, &self.messages).await;
        let mut values = IndexMap::new();
        let own_success = match end {
            ProcessEnd::Exited(exit) => match (exit.ended_by, exit.ended) {
                (Some(EndedBy::Timeout), _) => {
                    let limit = self.attempt.timeout.unwrap_or_default();
                    Err(format!("timed out after {}", runbook_core::duration::Duration::from(limit)))
                }
                (_, Ended::Exited(code)) => {
                    values.insert("exit_code".into(), code.into());
                    if code == 0 { Ok(()) } else { Err(with_last_line(format!("exit {code}"), &stderr)) }
                }
                (_, Ended::Signalled(number)) => Err(format!("signal {}", super::exit::signal_name(number))),
                (_, Ended::NotSpawned(failure)) => Err(failure.to_string()),
                (_, Ended::StillRunning) => Err("the probe may not be signalled, and still runs".to_owned()),
            },
            ProcessEnd::NotStarted(reason) => Err(reason.to_string()),
            ProcessEnd::Lost => Err("the probe's keeper is gone".to_owned()),
        };
        let text = |bytes: Vec<u8>| Some(String::from_utf8_lossy(&bytes).into_owned());
        let has_data = values.contains_key("exit_code");
        Seen {
            measured: Measured { values, stdout: text(stdout), stderr: text(stderr) },
            own_success,
            has_data,
        }
    }
}

/// A failed command's status with the last line that it complained in.
fn with_last_line(status: String, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{status}: {}", line.trim().chars().take(200).collect::<String>()),
        None => status,
    }
}

pub(super) async fn told_to_end(ended: &mut watch::Receiver<bool>) {
    if ended.wait_for(|ended| *ended).await.is_err() {
        // The dispatcher is gone; so will be this task.
        std::future::pending::<()>().await;
    }
}

fn cut_off(started: Instant, measured: Measured) -> CheckEnd {
    CheckEnd {
        failure: None,
        measured,
        warnings: Vec::new(),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        cut_off: true,
        no_data: false,
    }
}

/// Chooses which samples are recorded: the first, the last, each change, and
/// at most one a minute (`cli.md`).
#[derive(Default)]
struct SampleRecorder {
    last: Option<(bool, Instant)>,
}

impl SampleRecorder {
    fn note(&mut self, task: &CheckTask, ok: bool, measured: &Measured, reason: Option<&str>, is_last: bool) {
        let now = Instant::now();
        let wanted = match self.last {
            None => true,
            Some((before, at)) => is_last || before != ok || now.duration_since(at) >= SAMPLE_EVERY,
        };
        // Samples are of attempts; of `done_when` only what it says is recorded.
        if !wanted || task.purpose == Purpose::DoneWhen {
            return;
        }
        self.last = Some((ok, now));
        let values = measured.values.iter().map(|(name, value)| (name.clone(), shortened(value))).collect();
        let _ = task.messages.send(Message::Record(EventKind::Sample {
            step: task.attempt.step.clone(),
            ok,
            values,
            reason: reason.map(str::to_owned),
        }));
    }
}

/// A value as a sample records it.
#[must_use]
pub(super) fn shortened(value: &serde_json::Value) -> serde_json::Value {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => value.to_string(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            return value.clone();
        }
    };
    let count = text.chars().count();
    if count <= SAMPLE_VALUE_CHARACTERS_MAX {
        return value.clone();
    }
    let beginning: String = text.chars().take(SAMPLE_VALUE_CHARACTERS_MAX).collect();
    format!("{beginning}… ({count} characters)").into()
}
