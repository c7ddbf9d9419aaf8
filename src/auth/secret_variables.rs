//! Environment variables whose values are secrets.

/// The prefixes of polyarch's own variables in order of precedence.
pub(super) const PREFIXES: [&str; 2] = ["POLYARCH_", "PLUGIN_"];

/// The secrets of clouds and CI systems.
const OF_CLOUDS: [&str; 7] = [
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "IDENTITY_HEADER",
];

/// Returns whether the variable contains a secret of polyarch, which no other program needs.
pub(super) fn is_own_secret(name: &str) -> bool {
    let fields = ["PASSWORD", "TOKEN", "ID_TOKEN"];
    PREFIXES.iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| fields.iter().any(|field| rest.starts_with(field)))
    })
}

/// Returns whether the variable contains a secret that is used for a cloud.
pub(super) fn is_cloud_secret(name: &str) -> bool {
    OF_CLOUDS.contains(&name)
        || name == "POLYARCH_ID_TOKEN"
        || name.starts_with("POLYARCH_ID_TOKEN_")
}
