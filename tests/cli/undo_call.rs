//! `undo: {call: …}`: a step is undone by a whole runbook, with its gates, order, retries and `finally` (language §8).

use crate::helpers::{TestEnvironment, eventually, processes_of_run, send};

/// A step that another runbook undoes, and a failure after it. `steps` are those of that runbook.
fn undone_by(rollback: &str, steps: &str) -> TestEnvironment {
    let test = TestEnvironment::with(&format!(
        r#"
rollback: {rollback}
steps:
  - id: dump
    run: echo "file=b.sql" >> "$RUNBOOK_OUTPUT"
  - id: apply
    env: {{WHO: me}}
    run: |
      echo apply >> "$LEDGER"
      echo "before=v1" >> "$RUNBOOK_OUTPUT"
    undo:
      call: restore
      with: {{file: "{{{{ steps.dump.outputs.file }}}}", version: "{{{{ steps.apply.outputs.before }}}}"}}
  - {{id: two, run: echo two >> "$LEDGER", undo: {{run: echo undo-two >> "$LEDGER"}}}}
  - {{id: bad, run: exit 3, on_failure: stop}}
finally:
  - {{id: last, run: echo last >> "$LEDGER"}}
"#
    ));
    test.runbook_named(
        "restore",
        &format!(
            "params: {{file: {{type: string}}, version: {{type: string}}}}\nsteps:\n{steps}\nfinally:\n  - {{id: tidy, run: echo tidy >> \"$LEDGER\"}}\n"
        ),
    );
    test
}

const THREE: &str = r#"
  - {id: stop, run: echo stop >> "$LEDGER"}
  - {id: load, run: 'echo "load {{ params.file }} {{ params.version }} $WHO" >> "$LEDGER"', undo: {run: echo never >> "$LEDGER"}}
  - {id: start, run: 'echo start >> "$LEDGER"; test ! -e broken'}
"#;

const UNDONE: [&str; 8] = ["apply", "two", "undo-two", "stop", "load b.sql v1 me", "start", "tidy", "last"];

#[test]
fn a_called_runbook_undoes_with_its_parameters_and_finally() {
    let test = undone_by("auto", THREE);
    let run = test.runbook(&["run", "main"]).exits(1).ends("failed").run_id();
    assert_eq!(test.ledger(), UNDONE);
    let journal = test.journal(&run);
    for (kind, step) in [
        ("undo_started", "apply"),
        ("step_started", "apply.undo"),
        ("step_started", "apply.undo.load"),
        ("step_finished", "apply.undo"),
        ("undo_finished", "apply"),
    ] {
        assert_eq!(journal.of(kind, step).len(), 1, "{kind} of {step}");
    }
    assert_eq!(journal.one("undo_finished", "apply")["outcome"], "succeeded");
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    let steps = status["steps"].as_array().unwrap();
    let of =
        |id: &str| steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("{id} in {status}"));
    assert_eq!((&of("apply")["outcome"], &of("apply")["undone"]), (&"succeeded".into(), &true.into()));
    assert_eq!(of("apply.undo.start")["outcome"], "succeeded");
    test.runbook(&["verify", &run]).succeeds();
    assert_eq!(test.runbook(&["rollback", &run]).succeeds().code(), 0);
    assert_eq!(test.ledger(), UNDONE, "nothing is undone twice");
    test.runbook(&["resume", &run]).exits(5);
}

#[test]
fn plan_shows_the_steps_of_the_called_runbook_and_runs_them_from_a_file() {
    let test = undone_by("auto", THREE);
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let apply = &plan["steps"][1];
    assert_eq!((&apply["id"], &apply["undo"]), (&"apply".into(), &"call restore".into()));
    let inside: Vec<&str> =
        apply["undo_steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert_eq!(inside, ["apply.undo.stop", "apply.undo.load", "apply.undo.start", "apply.undo.tidy"]);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 5, "what undoes is no step of the plan: {plan}");
    test.runbook(&["plan", "main"])
        .succeeds()
        .stdout_has("undone by: call restore")
        .stdout_has("echo \"load ‹steps.dump.outputs.file› ‹steps.apply.outputs.before› $WHO\"");
    let file = test.outside("plan.json");
    test.runbook(&["plan", "main", "-o", file.to_str().unwrap()]).succeeds();
    test.runbook(&["run", "--plan", file.to_str().unwrap()]).exits(1);
    assert_eq!(test.ledger(), UNDONE);
}

#[test]
fn a_failure_inside_fails_the_undo_and_rollback_runs_it_again_as_a_whole() {
    let test = undone_by("auto", THREE);
    test.write("broken", "");
    let output = test.runbook(&["run", "main"]).exits(1);
    assert!(output.stderr.contains("The undo of apply failed: exit 1 (apply.undo.start)"), "{output}");
    let run = output.run_id();
    assert_eq!(test.ledger(), UNDONE, "its own finally runs all the same");
    test.runbook(&["resume", &run, "--retry", "apply.undo.start"]).exits(5);
    std::fs::remove_file(test.project().join("broken")).unwrap();
    test.runbook(&["rollback", &run]).succeeds();
    assert_eq!(test.ledger()[8..], ["stop", "load b.sql v1 me", "start", "tidy", "last"]);
    let journal = test.journal(&run);
    let started = journal.of("step_started", "apply.undo.load");
    assert_eq!((started.len(), &started[1]["why"]), (2, &"round 2".into()));
    assert_eq!(journal.of("undo_finished", "apply")[1]["outcome"], "succeeded");
    test.runbook(&["verify", &run]).succeeds();
}

/// A step that is done anew is undone anew, as a whole.
#[test]
fn a_step_that_runs_again_is_undone_again_from_the_beginning() {
    let test = undone_by("auto", THREE);
    let body = test.read("runbooks/main.yaml").replace(
        "{id: two, run: echo two >> \"$LEDGER\", undo: {run: echo undo-two >> \"$LEDGER\"}}",
        "{id: two, run: echo two >> \"$LEDGER\"}",
    );
    test.write("runbooks/main.yaml", &body);
    test.write("broken", "");
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    std::fs::remove_file(test.project().join("broken")).unwrap();
    test.runbook(&["resume", &run, "--from", "apply"]).exits(1);
    let first = ["apply", "two", "stop", "load b.sql v1 me", "start", "tidy", "last"];
    assert_eq!(test.ledger(), [first, first].concat());
    assert_eq!(test.journal(&run).of("undo_finished", "apply")[1]["outcome"], "succeeded");
}

/// Whoever is there decides about the step that failed, and only that is tried again.
#[test]
fn a_failed_step_inside_is_asked_about() {
    let asks = THREE.replace("{id: start,", "{id: start, on_failure: ask,");
    let test = undone_by("auto", &asks);
    test.write("broken", "");
    let output = test.runbook(&["run", "main"]).exits(3);
    let run = output.run_id();
    let journal = test.journal(&run);
    assert_eq!(
        journal.one("gate_opened", "apply.undo.start")["words"],
        serde_json::json!(["retry", "skip", "done", "abort"])
    );
    std::fs::remove_file(test.project().join("broken")).unwrap();
    test.runbook(&["answer", &run, "apply.undo.start", "retry", "--resume"]).exits(1);
    assert_eq!(
        test.ledger(),
        ["apply", "two", "undo-two", "stop", "load b.sql v1 me", "start", "start", "tidy", "last"]
    );
    // Given up, the step is not undone, and what is left to do is named.
    let test = undone_by("auto", &asks);
    test.write("broken", "");
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    let output = test.runbook(&["answer", &run, "apply.undo.start", "abort", "--resume"]).exits(1);
    assert!(output.stderr.contains("The undo of apply failed"), "{output}");
    assert!(output.stderr.contains("runbook rollback"), "{output}");
}

#[test]
fn gates_inside_are_answered_from_elsewhere() {
    let gate = "  - {id: sure, approve: {prompt: 'Is {{ params.file }} the one?'}}\n";
    let test = undone_by("auto", &format!("{gate}{THREE}"));
    let output = test.runbook(&["run", "main"]).exits(3);
    assert!(output.stderr.contains("Is b.sql the one?"), "{output}");
    let run = output.run_id();
    assert_eq!(test.ledger(), ["apply", "two", "undo-two"]);
    assert_eq!(test.step_outcome(&run, "apply.undo"), "waiting");
    test.runbook(&["approve", &run, "apply.undo.sure"]).succeeds();
    assert_eq!(test.ledger().len(), 3, "answering runs nothing");
    test.runbook(&["resume", &run]).exits(1);
    assert_eq!(test.ledger(), UNDONE);
    // Rejected, the step is not undone, and the run says so.
    let test = undone_by("auto", &format!("{gate}{THREE}"));
    let run = test.runbook(&["run", "main"]).exits(3).run_id();
    test.runbook(&["reject", &run, "apply.undo.sure", "--reason", "another one", "--resume"]).exits(1);
    assert_eq!(test.journal(&run).one("undo_finished", "apply")["outcome"], "failed");
    assert_eq!(test.ledger(), ["apply", "two", "undo-two", "tidy", "last"]);
}

#[test]
fn answers_to_gates_inside_are_given_ahead() {
    let gate = "  - {id: sure, approve: {prompt: 'Is it the one?'}}\n";
    let test = undone_by("auto", &format!("{gate}{THREE}"));
    test.runbook(&["run", "main", "--approve", "apply.undo.sure=it is"]).exits(1);
    assert_eq!(test.ledger(), UNDONE);
    test.runbook(&["run", "main", "--approve", "apply.undo.never=it is"]).exits(2);
}

/// The question of an interrupted step inside is that of any step; the others have run once.
#[test]
fn killed_inside_it_asks_about_the_step_that_was_interrupted() {
    let steps = r#"
  - {id: stop, run: echo stop >> "$LEDGER"}
  - {id: load, run: 'echo load >> "$LEDGER"; while test -e "$HOLD"; do sleep 0.02; done'}
  - {id: start, run: echo start >> "$LEDGER"}
"#;
    let test = undone_by("auto", steps);
    test.hold();
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the undo", || test.ledger().contains(&"load".to_owned()).then_some(()));
    let _ = live.kill();
    let processes = processes_of_run(&run);
    let keeper = processes.iter().find_map(|process| process.keeper(&run)).expect("a keeper");
    send(keeper.pid, "KILL");
    for process in processes {
        let _ = std::process::Command::new("kill").args(["-KILL", &process.pid.to_string()]).status();
    }
    eventually("the end of its keeper", || processes_of_run(&run).is_empty().then_some(()));
    test.release();
    let output = test.runbook(&["resume", &run]).exits(7);
    assert!(output.stderr.contains("apply.undo.load"), "{output}");
    test.runbook(&["resume", &run, "--done", "apply.undo.load=looked"]).exits(1);
    assert_eq!(test.ledger(), ["apply", "two", "undo-two", "stop", "load", "start", "tidy", "last"]);
    assert_eq!(test.journal(&run).one("undo_finished", "apply")["outcome"], "succeeded");
}

#[test]
fn each_item_is_undone_by_a_call_of_its_own() {
    let test = TestEnvironment::with(
        r#"
rollback: auto
steps:
  - id: deploy
    for_each: [a, b]
    run: |
      echo "deploy {{ item }}" >> "$LEDGER"
      echo "was={{ item }}0" >> "$RUNBOOK_OUTPUT"
    undo: {call: back, with: {to: "{{ steps.deploy.outputs.was }}", host: "{{ item }}"}}
  - {id: bad, run: exit 1, on_failure: stop}
"#,
    );
    test.runbook_named(
        "back",
        "params: {to: {type: string}, host: {type: string}}\nsteps:\n  - {id: put, run: 'echo \"put {{ params.to }} on {{ params.host }}\" >> \"$LEDGER\"'}\n",
    );
    let run = test.runbook(&["run", "main"]).exits(1).run_id();
    assert_eq!(test.ledger(), ["deploy a", "deploy b", "put b0 on b", "put a0 on a"]);
    assert_eq!(test.journal(&run).of("step_finished", "deploy[1].undo.put").len(), 1);
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let refuses = |body: &str, other: &str, told: &[&str]| {
        let test = TestEnvironment::with(body);
        test.runbook_named("other", other);
        let output = test.runbook(&["run", "main"]).exits(2);
        for words in told {
            assert!(output.stderr.contains(words), "{words} in {output}");
        }
        assert_eq!(test.runs(), Vec::<String>::new());
    };
    let plain = "steps: [{id: x, run: 'true'}]";
    refuses("steps:\n  - {id: a, run: 'true', undo: {call: nobody}}\n", plain, &["main.yaml:3", "`nobody`"]);
    refuses("steps:\n  - {id: a, run: 'true', undo: {call: main}}\n", plain, &["main → main"]);
    refuses(
        "steps:\n  - {id: a, run: 'true', undo: {call: other}}\n",
        "params: {file: {type: string}}\nsteps: [{id: x, run: 'true'}]",
        &["`other` needs a value for its parameter `file`", "main.yaml:3"],
    );
    refuses(
        "steps:\n  - {id: a, run: 'true', undo: {call: other}}\n",
        "steps: [{id: x, run: 'echo {{ params.nope }}'}]",
        &["other.yaml:2", "nope"],
    );
    refuses(
        "steps:\n  - id: a\n    undo: {call: other}\n    steps:\n      - {id: undo, run: 'true'}\n",
        plain,
        &["`a.undo` is a step in `a` and the undo of `a`", "main.yaml:6"],
    );
    refuses(
        "steps:\n  - {id: a, run: 'true', undo: {call: other, timeout: 5s}}\n",
        plain,
        &["`timeout` has no meaning beside `call`"],
    );
}

/// What undoes a group as a whole is shown with what else holds for it, once.
#[test]
fn plan_shows_the_undo_of_a_group_with_the_group() {
    let test = TestEnvironment::with(
        "\nsteps:\n  - id: stage\n    undo: {call: back}\n    steps:\n      - {id: a, run: echo a}\n      - {id: b, run: echo b}\n",
    );
    test.runbook_named("back", "\nsteps: [{id: put, run: echo put}]\n");
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let ids = |lines: &serde_json::Value| -> Vec<String> {
        lines.as_array().unwrap().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&plan["steps"]), ["stage.a", "stage.b"], "groups appear as the steps in them");
    assert_eq!(
        (ids(&plan["groups"]), &plan["groups"][0]["undo"]),
        (vec!["stage".into()], &"call back".into())
    );
    assert_eq!(ids(&plan["groups"][0]["undo_steps"]), ["stage.undo.put"]);
    let shown = test.runbook(&["plan", "main"]).succeeds().stdout;
    assert_eq!(shown.matches("undone by: call back").count(), 1, "{shown}");
    assert!(shown.contains("stage.undo.put (run)"), "{shown}");
}
