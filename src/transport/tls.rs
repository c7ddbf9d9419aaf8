//! Who is trusted: the bundled roots, those of the system, and what the user adds for one registry.

mod host_directory;
mod identities;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::environment::Environment;
use host_directory::HostDirectory;
pub(super) use identities::Identities;
use usage::is_for_servers;

/// The most that a certificate file may hold, in bytes.
const MAX_PEM: u64 = 8 << 20;

/// How one registry is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsProfile {
    /// No certificate check at all (`--insecure`).
    pub insecure: bool,
    /// A further authority (`--ca-cert`).
    pub ca_cert: Option<PathBuf>,
    /// Where certs.d directories stand; `<dir>/<host:port>/` is looked at.
    pub certs_d: Vec<PathBuf>,
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`: in place of the system's store.
    pub system_file: Option<PathBuf>,
    /// See `system_file`.
    pub system_dir: Option<PathBuf>,
}

/// A file that was named and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the certificates of {}: {cause}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub cause: String,
}

impl TlsProfile {
    /// What the environment says of trust, with Docker's and containers' directories of certificates.
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

    /// Whether the user said something that only makes sense for a registry with TLS: then a registry on
    /// loopback is spoken to over TLS first.
    pub fn expects_tls(&self, host: &str) -> bool {
        self.insecure
            || self.ca_cert.is_some()
            || self.names_own_authorities()
            || self.certs_d.iter().any(|dir| dir.join(host).is_dir())
    }

    /// Whether `SSL_CERT_FILE` names something other than a usual place of the system's own store, which many
    /// images set it to.
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
            .is_some_and(|file| !system.iter().any(|place| file.starts_with(place)))
    }

    /// What it takes to speak to `host`.
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
                && let Err(error) = std::fs::metadata(path)
            {
                warnings.push(format!("{variable} names {}: {error}", path.display()));
            }
        }
        if let Some(path) = &self.ca_cert {
            extra.extend(read_certificates(path)?);
        }
        for dir in &self.certs_d {
            let found = HostDirectory::read(&dir.join(host), provider.key_provider);
            extra.extend(found.authorities);
            identities.extend(found.identities);
            warnings.extend(found.passed_over.iter().map(ToString::to_string));
        }
        let verifier: Arc<dyn ServerCertVerifier> = if self.insecure {
            Arc::new(TrustAnyone(Arc::clone(&provider)))
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

/// How one host is spoken to over TLS.
pub(super) struct TlsSetup {
    pub(super) config: ClientConfig,
    /// Who we are there.
    pub(super) identities: Arc<Identities>,
    /// Files that were passed over.
    pub(super) warnings: Vec<String>,
}

fn read_pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |cause: String| TlsError {
        path: path.to_owned(),
        cause,
    };
    let size = std::fs::metadata(path)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > MAX_PEM {
        return Err(failed(format!("larger than {MAX_PEM} bytes")));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |cause: String| TlsError {
        path: path.to_owned(),
        cause,
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read_pem(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("no PEM certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Trusts the bundled roots and what the user named; the system's store is read only when those do not
/// know the authority, since reading it costs more than all the rest of a start.
#[derive(Debug)]
struct TrustRoots {
    first: Arc<WebPkiServerVerifier>,
    system: OnceLock<Option<System>>,
    extra: Vec<CertificateDer<'static>>,
    file: Option<PathBuf>,
    dir: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
}

/// The system's store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name in its place.
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
                let (file, dir) = (self.file.as_deref(), self.dir.as_deref());
                let found = if file.is_some() || dir.is_some() {
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

    /// Whether this very certificate is among those that are trusted.
    fn knows(&self, certificate: &CertificateDer<'_>) -> bool {
        let is_it = |known: &CertificateDer<'_>| known.as_ref() == certificate.as_ref();
        self.extra.iter().any(is_it)
            || self
                .system()
                .is_some_and(|system| system.certificates.iter().any(is_it))
    }
}

fn is_own_authority(error: &CertificateError) -> bool {
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
        let ask = |verifier: &Arc<WebPkiServerVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match ask(&self.first) {
            Err(unknown @ rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                self.system()
                    .map_or(Err(unknown), |system| ask(&system.verifier))
            }
            // `openssl req -x509`, which Docker's documentation has for a registry of one's own, makes a
            // certificate that is its own authority. Docker takes it where it is trusted itself; webpki never
            // does, but says so only of one that is not expired. What is left to check is its use and the name.
            Err(rustls::Error::InvalidCertificate(error))
                if is_own_authority(&error)
                    && self.knows(end_entity)
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

/// `--insecure`: whoever answers is believed. Signatures are still checked, so that a broken connection is
/// noticed as one.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
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
