//! `dns: name`: does it resolve, and to what?

use std::net::IpAddr;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::Value;

use super::{Sample, failure};

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// Both (`type:` is not given).
    Any,
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

/// Resolves `name` as any program on this machine does (its hosts file and name servers): `addresses elapsed`.
///
/// `addresses` are sorted, each once. A name without addresses is no data.
pub async fn probe(name: &str, record: RecordType, timeout: Duration) -> Sample {
    let begun = Instant::now();
    let found = match tokio::time::timeout(timeout, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => return Sample::unreached(format!("name not resolved ({name})")),
        Err(_) => return Sample::unreached(format!("{} ({name})", failure::timed_out(timeout))),
    };
    let elapsed = begun.elapsed().as_secs_f64();
    let mut addresses: Vec<IpAddr> =
        found.map(|address| address.ip()).filter(|address| record.takes(*address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Sample::unreached(format!("no such address ({name})"));
    }
    let addresses = addresses.iter().map(|address| Value::from(address.to_string())).collect();
    Sample::success(IndexMap::from([
        ("addresses".to_owned(), Value::Array(addresses)),
        ("elapsed".to_owned(), Value::from(elapsed)),
    ]))
}

impl RecordType {
    fn takes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::A => address.is_ipv4(),
            Self::Aaaa => address.is_ipv6(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn names_are_resolved_to_the_type_asked_for() {
        let table = [
            ("127.0.0.1", RecordType::Any, Ok(json!(["127.0.0.1"]))),
            ("::1", RecordType::Aaaa, Ok(json!(["::1"]))),
            ("localhost", RecordType::A, Ok(json!(["127.0.0.1"]))),
            ("127.0.0.1", RecordType::Aaaa, Err("no such address (127.0.0.1)")),
            ("no-such-host.invalid", RecordType::Any, Err("name not resolved (no-such-host.invalid)")),
        ];
        for (name, record, expected) in table {
            let sample = probe(name, record, TIMEOUT).await;
            assert_eq!(sample.reached, expected.clone().map(|_| ()).map_err(str::to_owned), "{name}");
            assert_eq!(sample.values.get("addresses"), expected.as_ref().ok(), "{name}");
            assert_eq!(sample.own_success, expected.is_ok());
        }
    }
}
