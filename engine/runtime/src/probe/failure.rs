//! Words for what went wrong on the way: one calm line, without the parts of a URL that may be secret.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

/// `timed out after 10s`.
pub(super) fn timed_out(timeout: Duration) -> String {
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    format!("timed out after {}", runbook_core::duration::Duration::from_millis(millis))
}

/// The reason for an input or output error, `place` being what was talked to: `connection refused (127.0.0.1:1)`.
pub(super) fn of_io(error: &io::Error, place: &str) -> String {
    if let Some(tls) = in_chain::<rustls::Error>(error) {
        return of_tls(tls);
    }
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => lowercase_first(&error.to_string()),
    };
    format!("{what} ({place})")
}

/// `certificate: expired`, or what else failed in the handshake.
pub(super) fn of_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => format!("certificate: {}", of_certificate(reason)),
        rustls::Error::AlertReceived(alert) => format!("tls: the server refused: {alert:?}"),
        other => format!("tls: {}", lowercase_first(&other.to_string())),
    }
}

fn of_certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "not valid for this name".to_owned()
        }
        CertificateError::Revoked => "revoked".to_owned(),
        CertificateError::BadSignature => "bad signature".to_owned(),
        CertificateError::BadEncoding => "not readable".to_owned(),
        other => lowercase_first(&other.to_string()),
    }
}

/// The first error of that type among an error and its sources; an `io::Error` hides its inner one from `source`.
pub(super) fn in_chain<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| in_chain::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn lowercase_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
