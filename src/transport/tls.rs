//! TLS configuration: bundled roots, roots of the system, and the certificates that the user adds for one registry.

mod host_directory;
mod identities;
mod pem;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::environment::Environment;
use host_directory::HostDirectory;
pub(super) use identities::Identities;
pub use pem::TlsError;
use pem::read_certificates;
use usage::is_for_servers;

/// Trust settings for one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsProfile {
    /// Disables certificate checks.
    pub insecure: bool,
    /// A PEM file with further authorities.
    pub ca_cert: Option<PathBuf>,
    /// Directories with a subdirectory `<host:port>` for each host.
    pub certs_d: Vec<PathBuf>,
    /// `SSL_CERT_FILE`, which replaces the roots of the system.
    pub system_file: Option<PathBuf>,
    /// `SSL_CERT_DIR`, which replaces the roots of the system.
    pub system_dir: Option<PathBuf>,
}

impl TlsProfile {
    /// Creates the settings from the environment, with the certificate directories of Docker and containers.
    pub fn of_environment(environment: &Environment) -> Self {
        let path = |name| environment.var(name).map(PathBuf::from);
        let mut certs_d = vec![
            PathBuf::from("/etc/docker/certs.d"),
            PathBuf::from("/etc/containers/certs.d"),
        ];
        if let Some(home) = environment.home() {
            certs_d.insert(0, home.join(".docker/certs.d"));
            certs_d.insert(1, home.join(".config/containers/certs.d"));
        }
        Self {
            certs_d,
            system_file: path("SSL_CERT_FILE"),
            system_dir: path("SSL_CERT_DIR"),
            ..Self::default()
        }
    }

    /// Returns whether the settings are useful only with TLS. If so, TLS is tried first even on loopback.
    pub fn expects_tls(&self, host: &str) -> bool {
        self.insecure
            || self.ca_cert.is_some()
            || self.names_own_authorities()
            || self.certs_d.iter().any(|dir| dir.join(host).is_dir())
    }

    /// Returns whether `SSL_CERT_FILE` is outside the usual directories of the system's store. Many container images set
    /// it to the system's own file.
    fn names_own_authorities(&self) -> bool {
        let system = [
            "/etc/ssl",
            "/etc/pki",
            "/etc/ca-certificates",
            "/usr",
            "/nix",
        ];
        self.system_file
            .as_ref()
            .is_some_and(|file| !system.iter().any(|directory| file.starts_with(directory)))
    }

    /// Returns the TLS configuration for `host`, which is written as certs.d names it.
    pub(super) fn setup(&self, host: &str) -> Result<TlsSetup, TlsError> {
        let mut warnings = Vec::new();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut extra = Vec::new();
        let mut identities = Vec::new();
        for (variable, path) in [
            ("SSL_CERT_FILE", &self.system_file),
            ("SSL_CERT_DIR", &self.system_dir),
        ] {
            if let Some(path) = path
                && let Err(cause) = check_readable(path)
            {
                warnings.push(format!("{variable} names {}: {cause}", path.display()));
            }
        }
        if let Some(path) = &self.ca_cert {
            extra.extend(read_certificates(path)?);
        }
        for dir in &self.certs_d {
            let found = HostDirectory::read(&dir.join(host), provider.key_provider);
            extra.extend(found.authorities);
            identities.extend(found.identities);
            warnings.extend(found.unusable.iter().map(ToString::to_string));
        }
        let verifier: Arc<dyn ServerCertVerifier> = if self.insecure {
            Arc::new(AcceptAll(Arc::clone(&provider)))
        } else {
            Arc::new(TrustRoots::new(self, extra, Arc::clone(&provider)))
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions of TLS")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let identities = Arc::new(Identities::new(identities));
        let mut config = builder.with_client_cert_resolver(Arc::clone(&identities) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsSetup {
            config,
            identities,
            warnings,
        })
    }
}

/// The TLS configuration for one host.
pub(super) struct TlsSetup {
    pub(super) config: ClientConfig,
    pub(super) identities: Arc<Identities>,
    /// Files that cannot be used.
    pub(super) warnings: Vec<String>,
}

/// Checks that a path of trusted certificates is a regular file or a directory. Reading a device or pipe may never end.
fn check_readable(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_file() || metadata.is_dir() {
        Ok(())
    } else {
        Err("neither a regular file nor a directory".to_owned())
    }
}

/// Trusts the bundled roots and the certificates from the user. The system's store is read only if a certificate's
/// authority is not among them, since reading the store takes longer than the rest of the start.
#[derive(Debug)]
struct TrustRoots {
    first: Arc<WebPkiServerVerifier>,
    system: OnceLock<Option<System>>,
    extra: Vec<CertificateDer<'static>>,
    file: Option<PathBuf>,
    dir: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
}

/// The system's store, or the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
#[derive(Debug)]
struct System {
    verifier: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl TrustRoots {
    fn new(
        profile: &TlsProfile,
        extra: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots.add_parsable_certificates(extra.iter().cloned());
        let first = verifier(roots, &provider).expect("the bundled roots are not empty");
        Self {
            first,
            system: OnceLock::new(),
            extra,
            file: profile.system_file.clone(),
            dir: profile.system_dir.clone(),
            provider,
        }
    }

    fn system(&self) -> Option<&System> {
        self.system
            .get_or_init(|| {
                let is_readable = |path: &&Path| check_readable(path).is_ok();
                let found = if self.file.is_some() || self.dir.is_some() {
                    let file = self.file.as_deref().filter(is_readable);
                    let dir = self.dir.as_deref().filter(is_readable);
                    rustls_native_certs::load_certs_from_paths(file, dir)
                } else {
                    rustls_native_certs::load_native_certs()
                };
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(found.certs.iter().cloned());
                roots.add_parsable_certificates(self.extra.iter().cloned());
                Some(System {
                    verifier: verifier(roots, &self.provider)?,
                    certificates: found.certs,
                })
            })
            .as_ref()
    }

    /// Returns whether the certificate itself is among the trusted ones.
    fn trusts(&self, certificate: &CertificateDer<'_>) -> bool {
        let is_it = |known: &CertificateDer<'_>| known.as_ref() == certificate.as_ref();
        self.extra.iter().any(is_it)
            || self
                .system()
                .is_some_and(|system| system.certificates.iter().any(is_it))
    }
}

/// Returns whether a server's certificate was refused because it is a certificate of an authority.
pub(super) fn is_ca_certificate(error: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(cause)) = error else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .ok()
}

impl ServerCertVerifier for TrustRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |verifier: &Arc<WebPkiServerVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match verify(&self.first) {
            Err(unknown @ rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                self.system()
                    .map_or(Err(unknown), |system| verify(&system.verifier))
            }
            // `openssl req -x509`, which Docker's documentation recommends for private registries, makes a certificate
            // that is its own authority. Docker accepts such a certificate if it is trusted; webpki never does. webpki
            // reports this error only for a certificate that has not expired, so only its usage and the name remain to
            // be checked.
            Err(rustls::Error::InvalidCertificate(error))
                if is_ca_certificate(&error)
                    && self.trusts(end_entity)
                    && is_for_servers(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            decided => decided,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.first.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.first.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.first.supported_verify_schemes()
    }
}

/// Accepts every certificate. Signatures are still checked, to detect a broken connection.
#[derive(Debug)]
struct AcceptAll(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
