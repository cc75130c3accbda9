//! The one way in which people are asked, whatever the question is about.
//!
//! [`dialogue`] is pure: lines in, texts and an answer out. [`terminal`] puts it on `/dev/tty` and takes it away again. [`operator`]
//! is what the engine asks.

mod dialogue;
mod operator;
mod terminal;

pub(crate) use operator::TerminalOperator;
