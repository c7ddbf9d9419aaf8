//! certs.d: authorities and client certificates for one registry.

use polyarch::store::{Store as _, StoreError};

use super::fixture::{Builder, Client, soon, tag};
use super::without_directories;
use crate::support::{
    image::Image,
    registry::{Registry, Scheme, tls},
};

/// Returns a registry that requires a client certificate.
pub(super) async fn guarded(scheme: Scheme) -> Registry {
    let registry = Registry::builder().scheme(scheme).client_certificates();
    let registry = registry.start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    registry
}

/// Returns a client that has these files for the registry.
pub(super) fn client(registry: &Registry, files: &[(&str, &str)]) -> Client {
    let mut builder = Builder::new();
    let certs = builder.home().join("certs.d");
    let dir = certs.join(registry.host());
    std::fs::create_dir_all(&dir).unwrap();
    for (name, content) in files {
        std::fs::write(dir.join(name), content).unwrap();
    }
    builder.certs_d = vec![certs];
    builder.build()
}

pub(super) async fn read(client: &Client, registry: &Registry) -> Result<(), StoreError> {
    let store = client.pull(registry, "a").await;
    soon(store.manifest(&tag("t"))).await.map(drop)
}

#[tokio::test]
async fn authorities_and_client_certificates_are_used() {
    let registry = guarded(Scheme::TlsHttp2).await;
    let known = tls::client_identity();
    let client = client(
        &registry,
        &[
            ("ca.crt", &tls::ca_pem()),
            ("client.cert", &known.certificate),
            ("client.key", &known.key),
        ],
    );
    read(&client, &registry).await.unwrap();
    assert_eq!(client.events.of("warning"), Vec::<String>::new());
}

#[tokio::test]
async fn unusable_files_are_reported_and_skipped() {
    let registry = guarded(Scheme::TlsHttp2).await;
    let known = tls::client_identity();
    let client = client(
        &registry,
        &[
            ("a.cert", &known.certificate),
            ("ca.crt", &tls::ca_pem()),
            ("client.cert", &known.certificate),
            ("client.key", &known.key),
            ("zz.crt", "no certificate"),
        ],
    );
    read(&client, &registry).await.unwrap();
    let warnings = client.events.of("warning");
    insta::assert_snapshot!(without_directories(&warnings.join("\n")), @"
    warning cannot use the certificates of a.key: No such file or directory (os error 2)
    warning cannot use the certificates of zz.crt: no PEM certificate in it
    ");
}

#[tokio::test]
async fn accepted_certificate_of_several_is_sent() {
    let registry = guarded(Scheme::TlsHttp2).await;
    let (known, untrusted) = (tls::client_identity(), tls::untrusted_identity());
    let client = client(
        &registry,
        &[
            ("a.cert", &untrusted.certificate),
            ("a.key", &untrusted.key),
            ("ca.crt", &tls::ca_pem()),
            ("client.cert", &known.certificate),
            ("client.key", &known.key),
        ],
    );
    read(&client, &registry).await.unwrap();
}
