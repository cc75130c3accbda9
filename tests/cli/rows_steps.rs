//! Rows of language.md §2 and §3: order, outcomes, and the common keys of a step.

use serde_json::Value;

use crate::helpers::{Journal, TestEnvironment, until_recorded};
use crate::rows::{Row, fails, hold, refused, runs};

/// The outcome of each step as `status` has it.
fn outcomes(test: &TestEnvironment) -> Vec<(String, String)> {
    let status = test.runbook(&["status", "last", "--format", "json"]).succeeds().json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    status["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (text(&step["id"]), text(&step["outcome"])))
        .collect()
}

fn journal(test: &TestEnvironment) -> Journal {
    test.journal(test.runs().last().unwrap())
}

#[test]
fn outcomes_of_steps() {
    for (row, runbook, code, expected) in [
        ("succeeded", "steps: [{id: a, run: 'true'}]", 0, "a succeeded"),
        ("failed by its status", "steps: [{id: a, run: exit 3}]", 1, "a failed"),
        ("skipped by when", "steps: [{id: a, when: 'false', run: x}]", 0, "a skipped"),
        (
            "blocked wins over cancelled, and what does not depend is cancelled",
            "steps: [{id: a, needs: [], run: exit 1},{id: w, needs: [], wait: 1h},{id: both, needs: [a, w], run: x},{id: beside, needs: [w], run: x}]",
            1,
            "a failed, w cancelled, both blocked, beside cancelled",
        ),
        (
            "after a failure with stop, what runs is let finish",
            concat!(
                "steps: [{id: a, needs: [], run: exit 1},{id: b, needs: [], run: '",
                until_recorded!("step_finished"),
                "'},{id: c, needs: [b], run: x}]"
            ),
            1,
            "a failed, b succeeded, c cancelled",
        ),
        (
            "open gates are closed",
            concat!(
                "steps: [{id: a, needs: [], run: '",
                until_recorded!("gate_opened"),
                "; exit 1'},{id: g, needs: [], manual: M}]"
            ),
            1,
            "a failed, g cancelled",
        ),
        (
            "so are retries in their delay",
            concat!(
                "steps: [{id: a, needs: [], run: '",
                until_recorded!("retry_scheduled"),
                "; exit 1'},{id: b, needs: [], run: exit 1, retry: {times: 1, delay: 1h}}]"
            ),
            1,
            "a failed, b cancelled",
        ),
        (
            "passed: succeeded, skipped, failed with continue or warn",
            "steps: [{id: a, when: 'false', run: x},{id: b, on_failure: warn, run: exit 1},{id: c, run: 'true'}]",
            0,
            "a skipped, b failed, c succeeded",
        ),
        (
            "continue: dependents go on, the run still fails",
            "steps: [{id: a, on_failure: continue, run: exit 1},{id: b, run: 'true'}]",
            1,
            "a failed, b succeeded",
        ),
        (
            "a finally step that fails makes a succeeded run failed",
            "steps: [{id: a, run: 'true'}]\nfinally: [{id: f, run: exit 1}]",
            1,
            "a succeeded, f failed",
        ),
        (
            "finally runs after a failure",
            "steps: [{id: a, run: exit 1},{id: b, run: x}]\nfinally: [{id: f, run: 'true'}]",
            1,
            "a failed, b blocked, f succeeded",
        ),
        ("a rejection", "steps: [{id: g, approve: {prompt: P}},{id: b, run: x}]", 4, "g rejected, b blocked"),
    ] {
        let test = TestEnvironment::with(runbook);
        test.runbook(&["run", "main", "--wait", "--answer", "g=reject:no"][..if code == 4 { 5 } else { 2 }])
            .exits(code);
        let seen: Vec<String> =
            outcomes(&test).iter().map(|(id, outcome)| format!("{id} {outcome}")).collect();
        assert_eq!(seen.join(", "), expected, "{row}");
    }
}

#[test]
fn reasons_of_failures() {
    for (step, begins) in [
        ("run: exit 3", "exit 3"),
        ("run: kill -9 $$", "signal SIGKILL"),
        ("run: sleep 9, timeout: 100ms", "timeout after 100ms"),
        ("check: {run: sleep 9}, timeout: 100ms", "timeout after 100ms"),
        ("run: echo 1, expect: number > 2", "expectation: number > 2"),
        ("check: {run: echo 1, expect: number > 2}", "expectation: number > 2"),
        ("check: {tcp: '127.0.0.1:1'}", "expectation: connection refused"),
        ("run: [no-such-program]", "spawn"),
        ("shell: no-such-shell, run: x", "spawn"),
        ("run: echo foo >> $RUNBOOK_OUTPUT", "output"),
        ("run: 'true', artifacts: [nope.txt]", "output"),
        ("run: 'true', outputs: {x: number}", "output"),
        ("run: 'echo {{ params.l[5] }}'", "template"),
    ] {
        let test = TestEnvironment::with(&format!("params: {{l: [a]}}\nsteps: [{{id: a, {step}}}]"));
        test.runbook(&["run", "main"]).exits(1);
        let reason = journal(&test).reason("a");
        assert!(reason.starts_with(begins), "{step}: {reason}");
    }
    let test = TestEnvironment::with("steps: [{id: a, run: kill -9 $$}]");
    test.runbook(&["run", "main"]).exits(1);
    let event = journal(&test).finished("a").clone();
    assert_eq!((&event["signal"], &event["exit_code"]), (&Value::from("SIGKILL"), &Value::Null));
}

#[test]
fn ids_and_texts() {
    let long = "a".repeat(64);
    hold(&[
        runs("64 characters", &format!("steps: [{{id: {long}, run: echo hi}}]"), &["│ hi"]),
        refused("65", &format!("steps: [{{id: a{long}, run: x}}]"), &["64"]),
        refused("a capital", "steps: [{id: A, run: x}]", &["`A`"]),
        refused("a digit first", "steps: [{id: 1a, run: x}]", &["`1a`"]),
        refused(
            "unique, - and _ being one",
            "steps: [{id: a-b, run: x},{id: a_b, run: x}]",
            &["`a-b`", "`a_b`"],
        ),
        refused(
            "unique in finally, too",
            "steps: [{id: a, run: x}]\nfinally: [{id: a, run: x}]",
            &["duplicate id"],
        ),
        Row {
            arguments: &["plan", "main"],
            ..runs(
                "title is templated",
                "params: {p: world}\nsteps: [{id: a, title: 'Hello {{ params.p }}', run: x}]",
                &["Hello world"],
            )
        },
        refused("and its names are checked", "steps: [{id: a, title: '{{ params.p }}', run: x}]", &["`p`"]),
    ]);
}

#[test]
fn needs_and_finally() {
    hold(&[
        refused(
            "finally needs no step proper",
            "steps: [{id: a, run: x}]\nfinally: [{id: f, needs: [a], run: x}]",
            &["`a`"],
        ),
        refused(
            "nor does a step need finally",
            "steps: [{id: a, needs: [f], run: x}]\nfinally: [{id: f, run: x}]",
            &["`f`"],
        ),
        refused(
            "or see it",
            "steps: [{id: a, run: 'echo {{ steps.f.stdout }}'}]\nfinally: [{id: f, run: x}]",
            &["`steps.f`"],
        ),
        refused(
            "inside a group needs are its own",
            "steps: [{id: o, run: x},{id: g, steps: [{id: a, needs: [o], run: x}]}]",
            &["`o`"],
        ),
        Row {
            arguments: &["plan", "main"],
            ..runs(
                "a step below an approve that its needs don't reach is shown so",
                "steps: [{id: g, approve: {prompt: P}},{id: b, needs: [], run: x}]",
                &["may run before g is answered"],
            )
        },
    ]);
}

#[test]
fn timeouts_and_retries() {
    hold(&[
        fails(
            "SIGTERM at timeout",
            "steps: [{id: a, timeout: 3s, run: 'trap \"echo bye; exit 0\" TERM; while true; do sleep 0.05; done'}]",
            &["│ bye", "timeout after 3s"],
        ),
        fails(
            "SIGKILL after grace",
            "steps: [{id: a, timeout: 100ms, grace: 100ms, run: 'trap \"\" TERM; while true; do sleep 0.05; done'}]",
            &["timeout after 100ms"],
        ),
        runs(
            "timeout bounds one attempt",
            "steps: [{id: a, timeout: 4s, run: 'test $RUNBOOK_ATTEMPT = 2 || sleep 9', retry: {times: 1, delay: 1ms}}]",
            &["a succeeded, attempt 2"],
        ),
        runs(
            "retry: further attempts after the first",
            "steps: [{id: a, run: 'test $RUNBOOK_ATTEMPT = 3', retry: {times: 5, delay: 1ms}},{id: b, run: 'echo n={{ steps.a.attempts }}'}]",
            &["│ n=3"],
        ),
        fails(
            "and no more",
            "steps: [{id: a, run: exit 1, retry: {times: 2, delay: 1ms}}]",
            &["after 3 attempts"],
        ),
        Row {
            lacks: &["attempt 2"],
            ..fails(
                "exit_codes",
                "steps: [{id: a, run: exit 1, retry: {times: 2, delay: 1ms, exit_codes: [7]}}]",
                &["exit 1"],
            )
        },
        runs(
            "retry of a check",
            "steps: [{id: a, check: {run: 'echo x >> f; test $(wc -l < f) -ge 3'}, retry: {times: 4, delay: 1ms}}]",
            &["a succeeded"],
        ),
        refused(
            "timeout of an approve",
            "steps: [{id: a, approve: {prompt: P}, timeout: 1s}]",
            &["`timeout` has no meaning"],
        ),
        refused(
            "of a group",
            "steps: [{id: a, timeout: 1s, steps: [{id: b, run: x}]}]",
            &["`timeout` has no meaning"],
        ),
        refused(
            "of a manual step",
            "steps: [{id: a, manual: M, timeout: 1s}]",
            &["`timeout` has no meaning"],
        ),
        refused("of a wait", "steps: [{id: a, wait: 1s, timeout: 1s}]", &["`timeout` has no meaning"]),
    ]);
    let test = TestEnvironment::with(
        "steps: [{id: a, run: exit 1, retry: {times: 3, delay: 10ms, backoff: 2, max_delay: 25ms, jitter: false}}]",
    );
    test.runbook(&["run", "main"]).exits(1);
    let journal = journal(&test);
    let delays: Vec<_> =
        journal.of("retry_scheduled", "a").iter().map(|event| event["delay_ms"].as_u64().unwrap()).collect();
    assert_eq!(delays, [10, 20, 25]);
}

#[test]
fn deadlines_and_escalation() {
    let channel = "channels: {c: {command: [sh, -c, 'echo \"$0\" >> told', '{{ message }}']}}\nescalation: {p0: [{after: 0s, notify: c}, {after: 100ms, notify: c}]}\n";
    for (row, runbook, kind, count) in [
        (
            "deadline",
            concat!("steps: [{id: a, deadline: 50ms, run: '", until_recorded!("deadline_passed"), "'}]"),
            "deadline_passed",
            1,
        ),
        (
            "of a group",
            concat!(
                "steps: [{id: g, deadline: 50ms, steps: [{id: a, run: '",
                until_recorded!("deadline_passed"),
                "'}]}]"
            ),
            "deadline_passed",
            1,
        ),
        (
            "escalate by policy",
            concat!("steps: [{id: a, escalate: p0, run: '", until_recorded!("escalated", 2), "'}]"),
            "escalated",
            2,
        ),
        (
            "by a list",
            concat!(
                "steps: [{id: a, escalate: [{after: 50ms, notify: c}], run: '",
                until_recorded!("escalated"),
                "'}]"
            ),
            "escalated",
            1,
        ),
        (
            "of a group",
            concat!(
                "steps: [{id: g, escalate: [{after: 50ms, notify: c}], steps: [{id: a, run: '",
                until_recorded!("escalated"),
                "'}]}]"
            ),
            "escalated",
            1,
        ),
    ] {
        let test = TestEnvironment::with(runbook);
        test.write("runbooks/project.yaml", channel);
        test.runbook(&["run", "main"]).succeeds();
        let journal = journal(&test);
        assert_eq!(journal.kind(kind).len(), count, "{row}: {}", journal.lines.join("\n"));
    }
}

#[test]
fn defaults_apply_where_the_step_says_nothing() {
    hold(&[
        runs(
            "env, shell, cwd",
            "defaults: {env: {X: y}, shell: sh, cwd: runbooks}\nsteps: [{id: a, run: 'echo $X; ls'},{id: b, env: {X: z}, shell: bash, cwd: ., run: 'echo $X; ls'}]",
            &["a │ y", "a │ main.yaml", "b │ z", "b │ runbooks"],
        ),
        fails(
            "timeout",
            "defaults: {timeout: 100ms}\nsteps: [{id: a, run: sleep 9}]",
            &["timeout after 100ms"],
        ),
        fails(
            "retry",
            "defaults: {retry: {times: 1, delay: 1ms}}\nsteps: [{id: a, run: exit 1}]",
            &["after 2 attempts"],
        ),
        fails(
            "on_failure",
            "defaults: {on_failure: continue}\nsteps: [{id: a, run: exit 1},{id: b, run: echo on}]",
            &["│ on"],
        ),
        Row {
            code: 3,
            ..runs(
                "not to an approve",
                "defaults: {timeout: 5s, on_failure: continue, retry: 1}\nsteps: [{id: a, approve: {prompt: P}}]",
                &["P"],
            )
        },
    ]);
}

#[test]
fn files_of_steps() {
    let script = [("s.sh", "echo hi\n")];
    hold(&[
        Row {
            files: &script,
            ..runs("inputs", "steps: [{id: a, run: sh s.sh, inputs: ['*.sh']}]", &["│ hi"])
        },
        refused(
            "that match nothing",
            "steps: [{id: a, run: x, inputs: ['*.nope']}]",
            &["`*.nope` matches no file"],
        ),
        Row {
            files: &script,
            ..fails(
                "changed within a live run",
                "steps: [{id: a, run: echo x >> s.sh},{id: b, run: sh s.sh, inputs: [s.sh]}]",
                &["b failed", "inputs"],
            )
        },
        Row {
            files: &script,
            arguments: &["plan", "main"],
            ..runs("plan says which", "steps: [{id: a, run: sh s.sh, inputs: [s.sh]}]", &["reads s.sh"])
        },
        runs(
            "artifacts",
            "steps: [{id: a, run: 'mkdir out; echo 1 > out/a.txt; echo 2 > out/b.txt', artifacts: ['out/*.txt']},{id: b, run: 'echo {{ steps.a.artifacts | join(\"+\") }}'}]",
            &["│ out/a.txt+out/b.txt"],
        ),
        fails(
            "that match nothing",
            "steps: [{id: a, run: 'true', artifacts: [nope.txt]}]",
            &["`nope.txt` matches no file"],
        ),
    ]);
    let digest = |text: &str| {
        let test = TestEnvironment::new();
        test.write("runbooks/main.yaml", "steps: [{id: a, run: sh s.sh, inputs: [s.sh]}]");
        test.write("s.sh", text);
        test.runbook(&["plan", "main", "--format", "json"]).succeeds().json()["digest"].clone()
    };
    assert_eq!(digest("echo 1"), digest("echo 1"));
    assert_ne!(digest("echo 1"), digest("echo 2"), "inputs are part of the plan's digest");
}

#[test]
fn for_each() {
    let journal_of = |runbook: &str| {
        let test = TestEnvironment::with(runbook);
        test.runbook(&["run", "main"]).succeeds();
        journal(&test)
    };
    hold(&[
        runs(
            "a list, item and index from 0",
            "steps: [{id: a, for_each: [x, y], run: 'echo {{ item }}-{{ index }}'}]",
            &["a[0] │ x-0", "a[1] │ y-1"],
        ),
        runs(
            "an expression",
            "params: {l: [p, q]}\nsteps: [{id: a, for_each: params.l, run: 'echo {{ item }}'}]",
            &["a[1] │ q"],
        ),
        runs(
            "items with templates",
            "params: {p: v}\nsteps: [{id: a, for_each: ['{{ params.p }}', b], run: 'echo {{ item }}'}]",
            &["a[0] │ v"],
        ),
        runs(
            "maps",
            "steps: [{id: a, for_each: [{h: x, p: 1}], run: 'echo {{ item.h }}-{{ item.p }}'}]",
            &["│ x-1"],
        ),
        runs(
            "an empty list succeeds",
            "steps: [{id: a, for_each: [], run: x},{id: b, run: 'echo {{ steps.a.outcome }} {{ steps.a.items | length }}'}]",
            &["│ succeeded 0"],
        ),
        fails(
            "a value that isn't a list fails",
            "steps: [{id: a, run: echo x},{id: b, for_each: steps.a.stdout, run: x}]",
            &["b failed", "must be a list"],
        ),
        runs(
            "results",
            "steps: [{id: a, for_each: [1, 2], run: 'echo {{ item }}', outputs: {v: number}},{id: b, run: 'echo {{ steps.a.items[1].outputs.v }} {{ steps.a.items[0].outcome }} {{ steps.a.items[0].stdout }}'}]",
            &["b │ 2 succeeded 1"],
        ),
        runs(
            "when is for each item",
            "steps: [{id: a, for_each: [1, 2], when: item == 1, run: 'echo {{ item }}'}]",
            &["a[1] skipped", "a succeeded"],
        ),
        runs(
            "in a group",
            "steps: [{id: g, for_each: [x, y], steps: [{id: s, run: 'echo {{ item }}-{{ index }}'},{id: u, run: 'echo {{ steps.s.stdout }}'}]}]",
            &["g[0].s │ x-0", "g[1].u │ y-1"],
        ),
        runs(
            "max_failures",
            "steps: [{id: a, for_each: [0, 1, 0], max_failures: 1, run: 'exit {{ item }}'},{id: b, run: echo on}]",
            &["a[1] failed", "a[2] succeeded", "a succeeded", "│ on"],
        ),
        Row {
            lacks: &["also failed"],
            ..fails(
                "with one more no further item starts, and the ending names it",
                "steps: [{id: a, for_each: [0, 1, 0], run: 'exit {{ item }}'}]",
                &["a[2] cancelled", "a failed", "main failed at a[1] (exit 1)"],
            )
        },
        refused("item elsewhere", "steps: [{id: a, run: 'echo {{ item }}'}]", &["`item`"]),
        refused("a share", "steps: [{id: a, for_each: [1], batches: [101%], run: x}]", &["`101%`"]),
        refused("a size", "steps: [{id: a, for_each: [1], batches: [0], run: x}]", &["at least 1"]),
    ]);
    let items =
        journal_of("steps: [{id: a, run: 'echo [1,2]'},{id: b, for_each: steps.a.json, run: 'true'}]");
    assert_eq!(items.one("items", "b")["list"], serde_json::json!([1, 2]), "recorded");
    // One, then up to 10 % of eleven (rounded up: two), then all.
    let waves = journal_of(
        "steps: [{id: a, for_each: range(11), batches: [1, 10%, 100%], max_parallel: 16, run: 'true'}]",
    );
    assert!(waves.seq("step_finished", "a[0]") < waves.seq("step_started", "a[1]"));
    assert!(waves.seq("step_finished", "a[1]") < waves.seq("step_started", "a[2]"));
    let first_end = (2..11).map(|n| waves.seq("step_finished", &format!("a[{n}]"))).min().unwrap();
    assert!(
        (2..11).all(|n| waves.seq("step_started", &format!("a[{n}]")) < first_end || n > 9),
        "side by side"
    );
}

#[test]
fn tags() {
    const TAGGED: &str = "steps: [{id: a, tags: [x], run: echo ran-a},{id: g, approve: {prompt: P}},{id: b, tags: [y], run: echo ran-b},{id: h, tags: [x], steps: [{id: i, run: echo ran-i}]}]";
    hold(&[
        Row {
            arguments: &["run", "main", "--tags", "x", "--approve", "g=ok"],
            lacks: &["ran-b\n"],
            ..runs(
                "--tags: an approve stays in",
                TAGGED,
                &["│ ran-a", "│ ran-i", "g succeeded", "b skipped: left out by --tags x"],
            )
        },
        Row {
            arguments: &["run", "main", "--skip-tags", "x", "--approve", "g=ok"],
            lacks: &["│ ran-a", "│ ran-i"],
            ..runs("--skip-tags", TAGGED, &["│ ran-b", "a skipped"])
        },
        Row { arguments: &["run", "main", "--tags", "z"], ..refused("a tag of no step", TAGGED, &["`z`"]) },
        Row {
            arguments: &["plan", "main", "--tags", "y"],
            ..runs("plan shows it", TAGGED, &["left out by --tags y"])
        },
    ]);
}
