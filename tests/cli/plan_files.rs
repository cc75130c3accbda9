//! Plans in files: `plan -o FILE`, `run --plan FILE` (cli).

use crate::helpers::TestEnvironment;

fn planned(body: &str, arguments: &[&str]) -> TestEnvironment {
    let test = TestEnvironment::with(body);
    let arguments: Vec<&str> =
        ["plan", "main", "-o", "plan.json"].into_iter().chain(arguments.iter().copied()).collect();
    test.runbook(&arguments).succeeds();
    test
}

const GREETS: &str = r#"
params:
  who: {type: string, default: nobody}
steps:
  - {id: greet, run: 'echo "hello {{ params.who }}" >> "$LEDGER"'}
"#;

#[test]
fn a_plan_in_a_file_is_what_runs_whatever_became_of_the_runbook() {
    let test = planned(GREETS, &["-p", "who=ana"]);
    test.runbook_named("main", "\nsteps:\n  - {id: other, run: echo other >> \"$LEDGER\"}\n");
    let output = test.runbook(&["run", "--plan", "plan.json"]).succeeds().ends("succeeded");
    assert_eq!(test.ledger(), ["hello ana"]);
    let run = output.run_id();
    let written: serde_json::Value = serde_json::from_str(&test.read("plan.json")).unwrap();
    assert_eq!(test.journal(&run).kind("run_created")[0]["plan_digest"], written["digest"]);
    assert!(std::fs::read_to_string(test.run_folder(&run).join("runbook.yaml")).unwrap().contains("greet"));
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn the_digest_in_the_file_is_the_one_that_plan_shows() {
    let test = planned(GREETS, &[]);
    let shown = test.runbook(&["plan", "main", "--format", "json"]).succeeds().json();
    let written: serde_json::Value = serde_json::from_str(&test.read("plan.json")).unwrap();
    assert_eq!(shown["digest"], written["digest"]);
    test.runbook(&["run", "--plan", "plan.json", "--dry-run"]).succeeds().stdout_has("greet");
    assert!(test.runs().is_empty());
}

#[test]
fn a_plan_that_was_changed_is_refused() {
    let body = "\nsteps:\n  - {id: a, run: 'echo honest >> \"$LEDGER\"'}\n";
    let table: [(&str, &str); 7] = [
        ("honest", "evil"),
        ("\"a\"", "\"b\""),
        ("\"max_parallel\": 16", "\"max_parallel\": 17"),
        ("\"format\": 1", "\"format\": 2"),
        ("\"digest\": \"", "\"digest\": \"0"),
        ("project", "projekt"),
        ("\"plan\": {", "\"plan\": {\"nonsense\": 1,"),
    ];
    for (from, to) in table {
        let test = planned(body, &[]);
        let text = test.read("plan.json");
        assert!(text.contains(from), "{from} in {text}");
        test.write("plan.json", &text.replace(from, to));
        test.runbook(&["run", "--plan", "plan.json"]).exits(2);
        assert!(test.ledger().is_empty() && test.runs().is_empty(), "{from} → {to}");
    }
}

#[test]
fn a_plan_of_another_format_is_refused_by_name() {
    let test = planned(GREETS, &[]);
    let text = test.read("plan.json");
    for part in ["{\n  \"format\": 1", "\"plan\": {\n    \"format\": 1"] {
        assert!(text.contains(part), "{part} in {text}");
        test.write("plan.json", &text.replace(part, &part.replace('1', "99")));
        test.runbook(&["run", "--plan", "plan.json"]).exits(2).stderr_has("format 99");
    }
}

#[test]
fn what_is_no_plan_is_refused() {
    let test = TestEnvironment::with(GREETS);
    for content in
        ["", "[]", "null", "{}", "{\"format\": 1}", "steps: []", "{\"format\": 1, \"plan\": {\"format\": 1}}"]
    {
        test.write("plan.json", content);
        test.runbook(&["run", "--plan", "plan.json"]).exits(2).stderr_has("plan.json");
    }
    test.runbook(&["run", "--plan", "nothing.json"]).exits(2).stderr_has("nothing.json");
    assert!(test.runs().is_empty());
}

#[test]
fn parameters_and_choices_of_planning_cannot_be_given_beside_a_plan() {
    let test = planned(GREETS, &[]);
    test.write("params.yaml", "who: eve\n");
    for beside in [
        &["-p", "who=eve"][..],
        &["--params", "params.yaml"],
        &["main"],
        &["--tags", "x"],
        &["--skip-tags", "x"],
        &["--on-failure", "continue"],
    ] {
        let arguments: Vec<&str> =
            ["run", "--plan", "plan.json"].into_iter().chain(beside.iter().copied()).collect();
        test.runbook(&arguments).exits(2);
    }
    assert!(test.runs().is_empty());
}

#[test]
fn inputs_must_be_as_they_were_planned() {
    let body = r#"
steps:
  - {id: apply, cwd: sql, inputs: ["*.sql"], run: 'cat a.sql >> "$LEDGER"'}
  - {id: each, for_each: [1], inputs: [each.txt], run: 'cat each.txt >> "$LEDGER"'}
"#;
    let fresh = || {
        let test = TestEnvironment::with(body);
        test.write("sql/a.sql", "select 1\n");
        test.write("each.txt", "each\n");
        test.runbook(&["plan", "main", "-o", "plan.json"]).succeeds();
        test
    };
    fresh().runbook(&["run", "--plan", "plan.json"]).succeeds();
    let test = fresh();
    test.write("sql/a.sql", "drop table users\n");
    test.runbook(&["run", "--plan", "plan.json"]).exits(2).stderr_has("a.sql");
    let test = fresh();
    test.write("sql/b.sql", "new\n");
    test.runbook(&["run", "--plan", "plan.json"]).exits(2).stderr_has("b.sql");
    let test = fresh();
    test.write("each.txt", "changed\n");
    test.runbook(&["run", "--plan", "plan.json"]).exits(2).stderr_has("each.txt");
    assert!(test.runs().is_empty() && test.ledger().is_empty());
}

#[test]
fn a_plan_finds_its_project_from_elsewhere() {
    let test = planned("\nsteps:\n  - {id: where, run: 'pwd >> \"$LEDGER\"'}\n", &[]);
    let mut command = test.command(&["run", "--plan"]);
    command.arg(test.project().join("plan.json")).current_dir(test.outside("home"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = test.project().canonicalize().unwrap();
    assert_eq!(test.ledger(), [expected.display().to_string()]);
}

/// `-` is standard output, as everywhere; what people read goes to standard error then.
#[test]
fn a_plan_is_written_to_standard_output() {
    let test = TestEnvironment::with("steps:\n  - {id: one, run: echo one >> \"$LEDGER\"}\n");
    for arguments in [&["plan", "main", "-o", "-"][..], &["plan", "main", "-o", "-", "--format", "json"]] {
        let output = test.runbook(arguments).succeeds().stderr_has("one");
        let plan = output.json();
        assert_eq!((&plan["format"], &plan["plan"]["runbook"]), (&1.into(), &"main".into()), "{output}");
        assert!(!test.project().join("-").exists());
        test.write("plan.json", &output.stdout);
    }
    test.runbook(&["run", "--plan", "plan.json"]).succeeds();
    assert_eq!(test.ledger(), ["one"]);
}
