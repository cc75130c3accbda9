//! The lessons in `examples/`: each is run as its `expected.txt` says, and shows what stands there.
//!
//! A line `$ command` is a shell's; what follows it is what it wrote and `[exit status]` where that isn't 0, with ids of runs and times
//! named instead of shown. `EXPECT=write cargo test --test cli examples::` writes what there is now.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::helpers::TestEnvironment;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folders that are lessons.
fn lessons() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("examples")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("runbooks").is_dir());
    folders.sort();
    folders
}

/// What a shell in a copy of the lesson shows.
fn shown(test: &TestEnvironment, script: &str) -> String {
    let own = test.command(&[]);
    let binary = Path::new(env!("CARGO_BIN_EXE_runbook")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {script}\nexit $?")])
        .env_clear()
        .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", path)
        .current_dir(test.project())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let here = [said("id", &["-un"]), said("uname", &["-n"])];
    let mut text: String =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| named(line, &here) + "\n").collect();
    if !output.status.success() {
        text.push_str(&format!("[{}]\n", output.status.code().unwrap()));
    }
    text
}

/// What a command prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A line with `<run>` and `<time>` for what differs each time, and `<user>` and `<host>` for who is here.
fn named(line: &str, [user, host]: &[String; 2]) -> String {
    let words = line.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_time = ["ms", "s"]
            .iter()
            .any(|unit| bare.strip_suffix(unit).is_some_and(|number| number.parse::<f64>().is_ok()));
        let is_run = bare.len() == 20 && bare.as_bytes()[8] == b'T' && bare.as_bytes()[15] == b'-';
        match (is_run, is_time) {
            _ if bare == user => word.replace(bare, "<user>"),
            _ if bare == host => word.replace(bare, "<host>"),
            (true, _) => word.replace(bare, "<run>"),
            (_, true) => word.replace(bare, "<time>"),
            (false, false) => word.to_owned(),
        }
    });
    // What takes less than a millisecond has no time at all.
    let line = words.collect::<Vec<_>>().join(" ").replace(" in <time>", "");
    // What is right-aligned moves with the times.
    let trimmed = line.trim_end();
    match trimmed.strip_suffix("<run>") {
        Some(before) if before.ends_with("  ") => format!("{}    <run>", before.trim_end()),
        _ => trimmed.to_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn every_lesson_shows_what_it_says() {
    let lessons = lessons();
    assert!(lessons.len() >= 8, "{lessons:?}");
    for lesson in lessons {
        let test = TestEnvironment::new();
        copy(&lesson.join("runbooks"), &test.project().join("runbooks"));
        test.runbook(&["validate"]).succeeds();
        let path = lesson.join("expected.txt");
        let expected =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let commands = expected.lines().filter_map(|line| line.strip_prefix("$ "));
        let now: String = commands.map(|line| format!("$ {line}\n{}", shown(&test, line))).collect();
        if std::env::var_os("EXPECT").is_some_and(|how| how == "write") {
            fs::write(&path, now).unwrap();
        } else {
            assert_eq!(now, expected, "{}", path.display());
        }
        let readme = fs::read_to_string(lesson.join("README.md")).unwrap();
        assert!(readme.starts_with("# "), "{}", lesson.display());
    }
}

/// Every runbook, of the library and of the lessons, tells editors of its schema.
#[test]
fn every_runbook_names_a_schema_that_is_there() {
    let mut folders = vec![repository().join("runbooks"), repository().join("examples")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                count += 1;
                let text = fs::read_to_string(&path).unwrap();
                let first = text.lines().next().unwrap_or_default();
                let schema = first.strip_prefix("# yaml-language-server: $schema=");
                let schema = schema.unwrap_or_else(|| panic!("{}: {first}", path.display()));
                assert!(folder.join(schema).is_file(), "{}: {schema}", path.display());
            }
        }
    }
    assert!(count >= 10);
}
