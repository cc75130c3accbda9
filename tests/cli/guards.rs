//! What stands before a start: tags, windows, locks (language §3, §9; cli).

use crate::helpers::TestEnvironment;

const TAGGED: &str = r#"
steps:
  - {id: build, run: echo build >> "$LEDGER", tags: [code]}
  - {id: gate, approve: {prompt: Go on?}}
  - {id: docs, run: echo docs >> "$LEDGER", tags: [docs, slow]}
  - {id: plain, run: echo plain >> "$LEDGER"}
"#;

#[test]
fn tags_choose_steps_and_never_leave_an_approval_out() {
    let table: &[(&[&str], &[&str])] = &[
        (&["--tags", "code"], &["build"]),
        (&["--tags", "code,docs"], &["build", "docs"]),
        (&["--skip-tags", "slow"], &["build", "plain"]),
        (&["--tags", "docs", "--skip-tags", "slow"], &[]),
    ];
    for (options, expected) in table {
        let test = TestEnvironment::with(TAGGED);
        let arguments = [&["run", "main", "--approve", "gate=seen"], *options].concat();
        let run = test.runbook(&arguments).succeeds().run_id();
        assert_eq!(test.ledger(), *expected, "{options:?}");
        assert_eq!(test.step_outcome(&run, "gate"), "succeeded");
        let journal = test.journal(&run);
        for skipped in journal.kind("step_skipped") {
            let reason = skipped["reason"].as_str().unwrap();
            assert!(reason.contains(options[options.len() - 2]) || reason.contains(options[0]), "{reason}");
        }
        // The approval waits for people, whatever the tags.
        let test = TestEnvironment::with(TAGGED);
        test.runbook(&[&["run", "main"], *options].concat()).exits(3);
    }
}

#[test]
fn tags_that_no_step_has_are_mistakes() {
    let test = TestEnvironment::with(TAGGED);
    test.runbook(&["run", "main", "--tags", "cod"]).exits(2).stderr_has("did you mean `code`?");
    test.runbook(&["run", "main", "--skip-tags", "nothing"]).exits(2);
    assert!(test.runs().is_empty());
    let plan = test.runbook(&["plan", "main", "--tags", "code", "--format", "json"]).succeeds().json();
    assert!(plan["steps"][2]["left_out"].as_str().unwrap().contains("--tags code"), "{plan}");
}
