//! The referring origin decides which addresses are allowed; origins that the user named are not restricted.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::environment::Environment;
use crate::progress::Silent;

/// Returns a server on `localhost` that answers every request with 204.
async fn server() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            let _ = connection.write_all(answer).await;
        }
    });
    url.parse().unwrap()
}

/// Sends a request to a URL that `referred_by` named.
async fn send(transport: &Transport, url: &Url, referred_by: &str) -> Result<(), String> {
    let mut request = Request::new(Method::GET, url.clone());
    request.referred_by = Some(referred_by.parse().unwrap());
    let sent = transport.send(request).await;
    sent.map(drop).map_err(|error| error.to_string())
}

fn transport() -> Transport {
    let settings = TransportSettings::of_environment(&Environment::default());
    Transport::new(settings, Arc::new(Silent))
}

const PUBLIC: &str = "https://1.1.1.1/";
const HERE: &str = "http://127.0.0.1:5000/";

#[tokio::test]
async fn each_referring_origin_has_separate_restrictions() {
    let url = server().await;
    for origins in [[HERE, PUBLIC], [PUBLIC, HERE]] {
        let transport = transport();
        for referred_by in origins.into_iter().cycle().take(4) {
            let outcome = send(&transport, &url, referred_by).await;
            match outcome {
                Ok(()) => assert_eq!(referred_by, HERE),
                Err(error) => {
                    assert_eq!(referred_by, PUBLIC, "{error}");
                    assert!(error.contains("internal address"), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_origin_named_by_the_user_is_not_restricted() {
    let url = server().await;
    let transport = transport();
    send(&transport, &url, PUBLIC).await.unwrap_err();
    let profile = TlsProfile::default();
    transport
        .configure(&url, &profile, "localhost", Protocol::Unknown)
        .unwrap();
    transport
        .send(Request::new(Method::GET, url.clone()))
        .await
        .unwrap();
    send(&transport, &url, PUBLIC).await.unwrap();
}
