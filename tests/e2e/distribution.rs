//! Runs a registry program (Debian's `docker-registry` or another one) on a free port with an empty store. Also pushes
//! images to it and reads them back.

use std::{
    ffi::OsString, io::Write as _, net::TcpListener, path::Path, process::Stdio, time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::support::{image::Loaded, registry::Registry};

/// The media types that a current client accepts.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A running registry. It ends when dropped.
pub(crate) struct Distribution {
    host: String,
    client: Client<HttpConnector, Full<Bytes>>,
    /// The value of `Authorization`, if the registry requires one.
    authorization: Option<String>,
    _process: Child,
    _store: TempDir,
}

/// A manifest in the answer of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) body: Bytes,
}

/// A program that is a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Software {
    /// distribution 2.8, from Debian.
    Debian,
    /// distribution 3.
    Distribution3,
    /// The registry in crane, from go-containerregistry.
    Crane,
    /// olareg.
    Olareg,
    /// olareg without the referrers API.
    OlaregWithoutReferrers,
    /// olareg with a password for each request.
    OlaregBasic,
    /// olareg with its own token server.
    OlaregToken,
    /// olareg with a limit of 20 requests per second.
    OlaregLimited,
    /// olareg with a `Warning` in each answer.
    OlaregWarning,
    /// olareg that accepts no pushes.
    OlaregReadOnly,
    /// The registry in the Go modules of CUE, which requires that children and blobs exist.
    Cue,
}

impl Software {
    fn program(self) -> &'static str {
        match self {
            Self::Debian => "docker-registry",
            Self::Distribution3 => "registry",
            Self::Crane => "crane",
            Self::Cue => "cue-registry",
            _ => "olareg",
        }
    }

    /// Returns the user and password that the registry requires.
    pub(crate) fn account(self) -> Option<(&'static str, &'static str)> {
        matches!(self, Self::OlaregBasic | Self::OlaregToken).then_some(("ci", "pw"))
    }

    fn is_olareg(self) -> bool {
        self.program() == "olareg"
    }

    /// Returns the command line. `port` is used by programs that do not log the port that they have chosen.
    fn arguments(self, config: &Path, port: u16) -> Vec<OsString> {
        let words: &[&str] = match self {
            Self::Debian | Self::Distribution3 => return vec!["serve".into(), config.into()],
            Self::Crane => &["registry", "serve", "--address", "127.0.0.1:0"],
            Self::Cue => &[],
            _ => return self.arguments_of_olareg(config, port),
        };
        words.iter().map(Into::into).collect()
    }

    fn arguments_of_olareg(self, config: &Path, port: u16) -> Vec<OsString> {
        let port = port.to_string();
        let words: &[&str] = &[
            "serve",
            "--store-type",
            "mem",
            "--addr",
            "127.0.0.1",
            "--port",
            &port,
        ];
        let mut arguments: Vec<OsString> = words.iter().map(Into::into).collect();
        match self {
            Self::OlaregWithoutReferrers => arguments.push("--api-referrer=false".into()),
            Self::OlaregBasic => arguments.extend(["--auth-basic".into(), config.into()]),
            Self::OlaregToken => arguments.extend([
                "--external-url".into(),
                format!("http://127.0.0.1:{port}").into(),
                "--auth-token-opaque".into(),
                config.into(),
            ]),
            Self::OlaregLimited => arguments.extend(["--rate-limit".into(), "20".into()]),
            Self::OlaregWarning => arguments.extend(["--warning".into(), "end of life".into()]),
            Self::OlaregReadOnly => arguments.push("--api-push=false".into()),
            _ => {}
        }
        arguments
    }
}

impl Distribution {
    /// Starts distribution 2.8 over plain HTTP.
    pub(crate) async fn start() -> Self {
        Self::start_for(None).await
    }

    /// Starts distribution 2.8 over plain HTTP. If there is an account, only this user has access.
    pub(crate) async fn start_for(account: Option<(&str, &str)>) -> Self {
        Self::start_program(Software::Debian, account).await
    }

    /// Starts a registry program over plain HTTP.
    pub(crate) async fn start_of(software: Software) -> Self {
        Self::start_program(software, software.account()).await
    }

    async fn start_program(software: Software, account: Option<(&str, &str)>) -> Self {
        let store = tempfile::tempdir().expect("a temporary directory");
        let users = store.path().join("htpasswd");
        let mut hash = String::new();
        if let Some((user, password)) = account {
            let line = htpasswd(user, password).await;
            std::fs::write(&users, &line).expect("a file");
            let line = String::from_utf8(line).expect("text");
            let (_, after_user) = line.trim().split_once(':').expect("a hash");
            hash.push_str(after_user);
        }
        let auth = match account {
            Some(_) => format!(
                "auth: {{htpasswd: {{realm: tests, path: '{}'}}}}\n",
                users.display()
            ),
            None => String::new(),
        };
        let config = store.path().join("config.yml");
        let mut file = std::fs::File::create(&config).expect("a file");
        write!(
            file,
            "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '127.0.0.1:0', secret: s}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\n{auth}",
            store.path().join("data").display()
        )
        .expect("a file");
        if let Some((user, _)) = account.filter(|_| software.is_olareg()) {
            let users = format!(
                "users: {{{user}: {{cred: '{hash}'}}}}\n\
                 acls: [{{repo: '*', access: ['*'], members: [{user}]}}]\n"
            );
            std::fs::write(&config, users).expect("a file");
        }
        let program = software.program();
        let port = free_port();
        let mut process = Command::new(program)
            .args(software.arguments(&config, port))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} must be installed: {error}"));
        let log = process.stderr.take().expect("a pipe");
        let started = async {
            match software {
                _ if software.is_olareg() => connectable(port, log).await,
                _ => listening(log).await,
            }
        };
        let host = timeout(Duration::from_secs(30), started)
            .await
            .unwrap_or_else(|_| panic!("{program} starts within half a minute"));
        Self {
            host,
            client: Client::builder(TokioExecutor::new()).build_http(),
            authorization: account.map(|(user, password)| {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }),
            _process: process,
            _store: store,
        }
    }

    /// Returns `127.0.0.1:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Copies an image with its blobs from a registry in the test process.
    pub(crate) async fn put_image(
        &self,
        from: &Registry,
        from_repo: &str,
        image: &Loaded,
        repo: &str,
        tag: &str,
    ) {
        for digest in &image.blobs {
            let content = from.blob(from_repo, digest).expect("a blob");
            self.put_blob(repo, digest, content).await;
        }
        self.put_manifest(repo, tag, &image.media_type, image.bytes.clone())
            .await;
    }

    /// Pushes a blob.
    pub(crate) async fn put_blob(&self, repo: &str, digest: &str, content: Bytes) {
        let path = format!("/v2/{repo}/blobs/uploads/");
        let (status, headers, body) = self.send(Method::POST, &path, &[], Bytes::new()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body:?}");
        let location = headers["location"].to_str().expect("text");
        let sign = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{sign}digest={digest}");
        let kind = [("content-type", "application/octet-stream")];
        let (status, _, body) = self.send(Method::PUT, &target, &kind, content).await;
        assert_eq!(status, StatusCode::CREATED, "{body:?}");
    }

    /// Pushes a manifest under a tag or digest.
    pub(crate) async fn put_manifest(&self, repo: &str, name: &str, media_type: &str, body: Bytes) {
        let path = format!("/v2/{repo}/manifests/{name}");
        let kind = [("content-type", media_type)];
        let (status, _, body) = self.send(Method::PUT, &path, &kind, body).await;
        assert_eq!(status, StatusCode::CREATED, "{repo}:{name}: {body:?}");
    }

    /// Returns the manifest that a tag or digest refers to.
    pub(crate) async fn manifest(&self, repo: &str, name: &str) -> Option<Served> {
        let path = format!("/v2/{repo}/manifests/{name}");
        let accept = [("accept", ACCEPT)];
        let (status, headers, body) = self.send(Method::GET, &path, &accept, Bytes::new()).await;
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        match status {
            StatusCode::OK => Some(Served {
                media_type: header("content-type"),
                digest: header("docker-content-digest"),
                body,
            }),
            StatusCode::NOT_FOUND => None,
            _ => panic!("{repo}:{name}: {status} {body:?}"),
        }
    }

    /// Returns the content of a blob.
    pub(crate) async fn blob(&self, repo: &str, digest: &str) -> Option<Bytes> {
        let path = format!("/v2/{repo}/blobs/{digest}");
        let (status, _, body) = self.send(Method::GET, &path, &[], Bytes::new()).await;
        (status == StatusCode::OK).then_some(body)
    }

    /// Returns the sorted tags of a repository. Returns no tags if the repository does not exist.
    pub(crate) async fn tags(&self, repo: &str) -> Vec<String> {
        let path = format!("/v2/{repo}/tags/list");
        let (status, _, body) = self.send(Method::GET, &path, &[], Bytes::new()).await;
        if status != StatusCode::OK {
            return Vec::new();
        }
        let list: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let tags = list["tags"].as_array().cloned().unwrap_or_default();
        let mut tags: Vec<String> = tags
            .iter()
            .filter_map(|tag| Some(tag.as_str()?.to_owned()))
            .collect();
        tags.sort();
        tags
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (StatusCode, http::HeaderMap, Bytes) {
        let url = if target.starts_with('/') {
            format!("http://{}{target}", self.host)
        } else {
            target.to_owned()
        };
        for _ in 0..50 {
            let mut request = Request::builder().method(&method).uri(&url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(value) = &self.authorization {
                request = request.header("authorization", value);
            }
            let request = request.body(Full::new(body.clone())).expect("a request");
            let answer = self.client.request(request).await.expect("an answer");
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            if parts.status != StatusCode::TOO_MANY_REQUESTS {
                return (parts.status, parts.headers, body);
            }
            // A registry with a rate limit accepts further requests in the next second.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{url}: too many requests for five seconds");
    }
}

/// Returns the line of one user in a password file, with bcrypt, the only hash that the registries accept.
async fn htpasswd(user: &str, password: &str) -> Vec<u8> {
    let run = Command::new("htpasswd")
        .args(["-Bbn", user, password])
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let output = timeout(Duration::from_secs(30), run)
        .await
        .expect("htpasswd ends within half a minute")
        .unwrap_or_else(|error| panic!("htpasswd must be installed: {error}"));
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("a bound socket").port()
}

/// Waits until a server listens. Its log is read, so that the pipe does not fill up.
async fn connectable(port: u16, log: tokio::process::ChildStderr) -> String {
    let mut lines = BufReader::new(log).lines();
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let host = format!("127.0.0.1:{port}");
    while tokio::net::TcpStream::connect(&host).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    host
}

/// Returns the address that the log names. The rest of the log is read, so that the pipe does not fill up.
async fn listening(log: tokio::process::ChildStderr) -> String {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let host = match line.split_once("listening on ") {
            Some((_, rest)) => Some(rest.split('"').next().expect("an address").to_owned()),
            None => line
                .split_once("serving on port ")
                .map(|(_, port)| format!("127.0.0.1:{port}")),
        };
        if let Some(host) = host {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return host;
        }
    }
    panic!("the registry did not start");
}
