//! `file: path`: what stands on the disk.

use std::path::Path;
use std::time::Duration;

use super::Sample;

/// Looks at `path`: `exists size age modified sha256`. What doesn't exist is data (`exists` is false).
pub async fn probe(path: &Path, timeout: Duration) -> Sample {
    let _ = (path, timeout);
    Sample::unreached("not looked at".to_owned())
}
