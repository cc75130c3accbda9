//! Logs, whole and torn, within their limit and over it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn write(path: &Path, limit: u64, pieces: &[(Stream, Vec<u8>)]) -> LogWriter {
    let mut log = LogWriter::new(path.to_path_buf(), 0o600, limit);
    for (stream, bytes) in pieces {
        log.append(*stream, bytes);
    }
    log
}

/// What a limit keeps of an output: the stream of each byte, and how many bytes are missing in the middle.
fn expected(limit: usize, pieces: &[(Stream, Vec<u8>)]) -> (Vec<(Stream, u8)>, Dropped) {
    let all: Vec<(Stream, u8)> =
        pieces.iter().flat_map(|(stream, bytes)| bytes.iter().map(|byte| (*stream, *byte))).collect();
    let (head, tail) = (limit - limit / 2, limit / 2);
    if all.len() <= limit {
        return (all, Dropped::default());
    }
    let missing = &all[head..all.len() - tail];
    let count = |wanted| missing.iter().filter(|(stream, _)| *stream == wanted).count() as u64;
    let dropped = Dropped { stdout: count(Stream::Stdout), stderr: count(Stream::Stderr) };
    ([&all[..head], &all[all.len() - tail..]].concat(), dropped)
}

/// What a log holds, byte by byte.
fn recorded(path: &Path) -> (Vec<(Stream, u8)>, Dropped) {
    let (mut bytes, mut dropped) = (Vec::new(), Dropped::default());
    for frame in CaptureLog::open(path).unwrap().frames().unwrap() {
        match frame.unwrap() {
            Frame::Bytes { stream, bytes: content } => {
                bytes.extend(content.iter().map(|byte| (stream, *byte)));
            }
            Frame::Dropped(count) => {
                assert_eq!(dropped.total(), 0, "one count a log");
                dropped = count;
            }
            Frame::Lost(lost) => panic!("nothing failed, and {lost:?} is missing"),
        }
    }
    (bytes, dropped)
}

fn pieces() -> impl Strategy<Value = Vec<(Stream, Vec<u8>)>> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    proptest::collection::vec((stream, proptest::collection::vec(any::<u8>(), 1..40)), 1..60)
}

proptest! {
    #[test]
    fn a_finished_log_keeps_exactly_head_and_tail(pieces in pieces(), limit in 0_u64..400) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.1.log");
        let (summary, dropped, failure) = write(&path, limit, &pieces).finish(b"x=1\n");
        prop_assert!(failure.is_none(), "{failure:?}");
        let (mut bytes, count) = expected(usize::try_from(limit).unwrap(), &pieces);
        bytes.extend(b"x=1\n".map(|byte| (Stream::Outputs, byte)));
        prop_assert_eq!(recorded(&path), (bytes, count));
        prop_assert_eq!(dropped, count);
        let summary = summary.unwrap();
        prop_assert_eq!(CaptureLog::open(&path).unwrap().sha256().unwrap(), (summary.sha256, summary.length));
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_log_whose_keeper_was_killed_has_head_and_tail_and_misses_nothing_uncounted(pieces in pieces(), limit in 0_u64..400) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.1.log");
        // Dropped without its end, as a killed process leaves it.
        drop(write(&path, limit, &pieces));
        let (bytes, dropped) = recorded(&path);
        let all: Vec<_> = pieces.iter().flat_map(|(stream, bytes)| bytes.iter().map(|byte| (*stream, *byte))).collect();
        prop_assert_eq!(bytes.len() as u64 + dropped.total(), all.len() as u64);
        let limit = usize::try_from(limit).unwrap();
        let head = (limit - limit / 2).min(all.len());
        let tail = (limit / 2).min(all.len() - head);
        prop_assert_eq!(&bytes[..head], &all[..head]);
        prop_assert!(bytes.ends_with(&all[all.len() - tail..]));
    }

    #[test]
    fn any_bytes_are_a_log_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, &bytes).unwrap();
        let content: usize = CaptureLog::open(&path).unwrap().frames().unwrap()
            .map_while(Result::ok)
            .map(|frame| match frame { Frame::Bytes { bytes, .. } => bytes.len(), Frame::Dropped(_) | Frame::Lost(_) => 16 })
            .sum();
        prop_assert!(content <= bytes.len());
    }
}

#[test]
fn a_frame_that_is_cut_short_is_given_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    drop(write(&path, 100, &[(Stream::Stdout, b"whole".to_vec()), (Stream::Stdout, b"torn".to_vec())]));
    let whole = fs::read(&path).unwrap();
    for (length, text) in
        [(whole.len() - 2, "wholeto"), (whole.len() - 4, "whole"), (whole.len() - 6, "whole"), (3, "")]
    {
        fs::write(&path, &whole[..length]).unwrap();
        let read = CaptureLog::open(&path).unwrap().read_stream(Stream::Stdout, 100).unwrap();
        assert_eq!(String::from_utf8(read.bytes).unwrap(), text, "{length} bytes");
    }
}

#[test]
fn a_follower_sees_each_frame_once_and_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = LogWriter::new(path.clone(), 0o600, 1000);
    log.append(Stream::Stdout, b"one");
    let mut follower = CaptureLog::open(&path).unwrap().follow().unwrap();
    let frame = |stream, text: &str| Frame::Bytes { stream, bytes: text.as_bytes().to_vec() };
    assert_eq!(follower.read_new().unwrap(), [frame(Stream::Stdout, "one")]);
    assert_eq!(follower.read_new().unwrap(), []);
    log.append(Stream::Stderr, b"two");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(follower.read_new().unwrap(), []);
    fs::write(&path, &whole).unwrap();
    assert_eq!(follower.read_new().unwrap(), [frame(Stream::Stderr, "two")]);
}

#[test]
fn the_last_lines_of_both_streams_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let pieces = [
        (Stream::Stdout, "a\nb"),
        (Stream::Stderr, "e1\n"),
        (Stream::Stdout, "c\n\n"),
        (Stream::Stderr, "e2"),
    ];
    drop(write(&path, 1000, &pieces.map(|(stream, text)| (stream, text.as_bytes().to_vec()))));
    let all = [
        (Stream::Stdout, "a"),
        (Stream::Stderr, "e1"),
        (Stream::Stdout, "bc"),
        (Stream::Stdout, ""),
        (Stream::Stderr, "e2"),
    ]
    .map(|(stream, text)| (stream, text.as_bytes().to_vec()));
    for count in 0..=6 {
        let lines = CaptureLog::open(&path).unwrap().tail_lines(count).unwrap();
        assert_eq!(lines, all[all.len().saturating_sub(count)..], "{count} lines");
    }
}

#[test]
fn a_log_is_private_and_never_written_through_a_link() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path().join("log"), folder.path().join("target"));
    symlink(&target, &path).unwrap();
    let (summary, _, failure) = write(&path, 10, &[(Stream::Stdout, b"x".to_vec())]).finish(b"");
    assert!(summary.is_none() && failure.is_some() && !target.exists());
    fs::write(&target, "").unwrap();
    assert!(CaptureLog::open(&path).is_err());
    for (name, mode) in [("private", 0o600), ("shared", 0o660)] {
        let path = folder.path().join(name);
        let mut log = LogWriter::new(path.clone(), mode, 10);
        log.append(Stream::Stdout, b"x");
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, mode);
    }
}
