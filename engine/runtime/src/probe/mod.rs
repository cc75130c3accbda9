//! One look at the world for a `check` (language.md §5): each probe gives a [`Sample`], never an `Err`.

pub mod file;
pub mod http;
pub mod tcp;

mod sample;

pub use sample::Sample;
