//! The options of every command that talks to registries.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::spec::limits::MAX_MANIFEST;

/// How registries are spoken to.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Registries")]
pub(super) struct ConnectionArgs {
    /// Allow HTTPS without certificate checks, and plain HTTP, with the registries named in this call
    #[arg(long)]
    pub(super) insecure: bool,
    /// Trust the authorities in this PEM file, too
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Option<PathBuf>,
    /// Limit the requests under way at once to N for each registry; how many there are depends on the registry
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: u16,
    /// How long to wait for a failing registry in all, for example 30s, 2m or 0
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub(super) retry_for: Duration,
    /// How long a registry may be silent within a request before it is tried again
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_patience)]
    pub(super) idle_timeout: Duration,
    /// The largest manifest that is read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = MAX_MANIFEST)]
    pub(super) max_manifest: u64,
}

/// `90`, `90s`, `2m`, `1h`: a number of seconds, or with a unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: expected for example 30s, 2m, 1h or 0");
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
        .ok_or_else(|| format!("{text:?} is longer than a day"))
}

/// A duration in which something can happen.
fn parse_patience(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing is answered in no time".to_owned()),
        patience => Ok(patience),
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
        assert_eq!(parse_patience("1"), Ok(Duration::from_secs(1)));
        assert!(parse_patience("0").is_err());
    }
}
