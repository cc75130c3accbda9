//! From the plan's texts to what is run, asked and shown, at one point of a run.
//!
//! Everything here is a pure function of the plan, the state and what earlier
//! steps printed. People and the journal see secrets by name; only what is
//! handed to a process or a server holds their values.

mod conclude;
mod context;
mod escalation;
mod launch;
mod leaf;
mod question;
mod renderer;
mod structure;
mod texts;
mod title;
mod until;
mod verdict;

pub use conclude::{reason_of_check, recordable};
pub use context::{Measured, NoOutput, Recorded, RunFacts, SecretView, Stream, from_terminal, secret_mask};
pub use launch::{HttpCall, Launch, ProbeCall};
pub(crate) use launch::{dialect_of, is_plain};
pub use leaf::{Delivery, Notification};
pub(crate) use leaf::{shown_leaf, shown_probe};
pub use texts::Texts;
pub use title::title;
pub(crate) use until::moment_of;
pub use verdict::Verdict;
