//! Files that people give with an answer: copied into the run, named by what they hold.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use runbook_core::event::Evidence;
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::run_directory::RunDir;

/// The largest file that is kept as evidence, in bytes.
pub const EVIDENCE_BYTES_MAX: u64 = 64 << 20;
/// The folder of such files among a run's artifacts.
pub(super) const EVIDENCE: &str = "evidence";

/// Why a file can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It can't be read, or is too large.
    #[error("{0}")]
    Source(std::io::Error),
    /// Its copy can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies a file into the run, durably, and says what it is. A copy that nobody mentions in an answer does no harm.
///
/// # Errors
/// Where the file can't be read, is no regular file or is larger than [`EVIDENCE_BYTES_MAX`]; where the copy can't be written.
pub fn attach(dir: &RunDir, path: &Path) -> Result<Evidence, AttachError> {
    let bytes = read(path).map_err(AttachError::Source)?;
    let digest = Sha256::digest(&bytes);
    let sha256 = crate::run::hex(&digest);
    let folder = dir.artifacts()?.ensure_subdirectory(EVIDENCE)?;
    // Named by its content: the same file twice is one copy.
    if folder.stat(&sha256)?.is_none() {
        let mut copy = folder.create(&sha256)?;
        let target = folder.path().join(&sha256);
        copy.write_all(&bytes).map_err(|source| StoreError::io("write", &target, source))?;
        copy.sync_data().map_err(|source| StoreError::io("sync", &target, source))?;
        folder.sync()?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Evidence::File { name, size: bytes.len() as u64, sha256 })
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(EVIDENCE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > EVIDENCE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", EVIDENCE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}
