//! The directory for data that is kept between two calls.

use std::path::PathBuf;

use crate::environment::Environment;

/// Returns the directory for persistent data: `$POLYARCH_HOME`, else `polyarch` in the user's data directory. `None` if
/// the environment has neither.
///
/// A relative `XDG_DATA_HOME` is ignored, as its specification requires:
/// <https://specifications.freedesktop.org/basedir-spec/latest/#variables>.
pub fn data_directory(environment: &Environment) -> Option<PathBuf> {
    if let Some(home) = environment.var("POLYARCH_HOME") {
        return Some(PathBuf::from(home));
    }
    let xdg = environment.var("XDG_DATA_HOME").map(PathBuf::from);
    let data = xdg
        .filter(|path| path.is_absolute())
        .or_else(|| Some(environment.home()?.join(data_below_home())))?;
    Some(data.join("polyarch"))
}

fn data_below_home() -> &'static str {
    if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else if cfg!(windows) {
        "AppData/Local"
    } else {
        ".local/share"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<PathBuf> {
        data_directory(&variables.iter().copied().collect())
    }

    #[test]
    fn variables_are_searched_in_order() {
        let (own, xdg, home) = (
            ("POLYARCH_HOME", "p"),
            ("XDG_DATA_HOME", "/x"),
            ("HOME", "/h"),
        );
        assert_eq!(found(&[own, xdg, home]).unwrap(), Path::new("p"));
        assert_eq!(found(&[xdg, home]).unwrap(), Path::new("/x/polyarch"));
        let below_home = Path::new("/h").join(data_below_home()).join("polyarch");
        assert_eq!(found(&[home]).unwrap(), below_home);
        assert_eq!(found(&[("XDG_DATA_HOME", "x"), home]).unwrap(), below_home);
        assert_eq!(found(&[("HOME", "")]), None);
    }
}
