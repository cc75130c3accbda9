//! The choke point that no secret passes: every byte on its way to disk, terminal, event or error goes through a [`Masker`].
//!
//! `secret` holds the values, `forms` spells out how programs print them, `search` finds any of these spellings at the speed of
//! memory, `masker` replaces what was found, `mask` is what stands in its place. Reading the values is `crate::secrets`;
//! making the rest of the text harmless at a terminal is `crate::sanitize`.

mod forms;
mod mask;
mod masker;
mod search;
mod secret;
#[cfg(test)]
mod tests;

pub use mask::{find_mask, mask_of};
pub use masker::{Masker, StreamMasker};
pub use secret::{SECRET_CHARACTERS_MIN, SecretValue, Secrets, WeakSecret};
