//! Rows of language.md §1 and §9: the top of a runbook, its errors, parameters, folders, and `project.yaml`.

use crate::rows::{Row, fails, hold, refused, runs};

const STEP: &str = "steps:\n  - {id: a, run: echo hi}\n";

#[test]
fn keys_of_the_top() {
    for key in [
        "version: 1",
        "name: other",
        "title: T\ndescription: |\n  # Hi\nowner: me\ntags: [a, b]\nsource: ['000-12']\nlinks: {d: https://x}",
        "review: {last: 2026-11-01, every: 90d}",
        "params: {x: 5}",
        "env: {B: 5, C: true, D: 1.50}\npass_env: [KUBECONFIG, AWS_*]",
        "secrets: {s: {env: TOKEN}}",
        "defaults: {timeout: 5s, grace: 1s, retry: 1, on_failure: continue, on_interrupt: rerun, env: {X: y}, cwd: ., shell: sh, log_limit: 1MiB}",
        "lock: 'x-{{ env.N }}'\nenv: {N: n}",
        "rollback: manual",
        "outputs: {x: steps.a.stdout}",
        "max_parallel: 2",
        "window: {allow: [{days: [mon, tue, wed, thu, fri, sat, sun], from: '00:00', to: '24:00', tz: UTC}]}",
    ] {
        hold(&[runs(key, &format!("{key}\n{STEP}"), &["│ hi"])]);
    }
    for (key, says) in [
        ("version: 2", "1"),
        ("version: '1'", "version"),
        ("review: {last: tomorrow, every: 90d}", "tomorrow"),
        ("review: {last: 2026-02-20, every: 90}", "`90s`"),
        ("max_parallel: 0", "at least 1"),
        ("rollback: never", "never"),
        ("outputs: {x: steps.b.stdout}", "there is no step `b`"),
        ("env: {B: '{{ steps.a.stdout }}'}", "steps.a"),
        ("env: {B: '{{ run.outcome }}'}", "outcome"),
        ("env: {'A B': x}", "A B"),
        ("lock: '{{ run.outcome }}'", "outcome"),
        ("defaults: {needs: []}", "needs"),
        ("schedule: {cron: '0 8 * * *', tz: UTC}", "not supported yet"),
        ("triggers: []", "not supported yet"),
    ] {
        hold(&[refused(key, &format!("{key}\n{STEP}"), &["main.yaml:1:", says])]);
    }
}

#[test]
fn errors_are_found_before_anything_runs() {
    hold(&[
        refused("unknown key", &format!("stepz: []\n{STEP}"), &["stepz", "did you mean `steps`?"]),
        refused("unknown key of a step", "steps:\n  - {id: a, rnu: echo}\n", &["rnu", "did you mean `run`?"]),
        refused(
            "key without meaning",
            "steps:\n  - {id: a, check: 'true', stdin: x}\n",
            &["`stdin` has no meaning beside `check`"],
        ),
        refused("duplicate key", &format!("name: a\nname: b\n{STEP}"), &["main.yaml:2:1", "line 1"]),
        refused(
            "a duplicate points at the second and names the first",
            "steps:\n  - {id: a, run: 'true'}\n  - {id: a, run: 'true'}\n",
            &["main.yaml:3:10", "the first one is in line 2"],
        ),
        refused(
            "unknown needs",
            "steps:\n  - {id: build, run: 'true'}\n  - {id: b, needs: [biuld], run: 'true'}\n",
            &["did you mean `build`?"],
        ),
        refused(
            "a cycle shows its whole circle",
            "steps:\n  - {id: a, needs: [c], run: 'true'}\n  - {id: b, needs: [a], run: 'true'}\n  - {id: c, needs: [b], run: 'true'}\n",
            &["a → c → b → a"],
        ),
        refused(
            "a step that needs itself",
            "steps:\n  - {id: a, needs: [a], run: 'true'}\n",
            &["`a` needs itself"],
        ),
        refused(
            "a circle through a step without needs",
            "steps:\n  - {id: a, needs: [b], run: 'true'}\n  - {id: b, run: 'true'}\n",
            &["a → b → a"],
        ),
        refused(
            "an unreachable reference",
            "steps:\n  - {id: a, needs: [], run: 'true'}\n  - {id: b, needs: [], run: 'echo {{ steps.a.stdout }}'}\n",
            &["add `a` to `needs`"],
        ),
        refused("two actions", "steps:\n  - {id: a, run: 'true', check: 'true'}\n", &["exactly one action"]),
        refused("no action", "steps:\n  - {id: a}\n", &["needs an action"]),
        refused("no id", "steps:\n  - {run: 'true'}\n", &["id"]),
        refused("no steps", "name: x\n", &["steps"]),
        refused("an empty file", "", &["the file is empty"]),
        refused(
            "all are reported together, each once",
            "stepz: 1\nmax_parallel: x\nsteps:\n  - {id: A, run: 'true'}\n  - {id: b, needs: [zz], run: 'echo {{ foo }}', timeout: 5}\n",
            &["stepz", "max_parallel", "`A`", "`foo`", "`5s`", "`zz`"],
        ),
        Row {
            lacks: &["this step has mistakes"],
            ..refused(
                "and nothing that only follows",
                "steps: [{id: a, wait: 1.5h}]",
                &["`1.5h` has a fraction"],
            )
        },
    ]);
}

#[test]
fn types_of_the_keys() {
    for (key, says) in [
        ("needs: 5", "a list"),
        ("needs: b", "a list"),
        ("timeout: x", "is no duration"),
        ("timeout: 5", "write `5s` for seconds"),
        ("timeout: 9999999999d", "9999999999d"),
        ("deadline: 7", "`7s`"),
        ("retry: -1", "at least 0"),
        ("retry: x", "a whole number"),
        ("retry: {delay: 2s}", "`times`"),
        ("retry: {times: 2, backoff: 0.5}", "at least 1"),
        ("retry: {time: 2}", "did you mean `times`?"),
        ("on_failure: foo", "`stop`"),
        ("on_interrupt: x", "`rerun`"),
        ("tags: deploy", "a list"),
        ("when: [a]", "an expression"),
        ("env: [a]", "a map"),
        ("outputs: [a]", "a map"),
        ("max_parallel: 1", "without `for_each`"),
        ("batches: [1]", "without `for_each`"),
        ("max_failures: 1", "without `for_each`"),
        ("log_limit: 1k", "is no unit of size"),
        ("log_limit: 5", "`5B`"),
        ("title: [x]", "a text"),
        ("for_each: 7", "a list"),
        ("inputs: x", "a list"),
        ("artifacts: x", "a list"),
        ("cwd: [x]", "a text"),
        ("window: {allow: [{days: [sun], from: '02:00', to: '04:00'}]}", "tz"),
        ("window: {allow: [{days: [sunday], from: '02:00', to: '04:00', tz: UTC}]}", "sunday"),
        ("window: {allow: [{days: [sun], from: '25:00', to: '04:00', tz: UTC}]}", "25:00"),
        ("window: {calendar: nope}", "nope"),
        ("lock: {name: x, on_busy: foo}", "foo"),
        ("escalate: nobody", "nobody"),
        ("escalate: [{after: 5, notify: x}]", "`5s`"),
    ] {
        hold(&[refused(
            key,
            &format!("steps:\n  - {{id: a, run: 'true', {key}}}\n"),
            &["main.yaml:2:", says],
        )]);
    }
}

#[test]
fn yaml_as_the_page_wants_it() {
    hold(&[
        runs("no is a string", "params: {x: no}\nsteps: [{id: a, run: 'echo [{{ params.x }}]'}]", &["[no]"]),
        refused(
            "and no boolean",
            "params: {x: {type: boolean, default: no}}\nsteps: [{id: a, run: x}]",
            &["`true` or `false`"],
        ),
        runs("0o10", "params: {x: 0o10}\nsteps: [{id: a, run: 'echo [{{ params.x }}]'}]", &["[8]"]),
        runs(
            "merge keys",
            "steps:\n  - &b {id: a, run: echo m, timeout: 5s}\n  - &c {id: b, run: echo n, retry: 1}\n  - {<<: [*b, *c], id: c}\n",
            &["c │ m"],
        ),
        refused("tags", &format!("name: !!str foo\n{STEP}"), &["tag"]),
        runs("one document, marked", &format!("---\n{STEP}...\n"), &["│ hi"]),
        refused("several documents", &format!("{STEP}---\n{STEP}"), &["document"]),
        refused("control characters", &format!("description: 'x\u{7}'\n{STEP}"), &["main.yaml:1:"]),
        refused("bidirectional characters", &format!("description: 'x\u{202e}'\n{STEP}"), &["U+202E"]),
        refused("U+0085", &format!("description: 'x\u{85}'\n{STEP}"), &["U+0085"]),
        refused("U+2028", &format!("description: 'x\u{2028}'\n{STEP}"), &["U+2028"]),
        refused("U+2029", &format!("description: 'x\u{2029}'\n{STEP}"), &["U+2029"]),
        runs("CR LF", &STEP.replace('\n', "\r\n"), &["│ hi"]),
        runs("a byte order mark", &format!("\u{feff}{STEP}"), &["│ hi"]),
        refused("tabs", "steps:\n\t- {id: a, run: 'true'}\n", &["main.yaml:2:"]),
    ]);
}

const ECHO: &str = "steps:\n  - {id: a, run: 'echo \"[{{ params.x }}]\"'}\n";

#[test]
fn types_of_parameters() {
    let bad = |says| Err(says);
    for (kind, value, expected) in [
        ("type: string", "a=b", Ok("[a=b]")),
        ("type: string", "", Ok("[]")),
        ("type: string", "é💥", Ok("[é💥]")),
        ("type: integer", "-5", Ok("[-5]")),
        ("type: integer", "5.0", bad("a whole number")),
        ("type: integer", "x", bad("a whole number")),
        ("type: integer", "99999999999999999999", bad("a whole number")),
        ("type: number", "1.5", Ok("[1.5]")),
        ("type: number", "NaN", bad("a number")),
        ("type: boolean", "true", Ok("[true]")),
        ("type: boolean", "yes", bad("`true` or `false`")),
        ("type: boolean", "1", bad("`true` or `false`")),
        ("type: duration", "1h30m", Ok("[1h30m]")),
        ("type: duration", "5", bad("`5s`")),
        ("pattern: 'v\\d+'", "v12", Ok("[v12]")),
        ("pattern: 'v\\d+'", "xv1", bad("pattern")),
        ("pattern: 'a|b'", "ac", bad("pattern")),
        ("pattern: 'v\\d+'", "v1\n", bad("pattern")),
        ("pattern: '\\d+'", "٣", bad("pattern")),
        ("pattern: '\\w+'", "é", bad("pattern")),
        ("choices: [a, b]", "b", Ok("[b]")),
        ("choices: [a, b]", "c", bad("a, b")),
        ("type: integer, min: 1, max: 5", "0", bad("1")),
        ("type: integer, min: 1, max: 5", "6", bad("5")),
        ("type: integer, min: 1, max: 5", "5", Ok("[5]")),
        ("type: number, min: 0.5", "0.4", bad("0.5")),
        ("type: duration, min: 5s", "3s", bad("5s")),
    ] {
        let text = format!("params: {{x: {{{kind}}}}}\n{ECHO}");
        let given = format!("x={value}");
        let arguments = ["run", "main", "-p", &given];
        let row = match &expected {
            Ok(says) => runs(kind, &text, std::slice::from_ref(says)),
            Err(says) => refused(kind, &text, std::slice::from_ref(says)),
        };
        hold(&[Row { arguments: &arguments, ..row }]);
    }
    for (param, says) in [
        ("{choices: [a, b], default: c}", "a, b"),
        ("{pattern: 'v\\d', default: x}", "x"),
        ("{pattern: '('}", "pattern"),
        ("{type: integer, min: 1, default: 0}", "1"),
        ("{type: string, min: 1, default: a}", "no meaning"),
        ("{type: integer, pattern: 'v', default: 1}", "no meaning"),
        ("{typ: string}", "did you mean `type`?"),
        ("{type: strnig}", "did you mean `string`?"),
    ] {
        hold(&[refused(param, &format!("params: {{x: {param}}}\n{ECHO}"), &["main.yaml:1:", says])]);
    }
    for (param, shown) in [
        ("5", "[5]"),
        ("1.5", "[1.5]"),
        ("true", "[true]"),
        ("s", "[s]"),
        ("'{{ run.id }}'", "[{{ run.id }}]"),
    ] {
        hold(&[runs(
            "short form, and defaults are no templates",
            &format!("params: {{x: {param}}}\n{ECHO}"),
            &[shown],
        )]);
    }
}

#[test]
fn values_of_parameters() {
    let five = format!("params: {{x: 5}}\n{ECHO}");
    hold(&[
        refused(
            "all that are missing",
            "params: {x: {}, y: {type: integer}, z: 1}\nsteps: [{id: a, run: x}]",
            &["`x` needs a value", "`y` needs a value", "-p x=…"],
        ),
        runs(
            "required: false gives none",
            "params: {x: {required: false}}\nsteps: [{id: a, when: params.x is none, run: 'echo {{ params.x or \"nothing\" }}'},{id: b, when: params.x is not none, run: exit 1}]",
            &["│ nothing"],
        ),
        runs(
            "a list",
            "params: {x: {type: list, default: [a, b]}}\nsteps: [{id: a, run: 'echo {{ params.x | join(\"+\") }}'}]",
            &["│ a+b"],
        ),
        runs(
            "a duration in seconds",
            "params: {x: {type: duration, default: 1h30m}}\nsteps: [{id: a, run: 'echo {{ params.x | duration }}'}]",
            &["│ 5400"],
        ),
        Row { arguments: &["run", "main", "-p", "y=1"], ..refused("an unknown name", &five, &["`y`"]) },
        Row {
            arguments: &["run", "main", "-p", "x=y"],
            ..refused("the type is inferred", &five, &["a whole number"])
        },
        Row {
            files: &[("p.yaml", "x: 7\n")],
            arguments: &["run", "main", "--params", "p.yaml"],
            ..runs("--params in YAML", &five, &["[7]"])
        },
        Row {
            files: &[("p.json", "{\"x\": 7}")],
            arguments: &["run", "main", "--params", "p.json"],
            ..runs("--params in JSON", &five, &["[7]"])
        },
        Row {
            files: &[("p.json", "{\"x\": 7}")],
            arguments: &["run", "main", "--params", "p.json", "-p", "x=8"],
            ..runs("-p wins", &five, &["[8]"])
        },
        Row {
            files: &[("p.json", "{\"y\": 7}")],
            arguments: &["run", "main", "--params", "p.json"],
            ..refused("an unknown name in it", &five, &["`y`"])
        },
        Row {
            files: &[("p.json", "{\"x\": \"foo\"}")],
            arguments: &["run", "main", "--params", "p.json"],
            ..refused("a wrong type in it", &five, &["a whole number"])
        },
        Row {
            files: &[("p.yaml", "[1]")],
            arguments: &["run", "main", "--params", "p.yaml"],
            ..refused("no map", &five, &["a map"])
        },
        Row { arguments: &["run", "main", "--params", "no.yaml"], ..refused("no file", &five, &["no.yaml"]) },
    ]);
}

#[test]
fn folders() {
    hold(&[
        Row {
            files: &[("sub/f.txt", "x")],
            ..runs(
                "cwd is relative to the root; artifacts, inputs and file: to cwd",
                "steps: [{id: a, cwd: sub, run: ls; ls ../runbooks, inputs: [f.txt], artifacts: ['*.txt']},{id: b, cwd: sub, check: {file: f.txt}}]",
                &["│ f.txt", "│ main.yaml", "b succeeded"],
            )
        },
        Row {
            files: &[("sub/f.txt", "x")],
            ..runs(
                "templated",
                "params: {d: sub}\nsteps: [{id: a, cwd: '{{ params.d }}', run: ls}]",
                &["│ f.txt"],
            )
        },
        fails("a folder that isn't there", "steps: [{id: a, cwd: nosub, run: ls}]", &["spawn"]),
        Row {
            files: &[("other/x.yaml", "steps: [{id: a, run: ls}]"), ("other/mark", "")],
            arguments: &["run", "other/x.yaml"],
            ..runs("a file outside such a folder: its own", STEP, &["│ mark"])
        },
        Row {
            files: &[("other/rb/x.yaml", "steps: [{id: a, run: ls}]"), ("other/mark", "")],
            arguments: &["run", "x", "--dir", "other/rb"],
            ..runs("the parent of what --dir names", STEP, &["│ mark"])
        },
        Row {
            files: &[("runbooks/z/x.yaml", "steps: [{id: a, run: ls}]"), ("mark", "")],
            arguments: &["run", "x"],
            ..runs("a unique stem below the folder", STEP, &["│ mark"])
        },
        Row {
            files: &[("runbooks/z/x.yaml", STEP), ("runbooks/y/x.yaml", STEP)],
            arguments: &["run", "x"],
            ..refused("a stem of two", STEP, &["z/x", "y/x"])
        },
    ]);
}

#[test]
fn project_yaml() {
    const WHOLE: &str = r#"
vars: {region: eu-1}
groups: {release-managers: [alice, bob]}
people: {alice: {users: [asmith], email: alice@example.com}}
pass_env: [AWS_PROFILE]
channels:
  ops: {slack: {url: {env: SLACK_WEBHOOK_URL}}}
  eng-lead: {webhook: {url: {env: PAGER_URL}, headers: {A: b}, json: {text: "{{ message }}"}}}
  cto: {command: [logger, -t, runbook, "{{ message }}"]}
escalation: {p0: [{after: 0s, notify: ops}, {after: 15m, notify: eng-lead}]}
targets:
  web: {ssh: [deploy@web1:22, deploy@web2:22]}
  db: {ssh: {host: db1, user: postgres, identity: ~/.ssh/id_db, jump: bastion}}
calendars:
  freeze: {deny: [{from: 2026-12-20, to: 2027-01-02, tz: UTC, why: Year end}]}
keep: {succeeded: 30d, failed: 365d}
"#;
    hold(&[Row {
        files: &[("runbooks/project.yaml", WHOLE)],
        arguments: &["validate", "main"],
        ..runs(
            "the whole of it",
            "steps: [{id: a, run: 'true', escalate: p0, deadline: 5m}]",
            &["without mistakes"],
        )
    }]);
    for (project, says) in [
        ("varz: {}", "did you mean `vars`?"),
        ("channels: {x: {slak: {}}}", "slak"),
        ("channels: {x: {command: [a], slack: {url: b}}}", "x"),
        ("groups: {x: alice}", "a list"),
        ("people: {a: {usrs: []}}", "did you mean `users`?"),
        ("escalation: {p: [{afer: 1s, notify: o}]}", "did you mean `after`?"),
        ("keep: {succeeded: 30}", "`30s`"),
        ("calendars: {f: {deny: [{from: x}]}}", "x"),
        ("targets: {w: {shh: []}}", "did you mean `ssh`?"),
        ("pass_env: X", "a list"),
    ] {
        let files = [("runbooks/project.yaml", project)];
        hold(&[Row { files: &files, ..refused(project, STEP, &["project.yaml:1:", says]) }]);
    }
    hold(&[
        Row {
            files: &[(
                "runbooks/project.yaml",
                "calendars: {freeze: {deny: [{from: 2020-12-20, to: 2090-01-02, tz: UTC, why: Long freeze}]}}",
            )],
            code: 5,
            ..runs(
                "a calendar denies",
                "window: {calendar: freeze}\nsteps: [{id: a, run: 'true'}]",
                &["Long freeze"],
            )
        },
        Row {
            files: &[("runbooks/project.yaml", "calendars: {freeze: {ics: freeze.ics}}")],
            ..refused(
                "a calendar's file that isn't there",
                "window: {calendar: freeze}\nsteps: [{id: a, run: 'true'}]",
                &["freeze.ics"],
            )
        },
    ]);
}
