//! The files of a run that is being created: written first, flushed together with the first batch of its journal.
//!
//! Every flush of a new file makes the file system commit what it has collected, which takes milliseconds. The disk is therefore first handed
//! everything, and only then waited for: the first flush commits for all, the others find nothing left to do.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::error::StoreError;
use super::files::Directory;

/// Files that are written and not flushed yet.
#[derive(Debug)]
pub struct NewFiles {
    files: Vec<(File, PathBuf)>,
    beside: Directory,
}

impl NewFiles {
    /// Writes files into `directory` that must not be there yet. `beside` is the folder with the directory's own name in it.
    ///
    /// # Errors
    /// The first that exists or can't be written.
    pub fn write(
        directory: &Directory,
        files: &[(&str, &[u8])],
        beside: &Directory,
    ) -> Result<Self, StoreError> {
        let files = files.iter().map(|(name, bytes)| {
            let mut file = directory.create(name)?;
            let path = directory.path().join(name);
            file.write_all(bytes).map_err(|source| StoreError::io("write", &path, source))?;
            Ok((file, path))
        });
        Ok(Self { files: files.collect::<Result<_, _>>()?, beside: beside.clone() })
    }

    /// Flushes them all, with the folder beside. Their own names are durable with the next [`Directory::sync`].
    ///
    /// # Errors
    /// The first that can't be flushed.
    pub fn flush(self) -> Result<(), StoreError> {
        for (file, _) in &self.files {
            begin(file);
        }
        for (file, path) in &self.files {
            file.sync_data().map_err(|source| StoreError::io("sync", path, source))?;
        }
        self.beside.sync()
    }
}

/// Asks the system to begin writing a file to the disk, and doesn't wait for it.
pub(crate) fn begin(file: &File) {
    // To let a file's memory go, Linux first writes it out. A system that doesn't only takes longer over the flush.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}
