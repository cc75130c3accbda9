//! Every mistake that a plan finds, with its place. Each entry is a text and its mistakes, in order.

use super::plan_with;

/// Compares the mistakes of each text with those that are expected.
#[track_caller]
fn table(entries: &[(&str, &[&str])]) {
    for (text, expected) in entries {
        let found = plan_with(text, &[], "").err().unwrap_or_default();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn needs_that_can_t_be() {
    table(&[
        (
            r#"steps:
- {id: build, run: 'true'}
- {id: b, needs: [buidl], run: 'true'}
"#,
            &["unknown-need 3:19 there is no step `buidl` to need (did you mean `build`?)"],
        ),
        (
            r#"steps:
- {id: a, needs: [a], run: 'true'}
"#,
            &["cycle 2:19 `a` needs itself"],
        ),
        (
            r#"steps:
- {id: a, run: 'true'}
- {id: b, needs: [a, a], run: 'true'}
"#,
            &["duplicate-need 3:22 `a` stands twice in `needs`"],
        ),
        (
            r#"steps:
- {id: a, needs: [c], run: 'true'}
- {id: b, needs: [a], run: 'true'}
- {id: c, needs: [b], run: 'true'}
"#,
            &["cycle 2:19 these steps wait for each other: a → c → b → a"],
        ),
        (
            r#"steps:
- {id: a, needs: [c], run: 'true'}
- {id: b, run: 'true'}
- {id: c, run: 'true'}
"#,
            &[
                "cycle 2:19 these steps wait for each other: a → c → b → a (`c` has no `needs`, so it waits for every step above it: name what it needs, or move it up)",
            ],
        ),
        (
            r#"steps:
- {id: a, needs: [b], run: 'true'}
- {id: b, needs: [a], run: 'true'}
- {id: c, needs: [d], run: 'true'}
- {id: d, needs: [c], run: 'true'}
- {id: e, run: 'true'}
"#,
            &[
                "cycle 2:19 these steps wait for each other: a → b → a",
                "cycle 4:19 these steps wait for each other: c → d → c",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'true'}
finally:
- {id: f, needs: [a], run: 'true'}
"#,
            &["unknown-need 4:19 the steps of `finally` start when all others are over: none can need `a`"],
        ),
        (
            r#"steps:
- {id: a, needs: [f], run: 'true'}
finally:
- {id: f, run: 'true'}
"#,
            &["unknown-need 2:19 `f` stands under `finally`, which runs last: no step above can need it"],
        ),
        (
            r#"steps:
- {id: a, run: 'true'}
finally:
- {id: f, needs: [g], run: 'true'}
- {id: g, run: 'true'}
"#,
            &[
                "cycle 4:19 these steps wait for each other: f → g → f (`g` has no `needs`, so it waits for every step above it: name what it needs, or move it up)",
            ],
        ),
    ]);
}

#[test]
fn names_that_do_not_exist_there() {
    table(&[
        (
            r#"steps:
- {id: a, run: 'echo {{ params.version }}'}
"#,
            &["undefined-name 2:25 there is no parameter `version` (no parameter is declared)"],
        ),
        (
            r#"params: {version: a}
steps:
- {id: a, run: 'echo {{ params.versoin }}'}
"#,
            &["undefined-name 3:25 there is no parameter `versoin` (did you mean `version`?)"],
        ),
        (
            r#"params: {version: a}
steps:
- id: a
  run: |
    echo one
    echo {{ version }}
"#,
            &["undefined-name 6:13 `version` is not defined here (did you mean `params.version`?)"],
        ),
        (
            r#"steps:
- {id: a, run: 'echo {{ env.HOME }}'}
"#,
            &["undefined-name 2:25 there is no variable `HOME` (no variable is declared)"],
        ),
        (
            r#"env: {A: '{{ env.B }}', B: x}
steps:
- {id: a, run: 'true'}
"#,
            &["undefined-name 1:14 there is no variable `B` (no variable is declared)"],
        ),
        (
            r#"env: {A: '{{ run.started_at }} {{ steps.a.stdout }}'}
steps:
- {id: a, run: 'true'}
"#,
            &[
                "undefined-name 1:14 `run.started_at` does not exist here (`run` has: id, name, user, host)",
                "step-not-finished 1:35 `steps.a` may not be finished here (add `a` to `needs`)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'true'}
- {id: b, needs: [], run: 'echo {{ steps.a.stdout }}'}
"#,
            &["step-not-finished 3:36 `steps.a` may not be finished here (add `a` to `needs`)"],
        ),
        (
            r#"steps:
- {id: a, run: 'echo {{ steps.b.stdout }}'}
- {id: b, run: 'true'}
"#,
            &["step-not-finished 2:25 `steps.b` may not be finished here (add `b` to `needs`)"],
        ),
        (
            r#"steps:
- {id: a, run: 'echo {{ steps.a.stdout }}'}
"#,
            &[
                "step-not-finished 2:25 `steps.a` is this step itself, which has no result yet (a step can be named in its own `outputs`, `artifacts` and `undo`)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'true', when: steps.a.succeeded}
"#,
            &[
                "step-not-finished 2:30 `steps.a` is this step itself, which has no result yet (a step can be named in its own `outputs`, `artifacts` and `undo`)",
            ],
        ),
        (
            r#"steps:
- {id: smoke-tests, run: 'true'}
- {id: b, when: steps.smoke-tests.succeeded, run: 'true'}
"#,
            &[
                "template-dash 3:17 `steps.smoke-tests` is read as a subtraction (write `steps.smoke_tests` or `steps[\"smoke-tests\"]`)",
            ],
        ),
        (
            r#"steps:
- {id: build, run: 'true'}
- {id: b, when: steps.bulid.succeeded, run: 'true'}
"#,
            &["undefined-name 3:17 there is no step `bulid` (did you mean `build`?)"],
        ),
        (
            r#"steps:
- {id: a, run: 'true'}
- {id: b, when: steps.a.suceeded, run: 'true'}
- {id: c, when: steps.a.choice == 'x', run: 'true'}
"#,
            &[
                "undefined-name 3:17 steps have no `suceeded` (did you mean `succeeded`?)",
                "undefined-name 4:17 step `a` has no `choice` (it has: artifacts, attempts, by, duration, exit_code, failed, json, lines, number, outcome, outputs, skipped, stderr, stdout, succeeded)",
            ],
        ),
        (
            r#"steps:
- {id: a, check: {tcp: 'h:1'}}
- {id: b, when: steps.a.exit_code == 0 and steps.a.outputs.x == 1, run: 'true'}
"#,
            &[
                "undefined-name 3:17 step `a` has no `exit_code` (it has: artifacts, attempts, by, duration, failed, outcome, outputs, skipped, succeeded)",
                "undefined-name 3:44 step `a` has no output `x` (it declares no outputs)",
            ],
        ),
        (
            r#"steps:
- {id: a, approve: {prompt: x}}
- {id: b, when: steps.a.fields.ticket == 'x' and steps.a.stdout == '', run: 'true'}
"#,
            &[
                "undefined-name 3:17 step `a` has no field `ticket` (it declares no fields)",
                "undefined-name 3:50 step `a` has no `stdout` (it has: artifacts, attempts, by, duration, failed, fields, outcome, outputs, skipped, succeeded)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'echo {{ item }} {{ index }} {{ target }}'}
"#,
            &[
                "undefined-name 2:25 `item` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:36 `index` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:48 `target` is not defined here (the names here are: params, env, secrets, run, steps, project)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'echo {{ run.ids }}'}
"#,
            &["undefined-name 2:25 there is no `run.ids` (did you mean `id`?)"],
        ),
        (
            r#"steps:
- {id: a, run: 'echo {{ project.vars.region }}'}
"#,
            &["undefined-name 2:25 there is no project variable `region` (no project variable is declared)"],
        ),
        (
            r#"steps:
- {id: a, check: {tcp: 'h:1', expect: status == 200}}
- {id: b, check: {http: 'http://h', expect: exit_code == 0, warn: opne}}
"#,
            &[
                "undefined-name 2:39 `status` is not defined here (the names here are: params, env, secrets, run, steps, project, open, elapsed)",
                "undefined-name 3:45 `exit_code` is not defined here (the names here are: params, env, secrets, run, steps, project, status, headers, body, json, elapsed)",
                "undefined-name 3:67 `opne` is not defined here (the names here are: params, env, secrets, run, steps, project, status, headers, body, json, elapsed)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'true', expect: status == 200, outputs: {x: stdot, y: steps.a.exit_code}, artifacts: ['{{ steps.a.outputs.f }}', '{{ nope }}']}
"#,
            &[
                "undefined-name 2:32 `status` is not defined here (the names here are: params, env, secrets, run, steps, project, exit_code, stdout, stderr, json, lines, number)",
                "undefined-name 2:60 `stdot` is not defined here (did you mean `stdout`?)",
                "undefined-name 2:133 `nope` is not defined here (the names here are: params, env, secrets, run, steps, project)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'true'}
outputs: {x: steps.b.stdout}
"#,
            &["undefined-name 3:14 there is no step `b` (the steps are: a)"],
        ),
        (
            r#"title: 'for {{ run.id }}'
steps:
- {id: a, run: 'true'}
"#,
            &["undefined-name 1:16 `run.id` does not exist here (`run` has: name)"],
        ),
        (
            r#"defaults: {cwd: '{{ steps.a.stdout }}', env: {X: '{{ nope }}'}}
steps:
- {id: a, run: 'true'}
- {id: b, run: 'true'}
"#,
            &[
                "step-not-finished 1:21 `steps.a` may not be finished here (add `a` to `needs`)",
                "undefined-name 1:54 `nope` is not defined here (the names here are: params, env, secrets, run, steps, project)",
            ],
        ),
        (
            r#"defaults: {shell: '{{ params.shell }}'}
params: {shell: sh}
steps:
- {id: a, run: 'true'}
"#,
            &["template-place 1:20 `shell` is no template: what reads a script must be known before"],
        ),
        (
            r#"steps:
- {id: a, title: '{{ a }}', description: '{{ b }}', cwd: '{{ c }}', env: {X: '{{ d }}'}, run: [x, '{{ e }}'], stdin: '{{ f }}'}
"#,
            &[
                "undefined-name 2:22 `a` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:46 `b` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:62 `c` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:82 `d` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:103 `e` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:122 `f` is not defined here (the names here are: params, env, secrets, run, steps, project)",
            ],
        ),
        (
            r#"steps:
- {id: a, manual: {prompt: '{{ a }}', details: '{{ b }}', checklist: ['{{ c }}']}}
"#,
            &[
                "undefined-name 2:32 `a` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:52 `b` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:75 `c` is not defined here (the names here are: params, env, secrets, run, steps, project)",
            ],
        ),
        (
            r#"steps:
- {id: a, check: {http: {url: '{{ a }}', headers: {h: '{{ b }}'}, json: {x: ['{{ c }}']}}}}
- {id: b, check: {file: '{{ d }}'}}
- {id: c, check: '{{ e }}'}
- {id: d, check: {tcp: '{{ f }}'}}
- {id: e, run: x, background: {ready: {tcp: '{{ g }}', expect: h}}}
"#,
            &[
                "undefined-name 2:35 `a` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:59 `b` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 2:82 `c` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 3:29 `d` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 4:22 `e` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 5:28 `f` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 6:49 `g` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "undefined-name 6:64 `h` is not defined here (the names here are: params, env, secrets, run, steps, project, open, elapsed)",
            ],
        ),
    ]);
}

#[test]
fn conditions_that_are_none() {
    table(&[
        (
            r#"steps:
- {id: a, when: '1', run: 'true'}
"#,
            &[
                "not-boolean 2:18 `1` must be true or false, but it is an integer (compare it with something, as in `== \"yes\"` or `> 0`)",
            ],
        ),
        (
            r#"params: {v: a, n: 1, m: true, l: [a]}
steps:
- {id: a, when: params.v, run: 'true'}
- {id: b, when: params.n, run: 'true'}
- {id: c, when: params.m, run: 'true'}
- {id: d, when: params.l, run: 'true'}
"#,
            &[
                "not-boolean 3:17 `params.v` must be true or false, but it is a string (compare it with something, as in `== \"yes\"` or `> 0`)",
                "not-boolean 4:17 `params.n` must be true or false, but it is an integer (compare it with something, as in `== \"yes\"` or `> 0`)",
                "not-boolean 6:17 `params.l` must be true or false, but it is a list (compare it with something, as in `== \"yes\"` or `> 0`)",
            ],
        ),
        (
            r#"steps:
- {id: a, run: 'true', expect: [stdout, exit_code == 0]}
- {id: b, when: steps.a.stdout, run: 'true'}
- {id: c, when: run.user, run: 'true'}
- {id: d, check: {http: 'http://h', expect: status, warn: elapsed}}
"#,
            &[
                "not-boolean 2:33 `stdout` must be true or false, but it is a string (compare it with something, as in `== \"yes\"` or `> 0`)",
                "not-boolean 3:17 `steps.a.stdout` must be true or false, but it is a string (compare it with something, as in `== \"yes\"` or `> 0`)",
                "not-boolean 4:17 `run.user` must be true or false, but it is a string (compare it with something, as in `== \"yes\"` or `> 0`)",
                "not-boolean 5:45 `status` must be true or false, but it is an integer (compare it with something, as in `== \"yes\"` or `> 0`)",
                "not-boolean 5:59 `elapsed` must be true or false, but it is a number (compare it with something, as in `== \"yes\"` or `> 0`)",
            ],
        ),
        (
            r#"steps:
- {id: a, when: 'params.x ==', run: 'true'}
- {id: b, run: 'echo {{ 1 + }}'}
- {id: c, run: 'docker ps --format {{.State}}'}
"#,
            &[
                "template-syntax 2:18 `params.x ==`: unexpected end of input, expected expression",
                "template-syntax 3:24 `1 +`: unexpected end of input, expected expression",
                "template-go 4:36 `{{.State}}` is no expression of this language, but one of a Go template (to pass it on, write `{{ '{{.State}}' }}`)",
            ],
        ),
    ]);
}

#[test]
fn secrets_where_they_would_be_seen() {
    table(&[
        (
            r#"secrets: {token: {env: T}}
steps:
- {id: a, run: 'curl {{ secrets.token }}'}
"#,
            &[
                "secret-place 3:25 a secret can't be used here: it would be seen (pass it by `env: {TOKEN: \"{{ secrets.token }}\"}` and use that variable)",
            ],
        ),
        (
            r#"secrets: {token: {env: T}}
steps:
- {id: a, run: 'true', env: {T: '{{ secrets.tokn }}'}}
"#,
            &["undefined-name 3:37 there is no secret `tokn` (did you mean `token`?)"],
        ),
        (
            r#"secrets: {token: {env: T}}
env: {A: '{{ secrets.token }}', B: 'x{{ env.A }}'}
steps:
- {id: a, title: '{{ env.B }}', run: 'echo {{ env.A }}', env: {C: '{{ env.B }}', A: plain}, cwd: '{{ env.C }}', stdin: '{{ env.A }}'}
"#,
            &[
                "secret-place 4:22 `env.B` holds a secret, which can't be used here: it would be seen (a command has it in its environment: write \"$B\" without braces)",
                "secret-place 4:102 `env.C` holds a secret, which can't be used here: it would be seen (a command has it in its environment: write \"$C\" without braces)",
            ],
        ),
        (
            r#"secrets: {token: {env: T}}
env: {A: '{{ secrets.token }}'}
steps:
- {id: a, run: 'true', when: secrets.token == 'x', stdin: '{{ env | to_json }}'}
- {id: b, check: {http: {url: 'http://h/{{ secrets.token }}', headers: {a: '{{ env.A }}'}, json: {t: '{{ secrets.token }}'}}, expect: 'body == secrets.token'}}
- {id: c, check: {tcp: '{{ secrets.token }}'}}
"#,
            &[
                "secret-place 4:30 a secret can't be used here: it would be seen (pass it by `env: {TOKEN: \"{{ secrets.token }}\"}` and use that variable)",
                "secret-place 4:63 which variable is meant must be written out: some hold secrets (write `env.NAME`)",
                "secret-place 5:144 a secret can't be used here: it would be seen (pass it by `env: {TOKEN: \"{{ secrets.token }}\"}` and use that variable)",
                "secret-place 6:28 a secret can't be used here: it would be seen (pass it by `env: {TOKEN: \"{{ secrets.token }}\"}` and use that variable)",
            ],
        ),
        (
            r#"secrets: {token: {env: T}}
defaults: {env: {A: '{{ env.B }}', B: x}}
env: {B: x}
steps:
- {id: a, env: {B: '{{ secrets.token }}'}, run: 'echo {{ env.B }}'}
"#,
            &[
                "secret-place 5:58 `env.B` holds a secret, which can't be used here: it would be seen (a command has it in its environment: write \"$B\" without braces)",
            ],
        ),
    ]);
}

#[test]
fn comparisons_that_never_hold() {
    table(&[(
        r#"params: {slot: {choices: [blue, green], default: blue}}
steps:
- {id: a, when: params.slot == 'gren', run: 'true'}
- {id: b, run: 'echo {{ params.slot != "red" }}'}
- {id: c, when: "params.slot in ['blue', 'x']", run: 'true'}
"#,
        &[
            "unknown-choice 3:32 `gren` is none of the choices of `params.slot` (did you mean `green`?)",
            "unknown-choice 4:40 `red` is none of the choices of `params.slot` (the choices are: blue, green)",
            "unknown-choice 5:42 `x` is none of the choices of `params.slot` (the choices are: blue, green)",
        ],
    )]);
}

#[test]
fn values_that_a_program_would_read_as_one() {
    table(&[
        (
            r#"params: {v: a, n: 1}
steps:
- {id: a, run: 'eval {{ params.v }}'}
- {id: b, run: 'sh -c {{ params.n }}'}
"#,
            &[
                "shell-eval 3:22 `{{ params.v }}` can't be used in an argument of `eval`, which evaluates it (pass it by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and check \"$VALUE\" before you use it)",
            ],
        ),
        (
            r#"params: {v: a}
steps:
- id: a
  run: |
    echo one
    sh -c "{{ params.v }}"
- {id: b, shell: python3, run: 'print({{ params.v }})'}
- {id: c, check: {run: 'awk {{ params.v }}'}}
"#,
            &[
                "shell-program 6:12 `{{ params.v }}` can't be used in an argument of `sh`, which reads it as a program (pass it by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and write \"$VALUE\" inside single quotes there; or write the commands into this script; or use an argv list, `run: [./script.sh, \"{{ … }}\"]`)",
                "shell-other 7:39 `{{ params.v }}` can't be used in a script for a shell that is not POSIX (pass it by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and use that variable in the script)",
                "shell-program 8:29 `{{ params.v }}` can't be used in the program that `awk` runs (pass it by `env` and read `ENVIRON[\"NAME\"]` in the program, or as `awk -v x={{ … }}`)",
            ],
        ),
        (
            r#"defaults: {shell: sh}
params: {v: a}
steps:
- {id: a, run: 'echo <<< {{ params.v }}'}
"#,
            &[],
        ),
    ]);
}

#[test]
fn parameters_without_a_value() {
    table(&[(
        r#"params: {a: {}, b: {type: integer}, c: {required: false}, d: 1}
steps:
- {id: a, run: 'true'}
"#,
        &[
            "missing-param 1:10 the parameter `a` needs a value (give it with `-p a=…`)",
            "missing-param 1:17 the parameter `b` needs a value (give it with `-p b=…`)",
        ],
    )]);
}

#[test]
fn inputs_that_can_t_be_hashed() {
    table(&[(
        r#"steps:
- {id: a, run: 'true', inputs: [missing.sh]}
- {id: b, run: 'true', cwd: '{{ run.dir }}', inputs: [x.sh]}
"#,
        &[
            "inputs 2:33 `inputs`: `missing.sh` matches no file",
            "inputs 3:55 `inputs`: these files are part of what is approved, but where they are is only known in the run: use only params and project.vars in `cwd`",
        ],
    )]);
}

#[test]
fn who_is_asked_and_what_is_chosen() {
    table(&[(
        r#"steps:
- {id: a, approve: {prompt: x, from: [ana, "group:ops"], signed: true, escalate: p}}
- {id: b, ask: Sure?, approve: {prompt: x}}
- {id: c, deadline: 1h, escalate: [{after: 1m, notify: pager}], run: 'true'}
- {id: d, choose: {prompt: x, options: {blue: B, green: G}, fields: {size: {choices: [big, small]}}}}
- {id: e, when: steps.d.choice == 'grean', run: 'true'}
- {id: f, when: steps.d.fields.size == 'huge', run: 'true'}
- {id: g, when: steps.d.choice == 'blue' and steps.d.fields.colour == 'x', run: 'true'}
"#,
        &[
            "unknown-person 2:8 only signed answers count, and nobody who may answer has `ssh_keys` (list their public keys under `people` of `project.yaml` beside the runbooks)",
            "unknown-group 2:44 there is no group `ops`: `project.yaml` beside the runbooks has no `groups`",
            "unknown-escalation 2:82 there is no escalation `p`: `project.yaml` beside the runbooks has no `escalation`",
            "meaningless-key 3:16 an approval passes only by its own answers, so `ask` can't pass over it (use `when`, or a `choose` before it)",
            "unknown-channel 4:56 there is no channel `pager`: `project.yaml` beside the runbooks has no `channels`",
            "unknown-choice 6:35 `grean` is none of the choices of `steps.d.choice` (did you mean `green`?)",
            "unknown-choice 7:40 `huge` is none of the choices of `steps.d.fields.size` (the choices are: big, small)",
            "undefined-name 8:46 step `d` has no field `colour` (it has: size)",
        ],
    )]);
}

#[test]
fn what_is_not_supported_yet() {
    table(&[
        (
            r#"title: x
description: x
schedule: {cron: '0 8 * * *', tz: UTC}
triggers: {}
rollback: auto
defaults: {on: web, on_failure: ask}
owner: me
tags: [x]
source: [a]
links: {a: b}
review: {last: 2026-11-01, every: 90d}
steps:
- {id: a, run: 'true', tags: [x], source: 'p:1'}
"#,
            &[
                "not-supported-yet 3:1 `schedule` is not supported yet",
                "not-supported-yet 4:1 `triggers` is not supported yet",
                "not-supported-yet 6:12 `on` is not supported yet",
            ],
        ),
        (
            r#"rollback: manual
steps:
- id: a
  run: 'true'
  undo: {run: 'true'}
  done_when: 'true'
  source: x
  tags: [freeze]
  for_each: [a]
  max_parallel: 2
  batches: [1]
  max_failures: 1
  on: web
  on_failure: ask
"#,
            &["not-supported-yet 13:3 `on` is not supported yet"],
        ),
        (
            r#"steps:
- {id: a, choose: {prompt: x, options: [a]}}
- {id: e, run: 'true'}
- {id: f, steps: [{id: g, run: 'true', on: web}]}
- {id: h, when: steps.a.choice == 'a', run: 'true'}
"#,
            &["not-supported-yet 4:40 `on` is not supported yet"],
        ),
        (
            r#"steps:
- &base {id: a, run: 'true', on: web}
- {<<: *base, id: b}
"#,
            &["not-supported-yet 2:30 `on` is not supported yet"],
        ),
    ]);
}

#[test]
fn leaf_actions_and_probes() {
    table(&[
        (
            r#"steps:
- {id: a, wait: {until: '2026-12-01T02:00'}}
- {id: b, wait: {until: 'tomorrow', tz: UTC}}
- {id: c, wait: {until: '2026-12-01T02:00', tz: Mars}}
- {id: d, wait: {until: '{{ params.x }}', tz: UTC}}
- {id: e, notify: {channel: ops, message: '{{ nope }}'}}
- {id: f, notify: {channel: '{{ run.id }}', message: m}}
"#,
            &[
                "invalid-value 2:26 `2026-12-01T02:00` is another moment in every time zone (add `tz: Europe/Berlin`, or write `Z` behind it for UTC)",
                "invalid-value 3:26 `tomorrow` is no date and time (write it like `2026-12-01T02:00`)",
                "invalid-value 4:49 there is no time zone `Mars` (write it like `Europe/Berlin` or `UTC`)",
                "undefined-name 5:29 there is no parameter `x` (no parameter is declared)",
                "unknown-channel 6:29 there is no channel `ops` in project.yaml",
                "undefined-name 6:47 `nope` is not defined here (the names here are: params, env, secrets, run, steps, project)",
                "template-place 7:30 `channel` is no template: who is told must be known before",
            ],
        ),
        (
            r#"steps:
- {id: a, http: {url: 'http://h', expect: statuss == 200}}
- {id: b, check: {dns: h, expect: open}}
- {id: c, check: {postgres: {url: u, query: q}, expect: value.x > row}}
- {id: d, when: steps.a.status == 1 and steps.b.status == 1, run: 'true'}
"#,
            &[
                "undefined-name 2:43 `statuss` is not defined here (did you mean `status`?)",
                "undefined-name 3:35 `open` is not defined here (the names here are: params, env, secrets, run, steps, project, addresses, elapsed)",
                "undefined-name 5:41 steps have no `status` (it has: artifacts, attempts, by, duration, failed, outcome, outputs, skipped, succeeded)",
            ],
        ),
    ]);
}
