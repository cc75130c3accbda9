//! The language as types: spanned and unresolved. What a template, a name or an order of steps means is the plan's to say.

mod action;
mod check;
mod gate;
mod param;
mod policy;
mod project;
mod runbook;
mod scenario;
mod step;
mod waves;

pub use action::{Action, Background, Call, Command, Group, Http, Notify, Repeat, Run, Wait, WaitUntil};
pub use check::{Check, DnsProbe, DnsType, HttpProbe, PostgresProbe, Probe, PrometheusProbe, RedisProbe};
pub use gate::{Approve, Ask, Choose, Confirm, Evidence, Gate, Manual, OnExpiry, Options};
pub use param::{Choices, ParamDefinition, ParamKind, ParamSpec, ParamValue};
pub use policy::{
    Batch, Day, Escalate, EscalationStep, ForEach, Lock, OnBusy, OnFailure, OnInterrupt, Outside, Retry,
    Rollback, Schedule, Shell, TimeOfDay, Window, WindowTime,
};
pub use project::{
    Calendar, Channel, CommandChannel, DenyPeriod, Host, Keep, Person, Project, SlackChannel, Target,
    WebhookChannel,
};
pub use runbook::{Date, Defaults, Review, Runbook, Secret, TextOrSecret};
pub use scenario::{Expectation, Sample, Scenario, Scenarios, Stub, Unstubbed};
pub use step::{Id, Step, Undo, UndoAction};
