//! Rows of language.md §4 and §5: each action and each probe, each key of a check.

use crate::helpers::Server;
use crate::rows::{Row, fails, hold, refused, runs};

#[test]
fn run() {
    hold(&[
        runs(
            "a list is an argv without a shell",
            "steps: [{id: a, run: [echo, 'a  b', $HOME, 5]}]",
            &["│ a  b $HOME 5"],
        ),
        refused(
            "so a shell beside it means nothing",
            "steps: [{id: a, shell: sh, run: [echo]}]",
            &["`shell` has no meaning beside a list"],
        ),
        refused("an empty list", "steps: [{id: a, run: []}]", &["a program"]),
        refused("an empty script", "steps: [{id: a, run: ''}]", &["empty"]),
        fails("-e", "steps: [{id: a, run: 'false; true'}]", &["exit 1"]),
        fails("-u", "steps: [{id: a, run: echo $NOPE}]", &["NOPE"]),
        fails("pipefail", "steps: [{id: a, run: 'false | true'}]", &["exit 1"]),
        fails("inherit_errexit", "steps: [{id: a, run: 'x=$(false; echo y); echo $x'}]", &["exit 1"]),
        fails("others with -eu", "steps: [{id: a, shell: sh, run: 'false; true'}]", &["exit 1"]),
        Row {
            arguments: &["plan", "main"],
            ..runs(
                "plan warns about pipes",
                "steps: [{id: a, shell: dash, run: 'false | true'}]",
                &["a failure inside a pipe goes unseen: `dash`"],
            )
        },
        Row {
            arguments: &["plan", "main", "--format", "json"],
            ..runs(
                "for programs, too",
                "steps: [{id: a, shell: dash, check: {run: 'false | true'}}]",
                &["\"warnings\":[\"a failure inside a pipe"],
            )
        },
        Row {
            arguments: &["plan", "main"],
            lacks: &["pipe goes unseen"],
            ..runs(
                "where there are none",
                "steps: [{id: a, shell: dash, run: \"echo 'a | b'\"},{id: b, run: a | b}]",
                &[],
            )
        },
        runs("an argv for a shell", "steps: [{id: a, shell: [bash, -x], run: echo ok}]", &["+ echo ok"]),
        runs("another program", "steps: [{id: a, shell: python3, run: print(1 + 1)}]", &["│ 2"]),
        runs("standard input is empty", "steps: [{id: a, run: 'cat; echo end'}]", &["│ end"]),
        runs(
            "or a text",
            "params: {p: v}\nsteps: [{id: a, stdin: 'x {{ params.p }}', run: cat}]",
            &["│ x v"],
        ),
        runs(
            "expect beside it, about the exit code",
            "steps: [{id: a, run: 'echo 5; exit 3', expect: [exit_code == 3, number == 5]}]",
            &[],
        ),
        fails(
            "else 0 is expected too",
            "steps: [{id: a, run: 'echo 5; exit 3', expect: number == 5}]",
            &["exit 3"],
        ),
        runs(
            "what it leaves running is ended and recorded",
            "steps: [{id: a, run: 'sleep 300 & echo hi'}]",
            &["! a left", "sleep ("],
        ),
        runs(
            "background",
            "steps: [{id: a, run: 'touch up; exec sleep 100', background: {ready: {run: test -e up, every: 20ms}}},{id: b, run: echo on}]",
            &["│ on"],
        ),
        fails(
            "that is never ready",
            "steps: [{id: a, run: sleep 100, background: {ready: {run: test -e up, within: 100ms, every: 20ms}}}]",
            &["it was not ready"],
        ),
        fails(
            "that dies",
            "steps: [{id: a, run: 'touch up; until test -e on; do sleep 0.02; done; exit 3', background: {ready: {run: test -e up, every: 20ms}}},{id: b, run: touch on; sleep 9}]",
            &["exit 3"],
        ),
        refused(
            "expect beside background, which would never be looked at",
            "steps: [{id: a, run: x, expect: exit_code == 0, background: {ready: 'true'}}]",
            &["`expect` has no meaning beside `background`"],
        ),
        Row {
            code: 1,
            ..runs(
                "that dies later: the run fails with that reason",
                "steps: [{id: a, run: 'touch up; until test -e on; do sleep 0.02; done; exit 3', background: {ready: {run: test -e up, every: 20ms}}},{id: b, run: touch on; sleep 2},{id: c, run: echo c}]",
                &["a succeeded", "c cancelled", "the background command of `a` ended early: exit 3"],
            )
        },
        runs(
            "it lives until finally is over",
            "steps: [{id: a, run: 'touch up; while true; do date +%s%N > beat; sleep 0.02; done', background: {ready: {run: test -e up, every: 20ms}}}]\nfinally: [{id: f, timeout: 50s, run: 'x=$(cat beat); until test \"$x\" != \"$(cat beat)\"; do sleep 0.02; done; echo alive'}]",
            &["│ alive"],
        ),
        refused("without ready", "steps: [{id: a, run: x, background: {}}]", &["`ready`"]),
    ]);
}

#[test]
fn wait() {
    hold(&[
        runs("a time", "steps: [{id: a, wait: 10ms},{id: b, wait: 0s}]", &["b succeeded"]),
        runs(
            "until a moment in a zone",
            "steps: [{id: a, wait: {until: '2020-12-01T02:00', tz: Europe/Berlin}}]",
            &["a succeeded"],
        ),
        runs(
            "templated",
            "params: {w: '2020-12-01T02:00'}\nsteps: [{id: a, wait: {until: '{{ params.w }}', tz: UTC}}]",
            &["a succeeded"],
        ),
        refused("without a zone", "steps: [{id: a, wait: {until: '2020-12-01T02:00'}}]", &["tz"]),
        refused(
            "an unknown zone",
            "steps: [{id: a, wait: {until: '2020-12-01T02:00', tz: Europe/Berln}}]",
            &["Europe/Berln"],
        ),
        refused("no moment", "steps: [{id: a, wait: {until: tomorrow, tz: UTC}}]", &["tomorrow"]),
        refused("no duration", "steps: [{id: a, wait: 5}]", &["`5s`"]),
    ]);
}

#[test]
fn http_and_notify() {
    let server = Server::start(|_| (200, r#"{"k": [1, 2]}"#.into()));
    let unwell = Server::start(|_| (503, "no".into()));
    let (url, bad) = (server.url("/x"), unwell.url("/"));
    let told = [(
        "runbooks/project.yaml",
        "channels: {ops: {command: [sh, -c, 'echo \"$0|$1|$2\" > told', '{{ title }}', '{{ message }}', '{{ severity }}']}, bad: {command: ['false']}}\n",
    )];
    hold(&[
        runs(
            "the answer is the step's result",
            &format!(
                "steps: [{{id: a, http: {{url: '{url}'}}, outputs: {{s: status, k: 'json.k[1]', c: 'headers[\"content-type\"]'}}}},{{id: b, run: 'echo {{{{ steps.a.outputs.s }}}} {{{{ steps.a.outputs.k }}}} {{{{ steps.a.outputs.c }}}} {{{{ steps.a.json.k[0] }}}}'}}]"
            ),
            &["│ 200 2 application/json 1"],
        ),
        fails("200–299 is expected", &format!("steps: [{{id: a, http: {{url: '{bad}'}}}}]"), &["status 503"]),
        runs(
            "unless expect tells it",
            &format!("steps: [{{id: a, http: {{url: '{bad}', expect: status == 503}}}}]"),
            &[],
        ),
        refused(
            "json and body",
            &format!("steps: [{{id: a, http: {{url: '{url}', json: {{}}, body: x}}}}]"),
            &["body"],
        ),
        refused(
            "an unknown method",
            &format!("steps: [{{id: a, http: {{url: '{url}', method: GTE}}}}]"),
            &["did you mean `GET`?"],
        ),
        refused("no URL", "steps: [{id: a, http: {url: foo}}]", &["`foo` is no URL"]),
        refused(
            "expect beside it",
            &format!("steps: [{{id: a, http: {{url: '{url}'}}, expect: 'true'}}]"),
            &["write it inside"],
        ),
        Row {
            files: &told,
            ..runs(
                "notify",
                "steps: [{id: a, notify: {channel: ops, message: 'm {{ run.name }}', title: t, severity: critical}},{id: b, run: cat told}]",
                &["│ t|m main|critical"],
            )
        },
        Row {
            files: &told,
            ..runs(
                "its failure is a warning",
                "steps: [{id: a, notify: {channel: bad, message: m}},{id: b, run: echo on}]",
                &["a failed", "│ on"],
            )
        },
        Row {
            files: &told,
            ..refused(
                "an unknown channel",
                "steps: [{id: a, notify: {channel: osp, message: m}}]",
                &["did you mean `ops`?"],
            )
        },
        Row {
            files: &told,
            ..refused("no message", "steps: [{id: a, notify: {channel: ops}}]", &["`message`"])
        },
    ]);
}

#[test]
fn call() {
    const SUB: (&str, &str) = (
        "runbooks/sub.yaml",
        "params: {database: {}, n: 1}\nenv: {B: inner}\noutputs: {file: steps.dump.stdout}\nsteps: [{id: dump, run: 'echo dump-{{ params.database }}-{{ params.n }}'}]\nfinally: [{id: f, run: 'echo end $B'}]\n",
    );
    let row = |row| Row { files: &[SUB], ..row };
    hold(&[
        row(runs(
            "inlined, with its parameters, outputs and finally",
            "steps: [{id: backup, call: sub, with: {database: zetra}},{id: u, run: 'echo got {{ steps.backup.outputs.file }} {{ steps[\"backup.dump\"].stdout }}'}]",
            &["backup.dump │ dump-zetra-1", "backup.f │ end inner", "u │ got dump-zetra-1 dump-zetra-1"],
        )),
        row(runs(
            "with is templated, and keeps types",
            "params: {m: 7}\nsteps: [{id: o, run: echo rt},{id: b, call: sub, with: {database: '{{ steps.o.stdout }}', n: '{{ params.m }}'}}]",
            &["│ dump-rt-7"],
        )),
        row(runs(
            "twice",
            "steps: [{id: b, call: sub, with: {database: p}},{id: c, call: sub, with: {database: q}}]",
            &["b.dump │ dump-p-1", "c.dump │ dump-q-1"],
        )),
        row(refused("a missing parameter", "steps: [{id: b, call: sub}]", &["`database`"])),
        row(refused(
            "an unknown one",
            "steps: [{id: b, call: sub, with: {datbase: x, database: y}}]",
            &["did you mean `database`?"],
        )),
        row(refused(
            "a wrong type",
            "steps: [{id: b, call: sub, with: {database: x, n: foo}}]",
            &["a whole number"],
        )),
        row(refused("an unknown runbook", "steps: [{id: b, call: sbu}]", &["did you mean `sub`?"])),
        row(refused(
            "an unknown output",
            "steps: [{id: b, call: sub, with: {database: x}},{id: c, run: 'echo {{ steps.b.outputs.fil }}'}]",
            &["did you mean `file`?"],
        )),
        refused("recursion", "steps: [{id: b, call: main}]", &["main → main"]),
        Row {
            files: &[(
                "runbooks/sub.yaml",
                "steps: [{id: ok, approve: {prompt: P}},{id: a, run: echo after}]",
            )],
            ..runs(
                "its gates work",
                "steps: [{id: g, call: sub},{id: z, run: 'echo by {{ steps[\"g.ok\"].by }}'}]",
                &["g.a │ after", "z │ by "],
            )
        }
        .answered("g.ok=approve"),
        Row {
            files: &[(
                "runbooks/sub.yaml",
                "lock: inner\nrollback: auto\nmax_parallel: 1\nsteps: [{id: a, run: echo in, undo: {run: echo taken back}}]",
            )],
            lacks: &["│ taken back"],
            ..fails(
                "its rollback doesn't count",
                "steps: [{id: g, call: sub},{id: z, run: exit 1}]",
                &["g.a │ in"],
            )
        },
        Row {
            files: &[(
                "runbooks/sub.yaml",
                "window: {allow: [{days: [sun], from: '02:00', to: '02:01', tz: America/New_York, week: 1}]}\nsteps: [{id: a, run: x}]",
            )],
            ..fails("its window counts as a group's", "steps: [{id: g, call: sub}]", &["g failed", "window"])
        },
        refused("with without call", "steps: [{id: b, run: x, with: {a: b}}]", &["`with` has no meaning"]),
        Row {
            files: &[("runbooks/sub.yaml", "steps: [{id: x, run: 'echo {{ params.q }}'}]")],
            ..refused(
                "it doesn't see its caller's parameters",
                "params: {q: 1}\nsteps: [{id: b, call: sub}]",
                &["sub.yaml", "`q`"],
            )
        },
        Row {
            files: &[("runbooks/sub.yaml", "defaults: {on_failure: warn}\nsteps: [{id: x, run: exit 1}]")],
            ..runs("its defaults count", "steps: [{id: b, call: sub},{id: c, run: echo on}]", &["│ on"])
        },
        Row {
            files: &[(
                "runbooks/sub.yaml",
                "secrets: {s: {env: TOKEN}}\nsteps: [{id: x, env: {V: '{{ secrets.s }}'}, run: 'echo got $V'}]",
            )],
            lacks: &["s3cr3t-value-42"],
            ..runs("and its secrets", "steps: [{id: b, call: sub}]", &["│ got ‹secrets."])
        },
    ]);
}

#[test]
fn groups() {
    hold(&[
        Row {
            files: &[("sub/x", "")],
            ..runs(
                "share env and cwd, name their own, and are one step to those outside",
                "steps: [{id: o, run: echo o},{id: g, env: {X: y}, cwd: sub, outputs: {v: steps.a.stdout}, steps: [{id: a, run: 'echo $X; ls'},{id: b, run: 'echo {{ steps.a.outcome }} {{ steps.o.stdout }}'}]},{id: c, run: 'echo {{ steps.g.outcome }} {{ steps[\"g.b\"].stdout }} {{ steps.g.outputs.v }}'}]",
                &["g.a │ x", "g.b │ succeeded o", "c │ succeeded succeeded o y"],
            )
        },
        runs(
            "when of a group",
            "steps: [{id: g, when: 'false', steps: [{id: a, run: x}]},{id: c, run: 'echo {{ steps.g.outcome }}'}]",
            &["g.a skipped", "│ skipped"],
        ),
        refused(
            "a group prints nothing",
            "steps: [{id: g, steps: [{id: a, run: x}]},{id: c, run: 'echo {{ steps.g.stdout }}'}]",
            &["`stdout`"],
        ),
        runs(
            "repeat until it holds",
            "steps: [{id: g, repeat: {until: steps.a.number >= 3, times: 5}, steps: [{id: a, run: 'echo x >> f; wc -l < f'}]},{id: z, run: 'echo last {{ steps[\"g.a\"].stdout }}'}]",
            &["round 2 of 5", "│ last 3"],
        ),
        fails(
            "after times rounds it fails",
            "steps: [{id: g, repeat: {until: 'false', times: 2}, steps: [{id: a, run: 'true'}]}]",
            &["did not hold after round 2 of 2"],
        ),
        refused(
            "repeat elsewhere",
            "steps: [{id: g, repeat: {until: 'true', times: 1}, run: x}]",
            &["`repeat` has no meaning"],
        ),
    ]);
    for key in [
        "retry: 2",
        "timeout: 1s",
        "grace: 1s",
        "shell: sh",
        "artifacts: [x]",
        "on_interrupt: rerun",
        "log_limit: 1MiB",
        "stdin: x",
        "expect: x",
    ] {
        let name = format!("`{}` has no meaning", key.split(':').next().unwrap());
        hold(&[refused(key, &format!("steps: [{{id: g, {key}, steps: [{{id: a, run: x}}]}}]"), &[&name])]);
    }
}

#[test]
fn keys_of_a_check() {
    hold(&[
        runs("a string is short for run", "steps: [{id: a, check: test -e runbooks}]", &["a succeeded"]),
        fails(
            "all of expect must be true; a failure prints the values",
            "steps: [{id: a, check: {run: echo 5, expect: [exit_code == 0, number > 10]}}]",
            &["number > 10  (number: 5)"],
        ),
        runs(
            "unless an expectation mentions it",
            "steps: [{id: a, check: {run: exit 4, expect: exit_code == 4}}]",
            &[],
        ),
        fails(
            "its own success is expected too",
            "steps: [{id: a, check: {run: echo ok; exit 4, expect: 'stdout == \"ok\"'}}]",
            &["exit 4"],
        ),
        runs(
            "within",
            "steps: [{id: a, check: {run: 'echo x >> f; test $(wc -l < f) -ge 3', within: 50s, every: 10ms}}]",
            &["a succeeded"],
        ),
        fails(
            "that runs out",
            "steps: [{id: a, check: {run: exit 2, within: 100ms, every: 20ms}}]",
            &["expectation: exit 2"],
        ),
        fails(
            "hold",
            "steps: [{id: a, check: {run: 'echo x >> f; test $(wc -l < f) -ne 3', hold: 50s, every: 10ms}}]",
            &["expectation: exit 1"],
        ),
        runs(
            "max_failures",
            "steps: [{id: a, check: {run: 'echo x >> f; test $(wc -l < f) -ne 3', hold: 300ms, every: 20ms, max_failures: 1}}]",
            &["a succeeded"],
        ),
        Row {
            lacks: &["number < 10"],
            ..runs(
                "warn",
                "steps: [{id: a, check: {run: echo 5, warn: [number < 3, number < 10]}}]",
                &["number < 3"],
            )
        },
        runs(
            "outputs",
            "steps: [{id: a, check: {run: echo 5}, outputs: {x: number * 2}},{id: b, run: 'echo {{ steps.a.outputs.x }}'}]",
            &["│ 10"],
        ),
        Row {
            files: &[("x.txt", "hello")],
            ..runs(
                "outputs of a file",
                "steps: [{id: a, check: {file: x.txt}, outputs: {h: sha256, s: size}},{id: b, run: 'echo {{ steps.a.outputs.h }} {{ steps.a.outputs.s }}'}]",
                &["│ 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 5"],
            )
        },
        fails(
            "no data is never a pass",
            "steps: [{id: a, check: {http: 'http://127.0.0.1:1/', expect: 'true'}}]",
            &["connection refused"],
        ),
        refused("two probes", "steps: [{id: a, check: {tcp: 'x:1', run: x}}]", &["exactly one"]),
        refused("no probe", "steps: [{id: a, check: {expect: 'true'}}]", &["needs a probe"]),
        refused(
            "a variable of another probe",
            "steps: [{id: a, check: {tcp: 'x:1', expect: status == 200}}]",
            &["`status`"],
        ),
        refused("a list", "steps: [{id: a, check: [test, x]}]", &["a map"]),
    ]);
}

#[test]
fn what_can_be_no_probe() {
    for (probe, says) in [
        ("tcp: localhost", "is not host:port"),
        ("tcp: 'localhost:99999'", "is not host:port"),
        ("tls: ':443'", "is not host:port"),
        ("http: ''", "is no URL"),
        ("http: {url: 'ftp://x'}", "is no URL"),
        ("http: {url: 'http://x', body: y}", "`body`"),
        ("prometheus: {url: foo, query: up}", "is no URL"),
        ("prometheus: {url: 'http://x'}", "`query`"),
        ("prometheus: {url: 'http://x', query: up, empty: x}", "a number"),
        ("postgres: {url: 'postgres://x/y'}", "`query`"),
        ("redis: {url: 'redis://x', command: []}", "at least one word"),
        ("redis: {url: 'redis://x', command: PING}", "a list"),
        ("dns: {name: x, type: FOO}", "FOO"),
        ("file: ''", "a path is missing"),
        ("disk: ''", "a path is missing"),
        ("run: ''", "empty"),
        ("nope: 1", "`nope`"),
    ] {
        hold(&[refused(probe, &format!("steps: [{{id: a, check: {{{probe}}}}}]"), &["main.yaml:1:", says])]);
    }
    hold(&[fails(
        "what templates give is seen in the run",
        "params: {u: foo}\nsteps: [{id: a, check: {http: '{{ params.u }}'}}]",
        &["the URL is not valid"],
    )]);
}
