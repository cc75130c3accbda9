//! The plan: a document with its parameters, resolved, validated, ordered and frozen.
//!
//! - `input` says what a plan is made of, `model` and `leaf` what it is;
//! - `build` is the way from the one to the other;
//! - `structure` is what holds steps: groups, calls and steps with items;
//! - `order` knows what waits for what, `names` what each place can see, `check` whether a text is right there;
//! - `resolve` gives every key its value;
//! - `people` knows who is who, and who is told when;
//! - `undo` is what follows from the steps that can be undone;
//! - `describe` shows a plan before there is a run, `sends` what goes out of its steps beside the commands;
//! - `unsupported` is the list of what the language has and this release does not do.

mod build;
mod check;
mod describe;
mod difference;
mod guards;
mod input;
mod layout;
mod leaf;
mod model;
mod names;
mod order;
mod people;
mod probing;
mod question;
mod report;
mod resolve;
mod selection;
mod sends;
mod sound;
mod structure;
#[cfg(test)]
mod tests;
mod undo;
mod unsupported;

pub use build::{LOST_STEP, build, validate};
pub(crate) use describe::shown;
pub use describe::{Description, PlanLine, describe};
pub use difference::{Difference, definition, differences};
pub use guards::{Guards, Lock, OnBusy, Outside};
pub use input::{
    BuildInput, CalledRunbook, Calls, GivenValue, InputFiles, NoCalls, ProjectInput, UnknownCall,
    missing_params,
};
pub use leaf::{
    Channel, DnsQuery, Http, Notify, PostgresQuery, PrometheusQuery, RedisCommand, Wait, WaitUntil,
};
pub use model::{
    Action, Check, Command, HttpRequest, Inputs, OnFailure, OnInterrupt, PLAN_FORMAT, Plan, Probe, Retry,
    Role, Rollback, Run, SecretSource, Step, Undo,
};
pub use people::{Escalation, People, Person};
pub use probing::{Probing, probing};
pub use question::{EvidenceRule, OnExpiry, Options, Question};
pub(crate) use resolve::project_value;
pub use selection::Selection;
pub use structure::{Batch, Binding, Call, Each, Group, Item, Items, Repeat};
pub use undo::ROLLBACK;
