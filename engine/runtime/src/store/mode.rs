//! Who may read and write what: every permission of the state directory in one
//! place (`engine.md` §3: 0700 and 0600; shared with a Unix group 3770 and
//! 0660).

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
/// The mode that says of a state directory that a group shares it: what is made in it belongs to the group, and nobody
/// takes away or replaces what another member made.
pub(crate) const SHARED: u32 = 0o3770;

/// How far a state directory reaches; everything in it reaches as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// One user.
    Owner,
    /// The members of its Unix group.
    Group,
}

impl Reach {
    /// What a state directory's own mode says.
    pub(crate) fn of(mode: u32) -> Self {
        if mode & 0o7777 == SHARED { Self::Group } else { Self::Owner }
    }

    /// The mode of a file that the engine writes for itself alone; others have theirs on purpose.
    pub(crate) fn file(self, mode: Mode) -> Mode {
        match self {
            Self::Group if mode == FILE => FILE.union(Mode::RGRP).union(Mode::WGRP),
            Self::Group | Self::Owner => mode,
        }
    }
}
