//! The certificate authority of this test process, and its certificates.

use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

/// The names that every certificate is valid for, in addition to 127.0.0.1 to 127.0.0.9.
pub const NAMES: [&str; 17] = [
    "localhost",
    "registry.test",
    "auth.test",
    "cdn.test",
    WELL_KNOWN,
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "210987654321.dkr.ecr.eu-west-1.amazonaws.com",
    "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "public.ecr.aws",
    "europe-west1-docker.pkg.dev",
    "gcr.io",
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "team.azurecr.io",
    "registry-1.docker.io",
    "auth.docker.io",
    "identity.docker.com",
];

/// The name of a public registry whose token server clients may know in advance. Tests reach this name through a proxy.
pub const WELL_KNOWN: &str = "ghcr.io";

/// A certificate and its key, in PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS#8).
    pub key: String,
}

/// Returns the authority's certificate in PEM, for a client's trust store.
pub fn ca_pem() -> String {
    authority().pem()
}

/// Returns a trust store with the authority.
pub fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(authority().der().clone())
        .expect("rcgen writes certificates that rustls reads");
    roots
}

/// Returns a client certificate that a server with `client_certificates` accepts.
pub fn client_identity() -> Identity {
    identity_signed_by(authority())
}

/// Returns a client certificate of an authority that the servers do not trust.
pub fn untrusted_identity() -> Identity {
    identity_signed_by(&new_authority("an untrusted authority"))
}

fn identity_signed_by(authority: &CertifiedIssuer<'static, KeyPair>) -> Identity {
    let key = KeyPair::generate().expect("the system has random numbers");
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "polyarch test client");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, authority).expect("valid parameters");
    Identity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// Returns a TLS server with a new certificate that supports these protocols, preferred ones first.
pub fn acceptor(protocols: &[&str], client_certificates: bool) -> TlsAcceptor {
    let key = KeyPair::generate().expect("the system has random numbers");
    let names: Vec<String> = NAMES
        .iter()
        .map(ToString::to_string)
        .chain((1..10).map(|last| format!("127.0.0.{last}")))
        .collect();
    let mut params = CertificateParams::new(names).expect("valid names");
    params
        .distinguished_name
        .push(DnType::CommonName, "polyarch test registry");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params
        .signed_by(&key, authority())
        .expect("valid parameters");

    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3");
    let builder = if client_certificates {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots()), provider).build();
        builder.with_client_cert_verifier(verifier.expect("the authority is a root"))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("the key belongs to the certificate");
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    TlsAcceptor::from(Arc::new(config))
}

fn authority() -> &'static CertifiedIssuer<'static, KeyPair> {
    static AUTHORITY: OnceLock<CertifiedIssuer<'static, KeyPair>> = OnceLock::new();
    AUTHORITY.get_or_init(|| new_authority("polyarch test authority"))
}

fn new_authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("the system has random numbers");
    CertifiedIssuer::self_signed(params, key).expect("valid parameters")
}
