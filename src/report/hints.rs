//! Renders hints as text that fits the environment of the run: flags on a command line, inputs and permissions in the
//! GitHub Action, variables in GitLab.

use crate::environment::Environment;
use crate::hint::Hint;
use crate::spec::{RegistryHost, Repository};

/// How messages name options: for the environment of the run and for its command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wording {
    form: Form,
    missing: MissingOptions,
}

/// The form in which messages name options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Flags of a command line.
    #[default]
    CommandLine,
    /// Flags, in a step of a GitHub workflow.
    GitHubStep,
    /// Inputs of the GitHub Action.
    GitHubAction,
    /// Variables of a GitLab job.
    GitLab,
    /// Inputs of the GitLab component, whose job sets the variables.
    GitLabComponent,
}

/// The options that hints name and that the command does not have, as bits of [`Named`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MissingOptions(u16);

/// An option that hints name. `publish` has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Attestations,
    CaCert,
    Image,
    Insecure,
    Jobs,
    ManifestAnnotations,
    MaxManifest,
    MediaType,
    OnDuplicate,
    Platform,
    RetryFor,
    SetPlatform,
    Wait,
}

impl Named {
    const ALL: [Self; 13] = [
        Self::Attestations,
        Self::CaCert,
        Self::Image,
        Self::Insecure,
        Self::Jobs,
        Self::ManifestAnnotations,
        Self::MaxManifest,
        Self::MediaType,
        Self::OnDuplicate,
        Self::Platform,
        Self::RetryFor,
        Self::SetPlatform,
        Self::Wait,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Attestations => "attestations",
            Self::CaCert => "ca-cert",
            Self::Image => "image",
            Self::Insecure => "insecure",
            Self::Jobs => "jobs",
            Self::ManifestAnnotations => "manifest-annotations",
            Self::MaxManifest => "max-manifest",
            Self::MediaType => "media-type",
            Self::OnDuplicate => "on-duplicate",
            Self::Platform => "platform",
            Self::RetryFor => "retry-for",
            Self::SetPlatform => "set-platform",
            Self::Wait => "wait",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The options that are inputs of the GitHub Action and of the GitLab component under the same name.
const INPUTS: [&str; 13] = [
    "append",
    "attestations",
    "check",
    "digests",
    "file",
    "if-exists",
    "image",
    "insecure",
    "media-type",
    "on-duplicate",
    "referrers",
    "set-platform",
    "wait",
];

impl Wording {
    /// Detects the form from the environment. `action.yml` sets `ACTION_COMMAND`; the template of the GitLab component
    /// sets `COMPONENT_PUSH`.
    pub fn of_environment(environment: &Environment) -> Self {
        let is_true = |name| environment.var(name) == Some("true");
        let form = if is_true("GITHUB_ACTIONS") && environment.var("ACTION_COMMAND").is_some() {
            Form::GitHubAction
        } else if is_true("GITHUB_ACTIONS") {
            Form::GitHubStep
        } else if is_true("GITLAB_CI") && environment.var("COMPONENT_PUSH").is_some() {
            Form::GitLabComponent
        } else if is_true("GITLAB_CI") {
            Form::GitLab
        } else {
            Form::CommandLine
        };
        Self {
            form,
            missing: MissingOptions::default(),
        }
    }

    /// Makes messages refer to `polyarch publish` for each option that the command does not have.
    #[must_use]
    pub fn for_command(mut self, has_option: impl Fn(&str) -> bool) -> Self {
        let missing = Named::ALL
            .into_iter()
            .filter(|option| !has_option(option.name()));
        self.missing = MissingOptions(missing.fold(0, |bits, option| bits | option.bit()));
        self
    }

    /// Renders hints, each once.
    pub fn render_all<'a>(self, hints: impl IntoIterator<Item = &'a Hint>) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for line in hints.into_iter().map(|hint| self.render(hint)) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// Renders one hint as a sentence without a full stop.
    #[expect(clippy::too_many_lines, reason = "one arm for each hint")]
    pub fn render(self, hint: &Hint) -> String {
        match hint {
            Hint::Text(text) | Hint::Note(text) => text.clone(),
            Hint::SetCredentials { registry } => self.set_credentials(registry),
            Hint::CheckCredentials {
                registry,
                user,
                origin,
            } => format!(
                "check the password or token{} from {}: {registry} rejected it, so it may be wrong or expired",
                of_user(user.as_deref()),
                self.origin(origin)
            ),
            Hint::GrantAccess {
                repository,
                push,
                user,
                origin,
            } => self.grant_access(repository, *push, user.as_deref(), origin),
            Hint::ShowCredentialSearch if self.form == Form::GitHubAction => {
                "set the variable POLYARCH_DEBUG to true to log the search for credentials"
                    .to_owned()
            }
            Hint::ShowCredentialSearch => {
                "run `polyarch auth REF` to see where credentials are searched for".to_owned()
            }
            Hint::LowerRequestRate => format!(
                "log in, lower {}, or wait: the registry limits the rate of requests",
                self.option(Named::Jobs, "N")
            ),
            Hint::RaiseRetryBudget => {
                format!(
                    "allow more time for retries with {}",
                    self.option(Named::RetryFor, "DURATION")
                )
            }
            Hint::ChooseMediaType { media_type } => format!(
                "try {} or {}: the registry may not accept the media type {media_type}",
                self.option(Named::MediaType, "docker"),
                self.option(Named::MediaType, "oci")
            ),
            Hint::RaiseManifestLimit => format!(
                "raise the limit with {} if the manifest is intended to have this size",
                self.option(Named::MaxManifest, "SIZE")
            ),
            Hint::AllowPlainHttp { registry } => format!(
                "allow plain HTTP with {} if it is intended: {registry} does not use TLS",
                self.option(Named::Insecure, "")
            ),
            Hint::NameInsecureSources { registry } => format!(
                "name the sources in `polyarch publish --insecure` if plain HTTP is intended: {registry} does not use TLS"
            ),
            Hint::InsecureForNamedOnly { registry } => format!(
                "{} applies only to registries that the command names, and it does not name {registry}",
                self.option(Named::Insecure, "")
            ),
            Hint::TrustCertificate { registry } => format!(
                "trust its certificate with {}, SSL_CERT_FILE, or /etc/docker/certs.d/{registry}/ca.crt",
                self.option(Named::CaCert, "FILE")
            ),
            Hint::SkipCertificateChecks => format!(
                "skip certificate checks for this command with {}",
                self.option(Named::Insecure, "")
            ),
            Hint::PlainHttpScheme => format!(
                "omit http://, and allow plain HTTP with {}",
                self.option(Named::Insecure, "")
            ),
            Hint::CorrectVariable { variable } => format!("correct or unset {variable}"),
            Hint::SetPlatform { source } => {
                format!(
                    "set it with {}",
                    self.set_platform(&format!("{source}=linux/amd64"))
                )
            }
            Hint::AnnotatePlatform { source } => {
                format!("set it with `polyarch annotate --os OS --arch ARCH MANIFEST_LIST {source}`")
            }
            Hint::AddMissingPlatform => format!(
                "add the missing source, or remove the platform from {}",
                self.list(Named::Platform, "platforms")
            ),
            Hint::ChooseDuplicate => format!(
                "remove one of them, or set {} to keep the later one, or `keep` to keep both",
                self.option(Named::OnDuplicate, "replace")
            ),
            Hint::CorrectPlatform => format!(
                "correct a wrong platform with {}",
                self.set_platform("SOURCE=PLATFORM")
            ),
            Hint::ChooseAnnotationLevel { key } => format!(
                "write index:{key}=… or manifest-descriptor:{key}=…, or use {}",
                self.option(Named::ManifestAnnotations, "index")
            ),
            Hint::UseOciIndex => {
                format!(
                    "create an OCI index with {}",
                    self.option(Named::MediaType, "oci")
                )
            }
            Hint::DropAttestations => format!(
                "omit attestations with {}",
                self.option(Named::Attestations, "drop")
            ),
            Hint::NameImageRepository => format!(
                "name the repository of bare digests with {} (the default is the repository of each tag)",
                self.option(Named::Image, "REPOSITORY")
            ),
            Hint::WaitForSource => format!(
                "check the name, or wait with {} if another job still pushes it",
                self.option(Named::Wait, "5m")
            ),
            Hint::AddImageRepository => format!("add {}", self.option(Named::Image, "REPOSITORY")),
            Hint::SetPersistentHome => {
                "set POLYARCH_HOME to a directory that persists until the push".to_owned()
            }
            Hint::SetWritableHome => "set POLYARCH_HOME to a writable directory".to_owned(),
            Hint::CreateDraft { list } => {
                format!("create it first with `polyarch create {list} MANIFEST...`")
            }
            Hint::AmendDraft => {
                "use --amend to add entries, or --replace to start over; run `polyarch ls` to see the local lists"
                    .to_owned()
            }
            Hint::AnnotateEntry { list, entry } => {
                format!("set its platform with `polyarch annotate --os OS --arch ARCH {list} {entry}`")
            }
            Hint::AcceptUnknownPlatform => "use --force to accept unknown names".to_owned(),
            Hint::ReplaceDraft { list } => format!(
                "remove it with `polyarch rm {list}`, or start over with `polyarch create --replace {list} …`"
            ),
            Hint::Unchanged => "no tag was changed".to_owned(),
            Hint::Pushed(tags) => format!("these tags were pushed: {}", tags.join(", ")),
            Hint::Unverified(tags) => format!("these tags were pushed but not verified: {}", tags.join(", ")),
            Hint::AlsoFailed(error) => format!("this failed too: {error}"),
        }
    }

    fn has(self, option: Named) -> bool {
        self.missing.0 & option.bit() == 0
    }

    /// Names an option with its value, or a switch if `value` is empty.
    fn option(self, option: Named, value: &str) -> String {
        let name = option.name();
        let flag = if value.is_empty() {
            format!("--{name}")
        } else {
            format!("--{name} {value}")
        };
        if !self.has(option) {
            return of_publish(&flag);
        }
        let assigned = if value.is_empty() { "true" } else { value };
        match self.form {
            Form::CommandLine | Form::GitHubStep => flag,
            Form::GitHubAction | Form::GitLabComponent if INPUTS.contains(&name) => {
                format!("`{name}: {assigned}`")
            }
            Form::GitHubAction => format!("`args: {flag}`"),
            Form::GitLab | Form::GitLabComponent => format!("{}={assigned}", variable(name)),
        }
    }

    /// Names an option that is a list: singular as a flag, plural as an input.
    fn list(self, option: Named, input: &str) -> String {
        let flag = format!("--{}", option.name());
        if !self.has(option) {
            return of_publish(&flag);
        }
        match self.form {
            Form::CommandLine | Form::GitHubStep => flag,
            Form::GitHubAction | Form::GitLabComponent => format!("the input {input}"),
            Form::GitLab => variable(option.name()),
        }
    }

    fn set_platform(self, setting: &str) -> String {
        let flag = format!("--set-platform '{setting}'");
        if !self.has(Named::SetPlatform) {
            return of_publish(&flag);
        }
        match self.form {
            Form::CommandLine | Form::GitHubStep => flag,
            Form::GitHubAction | Form::GitLabComponent => {
                format!("the input set-platform: {setting}")
            }
            Form::GitLab => format!("POLYARCH_SET_PLATFORM={setting}"),
        }
    }

    fn set_credentials(self, registry: &RegistryHost) -> String {
        match self.form {
            Form::CommandLine => format!(
                "log in (`docker login {registry}`), or set POLYARCH_REGISTRY={registry}, POLYARCH_USERNAME and POLYARCH_PASSWORD"
            ),
            Form::GitHubStep => format!(
                "log in with docker/login-action, or set POLYARCH_REGISTRY={registry}, POLYARCH_USERNAME and POLYARCH_PASSWORD{}",
                or_permission(registry)
            ),
            Form::GitHubAction => format!(
                "log in with docker/login-action, or set the inputs registry: {registry}, username and password{}",
                or_permission(registry)
            ),
            Form::GitLab | Form::GitLabComponent => format!(
                "set the variables POLYARCH_REGISTRY={registry}, POLYARCH_USERNAME and POLYARCH_PASSWORD"
            ),
        }
    }

    /// Names the origin of credentials. The Action sets these variables from its inputs.
    fn origin(self, origin: &str) -> &str {
        match origin {
            "POLYARCH_USERNAME and POLYARCH_PASSWORD" if self.form == Form::GitHubAction => {
                "the inputs username and password"
            }
            _ => origin,
        }
    }

    fn grant_access(
        self,
        repository: &Repository,
        push: bool,
        user: Option<&str>,
        origin: &str,
    ) -> String {
        let (access, level) = if push {
            ("push", "write")
        } else {
            ("pull", "read")
        };
        let cause = format!(
            "the credentials{} from {} are valid, but they lack {access} access to {}",
            of_user(user),
            self.origin(origin),
            repository.path()
        );
        let in_actions = matches!(self.form, Form::GitHubStep | Form::GitHubAction);
        if in_actions && repository.registry().as_str() == GHCR {
            format!(
                "grant `permissions: packages: {level}` to the job, and access to the package under \"Manage Actions access\": {cause}"
            )
        } else {
            format!("check the permissions of the account: {cause}")
        }
    }
}

const GHCR: &str = "ghcr.io";

fn or_permission(registry: &RegistryHost) -> &'static str {
    if registry.as_str() == GHCR {
        "; for this repository's own packages, grant `permissions: packages: write`"
    } else {
        ""
    }
}

fn of_user(user: Option<&str>) -> String {
    user.map_or_else(String::new, |user| format!(" of {user:?}"))
}

/// Names a flag of `publish`, for a command that does not have it.
fn of_publish(flag: &str) -> String {
    format!("`polyarch publish {flag}`")
}

fn variable(option: &str) -> String {
    format!("POLYARCH_{}", option.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the wording for a command that has all options.
    fn of(form: Form) -> Wording {
        Wording {
            form,
            ..Wording::default()
        }
    }

    #[test]
    fn credentials_of_the_action_are_named_by_their_inputs() {
        let render = |form, number: &str| {
            of(form).render(&Hint::CheckCredentials {
                registry: "registry.test".parse().unwrap(),
                user: None,
                origin: format!("POLYARCH_USERNAME{number} and POLYARCH_PASSWORD{number}"),
            })
        };
        let inputs = "check the password or token from the inputs username and password:";
        assert!(render(Form::GitHubAction, "").starts_with(inputs));
        // No input sets the variables of a second registry.
        assert!(render(Form::GitHubAction, "_2").contains("POLYARCH_USERNAME_2"));
        assert!(render(Form::CommandLine, "").contains("POLYARCH_USERNAME"));
    }

    #[test]
    fn options_are_named_for_the_environment() {
        let render = |wording: Wording| wording.render(&Hint::UseOciIndex);
        assert_eq!(
            render(of(Form::CommandLine)),
            "create an OCI index with --media-type oci"
        );
        assert_eq!(
            render(of(Form::GitHubAction)),
            "create an OCI index with `media-type: oci`"
        );
        assert_eq!(
            render(of(Form::GitLab)),
            "create an OCI index with POLYARCH_MEDIA_TYPE=oci"
        );
        assert_eq!(
            of(Form::GitHubAction).render(&Hint::RaiseRetryBudget),
            "allow more time for retries with `args: --retry-for DURATION`"
        );
    }

    /// The options that get their value from an input: `POLYARCH_MEDIA_TYPE: ${{ inputs.media-type }}`.
    fn mappings<'a>(text: &'a str, before: &str) -> Vec<(String, &'a str)> {
        let lines = text.lines().filter_map(|line| line.split_once(before));
        let named = lines.filter_map(|(key, rest)| {
            let variable = key.trim().split(':').next()?;
            let name = ["POLYARCH_", "COMPONENT_"]
                .iter()
                .find_map(|prefix| variable.strip_prefix(prefix))?;
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-')?;
            Some((name.to_lowercase().replace('_', "-"), &rest[..end]))
        });
        named.collect()
    }

    /// Inputs that differ from an option in name, that a separate method renders, or that no hint names.
    const OTHERS: [&str; 14] = [
        "annotations",
        "download",
        "labels-as-annotations",
        "password",
        "platforms",
        "push",
        "registry",
        "sources",
        "tags",
        "username",
        "verify",
        "version",
        "command",
        "args",
    ];

    #[test]
    fn inputs_match_the_action_and_the_component() {
        let action = mappings(include_str!("../../action.yml"), "${{ inputs.");
        let component = include_str!("../../templates/publish/template.yml");
        let component = mappings(component, "$[[ inputs.");
        for mappings in [action, component] {
            for name in INPUTS {
                let mapping = (name.to_owned(), name);
                assert!(mappings.contains(&mapping), "{name} in {mappings:?}");
            }
            for (option, input) in mappings {
                let is_known = INPUTS.contains(&input) && option == input;
                assert!(is_known || OTHERS.contains(&input), "{option} {input}");
            }
        }
    }

    #[test]
    fn waiting_for_a_source_is_an_input() {
        let text = of(Form::GitHubAction).render(&Hint::WaitForSource);
        assert_eq!(
            text,
            "check the name, or wait with `wait: 5m` if another job still pushes it"
        );
    }

    #[test]
    fn component_of_gitlab_is_recognised() {
        let environment = |names: &[&'static str]| -> Environment {
            names.iter().map(|name| (*name, "true")).collect()
        };
        let wording = |names: &[&'static str]| Wording::of_environment(&environment(names));
        assert_eq!(wording(&["GITLAB_CI"]), of(Form::GitLab));
        let component = wording(&["GITLAB_CI", "COMPONENT_PUSH"]);
        assert_eq!(component, of(Form::GitLabComponent));
        assert_eq!(
            component.render(&Hint::UseOciIndex),
            "create an OCI index with `media-type: oci`"
        );
        assert_eq!(
            component.render(&Hint::RaiseRetryBudget),
            "allow more time for retries with POLYARCH_RETRY_FOR=DURATION"
        );
    }

    #[test]
    fn missing_push_access_at_ghcr_names_the_permission() {
        let hint = Hint::GrantAccess {
            repository: "ghcr.io/o/app".parse().unwrap(),
            push: true,
            user: None,
            origin: "GITHUB_TOKEN".to_owned(),
        };
        let text = of(Form::GitHubAction).render(&hint);
        assert!(text.contains("`permissions: packages: write`"), "{text}");
        let text = of(Form::CommandLine).render(&hint);
        assert!(!text.contains("packages: write"), "{text}");
    }

    #[test]
    fn hints_in_actions_do_not_name_docker_login() {
        let hint = Hint::SetCredentials {
            registry: "ghcr.io".parse().unwrap(),
        };
        for wording in [Form::GitHubAction, Form::GitHubStep].map(of) {
            let text = wording.render(&hint);
            assert!(!text.contains("docker login"), "{text}");
            assert!(text.contains("`permissions: packages: write`"), "{text}");
        }
    }

    #[test]
    fn repeated_hints_are_shown_once() {
        let hints = [Hint::Unchanged, Hint::from("a"), Hint::Unchanged];
        let lines = of(Form::CommandLine).render_all(&hints);
        assert_eq!(lines, ["no tag was changed", "a"]);
    }
}
