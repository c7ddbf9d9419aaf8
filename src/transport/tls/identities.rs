//! Selects the client certificate for a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// The client certificates of one host in certs.d.
#[derive(Debug)]
pub(in crate::transport) struct Identities {
    all: Vec<Arc<CertifiedKey>>,
    were_requested: AtomicBool,
}

impl Identities {
    pub(super) fn new(all: Vec<Arc<CertifiedKey>>) -> Self {
        Self {
            all,
            were_requested: AtomicBool::new(false),
        }
    }

    /// Returns whether the host has requested a client certificate. Such a host may refuse connections without one.
    pub(in crate::transport) fn were_requested(&self) -> bool {
        self.were_requested.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Identities {
    /// Selects the first certificate that an authority of the server has signed. The server may name only some
    /// authorities or none; in this case, selects the first certificate with a key type that the server supports.
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.were_requested.store(true, Ordering::Relaxed);
        let mut usable = self
            .all
            .iter()
            .filter(|identity| identity.key.choose_scheme(sigschemes).is_some());
        usable
            .clone()
            .find(|identity| {
                root_hint_subjects
                    .iter()
                    .any(|authority| names(identity, authority))
            })
            .or_else(|| usable.next())
            .cloned()
    }

    fn has_certs(&self) -> bool {
        !self.all.is_empty()
    }
}

/// Returns whether the DER name of `authority` occurs in a certificate of the chain, as issuer or subject. A search in
/// the bytes is sufficient, since the server checks the certificate.
fn names(identity: &CertifiedKey, authority: &[u8]) -> bool {
    !authority.is_empty()
        && identity.cert.iter().any(|certificate| {
            certificate
                .windows(authority.len())
                .any(|window| window == authority)
        })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, PKCS_ED25519};
    use rustls::RootCertStore;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    const SCHEMES: &[SignatureScheme] = &[
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ED25519,
    ];

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn signed_by(authority: &Authority, key: &KeyPair) -> Arc<CertifiedKey> {
        let certificate = CertificateParams::default().signed_by(key, authority);
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
        Arc::new(CertifiedKey::new(
            vec![certificate.unwrap().der().clone()],
            key,
        ))
    }

    /// Returns the index of the certificate for a server that accepts the authorities `hints`.
    fn chosen(
        identities: &[Arc<CertifiedKey>],
        hints: &[&Authority],
        schemes: &[SignatureScheme],
    ) -> Option<usize> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(hints.iter().map(|hint| hint.der().clone()));
        let subjects = roots.subjects();
        let subjects: Vec<&[u8]> = subjects.iter().map(AsRef::as_ref).collect();
        let found = Identities::new(identities.to_vec()).resolve(&subjects, schemes)?;
        identities
            .iter()
            .position(|known| Arc::ptr_eq(known, &found))
    }

    #[test]
    fn authorities_decide_before_the_order() {
        let [one, two, three] = ["one", "two", "three"].map(authority);
        let key = KeyPair::generate().unwrap();
        let both = [signed_by(&one, &key), signed_by(&two, &key)];
        assert_eq!(chosen(&both, &[&one], SCHEMES), Some(0));
        assert_eq!(chosen(&both, &[&two], SCHEMES), Some(1));
        assert_eq!(chosen(&both, &[&three, &two], SCHEMES), Some(1));
        assert_eq!(chosen(&both, &[&three], SCHEMES), Some(0));
        assert_eq!(chosen(&both, &[], SCHEMES), Some(0));
    }

    #[test]
    fn an_unsupported_key_type_is_not_selected() {
        let one = authority("one");
        let odd = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let both = [
            signed_by(&one, &odd),
            signed_by(&one, &KeyPair::generate().unwrap()),
        ];
        assert_eq!(chosen(&both, &[&one], SCHEMES), Some(0));
        assert_eq!(chosen(&both, &[&one], &SCHEMES[..1]), Some(1));
        assert_eq!(chosen(&both[..1], &[&one], &SCHEMES[..1]), None);
    }
}
