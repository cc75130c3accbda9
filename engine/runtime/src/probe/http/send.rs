//! Sends a request and reads the answer.

use std::io;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

use super::request::{HttpBody, HttpRequest};
use crate::probe::trust::{self, Trust};
use crate::probe::{Sample, failure};

/// A longer answer is no data: what expressions can use is bounded (language.md §7).
pub const BODY_LEN_MAX: usize = 16 * 1024 * 1024;
const REDIRECTS_MAX: usize = 10;

/// Sends `request`: `status headers body json elapsed`. `timeout` bounds it as a whole, name resolution and body included.
///
/// Any answer is data; a status outside 200–299 is no success of its own. `json` is null where the body is none.
pub async fn probe(request: &HttpRequest, timeout: Duration) -> Sample {
    let trust = if request.insecure { Trust::Anybody } else { Trust::System };
    probe_trusting(request, timeout, &trust).await
}

pub(super) async fn probe_trusting(request: &HttpRequest, timeout: Duration, trust: &Trust) -> Sample {
    match tokio::time::timeout(timeout, answer(request, trust)).await {
        Ok(Ok(sample)) => sample,
        Ok(Err(reason)) => Sample::unreached(reason),
        Err(_) => Sample::unreached(failure::timed_out(timeout)),
    }
}

async fn answer(request: &HttpRequest, trust: &Trust) -> Result<Sample, String> {
    let url = parse_url(&request.url)?;
    let place = place_of(&url);
    let client = client(request, &url, trust).await?;
    let built = build(request, &client, url)?;
    let begun = Instant::now();
    let mut response = client.execute(built).await.map_err(|error| reason_of(&error, &place))?;
    let body = read_body(&mut response, &place).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let status = response.status();
    let values = IndexMap::from([
        ("status".to_owned(), Value::from(status.as_u16())),
        ("headers".to_owned(), headers_of(response.headers())),
        ("body".to_owned(), Value::String(String::from_utf8_lossy(&body).into_owned())),
        ("json".to_owned(), serde_json::from_slice(&body).unwrap_or(Value::Null)),
        ("elapsed".to_owned(), Value::from(elapsed)),
    ]);
    Ok(if status.is_success() {
        Sample::success(values)
    } else {
        Sample::shortfall(values, format!("status {}", status.as_u16()))
    })
}

/// The URL itself may be a secret, so no message repeats it.
fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the URL is not valid: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("the URL must begin with http:// or https://".to_owned()),
    }
}

/// Host and port, which is all of a URL that is told to people.
fn place_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A client for this one request: a connection kept open would tell nothing about the next one.
async fn client(request: &HttpRequest, url: &Url, trust: &Trust) -> Result<Client, String> {
    let redirects = if request.follow { redirects(request) } else { Policy::none() };
    // Without TLS in sight no authorities are read from the disk.
    let trust = if url.scheme() == "https" || request.follow { trust.clone() } else { Trust::Anybody };
    let reading = tokio::task::spawn_blocking(move || trust::client(&trust));
    let mut tls =
        reading.await.map_err(|_| "tls: the certificate authorities could not be read".to_owned())??;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .no_proxy()
        .redirect(redirects)
        .referer(false)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("runbook/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|_| "the HTTP client could not be set up".to_owned())
}

/// Follows, but takes what may be a secret nowhere that the author didn't name: reqwest drops `authorization` and `cookie` on the way
/// to another host, and keeps every other header and the body.
fn redirects(request: &HttpRequest) -> Policy {
    let dropped = ["authorization", "cookie", "accept", "content-type", "user-agent"];
    let only_dropped =
        |(name, _): &(String, String)| dropped.iter().any(|other| name.eq_ignore_ascii_case(other));
    let is_private = request.body.is_some() || !request.headers.iter().all(only_dropped);
    Policy::custom(move |attempt| {
        let from = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error(Astray::TooFar)
        } else if is_private && from != Some(attempt.url().origin()) {
            let place = place_of(attempt.url());
            attempt.error(Astray::Elsewhere(place))
        } else {
            attempt.follow()
        }
    })
}

/// A redirect that isn't followed.
#[derive(Debug, thiserror::Error)]
enum Astray {
    #[error("more than {REDIRECTS_MAX} redirects")]
    TooFar,
    #[error("redirected to another host ({0}), where the headers or body of the request may not go")]
    Elsewhere(String),
}

fn build(request: &HttpRequest, client: &Client, url: Url) -> Result<reqwest::Request, String> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| format!("`{}` is no HTTP method", request.method))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of header `{name}` holds characters that can't be sent"))?;
        // Keeps it out of debugging output of the libraries below.
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    let mut builder = client.request(method, url);
    if let Some(body) = &request.body {
        let bytes = match body {
            HttpBody::Bytes(bytes) => bytes.clone(),
            HttpBody::Json(value) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                value.to_string().into_bytes()
            }
        };
        builder = builder.body(bytes);
    }
    builder.headers(headers).build().map_err(|_| "the request is not valid".to_owned())
}

async fn read_body(response: &mut Response, place: &str) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| reason_of(&error, place))? {
        if body.len() + piece.len() > BODY_LEN_MAX {
            return Err(format!("the body is larger than {} MiB", BODY_LEN_MAX / (1024 * 1024)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Names are lower case already; what is there several times is joined, as HTTP defines it.
fn headers_of(headers: &HeaderMap) -> Value {
    let mut joined = serde_json::Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        joined.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
    }
    Value::Object(joined)
}

/// One line that never holds the URL: reqwest's own messages do.
fn reason_of(error: &reqwest::Error, place: &str) -> String {
    if let Some(astray) = failure::in_chain::<Astray>(error) {
        return astray.to_string();
    }
    if let Some(tls) = failure::in_chain::<rustls::Error>(error) {
        return failure::of_tls(tls);
    }
    if error.is_connect() && chain_mentions(error, "dns error") {
        return format!("name not resolved ({})", place.rsplit_once(':').map_or(place, |(host, _)| host));
    }
    if error.is_body() || error.is_decode() {
        return format!("the answer broke off ({place})");
    }
    if let Some(io) = failure::in_chain::<io::Error>(error) {
        return failure::of_io(io, place);
    }
    let what = if error.is_connect() { "can't connect" } else { "no valid answer" };
    format!("{what} ({place})")
}

/// The resolver's error has no type of its own that could be asked for.
fn chain_mentions(error: &dyn std::error::Error, words: &str) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(words) {
            return true;
        }
        next = error.source();
    }
    false
}
