//! The plan: a document with its parameters, resolved, validated, ordered and digested.

mod build;
mod input;
mod model;

pub use build::{build, validate};
pub use input::{BuildInput, GivenValue, InputFiles, ProjectInput, missing_params};
pub use model::{
    Action, Check, Command, EvidenceRule, HttpRequest, Inputs, OnExpiry, OnFailure, OnInterrupt, PLAN_FORMAT,
    Plan, Probe, Question, Retry, Run, SecretSource, Step,
};
