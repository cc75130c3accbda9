//! Getting a command ready and starting it: its files, its streams, its program.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags};

use super::exit::{OUTPUT_FILE_LIMIT, SpawnFailure, SpawnPart};
use super::keep::{IGNORED, errno};
use super::output::Source;
use super::spec::AttemptSpec;
use super::system::{self, Spawn};
use crate::capture::{Stream, read_at_most};
use crate::redact::Masker;

/// Where `execvp` looks when there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A command that only has to be started.
pub(super) struct Prepared {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    stdin: Option<OwnedFd>,
    pipes: [OwnedFd; 2],
    sources: [Source; 2],
    terminal: Option<CString>,
    /// The command's end of its terminal.
    held: Option<OwnedFd>,
}

/// A command that runs.
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) sources: [Source; 2],
    /// The command's end of its terminal, until the command has ended.
    pub(super) held: Option<OwnedFd>,
}

/// Creates what the command needs, goes to its folder and finds its program. Starts nothing.
pub(super) fn prepare(spec: &AttemptSpec, masker: &Masker) -> Result<Prepared, SpawnFailure> {
    // This process has one thread and one command, so it can take the command's folder as its own; its own paths are absolute.
    std::env::set_current_dir(&spec.cwd).map_err(failed(SpawnPart::WorkingDirectory))?;
    if let Some(script) = &spec.script {
        write_private(&script.path, &script.content).map_err(failed(SpawnPart::Script))?;
    }
    if let Some(path) = &spec.output_file {
        write_private(path, &[]).map_err(failed(SpawnPart::OutputFile))?;
    }
    let stdin = match spec.stdin.as_deref() {
        None | Some([]) => None,
        Some(content) => Some(in_memory(content).map_err(failed(SpawnPart::Stdin))?),
    };
    let (mut stdout, stdout_pipe) = Source::new(Stream::Stdout, masker).map_err(failed(SpawnPart::Pipes))?;
    let (stderr, stderr_pipe) = Source::new(Stream::Stderr, masker).map_err(failed(SpawnPart::Pipes))?;
    let mut held = None;
    if let Some(terminal) = &spec.terminal {
        held = Some(terminal.hold().map_err(failed(SpawnPart::Terminal))?);
        stdout = Source::of_terminal(terminal, masker).map_err(failed(SpawnPart::Terminal))?;
    }
    let program = find_program(spec).map_err(failed(SpawnPart::Program))?;
    let arguments = spec
        .argv
        .iter()
        .map(OsString::as_os_str)
        .chain(spec.script.iter().map(|script| script.path.as_os_str()));
    Ok(Prepared {
        program: text(&program).map_err(failed(SpawnPart::Program))?,
        arguments: arguments.map(text).collect::<Result<_, _>>().map_err(failed(SpawnPart::Program))?,
        environment: spec
            .env
            .iter()
            .map(variable)
            .collect::<Result<_, _>>()
            .map_err(failed(SpawnPart::Program))?,
        stdin,
        pipes: [stdout_pipe, stderr_pipe],
        sources: [stdout, stderr],
        terminal: spec.terminal.as_ref().map(|terminal| terminal.path.clone()),
        held,
    })
}

impl Prepared {
    /// Starts the command. Its ends of the pipes are closed in this process, so that their end is its end.
    pub(super) fn start(self) -> Result<Started, SpawnFailure> {
        let [stdout, stderr] = &self.pipes;
        // This process's own standard input is `/dev/null`.
        let stdin: BorrowedFd<'_> = match &self.stdin {
            Some(content) => content.as_fd(),
            None => rustix::stdio::stdin(),
        };
        let request = Spawn {
            program: self.program,
            arguments: self.arguments,
            environment: self.environment,
            standard: [stdin, stdout.as_fd(), stderr.as_fd()],
            leads_session: self.terminal.is_some(),
            terminal: self.terminal,
            ignored: &IGNORED,
        };
        let pid = system::spawn(&request).map_err(failed(SpawnPart::Program))?;
        Ok(Started { pid, sources: self.sources, held: self.held })
    }

    /// Removes the files that lived for the command alone.
    pub(super) fn remove_files(spec: &AttemptSpec) {
        let script = spec.script.as_ref().map(|script| &script.path);
        for path in script.into_iter().chain(&spec.output_file) {
            // The command may have removed it, which is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads the file behind `RUNBOOK_OUTPUT`. Whatever the command put in its place is followed nowhere and waited for never.
pub(super) fn collect_outputs(spec: &AttemptSpec) -> io::Result<Vec<u8>> {
    let Some(path) = &spec.output_file else { return Ok(Vec::new()) };
    let mut file =
        match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
    if !file.metadata()?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    read_at_most(&mut file, OUTPUT_FILE_LIMIT)?.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))
}

fn failed(part: SpawnPart) -> impl Fn(io::Error) -> SpawnFailure {
    move |error| SpawnFailure { part, errno: errno(&error) }
}

/// Creates a file that only its owner reads. One that a killed keeper left under the same name is replaced.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let create = || {
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
    };
    let mut file = match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()?
        }
        file => file?,
    };
    file.write_all(content)
}

/// Puts standard input into memory, read-only, so that nobody has to feed a pipe.
fn in_memory(content: &[u8]) -> io::Result<OwnedFd> {
    let descriptor = rustix::fs::memfd_create(c"stdin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    file.write_all(content)?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file.into())
}

/// Finds the program as `execvp` does, but in the command's own `PATH`.
fn find_program(spec: &AttemptSpec) -> io::Result<OsString> {
    let name = spec
        .argv
        .first()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    if name.as_bytes().contains(&b'/') {
        return Ok(name.clone());
    }
    // The last wins where a name is set twice, as shells have it.
    let path = spec.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
    let mut error = libc::ENOENT;
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        let candidate = OsString::from_vec([folder, b"/", name.as_bytes()].concat());
        match fs::metadata(&candidate) {
            Ok(metadata) if metadata.is_file() => {
                if metadata.permissions().mode() & 0o111 != 0
                    && rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok()
                {
                    return Ok(candidate);
                }
                error = libc::EACCES;
            }
            _ => {}
        }
    }
    Err(io::Error::from_raw_os_error(error))
}

fn variable((name, value): &(OsString, OsString)) -> io::Result<CString> {
    text(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
}

fn text(value: &OsStr) -> io::Result<CString> {
    // What holds NUL is refused by the plan; the system could only cut it short.
    CString::new(value.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
