//! Against real servers on the loopback, written out byte by byte.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::send::probe_trusting;
use super::{BODY_LEN_MAX, HttpBody, HttpRequest, probe};
use crate::probe::Sample;
use crate::probe::trust::Trust;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Answers every connection with the same bytes; what was asked can be received.
struct Server {
    port: u16,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        Self::start_with(answer.into(), None).await
    }

    async fn start_with(answer: Vec<u8>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    None => serve(stream, &answer, &sender).await,
                    Some(tls) => {
                        // A client that doesn't believe us hangs up in the handshake.
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &answer, &sender).await;
                        }
                    }
                }
            }
        });
        Self { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &[u8],
    asked: &mpsc::UnboundedSender<String>,
) {
    let Some(request) = read_request(&mut stream).await else { return };
    let _ = asked.send(request);
    // The client may hang up before it has read all.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

/// Nothing when the client hangs up before.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&request).into_owned())
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn unreached(sample: &Sample) -> &str {
    assert!(!sample.own_success && sample.values.is_empty(), "{sample:?}");
    sample.reached.as_ref().expect_err("there is no data")
}

#[tokio::test]
async fn an_answer_is_told_in_all_its_parts() {
    let server = Server::start(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 11\r\n\r\n{\"ok\":true}",
    )
    .await;
    let sample = probe(&HttpRequest::get(server.url("/health")), TIMEOUT).await;
    assert!(sample.own_success && sample.reached.is_ok() && sample.reason.is_none(), "{sample:?}");
    assert_eq!(sample.values["status"], 200);
    assert_eq!(sample.values["headers"]["content-type"], "application/json");
    assert_eq!(sample.values["headers"]["set-cookie"], "a=1, b=2");
    assert_eq!(sample.values["body"], r#"{"ok":true}"#);
    assert_eq!(sample.values["json"], json!({"ok": true}));
    assert!(sample.values["elapsed"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(sample.values.keys().collect::<Vec<_>>(), ["status", "headers", "body", "json", "elapsed"]);
}

#[tokio::test]
async fn any_status_is_data_and_only_two_hundreds_are_a_success() {
    for (status, success) in [(204, true), (299, true), (301, false), (404, false), (503, false)] {
        let server = Server::start(format!("HTTP/1.1 {status} Word\r\nContent-Length: 0\r\n\r\n")).await;
        let sample = probe(&HttpRequest::get(server.url("/")), TIMEOUT).await;
        assert_eq!((sample.reached.clone(), sample.own_success), (Ok(()), success));
        assert_eq!(sample.values["status"], status);
        assert_eq!(sample.values["json"], Value::Null);
        assert_eq!(sample.reason, (!success).then(|| format!("status {status}")));
    }
}

#[tokio::test]
async fn a_body_in_chunks_or_without_length_or_no_text_is_read() {
    let table: [(&[u8], &str); 3] = [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
            "Wikipedia",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\xffb", "a\u{fffd}b"),
    ];
    for (answer, body) in table {
        let server = Server::start(answer).await;
        let sample = probe(&HttpRequest::get(server.url("/")), TIMEOUT).await;
        assert_eq!(sample.values.get("body"), Some(&Value::from(body)), "{sample:?}");
    }
}

#[tokio::test]
async fn the_request_is_sent_as_written() {
    let mut server = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let request = HttpRequest {
        method: "PATCH".to_owned(),
        url: server.url("/a%20b?q=1").replace("127.", "user:pass@127."),
        headers: vec![
            ("X-Token".to_owned(), "s3cret".to_owned()),
            ("X-Token".to_owned(), "again".to_owned()),
        ],
        body: Some(HttpBody::Json(json!({"a": 1}))),
        ..HttpRequest::get("")
    };
    let sample = probe(&request, TIMEOUT).await;
    assert!(sample.own_success, "{sample:?}");
    let asked = server.asked.recv().await.expect("asked once");
    let (head, body) = asked.split_once("\r\n\r\n").expect("a whole request");
    assert!(head.starts_with("PATCH /a%20b?q=1 HTTP/1.1\r\n"), "{asked}");
    for line in [
        "x-token: s3cret",
        "x-token: again",
        "content-type: application/json",
        "authorization: Basic dXNlcjpwYXNz",
        concat!("user-agent: runbook/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|other| other.eq_ignore_ascii_case(line)), "{line} in {asked}");
    }
    assert_eq!(body, r#"{"a":1}"#);

    let own_type = HttpRequest {
        headers: vec![("Content-Type".to_owned(), "text/x".to_owned())],
        body: Some(HttpBody::Bytes(b"raw".to_vec())),
        method: "POST".to_owned(),
        ..HttpRequest::get(server.url("/"))
    };
    assert!(probe(&own_type, TIMEOUT).await.own_success);
    let asked = server.asked.recv().await.expect("asked again");
    assert!(asked.contains("content-type: text/x\r\n") && asked.ends_with("\r\n\r\nraw"), "{asked}");
}

#[tokio::test]
async fn a_redirect_is_followed_only_when_asked() {
    let mut there = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere").await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", there.url("/next"));
    let here = Server::start(redirect).await;
    let stay = probe(&HttpRequest::get(here.url("/")), TIMEOUT).await;
    assert_eq!((stay.values["status"].clone(), stay.own_success), (json!(302), false));
    assert_eq!(stay.values["headers"]["location"], there.url("/next"));
    assert!(there.asked.try_recv().is_err(), "nobody went there");

    // Whether authorities are found on this machine doesn't matter to plain HTTP: any will do.
    let follow = HttpRequest { follow: true, ..HttpRequest::get(here.url("/")) };
    let followed = probe_trusting(&follow, TIMEOUT, &Trust::Anybody).await;
    assert_eq!(followed.values["body"], "there", "{followed:?}");
}

#[tokio::test]
async fn a_redirect_takes_no_secret_to_another_host() {
    let mut there = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere").await;
    let redirect =
        format!("HTTP/1.1 307 Go\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", there.url("/?t=s3cret"));
    let here = Server::start(redirect).await;
    let follow = HttpRequest { follow: true, ..HttpRequest::get(here.url("/")) };
    let header = |name: &str| vec![(name.to_owned(), "s3cret".to_owned())];
    let reason = format!(
        "redirected to another host (127.0.0.1:{}), where the headers or body of the request may not go",
        there.port
    );
    let private = [
        HttpRequest { headers: header("X-Api-Key"), ..follow.clone() },
        HttpRequest {
            body: Some(HttpBody::Bytes(b"s3cret".to_vec())),
            method: "POST".into(),
            ..follow.clone()
        },
    ];
    for request in private {
        assert_eq!(unreached(&probe_trusting(&request, TIMEOUT, &Trust::Anybody).await), reason);
    }
    assert!(there.asked.try_recv().is_err(), "nobody went there");
    let dropped = HttpRequest { headers: header("Authorization"), ..follow };
    let sample = probe_trusting(&dropped, TIMEOUT, &Trust::Anybody).await;
    assert_eq!(sample.values.get("body"), Some(&json!("there")), "{sample:?}");
    let asked = there.asked.recv().await.expect("asked once");
    assert!(!asked.replace("/?t=s3cret", "").contains("s3cret"), "{asked}");
}

#[tokio::test]
async fn redirects_without_end_are_given_up() {
    let server = Server::start("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n").await;
    let request = HttpRequest { follow: true, ..HttpRequest::get(server.url("/")) };
    let sample = probe_trusting(&request, TIMEOUT, &Trust::Anybody).await;
    assert_eq!(unreached(&sample), "more than 10 redirects");
}

#[tokio::test]
async fn a_server_that_is_silent_or_stops_halfway_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let timeout = Duration::from_millis(100);
    let sample = probe(&HttpRequest::get(format!("http://127.0.0.1:{port}/?token=s3cret")), timeout).await;
    assert_eq!(unreached(&sample), "timed out after 100ms");

    let halfway = tokio::spawn(async move {
        let left_in_the_queue = silent.accept().await.expect("the client from before");
        let (mut stream, _) = silent.accept().await.expect("the next one");
        read_request(&mut stream).await.expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.expect("written");
        std::future::pending::<()>().await;
        drop(left_in_the_queue);
    });
    let sample = probe(&HttpRequest::get(format!("http://127.0.0.1:{port}/")), timeout).await;
    assert_eq!(unreached(&sample), "timed out after 100ms");
    halfway.abort();
}

#[tokio::test]
async fn what_is_no_data_has_a_calm_reason_without_secrets() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = closed.local_addr().expect("bound").port();
    drop(closed);
    let cut = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let garbage = Server::start("SSH-2.0-OpenSSH_9.9\r\n").await;
    let mute = Server::start("").await;
    let secret = "user:s3cret@127.0.0.1";
    let table = [
        (format!("http://{secret}:{port}/?t=s3cret"), format!("connection refused (127.0.0.1:{port})")),
        (cut.url("/?t=s3cret"), format!("the answer broke off (127.0.0.1:{})", cut.port)),
        (garbage.url("/?t=s3cret"), format!("no valid answer (127.0.0.1:{})", garbage.port)),
        (mute.url("/?t=s3cret"), format!("no valid answer (127.0.0.1:{})", mute.port)),
        (
            "http://no-such-host.invalid/?t=s3cret".to_owned(),
            "name not resolved (no-such-host.invalid)".to_owned(),
        ),
        ("ftp://u:s3cret@h/".to_owned(), "the URL must begin with http:// or https://".to_owned()),
        ("s3cret".to_owned(), "the URL is not valid: relative URL without a base".to_owned()),
    ];
    for (url, reason) in table {
        let sample = probe(&HttpRequest::get(url), TIMEOUT).await;
        assert_eq!(unreached(&sample), reason);
    }
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let table = [
        (HttpRequest { method: "GE T".into(), ..HttpRequest::get("http://h/") }, "`GE T` is no HTTP method"),
        (
            HttpRequest { headers: header("a b", "x"), ..HttpRequest::get("http://h/") },
            "`a b` is no header name",
        ),
        (
            HttpRequest { headers: header("token", "s3cret\nx"), ..HttpRequest::get("http://h/") },
            "the value of header `token` holds characters that can't be sent",
        ),
    ];
    for (request, reason) in table {
        assert_eq!(unreached(&probe(&request, TIMEOUT).await), reason);
    }
}

#[tokio::test]
async fn a_body_has_a_limit() {
    for (surplus, reason) in [(0, None), (1, Some("the body is larger than 16 MiB"))] {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(answer.len() + BODY_LEN_MAX + surplus, b'x');
        let server = Server::start(answer).await;
        let sample = probe(&HttpRequest::get(server.url("/")), TIMEOUT).await;
        assert_eq!(sample.reached.as_ref().err().map(String::as_str), reason);
    }
}

/// A certificate for `name`, valid until `year`, with a server that has it and the trust that it takes.
async fn tls_server(name: &str, year: i32) -> (Server, Trust) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = parameters.self_signed(&key).expect("signed");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a pair");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure".to_vec();
    let server = Server::start_with(answer, Some(TlsAcceptor::from(Arc::new(config)))).await;
    (server, Trust::Authorities(Arc::new(roots)))
}

#[tokio::test]
async fn certificates_are_checked_unless_told_not_to() {
    let (server, trust) = tls_server("localhost", 4000).await;
    let request = HttpRequest::get(format!("https://localhost:{}/", server.port));
    let trusted = probe_trusting(&request, TIMEOUT, &trust).await;
    assert_eq!(trusted.values.get("body"), Some(&json!("secure")), "{trusted:?}");

    let (_, stranger) = tls_server("localhost", 4000).await;
    let unknown = probe_trusting(&request, TIMEOUT, &stranger).await;
    assert!(unreached(&unknown).starts_with("certificate: "), "{unknown:?}");

    let by_address = HttpRequest::get(format!("https://127.0.0.1:{}/", server.port));
    let other_name = probe_trusting(&by_address, TIMEOUT, &trust).await;
    assert_eq!(unreached(&other_name), "certificate: not valid for this name");

    let insecure = probe(&HttpRequest { insecure: true, ..by_address }, TIMEOUT).await;
    assert_eq!(insecure.values.get("body"), Some(&json!("secure")), "{insecure:?}");

    let (expired, trust) = tls_server("localhost", 2001).await;
    let request = HttpRequest::get(format!("https://localhost:{}/", expired.port));
    assert_eq!(unreached(&probe_trusting(&request, TIMEOUT, &trust).await), "certificate: expired");
}

#[tokio::test]
async fn plain_http_on_a_tls_port_and_the_other_way_round_is_told() {
    let (server, trust) = tls_server("localhost", 4000).await;
    let plain = probe(&HttpRequest::get(format!("http://localhost:{}/", server.port)), TIMEOUT).await;
    assert!(unreached(&plain).ends_with(&format!("(localhost:{})", server.port)), "{plain:?}");

    let server = Server::start("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let request = HttpRequest::get(format!("https://localhost:{}/", server.port));
    // The server waits for the end of a request that never comes; what it then gets is no TLS.
    let timeout = Duration::from_millis(300);
    let sample = probe_trusting(&request, timeout, &trust).await;
    assert!(unreached(&sample).starts_with("timed out"), "{sample:?}");
}
