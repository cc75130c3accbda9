//! An author's mistakes: all at once, each with its place (language §1).

use serde_json::Value;

use crate::helpers::TestEnvironment;

fn findings(yaml: &str) -> Vec<Value> {
    let test = TestEnvironment::new();
    test.write("runbooks/main.yaml", yaml);
    let output = test.runbook(&["validate", "main", "--format", "json"]).exits(1);
    let found = output.json();
    let found = found.as_array().unwrap_or_else(|| panic!("no list: {output}")).clone();
    for finding in &found {
        for field in ["file", "line", "column", "severity", "code", "message", "help"] {
            assert!(finding.get(field).is_some(), "{field} in {finding}");
        }
        assert!(finding["file"].as_str().unwrap().ends_with("main.yaml"));
    }
    found
}

fn place(finding: &Value) -> (u64, u64) {
    (finding["line"].as_u64().unwrap(), finding["column"].as_u64().unwrap())
}

fn text(finding: &Value) -> String {
    format!(
        "{} {}",
        finding["message"].as_str().unwrap_or_default(),
        finding["help"].as_str().unwrap_or_default()
    )
}

#[test]
fn three_mistakes_are_three_findings_with_line_and_column() {
    let found = findings(
        "steps:
  - id: build
    rum: make
  - id: test
    needs: [bild]
    run: make test
    timeout: 5
",
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    let places: Vec<_> = found.iter().map(place).collect();
    assert!(places.contains(&(3, 5)) && places.contains(&(5, 13)) && places.contains(&(7, 14)), "{found:#?}");
    let of_line =
        |line: u64| found.iter().filter(|finding| place(finding).0 == line).map(text).collect::<String>();
    assert!(of_line(3).contains("rum") && of_line(3).contains("run"), "did you mean: {}", of_line(3));
    assert!(of_line(5).contains("bild") && of_line(5).contains("build"), "did you mean: {}", of_line(5));
    assert!(
        of_line(7).contains("5s") || of_line(7).contains("unit"),
        "a bare number is no duration: {}",
        of_line(7)
    );
}

#[test]
fn the_same_in_text_shows_the_source_line() {
    let test = TestEnvironment::new();
    test.write("runbooks/main.yaml", "steps:\n  - id: build\n    rum: make the thing\n");
    let output = test.runbook(&["validate", "main"]).exits(1).stdout_or_stderr_has("main.yaml");
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains("3:5") && all.contains("rum: make the thing"), "{output}");
    let output = test.runbook(&["run", "main"]).exits(2);
    assert!(output.stderr.contains("3:5") && output.stdout.is_empty(), "{output}");
}

#[test]
fn each_kind_of_mistake_is_found_at_its_place() {
    for (yaml, at, says) in [
        ("steps:\n  - {id: a, run: x}\n  - {id: a, run: y}\n", (3, 10), "a"),
        ("steps:\n  - id: a\n    run: x\n    run: y\n", (4, 5), "run"),
        (
            "steps:\n  - {id: a, needs: [c], run: x}\n  - {id: b, needs: [a], run: x}\n  - {id: c, needs: [b], run: x}\n",
            (2, 0),
            "a",
        ),
        ("steps:\n  - {id: a, run: 'echo {{ params.x }}'}\n", (2, 27), "parameter `x`"),
        ("steps:\n  - {id: a, when: steps.b.failed, run: x}\n  - {id: b, run: x}\n", (2, 0), "b"),
        ("steps:\n  - {id: a}\n", (2, 0), "a"),
        ("steps:\n  - {id: a, run: x, check: y}\n", (2, 0), "check"),
        ("steps:\n  - {id: A, run: x}\n", (2, 10), "A"),
        ("steps:\n  - {id: a, run: x, on_failure: explode}\n", (2, 0), "explode"),
        ("steps:\n  - {id: a, approve: {prompt: Go?}, retry: 2}\n", (2, 0), "retry"),
        ("steps:\n  - {id: a-b, run: x}\n  - {id: a_b, run: x}\n", (3, 10), "a_b"),
        ("steps:\n  - {id: a-b, run: x}\n  - {id: c, when: steps.a-b.failed, run: x}\n", (3, 0), "a_b"),
        ("steps:\n  - {id: a, run: x, timeout: soon}\n", (2, 0), "soon"),
        (
            "params: {n: {type: integer, default: many}}\nsteps:\n  - {id: a, run: 'echo {{ params.n }}'}\n",
            (1, 0),
            "many",
        ),
        ("stepz:\n  - {id: a, run: x}\n", (1, 1), "steps"),
        ("steps: []\nversion: 2\n", (2, 10), "1"),
        ("steps:\n  - {id: a, run: 'echo {{ params }'}\n", (2, 0), ""),
        ("steps:\n  - id: a\n    run: [x\n", (0, 0), ""),
        ("steps:\n  - id: a\n    run: !!str x\n", (3, 0), "tag"),
        ("steps:\n  - id: a\n    run: \"x\u{202e}y\"\n", (3, 0), ""),
        ("steps:\n  - {id: a, run: x}\n---\nsteps: []\n", (3, 0), "document"),
        ("steps:\n  - {id: a, run: x, outputs: {1x: stdout}}\n", (2, 0), "1x"),
        ("steps:\n  - {id: a, check: {http: 'http://x', expect: stauts == 200}}\n", (2, 0), "stauts"),
    ] {
        let found = findings(yaml);
        let fits = found.iter().any(|finding| {
            let (line, column) = place(finding);
            (at.0 == 0 || line == at.0) && (at.1 == 0 || column == at.1) && text(finding).contains(says)
        });
        assert!(fits, "{at:?} {says:?} for\n{yaml}\n{found:#?}");
    }
}

#[test]
fn a_cycle_shows_its_whole_circle() {
    let found = findings(
        "steps:\n  - {id: a, needs: [c], run: x}\n  - {id: b, needs: [a], run: x}\n  - {id: c, needs: [b], run: x}\n",
    );
    let all: String = found.iter().map(text).collect();
    assert!(["a", "b", "c"].iter().all(|id| all.contains(id)), "{all}");
}

#[test]
fn keys_of_later_releases_are_refused_by_name() {
    let found = findings("steps:\n  - {id: a, run: x, on: web}\n");
    let said = found
        .iter()
        .any(|finding| text(finding).contains("on") && text(finding).contains("not supported yet"));
    assert!(said, "on: {found:#?}");
    for top in ["schedule: {cron: '* * * * *', tz: UTC}", "triggers: {}"] {
        let found = findings(&format!("{top}\nsteps:\n  - {{id: a, run: x}}\n"));
        let said =
            found.iter().any(|finding| place(finding).0 == 1 && text(finding).contains("not supported yet"));
        assert!(said, "{top}: {found:#?}");
    }
}

#[test]
fn yaml_1_2_rules_hold() {
    let test = TestEnvironment::with(
        r#"
params: {country: {default: no}, octal: {default: 010}}
steps:
  - &base {id: a, env: &common {X: "1"}, run: 'echo {{ params.country }} "$X" >> "$LEDGER"'}
  - {id: b, env: {<<: *common, Y: "2"}, run: 'echo "$X$Y" >> "$LEDGER"'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["no 1", "12"]);
}

#[test]
fn a_byte_order_mark_is_dropped_and_an_alias_bomb_is_an_error() {
    let test = TestEnvironment::new();
    test.write("runbooks/main.yaml", "\u{feff}steps:\n  - {id: a, run: 'true'}\n");
    test.runbook(&["run", "main"]).succeeds();
    let mut bomb = String::from("description: x\nenv: &a0 {X: y}\n");
    bomb.push_str("links:\n");
    for level in 1..12 {
        let previous = level - 1;
        let aliases = vec![format!("*a{previous}"); 10].join(", ");
        bomb.extend(["  l", &level.to_string(), ": &a", &level.to_string(), " [", &aliases, "]\n"]);
    }
    bomb.push_str("steps:\n  - {id: a, run: 'true'}\n");
    assert!(!findings(&bomb).is_empty());
}
