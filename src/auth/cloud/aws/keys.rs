//! Access keys of AWS.

use serde_json::Value;

use crate::auth::Secret;
use crate::auth::cloud::client::{CloudAnswer, CloudClient, is_header_text};
use crate::auth::cloud::error::CloudError;
use crate::auth::cloud::lookup::Lookup;

const KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

#[derive(Debug, Clone)]
pub(super) struct AwsKeys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) token: Option<Secret>,
    /// Where the keys come from, in words that fit after "with".
    pub(super) origin: String,
}

impl AwsKeys {
    /// Creates keys and adds them to the secrets that are masked in logs. Returns `None` if a part is empty or cannot
    /// be sent in a header.
    pub(super) fn new(
        client: &CloudClient,
        id: &str,
        secret: &str,
        token: Option<&str>,
        origin: impl Into<String>,
    ) -> Option<Self> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let parts = [Some(id), Some(secret), token];
        parts
            .into_iter()
            .flatten()
            .all(|it| is_header_text(it.trim()))
            .then(|| Self {
                id: id.trim().to_owned(),
                secret: client.keep(Secret::new(secret.trim())),
                token: token.map(|token| client.keep(Secret::new(token))),
                origin: origin.into(),
            })
    }

    /// Reads keys from the JSON of containers, EC2 and `credential_process`.
    pub(super) fn from_json(client: &CloudClient, json: &Value, origin: &str) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let token = text("Token").or_else(|| text("SessionToken"));
        let (id, secret) = (text("AccessKeyId")?, text("SecretAccessKey")?);
        Self::new(client, id, secret, token, origin)
    }

    pub(super) fn from_answer(
        client: &CloudClient,
        answer: &CloudAnswer,
        operation: &str,
        origin: &str,
    ) -> Result<Self, CloudError> {
        answer.successful(operation)?;
        Self::from_json(client, &answer.json(), origin)
            .ok_or_else(|| answer.incomplete(operation, "AccessKeyId and SecretAccessKey"))
    }
}

pub(super) fn in_variables(client: &CloudClient) -> Result<Lookup<AwsKeys>, CloudError> {
    let missing = |given: &str, missing: &str| CloudError::MissingVariable {
        given: given.to_owned(),
        missing: missing.to_owned(),
    };
    let (id, secret) = match (client.var(KEY), client.var(SECRET)) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(Lookup::NOT_SET),
        (Some(_), None) => return Err(missing(KEY, SECRET)),
        (None, Some(_)) => return Err(missing(SECRET, KEY)),
    };
    let origin = format!("{KEY} and {SECRET}");
    AwsKeys::new(client, id, secret, client.var(TOKEN), origin)
        .map(Lookup::Found)
        .ok_or_else(|| CloudError::BadVariable {
            variable: SECRET.to_owned(),
            expected: "text without spaces and line breaks",
        })
}
