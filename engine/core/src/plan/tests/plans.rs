//! What plans hold.

use std::fmt::Write as _;

use super::{plan, plan_with};
use crate::duration::Duration;
use crate::plan::{
    Action, Check, Command, EvidenceRule, OnExpiry, OnFailure, OnInterrupt, PLAN_FORMAT, Plan, Probe, Step,
    describe,
};

const DEPLOYMENT: &str = include_str!("../../../../../runbooks/deploy-production.yaml");

fn step<'p>(plan: &'p Plan, id: &str) -> &'p Step {
    plan.steps.iter().find(|step| step.id.as_str() == id).expect(id)
}

fn check<'p>(plan: &'p Plan, id: &str) -> &'p Check {
    match &step(plan, id).action {
        Action::Check(check) => check,
        other => panic!("{id} is {other:?}"),
    }
}

#[test]
fn the_deployment_of_this_repository() {
    let plan = plan_with(DEPLOYMENT, &[("version", "v1.2.3")], "").expect("it has no mistakes");
    assert_eq!(plan.plain_params, ["version", "port"]);
    assert_eq!(plan.params["port"], 8087);
    let declared: Vec<_> = plan.declared().map(|(_, step)| step).collect();
    assert_eq!(declared.len(), 13);
    assert_eq!(declared[12].id.as_str(), "record");
    assert!(declared[12].finally);
    assert_eq!(plan.pass_env.len(), 4);
}

#[test]
fn a_plan_is_read_again_as_it_was() {
    let plan = plan_with(DEPLOYMENT, &[("version", "v1.2.3")], "").expect("it has no mistakes");
    let text = serde_json::to_string(&plan).expect("a plan is data");
    let again: Plan = serde_json::from_str(&text).expect("it was written so");
    assert_eq!(again, plan);
    assert_eq!(serde_json::to_string(&again).expect("a plan is data"), text);
}

#[test]
fn where_nothing_is_said() {
    let plan =
        plan("steps:\n- {id: a, run: 'true'}\n- {id: b, check: {tcp: 'h:1'}}\n- {id: c, manual: {}}\n");
    assert_eq!((plan.format, plan.runbook.as_str(), plan.title.as_str()), (PLAN_FORMAT, "stem", "stem"));
    assert_eq!(plan.max_parallel, 16);
    let a = step(&plan, "a");
    assert_eq!((a.timeout, a.grace, a.log_limit), (None, Duration::from_secs(10), 64 << 20));
    assert_eq!((a.on_failure, a.on_interrupt), (OnFailure::Unsaid, OnInterrupt::Ask));
    assert_eq!((&a.retry, a.shell.len(), a.env.len()), (&None, 0, 0));
    assert_eq!(step(&plan, "b").timeout, Some(Duration::from_secs(10)));
    let (_, question) = step(&plan, "c").action.question().expect("a person is asked");
    assert_eq!(
        (question.prompt.as_str(), question.evidence, question.on_expiry),
        ("c", EvidenceRule::None, OnExpiry::Reject)
    );
}

#[test]
fn defaults_and_what_stands_above_them() {
    let plan = plan(
        "env: {A: top, B: top}
defaults:
  timeout: 1m
  grace: 1s
  retry: 2
  on_failure: warn
  on_interrupt: rerun
  env: {B: defaults, C: defaults}
  cwd: here
  shell: [sh, -x]
  log_limit: 1KiB
steps:
- {id: a, run: 'true'}
- {id: b, run: 'true', timeout: 2m, grace: 2s, retry: {times: 1, exit_codes: [7]}, on_failure: stop, on_interrupt: fail, env: {C: 'x{{ env.B }}', D: own}, cwd: there, shell: bash, log_limit: 2KiB}
- {id: c, approve: {prompt: x, expires: 5m, on_expiry: fail, confirm: typed}}
- {id: d, retry: 0, check: {file: x}}
",
    );
    assert_eq!(plan.env.get("A").map(String::as_str), Some("top"));
    let a = step(&plan, "a");
    assert_eq!((a.timeout, a.grace), (Some(Duration::from_secs(60)), Duration::from_secs(1)));
    let retry = a.retry.as_ref().expect("it is inherited");
    assert_eq!(
        (retry.times, retry.delay, retry.backoff, retry.max_delay, retry.jitter),
        (2, Duration::from_secs(1), 2.0, Duration::from_secs(60), true)
    );
    assert_eq!((a.on_failure, a.on_interrupt), (OnFailure::Warn, OnInterrupt::Rerun));
    assert_eq!((a.cwd.as_deref(), a.shell.join(" ").as_str(), a.log_limit), (Some("here"), "sh -x", 1024));
    assert_eq!(
        a.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        ["B=defaults", "C=defaults"]
    );
    let b = step(&plan, "b");
    assert_eq!((b.timeout, b.grace), (Some(Duration::from_secs(120)), Duration::from_secs(2)));
    assert_eq!(b.retry.as_ref().map(|retry| (retry.times, retry.exit_codes.clone())), Some((1, vec![7])));
    assert_eq!((b.on_failure, b.on_interrupt), (OnFailure::Stop, OnInterrupt::Fail));
    assert_eq!((b.cwd.as_deref(), b.shell.join(" ").as_str(), b.log_limit), (Some("there"), "bash", 2048));
    assert_eq!(
        b.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        ["B=defaults", "C=x{{ env.B }}", "D=own"]
    );
    let c = step(&plan, "c");
    assert_eq!(
        (c.on_failure, &c.retry, c.timeout, c.env.len(), &c.cwd),
        (OnFailure::Stop, &None, None, 0, &None)
    );
    let (_, question) = c.action.question().expect("a person is asked");
    assert_eq!(
        (question.expires, question.on_expiry, question.confirm_typed),
        (Some(Duration::from_secs(300)), OnExpiry::Fail, true)
    );
    assert_eq!(step(&plan, "d").retry, None);
}

#[test]
fn the_probes_own_success_is_expected_unless_it_is_mentioned() {
    for (text, expected) in [
        ("{run: x}", true),
        ("{run: x, expect: stdout == 'exit_code'}", true),
        ("{run: x, expect: exit_code == 3}", false),
        ("{run: x, expect: [number > 1, exit_code < 3]}", false),
        ("{http: 'http://h', expect: elapsed < 2}", true),
        ("{http: 'http://h', expect: status == 503}", false),
        ("{http: 'http://h', expect: steps.status.succeeded}", true),
        ("{http: 'http://h', warn: status == 200}", true),
        ("{tcp: 'h:1', expect: not open}", false),
        ("{file: x, expect: not exists}", false),
        ("{file: x, expect: size > 0}", true),
    ] {
        let plan = plan(&format!("steps:\n- {{id: status, run: x}}\n- id: a\n  check: {text}\n"));
        assert_eq!(check(&plan, "a").expect_success, expected, "{text}");
    }
}

#[test]
fn a_command_in_the_background_has_half_a_minute() {
    for (text, within) in [("{tcp: 'h:1'}", 30), ("{tcp: 'h:1', within: 5s}", 5)] {
        let plan = plan(&format!("steps:\n- id: a\n  run: [serve]\n  background: {{ready: {text}}}\n"));
        let Action::Run(run) = &plan.steps[0].action else { panic!("it runs a command") };
        assert_eq!(run.command, Command::Argv(vec!["serve".to_owned()]));
        let ready = run.background.as_ref().expect("it runs in the background");
        assert_eq!(
            (&ready.probe, ready.within),
            (&Probe::Tcp("h:1".to_owned()), Some(Duration::from_secs(within)))
        );
    }
}

#[test]
fn values_of_parameters() {
    let text = "params: {s: {}, i: {type: integer, max: 5}, b: false, n: {required: false}, l: [a], c: {choices: [x, y]}}\nsteps:\n- {id: a, run: x}\n";
    let plan =
        plan_with(text, &[("s", "v 1"), ("i", "4"), ("b", "true"), ("c", "x")], "").expect("all is given");
    let json = serde_json::to_string(&plan.params).expect("it is data");
    assert_eq!(json, r#"{"s":"v 1","i":4,"b":true,"n":null,"l":["a"],"c":"x"}"#);
    let mistakes = plan_with(text, &[("s", "a\0b"), ("i", "6"), ("bb", "true"), ("c", "z")], "")
        .expect_err("four are wrong");
    assert_eq!(
        mistakes,
        [
            "unknown-param 1:10 there is no parameter `bb` (did you mean `b`?)",
            "invalid-param 1:10 the parameter `s`: a value can't hold NUL",
            "invalid-param 1:17 the parameter `i`: `6` is too large: at most 5",
            "invalid-param 1:85 the parameter `c`: `z` is none of the choices x, y",
        ]
    );
}

#[test]
fn inputs_are_hashed_where_they_are() {
    let plan =
        plan("params: {d: sub}\nsteps:\n- {id: a, run: x, cwd: 'in/{{ params.d }}', inputs: [f.sh]}\n");
    let inputs = &plan.steps[0].inputs;
    assert_eq!(inputs.globs, ["f.sh"]);
    assert_eq!(inputs.files.keys().collect::<Vec<_>>(), ["in/sub/f.sh"]);
}

#[test]
fn a_missing_value_is_said_once() {
    let text = "title: To {{ params.d }}\nparams: {d: {}}\nsteps:\n- {id: a, run: x, cwd: '{{ params.d }}', inputs: [f.sh]}\n";
    let mistakes = plan_with(text, &[], "").expect_err("a value is missing");
    assert_eq!(mistakes, ["missing-param 2:10 the parameter `d` needs a value (give it with `-p d=…`)"]);
}

#[test]
fn what_a_project_gives() {
    let text = "title: In {{ project.vars.region }}\npass_env: [A]\nsteps:\n- {id: a, run: 'echo {{ project.vars.region }}'}\n";
    let plan = plan_with(text, &[], "vars: {region: eu-1, other: x}\npass_env: [A, B]\n")
        .expect("it has no mistakes");
    assert_eq!(plan.title, "In eu-1");
    assert_eq!(plan.pass_env, ["A", "B"]);
    // What isn't used is no part of what is approved.
    assert_eq!(serde_json::to_string(&plan.project_vars).expect("it is data"), r#"{"region":"eu-1"}"#);
    let mistakes =
        plan_with(text, &[], "vars: {region: eu-1}\ngroups: {a: ['group:b']}\n").expect_err("it is wrong");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
}

#[test]
fn the_example_of_the_language_page_needs_its_project() {
    let text = include_str!("../../document/tests/whole.yaml");
    let mistakes = plan_with(text, &[("version", "v1.2.3")], "").expect_err("it names a group and a channel");
    assert_eq!(
        mistakes,
        [
            "unknown-group 45:14 there is no group `release-managers`: `project.yaml` beside the runbooks has no `groups`",
            "unknown-channel 67:23 there is no channel `ops` in project.yaml",
        ]
    );
}

#[test]
fn what_people_are_shown_before_a_run() {
    let plan =
        plan_with(DEPLOYMENT, &[("version", "v1.2.3"), ("site", "my site")], "").expect("it has no mistakes");
    let lines = describe(&plan).steps;
    let line = |id: &str| lines.iter().find(|line| line.id.as_str() == id).expect(id);
    let command = |id: &str| line(id).command.clone().unwrap_or_default();
    assert_eq!(
        command("backup"),
        "tar -C var/site -czf var/site/backups/‹run.id›.tar.gz ‹steps.slots.outputs.live›"
    );
    assert!(command("build").contains("cp -R 'my site'/. \"$release\""), "{}", command("build"));
    assert_eq!(command("serve"), "‹steps.server.outputs.binary› var/site/current 8087");
    assert_eq!(command("built"), "file var/site/‹steps.slots.outputs.idle›/index.html");
    assert_eq!(command("verify"), "GET http://127.0.0.1:8087/");
    let needs: Vec<&str> = line("approve").needs.iter().map(|id| id.as_str()).collect();
    assert_eq!(needs, ["server", "built", "stamped", "backup"]);
    assert_eq!(
        line("approve").prompt.as_deref(),
        Some("Send v1.2.3 to production? Live now is ‹steps.slots.outputs.live›.")
    );
    assert_eq!(line("serve").ready.as_deref(), Some("GET http://127.0.0.1:8087/healthz"));
    let undo = line("switch").undo.clone().unwrap_or_default();
    assert!(undo.starts_with("if [ \"$LIVE\" = none ]"), "{undo}");
    let json = serde_json::to_value(line("record")).expect("a line is data");
    assert_eq!(json["kind"], "run");
    assert!(json["undo"].is_null() && json["group"].is_null());
}

#[test]
fn what_is_unknown_is_not_computed_with() {
    let plan = plan(
        "secrets: {token: {env: T}}
params: {n: 2, mark: unknown-0-}
env: {K: '{{ secrets.token }}'}
steps:
- {id: a, run: x}
- id: b
  env: {FOUND: '{{ steps.a.stdout }}'}
  run: |
    echo {{ 'yes' if steps.a.succeeded else 'no' }} \"{{ steps.a.stdout | upper }}\" {{ params.n + 1 }} {{ params.mark }} {{ env.FOUND }}
    sleep {{ steps.a.number }}
",
    );
    let lines = describe(&plan).steps;
    assert_eq!(
        lines[1].command.as_deref(),
        Some(
            "echo ‹'yes' if steps.a.succeeded else 'no'› \"‹steps.a.stdout | upper›\" 3 unknown-0- ‹steps.a.stdout›\nsleep ‹steps.a.number›"
        )
    );
    assert_eq!(lines[1].env.get("K"), None);
}

#[test]
fn approvals_that_a_step_does_not_wait_for_are_shown() {
    let plan = plan(
        "steps:\n- {id: a, run: x}\n- {id: gate, approve: {prompt: Go?}}\n- {id: b, needs: [a], run: x}\n- {id: c, needs: [gate], run: x}\n- {id: d, run: x}\nfinally:\n- {id: f, run: x}\n",
    );
    let shown: Vec<(String, usize)> =
        describe(&plan).steps.into_iter().map(|line| (line.id.to_string(), line.not_behind.len())).collect();
    let expected = [("a", 0), ("gate", 0), ("b", 1), ("c", 0), ("d", 0), ("f", 0)];
    assert_eq!(shown, expected.map(|(id, count)| (id.to_owned(), count)));
}

#[test]
fn all_mistakes_of_a_long_runbook_are_found() {
    let mut text = "steps:\n".to_owned();
    for index in 0..10_000 {
        let _ = writeln!(text, "- {{id: s{index}, needs: [], when: steps.x{index}.succeeded, run: x}}");
    }
    let mistakes = plan_with(&text, &[], "").expect_err("each step has one");
    assert_eq!(mistakes.len(), 1001);
    assert_eq!(mistakes[1000].split(' ').next(), Some("too-many"));
    assert!(mistakes[1000].ends_with("9000 more mistakes are not shown"), "{}", mistakes[1000]);
}

#[test]
fn a_long_runbook_is_planned() {
    let mut text = "steps:\n".to_owned();
    for index in 0..10_000_usize {
        let needs: Vec<String> =
            (1..=3).filter(|back| *back <= index).map(|back| format!("s{}", index - back)).collect();
        let named = needs.first().map_or_else(String::new, |need| format!("when: steps.{need}.succeeded, "));
        let _ = writeln!(text, "- {{id: s{index}, needs: [{}], {named}run: x}}", needs.join(", "));
    }
    let plan = plan(&text);
    assert_eq!(plan.steps.len(), 10_000);
    assert_eq!(plan.steps[9999].needs, [9996, 9997, 9998]);
    assert_eq!(describe(&plan).steps.len(), 10_000);
}

#[test]
fn channels_that_are_used_are_part_of_the_plan() {
    let text = "steps:\n- {id: a, notify: {channel: ops, message: m}}\n- {id: b, notify: {channel: log, message: m}}\n";
    let project = r#"vars: {host: h, other: x}
channels:
  ops: {slack: {url: {env: HOOK}}}
  hook: {webhook: {url: 'https://{{ project.vars.other }}'}}
  log: {webhook: {url: 'https://{{ project.vars.host }}', headers: {X-Token: {file: token}}, json: {text: '{{ message }}'}}}
"#;
    let plan = plan_with(text, &[], project).expect("it has no mistakes");
    assert_eq!(
        serde_json::to_string(&plan.channels).expect("it is data"),
        r#"{"ops":{"slack":{"url":"{{ secrets[\"channels.ops.url\"] }}"}},"log":{"webhook":{"url":"https://{{ project.vars.host }}","headers":{"X-Token":"{{ secrets[\"channels.log.header-1\"] }}"},"json":{"text":"{{ message }}"}}}}"#
    );
    assert_eq!(
        serde_json::to_string(&plan.secrets).expect("it is data"),
        r#"{"channels.ops.url":{"env":"HOOK"},"channels.log.header-1":{"file":"token"}}"#
    );
    assert_eq!(serde_json::to_string(&plan.project_vars).expect("it is data"), r#"{"host":"h"}"#);
    assert_eq!(plan.steps[0].on_failure, super::super::OnFailure::Warn);
    let mistakes = plan_with(text, &[], "channels: {opz: {command: ['{{ mesage }}']}}\n").expect_err("wrong");
    assert_eq!(
        mistakes,
        [
            "undefined-name 2:25 `mesage` is not defined here (did you mean `message`?)",
            "unknown-channel 2:29 there is no channel `ops` in project.yaml (did you mean `opz`?)",
            "unknown-channel 3:29 there is no channel `log` in project.yaml",
        ]
    );
}
