//! Order, `needs` and `max_parallel` (language §2).

use crate::helpers::TestEnvironment;

#[test]
fn without_needs_a_step_waits_for_all_above() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: a, run: echo a >> "$LEDGER"}
  - {id: b, run: echo b >> "$LEDGER"}
  - {id: c, run: echo c >> "$LEDGER"}
"#,
    );
    let run = test.runbook(&["run", "main"]).succeeds().ends("succeeded").run_id();
    assert_eq!(test.ledger(), ["a", "b", "c"]);
    let journal = test.journal(&run);
    for (earlier, later) in [("a", "b"), ("b", "c")] {
        assert!(
            journal.seq("step_finished", earlier) < journal.seq("step_started", later),
            "{earlier} before {later}"
        );
    }
}

/// Each waits for a sign of the other: one after the other they would never end.
#[test]
fn empty_needs_start_at_once() {
    let test = TestEnvironment::with(
        r#"
defaults: {timeout: 50s}
steps:
  - {id: left, run: 'touch left; until [ -e right ]; do sleep 0.02; done'}
  - {id: right, needs: [], run: 'touch right; until [ -e left ]; do sleep 0.02; done'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
}

#[test]
fn needs_wait_for_just_those_they_name() {
    let test = TestEnvironment::with(
        r#"
defaults: {timeout: 50s}
steps:
  - {id: slow, run: 'until [ -e quick-done ]; do sleep 0.02; done; echo slow >> "$LEDGER"'}
  - {id: first, needs: [], run: echo first >> "$LEDGER"}
  - {id: quick, needs: [first], run: 'echo quick >> "$LEDGER"; touch quick-done'}
  - {id: last, run: echo last >> "$LEDGER"}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["first", "quick", "slow", "last"]);
}

#[test]
fn max_parallel_bounds_how_many_run() {
    let steps: String = (0..6)
        .map(|i| format!("  - {{id: s{i}, needs: [], run: 'echo start >> \"$LEDGER\"; sleep 0.05; echo end >> \"$LEDGER\"'}}\n"))
        .collect();
    for (at_top, arguments) in
        [("max_parallel: 1", &["run", "main"][..]), ("", &["run", "main", "--max-parallel", "1"])]
    {
        let test = TestEnvironment::with(&format!("{at_top}\nsteps:\n{steps}"));
        test.runbook(arguments).succeeds();
        assert_eq!(test.ledger(), ["start", "end"].repeat(6), "{at_top} {arguments:?}");
    }
}

/// A gate takes no slot and holds up only what depends on it.
#[test]
fn a_waiting_gate_lets_independent_branches_go_on() {
    let test = TestEnvironment::with(
        r#"
max_parallel: 1
steps:
  - {id: gate, approve: {prompt: Go on?}}
  - {id: behind, run: echo behind >> "$LEDGER"}
  - {id: beside, needs: [], run: echo beside >> "$LEDGER"}
"#,
    );
    test.runbook(&["run", "main"]).exits(3).ends("waiting");
    assert_eq!(test.ledger(), ["beside"]);
}

#[test]
fn plan_lists_steps_in_topological_and_declared_order() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: d, needs: [b], run: "true"}
  - {id: a, needs: [], run: "true"}
  - {id: c, needs: [a], run: "true"}
  - {id: b, needs: [], run: "true"}
"#,
    );
    let plan = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let ids: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["id"].as_str().unwrap().to_owned())
        .collect();
    let place = |id: &str| ids.iter().position(|found| found == id).unwrap();
    assert_eq!(ids.len(), 4);
    assert!(place("b") < place("d") && place("a") < place("c"), "{ids:?}");
    assert!(place("a") < place("b"), "of two that are free the one written first: {ids:?}");
}
