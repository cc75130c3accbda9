//! What one attempt needs: everything that its keeper is told, once, before the command starts.
//!
//! The spec crosses from the engine to the keeper over their own socket, in the encoding of [`wire`](super::wire): secrets are in it, so it
//! never touches a file, an argument vector or an environment.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::terminal::CommandTerminal;
use super::wire::{Decoder, Encoder, Malformed};
use crate::redact::Secrets;

/// One attempt of a command, as the engine asks for it.
///
/// Relative paths are taken from the engine's working directory at [`Helper::launch`](super::Helper::launch).
#[derive(Debug)]
pub struct AttemptSpec {
    /// The program and its arguments. A name without `/` is looked up in the `PATH` of [`env`](Self::env), as `execvp` does.
    pub argv: Vec<OsString>,
    /// A script for the program: written to a private file whose path becomes the last argument (language.md §4, `shell`).
    pub script: Option<Script>,
    /// The whole environment of the command; nothing else is inherited (language.md §7).
    pub env: Vec<(OsString, OsString)>,
    /// The command's working directory.
    pub cwd: PathBuf,
    /// What the command reads on standard input; `None` is an empty input (language.md §4).
    pub stdin: Option<Vec<u8>>,
    /// SIGTERM to the process group after so long; `None` is no limit (language.md §3).
    pub timeout: Option<Duration>,
    /// SIGKILL so long after a SIGTERM (language.md §3).
    pub grace: Duration,
    /// Where the output is recorded: a file that must not exist, created with the first byte. `None` records nothing.
    pub log: Option<PathBuf>,
    /// The mode of the log's file: `0o600`, or `0o660` in a state directory that a group shares (engine.md §3).
    pub log_mode: u32,
    /// How many bytes of output are kept, half of them from the beginning and half from the end (language.md §3).
    pub log_limit: u64,
    /// The file behind `RUNBOOK_OUTPUT`: created empty, read and removed when the command is over (language.md §7). The variable itself is
    /// part of [`env`](Self::env).
    pub output_file: Option<PathBuf>,
    /// What is masked in everything that the command prints, before it goes anywhere.
    pub secrets: Secrets,
    /// The slot of the run's witness file; `None` for a command whose result needs no witness (a probe).
    pub slot: Option<(PathBuf, u32)>,
    /// Descriptors that the keeper holds for its life, and the command doesn't get: the named locks of the step (engine.md §4).
    pub inherit: Vec<OwnedFd>,
    /// Whether what the command leaves running lives on until it is told to end (language.md §4, `background`).
    pub background: bool,
    /// The terminal that it gets in place of its three streams (language.md §3, `interactive`).
    pub terminal: Option<CommandTerminal>,
}

impl AttemptSpec {
    /// Describes a command that inherits nothing, records nothing and may take as long as it likes.
    #[must_use]
    pub fn new(argv: Vec<OsString>, cwd: PathBuf) -> Self {
        Self {
            argv,
            script: None,
            env: Vec::new(),
            cwd,
            stdin: None,
            timeout: None,
            grace: Duration::from_secs(10),
            log: None,
            log_mode: 0o600,
            log_limit: 64 * 1024 * 1024,
            output_file: None,
            secrets: Secrets::default(),
            slot: None,
            inherit: Vec::new(),
            background: false,
            terminal: None,
        }
    }
}

/// A script that is handed to its shell as a file.
///
/// A file and not a descriptor, since shells read scripts piece by piece, print the path in their messages, and would leave a descriptor open
/// for everything that they start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Where the keeper puts it, with mode 0600: a fresh name in [`runtime_directory`](super::runtime_directory). Removed with the attempt.
    pub path: PathBuf,
    /// The text.
    pub content: Vec<u8>,
}

impl AttemptSpec {
    /// Writes the spec as the keeper reads it, without its descriptors, which travel beside it.
    pub(crate) fn encode(&self) -> std::io::Result<Zeroizing<Vec<u8>>> {
        let mut out = Encoder::default();
        out.list(&self.argv, |out, argument| out.os(argument));
        out.option(self.script.as_ref(), |out, script| {
            out.os(script.path.as_os_str());
            out.bytes(&script.content);
        });
        out.list(&self.env, |out, (name, value)| {
            out.os(name);
            out.os(value);
        });
        out.os(std::path::absolute(&self.cwd)?.as_os_str());
        out.option(self.stdin.as_ref(), |out, bytes| out.bytes(bytes));
        out.option(self.timeout.as_ref(), |out, timeout| out.duration(*timeout));
        out.duration(self.grace);
        out.option(absolute(self.log.as_ref())?.as_ref(), |out, path| out.os(path.as_os_str()));
        out.u32(self.log_mode);
        out.u64(self.log_limit);
        out.option(absolute(self.output_file.as_ref())?.as_ref(), |out, path| out.os(path.as_os_str()));
        let secrets: Vec<_> = self.secrets.iter().collect();
        out.list(&secrets, |out, secret| {
            out.bytes(secret.name().as_bytes());
            out.bytes(secret.expose());
        });
        let slot = match &self.slot {
            Some((path, number)) => Some((std::path::absolute(path)?, *number)),
            None => None,
        };
        out.option(slot.as_ref(), |out, (path, number)| {
            out.os(path.as_os_str());
            out.u32(*number);
        });
        out.bool(self.background);
        out.option(self.terminal.as_ref(), |out, terminal| terminal.encode(out));
        Ok(Zeroizing::new(out.finish()))
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(bytes: &[u8], mut descriptors: Vec<OwnedFd>) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        let mut spec = Self {
            argv: input.list(Decoder::os)?,
            script: input
                .option(|input| Ok(Script { path: input.os()?.into(), content: input.bytes()?.to_vec() }))?,
            env: input.list(|input| Ok((input.os()?, input.os()?)))?,
            cwd: input.os()?.into(),
            stdin: input.option(|input| Ok(input.bytes()?.to_vec()))?,
            timeout: input.option(Decoder::duration)?,
            grace: input.duration()?,
            log: input.option(|input| Ok(input.os()?.into()))?,
            log_mode: input.u32()?,
            log_limit: input.u64()?,
            output_file: input.option(|input| Ok(input.os()?.into()))?,
            secrets: Secrets::from_pairs(input.list(|input| {
                let name = String::from_utf8_lossy(input.bytes()?).into_owned();
                Ok((name, input.bytes()?.to_vec()))
            })?)
            // The engine had them checked already.
            .map_err(|_weak| Malformed)?,
            slot: input.option(|input| Ok((PathBuf::from(input.os()?), input.u32()?)))?,
            inherit: Vec::new(),
            background: input.bool()?,
            terminal: input.option(|input| CommandTerminal::decode(input, &mut descriptors))?,
        };
        spec.inherit = descriptors;
        input.end()?;
        Ok(spec)
    }
}

/// Makes a path independent of the working directory, which the keeper leaves for the command's.
fn absolute(path: Option<&PathBuf>) -> std::io::Result<Option<PathBuf>> {
    path.map(std::path::absolute).transpose()
}
