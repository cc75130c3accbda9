//! Waking up when another process has changed something in a run's folder.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::run_directory::{INBOX, RunDir};

/// How often is looked where the kernel can't tell (a network disk, no inotify
/// left for this user).
const POLL_EVERY: Duration = Duration::from_millis(250);

/// Tells when to look again. Begin watching, then look, then wait: nothing is
/// missed in between. It may wake up for nothing.
#[derive(Debug)]
pub struct Watch {
    /// None: polling.
    events: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    /// Watches a run's inbox for new requests and verdicts. Needs a tokio
    /// runtime.
    #[must_use]
    pub fn new(dir: &RunDir) -> Self {
        // Everything in there is renamed into place.
        Self { events: watch(&dir.path().join(INBOX), WatchFlags::MOVED_TO).ok() }
    }

    /// Watches a run's folder for new lines and segments of its journal. Needs
    /// a tokio runtime.
    #[must_use]
    pub fn journal(dir: &RunDir) -> Self {
        Self { events: watch(dir.path(), WatchFlags::MODIFY | WatchFlags::CREATE).ok() }
    }

    /// Waits until something has changed since the last call (or since the
    /// watch began). Can be dropped and called again without losing anything.
    pub async fn changed(&mut self) {
        let Some(events) = &self.events else {
            tokio::time::sleep(POLL_EVERY).await;
            return;
        };
        let woken = async {
            loop {
                let mut ready = events.readable().await?;
                match ready.try_io(|events| drain(events.get_ref())) {
                    Ok(drained) => return drained,
                    Err(_would_block) => {}
                }
            }
        };
        if woken.await.is_err() {
            self.events = None;
        }
    }

    /// Whether the kernel tells; otherwise it is looked four times a second.
    #[must_use]
    pub fn is_notified(&self) -> bool {
        self.events.is_some()
    }
}

fn watch(path: &std::path::Path, what: WatchFlags) -> std::io::Result<AsyncFd<OwnedFd>> {
    let handle = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&handle, path, what | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW)?;
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; an OwnedFd is neither closed nor exchanged meanwhile"
    )]
    AsyncFd::with_interest(handle, tokio::io::Interest::READABLE)
}

/// Takes all events; that there were some is all that matters.
fn drain(handle: &OwnedFd) -> std::io::Result<()> {
    let mut buffer = [0_u8; 4096];
    let mut is_changed = false;
    loop {
        match rustix::io::read(handle, &mut buffer) {
            Ok(0) | Err(Errno::WOULDBLOCK) if is_changed => return Ok(()),
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => is_changed = true,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
