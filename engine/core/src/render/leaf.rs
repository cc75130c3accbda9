//! Waits, requests, messages and probes: what is sent, and how people are shown it.

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::context::{Missing, SecretView, parse_template, refuse_mask};
use super::launch::{HttpCall, Launch, ProbeCall};
use super::texts::{Texts, missing_of, render_json};
use super::until::moment_of;
use crate::moment::Moment;
use crate::plan::{Action, Channel, HttpRequest, Plan, Probe, Wait};
use crate::state::RunState;
use crate::template::{Reference, Value, display_argv, quote_for_display};

/// A message, ready to be told to a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notification {
    /// The text.
    pub message: String,
    /// A heading; empty where there is none.
    pub title: String,
    /// How serious it is; empty where that isn't said.
    pub severity: String,
}

/// A message on its way: what a channel does with it. Its texts may hold secrets.
#[derive(Clone, PartialEq)]
pub enum Delivery {
    /// A request that must be answered with a status of 200–299.
    Http(HttpCall),
    /// A command that must exit with 0.
    Command(Launch),
}

impl Texts {
    /// The request of an `http` step.
    ///
    /// # Errors
    /// Where a text can't be rendered, or a value would hold a mask.
    pub fn http_call(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        request: &HttpRequest,
        secrets: &SecretView<'_>,
    ) -> Result<HttpCall, String> {
        let text = |source: &str| {
            let value = self.text(plan, state, step, source, secrets, missing_of(plan, step))?;
            // For people a secret is shown by its mask.
            if matches!(secrets, SecretView::Real(_)) {
                refuse_mask(&value)?;
            }
            Ok(value)
        };
        let mut headers = IndexMap::new();
        for (name, value) in &request.headers {
            headers.insert(name.clone(), text(value)?);
        }
        Ok(HttpCall {
            url: text(&request.url)?,
            method: request.method.clone(),
            headers,
            json: request.json.as_ref().map(|json| render_json(json, &text)).transpose()?,
            body: request.body.as_deref().map(text).transpose()?,
            insecure: request.insecure,
            follow: request.follow,
        })
    }

    /// The message of a `notify` step.
    ///
    /// # Errors
    /// Where a text can't be rendered.
    pub fn notification(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        secrets: &SecretView<'_>,
    ) -> Result<Notification, String> {
        let Action::Notify(notify) = &plan.steps[step].action else {
            return Err("the step tells nobody anything".into());
        };
        let text = |source: &Option<String>| match source {
            Some(source) => self.text(plan, state, step, source, secrets, Missing::Shown),
            None => Ok(String::new()),
        };
        Ok(Notification {
            message: self.text(plan, state, step, &notify.message, secrets, Missing::Shown)?,
            title: text(&notify.title)?,
            severity: text(&notify.severity)?,
        })
    }

    /// What one of the plan's channels does with a message. `step` gives a command its environment.
    ///
    /// # Errors
    /// Where the plan has no such channel, or a text of it can't be rendered.
    pub fn delivery(
        &self,
        plan: &Plan,
        state: &RunState,
        step: Option<usize>,
        channel: &str,
        notification: &Notification,
        secrets: &SecretView<'_>,
    ) -> Result<Delivery, String> {
        let Some(channel) = plan.channels.get(channel) else {
            return Err(format!("the plan has no channel `{channel}`"));
        };
        let text = |source: &str| self.channel_text(plan, state, source, notification, secrets);
        let post = |url: String, headers: IndexMap<String, String>, json: Json| {
            Delivery::Http(HttpCall {
                url,
                method: "POST".to_owned(),
                headers,
                json: Some(json),
                body: None,
                insecure: false,
                follow: false,
            })
        };
        Ok(match channel {
            Channel::Slack { url } => {
                post(text(url)?, IndexMap::new(), json!({"text": slack_text(notification)}))
            }
            Channel::Webhook { url, headers, json } => {
                let body = match json {
                    Some(json) => render_json(json, &text)?,
                    None => json!({
                        "title": notification.title,
                        "message": notification.message,
                        "severity": notification.severity,
                        "runbook": plan.runbook,
                        "run": self.facts.id.as_str(),
                    }),
                };
                let mut rendered = IndexMap::new();
                for (name, value) in headers {
                    rendered.insert(name.clone(), text(value)?);
                }
                post(text(url)?, rendered, body)
            }
            Channel::Command(argv) => {
                let argv = argv.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
                let env = match step {
                    Some(_) => self
                        .sight(plan, state, step, secrets, Missing::Shown)
                        .environment()?
                        .into_iter()
                        .collect(),
                    None => Vec::new(),
                };
                Delivery::Command(Launch { argv, script: None, env, cwd: None, stdin: None })
            }
        })
    }

    fn channel_text(
        &self,
        plan: &Plan,
        state: &RunState,
        source: &str,
        notification: &Notification,
        secrets: &SecretView<'_>,
    ) -> Result<String, String> {
        if !source.contains("{{") {
            return Ok(source.to_owned());
        }
        let template = parse_template(source)?;
        let references: Vec<&Reference> = template.references().iter().collect();
        let mut context = self.sight(plan, state, None, secrets, Missing::Shown).context(&references)?;
        let Notification { message, title, severity } = notification;
        for (name, value) in [("message", message), ("title", title), ("severity", severity)] {
            context.set(name, Value::from(value.as_str()));
        }
        template.render(&context).map_err(|error| error.message)
    }

    /// When a `wait` that starts now is over; none for any other step.
    ///
    /// # Errors
    /// Where a text can't be rendered or is no moment.
    pub(super) fn wait_end(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        now: Moment,
    ) -> Result<Option<Moment>, String> {
        let Action::Wait(wait) = &plan.steps[step].action else { return Ok(None) };
        match wait {
            Wait::For(span) => Ok(Some(now.after((*span).into()))),
            Wait::Until(until) => {
                let masked = SecretView::Masked;
                let text =
                    |source: &str| self.text(plan, state, step, source, &masked, missing_of(plan, step));
                let tz = until.tz.as_deref().map(text).transpose()?;
                moment_of(&text(&until.until)?, tz.as_deref()).map(Some).map_err(|error| error.message)
            }
        }
    }

    /// A probe that is no command, ready to be made.
    pub(super) fn probe_call(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        probe: &Probe,
        secrets: &SecretView<'_>,
    ) -> Result<ProbeCall, String> {
        let missing = missing_of(plan, step);
        let text = |source: &str| {
            let value = self.text(plan, state, step, source, secrets, missing)?;
            if matches!(secrets, SecretView::Real(_)) {
                refuse_mask(&value)?;
            }
            Ok::<_, String>(value)
        };
        let cwd = || plan.steps[step].cwd.as_deref().map(text).transpose();
        Ok(match probe {
            Probe::Run(_) => return Err("the probe is a command".to_owned()),
            Probe::Http(request) => ProbeCall::Http(self.http_call(plan, state, step, request, secrets)?),
            Probe::Tcp(address) => ProbeCall::Tcp(text(address)?),
            Probe::File(path) => ProbeCall::File { path: text(path)?, cwd: cwd()? },
            Probe::Dns(dns) => ProbeCall::Dns { name: text(&dns.name)?, record_type: dns.record_type },
            Probe::Tls(address) => ProbeCall::Tls(text(address)?),
            Probe::Disk(path) => ProbeCall::Disk { path: text(path)?, cwd: cwd()? },
            Probe::Prometheus(prometheus) => ProbeCall::Prometheus {
                url: text(&prometheus.url)?,
                query: text(&prometheus.query)?,
                empty: prometheus.empty,
            },
            Probe::Postgres(postgres) => {
                ProbeCall::Postgres { url: text(&postgres.url)?, query: text(&postgres.query)? }
            }
            Probe::Redis(redis) => ProbeCall::Redis {
                url: text(&redis.url)?,
                command: redis.command.iter().map(|word| text(word)).collect::<Result<_, _>>()?,
            },
        })
    }
}

/// What Slack shows. Characters that it reads as commands (`<!channel>`) are made text: values in a message are data.
fn slack_text(notification: &Notification) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let Notification { message, title, severity } = notification;
    let severity = if severity.is_empty() { String::new() } else { format!("[{}] ", escape(severity)) };
    if title.is_empty() {
        format!("{severity}{}", escape(message))
    } else {
        format!("{severity}*{}*\n{}", escape(title), escape(message))
    }
}

/// What a step without a command is shown as: `GET https://…`, `wait 2m`. `None` where it is shown in another way.
pub(crate) fn shown_leaf(
    action: &Action,
    text: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Option<Result<String, String>> {
    match action {
        Action::Http(http) => Some(shown_request(&http.request, text)),
        Action::Notify(notify) => {
            Some(text(&notify.message).map(|message| format!("notify {}: {message}", notify.channel)))
        }
        Action::Wait(Wait::For(span)) => Some(Ok(format!("wait {span}"))),
        Action::Wait(Wait::Until(until)) => {
            let tz = until.tz.as_deref().map(&mut *text).transpose();
            Some(tz.and_then(|tz| {
                let tz = tz.map_or_else(String::new, |tz| format!(" {tz}"));
                text(&until.until).map(|until| format!("wait until {until}{tz}"))
            }))
        }
        _ => None,
    }
}

/// A probe in one line; `None` where it is a command.
pub(crate) fn shown_probe(
    probe: &Probe,
    text: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Option<Result<String, String>> {
    let mut quoted =
        |word: &str, source: &str| text(source).map(|value| format!("{word} {}", quote_for_display(&value)));
    Some(match probe {
        Probe::Run(_) => return None,
        Probe::Http(request) => shown_request(request, text),
        Probe::Tcp(address) => text(address).map(|address| format!("tcp {address}")),
        Probe::File(path) => quoted("file", path),
        Probe::Disk(path) => quoted("disk", path),
        Probe::Tls(address) => text(address).map(|address| format!("tls {address}")),
        Probe::Dns(dns) => {
            let kind = dns.record_type.map_or_else(String::new, |kind| format!(" {kind}"));
            quoted("dns", &dns.name).map(|shown| format!("{shown}{kind}"))
        }
        Probe::Prometheus(prometheus) => text(&prometheus.query).map(|query| format!("prometheus {query}")),
        Probe::Postgres(postgres) => {
            text(&postgres.query).map(|query| format!("postgres {}", query.trim_end()))
        }
        Probe::Redis(redis) => redis
            .command
            .iter()
            .map(|word| text(word))
            .collect::<Result<Vec<_>, _>>()
            .map(|argv| format!("redis {}", display_argv(&argv))),
    })
}

fn shown_request(
    request: &HttpRequest,
    text: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<String, String> {
    text(&request.url).map(|url| format!("{} {}", request.method, quote_for_display(&url)))
}
