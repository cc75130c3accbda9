//! `dns: name`: does it resolve, and to what?

use std::net::IpAddr;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use runbook_core::document::model::DnsType;
use serde_json::Value;

use super::{Sample, dns_records, failure};

/// Resolves `name` as any program on this machine does (its hosts file and name servers); other records than addresses are asked of its name servers:
/// `addresses elapsed`.
///
/// `addresses` are sorted, each once; of other records they are what these say (`10 mail.example.com`). A name without any is no data.
pub async fn probe(name: &str, record: Option<DnsType>, timeout: Duration) -> Sample {
    let begun = Instant::now();
    if let Some(kind) = record.filter(|kind| !matches!(kind, DnsType::A | DnsType::Aaaa)) {
        let servers = dns_records::name_servers();
        return match tokio::time::timeout(timeout, dns_records::look_up(&servers, name, kind)).await {
            Ok(Ok(records)) => success(records, begun),
            Ok(Err(why)) => Sample::unreached(why),
            Err(_) => Sample::unreached(format!("{} ({name})", failure::timed_out(timeout))),
        };
    }
    let found = match tokio::time::timeout(timeout, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => return Sample::unreached(format!("name not resolved ({name})")),
        Err(_) => return Sample::unreached(format!("{} ({name})", failure::timed_out(timeout))),
    };
    let mut addresses: Vec<IpAddr> =
        found.map(|address| address.ip()).filter(|address| takes(record, *address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Sample::unreached(format!("no such address ({name})"));
    }
    success(addresses.iter().map(ToString::to_string).collect(), begun)
}

fn success(addresses: Vec<String>, begun: Instant) -> Sample {
    let elapsed = begun.elapsed().as_secs_f64();
    let addresses = addresses.into_iter().map(Value::from).collect();
    Sample::success(IndexMap::from([
        ("addresses".to_owned(), Value::Array(addresses)),
        ("elapsed".to_owned(), Value::from(elapsed)),
    ]))
}

fn takes(record: Option<DnsType>, address: IpAddr) -> bool {
    match record {
        None => true,
        Some(DnsType::A) => address.is_ipv4(),
        Some(DnsType::Aaaa) => address.is_ipv6(),
        Some(_) => false,
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
            ("127.0.0.1", None, Ok(json!(["127.0.0.1"]))),
            ("::1", Some(DnsType::Aaaa), Ok(json!(["::1"]))),
            ("localhost", Some(DnsType::A), Ok(json!(["127.0.0.1"]))),
            ("127.0.0.1", Some(DnsType::Aaaa), Err("no such address (127.0.0.1)")),
            ("no-such-host.invalid", None, Err("name not resolved (no-such-host.invalid)")),
        ];
        for (name, record, expected) in table {
            let sample = probe(name, record, TIMEOUT).await;
            assert_eq!(sample.reached, expected.clone().map(|_| ()).map_err(str::to_owned), "{name}");
            assert_eq!(sample.values.get("addresses"), expected.as_ref().ok(), "{name}");
            assert_eq!(sample.own_success, expected.is_ok());
        }
    }
}
