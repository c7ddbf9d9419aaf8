//! Suggestions and facts after an error, as data. A hint that names options or variables is a separate variant, because
//! their names depend on the environment of the run: `cli` and `report` render it.

use crate::spec::{Reference, RegistryHost, Repository};

/// A suggestion after an error, or a fact about the run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A suggestion that names neither an option nor a variable. It starts with a verb.
    Text(String),
    /// A fact that explains the error.
    Note(String),

    /// No credentials were found for a registry that requires them.
    SetCredentials { registry: RegistryHost },
    /// A registry or its token server refused the credentials.
    CheckCredentials {
        registry: RegistryHost,
        user: Option<String>,
        /// Where the credentials were found.
        origin: String,
    },
    /// The credentials are valid but lack access to a repository.
    GrantAccess {
        repository: Repository,
        /// Whether access to push is missing, not only to pull.
        push: bool,
        user: Option<String>,
        /// Where the credentials were found.
        origin: String,
    },
    /// The search for credentials can be shown.
    ShowCredentialSearch,

    /// The registry limits the rate of requests.
    LowerRequestRate,
    /// The retry budget is used up.
    RaiseRetryBudget,
    /// The registry may not accept an index of this media type.
    ChooseMediaType { media_type: String },
    /// A manifest exceeds the size limit.
    RaiseManifestLimit,
    /// A registry that the command names uses plain HTTP.
    AllowPlainHttp { registry: RegistryHost },
    /// A registry that the command does not name uses plain HTTP.
    NameInsecureSources { registry: RegistryHost },
    /// Insecure connections are limited to the registries that the command names.
    InsecureForNamedOnly { registry: RegistryHost },
    /// The certificate of a registry is not trusted.
    TrustCertificate { registry: RegistryHost },
    /// Certificate checks can be skipped for this command.
    SkipCertificateChecks,
    /// A reference was written with `http://`.
    PlainHttpScheme,
    /// A variable of the environment has an invalid value.
    CorrectVariable { variable: String },

    /// An image has no platform.
    SetPlatform { source: String },
    /// An entry of a draft has no platform.
    AnnotatePlatform { source: String },
    /// No source has a required platform.
    AddMissingPlatform,
    /// Two images are for one platform.
    ChooseDuplicate,
    /// An image may declare a wrong platform.
    CorrectPlatform,
    /// An annotation has the level of image manifests.
    ChooseAnnotationLevel { key: String },
    /// A Docker manifest list cannot hold this content.
    UseOciIndex,
    /// Attestations do not fit the media type.
    DropAttestations,
    /// A bare digest is not in the repositories of the targets.
    NameImageRepository,
    /// A source does not exist; another job may still be pushing it.
    WaitForSource,
    /// A bare digest has no repository among the targets.
    AddImageRepository,

    /// The drafts need a directory that persists until `push`.
    SetPersistentHome,
    /// The drafts need a directory that is writable.
    SetWritableHome,
    /// There is no draft of this name.
    CreateDraft { list: Reference },
    /// There is a draft of this name already.
    AmendDraft,
    /// An entry of a draft has no platform and cannot be pushed.
    AnnotateEntry { list: String, entry: String },
    /// The name of an operating system or architecture is unknown.
    AcceptUnknownPlatform,
    /// A draft is damaged.
    ReplaceDraft { list: String },

    /// No tag was changed.
    Unchanged,
    /// These tags were pushed.
    Pushed(Vec<String>),
    /// These tags were pushed, and verification failed.
    Unverified(Vec<String>),
    /// Another failure of the same run.
    AlsoFailed(String),
}

impl Hint {
    /// Returns whether this is a fact, not a suggestion.
    pub fn is_note(&self) -> bool {
        matches!(
            self,
            Self::Note(_)
                | Self::InsecureForNamedOnly { .. }
                | Self::Unchanged
                | Self::Pushed(_)
                | Self::Unverified(_)
                | Self::AlsoFailed(_)
        )
    }

    /// Returns whether no credentials were found.
    pub fn is_missing_credentials(&self) -> bool {
        matches!(self, Self::SetCredentials { .. })
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
