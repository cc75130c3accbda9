//! Where a run's runbook lies, and by which path it is found: `NAME` of `cli.md`.
//!
//! It is no event: where the project lies is the machine's business. The run's `environment.json` has it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::run_directory::{ENVIRONMENT, RunDir};

/// The largest `environment.json` that is read back, in bytes.
pub(crate) const ENVIRONMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Where a runbook lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path of its file below the folder of runbooks, without the ending; the stem of a file outside of one.
    pub path: String,
    /// The file, which no other project has: links on the way to the project's root are followed. Those below are not, since several
    /// projects may share what they lead to.
    pub file: PathBuf,
}

impl Place {
    /// Of a file: `root` is the parent of the folder of runbooks, or the file's own (`language.md` §1, Folders). `None` where the file isn't
    /// below, or its path is no text.
    #[must_use]
    pub fn new(root: &Path, file: &Path) -> Option<Self> {
        let below = file.strip_prefix(root).ok()?;
        let mut components = below.components();
        if components.clone().count() > 1 {
            components.next();
        }
        let path = components.as_path().with_extension("").to_str()?.to_owned();
        // A project that is gone is where it was.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        Some(Self { path, file: root.join(below) })
    }

    /// Of a run, by what it keeps from its start; `None` where that can't be read.
    #[must_use]
    pub fn of_run(dir: &RunDir) -> Option<Self> {
        /// All that is needed of it.
        #[derive(Deserialize)]
        struct Kept {
            root: PathBuf,
            file: PathBuf,
        }
        let bytes = dir.directory().read(ENVIRONMENT, ENVIRONMENT_BYTES_MAX).ok()?;
        let Kept { root, file } = serde_json::from_slice(&bytes).ok()?;
        Self::new(&root, &file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_folder_of_runbooks() {
        for (root, file, expected) in [
            ("/p", "/p/runbooks/zetra/deploy.yaml", Some("zetra/deploy")),
            ("/p", "/p/runbooks/deploy.yml", Some("deploy")),
            ("/p", "/p/alone.yaml", Some("alone")),
            ("/p", "/q/runbooks/deploy.yaml", None),
        ] {
            let place = Place::new(Path::new(root), Path::new(file));
            assert_eq!(place.map(|place| place.path).as_deref(), expected, "{root} {file}");
        }
    }
}
