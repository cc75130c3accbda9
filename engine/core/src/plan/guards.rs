//! What must hold before a run or a step starts: its window, its lock, and that it was not left out.

use serde::{Deserialize, Serialize};

use crate::calendar::Window;
pub use crate::document::model::{OnBusy, Outside};

/// The guards of a run, or of a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// When it may start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The name under which one run at a time may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Why `--tags` or `--skip-tags` leaves it out, as the reason that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// One live run at a time under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The name, templated.
    pub name: String,
    /// What happens where another run has it.
    pub on_busy: OnBusy,
    /// Whether it stays taken while the run is parked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hold_while_waiting: bool,
}

impl Guards {
    /// Whether nothing stands before the start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
