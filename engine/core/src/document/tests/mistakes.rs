//! Tables of texts and the mistakes that are found in them: code, line, column, message, help.

use super::{mistakes, shown};
use crate::document::{parse_project, parse_scenarios};
use crate::source::Source;

#[test]
fn in_a_step() {
    let table: &[(&str, &[&str])] = &[
        (
            "run: x\n  timout: 5s",
            &["unknown-key 4:3 unknown key `timout` in a step (did you mean `timeout`?)"],
        ),
        ("run: x\n  frobnicate: 5s", &["unknown-key 4:3 unknown key `frobnicate` in a step"]),
        (
            "title: x",
            &[
                "no-action 2:3 a step needs an action (write one of: run, check, approve, manual, choose, wait, http, notify, call, steps)",
            ],
        ),
        (
            "run: x\n  check: y",
            &["several-actions 4:3 a step has exactly one action, this has run and check"],
        ),
        (
            "run: x\n  wait: 5s\n  http: y",
            &["several-actions 4:3 a step has exactly one action, this has run and wait and http"],
        ),
        (
            "run: x\n  timeout: 5",
            &["invalid-value 4:12 `5` has no unit; write `5s` for seconds (units: d h m s ms)"],
        ),
        (
            "run: x\n  timeout: soon",
            &["invalid-value 4:12 `soon` is no duration; write it like `30s`, `5m` or `1h30m`"],
        ),
        ("run: x\n  timeout: -5s", &["invalid-value 4:12 `-5s` is negative; a duration can't be"]),
        ("run: x\n  timeout:", &["wrong-type 4:10 expected a duration like `30s`, found nothing (null)"]),
        ("run: x\n  timeout: [5s]", &["wrong-type 4:12 expected a duration like `30s`, found a list"]),
        (
            "run: x\n  needs: build",
            &["wrong-type 4:10 expected a list, found the text `build` (write `[build]`)"],
        ),
        (
            "run: x\n  when: \"{{ params.x }}\"",
            &["expression-braces 4:9 an expression is written without `{{ }}` (write `params.x`)"],
        ),
        (
            "run: x\n  when: {{ params.x }}",
            &[
                "unquoted-template 4:9 a value that begins with `{{` must be quoted: to YAML it is a map (write `\"{{ params.x }}\"`)",
            ],
        ),
        (
            "run: {{ params.x }} y",
            &[
                "unquoted-template 3:8 a value that begins with `{{` must be quoted: to YAML it is a map (write `\"{{ params.x }} y\"`)",
            ],
        ),
        ("run: x\n  when:", &["wrong-type 4:7 expected an expression, found nothing (null)"]),
        ("run: x\n  when: ''", &["invalid-value 4:9 an expression is missing"]),
        ("run: ''", &["invalid-value 3:8 the script is empty"]),
        ("run: []", &["invalid-value 3:8 a command needs at least a program"]),
        ("run: {a: b}", &["wrong-type 3:8 expected a script (text) or an argv (list), found a map"]),
        ("run:", &["wrong-type 3:6 expected a script (text) or an argv (list), found nothing (null)"]),
        ("run: [a, ~]", &["wrong-type 3:12 expected a text, found nothing (null)"]),
        ("run: x\n  env: {A: }", &["wrong-type 4:10 expected a text, found nothing (null)"]),
        ("run: x\n  env: {A: [b]}", &["wrong-type 4:12 expected a text, found a list"]),
        (
            "run: x\n  env: {A-B: c}",
            &[
                "invalid-name 4:9 `A-B` is no name (a name has letters, digits and `_` and begins with no digit)",
            ],
        ),
        ("run: x\n  env: [A=b]", &["wrong-type 4:8 expected a map, found a list"]),
        ("run: x\n  interactive: yes", &["wrong-type 4:16 expected `true` or `false`, found the text `yes`"]),
        ("run: x\n  retry: -1", &["invalid-value 4:10 `-1` is too small: at least 0"]),
        ("run: x\n  retry: often", &["wrong-type 4:10 expected a whole number, found the text `often`"]),
        ("run: x\n  retry: {delay: 5s}", &["missing-key 4:10 `retry` needs the key `times`"]),
        (
            "run: x\n  retry: {times: 1, backoff: 0.5, exit_codes: [256]}",
            &[
                "invalid-value 4:10 `backoff` is 0.5: at least 1",
                "invalid-value 4:48 `256` is too large: at most 255",
            ],
        ),
        (
            "run: x\n  retry: {times: 1, dealy: 5s}",
            &["unknown-key 4:21 unknown key `dealy` in `retry` (did you mean `delay`?)"],
        ),
        (
            "run: x\n  on_failure: continu",
            &[
                "invalid-value 4:15 `continu` is not `stop`, `continue`, `warn` or `ask` (did you mean `continue`?)",
            ],
        ),
        (
            "run: x\n  on_failure: explode",
            &[
                "invalid-value 4:15 `explode` is not `stop`, `continue`, `warn` or `ask` (known here: stop, continue, warn, ask)",
            ],
        ),
        (
            "run: x\n  log_limit: 64",
            &["invalid-value 4:14 `64` has no unit; write `64B`, or with KiB, MiB or GiB"],
        ),
        (
            "run: x\n  log_limit: 64MB",
            &["invalid-value 4:14 `MB` is no unit of size; the units are B KiB MiB GiB TiB"],
        ),
        (
            "run: x\n  for_each: 5",
            &["wrong-type 4:13 expected a list or an expression that gives one, found the number `5`"],
        ),
        (
            "run: x\n  for_each: {a: b}",
            &["wrong-type 4:13 expected a list or an expression that gives one, found a map"],
        ),
        (
            "run: x\n  max_parallel: 2",
            &["meaningless-key 4:3 `max_parallel` has no meaning without `for_each` or `on`"],
        ),
        ("run: x\n  for_each: [a]\n  max_parallel: 0", &["invalid-value 5:17 `0` is too small: at least 1"]),
        (
            "run: x\n  for_each: [a]\n  batches: [0, 101%, 5%]",
            &[
                "invalid-value 5:13 `0` is too small: at least 1",
                "invalid-value 5:16 `101%` is no share: `1%` to `100%`",
            ],
        ),
        (
            "run: x\n  for_each: [a]\n  batches: [100%, 1]",
            &[
                "invalid-value 5:19 `1` starts nothing more: `100%` stands before it (sizes are cumulative, and the last one is all: `[1, 10%, 100%]`)",
            ],
        ),
        (
            "run: x\n  for_each: hosts\n  batches: [5, 10%, 3]",
            &[
                "invalid-value 5:21 `3` starts nothing more: `5` stands before it (sizes are cumulative, and the last one is all: `[1, 10%, 100%]`)",
            ],
        ),
        (
            "run: x\n  for_each: [a, b, c]\n  batches: [1, 2]",
            &[
                "invalid-value 5:16 `batches` don't reach all 3 items (sizes are cumulative, and the last one is all: `[1, 10%, 100%]`)",
            ],
        ),
        (
            "run: x\n  for_each: hosts\n  batches: [1, 50%]",
            &[
                "invalid-value 5:16 `batches` don't reach all items (sizes are cumulative, and the last one is all: `[1, 10%, 100%]`)",
            ],
        ),
        (
            "run: x\n  undo: {wait: 5s}",
            &[
                "no-action 4:9 an undo needs an action (write one of: run, call, http, manual)",
                "unknown-key 4:10 unknown key `wait` in an undo (did you mean `with`?)",
            ],
        ),
        (
            "run: x\n  undo: {}",
            &["no-action 4:9 an undo needs an action (write one of: run, call, http, manual)"],
        ),
        (
            "run: x\n  undo: {http: 'https://x', stdin: y}",
            &["meaningless-key 4:29 `stdin` has no meaning beside `http`"],
        ),
        (
            "run: x\n  undo: {manual: y, timeout: 5s}",
            &[
                "meaningless-key 4:21 `timeout` has no meaning beside `manual` (a gate is bounded by `expires`)",
            ],
        ),
        ("run: x\n  escalate: [{after: 5m}]", &["missing-key 4:14 an escalation needs the key `notify`"]),
        (
            "run: x\n  escalate: [{after: 5, notify: a}]",
            &["invalid-value 4:22 `5` has no unit; write `5s` for seconds (units: d h m s ms)"],
        ),
        (
            "run: x\n  window: {allow: [{from: '2:00', to: '04:00'}]}",
            &[
                "missing-key 4:20 a time of a window needs the key `tz`",
                "invalid-value 4:27 `2:00` is no time of day; write it like `02:00`",
            ],
        ),
        (
            "run: x\n  window: {allow: [{days: [sunday], from: '02:00', to: '02:00', tz: UTC, week: 6}]}",
            &[
                "invalid-value 4:20 `week` is 1 to 5: the first such weekday of the month, and so on",
                "invalid-value 4:20 `from` and `to` are the same: nothing could ever start",
                "invalid-value 4:28 `sunday` is not a day (mon tue wed thu fri sat sun) (known here: mon, tue, wed, thu, fri, sat, sun)",
            ],
        ),
        (
            "run: x\n  window: {outside: ask}",
            &["missing-key 4:11 a window needs the key `allow` or `calendar`"],
        ),
        ("run: x\n  lock: {on_busy: wait}", &["missing-key 4:9 a lock needs the key `name`"]),
        (
            "run: x\n  lock: {name: a, on_busy: never}",
            &["invalid-value 4:28 `never` is not `fail`, `wait` or `skip` (known here: fail, wait, skip)"],
        ),
        ("run: x\n  background: {}", &["missing-key 4:15 `background` needs the key `ready`"]),
        (
            "run: x\n  background: true",
            &["wrong-type 4:15 expected a map (`background`), found the boolean `true`"],
        ),
        ("run: x\n  repeat: {until: true}", &["meaningless-key 4:3 `repeat` has no meaning beside `run`"]),
        ("run: x\n  with: {a: b}", &["meaningless-key 4:3 `with` has no meaning beside `run`"]),
        (
            "check: {tcp: 'a:1', dns: b}",
            &["several-actions 3:23 a check has exactly one probe, this has tcp and dns"],
        ),
        (
            "check: {expect: 'true'}",
            &[
                "no-action 3:10 a check needs a probe (write one of: run, http, tcp, dns, tls, prometheus, postgres, file, disk, redis)",
            ],
        ),
        (
            "check: {tcp: 'a:1', expct: open}",
            &["unknown-key 3:23 unknown key `expct` in a check (did you mean `expect`?)"],
        ),
        (
            "check: x\n  expect: exit_code == 1",
            &[
                "meaningless-key 4:3 `expect` has no meaning beside `check` (write it inside `check:` or `http:`)",
            ],
        ),
        (
            "check: {tcp: 'a:1'}\n  shell: bash",
            &["meaningless-key 4:3 `shell` has no meaning beside a probe that is no command"],
        ),
        ("check: x\n  stdin: y", &["meaningless-key 4:3 `stdin` has no meaning beside `check`"]),
        ("check: [a, b]", &["wrong-type 3:10 expected a map (a check), found a list"]),
        (
            "check: {http: {method: FETCH, url: x}}",
            &["invalid-value 3:26 `FETCH` is no HTTP method (did you mean `PATCH`?)"],
        ),
        ("check: {http: {method: POST}}", &["missing-key 3:17 an HTTP probe needs the key `url`"]),
        (
            "check: {dns: {name: x, type: mx}}",
            &["invalid-value 3:32 `mx` is not a DNS record type (did you mean `MX`?)"],
        ),
        (
            "check: {prometheus: x}",
            &["wrong-type 3:23 expected a map (a Prometheus probe), found the text `x`"],
        ),
        ("check: {redis: {url: x, command: []}}", &["invalid-value 3:18 `command` needs at least one word"]),
        (
            "approve: {prompt: Go?}\n  on_failure: warn",
            &[
                "meaningless-key 4:3 `on_failure` has no meaning beside `approve` (an approval passes only by its own answers)",
            ],
        ),
        (
            "approve: {prompt: Go?}\n  retry: 2",
            &["meaningless-key 4:3 `retry` has no meaning beside `approve`"],
        ),
        (
            "approve: {prompt: Go?}\n  timeout: 5m",
            &[
                "meaningless-key 4:3 `timeout` has no meaning beside `approve` (a gate is bounded by `expires`, a group by its steps)",
            ],
        ),
        (
            "approve: {prompt: Go?}\n  done_when: x",
            &[
                "meaningless-key 4:3 `done_when` has no meaning beside `approve` (an approval passes only by its own answers; `when` can leave it out)",
            ],
        ),
        (
            "approve: {prompt: Go?}\n  shell: bash",
            &["meaningless-key 4:3 `shell` has no meaning beside `approve`"],
        ),
        ("approve: {prompt: Go?, quorum: 0}", &["invalid-value 3:34 `0` is too small: at least 1"]),
        (
            "approve: {prompt: Go?, on_expiry: approve}",
            &["invalid-value 3:37 `approve` is not `reject` or `fail` (known here: reject, fail)"],
        ),
        (
            "approve: {prompt: Go?, from: alice}",
            &["wrong-type 3:32 expected a list, found the text `alice` (write `[alice]`)"],
        ),
        (
            "approve: {fields: {a-b: {}}}",
            &[
                "invalid-name 3:22 `a-b` is no name (a name has letters, digits and `_` and begins with no digit)",
            ],
        ),
        ("approve: {confirm: yes}", &["invalid-value 3:22 `yes` is not `typed` (known here: typed)"]),
        (
            "approve:",
            &["wrong-type 3:10 expected an approval, as a map or as `prompt` alone, found nothing (null)"],
        ),
        ("manual: {checklist: x}", &["wrong-type 3:23 expected a list, found the text `x` (write `[x]`)"]),
        (
            "manual: {prompt: x, evidence: maybe}",
            &[
                "invalid-value 3:33 `maybe` is not `none`, `optional` or `required` (known here: none, optional, required)",
            ],
        ),
        ("choose: {prompt: x}", &["missing-key 3:11 a choice needs the key `options`"]),
        ("choose: {options: []}", &["invalid-value 3:21 a choice needs at least one option"]),
        (
            "choose: {options: [a, b, a]}",
            &["invalid-value 3:28 `a` stands twice (the first one is in line 3)"],
        ),
        (
            "choose: {options: {a: x, a: y}}",
            &["duplicate-key 3:28 duplicate key `a` (the first one is in line 3)"],
        ),
        ("wait: 5", &["invalid-value 3:9 `5` has no unit; write `5s` for seconds (units: d h m s ms)"]),
        ("wait: {untill: x}", &["unknown-key 3:10 unknown key `untill` in a wait (did you mean `until`?)"]),
        ("wait: [a]", &["wrong-type 3:9 expected a duration or `{until, tz}`, found a list"]),
        ("http: {url: x, json: {}, body: y}", &["meaningless-key 3:9 `json` and `body` exclude each other"]),
        ("http: {}", &["missing-key 3:9 an HTTP request needs the key `url`"]),
        ("notify: {message: x}", &["missing-key 3:11 a message needs the key `channel`"]),
        ("notify: hello", &["wrong-type 3:11 expected a map (a message), found the text `hello`"]),
        ("call: x\n  with: [a]", &["wrong-type 4:9 expected a map, found a list"]),
        ("steps: x", &["wrong-type 3:10 expected a list, found the text `x` (write `[x]`)"]),
        (
            "steps: [{id: b, run: x}]\n  timeout: 5s",
            &[
                "meaningless-key 4:3 `timeout` has no meaning beside `steps` (a gate is bounded by `expires`, a group by its steps)",
            ],
        ),
        (
            "steps: [{id: b, run: x}, {id: b, run: y}]",
            &["duplicate-id 3:33 duplicate id `b` (the first one is in line 3)"],
        ),
        (
            "steps: [{id: b, run: x}]\n  repeat: {times: 0, until: x}",
            &["invalid-value 4:19 `0` is too small: at least 1"],
        ),
        ("ask: {from: [alice]}\n  run: x", &["missing-key 3:8 a question needs the key `prompt`"]),
        ("run: x\n  run: y", &["duplicate-key 4:3 duplicate key `run` (the first one is in line 3)"]),
        (
            "run: !!str x",
            &[
                "yaml-tag 3:8 tags are not part of the language (remove it; quote a value that is meant as text)",
            ],
        ),
        (
            "run: *nothing",
            &["yaml-alias 3:8 `*nothing` names no anchor above it (quote a text that begins with `*`)"],
        ),
        (
            "run: a: b",
            &[
                "yaml-syntax 3:9 this is not YAML: mapping values are not allowed in this context (quote a value that holds `: `)",
            ],
        ),
        ("run: \"a", &["yaml-syntax 4:1 this is not YAML: invalid indentation in multiline quoted scalar"]),
        (
            "run: x\n\ttimeout: 5s",
            &[
                "yaml-syntax 3:8 this is not YAML: while scanning a plain scalar, found a tab (indent with spaces)",
            ],
        ),
        (
            "run: \"\\d\"",
            &[
                "yaml-syntax 3:8 this is not YAML: while parsing a quoted scalar, found unknown escape character (use single quotes, in which a backslash is a backslash)",
            ],
        ),
        (
            "run: @x",
            &[
                "yaml-syntax 3:8 this is not YAML: unexpected character: `@' (quote a value that begins with this character)",
            ],
        ),
        (
            "check: {run: x, expect: exit_code in [0, 1]}",
            &[
                "yaml-syntax 3:40 this is not YAML: while parsing a flow mapping, did not find expected ',' or '}' (within `{ }` and `[ ]` quote a value that holds `{{ }}`, a brace, a bracket or a comma)",
            ],
        ),
        (
            "env: {A: x {{ params.a }}}\n  run: x",
            &[
                "yaml-syntax 3:14 this is not YAML: while parsing a flow mapping, did not find expected ',' or '}' (within `{ }` and `[ ]` quote a value that holds `{{ }}`, a brace, a bracket or a comma)",
            ],
        ),
        ("? {a: b}\n  : c\n  run: x", &["wrong-type 3:5 a key can't be a map"]),
    ];
    for (keys, expected) in table {
        assert_eq!(mistakes(&format!("steps:\n- id: a\n  {keys}\n")), *expected, "{keys}");
    }
}

#[test]
fn in_a_runbook() {
    let table: &[(&str, &[&str])] = &[
        ("", &["wrong-type 1:1 the file is empty"]),
        ("# nothing\n", &["wrong-type 1:1 the file is empty"]),
        ("[]", &["wrong-type 1:1 expected a map (a runbook), found a list"]),
        ("text", &["wrong-type 1:1 expected a map (a runbook), found the text `text`"]),
        ("name: a", &["missing-key 1:1 a runbook needs the key `steps`"]),
        (
            "steps: []",
            &[
                "invalid-value 1:8 a runbook needs at least one step (write one, as in `- {id: hello, run: echo hello}`)",
            ],
        ),
        ("steps:", &["wrong-type 1:6 expected a list, found nothing (null)"]),
        ("steps: {id: a}", &["wrong-type 1:8 expected a list, found a map"]),
        ("steps: [a]", &["wrong-type 1:9 expected a map (a step), found the text `a`"]),
        ("steps: [{run: x}]", &["missing-key 1:9 a step needs the key `id`"]),
        (
            "steps: [{id: A, run: x}]",
            &[
                "invalid-name 1:14 `A` is no id (an id has a-z, 0-9, `_` and `-`, begins with a letter and has at most 64 characters)",
            ],
        ),
        (
            "steps: [{id: 1a, run: x}, {id: '', run: x}, {id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, run: x}]",
            &[
                "invalid-name 1:14 `1a` is no id (an id has a-z, 0-9, `_` and `-`, begins with a letter and has at most 64 characters)",
                "invalid-name 1:32 `` is no id (an id has a-z, 0-9, `_` and `-`, begins with a letter and has at most 64 characters)",
                "invalid-name 1:50 `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is no id (an id has a-z, 0-9, `_` and `-`, begins with a letter and has at most 64 characters)",
            ],
        ),
        (
            "steps:\n- {id: a, run: x}\n- {id: b, run: x}\n- {id: a, run: x}\n",
            &["duplicate-id 4:8 duplicate id `a` (the first one is in line 2)"],
        ),
        (
            "steps:\n- {id: a-b, run: x}\n- {id: a_b, run: x}\n",
            &[
                "duplicate-id 3:8 `a-b` and `a_b` are the same name: in expressions `-` is written `_` (the first one is in line 2)",
            ],
        ),
        (
            "steps:\n- {id: a, run: x}\nfinally:\n- {id: a, run: x}\n",
            &["duplicate-id 4:8 duplicate id `a` (the first one is in line 2)"],
        ),
        (
            "stepps: [{id: a, run: x}]",
            &["unknown-key 1:1 unknown key `stepps` in a runbook (did you mean `steps`?)"],
        ),
        (
            "steps: [{id: a, run: x}]\nversion: 2",
            &["invalid-value 2:10 version 2 of the language is not known; 1 is the only one"],
        ),
        (
            "steps: [{id: a, run: x}]\nname: My runbook",
            &[
                "invalid-name 2:7 `My runbook` is no name for a runbook (a runbook's name follows the rule of ids: a-z, 0-9, `_` and `-`, beginning with a letter, at most 64)",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nreview: {last: 2026-13-01, every: 90}",
            &[
                "invalid-value 2:16 `2026-13-01` is no date; write it like `2026-11-01`",
                "invalid-value 2:35 `90` has no unit; write `90s` for seconds (units: d h m s ms)",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nsecrets: {a: {env: A, file: b}, b: {}, c: text, d: {command: []}}",
            &[
                "invalid-value 2:14 a secret has exactly one of `env`, `file` and `command`, this has 2",
                "invalid-value 2:36 a secret has exactly one of `env`, `file` and `command`, this has 0",
                "wrong-type 2:43 expected a map (a secret), found the text `text`",
                "invalid-value 2:52 a command needs at least a program",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a b: 1}",
            &[
                "invalid-name 2:10 `a b` is no name (a name has letters, digits and `_` and begins with no digit)",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: strin}}",
            &["invalid-value 2:20 `strin` is not a type of parameter (did you mean `string`?)"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: ~}",
            &[
                "wrong-type 2:13 a parameter needs a default or a definition, found nothing (null) (write `{}` for one that must be given, or `{required: false}`)",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: 012}",
            &[
                "invalid-value 2:13 `012` is a number to YAML and would lose its zeros (quote it if a text is meant)",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {pattern: '('}}",
            &["invalid-pattern 2:23 the pattern is no regular expression: unclosed group"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {pattern: 'v\\d', default: vv1}}",
            &["invalid-default 2:39 the default is refused: `vv1` does not match the pattern `v\\d`"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {choices: [x, y], default: z}}",
            &["invalid-default 2:40 the default is refused: `z` is none of the choices x, y"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {choices: [x, x]}}",
            &["invalid-value 2:27 `x` stands twice (the first one is in line 2)"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {choices: steps.a.lines}}",
            &[
                "wrong-type 2:23 the choices of a parameter are a list; only those of a gate's field may be an expression",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: integer, default: '5'}}",
            &["invalid-default 2:38 the default is refused: expected a whole number, found the text `5`"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: integer, min: 5, max: 1}}",
            &["invalid-value 2:42 `max` is 1, less than `min`, which is 5"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: integer, min: 1, max: 5, default: 6}}",
            &["invalid-default 2:54 the default is refused: `6` is too large: at most 5"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: integer, choices: [one]}}",
            &["invalid-value 2:39 this choice could never be made: expected a whole number, found `one`"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: boolean, pattern: x}}",
            &["meaningless-key 2:38 `pattern` has no meaning for the type `boolean`"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: duration, min: 5, default: 5m}}",
            &["invalid-value 2:35 `5` has no unit; write `5s` for seconds (units: d h m s ms)"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {type: list, default: x}}",
            &["invalid-default 2:35 the default is refused: expected a list of texts, found the text `x`"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {min: 5}}",
            &["meaningless-key 2:19 `min` and `max` have no meaning for the type `string`"],
        ),
        (
            "steps: [{id: a, run: x}]\nparams: {a: {default: ~}}",
            &[
                "invalid-default 2:23 the default is refused: a default can't be nothing (null); write `required: false`",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\ndefaults: {needs: [a]}",
            &[
                "unknown-key 2:12 unknown key `needs` in `defaults` (known here: timeout, grace, retry, on_failure, on_interrupt, env, cwd, shell, on, log_limit)",
            ],
        ),
        (
            "steps: [{id: a, run: x}]\nschedule: {cron: x}",
            &["missing-key 2:11 a schedule needs the key `tz`"],
        ),
        (
            "steps: [{id: a, run: x}]\n---\nsteps: []",
            &["yaml-document 2:1 a second document begins here; a file has one (one runbook a file)"],
        ),
        ("steps: [{id: a, run: x}]\n<<: text", &["yaml-merge 2:5 `<<` takes a map or a list of maps"]),
        ("steps: [{id: a, run: x}", &["yaml-syntax 1:8 this is not YAML: unclosed bracket '['"]),
        (
            "steps: [{id: a, run: x, timout: 5s}]\nname: 'x",
            &[
                "unknown-key 1:25 unknown key `timout` in a step (did you mean `timeout`?)",
                "yaml-syntax 2:7 this is not YAML: unclosed quote (the closing quote is missing)",
            ],
        ),
        (
            "steps:\n- id: a\n  run: x\n  timout: 5s\n  retry: often\n- id: a\n  chekc: x\nownr: me\n",
            &[
                "unknown-key 4:3 unknown key `timout` in a step (did you mean `timeout`?)",
                "wrong-type 5:10 expected a whole number, found the text `often`",
                "duplicate-id 6:7 duplicate id `a` (the first one is in line 2)",
                "unknown-key 7:3 unknown key `chekc` in a step (did you mean `check`?)",
                "unknown-key 8:1 unknown key `ownr` in a runbook (did you mean `owner`?)",
            ],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(text), *expected, "{text}");
    }
}

#[test]
fn in_a_project() {
    let table: &[(&str, &[&str])] = &[
        ("chanels: {}", &["unknown-key 1:1 unknown key `chanels` in a project (did you mean `channels`?)"]),
        (
            "channels: {a: {slack: {url: x}, command: [y]}, b: {}, c: {slack: {}}}",
            &[
                "invalid-value 1:15 a channel has exactly one of `slack`, `webhook` and `command`, this has 2",
                "invalid-value 1:51 a channel has exactly one of `slack`, `webhook` and `command`, this has 0",
                "missing-key 1:66 a Slack channel needs the key `url`",
            ],
        ),
        (
            "targets: {a: {ssh: []}, b: {ssh: ['-oProxyCommand=x']}, c: {ssh: {host: x, port: 0}}}",
            &[
                "invalid-value 1:14 a target needs at least one host",
                "invalid-value 1:35 `-oProxyCommand=x` is no host or user",
                "invalid-value 1:82 `0` is too small: at least 1",
            ],
        ),
        (
            "calendars: {a: {}, b: {deny: [{from: 2026-01-02, to: 2026-01-01, tz: UTC}]}}",
            &[
                "missing-key 1:16 a calendar needs the key `deny` or `ics`",
                "invalid-value 1:31 the period ends before it begins",
            ],
        ),
        (
            "keep: {succeeded: 30}",
            &["invalid-value 1:19 `30` has no unit; write `30s` for seconds (units: d h m s ms)"],
        ),
        (
            "groups: {a: alice}",
            &["wrong-type 1:13 expected a list, found the text `alice` (write `[alice]`)"],
        ),
        ("escalation: {p0: [{notify: ops}]}", &["missing-key 1:19 an escalation needs the key `after`"]),
        ("[]", &["wrong-type 1:1 expected a map (a project), found a list"]),
    ];
    for (text, expected) in table {
        let source = Source::new("project.yaml", text);
        assert_eq!(shown(&source, parse_project(&source).1.into_sorted()), *expected, "{text}");
    }
}

#[test]
fn in_scenarios() {
    let table: &[(&str, &[&str])] = &[
        ("scenarios: [{}]", &["missing-key 1:13 a scenario needs the key `name`"]),
        (
            "scenarios: [{name: a, steps: {b: {exit_cod: 1}}, unstubbed: maybe}]",
            &[
                "unknown-key 1:35 unknown key `exit_cod` in a stub (did you mean `exit_code`?)",
                "invalid-value 1:61 `maybe` is not `succeed` or `error` (known here: succeed, error)",
            ],
        ),
    ];
    for (text, expected) in table {
        let source = Source::new("a.test.yaml", text);
        assert_eq!(shown(&source, parse_scenarios(&source).1.into_sorted()), *expected, "{text}");
    }
}

/// A document with mistakes is there all the same, with its ids, so that the plan can add what it sees.
#[test]
fn a_document_with_mistakes_keeps_its_ids() {
    let text =
        "steps:\n- {id: a}\n- {id: B, run: x}\n- {id: c, run: x, timeout: 5}\n- {id: d, run: {a: b}}\n";
    let (document, diagnostics) = crate::document::parse(&Source::new("a.yaml", text));
    let ids: Vec<String> =
        document.expect("its shape is right").steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids, ["a", "B", "c", "d"]);
    assert_eq!(diagnostics.into_sorted().len(), 4);
}
