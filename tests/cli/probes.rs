//! Probes: each row of language §5's table, on a real server.

use crate::helpers::{TestEnvironment, postgres, prometheus, redis, tls};

/// A row: the check's keys, the exit status, and what the reason holds.
type Row<'a> = (&'a str, i32, &'a str);

fn rows(test: &TestEnvironment, table: &[Row<'_>]) {
    for (body, code, words) in table {
        test.runbook_named(
            "main",
            &format!("secrets: {{pw: {{env: PW}}}}\nsteps:\n- {{id: probe, check: {{{body}}}}}\n"),
        );
        let run = test.runbook(&["run", "main"]).exits(*code).run_id();
        let reason = test.journal(&run).finished("probe")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains(words) && (reason.is_empty() == (*code == 0)), "{body}: {reason}");
    }
}

fn world() -> TestEnvironment {
    TestEnvironment::new().variable("PW", "probe-pass")
}

#[test]
fn dns_tells_addresses() {
    rows(
        &world(),
        &[
            ("dns: localhost, expect: \"'127.0.0.1' in addresses and elapsed < 60\"", 0, ""),
            ("dns: {name: localhost, type: A}, expect: \"addresses == ['127.0.0.1']\"", 0, ""),
            ("dns: no-such-host.invalid, expect: addresses | length == 0", 1, "name not resolved"),
        ],
    );
}

#[test]
fn disk_tells_how_full_it_is() {
    rows(
        &world(),
        &[
            ("disk: ., expect: [used_percent <= 100, free <= total]", 0, ""),
            ("disk: ., expect: used_percent > 100", 1, "used_percent > 100  (used_percent: "),
            ("disk: nowhere, expect: free >= 0", 1, "no such file or directory"),
        ],
    );
}

#[test]
fn tls_tells_about_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (port, authority) = tls(40, folder.path());
    let test = world().variable("SSL_CERT_FILE", authority.to_str().unwrap());
    rows(
        &test,
        &[
            (
                &format!(
                    "tls: 'localhost:{port}', expect: [days_left == 40, subject == 'CN=probe test', issuer == subject]"
                ),
                0,
                "",
            ),
            (
                &format!("tls: 'localhost:{port}', expect: days_left > 60"),
                1,
                "days_left > 60  (days_left: 40)",
            ),
            (&format!("tls: '127.0.0.1:{port}'"), 1, "certificate: not valid for this name"),
            (&format!("tls: '127.0.0.1:{port}', expect: not valid and not_after > '2020'"), 0, ""),
            ("tls: '127.0.0.1:1', expect: not valid", 1, "connection refused"),
        ],
    );
    let (port, authority) = tls(-3, folder.path());
    let test = world().variable("SSL_CERT_FILE", authority.to_str().unwrap());
    rows(
        &test,
        &[
            (&format!("tls: 'localhost:{port}'"), 1, "certificate: expired"),
            (&format!("tls: 'localhost:{port}', expect: valid or days_left == -3"), 0, ""),
        ],
    );
}

#[test]
fn prometheus_tells_a_value_or_series() {
    let server = prometheus();
    let two = r#"label_replace(vector(1), "a", "x", "", "") or label_replace(vector(2), "a", "y", "", "")"#;
    let probe = |query: &str, rest: &str| {
        let query = serde_json::to_string(query).unwrap();
        format!("prometheus: {{url: 'http://127.0.0.1:{}', query: {query}{rest}", server.port)
    };
    rows(
        &world(),
        &[
            (&probe("vector(0.5)", "}, expect: value < 1"), 0, ""),
            (&probe("vector(0.5)", "}, expect: value < 0.1"), 1, "value < 0.1  (value: 0.5)"),
            (&probe("1 + 1", "}, expect: value == 2"), 0, ""),
            (&probe("nothing", "}, expect: value < 1"), 1, "the answer is empty"),
            (&probe("nothing", ", empty: 0}, expect: value < 1"), 0, ""),
            (&probe(two, "}, expect: value < 3"), 1, "the query gives 2 series"),
            (
                &probe(
                    two,
                    "}, expect: [series | length == 2, \"series[1].metric.a == 'y' and series[1].value == 2\"]",
                ),
                0,
                "",
            ),
            (&probe("vector(0) / vector(0)", ", empty: 0}, expect: value < 1"), 1, "the value is NaN"),
            (&probe("sum(", "}, expect: value < 1"), 1, "prometheus: "),
            (
                "prometheus: {url: 'http://127.0.0.1:1', query: up, empty: 0}, expect: value == 0",
                1,
                "connection refused",
            ),
        ],
    );
}

#[test]
fn postgres_tells_value_row_and_rows_and_changes_nothing() {
    let server = postgres();
    let probe = |query: &str, rest: &str| {
        let query = serde_json::to_string(query).unwrap();
        let url = format!("postgres://probe:{{{{ secrets.pw }}}}@127.0.0.1:{}/postgres", server.port);
        format!("postgres: {{url: '{url}', query: {query}}}{rest}")
    };
    rows(
        &world(),
        &[
            (&probe("select 41 + 1", ", expect: value == 42"), 0, ""),
            (
                &probe(
                    "select 0.25::numeric, true as yes, 'a''b'",
                    ", expect: [value < 0.5, row.yes, rows | length == 1]",
                ),
                0,
                "",
            ),
            (
                &probe(
                    "select 7 as n, 'x' as t union all select 8, 'y' order by 1",
                    ", expect: [row.n == 7, \"rows[1].t == 'y'\"]",
                ),
                0,
                "",
            ),
            (&probe("select 5", ", expect: value > 6"), 1, "value > 6  (value: 5)"),
            (&probe("select 1 where false", ", expect: rows | length == 0"), 1, "the answer is empty"),
            (&probe("select max(n) from (select 1 as n where false) t", ", expect: value < 5"), 1, "value"),
            (&probe("create table t (n int)", ""), 1, "read-only transaction"),
            (&probe("select 1; commit; create table t (n int)", ""), 1, "multiple commands"),
            (&probe("select nonsense", ""), 1, "postgres: column \"nonsense\" does not exist"),
            (
                &format!(
                    "postgres: {{url: 'postgres://probe:wrong@127.0.0.1:{}/postgres', query: select 1}}",
                    server.port
                ),
                1,
                "password authentication failed",
            ),
            (
                "postgres: {url: 'postgres://u@127.0.0.1:1/d', query: select 1}, expect: value == 1",
                1,
                "connection refused",
            ),
        ],
    );
}

#[test]
fn redis_tells_a_value() {
    let server = redis("probe-pass");
    let probe = |command: &str, rest: &str| {
        let url = format!("redis://:{{{{ secrets.pw }}}}@127.0.0.1:{}/0", server.port);
        format!("redis: {{url: '{url}', command: {command}}}{rest}")
    };
    rows(
        &world(),
        &[
            (&probe("[PING]", ", expect: value == 'PONG'"), 0, ""),
            (&probe("[SET, key, 'a b']", ""), 0, ""),
            (&probe("[GET, key]", ", expect: value == 'a b'"), 0, ""),
            (&probe("[DBSIZE]", ", expect: value > 5"), 1, "value > 5  (value: 1)"),
            (&probe("[GET, gone]", ", expect: value == none"), 1, "the answer is empty"),
            (&probe("[NONSENSE]", ""), 1, "redis: ERR unknown command"),
            (
                &format!("redis: {{url: 'redis://127.0.0.1:{}', command: [GET, key]}}", server.port),
                1,
                "NOAUTH",
            ),
            ("redis: {url: 'redis://127.0.0.1:1', command: [PING]}", 1, "connection refused"),
        ],
    );
}

#[test]
fn warnings_are_told_and_fail_nothing() {
    let test = TestEnvironment::with("\nsteps:\n- {id: probe, check: {disk: ., warn: used_percent > 100}}\n");
    let run = test.runbook(&["run", "main"]).succeeds().run_id();
    let warnings = test.journal(&run).finished("probe")["warnings"].to_string();
    assert!(warnings.contains("used_percent > 100"), "{warnings}");
}

/// Every kind of record that the language names may be asked for.
#[test]
fn each_kind_of_dns_record_can_be_asked_for() {
    for kind in ["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV", "PTR"] {
        let test = TestEnvironment::with(&format!(
            "\nsteps:\n  - {{id: a, check: {{dns: {{name: zetra.test, type: {kind}}}}}}}\n"
        ));
        test.runbook(&["validate"]).succeeds();
        test.runbook(&["plan", "main"]).succeeds().stdout_has("zetra.test").stdout_has(kind);
    }
}
