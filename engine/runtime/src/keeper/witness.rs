//! The run's witness file: one slot for each attempt, with the lock, the claim and the exit that tell a resume what happened (engine.md §4).
//!
//! ```text
//! slot n = bytes [512 n, 512 (n + 1)), locked as a range by whoever reads or writes it
//!   0 claim    the keeper: pid, start time, boot id      written just before the command starts
//! 128 command  its pid                                   written just after
//! 160 revoked  "never start this"                        written by a resume
//! 192 exit     how it ended                              written last, when the log is safe
//! ```
//!
//! Each part has its own checksum, over its kind, its slot's number and its content, so neither a torn write nor a part copied elsewhere counts.
//! Nothing is flushed: a witness speaks of a process that died, not of a machine that did. A part that is there but doesn't check is never
//! taken for one that isn't there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::exit::Exit;
use super::processes::{self, Identity};
use super::system::{self, RangeLock};
use super::wire::{Decoder, Encoder, Malformed};

/// The bytes of one slot.
const SLOT: u64 = 512;

/// A part of a slot: where it is, and how long it may be.
#[derive(Debug, Clone, Copy)]
struct Part {
    offset: u64,
    size: usize,
    kind: u8,
}

const CLAIM: Part = Part { offset: 0, size: 128, kind: b'C' };
const COMMAND: Part = Part { offset: 128, size: 32, kind: b'P' };
const REVOKED: Part = Part { offset: 160, size: 32, kind: b'R' };
const EXIT: Part = Part { offset: 192, size: 320, kind: b'E' };

/// A part begins with its kind and the length of its content, and ends with eight bytes of SHA-256.
const HEADER: usize = 3;
const CHECKSUM: usize = 8;

/// Who is about to start, or has started, a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The keeper.
    pub keeper: Identity,
    /// The boot id within which the identity holds.
    pub boot: String,
    /// The command's pid, where the keeper lived long enough to write it.
    pub command: Option<i32>,
    /// The command, where it leads a session of its own: at a terminal.
    pub session: Option<Identity>,
}

/// What a slot says, in the table of engine.md §4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A keeper holds the slot: attach and wait, or end it.
    StillRunning {
        /// Who, where it has got so far.
        claim: Option<Claim>,
    },
    /// Nothing was started in this boot. After [`Witness::settle`] nothing ever will be.
    NeverStarted,
    /// It ended so.
    Exited(Exit),
    /// It may have started, and how it ended is not known: `interrupted`.
    Unknown {
        /// Who started it, where that is legible.
        claim: Option<Claim>,
    },
}

/// The witness file couldn't be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} witness file {path}", path = .path.display())]
pub struct WitnessError {
    /// What was tried.
    pub action: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// An open witness file.
#[derive(Debug)]
pub struct Witness {
    path: PathBuf,
    file: File,
    writable: bool,
}

impl Witness {
    /// Creates the file for a new run. `mode` is `0o600`, or `0o660` where a group shares the state directory.
    ///
    /// # Errors
    /// The file exists already, or can't be created.
    pub fn create(path: &Path, mode: u32) -> Result<Self, WitnessError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path);
        // The mode of `open` is narrowed by the user's mask, which is meant for other files.
        let file =
            file.and_then(|file| file.set_permissions(std::fs::Permissions::from_mode(mode)).map(|()| file));
        Self::from_file(path, file, "create", true)
    }

    /// Opens the file of a run to settle what is outstanding.
    ///
    /// # Errors
    /// The file doesn't exist, or can't be opened for writing.
    pub fn open(path: &Path) -> Result<Self, WitnessError> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path);
        Self::from_file(path, file, "open", true)
    }

    /// Opens the file of a run only to look, as `status` does.
    ///
    /// # Errors
    /// The file doesn't exist, or can't be read.
    pub fn open_to_look(path: &Path) -> Result<Self, WitnessError> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
        Self::from_file(path, file, "open", false)
    }

    fn from_file(
        path: &Path,
        file: io::Result<File>,
        action: &'static str,
        writable: bool,
    ) -> Result<Self, WitnessError> {
        match file {
            Ok(file) => Ok(Self { path: path.to_path_buf(), file, writable }),
            Err(source) => Err(WitnessError { action, path: path.to_path_buf(), source }),
        }
    }

    /// Says what a slot shows now, and changes nothing: a command that hasn't started yet may start a moment later.
    ///
    /// `started_in` is the boot id that `step_started` records: the absence of a witness proves nothing in another boot.
    ///
    /// # Errors
    /// The file can't be locked or read.
    pub fn inspect(&self, slot: u32, started_in: &str) -> Result<Verdict, WitnessError> {
        if !self.try_lock(slot, RangeLock::Shared)? {
            return Ok(Verdict::StillRunning { claim: self.claim_of(slot)? });
        }
        let verdict = self.read_verdict(slot, started_in);
        self.unlock(slot)?;
        verdict
    }

    /// Decides a slot for good: one that shows no start is revoked under the same lock, so that a keeper that comes late exits without starting
    /// its command. The step's next start, with the same attempt number, takes another slot.
    ///
    /// # Errors
    /// The file can't be locked, read or written.
    pub fn settle(&self, slot: u32, started_in: &str) -> Result<Verdict, WitnessError> {
        if !self.try_lock(slot, RangeLock::Exclusive)? {
            return Ok(Verdict::StillRunning { claim: self.claim_of(slot)? });
        }
        let verdict = self.read_verdict(slot, started_in).and_then(|verdict| {
            if verdict == Verdict::NeverStarted {
                self.write_part(slot, REVOKED, &[])?;
            }
            Ok(verdict)
        });
        self.unlock(slot)?;
        verdict
    }

    /// The slots from `first` on in which something is written, in order. A claimed slot that no journal record names means that the journal lost
    /// records (engine.md §4).
    ///
    /// # Errors
    /// The file can't be read.
    pub fn used_slots(&self, first: u32) -> Result<Vec<u32>, WitnessError> {
        let length = self.file.metadata().map_err(|source| self.error("read", source))?.len();
        let mut used = Vec::new();
        for slot in first..u32::try_from(length.div_ceil(SLOT)).unwrap_or(u32::MAX) {
            if !matches!(self.read_part(slot, CLAIM)?, Content::Absent)
                || !matches!(self.read_part(slot, EXIT)?, Content::Absent)
            {
                used.push(slot);
            }
        }
        Ok(used)
    }

    /// Waits until nobody holds the slot. Blocks the thread.
    pub(crate) fn wait_until_free(&self, slot: u32) -> Result<(), WitnessError> {
        let lock = if self.writable { RangeLock::Exclusive } else { RangeLock::Shared };
        system::wait_to_lock_range(&self.file, u64::from(slot) * SLOT, SLOT, lock)
            .map_err(|source| self.error("lock", source))?;
        self.unlock(slot)
    }

    /// Takes the slot for this open file's life, as a keeper does.
    pub(super) fn hold(&self, slot: u32) -> Result<(), WitnessError> {
        system::wait_to_lock_range(&self.file, u64::from(slot) * SLOT, SLOT, RangeLock::Exclusive)
            .map_err(|source| self.error("lock", source))
    }

    /// Whether a resume decided that this slot's command never starts. A mark that can't be read counts as one.
    pub(super) fn is_revoked(&self, slot: u32) -> Result<bool, WitnessError> {
        Ok(!matches!(self.read_part(slot, REVOKED)?, Content::Absent))
    }

    pub(super) fn write_claim(&self, slot: u32, keeper: Identity, boot: &str) -> Result<(), WitnessError> {
        let mut out = Encoder::default();
        out.i32(keeper.pid);
        out.u64(keeper.started);
        out.bytes(boot.as_bytes());
        self.write_part(slot, CLAIM, &out.finish())
    }

    /// Notes the command's pid; with its start where it leads a session of its own.
    pub(super) fn write_command(
        &self,
        slot: u32,
        pid: i32,
        session: Option<Identity>,
    ) -> Result<(), WitnessError> {
        let mut out = Encoder::default();
        out.i32(pid);
        if let Some(session) = session {
            out.u64(session.started);
        }
        self.write_part(slot, COMMAND, &out.finish())
    }

    pub(super) fn write_exit(&self, slot: u32, exit: &Exit) -> Result<(), WitnessError> {
        self.write_part(slot, EXIT, &exit.encode())
    }

    fn read_verdict(&self, slot: u32, started_in: &str) -> Result<Verdict, WitnessError> {
        let exit = self.read_part(slot, EXIT)?;
        if let Content::Valid(bytes) = &exit
            && let Ok(exit) = Exit::decode(bytes)
        {
            return Ok(Verdict::Exited(exit));
        }
        let claim = self.read_part(slot, CLAIM)?;
        if matches!((&exit, &claim), (Content::Absent, Content::Absent))
            && processes::boot_id().is_ok_and(|boot| boot == started_in)
        {
            return Ok(Verdict::NeverStarted);
        }
        Ok(Verdict::Unknown { claim: self.claim_of(slot)? })
    }

    fn claim_of(&self, slot: u32) -> Result<Option<Claim>, WitnessError> {
        let Content::Valid(bytes) = self.read_part(slot, CLAIM)? else { return Ok(None) };
        let command = match self.read_part(slot, COMMAND)? {
            Content::Valid(bytes) => bytes,
            Content::Absent | Content::Damaged => Vec::new(),
        };
        let mut command = Decoder::new(&command);
        let pid = command.i32().ok();
        let session = pid.zip(command.u64().ok()).map(|(pid, started)| Identity { pid, started });
        Ok(decode_claim(&bytes).ok().map(|claim| Claim { command: pid, session, ..claim }))
    }

    fn try_lock(&self, slot: u32, lock: RangeLock) -> Result<bool, WitnessError> {
        system::try_lock_range(&self.file, u64::from(slot) * SLOT, SLOT, lock)
            .map_err(|source| self.error("lock", source))
    }

    fn unlock(&self, slot: u32) -> Result<(), WitnessError> {
        self.try_lock(slot, RangeLock::None).map(|_| ())
    }

    fn read_part(&self, slot: u32, part: Part) -> Result<Content, WitnessError> {
        let mut bytes = vec![0_u8; part.size];
        let start = u64::from(slot) * SLOT + part.offset;
        let mut filled = 0;
        // A file that ends within the slot is read as if zeros followed.
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.error("read", source)),
            }
        }
        Ok(open_part(&bytes, slot, part))
    }

    fn write_part(&self, slot: u32, part: Part, content: &[u8]) -> Result<(), WitnessError> {
        let sealed = seal_part(content, slot, part);
        self.file
            .write_all_at(&sealed, u64::from(slot) * SLOT + part.offset)
            .map_err(|source| self.error("write", source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> WitnessError {
        WitnessError { action, path: self.path.clone(), source }
    }
}

/// Waits until the keeper of a slot is gone, without costing a turn of the processor, and says how it ended.
///
/// # Errors
/// The file can't be opened, locked, read or written.
pub async fn wait_for_slot(path: &Path, slot: u32, started_in: &str) -> Result<Verdict, WitnessError> {
    let witness = Witness::open(path)?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let path = path.to_path_buf();
    // A thread of its own and not tokio's pool: the wait can't be cancelled, and the runtime's end would wait for the pool.
    let waiting = std::thread::Builder::new().name("slot".to_owned()).spawn(move || {
        let waited = witness.wait_until_free(slot);
        // Nobody listens any more where the wait was given up.
        let _ = sender.send(waited.map(|()| witness));
    });
    waiting.map_err(|source| WitnessError { action: "wait for", path: path.clone(), source })?;
    match receiver.await {
        Ok(witness) => witness?.settle(slot, started_in),
        Err(_) => Err(WitnessError {
            action: "wait for",
            path,
            source: io::Error::other("the waiting thread ended"),
        }),
    }
}

/// What is in a part of a slot.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Absent,
    Valid(Vec<u8>),
    Damaged,
}

fn seal_part(content: &[u8], slot: u32, part: Part) -> Vec<u8> {
    assert!(HEADER + content.len() + CHECKSUM <= part.size, "the content of a witness part fits into it");
    let length = u16::try_from(content.len()).expect("a part is shorter than 64 KiB: asserted above");
    let mut bytes = Vec::with_capacity(part.size);
    bytes.push(part.kind);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&checksum(&bytes, slot));
    bytes
}

fn open_part(bytes: &[u8], slot: u32, part: Part) -> Content {
    if bytes.iter().all(|byte| *byte == 0) {
        return Content::Absent;
    }
    let length = usize::from(u16::from_le_bytes([bytes[1], bytes[2]]));
    let Some((sealed, rest)) = bytes.split_at_checked(HEADER + length) else { return Content::Damaged };
    if bytes[0] != part.kind || !rest.starts_with(&checksum(sealed, slot)) {
        return Content::Damaged;
    }
    Content::Valid(sealed[HEADER..].to_vec())
}

fn checksum(sealed: &[u8], slot: u32) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(slot.to_le_bytes()).chain_update(sealed).finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&digest[..CHECKSUM]);
    checksum
}

fn decode_claim(bytes: &[u8]) -> Result<Claim, Malformed> {
    let mut input = Decoder::new(bytes);
    let keeper = Identity { pid: input.i32()?, started: input.u64()? };
    let boot = String::from_utf8_lossy(input.bytes()?).into_owned();
    input.end()?;
    Ok(Claim { keeper, boot, command: None, session: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_apart_within_their_slot() {
        let mut end = 0;
        for part in [CLAIM, COMMAND, REVOKED, EXIT] {
            assert!(part.offset >= end);
            end = part.offset + part.size as u64;
        }
        assert!(end <= SLOT);
    }

    #[test]
    fn a_part_counts_only_whole_and_in_its_place() {
        let sealed = seal_part(b"content", 3, CLAIM);
        let mut bytes = sealed.clone();
        bytes.resize(CLAIM.size, 0);
        assert_eq!(open_part(&bytes, 3, CLAIM), Content::Valid(b"content".to_vec()));
        assert_eq!(open_part(&bytes, 4, CLAIM), Content::Damaged);
        assert_eq!(open_part(&bytes, 3, COMMAND), Content::Damaged);
        assert_eq!(open_part(&[0; CLAIM.size], 3, CLAIM), Content::Absent);
        for length in 1..sealed.len() {
            let mut torn = sealed[..length].to_vec();
            torn.resize(CLAIM.size, 0);
            // A checksum may end with a zero that is also what follows a torn one.
            if torn[..sealed.len()] != sealed {
                assert_eq!(open_part(&torn, 3, CLAIM), Content::Damaged, "{length} bytes");
            }
        }
    }
}
