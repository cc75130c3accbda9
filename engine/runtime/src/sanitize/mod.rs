//! The one sanitiser for whatever a person sees (engine.md §5).
//!
//! What comes from a file, a parameter or a command may hold sequences that move the cursor, hide text or turn its direction, so
//! that the person reads something else than what is there. `visible` shows such characters instead of sending them, `prompt` lays
//! a foreign value out for a decision, `stream` does the same for the live output of a step, where colour is welcome.
//! Secrets are `crate::redact`'s affair, and come first.

mod prompt;
mod stream;
mod visible;

pub use prompt::prompt_block;
pub use stream::{Colour, TerminalStream};
pub use visible::{Style, sanitize, sanitize_bytes};
