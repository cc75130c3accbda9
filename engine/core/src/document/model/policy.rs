//! How steps are repeated, held back and watched: retry, failure, order over items, locks, windows, escalation.

use std::num::NonZeroU32;

use schemars::json_schema;
use serde::{Deserialize, Serialize};

use crate::document::decode::{Decode, Decoder, inline_schema};
use crate::document::node::{Kind, Node, Value, crop};
use crate::document::record::{record, words};
use crate::document::text::{Data, Expression, Text};
use crate::duration::Duration;

record! {
    /// How often and when a failed attempt is repeated. A number alone is `times`.
    pub struct Retry: "`retry`", short times, verify sensible_retry {
        /// Up to so many more attempts after the first.
        required times: u32,
        /// Time before the first repetition.
        default delay: Duration = Duration::from_secs(1),
        /// The delay grows by this factor each time; at least 1.
        default backoff: f64 = 2.0,
        /// The delay grows no further than this.
        default max_delay: Duration = Duration::from_secs(60),
        /// Whether delays vary at random, so that many don't come back at once.
        default jitter: bool = true,
        /// Only these exit codes are worth another attempt; all unless set.
        optional exit_codes: Vec<u8>,
    }
}

fn sensible_retry(retry: &Retry, node: &Node, decoder: &mut Decoder) {
    if retry.backoff < 1.0 {
        decoder.error("invalid-value", node.span, format!("`backoff` is {}: at least 1", retry.backoff));
    }
}

words! {
    /// What a failed step means for the rest.
    pub enum OnFailure: "`stop`, `continue`, `warn` or `ask`" {
        /// Start nothing new, let what runs finish.
        Stop = "stop",
        /// Dependents go on, the run still fails.
        Continue = "continue",
        /// Dependents go on, the run may succeed.
        Warn = "warn",
        /// A person decides.
        Ask = "ask",
    }
}

words! {
    /// What `resume` does with a step of which it is not known how it ended.
    pub enum OnInterrupt: "`ask`, `rerun` or `fail`" {
        /// A person decides.
        Ask = "ask",
        /// It runs again.
        Rerun = "rerun",
        /// It failed.
        Fail = "fail",
    }
}

words! {
    /// Whether what was done is undone after a failure.
    pub enum Rollback: "`auto`, `ask` or `manual`" {
        /// At once.
        Auto = "auto",
        /// When a person says so.
        Ask = "ask",
        /// Only by `runbook rollback`.
        Manual = "manual",
    }
}

/// What runs a script: a name, a path, or an argv to which the script's file is added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shell {
    /// A name or path.
    Name(Text),
    /// A program with its arguments.
    Argv(Vec<Text>),
}

impl Decode for Shell {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if !matches!(node.value, Value::Sequence(_)) {
            return Text::decode(node, decoder).map(Self::Name);
        }
        let argv = Vec::<Text>::decode(node, decoder)?;
        if argv.is_empty() {
            decoder.error("invalid-value", node.span, "a shell needs at least a program");
        }
        Some(Self::Argv(argv))
    }
}

inline_schema!(Shell, |generator| {
    let text = generator.subschema_for::<Text>();
    json_schema!({"anyOf": [text.clone(), {"type": "array", "items": text, "minItems": 1}]})
});

/// The items that a step runs for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForEach {
    /// Written out; texts are templates.
    List(Vec<Data>),
    /// An expression that gives a list.
    Expression(Expression),
}

impl Decode for ForEach {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Sequence(_) => Vec::decode(node, decoder).map(Self::List),
            Value::Scalar(scalar) if scalar.kind() == Kind::Text => {
                Expression::decode(node, decoder).map(Self::Expression)
            }
            _ => {
                decoder.wrong_type(node, "a list or an expression that gives one");
                None
            }
        }
    }
}

inline_schema!(ForEach, |_generator| json_schema!({"type": ["array", "string"]}));

/// One entry of `batches`: how many items have been started by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batch {
    /// So many.
    Count(NonZeroU32),
    /// So many of a hundred, rounded up.
    Percent(u8),
}

impl Decode for Batch {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let Some(percent) = node.scalar().and_then(|scalar| scalar.text.strip_suffix('%')) else {
            return NonZeroU32::decode(node, decoder).map(Self::Count);
        };
        let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
        if percent.is_none() {
            decoder.error(
                "invalid-value",
                node.span,
                format!(
                    "`{}` is no share: `1%` to `100%`",
                    node.scalar().map_or_else(String::new, |scalar| crop(&scalar.text))
                ),
            );
        }
        percent.map(Self::Percent)
    }
}

inline_schema!(Batch, |_generator| json_schema!({
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[1-9][0-9]?%$|^100%$"}]
}));

/// Who is told while a step is unfinished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escalate {
    /// A policy of `project.yaml`.
    Policy(Text),
    /// Written out.
    Steps(Vec<EscalationStep>),
}

impl Decode for Escalate {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Sequence(_) => Vec::decode(node, decoder).map(Self::Steps),
            Value::Scalar(_) if !node.is_null() => Text::decode(node, decoder).map(Self::Policy),
            _ => {
                decoder.wrong_type(node, "a policy's name or a list of `{after, notify}`");
                None
            }
        }
    }
}

inline_schema!(Escalate, |generator| {
    let (name, steps) = (generator.subschema_for::<Text>(), generator.subschema_for::<Vec<EscalationStep>>());
    json_schema!({"anyOf": [name, steps]})
});

record! {
    /// One rung of an escalation.
    pub struct EscalationStep: "an escalation" {
        /// How long after the start.
        required after: Duration,
        /// The channel that is told.
        required notify: Text,
    }
}

words! {
    /// What happens when a lock is taken.
    pub enum OnBusy: "`fail`, `wait` or `skip`" {
        /// The run is refused, in mid-run the step fails.
        Fail = "fail",
        /// It waits.
        Wait = "wait",
        /// There is no run.
        Skip = "skip",
    }
}

record! {
    /// One live run at a time under a name. A text alone is the name.
    pub struct Lock: "a lock", short name {
        /// The name, templated.
        required name: Text,
        /// What happens when it is taken.
        default on_busy: OnBusy = OnBusy::Fail,
        /// Whether it stays taken while the run is parked.
        default hold_while_waiting: bool = false,
    }
}

words! {
    /// A day of the week.
    pub enum Day: "a day (mon tue wed thu fri sat sun)" {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
}

words! {
    /// What happens outside a window.
    pub enum Outside: "`refuse`, `wait` or `ask`" {
        /// Nothing starts; in mid-run the step fails.
        Refuse = "refuse",
        /// It waits for the window.
        Wait = "wait",
        /// A person decides.
        Ask = "ask",
    }
}

/// A time of day, `00:00` to `24:00`, in minutes after midnight; written `"02:00"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(pub u16);

impl std::str::FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = |part: &str| {
            let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if two { part.parse::<u16>().ok() } else { None }
        };
        let parts =
            text.split_once(':').and_then(|(hours, minutes)| Some((digits(hours)?, digits(minutes)?)));
        let valid = parts.filter(|(hours, minutes)| *minutes < 60 && hours * 60 + minutes <= 24 * 60);
        valid
            .map(|(hours, minutes)| Self(hours * 60 + minutes))
            .ok_or_else(|| format!("`{}` is no time of day; write it like `02:00`", crop(text)))
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(&format!("{:02}:{:02}", self.0 / 60, self.0 % 60))
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Decode for TimeOfDay {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = Text::decode(node, decoder)?;
        text.parse().map_err(|message: String| decoder.error("invalid-value", node.span, message)).ok()
    }
}

inline_schema!(
    TimeOfDay,
    |_generator| json_schema!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"})
);

record! {
    /// A time of the week in which something may start.
    pub struct WindowTime: "a time of a window", verify sensible_week {
        /// The days; all unless set.
        optional days: Vec<Day>,
        /// From this time of day.
        required from: TimeOfDay,
        /// To this time of day, exclusive; earlier than `from` means the next day.
        required to: TimeOfDay,
        /// The time zone, as in `America/New_York`.
        required tz: Text,
        /// Only in this week of the month: 1 is the first such weekday.
        optional week: NonZeroU32,
    }
}

fn sensible_week(time: &WindowTime, node: &Node, decoder: &mut Decoder) {
    if time.week.is_some_and(|week| week.get() > 5) {
        decoder.error(
            "invalid-value",
            node.span,
            "`week` is 1 to 5: the first such weekday of the month, and so on",
        );
    }
    if time.from == time.to {
        decoder.error("invalid-value", node.span, "`from` and `to` are the same: nothing could ever start");
    }
}

record! {
    /// When something may start. A text alone is the calendar.
    pub struct Window: "a window", short calendar, verify says_something {
        /// The times in which it may start.
        default allow: Vec<WindowTime> = Vec::new(),
        /// A calendar of `project.yaml` whose days are denied.
        optional calendar: Text,
        /// What happens outside.
        default outside: Outside = Outside::Refuse,
    }
}

fn says_something(window: &Window, node: &Node, decoder: &mut Decoder) {
    let written = node
        .get("allow")
        .is_some_and(|allow| !matches!(&allow.value, Value::Sequence(items) if items.is_empty()));
    if window.calendar.is_none() && !written {
        decoder.error("missing-key", node.span, "a window needs the key `allow` or `calendar`");
    }
}

record! {
    /// When `runbook serve` starts it.
    pub struct Schedule: "a schedule" {
        /// Minute, hour, day, month, weekday.
        required cron: Text,
        /// The time zone, as in `UTC`.
        required tz: Text,
    }
}
