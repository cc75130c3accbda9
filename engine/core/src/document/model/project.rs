//! What runbooks share: `runbooks/project.yaml` (language.md §9).

use schemars::json_schema;
use serde::{Deserialize, Serialize};

use super::policy::EscalationStep;
use super::runbook::{Date, TextOrSecret};
use crate::document::decode::{Decode, Decoder, Fields, inline_schema};
use crate::document::node::{Node, Value};
use crate::document::record::record;
use crate::document::text::{Data, Map, Named, OneOrMany, Text};
use crate::duration::Duration;

record! {
    /// What the runbooks of a project share.
    #[derive(Default)]
    pub struct Project: "a project" {
        /// Values for templates: `project.vars.x`.
        default vars: Named<Data> = Named::default(),
        /// Groups of people, for `from: [group:NAME]`.
        default groups: Map<Vec<Text>> = Map::default(),
        /// People with their user names and keys; a user in no entry is a person of that name.
        default people: Map<Person> = Map::default(),
        /// Names (`AWS_*` is allowed) that commands inherit from the environment of `runbook`.
        default pass_env: Vec<Text> = Vec::new(),
        /// Where messages go.
        default channels: Map<Channel> = Map::default(),
        /// Who is told when, by name.
        default escalation: Map<Vec<EscalationStep>> = Map::default(),
        /// Hosts on which steps run.
        default targets: Map<Target> = Map::default(),
        /// Days on which nothing starts.
        default calendars: Map<Calendar> = Map::default(),
        /// How long runs are kept, by how they ended.
        default keep: Keep = Keep::default(),
    }
}

record! {
    /// A person: all her users and keys.
    pub struct Person: "a person" {
        /// User names of the operating system.
        default users: Vec<Text> = Vec::new(),
        /// Public keys in OpenSSH's form.
        default ssh_keys: Vec<Text> = Vec::new(),
        /// An address.
        optional email: Text,
    }
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A Slack webhook.
    Slack(SlackChannel),
    /// Any webhook.
    Webhook(WebhookChannel),
    /// A command.
    Command(CommandChannel),
}

/// A command that is run for each message; words are templates over `message`, `title` and `severity`.
pub type CommandChannel = Vec<Text>;

record! {
    /// A Slack webhook.
    pub struct SlackChannel: "a Slack channel" {
        /// The webhook's address, usually a secret.
        required url: TextOrSecret,
    }
}

record! {
    /// A webhook.
    pub struct WebhookChannel: "a webhook" {
        /// The address, often a secret.
        required url: TextOrSecret,
        /// Headers, templated or secret.
        default headers: Map<TextOrSecret> = Map::default(),
        /// The body; its texts are templates over `message`, `title` and `severity`.
        optional json: Data,
    }
}

impl Decode for Channel {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        const WHAT: &str = "a channel";
        let mut fields = Fields::open(node, WHAT, decoder)?;
        let span = fields.span;
        let kinds = [
            fields.optional("slack", decoder).map(Self::Slack),
            fields.optional("webhook", decoder).map(Self::Webhook),
            fields.optional("command", decoder).map(Self::Command),
        ];
        let count = ["slack", "webhook", "command"].iter().filter(|key| fields.peek(key).is_some()).count();
        fields.finish(WHAT, decoder);
        if count != 1 {
            let message =
                format!("a channel has exactly one of `slack`, `webhook` and `command`, this has {count}");
            decoder.error("invalid-value", span, message);
        }
        let channel = kinds.into_iter().flatten().next();
        if matches!(&channel, Some(Self::Command(argv)) if argv.is_empty()) {
            decoder.error("invalid-value", span, "a command needs at least a program");
        }
        channel
    }
}

inline_schema!(Channel, |generator| {
    let (slack, webhook) =
        (generator.subschema_for::<SlackChannel>(), generator.subschema_for::<WebhookChannel>());
    let command = json_schema!({
        "type": "array",
        "items": generator.subschema_for::<Text>(),
        "minItems": 1,
        "description": "A command that tells people, as in `[logger, '{{ message }}']`.",
    });
    json_schema!({
        "type": "object",
        "properties": {"slack": slack, "webhook": webhook, "command": command},
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
});

record! {
    /// Hosts on which steps run.
    pub struct Target: "a target", verify has_hosts {
        /// Hosts reached over OpenSSH: one or a list, each as `user@host:port` or as a map.
        required ssh: OneOrMany<Host>,
    }
}

fn has_hosts(target: &Target, node: &Node, decoder: &mut Decoder) {
    if target.ssh.is_empty()
        && node.get("ssh").is_some_and(|ssh| matches!(&ssh.value, Value::Sequence(items) if items.is_empty()))
    {
        decoder.error("invalid-value", node.span, "a target needs at least one host");
    }
}

record! {
    /// A host reached over OpenSSH. A text alone is `user@host:port`.
    pub struct Host: "a host", short host, verify safe_host {
        /// The host's name as `ssh` knows it, or `user@host:port`.
        required host: Text,
        /// The user there.
        optional user: Text,
        /// The port there.
        optional port: u16,
        /// A key file.
        optional identity: Text,
        /// A host to go through.
        optional jump: Text,
    }
}

fn safe_host(host: &Host, _: &Node, decoder: &mut Decoder) {
    // `ssh` would read such a host as an option.
    let words = [Some(&host.host), host.user.as_ref(), host.jump.as_ref()];
    for word in words.into_iter().flatten() {
        if word.is_empty() || word.starts_with('-') || word.contains(char::is_whitespace) {
            let message = format!("`{}` is no host or user", crate::document::node::crop(word));
            decoder.error("invalid-value", word.span(), message);
        }
    }
}

record! {
    /// Days on which nothing starts.
    pub struct Calendar: "a calendar", verify calendar_says_something {
        /// Days written out.
        default deny: Vec<DenyPeriod> = Vec::new(),
        /// A calendar file beside `project.yaml`.
        optional ics: Text,
    }
}

fn calendar_says_something(calendar: &Calendar, node: &Node, decoder: &mut Decoder) {
    if node.get("deny").is_none() && calendar.ics.is_none() {
        decoder.error("missing-key", node.span, "a calendar needs the key `deny` or `ics`");
    }
}

record! {
    /// Days on which nothing starts.
    pub struct DenyPeriod: "a period", verify forward {
        /// The first day.
        required from: Date,
        /// The last day, inclusive.
        required to: Date,
        /// The time zone.
        required tz: Text,
        /// The reason that people are shown.
        optional why: Text,
    }
}

fn forward(period: &DenyPeriod, node: &Node, decoder: &mut Decoder) {
    if period.to < period.from {
        decoder.error("invalid-value", node.span, "the period ends before it begins");
    }
}

record! {
    /// How long runs are kept.
    #[derive(Default)]
    pub struct Keep: "`keep`" {
        /// Those that succeeded.
        optional succeeded: Duration,
        /// All others.
        optional failed: Duration,
    }
}
