//! `runbook test` (language.md §10): scenarios on the real scheduler, with a simulated clock and no process.

use serde_json::Value;

use crate::helpers::TestEnvironment;

const PROCEDURE: &str = "
params: {version: {type: string}}
steps:
  - {id: backup, run: 'echo backup >> $LEDGER'}
  - {id: approve, approve: {prompt: 'Send {{ params.version }}?', expires: 30m}}
  - {id: apply, run: 'deploy {{ params.version }} {{ steps.backup.outputs.file }}'}
  - {id: smoke, run: './smoke.sh', retry: {times: 1, delay: 10s}}
  - {id: switch, run: 'switch'}
finally:
  - {id: tell, run: 'tell {{ run.outcome }}'}
";

const ALL_STUBS: &str = "backup: {outputs: {file: b.sql}}, apply: {}, smoke: {}, switch: {}, tell: {}";

/// The binary over a procedure and these scenarios.
fn project(procedure: &str, scenarios: &str) -> TestEnvironment {
    let environment = TestEnvironment::with(procedure);
    environment.write("runbooks/main.test.yaml", &format!("scenarios:\n{scenarios}"));
    environment
}

fn indented(keys: &str) -> String {
    keys.lines().map(|line| format!("    {line}\n")).collect()
}

/// One scenario of these keys over [`PROCEDURE`], as JSON: whether it passed, and what came of it.
fn rehearse(keys: &str) -> Value {
    rehearse_of(PROCEDURE, &format!("params: {{version: v1}}\n{keys}"))
}

fn rehearse_of(procedure: &str, keys: &str) -> Value {
    let environment = project(procedure, &format!("  - name: it\n{}", indented(keys)));
    let output = environment.runbook(&["test", "--format", "json"]).whatever_status();
    let result = output.json();
    let passed = result["scenarios"][0]["passed"].as_bool().unwrap_or_else(|| panic!("{output}"));
    assert_eq!(output.code(), i32::from(!passed), "{output}");
    assert_eq!(result["passed"], i64::from(passed), "{output}");
    assert_eq!(result["failed"], i64::from(!passed), "{output}");
    assert_eq!(environment.ledger(), Vec::<String>::new(), "no process runs");
    assert_eq!(environment.runs(), Vec::<String>::new(), "no run is recorded");
    result["scenarios"][0].clone()
}

#[track_caller]
fn passes(keys: &str) -> Value {
    let seen = rehearse(keys);
    assert_eq!(seen["passed"], true, "{seen:#}");
    seen
}

#[track_caller]
fn fails_at(keys: &str, key: &str) -> Value {
    let seen = rehearse(keys);
    assert_eq!(seen["passed"], false, "{seen:#}");
    let keys: Vec<&str> =
        seen["mismatches"].as_array().unwrap().iter().map(|m| m["key"].as_str().unwrap()).collect();
    assert_eq!(keys, [key], "{seen:#}");
    seen
}

#[test]
fn steps_are_stubbed_and_answers_given() {
    passes(&format!(
        "answers: {{approve: {{approve: [alice, bob]}}}}
steps: {{{ALL_STUBS}}}
expect: {{outcome: succeeded, order: [backup, approve, apply, smoke, switch, tell]}}"
    ));
}

#[test]
fn expected_outcomes_are_compared() {
    let seen = fails_at(
        &format!("answers: {{approve: approve}}\nsteps: {{{ALL_STUBS}}}\nexpect: {{outcome: failed}}"),
        "outcome",
    );
    assert_eq!(seen["mismatches"][0]["expected"], "failed");
    assert_eq!(seen["mismatches"][0]["seen"], "succeeded");
}

#[test]
fn order_is_a_subsequence_of_what_ran() {
    let with = |order: &str| {
        format!("answers: {{approve: approve}}\nsteps: {{{ALL_STUBS}}}\nexpect: {{order: {order}}}")
    };
    passes(&with("[backup, tell]"));
    fails_at(&with("[apply, backup]"), "order");
}

#[test]
fn not_run_names_steps_that_did_not_run() {
    let with = |not_run: &str| {
        format!(
            "answers: {{approve: approve}}\nunstubbed: succeed\nsteps: {{apply: {{exit_code: 1}}, backup: {{outputs: {{file: b}}}}}}\nexpect: {{outcome: failed, not_run: {not_run}}}"
        )
    };
    passes(&with("[smoke, switch]"));
    fails_at(&with("[smoke, tell]"), "not_run");
}

#[test]
fn commands_are_compared_as_people_are_shown_them() {
    let with = |command: &str| {
        format!(
            "answers: {{approve: approve}}\nsteps: {{{ALL_STUBS}}}\nexpect: {{commands: {{apply: '{command}', tell: tell succeeded}}}}"
        )
    };
    passes(&with("deploy v1 b.sql"));
    fails_at(&with("deploy v2 b.sql"), "commands.apply");
}

#[test]
fn outcomes_of_steps_are_compared() {
    let with = |outcome: &str| {
        format!(
            "answers: {{approve: approve}}\nunstubbed: succeed\nsteps: {{backup: {{exit_code: 3}}}}\nexpect: {{steps: {{backup: failed, smoke: {outcome}, tell: succeeded}}}}"
        )
    };
    passes(&with("blocked"));
    fails_at(&with("succeeded"), "steps.smoke");
}

#[test]
fn a_step_without_a_stub_is_an_error_unless_unstubbed_succeed() {
    let seen = rehearse(
        "answers: {approve: approve}\nsteps: {backup: {outputs: {file: b}}}\nexpect: {outcome: succeeded}",
    );
    assert_eq!(seen["passed"], false);
    let errors: Vec<&str> = seen["errors"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    // All of them at once.
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[0].starts_with("`apply` has no stub"), "{errors:?}");
    passes(
        "answers: {approve: approve}\nunstubbed: succeed\nsteps: {backup: {outputs: {file: b}}}\nexpect: {outcome: succeeded}",
    );
}

#[test]
fn a_gate_without_an_answer_parks_the_scenario() {
    let seen = passes(
        "unstubbed: succeed\nexpect: {outcome: waiting, not_run: [apply, tell], steps: {approve: waiting}}",
    );
    assert_eq!(seen["ran"], serde_json::json!(["backup", "approve"]));
}

#[test]
fn a_rejection_rejects() {
    passes(
        "unstubbed: succeed\nanswers: {approve: {reject: carol, reason: too late}}\nexpect: {outcome: rejected, order: [tell], not_run: [apply]}",
    );
}

#[test]
fn an_answer_may_be_that_nobody_answers_in_time() {
    let seen =
        passes("unstubbed: succeed\nanswers: {approve: expired}\nexpect: {outcome: rejected, order: [tell]}");
    assert_eq!(seen["duration_ms"], 30 * 60 * 1000);
}

#[test]
fn a_word_that_is_no_answer_is_said() {
    let seen = rehearse("unstubbed: succeed\nanswers: {approve: aprove}\nexpect: {outcome: waiting}");
    let error = seen["errors"][0].as_str().unwrap();
    assert!(error.contains("`aprove` is no answer to `approve`: it takes approve, reject"), "{error}");
}

#[test]
fn at_is_when_the_run_starts() {
    let procedure = "steps:\n  - {id: stamp, run: 'echo {{ run.started_at | date(\"%Y%m%d_%H%M\") }}'}\n";
    let seen = rehearse_of(
        procedure,
        "at: 2026-11-22T02:30:00Z\nunstubbed: succeed\nexpect: {commands: {stamp: echo 20261122_0230}}",
    );
    assert_eq!(seen["passed"], true, "{seen:#}");
}

#[test]
fn retries_waits_and_holds_pass_in_simulated_time() {
    let procedure = "
steps:
  - {id: flaky, run: 'true', retry: {times: 1, delay: 10m, max_delay: 10m, jitter: false}}
  - {id: pause, wait: 2h}
  - {id: soak, check: {http: 'http://127.0.0.1:1/', every: 30s, hold: 15m}}
  - {id: slow, run: 'true', timeout: 1h}
";
    let seen = rehearse_of(
        procedure,
        "steps: {flaky: [{exit_code: 1}, {exit_code: 0}], soak: {status: 200}, slow: {duration: 2h}}
expect: {outcome: failed, order: [flaky, flaky, pause, soak, slow], steps: {slow: failed}}",
    );
    assert_eq!(seen["passed"], true, "{seen:#}");
    assert_eq!(seen["duration_ms"], (10 + 120 + 15 + 60) * 60 * 1000);
    let last = seen["timeline"].to_string();
    assert!(last.contains("timeout after 1h"), "{last}");
}

#[test]
fn stdout_stderr_and_outputs_are_what_later_steps_see() {
    let procedure = "
steps:
  - {id: count, run: 'count', expect: number > 2, outputs: {twice: number * 2}}
  - {id: data, run: 'data'}
  - {id: use, when: 'steps.count.number > 2', run: 'use {{ steps.count.outputs.twice }} {{ steps.data.json.name }} {{ steps.count.stderr }} {{ steps.data.outputs.file }}'}
";
    let keys = |count: &str| {
        format!(
            "steps: {{count: {count}, data: {{json: {{name: zetra}}, outputs: {{file: 'a b'}}}}, use: {{}}}}"
        )
    };
    let seen = rehearse_of(
        procedure,
        &format!(
            "{}\nexpect: {{commands: {{use: \"use 6 zetra careful 'a b'\"}}}}",
            keys("{stdout: \"3\\n\", stderr: careful}")
        ),
    );
    assert_eq!(seen["passed"], true, "{seen:#}");
    let seen =
        rehearse_of(procedure, &format!("{}\nexpect: {{steps: {{count: failed}}}}", keys("{stdout: '1'}")));
    assert_eq!(seen["passed"], true, "{seen:#}");
    assert!(seen["timeline"].to_string().contains("number > 2"), "{seen:#}");
}

#[test]
fn probes_and_requests_take_their_variables_from_stubs() {
    let procedure = "
steps:
  - {id: api, check: {http: 'http://127.0.0.1:1/', expect: [status == 200, json.ok]}}
  - {id: rate, check: {prometheus: {url: 'http://127.0.0.1:1', query: up}, expect: value < 0.01}, outputs: {value: value}}
  - {id: port, check: {tcp: 'localhost:1'}}
  - {id: post, http: {method: POST, url: 'http://127.0.0.1:1/', expect: status == 201}, outputs: {id: json.id}}
  - {id: use, run: 'use {{ steps.post.outputs.id }} {{ steps.rate.outputs.value }}'}
";
    for (stubs, outcome) in [
        (
            "api: {status: 200, json: {ok: true}}, rate: {value: 0.001}, port: {open: true}, post: {status: 201, json: {id: 7}}",
            "succeeded",
        ),
        ("api: {status: 503, json: {ok: true}}", "failed"),
        ("api: {status: 200, json: {ok: true}}, rate: {value: 0.5}", "failed"),
        ("rate: {value: 0.001}, port: {open: false}", "failed"),
        ("rate: {value: 0.001}, post: {status: 200}", "failed"),
        ("api: {exit_code: 7, stderr: connection refused}", "failed"),
    ] {
        let command =
            if outcome == "succeeded" { ", commands: {use: use 7 0.001}" } else { ", not_run: [use]" };
        let seen = rehearse_of(
            procedure,
            &format!("unstubbed: succeed\nsteps: {{{stubs}}}\nexpect: {{outcome: {outcome}{command}}}"),
        );
        assert_eq!(seen["passed"], true, "{stubs}: {seen:#}");
    }
}

#[test]
fn a_list_of_stubs_is_one_after_the_other_for_the_probes_of_a_check() {
    let procedure = "
steps:
  - {id: up, check: {http: 'http://127.0.0.1:1/', every: 10s, within: 1m}}
  - {id: soak, check: {prometheus: {url: 'http://127.0.0.1:1', query: up}, expect: value < 1, every: 1m, hold: 10m}}
";
    let seen = rehearse_of(
        procedure,
        "steps: {up: [{status: 503}, {status: 503}, {status: 200}], soak: [{value: 0}, {value: 0}, {value: 5}]}
expect: {outcome: failed, steps: {up: succeeded, soak: failed}}",
    );
    assert_eq!(seen["passed"], true, "{seen:#}");
    assert_eq!(seen["duration_ms"], 20_000 + 120_000);
}

#[test]
fn interrupted_rehearses_a_crash() {
    let procedure = |on_interrupt: &str| {
        format!("steps:\n  - {{id: a, run: a, on_interrupt: {on_interrupt}}}\n  - {{id: b, run: b}}\n")
    };
    for (on_interrupt, answers, expect) in [
        ("rerun", "", "outcome: succeeded, order: [a, a, b]"),
        ("fail", "", "outcome: failed, not_run: [b]"),
        ("ask", "", "outcome: waiting, not_run: [b]"),
        ("ask", "answers: {a: retry}\n", "outcome: succeeded, order: [a, a, b]"),
        ("ask", "answers: {a: {done: alice, reason: looked}}\n", "outcome: succeeded, order: [a, b]"),
        ("ask", "answers: {a: skip}\n", "outcome: succeeded, steps: {a: skipped}"),
    ] {
        let seen = rehearse_of(
            &procedure(on_interrupt),
            &format!(
                "{answers}unstubbed: succeed\nsteps: {{a: {{interrupted: true}}}}\nexpect: {{{expect}}}"
            ),
        );
        assert_eq!(seen["passed"], true, "{on_interrupt} {answers}: {seen:#}");
    }
}

#[test]
fn a_crash_leaves_other_commands_running() {
    let procedure =
        "steps:\n  - {id: a, run: a, needs: [], on_interrupt: rerun}\n  - {id: b, run: b, needs: []}\n";
    let seen = rehearse_of(
        procedure,
        "steps: {a: {interrupted: true, duration: 1m}, b: {duration: 5m}}\nexpect: {outcome: succeeded}",
    );
    assert_eq!(seen["passed"], true, "{seen:#}");
    assert_eq!(seen["ran"], serde_json::json!(["a", "b", "a"]));
    assert_eq!(seen["duration_ms"], 5 * 60 * 1000);
}

#[test]
fn steps_in_groups_calls_and_items_are_stubbed_by_dotted_id_or_for_all_items() {
    let environment = TestEnvironment::with(
        "
steps:
  - {id: each, for_each: [x, y, z], max_failures: 1, run: 'echo {{ item }}'}
  - id: stage
    steps:
      - {id: build, run: 'build'}
  - {id: backup, call: backup}
outputs: {file: steps.backup.outputs.file}
",
    );
    environment.runbook_named(
        "backup",
        "steps:\n  - {id: dump, run: dump}\noutputs: {file: steps.dump.outputs.file}\n",
    );
    environment.write(
        "runbooks/main.test.yaml",
        "scenarios:
  - name: one item fails
    steps:
      each: {exit_code: 0}
      each[1]: {exit_code: 1}
      stage.build: {exit_code: 0}
      backup.dump: {outputs: {file: b.sql}}
    expect:
      outcome: succeeded
      order: ['each[0]', 'each[1]', 'each[2]', stage.build, backup.dump]
      steps: {'each[0]': succeeded, 'each[1]': failed, stage: succeeded}
      commands: {'each[2]': echo z}
      outputs: {file: b.sql}
",
    );
    environment.runbook(&["test"]).succeeds().stdout_has("main: one item fails");
}

/// Keys, parameters, outcomes and steps alike, in every scenario of the file.
#[test]
fn all_mistakes_are_told_in_one_pass() {
    let scenarios = "  - name: one
    params: {versoin: v1}
    wrong: true
    expect: {outcome: suceeded, not_run: [swich]}
  - name: two
    params: {version: [a]}
    steps: {smok: {}}
  - name: three
    params: {version: v1}
    answers: {aprove: approve}
";
    let environment = project(PROCEDURE, scenarios);
    let output = environment.runbook(&["test"]).exits(2);
    let mut output = output;
    for message in [
        "there is no parameter `versoin`",
        "the parameter `version` needs a value",
        "unknown key `wrong`",
        "did you mean `succeeded`?",
        "the runbook has no step `swich`",
        "the parameter `version`: ",
        "the runbook has no step `smok`",
        "the runbook has no step `aprove`",
    ] {
        output = output.stderr_has(message);
    }
    // The scenarios' own mistakes don't wait for the runbook's.
    let environment = project("steps: [{id: a, rnu: x}]\n", scenarios);
    environment.runbook(&["test"]).exits(2).stderr_has("unknown key `rnu`").stderr_has("unknown key `wrong`");
}

#[test]
fn mistakes_have_a_place_and_a_suggestion() {
    let table = [
        ("steps: {smok: {}}", "main.test.yaml:4:13", "did you mean `smoke`?"),
        ("answers: {aprove: approve}", "main.test.yaml:4:15", "did you mean `approve`?"),
        ("expect: {order: [backup, aply]}", "main.test.yaml:4:30", "did you mean `apply`?"),
        ("expect: {not_run: [swich]}", "main.test.yaml:4:24", "did you mean `switch`?"),
        ("expect: {commands: {x: y}}", "main.test.yaml:4:25", "the runbook has no step `x`"),
        ("expect: {outcome: suceeded}", "main.test.yaml:4:23", "did you mean `succeeded`?"),
        ("expect: {outcom: failed}", "main.test.yaml:4:14", "did you mean `outcome`?"),
        ("at: yesterday", "main.test.yaml:4:9", "`yesterday` is no moment"),
        ("steps: {smoke: {exit: 1}}", "main.test.yaml:4:21", "unknown key `exit`"),
    ];
    for (keys, place, help) in table {
        let environment =
            project(PROCEDURE, &format!("  - name: it\n    params: {{version: v1}}\n    {keys}\n"));
        let output = environment.runbook(&["test"]).exits(2);
        output.stderr_has(place).stderr_has(help);
    }
    for (params, message) in [
        ("{}", "the parameter `version` needs a value"),
        ("{version: v1, versoin: v2}", "there is no parameter `versoin`"),
        ("{version: [a]}", "the parameter `version`"),
    ] {
        let environment = project(PROCEDURE, &format!("  - name: it\n    params: {params}\n"));
        environment.runbook(&["test"]).exits(2).stderr_has("main.test.yaml").stderr_has(message);
    }
}

#[test]
fn what_is_named_must_have_scenarios() {
    let environment = project(PROCEDURE, "  - {name: it, params: {version: v1}, unstubbed: succeed}\n");
    environment.runbook_named("other", "steps: [{id: a, run: 'true'}]\n");
    environment.runbook(&["test"]).succeeds().stdout_has("1 scenario passed");
    environment.runbook(&["test", "main"]).succeeds();
    environment.runbook(&["test", "runbooks/main.test.yaml"]).succeeds();
    environment.runbook(&["test", "other"]).exits(2).stderr_has("other.test.yaml");
    environment.runbook(&["test", "mian"]).exits(2).stderr_has("did you mean `main`?");
    environment.write("runbooks/gone.test.yaml", "scenarios: []\n");
    environment.runbook(&["test"]).exits(2).stderr_has("gone.test.yaml");
}

#[test]
fn a_failing_scenario_shows_expected_and_seen_and_what_happened() {
    let environment = project(
        PROCEDURE,
        &format!(
            "  - name: hopeful\n    params: {{version: v1}}\n    answers: {{approve: {{reject: carol}}}}\n    steps: {{{ALL_STUBS}}}\n    expect: {{outcome: succeeded}}\n"
        ),
    );
    environment
        .runbook(&["test"])
        .exits(1)
        .stdout_has("main: hopeful")
        .stdout_has("outcome  succeeded  rejected")
        .stdout_has("carol says reject")
        .stdout_has("1 of 1 scenario failed");
    let junit = environment.outside("junit.xml");
    environment.runbook(&["test", "--junit", junit.to_str().unwrap()]).exits(1).lacks("<testsuite");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains(r#"<testcase classname="main" name="hopeful""#), "{xml}");
    assert!(xml.contains(r#"message="outcome: expected succeeded, saw rejected""#), "{xml}");
    environment
        .runbook(&["test", "--format", "github"])
        .exits(1)
        .stdout_has("::error file=runbooks/main.test.yaml,line=2,col=11::hopeful: outcome");
}

const WITH_UNDO: &str = "
steps:
  - {id: backup, run: 'echo b'}
  - {id: apply, run: 'apply', undo: {run: 'take-back {{ steps.apply.stdout }}'}}
  - {id: switch, run: 'switch', undo: {http: {url: 'http://127.0.0.1:1/', method: POST}}}
  - {id: smoke, run: './smoke.sh'}
finally:
  - {id: tell, run: 'tell {{ run.outcome }}'}
";

#[test]
fn what_is_undone_is_compared() {
    let with = |keys: &str, undone: &str| {
        rehearse_of(
            WITH_UNDO,
            &format!(
                "unstubbed: succeed\nsteps: {{smoke: {{exit_code: 1, stderr: '503'}}}}\n{keys}expect: {{outcome: failed, undone: {undone}, steps: {{tell: succeeded}}}}"
            ),
        )
    };
    assert_eq!(with("answers: {rollback: undo}\n", "[switch, apply]")["passed"], true, "dependents first");
    assert_eq!(with("answers: {rollback: keep}\n", "[]")["passed"], true);
    let silent = with("", "[]");
    assert_eq!(silent["passed"], true, "`rollback: ask` without an answer is `manual`: {silent:#}");
    let seen = with("answers: {rollback: undo}\n", "[apply]");
    assert_eq!(seen["mismatches"][0]["key"], "undone", "{seen:#}");
    assert_eq!(seen["mismatches"][0]["seen"], "switch, apply", "{seen:#}");
}

#[test]
fn rollback_auto_needs_no_answer_and_a_manual_undo_does() {
    let seen = rehearse_of(
        "rollback: auto\nsteps: [{id: a, run: x, undo: {manual: Take it back}}, {id: b, run: y, undo: {run: z}}, {id: c, run: w}]\n",
        "unstubbed: succeed\nsteps: {c: {exit_code: 1}}\nanswers: {a: done}\nexpect: {outcome: failed, undone: [b, a]}",
    );
    assert_eq!(seen["passed"], true, "{seen:#}");
}

#[test]
fn a_file_of_scenarios_can_let_all_unstubbed_steps_succeed() {
    let environment = TestEnvironment::with(PROCEDURE);
    let scenario =
        "name: it, params: {version: v1}, answers: {approve: approve}, steps: {backup: {outputs: {file: b}}}";
    let file = |text: String| environment.write("runbooks/main.test.yaml", &text);
    file(format!("unstubbed: succeed\nscenarios:\n  - {{{scenario}}}\n"));
    environment.runbook(&["test"]).succeeds();
    file(format!("unstubbed: succeed\nscenarios:\n  - {{{scenario}, unstubbed: error}}\n"));
    environment.runbook(&["test"]).exits(1).stdout_has("`apply` has no stub");
}

#[test]
fn the_question_whether_to_undo_is_no_step() {
    let environment = project(WITH_UNDO, "  - {name: it, unstubbed: succeed, expect: {order: [rollback]}}\n");
    environment.runbook(&["test"]).exits(2).stderr_has("the runbook has no step `rollback`");
}

/// What is undone in a rehearsal, and what people decide about it.
#[test]
fn undoing_is_rehearsed() {
    let procedure = |rollback: &str| {
        format!(
            "
rollback: {rollback}
steps:
  - {{id: one, run: one, undo: {{run: 'undo-one {{{{ steps.one.outputs.id }}}}'}}}}
  - {{id: two, run: two, undo: {{manual: 'Take two back'}}}}
  - {{id: bad, run: bad}}
finally:
  - {{id: last, run: last}}
"
        )
    };
    let stubs = "steps: {one: {outputs: {id: 7}}, two: {}, bad: {exit_code: 1}, last: {}}\n";
    let table = [
        ("auto", "answers: {two: done}", "expect: {outcome: failed, undone: [two, one], order: [bad, last]}"),
        ("ask", "answers: {rollback: undo, two: done}", "expect: {undone: [two, one]}"),
        ("ask", "answers: {rollback: keep}", "expect: {outcome: failed, undone: []}"),
        ("ask", "{}", "expect: {outcome: failed, undone: [], order: [last]}"),
        ("manual", "{}", "expect: {outcome: failed, undone: []}"),
        ("auto", "{}", "expect: {outcome: waiting, undone: []}"),
        ("auto", "answers: {two: [failed, skip]}", "expect: {outcome: failed, undone: [one]}"),
        ("manual", "answers: {bad: undo, two: done}", "expect: {outcome: failed, undone: [two, one]}"),
        ("auto", "answers: {bad: [skip]}", "expect: {outcome: succeeded, undone: []}"),
    ];
    for (rollback, answers, expect) in table {
        let keys = format!(
            "{stubs}{}{expect}",
            if answers == "{}" { String::new() } else { format!("{answers}\n") }
        );
        let seen = rehearse_of(&procedure(rollback), &keys);
        assert_eq!(seen["passed"], true, "{rollback} {answers} {seen:#}");
    }
    // A template in an undo that can't be rendered is found before it is needed.
    let seen = rehearse_of(
        &procedure("auto"),
        "steps: {one: {}, two: {}, bad: {exit_code: 1}, last: {}}\nanswers: {two: done, one: abort}\nexpect: {undone: [two, one]}",
    );
    assert_eq!(seen["passed"], false, "{seen:#}");
    assert!(seen.to_string().contains("template"), "{seen:#}");
}

#[test]
fn what_is_done_already_is_rehearsed() {
    let procedure = "
steps:
  - {id: a, done_when: 'test -e done', run: a}
  - {id: b, done_when: 'test -e {{ steps.a.outputs.x | default(0) }}', run: b}
";
    let table = [
        ("a: {done: true}, b: {}", "steps: {a: skipped, b: succeeded}, not_run: [a]"),
        ("a: {}, b: {done: true}", "steps: {a: succeeded, b: skipped}"),
        ("a: {interrupted: true, done: true}, b: {}", "steps: {a: succeeded}, order: [a, b]"),
        ("a: {interrupted: true}, b: {}", "steps: {a: succeeded}, order: [a, a, b]"),
    ];
    for (stubs, expect) in table {
        let seen =
            rehearse_of(procedure, &format!("steps: {{{stubs}}}\nexpect: {{outcome: succeeded, {expect}}}"));
        assert_eq!(seen["passed"], true, "{stubs} {seen:#}");
    }
}

/// What `test` would refuse, `validate` finds.
#[test]
fn validate_reads_the_scenarios_beside_a_runbook() {
    let rows = [
        ("an unknown step", "scenarios: [{name: x, steps: {buidl: {stdout: ok}}}]\n", "buidl", "`build`"),
        ("a wrong key", "scenarios: [{name: x, stps: {}}]\n", "stps", "`steps`"),
        ("an unknown parameter", "scenarios: [{name: x, params: {v: 1}}]\n", "v: 1", "no parameter `v`"),
        ("a wrong outcome", "scenarios: [{name: x, expect: {outcome: done}}]\n", "done", "done"),
    ];
    for (what, scenarios, at, told) in rows {
        let column = scenarios.find(at).unwrap() + 1;
        let test = TestEnvironment::with("\nsteps: [{id: build, run: 'true'}]\n");
        test.write("runbooks/main.test.yaml", scenarios);
        for arguments in [&["validate"][..], &["validate", "main"], &["validate", "runbooks/main.test.yaml"]]
        {
            let output = test.runbook(arguments).exits(1);
            assert!(output.stdout.contains(told), "{what}: {output}");
            assert!(output.stdout.contains(&format!("main.test.yaml:1:{column}")), "{what}: {output}");
        }
    }
    // Of a runbook with mistakes the scenarios' own are found as well, and each once.
    let test = TestEnvironment::with("\nsteps: [{id: build, run: '{{ nothing }}'}]\n");
    test.write("runbooks/main.test.yaml", "scenarios: [{name: x, stps: {}}]\n");
    let output = test.runbook(&["validate", "--format", "json"]).exits(1);
    let codes: Vec<_> = output.json().as_array().unwrap().iter().map(|found| found["code"].clone()).collect();
    assert_eq!(codes.len(), 2, "{output}");
    // Scenarios without a runbook test nothing.
    let test = TestEnvironment::with("\nsteps: [{id: build, run: 'true'}]\n");
    test.write("runbooks/mian.test.yaml", "scenarios: []\n");
    test.runbook(&["validate"]).exits(1).stdout_has("no runbook beside");
    test.runbook(&["validate", "main"]).succeeds();
}

/// Nothing to do would count as done.
#[test]
fn no_steps_are_a_mistake() {
    let rows = [
        ("\nsteps: []\n", "a runbook needs at least one step"),
        ("\nsteps:\n  - {id: a, run: 'true'}\n  - {id: b, steps: []}\n", "a group needs at least one step"),
        ("\nsteps:\n  - {id: a, steps: [{id: b, steps: []}]}\n", "a group needs at least one step"),
    ];
    for (body, told) in rows {
        let test = TestEnvironment::with(body);
        let output = test.runbook(&["validate", "--format", "json"]).exits(1);
        let found = output.json()[0].clone();
        assert_eq!(found["message"], told, "{output}");
        assert!(found["help"].is_string() && found["line"].as_u64() > Some(1), "{output}");
        test.runbook(&["run", "main"]).exits(2).stderr_has(told);
        assert!(test.runs().is_empty());
    }
}

/// An undo succeeds where nothing is said of it; `ID.undo` rehearses that it fails, and a called runbook's steps have their own stubs.
#[test]
fn an_undo_is_stubbed_by_its_name() {
    let procedure = "
rollback: auto
steps:
  - {id: a, run: 'one', undo: {run: 'back'}}
  - {id: b, run: 'two', undo: {call: restore, with: {to: v1}}}
  - {id: bad, run: 'false'}
";
    let restore = "params: {to: {type: string}}\nsteps:\n  - {id: sure, approve: {prompt: 'Sure?'}}\n  - {id: put, run: 'put {{ params.to }}'}\n";
    let rehearse = |keys: &str| {
        let environment = project(procedure, &format!("  - name: it\n{}", indented(keys)));
        environment.runbook_named("restore", restore);
        environment.runbook(&["test", "--format", "json"]).whatever_status()
    };
    let steps = "steps: {a: {}, b: {}, bad: {exit_code: 1}";
    for (keys, code) in [
        (
            "answers: {b.undo.sure: {approve: [alice]}}\nexpect: {outcome: failed, undone: [b, a], commands: {b.undo.put: put v1}}",
            0,
        ),
        ("answers: {b.undo.sure: {approve: [alice]}}\nexpect: {undone: [b]}", 1),
        ("expect: {outcome: waiting, not_run: [b.undo.put]}", 0),
        ("answers: {b.undo.sure: {reject: [alice]}}\nexpect: {outcome: waiting}", 0),
    ] {
        let output = rehearse(&format!("{steps}}}\n{keys}"));
        assert_eq!(output.code(), code, "{keys}: {output}");
    }
    let approved = "answers: {b.undo.sure: {approve: [alice]}, a: abort, b: abort}\n";
    for (stub, undone) in [("a.undo: {exit_code: 1}", "[b]"), ("b.undo.put: {exit_code: 1}", "[]")] {
        let output =
            rehearse(&format!("{steps}, {stub}}}\n{approved}expect: {{outcome: failed, undone: {undone}}}"));
        assert_eq!(output.code(), 0, "{stub}: {output}");
    }
    let output = rehearse(&format!("{steps}, b.undo.pat: {{}}}}\nexpect: {{}}"));
    assert_eq!(output.code(), 2, "{output}");
    assert!(output.stdout.contains("did you mean `b.undo.put`?"), "{output}");
}
