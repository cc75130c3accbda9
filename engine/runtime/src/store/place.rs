//! By which path a run's runbook is found: `NAME` of `cli.md`.
//!
//! It is no event: where the project lies is the machine's business. The run's `environment.json` has it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::run_directory::{ENVIRONMENT, RunDir};

/// The largest `environment.json` that is read back, in bytes.
pub(crate) const ENVIRONMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The path of a runbook's file below the folder of runbooks, without the ending; the stem of a file outside of one.
///
/// `root` is the parent of that folder, or the file's own (`language.md` §1, Folders).
#[must_use]
pub fn path_name(root: &Path, file: &Path) -> Option<String> {
    let below = file.strip_prefix(root).ok()?;
    let mut components = below.components();
    if components.clone().count() > 1 {
        components.next();
    }
    Some(components.as_path().with_extension("").to_str()?.to_owned())
}

/// The same of a run, by what it keeps from its start; `None` where that can't be read.
#[must_use]
pub fn path_of_run(dir: &RunDir) -> Option<String> {
    /// All that is needed of it.
    #[derive(Deserialize)]
    struct Place {
        root: PathBuf,
        file: PathBuf,
    }
    let bytes = dir.directory().read(ENVIRONMENT, ENVIRONMENT_BYTES_MAX).ok()?;
    let Place { root, file } = serde_json::from_slice(&bytes).ok()?;
    path_name(&root, &file)
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
            assert_eq!(path_name(Path::new(root), Path::new(file)).as_deref(), expected, "{root} {file}");
        }
    }
}
