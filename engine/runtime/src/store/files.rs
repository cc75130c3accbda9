//! Folders by their open handle: the one way to the files of the state
//! directory.
//!
//! Everything inside is opened relative to the folder's own descriptor and with
//! `O_NOFOLLOW`, so that a symbolic link is refused at any depth and nobody can
//! swap a folder between check and use (`engine.md` §5). Durable writes go
//! through one helper: temporary file, `fsync`, rename, `fsync` of the folder.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::error::StoreError;
use super::mode::{self, Reach};

/// An open folder of the state directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    handle: Arc<OwnedFd>,
    path: Arc<Path>,
    reach: Reach,
}

impl Directory {
    /// Opens the state directory itself, which may be reached through a
    /// symbolic link.
    ///
    /// # Errors
    /// Where it can't be opened or is no directory.
    pub fn open_root(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| StoreError::io("open", path, errno))?;
        let status = rustix::fs::fstat(&handle).map_err(|errno| StoreError::io("stat", path, errno))?;
        Ok(Self { handle: Arc::new(handle), path: path.into(), reach: Reach::of(status.st_mode) })
    }

    /// Who shares it.
    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// Where it can't be opened, is a symbolic link or is no directory.
    pub fn subdirectory(&self, name: &str) -> Result<Self, StoreError> {
        let path = self.join(name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&*self.handle, name, flags, Mode::empty())
            .map_err(|errno| self.opening(name, &path, errno))?;
        Ok(Self { handle: Arc::new(handle), path: path.into(), reach: self.reach })
    }

    /// Creates a folder in this one that must not be there yet. Not durable
    /// before [`Directory::sync`].
    ///
    /// # Errors
    /// Where it exists or can't be created.
    pub fn create_subdirectory(&self, name: &str) -> Result<Self, StoreError> {
        let path = self.join(name)?;
        rustix::fs::mkdirat(&*self.handle, name, mode::DIRECTORY)
            .map_err(|errno| StoreError::io("create", &path, errno))?;
        let created = self.subdirectory(name)?;
        if self.reach == Reach::Group {
            // The user's mask is meant for other folders.
            rustix::fs::fchmod(&created, Mode::from_bits_truncate(mode::SHARED))
                .map_err(|errno| StoreError::io("change the mode of", &path, errno))?;
        }
        Ok(created)
    }

    /// Opens a folder in this one, creating it where it isn't there.
    ///
    /// # Errors
    /// Where it can't be opened or created, or is a symbolic link.
    pub fn ensure_subdirectory(&self, name: &str) -> Result<Self, StoreError> {
        match self.subdirectory(name) {
            Err(error) if error.is_missing() => {}
            other => return other,
        }
        match self.create_subdirectory(name) {
            // Somebody else was quicker.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                self.subdirectory(name)
            }
            other => other,
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// Where it can't be opened, is a symbolic link or no regular file.
    pub fn open(&self, name: &str) -> Result<File, StoreError> {
        self.open_with(name, OFlags::RDONLY, Mode::empty())
    }

    /// Opens a regular file with more than reading in mind; `NOFOLLOW` and
    /// `CLOEXEC` are added.
    pub(crate) fn open_with(&self, name: &str, flags: OFlags, mode: Mode) -> Result<File, StoreError> {
        let path = self.join(name)?;
        // A FIFO in place of a file would block the open for ever.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match self.reach {
            Reach::Group if flags.contains(OFlags::CREATE) => self.open_shared(name, flags, mode),
            Reach::Group | Reach::Owner => rustix::fs::openat(&*self.handle, name, flags, mode),
        };
        let file = opened.map_err(|errno| self.opening(name, &path, errno))?;
        let status = rustix::fs::fstat(&file).map_err(|errno| StoreError::io("stat", &path, errno))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(StoreError::refused(&path, "is not a regular file"));
        }
        Ok(File::from(file))
    }

    /// Opens or creates a file where a group shares the directory. What is there is opened without `CREATE`, which kernels refuse for
    /// another member's file in a sticky folder (`fs.protected_regular`); what is new gets its mode whatever the user's mask.
    fn open_shared(&self, name: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        loop {
            if !flags.contains(OFlags::EXCL) {
                match rustix::fs::openat(&*self.handle, name, flags - OFlags::CREATE, Mode::empty()) {
                    Err(Errno::NOENT) => {}
                    other => return other,
                }
            }
            match rustix::fs::openat(&*self.handle, name, flags | OFlags::EXCL, mode) {
                // Somebody else was quicker.
                Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => {}
                Err(errno) => return Err(errno),
                Ok(file) => {
                    rustix::fs::fchmod(&file, self.reach.file(mode))?;
                    return Ok(file);
                }
            }
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Directory::open`], and where it has more than `bytes_max` bytes.
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let file = self.open(name)?;
        self.read_open(name, file, bytes_max)
    }

    /// Reads a file that was opened already.
    pub(crate) fn read_open(&self, name: &str, file: File, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path.join(name);
        let expected = file.metadata().map_or(0, |metadata| metadata.len());
        if expected > bytes_max {
            return Err(StoreError::refused(&path, format!("is larger than {bytes_max} bytes")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        // It may grow while it is read.
        file.take(bytes_max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| StoreError::io("read", &path, source))?;
        if bytes.len() as u64 > bytes_max {
            return Err(StoreError::refused(&path, format!("is larger than {bytes_max} bytes")));
        }
        Ok(bytes)
    }

    /// Creates a file that must not be there yet, for writing. Not durable
    /// before the file and [`Directory::sync`] are.
    ///
    /// # Errors
    /// Where it exists or can't be created.
    pub fn create(&self, name: &str) -> Result<File, StoreError> {
        self.create_with(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Creates a file of the engine's own.
    pub(crate) fn create_with(&self, name: &str, flags: OFlags) -> Result<File, StoreError> {
        self.open_with(name, flags, mode::FILE)
    }

    /// Writes a file that must not be there yet and flushes it; its name is
    /// durable with the next [`Directory::sync`]. For a run that is being
    /// created: nobody sees it before its journal, whose creation syncs the
    /// folder once for all.
    ///
    /// # Errors
    /// Where it exists or can't be written.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.create(name)?;
        let path = self.path.join(name);
        file.write_all(bytes).map_err(|source| StoreError::io("write", &path, source))?;
        file.sync_data().map_err(|source| StoreError::io("sync", &path, source))
    }

    /// Puts a file in place at once and durably, whatever was there before:
    /// temporary file, `fsync`, rename, `fsync` of the folder.
    ///
    /// # Errors
    /// Where any of it fails; then the old file is still in place, or the new
    /// one is but may not survive a crash.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(name, bytes, mode::FILE, RenameFlags::empty())
    }

    /// The helper behind every durable write.
    pub(crate) fn put(
        &self,
        name: &str,
        bytes: &[u8],
        mode: Mode,
        rename: RenameFlags,
    ) -> Result<(), StoreError> {
        let path = self.join(name)?;
        let temporary = self.write_temporary(name, bytes, mode)?;
        let renamed = match rustix::fs::renameat_with(&*self.handle, &temporary, &*self.handle, name, rename)
        {
            // Some file systems know no flags; our names are unique anyway.
            Err(Errno::INVAL) if !rename.is_empty() => {
                rustix::fs::renameat(&*self.handle, &temporary, &*self.handle, name)
            }
            other => other,
        };
        if let Err(errno) = renamed {
            let _ = rustix::fs::unlinkat(&*self.handle, &temporary, AtFlags::empty());
            return Err(StoreError::io("rename to", &path, errno));
        }
        self.sync()
    }

    /// Writes and flushes a file beside `name` and returns its own name.
    fn write_temporary(&self, name: &str, bytes: &[u8], mode: Mode) -> Result<String, StoreError> {
        let temporary = format!(".{name}.{}.tmp", super::identity::random_tail());
        let path = self.path.join(&temporary);
        let mut file = self.create(&temporary)?;
        let written = rustix::fs::fchmod(&file, self.reach.file(mode))
            .map_err(|errno| StoreError::io("change the mode of", &path, errno))
            .and_then(|()| file.write_all(bytes).map_err(|source| StoreError::io("write", &path, source)))
            .and_then(|()| file.sync_all().map_err(|source| StoreError::io("sync", &path, source)));
        match written {
            Ok(()) => Ok(temporary),
            Err(error) => {
                let _ = rustix::fs::unlinkat(&*self.handle, &temporary, AtFlags::empty());
                Err(error)
            }
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Where it isn't there or can't be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.join(name)?;
        rustix::fs::unlinkat(&*self.handle, name, AtFlags::empty())
            .map_err(|errno| StoreError::io("remove", &path, errno))
    }

    /// Makes the names in this folder durable.
    ///
    /// # Errors
    /// Where the flush fails.
    pub fn sync(&self) -> Result<(), StoreError> {
        rustix::fs::fsync(&*self.handle).map_err(|errno| StoreError::io("sync", &self.path, errno))
    }

    /// The names in this folder, in no order; those that aren't UTF-8 are none
    /// of ours and left out.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let listing = rustix::fs::Dir::read_from(&*self.handle)
            .map_err(|errno| StoreError::io("list", &self.path, errno))?;
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|errno| StoreError::io("list", &self.path, errno))?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    /// The size and the time of the last change of a regular file, if it is
    /// there: bytes, and nanoseconds since 1970.
    pub(crate) fn stat(&self, name: &str) -> Result<Option<rustix::fs::Stat>, StoreError> {
        let path = self.join(name)?;
        match rustix::fs::statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(StoreError::io("stat", &path, errno)),
        }
    }

    /// The path of `name` in here, which must be a plain name.
    fn join(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(StoreError::refused(&self.path, format!("can't hold a file named {name:?}")));
        }
        Ok(path)
    }

    /// Says of a failed open whether a symbolic link was the reason.
    fn opening(&self, name: &str, path: &Path, errno: Errno) -> StoreError {
        let is_link = matches!(errno, Errno::LOOP | Errno::NOTDIR)
            && rustix::fs::statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Symlink);
        if is_link {
            StoreError::Symlink { path: path.to_owned() }
        } else {
            StoreError::io("open", path, errno)
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}
