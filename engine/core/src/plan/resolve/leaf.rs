//! Steps without a process of their own: waits, requests and messages.

use indexmap::IndexMap;

use super::step::Resolver;
use crate::document::model::{self as document};
use crate::document::node::crop;
use crate::document::text::{Data, Map, Text};
use crate::plan::model::{Action, HttpRequest};
use crate::plan::names::{HTTP_ANSWER_NAMES, Place};
use crate::plan::{Http, Notify, Wait, WaitUntil};
use crate::render::moment_of;

/// What an HTTP request is made of, in a step and in a probe.
pub(super) struct RequestParts<'d> {
    pub(super) url: &'d Text,
    pub(super) method: Option<&'d Text>,
    pub(super) headers: &'d Map<Text>,
    pub(super) json: Option<&'d Data>,
    pub(super) body: Option<&'d Text>,
    pub(super) insecure: bool,
    pub(super) follow: bool,
}

impl Resolver<'_> {
    /// A request; its texts may use secrets.
    pub(super) fn request(&mut self, parts: &RequestParts<'_>, place: Place<'_>) -> HttpRequest {
        let place = place.with_secrets();
        self.checker.text(parts.url, place);
        self.must_be_url(parts.url);
        for (_, value) in parts.headers.iter() {
            self.checker.text(value, place);
        }
        if let Some(json) = parts.json {
            self.data(json, place);
        }
        if let Some(body) = parts.body {
            self.checker.text(body, place);
        }
        HttpRequest {
            url: parts.url.to_string(),
            method: parts.method.map_or_else(|| "GET".to_owned(), Text::to_string),
            headers: strings(parts.headers),
            json: parts.json.map(Data::to_json),
            body: parts.body.map(Text::to_string),
            insecure: parts.insecure,
            follow: parts.follow,
        }
    }

    /// Refuses what can't become a URL, whatever its templates give.
    pub(super) fn must_be_url(&mut self, text: &Text) {
        let literal = text.split("{{").next().unwrap_or_default();
        let is_whole = literal.len() == text.len();
        let begins = |scheme: &str| {
            let shorter = scheme.len().min(literal.len());
            literal.get(..shorter).is_some_and(|start| scheme[..shorter].eq_ignore_ascii_case(start))
                && (!is_whole || literal.len() > scheme.len())
        };
        if !begins("http://") && !begins("https://") {
            let message = format!("`{}` is no URL of a web server", crop(text));
            let help = Some("write it like `https://example.com/health`".to_owned());
            self.checker.report.at(text, 0..text.len(), "invalid-value", message, help);
        }
    }

    /// Refuses what can't become `host:port`.
    pub(super) fn must_be_address(&mut self, text: &Text) {
        let is_one = match text.rsplit_once(':') {
            _ if text.contains("{{") => true,
            Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
            None => false,
        };
        if !is_one {
            let message = format!("`{}` is not host:port", crop(text));
            let help = Some("write it like `example.com:443`".to_owned());
            self.checker.report.at(text, 0..text.len(), "invalid-value", message, help);
        }
    }

    /// Refuses a path that names nothing.
    pub(super) fn must_be_path(&mut self, text: &Text) {
        if text.trim().is_empty() {
            self.checker.report.error("invalid-value", text.span(), "a path is missing");
        }
    }

    pub(super) fn http_step(&mut self, http: &document::Http, place: Place<'_>) -> Action {
        let parts = RequestParts {
            url: &http.url,
            method: http.method.as_ref(),
            headers: &http.headers,
            json: http.json.as_ref(),
            body: http.body.as_ref(),
            insecure: http.insecure,
            follow: http.follow,
        };
        let request = self.request(&parts, place);
        let (expect, mentioned) = self.conditions(&http.expect, place.with_bare(HTTP_ANSWER_NAMES), "status");
        Action::Http(Http { request, expect, expect_success: !mentioned })
    }

    pub(super) fn notify_step(&mut self, notify: &document::Notify, place: Place<'_>) -> Action {
        if let Some(at) = notify.channel.find("{{") {
            let message = "`channel` is no template: who is told must be known before".to_owned();
            self.checker.report.at(&notify.channel, at..at + 2, "template-place", message, None);
        } else {
            self.use_channel(&notify.channel);
        }
        let place = place.with_secrets();
        for text in
            [Some(&notify.message), notify.title.as_ref(), notify.severity.as_ref()].into_iter().flatten()
        {
            self.checker.text(text, place);
        }
        Action::Notify(Notify {
            channel: notify.channel.to_string(),
            message: notify.message.to_string(),
            title: notify.title.as_ref().map(Text::to_string),
            severity: notify.severity.as_ref().map(Text::to_string),
        })
    }

    pub(super) fn wait_step(&mut self, wait: &document::Wait, place: Place<'_>) -> Action {
        let until = match wait {
            document::Wait::For(span) => return Action::Wait(Wait::For(*span)),
            document::Wait::Until(until) => until,
        };
        let is_template = |text: &Text| text.contains("{{");
        self.checker.text(&until.until, place);
        if let Some(tz) = &until.tz {
            self.checker.text(tz, place);
        }
        if !is_template(&until.until)
            && !until.tz.as_ref().is_some_and(is_template)
            && let Err(error) = moment_of(&until.until, until.tz.as_deref())
        {
            let at = until.tz.as_ref().filter(|_| error.in_zone).unwrap_or(&until.until);
            self.checker.report.at(at, 0..at.len(), "invalid-value", error.message, error.help);
        }
        Action::Wait(Wait::Until(WaitUntil {
            until: until.until.to_string(),
            tz: until.tz.as_ref().map(Text::to_string),
        }))
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
}

fn strings(map: &Map<Text>) -> IndexMap<String, String> {
    map.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}
