//! Files that steps name by globs: inputs, whose hashes are part of what is
//! approved, and artifacts, which are copied into the run.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use runbook_core::schedule::KeptFile;
use sha2::{Digest, Sha256};

use crate::redact::Masker;
use crate::store::{Directory, StoreError, artifact_parts};

/// Why files can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The glob is none.
    #[error("`{glob}` is no glob: {source}")]
    Glob {
        /// As written.
        glob: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// Nothing is there.
    #[error("`{glob}` matches no file in {folder}", folder = .folder.display())]
    NoMatch {
        /// As written.
        glob: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The name of a file can't be recorded.
    #[error(
        "the name of a file holds the secret `{secret}`, and names are recorded as they are: call it something else"
    )]
    SecretName {
        /// Which.
        secret: String,
    },
    /// A file can't be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The regular files that a glob names, relative to `folder` where they are below it, sorted.
///
/// # Errors
/// A pattern that is none.
fn matches(folder: &Path, glob: &str) -> Result<Vec<(String, PathBuf)>, FilesError> {
    let pattern = folder.join(glob);
    let escaped_folder = glob::Pattern::escape(&folder.to_string_lossy());
    let pattern_text = if Path::new(glob).is_absolute() {
        pattern.to_string_lossy().into_owned()
    } else {
        format!("{escaped_folder}/{}", glob.strip_prefix("./").unwrap_or(glob))
    };
    let paths =
        glob::glob(&pattern_text).map_err(|source| FilesError::Glob { glob: glob.to_owned(), source })?;
    let mut found: Vec<(String, PathBuf)> = paths
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            (name, path)
        })
        .collect();
    found.sort();
    Ok(found)
}

/// The SHA-256 of each file that the globs name, by path.
///
/// # Errors
/// A glob that matches nothing, and files that can't be read.
pub fn hash_inputs(folder: &Path, globs: &[String]) -> Result<IndexMap<String, String>, FilesError> {
    let mut hashes = IndexMap::new();
    for glob in globs {
        let found = matches(folder, glob)?;
        if found.is_empty() {
            return Err(FilesError::NoMatch { glob: glob.clone(), folder: folder.to_owned() });
        }
        for (name, path) in found {
            let (sha256, _) = hash(&path, None)?;
            hashes.insert(name, sha256);
        }
    }
    Ok(hashes)
}

/// Inputs that are no longer what the plan has seen: path and new hash.
#[must_use]
pub(super) fn changed_inputs(
    folder: &Path,
    globs: &[String],
    seen: &IndexMap<String, String>,
) -> Vec<(String, Option<String>)> {
    let now = hash_inputs(folder, globs).unwrap_or_default();
    let mut changed: Vec<(String, Option<String>)> = seen
        .iter()
        .filter(|(path, sha256)| now.get(*path) != Some(sha256))
        .map(|(path, _)| (path.clone(), now.get(path).cloned()))
        .collect();
    changed.extend(
        now.iter()
            .filter(|(path, _)| !seen.contains_key(*path))
            .map(|(path, hash)| (path.clone(), Some(hash.clone()))),
    );
    changed
}

/// Hashes a file, and copies it meanwhile where a copy is wanted.
fn hash(path: &Path, mut copy: Option<&mut File>) -> Result<(String, u64), FilesError> {
    let error = |source| FilesError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(error)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer).map_err(error)?;
        if length == 0 {
            return Ok((hex(&digest.finalize()), size));
        }
        digest.update(&buffer[..length]);
        size += length as u64;
        if let Some(copy) = copy.as_deref_mut() {
            copy.write_all(&buffer[..length]).map_err(error)?;
        }
    }
}

/// Copies the files that the globs name into the run, durably.
///
/// # Errors
/// A glob that matches nothing: what was promised isn't there. A name that
/// holds a secret. A copy that can't be written.
pub(super) fn keep_artifacts(
    kept: &Directory,
    stem: &str,
    folder: &Path,
    globs: &[String],
    masker: &Masker,
) -> Result<Vec<KeptFile>, FilesError> {
    let mut files = Vec::new();
    for glob in globs {
        let found = matches(folder, glob)?;
        if found.is_empty() {
            return Err(FilesError::NoMatch { glob: glob.clone(), folder: folder.to_owned() });
        }
        for (name, path) in found {
            if let Some(secret) = masker.holds_secret(&name) {
                return Err(FilesError::SecretName { secret: secret.to_owned() });
            }
            let mut place = kept.ensure_subdirectory(stem)?;
            let parts = artifact_parts(&name);
            let (file_name, folders) =
                parts.split_last().map_or(("file", &[][..]), |(last, rest)| (*last, rest));
            for part in folders {
                place = place.ensure_subdirectory(part)?;
            }
            // A later attempt replaces what an earlier one left: its record has its own hash.
            let _ = place.remove(file_name);
            let mut copy = place.create(file_name)?;
            let (sha256, size) = hash(&path, Some(&mut copy))?;
            copy.sync_data().map_err(|source| FilesError::Read { path: path.clone(), source })?;
            place.sync()?;
            files.push(KeptFile { path: name, size, sha256 });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_hashed_and_changes_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.sh"), "abc").expect("written");
        let globs = vec!["./*.sh".to_owned()];
        let seen = hash_inputs(folder.path(), &globs).expect("hashed");
        assert_eq!(
            seen.get("a.sh").map(String::as_str),
            Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
        assert!(changed_inputs(folder.path(), &globs, &seen).is_empty());
        std::fs::write(folder.path().join("b.sh"), "").expect("written");
        std::fs::remove_file(folder.path().join("a.sh")).expect("removed");
        let changed: Vec<String> =
            changed_inputs(folder.path(), &globs, &seen).into_iter().map(|(path, _)| path).collect();
        assert_eq!(changed, ["a.sh", "b.sh"]);
        assert!(matches!(hash_inputs(folder.path(), &["none*".into()]), Err(FilesError::NoMatch { .. })));
    }
}
