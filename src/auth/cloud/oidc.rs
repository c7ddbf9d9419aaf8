//! ID tokens of CI systems.

use std::path::Path;

use super::client::{CloudClient, CloudRequest};
use super::error::CloudError;
use crate::auth::Secret;
use crate::auth::credential::without_newline;
use crate::auth::file::{FileError, read_bounded};

/// The maximum size of a token file in bytes.
const MAX_TOKEN: u64 = 64 << 10;

const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// A request for an ID token.
pub(super) struct IdTokenRequest<'a> {
    /// The suffix of a variable such as `POLYARCH_ID_TOKEN_AWS`.
    pub(super) cloud: &'static str,
    /// The audience of a token of GitHub.
    pub(super) audience: &'a str,
    /// The variable of the cloud that names a file with a token.
    pub(super) file_variable: Option<&'static str>,
    /// The variable that is set and makes the token necessary, for messages.
    pub(super) needed_by: &'static str,
}

/// A token, and where it was found.
pub(super) struct IdToken {
    pub(super) token: Secret,
    pub(super) origin: String,
}

impl CloudClient {
    /// Returns an ID token: from polyarch's own variables, the file that a variable of the cloud names, or GitHub.
    pub(super) async fn id_token(
        &self,
        request: &IdTokenRequest<'_>,
    ) -> Result<Option<IdToken>, CloudError> {
        let own = format!("POLYARCH_ID_TOKEN_{}", request.cloud);
        for name in [own.as_str(), "POLYARCH_ID_TOKEN"] {
            if let Some(token) = self.var(name) {
                return Ok(Some(IdToken {
                    token: self.keep(Secret::new(token.trim())),
                    origin: name.to_owned(),
                }));
            }
        }
        if let Some((name, path)) = request
            .file_variable
            .and_then(|name| Some((name, self.var(name)?)))
        {
            return Ok(Some(IdToken {
                token: self.token_file(Path::new(path)).await?,
                origin: name.to_owned(),
            }));
        }
        self.github_token(request).await
    }

    /// Reads a file that contains a token.
    pub(super) async fn token_file(&self, path: &Path) -> Result<Secret, CloudError> {
        let text = self.text_file(path).await?;
        let token = without_newline(text.reveal()).trim();
        if token.is_empty() {
            return Err(CloudError::BadFile {
                path: path.to_owned(),
                problem: "the file is empty",
            });
        }
        Ok(self.keep(Secret::new(token)))
    }

    /// Reads a text file that must exist.
    pub(super) async fn text_file(&self, path: &Path) -> Result<Secret, CloudError> {
        let missing = || FileError::unreadable(path, std::io::ErrorKind::NotFound);
        let bytes = read_bounded(path, MAX_TOKEN).await?.ok_or_else(missing)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| CloudError::BadFile {
            path: path.to_owned(),
            problem: "the file is not UTF-8",
        })?;
        Ok(Secret::new(text))
    }

    /// Requests an ID token from GitHub: <https://docs.github.com/en/actions/reference/security/oidc>
    async fn github_token(
        &self,
        request: &IdTokenRequest<'_>,
    ) -> Result<Option<IdToken>, CloudError> {
        let (url, token) = (self.endpoint(REQUEST_URL)?, self.var(REQUEST_TOKEN));
        let (Some(mut url), Some(token)) = (url, token) else {
            return if self.var("GITHUB_ACTIONS") == Some("true") {
                Err(CloudError::MissingPermission {
                    given: request.needed_by.to_owned(),
                })
            } else {
                Ok(None)
            };
        };
        url.query_pairs_mut()
            .append_pair("audience", request.audience);
        let bearer = self.keep(Secret::new(token));
        let request = CloudRequest::get(url).bearer(&bearer);
        let operation = "cannot get an ID token of GitHub";
        Ok(Some(IdToken {
            token: self.token(&request, operation, "/value").await?,
            origin: "GitHub's ID token".to_owned(),
        }))
    }
}
