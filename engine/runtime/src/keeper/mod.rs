//! Processes that outlive the engine: one keeper per attempt, which starts the command, owns its output, ends it in time, and leaves a witness
//! (engine.md §4).
//!
//! ```text
//! engine ── request: descriptors ──> helper ── fork ──> keeper ── posix_spawn ──> command
//!    └───────────── spec, orders; reports ──────────────────┘ │
//!                                                             ├─> log          capture
//!                                                             └─> slot         witness
//! ```
//!
//! - [`Helper`] starts first and forks keepers; [`Attempt`] is the engine's end of one.
//! - [`Witness`], [`survivors`] and [`wait_for_slot`] are for a resume, which meets what a dead engine's keepers left.
//! - What runs inside a keeper is `keep` (the order of things), `supervise` (the loop) and `output` (pipes to log and live view).
//!
//! The keeper knows attempts, not steps: what an exit means for the run is decided elsewhere.

mod attempt;
mod exit;
mod helper;
mod keep;
mod message;
mod output;
mod pool;
mod processes;
mod runtime_directory;
mod spec;
mod start;
mod supervise;
mod system;
mod terminal;
mod wire;
mod witness;

pub use attempt::{Attempt, Control, Message, NotStarted};
pub use exit::{
    Ended, EndedBy, Exit, Fate, LEFTOVERS_NAMED, Leftover, LogSummary, OUTPUT_FILE_LIMIT, SpawnFailure,
    SpawnPart,
};
pub use helper::{Helper, KeeperError, serve_if_asked};
pub use processes::{Ending, Identity, Survivor, boot_id, end_keeper, end_survivors, survivors};
pub use runtime_directory::{remove_leftover_files, runtime_directory};
pub use spec::{AttemptSpec, Script};
pub use system::watch;
pub use terminal::{CommandTerminal, Modes, OperatorTerminal, TERMINAL_RESET};
pub use witness::{Claim, Verdict, Witness, WitnessError, wait_for_slot};
