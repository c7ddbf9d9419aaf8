//! Answers as the distribution specification defines them.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::body::Body;

/// The answer of a handler.
pub type Reply = Response<Body>;

/// Returns an answer with `status` and no body.
pub fn status(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    reply
}

/// Returns a 200 with a JSON document.
pub fn json(media_type: &str, document: &Value) -> Reply {
    let mut reply = Response::new(Body::new(document.to_string()));
    set(&mut reply, header::CONTENT_TYPE.as_str(), media_type);
    reply
}

/// Returns an error of the specification, whose code determines the status.
pub fn error(code: &str, message: &str) -> Reply {
    error_with(status_of(code), code, message)
}

/// Returns an error with the given status.
pub fn error_with(status: StatusCode, code: &str, message: &str) -> Reply {
    errors(status, &[json!({"code": code, "message": message})])
}

/// Returns an answer with several errors.
pub fn errors(status: StatusCode, errors: &[Value]) -> Reply {
    let mut reply = json("application/json", &json!({"errors": errors}));
    *reply.status_mut() = status;
    reply
}

/// Sets a header, and replaces an existing one.
pub fn set(reply: &mut Reply, name: &str, value: &str) {
    let name = name.parse::<header::HeaderName>();
    let value = HeaderValue::from_bytes(value.as_bytes());
    if let (Ok(name), Ok(value)) = (name, value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Adds a header.
pub fn add(reply: &mut Reply, name: &str, value: &str) {
    let name = name.parse::<header::HeaderName>();
    let value = HeaderValue::from_bytes(value.as_bytes());
    if let (Ok(name), Ok(value)) = (name, value) {
        reply.headers_mut().append(name, value);
    }
}

/// Returns the status of an error code (distribution-spec 1.1, "Error Codes", and the "Endpoints" table).
fn status_of(code: &str) -> StatusCode {
    match code {
        "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "BLOB_UPLOAD_UNKNOWN" => {
            StatusCode::NOT_FOUND
        }
        "UNAUTHORIZED" => StatusCode::UNAUTHORIZED,
        "DENIED" => StatusCode::FORBIDDEN,
        "UNSUPPORTED" => StatusCode::METHOD_NOT_ALLOWED,
        "TOOMANYREQUESTS" => StatusCode::TOO_MANY_REQUESTS,
        "SIZE_INVALID" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}
