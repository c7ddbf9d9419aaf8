//! Tests with self-signed certificates, as `openssl req -x509` makes them. Such a certificate is its own authority.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use super::*;

const NAME: &str = "registry.test";

fn self_signed(until: i32) -> CertificateDer<'static> {
    self_signed_for(until, &[])
}

fn self_signed_for(until: i32, usages: &[ExtendedKeyUsagePurpose]) -> CertificateDer<'static> {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.extended_key_usages = usages.to_vec();
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

pub(super) fn pem(certificate: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let (label, text) = ("CERTIFICATE", STANDARD.encode(certificate));
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Verifies `certificate` of a server at `name` for a client that trusts `trusted`.
fn verify(
    certificate: &CertificateDer<'_>,
    name: &str,
    trusted: &CertificateDer<'static>,
    in_system: bool,
) -> Result<(), rustls::Error> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let profile = TlsProfile {
        system_file: Some(file.clone()),
        ..TlsProfile::default()
    };
    let mut extra = Vec::new();
    if in_system {
        std::fs::write(file, pem(trusted)).unwrap();
    } else {
        extra.push(trusted.clone());
    }
    let roots = TrustRoots::new(
        &profile,
        extra,
        Arc::new(rustls::crypto::ring::default_provider()),
    );
    let name = ServerName::try_from(name.to_owned()).unwrap();
    roots
        .verify_server_cert(certificate, &[], &name, &[], UnixTime::now())
        .map(drop)
}

#[test]
fn self_signed_is_accepted_if_trusted() {
    let certificate = self_signed(2999);
    for in_system in [false, true] {
        verify(&certificate, NAME, &certificate, in_system).unwrap();
    }
}

#[test]
fn self_signed_is_refused_for_another_name() {
    let certificate = self_signed(2999);
    let error = verify(&certificate, "other.test", &certificate, false).unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn self_signed_is_refused_when_expired() {
    let certificate = self_signed(2001);
    let error = verify(&certificate, NAME, &certificate, false).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn self_signed_by_another_key_is_refused() {
    for in_system in [false, true] {
        verify(&self_signed(2999), NAME, &self_signed(2999), in_system).unwrap_err();
    }
}

#[test]
fn usage_of_self_signed_must_allow_servers() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, EmailProtection, ServerAuth};
    for (usages, is_accepted) in [
        (&[ServerAuth][..], true),
        (&[ClientAuth, ServerAuth], true),
        (&[Any], true),
        (&[ClientAuth], false),
        (&[CodeSigning, EmailProtection], false),
    ] {
        let certificate = self_signed_for(2999, usages);
        let outcome = verify(&certificate, NAME, &certificate, false);
        assert_eq!(outcome.is_ok(), is_accepted, "{usages:?} {outcome:?}");
    }
}
