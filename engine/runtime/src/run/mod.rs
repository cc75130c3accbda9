//! Running a plan: the dispatcher, and what it starts.

mod adopt;
mod asking;
mod check;
mod conclude;
mod dispatcher;
mod entry;
mod environment;
mod errand;
mod files;
mod frozen;
mod guards;
mod lending;
mod locks;
mod looking;
mod mailbox;
mod message;
mod printed;
mod process;
mod record;
mod recording;
mod recover;
mod session;
mod signals;
mod starting;
mod stopping;
mod surface;

pub use adopt::{Edited, read_plan};
pub use dispatcher::{Conduct, Ending, Signal, now};
pub use environment::Environment;
pub use files::{FilesError, hash_inputs, hex};
pub use frozen::inputs_since_planning;
pub use locks::{describe as describe_lock, taken_locks};
pub use mailbox::{answer_of, exit_code, put_answer};
pub use printed::{Printed, read_text};
pub use process::shell_without_pipefail;
pub use record::{Noted, note_answer, note_line, outside};
pub use session::{
    Carry, Held, NewRun, Opened, SessionError, Surroundings, create, open, plan_digest, plan_text,
    read_environment, read_secrets, resume, texts_of,
};
pub use signals::listen;
pub use surface::{Asking, Interruption, Lent, Observer, Operator, Question, Reply, Unattended, View};
