//! A state directory that a Unix group shares (engine §3): several operating system users, one set of runs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::helpers::{Finished, HOLD, TestEnvironment, eventually};

/// Two users and a group that every Debian knows.
const GROUP: &str = "users";
const ONE: &str = "daemon";
const OTHER: &str = "games";

/// The binary as one of the users, all of them members of the group.
fn command_as(test: &TestEnvironment, user: &str, arguments: &[&str]) -> Command {
    let own = test.command(arguments);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", user, "--regid", GROUP, "--clear-groups"])
        .arg(own.get_program())
        .args(own.get_args())
        .env_clear()
        .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("HOME", "/nonexistent")
        .current_dir(test.project())
        .stdin(std::process::Stdio::null());
    command
}

fn run_as(test: &TestEnvironment, user: &str, arguments: &[&str]) -> Finished {
    let mut live = test.spawn_command(command_as(test, user, arguments));
    eventually("the end", || live.is_over().then_some(()));
    live.wait()
}

/// A project that both users may read, and a state directory of the first one's that the group shares.
fn shared(body: &str) -> Option<TestEnvironment> {
    if !rustix::process::geteuid().is_root() {
        // Only root may act as two users.
        return None;
    }
    let test = TestEnvironment::with(body);
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&test.outside(""), 0o777);
    std::fs::remove_dir(test.state()).unwrap();
    std::fs::write(test.outside("ledger"), "").unwrap();
    open(&test.outside("ledger"), 0o666);
    open(&test.project(), 0o777);
    open(&test.project().join("runbooks"), 0o777);
    run_as(&test, ONE, &["init", "--shared-state", GROUP])
        .succeeds()
        .stderr_has("is shared by the group users");
    Some(test)
}

#[test]
fn a_shared_state_directory_is_the_groups_with_files_that_members_write() {
    let Some(test) = shared("steps: [{id: a, run: 'echo a'}]\n") else { return };
    assert_eq!(test.state().metadata().unwrap().mode() & 0o7777, 0o3770);
    run_as(&test, ONE, &["run", "main"]).succeeds();
    let group = test.state().metadata().unwrap().gid();
    let mut folders = vec![test.state()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let metadata = folder.metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o3770, group), "{}", folder.display());
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else {
                files += 1;
                assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o660, group), "{}", path.display());
            }
        }
    }
    assert!(files > 3);
    // The other one sees it, runs there and reads what was printed.
    run_as(&test, OTHER, &["logs", "last", "a"]).succeeds().stdout_has("a\n");
    run_as(&test, OTHER, &["run", "main"]).succeeds();
    run_as(&test, ONE, &["verify", "last"]).succeeds();
    // Who is no member doesn't.
    let mut stranger = command_as(&test, OTHER, &["runs"]);
    let arguments: Vec<_> = stranger.get_args().map(|word| word.to_owned()).collect();
    let arguments =
        arguments.iter().map(|word| if word == GROUP { "nogroup".as_ref() } else { word.as_os_str() });
    let output = Command::new("setpriv")
        .args(arguments)
        .envs(stranger.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(test.project())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let _ = stranger.stdin(std::process::Stdio::null());
}

#[test]
fn another_members_answer_is_taken_with_the_files_owner_as_by() {
    let body = "steps:\n  - {id: gate, approve: Go on?}\n  - {id: after, run: 'id -un >> \"$LEDGER\"'}\n";
    let Some(test) = shared(body) else { return };
    let run = run_as(&test, ONE, &["run", "main"]).exits(3).run_id();
    // Nobody holds the run: the answering command records it, and the run goes on as its user.
    run_as(&test, OTHER, &["approve", &run, "--reason", "seen", "--resume"]).succeeds();
    let answer = test.journal(&run).one("gate_answered", "gate").clone();
    assert_eq!(answer["by"], OTHER);
    assert_eq!(test.ledger(), [OTHER]);
    run_as(&test, ONE, &["verify", &run]).succeeds();
}

#[test]
fn a_live_run_takes_another_members_answer() {
    let body = format!(
        "steps:\n  - {{id: gate, needs: [], approve: Go on?}}\n  - {{id: slow, needs: [], run: '{HOLD}'}}\n  - {{id: after, needs: [gate], run: 'id -un >> \"$LEDGER\"'}}\n"
    );
    let Some(test) = shared(&body) else { return };
    test.hold();
    let mut live = test.spawn_command(command_as(&test, ONE, &["run", "main"]));
    let run = live.run_id();
    eventually("the question", || {
        let status = run_as(&test, OTHER, &["status", &run, "--format", "json"]).whatever_status();
        (status.code() == 0 && status.json()["waiting_for"][0]["step"] == "gate").then_some(())
    });
    run_as(&test, OTHER, &["approve", &run]).succeeds();
    test.release();
    live.wait().succeeds();
    let answer = test.journal(&run).one("gate_answered", "gate").clone();
    assert_eq!(answer["by"], OTHER);
    assert_eq!(test.ledger(), [ONE]);
}

#[test]
fn what_is_in_use_or_unknown_is_not_shared() {
    let test = TestEnvironment::with("steps: [{id: a, run: 'true'}]\n");
    test.runbook(&["init", "--shared-state", "no-such-group"])
        .exits(2)
        .stderr_has("no group `no-such-group`");
    test.runbook(&["run", "main"]).succeeds();
    test.runbook(&["init", "--shared-state", GROUP]).exits(6).stderr_has("is in use");
    assert_eq!(test.state().metadata().unwrap().mode() & 0o7777, 0o700);
}

/// Two members make a quorum. One of them twice does not, not even by a copy of an answer, and none answers in another's name.
#[test]
fn a_quorum_is_of_two_users_and_nobody_answers_for_another() {
    let body = "steps:\n  - {id: gate, approve: {prompt: Go on?, quorum: 2, self: true}}\n  - {id: after, run: 'id -un >> \"$LEDGER\"'}\n";
    let Some(test) = shared(body) else { return };
    let run = run_as(&test, ONE, &["run", "main"]).exits(3).run_id();
    run_as(&test, OTHER, &["approve", &run]).succeeds();
    run_as(&test, OTHER, &["approve", &run, "--resume"]).whatever_status();
    let inbox = test.run_folder(&run).join("inbox");
    let answer = std::fs::read_dir(&inbox)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"approve\"")))
        .expect("the answer is a file");
    assert_eq!(answer.metadata().unwrap().uid(), uid(OTHER));
    // A name like the answer's, of a later moment.
    let name = answer.file_name().unwrap().to_str().unwrap();
    let copy = inbox.join(name.replacen(|c: char| c.is_ascii_digit(), "9", 1));
    assert_ne!(copy, answer);
    let as_other = |program: &str, arguments: [&std::path::Path; 2]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", OTHER, "--regid", GROUP, "--clear-groups", program]).args(arguments);
        command.status().unwrap().success()
    };
    assert!(as_other("cp", [&answer, &copy]));
    assert!(!as_other("chown", [std::path::Path::new(ONE), &copy]), "the kernel vouches for the owner");
    run_as(&test, OTHER, &["resume", &run]).exits(3);
    assert!(test.ledger().is_empty());
    let people = |test: &TestEnvironment| {
        let journal = test.journal(&run);
        let mut by: Vec<String> = journal
            .of("gate_answered", "gate")
            .iter()
            .map(|answer| answer["by"].as_str().unwrap().into())
            .collect();
        by.dedup();
        by
    };
    assert_eq!(people(&test), [OTHER]);
    run_as(&test, ONE, &["approve", &run, "--resume"]).succeeds();
    assert_eq!(people(&test), [OTHER, ONE]);
    assert_eq!(test.ledger(), [ONE]);
}

fn uid(user: &str) -> u32 {
    let output = Command::new("id").args(["-u", user]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
