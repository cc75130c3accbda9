//! What makes daily work easy: pages to read, who waits for whom, a live view, a start, a look at the set-up (cli, table of commands).

use serde_json::Value;

use crate::helpers::{HOLD, Terminal, TestEnvironment, eventually};

const DEPLOY: &str = r#"
title: Deploy the shop
description: |
  Sends a release to one of
  two slots.
owner: shop-team
tags: [shop]
source: ["000-12"]
links: {dashboard: https://grafana.example.com/d/shop}
params:
  version: {type: string, pattern: 'v\d+', description: Release tag}
  slot: {type: string, choices: [blue, green], default: blue}
secrets:
  token: {env: SHOP_TOKEN}
steps:
  - id: checklist
    manual: {prompt: Before we begin, checklist: [Code review completed, Stakeholders notified]}
  - id: approve
    approve: {prompt: "Send {{ params.version }}?", from: [ana, bob], quorum: 2, expires: 30m}
  - id: apply
    title: Apply the release
    timeout: 10m
    retry: 2
    run: echo {{ params.version }} to {{ params.slot }}
  - id: verify
    steps:
      - {id: page, check: {http: "http://localhost:1/health", expect: status == 200, within: 5m}}
      - {id: site, needs: [], run: [echo, "{{ params.slot }}"], source: "000-12:40"}
finally:
  - {id: tell, run: echo over}
"#;

#[test]
fn show_is_a_page_to_read() {
    let test = TestEnvironment::with(DEPLOY);
    let page = test.runbook(&["show", "main"]).succeeds();
    for part in [
        "main: Deploy the shop\n",
        "owner: shop-team\n",
        "written down in: 000-12\n",
        "dashboard: https://grafana.example.com/d/shop\n",
        "Sends a release to one of two slots.\n",
        "version  string, matches v\\d+, must be given: Release tag\n",
        "slot  string, blue or green, default blue\n",
        "token  from the environment variable SHOP_TOKEN\n",
        "1. checklist\n     by hand: Before we begin\n     [ ] Code review completed\n",
        "2. approve\n     approval by 2 people of ana, bob: Send {{ params.version }}?\n     expires after 30m\n",
        "3. apply: Apply the release\n     $ echo {{ params.version }} to {{ params.slot }}\n     timeout 10m; up to 2 more attempts after a failure\n",
        "4. verify\n  4.1. page\n       GET http://localhost:1/health\n       expects status == 200\n       within 5m\n",
        "  4.2. site\n       starts at once\n",
        "In the end, whatever happened\n\n5. tell\n",
    ] {
        assert!(page.stdout.contains(part), "{part:?} in {page}");
    }
    // Neither parameters nor secrets are needed to read it, and nothing was made.
    assert!(test.runs().is_empty());
}

#[test]
fn show_for_programs_is_the_document() {
    let test = TestEnvironment::with(DEPLOY);
    let value = test.runbook(&["show", "main", "--format", "json"]).succeeds().json();
    assert_eq!((&value["name"], &value["owner"]), (&"main".into(), &"shop-team".into()));
    assert_eq!(value["secrets"], serde_json::json!(["token"]));
    assert_eq!(value["steps"].as_array().map(Vec::len), Some(4));
}

#[test]
fn show_names_mistakes_and_unknown_runbooks() {
    let test = TestEnvironment::with("steps:\n  - {id: a, rnu: x}\n");
    test.runbook(&["show", "main"]).exits(2).stderr_has("rnu");
    test.runbook(&["show", "mian"]).exits(2).stderr_has("did you mean `main`?");
}

#[test]
fn waiting_runs_name_the_question_whom_it_waits_for_and_since_when() {
    let test = TestEnvironment::with("steps:\n  - {id: gate, approve: {prompt: 'Go on?'}}\n");
    test.runbook_named("other", "steps: [{id: a, run: 'true'}]\n");
    test.runbook(&["run", "other"]).succeeds();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let listed = test.runbook(&["runs", "--waiting"]).succeeds();
    let mut lines = listed.stdout.lines();
    assert!(lines.next().is_some_and(|line| line.contains(&run)), "{listed}");
    let question = lines.next().unwrap_or_default();
    assert!(question.trim_start().starts_with("gate  anyone since "), "{listed}");
    assert!(question.ends_with(": Go on?"), "{listed}");
    assert_eq!(lines.next(), None, "{listed}");
    let json = test.runbook(&["runs", "--waiting", "--format", "json"]).succeeds().json();
    assert_eq!(json[0]["waiting_for"][0]["from"], serde_json::json!([]));
    let opened = test.journal(&run).one("gate_opened", "gate")["at"].clone();
    assert_eq!(json[0]["waiting_for"][0]["since"], opened);
    // The page of the run says the same.
    test.runbook(&["status", &run]).succeeds().stdout_has("gate waits for anyone since ");
}

#[test]
fn a_question_beside_running_steps_waits_as_well() {
    let test = TestEnvironment::with(&format!(
        "steps:\n  - {{id: gate, needs: [], approve: Go on?}}\n  - {{id: slow, needs: [], run: '{HOLD}'}}\n"
    ));
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the question", || {
        let json = test.runbook(&["runs", "--waiting", "--format", "json"]).succeeds().json();
        (json[0]["waiting_for"][0]["step"] == "gate").then_some(())
    });
    test.release();
    live.wait().exits(3);
    assert_eq!(test.runs(), [run]);
}

#[test]
fn runs_are_picked_by_when_they_started() {
    let test = TestEnvironment::with("steps: [{id: a, run: 'true'}]\n");
    test.runbook(&["run", "main"]).succeeds();
    let count = |since: &str| {
        let json = test.runbook(&["runs", "--since", since, "--format", "json"]).succeeds().json();
        json.as_array().map(Vec::len)
    };
    assert_eq!((count("1d"), count("2020-01-01"), count("2999-01-01")), (Some(1), Some(1), Some(0)));
    test.runbook(&["runs", "--since", "yesterday"]).exits(2).stderr_has("write a duration like 7d");
}

#[test]
fn watch_follows_a_run_in_another_process_to_its_end() {
    let test = TestEnvironment::with(&format!(
        "steps:\n  - {{id: first, run: echo early}}\n  - {{id: slow, run: 'echo begun; {HOLD}; echo late'}}\n"
    ));
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    let watch = test.spawn(&["watch", &run]);
    eventually("the watcher sees the step", || watch.stderr().contains("slow").then_some(()));
    test.release();
    live.wait().succeeds();
    let watched = watch.wait().succeeds().ends("succeeded");
    for part in ["early", "begun", "late"] {
        assert!(watched.stderr.contains(part), "{part} in {watched}");
    }
    assert_eq!(watched.run_id(), run);
    // The run knows nothing of it.
    let opened = test.journal(&run).kind("journal_opened").len();
    assert_eq!(opened, 1);
}

#[test]
fn watch_of_a_parked_run_says_what_it_waits_for_and_how_to_answer() {
    let test = TestEnvironment::with("steps:\n  - {id: gate, approve: Go on?}\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["watch", &run])
        .succeeds()
        .ends("waiting")
        .stderr_has("Go on?")
        .stderr_has(&format!("runbook approve {run} gate"));
}

#[test]
fn watch_of_a_failed_run_ends_as_the_run_did() {
    let test = TestEnvironment::with("steps:\n  - {id: bad, run: 'echo why >&2; exit 3'}\n");
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.runbook(&["watch", "last"]).succeeds().ends("failed").stderr_has("why");
    let events = test.runbook(&["watch", &run, "--format", "json"]).succeeds().json_lines();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["kind"]).collect();
    assert_eq!((kinds[0], kinds.last().copied()), (&"journal_opened".into(), Some(&"sealed".into())));
    test.runbook(&["watch", "nobody"]).exits(2);
}

#[test]
fn watch_says_when_the_process_of_the_run_dies() {
    let test = TestEnvironment::with(&format!("steps:\n  - {{id: slow, run: '{HOLD}'}}\n"));
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    let watch = test.spawn(&["watch", &run]);
    eventually("the watcher sees the step", || watch.stderr().contains("slow").then_some(()));
    let _ = live.kill();
    watch.wait().succeeds().ends("interrupted").stderr_has(&format!("runbook resume {run}"));
    test.release();
}

#[test]
fn leaving_the_watch_leaves_the_run_alone() {
    let test = TestEnvironment::with(&format!("steps:\n  - {{id: slow, run: '{HOLD}'}}\n"));
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    let mut terminal = Terminal::start(test.command(&["watch", &run]));
    terminal.await_text("slow");
    terminal.press_ctrl_c();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("The run goes on"), "{shown}");
    test.release();
    live.wait().succeeds().ends("succeeded");
}
