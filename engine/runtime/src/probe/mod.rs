//! One look at the world for a `check` (language.md §5): each probe gives a [`Sample`], never an `Err`.
//!
//! What can't be reached is a sample without data and with the reason in one line. `failure` words these reasons, `trust` decides
//! which certificates are believed. When to look again, and what is expected, is not decided here.

pub mod disk;
pub mod dns;
mod dns_records;
mod failure;
pub mod file;
pub mod http;
pub mod postgres;
pub mod prometheus;
pub mod redis;
mod sample;
pub mod tcp;
pub mod tls;
mod trust;

pub use sample::Sample;
