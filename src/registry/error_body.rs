//! The bodies of errors: <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes>.

use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::redactor::Redactor;
use crate::text::clean;

/// The maximum number of characters of a registry's message that are shown.
const MAX_MESSAGE: usize = 300;
/// The maximum number of characters of an error's detail that are shown.
const MAX_DETAIL: usize = 120;
/// The maximum number of values in an error's detail that are shown.
const MAX_DETAIL_VALUES: usize = 6;

/// The error in the body of an answer.
#[derive(Debug)]
pub(super) struct RegistryError {
    /// The first error code, in upper case; empty if there is none.
    pub(super) code: String,
    /// Code, message and detail, or the text of a body that is not JSON; may be empty.
    pub(super) text: String,
}

impl RegistryError {
    pub(super) fn of(answer: &Answer) -> Self {
        Self::of_body(&answer.body, &answer.redactor)
    }

    /// Reads an error body. `redactor` removes the secrets of the request.
    pub(super) fn of_body(body: &[u8], redactor: &Redactor) -> Self {
        let safe = |text: &str, limit| clean(&redactor.redact(text), limit);
        let parsed = crate::spec::parse::<ErrorBody>(body);
        if let Ok(parsed) = &parsed
            && let Some(first) = parsed.errors.first()
        {
            let code = safe(first.code.as_str().unwrap_or_default(), 60).to_uppercase();
            let message = safe(first.message.as_str().unwrap_or_default(), MAX_MESSAGE);
            let detail = safe(&text_of_detail(&first.detail), MAX_DETAIL);
            let mut text = match (code.is_empty(), message.is_empty()) {
                (false, false) => format!("{code}: {message}"),
                (false, true) => code.clone(),
                (true, _) => message,
            };
            if !detail.is_empty() && !text.contains(&detail) {
                if !text.is_empty() {
                    text.push_str("; ");
                }
                text.push_str(&detail);
            }
            return Self { code, text };
        }
        let text = match parsed.ok().and_then(|body| body.text_of_token_server()) {
            Some(text) => safe(&text, MAX_MESSAGE),
            None => text_of(&redactor.redact(&String::from_utf8_lossy(body))),
        };
        Self {
            code: String::new(),
            text,
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
    /// The error code of OAuth 2.0: RFC 6749, section 5.2.
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_description: Value,
    /// The text of Docker Hub's token server.
    #[serde(default)]
    details: Value,
    #[serde(default)]
    message: Value,
}

impl ErrorBody {
    /// Returns the fields of errors of token servers, which do not use the format of registries.
    fn text_of_token_server(&self) -> Option<String> {
        let fields = [
            &self.error,
            &self.error_description,
            &self.details,
            &self.message,
        ];
        let texts: Vec<&str> = fields
            .iter()
            .filter_map(|field| field.as_str())
            .filter(|text| !text.is_empty())
            .collect();
        (!texts.is_empty()).then(|| texts.join(": "))
    }
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    detail: Value,
}

/// Returns the values of a detail, which may have any form, with their keys: `digest: sha256:…`.
fn text_of_detail(detail: &Value) -> String {
    let mut parts = Vec::new();
    collect_values(detail, "", &mut parts);
    parts.join(", ")
}

fn collect_values(value: &Value, key: &str, parts: &mut Vec<String>) {
    let text = match value {
        _ if parts.len() == MAX_DETAIL_VALUES => return,
        Value::Object(fields) => {
            return fields
                .iter()
                .for_each(|(key, value)| collect_values(value, key, parts));
        }
        Value::Array(values) => {
            return values
                .iter()
                .for_each(|value| collect_values(value, key, parts));
        }
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    match (key, text.as_str()) {
        (_, "") => {}
        ("", text) => parts.push(text.to_owned()),
        (key, text) => parts.push(format!("{key}: {text}")),
    }
}

/// Returns the text of a body that is not JSON: plain text, or HTML without its tags.
fn text_of(text: &str) -> String {
    let mut shown = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                shown.push(' ');
            }
            _ if !in_tag => shown.push(c),
            _ => {}
        }
    }
    clean(&shown, MAX_MESSAGE)
}
