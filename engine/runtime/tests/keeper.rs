//! Keepers, with real processes: what they record, whom they end, and what they leave for a resume.
//!
//! Run with `cargo test -p runbook-runtime --test keeper [FILTER]`. It has a `main` of its own, since the helper must be forked while there is one
//! thread.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "tests, and their runner is in this file"
)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use runbook_runtime::capture::{CaptureLog, Dropped, Frame, Stream, parse_outputs};
use runbook_runtime::keeper::{
    Attempt, AttemptSpec, Claim, Ended, EndedBy, Ending, Exit, Fate, Helper, Identity, Message, NotStarted,
    Script, SpawnFailure, SpawnPart, Verdict, Witness, boot_id, end_keeper, end_survivors, survivors,
    wait_for_slot,
};
use runbook_runtime::redact::Secrets;
use rustix::process::{Pid, Signal, kill_process};

/// What every test gets: the helper, and a folder of its own.
struct World {
    helper: Rc<Helper>,
    folder: tempfile::TempDir,
}

type Test = fn(World) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |world| Box::pin($name(world)))),*]
    };
}

const TESTS: &[(&str, Test)] = tests![
    output_is_recorded_byte_by_byte_in_order,
    a_command_that_prints_nothing_leaves_no_file,
    the_status_is_the_commands_own,
    a_signal_is_named,
    the_environment_is_exactly_what_was_given,
    standard_input_is_delivered_or_empty,
    a_script_is_a_file_while_it_runs,
    what_cannot_be_started_is_said,
    a_program_is_found_in_the_commands_own_path,
    a_tree_that_ignores_sigterm_dies_after_grace,
    a_command_may_end_in_its_grace,
    a_process_that_left_the_session_dies_with_the_step,
    a_process_that_holds_the_output_does_not_hold_the_step,
    what_ends_just_after_its_shell_is_waited_for,
    a_background_lives_until_it_is_ended,
    the_limit_keeps_head_and_tail,
    an_output_within_the_limit_is_whole,
    values_are_recorded_and_their_file_is_gone,
    secrets_are_masked_everywhere,
    a_log_that_cannot_be_written_is_a_failed_store,
    fifty_at_once_keep_their_own,
    a_pause_stops_the_tree_and_the_clock,
    the_engines_death_ends_no_command,
    the_engines_death_undoes_a_pause,
    a_killed_keeper_leaves_an_unknown_outcome_and_its_survivors,
    a_revoked_slot_starts_nothing,
    a_slot_that_nobody_claimed_never_started,
    another_boot_proves_nothing,
    a_damaged_claim_is_not_an_absent_one,
    a_resume_waits_for_a_keeper_or_ends_it,
    a_command_inherits_nothing_of_ours,
    a_keeper_holds_locks_for_its_life_and_its_secrets_are_nowhere,
    a_large_spec_arrives_whole,
    a_keeper_takes_the_next_attempt_as_fresh_as_it_was,
    a_keeper_that_died_while_it_waited_is_replaced,
];

fn main() -> ExitCode {
    runbook_runtime::keeper::serve_if_asked();
    let helper = Rc::new(Helper::start().expect("the helper starts"));
    let filter: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if std::env::args().any(|argument| argument == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        if !filter.is_empty() && !filter.iter().any(|part| name.contains(part)) {
            continue;
        }
        let world = World { helper: Rc::clone(&helper), folder: tempfile::tempdir().expect("a folder") };
        // A test that hangs fails, long after any that works is over.
        let run =
            || runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test(world)).await });
        if matches!(catch_unwind(AssertUnwindSafe(run)), Ok(Ok(()))) {
            passed += 1;
        } else {
            println!("FAILED {name}");
            failed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell command in the test's folder, with a log.
    fn shell(&self, script: &str) -> AttemptSpec {
        let argv = ["bash", "-c", script].map(Into::into).to_vec();
        let mut spec = AttemptSpec::new(argv, self.folder.path().to_path_buf());
        spec.env = vec![("PATH".into(), std::env::var_os("PATH").expect("a PATH"))];
        spec.log = Some(self.path("log"));
        spec
    }

    fn witness(&self) -> Witness {
        Witness::create(&self.path("witness"), 0o600).expect("a new witness file")
    }

    /// The shell command with the slot of that number.
    fn witnessed(&self, script: &str, slot: u32) -> AttemptSpec {
        AttemptSpec { slot: Some((self.path("witness"), slot)), ..self.shell(script) }
    }

    async fn launch(&self, spec: AttemptSpec) -> Attempt {
        self.helper.launch(spec).await.expect("the attempt is handed over")
    }

    async fn run(&self, spec: AttemptSpec) -> Exit {
        let mut attempt = self.launch(spec).await;
        exit_of(&mut attempt).await
    }

    fn log(&self) -> CaptureLog {
        CaptureLog::open(&self.path("log")).expect("a log")
    }

    fn stream(&self, stream: Stream) -> Vec<u8> {
        self.log().read_stream(stream, usize::MAX).expect("a readable log").bytes
    }

    /// Waits for a file that the command writes, and gives its content.
    async fn content(&self, name: &str) -> String {
        let path = self.path(name);
        until(|| std::fs::read_to_string(&path).ok().filter(|content| content.ends_with('\n'))).await
    }

    /// Waits for a pid that the command writes.
    async fn process(&self, name: &str) -> Identity {
        let pid = self.content(name).await.trim().parse().expect("a pid");
        Identity::of(pid).expect("it runs")
    }
}

/// Waits until something is there; the runner's limit ends a wait in vain.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn exit_of(attempt: &mut Attempt) -> Exit {
    loop {
        match attempt.next().await.expect("an end") {
            Message::Started { .. } | Message::Output { .. } => {}
            Message::Exited(exit) => return exit,
            other => panic!("{other:?}"),
        }
    }
}

async fn started(attempt: &mut Attempt) -> i32 {
    match attempt.next().await {
        Some(Message::Started { pid }) => pid,
        other => panic!("{other:?}"),
    }
}

fn claim_of(verdict: Verdict) -> Claim {
    match verdict {
        Verdict::StillRunning { claim: Some(claim) } | Verdict::Unknown { claim: Some(claim) } => claim,
        other => panic!("{other:?}"),
    }
}

fn state_of(process: Identity) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().trim().chars().take(1).collect()
}

async fn output_is_recorded_byte_by_byte_in_order(world: World) {
    // One stream waits for the other to be read: the recorded order is the printed one.
    let script = r"printf 'a\0\xff\n'; sleep 0.05; printf 'problem' >&2; sleep 0.05; printf 'b'";
    let mut attempt = world.launch(world.shell(script)).await;
    started(&mut attempt).await;
    let mut shown = Vec::new();
    let exit = loop {
        match attempt.next().await {
            Some(Message::Output { stream, bytes, lost: 0 }) => shown.push((stream, bytes)),
            Some(Message::Exited(exit)) => break exit,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(attempt.next().await, None);
    let expected = [
        (Stream::Stdout, b"a\0\xff\n".to_vec()),
        (Stream::Stderr, b"problem".to_vec()),
        (Stream::Stdout, b"b".to_vec()),
    ];
    let recorded: Vec<Frame> = world.log().frames().unwrap().collect::<Result<_, _>>().unwrap();
    let frames = expected.clone().map(|(stream, bytes)| Frame::Bytes { stream, bytes });
    assert_eq!(recorded, frames);
    assert_eq!(shown, expected);
    let summary = exit.log.expect("a log was written");
    assert_eq!(world.log().sha256().unwrap(), (summary.sha256, summary.length));
    assert_eq!((exit.ended, exit.ended_by, exit.dropped), (Ended::Exited(0), None, 0));
    let lines = world.log().tail_lines(2).unwrap();
    assert_eq!(lines, [(Stream::Stdout, b"b".to_vec()), (Stream::Stderr, b"problem".to_vec())]);
}

async fn a_command_that_prints_nothing_leaves_no_file(world: World) {
    let exit = world.run(world.shell("true")).await;
    assert_eq!((exit.ended, exit.log), (Ended::Exited(0), None));
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
}

async fn the_status_is_the_commands_own(world: World) {
    for status in [0, 1, 42, 255] {
        let exit = world.run(world.shell(&format!("exit {status}"))).await;
        assert_eq!(exit.ended, Ended::Exited(status));
        assert!(exit.started_at_ms > 0 && exit.ended_at_ms >= exit.started_at_ms);
    }
}

async fn a_signal_is_named(world: World) {
    for signal in [Signal::KILL, Signal::TERM, Signal::PIPE, Signal::INT] {
        let exit = world.run(world.shell(&format!("kill -{} $$", signal.as_raw()))).await;
        assert_eq!(exit.ended, Ended::Signalled(signal.as_raw()));
    }
}

async fn the_environment_is_exactly_what_was_given(world: World) {
    let mut spec = world.shell("");
    spec.argv = vec!["/usr/bin/env".into(), "-0".into()];
    spec.env = vec![("A".into(), "1 \n2".into()), ("RB_1".into(), "$(x)".into())];
    world.run(spec).await;
    assert_eq!(world.stream(Stream::Stdout), b"A=1 \n2\0RB_1=$(x)\0");
}

async fn standard_input_is_delivered_or_empty(world: World) {
    let large = vec![b'x'; 3 * 1024 * 1024];
    for (name, stdin, expected) in
        [("none", None, "0\n"), ("some", Some(b"abc".to_vec()), "3\n"), ("large", Some(large), "3145728\n")]
    {
        let spec = AttemptSpec { stdin, log: Some(world.path(name)), ..world.shell("wc -c") };
        world.run(spec).await;
        let log = CaptureLog::open(&world.path(name)).unwrap();
        assert_eq!(log.read_stream(Stream::Stdout, 100).unwrap().bytes, expected.as_bytes(), "{name}");
    }
}

async fn a_script_is_a_file_while_it_runs(world: World) {
    let path = world.path("the script");
    let mut spec = world.shell("");
    let content =
        b"stat -c %a \"$0\"; readlink /proc/self/fd/* | grep -c 'the script' || true; echo \"${1:-none}\""
            .to_vec();
    spec.script = Some(Script { path: path.clone(), content });
    spec.argv = ["bash", "-eu"].map(Into::into).to_vec();
    let exit = world.run(spec).await;
    assert_eq!(exit.ended, Ended::Exited(0), "{:?}", String::from_utf8_lossy(&world.stream(Stream::Stderr)));
    assert_eq!(String::from_utf8_lossy(&world.stream(Stream::Stdout)), "600\n0\nnone\n");
    assert!(!path.exists());
}

async fn what_cannot_be_started_is_said(world: World) {
    let plain = world.path("plain");
    std::fs::write(&plain, "no program").unwrap();
    let nowhere = world.path("nowhere");
    let program = |argv: &str| AttemptSpec { argv: vec![argv.into()], ..world.shell("") };
    let table = [
        (program("no-such-command"), SpawnPart::Program, libc_errno::ENOENT),
        (program("/no/such/command"), SpawnPart::Program, libc_errno::ENOENT),
        (program("./plain"), SpawnPart::Program, libc_errno::EACCES),
        (
            AttemptSpec { cwd: nowhere.clone(), ..world.shell("true") },
            SpawnPart::WorkingDirectory,
            libc_errno::ENOENT,
        ),
        (
            AttemptSpec { output_file: Some(nowhere.join("out")), ..world.shell("true") },
            SpawnPart::OutputFile,
            libc_errno::ENOENT,
        ),
        (
            AttemptSpec {
                script: Some(Script { path: nowhere.join("s"), content: Vec::new() }),
                ..world.shell("true")
            },
            SpawnPart::Script,
            libc_errno::ENOENT,
        ),
    ];
    for (spec, part, errno) in table {
        let shown = format!("{:?} in {:?}", spec.argv, spec.cwd);
        let exit = world.run(spec).await;
        assert_eq!(exit.ended, Ended::NotSpawned(SpawnFailure { part, errno }), "{shown}");
        assert_eq!(exit.log, None);
    }
}

/// The few numbers that the tests compare, as Linux has them everywhere.
mod libc_errno {
    pub(crate) const ENOENT: i32 = 2;
    pub(crate) const EACCES: i32 = 13;
    pub(crate) const EEXIST: i32 = 17;
}

async fn a_program_is_found_in_the_commands_own_path(world: World) {
    use std::os::unix::fs::PermissionsExt;
    for (folder, mode) in [("a", 0o644), ("b", 0o755)] {
        let path = world.path(folder).join("tool");
        std::fs::create_dir(world.path(folder)).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\necho {folder}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut spec = world.shell("");
    spec.argv = vec!["tool".into()];
    spec.env = vec![("PATH".into(), "/nowhere:a:b".into())];
    world.run(spec).await;
    assert_eq!(world.stream(Stream::Stdout), b"b\n");
}

/// A tree of three that ignores SIGTERM, and writes its pids.
const STUBBORN: &str = "trap '' TERM; (trap '' TERM; echo $BASHPID > one; while :; do sleep 100; done) & \
     setsid bash -c 'trap \"\" TERM; echo $$ > two; while :; do sleep 100; done' & echo $$ > zero; echo ready; while :; do sleep 100; done";

async fn a_tree_that_ignores_sigterm_dies_after_grace(world: World) {
    let spec = AttemptSpec {
        timeout: Some(Duration::from_secs(3)),
        grace: Duration::from_millis(100),
        ..world.shell(STUBBORN)
    };
    let mut attempt = world.launch(spec).await;
    let tree = [world.process("zero").await, world.process("one").await, world.process("two").await];
    let exit = exit_of(&mut attempt).await;
    assert_eq!((exit.ended, exit.ended_by), (Ended::Signalled(9), Some(EndedBy::Timeout)));
    assert!(exit.duration >= Duration::from_millis(3100), "{:?}", exit.duration);
    assert_eq!(tree.map(|process| process.is_alive()), [false; 3]);
    assert_eq!(world.stream(Stream::Stdout), b"ready\n");
}

async fn a_command_may_end_in_its_grace(world: World) {
    let script = "trap 'echo bye; exit 7' TERM; echo $$ > pid; while :; do sleep 0.01; done";
    let mut attempt =
        world.launch(AttemptSpec { grace: Duration::from_secs(50), ..world.shell(script) }).await;
    world.process("pid").await;
    attempt.control().terminate();
    let exit = exit_of(&mut attempt).await;
    assert_eq!((exit.ended, exit.ended_by), (Ended::Exited(7), Some(EndedBy::Terminated)));
    assert_eq!(world.stream(Stream::Stdout), b"bye\n");
    std::fs::remove_file(world.path("log")).unwrap();
    std::fs::remove_file(world.path("pid")).unwrap();
    let mut attempt =
        world.launch(world.shell("trap '' TERM; echo $$ > pid; while :; do sleep 100; done")).await;
    let command = world.process("pid").await;
    attempt.control().kill();
    let exit = exit_of(&mut attempt).await;
    assert_eq!((exit.ended, exit.ended_by), (Ended::Signalled(9), Some(EndedBy::Killed)));
    assert!(!command.is_alive());
}

async fn a_process_that_left_the_session_dies_with_the_step(world: World) {
    let script = "setsid bash -c 'trap \"\" TERM; echo $$ > pid; exec sleep 1000' < /dev/null > /dev/null 2>&1 & until test -s pid; do sleep 0.01; done";
    let mut attempt = world.launch(world.shell(script)).await;
    let escaped = world.process("pid").await;
    let exit = exit_of(&mut attempt).await;
    assert_eq!((exit.ended, exit.ended_by, exit.pipe_held), (Ended::Exited(0), None, false));
    assert!(!escaped.is_alive());
    assert_eq!(exit.leftover_count, 1);
    assert_eq!((exit.leftovers[0].pid, exit.leftovers[0].fate), (escaped.pid, Fate::Ended));
    assert_eq!(exit.leftovers[0].name, "sleep");
}

async fn a_process_that_holds_the_output_does_not_hold_the_step(world: World) {
    let exit = world.run(world.shell("echo before; sleep 1000 & echo $! > pid")).await;
    assert_eq!((exit.ended, exit.pipe_held, exit.leftover_count), (Ended::Exited(0), true, 1));
    assert!(exit.duration < Duration::from_secs(50));
    let pid: i32 = world.content("pid").await.trim().parse().unwrap();
    assert_eq!((exit.leftovers[0].pid, exit.leftovers[0].name.as_str()), (pid, "sleep"));
    assert!(Identity::of(pid).is_err());
    assert_eq!(world.stream(Stream::Stdout), b"before\n");
}

async fn what_ends_just_after_its_shell_is_waited_for(world: World) {
    let exit = world.run(world.shell("(sleep 0.02; echo late; echo done > file) &")).await;
    assert_eq!((exit.ended, exit.leftover_count, exit.pipe_held), (Ended::Exited(0), 0, false));
    assert_eq!(world.stream(Stream::Stdout), b"late\n");
    assert_eq!(world.content("file").await, "done\n");
}

async fn a_background_lives_until_it_is_ended(world: World) {
    let script = "(echo $BASHPID > pid; while :; do sleep 0.3; echo again; done) & exit 3";
    let mut attempt = world.launch(AttemptSpec { background: true, ..world.shell(script) }).await;
    let server = world.process("pid").await;
    let mut seen = 0;
    // It goes on printing after its shell has ended, and longer than leftovers may.
    while seen < 2 {
        match attempt.next().await {
            Some(Message::Output { .. }) => seen += 1,
            Some(Message::Started { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(server.is_alive());
    attempt.control().terminate();
    let exit = exit_of(&mut attempt).await;
    assert_eq!(
        (exit.ended, exit.ended_by, exit.leftover_count),
        (Ended::Exited(3), Some(EndedBy::Terminated), 0)
    );
    assert!(!server.is_alive());
}

async fn the_limit_keeps_head_and_tail(world: World) {
    let mut spec = world.shell("for ((i = 0; i < 20000; i++)); do printf '%09d\\n' $i; done; echo end >&2");
    spec.log_limit = 10_000;
    let exit = world.run(spec).await;
    let total = 20_000 * 10 + 4;
    assert_eq!(exit.dropped, total - 10_000);
    let frames: Vec<Frame> = world.log().frames().unwrap().collect::<Result<_, _>>().unwrap();
    let dropped = frames.iter().filter(|frame| matches!(frame, Frame::Dropped(_))).collect::<Vec<_>>();
    assert_eq!(dropped, [&Frame::Dropped(Dropped { stdout: total - 10_000, stderr: 0 })]);
    let read = world.log().read_stream(Stream::Stdout, usize::MAX).unwrap();
    let line = |number: u64| format!("{number:09}\n").into_bytes();
    let head: Vec<u8> = (0..500).flat_map(line).collect();
    let tail: Vec<u8> = (20_000 - 500..20_000).flat_map(line).collect();
    assert_eq!(read.bytes, [&head[..], &tail[4..]].concat());
    assert_eq!(read.dropped, total - 10_000);
    assert_eq!(world.stream(Stream::Stderr), b"end\n");
    let summary = exit.log.unwrap();
    assert_eq!(world.log().sha256().unwrap(), (summary.sha256, summary.length));
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 1, "no segments are left");
    assert_eq!(exit.store_failure, None);
}

async fn an_output_within_the_limit_is_whole(world: World) {
    let exit = world.run(AttemptSpec { log_limit: 10_000, ..world.shell("head -c 10000 /dev/zero") }).await;
    assert_eq!(exit.dropped, 0);
    let read = world.log().read_stream(Stream::Stdout, 9_999).unwrap();
    assert_eq!((read.bytes.len(), read.truncated, read.dropped), (9_999, true, 0));
    let read = world.log().read_stream(Stream::Stdout, 10_000).unwrap();
    assert_eq!((read.bytes, read.truncated, read.dropped), (vec![0; 10_000], false, 0));
}

async fn values_are_recorded_and_their_file_is_gone(world: World) {
    let path = world.path("out");
    let mut spec =
        world.shell("stat -c %a \"$RUNBOOK_OUTPUT\"; echo file=a.sql >> \"$RUNBOOK_OUTPUT\"; exit 4");
    spec.env.push(("RUNBOOK_OUTPUT".into(), path.clone().into()));
    spec.output_file = Some(path.clone());
    let exit = world.run(spec).await;
    assert_eq!((exit.ended, exit.outputs_unreadable), (Ended::Exited(4), false));
    assert_eq!(world.stream(Stream::Stdout), b"600\n");
    let values = parse_outputs(&world.stream(Stream::Outputs)).unwrap();
    assert_eq!(values, [("file".to_owned(), "a.sql".to_owned())]);
    assert!(!path.exists());

    let secret = world.path("secret");
    std::fs::write(&secret, "stolen=1\n").unwrap();
    let mut spec = world.shell("ln -sf secret out");
    spec.log = Some(world.path("second"));
    spec.output_file = Some(path.clone());
    let exit = world.run(spec).await;
    assert_eq!((exit.outputs_unreadable, exit.log), (true, None));
    assert!(!path.exists() && secret.exists());
}

async fn secrets_are_masked_everywhere(world: World) {
    // The secret arrives in two pieces, and is held back until it is whole.
    let script =
        "printf 'x hunt'; sleep 0.05; printf 'er22 y'; printf 'a=hunter22\\n' > out; echo hunter22 >&2";
    let mut spec = world.shell(script);
    spec.secrets = Secrets::from_pairs([("db".to_owned(), b"hunter22".to_vec())]).unwrap();
    spec.output_file = Some(world.path("out"));
    let mut attempt = world.launch(spec).await;
    let mut shown = Vec::new();
    loop {
        match attempt.next().await {
            Some(Message::Output { bytes, .. }) => shown.extend(bytes),
            Some(Message::Started { .. }) => {}
            Some(Message::Exited(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    let recorded = std::fs::read(world.path("log")).unwrap();
    for bytes in [&shown, &recorded] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("hunt"), "{text}");
    }
    assert_eq!(world.stream(Stream::Stdout), "x ‹secrets.db› y".as_bytes());
    assert_eq!(world.stream(Stream::Outputs), "a=‹secrets.db›\n".as_bytes());
}

async fn a_log_that_cannot_be_written_is_a_failed_store(world: World) {
    std::fs::write(world.path("log"), "already there").unwrap();
    let exit = world.run(world.shell("echo x; echo y; echo done > file; exit 2")).await;
    assert_eq!(
        (exit.ended, exit.log, exit.store_failure),
        (Ended::Exited(2), None, Some(libc_errno::EEXIST))
    );
    assert_eq!(std::fs::read(world.path("log")).unwrap(), b"already there");
    assert_eq!(world.content("file").await, "done\n");
}

async fn fifty_at_once_keep_their_own(world: World) {
    let witness = world.witness();
    let mut attempts = Vec::new();
    for number in 0..50_u32 {
        let log = world.path(&format!("log-{number}"));
        let spec = AttemptSpec {
            log: Some(log),
            ..world.witnessed(&format!("echo {number}; exit {number}"), number)
        };
        attempts.push(world.launch(spec).await);
    }
    let boot = boot_id().unwrap();
    for (number, attempt) in (0..50_u32).zip(&mut attempts) {
        let exit = exit_of(attempt).await;
        assert_eq!(exit.ended, Ended::Exited(number.cast_signed()));
        let log = CaptureLog::open(&world.path(&format!("log-{number}"))).unwrap();
        assert_eq!(log.read_stream(Stream::Stdout, 10).unwrap().bytes, format!("{number}\n").into_bytes());
        assert_eq!(
            wait_for_slot(&world.path("witness"), number, &boot).await.unwrap(),
            Verdict::Exited(exit)
        );
    }
    assert_eq!(witness.used_slots(0).unwrap(), (0..50).collect::<Vec<_>>());
}

async fn a_pause_stops_the_tree_and_the_clock(world: World) {
    let script = "(echo $BASHPID > one; exec sleep 1000) & echo $$ > zero; wait";
    let spec = AttemptSpec { timeout: Some(Duration::from_secs(3)), ..world.shell(script) };
    let mut attempt = world.launch(spec).await;
    let tree = [world.process("zero").await, world.process("one").await];
    let control = attempt.control();
    control.pause();
    for process in tree {
        until(|| (state_of(process) == "T").then_some(())).await;
    }
    let early = tokio::time::timeout(Duration::from_secs(4), exit_of(&mut attempt)).await;
    assert!(early.is_err(), "the timeout went on while the command stood: {early:?}");
    control.resume();
    let exit = exit_of(&mut attempt).await;
    assert_eq!((exit.ended, exit.ended_by), (Ended::Signalled(15), Some(EndedBy::Timeout)));
    assert!(exit.duration >= Duration::from_secs(4));
}

async fn the_engines_death_ends_no_command(world: World) {
    world.witness();
    let mut attempt =
        world.launch(world.witnessed("until test -e go; do sleep 0.01; done; echo late; exit 5", 3)).await;
    started(&mut attempt).await;
    drop(attempt);
    let boot = boot_id().unwrap();
    let witness = Witness::open(&world.path("witness")).unwrap();
    let claim = claim_of(witness.settle(3, &boot).unwrap());
    assert_eq!(claim.boot, boot);
    assert!(claim.keeper.is_alive());
    std::fs::write(world.path("go"), "").unwrap();
    let Verdict::Exited(exit) = wait_for_slot(&world.path("witness"), 3, &boot).await.unwrap() else {
        panic!("no exit")
    };
    assert_eq!((exit.ended, exit.ended_by), (Ended::Exited(5), None));
    assert_eq!(world.stream(Stream::Stdout), b"late\n");
    let summary = exit.log.unwrap();
    assert_eq!(world.log().sha256().unwrap(), (summary.sha256, summary.length));
}

async fn the_engines_death_undoes_a_pause(world: World) {
    world.witness();
    let mut attempt =
        world.launch(world.witnessed("echo $$ > pid; until test -e go; do sleep 0.01; done", 0)).await;
    started(&mut attempt).await;
    let command = world.process("pid").await;
    attempt.control().pause();
    until(|| (state_of(command) == "T").then_some(())).await;
    drop(attempt);
    std::fs::write(world.path("go"), "").unwrap();
    let verdict = wait_for_slot(&world.path("witness"), 0, &boot_id().unwrap()).await.unwrap();
    assert!(matches!(verdict, Verdict::Exited(Exit { ended: Ended::Exited(0), .. })), "{verdict:?}");
}

async fn a_killed_keeper_leaves_an_unknown_outcome_and_its_survivors(world: World) {
    let witness = world.witness();
    let boot = boot_id().unwrap();
    let mut spec = world.witnessed(
        "echo kept; trap '' TERM; (setsid sleep 1111 & echo $! > two); echo $$ > one; exec sleep 2222",
        0,
    );
    spec.env.push(("RUNBOOK_RUN_ID".into(), "20261120T071203-k3f9".into()));
    spec.env.push(("RUNBOOK_STEP".into(), "deploy".into()));
    let mut attempt = world.launch(spec).await;
    let command = started(&mut attempt).await;
    let (one, two) = (world.process("one").await, world.process("two").await);
    until(|| world.path("log").exists().then_some(())).await;
    let claim = claim_of(witness.inspect(0, &boot).unwrap());
    assert_eq!(claim.command, Some(command));
    kill_process(Pid::from_raw(claim.keeper.pid).unwrap(), Signal::KILL).unwrap();
    let last = loop {
        match attempt.next().await {
            Some(Message::Output { .. }) => {}
            last => break last,
        }
    };
    assert_eq!(last, Some(Message::Lost));
    let verdict = wait_for_slot(&world.path("witness"), 0, &boot).await.unwrap();
    assert_eq!(verdict, Verdict::Unknown { claim: Some(claim.clone()) });
    until(|| (!claim.keeper.is_alive()).then_some(())).await;
    let found = until(|| {
        let found = survivors("20261120T071203-k3f9", "deploy", Some(&claim)).unwrap();
        found.iter().all(|survivor| survivor.command.starts_with("sleep ")).then_some(found)
    })
    .await;
    let mut pids: Vec<i32> = found.iter().map(|survivor| survivor.identity.pid).collect();
    pids.sort_unstable();
    let mut expected = vec![one.pid, two.pid];
    expected.sort_unstable();
    assert_eq!(pids, expected, "{found:?}");
    // By its session alone, and by its environment alone.
    let by_session = survivors("other", "deploy", Some(&claim)).unwrap();
    assert_eq!(by_session.iter().map(|survivor| survivor.identity).collect::<Vec<_>>(), [one]);
    assert_eq!(survivors("20261120T071203-k3f9", "deploy", None).unwrap().len(), 2);
    assert_eq!(survivors("20261120T071203-k3f9", "deplo", None).unwrap(), []);
    assert_eq!(end_survivors(&found, Duration::from_millis(50)).await, []);
    assert_eq!((one.is_alive(), two.is_alive()), (false, false));
    assert_eq!(world.stream(Stream::Stdout), b"kept\n", "what was printed is recorded, keeper or not");
}

async fn a_revoked_slot_starts_nothing(world: World) {
    let witness = world.witness();
    let boot = boot_id().unwrap();
    assert_eq!(witness.settle(0, &boot).unwrap(), Verdict::NeverStarted);
    let mut attempt = world.launch(world.witnessed("echo ran > ran", 0)).await;
    assert_eq!(attempt.next().await, Some(Message::NotStarted(NotStarted::Revoked)));
    assert_eq!(attempt.next().await, None);
    assert!(!world.path("ran").exists());
    assert_eq!(witness.settle(0, &boot).unwrap(), Verdict::NeverStarted);
    let exit = world.run(world.witnessed("echo ran > ran", 1)).await;
    assert_eq!(exit.ended, Ended::Exited(0));
}

async fn a_slot_that_nobody_claimed_never_started(world: World) {
    let witness = world.witness();
    let boot = boot_id().unwrap();
    assert_eq!(witness.inspect(7, &boot).unwrap(), Verdict::NeverStarted);
    assert_eq!(witness.used_slots(0).unwrap(), Vec::<u32>::new());
    let missing = AttemptSpec { slot: Some((world.path("no-witness"), 0)), ..world.shell("echo ran > ran") };
    let mut attempt = world.launch(missing).await;
    assert_eq!(
        attempt.next().await,
        Some(Message::NotStarted(NotStarted::Store { errno: libc_errno::ENOENT }))
    );
    assert!(!world.path("ran").exists());
}

async fn another_boot_proves_nothing(world: World) {
    let witness = world.witness();
    let verdict = witness.settle(0, "00000000-0000-0000-0000-000000000000").unwrap();
    assert_eq!(verdict, Verdict::Unknown { claim: None });
    // A valid exit counts always.
    let exit = world.run(world.witnessed("exit 9", 1)).await;
    let verdict =
        wait_for_slot(&world.path("witness"), 1, "00000000-0000-0000-0000-000000000000").await.unwrap();
    assert_eq!(verdict, Verdict::Exited(exit));
}

async fn a_damaged_claim_is_not_an_absent_one(world: World) {
    use std::os::unix::fs::FileExt;
    let witness = world.witness();
    let boot = boot_id().unwrap();
    world.run(world.witnessed("true", 0)).await;
    wait_for_slot(&world.path("witness"), 0, &boot).await.unwrap();
    let mut slot = std::fs::read(world.path("witness")).unwrap();
    slot.resize(512, 0);
    let file = std::fs::File::options().write(true).open(world.path("witness")).unwrap();
    let is = |offset: usize| slot[offset] != 0;
    let (claim, exit) = (0..128, 192..512);
    for at in claim.filter(|at| is(*at)) {
        // A claim with any byte changed, and no exit.
        file.write_all_at(&slot[..192], 0).unwrap();
        file.write_all_at(&[0; 320], 192).unwrap();
        file.write_all_at(&[slot[at] ^ 1], at as u64).unwrap();
        assert_eq!(witness.settle(0, &boot).unwrap(), Verdict::Unknown { claim: None }, "byte {at}");
    }
    for at in exit.filter(|at| is(*at)) {
        // An exit with any byte changed, and no claim.
        file.write_all_at(&[0; 192], 0).unwrap();
        file.write_all_at(&slot[192..], 192).unwrap();
        file.write_all_at(&[slot[at] ^ 1], at as u64).unwrap();
        assert_eq!(witness.settle(0, &boot).unwrap(), Verdict::Unknown { claim: None }, "byte {at}");
    }
    // The parts of another slot aren't this one's.
    file.write_all_at(&slot, 512).unwrap();
    assert_eq!(witness.settle(1, &boot).unwrap(), Verdict::Unknown { claim: None });
}

async fn a_resume_waits_for_a_keeper_or_ends_it(world: World) {
    world.witness();
    let boot = boot_id().unwrap();
    let path = world.path("witness");
    let table = [
        (
            Ending::Terminate,
            "trap 'exit 7' TERM; echo $$ > pid; while :; do sleep 0.01; done",
            Ended::Exited(7),
            EndedBy::Terminated,
        ),
        (
            Ending::Kill,
            "trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done",
            Ended::Signalled(9),
            EndedBy::Killed,
        ),
    ];
    for (slot, (ending, script, ended, by)) in (0..).zip(table) {
        let mut attempt = world.launch(world.witnessed(script, slot)).await;
        started(&mut attempt).await;
        world.content("pid").await;
        std::fs::remove_file(world.path("pid")).unwrap();
        drop(attempt);
        let claim = claim_of(Witness::open_to_look(&path).unwrap().inspect(slot, &boot).unwrap());
        end_keeper(&claim, ending).unwrap();
        let Verdict::Exited(exit) = wait_for_slot(&path, slot, &boot).await.unwrap() else {
            panic!("no exit")
        };
        assert_eq!((exit.ended, exit.ended_by), (ended, Some(by)));
        until(|| (!claim.keeper.is_alive()).then_some(())).await;
        end_keeper(&claim, ending).expect("one that is gone needs no asking");
    }
}

async fn a_command_inherits_nothing_of_ours(world: World) {
    // No descriptor beyond its three streams (and the one with which `ls` reads), no signal blocked or ignored, no terminal, a group of its own.
    let lock = std::fs::File::create(world.path("lock")).unwrap();
    let mut spec = world.shell("");
    spec.argv = vec!["ls".into(), "/proc/self/fd".into()];
    spec.inherit = vec![lock.into()];
    world.run(spec).await;
    assert_eq!(String::from_utf8_lossy(&world.stream(Stream::Stdout)), "0\n1\n2\n3\n");
    let spec = AttemptSpec {
        log: Some(world.path("second")),
        ..world.shell("exec cat /proc/self/status /proc/self/stat")
    };
    let exit = world.run(spec).await;
    assert_eq!(exit.ended, Ended::Exited(0));
    let log = CaptureLog::open(&world.path("second")).unwrap();
    let text = String::from_utf8(log.read_stream(Stream::Stdout, usize::MAX).unwrap().bytes).unwrap();
    let mask = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a line");
        // Two signals are the C library's own, and can't be changed through it.
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap() & !(0b11 << 31)
    };
    assert_eq!((mask("SigBlk:"), mask("SigIgn:")), (0, 0), "{text}");
    let fields: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
    let (pid, group, session, terminal) = (fields[0], fields[4], fields[5], fields[6]);
    assert_eq!((group, terminal), (pid, "0"));
    // Read where the command's own was: it is 0 where the session began outside this PID namespace.
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    assert_ne!(Some(session), own.split_whitespace().nth(5));
}

async fn a_keeper_holds_locks_for_its_life_and_its_secrets_are_nowhere(world: World) {
    let open = || {
        std::fs::File::options().create(true).truncate(false).write(true).open(world.path("lock")).unwrap()
    };
    let lock = open();
    lock.lock().unwrap();
    world.witness();
    let mut spec = world.witnessed("until test -e go; do sleep 0.01; done", 0);
    spec.inherit = vec![lock.into()];
    let mut attempt = world.launch(spec).await;
    started(&mut attempt).await;
    assert!(open().try_lock().is_err(), "the keeper holds the lock");
    let claim =
        claim_of(Witness::open(&world.path("witness")).unwrap().inspect(0, &boot_id().unwrap()).unwrap());
    let environment = std::fs::read(format!("/proc/{}/environ", claim.keeper.pid));
    // Others than root aren't even let near it.
    assert!(environment.is_err() || environment.is_ok_and(|content| content.iter().all(|byte| *byte == 0)));
    std::fs::write(world.path("go"), "").unwrap();
    exit_of(&mut attempt).await;
    until(|| (!claim.keeper.is_alive()).then_some(())).await;
    open().try_lock().expect("the lock is free with the keeper's end");
}

async fn a_large_spec_arrives_whole(world: World) {
    let mut spec = world.shell("cat");
    let stdin: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|number| number.to_le_bytes()[1]).collect();
    spec.stdin = Some(stdin.clone());
    world.run(spec).await;
    assert!(world.stream(Stream::Stdout) == stdin);
    assert!(Path::new(&world.path("log")).exists());
}

/// Runs a command and gives who kept it, by its slot.
async fn kept(world: &World, script: &str, slot: u32) -> (Claim, Exit) {
    let mut attempt = world.launch(world.witnessed(script, slot)).await;
    let exit = exit_of(&mut attempt).await;
    // An order that comes too late concerns nobody.
    attempt.control().terminate();
    drop(attempt);
    let text = std::fs::read(world.path("witness")).unwrap();
    let pid = &text[slot as usize * 512 + 3..][..4];
    let pid = i32::from_le_bytes(pid.try_into().unwrap());
    let started = Identity::of(pid).map_or(0, |identity| identity.started);
    (
        Claim { keeper: Identity { pid, started }, boot: boot_id().unwrap(), command: None, session: None },
        exit,
    )
}

async fn a_keeper_takes_the_next_attempt_as_fresh_as_it_was(world: World) {
    world.witness();
    let script = "cat /proc/self/cwd/nothing 2> /dev/null; ls /proc/$PPID/fd | wc -l > count";
    let (first, exit) = kept(&world, script, 0).await;
    assert_eq!(exit.ended, Ended::Exited(0));
    let count = std::fs::read_to_string(world.path("count")).unwrap();
    let free = wait_for_slot(&world.path("witness"), 0, &boot_id().unwrap()).await.unwrap();
    assert!(matches!(free, Verdict::Exited(_)), "its slot is free while it waits: {free:?}");
    // Its folder isn't held.
    until(|| {
        (std::fs::read_link(format!("/proc/{}/cwd", first.keeper.pid)).ok()? == Path::new("/")).then_some(())
    })
    .await;
    for slot in 1..4 {
        std::fs::remove_file(world.path("log")).ok();
        let (next, exit) = kept(&world, script, slot).await;
        assert_eq!((next.keeper, exit.ended, exit.ended_by), (first.keeper, Ended::Exited(0), None));
        assert_eq!(
            std::fs::read_to_string(world.path("count")).unwrap(),
            count,
            "no descriptor is left open"
        );
    }
    // One that couldn't end everything, or has others' descriptors, isn't used again.
    let lock = std::fs::File::create(world.path("lock")).unwrap();
    let spec = AttemptSpec { inherit: vec![lock.into()], ..world.witnessed("true", 4) };
    assert_eq!(world.run(spec).await.ended, Ended::Exited(0));
}

async fn a_keeper_that_died_while_it_waited_is_replaced(world: World) {
    world.witness();
    let (first, _) = kept(&world, "true", 0).await;
    kill_process(Pid::from_raw(first.keeper.pid).unwrap(), Signal::KILL).unwrap();
    until(|| (!first.keeper.is_alive()).then_some(())).await;
    let (second, exit) = kept(&world, "true", 1).await;
    assert_eq!(exit.ended, Ended::Exited(0));
    assert_ne!(second.keeper, first.keeper);
}
