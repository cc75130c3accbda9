//! Who may read and write what: every permission of the state directory in one
//! place, so that sharing it with a Unix group is one change here
//! (`engine.md` §3: 0700 and 0600; shared 3770 and 0660).

use rustix::fs::Mode;

/// Of every folder.
pub(crate) const DIRECTORY: Mode = Mode::RWXU;
/// Of every file that only the engine writes.
pub(crate) const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Of an answer: nobody changes it again, not even who gave it.
pub(crate) const ANSWER: Mode = Mode::RUSR.union(Mode::RGRP);
/// Of the engine's verdict on an answer, which the one who answered reads.
pub(crate) const VERDICT: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);
/// The bits that nobody else may have on the state directory.
pub(crate) const OTHERS_WRITE: u32 = 0o022;
