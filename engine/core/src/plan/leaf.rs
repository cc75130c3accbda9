//! What steps do without a process of their own, and what they are told to talk to: waits, requests, messages with their channels,
//! and the probes that are more than one text.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::HttpRequest;
use crate::document::model::DnsType;
use crate::duration::Duration;

/// Time that passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// From the start of the attempt.
    For(Duration),
    /// To a moment.
    Until(WaitUntil),
}

/// The moment that ends a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitUntil {
    /// Date and time, templated.
    pub until: String,
    /// Their time zone, templated; absent where `until` has an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
}

/// An HTTP request whose answer is the step's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// What is sent.
    pub request: HttpRequest,
    /// Expressions over the answer that must all be true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// Whether a status of 200–299 is expected beside `expect`.
    pub expect_success: bool,
}

/// A message to a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The channel, one of [`Plan::channels`](super::Plan::channels).
    pub channel: String,
    /// The text, templated.
    pub message: String,
    /// A heading, templated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How serious it is, templated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

/// Where messages go. Texts are templates over `message`, `title` and `severity`; what `project.yaml` reads from outside stands among
/// the plan's secrets and is named by the texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Channel {
    /// A Slack webhook.
    Slack {
        /// Its address.
        url: String,
    },
    /// Any webhook.
    Webhook {
        /// Its address.
        url: String,
        /// Names to values.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        headers: IndexMap<String, String>,
        /// The body; without one, message, title and severity are sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        json: Option<Value>,
    },
    /// A command.
    Command(Vec<String>),
}

/// A name to look up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsQuery {
    /// The name, templated.
    pub name: String,
    /// The kind of record; addresses of both kinds where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_type: Option<DnsType>,
}

/// A Prometheus query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusQuery {
    /// The server, templated.
    pub url: String,
    /// In PromQL, templated.
    pub query: String,
    /// What an empty answer stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<f64>,
}

/// A PostgreSQL query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresQuery {
    /// The server, templated.
    pub url: String,
    /// In SQL, templated.
    pub query: String,
}

/// A Redis command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisCommand {
    /// The server, templated.
    pub url: String,
    /// The command with its arguments, templated.
    pub command: Vec<String>,
}
