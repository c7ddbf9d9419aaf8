//! Handles a request: log, faults, rate limit, authorization, endpoint.

use std::sync::Arc;

use http::{Method, Request, StatusCode, request::Parts};
use hyper::body::Incoming;

use super::{
    Role, auth, blobs,
    body::{Broken, Inbox, Interrupted},
    link::Link,
    listing, manifests,
    perform::{self, Before},
    reply::{self, Reply},
    route::{self, Class, Endpoint},
    script::{Act, Fault, Seen},
    server::Shared,
    token, uploads,
};

/// Handles one request from its arrival to its answer.
pub async fn answer(
    shared: &Shared,
    role: Role,
    link: &Arc<Link>,
    request: Request<Incoming>,
) -> Result<Reply, Broken> {
    let under_way = shared.gauge.enter();
    let (parts, body) = request.into_parts();
    let endpoint = Endpoint::of(&parts.uri);
    let class = endpoint.class(role, &parts.method);
    let (number, received) = shared.log.open(link.id, role, class, &parts);
    let mut body = Inbox::new(body, received);

    let act = shared.script.take(&Seen {
        role,
        class,
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    });
    let visit = Visit {
        shared,
        role,
        parts: &parts,
        endpoint: &endpoint,
        class,
        number,
    };
    let outcome = visit.apply(&act, &mut body).await;
    let ended = match outcome {
        Ok(mut reply) => match perform::after(link, &parts.method, &act.faults, &mut reply) {
            None => {
                if !parts.headers.contains_key(http::header::EXPECT) {
                    body.drain().await;
                }
                shared.log.close(number, reply.status());
                reply.body_mut().bind(Arc::clone(link), under_way);
                return Ok(reply);
            }
            Some(fault) => fault,
        },
        Err(fault) => fault,
    };
    Err(perform::end(link, &ended).await)
}

/// A request that is being handled.
struct Visit<'a> {
    shared: &'a Shared,
    role: Role,
    parts: &'a Parts,
    endpoint: &'a Endpoint,
    class: Class,
    number: u64,
}

impl Visit<'_> {
    /// Returns the answer, or the fault that replaces it.
    async fn apply(&self, act: &Act, body: &mut Inbox) -> Result<Reply, Fault> {
        let before = perform::before(self.shared, &act.faults, body).await;
        let handled = match before {
            Before::Handle => return self.handle(body).await.map_err(|_| Fault::Reset),
            _ if act.applied => self.handle(body).await,
            _ => Ok(reply::status(StatusCode::OK)),
        };
        match (handled, before) {
            (Err(Interrupted), _) => Err(Fault::Reset),
            (Ok(_), Before::End(fault)) => Err(fault),
            (Ok(_), Before::Answer(reply)) | (Ok(reply), Before::Handle) => Ok(reply),
        }
    }

    /// Returns the answer of a registry without faults.
    async fn handle(&self, body: &mut Inbox) -> Result<Reply, Interrupted> {
        let mut reply = self.dispatch(body).await?;
        reply::set(
            &mut reply,
            "docker-distribution-api-version",
            "registry/2.0",
        );
        Ok(reply)
    }

    async fn dispatch(&self, body: &mut Inbox) -> Result<Reply, Interrupted> {
        let (shared, parts) = (self.shared, self.parts);
        if !shared.within_limit() {
            let mut reply = reply::error("TOOMANYREQUESTS", "too many requests");
            reply::set(&mut reply, "retry-after", "1");
            return Ok(reply);
        }
        if self.class == Class::Token {
            let here = self.role == Role::Token || shared.url(Role::Token) == shared.url(self.role);
            return if here {
                token::serve(shared, parts, self.number, body).await
            } else {
                Ok(reply::status(StatusCode::NOT_FOUND))
            };
        }
        match self.role {
            Role::Token => return Ok(reply::status(StatusCode::NOT_FOUND)),
            // Signed URLs and upload locations need no further credentials.
            Role::Cdn | Role::Upload => {}
            Role::Registry => {
                if let Some(refusal) = auth::refuse(shared, parts, self.endpoint, self.class) {
                    return Ok(refusal);
                }
            }
        }
        if self
            .endpoint
            .repo()
            .is_some_and(|repo| !route::is_repository(repo))
        {
            return Ok(reply::error("NAME_INVALID", "invalid repository name"));
        }
        self.reach(body).await
    }

    async fn reach(&self, body: &mut Inbox) -> Result<Reply, Interrupted> {
        let (shared, parts) = (self.shared, self.parts);
        let (method, uri) = (&parts.method, &parts.uri);
        Ok(match (self.endpoint, method) {
            (Endpoint::Ping, &Method::GET | &Method::HEAD) => {
                reply::json("application/json", &serde_json::json!({}))
            }
            (Endpoint::Manifest { repo, reference }, &Method::GET | &Method::HEAD) => {
                manifests::get(shared, method, repo, reference)
            }
            (Endpoint::Manifest { repo, reference }, &Method::PUT) => {
                manifests::put(shared, parts, repo, reference, body).await?
            }
            (Endpoint::Manifest { repo, reference }, &Method::DELETE) => {
                manifests::delete(shared, repo, reference)
            }
            (Endpoint::Blob { repo, digest }, &Method::GET | &Method::HEAD) => {
                blobs::get(shared, self.role, method, &parts.headers, repo, digest)
            }
            (Endpoint::Blob { repo, digest }, &Method::DELETE) => {
                blobs::delete(shared, repo, digest)
            }
            (Endpoint::Uploads { repo }, &Method::POST) => {
                uploads::post(shared, uri, repo, body).await?
            }
            (Endpoint::Upload { repo, id }, &Method::PATCH) => {
                uploads::patch(shared, parts, repo, id, body).await?
            }
            (Endpoint::Upload { repo, id }, &Method::PUT) => {
                uploads::put(shared, parts, repo, id, body).await?
            }
            (Endpoint::Upload { repo, id }, &Method::GET) => uploads::get(shared, repo, id),
            (Endpoint::Upload { id, .. }, &Method::DELETE) => uploads::delete(shared, id),
            (Endpoint::Tags { repo }, &Method::GET) => listing::tags(shared, uri, repo),
            (Endpoint::Referrers { repo, digest }, &Method::GET) => {
                listing::referrers(shared, uri, repo, digest)
            }
            (Endpoint::Unknown, _) => reply::status(StatusCode::NOT_FOUND),
            _ => reply::error("UNSUPPORTED", "the operation is unsupported"),
        })
    }
}
