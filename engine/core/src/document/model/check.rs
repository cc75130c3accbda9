//! Assertions about the world (language.md §5).

use schemars::SchemaGenerator;
use serde::{Deserialize, Serialize};

use super::action::{Command, verify_method};
use crate::document::decode::{Decoder, Fields, Properties, Record, inline_schema};
use crate::document::node::Node;
use crate::document::record::{record, words};
use crate::document::text::{Data, Expression, Map, OneOrMany, Text};
use crate::duration::Duration;

record! {
    /// A check: one probe and what is expected of it. A text alone is a command that must exit with 0.
    pub struct Check: "a check", short run {
        /// The probe.
        flatten probe: Probe,
        /// What must be true of a sample: an expression or a list of them.
        default expect: OneOrMany<Expression> = OneOrMany::default(),
        /// Keep probing until the first sample that holds, for this long; one probe unless set.
        optional within: Duration,
        /// Time between probes.
        default every: Duration = Duration::from_secs(5),
        /// Once it holds, it must go on holding for this long.
        optional hold: Duration,
        /// Failed samples tolerated during `hold`.
        default max_failures: u32 = 0,
        /// What is reported but does not fail the step: an expression or a list of them.
        default warn: OneOrMany<Expression> = OneOrMany::default(),
    }
}

/// How a check looks at the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A command.
    Run(Command),
    /// An HTTP request.
    Http(Box<HttpProbe>),
    /// A TCP connection to `host:port`.
    Tcp(Text),
    /// A name's addresses.
    Dns(DnsProbe),
    /// A certificate at `host:port`.
    Tls(Text),
    /// A Prometheus query.
    Prometheus(Box<PrometheusProbe>),
    /// A PostgreSQL query, in a read-only transaction.
    Postgres(PostgresProbe),
    /// A file.
    File(Text),
    /// A file system.
    Disk(Text),
    /// A Redis command.
    Redis(RedisProbe),
    /// The probe has mistakes, which are reported; never in a document without errors.
    Invalid,
}

/// The keys of probes, in the order of the language page.
const PROBES: [&str; 10] =
    ["run", "http", "tcp", "dns", "tls", "prometheus", "postgres", "file", "disk", "redis"];

impl Probe {
    /// The key that says it; empty for [`Probe::Invalid`].
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Dns(_) => "dns",
            Self::Tls(_) => "tls",
            Self::Prometheus(_) => "prometheus",
            Self::Postgres(_) => "postgres",
            Self::File(_) => "file",
            Self::Disk(_) => "disk",
            Self::Redis(_) => "redis",
            Self::Invalid => "",
        }
    }

    fn take_named(fields: &mut Fields<'_>, key: &'static str, decoder: &mut Decoder) -> Option<Self> {
        Some(match key {
            "run" => Self::Run(fields.optional(key, decoder)?),
            "http" => Self::Http(fields.optional(key, decoder)?),
            "tcp" => Self::Tcp(fields.optional(key, decoder)?),
            "dns" => Self::Dns(fields.optional(key, decoder)?),
            "tls" => Self::Tls(fields.optional(key, decoder)?),
            "prometheus" => Self::Prometheus(fields.optional(key, decoder)?),
            "postgres" => Self::Postgres(fields.optional(key, decoder)?),
            "file" => Self::File(fields.optional(key, decoder)?),
            "disk" => Self::Disk(fields.optional(key, decoder)?),
            _ => Self::Redis(fields.optional(key, decoder)?),
        })
    }
}

impl Record for Probe {
    const WHAT: &'static str = "a check";

    fn take(fields: &mut Fields<'_>, decoder: &mut Decoder) -> Option<Self> {
        let present: Vec<&'static str> =
            PROBES.into_iter().filter(|key| fields.peek(key).is_some()).collect();
        let probe = match present.as_slice() {
            [key] => Self::take_named(fields, key, decoder),
            [] => {
                let help = format!("write one of: {}", PROBES.join(", "));
                fields.missing("no-action", &PROBES, "a check needs a probe".to_owned(), Some(help));
                None
            }
            [_, second, ..] => {
                let span = fields.peek(second).map_or(fields.span, |(key, _)| key.span);
                let message = format!("a check has exactly one probe, this has {}", present.join(" and "));
                decoder.error("several-actions", span, message);
                None
            }
        };
        for key in PROBES {
            fields.take(key);
        }
        Some(probe.unwrap_or(Self::Invalid))
    }

    fn describe(properties: &mut Properties, generator: &mut SchemaGenerator) {
        properties.add::<Command>(
            "run",
            "A command: `exit_code stdout stderr json lines number`.",
            false,
            generator,
        );
        properties.add::<HttpProbe>(
            "http",
            "An HTTP request: `status headers body json elapsed`.",
            false,
            generator,
        );
        properties.add::<Text>("tcp", "A connection to `host:port`: `open elapsed`.", false, generator);
        properties.add::<DnsProbe>("dns", "A name: `addresses elapsed`.", false, generator);
        properties.add::<Text>(
            "tls",
            "The certificate at `host:port`: `days_left subject issuer not_after valid`.",
            false,
            generator,
        );
        properties.add::<PrometheusProbe>("prometheus", "A query: `value series`.", false, generator);
        properties.add::<PostgresProbe>(
            "postgres",
            "A query in a read-only transaction: `value row rows`.",
            false,
            generator,
        );
        properties.add::<Text>("file", "A file: `exists size age modified sha256`.", false, generator);
        properties.add::<Text>("disk", "A file system: `used_percent free total`.", false, generator);
        properties.add::<RedisProbe>("redis", "A Redis command: `value`.", false, generator);
        properties.exactly_one(&PROBES);
    }
}

record! {
    /// An HTTP request that looks and changes nothing.
    pub struct HttpProbe: "an HTTP probe", short url, verify known_method {
        /// The address, templated.
        required url: Text,
        /// The method; GET unless set.
        optional method: Text,
        /// Headers, templated.
        default headers: Map<Text> = Map::default(),
        /// The body as JSON; its texts are templates.
        optional json: Data,
        /// Whether a certificate that can't be verified is accepted.
        default insecure: bool = false,
        /// Whether redirects are followed.
        default follow: bool = false,
    }
}

fn known_method(probe: &HttpProbe, _: &Node, decoder: &mut Decoder) {
    if let Some(method) = &probe.method {
        verify_method(method, decoder);
    }
}

words! {
    /// The kind of a DNS record.
    pub enum DnsType: "a DNS record type" {
        /// IPv4 addresses.
        A = "A",
        /// IPv6 addresses.
        Aaaa = "AAAA",
        /// Another name.
        Cname = "CNAME",
        /// Mail servers.
        Mx = "MX",
        /// Texts.
        Txt = "TXT",
        /// Name servers.
        Ns = "NS",
        /// Services.
        Srv = "SRV",
        /// A name for an address.
        Ptr = "PTR",
    }
}

record! {
    /// A name to look up.
    pub struct DnsProbe: "a DNS probe", short name {
        /// The name, templated.
        required name: Text,
        /// The kind of record; addresses unless set.
        optional record_type as "type": DnsType,
    }
}

record! {
    /// A Prometheus query.
    pub struct PrometheusProbe: "a Prometheus probe" {
        /// The server's address, templated.
        required url: Text,
        /// The query in PromQL, templated.
        required query: Text,
        /// The value that an empty answer stands for; without it an empty answer is a failed sample.
        optional empty: f64,
    }
}

record! {
    /// A PostgreSQL query.
    pub struct PostgresProbe: "a PostgreSQL probe" {
        /// The server's address, templated.
        required url: Text,
        /// The query, templated.
        required query: Text,
    }
}

record! {
    /// A Redis command.
    pub struct RedisProbe: "a Redis probe", verify has_command {
        /// The server's address, templated.
        required url: Text,
        /// The command with its arguments, templated.
        required command: Vec<Text>,
    }
}

fn has_command(probe: &RedisProbe, node: &Node, decoder: &mut Decoder) {
    if probe.command.is_empty() {
        decoder.error("invalid-value", node.span, "`command` needs at least one word");
    }
}

inline_schema!(Probe, |generator| {
    let mut properties = Properties::default();
    Self::describe(&mut properties, generator);
    properties.into_schema("How a check looks at the world.")
});
