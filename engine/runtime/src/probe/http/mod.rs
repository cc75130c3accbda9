//! `http`: one request over HTTP or HTTPS, through no proxy.
//!
//! `request` is what is asked for, `send` asks and reads the answer. Used by checks and by `http` steps alike.

mod request;
mod send;
#[cfg(test)]
mod tests;

pub use request::{HttpBody, HttpRequest};
pub use send::{BODY_LEN_MAX, probe};
