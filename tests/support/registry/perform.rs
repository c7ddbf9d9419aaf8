//! Applies the faults of a rule to a request and its answer.

use std::{fmt::Write as _, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, StatusCode, header};

use super::{
    body::{Body, Broken, Ending, Inbox},
    content::Content,
    link::{Closing, Link},
    reply::{self, Reply},
    script::Fault,
    server::Shared,
};
use crate::support::gzip;

/// How often a condition on the requests is checked.
pub(super) const POLLING: Duration = Duration::from_millis(2);

/// The bytes of an HTTP/2 GOAWAY (RFC 9113, 6.8): length 8, type 7, stream 0, last stream 0, `NO_ERROR`. No stream was
/// processed.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The result of the faults that are applied before the answer.
pub enum Before {
    /// The request is handled.
    Handle,
    /// This answer is sent without handling the request.
    Answer(Reply),
    /// There is no answer. [`end`] ends the request with this fault.
    End(Fault),
}

/// Applies the faults before the answer. Returns whether the request is to be handled.
pub async fn before(shared: &Shared, faults: &[Fault], body: &mut Inbox) -> Before {
    let mut outcome = Before::Handle;
    for fault in faults {
        match fault {
            Fault::Delay(time) => tokio::time::sleep(*time).await,
            Fault::Until(condition) => {
                while !condition.holds(&shared.log.requests()) {
                    tokio::time::sleep(POLLING).await;
                }
            }
            Fault::ExpireTokens => shared.tokens().expire(),
            Fault::ResetUpload(bytes) => body.break_after(*bytes),
            Fault::DripUpload(pause) => body.drip(*pause),
            Fault::Reply {
                status,
                headers,
                body,
            } => outcome = Before::Answer(answer(*status, headers, body)),
            Fault::Redirect(status, url) => {
                let headers = [("location".to_owned(), url.clone())];
                outcome = Before::Answer(answer(*status, &headers, &Bytes::new()));
            }
            Fault::Stall
            | Fault::Reset
            | Fault::ResetConnection
            | Fault::RefuseStream
            | Fault::GoAway
            | Fault::Raw(_) => outcome = Before::End(fault.clone()),
            _ => {}
        }
    }
    outcome
}

/// Ends a request without an answer.
pub async fn end(link: &Link, fault: &Fault) -> Broken {
    match fault {
        Fault::Reset if link.http2 => return Broken(None),
        Fault::RefuseStream if link.http2 => {
            return Broken(Some(h2::Reason::REFUSED_STREAM.into()));
        }
        Fault::Reset | Fault::ResetConnection => link.close(Closing::Reset),
        Fault::GoAway if link.http2 => link.close(Closing::Raw(Bytes::from_static(&GOAWAY))),
        Fault::Raw(bytes) => link.close(Closing::Raw(bytes.clone())),
        Fault::Stall => {}
        _ => link.close(Closing::Raw(Bytes::new())),
    }
    std::future::pending().await
}

/// Applies the faults of the answer. Returns `Some` if the answer cannot be sent through hyper; the request then ends
/// with this fault.
pub fn after(link: &Link, method: &Method, faults: &[Fault], answer: &mut Reply) -> Option<Fault> {
    for fault in faults {
        match fault {
            Fault::ResetBody(bytes) => break_off(answer, *bytes, Ending::Reset),
            Fault::StallBody(bytes) => break_off(answer, *bytes, Ending::Stall),
            Fault::Drip(pause) => answer.body_mut().drip = Some(*pause),
            Fault::Truncate(bytes) => break_off(answer, *bytes, Ending::Cut),
            Fault::TruncateCleanly(bytes) => {
                answer.headers_mut().remove(header::CONTENT_LENGTH);
                answer.body_mut().shorten(*bytes);
            }
            Fault::Corrupt => answer.body_mut().corrupt = true,
            Fault::Overlong(bytes) => lengthen(answer, *bytes),
            Fault::ContentLength(length) => {
                reply::set(answer, "content-length", &length.to_string());
                if !link.http2 {
                    // hyper enforces the length, so the answer is written without hyper.
                    return Some(Fault::Raw(by_hand(answer)));
                }
                // If the body is interrupted, hyper does not set the length.
                answer.body_mut().ending = Ending::Cut;
            }
            Fault::Gzip => {
                let packed = gzip::store(&bytes_of(answer));
                *answer.body_mut() = Body::new(packed);
                reply::set(answer, "content-encoding", "gzip");
            }
            Fault::Body(content) => *answer.body_mut() = Body::new(content.clone()),
            Fault::Endless => {
                let mut block = BytesMut::from(&bytes_of(answer)[..]);
                block.resize(block.len().max(64 * 1024), b' ');
                let block = block.freeze();
                *answer.body_mut() = Body::new(Content::Repeat { block, len: None });
            }
            Fault::HeaderFlood { count, size } => flood(answer, *count, *size),
            Fault::Header(name, value) => reply::set(answer, name, value),
            Fault::RemoveHeader(name) => {
                if let Ok(name) = name.parse::<HeaderName>() {
                    answer.headers_mut().remove(name);
                }
            }
            Fault::LastOnConnection => link.close(Closing::Graceful),
            _ => {}
        }
    }
    if method == Method::HEAD {
        promise(answer);
        *answer.body_mut() = Body::empty();
    }
    None
}

fn answer(status: u16, headers: &[(String, String)], body: &Bytes) -> Reply {
    let mut answer = Reply::new(Body::new(body.clone()));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status of HTTP");
    for (name, value) in headers {
        reply::add(&mut answer, name, value);
    }
    answer
}

/// Sets the header with the full length, even if fewer bytes will be sent.
fn promise(answer: &mut Reply) {
    if let Some(length) = answer.body().len()
        && !answer.headers().contains_key(header::CONTENT_LENGTH)
    {
        reply::set(answer, "content-length", &length.to_string());
    }
}

fn break_off(answer: &mut Reply, bytes: u64, ending: Ending) {
    promise(answer);
    answer.body_mut().shorten(bytes);
    answer.body_mut().ending = ending;
}

fn lengthen(answer: &mut Reply, bytes: u64) {
    let mut longer = BytesMut::from(&bytes_of(answer)[..]);
    longer.resize(longer.len() + usize::try_from(bytes).unwrap_or(0), b' ');
    *answer.body_mut() = Body::new(longer.freeze());
}

/// Serialises the answer as HTTP/1.1.
fn by_hand(answer: &Reply) -> Bytes {
    let mut text = format!("HTTP/1.1 {}\r\n", answer.status());
    for (name, value) in answer.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let mut raw = BytesMut::from(format!("{text}\r\n").as_bytes());
    raw.extend_from_slice(&bytes_of(answer));
    raw.freeze()
}

fn flood(answer: &mut Reply, count: usize, size: usize) {
    let value = "x".repeat(size);
    for number in 0..count {
        reply::add(answer, &format!("x-flood-{number}"), &value);
    }
}

/// Returns the body as bytes. Faults that change bodies are only for small bodies.
fn bytes_of(answer: &Reply) -> Bytes {
    let body = answer.body();
    let all = body.content.bytes().expect("a body in memory");
    let start = usize::try_from(body.at).unwrap_or(0);
    let end = body.end.and_then(|end| usize::try_from(end).ok());
    all.slice(start..end.unwrap_or(all.len()))
}
