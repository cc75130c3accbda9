//! Groups, calls, steps with items, and rounds (language §3, §4).

use serde_json::json;

use crate::helpers::{TestEnvironment, eventually};

#[test]
fn a_group_is_one_step_to_those_outside_and_names_its_own() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: build, run: echo outside}
  - id: stage
    env: {WHERE: stage}
    outputs: {word: steps.second.stdout}
    steps:
      - {id: first, run: 'echo "$WHERE {{ steps.build.stdout }}"'}
      - {id: second, run: 'echo "after {{ steps.first.stdout }}"'}
  - {id: last, needs: [stage], run: 'echo "{{ steps.stage.outcome }} {{ steps.stage.outputs.word }} {{ steps["stage.first"].stdout }}" >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["succeeded after stage outside stage outside"]);
    let journal = test.journal(&run);
    assert!(journal.seq("step_started", "stage") < journal.seq("step_started", "stage.first"));
    assert!(journal.seq("step_finished", "stage.second") < journal.seq("step_finished", "stage"));
    assert!(journal.seq("step_finished", "stage") < journal.seq("step_started", "last"));
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let steps: Vec<(&str, Option<&str>)> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["id"].as_str().unwrap(), step["group"].as_str()))
        .collect();
    assert_eq!(
        steps,
        [("build", None), ("stage.first", Some("stage")), ("stage.second", Some("stage")), ("last", None)]
    );
    assert_eq!(plan["steps"][3]["needs"], json!(["stage.second"]));
}

#[test]
fn what_fails_inside_fails_the_group_and_on_failure_of_the_group_decides() {
    for (on_failure, status, end) in
        [("stop", 1, "blocked"), ("continue", 1, "succeeded"), ("warn", 0, "succeeded")]
    {
        let test = TestEnvironment::with(&format!(
            r#"
steps:
  - id: stage
    on_failure: {on_failure}
    steps:
      - {{id: bad, run: exit 3}}
      - {{id: next, run: echo no >> "$LEDGER"}}
  - {{id: after, run: "true"}}
"#
        ));
        let run = test.runbook(&["run", "main"]).exits(status).run_id();
        assert!(test.ledger().is_empty(), "{on_failure}");
        for (step, outcome) in
            [("stage", "failed"), ("stage.bad", "failed"), ("stage.next", "blocked"), ("after", end)]
        {
            assert_eq!(test.step_outcome(&run, step), outcome, "{on_failure} {step}");
        }
        assert!(test.journal(&run).reason("stage").starts_with("exit"), "{on_failure}");
    }
}

#[test]
fn a_skipped_group_skips_its_steps_and_when_is_settled_once() {
    let test = TestEnvironment::with(
        r#"
params: {go: false}
steps:
  - id: stage
    when: params.go
    steps:
      - {id: a, run: echo a >> "$LEDGER"}
      - {id: inner, steps: [{id: b, run: echo b >> "$LEDGER"}]}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    for step in ["stage", "stage.a", "stage.inner", "stage.inner.b"] {
        assert_eq!(test.step_outcome(&run, step), "skipped", "{step}");
    }
    assert_eq!(test.ledger(), ["after"]);
}

#[test]
fn retry_takes_dotted_ids_and_the_rest_of_the_group_goes_on() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: stage
    steps:
      - {id: one, run: echo one >> "$LEDGER"}
      - {id: two, run: 'test -e ready && echo two >> "$LEDGER"'}
      - {id: three, run: echo three >> "$LEDGER"}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.runbook(&["resume", &run]).exits(7).stderr_has("--retry stage.two");
    test.write("ready", "");
    test.runbook(&["resume", &run, "--retry", "stage.two"]).succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ["one", "two", "three", "after"]);
    let journal = test.journal(&run);
    assert_eq!(journal.of("step_started", "stage").len(), 2);
    assert!(!journal.of("step_started", "stage")[1]["why"].is_null());
}

#[test]
fn a_called_runbook_is_inlined_with_its_parameters_outputs_and_finally() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: find, run: echo zetra}
  - {id: backup, call: dump, with: {database: "{{ steps.find.stdout }}", copies: 2}}
  - {id: use, run: 'echo "used {{ steps.backup.outputs.file }}" >> "$LEDGER"'}
"#,
    );
    test.write(
        "runbooks/dump.yaml",
        r#"
params: {database: {type: string, pattern: '[a-z]+'}, copies: 1}
env: {NAME: "{{ params.database }}"}
outputs: {file: steps.dump.outputs.file}
steps:
  - {id: dump, run: 'echo "$NAME x{{ params.copies }}" >> "$LEDGER"; echo file=b.sql >> "$RUNBOOK_OUTPUT"'}
finally:
  - {id: tidy, run: 'echo "tidy {{ steps.dump.outcome }}" >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["zetra x2", "tidy succeeded", "used b.sql"]);
    assert_eq!(test.step_outcome(&run, "backup.dump"), "succeeded");
    assert_eq!(test.journal(&run).finished("backup")["outputs"], json!({"file": "b.sql"}));
}

#[test]
fn the_finally_of_a_called_runbook_runs_after_a_failure_inside() {
    let test = TestEnvironment::with(
        "steps:\n  - {id: backup, call: dump}\n  - {id: after, run: echo no >> \"$LEDGER\"}\n",
    );
    test.runbook_named(
        "dump",
        r#"
steps:
  - {id: dump, run: exit 2}
  - {id: more, run: echo no >> "$LEDGER"}
finally:
  - {id: tidy, run: 'echo "tidy {{ steps.dump.outcome }}" >> "$LEDGER"'}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(test.ledger(), ["tidy failed"]);
    for (step, outcome) in [("backup", "failed"), ("backup.more", "blocked"), ("after", "blocked")] {
        assert_eq!(test.step_outcome(&run, step), outcome, "{step}");
    }
}

#[test]
fn mistakes_of_calls_are_found_before_anything_runs() {
    let test = TestEnvironment::with("steps:\n  - {id: a, call: two, with: {nmae: x}}\n");
    test.runbook_named("two", "params: {name: {}}\nsteps:\n  - {id: b, run: 'echo {{ steps.c.stdout }}'}\n");
    let found = test.runbook(&["validate", "main", "--format", "json"]).exits(1).json();
    let said = |code: &str, file: &str| {
        let fits = |finding: &serde_json::Value| {
            finding["code"] == code && finding["file"].as_str().is_some_and(|name| name.ends_with(file))
        };
        assert!(found.as_array().unwrap().iter().any(fits), "{code} in {file}: {found:#}");
    };
    said("unknown-param", "main.yaml");
    said("missing-param", "main.yaml");
    said("undefined-name", "two.yaml");
    // A circle is shown whole.
    test.runbook_named("two", "steps:\n  - {id: b, call: three}\n");
    test.runbook_named("three", "steps:\n  - {id: c, call: two}\n");
    test.write("runbooks/main.yaml", "steps:\n  - {id: a, call: two}\n");
    test.runbook(&["run", "main"]).exits(2).stderr_has("two → three → two");
    test.write("runbooks/main.yaml", "steps:\n  - {id: a, call: tow}\n");
    test.runbook(&["run", "main"]).exits(2).stderr_has("did you mean `two`?");
}

#[test]
fn for_each_runs_once_per_item_of_a_list_known_only_in_the_run() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: hosts, run: 'printf "a\nb b\nc\n"'}
  - {id: deploy, for_each: steps.hosts.lines, run: 'echo "{{ index }} {{ item }}" | tee -a "$LEDGER"'}
  - id: verify
    for_each: steps.deploy.items | map(attribute="stdout")
    steps:
      - {id: look, run: 'echo "look {{ item }}"'}
      - {id: tell, run: 'echo "{{ steps.look.stdout }}" >> "$LEDGER"'}
  - {id: nothing, for_each: [], run: exit 1}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(test.ledger(), ["0 a", "1 b b", "2 c", "look 0 a", "look 1 b b", "look 2 c"]);
    let journal = test.journal(&run);
    assert_eq!(journal.one("items", "deploy")["list"], json!(["a", "b b", "c"]));
    for step in ["deploy[1]", "verify[2].tell", "nothing"] {
        assert_eq!(test.step_outcome(&run, step), "succeeded", "{step}");
    }
    assert!(test.run_folder(&run).join("logs/verify.0.look.1.log").is_file());
    test.runbook(&["logs", &run, "deploy[1]"]).succeeds().stdout_has("1 b b");
}

#[test]
fn a_value_that_is_no_list_fails_the_step() {
    let test = TestEnvironment::with(
        "steps:\n  - {id: one, run: echo one}\n  - {id: each, for_each: steps.one.stdout, run: echo no}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    let reason = test.journal(&run).reason("each");
    assert!(reason.starts_with("template") && reason.contains("must be a list"), "{reason}");
}

#[test]
fn so_many_failed_items_are_tolerated_and_with_one_more_no_further_starts() {
    let runbook = |tolerated: u32| {
        format!(
            "steps:\n  - {{id: each, for_each: [1, 0, 1, 0, 1], max_failures: {tolerated}, run: 'echo \"{{{{ index }}}}\" >> \"$LEDGER\"; exit {{{{ item }}}}'}}\n  - {{id: after, run: 'true'}}\n"
        )
    };
    let tolerant = TestEnvironment::with(&runbook(3));
    let run = tolerant.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(tolerant.ledger(), ["0", "1", "2", "3", "4"]);
    assert_eq!(tolerant.step_outcome(&run, "each[0]"), "failed");
    assert_eq!(tolerant.step_outcome(&run, "each"), "succeeded");
    let strict = TestEnvironment::with(&runbook(1));
    let run = strict.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(strict.ledger(), ["0", "1", "2"]);
    for (step, outcome) in [("each", "failed"), ("each[3]", "cancelled"), ("after", "blocked")] {
        assert_eq!(strict.step_outcome(&run, step), outcome, "{step}");
    }
}

#[test]
fn batches_are_cumulative_and_the_next_starts_when_the_one_before_ended() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: each
    for_each: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    batches: [1, 10%, 100%]
    max_parallel: 20
    run: echo {{ item }}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let journal = test.journal(&run);
    let at = |kind: &str, item: usize| journal.seq(kind, &format!("each[{item}]"));
    // One; then up to 10 % of eleven, rounded up: two; then all.
    assert!(at("step_finished", 0) < at("step_started", 1));
    for later in 2..11 {
        assert!(at("step_finished", 1) < at("step_started", later), "{later}");
    }
    assert!(at("step_started", 10) < (2..11).map(|item| at("step_finished", item)).max().unwrap());
}

#[test]
fn one_item_after_the_other_unless_told_otherwise() {
    let test = TestEnvironment::with("steps:\n  - {id: each, for_each: [a, b, c], run: 'echo {{ item }}'}\n");
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let journal = test.journal(&run);
    for item in 0..2 {
        let (ended, next) = (format!("each[{item}]"), format!("each[{}]", item + 1));
        assert!(journal.seq("step_finished", &ended) < journal.seq("step_started", &next), "{item}");
    }
}

#[test]
fn a_failed_item_is_retried_alone() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: each, for_each: [a, b, c], run: 'echo "{{ item }}" >> "$LEDGER"; test "{{ item }}" != b || test -e ready'}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    test.write("ready", "");
    // Of a step with items its failed items are meant.
    test.runbook(&["resume", &run, "--retry", "each"]).succeeds();
    assert_eq!(test.ledger(), ["a", "b", "b", "c"]);
    assert_eq!(test.journal(&run).kind("items").len(), 1, "items are never computed again");
}

#[test]
fn a_group_is_repeated_until_it_holds_with_its_gates_asked_anew() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: triage
    repeat: {until: steps.look.stdout == "2", times: 3}
    steps:
      - {id: try, manual: Try something}
      - {id: look, run: 'echo x >> count; grep -c x count'}
  - {id: after, run: echo after >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["done", &run, "triage.try", "--resume"]).exits(3);
    test.runbook(&["done", &run, "triage.try", "--resume"]).succeeds();
    assert_eq!(test.ledger(), ["after"]);
    let journal = test.journal(&run);
    assert_eq!(journal.of("step_started", "triage").len(), 2);
    assert_eq!(journal.of("gate_opened", "triage.try").len(), 2);
    assert_eq!(journal.finished("triage")["outcome"], "succeeded");
}

#[test]
fn after_so_many_rounds_the_group_fails() {
    let test = TestEnvironment::with(
        "steps:\n  - id: g\n    repeat: {until: 'false', times: 3}\n    steps: [{id: a, run: echo x >> \"$LEDGER\"}]\n",
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(test.ledger().len(), 3);
    assert!(test.journal(&run).reason("g").starts_with("expectation"));
}

#[test]
fn a_rejection_inside_rejects_the_group_and_the_run() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: stage
    on_failure: continue
    steps:
      - {id: gate, approve: Go on?}
      - {id: next, run: echo no >> "$LEDGER"}
  - {id: after, run: echo no >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main", "--answer", "stage.gate=reject:not today"]).exits(4).run_id();
    assert_eq!(test.step_outcome(&run, "stage"), "rejected");
    assert!(test.ledger().is_empty());
}

#[test]
fn killed_in_the_middle_of_its_items_it_goes_on_with_the_rest() {
    let test = TestEnvironment::with(
        r#"
steps:
  - id: each
    for_each: [a, b, c, d]
    run: |
      echo {{ item }} >> "$LEDGER"
      if [ {{ index }} = 2 ]; then while [ -e "$HOLD" ]; do sleep 0.02; done; fi
      echo value={{ item }} >> "$RUNBOOK_OUTPUT"
  - {id: after, run: 'echo "{{ steps.each.items | map(attribute="outputs.value") | join(",") }}" >> "$LEDGER"'}
"#,
    );
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the third item", || test.ledger().contains(&"c".to_owned()).then_some(()));
    let _ = live.kill();
    test.release();
    test.runbook(&["resume", &run]).succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ["a", "b", "c", "d", "a,b,c,d"]);
    let journal = test.journal(&run);
    assert_eq!(journal.kind("items").len(), 1);
    assert_eq!(journal.of("step_started", "each").len(), 1);
}

/// A gate of an item is answered ahead by its index.
#[test]
fn gates_of_items_are_answered_ahead_by_index() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: go, for_each: [x, y], approve: {prompt: 'Send {{ item }}?'}}
  - id: stage
    for_each: [p]
    steps:
      - {id: sure, manual: 'Look at {{ item }}'}
      - {id: act, run: 'echo {{ item }} >> "$LEDGER"'}
"#,
    );
    let ahead = ["--approve", "go[0]=seen", "--approve", "go[1]=seen", "--answer", "stage[0].sure=done"];
    test.runbook(&[&["run", "main"][..], &ahead].concat()).succeeds();
    assert_eq!(test.ledger(), ["p"]);
    let refused = test.runbook(&["run", "main", "--approve", "go=seen"]).exits(2);
    assert!(refused.stderr.contains("go[0]"), "{refused}");
    test.runbook(&["run", "main", "--approve", "go[x]=seen"]).exits(2);
    test.runbook(&["run", "main", "--answer", "stage[0].act=done"]).exits(2);
    // Short of an item the run parks.
    let parked = test.runbook(&["run", "main", "--approve", "go[0]=seen"]).exits(3);
    assert!(parked.stderr.contains("go[1]"), "{parked}");
}
