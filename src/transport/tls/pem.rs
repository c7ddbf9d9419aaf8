//! PEM files with certificates and keys.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::disk::{self, DiskError};

/// The maximum size of a PEM file, in bytes.
const MAX_PEM: u64 = 8 << 20;

/// Why a file with certificates or keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the certificates of {}: {cause}", path.display())]
pub struct TlsError {
    pub path: PathBuf,
    pub cause: String,
}

impl TlsError {
    pub(super) fn new(path: &Path, cause: &impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }
}

/// Reads a regular file of at most 8 MiB.
pub(super) fn read_pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    disk::read(path, MAX_PEM).map_err(|error| match error {
        DiskError::Io { cause, .. } => TlsError::new(path, &cause),
        DiskError::NotRegular { found, .. } => TlsError::new(path, &format!("it is {found}")),
        other => TlsError::new(path, &other),
    })
}

pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read_pem(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::new(path, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::new(path, &"no PEM certificate in it"));
    }
    Ok(certificates)
}
