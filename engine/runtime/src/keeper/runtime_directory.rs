//! The private folder for what must not outlive a step: scripts and the files behind `RUNBOOK_OUTPUT` (engine.md §5).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Gives the folder `runbook-UID` in `$XDG_RUNTIME_DIR` (as given), in `/dev/shm` or, where neither can be used, in the folder for temporary files;
/// creates it where it is missing. It belongs to this user, with mode 0700, and is no symlink: otherwise it isn't used.
///
/// # Errors
/// No place can be used; the error is that of the last one tried.
pub fn runtime_directory(xdg_runtime_dir: Option<&Path>) -> io::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let places = xdg_runtime_dir
        .into_iter()
        .filter(|path| path.is_absolute())
        .chain([Path::new("/dev/shm"), Path::new("/tmp")]);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for place in places {
        let folder = place.join(format!("runbook-{user}"));
        match private_folder(&folder, user) {
            Ok(()) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn private_folder(folder: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder)?;
    if metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o7777 == 0o700 {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }
}

/// Removes what killed keepers of a run left in the folder: the files whose names begin with `prefix`, which holds the run's id. Only for a run
/// of which nothing runs any more.
///
/// # Errors
/// The folder can't be read, or a file can't be removed.
pub fn remove_leftover_files(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) && entry.file_type()?.is_file()
        {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_folder_is_private_and_found_again() {
        let place = tempfile::tempdir().unwrap();
        let folder = runtime_directory(Some(place.path())).unwrap();
        assert!(folder.starts_with(place.path()));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(runtime_directory(Some(place.path())).unwrap(), folder);
    }

    #[test]
    fn a_folder_that_others_can_enter_or_a_symlink_is_not_used() {
        let user = rustix::process::geteuid().as_raw();
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join(format!("runbook-{user}"));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(runtime_directory(Some(place.path())).unwrap(), folder);
        fs::remove_dir(&folder).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), &folder).unwrap();
        assert_ne!(runtime_directory(Some(place.path())).unwrap(), folder);
    }

    #[test]
    fn leftovers_of_one_run_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["20261120T071203-k3f9.a.1.sh", "20261120T071203-k3f9.b.1.out", "20261120T071203-zzzz.a.1.sh"]
        {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftover_files(folder.path(), "20261120T071203-k3f9.").unwrap();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["20261120T071203-zzzz.a.1.sh"]);
    }
}
