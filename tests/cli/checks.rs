//! Checks: probes, `expect`, `within`, `every`, `hold`, `max_failures`, `warn` (language §5).

use std::net::TcpListener;

use crate::helpers::{Server, TestEnvironment};

fn check(body: &str) -> TestEnvironment {
    TestEnvironment::with(&format!("\nsteps:\n  - id: probe\n    check:\n{body}"))
}

#[test]
fn a_command_is_a_probe() {
    for (probe, code) in [
        ("      run: 'true'\n", 0),
        ("      run: exit 1\n", 1),
        ("      run: echo 7\n      expect: number > 6\n", 0),
        ("      run: echo 5\n      expect: number > 6\n", 1),
        ("      run: exit 4\n      expect: exit_code == 4\n", 0),
        ("      run: 'echo ok; exit 4'\n      expect: stdout == \"ok\"\n", 1),
        ("      run: 'echo \"[1,2]\"'\n      expect: ['json[1] == 2', lines | length == 1]\n", 0),
        ("      run: [test, -e, runbooks]\n", 0),
    ] {
        check(probe).runbook(&["run", "main"]).exits(code);
    }
    TestEnvironment::with("\nsteps:\n  - {id: short, check: test -e runbooks}\n")
        .runbook(&["run", "main"])
        .succeeds();
}

#[test]
fn a_failed_expectation_shows_the_values_it_saw() {
    let test = check("      run: echo 5\n      expect: number > 6\n");
    let run = test.runbook(&["run", "main"]).exits(1).stderr_has("number > 6").run_id();
    let reason = test.journal(&run).reason("probe");
    assert!(
        reason.starts_with("expectation") && reason.contains("number > 6") && reason.contains('5'),
        "{reason}"
    );
}

#[test]
fn http_tells_status_headers_body_and_json() {
    let server =
        Server::start(|_| (200, r#"{"status": "up", "dependencies": [{"name": "db", "ok": true}]}"#.into()));
    let unwell = Server::start(|_| (503, "no".into()));
    for (url, expect, code) in [
        (server.url("/"), "status == 200", 0),
        (server.url("/"), "json.status == \"up\" and json.dependencies[0].ok", 0),
        (server.url("/"), "headers[\"content-type\"] == \"application/json\" and elapsed < 60", 0),
        (server.url("/"), "\"down\" in body", 1),
        (unwell.url("/"), "body == \"no\"", 1),
        (unwell.url("/"), "status == 503", 0),
        ("http://127.0.0.1:1/".into(), "elapsed < 60", 1),
    ] {
        let test =
            check(&format!("      http: {url}\n      expect: {}\n", serde_json::to_string(expect).unwrap()));
        test.runbook(&["run", "main"]).exits(code);
    }
    check(&format!("      http: {}\n", unwell.url("/"))).runbook(&["run", "main"]).exits(1);
}

#[test]
fn http_sends_method_headers_and_secrets_and_heeds_no_proxy() {
    let server = Server::start(|_| (200, "{}".into()));
    let test = TestEnvironment::new()
        .variable("http_proxy", "http://127.0.0.1:1")
        .variable("TOKEN_SOURCE", "tok-123456");
    test.runbook_named(
        "main",
        &format!(
            "\nsecrets: {{token: {{env: TOKEN_SOURCE}}}}\nsteps:\n  - id: a\n    check: {{http: {{url: \"{}\", method: POST, headers: {{authorization: \"Bearer {{{{ secrets.token }}}}\"}}, json: {{a: 1}}}}}}\n",
            server.url("/path?x=1")
        ),
    );
    let output = test.runbook(&["run", "main", "--format", "json"]).succeeds().lacks("tok-123456");
    let heads = server.heads();
    assert_eq!(heads.len(), 1, "{output}");
    let head = heads[0].to_lowercase();
    assert!(
        head.starts_with("post /path?x=1 http/1.1\r\n")
            && head.contains("authorization: bearer tok-123456\r\n"),
        "{head}"
    );
}

#[test]
fn tcp_tells_whether_it_is_open() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    check(&format!("      tcp: 127.0.0.1:{port}\n")).runbook(&["run", "main"]).succeeds();
    check("      tcp: 127.0.0.1:1\n").runbook(&["run", "main"]).exits(1);
    check("      tcp: 127.0.0.1:1\n      expect: not open\n").runbook(&["run", "main"]).succeeds();
}

#[test]
fn file_tells_existence_size_age_and_hash() {
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for (path, expect, code) in [
        ("data.txt", "[exists, size == 5, age < 3600]".to_owned(), 0),
        ("data.txt", format!("sha256 == \"{hash}\""), 0),
        ("data.txt", "size > 5".into(), 1),
        ("missing.txt", "not exists".into(), 0),
        ("missing.txt", "exists".into(), 1),
    ] {
        let test = check(&format!("      file: {path}\n      expect: {expect}\n"));
        test.write("data.txt", "hello");
        test.runbook(&["run", "main"]).exits(code);
    }
}

#[test]
fn within_keeps_probing_until_it_holds() {
    let server = Server::start(|number| if number < 3 { (503, String::new()) } else { (200, String::new()) });
    let test = check(&format!("      http: {}\n      every: 10ms\n      within: 50s\n", server.url("/")));
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    assert_eq!(server.request_count(), 4);
    let journal = test.journal(&run);
    let samples: Vec<_> =
        journal.of("sample", "probe").iter().map(|sample| sample["ok"].as_bool().unwrap()).collect();
    assert_eq!(
        (samples.first(), samples.last()),
        (Some(&false), Some(&true)),
        "the first, the last and each change"
    );

    let never = Server::start(|_| (503, String::new()));
    let test = check(&format!("      http: {}\n      every: 10ms\n      within: 200ms\n", never.url("/")));
    test.runbook(&["run", "main"]).exits(1);
    assert!(never.request_count() > 1);
}

#[test]
fn hold_demands_that_it_goes_on_holding() {
    let steady = Server::start(|_| (200, String::new()));
    check(&format!("      http: {}\n      every: 20ms\n      hold: 2s\n", steady.url("/")))
        .runbook(&["run", "main"])
        .succeeds();
    assert!(steady.request_count() > 2, "{}", steady.request_count());

    // The second and the fourth sample fail.
    for (max_failures, code) in [(0, 1), (1, 1), (2, 0)] {
        let shaky = Server::start(|number| {
            if number == 1 || number == 3 { (500, String::new()) } else { (200, String::new()) }
        });
        let probe = format!(
            "      http: {}\n      every: 20ms\n      hold: 3s\n      max_failures: {max_failures}\n",
            shaky.url("/")
        );
        check(&probe).runbook(&["run", "main"]).exits(code);
    }
}

#[test]
fn warnings_are_reported_and_fail_nothing() {
    let test = check("      run: echo 85\n      expect: number < 95\n      warn: [number < 80]\n");
    let run = test.runbook(&["run", "main"]).succeeds().stderr_has("number < 80").run_id();
    assert!(test.journal(&run).lines.iter().any(|line| line.contains("number < 80")));
}

#[test]
fn what_a_check_measured_can_be_used() {
    let test = TestEnvironment::with(
        r#"
steps:
  - {id: measure, check: {run: echo 42, expect: number > 0}, outputs: {value: number}}
  - {id: use, run: 'echo {{ steps.measure.outputs.value }} >> "$LEDGER"'}
"#,
    );
    test.runbook(&["run", "main"]).succeeds();
    assert_eq!(test.ledger(), ["42"]);
}
