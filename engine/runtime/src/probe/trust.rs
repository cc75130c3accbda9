//! Which certificates are believed: those of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name in its place.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whom to believe.
#[derive(Clone)]
pub(super) enum Trust {
    /// The system's authorities. Reading them takes some ten milliseconds, so it is done once, when first needed.
    System,
    /// Anybody: `insecure: true`.
    Anybody,
    /// These authorities.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test trusts the certificate that it has made"))]
    Authorities(Arc<RootCertStore>),
}

static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "can't read a certificate authority");
    }
    let mut roots = RootCertStore::empty();
    // A broken one among hundreds is common, and makes none of the others worse.
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// What a client needs to speak TLS, or why it can't.
pub(super) fn client(trust: &Trust) -> Result<ClientConfig, String> {
    let roots = match trust {
        Trust::System => Arc::clone(&SYSTEM),
        Trust::Authorities(roots) => Arc::clone(roots),
        Trust::Anybody => {
            let verifier = Arc::new(AnyCertificate(Arc::clone(&PROVIDER)));
            return Ok(builder()?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth());
        }
    };
    if roots.is_empty() {
        return Err(
            "certificate: no certificate authorities found (set SSL_CERT_FILE to a file of them)".to_owned()
        );
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))
}

/// Believes any certificate, and still makes sure that the server has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
