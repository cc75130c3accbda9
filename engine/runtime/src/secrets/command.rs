//! Runs the command of a secret.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use indexmap::IndexMap;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::VALUE_LEN_MAX;
use super::error::SecretReason;
use crate::sanitize::{Style, sanitize_bytes};

/// How long the command of `{command: […]}` may take.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of the end of its standard error is shown.
const STDERR_LEN_MAX: usize = 2 * 1024;
/// A process that the command left behind may hold the pipes open; the value is complete all the same.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// The standard output of `argv`, at most one byte more than a secret may have.
pub(super) async fn output(
    argv: &[String],
    root: &Path,
    environment: &IndexMap<String, String>,
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, SecretReason> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(SecretReason::NoCommand);
    };
    let spawned = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: it can be ended with all that it starts, and as a background group can't read from the terminal.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| SecretReason::Spawn { program: program.clone(), error })?;
    let group = Group(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())));
    let mut output = Output::default();
    let ended = tokio::time::timeout(timeout, output.read_until_end(&mut child)).await;
    drop(group);
    let stderr = || sanitize_bytes(output.stderr.trim_ascii(), Style::Text);
    match ended {
        Err(_) => Err(SecretReason::TimedOut {
            program: program.clone(),
            seconds: timeout.as_secs(),
            stderr: stderr(),
        }),
        Ok(Err(error)) => Err(SecretReason::Spawn { program: program.clone(), error }),
        Ok(Ok(Some(status))) if !status.success() => Err(SecretReason::Failed {
            program: program.clone(),
            status: described(status),
            stderr: stderr(),
        }),
        Ok(Ok(_)) => Ok(output.stdout),
    }
}

/// Ends the whole group when the value is there, or is waited for no longer: dropping the future is enough.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It is gone already in the ordinary case.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[derive(Default)]
struct Output {
    stdout: Zeroizing<Vec<u8>>,
    stderr: Vec<u8>,
}

impl Output {
    /// Reads until the command has ended, or has printed too much: then there is no status.
    async fn read_until_end(&mut self, child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        let mut status = None;
        let drained = tokio::time::sleep(Duration::MAX);
        tokio::pin!(drained);
        while stdout.is_some() || stderr.is_some() || status.is_none() {
            tokio::select! {
                open = read_some(&mut stdout, &mut self.stdout), if stdout.is_some() => {
                    if !open? { stdout = None; }
                    if self.stdout.len() > VALUE_LEN_MAX { return Ok(None); }
                }
                open = read_some(&mut stderr, &mut self.stderr), if stderr.is_some() => {
                    if !open? { stderr = None; }
                    let surplus = self.stderr.len().saturating_sub(STDERR_LEN_MAX);
                    self.stderr.drain(..surplus);
                }
                ended = child.wait(), if status.is_none() => {
                    status = Some(ended?);
                    drained.as_mut().reset(tokio::time::Instant::now() + DRAIN_TIMEOUT);
                }
                () = &mut drained, if status.is_some() => break,
            }
        }
        Ok(status)
    }
}

/// Whether there may be more.
async fn read_some(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> std::io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut piece = Zeroizing::new([0; 8 * 1024]);
    let count = pipe.read(&mut piece[..]).await?;
    into.extend_from_slice(&piece[..count]);
    Ok(count > 0)
}

fn described(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown exit status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, SecretReason> {
        let environment = IndexMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let argv = ["sh", "-c", script].map(str::to_owned);
        output(&argv, Path::new("/"), &environment, timeout).await
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("alive");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
        assert!(made.success());
        let script = format!("exec 3> {}; echo asking >&2; sleep 1000 & wait", fifo.display());
        // Its end is reached when the last process that has the pipe open is gone.
        let all_gone = tokio::task::spawn_blocking(move || std::fs::read(fifo));
        let hung = shell(&script, Duration::from_secs(1)).await.expect_err("it never ends");
        assert_eq!(hung.to_string(), "sh did not end within 1s and was stopped: asking");
        assert_eq!(all_gone.await.expect("no panic").expect("read"), b"");
    }

    #[tokio::test]
    async fn a_process_left_behind_does_not_hold_the_value() {
        let value = shell("sleep 1000 & echo hunter22", COMMAND_TIMEOUT).await.expect("a value");
        assert_eq!(*value, b"hunter22\n");
    }

    #[tokio::test]
    async fn only_the_end_of_much_talk_is_shown() {
        let script = "i=0; while [ $i -lt 1000 ]; do echo talk $i; i=$((i+1)); done >&2; exit 3";
        let failed = shell(script, COMMAND_TIMEOUT).await.expect_err("exit status 3").to_string();
        assert!(
            failed.starts_with("sh failed: exit status 3: ") && failed.ends_with("talk 998\ntalk 999"),
            "{failed}"
        );
        assert!(failed.len() < STDERR_LEN_MAX + 100);
    }
}
