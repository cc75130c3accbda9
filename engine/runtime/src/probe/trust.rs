//! Which certificates are believed: those of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name in its place.

use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::failure;

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

/// What a client needs to speak TLS, or why it can't. May read files.
pub(super) fn client(trust: &Trust) -> Result<ClientConfig, String> {
    match judge(trust)? {
        Some(judge) => Ok(builder()?.with_webpki_verifier(judge).with_no_client_auth()),
        None => with_verifier(Arc::new(AnyCertificate(Arc::clone(&PROVIDER)))),
    }
}

/// A client that talks to anybody, and remembers whom it met and whether they are to be believed. May read files.
pub(super) fn observing_client(trust: &Trust) -> Result<(ClientConfig, Arc<Observer>), String> {
    let anybody = AnyCertificate(Arc::clone(&PROVIDER));
    let observer = Arc::new(Observer { judge: judge(trust), anybody, met: OnceLock::new() });
    let config = with_verifier(Arc::<Observer>::clone(&observer))?;
    Ok((config, observer))
}

fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, String> {
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Who tells good certificates from bad ones; nobody where anybody is believed.
fn judge(trust: &Trust) -> Result<Option<Arc<WebPkiServerVerifier>>, String> {
    let roots = match trust {
        Trust::System => Arc::clone(&SYSTEM),
        Trust::Authorities(roots) => Arc::clone(roots),
        Trust::Anybody => return Ok(None),
    };
    if roots.is_empty() {
        let reason = "certificate: no certificate authorities found (set SSL_CERT_FILE to a file of them)";
        return Err(reason.to_owned());
    }
    let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER)).build();
    built.map(Some).map_err(|error| format!("certificate: {error}"))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))
}

/// Lets the handshake go on whatever is shown, so that a bad certificate can be described.
#[derive(Debug)]
pub(super) struct Observer {
    judge: Result<Option<Arc<WebPkiServerVerifier>>, String>,
    anybody: AnyCertificate,
    met: OnceLock<Met>,
}

/// The certificate that a server showed.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) certificate: CertificateDer<'static>,
    /// Why it is not to be believed.
    pub(super) judgement: Result<(), String>,
}

impl Observer {
    pub(super) fn met(&self) -> Option<&Met> {
        self.met.get()
    }
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judgement = match &self.judge {
            Ok(None) => Ok(()),
            Ok(Some(judge)) => judge
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map(|_| ())
                .map_err(|error| failure::of_tls(&error)),
            Err(reason) => Err(reason.clone()),
        };
        let met = Met { certificate: end_entity.clone().into_owned(), judgement };
        // One client makes one connection: there is nothing to overwrite.
        let _ = self.met.set(met);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.anybody.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.anybody.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.anybody.supported_verify_schemes()
    }
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
