//! What earlier steps printed, read back from their logs when an expression
//! asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use runbook_core::id::StepId;
use runbook_core::render::{Recorded, Stream};

use crate::capture::{self, CaptureLog};
use crate::store::RunDir;

/// The most output that an expression can use, in bytes (`language.md` §7).
pub(super) const USABLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The logs of a run as texts. What was read once is kept: a recorded output
/// never changes.
pub struct Printed {
    dir: RunDir,
    texts: Mutex<HashMap<(StepId, u32, Stream), Arc<str>>>,
}

impl Printed {
    /// Reads from this run's logs.
    #[must_use]
    pub fn new(dir: RunDir) -> Self {
        Self { dir, texts: Mutex::default() }
    }
}

/// One stream of an attempt's log as text; bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// Where there is too much of it, or the log can't be read; one line that says so.
pub fn read_text(dir: &RunDir, step: &StepId, attempt: u32, stream: Stream) -> Result<String, String> {
    let log = match CaptureLog::open(&dir.log_path(step, attempt)) {
        Ok(log) => log,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(format!("the output of {step} can't be read: {error}")),
    };
    let wanted = match stream {
        Stream::Stdout => capture::Stream::Stdout,
        Stream::Stderr => capture::Stream::Stderr,
    };
    let read = log
        .read_stream(wanted, USABLE_BYTES_MAX)
        .map_err(|error| format!("the output of {step} can't be read: {error}"))?;
    if read.dropped > 0 {
        return Err(format!(
            "only a part of the output of {step} was kept, as its `log_limit` says: it can't be used in an expression"
        ));
    }
    if read.lost > 0 {
        return Err(format!(
            "the end of the output of {step} is lost, since its log could not be written: it can't be used in an expression"
        ));
    }
    if read.truncated {
        return Err(format!(
            "the output of {step} is longer than 16 MiB, too long to be used in an expression"
        ));
    }
    Ok(String::from_utf8_lossy(&read.bytes).into_owned())
}

impl Recorded for Printed {
    fn output(&self, step: &StepId, attempt: u32, stream: Stream) -> Result<Arc<str>, String> {
        let key = (step.clone(), attempt, stream);
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(&key) {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = read_text(&self.dir, step, attempt, stream)?.into();
        texts.insert(key, Arc::clone(&text));
        Ok(text)
    }
}
