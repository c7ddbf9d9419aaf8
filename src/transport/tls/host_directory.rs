//! A directory `certs.d/<host:port>/`: `*.crt` are authorities, `*.cert` with `*.key` are client certificates
//! (<https://docs.docker.com/engine/security/certificates/>). A file that cannot be used does not affect the others.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::KeyProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};

use super::pem::{TlsError, read_certificates, read_pem};

/// The files of one directory.
#[derive(Default)]
pub(super) struct HostDirectory {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Client certificates, in the order of the files' names.
    pub(super) identities: Vec<Arc<CertifiedKey>>,
    /// Files that cannot be used.
    pub(super) unusable: Vec<TlsError>,
}

impl HostDirectory {
    /// Reads `dir`; empty if there is no such directory.
    pub(super) fn read(dir: &Path, keys: &dyn KeyProvider) -> Self {
        let mut found = Self::default();
        for path in found.paths(dir) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => match read_certificates(&path) {
                    Ok(certificates) => found.authorities.extend(certificates),
                    Err(error) => found.unusable.push(error),
                },
                Some("cert") => match read_identity(&path, keys) {
                    Ok(identity) => found.identities.push(Arc::new(identity)),
                    Err(error) => found.unusable.push(error),
                },
                _ => {}
            }
        }
        found
    }

    fn paths(&mut self, dir: &Path) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.unusable.push(TlsError::new(dir, &error));
                return Vec::new();
            }
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.unusable.push(TlsError::new(dir, &error)),
            }
        }
        paths.sort();
        paths
    }
}

/// Reads a certificate and the key of the same name. The certificate is not parsed, since only the server must accept
/// it. rustls parses only version 3, but `openssl x509 -req` makes version 1 by default.
fn read_identity(path: &Path, keys: &dyn KeyProvider) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(path)?;
    let key = read_key(&path.with_extension("key"), keys)?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Err(error @ Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::new(path, &error))
        }
        _ => Ok(identity),
    }
}

fn read_key(path: &Path, keys: &dyn KeyProvider) -> Result<Arc<dyn SigningKey>, TlsError> {
    let key = PrivateKeyDer::from_pem_slice(&read_pem(path)?)
        .map_err(|error| TlsError::new(path, &error))?;
    keys.load_private_key(key)
        .map_err(|error| TlsError::new(path, &error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn of(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, content) in files {
                std::fs::write(dir.path().join(name), content).unwrap();
            }
            Self(dir)
        }

        fn read(&self) -> HostDirectory {
            let provider = rustls::crypto::ring::default_provider();
            HostDirectory::read(self.0.path(), provider.key_provider)
        }
    }

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn names(found: &HostDirectory) -> Vec<String> {
        let name = |error: &TlsError| error.path.file_name()?.to_str().map(ToOwned::to_owned);
        found.unusable.iter().filter_map(name).collect()
    }

    #[test]
    fn an_unusable_file_does_not_affect_the_others() {
        let (certificate, key) = pair();
        let (_, other_key) = pair();
        let found = Dir::of(&[
            ("a.cert", &certificate),
            ("a.crt", "no certificate"),
            ("b.cert", &certificate),
            ("b.key", "no key"),
            ("c.cert", &certificate),
            ("c.key", &other_key),
            ("ca.crt", &certificate),
            ("client.cert", &certificate),
            ("client.key", &key),
            ("zz.crt", ""),
        ])
        .read();
        assert_eq!(found.authorities.len(), 1);
        assert_eq!(found.identities.len(), 1);
        assert_eq!(
            names(&found),
            ["a.key", "a.crt", "b.key", "c.cert", "zz.crt"]
        );
    }

    #[test]
    fn a_certificate_of_version_1_is_used() {
        let (certificate, key) = pair();
        let mut der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .unwrap()
            .to_vec();
        let version = [0xa0, 3, 2, 1, 2];
        let at = der.windows(5).position(|part| part == version).unwrap();
        der[at + 4] = 0;
        let old = crate::transport::tls::tests::pem(&der);
        let found = Dir::of(&[("client.cert", &old), ("client.key", &key)]).read();
        assert_eq!(found.unusable, []);
        assert_eq!(found.identities.len(), 1);
    }

    #[test]
    fn a_missing_directory_is_fine_and_a_file_is_not() {
        let dir = Dir::of(&[("host", "")]);
        let provider = rustls::crypto::ring::default_provider();
        let read = |name| HostDirectory::read(&dir.0.path().join(name), provider.key_provider);
        assert_eq!(read("nowhere").unusable, []);
        assert_eq!(read("host").unusable.len(), 1);
    }
}
