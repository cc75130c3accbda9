//! Secrets reach commands and no sink (language §7, engine §5).

use std::process::Command;

use crate::helpers::{Terminal, TestEnvironment};

const SECRET: &str = "s3cr3t+/Value=with&odd'chars";

fn with_secret() -> TestEnvironment {
    let test = TestEnvironment::new().variable("TOKEN_SOURCE", SECRET);
    test.runbook_named(
        "main",
        r#"
secrets: {token: {env: TOKEN_SOURCE}}
steps:
  - id: use
    env: {TOKEN: "{{ secrets.token }}"}
    run: |
      printf '%s' "$TOKEN" > received
      echo "plain $TOKEN"
      # In two writes, which the reader meets apart.
      half=$(( ${#TOKEN} / 2 ))
      printf '%s' "halves ${TOKEN:0:half}"
      ls > /dev/null
      printf '%s\n' "${TOKEN:half}"
      printf '%s' "$TOKEN" | base64 -w0; echo
      printf '%s' "user:$TOKEN" | base64 -w0; echo
      printf '%q\n' "$TOKEN"
      echo "on stderr $TOKEN" >&2
      echo "output=$TOKEN" >> "$RUNBOOK_OUTPUT"
      exit 1
"#,
    );
    test
}

/// Every spelling that the step printed.
fn spellings() -> Vec<String> {
    let base64 = |text: &str| {
        let script = "printf '%s' \"$1\" | base64 -w0";
        let output = Command::new("bash").args(["-c", script, "bash", text]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let quoted = Command::new("bash").args(["-c", "printf '%q' \"$1\"", "bash", SECRET]).output().unwrap();
    let within = base64(&format!("user:{SECRET}"));
    // Of a longer text's encoding, what depends on the secret alone.
    let inner = within[8..within.len() - 4].to_owned();
    vec![SECRET.into(), base64(SECRET), inner, String::from_utf8(quoted.stdout).unwrap()]
}

#[test]
fn no_file_of_the_state_directory_and_no_stream_holds_a_secret() {
    let test = with_secret();
    let mut output = test.runbook(&["run", "main"]).exits(1);
    assert_eq!(test.read("received"), SECRET, "the command itself gets it");
    let run = output.run_id();
    for arguments in [
        &["logs", &run, "use"][..],
        &["status", &run],
        &["status", &run, "--format", "json"],
        &["plan", "main"],
        &["run", "main", "--format", "json"],
    ] {
        let next = test.runbook(arguments).whatever_status();
        output.stdout.push_str(&next.stdout);
        output.stderr.push_str(&next.stderr);
    }
    assert!(output.stderr.contains("plain "), "{output}");
    for spelling in spellings() {
        output = output.lacks(&spelling);
        for file in test.state_files() {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(spelling.len()).any(|window| window == spelling.as_bytes());
            assert!(!found, "{spelling} in {}", file.display());
        }
    }
}

#[test]
fn no_terminal_shows_a_secret() {
    let test = with_secret();
    let (code, shown) = Terminal::start(test.command(&["run", "main", "--on-failure", "stop"])).finish();
    assert_eq!(code, 1, "{shown}");
    for spelling in spellings() {
        assert!(!shown.contains(&spelling), "{spelling} in {shown}");
    }
}

#[test]
fn a_secret_that_cannot_be_had_or_kept_is_refused_before_anything_runs() {
    let body = |secret: &str| {
        format!(
            "\nsecrets: {{token: {secret}}}\nsteps:\n  - {{id: a, env: {{T: '{{{{ secrets.token }}}}'}}, run: echo a >> \"$LEDGER\"}}\n"
        )
    };
    for (secret, named) in [
        ("{env: NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"),
        ("{env: SHORT}", "token"),
        ("{file: no/such/file}", "no/such/file"),
        ("{command: [\"false\"]}", "token"),
    ] {
        let test = TestEnvironment::new().variable("SHORT", "12345");
        test.runbook_named("main", &body(secret));
        test.runbook(&["run", "main"]).exits(2).stderr_has(named);
        assert!(test.ledger().is_empty() && test.runs().is_empty(), "{secret}");
    }
}

#[test]
fn secrets_come_from_files_and_commands_without_their_last_newline() {
    let test = TestEnvironment::new();
    test.write("token.txt", "from-a-file\n");
    test.runbook_named(
        "main",
        r#"
secrets: {file: {file: token.txt}, made: {command: [echo, from-a-command]}}
steps:
  - {id: a, env: {A: "{{ secrets.file }}", B: "{{ secrets.made }}"}, run: printf '%s|%s' "$A" "$B" > seen}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.read("seen"), "from-a-file|from-a-command");
}

#[test]
fn a_secret_has_no_place_in_a_script_and_a_parameter_none_for_a_secret() {
    let test = TestEnvironment::new().variable("TOKEN_SOURCE", SECRET);
    test.runbook_named(
        "main",
        "\nsecrets: {token: {env: TOKEN_SOURCE}}\nsteps:\n  - {id: a, run: 'echo {{ secrets.token }}'}\n",
    );
    test.runbook(&["validate", "main"]).exits(1).stdout_or_stderr_has("env");
    test.runbook(&["run", "main"]).exits(2);

    test.runbook_named(
        "main",
        "\nparams: {p: {default: x}}\nsecrets: {token: {env: TOKEN_SOURCE}}\nsteps:\n  - {id: a, env: {T: '{{ secrets.token }}'}, run: echo a >> \"$LEDGER\"}\n",
    );
    test.runbook(&["run", "main", "-p", &format!("p={SECRET}")]).exits(2).lacks(SECRET);
    assert!(test.ledger().is_empty());
}

/// A run that is parked has no process that knows its secrets: who types reads those that are at hand, variables and files.
/// Answers stay in the inbox as they were put there, so that they are masked before.
#[test]
fn what_people_type_about_a_parked_run_is_masked() {
    const IN_VARIABLE: &str = "s3cr3t-value-of-42";
    const IN_FILE: &str = "from-a-file-4711";
    let test = TestEnvironment::with(
        "secrets: {token: {env: TOKEN}, key: {file: key.txt}, gone: {file: gone.txt}}
steps:
  - {id: go, approve: {prompt: Go?, fields: {ticket: {type: string, required: false}}}}
  - {id: m, needs: [], manual: {prompt: M, evidence: optional}}
  - {id: bad, needs: [], run: exit 3, on_failure: ask}
",
    )
    .variable("TOKEN", IN_VARIABLE);
    test.write("key.txt", &format!("{IN_FILE}\n"));
    let gone = test.write("gone.txt", "not-needed-to-answer\n");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    // What can't be had any more keeps nobody from answering.
    std::fs::remove_file(gone).unwrap();
    let said = format!("{IN_VARIABLE} and {IN_FILE}");
    test.runbook(&["note", &run, &said]).succeeds().lacks(IN_FILE);
    let field = format!("ticket={said}");
    test.runbook(&["approve", &run, "go", "--reason", &said, "--field", &field]).succeeds().lacks(IN_FILE);
    test.runbook(&["done", &run, "m", "--note", &said, "--link", &said]).succeeds();
    test.runbook(&["answer", &run, "bad", "skip", "--reason", &said]).succeeds();
    let journal = test.journal(&run);
    for kind in ["note", "gate_answered", "step_skipped"] {
        for event in journal.kind(kind) {
            assert!(event.to_string().contains("‹secrets.token› and ‹secrets.key›"), "{event}");
        }
    }
    assert_eq!(journal.kind("gate_answered").len(), 3);
    for file in test.state_files() {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(IN_VARIABLE) && !text.contains(IN_FILE), "{}: {text}", file.display());
    }
    test.runbook(&["verify", &run]).succeeds();
}

/// The process that holds a run knows all; what reaches it by way of the inbox is masked there, too, before it is a file.
#[test]
fn what_people_type_about_a_live_run_is_masked_in_the_inbox() {
    const SECRET: &str = "s3cr3t-value-of-42";
    let test = TestEnvironment::with(
        "secrets: {token: {env: TOKEN}}\nsteps:\n  - {id: go, approve: {prompt: Go?}}\n  - {id: m, manual: M}\n",
    )
    .variable("TOKEN", SECRET);
    let mut live = test.spawn(&["run", "main", "--wait"]);
    let run = live.run_id();
    let open = |step: &'static str| {
        crate::helpers::eventually("the question", || {
            (!test.journal(&run).of("gate_opened", step).is_empty()).then_some(())
        });
    };
    open("go");
    test.runbook(&["note", &run, SECRET]).succeeds();
    test.runbook(&["approve", &run, "go", "--reason", SECRET]).succeeds();
    open("m");
    test.runbook(&["cancel", &run, "--reason", SECRET]).succeeds();
    live.wait().exits(1);
    for file in test.state_files() {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(SECRET), "{}: {text}", file.display());
    }
}

/// A file is kept, and recorded, under its own name: one that tells a secret is refused before it is.
#[test]
fn an_artifact_whose_name_holds_a_secret_is_not_kept() {
    const NAME: &str = "s3cr3t-in-a-name";
    let test = TestEnvironment::with(
        "secrets: {token: {env: TOKEN_SOURCE}}\nsteps:\n  - id: a\n    env: {T: '{{ secrets.token }}'}\n    run: touch \"dump-$T.sql\"\n    artifacts: ['dump-*.sql']\n",
    )
    .variable("TOKEN_SOURCE", NAME);
    let output =
        test.runbook(&["run", "main"]).exits(1).stderr_has("the name of a file holds the secret `token`");
    assert!(!output.stderr.contains(NAME) && !output.stdout.contains(NAME), "{output}");
    let run = test.only_run();
    assert!(test.journal(&run).of("artifact", "a").is_empty());
    for path in test.state_files() {
        assert!(!path.to_string_lossy().contains(NAME), "{}", path.display());
        let content = std::fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains(NAME), "{}", path.display());
    }
}
