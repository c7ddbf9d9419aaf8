//! Who leads to a host decides how it is reached: each referred_by for itself, and the user before all.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::environment::Environment;
use crate::progress::Silent;

/// A server that answers every request with nothing, under the name of this machine.
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

/// Sends a request to where `referred_by` leads.
async fn lead(transport: &Transport, url: &Url, referred_by: &str) -> Result<(), String> {
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
async fn what_one_host_may_lead_to_another_may_not() {
    let url = server().await;
    for leaders in [[HERE, PUBLIC], [PUBLIC, HERE]] {
        let transport = transport();
        for referred_by in leaders.into_iter().cycle().take(4) {
            let outcome = lead(&transport, &url, referred_by).await;
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
async fn the_users_own_is_not_checked_even_if_it_was_led_to_before() {
    let url = server().await;
    let transport = transport();
    lead(&transport, &url, PUBLIC).await.unwrap_err();
    let profile = TlsProfile::default();
    transport
        .open_lane(&url, &profile, "localhost", Protocol::Unknown)
        .unwrap();
    transport
        .send(Request::new(Method::GET, url.clone()))
        .await
        .unwrap();
    lead(&transport, &url, PUBLIC).await.unwrap();
}
