//! The signals that concern a run, as messages.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::dispatcher::Signal;

/// Listens from now on. Each signal is one message.
///
/// # Errors
/// Where the system takes no handler.
pub fn listen() -> std::io::Result<UnboundedReceiver<Signal>> {
    let (sender, receiver) = unbounded_channel();
    let kinds = [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::hangup(), Signal::HangUp),
        (SignalKind::from_raw(libc::SIGTSTP), Signal::Suspend),
        (SignalKind::from_raw(libc::SIGCONT), Signal::Continue),
    ];
    for (kind, meaning) in kinds {
        let mut stream = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(meaning).is_err() {
                    return;
                }
                if meaning == Signal::Suspend {
                    // Our handler took the place of the stop itself; the steps have been told by now.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    let _ = rustix::process::kill_process(
                        rustix::process::getpid(),
                        rustix::process::Signal::STOP,
                    );
                }
            }
        });
    }
    Ok(receiver)
}
