//! Profiles in the files of AWS: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>.

use std::path::{Path, PathBuf};

use configparser::ini::{Ini, IniDefault};
use tokio::process::Command;

use super::keys::{self, AwsKeys};
use super::{container, imds, sts};
use crate::auth::cloud::client::CloudClient;
use crate::auth::cloud::error::CloudError;
use crate::auth::cloud::lookup::Lookup;
use crate::auth::cloud::oidc::IdToken;
use crate::auth::file::read_bounded;
use crate::auth::process;

/// The maximum size of a file in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The maximum number of profiles in a chain of `source_profile`.
const MAX_DEPTH: usize = 5;

/// The two files.
struct Profiles {
    credentials: Ini,
    config: Ini,
}

/// One profile.
struct Profile<'a> {
    name: &'a str,
    profiles: &'a Profiles,
}

/// Finds the keys of the profile in `AWS_PROFILE`, or of `default`.
pub(super) async fn find(
    region: &str,
    client: &CloudClient,
) -> Result<Lookup<AwsKeys>, CloudError> {
    let profiles = Profiles {
        credentials: read(client, "AWS_SHARED_CREDENTIALS_FILE", "credentials").await?,
        config: read(client, "AWS_CONFIG_FILE", "config").await?,
    };
    let named = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
    let named = named.into_iter().find_map(|name| client.var(name));
    let profile = Profile {
        name: named.unwrap_or("default"),
        profiles: &profiles,
    };
    if !profile.exists() {
        return match named {
            Some(_) => Err(profile.error("there is no such profile")),
            None => Ok(Lookup::nothing("there is no profile")),
        };
    }
    match profile.keys(region, client, MAX_DEPTH).await? {
        Some(keys) => Ok(Lookup::Found(keys)),
        None if named.is_some() => Err(profile.error("it contains no credentials")),
        None => Ok(Lookup::nothing(
            "the default profile contains no credentials",
        )),
    }
}

impl Profile<'_> {
    fn exists(&self) -> bool {
        let Profiles {
            credentials,
            config,
        } = self.profiles;
        let is_in = |ini: &Ini, section: &str| ini.get_map_ref().contains_key(section);
        is_in(credentials, self.name)
            || is_in(config, &self.config_section())
            || (self.name == "default" && is_in(config, "default"))
    }

    fn config_section(&self) -> String {
        format!("profile {}", self.name)
    }

    fn in_config(&self, key: &str) -> Option<String> {
        let config = &self.profiles.config;
        config
            .get(&self.config_section(), key)
            .or_else(|| (self.name == "default").then(|| config.get("default", key))?)
            .filter(|value| !value.is_empty())
    }

    /// Returns a value from either file. The credentials file takes precedence.
    fn value(&self, key: &str) -> Option<String> {
        let credentials = self.profiles.credentials.get(self.name, key);
        credentials
            .filter(|value| !value.is_empty())
            .or_else(|| self.in_config(key))
    }

    fn error(&self, problem: impl Into<String>) -> CloudError {
        CloudError::Profile {
            profile: self.name.to_owned(),
            problem: problem.into(),
        }
    }

    /// Returns the keys of the profile: a role first, then fixed keys, then the output of a process.
    async fn keys(
        &self,
        region: &str,
        client: &CloudClient,
        depth: usize,
    ) -> Result<Option<AwsKeys>, CloudError> {
        if let Some(role) = self.value("role_arn") {
            return self.role(&role, region, client, depth).await.map(Some);
        }
        if let Some(keys) = self.fixed_keys(client) {
            return Ok(Some(keys));
        }
        if let Some(command) = self.value("credential_process") {
            return self.process(&command, client).await.map(Some);
        }
        if ["sso_session", "sso_start_url"]
            .iter()
            .any(|key| self.value(key).is_some())
        {
            return Err(self.error("profiles with SSO are not supported"));
        }
        Ok(None)
    }

    async fn role(
        &self,
        role: &str,
        region: &str,
        client: &CloudClient,
        depth: usize,
    ) -> Result<AwsKeys, CloudError> {
        let session = self.value("role_session_name");
        if let Some(path) = self.value("web_identity_token_file") {
            let token = IdToken {
                token: client.token_file(Path::new(&path)).await?,
                origin: format!("the token file of the profile {:?}", self.name),
            };
            return sts::assume_with_token(role, session.as_deref(), &token, region, client).await;
        }
        let keys = match (
            self.value("source_profile"),
            self.value("credential_source"),
        ) {
            (Some(source), _) => self.source_keys(&source, region, client, depth).await?,
            (None, Some(source)) => self.credential_source(&source, client).await?,
            (None, None) => {
                return Err(self.error(
                    "role_arn needs source_profile, credential_source or web_identity_token_file",
                ));
            }
        };
        let external_id = self.value("external_id");
        let (session, external_id) = (session.as_deref(), external_id.as_deref());
        sts::assume(role, session, external_id, &keys, region, client).await
    }

    async fn source_keys(
        &self,
        source: &str,
        region: &str,
        client: &CloudClient,
        depth: usize,
    ) -> Result<AwsKeys, CloudError> {
        let source = Profile {
            name: source,
            profiles: self.profiles,
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.error("too many profiles follow each other by source_profile"));
        };
        // A profile may name itself: then its own keys assume the role.
        let keys = if source.name == self.name {
            source.fixed_keys(client)
        } else {
            Box::pin(source.keys(region, client, depth)).await?
        };
        keys.ok_or_else(|| source.error("it contains no credentials"))
    }

    fn fixed_keys(&self, client: &CloudClient) -> Option<AwsKeys> {
        let (id, secret) = (
            self.value("aws_access_key_id")?,
            self.value("aws_secret_access_key")?,
        );
        let token = self.value("aws_session_token");
        let origin = format!("the keys of the profile {:?}", self.name);
        AwsKeys::new(client, &id, &secret, token.as_deref(), origin)
    }

    async fn credential_source(
        &self,
        source: &str,
        client: &CloudClient,
    ) -> Result<AwsKeys, CloudError> {
        let found = match source {
            "Environment" => keys::in_variables(client)?,
            "EcsContainer" => container::find(client).await?,
            "Ec2InstanceMetadata" => imds::find(client).await?,
            _ => return Err(self.error(format!("unknown credential_source {source:?}"))),
        };
        match found {
            Lookup::Found(keys) => Ok(keys),
            Lookup::Nothing(reason) => {
                Err(self.error(format!("credential_source {source}: {reason}")))
            }
        }
    }

    /// Runs `credential_process`, which prints JSON with keys.
    async fn process(&self, command: &str, client: &CloudClient) -> Result<AwsKeys, CloudError> {
        let mut shell = if cfg!(windows) {
            let mut shell = Command::new("cmd.exe");
            shell.arg("/C");
            shell
        } else {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c");
            shell
        };
        shell.arg(command);
        let failed = |cause| CloudError::Process {
            profile: self.name.to_owned(),
            cause,
        };
        let output = process::run(shell, &client.environment, "", process::TIMEOUT)
            .await
            .map_err(failed)?;
        if !output.status.success() {
            return Err(failed(output.failure()));
        }
        let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let origin = format!("credential_process of the profile {:?}", self.name);
        AwsKeys::from_json(client, &json, &origin).ok_or_else(|| {
            self.error("credential_process printed no AccessKeyId and SecretAccessKey")
        })
    }
}

async fn read(client: &CloudClient, variable: &str, name: &str) -> Result<Ini, CloudError> {
    let path = match client.var(variable) {
        Some(path) => Some(PathBuf::from(path)),
        None => client
            .environment
            .home()
            .map(|home| home.join(".aws").join(name)),
    };
    match path {
        Some(path) => match read_bounded(&path, MAX_FILE).await? {
            Some(bytes) => parse(&String::from_utf8_lossy(&bytes), &path),
            None => Ok(Ini::new_cs()),
        },
        None => Ok(Ini::new_cs()),
    }
}

fn parse(text: &str, path: &Path) -> Result<Ini, CloudError> {
    let mut format = IniDefault::default();
    format.delimiters = vec!['='];
    format.case_sensitive = true;
    format.multiline = true;
    let mut ini = Ini::new_from_defaults(format);
    ini.set_inline_comment_symbols(Some(&[]));
    // The message of the crate quotes the line, which may contain a key.
    ini.read(text.to_owned()).map_err(|_| CloudError::BadFile {
        path: path.to_owned(),
        problem: "the file is not in the format of AWS",
    })?;
    Ok(ini)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_aws_are_parsed() {
        let text = "# comment\n[default]\naws_access_key_id = AKID\naws_secret_access_key=a/b+c=#;\n\
                    [profile dev]\nrole_arn = arn:aws:iam::1:role/r\ns3 =\n  max = 1\nsource_profile = default\n";
        let ini = parse(text, Path::new("config")).expect("valid");
        assert_eq!(
            ini.get("default", "aws_secret_access_key").as_deref(),
            Some("a/b+c=#;")
        );
        assert_eq!(
            ini.get("profile dev", "role_arn").as_deref(),
            Some("arn:aws:iam::1:role/r")
        );
        assert_eq!(
            ini.get("profile dev", "source_profile").as_deref(),
            Some("default")
        );
    }

    #[test]
    fn errors_do_not_quote_the_file() {
        let error = parse("[default\nhunter2", Path::new("config")).expect_err("not valid");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
