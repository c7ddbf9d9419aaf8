//! Events as JSON on standard error, one document per line.

use std::io::Write as _;

use serde_json::{Value, json};

use super::json::safe;
use crate::progress::{BlobOutcome, Event, Observer};

/// Writes events to standard error. Write errors are ignored.
pub struct JsonLines {
    /// Also writes requests.
    pub debug: bool,
}

impl Observer for JsonLines {
    fn observe(&self, event: Event<'_>) {
        if matches!(event, Event::Request { .. }) && !self.debug {
            return;
        }
        let line = safe(serde_json::to_string(&document(event)));
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn document(event: Event<'_>) -> Value {
    match event {
        Event::Notice(text) => json!({"event": "notice", "text": text}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
        Event::Waiting {
            doing,
            cause,
            delay,
        } => json!({
            "event": "waiting",
            "doing": doing,
            "cause": cause,
            "seconds": delay.as_secs_f64(),
        }),
        Event::Request {
            method,
            url,
            outcome,
            took,
        } => json!({
            "event": "request",
            "method": method,
            "url": url,
            "outcome": outcome,
            "milliseconds": took.as_secs_f64() * 1000.0,
        }),
        Event::BlobBytes { blob, target, done } => json!({
            "event": "blob-bytes",
            "digest": blob.digest,
            "size": blob.size,
            "target": target,
            "done": done,
        }),
        Event::BlobDone { blob, target, how } => {
            let (how, from) = match how {
                BlobOutcome::Pushed => ("pushed", None),
                BlobOutcome::Exists => ("exists", None),
                BlobOutcome::Mounted(from) => ("mounted", Some(from)),
            };
            json!({
                "event": "blob-done",
                "digest": blob.digest,
                "size": blob.size,
                "target": target,
                "how": how,
                "from": from,
            })
        }
        Event::ManifestDone { digest, target } => {
            json!({"event": "manifest-done", "digest": digest, "target": target})
        }
        Event::TagDone {
            reference,
            digest,
            already,
        } => json!({
            "event": "tag-done",
            "reference": reference,
            "digest": digest,
            "already": already,
        }),
        Event::Verified { reference } => json!({"event": "verified", "reference": reference}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_event_is_one_line() {
        let text = document(Event::Waiting {
            doing: "read a\nb",
            cause: "503",
            delay: Duration::from_millis(500),
        })
        .to_string();
        assert_eq!(
            text,
            r#"{"event":"waiting","doing":"read a\nb","cause":"503","seconds":0.5}"#
        );
    }
}
