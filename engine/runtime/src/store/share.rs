//! Sharing a state directory with a Unix group, on purpose (`engine.md` §3).
//!
//! The owner of an inbox file, which the kernel vouches for, is who answered: a
//! member can damage the journal, not make another's answer.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode};
use rustix::process::geteuid;

use super::error::StoreError;
use super::files::Directory;
use super::mode::{self, Reach};
use super::{Store, identity};

/// Makes a state directory that the members of a group share: 3770, and 0660
/// for what will be in it. Again for the same group: nothing changes.
///
/// # Errors
/// Where there is no such group or the user may not give it a folder; where the
/// directory belongs to somebody else or has runs already, whose files the
/// group could not read.
pub fn share(state_dir: &Path, group: &str) -> Result<(), ShareError> {
    let gid = identity::group_id(group).ok_or_else(|| ShareError::NoSuchGroup(group.to_owned()))?;
    DirBuilder::new()
        .recursive(true)
        .mode(mode::DIRECTORY.bits())
        .create(state_dir)
        .map_err(|source| StoreError::io("create", state_dir, source))?;
    let root = Directory::open_root(state_dir)?;
    let status = rustix::fs::fstat(&root).map_err(|errno| StoreError::io("stat", state_dir, errno))?;
    if root.reach() == Reach::Group && status.st_gid == gid {
        return Ok(());
    }
    if status.st_uid != geteuid().as_raw() {
        let owner = identity::user_name(status.st_uid);
        return Err(StoreError::refused(state_dir, format!("belongs to {owner}, not to you")).into());
    }
    for name in root.names()? {
        // What an earlier look made is made again; a folder that holds something isn't removed.
        let flags = if name.starts_with("index.") { AtFlags::empty() } else { AtFlags::REMOVEDIR };
        if rustix::fs::unlinkat(&root, &name, flags).is_err() {
            let what = format!("is in use ({name}), with files that only you can read: share an empty one");
            return Err(StoreError::refused(state_dir, what).into());
        }
    }
    // Giving the group away clears the bits, so it comes first.
    rustix::fs::fchown(&root, None, Some(Gid::from_raw(gid)))
        .map_err(|errno| StoreError::io("give to the group", state_dir, errno))?;
    rustix::fs::fchmod(&root, Mode::from_bits_truncate(mode::SHARED))
        .map_err(|errno| StoreError::io("change the mode of", state_dir, errno))?;
    let root = Directory::open_root(state_dir)?;
    if root.reach() != Reach::Group {
        let what = format!("can't be shared: you are no member of {group}");
        return Err(StoreError::refused(state_dir, what).into());
    }
    Store::open(state_dir)?;
    Ok(())
}

/// Why a state directory was not shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// Nobody knows the group.
    #[error("there is no group `{0}` on this machine")]
    NoSuchGroup(String),
    /// The directory.
    #[error(transparent)]
    Store(#[from] StoreError),
}
