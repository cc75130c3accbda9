//! A value in a script is one literal value, wherever it stands (language §7, "Shell safety is the default").

use crate::helpers::TestEnvironment;

/// Values that some quoting has been broken by.
const VALUES: &[&str] = &[
    "$(touch pwned)'\"; x",
    "`touch pwned`",
    "a b; touch pwned",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "${IFS}$HOME \\ * ? [a]",
    "-n",
    "",
    "line 1\nEND\ntouch pwned",
    "\\",
    "!! ünï‰",
];

/// Places in a script, each leaving what it was given in `seen`.
const PLACES: &[(&str, &str)] = &[
    ("bare", "printf '%s' {{ params.v }} > seen"),
    ("double quotes", "printf '%s' \"{{ params.v }}\" > seen"),
    ("single quotes", "printf '%s' '{{ params.v }}' > seen"),
    ("assignment", "x={{ params.v }}\nprintf '%s' \"$x\" > seen"),
    ("substitution", "x=$(printf '%s.' {{ params.v }})\nprintf '%s' \"${x%.}\" > seen"),
    (
        "substitution in double quotes",
        "x=\"$(printf '%s.' \"{{ params.v }}\")\"\nprintf '%s' \"${x%.}\" > seen",
    ),
    (
        "here-document",
        "cat > with-newline <<END\n{{ params.v }}\nEND\nx=$(cat with-newline; printf .)\nprintf '%s' \"${x%??}\" > seen",
    ),
    ("function", "f() { printf '%s' \"$1\" > seen; }\nf {{ params.v }}"),
    ("case", "case {{ params.v }} in *) printf '%s' {{ params.v }} > seen ;; esac"),
];

#[test]
fn a_value_arrives_literally_in_every_place_and_shell() {
    for shell in ["bash", "sh"] {
        let step = |number: usize, script: &str| {
            let script = script.replace("> seen", &format!("> seen-{number}"));
            let indented: String = script.lines().map(|line| format!("      {line}\n")).collect();
            format!("  - id: s{number}\n    shell: {shell}\n    run: |\n{indented}")
        };
        let steps: String =
            PLACES.iter().enumerate().map(|(number, (_, script))| step(number, script)).collect();
        let test = TestEnvironment::with(&format!("\nparams: {{v: {{type: string}}}}\nsteps:\n{steps}"));
        for value in VALUES {
            test.runbook(&["run", "main", "-p", &format!("v={value}")]).succeeds();
            for (number, (place, _)) in PLACES.iter().enumerate() {
                assert_eq!(test.read(&format!("seen-{number}")), *value, "{place} in {shell}");
            }
            assert!(!test.project().join("pwned").exists(), "{value:?} was run");
        }
    }
}

#[test]
fn in_an_argv_a_value_is_one_argument() {
    let test = TestEnvironment::with(
        "\nparams: {v: {type: string}}\nsteps:\n  - {id: a, run: [sh, -c, 'printf %s \"$1\" > seen', sh, '{{ params.v }}']}\n",
    );
    for value in VALUES {
        test.runbook(&["run", "main", "-p", &format!("v={value}")]).succeeds();
        assert_eq!(test.read("seen"), *value);
    }
    assert!(!test.project().join("pwned").exists());
}

/// Places where something would read the value again as a program: an error before anything runs, with the way out.
#[test]
fn places_that_are_read_again_are_refused_and_name_the_fix() {
    for (script, fix) in [
        ("x=`echo {{ params.v }}`", ""),
        ("cat <<'END'\n{{ params.v }}\nEND", ""),
        ("eval {{ params.v }}", "env"),
        ("source {{ params.v }}", "env"),
        (". {{ params.v }}", "env"),
        ("trap {{ params.v }} EXIT", "env"),
        ("echo $(( {{ params.v }} + 1 ))", "env"),
        ("[[ {{ params.v }} -gt 3 ]]", ""),
        ("printf -v {{ params.v }} x", ""),
        ("echo \"${a[{{ params.v }}]}\"", ""),
        ("bash -c \"echo {{ params.v }}\"", "env"),
        ("sudo env A=b sh -c 'echo {{ params.v }}'", "env"),
        ("ssh host ls {{ params.v }}", ""),
        ("echo {{ params.v }} | sh", ""),
        ("bash <<END\necho {{ params.v }}\nEND", ""),
        ("psql -c \"select '{{ params.v }}'\"", "-v"),
        ("kubectl exec pod -- psql -c \"select '{{ params.v }}'\"", "-v"),
        ("jq '.[\"{{ params.v }}\"]' file", "--arg"),
        ("awk '/{{ params.v }}/' file", ""),
        ("sed 's/a/{{ params.v }}/' file", ""),
        ("python3 -c 'print(\"{{ params.v }}\")'", ""),
        ("find . | xargs echo {{ params.v }}", ""),
    ] {
        let indented: String = script.lines().map(|line| format!("      {line}\n")).collect();
        let test = TestEnvironment::with(&format!(
            "\nparams: {{v: {{type: string}}}}\nsteps:\n  - id: a\n    run: |\n{indented}"
        ));
        let output = test.runbook(&["validate", "main", "--format", "json"]).exits(1);
        let found = output.json();
        let found = found.as_array().unwrap();
        assert_eq!(found.len(), 1, "{script}: {output}");
        assert_eq!(found[0]["severity"], "error");
        let help = format!("{} {}", found[0]["message"], found[0]["help"]);
        assert!(
            !found[0]["help"].as_str().unwrap_or_default().is_empty() && help.contains(fix),
            "{script}: {help}"
        );
        test.runbook(&["run", "main", "-p", "v=x"]).exits(2);
        assert!(test.runs().is_empty());
    }
}

/// What can hold no program is allowed in those places.
#[test]
fn values_that_cannot_be_a_program_are_allowed_in_program_texts() {
    let test = TestEnvironment::with(
        r#"
params:
  count: {type: integer, default: 3}
  flag: {type: boolean, default: true}
  slot: {choices: [blue, green], default: blue}
  version: {pattern: 'v\d+\.\d+', default: v1.2}
steps:
  - {id: inner, run: 'bash -c "echo {{ params.slot }} {{ params.flag }} {{ params.count }}" >> "$LEDGER"'}
  - {id: text, run: "echo @ | sed 's/@/{{ params.version }}/' >> \"$LEDGER\""}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["blue true 3", "v1.2"]);
}

#[test]
fn people_are_shown_the_command_with_its_values_quoted() {
    let test = TestEnvironment::with(
        "\nparams: {v: {type: string}}\nsteps:\n  - {id: a, run: 'echo {{ params.v }} > seen'}\n",
    );
    for (value, shown) in [("blue", "echo blue > seen"), ("a b", "echo 'a b' > seen")] {
        let argument = format!("v={value}");
        let plan = test.runbook(&["plan", "main", "-p", &argument, "--format", "json"]).succeeds().json();
        assert_eq!(plan["steps"][0]["command"].as_str().unwrap().trim_end(), shown);
        let run = test.runbook(&["run", "main", "-p", &argument]).succeeds().run_id();
        assert_eq!(
            test.journal(&run).one("step_started", "a")["command"].as_str().unwrap().trim_end(),
            shown
        );
    }
}

#[test]
fn other_braces_are_ordinary_text_and_raw_opts_out() {
    let test = TestEnvironment::with(
        r#"
params: {flags: "-n hello"}
steps:
  - {id: plain, run: 'echo "{% if %} {# no #} ${HOME:+x}" >> "$LEDGER"'}
  - id: go
    run: echo '{{ "{{.State}}" }}' >> "$LEDGER"
  - {id: raw, run: 'printf "%s\n" {{ params.flags | raw }} >> "$LEDGER"'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["{% if %} {# no #} x", "{{.State}}", "-n", "hello"]);

    let test = TestEnvironment::with("\nsteps:\n  - {id: go, run: \"docker inspect -f '{{.State}}' x\"}\n");
    test.runbook(&["validate", "main"]).exits(1).stdout_or_stderr_has("{{ '{{.State}}' }}");
}
