//! What a step leaves for later ones: `stdout` and its kin, outputs, artifacts; and `inputs` (language §3, §7).

use sha2::{Digest, Sha256};

use crate::helpers::TestEnvironment;

#[test]
fn later_steps_see_what_earlier_ones_printed() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: text, run: 'printf "one\ntwo\n\n"; echo trouble >&2'}
  - {id: count, run: echo 41}
  - {id: data, run: "echo '{\"name\": {\"deep\": [1, 2]}}'"}
  - id: use
    env:
      TEXT: "{{ steps.text.stdout }}"
      LINES: "{{ steps.text.lines | length }}"
      TROUBLE: "{{ steps.text.stderr }}"
      SUM: "{{ steps.count.number + 1 }}"
      DEEP: "{{ steps.data.json.name.deep[1] }}"
      CODE: "{{ steps.text.exit_code }}"
      OUTCOME: "{{ steps['text'].outcome }}"
    run: printf '%s|%s|%s|%s|%s|%s|%s' "$TEXT" "$LINES" "$TROUBLE" "$SUM" "$DEEP" "$CODE" "$OUTCOME" > seen
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.read("seen"), "one\ntwo|2|trouble|42|2|0|succeeded");
}

#[test]
fn outputs_come_from_the_file_and_from_expressions() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: make
    run: |
      echo file=first >> "$RUNBOOK_OUTPUT"
      echo file=a=b c >> "$RUNBOOK_OUTPUT"
      printf 'text<<END\nline 1\nx=y\nEND\n' >> "$RUNBOOK_OUTPUT"
      echo "$RUNBOOK_OUTPUT" > where
      echo 12
    outputs: {twice: number * 2}
  - id: use
    env: {FILE: "{{ steps.make.outputs.file }}", TEXT: "{{ steps.make.outputs.text }}", TWICE: "{{ steps.make.outputs.twice }}"}
    run: printf '%s|%s|%s' "$FILE" "$TEXT" "$TWICE" > seen
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.read("seen"), "a=b c|line 1\nx=y|24");
    let journal = test.journal(&run);
    let outputs = &journal.finished("make")["outputs"];
    assert_eq!((&outputs["file"], &outputs["twice"]), (&"a=b c".into(), &24.into()), "{outputs}");
    let file = test.read("where");
    assert!(!std::path::Path::new(file.trim()).exists(), "the file is gone with the step");
}

#[test]
fn a_line_that_is_no_output_fails_the_step() {
    for line in ["nonsense", "1x=2", "a b=c"] {
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n  - {{id: a, run: 'echo \"{line}\" >> \"$RUNBOOK_OUTPUT\"'}}\n"
        ));
        let run = test.runbook(&["run", "main"]).exits(1).run_id();
        assert!(
            test.journal(&run).reason("a").starts_with("output"),
            "{line}: {}",
            test.journal(&run).reason("a")
        );
    }
}

#[test]
fn outputs_of_a_failed_step_are_read_too() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: bad, run: 'echo why=disk >> "$RUNBOOK_OUTPUT"; exit 1', on_failure: continue}
  - {id: use, run: 'echo {{ steps.bad.outputs.why }} >> "$LEDGER"'}
"#,
    );
    test.runbook(&["run", "main"]).exits(1);
    assert_eq!(test.ledger(), ["disk"]);
}

/// Of a step that was skipped there is nothing to use; `default` says what then.
#[test]
fn the_result_of_a_skipped_step_is_undefined() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: off, when: "false", run: echo x}
  - {id: fallback, run: 'echo {{ steps.off.stdout | default("nothing") }} >> "$LEDGER"'}
  - {id: careless, run: 'echo {{ steps.off.stdout }} >> "$LEDGER"'}
finally:
  - {id: tell, run: 'echo {{ steps.off.stdout }} >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert!(
        test.journal(&run).reason("careless").starts_with("template"),
        "{}",
        test.journal(&run).reason("careless")
    );
    assert_eq!(test.ledger(), ["nothing", "‹steps.off.stdout: skipped›"]);
}

#[test]
fn artifacts_are_copied_with_their_hash() {
    let test = TestEnvironment::with(
        r#"
params: {name: report}
steps:
  - {id: make, cwd: out, run: 'printf one > {{ params.name }}-1.txt; printf two > {{ params.name }}-2.txt; printf no > other', artifacts: ["{{ params.name }}-*.txt"]}
"#,
    );
    test.write("out/.keep", "");
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let journal = test.journal(&run);
    let artifacts = journal.of("artifact", "make");
    let mut seen: Vec<_> =
        artifacts.iter().map(|a| (a["path"].as_str().unwrap(), a["size"].as_u64().unwrap())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("report-1.txt", 3), ("report-2.txt", 3)]);
    for artifact in artifacts {
        let content = if artifact["path"] == "report-1.txt" { "one" } else { "two" };
        let hash: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(artifact["sha256"], hash);
        let kept = test.state_files().into_iter().any(|file| {
            file.starts_with(test.run_folder(&run))
                && std::fs::read(&file).is_ok_and(|bytes| bytes == content.as_bytes())
        });
        assert!(kept, "a copy of {content} in the run's folder");
    }
}

#[test]
fn an_input_that_changes_within_the_run_fails_its_step() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: tamper, run: 'echo "echo evil >> $LEDGER" > script.sh'}
  - {id: use, run: sh script.sh, inputs: [script.sh]}
"#,
    );
    test.write("script.sh", "echo good >> \"$LEDGER\"\n");
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert!(test.ledger().is_empty(), "{:?}", test.ledger());
    assert!(test.journal(&run).reason("use").starts_with("inputs"), "{}", test.journal(&run).reason("use"));
}

#[test]
fn a_folder_of_the_run_is_kept_for_its_own_files() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: write, run: echo kept > "$RUNBOOK_RUN_DIR/file"}
  - {id: read, run: 'cat {{ run.dir }}/file >> "$LEDGER"; echo {{ run.dir }} > where'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["kept"]);
    assert_eq!(std::fs::read_to_string(format!("{}/file", test.read("where").trim())).unwrap(), "kept\n");
}

#[test]
fn logs_prints_what_a_step_printed() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - {id: talk, run: 'echo to-stdout; echo to-stderr >&2'}\n  - {id: more, run: echo other}\n",
    );
    let run = test.runbook(&["run", "main"]).succeeds().stderr_has("to-stdout").run_id();
    test.runbook(&["logs", &run, "talk"])
        .succeeds()
        .stdout_has("to-stdout")
        .stdout_has("to-stderr")
        .lacks("other");
    test.runbook(&["logs", &run, "talk", "--stderr"]).succeeds().stdout_has("to-stderr").lacks("to-stdout");
}

#[test]
fn log_limit_keeps_head_and_tail_and_counts_what_it_drops() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: loud
    log_limit: 64KiB
    run: |
      echo the-head
      i=0; while [ $i -lt 4000 ]; do echo "line $i of what is too much for the limit"; i=$((i + 1)); done
      echo the-tail
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    test.runbook(&["logs", &run, "loud"])
        .succeeds()
        .stdout_has("the-head")
        .stdout_has("the-tail")
        .lacks("line 2000 ");
    let dropped = test.journal(&run).finished("loud")["dropped_bytes"].as_u64().unwrap();
    assert!(dropped > 64 * 1024, "{dropped}");
}
