//! `file: path`: what stands on the disk.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use indexmap::IndexMap;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Sample, failure};

/// Whether the contents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// An expression mentions `sha256`.
    Wanted,
    /// None does: a file of any size is looked at in no time, `sha256` is null.
    Skipped,
}

/// Looks at `path`: `exists size age modified sha256`. Symbolic links are followed.
///
/// What doesn't exist is data: `exists` is false, all else null. `sha256` is null for anything but a regular file. `timeout` bounds the
/// whole, so that a file system that hangs doesn't hang the run.
pub async fn probe(path: &Path, checksum: Checksum, timeout: Duration) -> Sample {
    let stop = StopOnDrop(Arc::default());
    let (seen, wanted) = (Arc::clone(&stop.0), path.to_owned());
    let looking = tokio::task::spawn_blocking(move || look(&wanted, checksum, &seen));
    match tokio::time::timeout(timeout, looking).await {
        Ok(Ok(sample)) => sample,
        Ok(Err(_)) => Sample::unreached(format!("the look at {} was ended", path.display())),
        Err(_) => Sample::unreached(format!("{} ({})", failure::timed_out(timeout), path.display())),
    }
}

/// Ends the reading of a large file that nobody waits for any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn look(path: &Path, checksum: Checksum, stop: &AtomicBool) -> Sample {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Sample::shortfall(missing(), format!("{} does not exist", path.display()));
        }
        Err(error) => return Sample::unreached(failure::of_io(&error, &path.display().to_string())),
    };
    // Only now is it known that opening it doesn't wait for somebody at the other end of a pipe.
    let sha256 = match checksum {
        Checksum::Wanted if metadata.is_file() => match sha256_of(path, stop) {
            Ok(digest) => Value::from(digest),
            Err(error) => return Sample::unreached(failure::of_io(&error, &path.display().to_string())),
        },
        Checksum::Wanted | Checksum::Skipped => Value::Null,
    };
    Sample::success(values(&metadata, sha256))
}

fn values(metadata: &Metadata, sha256: Value) -> IndexMap<String, Value> {
    let modified = metadata.modified().ok();
    let written = modified.and_then(|modified| jiff::Timestamp::try_from(modified).ok());
    // A clock that was set back makes no file younger than now.
    let age =
        modified.map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default().as_secs_f64());
    IndexMap::from([
        ("exists".to_owned(), Value::Bool(true)),
        ("size".to_owned(), Value::from(metadata.len())),
        ("age".to_owned(), Value::from(age)),
        ("modified".to_owned(), Value::from(written.map(|written| written.to_string()))),
        ("sha256".to_owned(), sha256),
    ])
}

fn missing() -> IndexMap<String, Value> {
    let mut values = IndexMap::from([("exists".to_owned(), Value::Bool(false))]);
    values.extend(["size", "age", "modified", "sha256"].map(|name| (name.to_owned(), Value::Null)));
    values
}

fn sha256_of(path: &Path, stop: &AtomicBool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        hash.update(&piece[..count]);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    async fn look_at(path: PathBuf) -> Sample {
        probe(&path, Checksum::Wanted, TIMEOUT).await
    }

    #[tokio::test]
    async fn a_file_is_described() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backup.sql");
        std::fs::write(&path, "abc").expect("written");
        let file = File::options().write(true).open(&path).expect("opened");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("set");
        let sample = look_at(path.clone()).await;
        assert!(sample.own_success && sample.reached.is_ok(), "{sample:?}");
        assert_eq!(sample.values["exists"], true);
        assert_eq!(sample.values["size"], 3);
        assert_eq!(sample.values["modified"], "2001-09-09T01:46:40Z");
        assert!(sample.values["age"].as_f64().is_some_and(|age| age > 700_000_000.0), "{sample:?}");
        assert_eq!(
            sample.values["sha256"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let skipped = probe(&path, Checksum::Skipped, TIMEOUT).await;
        assert_eq!((skipped.own_success, &skipped.values["sha256"]), (true, &Value::Null));
    }

    #[tokio::test]
    async fn a_file_of_the_future_has_no_age() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_modified(SystemTime::now() + Duration::from_secs(3600)).expect("set");
        assert_eq!(look_at(file.path().to_owned()).await.values["age"], 0.0);
    }

    #[tokio::test]
    async fn what_is_not_there_is_data() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).expect("linked");
        for path in ["gone", "file/below", "dangling"] {
            let path = folder.path().join(path);
            let sample = look_at(path.clone()).await;
            assert_eq!((sample.reached.clone(), sample.own_success), (Ok(()), false));
            assert_eq!(sample.reason, Some(format!("{} does not exist", path.display())));
            assert_eq!(sample.values["exists"], false);
            assert_eq!(sample.values["sha256"], Value::Null);
            assert_eq!(sample.values.len(), 5);
        }
    }

    #[tokio::test]
    async fn a_pipe_or_folder_exists_and_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        for path in [pipe, folder.path().to_owned()] {
            let sample = look_at(path).await;
            assert_eq!((sample.own_success, &sample.values["sha256"]), (true, &Value::Null), "{sample:?}");
        }
    }

    #[test]
    fn reading_ends_when_nobody_waits() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "abc").expect("written");
        let stopped = sha256_of(file.path(), &AtomicBool::new(true)).expect_err("it was told to stop");
        assert_eq!(stopped.kind(), io::ErrorKind::Interrupted);
    }
}
