//! `runbook doctor`: what is wrong with this set-up, each finding with what to do about it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use runbook_runtime::keeper::runtime_directory;
use runbook_runtime::run;
use runbook_runtime::store::index::{self, Filter};
use runbook_runtime::store::{Store, identity};
use rustix::fs::FlockOperation;
use serde_json::{Value, json};

use crate::console::{ATTENTION, BAD, DIM, GOOD, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::Format;
use crate::planning::{self, has_errors};
use crate::report::wording::{Signs, count, distance, harmless, wrap};

/// Below so much free space, journals and logs may not fit, in bytes.
const FREE_BYTES_MIN: u64 = 100 << 20;
/// Clocks of a disk and of this machine may differ by so much.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);
/// No clock that is right is earlier: seconds since 1970, the start of 2025.
const NOT_BEFORE: u64 = 1_735_689_600;
/// Kinds of file systems (statfs(2)) that other machines write, too, or whose locks and flushes may not hold.
const REMOTE: [(i64, &str); 7] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
];
/// Kinds that are gone after a restart.
const FLEETING: [(i64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// How a part of the set-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    /// Worth knowing; only some things don't work.
    Note,
    /// Something is wrong.
    Finding,
}

/// One part of the set-up.
#[derive(Debug)]
struct Finding {
    part: &'static str,
    level: Level,
    text: String,
    help: Option<String>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, _: &Options) -> Result<u8, CommandError> {
    let mut findings = Vec::new();
    shells(context, &mut findings);
    state(context, &mut findings);
    private_folder(context, &mut findings);
    programs(context, &mut findings);
    clock(&mut findings);
    runbooks(context, &mut findings);
    let is_well = findings.iter().all(|finding| finding.level != Level::Finding);
    let text = match context.global.format {
        Format::Json => {
            let values: Vec<Value> = findings.iter().map(to_json).collect();
            format!("{}\n", json!({"ok": is_well, "findings": values}))
        }
        Format::Text | Format::Github | Format::Gitlab => to_text(&findings, context),
    };
    context.console.print(&text);
    Ok(if is_well { exit_code::SUCCEEDED } else { exit_code::FAILED })
}

/// A shell that takes scripts.
fn shells(context: &Context, findings: &mut Vec<Finding>) {
    match (program(context, "bash"), program(context, "sh")) {
        (Some(bash), _) => findings.push(good("shell", format!("{} runs scripts", bash.display()))),
        (None, Some(sh)) => findings.push(note(
            "shell",
            format!("{} runs scripts: there is no bash", sh.display()),
            "a failure inside a pipe goes unseen where sh knows no pipefail; install bash",
        )),
        (None, None) => findings.push(finding(
            "shell",
            "there is neither bash nor sh on PATH: no script can run".into(),
            "install bash, or write commands as lists",
        )),
    }
}

/// Where runs are recorded: who may write there, what kind of disk it is, whether locks and flushes hold.
fn state(context: &Context, findings: &mut Vec<Finding>) {
    let path = match context.state_dir() {
        Ok(path) => path,
        Err(error) => {
            findings.push(finding("state", error.message, "say where by --state DIR or RUNBOOK_STATE"));
            return;
        }
    };
    let store = match Store::open(&path) {
        Ok(store) => store,
        Err(error) => {
            let help = "it must be yours alone (chmod 700), or shared by a group (runbook init --shared-state GROUP)";
            findings.push(finding("state", error.to_string(), help));
            return;
        }
    };
    match path.metadata() {
        Ok(metadata) => {
            let owner = identity::user_name(metadata.uid());
            let mode = metadata.permissions().mode() & 0o7777;
            let shared = if mode == 0o3770 { ", shared by its group" } else { "" };
            findings.push(good(
                "state",
                format!("{} belongs to {owner}{shared}, mode {mode:04o}", path.display()),
            ));
        }
        Err(error) => {
            findings.push(finding(
                "state",
                format!("{}: {error}", path.display()),
                "look at its permissions",
            ));
        }
    }
    disk(&path, findings);
    match tried(&path) {
        Err(what) => findings.push(finding(
            "locks",
            format!("{}: {what}", path.display()),
            "runs can't be recorded there: put the state directory on a local disk",
        )),
        Ok(skew) if skew > CLOCK_SKEW_MAX => findings.push(finding(
            "clock",
            format!(
                "the clock of the state directory's disk is off by {}",
                crate::report::wording::duration(skew)
            ),
            "synchronise the machines' clocks (NTP)",
        )),
        Ok(_) => findings.push(good("locks", "files there can be locked and flushed".into())),
    }
    latest(&store, findings);
}

/// What kind of disk, and how much of it is free.
fn disk(path: &Path, findings: &mut Vec<Finding>) {
    let Ok(system) = rustix::fs::statfs(path) else { return };
    #[expect(clippy::unnecessary_cast, reason = "its type differs between machines")]
    let kind = system.f_type as i64;
    let named =
        |kinds: &[(i64, &'static str)]| kinds.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name);
    if let Some(name) = named(&REMOTE) {
        findings.push(finding(
            "disk",
            format!("{} is on {name}, whose locks and flushes may not hold", path.display()),
            "put the state directory on a local disk",
        ));
    } else if let Some(name) = named(&FLEETING) {
        findings.push(note(
            "disk",
            format!("{} is on {name}: runs are gone after a restart of the machine", path.display()),
            "put the state directory on a disk",
        ));
    }
    #[expect(clippy::unnecessary_cast, reason = "its type differs between machines")]
    let free = (system.f_bavail as u64).saturating_mul(u64::try_from(system.f_bsize).unwrap_or(0));
    let megabytes = free >> 20;
    if free < FREE_BYTES_MIN {
        findings.push(finding(
            "disk",
            format!("only {megabytes} MiB are free there: nothing starts that can't be recorded"),
            "free some space (logs: log_limit, old runs)",
        ));
    } else {
        findings.push(good("disk", format!("{megabytes} MiB are free there")));
    }
}

/// Locks and flushes a file of its own there; how far the disk's clock is off.
fn tried(path: &Path) -> Result<Duration, String> {
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    let result = try_file(&probe);
    let _ = std::fs::remove_file(&probe);
    result
}

fn try_file(probe: &Path) -> Result<Duration, String> {
    let create = || std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(probe);
    let first = create().map_err(|error| format!("no file can be made: {error}"))?;
    rustix::fs::flock(&first, FlockOperation::NonBlockingLockExclusive)
        .map_err(|errno| format!("files can't be locked: {errno}"))?;
    let second = create().map_err(|error| error.to_string())?;
    if rustix::fs::flock(&second, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Err("a lock keeps nobody out".to_owned());
    }
    first
        .set_len(1)
        .and_then(|()| first.sync_all())
        .map_err(|error| format!("files can't be flushed: {error}"))?;
    let written =
        first.metadata().and_then(|metadata| metadata.modified()).map_err(|error| error.to_string())?;
    let now = SystemTime::now();
    Ok(now.duration_since(written).unwrap_or_else(|ahead| ahead.duration()))
}

/// Runs that began in the future tell of a clock that went back.
fn latest(store: &Store, findings: &mut Vec<Finding>) {
    let filter = Filter { limit: Some(1), ..Filter::default() };
    match index::list(store, &filter) {
        Err(error) => {
            findings.push(finding("state", error.to_string(), "runbook verify tells more of a run"));
        }
        Ok(runs) => {
            let now = run::now();
            for summary in runs.iter().filter(|summary| summary.started_at > now) {
                findings.push(finding(
                    "clock",
                    format!(
                        "run {} began {}: the clock was set back",
                        summary.run,
                        distance(summary.started_at, now)
                    ),
                    "synchronise the clock (NTP)",
                ));
            }
        }
    }
}

/// Where scripts and outputs lie while a step runs.
fn private_folder(context: &Context, findings: &mut Vec<Finding>) {
    match runtime_directory(context.environment.runtime_dir.as_deref()) {
        Ok(path) => {
            findings
                .push(good("memory", format!("{} holds what a step needs while it runs", path.display())));
        }
        Err(error) => findings.push(finding(
            "memory",
            format!("there is no private folder for what a step needs while it runs: {error}"),
            "set XDG_RUNTIME_DIR to a folder of your own (chmod 700)",
        )),
    }
}

/// Programs that only some things need.
fn programs(context: &Context, findings: &mut Vec<Finding>) {
    for (name, used_for) in [
        ("git", "runbooks are kept in it"),
        ("ssh", "steps with `on` need it"),
        ("ssh-keygen", "signed answers need it"),
    ] {
        match program(context, name) {
            Some(path) => findings.push(good("programs", format!("{}: {used_for}", path.display()))),
            None => findings.push(note(
                "programs",
                format!("there is no {name}: {used_for}"),
                "install it, if you need it",
            )),
        }
    }
}

fn clock(findings: &mut Vec<Finding>) {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if seconds < NOT_BEFORE {
        findings.push(finding(
            "clock",
            format!("it is {} here, which can't be", crate::report::wording::moment(run::now())),
            "set the clock (NTP): windows and deadlines go by it",
        ));
    } else {
        findings.push(good("clock", crate::report::wording::moment(run::now())));
    }
}

/// What can be run from here.
fn runbooks(context: &Context, findings: &mut Vec<Finding>) {
    let files = match context.library() {
        Ok(library) => library.list(),
        Err(error) => {
            findings.push(finding(
                "runbooks",
                error.message,
                "--dir and RUNBOOK_DIR name the folder of runbooks",
            ));
            return;
        }
    };
    if files.is_empty() {
        let help = "runbook init makes a folder; --dir names one";
        findings.push(note("runbooks", "there are none here, in a folder above or in yours".into(), help));
        return;
    }
    let is_broken = |file: &crate::find::RunbookFile| match planning::load(context, file.clone()) {
        Ok((Some(loaded), found)) => has_errors(&found) || has_errors(&loaded.validate()),
        Ok((None, _)) | Err(_) => true,
    };
    let broken: Vec<String> =
        files.iter().filter(|file| is_broken(file)).map(|file| harmless(&file.name)).collect();
    if broken.is_empty() {
        findings.push(good("runbooks", format!("{} without mistakes", count(files.len(), "runbook"))));
    } else {
        let text = format!(
            "{} of {} have mistakes: {}",
            broken.len(),
            count(files.len(), "runbook"),
            broken.join(", ")
        );
        findings.push(finding("runbooks", text, "runbook validate lists them"));
    }
}

/// The program that a name means.
fn program(context: &Context, name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    context.environment.path.iter().map(|folder| folder.join(name)).find(is_program)
}

fn good(part: &'static str, text: String) -> Finding {
    Finding { part, level: Level::Good, text, help: None }
}

fn note(part: &'static str, text: String, help: &str) -> Finding {
    Finding { part, level: Level::Note, text, help: Some(help.to_owned()) }
}

fn finding(part: &'static str, text: String, help: &str) -> Finding {
    Finding { part, level: Level::Finding, text, help: Some(help.to_owned()) }
}

fn to_json(finding: &Finding) -> Value {
    let level = match finding.level {
        Level::Good => "good",
        Level::Note => "note",
        Level::Finding => "finding",
    };
    json!({"part": finding.part, "level": level, "message": finding.text, "help": finding.help})
}

fn to_text(findings: &[Finding], context: &Context) -> String {
    let signs = Signs::new(context.console.plain);
    let mut text = String::new();
    for Finding { part, level, text: what, help } in findings {
        let sign = match level {
            Level::Good if context.console.quiet => continue,
            Level::Good => styled(GOOD, signs.good),
            Level::Note => styled(ATTENTION, signs.attention),
            Level::Finding => styled(BAD, signs.bad),
        };
        let line = format!("{sign} {part}: {}", harmless(what));
        text.push_str(wrap(&line, context.console.width, "    ").trim_end());
        text.push('\n');
        if let Some(help) = help {
            text.push_str(&format!("    {} {help}\n", styled(DIM, signs.next)));
        }
    }
    let wrong = findings.iter().filter(|finding| finding.level == Level::Finding).count();
    if wrong > 0 {
        text.push_str(&format!(
            "{} wrong\n",
            if wrong == 1 { "1 thing is".to_owned() } else { format!("{wrong} things are") }
        ));
    }
    text
}
