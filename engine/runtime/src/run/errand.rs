//! Attempts that need no keeper: a request, whose answer is the step's result, and a message to a channel.

use std::time::Duration;

use indexmap::IndexMap;
use runbook_core::event::Outcome;
use runbook_core::id::StepId;
use runbook_core::plan::Action;
use runbook_core::render::{Delivery, HttpCall, Measured, Notification, SecretView};
use runbook_core::schedule::AttemptResult;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;

use super::check::{run_command, told_to_end};
use super::dispatcher::Dispatcher;
use super::files::hex;
use super::message::Message;
use super::process::{Attempt, ProcessEnd, Workshop};
use crate::capture::{LogWriter, Stream};
use crate::keeper::{Ended, EndedBy};
use crate::probe::{self, Sample};

/// A step without a `timeout` has none; the clock wants a number all the same.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// What is told beside the steps (an escalation) is given up after so long.
const ASIDE_TIMEOUT: Duration = Duration::from_secs(30);

/// What is to be done.
pub(super) enum Errand {
    /// A request is to be sent.
    Http(HttpCall),
    /// A message is to be told.
    Tell(Delivery),
}

/// An attempt on its way.
pub(super) struct ErrandTask {
    /// The step, by index.
    pub(super) step: usize,
    /// How its command is run, where it is one; its `timeout` is the step's.
    pub(super) attempt: Attempt,
    /// What is to be done.
    pub(super) errand: Errand,
    /// Starts commands, and masks what servers answer.
    pub(super) workshop: Workshop,
    /// For the output of a command.
    pub(super) messages: UnboundedSender<Message>,
    /// True when the engine wants it to end.
    pub(super) ended: watch::Receiver<bool>,
}

/// How an errand ended.
#[derive(Debug, Default)]
pub(super) struct ErrandEnd {
    /// Why it failed whatever is expected, in words that a reason may begin with.
    failure: Option<String>,
    /// Why the answer is no success by itself.
    shortfall: Option<String>,
    /// The answer.
    measured: Measured,
    /// Of the log that holds its body.
    log_sha256: Option<String>,
    /// Bytes left out of it.
    dropped_bytes: u64,
    /// The log can't be written.
    store_failure: Option<String>,
    /// How long it took.
    duration_ms: u64,
    /// Whether the engine ended it.
    cut_off: bool,
}

impl ErrandTask {
    /// Carries it out.
    pub(super) async fn run(mut self) -> ErrandEnd {
        let started = Instant::now();
        let mut ended = self.ended.clone();
        let mut end = tokio::select! {
            end = self.carry_out() => end,
            () = told_to_end(&mut ended) => ErrandEnd { cut_off: true, ..ErrandEnd::default() },
        };
        end.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        end
    }

    async fn carry_out(&mut self) -> ErrandEnd {
        let limit = self.attempt.timeout;
        let sample = match &self.errand {
            Errand::Tell(delivery) => {
                let told = deliver(&self.workshop, &self.attempt, delivery, limit, &self.messages).await;
                return ErrandEnd { failure: told.err(), ..ErrandEnd::default() };
            }
            Errand::Http(call) => match send(call, limit).await {
                Ok(sample) => sample,
                Err(reason) => return ErrandEnd { failure: Some(reason), ..ErrandEnd::default() },
            },
        };
        self.record(sample).await
    }

    /// The answer, its body in the attempt's log. Whatever a server answers may hold what was sent to it.
    async fn record(&self, sample: Sample) -> ErrandEnd {
        let masker = &self.workshop.masker;
        let mut values: IndexMap<String, Value> =
            sample.values.into_iter().map(|(name, value)| (name, masker.json(&value))).collect();
        let body = values.get("body").and_then(Value::as_str).unwrap_or_default().to_owned();
        // What was masked is what later steps will see: so is the JSON of it.
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        values.insert("json".to_owned(), json);
        let path = self.workshop.dir.log_path(&self.attempt.files, self.attempt.number);
        let mode = self.workshop.dir.file_mode();
        let (limit, text) = (self.attempt.log_limit, body.clone());
        let written = tokio::task::spawn_blocking(move || {
            let mut log = LogWriter::new(path, mode, limit);
            log.append(Stream::Stdout, text.as_bytes());
            log.finish(&[])
        })
        .await;
        let (summary, dropped, error) = written.unwrap_or_default();
        ErrandEnd {
            shortfall: sample.reason.filter(|_| !sample.own_success).map(|reason| masker.text(&reason)),
            measured: Measured { values, stdout: Some(body), stderr: None },
            log_sha256: summary.map(|summary| hex(&summary.sha256)),
            dropped_bytes: dropped.total(),
            store_failure: error.map(|error| error.to_string()),
            ..ErrandEnd::default()
        }
    }
}

/// Sends a request: the answer, or why there is none, in words that a reason may begin with.
pub(super) async fn send(call: &HttpCall, timeout: Option<Duration>) -> Result<Sample, String> {
    let request = request_of(call);
    let limit = timeout.unwrap_or(NO_TIMEOUT);
    // Its own clock would tell of a time-out as of any other missing answer.
    match tokio::time::timeout(limit, probe::http::probe(&request, NO_TIMEOUT)).await {
        Err(_) => Err(timed_out(limit)),
        Ok(sample) => match sample.reached.clone() {
            Ok(()) => Ok(sample),
            Err(reason) => Err(format!("expectation: {reason}")),
        },
    }
}

/// The request as it is sent.
#[must_use]
pub(super) fn request_of(call: &HttpCall) -> probe::http::HttpRequest {
    probe::http::HttpRequest {
        method: call.method.clone(),
        url: call.url.clone(),
        headers: call.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        body: match (&call.json, &call.body) {
            (Some(json), _) => Some(probe::http::HttpBody::Json(json.clone())),
            (None, Some(text)) => Some(probe::http::HttpBody::Bytes(text.clone().into_bytes())),
            (None, None) => None,
        },
        insecure: call.insecure,
        follow: call.follow,
    }
}

/// Tells a message: nothing, or why it didn't arrive.
async fn deliver(
    workshop: &Workshop,
    attempt: &Attempt,
    delivery: &Delivery,
    timeout: Option<Duration>,
    messages: &UnboundedSender<Message>,
) -> Result<(), String> {
    match delivery {
        Delivery::Http(call) => {
            let sample = send(call, timeout).await?;
            if sample.own_success {
                return Ok(());
            }
            let why = sample.reason.unwrap_or_else(|| "no success".to_owned());
            let said = sample.values.get("body").and_then(Value::as_str).and_then(first_line);
            Err(match said {
                Some(said) => format!("expectation: {why}: {said}"),
                None => format!("expectation: {why}"),
            })
        }
        Delivery::Command(launch) => {
            let ran = run_command(workshop, attempt, launch.clone(), messages).await;
            let exit = match ran.end {
                ProcessEnd::Exited(exit) => exit,
                other => return Err(super::conclude::words(&other)),
            };
            match (exit.ended_by, exit.ended) {
                (Some(EndedBy::Timeout), _) => Err(timed_out(timeout.unwrap_or_default())),
                (_, Ended::Exited(0)) => Ok(()),
                (_, _) => {
                    let how = super::conclude::words(&ProcessEnd::Exited(exit));
                    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
                    Err(match text.lines().rev().find_map(first_line) {
                        Some(line) => format!("{how}: {line}"),
                        None => how,
                    })
                }
            }
        }
    }
}

fn timed_out(limit: Duration) -> String {
    format!("timeout after {}", runbook_core::duration::Duration::from(limit))
}

/// The first line of a text that says something, shortened.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(200).collect())
}

impl Dispatcher<'_> {
    /// Starts a request or a message.
    ///
    /// # Errors
    /// Where a text of it can't be rendered.
    pub(super) fn spawn_errand(
        &mut self,
        step: usize,
        attempt: u32,
        secrets: &SecretView<'_>,
    ) -> Result<(), String> {
        let plan = std::sync::Arc::clone(&self.state.plan);
        let known = &plan.steps[step];
        let errand = match &known.action {
            Action::Http(http) => {
                Errand::Http(self.texts.http_call(&plan, &self.state, step, &http.request, secrets)?)
            }
            Action::Notify(notify) => {
                let told = self.texts.notification(&plan, &self.state, step, secrets)?;
                let state = &self.state;
                let channel = &notify.channel;
                Errand::Tell(self.texts.delivery(&plan, state, Some(step), channel, &told, secrets)?)
            }
            _ => return Ok(()),
        };
        let (end, ended) = watch::channel(false);
        let task = ErrandTask {
            step,
            attempt: Attempt::beside(known, attempt),
            errand,
            workshop: self.workshop.clone(),
            messages: self.messages.clone(),
            ended,
        };
        if let Some(running) = self.tasks.get_mut(&step) {
            running.end_check = Some(end);
        }
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let step = task.step;
            let end = Box::new(task.run().await);
            let _ = messages.send(Message::Errand { step, attempt, end });
        });
        Ok(())
    }

    /// A request was answered, a message told, or neither.
    pub(super) fn errand_ended(&mut self, step: usize, attempt: u32, end: ErrandEnd) {
        let Some(task) = self.tasks.get(&step).filter(|task| task.attempt == attempt) else { return };
        let order = task.order.clone();
        self.tasks.remove(&step);
        if let Some(error) = end.store_failure {
            let id = &self.state.plan.steps[step].id;
            self.store_broke(format!("the answer to {id} can't be recorded: {error}"));
        }
        let failure = if end.cut_off {
            let reason = order.map_or_else(|| "stopped".to_owned(), |order| order.reason);
            Some((Outcome::Cancelled, reason))
        } else {
            end.failure.map(|reason| (Outcome::Failed, reason))
        };
        let mut result = AttemptResult {
            failure,
            duration_ms: end.duration_ms,
            log_sha256: end.log_sha256,
            dropped_bytes: end.dropped_bytes,
            ..AttemptResult::default()
        };
        let plan = std::sync::Arc::clone(&self.state.plan);
        self.texts.conclude_errand(&plan, &self.state, step, end.shortfall, end.measured, &mut result);
        self.keep_or_finish(step, attempt, result);
    }

    /// Tells the channel of an escalation who is waited for, and how to answer.
    pub(super) fn escalate(&mut self, id: &StepId, channel: &str) {
        let Some(step) = self.state.index_of(id) else { return };
        let elsewhere = self.state_directory.as_deref();
        let notification = self.texts.escalation(&self.state.plan, &self.state, step, elsewhere);
        self.tell_aside(step, channel, &notification);
    }

    /// Tells a channel something beside the steps, as an escalation does: what becomes of it is only logged.
    fn tell_aside(&mut self, about: usize, channel: &str, notification: &Notification) {
        let secrets = std::sync::Arc::clone(&self.workshop.secrets);
        let real = |name: &str| secrets.text_of(name);
        let view = SecretView::Real(&real);
        let plan = &self.state.plan;
        let delivery = self.texts.delivery(plan, &self.state, None, channel, notification, &view);
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::warn!(channel, %error, "a message can't be made");
                return;
            }
        };
        let number = self.state.steps[about].attempts;
        let beside = Attempt::beside(&plan.steps[about], number);
        let attempt = Attempt { timeout: Some(ASIDE_TIMEOUT), ..beside };
        let (workshop, channel) = (self.workshop.clone(), channel.to_owned());
        self.asides.spawn(async move {
            // What its command prints is nobody's output.
            let (messages, _nobody) = tokio::sync::mpsc::unbounded_channel();
            let told = deliver(&workshop, &attempt, &delivery, Some(ASIDE_TIMEOUT), &messages).await;
            if let Err(error) = told {
                let error = workshop.masker.text(&error);
                tracing::warn!(channel, %error, "a message was not delivered");
            }
        });
    }
}
