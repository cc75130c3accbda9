//! The store on real files and with real processes.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use indexmap::IndexMap;
use runbook_core::event::{EventKind, Gate, Identity, Outcome, Via, WaitingFor};
use runbook_core::id::RunId;
use sha2::{Digest, Sha256};

use super::fixture::{Fixture, RUN, at, created, finished, fixture, note, run_id, two_segments};
use super::inbox::{self, AnswerFile, FileName, NoteFile, Request, Verdict};
use super::index::{self, Filter};
use super::lock::{self, LockError, RunLock};
use super::{
    Directory, Family, LOCK, PLAN, Problem, ResolveError, RunDir, Runbook, Standing, Store, StoreError,
    Summary, Watch, identity, summarize, verify,
};
use crate::journal::{self, Writer};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Another run, with a journal of these events.
fn add_run(store: &Store, id: &str, millis: i64, kinds: &[EventKind]) -> RunDir {
    let (dir, _lock) = store.create_run(&run_id(id)).expect("a run");
    Writer::create(&dir, at(millis), kinds).expect("a journal");
    dir
}

fn list(store: &Store, filter: &Filter) -> Vec<(String, Standing)> {
    let listed = index::list(store, filter).expect("a list");
    listed.into_iter().map(|summary| (summary.run.to_string(), summary.outcome)).collect()
}

// The state directory.

#[test]
fn a_state_directory_that_others_can_change_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    Store::open(&state).expect("created");
    assert_eq!(fs::metadata(&state).expect("there").permissions().mode() & 0o7777, 0o700);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o770)).expect("changed");
    let error = Store::open(&state).expect_err("others can write");
    assert!(error.to_string().contains("0770"), "{error}");
    assert_eq!(error.family(), Family::Broken);

    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    assert_eq!(Store::open(&file).expect_err("no directory").family(), Family::Broken);
}

#[test]
fn the_state_directory_may_be_a_link_but_nothing_inside() {
    let fixture = fixture();
    let Fixture { folder, store, dir, .. } = fixture;
    let link = folder.path().join("link");
    symlink(store.path(), &link).expect("a link");
    let store = Store::open(&link).expect("reached through a link");
    store.run(dir.run()).expect("a run");

    let moved = folder.path().join("moved");
    fs::rename(dir.path(), &moved).expect("moved");
    symlink(&moved, dir.path()).expect("a link");
    assert!(matches!(store.run(dir.run()), Err(StoreError::Symlink { .. })));

    fs::remove_file(dir.path()).expect("removed");
    fs::rename(&moved, dir.path()).expect("moved back");
    for name in ["inbox", "logs"] {
        let inner = dir.path().join(name);
        fs::rename(&inner, &moved).expect("moved");
        symlink(&moved, &inner).expect("a link");
        let opened = if name == "inbox" { dir.inbox() } else { dir.logs() };
        assert!(matches!(opened, Err(StoreError::Symlink { .. })), "{name}");
        fs::remove_file(&inner).expect("removed");
        fs::rename(&moved, &inner).expect("moved back");
    }
    fs::remove_file(dir.path().join(LOCK)).expect("removed");
    symlink(&moved, dir.path().join(LOCK)).expect("a link");
    let error = RunLock::acquire(&dir, Duration::ZERO).expect_err("a link");
    assert!(matches!(error, LockError::Store(StoreError::Symlink { .. })), "{error}");
    assert!(!moved.exists(), "nothing was created through it");
}

#[test]
fn no_name_leads_out_of_a_folder() {
    let fixture = fixture();
    let Fixture { dir, .. } = fixture;
    for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b"] {
        assert!(matches!(dir.directory().open(name), Err(StoreError::Refused { .. })), "{name:?}");
    }
}

#[test]
fn replacing_a_file_is_all_or_nothing() {
    let fixture = fixture();
    let Fixture { dir, .. } = fixture;
    let directory: &Directory = dir.directory();
    directory.replace(PLAN, b"one").expect("written");
    directory.replace(PLAN, b"two").expect("written");
    assert_eq!(directory.read(PLAN, 3).expect("read"), b"two");
    assert!(matches!(directory.read(PLAN, 2), Err(StoreError::Refused { .. })));
    assert!(directory.write_new(PLAN, b"three").is_err());
    assert!(!directory.names().expect("names").iter().any(|name| name.contains("tmp")));
}

#[test]
fn a_run_is_created_once() {
    let fixture = fixture();
    let Fixture { store, dir, .. } = fixture;
    assert!(matches!(store.create_run(dir.run()), Err(StoreError::RunExists { .. })));
    let missing = store.run(&run_id("20261122T023000-none")).expect_err("no such run");
    assert_eq!(missing.family(), Family::NotFound);
}

// Locks.

#[test]
fn one_process_holds_a_run_and_others_are_told_who() {
    let fixture = fixture();
    let Fixture { dir, lock, .. } = fixture;
    let error = RunLock::acquire(&dir, Duration::ZERO).expect_err("held");
    assert_eq!(error.family(), Family::Busy);
    let LockError::Busy(busy) = error else { panic!("{error}") };
    let holder = busy.holder.expect("it signed");
    assert_eq!((holder.pid, holder.user), (std::process::id(), identity::current_user()));
    assert_eq!(
        lock::is_held(&dir).expect("readable").expect("held").holder.map(|holder| holder.pid),
        Some(holder.pid)
    );
    // No child keeps the lock for us.
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat runs");
    drop(lock);
    assert_eq!(lock::is_held(&dir).expect("readable"), None);
    RunLock::acquire(&dir, Duration::ZERO).expect("free");
    drop(child.stdin.take());
    child.wait().expect("cat ends");
}

#[test]
fn a_lock_ends_with_its_process_however_that_ends() {
    let fixture = fixture();
    let Fixture { dir, lock, .. } = fixture;
    drop(lock);
    let mut other = Command::new("flock")
        .arg("--no-fork")
        .arg(dir.path().join(LOCK))
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock runs");
    let mut line = String::new();
    BufReader::new(other.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "held\n");
    assert!(matches!(RunLock::acquire(&dir, Duration::from_millis(30)), Err(LockError::Busy(_))));
    assert!(lock::is_held(&dir).expect("readable").is_some());
    other.kill().expect("killed");
    other.wait().expect("ended");
    RunLock::acquire(&dir, Duration::ZERO).expect("free at once");
}

#[test]
fn who_waits_for_a_lock_gets_it_when_it_is_free() {
    let fixture = fixture();
    let Fixture { dir, lock, .. } = fixture;
    let waiting = std::thread::spawn(move || RunLock::acquire(&dir, Duration::from_secs(60)).map(drop));
    drop(lock);
    waiting.join().expect("no panic").expect("the lock");
}

#[test]
fn the_lock_of_a_deleted_run_is_worth_nothing() {
    let fixture = fixture();
    let Fixture { dir, lock, .. } = fixture;
    drop(lock);
    fs::remove_file(dir.path().join(LOCK)).expect("removed");
    fs::remove_dir_all(dir.path()).expect("removed");
    assert_eq!(RunLock::acquire(&dir, Duration::ZERO).expect_err("gone").family(), Family::NotFound);
}

// The inbox.

fn answer(word: &str) -> AnswerFile {
    AnswerFile {
        run: run_id(RUN),
        step: "go".parse().expect("a step id"),
        nonce: "n1".into(),
        digest: "d".repeat(64),
        word: word.into(),
        reason: Some("because".into()),
        fields: IndexMap::from([("ticket".to_owned(), "OPS-1".into())]),
        items: vec![1, 2],
        env: IndexMap::new(),
        outputs: IndexMap::new(),
        evidence: Vec::new(),
        via: Via::Command,
        at: at(0),
        pid: std::process::id(),
        signature: None,
    }
}

#[test]
fn requests_arrive_in_order_with_their_owner() {
    let fixture = fixture();
    let Fixture { dir, .. } = fixture;
    let first = Request::Answer(answer("approve"));
    let second = Request::Note(NoteFile { run: run_id(RUN), text: "hello".into(), at: at(1), pid: 7 });
    let names = [inbox::put(&dir, &first).expect("put"), inbox::put(&dir, &second).expect("put")];
    let pending = inbox::pending(&dir, &HashSet::new()).expect("readable");
    assert_eq!(pending.iter().map(|received| &received.file).collect::<Vec<_>>(), [&names[0], &names[1]]);
    assert_eq!((pending[0].content.as_ref(), pending[1].content.as_ref()), (Ok(&first), Ok(&second)));
    assert_eq!(pending[0].owner, identity::current_user());
    let path = dir.path().join("inbox").join(names[0].as_str());
    assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o7777, 0o440);

    let handled = HashSet::from([names[0].as_str().to_owned()]);
    assert_eq!(inbox::pending(&dir, &handled).expect("readable").len(), 1);
    let verdict = Verdict { accepted: false, exit_code: 5, message: "already decided".into() };
    assert_eq!(inbox::verdict(&dir, &names[1]).expect("readable"), None);
    inbox::write_verdict(&dir, &names[1], &verdict).expect("written");
    assert_eq!(inbox::verdict(&dir, &names[1]).expect("readable"), Some(verdict));
    assert_eq!(inbox::pending(&dir, &handled).expect("readable").len(), 0);
}

#[test]
fn a_file_that_cannot_be_trusted_is_no_answer() {
    let fixture = fixture();
    let Fixture { folder, dir, .. } = fixture;
    let elsewhere = folder.path().join("elsewhere.json");
    let text = serde_json::to_string(&Request::Answer(answer("approve"))).expect("text");
    let foreign = text.replace(RUN, "20261122T023000-aaaa");
    fs::write(&elsewhere, &text).expect("written");
    let place = |name: &str| dir.path().join("inbox").join(name);
    symlink(&elsewhere, place("1.json")).expect("a link");
    fs::hard_link(&elsewhere, place("2.json")).expect("another name");
    fs::write(place("3.json"), vec![b' '; (1 << 20) + 1]).expect("written");
    fs::write(place("4.json"), "{\"kind\":\"answer\"").expect("written");
    fs::write(place("5.json"), foreign).expect("written");
    fs::create_dir(place("6.json")).expect("a folder");
    fs::write(place(".7.json.tmp"), &text).expect("written");
    fs::write(place("note.json"), &text).expect("written");
    let pending = inbox::pending(&dir, &HashSet::new()).expect("readable");
    let reasons: Vec<(&str, &str)> = pending
        .iter()
        .map(|received| (received.file.as_str(), received.content.as_ref().expect_err("refused").as_str()))
        .collect();
    let expected = [
        ("1.json", "symbolic link"),
        ("2.json", "more than one name"),
        ("3.json", "larger"),
        ("4.json", "not understood"),
        ("5.json", "meant for run"),
        ("6.json", "not a regular file"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for ((name, reason), (expected_name, part)) in reasons.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        assert!(reason.contains(part), "{name}: {reason}");
    }
}

#[test]
fn an_answer_is_not_withdrawn_while_it_is_judged() {
    let fixture = fixture();
    let Fixture { dir, .. } = fixture;
    let file = inbox::put(&dir, &Request::Answer(answer("approve"))).expect("put");
    let held = inbox::pending(&dir, &HashSet::new()).expect("readable");
    assert!(!inbox::withdraw(&dir, &file, || true).expect("held"));
    drop(held);
    assert!(!inbox::withdraw(&dir, &file, || false).expect("taken"));
    assert!(inbox::withdraw(&dir, &file, || true).expect("withdrawn"));
    assert_eq!(inbox::pending(&dir, &HashSet::new()).expect("readable").len(), 0);
}

#[test]
fn only_our_names_are_names() {
    for bad in ["", ".json", "../1.json", "1.verdict.json", "x.json", "1/2.json", "1.json\n"] {
        assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn an_answer_wakes_the_watcher() {
    let fixture = fixture();
    let Fixture { dir, .. } = fixture;
    let mut watch = Watch::new(&dir);
    assert!(watch.is_notified());
    let putting = std::thread::spawn({
        let dir = dir.clone();
        move || inbox::put(&dir, &Request::Answer(answer("approve")))
    });
    watch.changed().await;
    putting.join().expect("no panic").expect("put");
    assert_eq!(inbox::pending(&dir, &HashSet::new()).expect("readable").len(), 1);
}

#[tokio::test]
async fn a_new_line_wakes_who_follows_the_journal() {
    let fixture = fixture();
    let Fixture { dir, .. } = fixture;
    let (mut writer, _) = Writer::create(&dir, at(0), &[created("deploy")]).expect("a journal");
    let replay = journal::read(&dir).expect("a journal");
    let mut watch = Watch::journal(&dir);
    let mut follower = journal::Follower::after(&dir, &replay);
    let writing = std::thread::spawn(move || writer.append(at(1), &[note("new")]).map(drop));
    let mut seen = Vec::new();
    while seen.is_empty() {
        watch.changed().await;
        seen = follower.read_new().expect("readable");
    }
    writing.join().expect("no panic").expect("recorded");
    assert_eq!(seen[0].kind_name(), "note");
}

// The index, and which run is meant.

#[test]
fn ten_thousand_runs_are_listed_from_the_index_and_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let runs = folder.path().join("runs");
    let mut lines = String::new();
    for number in 0..10_000 {
        let id = format!("20251122T{:02}{:02}{:02}-aaaa", number / 3600, number / 60 % 60, number % 60);
        fs::DirBuilder::new().mode(0o700).create(runs.join(&id)).expect("a folder");
        let name = if number == 77 { "db/rare" } else { "deploy" };
        let line = serde_json::json!({
            "path": name, "file": format!("/p/runbooks/{name}.yaml"), "outcome": "succeeded", "started_at": "2025-11-22T00:00:00.000Z",
            "finished_at": null, "user": "ana", "waiting_for": [],
        });
        // In the order in which lines are written.
        lines.push_str(&format!("{{\"run\":\"{id}\",\"runbook\":\"{name}\",{}\n", &line.to_string()[1..]));
    }
    let index = folder.path().join("index.jsonl");
    fs::write(&index, &lines).expect("written");
    assert_eq!(list(&store, &Filter::default()).len(), 10_000);
    assert_eq!(resolve(&store, "rare").expect("a run").as_str(), "20251122T000117-aaaa");
    // One more run is one more line.
    let dir = add_run(&store, "20261122T000000-bbbb", 0, &[created("deploy"), finished()]);
    let replay = journal::read(&dir).expect("a journal");
    let summary = Summary { path: "deploy".into(), ..summarize(&replay, false).expect("a summary") };
    index::record(&store, &summary).expect("recorded");
    let grown = fs::read_to_string(&index).expect("there");
    assert_eq!(grown.strip_prefix(&lines).expect("only appended").lines().count(), 1);
    let latest = Filter { limit: Some(1), ..Filter::default() };
    assert_eq!(list(&store, &latest), [("20261122T000000-bbbb".to_owned(), Standing::Succeeded)]);
    // Without an index only what has a journal is a run.
    fs::remove_file(&index).expect("removed");
    assert_eq!(list(&store, &Filter::default()).len(), 1);
    assert_eq!(fs::read_to_string(&index).expect("rebuilt").lines().count(), 1);
}

#[test]
fn an_unfinished_run_is_asked_where_it_stands() {
    let fixture = fixture();
    let Fixture { store, dir, lock, .. } = fixture;
    let gate = |kind: EventKind| [created("deploy"), kind];
    let opened = EventKind::GateOpened {
        step: "go".parse().expect("a step id"),
        gate: Gate::Approve,
        prompt: "Go?".into(),
        from: vec!["ana".into()],
        quorum: 1,
        expires_at: None,
        digest: "d".into(),
        nonce: "n".into(),
        details: None,
        words: Vec::new(),
        checklist: Vec::new(),
        survivors: Vec::new(),
        options: IndexMap::new(),
        fields: IndexMap::new(),
    };
    let (mut writer, _) = Writer::create(&dir, at(0), &gate(opened)).expect("a journal");
    let all = Filter::default();
    let standing = || list(&store, &all)[0].1;
    assert_eq!(standing(), Standing::Waiting, "live, at a gate");
    drop(lock);
    assert_eq!(standing(), Standing::Interrupted, "its process is gone");
    assert_eq!(standing(), Standing::Interrupted, "now from the index");
    let lock = RunLock::acquire(&dir, Duration::ZERO).expect("free");
    let started = EventKind::StepStarted {
        step: "work".parse().expect("a step id"),
        attempt: 1,
        command: None,
        digest: None,
        boot: None,
        slot: None,
        why: None,
        until: None,
    };
    writer.append(at(1), &[started]).expect("recorded");
    assert_eq!(standing(), Standing::Running);
    let parked = EventKind::RunParked {
        waiting_for: vec![WaitingFor { step: "go".parse().expect("a step id"), gate: Gate::Approve }],
    };
    writer.append(at(2), &[parked]).expect("recorded");
    drop(lock);
    let listed = index::list(&store, &all).expect("a list");
    assert_eq!((listed[0].outcome, listed[0].waiting_for[0].prompt.as_str()), (Standing::Waiting, "Go?"));
    let text = serde_json::to_string(&listed[0]).expect("text");
    assert!(!text.contains("tail"), "{text}");
    writer.append(at(3), &[finished()]).expect("recorded");
    assert_eq!(standing(), Standing::Succeeded);
    let failed = Filter { outcomes: vec![Standing::Failed], ..Filter::default() };
    assert_eq!(list(&store, &failed).len(), 0);
}

#[test]
fn a_damaged_index_is_no_obstacle_and_a_long_one_is_written_anew() {
    let fixture = fixture();
    let Fixture { store, dir, .. } = fixture;
    two_segments(&dir);
    let index = store.path().join("index.jsonl");
    fs::write(&index, "not json\n{\"run\":\"20261122T023000-k3f9\"}\n{\"run\":\"2026").expect("written");
    assert_eq!(list(&store, &Filter::default()), [(RUN.to_owned(), Standing::Succeeded)]);
    let text = fs::read_to_string(&index).expect("there");
    let line = text.lines().last().expect("a line appended after the cut one").to_owned() + "\n";
    fs::write(&index, line.repeat(1_000)).expect("written");
    assert_eq!(list(&store, &Filter::default()).len(), 1);
    assert_eq!(fs::read_to_string(&index).expect("there"), line);
    // A run that can't be read isn't overlooked.
    fs::remove_file(&index).expect("removed");
    fs::write(dir.path().join("journal-000001.jsonl"), "damage\n").expect("written");
    assert_eq!(list(&store, &Filter::default()), [(RUN.to_owned(), Standing::Interrupted)]);
}

/// By id, or by a name that was recorded: where no project knows it.
fn resolve(store: &Store, text: &str) -> Result<RunId, ResolveError> {
    let run = match store.run_of_id(text)? {
        None => store.latest_run(&Runbook::Name(text.to_owned()))?,
        known => known,
    };
    run.ok_or_else(|| ResolveError::Unknown { text: text.to_owned() })
}

#[test]
fn runs_are_named_by_id_beginning_runbook_and_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    assert!(matches!(resolve(&store, "last"), Err(ResolveError::NoRuns)));
    let end = finished();
    add_run(&store, "20261120T000000-aaaa", 0, &[created("zetra/deploy"), end.clone()]);
    add_run(&store, "20261121T000000-aaaa", 1, &[created("backup"), end.clone()]);
    // Two of one second: not the ids, the journals tell which is later.
    add_run(&store, "20261122T000000-zzzz", 2, &[created("zetra/deploy"), end.clone()]);
    add_run(&store, "20261122T000000-aaaa", 3, &[created("zetra/deploy"), end]);
    store.create_run(&run_id("20261123T000000-aaaa")).expect("a creation that was cut short");
    for (text, expected) in [
        ("20261120T000000-aaaa", "20261120T000000-aaaa"),
        ("20261121", "20261121T000000-aaaa"),
        ("20261122T000000-z", "20261122T000000-zzzz"),
        ("backup", "20261121T000000-aaaa"),
        ("deploy", "20261122T000000-aaaa"),
        ("zetra/deploy", "20261122T000000-aaaa"),
        ("last", "20261122T000000-aaaa"),
    ] {
        assert_eq!(
            resolve(&store, text).map_err(|error| error.to_string()).as_ref().map(|run| run.as_str()),
            Ok(expected)
        );
    }
    for text in ["", "20261123T000000-aaaa", "20261123", "20251120T000000-aaaa", "ploy", "../runs", "nothing"]
    {
        let error = resolve(&store, text).expect_err(text);
        assert!(matches!(error, ResolveError::Unknown { .. }), "{text}: {error}");
        assert_eq!(error.family(), Family::NotFound);
    }
    let Err(ResolveError::Ambiguous { candidates, count, .. }) = resolve(&store, "20261122") else {
        panic!("ambiguous")
    };
    assert_eq!((count, candidates[0].as_str()), (2, "20261122T000000-zzzz"));
}

// Verifying.

/// A run with a log, an artifact and an answer, all as recorded.
fn recorded_run() -> Fixture {
    let fixture = fixture();
    let dir = &fixture.dir;
    let step: runbook_core::id::StepId = "go".parse().expect("a step id");
    dir.directory().write_new(PLAN, b"the plan").expect("written");
    dir.logs().expect("logs").write_new("go.1.log", b"output").expect("written");
    let artifacts = dir.artifacts().expect("artifacts").create_subdirectory("go").expect("a folder");
    artifacts.create_subdirectory("out").expect("a folder").write_new("dump", b"data").expect("written");
    let file = inbox::put(dir, &Request::Answer(answer("approve"))).expect("put");
    let mut run = created("deploy");
    if let EventKind::RunCreated { plan_digest, .. } = &mut run {
        *plan_digest = hex(b"the plan");
    }
    let kinds = [
        run,
        EventKind::StepStarted {
            step: step.clone(),
            attempt: 1,
            command: None,
            digest: None,
            boot: None,
            slot: None,
            why: None,
            until: None,
        },
        EventKind::GateAnswered {
            step: step.clone(),
            answer: "approve".into(),
            by: identity::current_user(),
            user: None,
            via: Via::Command,
            identity: Identity::User,
            reason: None,
            fields: IndexMap::new(),
            evidence: Vec::new(),
            items: Vec::new(),
            outputs: IndexMap::new(),
            env: IndexMap::new(),
            file: Some(file.as_str().to_owned()),
        },
        EventKind::Artifact { step: step.clone(), path: "out/dump".into(), size: 4, sha256: hex(b"data") },
        EventKind::StepFinished {
            step,
            attempt: 1,
            outcome: Outcome::Succeeded,
            reason: None,
            exit_code: Some(0),
            signal: None,
            duration_ms: 1,
            outputs: IndexMap::new(),
            log_sha256: Some(hex(b"output")),
            dropped_bytes: 0,
            recovered: false,
            by: Vec::new(),
            choice: None,
            fields: IndexMap::new(),
            values: IndexMap::new(),
            warnings: Vec::new(),
        },
        finished(),
    ];
    let (writer, _) = Writer::create(dir, at(0), &kinds).expect("a journal");
    writer.seal(at(1)).expect("a seal");
    fixture
}

fn problems(dir: &RunDir) -> Vec<Problem> {
    verify(dir, |text| Ok(hex(text.as_bytes()))).expect("checked")
}

#[test]
fn each_change_to_what_was_recorded_is_found() {
    assert_eq!(problems(&recorded_run().dir), []);
    type Change = fn(&std::path::Path);
    let answer_of = |run: &std::path::Path| {
        let mut entries = fs::read_dir(run.join("inbox")).expect("an inbox");
        entries.next().expect("an answer").expect("an answer").path()
    };
    let changes: [(&str, &str, Change); 9] = [
        (PLAN, "not the plan", |run| fs::write(run.join(PLAN), "another").expect("written")),
        (PLAN, "can't be checked", |run| fs::remove_file(run.join(PLAN)).expect("removed")),
        ("logs/go.1.log", "content", |run| fs::write(run.join("logs/go.1.log"), "outpuT").expect("written")),
        ("logs/go.1.log", "missing", |run| fs::remove_file(run.join("logs/go.1.log")).expect("removed")),
        ("logs/go.1.log", "symbolic link", |run| {
            fs::rename(run.join("logs/go.1.log"), run.join("moved")).expect("moved");
            symlink(run.join("moved"), run.join("logs/go.1.log")).expect("a link");
        }),
        ("logs/go.2.log", "does not know", |run| {
            fs::write(run.join("logs/go.2.log"), "lost").expect("written");
        }),
        ("artifacts/go/out/dump", "content", |run| {
            fs::write(run.join("artifacts/go/out/dump"), "Data").expect("written");
        }),
        ("artifacts/go/out/dump", "missing", |run| {
            fs::remove_dir_all(run.join("artifacts")).expect("removed");
        }),
        ("journal-000001.jsonl", "hash", |run| {
            let path = run.join("journal-000001.jsonl");
            let text = fs::read_to_string(&path).expect("text").replace("\"succeeded\"", "\"cancelled\"");
            fs::write(path, text).expect("written");
        }),
    ];
    for (file, what, change) in changes {
        let fixture = recorded_run();
        change(fixture.dir.path());
        let found = problems(&fixture.dir);
        assert!(
            found.len() == 1 && found[0].file == file && found[0].what.contains(what),
            "{file}: {found:?}"
        );
    }
    for (what, changed) in [("missing", None), ("says `reject`", Some("\"word\":\"reject\""))] {
        let fixture = recorded_run();
        let path = answer_of(fixture.dir.path());
        let text = fs::read_to_string(&path).expect("text");
        fs::remove_file(&path).expect("removed");
        if let Some(changed) = changed {
            fs::write(&path, text.replace("\"word\":\"approve\"", changed)).expect("written");
        }
        let found = problems(&fixture.dir);
        assert!(
            found.len() == 1 && found[0].file.starts_with("inbox/") && found[0].what.contains(what),
            "{found:?}"
        );
    }
}

#[test]
fn an_answer_of_another_owner_is_found() {
    let fixture = recorded_run();
    let path = fs::read_dir(fixture.dir.path().join("inbox"))
        .expect("an inbox")
        .next()
        .expect("one")
        .expect("one")
        .path();
    // Only root can give files away; for others the record is of another user.
    if std::os::unix::fs::chown(&path, Some(54_321), None).is_err() {
        return;
    }
    let found = problems(&fixture.dir);
    assert!(found.len() == 1 && found[0].what.contains("belongs to 54321"), "{found:?}");
}
