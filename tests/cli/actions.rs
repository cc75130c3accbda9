//! Actions without a process of their own: `wait`, `http`, `notify` (language §4).

use crate::helpers::{Server, TestEnvironment, eventually};

#[test]
fn wait_lets_time_pass_and_takes_no_slot() {
    let test = TestEnvironment::with(
        "\nmax_parallel: 1\nsteps:\n- {id: pause, wait: 1h}\n- {id: work, needs: [], run: echo work >> \"$LEDGER\"}\n",
    );
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("the other step has run beside it", || (test.ledger() == ["work"]).then_some(()));
    test.runbook(&["answer", &run, "pause", "done"]).exits(2).stderr_has("needs a reason");
    test.runbook(&["answer", &run, "pause", "enough", "--reason", "x"]).exits(2);
    test.runbook(&["answer", &run, "pause", "done", "--reason", "seen enough"]).succeeds();
    live.wait().succeeds();
    let journal = test.journal(&run);
    assert_eq!(journal.reason("pause"), "operator: cut short: seen enough");
    assert!(journal.one("step_started", "pause")["until"].is_string());
    test.runbook(&["answer", &run, "pause", "done", "--reason", "again"]).exits(0);
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn wait_keeps_its_deadline_over_a_restart() {
    let test = TestEnvironment::with("\nsteps:\n- {id: pause, wait: 2s}\n- {id: after, run: 'true'}\n");
    let mut live = test.spawn(&["run", "main"]);
    let run = live.run_id();
    eventually("it waits", || (!test.journal(&run).of("step_started", "pause").is_empty()).then_some(()));
    let _ = live.kill().whatever_status();
    let until = test.journal(&run).one("step_started", "pause")["until"].clone();
    test.runbook(&["resume", &run]).succeeds();
    let journal = test.journal(&run);
    assert_eq!(journal.of("step_started", "pause").len(), 1, "it is the same wait");
    assert_eq!(journal.one("step_started", "pause")["until"], until);
    assert!(journal.finished("pause")["at"].as_str() >= until.as_str());
}

#[test]
fn wait_until_a_moment_in_a_zone() {
    for (wait, code) in [
        ("{until: '2020-01-01T02:00', tz: Europe/Berlin}", 0),
        ("{until: '2020-01-01T02:00Z'}", 0),
        ("{until: '{{ params.at }}', tz: UTC}", 1),
        ("{until: '2020-01-01T02:00'}", 2),
    ] {
        let test = TestEnvironment::with(&format!(
            "\nparams: {{at: soon}}\nsteps:\n- {{id: pause, wait: {wait}}}\n"
        ));
        test.runbook(&["run", "main"]).exits(code);
    }
}

#[test]
fn http_gives_the_answer_as_the_steps_result() {
    let server = Server::start(|_| (201, "{\"id\": 7, \"echo\": \"tok-123456\"}\n".into()));
    let test = TestEnvironment::new().variable("TOKEN", "tok-123456");
    let url = server.url("/items");
    test.runbook_named("main", &format!(
        r#"
secrets: {{token: {{env: TOKEN}}}}
steps:
- id: post
  http:
    method: POST
    url: "{url}?t={{{{ secrets.token }}}}"
    headers: {{Authorization: "Bearer {{{{ secrets.token }}}}"}}
    json: {{name: "{{{{ run.name }}}}", n: 1}}
    expect: [status == 201, json.id == 7]
  outputs: {{id: json.id}}
- id: use
  run: echo "{{{{ steps.post.json.id }}}} {{{{ steps.post.outputs.id }}}} {{{{ steps.post.status }}}}" >> "$LEDGER"
"#
    ));
    let output = test.runbook(&["run", "main"]).succeeds().lacks("tok-123456");
    assert_eq!(test.ledger(), ["7 7 201"]);
    assert_eq!(server.bodies(), [r#"{"name":"main","n":1}"#]);
    let head = &server.heads()[0];
    assert!(head.starts_with("POST /items?t=tok-123456") && head.contains("Bearer tok-123456"), "{head}");
    for file in test.state_files() {
        assert!(!String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("tok-123456"), "{file:?}");
    }
    let run = output.run_id();
    test.runbook(&["logs", &run, "post"]).succeeds().stdout_has("\"id\": 7").stdout_has("‹secrets.token›");
    test.runbook(&["verify", &run]).succeeds();
}

#[test]
fn http_fails_by_status_expectation_timeout_and_refusal_and_is_retried() {
    let server = Server::start(|number| if number < 2 { (503, "no".into()) } else { (200, "5".into()) });
    let url = server.url("/");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}/", silent.local_addr().unwrap());
    for (step, code, reason) in [
        (format!("http: {url}"), 1, "expectation: status 503"),
        (format!("http: {url}, retry: {{times: 1, delay: 1ms}}"), 0, ""),
        (format!("http: {{url: '{url}', expect: number > 6}}"), 1, "expectation: number > 6  (number: 5)"),
        ("http: 'http://127.0.0.1:1/'".into(), 1, "expectation: connection refused (127.0.0.1:1)"),
        (format!("http: {{url: '{hangs}', timeout: 50ms}}"), 1, "timeout after 50ms"),
    ] {
        let test = TestEnvironment::with(&format!("\nsteps:\n- {{id: ask, {step}}}\n"));
        let run = test.runbook(&["run", "main"]).exits(code).run_id();
        let events = test.journal(&run);
        let last = events.of("step_finished", "ask").pop().unwrap()["reason"].clone();
        assert_eq!(last.as_str().unwrap_or_default(), reason, "{step}");
    }
}

#[test]
fn a_get_that_a_crash_cut_off_is_sent_again_and_a_post_is_asked_about() {
    for (method, code) in [("GET", 0), ("POST", 7)] {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n- {{id: ask, http: {{url: 'http://{address}/', method: {method}}}}}\n"
        ));
        let mut live = test.spawn(&["run", "main"]);
        let run = live.run_id();
        let (connection, _) = silent.accept().unwrap();
        let _ = live.kill().whatever_status();
        drop(connection);
        let answering = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let Ok((mut client, _)) = silent.accept() else { return };
            let mut head = [0; 4096];
            let _ = client.read(&mut head);
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        });
        test.runbook(&["resume", &run]).exits(code);
        if method == "GET" {
            answering.join().unwrap();
            assert_eq!(test.journal(&run).of("step_started", "ask").len(), 2);
        }
    }
}

#[test]
fn notify_is_a_warning_by_default() {
    let test = TestEnvironment::new();
    test.write("runbooks/project.yaml", "channels: {ops: {webhook: {url: 'http://127.0.0.1:1/'}}}\n");
    for (extra, code) in [("", 0), (", on_failure: stop", 1)] {
        test.runbook_named(
            "main",
            &format!("steps:\n- {{id: tell, notify: {{channel: ops, message: m}}{extra}}}\n- {{id: on, run: 'true'}}\n"),
        );
        let run = test.runbook(&["run", "main"]).exits(code).run_id();
        assert_eq!(test.journal(&run).finished("tell")["outcome"], "failed");
    }
}
