//! certs.d: whom else to trust, and who we are, for one registry.

use polyarch::store::{Store as _, StoreError};

use super::room::{Builder, Client, soon, tag};
use crate::support::{
    image::Image,
    registry::{Registry, Scheme, tls},
};

/// A registry that lets only those in whose certificate it knows.
pub(super) async fn guarded(scheme: Scheme) -> Registry {
    let registry = Registry::builder().scheme(scheme).client_certificates();
    let registry = registry.start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    registry
}

/// A client with these files for the registry.
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
async fn it_names_authorities_and_who_we_are() {
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
    assert_eq!(client.told.of("warning"), Vec::<String>::new());
}

#[tokio::test]
async fn files_that_cannot_be_used_are_warnings_and_the_others_are_used() {
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
    let warnings = client.told.of("warning");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("a.key"), "{warnings:?}");
    assert!(warnings[1].contains("zz.crt"), "{warnings:?}");
}

#[tokio::test]
async fn of_several_certificates_the_server_is_shown_the_one_that_it_knows() {
    let registry = guarded(Scheme::TlsHttp2).await;
    let (known, stranger) = (tls::client_identity(), tls::stranger_identity());
    let client = client(
        &registry,
        &[
            ("a.cert", &stranger.certificate),
            ("a.key", &stranger.key),
            ("ca.crt", &tls::ca_pem()),
            ("client.cert", &known.certificate),
            ("client.key", &known.key),
        ],
    );
    read(&client, &registry).await.unwrap();
}
