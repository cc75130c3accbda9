//! What is typed at the controlling terminal, without blocking.
//!
//! Read here and not by crossterm, which goes round in a circle for ever where the terminal is gone (0.29: a read of nothing is taken for
//! a read that is not over).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;

use runbook_runtime::keeper::watch;
use rustix::fs::OFlags;
use tokio::io::unix::AsyncFd;

/// The reading end of the terminal.
pub(super) struct Keyboard(AsyncFd<OwnedFd>);

impl Keyboard {
    /// Opens the controlling terminal anew: without blocking is how this one is read, and not the terminal of everybody.
    ///
    /// # Errors
    /// Where there is no terminal.
    pub(super) fn open() -> io::Result<Self> {
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let keyboard = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/tty")?;
        Ok(Self(watch(keyboard.into())?))
    }

    /// Reads what is typed next; `None` where the terminal is gone. Dropping the future loses nothing.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            let mut ready = self.0.readable().await.ok()?;
            match ready.try_io(|keyboard| Ok(rustix::io::read(keyboard.get_ref(), &mut *buffer)?)) {
                // The end of a terminal is its hang-up: raw ones have no other.
                Ok(Ok(0)) => return None,
                Ok(Ok(length)) => return Some(length),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(_)) => return None,
                Err(_would_block) => {}
            }
        }
    }
}
