//! By which names a run is found, and what lists say of runbooks (cli, first paragraph).

use std::fs;

use serde_json::Value;

use crate::helpers::TestEnvironment;

fn two_of_one_stem() -> (TestEnvironment, String, String) {
    let test = TestEnvironment::new();
    for folder in ["a", "b"] {
        test.runbook_named(&format!("{folder}/same"), "steps:\n  - {id: gate, manual: Look}\n");
    }
    let first = test.runbook(&["run", "a/same"]).exits(3).run_id();
    let second = test.runbook(&["run", "b/same"]).exits(3).run_id();
    (test, first, second)
}

#[track_caller]
fn run_of(test: &TestEnvironment, name: &str) -> Value {
    test.runbook(&["status", name, "--format", "json"]).succeeds().json()["run"].clone()
}

#[test]
fn a_path_below_the_folder_of_runbooks_means_its_latest_run() {
    let (test, first, second) = two_of_one_stem();
    for (name, run) in [
        ("a/same", &first),
        ("b/same", &second),
        ("a/same.yaml", &first),
        ("runbooks/b/same.yaml", &second),
        ("./runbooks/a/same.yaml", &first),
    ] {
        assert_eq!(run_of(&test, name), **run, "{name}");
    }
    test.runbook(&["done", "a/same", "--resume"]).succeeds();
    assert_eq!(test.step_outcome(&first, "gate"), "succeeded");
    assert_eq!(test.step_outcome(&second, "gate"), "waiting");
    for command in
        [&["logs", "a/same"][..], &["verify", "b/same"], &["note", "b/same", "seen"], &["watch", "a/same"]]
    {
        test.runbook(command).succeeds();
    }
    test.runbook(&["cancel", "b/same"]).succeeds();
    test.runbook(&["status", "c/same"]).exits(2);
}

#[test]
fn a_stem_of_several_runbooks_names_the_choices() {
    let (test, first, _) = two_of_one_stem();
    for command in [&["status", "same"][..], &["done", "same"], &["cancel", "same"], &["resume", "same"]] {
        test.runbook(command).exits(2).stderr_has("`same` could be any of a/same, b/same; write which one");
    }
    // One right below the folder has the stem as its path.
    test.runbook_named("same", "steps:\n  - {id: gate, manual: Look}\n");
    let third = test.runbook(&["run", "same"]).exits(3).run_id();
    assert_eq!(run_of(&test, "same"), third);
    assert_eq!(run_of(&test, "a/same"), first);
}

#[test]
fn a_runbook_is_found_by_the_name_that_it_gives_itself_too() {
    let test = TestEnvironment::new();
    test.runbook_named("deep/down", "name: release\nsteps:\n  - {id: one, run: 'true'}\n");
    let run = test.runbook(&["run", "down"]).succeeds().run_id();
    for name in ["release", "down", "deep/down"] {
        assert_eq!(run_of(&test, name), run, "{name}");
        let listed = test.runbook(&["runs", name, "--format", "json"]).succeeds().json();
        assert_eq!(
            (&listed[0]["run"], &listed[0]["path"]),
            (&run.as_str().into(), &"deep/down".into()),
            "{name}"
        );
    }
}

/// An index that an earlier version wrote knows names alone; it can be deleted at any time, too.
#[test]
fn paths_are_known_with_an_old_index_and_without() {
    let (test, first, second) = two_of_one_stem();
    test.runbook(&["done", "a/same", "--resume"]).succeeds();
    let index = test.state().join("index.jsonl");
    let old: String = fs::read_to_string(&index)
        .unwrap()
        .lines()
        .map(|line| {
            let mut line: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
            assert!(line.remove("path").is_some() && line.remove("file").is_some(), "{line:?}");
            // The run's id stands first, as it was written.
            let run = line.remove("run").unwrap();
            let rest = Value::Object(line).to_string();
            format!("{{\"run\":{run},{}\n", &rest[1..])
        })
        .collect();
    for content in [Some(old), Some(String::new()), Some("no line at all\n".into()), None] {
        match &content {
            Some(text) => fs::write(&index, text).unwrap(),
            None => fs::remove_file(&index).unwrap(),
        }
        assert_eq!(run_of(&test, "a/same"), first, "{content:?}");
        assert_eq!(run_of(&test, "b/same"), second, "{content:?}");
        test.runbook(&["status", "same"]).exits(2).stderr_has("a/same, b/same");
    }
}

#[test]
fn lists_tell_two_of_one_stem_apart() {
    let (test, first, second) = two_of_one_stem();
    test.write("runbooks/wrong.yaml", "steps: 1\n");
    test.runbook(&["runs"]).succeeds().stdout_has("a/same").stdout_has("b/same");
    let listed = test.runbook(&["list", "--format", "json"]).succeeds().json();
    let of =
        |name: &str| listed.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
    assert_eq!(of("a/same")["last_run"]["run"], first);
    assert_eq!(of("b/same")["last_run"]["run"], second);
    // A program can rely on a list, also of what has mistakes.
    assert_eq!((&of("wrong")["valid"], &of("wrong")["tags"]), (&false.into(), &serde_json::json!([])));
}

const PARKS: &str = "steps:\n  - {id: gate, approve: Go on}\n";

/// Two projects and one state directory: each has `NAME`, and the other one's has parked last.
fn two_projects(name: &str) -> (TestEnvironment, String, String) {
    let test = TestEnvironment::new();
    test.runbook_named(name, PARKS);
    let own = test.runbook(&["run", name]).exits(3).run_id();
    let theirs = run_elsewhere(&test, "../other/runbooks/deploy.yaml");
    (test, own, theirs)
}

/// A run of a file that is written at that path from the project.
fn run_elsewhere(test: &TestEnvironment, path: &str) -> String {
    test.write(path, PARKS);
    test.runbook(&["run", path]).exits(3).run_id()
}

#[test]
fn a_file_and_a_name_mean_the_runbook_of_this_project() {
    let (test, own, theirs) = two_projects("deploy");
    let index = test.state().join("index.jsonl");
    let whole = fs::read_to_string(&index).unwrap();
    // A line of an earlier version lacks the file, and gets it.
    let old = whole.lines().map(|line| {
        let (before, after) = line.split_once(",\"file\":\"").unwrap();
        format!("{before},{}\n", after.split_once("\",").unwrap().1)
    });
    for content in [whole.clone(), old.collect(), String::new()] {
        fs::write(&index, &content).unwrap();
        for (name, run) in [
            ("deploy", &own),
            ("deploy.yaml", &own),
            ("runbooks/deploy.yaml", &own),
            ("./runbooks/deploy.yaml", &own),
            ("../other/runbooks/deploy.yaml", &theirs),
        ] {
            assert_eq!(run_of(&test, name), **run, "{name} {content}");
        }
        let listed = test.runbook(&["list", "--format", "json"]).succeeds().json();
        assert_eq!(listed[0]["last_run"]["run"], own, "{content}");
    }
    test.runbook(&["approve", "./runbooks/deploy.yaml", "--resume"]).succeeds();
    assert_eq!(test.step_outcome(&own, "gate"), "succeeded");
    assert_eq!(test.step_outcome(&theirs, "gate"), "waiting");
}

#[test]
fn a_runbook_without_runs_does_not_mean_those_of_its_namesakes() {
    let test = TestEnvironment::new();
    let theirs = run_elsewhere(&test, "../other/runbooks/deploy.yaml");
    // No runbook of that name is here: as it ran.
    assert_eq!(run_of(&test, "deploy"), theirs);
    for name in ["deploy.yaml", "./runbooks/deploy.yaml"] {
        test.runbook(&["approve", name]).exits(2).stderr_has("neither a run nor a runbook that has runs");
    }
    test.runbook_named("deploy", PARKS);
    for name in ["deploy", "deploy.yaml", "./runbooks/deploy.yaml"] {
        let refused = test.runbook(&["approve", name]).exits(2);
        // Which one it may be is said, to be named by its id.
        if !name.starts_with('.') {
            refused.stderr_has(&theirs);
        }
    }
    assert_eq!(test.step_outcome(&theirs, "gate"), "waiting");
    let listed = test.runbook(&["list", "--format", "json"]).succeeds().json();
    assert_eq!(listed[0]["last_run"], Value::Null);
}

#[test]
fn a_project_is_the_same_through_a_link() {
    let (test, own, _) = two_projects("deploy");
    let link = test.outside("link");
    std::os::unix::fs::symlink(test.project(), &link).unwrap();
    let folder = link.join("runbooks");
    let (file, folder) = (folder.join("deploy.yaml"), folder.display().to_string());
    assert_eq!(run_of(&test, file.to_str().unwrap()), own);
    let shown = test.runbook(&["status", "deploy", "--dir", &folder, "--format", "json"]).succeeds().json();
    assert_eq!(shown["run"], own);
}

#[test]
fn a_stem_follows_the_runbooks_that_exist() {
    let test = TestEnvironment::new();
    let old = run_elsewhere(&test, "../elsewhere/deploy.yaml");
    test.runbook_named("ops/deploy", PARKS);
    let run = test.runbook(&["run", "deploy"]).exits(3).run_id();
    assert_eq!(run_of(&test, "deploy"), run);
    assert_eq!(run_of(&test, "../elsewhere/deploy.yaml"), old);
    // It moves.
    test.runbook_named("b/deploy", PARKS);
    fs::remove_file(test.project().join("runbooks/ops/deploy.yaml")).unwrap();
    let moved = test.runbook(&["run", "deploy"]).exits(3).run_id();
    assert_eq!(run_of(&test, "deploy"), moved);
    // What is gone still is found by its path and its file.
    assert_eq!(run_of(&test, "ops/deploy"), run);
    assert_eq!(run_of(&test, "runbooks/ops/deploy.yaml"), run);
    // Outside of a project there are but the names that ran.
    let mut outside = test.command(&["status", "b/deploy", "--format", "json"]);
    let output = outside.current_dir(test.outside("home")).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["run"], moved);
}

#[test]
fn a_look_at_a_broken_run_adds_nothing_to_the_index() {
    let test = TestEnvironment::with(PARKS);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let folder = test.run_folder(&run);
    fs::remove_file(folder.join("environment.json")).unwrap();
    let segment = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .unwrap();
    let journal = fs::read_to_string(&segment).unwrap();
    // A record in the middle can't be read.
    let lines: Vec<&str> = journal.lines().collect();
    let broken = [&lines[..2], &["{}"], &lines[3..]].concat().join("\n");
    fs::write(&segment, format!("{broken}\n")).unwrap();
    let index = test.state().join("index.jsonl");
    fs::write(&index, "").unwrap();
    test.runbook(&["runs"]).succeeds().stdout_has(&run).stdout_has("interrupted");
    let known = fs::read_to_string(&index).unwrap();
    for _ in 0..2 {
        test.runbook(&["runs"]).succeeds();
        test.runbook(&["status", "main"]).exits(2);
    }
    assert_eq!(fs::read_to_string(&index).unwrap(), known);
}

#[test]
fn the_filter_of_runs_is_read_as_a_run_is() {
    let (test, own, _) = two_projects("a/deploy");
    for name in ["deploy", "a/deploy", "a/deploy.yaml", "runbooks/a/deploy.yaml", "./runbooks/a/deploy.yaml"]
    {
        for arguments in [["runs", name, "--format", "json"], ["runs", "--format=json", "--runbook", name]] {
            let listed = test.runbook(&arguments).succeeds().json();
            let runs: Vec<&Value> = listed.as_array().unwrap().iter().map(|run| &run["run"]).collect();
            assert_eq!(runs, [own.as_str()], "{name}");
        }
    }
}
