//! `tls: host:port`: which certificate is shown, and how long it lasts.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

use super::tcp::host_of;
use super::trust::{self, Met, Trust};
use super::{Sample, failure};

const DAY_SECONDS: i64 = 86_400;

/// Shakes hands with `address` (`host:port`) and looks at its certificate: `days_left subject issuer not_after valid`.
///
/// `valid` means what a client would say: in time, for this name, from a known authority; if not, the rest is data all the same.
/// `days_left` are whole days, rounded down: negative once it has expired.
pub async fn probe(address: &str, timeout: Duration) -> Sample {
    probe_trusting(address, timeout, Trust::System).await
}

async fn probe_trusting(address: &str, timeout: Duration, trust: Trust) -> Sample {
    let seen = tokio::time::timeout(timeout, look(address, trust)).await;
    let seen = seen.unwrap_or_else(|_| Err(format!("{} ({address})", failure::timed_out(timeout))));
    seen.unwrap_or_else(Sample::unreached)
}

async fn look(address: &str, trust: Trust) -> Result<Sample, String> {
    let host = host_of(address).ok_or_else(|| format!("`{address}` is not host:port"))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no host name"))?;
    let setting_up = tokio::task::spawn_blocking(move || trust::observing_client(&trust));
    let (config, observer) =
        setting_up.await.map_err(|_| "tls: the certificate authorities could not be read".to_owned())??;
    let found: Vec<_> =
        tokio::net::lookup_host(address).await.map_err(|_| format!("name not resolved ({host})"))?.collect();
    let stream = TcpStream::connect(&found[..]).await.map_err(|error| failure::of_io(&error, address))?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    // A server that then asks for a certificate of ours has shown its own before.
    match (observer.met(), shaken) {
        (Some(met), _) => describe(met, Timestamp::now()),
        (None, Err(error)) => Err(failure::of_io(&error, address)),
        (None, Ok(_)) => Err(format!("no certificate was shown ({address})")),
    }
}

fn describe(met: &Met, now: Timestamp) -> Result<Sample, String> {
    let (_, certificate) =
        X509Certificate::from_der(&met.certificate).map_err(|_| "certificate: not readable".to_owned())?;
    let not_after = certificate.validity().not_after.timestamp();
    let days_left = (not_after - now.as_second()).div_euclid(DAY_SECONDS);
    let written =
        Timestamp::from_second(not_after).map_err(|_| "certificate: its end is no date".to_owned())?;
    let values = IndexMap::from([
        ("days_left".to_owned(), Value::from(days_left)),
        ("subject".to_owned(), Value::from(distinguished_name(certificate.subject()))),
        ("issuer".to_owned(), Value::from(distinguished_name(certificate.issuer()))),
        ("not_after".to_owned(), Value::from(written.to_string())),
        ("valid".to_owned(), Value::from(met.judgement.is_ok())),
    ]);
    Ok(match &met.judgement {
        Ok(()) => Sample::success(values),
        Err(reason) => Sample::shortfall(values, reason.clone()),
    })
}

/// RFC 4514: the last part first, joined by commas; `CN=example.com,O=Example`.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| {
        let pairs = part.iter().map(|pair| {
            let kind = pair.attr_type().to_id_string();
            match (short_name(&kind), pair.as_str()) {
                (Some(short), Ok(text)) => format!("{short}={}", escaped(text)),
                _ => format!("{kind}=#{}", hex(pair.attr_value())),
            }
        });
        pairs.collect::<Vec<_>>().join("+")
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

/// The table of RFC 4514, section 3; any other type is written by its number.
fn short_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        _ => return None,
    })
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            '\0' => out.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', character]),
            ' ' if index == 0 || index == last => out.push_str("\\ "),
            '#' if index == 0 => out.push_str("\\#"),
            _ => out.push(character),
        }
    }
    out
}

/// The value as it is encoded: tag, length, contents.
fn hex(value: &Any<'_>) -> String {
    let mut encoded = vec![u8::try_from(value.header.tag().0).unwrap_or_default()];
    match u8::try_from(value.data.len()) {
        Ok(short @ 0..=127) => encoded.push(short),
        _ => {
            let length = value.data.len().to_be_bytes();
            let length = &length[length.iter().take_while(|&&byte| byte == 0).count()..];
            encoded.push(0x80 | u8::try_from(length.len()).expect("a length has at most eight bytes"));
            encoded.extend_from_slice(length);
        }
    }
    let mut out = String::new();
    for byte in encoded.iter().chain(value.data) {
        write!(out, "{byte:02x}").expect("writing to a string never fails");
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use rustls::RootCertStore;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A server for one handshake with such a certificate, and the trust that it takes.
    async fn server(years: [i32; 2], names: &[(DnType, &str)]) -> (u16, Trust) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        parameters.not_before = rcgen::date_time_ymd(years[0], 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years[1], 1, 1);
        parameters.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            parameters.distinguished_name.push(kind.clone(), *value);
        }
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config.clone())).accept(stream).await {
                    let _ = stream.read(&mut [0; 1]).await;
                }
            }
        });
        (port, Trust::Authorities(Arc::new(roots)))
    }

    #[tokio::test]
    async fn a_certificate_is_described() {
        let names = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, " Zetra, \"GmbH\" "),
            (DnType::CommonName, "#localhost"),
            (DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "ops"),
        ];
        let (port, trust) = server([2000, 4000], &names).await;
        let sample = probe_trusting(&format!("localhost:{port}"), TIMEOUT, trust).await;
        assert!(sample.own_success && sample.reason.is_none(), "{sample:?}");
        assert_eq!(sample.values["valid"], true);
        assert_eq!(sample.values["not_after"], "4000-01-01T00:00:00Z");
        assert!(sample.values["days_left"].as_i64().is_some_and(|days| days > 600_000), "{sample:?}");
        let subject = r##"1.2.840.113549.1.9.1=#0c036f7073,CN=\#localhost,O=\ Zetra\, \"GmbH\"\ ,C=DE"##;
        assert_eq!(sample.values["subject"], subject);
        assert_eq!(sample.values["issuer"], subject);
        assert_eq!(
            sample.values.keys().collect::<Vec<_>>(),
            ["days_left", "subject", "issuer", "not_after", "valid"]
        );
    }

    #[tokio::test]
    async fn a_certificate_that_no_client_believes_is_data_with_the_reason() {
        let names = [(DnType::CommonName, "x")];
        let (expired, its_trust) = server([2000, 2001], &names).await;
        let (fresh, fresh_trust) = server([2000, 4000], &names).await;
        let empty = Trust::Authorities(Arc::new(RootCertStore::empty()));
        let table = [
            (format!("localhost:{expired}"), its_trust, "certificate: expired"),
            (format!("127.0.0.1:{fresh}"), fresh_trust, "certificate: not valid for this name"),
            (
                format!("localhost:{fresh}"),
                empty,
                "certificate: no certificate authorities found (set SSL_CERT_FILE to a file of them)",
            ),
        ];
        for (address, trust, reason) in table {
            let sample = probe_trusting(&address, TIMEOUT, trust).await;
            assert_eq!((sample.reached.clone(), sample.own_success), (Ok(()), false));
            assert_eq!(sample.reason.as_deref(), Some(reason));
            assert_eq!(sample.values["valid"], false);
            let days = sample.values["days_left"].as_i64().expect("a number");
            assert_eq!(days < 0, address.ends_with(&format!(":{expired}")), "{days}");
        }
    }

    #[tokio::test]
    async fn what_speaks_no_tls_is_no_data() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let plain = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.9\r\n").await;
                let _ = stream.read(&mut [0; 1]).await;
            }
        });
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = closed.local_addr().expect("bound").port();
        drop(closed);
        let table = [
            (format!("127.0.0.1:{port}"), format!("connection refused (127.0.0.1:{port})")),
            ("localhost".to_owned(), "`localhost` is not host:port".to_owned()),
        ];
        for (address, reason) in table {
            let sample = probe_trusting(&address, TIMEOUT, Trust::Anybody).await;
            assert_eq!(sample.reached, Err(reason));
        }
        let sample = probe_trusting(&format!("127.0.0.1:{plain}"), TIMEOUT, Trust::Anybody).await;
        assert!(sample.reached.as_ref().is_err_and(|reason| reason.starts_with("tls: ")), "{sample:?}");
    }

    #[test]
    fn long_values_of_unknown_types_are_written_with_their_length() {
        let long = [b'x'; 300];
        let any = Any::from_tag_and_data(x509_parser::asn1_rs::Tag::Utf8String, &long[..]);
        assert!(hex(&any).starts_with("0c82012c7878"), "{}", hex(&any));
    }
}
