//! How an attempt ended: what the keeper tells the engine, and leaves in the slot for a resume.

use std::time::Duration;

use super::wire::{Decoder, Encoder, Malformed};

/// The end of an attempt, as its keeper saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// What became of the command itself.
    pub ended: Ended,
    /// Who ended it, where it didn't end by itself.
    pub ended_by: Option<EndedBy>,
    /// When the command started: milliseconds since 1970, by the wall clock, for people.
    pub started_at_ms: u64,
    /// When the attempt was over: milliseconds since 1970, by the wall clock, for people.
    pub ended_at_ms: u64,
    /// From the start of the command to its end, by the monotonic clock.
    pub duration: Duration,
    /// The log; `None` where nothing was printed, and so no file was created, or where none was asked for.
    pub log: Option<LogSummary>,
    /// Bytes of output that `log_limit` left out of the log.
    pub dropped: u64,
    /// The error number of the first write of log or exit that failed: a failed store (engine.md §3, "Fail closed").
    pub store_failure: Option<i32>,
    /// Whether the file behind `RUNBOOK_OUTPUT` was larger than [`OUTPUT_FILE_LIMIT`], or no longer a readable file of its own.
    pub outputs_unreadable: bool,
    /// Whether something held the output open after the command had ended, so that it was closed after 200 ms.
    pub pipe_held: bool,
    /// What the command left running (language.md §4, engine.md §4), at most [`LEFTOVERS_NAMED`] of them.
    pub leftovers: Vec<Leftover>,
    /// How many processes the command left running, named or not.
    pub leftover_count: u32,
}

/// How many leftovers an [`Exit`] names; the rest is counted.
pub const LEFTOVERS_NAMED: usize = 6;

/// The largest `RUNBOOK_OUTPUT` file that is read, in bytes; no expression takes more (language.md §7).
pub const OUTPUT_FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// What became of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it: its number.
    Signalled(i32),
    /// It never ran.
    NotSpawned(SpawnFailure),
    /// It was asked to end, may not be signalled by us (it changed user), and still runs (engine.md §4).
    StillRunning,
}

/// Why a command couldn't be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpawnFailure {
    /// Which part of the preparation failed.
    pub part: SpawnPart,
    /// The error number of the operating system.
    pub errno: i32,
}

impl std::fmt::Display for SpawnFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.part {
            SpawnPart::Program => "the program",
            SpawnPart::WorkingDirectory => "the working directory",
            SpawnPart::Script => "the script's file",
            SpawnPart::Stdin => "standard input",
            SpawnPart::OutputFile => "the file behind RUNBOOK_OUTPUT",
            SpawnPart::Pipes => "the output pipes",
            SpawnPart::Terminal => "its terminal",
        };
        let error = std::io::Error::from_raw_os_error(self.errno);
        match error.kind() {
            std::io::ErrorKind::NotFound => write!(formatter, "{what} does not exist"),
            std::io::ErrorKind::PermissionDenied => {
                write!(formatter, "{what} may not be used: permission denied")
            }
            _ => write!(formatter, "{what}: {error}"),
        }
    }
}

/// The parts of a command's start that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnPart {
    /// The program: not found, not executable, arguments too long.
    Program,
    /// The working directory.
    WorkingDirectory,
    /// The file that carries the script.
    Script,
    /// The memory that carries standard input.
    Stdin,
    /// The file behind `RUNBOOK_OUTPUT`.
    OutputFile,
    /// The pipes for its output.
    Pipes,
    /// The pseudo-terminal of an interactive command.
    Terminal,
}

/// Who ended a command that didn't end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// Its `timeout`.
    Timeout,
    /// The engine or an operator asked for its end, with `grace`.
    Terminated,
    /// The engine or an operator asked for its end at once.
    Killed,
    /// The terminal that it was at is gone.
    HungUp,
}

/// What the keeper recorded of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSummary {
    /// SHA-256 over the bytes of the file.
    pub sha256: [u8; 32],
    /// The file's length in bytes.
    pub length: u64,
}

/// A process that was still there when the command had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its process id.
    pub pid: i32,
    /// Its name as the kernel has it: up to 15 bytes of its program's name.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a process that a command left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was ended with the step.
    Ended,
    /// It changed user, may not be signalled by us, and still runs (engine.md §4).
    Leaked,
}

impl Exit {
    /// Writes the exit as slot and socket carry it; it always fits into its part of the slot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        match self.ended {
            Ended::Exited(status) => {
                out.u8(0);
                out.i32(status);
            }
            Ended::Signalled(signal) => {
                out.u8(1);
                out.i32(signal);
            }
            Ended::StillRunning => {
                out.u8(2);
                out.i32(0);
            }
            Ended::NotSpawned(failure) => {
                out.u8(3 + failure.part as u8);
                out.i32(failure.errno);
            }
        }
        out.u8(match self.ended_by {
            None => 0,
            Some(EndedBy::Timeout) => 1,
            Some(EndedBy::Terminated) => 2,
            Some(EndedBy::Killed) => 3,
            Some(EndedBy::HungUp) => 4,
        });
        out.u64(self.started_at_ms);
        out.u64(self.ended_at_ms);
        out.duration(self.duration);
        out.option(self.log.as_ref(), |out, log| {
            out.raw(&log.sha256);
            out.u64(log.length);
        });
        out.u64(self.dropped);
        out.option(self.store_failure.as_ref(), |out, errno| out.i32(*errno));
        out.bool(self.outputs_unreadable);
        out.bool(self.pipe_held);
        let named = &self.leftovers[..self.leftovers.len().min(LEFTOVERS_NAMED)];
        out.list(named, |out, leftover| {
            out.i32(leftover.pid);
            out.bytes(&leftover.name.as_bytes()[..leftover.name.len().min(NAME_MAX)]);
            out.bool(leftover.fate == Fate::Leaked);
        });
        out.u32(self.leftover_count);
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        let (kind, number) = (input.u8()?, input.i32()?);
        let exit = Self {
            ended: match kind {
                0 => Ended::Exited(number),
                1 => Ended::Signalled(number),
                2 => Ended::StillRunning,
                _ => Ended::NotSpawned(SpawnFailure { part: SpawnPart::from_code(kind - 3)?, errno: number }),
            },
            ended_by: match input.u8()? {
                0 => None,
                1 => Some(EndedBy::Timeout),
                2 => Some(EndedBy::Terminated),
                3 => Some(EndedBy::Killed),
                4 => Some(EndedBy::HungUp),
                _ => return Err(Malformed),
            },
            started_at_ms: input.u64()?,
            ended_at_ms: input.u64()?,
            duration: input.duration()?,
            log: input.option(|input| Ok(LogSummary { sha256: input.array()?, length: input.u64()? }))?,
            dropped: input.u64()?,
            store_failure: input.option(Decoder::i32)?,
            outputs_unreadable: input.bool()?,
            pipe_held: input.bool()?,
            leftovers: input.list(|input| {
                Ok(Leftover {
                    pid: input.i32()?,
                    name: String::from_utf8_lossy(input.bytes()?).into_owned(),
                    fate: if input.bool()? { Fate::Leaked } else { Fate::Ended },
                })
            })?,
            leftover_count: input.u32()?,
        };
        input.end()?;
        Ok(exit)
    }
}

/// The longest name of a leftover that is kept, in bytes: the kernel's own limit. (A name with bytes that aren't UTF-8 is cut.)
const NAME_MAX: usize = 15;

impl SpawnPart {
    fn from_code(code: u8) -> Result<Self, Malformed> {
        [
            Self::Program,
            Self::WorkingDirectory,
            Self::Script,
            Self::Stdin,
            Self::OutputFile,
            Self::Pipes,
            Self::Terminal,
        ]
        .into_iter()
        .find(|part| *part as u8 == code)
        .ok_or(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest exit there can be.
    fn longest() -> Exit {
        let leftover = Leftover { pid: i32::MAX, name: "a-name-of-15-by".to_owned(), fate: Fate::Leaked };
        Exit {
            ended: Ended::Signalled(15),
            ended_by: Some(EndedBy::Timeout),
            started_at_ms: u64::MAX,
            ended_at_ms: u64::MAX,
            duration: Duration::MAX,
            log: Some(LogSummary { sha256: [7; 32], length: u64::MAX }),
            dropped: u64::MAX,
            store_failure: Some(28),
            outputs_unreadable: true,
            pipe_held: true,
            leftovers: vec![leftover; LEFTOVERS_NAMED],
            leftover_count: u32::MAX,
        }
    }

    #[test]
    fn every_end_is_read_as_it_was_written() {
        let parts = [0, 1, 2, 3, 4, 5, 6].map(|code| SpawnPart::from_code(code).expect("a part"));
        let spawns = parts.map(|part| Ended::NotSpawned(SpawnFailure { part, errno: 2 }));
        let ends = [Ended::Exited(-1), Ended::Exited(255), Ended::Signalled(9), Ended::StillRunning];
        for ended in ends.into_iter().chain(spawns) {
            for ended_by in [
                None,
                Some(EndedBy::Timeout),
                Some(EndedBy::Terminated),
                Some(EndedBy::Killed),
                Some(EndedBy::HungUp),
            ] {
                let exit = Exit { ended, ended_by, ..longest() };
                assert_eq!(Exit::decode(&exit.encode()), Ok(exit));
            }
        }
        let least = Exit { log: None, store_failure: None, leftovers: Vec::new(), ..longest() };
        assert_eq!(Exit::decode(&least.encode()), Ok(least));
    }

    #[test]
    fn an_exit_that_is_cut_short_or_too_long_is_none() {
        let mut bytes = longest().encode();
        for length in 0..bytes.len() {
            assert_eq!(Exit::decode(&bytes[..length]), Err(Malformed), "{length} bytes");
        }
        bytes.push(0);
        assert_eq!(Exit::decode(&bytes), Err(Malformed));
    }

    #[test]
    fn a_name_of_many_bytes_is_cut_to_fit() {
        let leftover = Leftover { pid: 1, name: "\u{fffd}".repeat(15), fate: Fate::Ended };
        let exit = Exit { leftovers: vec![leftover; 9], ..longest() };
        assert_eq!(exit.encode().len(), longest().encode().len());
        assert!(Exit::decode(&exit.encode()).is_ok());
    }
}
