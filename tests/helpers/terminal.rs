//! The binary at a pseudo-terminal, with somebody who types.

use std::process::{Command, Stdio};
use std::time::Duration;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{ControlCode, Eof, Expect};

/// How long a text on the terminal may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command at a terminal of its own.
pub(crate) struct Terminal {
    session: OsSession,
    /// All that was shown up to the last text that was awaited.
    shown: String,
}

impl Terminal {
    pub(crate) fn start(mut command: Command) -> Self {
        // The terminal takes the place of what the command inherits.
        command.env("TERM", "xterm-256color").stdin(Stdio::inherit());
        let mut session = OsSession::spawn(command).unwrap();
        session.set_expect_timeout(Some(PATIENCE));
        // The first match, not the last: what follows stays to be awaited.
        session.set_expect_lazy(true);
        Self { session, shown: String::new() }
    }

    /// Waits until the terminal shows a text, and gives what stood before it.
    #[track_caller]
    pub(crate) fn await_text(&mut self, text: &str) -> String {
        match self.session.expect(text) {
            Ok(found) => {
                let before = String::from_utf8_lossy(found.before()).into_owned();
                self.shown.push_str(&before);
                self.shown.push_str(text);
                before
            }
            Err(error) => {
                let mut rest = [0; 65536];
                let length = self.session.try_read(&mut rest).unwrap_or(0);
                panic!(
                    "{error} while waiting for {text:?}; shown so far:\n{}\n--- and then:\n{}",
                    self.shown,
                    String::from_utf8_lossy(&rest[..length])
                )
            }
        }
    }

    /// Types a line and Enter.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.session.send_line(line).unwrap();
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.session.send(text).unwrap();
    }

    /// Gives the window another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.session.get_process_mut().set_window_size(columns, rows).unwrap();
    }

    /// The process at the terminal.
    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.session.get_process().pid().as_raw()).unwrap()
    }

    pub(crate) fn press_ctrl_c(&mut self) {
        self.session.send(ControlCode::EndOfText).unwrap();
    }

    /// Control-D: the end of the file, at the start of a line.
    pub(crate) fn press_ctrl_d(&mut self) {
        self.session.send(ControlCode::EndOfTransmission).unwrap();
    }

    /// Waits for the end: the exit status and all that was shown.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        match self.session.expect(Eof) {
            Ok(rest) => self.shown.push_str(&String::from_utf8_lossy(rest.as_bytes())),
            Err(error) => panic!("{error} while waiting for the end; shown so far:\n{}", self.shown),
        }
        let code = match self.session.get_process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            other => panic!("{other:?}"),
        };
        (code, self.shown)
    }
}

/// A command at a terminal that can be closed under it, as a connection does that breaks.
pub(crate) struct Connection {
    master: std::fs::File,
    shown: Vec<u8>,
    child: std::process::Child,
}

impl Connection {
    pub(crate) fn start(command: &Command) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || {
            let mut options = std::fs::OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc_noctty());
            options.read(true).write(true).open(&name).unwrap()
        };
        let mut led = Command::new("setsid");
        led.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        led.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        led.env("TERM", "xterm-256color").current_dir(command.get_current_dir().unwrap());
        let child = led.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        Self { master: master.into(), shown: Vec::new(), child }
    }

    /// Reads all that is shown, and waits for the end: the exit status and all that was shown.
    pub(crate) fn read_to_end(mut self) -> (Option<i32>, String) {
        // A terminal that nobody has open any more ends with an error.
        let _ = std::io::Read::read_to_end(&mut self.master, &mut self.shown);
        (self.child.wait().unwrap().code(), String::from_utf8_lossy(&self.shown).into_owned())
    }

    /// Reads until a text is shown.
    #[track_caller]
    pub(crate) fn await_text(&mut self, text: &str) {
        let mut buffer = [0; 256];
        while !String::from_utf8_lossy(&self.shown).contains(text) {
            let length = std::io::Read::read(&mut self.master, &mut buffer).unwrap_or_else(|error| {
                panic!("{error} before {text}: {}", String::from_utf8_lossy(&self.shown))
            });
            self.shown.extend_from_slice(&buffer[..length]);
        }
    }

    /// Closes the terminal; the command goes on as it likes.
    pub(crate) fn close(self) -> std::process::Child {
        self.child
    }
}

fn libc_noctty() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap()
}
