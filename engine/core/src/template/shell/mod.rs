//! Shell safety: a value in a `run` script reaches the shell as the value of an environment variable, never as program text.
//!
//! - `reader` and `grammar` read the script as a shell would, as far as needed to know what each `{{ }}` stands in: `tree`;
//! - `checks` follows the values through its commands, and `programs` knows who reads arguments or input again as a program;
//! - `pipes` knows whether a failure may go unseen in a script;
//! - `script` puts references to variables in place and renders their values.
//!
//! What can't be proven harmless is refused. What a script does with its own variables is its author's.

mod checks;
mod command_line;
mod grammar;
mod pipes;
mod programs;
mod quote;
mod reader;
mod script;
mod tree;

#[cfg(test)]
mod tests;

pub use pipes::has_pipe;
pub use quote::{display_argv, quote_for_display};
pub use script::{Dialect, RenderedScript, ShellScript, VALUE_BYTES_MAX, VALUES_BYTES_MAX};
