//! People: who may answer, quorums, fields, choices, questions before a step, signatures, clocks (language §6, §9).

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::helpers::{Server, Terminal, TestEnvironment, eventually, until_recorded};

/// The operating system's user that the tests run as.
fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn with_project(project: &str, body: &str) -> TestEnvironment {
    let test = TestEnvironment::with(body);
    test.write("runbooks/project.yaml", &project.replace("ME", &me()));
    test
}

/// An SSH key pair of nobody yet: the private key's path, and the public key.
fn key(test: &TestEnvironment, name: &str) -> (String, String) {
    let path: PathBuf = test.outside(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    (path.display().to_string(), public.trim().to_owned())
}

/// A project of ana, bob and eve, whose keys are at the paths that are given back.
fn signers(test: &TestEnvironment, more: &str) -> Vec<String> {
    let mut people = String::from("people:\n");
    let mut keys = Vec::new();
    for name in ["ana", "bob", "eve"] {
        let (path, public) = key(test, name);
        people.push_str(&format!("  {name}: {{ssh_keys: [\"{public}\"]}}\n"));
        keys.push(format!("--sign={path}"));
    }
    test.write("runbooks/project.yaml", &format!("{people}{more}"));
    keys
}

const AFTER: &str = "  - {id: after, run: 'echo after >> \"$LEDGER\"'}\n";

fn approval(keys: &str) -> String {
    format!("\nsteps:\n  - {{id: gate, approve: {{prompt: Go?, {keys}}}}}\n{AFTER}")
}

#[test]
fn from_lets_only_those_answer_who_are_named() {
    let cases = [
        ("people: {ana: {users: [ME]}}\n", "from: [ana]", true),
        ("people: {ana: {users: [ME]}}\ngroups: {ops: [ana, bob]}\n", "from: ['group:ops']", true),
        ("groups: {ops: [ME]}\n", "from: ['group:ops']", true),
        ("people: {ana: {users: [ME]}}\n", "from: [bob]", false),
        ("groups: {ops: [bob]}\n", "from: ['group:ops']", false),
    ];
    for (project, keys, may) in cases {
        let test = with_project(project, &approval(keys));
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        let code = if may { 0 } else { 5 };
        test.runbook(&["approve", &run, "gate"]).exits(code);
        assert_eq!(test.journal(&run).of("gate_answered", "gate").len(), usize::from(may), "{keys}");
        if !may {
            test.runbook(&["reject", &run, "gate", "--reason", "no"]).exits(5);
        }
        let refused = test.runbook(&["run", "main", "--approve", "gate=seen"]).exits(code);
        if !may {
            refused.stderr_has("may not answer");
            assert_eq!(test.runs().len(), 1, "it was refused before anything ran");
        }
    }
}

#[test]
fn who_answers_is_a_person_and_the_user_is_recorded_too() {
    let test = with_project("people: {ana: {users: [ME]}}\n", &approval("from: [ana]"));
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "--resume"]).succeeds();
    let journal = test.journal(&run);
    let answer = journal.one("gate_answered", "gate");
    assert_eq!((&answer["by"], &answer["user"]), (&"ana".into(), &me().into()));
    assert_eq!(journal.finished("gate")["by"], serde_json::json!(["ana"]));
    assert_eq!(journal.one("gate_opened", "gate")["from"], serde_json::json!(["ana"]));
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn unknown_names_are_found_before_anything_runs() {
    let test =
        with_project("groups: {release-managers: [ana]}\n", &approval("from: ['group:release-manager']"));
    test.runbook(&["validate", "main"]).exits(1).stdout_or_stderr_has("did you mean `release-managers`?");
    let test = with_project(
        "people: {ana: {users: [x]}, bob: {users: [x]}, eve: {ssh_keys: [nonsense]}}\n",
        &approval("from: [ana]"),
    );
    test.runbook(&["validate", "main"])
        .exits(1)
        .stdout_or_stderr_has("is ana's already")
        .stdout_or_stderr_has("no public key")
        .stdout_or_stderr_has("project.yaml");
}

#[test]
fn self_false_refuses_the_requester_on_every_surface() {
    let test = TestEnvironment::with(&approval("self: false"));
    test.runbook(&["run", "main", "--approve", "gate=seen"]).exits(5).stderr_has("started the run");
    assert!(test.runs().is_empty());
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run]).exits(5).stderr_has("started the run");
    assert!(test.journal(&run).of("gate_answered", "gate").is_empty());
    let mut terminal = Terminal::start(test.command(&["resume", &run]));
    terminal.await_text("Go?");
    terminal.await_text("approve, reject");
    terminal.type_line("approve");
    // Told at the word, not after the reason.
    terminal.await_text("started the run");
    terminal.await_text("approve, reject");
    terminal.press_ctrl_d();
    assert_eq!(terminal.finish().0, 3);
    assert!(test.ledger().is_empty());
}

#[test]
fn a_quorum_is_of_distinct_people_and_the_starter_does_not_count() {
    let test = TestEnvironment::with(&approval("quorum: 2"));
    let keys = signers(&test, "");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run]).exits(5);
    test.runbook(&["approve", &run, &keys[0]]).succeeds();
    // The same again changes nothing and says so.
    test.runbook(&["approve", &run, &keys[0]]).succeeds().stdout_or_stderr_has("already");
    test.runbook(&["resume", &run]).exits(3);
    assert_eq!(test.journal(&run).of("gate_answered", "gate").len(), 1);
    test.runbook(&["approve", &run, &keys[1]]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    let by = test.journal(&run).finished("gate")["by"].clone();
    assert_eq!(by, serde_json::json!(["ana", "bob"]));
}

#[test]
fn ahead_of_time_and_short_of_the_quorum_a_run_parks() {
    let test = TestEnvironment::with(&approval("quorum: 2, self: true"));
    let keys = signers(&test, "");
    let run = test.runbook(&["run", "main", "--approve", "gate=unseen"]).exits(3).run_id();
    assert_eq!(test.journal(&run).one("gate_answered", "gate")["via"], "ahead");
    test.runbook(&["approve", &run, &keys[1], "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
}

#[test]
fn who_approved_may_still_reject_while_the_quorum_is_open() {
    let test = TestEnvironment::with(&approval("quorum: 2"));
    let keys = signers(&test, "");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, &keys[0]]).succeeds();
    test.runbook(&["reject", &run, "--reason", "I saw the logs", &keys[0]]).succeeds();
    assert_eq!(test.step_outcome(&run, "gate"), "rejected");
    test.runbook(&["approve", &run, "gate", &keys[1]]).exits(5);
    assert!(test.ledger().is_empty());
}

#[test]
fn signed_gates_take_only_signatures_of_those_who_may() {
    let test = TestEnvironment::with(&approval("signed: true, from: [ana, bob]"));
    let keys = signers(&test, "");
    test.runbook(&["run", "main", "--approve", "gate=x"]).exits(5);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run]).exits(5).stderr_has("--sign");
    test.runbook(&["approve", &run, &keys[2]]).exits(5);
    let (stranger, _) = key(&test, "stranger");
    test.runbook(&["approve", &run, &format!("--sign={stranger}")]).exits(5);
    test.runbook(&["approve", &run, "--sign=/nowhere"]).exits(2);
    assert!(test.journal(&run).of("gate_answered", "gate").is_empty());
    test.runbook(&["approve", &run, "--reason", "seen", &keys[1], "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    let journal = test.journal(&run);
    let answer = journal.one("gate_answered", "gate");
    assert_eq!((&answer["by"], &answer["identity"]), (&"bob".into(), &"signed".into()));
    test.runbook(&["verify", &run]).succeeds();
    // The signature is checked with OpenSSH's own tool, over the documented statement.
    let file = test.run_folder(&run).join("inbox").join(answer["file"].as_str().unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    let content: Value = serde_json::from_str(&text).unwrap();
    assert!(content["signature"].as_str().unwrap().starts_with("-----BEGIN SSH SIGNATURE-----"));
    // Somebody changes what was said.
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o640);
    std::fs::set_permissions(&file, permissions).unwrap();
    std::fs::write(&file, text.replace("\"seen\"", "\"whatever\"")).unwrap();
    test.runbook(&["verify", &run]).exits(1).stdout_or_stderr_has("signature");
}

#[test]
fn a_signed_answer_can_not_be_replayed() {
    let test = TestEnvironment::with(&approval("signed: true"));
    let keys = signers(&test, "");
    let first = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &first, &keys[0]]).succeeds();
    let file = test.journal(&first).one("gate_answered", "gate")["file"].as_str().unwrap().to_owned();
    let answer = std::fs::read_to_string(test.run_folder(&first).join("inbox").join(file)).unwrap();
    let second = test.runbook(&["run", "main"]).exits(3).run_id();
    let nonce = test.journal(&second).one("gate_opened", "gate")["nonce"].as_str().unwrap().to_owned();
    let old = test.journal(&first).one("gate_opened", "gate")["nonce"].as_str().unwrap().to_owned();
    // As it is, and made to look as if it were meant for the other run.
    let inbox = test.run_folder(&second).join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::write(inbox.join("1-1-a.json"), &answer).unwrap();
    std::fs::write(inbox.join("2-1-b.json"), answer.replace(&first, &second)).unwrap();
    std::fs::write(inbox.join("3-1-c.json"), answer.replace(&first, &second).replace(&old, &nonce)).unwrap();
    test.runbook(&["resume", &second]).exits(3);
    assert!(test.journal(&second).of("gate_answered", "gate").is_empty());
    assert!(test.ledger().is_empty());
}

#[test]
fn a_key_of_ssh_that_is_listed_signs_by_itself() {
    let test = TestEnvironment::with(&approval("signed: true"));
    let folder = test.outside("home").join(".ssh");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["home/.ssh/id_other", "home/.ssh/id_listed"] {
        let (_, public) = key(&test, name);
        test.write("runbooks/project.yaml", &format!("people: {{ana: {{ssh_keys: [\"{public}\"]}}}}\n"));
    }
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "--sign", "--resume"]).succeeds();
    assert_eq!(test.journal(&run).one("gate_answered", "gate")["by"], "ana");
}

fn with_fields() -> TestEnvironment {
    TestEnvironment::with(
        r#"
steps:
  - {id: list, run: "printf 'eu-1\neu-2\n'"}
  - id: gate
    approve:
      prompt: Go?
      fields:
        ticket: {type: string, pattern: 'CHG-\d+', description: The change}
        count: {type: integer, min: 1, default: 3}
        region: {choices: steps.list.lines}
  - id: after
    run: echo {{ steps.gate.fields.ticket }} {{ steps.gate.fields.count }} {{ steps.gate.fields.region }} {{ steps.gate.by }} >> "$LEDGER"
"#,
    )
}

#[test]
fn fields_are_checked_and_reach_later_steps() {
    let test = with_fields();
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let wrong: [&[&str]; 6] = [
        &[],
        &["--field", "ticket=CHG-1"],
        &["--field", "ticket=nonsense", "--field", "region=eu-1"],
        &["--field", "ticket=CHG-1", "--field", "region=mars"],
        &["--field", "ticket=CHG-1", "--field", "region=eu-1", "--field", "count=none"],
        &["--field", "ticket=CHG-1", "--field", "region=eu-1", "--field", "tickets=x"],
    ];
    for fields in wrong {
        let arguments: Vec<&str> = ["approve", run.as_str(), "gate"].iter().chain(fields).copied().collect();
        test.runbook(&arguments).exits(2);
    }
    assert!(test.journal(&run).of("gate_answered", "gate").is_empty());
    test.runbook(&["approve", &run, "--field", "ticket=CHG-7", "--field", "region=eu-2", "--resume"])
        .succeeds();
    assert_eq!(test.ledger(), [format!("CHG-7 3 eu-2 {}", me())]);
    let journal = test.journal(&run);
    let fields = &journal.one("gate_answered", "gate")["fields"];
    assert_eq!(fields, &serde_json::json!({"ticket": "CHG-7", "count": 3, "region": "eu-2"}));
    // A required field can't be given ahead of time.
    test.runbook(&["run", "main", "--approve", "gate=x"]).exits(5).stderr_has("ticket");
    // A no needs none.
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["reject", &run, "--reason", "no"]).succeeds();
}

#[test]
fn fields_are_asked_one_by_one_at_the_prompt() {
    let test = with_fields();
    let mut terminal = Terminal::start(test.command(&["run", "main"]));
    terminal.await_text("approve, reject");
    terminal.type_line("approve");
    terminal.await_text("because");
    terminal.type_line("");
    terminal.await_text("The change");
    terminal.await_text("ticket (");
    terminal.type_line("nonsense");
    terminal.await_text("does not match");
    terminal.await_text("ticket (");
    terminal.type_line("CHG-9");
    terminal.await_text("count (");
    terminal.type_line("");
    terminal.await_text("region (one of eu-1, eu-2)");
    terminal.type_line("eu-1");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), [format!("CHG-9 3 eu-1 {}", me())]);
}

fn triage(options: &str) -> TestEnvironment {
    TestEnvironment::with(&format!(
        r#"
steps:
  - {{id: list, run: "printf 'v2\nv1\n'"}}
  - {{id: pick, choose: {{prompt: What is it?, options: {options}}}}}
  - {{id: after, run: 'echo {{{{ steps.pick.choice }}}} >> "$LEDGER"'}}
"#
    ))
}

#[test]
fn options_are_picked_by_name_or_number_and_a_name_wins() {
    let cases = [
        ("{deploy: A recent deployment, load: Traffic}", "load", "load"),
        ("{deploy: A recent deployment, load: Traffic}", "1", "deploy"),
        ("[a, b]", "2", "b"),
        ("['2', '1']", "1", "1"),
        ("steps.list.lines", "v1", "v1"),
        ("steps.list.lines", "1", "v2"),
        ("[cancelled, expired]", "cancelled", "cancelled"),
    ];
    for (options, said, expected) in cases {
        let test = triage(options);
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        for wrong in ["nothing", "3", "0", ""] {
            test.runbook(&["choose", &run, "pick", wrong]).exits(2);
        }
        test.runbook(&["approve", &run, "pick"]).exits(2);
        test.runbook(&["choose", &run, "pick", said]).succeeds();
        test.runbook(&["resume", &run]).succeeds();
        assert_eq!(test.ledger(), [expected], "{options} {said}");
        assert_eq!(test.journal(&run).finished("pick")["choice"], expected);
        test.runbook(&["choose", &run, "pick", "other"]).exits(5);
    }
    let test = triage("[a, b]");
    test.runbook(&["run", "main", "--answer", "pick=b"]).succeeds();
    assert_eq!(test.ledger(), ["b"]);
    test.runbook(&["run", "main", "--answer", "pick=c"]).exits(2);
}

#[test]
fn an_empty_or_duplicate_list_fails_the_step() {
    for (options, why) in [
        ("steps.list.stderr | lines", "empty"),
        ("steps.list.lines + steps.list.lines", "twice"),
        ("steps.list.exit_code", "no list"),
    ] {
        let test = triage(options);
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        let reason = test.journal(&run).reason("pick");
        assert!(reason.starts_with("template") && reason.contains(why), "{reason}");
    }
}

#[test]
fn an_option_is_picked_at_the_prompt() {
    let test = triage("{deploy: A recent deployment, load: Traffic}");
    let mut terminal = Terminal::start(test.command(&["run", "main"]));
    terminal.await_text("What is it?");
    terminal.await_text("1. deploy: A recent deployment");
    terminal.await_text("an option's name or number");
    terminal.type_line("3");
    terminal.await_text("is no answer");
    terminal.type_line("2");
    terminal.await_text("because");
    terminal.type_line("");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.ledger(), ["load"]);
}

fn asked(more: &str) -> TestEnvironment {
    TestEnvironment::with(&format!(
        "\nsteps:\n  - {{id: first, ask: {{prompt: Really?{more}}}, run: 'echo first >> \"$LEDGER\"'}}\n{AFTER}"
    ))
}

#[test]
fn ask_lets_a_step_run_or_skips_it() {
    let test = asked("");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    assert!(test.ledger().is_empty());
    let journal = test.journal(&run);
    assert_eq!(journal.one("gate_opened", "first")["gate"], "ask");
    assert!(journal.of("step_started", "first").is_empty(), "it is asked before the step");
    test.runbook(&["answer", &run, "first", "maybe"]).exits(2);
    test.runbook(&["answer", &run, "first", "yes"]).succeeds();
    test.runbook(&["answer", &run, "first", "yes"]).succeeds();
    assert!(test.ledger().is_empty(), "answering runs nothing");
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["first", "after"]);
    assert_eq!(test.journal(&run).of("gate_opened", "first").len(), 1, "settled once");

    let test = asked("");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["answer", &run, "first", "no", "--reason", "not today", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    assert_eq!(test.step_outcome(&run, "first"), "skipped");
    let skipped = test.journal(&run).one("step_skipped", "first").clone();
    assert!(skipped["reason"].as_str().unwrap().contains("not today"), "{skipped}");
    assert_eq!(skipped["by"], me().as_str());

    for (word, ledger) in [("yes", &["first", "after"][..]), ("no", &["after"])] {
        let test = asked("");
        test.runbook(&["run", "main", "--answer", &format!("first={word}")]).succeeds();
        assert_eq!(test.ledger(), ledger);
    }
    let mut terminal = Terminal::start(test.command(&["run", "main"]));
    terminal.await_text("Really?");
    terminal.await_text("yes, no");
    terminal.type_line("yes");
    terminal.await_text("because");
    terminal.type_line("");
    assert_eq!(terminal.finish().0, 0);
}

#[test]
fn what_expires_while_no_process_lives_is_expired_on_resume_and_once() {
    for (on_expiry, code, outcome) in [("reject", 4, "rejected"), ("fail", 1, "failed")] {
        let test = TestEnvironment::with(&approval(&format!("expires: 1ms, on_expiry: {on_expiry}")));
        let run = test.runbook(&["run", "main"]).whatever_status().run_id();
        test.runbook(&["resume", &run]).whatever_status();
        assert_eq!(test.step_outcome(&run, "gate"), outcome);
        let journal = test.journal(&run);
        assert_eq!(journal.one("gate_closed", "gate")["result"], "expired");
        assert!(journal.reason("gate").starts_with("expired"));
        let test = TestEnvironment::with(&approval(&format!("expires: 300ms, on_expiry: {on_expiry}")));
        test.runbook(&["run", "main", "--wait"]).exits(code);
        assert!(test.ledger().is_empty());
    }
    let test = asked(", expires: 200ms");
    test.runbook(&["run", "main", "--wait"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    let test = asked(", expires: 200ms, on_expiry: fail");
    let run = test.runbook(&["run", "main", "--wait"]).exits(1).run_id();
    assert!(test.ledger().is_empty());
    assert!(test.journal(&run).reason("first").starts_with("expired"));
}

#[test]
fn an_overrun_deadline_is_recorded_once_and_kills_nothing() {
    let test = TestEnvironment::with(concat!(
        "\nsteps:\n  - {id: slow, deadline: 50ms, run: '",
        until_recorded!("deadline_passed"),
        "'}\n"
    ));
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    test.journal(&run).one("deadline_passed", "slow");
    let test = TestEnvironment::with("\nsteps:\n  - {id: quick, deadline: 1h, run: 'true'}\n");
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert!(test.journal(&run).kind("deadline_passed").is_empty());
}

#[test]
fn of_twenty_answers_at_once_one_decides_and_all_are_told_the_truth() {
    let test = TestEnvironment::with(&approval("expires: 1h"));
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let answers: Vec<_> = (0..20)
        .map(|number| {
            let reason = format!("number {number}");
            let word = if number % 2 == 0 { "approve" } else { "reject" };
            (word, test.spawn(&[word, &run, "gate", "--reason", &reason]))
        })
        .collect();
    let ended: Vec<_> =
        answers.into_iter().map(|(word, live)| (word, live.wait().whatever_status())).collect();
    let journal = test.journal(&run);
    let decided = journal.one("gate_closed", "gate")["result"].as_str().unwrap().to_owned();
    journal.one("gate_answered", "gate");
    for (word, output) in ended {
        let told = if word == decided { 0 } else { 5 };
        assert_eq!(output.code(), told, "{word} where {decided} was decided: {output}");
    }
}

#[test]
fn a_quorum_prompt_shows_who_may_and_who_has() {
    let test = TestEnvironment::with(&approval("quorum: 2, from: ['group:ops'], self: true"));
    let keys = signers(&test, &format!("  cleo: {{users: [{}]}}\ngroups: {{ops: [ana, bob, cleo]}}\n", me()));
    let mut terminal = Terminal::start(test.command(&["run", "main"]));
    terminal.await_text("group:ops (ana, bob, cleo)");
    terminal.await_text("0 of 2");
    terminal.type_line("approve");
    terminal.await_text("because");
    terminal.type_line("");
    terminal.await_text("1 of 2");
    terminal.await_text("(cleo)");
    let run = eventually("the run", || test.runs().first().cloned());
    test.runbook(&["approve", &run, &keys[1]]).succeeds();
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(test.journal(&run).finished("gate")["by"], serde_json::json!(["cleo", "bob"]));
}

#[test]
fn manual_work_takes_fields_and_evidence() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: work
    manual: {prompt: Do it, evidence: required, fields: {serial: {type: integer}}, confirm: typed}
  - {id: after, run: 'echo {{ steps.work.fields.serial + 1 }} >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["done", &run, "work", "--field", "serial=4"]).exits(2).stderr_has("evidence");
    test.runbook(&["done", &run, "work", "--note", "seen"]).exits(2).stderr_has("serial");
    test.runbook(&["done", &run, "work", "--note", "seen", "--field", "serial=4", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["5"]);
}

#[test]
fn the_message_says_what_voided_an_approval() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: gate, approve: {prompt: Run the script?}}
  - {id: use, run: sh script.sh, inputs: [script.sh]}
"#,
    );
    test.write("script.sh", "echo good >> \"$LEDGER\"\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "gate"]).succeeds();
    test.write("script.sh", "echo evil >> \"$LEDGER\"\n");
    test.runbook(&["resume", &run]).exits(3).stdout_or_stderr_has("script.sh changed");
    assert!(test.ledger().is_empty());
}

#[test]
fn escalations_tell_who_is_waited_for_and_how_to_answer_once() {
    let server = Server::start(|_| (200, String::new()));
    let project = format!(
        "channels:\n  lead: {{webhook: {{url: '{}'}}}}\n  cto: {{command: [sh, -c, 'printf %s \"$1\" >> TOLD', sh, '{{{{ message }}}}']}}\nescalation: {{p0: [{{after: 0s, notify: lead}}, {{after: 9h, notify: cto}}]}}\n",
        server.url("/page")
    );
    let test = with_project(&project, &approval("escalate: p0"));
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Whoever is told sits elsewhere, where this state directory isn't found by itself.
    let command = format!("runbook approve {run} gate --state {}", test.state().display());
    for part in [run.as_str(), "Go?", &command] {
        assert!(bodies[0].contains(part), "`{part}` is missing: {}", bodies[0]);
    }
    let journal = test.journal(&run);
    assert_eq!(journal.one("escalated", "gate")["notify"], "lead");
    test.runbook(&["resume", &run]).exits(3);
    assert_eq!(server.bodies().len(), 1, "it was told already");
    assert_eq!(test.journal(&run).of("escalated", "gate").len(), 1);

    // Of a step that runs too long, by a command.
    let slow = "\nsteps:\n  - {id: slow, escalate: [{after: 1ms, notify: cto}], run: 'until [ -s \"$LEDGER.told\" ]; do sleep 0.05; done'}\n";
    let test = TestEnvironment::with(slow);
    let told = test.outside("ledger.told");
    test.write("runbooks/project.yaml", &project.replace("TOLD", &told.display().to_string()));
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.contains(&run) && told.contains("slow"), "{told}");
}

#[test]
fn a_channel_that_fails_stops_nothing() {
    let server = Server::start(|_| (500, "down".into()));
    let project = format!("channels:\n  lead: {{webhook: {{url: '{}'}}}}\n", server.url("/page"));
    let test = with_project(&project, &approval("escalate: [{after: 0s, notify: lead}]"));
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["approve", &run, "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    assert_eq!(server.request_count(), 1);
}

#[test]
fn an_approval_is_void_when_what_it_shows_has_changed() {
    let body = r#"
steps:
  - {id: look, on_failure: continue, run: 'cat "$LEDGER.seen"; exit 1'}
  - {id: gate, approve: {prompt: 'Go, {{ run.id }}, {{ run.outcome }}, {{ run.started_at | date("%Y") }}?', details: '{{ steps.look.stdout }}'}}
  - {id: after, run: 'test -e "$HOLD"'}
"#;
    for (now, void) in [("one", false), ("two", true)] {
        let test = TestEnvironment::with(body);
        let seen = test.outside("ledger.seen");
        std::fs::write(&seen, "one").unwrap();
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        // The run's own names are no part of what is approved: nothing is void by going on.
        test.runbook(&["resume", &run]).exits(3);
        assert_eq!(test.journal(&run).of("gate_opened", "gate").len(), 1);
        test.runbook(&["approve", &run, "gate", "--resume"]).exits(1);
        std::fs::write(&seen, now).unwrap();
        // What to do about the other step is asked meanwhile.
        test.runbook(&["resume", &run, "--retry", "look"]).exits(7);
        let journal = test.journal(&run);
        let closed = journal.of("gate_closed", "gate");
        let last = closed.last().unwrap();
        assert_eq!(last["result"], if void { "void" } else { "approve" });
        if void {
            assert!(last["reason"].as_str().unwrap().contains("the details changed"), "{last}");
        }
    }
}

#[test]
fn a_plan_shows_who_is_asked_and_who_is_told() {
    let test = with_project(
        "groups: {ops: [ana, bob]}\nchannels: {lead: {command: ['true']}}\n",
        r#"
steps:
  - {id: gate, approve: {prompt: Go?, from: ['group:ops'], quorum: 2, fields: {ticket: {}}, escalate: [{after: 15m, notify: lead}]}}
  - {id: pick, choose: {prompt: What?, options: {deploy: A deployment, load: Traffic}}}
  - {id: slow, ask: Sure?, deadline: 1h, run: 'true'}
"#,
    );
    let plan = test.runbook(&["plan", "main"]).succeeds();
    for part in [
        "2 people of group:ops",
        "ticket (string)",
        "tells lead after 15m",
        "deploy: A deployment",
        "Sure?",
        "1h",
    ] {
        assert!(plan.stdout.contains(part), "`{part}` is missing: {}", plan.stdout);
    }
    let json = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let steps = &json["steps"];
    assert_eq!(steps[0]["from"], serde_json::json!(["group:ops"]));
    assert_eq!((&steps[0]["quorum"], &steps[0]["fields"]["ticket"]), (&2.into(), &"string".into()));
    assert_eq!(steps[0]["escalate"], serde_json::json!([{"after": "15m", "notify": "lead"}]));
    assert_eq!(steps[1]["options"]["load"], "Traffic");
    assert_eq!((&steps[2]["ask"], &steps[2]["deadline"]), (&"Sure?".into(), &"1h".into()));
}

/// What fell due while no process lived is told at the next resume: all of it, and once.
#[test]
fn overdue_escalations_are_told_on_resume_and_once() {
    let server = Server::start(|_| (200, String::new()));
    let channel =
        |name: &str| format!("  {name}: {{webhook: {{url: '{}'}}}}\n", server.url(&format!("/{name}")));
    let project = format!("channels:\n{}{}{}", channel("lead"), channel("cto"), channel("ceo"));
    let rungs = "[{after: 15m, notify: lead}, {after: 30m, notify: cto}, {after: 9h, notify: ceo}]";
    let test = with_project(&project, &approval(&format!("escalate: {rungs}")))
        .variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-01T08:00:00Z");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    assert_eq!(server.request_count(), 0);
    let later = test.variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-01T09:00:00Z");
    later.runbook(&["resume", &run]).exits(3);
    let told = |test: &TestEnvironment| -> Vec<String> {
        let journal = test.journal(&run);
        let told = journal.of("escalated", "gate").into_iter();
        told.map(|event| event["notify"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told(&later), ["lead", "cto"]);
    assert_eq!(server.request_count(), 2);
    later.runbook(&["resume", &run]).exits(3);
    assert_eq!((told(&later).len(), server.request_count()), (2, 2), "each is told once");
    let last = later.variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-01T18:00:00Z");
    last.runbook(&["approve", &run, "--resume"]).succeeds();
    assert_eq!(last.ledger(), ["after"]);
}

/// The end of a question counts from when it was asked, whoever lives meanwhile; an answer comes too late as well.
#[test]
fn a_gate_that_expired_while_the_run_was_parked_takes_no_answer() {
    for (on_expiry, outcome) in [("reject", "rejected"), ("fail", "failed")] {
        let test = TestEnvironment::with(&approval(&format!("expires: 30m, on_expiry: {on_expiry}")))
            .variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-01T08:00:00Z");
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        let late = test.variable("RUNBOOK_TEST_ONLY_CLOCK", "2026-12-01T08:31:00Z");
        late.runbook(&["approve", &run]).exits(5).stderr_has("expired");
        late.runbook(&["resume", &run]).whatever_status();
        assert_eq!(late.step_outcome(&run, "gate"), outcome);
        assert!(late.ledger().is_empty());
        let again = late.runbook(&["resume", &run]).whatever_status();
        assert_ne!(again.code(), 0, "{again}");
        assert_eq!(late.journal(&run).of("gate_closed", "gate").len(), 1);
    }
}

#[test]
fn a_group_is_asked_about_and_timed_as_a_whole() {
    let body = concat!(
        r#"
steps:
  - id: stage
    ask: Do the whole stage?
    deadline: 50ms
    steps:
      - {id: one, run: 'echo one >> "$LEDGER"'}
      - {id: two, run: 'echo two >> "$LEDGER"; "#,
        until_recorded!("deadline_passed"),
        r#"'}
  - {id: after, run: 'echo after >> "$LEDGER"'}
"#
    );
    let test = TestEnvironment::with(body);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    assert!(test.ledger().is_empty());
    assert_eq!(test.journal(&run).one("gate_opened", "stage")["gate"], "ask");
    test.runbook(&["answer", &run, "stage", "yes", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["one", "two", "after"]);
    let journal = test.journal(&run);
    assert_eq!(journal.of("gate_opened", "stage").len(), 1, "settled once, for all that is in it");
    journal.one("deadline_passed", "stage");
    let test = TestEnvironment::with(body);
    test.runbook(&["run", "main", "--answer", "stage=no:not now"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
}

/// Several people work on one list at once; everybody's part is recorded, and a file that somebody attaches is kept with its hash.
#[test]
fn two_people_tick_one_list_at_the_same_time() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: list, manual: {prompt: Before, evidence: required, checklist: [a, b, c, d, e, f, g, h]}}\n  - {id: after, run: 'echo {{ steps.list.by }} >> \"$LEDGER\"'}\n",
    );
    let keys = signers(&test, "");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    // Evens and odds, and both of them the last.
    let items = |numbers: [u32; 4]| numbers.map(|number| number.to_string());
    let ticking: Vec<_> = [(items([1, 3, 5, 8]), &keys[0]), (items([2, 4, 6, 8]), &keys[1])]
        .iter()
        .flat_map(|(items, key)| {
            items
                .iter()
                .map(|item| test.spawn(&["done", &run, "list", "--item", item, key]))
                .collect::<Vec<_>>()
        })
        .collect();
    for ticked in ticking {
        ticked.wait().succeeds();
    }
    let ticks = test.journal(&run).of("gate_answered", "list").len();
    assert_eq!(ticks, 7, "the last item was ticked once");
    test.runbook(&["done", &run, "list", "--note", "x", &keys[0]]).exits(5).stderr_has("7 (g)");
    test.runbook(&["done", &run, "list", "--all", &keys[0]]).exits(2).stderr_has("evidence");
    test.runbook(&["done", &run, "list", "--all", "--attach", "nowhere.txt", &keys[0]]).exits(2);
    test.write("proof.txt", "what I saw\n");
    test.runbook(&["done", &run, "list", "--all", "--attach", "proof.txt", &keys[0], "--resume"]).succeeds();
    // What is attached is the run's own from then on.
    test.write("proof.txt", "something else\n");
    let journal = test.journal(&run);
    let answers = journal.of("gate_answered", "list");
    let evidence = &answers.last().unwrap()["evidence"][0];
    let sum = Command::new("sh").args(["-c", "printf 'what I saw\\n' | sha256sum"]).output().unwrap();
    assert!(
        String::from_utf8(sum.stdout).unwrap().starts_with(evidence["sha256"].as_str().unwrap()),
        "{evidence}"
    );
    let kept: Vec<_> = test
        .state_files()
        .into_iter()
        .filter(|path| std::fs::read(path).is_ok_and(|content| content == b"what I saw\n"))
        .collect();
    assert_eq!(kept.len(), 1, "{evidence}");
    let by = journal.finished("list")["by"].clone();
    assert_eq!(test.ledger().len(), 1);
    assert!(
        by.as_array().unwrap().contains(&"ana".into()) && by.as_array().unwrap().contains(&"bob".into()),
        "{by}"
    );
    test.runbook(&["verify", &run]).succeeds();
    let path = &kept[0];
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(path, "forged\n").unwrap();
    test.runbook(&["verify", &run]).exits(1);
}

/// An agent of its own, ended with the test.
struct Agent {
    pid: u32,
    socket: String,
}

impl Agent {
    fn start(test: &TestEnvironment) -> Self {
        let socket = test.outside("agent").display().to_string();
        let output = Command::new("ssh-agent").args(["-s", "-a", &socket]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let pid = said.split("SSH_AGENT_PID=").nth(1).and_then(|rest| rest.split(';').next());
        Self { pid: pid.unwrap().parse().unwrap(), socket }
    }

    fn add(&self, path: &str) {
        let added = Command::new("ssh-add").args(["-q", path]).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(added.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
    }
}

#[test]
fn an_agent_signs_with_the_key_that_the_project_lists() {
    let test = TestEnvironment::with(&approval("signed: true, from: [ana]"));
    let keys = signers(&test, "");
    let path = |key: &str| key.strip_prefix("--sign=").unwrap().to_owned();
    let agent = Agent::start(&test);
    let (stranger, _) = key(&test, "stranger");
    agent.add(&stranger);
    let test = test.variable("SSH_AUTH_SOCK", &agent.socket);
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    // Of the keys that it has, nobody's is listed; then somebody's who may not; then hers.
    let refused = test.runbook(&["approve", &run, "--sign"]).whatever_status();
    assert!(matches!(refused.code(), 2 | 5), "{refused}");
    assert!(test.journal(&run).of("gate_answered", "gate").is_empty());
    agent.add(&path(&keys[0]));
    // The key itself is no longer needed.
    std::fs::remove_file(path(&keys[0])).unwrap();
    test.runbook(&["approve", &run, "--sign", "--reason", "by agent"]).succeeds();
    let journal = test.journal(&run);
    let answer = journal.one("gate_answered", "gate");
    assert_eq!((&answer["by"], &answer["identity"]), (&"ana".into(), &"signed".into()));
    test.runbook(&["verify", &run]).succeeds();
    test.runbook(&["resume", &run]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
}

/// What is changed for another try is shown with what it was, and reaches the entries that are made of it; later steps have what is declared.
#[test]
fn retry_with_a_changed_variable_of_the_runbook_reaches_the_step() {
    let test = TestEnvironment::new();
    test.write(
        "runbooks/main.yaml",
        &format!(
            r#"
env: {{LEDGER: {}, HOST: db-1}}
steps:
  - id: flaky
    env: {{PORT: "1", URL: "postgres://{{{{ env.HOST }}}}:{{{{ env.PORT }}}}"}}
    on_failure: ask
    run: 'echo "$HOST $URL" >> "$LEDGER"; [ "$HOST$PORT" = db-22 ]'
  - {{id: after, run: 'echo "$HOST" >> "$LEDGER"'}}
"#,
            test.outside("ledger").display()
        ),
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["answer", &run, "flaky", "retry", "--env", "HSOT=db-2"]).exits(2).stderr_has("HOST");
    test.runbook(&["answer", &run, "flaky", "retry", "--env", "HOST=db-2", "--env", "PORT=2", "--resume"])
        .succeeds()
        .stdout_or_stderr_has("HOST=db-2 (was db-1), PORT=2 (was 1)");
    assert_eq!(test.ledger(), ["db-1 postgres://db-1:1", "db-2 postgres://db-2:2", "db-1"]);
    assert!(test.journal(&run).of("step_started", "flaky")[1]["why"].as_str().unwrap().contains("HOST=db-2"));
}
