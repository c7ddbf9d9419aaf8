//! A minimal client: no redirects, no retries, no credentials. It uses one connection, and opens a new one when the
//! server has closed it.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::registry::{Registry, Role, tls};

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether the body was interrupted after the bytes in `body`.
    pub(super) broken: bool,
}

impl Answer {
    /// Returns a header as text; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Returns the body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Returns the code of the first error in the body.
    pub(super) fn code(&self) -> String {
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    }
}

/// A client of one host.
pub(super) struct Client {
    base: Uri,
    connection: Option<Connection>,
    authorization: Option<String>,
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Creates a client of the registry itself.
    pub(super) fn of(registry: &Registry) -> Self {
        Self::at(&registry.url())
    }

    /// Creates a client of one of the registry's hosts.
    pub(super) fn of_role(registry: &Registry, role: Role) -> Self {
        Self::at(&registry.url_of(role))
    }

    /// Creates a client of the host of `url`.
    pub(super) fn at(url: &str) -> Self {
        Self {
            base: url.parse().expect("a URL"),
            connection: None,
            authorization: None,
        }
    }

    /// Sends this `Authorization` header from now on.
    pub(super) fn authorized(mut self, value: &str) -> Self {
        self.authorization = Some(value.into());
        self
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(super) async fn head(&mut self, path: &str) -> Answer {
        self.send(Method::HEAD, path, &[], "").await
    }

    pub(super) async fn put(
        &mut self,
        path: &str,
        media_type: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send(Method::PUT, path, &[("content-type", media_type)], body)
            .await
    }

    /// Sends a request and expects an answer.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let answer = self.attempt(method, path, headers, body).await;
        answer.expect("an answer")
    }

    /// Sends a request that may fail. `path` may be an absolute URL of the same host.
    pub(super) async fn attempt(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, hyper::Error> {
        let base = self.base.to_string();
        let path = path
            .strip_prefix(base.trim_end_matches('/'))
            .unwrap_or(path);
        let authority = self.base.authority().expect("an authority").as_str();
        let connection = match self.connection.take() {
            Some(connection) if connection.usable() => connection,
            _ => connect(&self.base).await,
        };
        let http2 = matches!(connection, Connection::Http2(_));
        let scheme = self.base.scheme_str().expect("a scheme");
        let uri = if http2 {
            format!("{scheme}://{authority}{path}")
        } else {
            path.to_owned()
        };
        let mut request = Request::builder().method(method).uri(uri);
        if !http2 {
            request = request.header("host", authority);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let connection = self.connection.insert(connection);
        let response = match connection {
            Connection::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Connection::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, mut incoming) = response.into_parts();
        let (mut body, mut broken) = (BytesMut::new(), false);
        while let Some(frame) = incoming.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => body.extend_from_slice(&data),
                Ok(Err(_)) => {}
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.freeze(),
            broken,
        })
    }
}

impl Connection {
    fn usable(&self) -> bool {
        match self {
            Self::Http1(sender) => !sender.is_closed() && sender.is_ready(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }
}

async fn connect(base: &Uri) -> Connection {
    let address = SocketAddr::new(
        base.host().expect("a host").parse().expect("an IP address"),
        base.port_u16().expect("a port"),
    );
    let tcp = TcpStream::connect(address).await.expect("a listener");
    if base.scheme_str() == Some("http") {
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        return Connection::Http1(sender);
    }
    let name = ServerName::IpAddress(address.ip().into());
    let tls = connector().connect(name, tcp).await.expect("TLS");
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        let connection = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
        let (sender, connection) = connection.expect("HTTP/2");
        tokio::spawn(connection);
        return Connection::Http2(sender);
    }
    let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    Connection::Http1(sender)
}

/// Returns a TLS connector that trusts the authority of the tests and offers HTTP/2.
pub(super) fn connector() -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(tls::roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
