//! The plan: a document with its parameters, resolved, validated, ordered and digested.

mod model;

pub use model::{
    Action, Check, Command, EvidenceRule, HttpRequest, Inputs, OnExpiry, OnFailure, OnInterrupt, PLAN_FORMAT,
    Plan, Probe, Question, Retry, Run, SecretSource, Step,
};
