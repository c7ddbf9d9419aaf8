//! Collapsible sections of GitLab's job log. <https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the line that starts a section with a title. `name` consists of letters, digits, `_`, `.` and `-`.
pub fn section_start(name: &str, title: &str, now: SystemTime) -> String {
    format!(
        "\x1b[0Ksection_start:{}:{name}\r\x1b[0K{title}",
        seconds(now)
    )
}

/// Returns the line that ends a section.
pub fn section_end(name: &str, now: SystemTime) -> String {
    format!("\x1b[0Ksection_end:{}:{name}\r\x1b[0K", seconds(now))
}

fn seconds(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_the_markers_of_gitlab() {
        let now = UNIX_EPOCH + Duration::from_millis(1_560_896_352_900);
        assert_eq!(
            section_start("publish", "Publishing", now),
            "\u{1b}[0Ksection_start:1560896352:publish\r\u{1b}[0KPublishing"
        );
        assert_eq!(
            section_end("publish", now),
            "\u{1b}[0Ksection_end:1560896352:publish\r\u{1b}[0K"
        );
    }
}
