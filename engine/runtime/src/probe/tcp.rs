//! `tcp: host:port`: does anybody listen?

use std::io;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Sample, failure};

/// Opens a connection to `address` (`host:port`, `[::1]:80`) and closes it again: `open elapsed`.
///
/// That nobody listens is data (`open` is false) with the reason beside it; a name that can't be resolved is none, lest
/// `not open` pass because a name server is down.
pub async fn probe(address: &str, timeout: Duration) -> Sample {
    let Some(host) = host_of(address) else {
        return Sample::unreached(format!("`{address}` is not host:port"));
    };
    let begun = Instant::now();
    let tried = tokio::time::timeout(timeout, connect(address, host)).await;
    let values = |open: bool| {
        let elapsed = Value::from(begun.elapsed().as_secs_f64());
        IndexMap::from([("open".to_owned(), Value::Bool(open)), ("elapsed".to_owned(), elapsed)])
    };
    match tried {
        Ok(Ok(())) => Sample::success(values(true)),
        Ok(Err(NotOpen::Closed(reason))) => Sample::shortfall(values(false), reason),
        Ok(Err(NotOpen::Unknown(reason))) => Sample::unreached(reason),
        Err(_) => Sample::shortfall(values(false), format!("{} ({address})", failure::timed_out(timeout))),
    }
}

enum NotOpen {
    Closed(String),
    Unknown(String),
}

/// Tries every address of the name, as any client does.
async fn connect(address: &str, host: &str) -> Result<(), NotOpen> {
    let found = tokio::net::lookup_host(address).await;
    let addresses = found.map_err(|_| NotOpen::Unknown(format!("name not resolved ({host})")))?;
    let mut last = NotOpen::Unknown(format!("name not resolved ({host})"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) => last = classify(&error, &address.to_string()),
        }
    }
    Err(last)
}

fn classify(error: &io::Error, address: &str) -> NotOpen {
    let reason = failure::of_io(error, address);
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => NotOpen::Closed(reason),
        // Our own limits (no more descriptors) say nothing about the other side.
        _ => NotOpen::Unknown(reason),
    }
}

/// The host of `host:port`, where it is one.
pub(super) fn host_of(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_listening_port_is_open() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                assert!(address.contains("::1"), "only a machine without IPv6 may refuse");
                continue;
            };
            let sample = probe(&listener.local_addr().expect("bound").to_string(), TIMEOUT).await;
            assert!(sample.own_success && sample.reached.is_ok() && sample.reason.is_none(), "{sample:?}");
            assert_eq!(sample.values["open"], true);
            assert!(sample.values["elapsed"].as_f64().is_some_and(|seconds| seconds >= 0.0));
            assert_eq!(sample.values.len(), 2);
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_data_with_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let sample = probe(&address, TIMEOUT).await;
        assert_eq!((sample.reached.clone(), sample.own_success), (Ok(()), false));
        assert_eq!(sample.values["open"], false);
        assert_eq!(sample.reason, Some(format!("connection refused ({address})")));
    }

    #[tokio::test]
    async fn what_is_no_address_or_has_none_is_no_data() {
        let table = [
            ("example", "`example` is not host:port"),
            ("::1:80", "`::1:80` is not host:port"),
            ("host:99999", "`host:99999` is not host:port"),
            (":80", "`:80` is not host:port"),
            ("no-such-host.invalid:80", "name not resolved (no-such-host.invalid)"),
        ];
        for (address, reason) in table {
            let sample = probe(address, TIMEOUT).await;
            assert_eq!((sample.reached, sample.own_success), (Err(reason.to_owned()), false), "{address}");
            assert!(sample.values.is_empty());
        }
    }
}
