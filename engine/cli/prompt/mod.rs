//! The one way in which people are asked, whatever the question is about.
//!
//! [`dialogue`] is pure: lines in, texts and an answer out; [`consequences`] has what follows from each word. [`terminal`] puts it on `/dev/tty` and takes it away again, [`keyboard`] and [`keys`]
//! read what is typed; [`lent`] lets a command have `/dev/tty` instead. [`operator`] is what the engine asks.

mod consequences;
mod dialogue;
mod keyboard;
mod keys;
mod lent;
mod operator;
mod sheet;
mod terminal;

pub(crate) use operator::TerminalOperator;
