//! Rows of language.md §7: names, filters, templates, shell safety, secrets, the environment.

use crate::rows::{Row, fails, hold, refused, runs};

#[test]
fn names_of_steps() {
    hold(&[
        runs(
            "a check's result gives number, lines and exit_code",
            "steps: [{id: a, check: {run: echo 5}, outputs: {x: number * 2}},{id: b, run: 'echo {{ steps.a.outputs.x }} {{ steps.a.stdout }} {{ steps.a.exit_code }} {{ steps.a.number }} {{ steps.a.lines | length }}'}]",
            &["│ 10 5 0 5 1"],
        ),
        runs(
            "a step itself in its outputs",
            "steps: [{id: a, run: 'echo 5; echo r=v >> $RUNBOOK_OUTPUT', outputs: {x: steps.a.number + 1, y: number, z: steps.a.outputs.r | upper, e: steps.a.exit_code}},{id: b, run: 'echo {{ steps.a.outputs.x }} {{ steps.a.outputs.y }} {{ steps.a.outputs.z }} {{ steps.a.outputs.e }}'}]",
            &["│ 6 5 V 0"],
        ),
        runs(
            "a step itself in its artifacts",
            "steps: [{id: a, run: 'touch made; echo f=made >> $RUNBOOK_OUTPUT', artifacts: ['{{ steps.a.outputs.f }}']}]",
            &["a succeeded"],
        ),
        refused(
            "a step itself elsewhere",
            "steps: [{id: a, run: 'echo {{ steps.a.stdout }}'}]",
            &["`steps.a`"],
        ),
        runs(
            "every name of a step that succeeded",
            r#"
steps:
  - {id: z, run: 'echo "{\"k\": [1, {\"m\": \"v\"}]}"; echo e >&2; echo o=val >> $RUNBOOK_OUTPUT'}
  - {id: a, run: 'echo {{ steps.z.outcome }} {{ steps.z.succeeded }} {{ steps.z.failed }} {{ steps.z.skipped }} {{ steps.z.exit_code }} {{ steps.z.stderr }}'}
  - {id: b, run: 'echo {{ steps.z.json.k[1].m }} {{ steps.z.lines | length }} {{ steps.z.outputs.o }} {{ steps.z.attempts }} {{ steps.z.artifacts | length }} {{ steps.z.duration < 60 }}'}
"#,
            &["│ succeeded true false false 0 e", "│ v 1 val 1 0 true"],
        ),
        runs(
            "stdout has its trailing newlines removed, number is an integer where it is whole",
            r#"
steps:
  - {id: a, run: 'printf "x\n\n\n"'}
  - {id: n, run: 'echo " 3.0 "'}
  - {id: b, run: 'echo "[{{ steps.a.stdout }}]" {{ steps.a.lines | length }} {{ steps.n.number }}'}
"#,
            &["│ [x] 1 3"],
        ),
        runs(
            "values from RUNBOOK_OUTPUT are strings",
            "steps: [{id: a, run: 'echo n=5 >> $RUNBOOK_OUTPUT'},{id: b, when: steps.a.outputs.n == '5' and steps.a.outputs.n != 5, run: echo string}]",
            &["│ string"],
        ),
        runs(
            "bytes that are not UTF-8 become U+FFFD",
            r"steps: [{id: a, run: 'printf ''\377x'''},{id: b, run: 'echo {{ steps.a.stdout }}'}]",
            &["│ \u{fffd}x"],
        ),
        fails(
            "an undefined name of a step fails the step that uses it",
            "steps: [{id: a, when: 'false', run: echo x},{id: b, run: 'echo {{ steps.a.stdout }}'}]",
            &["b failed: template", "skipped"],
        ),
        runs(
            "unless default follows",
            "steps: [{id: a, when: 'false', run: echo x},{id: b, run: 'echo {{ steps.a.stdout | default(\"dd\") }} {{ steps.a.outputs.foo | default(\"ee\") }} {{ steps.a.skipped }}'}]",
            &["│ dd ee true"],
        ),
        Row {
            code: 3,
            ..runs(
                "in the texts of gates it is shown",
                "steps: [{id: a, when: 'false', run: echo x},{id: b, approve: {prompt: 'P {{ steps.a.stdout }}?'}}]",
                &["P ‹steps.a.stdout: skipped›?"],
            )
        },
        Row {
            files: &[(
                "runbooks/project.yaml",
                "channels: {ops: {command: [sh, -c, 'echo \"$0\" > told', '{{ message }}']}}\n",
            )],
            ..runs(
                "and in notify",
                "steps: [{id: a, when: 'false', run: echo x},{id: b, notify: {channel: ops, message: 'P {{ steps.a.stdout }}'}},{id: c, run: cat told}]",
                &["│ P ‹steps.a.stdout: skipped›"],
            )
        },
        fails(
            "and in finally",
            "steps: [{id: a, run: exit 4},{id: b, run: echo b}]\nfinally: [{id: f, run: 'echo {{ steps.b.stdout }} {{ steps.a.exit_code }} {{ steps.b.outcome }}'}]",
            &["│ ‹steps.b.stdout: blocked› 4 blocked"],
        ),
        fails(
            "the reason is told behind a filter, too",
            "steps: [{id: a, when: 'false', run: echo x},{id: b, when: steps.a.stdout | length > 5, run: echo x}]",
            &["`steps.a.stdout` is not defined: the step was skipped"],
        ),
        Row {
            arguments: &["run", "main", "-q"],
            ..fails(
                "output over 16 MiB can't be used",
                "steps: [{id: a, run: \"head -c 17000000 /dev/zero | tr '\\\\0' x > long; cat long\"},{id: b, when: steps.a.stdout | length > 5, run: echo x}]",
                &["`steps.a.stdout` is not defined", "16 MiB"],
            )
        },
        fails(
            "default stands for the last name",
            "steps: [{id: a, run: 'echo {}'},{id: b, run: 'echo {{ steps.a.json.x.y | default(\"dd\") }}'}]",
            &["(steps.a.json.x | default({})).y"],
        ),
        runs(
            "so that is how to write it",
            "steps: [{id: a, run: 'echo {}'},{id: b, run: 'echo {{ (steps.a.json.x | default({})).y | default(\"dd\") }} {{ steps.a.json.z | default(\"ee\") }}'}]",
            &["│ dd ee"],
        ),
        refused(
            "an outcome that there is not",
            "steps: [{id: a, on_failure: warn, run: x},{id: b, when: steps.a.outcome == 'suceeded', run: x}]",
            &["did you mean `succeeded`?"],
        ),
        runs(
            "a dash is written _ or quoted",
            "steps: [{id: smoke-tests, run: echo s},{id: a, run: 'echo {{ steps.smoke_tests.stdout }}{{ steps[\"smoke-tests\"].stdout }}'}]",
            &["│ ss"],
        ),
        refused(
            "an unquoted dash is an error that shows both ways",
            "steps: [{id: smoke-tests, run: echo s},{id: a, run: 'echo {{ steps.smoke-tests.stdout }}'}]",
            &["`steps.smoke_tests`", "`steps[\"smoke-tests\"]`"],
        ),
        refused(
            "a step inside a group is suggested by its dotted id",
            "steps: [{id: g, steps: [{id: abc, run: echo 1}]},{id: c, run: 'echo {{ steps[\"g.abd\"].stdout }}'}]",
            &["did you mean `g.abc`?"],
        ),
        refused(
            "and is named so",
            "steps: [{id: g, steps: [{id: a, run: echo 1}]},{id: c, run: 'echo {{ steps.g.a.stdout }}'}]",
            &["write `steps[\"g.a\"]`"],
        ),
    ]);
}

#[test]
fn names_that_are_not_declared() {
    for (name, says) in [
        ("params.baz", "did you mean `bar`?"),
        ("env.HOME", "HOME"),
        ("secrets.x", "secret"),
        ("project.vars.foo", "foo"),
        ("run.foo", "foo"),
        ("steps.zz.stdout", "zz"),
        ("item", "item"),
        ("index", "index"),
        ("target", "target"),
        ("nope", "nope"),
        ("'x' | uper", "did you mean `upper`?"),
    ] {
        let text = format!("params: {{bar: x}}\nsteps: [{{id: a, run: [echo, \"{{{{ {name} }}}}\"]}}]\n");
        hold(&[refused(name, &text, &[says, "main.yaml:2:"])]);
    }
}

#[test]
fn names_of_the_run() {
    hold(&[
        runs(
            "run.*",
            r#"
steps:
  - {id: a, run: 'test {{ run.id }} = "$RUNBOOK_RUN_ID" && test {{ run.dir }} = "$RUNBOOK_RUN_DIR" && test -d {{ run.dir }} && echo {{ run.name }} {{ run.interactive }} {{ run.started_at | date("%Y") | length }} {{ run.user | length > 0 }} {{ run.host | length > 0 }}'}
finally:
  - {id: f, run: 'echo {{ run.outcome }} {{ run.failed }} {{ run.succeeded }}'}
"#,
            &["│ main false 4 true true", "│ succeeded false true"],
        ),
        fails(
            "failed is not succeeded",
            "steps: [{id: a, run: exit 1}]\nfinally: [{id: f, when: run.failed, run: 'echo {{ run.outcome }} {{ run.failed }} {{ run.succeeded }}'}]",
            &["│ failed true false"],
        ),
        Row {
            files: &[("runbooks/project.yaml", "vars: {region: eu-1}\n")],
            ..runs("project.vars", "steps: [{id: a, run: 'echo {{ project.vars.region }}'}]", &["│ eu-1"])
        },
    ]);
}

#[test]
fn filters() {
    let mut table = String::new();
    let rows = [
        ("'2026-11-22T02:30:00Z' | date('%d.%m.%Y %H:%M')", "22.11.2026 02:30"),
        ("'2026-11-22T02:30:00Z' | date('%H:%M', tz='America/New_York')", "21:30"),
        ("('[1,2]' | from_json)[1]", "2"),
        ("{'a': 1} | to_json", "{\"a\":1}"),
        ("'v1.2.3' | regex('v(\\\\d+)\\\\.(\\\\d+)', group=2)", "2"),
        ("'v1.2.3' | regex('[0-9]')", "1"),
        ("'a b' | quote", "'a b'"),
        ("'a b' | raw", "a b"),
        ("'abc' | b64encode", "YWJj"),
        ("'YWJj' | b64decode", "abc"),
        ("'a\\nb\\n' | lines | length", "2"),
        ("('12' | number) + 1", "13"),
        ("'1.5' | number", "1.5"),
        ("'1h30m' | duration", "5400"),
        ("'500ms' | duration", "0.5"),
        ("'/a/b.c' | basename", "b.c"),
        ("'/a/b.c' | dirname", "/a"),
        ("'x' | upper", "X"),
        ("['b', 'a'] | sort | join('+')", "a+b"),
        ("'a' ~ 1", "a1"),
        ("[1, 2] | sum", "3"),
        ("'x' if 1 < 2 else 'y'", "x"),
    ];
    for (index, (expression, _)) in rows.iter().enumerate() {
        let text = serde_json::to_string(&format!("<{{{{ {expression} }}}}>")).unwrap();
        table.push_str(&format!("  - {{id: s{index}, needs: [], run: [echo, {text}]}}\n"));
    }
    let says: Vec<String> =
        rows.iter().enumerate().map(|(index, (_, value))| format!("s{index} │ <{value}>")).collect();
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    hold(&[runs("filters", &format!("steps:\n{table}"), &says)]);
    for (expression, says) in [
        ("'zz' | date('%Y')", "`date` needs a moment"),
        ("'x' | from_json", "no valid JSON"),
        ("'%' | b64decode", "no valid base64"),
        ("'x' | number", "is no number"),
        ("'5' | duration", "is no duration"),
        ("'x' | regex('(')", "the pattern `(` is wrong"),
    ] {
        let text = serde_json::to_string(&format!("{{{{ {expression} }}}}")).unwrap();
        hold(&[fails(
            expression,
            &format!("steps: [{{id: a, run: [echo, {text}]}}]"),
            &["a failed: template", says],
        )]);
    }
}

#[test]
fn templates() {
    hold(&[
        runs(
            "{% and {# are ordinary",
            "steps: [{id: a, run: 'echo {% foo %} \"{# bar #}\" 50%'}]",
            &["│ {% foo %} {# bar #} 50%"],
        ),
        refused(
            "{{.State}} says what to write",
            "steps: [{id: a, run: 'docker ps --format {{.State}}'}]",
            &["{{ '{{.State}}' }}"],
        ),
        runs("and that works", "steps: [{id: a, run: \"echo {{ '{{.State}}' }}\"}]", &["│ {{.State}}"]),
        runs("the last newline is kept", "steps: [{id: a, stdin: \"{{ 'x' }}\\n\", run: wc -c}]", &["│ 2"]),
        refused("unclosed", "steps: [{id: a, run: 'echo {{ params'}]", &["is never closed"]),
        refused(
            "an expression is written without braces, and that is one mistake",
            "params: {n: true}\nsteps: [{id: a, when: '{{ params.n }}', run: 'true'}]",
            &["an expression is written without", "write `params.n`"],
        ),
    ]);
    let braces = "params: {n: true}\nsteps: [{id: a, when: '{{ params.n }}', run: 'true'}]";
    hold(&[Row { lacks: &["template-syntax"], ..refused("one mistake", braces, &["expression-braces"]) }]);
}

#[test]
fn booleans_are_demanded() {
    for key in ["when: params.n", "expect: exit_code", "expect: stdout", "when: \"'x'\""] {
        let text = format!("params: {{n: 5}}\nsteps: [{{id: a, {key}, run: 'true'}}]");
        hold(&[refused(key, &text, &["boolean"])]);
    }
    hold(&[
        refused("warn", "steps: [{id: a, check: {run: echo 5, warn: number}}]", &["boolean"]),
        refused(
            "until",
            "steps: [{id: g, repeat: {until: steps.a.stdout, times: 2}, steps: [{id: a, run: 'true'}]}]",
            &["boolean"],
        ),
        fails(
            "where only the run knows the type",
            "steps: [{id: a, run: 'echo {}'},{id: b, when: steps.a.json, run: 'true'}]",
            &["when: `steps.a.json` must be true or false"],
        ),
    ]);
}

#[test]
fn what_is_too_large_for_a_command_names_the_way_out() {
    const LONG: &str = "{id: a, run: \"head -c 200000 /dev/zero | tr '\\\\0' x > long; cat long\"}";
    const HALF: &str = "{id: a, run: \"head -c 110000 /dev/zero | tr '\\\\0' x\"}";
    let many: Vec<String> = (0..11).map(|n| format!("X{n}: '{{{{ steps.a.stdout }}}}'")).collect();
    let rows = [
        (LONG, "run: 'echo {{ steps.a.stdout }}'".to_owned(), "128 KiB"),
        (LONG, "run: [echo, '{{ steps.a.stdout }}']".to_owned(), "128 KiB"),
        (LONG, "env: {X: '{{ steps.a.stdout }}'}, run: 'true'".to_owned(), "128 KiB"),
        (HALF, format!("env: {{{}}}, run: 'true'", many.join(", ")), "1 MiB together"),
        ("{id: a, run: 'printf \"x\\0y\"'}", "run: 'echo {{ steps.a.stdout }}'".to_owned(), "NUL"),
        ("{id: a, run: 'printf \"x\\0y\"'}", "run: [echo, '{{ steps.a.stdout }}']".to_owned(), "NUL"),
        (
            "{id: a, run: 'printf \"x\\0y\"'}",
            "env: {X: '{{ steps.a.stdout }}'}, run: 'true'".to_owned(),
            "NUL",
        ),
    ];
    for (first, second, says) in &rows {
        let text = format!("steps: [{first},{{id: b, {second}}}]");
        hold(&[fails(second, &text, &["b failed: template", says, "`stdin:`", "`run.dir`"])]);
    }
    hold(&[runs(
        "stdin takes it",
        &format!("steps: [{LONG},{{id: b, stdin: '{{{{ steps.a.stdout }}}}', run: wc -c}}]"),
        &["b │ 200000"],
    )]);
}

const SECRET: &str = "secrets: {tok: {env: TOKEN}}\n";

#[test]
fn places_of_secrets() {
    for key in [
        "run: 'echo {{ secrets.tok }}'",
        "run: [echo, '{{ secrets.tok }}']",
        "run: 'true', title: '{{ secrets.tok }}'",
        "run: 'true', when: secrets.tok == 'x'",
        "run: cat, stdin: '{{ secrets.tok }}'",
        "run: 'true', cwd: '{{ secrets.tok }}'",
        "run: 'true', outputs: {x: secrets.tok}",
        "run: 'true', artifacts: ['{{ secrets.tok }}']",
        "run: 'true', expect: stdout == secrets.tok",
        "run: 'true', for_each: ['{{ secrets.tok }}']",
        "run: 'true', lock: '{{ secrets.tok }}'",
        "approve: {prompt: '{{ secrets.tok }}'}",
    ] {
        hold(&[refused(key, &format!("{SECRET}steps: [{{id: a, {key}}}]"), &["secret"])]);
    }
    hold(&[
        refused(
            "run says to use env",
            &format!("{SECRET}steps: [{{id: a, run: 'echo {{{{ secrets.tok }}}}'}}]"),
            &["env: {TOK: "],
        ),
        Row {
            lacks: &["s3cr3t-value-42", "czNjcjN0LXZhbHVlLTQy"],
            ..runs(
                "env, and a variable made of it; masked in output, whole and in pieces",
                &format!(
                    "{SECRET}env: {{AUTH: 'Bearer {{{{ secrets.tok }}}}'}}\nsteps: [{{id: a, env: {{V: '{{{{ secrets.tok }}}}'}}, run: 'test \"$AUTH\" = \"Bearer $V\"; echo \"$V\"; printf %s \"$V\" | base64; printf s3cr3t-; printf value-42'}}]"
                ),
                &["‹secrets.tok›"],
            )
        },
    ]);
}

#[test]
fn a_mask_is_no_secret() {
    let first = "{id: a, env: {V: '{{ secrets.tok }}'}, run: 'echo \"$V\"'}";
    for key in [
        "run: 'echo {{ steps.a.stdout }}'",
        "run: [echo, '{{ steps.a.stdout }}']",
        "run: 'true', env: {W: '{{ steps.a.stdout }}'}",
        "run: cat, stdin: '{{ steps.a.stdout }}'",
        "http: {url: 'http://127.0.0.1:1/{{ steps.a.stdout }}'}",
        "check: {tcp: '127.0.0.1:1{{ steps.a.stdout }}'}",
    ] {
        let text = format!("{SECRET}steps: [{first},{{id: b, {key}}}]");
        hold(&[fails(key, &text, &["b failed: template", "secret `tok`"])]);
    }
}

#[test]
fn secrets_that_cannot_be_had() {
    for (declared, says) in [
        ("{env: NOT_THERE}", "NOT_THERE"),
        ("{file: nowhere.txt}", "nowhere.txt"),
        ("{command: ['false']}", "false"),
        ("{vault: x}", "vault"),
        ("{env: TOKEN, file: x}", "one"),
        ("{command: [echo, abc]}", "can't be masked"),
    ] {
        hold(&[refused(
            declared,
            &format!("secrets: {{tok: {declared}}}\nsteps: [{{id: a, run: 'true'}}]"),
            &[says],
        )]);
    }
    hold(&[Row {
        arguments: &["run", "main", "-p", "p=s3cr3t-value-42"],
        lacks: &["s3cr3t-value-42"],
        ..refused(
            "a parameter that holds a secret's value",
            "secrets: {tok: {env: TOKEN}}\nparams: {p: {}}\nsteps: [{id: a, run: 'echo {{ params.p }}'}]",
            &["tok"],
        )
    }]);
}

#[test]
fn outputs_of_commands() {
    for (lines, says) in [
        ("'x<<EOF\\nl1\\nl2\\nEOF\\n'", "│ [l1"),
        ("'x=1\\nx=2\\n'", "│ [2]"),
        ("'x=1'", "│ [1]"),
        ("'x=a=b\\n'", "│ [a=b]"),
        ("'x=\\n'", "│ []"),
    ] {
        let text = format!(
            "steps: [{{id: a, run: \"printf {lines} >> $RUNBOOK_OUTPUT\"}},{{id: b, run: 'echo \"[{{{{ steps.a.outputs.x }}}}]\"'}}]"
        )
        .replace("\\n", "\\\\n");
        hold(&[runs(lines, &text, &[says])]);
    }
    for lines in ["foo", "1a=b", "x-y=a", "x<<E"] {
        let text = format!("steps: [{{id: a, run: \"echo '{lines}' >> $RUNBOOK_OUTPUT\"}}]");
        hold(&[fails(lines, &text, &["a failed", "output: "])]);
    }
    hold(&[
        fails(
            "a name also in outputs",
            "steps: [{id: a, run: 'echo x=b >> $RUNBOOK_OUTPUT', outputs: {x: stdout}}]",
            &["output: `x`"],
        ),
        runs(
            "the file is gone when the step is over",
            "steps: [{id: a, run: 'echo p=$RUNBOOK_OUTPUT >> $RUNBOOK_OUTPUT'},{id: b, run: 'test ! -e {{ steps.a.outputs.p }}'}]",
            &[],
        ),
        runs(
            "read when the step fails, too",
            "steps: [{id: a, on_failure: warn, run: 'echo x=1 >> $RUNBOOK_OUTPUT; exit 3'},{id: b, run: 'echo {{ steps.a.outputs.x }} {{ steps.a.exit_code }}'}]",
            &["│ 1 3"],
        ),
    ]);
}

#[test]
fn where_values_are_allowed_in_programs() {
    for (param, allowed) in [
        ("5", true),
        ("1.5", true),
        ("true", true),
        ("{choices: [a, b], default: a}", true),
        ("{choices: [a b, b], default: b}", false),
        ("{pattern: '[a-z0-9.-]+', default: a}", true),
        ("{pattern: 'v\\d+\\.\\d+', default: v1.2}", true),
        ("{pattern: '.*', default: a}", false),
        ("{pattern: '[^;]+', default: a}", false),
        ("s", false),
    ] {
        let text =
            format!("params: {{x: {param}}}\nsteps: [{{id: a, run: 'sh -c \"echo {{{{ params.x }}}}\"'}}]");
        hold(&[if allowed { runs(param, &text, &[]) } else { refused(param, &text, &["shell-program"]) }]);
    }
}

/// A step for each script, on a line of its own; the lines on which mistakes are found.
fn lines_with_mistakes(scripts: &[&str]) -> std::collections::BTreeSet<u64> {
    let mut text = String::from("params: {v: {}}\nsteps:\n");
    for (index, script) in scripts.iter().enumerate() {
        let script = serde_json::to_string(&script.replace("VALUE", "{{ params.v }}")).unwrap();
        text.push_str(&format!("  - {{id: s{index}, run: {script}}}\n"));
    }
    let test = crate::helpers::TestEnvironment::new();
    test.write("runbooks/main.yaml", &text);
    let output = test.runbook(&["validate", "main", "--format", "json"]).whatever_status();
    let found = output.json();
    let found = found.as_array().unwrap();
    assert!(found.iter().all(|mistake| mistake["help"].is_string()), "each shows the fix: {output}");
    found.iter().map(|mistake| mistake["line"].as_u64().unwrap()).collect()
}

#[test]
fn places_where_a_value_would_be_a_program() {
    let mut scripts: Vec<String> = [
        "echo `echo VALUE`",
        "cat <<'END'\nVALUE\nEND",
        "eval \"echo VALUE\"",
        "source VALUE",
        ". VALUE",
        "trap \"echo VALUE\" EXIT",
        "let y=VALUE",
        "declare y=VALUE",
        "printf -v y VALUE",
        "echo $(( VALUE + 1 ))",
        "(( VALUE > 1 ))",
        "[[ VALUE -gt 1 ]]",
        "[[ 1 -eq VALUE ]]",
        "echo ${a[VALUE]}",
        "a[VALUE]=1",
    ]
    .map(str::to_owned)
    .into();
    let shells = ["sh", "bash", "dash", "ash", "ksh", "zsh", "fish", "/bin/bash"];
    for shell in shells {
        scripts.push(format!("{shell} -c \"echo VALUE\""));
        scripts.push(format!("echo VALUE | {shell}"));
        scripts.push(format!("{shell} <<END\nVALUE\nEND"));
        scripts.push(format!("{shell} <<< VALUE"));
    }
    for other in [
        "ssh host VALUE",
        "su - user -c VALUE",
        "xargs VALUE",
        "parallel VALUE",
        "watch VALUE",
        "ssh h <<END\nVALUE\nEND",
    ] {
        scripts.push(other.to_owned());
    }
    for before in [
        "sudo",
        "sudo -u root",
        "env A=b",
        "timeout -k 5 5",
        "nohup",
        "docker exec -it c",
        "kubectl exec -n ns p -c c --",
    ] {
        scripts.push(format!("{before} bash -c VALUE"));
        scripts.push(format!("{before} psql -c \"select VALUE\""));
    }
    for program in [
        "psql -c \"select 'VALUE'\"",
        "mysql -e \"select VALUE\"",
        "sqlite3 db \"select VALUE\"",
        "awk '{print VALUE}'",
        "sed -e s/VALUE/b/ f",
        "jq \".VALUE\" f",
        "perl -e \"VALUE\"",
        "python -c \"print('VALUE')\"",
        "python3.11 -c VALUE",
        "/usr/bin/python3 -c VALUE",
        "ruby -e VALUE",
        "node -e VALUE",
        "psql <<END\nselect 'VALUE';\nEND",
        "psql <<< \"select VALUE\"",
        "echo \"select VALUE\" | psql",
        "python3 - <<END\nprint('VALUE')\nEND",
    ] {
        scripts.push(program.to_owned());
    }
    let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let found = lines_with_mistakes(&scripts);
    let missed: Vec<&&str> = scripts
        .iter()
        .enumerate()
        .filter(|(at, _)| !found.contains(&(*at as u64 + 3)))
        .map(|(_, s)| s)
        .collect();
    assert!(missed.is_empty(), "not refused: {missed:#?}");
}

#[test]
fn places_where_a_value_is_data() {
    let scripts = [
        "echo VALUE \"VALUE\" 'VALUE' pre-VALUE",
        "cat <<END\nVALUE\nEND",
        "x=VALUE; export y=VALUE",
        "for i in VALUE; do echo \"$i\"; done",
        "case VALUE in a) echo b;; esac",
        "if [ VALUE = VALUE ]; then echo VALUE; fi",
        "[[ VALUE == x ]]",
        "echo \"$(echo \"VALUE\")\"",
        "echo VALUE | cat",
        "cat <<< VALUE",
        "psql -v x=VALUE -c \"select :'x'\"",
        "jq --arg v VALUE '.a = $v' f",
        "awk -v v=VALUE '{print v}' f",
        "python3 script.py VALUE",
        "perl -e 'print $ARGV[0]' VALUE",
        "kubectl exec p -- ls VALUE",
        "docker exec VALUE ls",
        "sed -i s/a/b/ VALUE",
    ];
    let found = lines_with_mistakes(&scripts);
    let refused: Vec<_> = found.iter().map(|line| scripts[usize::try_from(line - 3).unwrap()]).collect();
    assert!(refused.is_empty(), "refused: {refused:#?}");
}

#[test]
fn places_in_folded_and_wrapped_texts_are_exact() {
    let place = |text: &str| {
        let test = crate::helpers::TestEnvironment::new();
        test.write("runbooks/main.yaml", text);
        let found = test.runbook(&["validate", "main", "--format", "json"]).exits(1).json();
        (found[0]["line"].as_u64().unwrap(), found[0]["column"].as_u64().unwrap())
    };
    for (row, text, expected) in [
        ("literal", "steps:\n  - id: a\n    run: |\n      echo 1\n      echo {{ params.x }}\n", (5, 15)),
        ("folded", "steps:\n  - id: a\n    run: >\n      echo 1\n      echo {{ params.x }}\n", (5, 15)),
        ("quoted over lines", "steps:\n  - id: a\n    run: \"echo\n      {{ params.x }}\"\n", (4, 10)),
        ("plain over lines", "steps:\n  - id: a\n    run: echo\n      {{ params.x }}\n", (4, 10)),
        ("escapes before", "steps:\n  - id: a\n    run: \"echo \\\"q\\\" {{ params.x }}\"\n", (3, 25)),
        ("characters, not bytes", "steps:\n  - id: a\n    run: echo äöü💥 {{ params.x }}\n", (3, 23)),
        ("CR LF", "steps:\r\n  - id: a\r\n    run: echo {{ params.x }}\r\n", (3, 18)),
        ("a byte order mark", "\u{feff}steps:\n  - id: a\n    run: echo {{ params.x }}\n", (3, 18)),
    ] {
        assert_eq!(place(text), expected, "{row}");
    }
}
