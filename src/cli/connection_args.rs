//! The options of every command that uses registries.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::spec::limits::MAX_MANIFEST;

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Registries")]
pub(super) struct ConnectionArgs {
    /// Allow plain HTTP, and skip certificate checks
    ///
    /// Applies only to the registries that the command names.
    #[arg(long)]
    pub(super) insecure: bool,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) ca_cert: Option<PathBuf>,
    /// Maximum number of parallel requests to each registry
    #[arg(long, hide_short_help = true, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: u16,
    /// Total time to wait for failing registries, for example 30s, 2m or 0
    #[arg(long, hide_short_help = true, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub(super) retry_for: Duration,
    /// Time without data after which a request is retried
    #[arg(long, hide_short_help = true, value_name = "DURATION", default_value = "30s", value_parser = parse_positive_duration)]
    pub(super) idle_timeout: Duration,
    /// Maximum size of a manifest in bytes
    #[arg(long, hide_short_help = true, value_name = "BYTES", default_value_t = MAX_MANIFEST)]
    pub(super) max_manifest: u64,
}

/// Parses `90`, `90s`, `2m` or `1h`: a number of seconds, or a number with a unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 30s, 2m, 1h or 0".to_owned();
    let text = text.trim();
    let (digits, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(factor)
        .filter(|seconds| *seconds <= 86_400);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "the maximum is one day".to_owned())
}

/// Parses a duration greater than zero.
fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("the duration must be greater than zero".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "m", "-1", "1d", "1.5m", "100h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_positive_duration("1"), Ok(Duration::from_secs(1)));
        assert!(parse_positive_duration("0").is_err());
    }
}
