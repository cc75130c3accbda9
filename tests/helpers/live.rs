//! A running command.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use super::environment::shown;
use super::output::{Finished, Output, run_id_in};
use super::process::send;
use super::waiting::eventually;

/// A running command, whose output goes to files, so that it never waits for us. Killed when dropped.
pub(crate) struct Live {
    child: Child,
    command: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Live {
    pub(super) fn start(mut command: Command, folder: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let (stdout, stderr) =
            (folder.join(format!("live-{number}.out")), folder.join(format!("live-{number}.err")));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap();
        Self { child, command: shown(&command), stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// The run's id, as soon as it is said.
    #[track_caller]
    pub(crate) fn run_id(&mut self) -> String {
        let stderr = self.stderr.clone();
        eventually("the run's id on stderr", || {
            let said = fs::read(&stderr).unwrap();
            let id = run_id_in(&String::from_utf8_lossy(&said));
            let over = self.child.try_wait().unwrap();
            assert!(
                id.is_some() || over.is_none(),
                "ended ({over:?}) without a run: {}",
                String::from_utf8_lossy(&said)
            );
            id
        })
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        send(self.pid(), name);
    }

    /// kill -9, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Finished {
        self.child.kill().unwrap();
        self.finish()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Finished {
        eventually(&format!("the end of {}", self.command), || self.is_over().then_some(()));
        self.finish()
    }

    fn finish(&mut self) -> Finished {
        let status = self.child.wait().unwrap();
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Finished(Output {
            command: self.command.clone(),
            status,
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
