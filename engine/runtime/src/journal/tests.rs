//! The journal on real files: written, cut, changed, full.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use runbook_core::event::EventKind;

use super::{Follower, JournalError, Replay, Writer, read};
use crate::store::fixture::{
    RUN, at, created, finished, fixture, handed_over, in_a_child, note, run_id, two_segments,
};
use crate::store::{Family, RunDir, Store, StoreError, segment_name};

fn segment(dir: &RunDir, number: u32) -> PathBuf {
    dir.path().join(segment_name(number))
}

fn kinds(replay: &Replay) -> Vec<&str> {
    replay.events.iter().map(super::RawEvent::kind_name).collect()
}

#[test]
fn what_was_written_is_read_over_all_segments() {
    let fixture = fixture();
    two_segments(&fixture.dir);
    let replay = read(&fixture.dir).expect("a journal");
    let expected =
        ["journal_opened", "run_created", "note", "note", "journal_opened", "note", "run_finished", "sealed"];
    assert_eq!(kinds(&replay), expected);
    assert_eq!((replay.last_seq, replay.segment, replay.sealed, replay.torn.len()), (8, 2, true, 0));
    let typed = replay.typed().expect("known events");
    assert_eq!(typed[3].kind, note("two \u{2028} \"quoted\""));
    assert_eq!(typed[7].kind, EventKind::Sealed { head: replay.events[6].hash().to_owned() });
    assert!(typed.iter().map(|event| event.seq).eq(1..=8));
    assert_eq!(fs::metadata(segment(&fixture.dir, 1)).expect("a file").permissions().mode() & 0o7777, 0o600);
}

#[test]
fn the_lines_returned_are_those_in_the_file() {
    let fixture = fixture();
    let (mut writer, mut recorded) =
        Writer::create(&fixture.dir, at(0), &[created("deploy")]).expect("a journal");
    recorded.extend(writer.append(at(1), &[note("one"), note("two")]).expect("recorded"));
    assert_eq!((writer.last_seq(), writer.append(at(2), &[]).expect("nothing to do").len()), (4, 0));
    let (head, seal) = writer.seal(at(3)).expect("a seal");
    recorded.push(seal);
    let text: String = recorded.iter().map(|recorded| format!("{}\n", recorded.line)).collect();
    assert_eq!(fs::read_to_string(segment(&fixture.dir, 1)).expect("a file"), text);
    let replay = read(&fixture.dir).expect("a journal");
    // The seal names the line before it.
    assert_eq!(replay.events[replay.events.len() - 2].hash(), head);
    let events: Vec<_> = recorded.into_iter().map(|recorded| recorded.event).collect();
    assert_eq!(replay.typed().expect("known events"), events);
}

#[test]
fn space_is_set_aside_and_given_back() {
    let fixture = fixture();
    let (mut writer, _) = Writer::create(&fixture.dir, at(0), &[created("deploy")]).expect("a journal");
    let set_aside = |number| {
        let metadata = fs::metadata(segment(&fixture.dir, number)).expect("a file");
        metadata.blocks() * 512 >= metadata.size() + 128 * 1024
    };
    assert!(set_aside(1));
    for _ in 0..40 {
        writer.append(at(1), &[note(&"x".repeat(20_000))]).expect("recorded");
        assert!(set_aside(1));
    }
    writer.seal(at(2)).expect("a seal");
    assert!(!set_aside(1));
}

#[test]
fn a_last_line_cut_anywhere_is_ignored_kept_and_reported() {
    let fixture = fixture();
    let (mut writer, _) = Writer::create(&fixture.dir, at(0), &[created("deploy")]).expect("a journal");
    let before = writer.append(at(1), &[note("kept")]).expect("recorded");
    writer.append(at(2), &[note("cut")]).expect("recorded");
    drop(writer);
    let path = segment(&fixture.dir, 1);
    let whole = fs::read(&path).expect("a file");
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    for (end, zeros) in (last..whole.len()).flat_map(|end| [(end, 0), (end, 4096)]) {
        let mut cut = whole[..end].to_vec();
        cut.resize(end + zeros, 0);
        fs::write(&path, &cut).expect("written");
        let replay = read(&fixture.dir).expect("torn is not corrupt");
        assert_eq!((replay.last_seq, replay.head.as_str()), (3, replay.events[2].hash()), "cut at {end}");
        assert_eq!(replay.events[2].line(), &*before[0].line);
        let torn: Vec<_> = replay.torn.iter().map(|torn| (torn.segment, torn.offset, torn.bytes)).collect();
        let left = (end - last + zeros) as u64;
        let expected = if left == 0 { Vec::new() } else { vec![(1, last as u64, left)] };
        assert_eq!(torn, expected, "cut at {end}");
        assert_eq!(fs::read(&path).expect("a file"), cut, "reading changes nothing");
    }
    // A later segment goes on from the line before, and the tail stays.
    let replay = read(&fixture.dir).expect("a journal");
    let (writer, _) =
        Writer::reopen(&fixture.dir, &replay, at(3), &[note("after")]).expect("another segment");
    drop(writer);
    let replay = read(&fixture.dir).expect("a journal");
    assert_eq!((kinds(&replay).last(), replay.torn.len()), (Some(&"note"), 1));
    assert!(independent_check(fixture.dir.path()));
}

#[test]
fn a_journal_whose_first_line_was_cut_short_is_gone_on_with() {
    let fixture = fixture();
    fs::write(segment(&fixture.dir, 1), "{\"seq\":1,").expect("written");
    let replay = read(&fixture.dir).expect("torn is not corrupt");
    assert_eq!((replay.last_seq, replay.head.as_str(), replay.torn.len()), (0, "0".repeat(64).as_str(), 1));
    Writer::reopen(&fixture.dir, &replay, at(1), &[created("deploy")]).expect("another segment");
    assert_eq!(kinds(&read(&fixture.dir).expect("a journal")), ["journal_opened", "run_created"]);
}

#[test]
fn lines_that_were_never_acknowledged_are_left_out() {
    let fixture = fixture();
    let (mut writer, _) = Writer::create(&fixture.dir, at(0), &[created("deploy")]).expect("a journal");
    let acknowledged = read(&fixture.dir).expect("a journal");
    let mut follower = Follower::after(&fixture.dir, &acknowledged);
    writer.append(at(1), &[note("its flush failed"), note("so did that")]).expect("recorded");
    assert_eq!(follower.read_new().expect("new lines").len(), 2);
    drop(writer);
    Writer::reopen(&fixture.dir, &acknowledged, at(2), &[note("last words")]).expect("another segment");

    let replay = read(&fixture.dir).expect("a journal");
    assert_eq!(kinds(&replay), ["journal_opened", "run_created", "journal_opened", "note"]);
    assert_eq!((replay.last_seq, replay.torn.len(), replay.torn[0].segment), (4, 1, 1));
    let length = fs::metadata(segment(&fixture.dir, 1)).expect("a file").len();
    assert_eq!(replay.torn[0].offset + replay.torn[0].bytes, length);
    let seen = follower.read_new().expect("it starts over");
    assert_eq!(seen.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 4]);
    assert!(independent_check(fixture.dir.path()));
}

proptest! {
    #[test]
    fn any_changed_byte_is_noticed(position in any::<prop::sample::Index>(), flip in 1..=255_u8, number in 1..=2_u32) {
        let fixture = fixture();
        two_segments(&fixture.dir);
        let path = segment(&fixture.dir, number);
        let mut bytes = fs::read(&path).expect("a file");
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        fs::write(&path, &bytes).expect("written");
        let is_last_newline = number == 2 && position == bytes.len() - 1;
        match read(&fixture.dir) {
            Err(error @ JournalError::Damaged { .. }) => prop_assert_eq!(error.family(), Family::Broken),
            // Without its newline the seal is a line cut short.
            Ok(replay) => prop_assert!(is_last_newline && !replay.sealed && replay.torn.len() == 1),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn reading_garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let fixture = fixture();
        two_segments(&fixture.dir);
        let path = segment(&fixture.dir, 1);
        let mut bytes = fs::read(&path).expect("a file");
        bytes.truncate(cut.index(bytes.len()));
        bytes.extend(garbage);
        fs::write(&path, &bytes).expect("written");
        prop_assert!(read(&fixture.dir).is_err());
    }
}

#[test]
fn the_first_line_that_is_wrong_is_named_also_where_a_later_one_is_no_text() {
    let fixture = fixture();
    two_segments(&fixture.dir);
    let path = segment(&fixture.dir, 1);
    let whole = fs::read(&path).expect("a file");
    let starts: Vec<usize> = std::iter::once(0)
        .chain(whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1))
        .collect();
    for (changes, expected) in [
        (vec![(2, 0xff)], "line 3: is not UTF-8"),
        (vec![(1, b'#'), (2, 0xff)], "line 2: its hash is not that of its content"),
        (vec![(0, 0xff), (1, b'#')], "line 1: is not UTF-8"),
    ] {
        let mut bytes = whole.clone();
        for (line, byte) in changes {
            bytes[starts[line] + 40] = byte;
        }
        fs::write(&path, &bytes).expect("written");
        let error = read(&fixture.dir).expect_err(expected).to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    // What is no text after the last whole line is a line cut short.
    let path = segment(&fixture.dir, 2);
    let sealed = fs::read(&path).expect("a file");
    let last = sealed[..sealed.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    fs::write(segment(&fixture.dir, 1), &whole).expect("written");
    fs::write(&path, [&sealed[..last], &[0xff, 0xfe, 0]].concat()).expect("written");
    let replay = read(&fixture.dir).expect("torn is not corrupt");
    assert_eq!((replay.last_seq, replay.torn[0].offset, replay.torn[0].bytes), (7, last as u64, 3));
}

#[test]
fn missing_lines_and_segments_are_damage() {
    for victim in ["segment", "line", "order"] {
        let fixture = fixture();
        two_segments(&fixture.dir);
        let path = segment(&fixture.dir, 1);
        let text = fs::read_to_string(&path).expect("a file");
        let mut lines: Vec<&str> = text.lines().collect();
        match victim {
            "segment" => fs::remove_file(&path).expect("removed"),
            "line" => {
                lines.remove(1);
                fs::write(&path, lines.join("\n") + "\n").expect("written");
            }
            _ => {
                lines.swap(2, 3);
                fs::write(&path, lines.join("\n") + "\n").expect("written");
            }
        }
        let error = read(&fixture.dir).expect_err(victim);
        assert!(matches!(error, JournalError::Damaged { .. }), "{victim}: {error}");
    }
}

#[test]
fn the_journal_of_another_run_is_refused() {
    let fixture = fixture();
    two_segments(&fixture.dir);
    let (other, _lock) = fixture.store.create_run(&run_id("20261122T023001-aaaa")).expect("a run");
    fs::copy(segment(&fixture.dir, 1), segment(&other, 1)).expect("copied");
    let error = read(&other).expect_err("another run");
    assert!(error.to_string().contains("another run"), "{error}");
}

#[test]
fn an_unknown_event_can_be_shown_but_not_understood() {
    let fixture = fixture();
    two_segments(&fixture.dir);
    // A newer runbook's line, made by rewriting one and hashing it again.
    let path = segment(&fixture.dir, 2);
    let program = "import hashlib,sys,json\n\
        p=sys.argv[1]; out=[]; prev=None\n\
        for line in open(p,'rb').read().splitlines():\n\
        \x20   line=line.replace(b'\"kind\":\"note\"',b'\"kind\":\"teleported\"')\n\
        \x20   body=line[:line.rindex(b',\"prev\"')]\n\
        \x20   prev=prev or json.loads(line)['prev']\n\
        \x20   if b'\"sealed\"' in body: break\n\
        \x20   body+=b',\"prev\":\"'+prev.encode()+b'\"'\n\
        \x20   prev=hashlib.sha256(body).hexdigest()\n\
        \x20   out.append(body+b',\"hash\":\"'+prev.encode()+b'\"}\\n')\n\
        open(p,'wb').write(b''.join(out))\n";
    assert!(
        Command::new("python3").args(["-c", program]).arg(&path).status().expect("python3 runs").success()
    );
    let replay = read(&fixture.dir).expect("the chain holds");
    assert_eq!(replay.events[5].kind_name(), "teleported");
    assert!(matches!(replay.typed(), Err(JournalError::Newer { seq: 6, .. })));
}

#[test]
fn links_and_other_things_in_place_of_the_journal_are_refused() {
    let fixture = fixture();
    two_segments(&fixture.dir);
    let path = segment(&fixture.dir, 2);
    let elsewhere = fixture.folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).expect("moved");
    symlink(&elsewhere, &path).expect("a link");
    let error = read(&fixture.dir).expect_err("a link");
    assert!(matches!(error, JournalError::Store(StoreError::Symlink { .. })), "{error}");
    assert_eq!(error.family(), Family::Broken);

    fs::remove_file(&path).expect("removed");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    let error = read(&fixture.dir).expect_err("a pipe");
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn a_run_without_a_journal_does_not_exist() {
    let fixture = fixture();
    let error = read(&fixture.dir).expect_err("no journal");
    assert_eq!(error.family(), Family::NotFound);
}

#[test]
fn a_journal_is_created_once() {
    let fixture = fixture();
    two_segments(&fixture.dir);
    assert!(Writer::create(&fixture.dir, at(0), &[]).is_err());
    let replay = read(&fixture.dir).expect("a journal");
    let first = Writer::reopen(&fixture.dir, &replay, at(5), &[]);
    assert!(first.is_ok() && Writer::reopen(&fixture.dir, &replay, at(5), &[]).is_err());
}

#[test]
fn a_follower_sees_each_complete_line_once() {
    let fixture = fixture();
    let mut follower = Follower::from_start(&fixture.dir);
    assert_eq!(follower.read_new().expect("nothing yet").len(), 0);
    let (mut writer, _) = Writer::create(&fixture.dir, at(0), &[created("deploy")]).expect("a journal");
    assert_eq!(follower.read_new().expect("new lines").len(), 2);
    writer.append(at(1), &[note(&"long ".repeat(50_000))]).expect("recorded");
    drop(writer);
    let path = segment(&fixture.dir, 1);
    let whole = fs::read(&path).expect("a file");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(whole.len() as u64 - 10).expect("cut");
    assert_eq!(follower.read_new().expect("not a whole line").len(), 0);
    file.write_all_at(&whole, 0).expect("whole again");
    assert_eq!(follower.read_new().expect("new lines").len(), 1);

    let replay = read(&fixture.dir).expect("a journal");
    let (writer, _) = Writer::reopen(&fixture.dir, &replay, at(2), &[finished()]).expect("another segment");
    writer.seal(at(3)).expect("a seal");
    let seen: Vec<_> = follower.read_new().expect("new lines").iter().map(|event| event.seq).collect();
    assert_eq!((seen, follower.read_new().expect("nothing more").len()), (vec![4, 5, 6], 0));
    let mut late = Follower::after(&fixture.dir, &replay);
    assert_eq!(late.read_new().expect("new lines").len(), 3);
}

/// Whether a program that knows nothing of ours finds the journal in order.
fn independent_check(run: &Path) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/helpers/verify_journal.py");
    Command::new("python3").arg(script).arg(run).output().expect("python3 runs").status.success()
}

#[test]
fn an_independent_program_agrees() {
    let fixture = fixture();
    assert!(!independent_check(fixture.dir.path()), "no journal");
    two_segments(&fixture.dir);
    assert!(independent_check(fixture.dir.path()));
    let path = segment(&fixture.dir, 1);
    let mut bytes = fs::read(&path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    assert!(!independent_check(fixture.dir.path()));
}

#[test]
fn a_failed_write_is_final_for_its_file_and_last_words_go_into_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let prepare = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    in_a_child(prepare, "journal::tests::child_meets_a_file_size_limit", folder.path());
    let store = Store::open(folder.path()).expect("a store");
    let dir = store.run(&run_id(RUN)).expect("a run");
    let replay = read(&dir).expect("torn, not damaged");
    assert_eq!((replay.torn.len(), replay.torn[0].segment, replay.segment), (1, 1, 2));
    let typed = replay.typed().expect("known events");
    assert_eq!(typed.last().map(|event| &event.kind), Some(&note("last words")));
    assert!(independent_check(dir.path()));
}

#[test]
#[ignore = "run in a process of its own by a_failed_write_is_final_for_its_file_and_last_words_go_into_another"]
fn child_meets_a_file_size_limit() {
    let store = Store::open(&handed_over()).expect("a store");
    let (dir, _lock) = store.create_run(&run_id(RUN)).expect("a run");
    let (mut writer, _) = Writer::create(&dir, at(0), &[created("deploy")]).expect("a journal");
    let error =
        (0..100).find_map(|_| writer.append(at(1), &[note(&"x".repeat(300))]).err()).expect("a limit");
    assert!(matches!(error, JournalError::Unwritable { action: "write", .. }), "{error}");
    let left = fs::read(segment(&dir, 1)).expect("a file");
    let error = writer.append(at(2), &[note("no")]).expect_err("closed");
    assert!(matches!(error, JournalError::Closed { .. }), "{error}");
    let words = writer.last_words(at(3), &[note("last words")]).expect("another segment");
    assert_eq!(words.len(), 2);
    assert!(writer.append(at(4), &[note("no")]).is_err());
    drop(writer);
    assert_eq!(fs::read(segment(&dir, 1)).expect("a file"), left, "nothing more went into it");
}

#[test]
fn on_a_full_disk_the_last_words_still_fit() {
    // Needs a file system of its own; where none can be mounted, the limit of a
    // file's size (above) stands in.
    let can_mount = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let prepare = "exec unshare -rm sh -c 'mount -t tmpfs -o size=600k,mode=0700 none \"$RUNBOOK_TEST_STATE\" && exec \"$@\"' sh \"$@\"";
    in_a_child(prepare, "journal::tests::child_meets_a_full_disk", folder.path());
}

#[test]
#[ignore = "run in a process of its own by on_a_full_disk_the_last_words_still_fit"]
fn child_meets_a_full_disk() {
    let store = Store::open(&handed_over()).expect("a store");
    let (dir, _lock) = store.create_run(&run_id(RUN)).expect("a run");
    let (mut writer, _) = Writer::create(&dir, at(0), &[created("deploy")]).expect("a journal");
    let error =
        (0..100).find_map(|_| writer.append(at(1), &[note(&"x".repeat(20_000))]).err()).expect("a full disk");
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(matches!(writer.append(at(2), &[note("no")]), Err(JournalError::Closed { .. })));
    fs::write(dir.path().join("filler"), vec![0; 1 << 20]).expect_err("the disk is full");
    writer.last_words(at(3), &[note(&"y".repeat(100_000))]).expect("room was set aside");
    writer.seal(at(4)).expect("a seal");
    let replay = read(&dir).expect("a journal");
    assert!(replay.sealed && replay.torn.is_empty() && replay.segment == 1);
}
