//! `disk: path`: how full the file system is.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use rustix::fs::{StatVfs, statvfs};
use serde_json::Value;

use super::{Sample, failure};

/// Looks at the file system that holds `path`: `used_percent free total`, the last two in bytes.
///
/// As `df` counts: free is what an ordinary user may fill, and the percentage leaves out what is reserved for root.
pub async fn probe(path: &Path, timeout: Duration) -> Sample {
    let wanted = path.to_owned();
    // A network file system whose server is gone may never answer.
    let looking = tokio::task::spawn_blocking(move || statvfs(&wanted));
    match tokio::time::timeout(timeout, looking).await {
        Ok(Ok(Ok(seen))) => Sample::success(values(&seen)),
        Ok(Ok(Err(error))) => Sample::unreached(failure::of_io(&error.into(), &path.display().to_string())),
        Ok(Err(_)) => Sample::unreached(format!("the look at {} was ended", path.display())),
        Err(_) => Sample::unreached(format!("{} ({})", failure::timed_out(timeout), path.display())),
    }
}

fn values(seen: &StatVfs) -> IndexMap<String, Value> {
    let used = seen.f_blocks.saturating_sub(seen.f_bfree);
    IndexMap::from([
        ("used_percent".to_owned(), Value::from(percent(used, used.saturating_add(seen.f_bavail)))),
        ("free".to_owned(), Value::from(seen.f_bavail.saturating_mul(seen.f_frsize))),
        ("total".to_owned(), Value::from(seen.f_blocks.saturating_mul(seen.f_frsize))),
    ])
}

/// A file system without blocks, as `/proc`, is not used at all.
#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
fn percent(used: u64, usable: u64) -> f64 {
    if usable == 0 { 0.0 } else { used as f64 * 100.0 / usable as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_numbers_are_those_of_df() {
        let folder = tempfile::tempdir().expect("a folder");
        let output = std::process::Command::new("df")
            .args(["-B1", "--output=size"])
            .arg(folder.path())
            .output()
            .expect("df runs");
        let total = String::from_utf8_lossy(&output.stdout).lines().nth(1).map(|line| line.trim().to_owned());
        let sample = probe(folder.path(), TIMEOUT).await;
        assert!(sample.own_success, "{sample:?}");
        assert_eq!(Some(sample.values["total"].to_string()), total);
        let used = sample.values["used_percent"].as_f64().expect("a number");
        assert!((0.0..=100.0).contains(&used), "{used}");
        assert!(sample.values["free"].as_u64() <= sample.values["total"].as_u64());
    }

    #[test]
    fn percentages_are_of_what_can_be_used() {
        for (used, usable, expected) in [(0, 0, 0.0), (1, 4, 25.0), (4, 4, 100.0)] {
            assert!((percent(used, usable) - expected).abs() < f64::EPSILON);
        }
    }

    #[tokio::test]
    async fn a_path_that_is_not_there_is_no_data() {
        let sample = probe(Path::new("/no/such/path"), TIMEOUT).await;
        assert_eq!(sample.reached, Err("no such file or directory (/no/such/path)".to_owned()));
    }
}
