//! What makes daily work easy: pages to read, who waits for whom, a live view, a start, a look at the set-up (cli, table of commands).

use serde_json::Value;

use crate::helpers::{HOLD, Terminal, TestEnvironment, eventually, language_example};

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

#[test]
fn new_writes_a_runbook_that_is_valid_and_runs() {
    let test = TestEnvironment::new();
    let made = test.runbook(&["new", "shop/deploy", "--title", "Deploy \"it\""]).succeeds();
    assert_eq!(made.last_line(), test.project().join("runbooks/shop/deploy.yaml").display().to_string());
    let text = test.read("runbooks/shop/deploy.yaml");
    let schema = text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
    let schema = test.project().join("runbooks/shop").join(schema.unwrap());
    let schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    assert!(schema["properties"]["steps"].is_object());
    test.runbook(&["validate"]).succeeds();
    test.runbook(&["show", "deploy"]).succeeds().stdout_has("shop/deploy: Deploy \"it\"");
    test.runbook(&["run", "deploy", "--approve", "go=test"]).exits(3);
}

#[test]
fn new_overwrites_nothing_and_takes_only_names() {
    let test = TestEnvironment::new();
    let path = test.write("runbooks/mine.yaml", "precious");
    test.runbook(&["new", "mine"]).exits(2).stderr_has("is there already");
    test.runbook(&["new", "mine.yaml"]).exits(2);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
    test.write("runbooks/other.yml", "precious");
    test.runbook(&["new", "other"]).exits(2);
    for wrong in ["../out", "Über", "a b", "", "project"] {
        test.runbook(&["new", wrong]).exits(2);
    }
    assert!(!test.project().join("out.yaml").exists());
}

#[test]
fn new_asks_for_the_title_at_a_terminal() {
    let test = TestEnvironment::new();
    let mut terminal = Terminal::start(test.command(&["new", "restart-web"]));
    terminal.await_text("Title");
    terminal.type_line("Restart the web servers");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(test.read("runbooks/restart-web.yaml").contains("title: \"Restart the web servers\"\n"));
}

#[test]
fn init_makes_a_project_that_runs_and_keeps_what_is_there() {
    let test = TestEnvironment::new();
    std::fs::remove_dir(test.project().join("runbooks")).unwrap();
    test.runbook(&["new", "first"]).exits(2).stderr_has("runbook init");
    test.runbook(&["init"]).succeeds().stderr_has("runbook run hello");
    test.runbook(&["validate"]).succeeds();
    test.runbook(&["run", "hello", "--approve", "ask=yes"]).succeeds().ends("succeeded");
    test.write("runbooks/hello.yaml", "steps: [{id: mine, run: 'true'}]\n");
    test.runbook(&["init"]).succeeds().stderr_has("hello.yaml was there already");
    assert!(test.read("runbooks/hello.yaml").contains("mine"));
}

#[test]
fn doctor_is_content_with_a_sound_set_up() {
    let test = TestEnvironment::with("steps: [{id: a, run: 'true'}]\n");
    let page = test.runbook(&["doctor"]).succeeds();
    for part in
        ["shell: ", "belongs to", "can be locked and flushed", "MiB are free", "1 runbook without mistakes"]
    {
        assert!(page.stdout.contains(part), "{part} in {page}");
    }
    let json = test.runbook(&["doctor", "--format", "json"]).succeeds().json();
    assert_eq!(json["ok"], true);
    assert!(test.state_files().is_empty(), "{:?}", test.state_files());
}

#[test]
fn doctor_finds_what_is_wrong() {
    use std::os::unix::fs::PermissionsExt;
    let test = TestEnvironment::with("steps: [{id: a, rnu: 'true'}]\n");
    test.runbook(&["doctor"]).exits(1).stdout_has("1 of 1 runbook have mistakes: main");
    let test = TestEnvironment::new();
    std::fs::set_permissions(test.state(), std::fs::Permissions::from_mode(0o777)).unwrap();
    test.runbook(&["doctor"]).exits(1).stdout_has("can be written by others");
    let test = TestEnvironment::new().variable("PATH", "/nowhere");
    test.runbook(&["doctor"]).exits(1).stdout_has("neither bash nor sh");
}

#[test]
fn man_writes_a_page_a_command() {
    let test = TestEnvironment::new();
    test.runbook(&["man"]).succeeds().stdout_has(".TH").stdout_has("runbook\\-resume(1)");
    test.runbook(&["man", "resume"]).succeeds().stdout_has("\\-\\-retry");
    test.runbook(&["man", "nothing"]).exits(2);
    test.runbook(&["man", "-o", "pages"]).succeeds();
    for page in ["runbook.1", "runbook-run.1", "runbook-doctor.1"] {
        assert!(test.read(&format!("pages/{page}")).contains(".SH SYNOPSIS"), "{page}");
    }
}

/// What bash would be offered at the end of a line.
fn offered(test: &TestEnvironment, line: &[&str]) -> Vec<String> {
    let words: Vec<&str> = ["--"].iter().chain(line).copied().collect();
    let mut command = test.command(&words);
    command.env("RUNBOOK_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string());
    let output = command.output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn completion_knows_commands_runbooks_parameters_runs_and_open_questions() {
    let test = TestEnvironment::with(
        "params: {slot: {choices: [blue, green], default: blue}}\nsteps:\n  - {id: look, run: 'true'}\n  - {id: gate, approve: Go on?}\n",
    );
    test.runbook_named("shop/deploy", "steps: [{id: a, run: 'true'}]\n");
    test.runbook(&["run", "deploy"]).succeeds();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    assert_eq!(offered(&test, &["runbook", "stat"]), ["status"]);
    assert_eq!(offered(&test, &["runbook", "run", ""])[..3], ["main", "shop/deploy", "deploy"]);
    assert_eq!(offered(&test, &["runbook", "run", "main", "-p", ""]), ["slot=blue", "slot=green"]);
    // Only one run has a question.
    let runs: Vec<String> =
        offered(&test, &["runbook", "approve", ""]).into_iter().filter(|it| !it.starts_with('-')).collect();
    assert_eq!(runs, ["last".to_owned(), run.clone()]);
    let is_step = |offers: Vec<String>| -> Vec<String> {
        offers.into_iter().filter(|offer| !offer.starts_with('-')).collect()
    };
    assert_eq!(is_step(offered(&test, &["runbook", "approve", &run, ""])), ["gate"]);
    let file = "./runbooks/main.yaml";
    assert_eq!(is_step(offered(&test, &["runbook", "approve", file, ""])), ["gate"]);
    assert_eq!(is_step(offered(&test, &["runbook", "logs", &run, ""])), ["look", "gate"]);
    assert_eq!(is_step(offered(&test, &["runbook", "resume", &run, "--retry", "l"])), ["look"]);
}

#[test]
fn completions_are_a_script_for_each_shell() {
    let test = TestEnvironment::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        test.runbook(&["completions", shell]).succeeds().stdout_has("RUNBOOK_COMPLETE");
    }
    test.runbook(&["completions", "cmd"]).exits(2);
    // Bash takes it.
    let script = test.runbook(&["completions", "bash"]).succeeds().stdout;
    let status =
        std::process::Command::new("bash").args(["-euc", &format!("{script}\ncomplete -p runbook")]).output();
    assert!(status.unwrap().status.success());
}

/// The whole runbook of the language's first page (language §1).
#[test]
fn the_whole_runbook_of_the_language_page_is_valid() {
    let test = TestEnvironment::new();
    test.write("runbooks/deploy-production.yaml", &language_example(0));
    // The page's own project, with headers in the place of `…`.
    let project = language_example(2).replace("{…}", "{X-Team: ops}");
    assert!(project.contains("X-Team"), "{project}");
    test.write("runbooks/project.yaml", &project);
    // The page's gate, in a runbook that has what it names.
    let gate = language_example(1).replace('\n', "\n    ");
    let steps = format!("  - {{id: tests, run: make test}}\n  - id: go\n    {gate}");
    test.runbook_named("gate", &format!("params: {{version: v1}}\nsteps:\n{steps}\n"));
    let checked = test.runbook(&["validate", "--format", "json"]).succeeds();
    assert_eq!(checked.json(), serde_json::json!([]));
    test.runbook(&["show", "deploy-production"])
        .succeeds()
        .stdout_has("deploy-production: Deploy Zetra to production")
        .stdout_has("2 people of group:release-managers");
}
