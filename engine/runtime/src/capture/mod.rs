//! What a command printed: the log of an attempt, written by its keeper and read by everybody else, and the values that it left for later steps.
//!
//! A log is a row of frames: one byte that names the stream, the length as four little-endian bytes, and the bytes. They are already masked, in
//! the order in which they were read, and any bytes at all: nothing here assumes UTF-8. Of an output over `log_limit` the first and the last half
//! are kept, with a frame between them that counts what was dropped.

mod frame;
mod outputs;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use frame::{Dropped, Frame, Stream};
pub use outputs::{OutputError, OutputProblem, parse_outputs};
pub use reader::{CaptureLog, Follower, Frames, Read};
pub(crate) use writer::{LogWriter, read_at_most};
