//! Shell safety: a value in a `run` script reaches the shell as the value of an environment variable, never as program text.
//!
//! - `syntax` reads the script as a shell would, as far as needed to know what each `{{ }}` stands in;
//! - `programs` knows who reads its arguments or input again as a program;
//! - `script` puts references to variables in place and renders their values.
//!
//! What can't be proven harmless is refused. What a script does with its own variables is its author's.

mod quote;
mod script;

pub use quote::{display_argv, quote_for_display};
pub use script::{Dialect, RenderedScript, ShellScript, VALUE_BYTES_MAX, VALUES_BYTES_MAX};
