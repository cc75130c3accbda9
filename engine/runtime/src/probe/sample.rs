//! What one probe saw.

use indexmap::IndexMap;
use serde_json::Value;

/// What one probe saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The variables for `expect`, `warn` and `outputs`, named as in the table of language.md §5.
    pub values: IndexMap<String, Value>,
    /// Whether there is data at all; otherwise the reason in one calm line, and the sample failed whatever is expected.
    pub reached: Result<(), String>,
    /// The probe's own success (status 200–299, open, exists, valid), which counts unless an expectation mentions the variable
    /// that tells it.
    pub own_success: bool,
    /// Why it is no success of its own, in one line: `status 503`, `connection refused (127.0.0.1:1)`.
    pub reason: Option<String>,
}

impl Sample {
    /// Data, and a success of its own.
    pub(crate) fn success(values: IndexMap<String, Value>) -> Self {
        Self { values, reached: Ok(()), own_success: true, reason: None }
    }

    /// Data that says no.
    pub(crate) fn shortfall(values: IndexMap<String, Value>, reason: String) -> Self {
        Self { values, reached: Ok(()), own_success: false, reason: Some(reason) }
    }

    /// No data.
    pub(crate) fn unreached(reason: String) -> Self {
        Self {
            values: IndexMap::new(),
            reached: Err(reason.clone()),
            own_success: false,
            reason: Some(reason),
        }
    }
}
