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
            assert!(line.remove("path").is_some(), "{line:?}");
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
