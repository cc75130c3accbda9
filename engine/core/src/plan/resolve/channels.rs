//! The project's channels: all are checked, those that are used become part of the plan.

use indexmap::IndexMap;

use super::step::Resolver;
use crate::document::model::{self as document, TextOrSecret};
use crate::document::text::{Data, Text};
use crate::plan::Channel;
use crate::plan::build::secret_source;
use crate::plan::model::SecretSource;
use crate::plan::names::{Environment, Place, Reach};
use crate::plan::report::Report;
use crate::template::{Scope, SecretUse};

/// What a channel's texts are templates over (language.md §9), beside `run` and `project`.
const MESSAGE_NAMES: &[&str] = &["message", "title", "severity"];

impl Resolver<'_> {
    /// Checks the texts of all channels, used or not.
    pub(in crate::plan) fn check_channels(&mut self) {
        let Some(input) = self.project else { return };
        let used = self.checker.used_vars.borrow().clone();
        let runbook = std::mem::replace(&mut self.checker.report, Report::new(input.source));
        for (_, channel) in input.project.channels.iter() {
            self.channel_texts(channel);
        }
        let found = std::mem::replace(&mut self.checker.report, runbook);
        self.checker.report.take(found);
        *self.checker.used_vars.borrow_mut() = used;
    }

    /// Takes a channel into the plan, with the secrets and variables that it needs; one that isn't there is reported at `name`.
    pub(in crate::plan) fn use_channel(&mut self, name: &Text) {
        if self.channels.contains_key(name.as_str()) {
            return;
        }
        let project = self.project.map(|input| input.project);
        let known = project.and_then(|project| {
            let position = project.channels.iter().position(|(known, _)| **known == **name)?;
            project.channels.iter().nth(position).map(|(_, channel)| (position, channel))
        });
        let Some((position, channel)) = known else {
            let message = if project.is_some() {
                format!("there is no channel `{name}` in project.yaml")
            } else {
                format!("there is no channel `{name}`: no project.yaml beside the runbooks declares it")
            };
            let names: Vec<&str> = project
                .map(|project| project.channels.keys().map(|key| key.as_str()).collect())
                .unwrap_or_default();
            self.checker.report.unknown("unknown-channel", name.span(), message, name, names.into_iter());
            return;
        };
        // What is wrong with them has been said; here it is which variables they use.
        let report = Report::new(self.checker.report.source());
        let report = std::mem::replace(&mut self.checker.report, report);
        self.channel_texts(channel);
        self.checker.report = report;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let label = if plain { name.to_string() } else { position.to_string() };
        let resolved = match channel {
            document::Channel::Slack(slack) => {
                Channel::Slack { url: self.text_or_secret(&slack.url, format!("channels.{label}.url")) }
            }
            document::Channel::Webhook(webhook) => {
                let mut headers = IndexMap::new();
                for (number, (header, value)) in webhook.headers.iter().enumerate() {
                    let value = self.text_or_secret(value, format!("channels.{label}.header-{}", number + 1));
                    headers.insert(header.to_string(), value);
                }
                Channel::Webhook {
                    url: self.text_or_secret(&webhook.url, format!("channels.{label}.url")),
                    headers,
                    json: webhook.json.as_ref().map(Data::to_json),
                }
            }
            document::Channel::Command(argv) => Channel::Command(argv.iter().map(Text::to_string).collect()),
        };
        self.channels.insert(name.to_string(), resolved);
    }

    /// A value from outside becomes one of the plan's secrets, read with the others before anything runs; its dotted name is none that a
    /// runbook could declare.
    fn text_or_secret(&mut self, value: &TextOrSecret, name: String) -> String {
        match value {
            TextOrSecret::Text(text) => text.to_string(),
            TextOrSecret::Secret(secret) => {
                let text = format!("{{{{ secrets[\"{name}\"] }}}}");
                let source: SecretSource = secret_source(secret);
                self.secrets.insert(name, source);
                text
            }
        }
    }

    fn channel_texts(&mut self, channel: &document::Channel) {
        let nothing = Environment::empty();
        let place = Place {
            reach: Reach::Nothing,
            secrets: SecretUse::Refused,
            env: &nothing,
            run: Scope::RUN_NAMES,
            bare: MESSAGE_NAMES,
            item: false,
        };
        let check = |resolver: &mut Self, value: &TextOrSecret| {
            if let TextOrSecret::Text(text) = value {
                resolver.checker.text(text, place);
            }
        };
        match channel {
            document::Channel::Slack(slack) => check(self, &slack.url),
            document::Channel::Webhook(webhook) => {
                check(self, &webhook.url);
                for (_, value) in webhook.headers.iter() {
                    check(self, value);
                }
                if let Some(json) = &webhook.json {
                    self.data(json, place);
                }
            }
            document::Channel::Command(argv) => {
                for word in argv {
                    self.checker.text(word, place);
                }
            }
        }
    }
}
