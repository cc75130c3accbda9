//! Scenario tests: `NAME.test.yaml` beside `NAME.yaml` (language.md §10).

use schemars::SchemaGenerator;
use serde::{Deserialize, Serialize};

use crate::document::decode::{Decoder, Fields, Properties, Record};
use crate::document::record::{record, words};
use crate::document::text::{Data, Map, Named, OneOrMany, Text};

record! {
    /// The scenarios of a runbook.
    pub struct Scenarios: "a file of scenarios" {
        /// Each is one rehearsal.
        required scenarios: Vec<Scenario>,
        /// What a step without a stub means, in the scenarios that don't say.
        optional unstubbed: Unstubbed,
    }
}

record! {
    /// One rehearsal of a runbook: what is given, and what must come of it.
    pub struct Scenario: "a scenario" {
        /// What it shows.
        required name: Text,
        /// Values of the runbook's parameters.
        default params: Named<Data> = Named::default(),
        /// Answers to questions by step: a word, a word with its people (`approve: [alice, bob]`), or a list of answers that are given
        /// one after the other; `expired` lets the time pass. `rollback` answers the question after a failure. Beside the word may stand
        /// `reason`, `fields` (by name), `outputs` (of a step done by hand), `note` and `link`: `{done: [alice], fields: {clean: yes}}`.
        default answers: Map<Data> = Map::default(),
        /// What steps do instead of running, by dotted id; a list is one after the other, for attempts or a check's probes.
        default steps: Map<OneOrMany<Stub>> = Map::default(),
        /// What a step without a stub means.
        optional unstubbed: Unstubbed,
        /// The moment at which the run starts, in RFC 3339.
        optional at: Text,
        /// What must come of it.
        default expect: Expectation = Expectation::default(),
    }
}

words! {
    /// What a step without a stub means.
    pub enum Unstubbed: "`succeed` or `error`" {
        /// It succeeds, with nothing printed.
        Succeed = "succeed",
        /// It is a mistake of the scenario.
        Error = "error",
    }
}

record! {
    /// What a step does instead of running.
    pub struct Stub: "a stub" {
        /// How the command ended; 0 unless set.
        optional exit_code: u8,
        /// What it printed.
        optional stdout: Text,
        /// What it printed as errors.
        optional stderr: Text,
        /// What it wrote to `RUNBOOK_OUTPUT`.
        default outputs: Named<Text> = Named::default(),
        /// Whether the engine dies while it runs.
        default interrupted: bool = false,
        /// Whether its `done_when` holds: before it starts, or after the crash of `interrupted`.
        default done: bool = false,
        /// How long it takes.
        optional duration: crate::duration::Duration,
        /// The variables of a probe, as in `status: 503`.
        flatten sample: Sample,
    }
}

record! {
    /// What must come of a scenario.
    #[derive(Default)]
    pub struct Expectation: "`expect`" {
        /// How the run ends.
        optional outcome: Text,
        /// A subsequence of the steps that ran.
        default order: Vec<Text> = Vec::new(),
        /// Steps that did not run.
        default not_run: Vec<Text> = Vec::new(),
        /// Steps that were undone, in that order.
        optional undone: Vec<Text>,
        /// Commands as people are shown them, by step.
        default commands: Map<Text> = Map::default(),
        /// Outcomes by step.
        default steps: Map<Text> = Map::default(),
        /// Values of the runbook's `outputs`.
        default outputs: Map<Data> = Map::default(),
    }
}

/// The variables of a probe's sample that a stub gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sample(pub Map<Data>);

/// The variables of all probes (language.md §5), but for those that commands share.
const SAMPLE_KEYS: [&str; 25] = [
    "status",
    "headers",
    "body",
    "json",
    "elapsed",
    "open",
    "addresses",
    "days_left",
    "subject",
    "issuer",
    "not_after",
    "valid",
    "value",
    "series",
    "row",
    "rows",
    "exists",
    "size",
    "age",
    "modified",
    "sha256",
    "used_percent",
    "free",
    "total",
    "signal",
];

impl Record for Sample {
    const WHAT: &'static str = "a stub";

    fn take(fields: &mut Fields<'_>, decoder: &mut Decoder) -> Option<Self> {
        let mut sample = Vec::new();
        for name in SAMPLE_KEYS {
            if let Some(value) = fields.optional::<Data>(name, decoder) {
                sample.push((Text::new(name), value));
            }
        }
        Some(Self(Map(sample)))
    }

    fn describe(properties: &mut Properties, generator: &mut SchemaGenerator) {
        for name in SAMPLE_KEYS {
            properties.add::<Data>(name, "A variable of a probe's sample.", false, generator);
        }
    }
}
