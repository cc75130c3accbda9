//! `project.yaml`: what runbooks share (language §9).

use crate::helpers::{Server, TestEnvironment};

#[test]
fn vars_and_pass_env_reach_every_runbook() {
    let test = TestEnvironment::new().variable("LET_IN", "yes").variable("KEPT_OUT", "no");
    test.write("runbooks/project.yaml", "vars: {region: eu-1}\npass_env: [LET_*]\n");
    test.runbook_named(
        "deep/main",
        "steps:\n- {id: a, run: 'echo \"{{ project.vars.region }} ${LET_IN:-none} ${KEPT_OUT:-none}\" >> \"$LEDGER\"'}\n",
    );
    test.runbook(&["run", "deep/main"]).succeeds();
    assert_eq!(test.ledger(), ["eu-1 yes none"]);
}

#[test]
fn channels_tell_slack_webhooks_and_commands() {
    let server = Server::start(|_| (200, "ok".into()));
    let test = TestEnvironment::new().variable("HOOK", &server.url("/hook-secret"));
    test.write("token", "token-secret\n");
    let (url, ledger) = (server.url("/web"), test.outside("ledger"));
    test.write(
        "runbooks/project.yaml",
        &format!(
            r#"
vars: {{region: eu-1}}
channels:
  slack: {{slack: {{url: {{env: HOOK}}}}}}
  web: {{webhook: {{url: '{url}', headers: {{X-Token: {{file: token}}}}, json: {{text: "{{{{ message }}}} in {{{{ project.vars.region }}}}", how: "{{{{ severity }}}}"}}}}}}
  plain: {{webhook: {{url: {{command: [sh, -c, "echo $HOOK"]}}}}}}
  cmd: {{command: [sh, -c, 'echo "$1" >> {}', x, "{{{{ title }}}}: {{{{ message }}}}"]}}
targets: {{web: {{ssh: [deploy@web1:22]}}}}
"#,
            ledger.display()
        ),
    );
    test.runbook_named(
        "main",
        r#"
params: {v: "a <b> $(c)"}
steps:
- {id: a, notify: {channel: slack, message: "Deploy {{ params.v }}", title: Zetra, severity: warning}}
- {id: b, notify: {channel: web, message: "{{ params.v }}", severity: high}}
- {id: c, notify: {channel: plain, message: "{{ run.outcome }}"}}
- {id: d, notify: {channel: cmd, title: T, message: "{{ params.v }}"}}
"#,
    );
    let output = test.runbook(&["run", "main"]).succeeds().lacks("hook-secret");
    let bodies: Vec<serde_json::Value> =
        server.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(bodies[0]["text"], "[warning] *Zetra*\nDeploy a &lt;b&gt; $(c)");
    assert_eq!(bodies[1], serde_json::json!({"text": "a <b> $(c) in eu-1", "how": "high"}));
    assert_eq!((&bodies[2]["message"], &bodies[2]["runbook"]), (&"succeeded".into(), &"main".into()));
    assert!(server.heads()[1].contains("token-secret"), "{}", server.heads()[1]);
    assert_eq!(test.ledger(), ["T: a <b> $(c)"]);
    for file in test.state_files() {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("hook-secret") && !text.contains("token-secret"), "{}", file.display());
    }
    let journal = test.journal(&output.run_id());
    for step in ["a", "b", "c", "d"] {
        assert_eq!(journal.finished(step)["outcome"], "succeeded", "{step}");
    }
}

#[test]
fn only_the_secrets_of_channels_that_are_used_are_needed() {
    let test = TestEnvironment::new();
    test.write("runbooks/project.yaml", "channels: {ops: {slack: {url: {env: NOT_THERE}}}}\n");
    test.runbook_named("quiet", "steps:\n- {id: a, run: 'true'}\n");
    test.runbook(&["run", "quiet"]).succeeds();
    test.runbook_named("loud", "steps:\n- {id: a, notify: {channel: ops, message: m}}\n");
    test.runbook(&["run", "loud"]).exits(2).stderr_has("NOT_THERE is not set");
}

#[test]
fn mistakes_are_shown_in_the_file_that_has_them() {
    let test = TestEnvironment::new();
    test.write(
        "runbooks/project.yaml",
        "vars: {a: 1}\nchannels:\n  ops: {command: [echo, '{{ mesage }}']}\n",
    );
    test.runbook_named("main", "steps:\n- {id: a, notify: {channel: opps, message: m}}\n");
    let found = test.runbook(&["validate", "main", "--format", "json"]).exits(1).json();
    let places: Vec<String> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!("{}:{} {}", one["file"].as_str().unwrap(), one["line"], one["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(places, ["runbooks/main.yaml:3 unknown-channel", "runbooks/project.yaml:3 undefined-name"]);
    test.runbook(&["run", "main"]).exits(2).stderr_has("did you mean `ops`?").stderr_has("project.yaml:3");
}

/// A mistake in what is shared is shown where it is, whichever command finds it.
#[test]
fn mistakes_of_the_project_are_shown_in_its_own_file() {
    let project = "vars: {a: b}\n\n\ngroups: {ops: [ana]}\nchannels:\n  ops: {webhook: {url: 'http://h', json: {text: '{{ nope }}'}}}\n";
    let body = "\nsteps:\n- {id: gate, approve: {prompt: Go?, from: ['group:opps']}}\n- {id: tell, notify: {channel: ops, message: m}}\n";
    for command in ["run", "plan", "validate"] {
        let test = TestEnvironment::with(body);
        test.write("runbooks/project.yaml", project);
        let code = if command == "validate" { 1 } else { 2 };
        let shown = test.runbook(&[command, "main"]).exits(code);
        let text = format!("{}{}", shown.stdout, shown.stderr);
        for part in [
            "runbooks/project.yaml:6:",
            "ops: {webhook: {url: 'http://h', json: {text: '{{ nope }}'}}}",
            "runbooks/main.yaml:4:",
            "from: ['group:opps']",
        ] {
            assert!(text.contains(part), "{command}: `{part}` is missing in {text}");
        }
        let listed = test.runbook(&[command, "main", "--format", "json"]).exits(code).json();
        let places: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|found| (found["file"].as_str().unwrap(), found["line"].as_u64().unwrap()))
            .collect();
        assert!(places.contains(&("runbooks/project.yaml", 6)), "{command}: {listed}");
        assert!(places.contains(&("runbooks/main.yaml", 4)), "{command}: {listed}");
    }
}
