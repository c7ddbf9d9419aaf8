use super::*;

#[test]
fn platforms_are_parsed_and_normalised() {
    for (text, shown) in [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/loong64", "linux/loong64"),
        ("wasip1/wasm", "wasip1/wasm"),
        (
            "windows(10.0.17763+win32k)/amd64",
            "windows(10.0.17763+win32k)/amd64",
        ),
    ] {
        let platform: Platform = text.parse().unwrap();
        assert_eq!(platform.to_string(), shown);
        assert_eq!(shown.parse::<Platform>().unwrap(), platform);
    }
}

#[test]
fn unknown_names_are_errors_with_a_suggestion() {
    for (text, message) in [
        (
            "linux",
            "invalid platform \"linux\": expected os/arch[/variant], for example linux/amd64 or linux/arm/v7",
        ),
        (
            "windows(\r)/amd64",
            "invalid platform \"windows(\\r)/amd64\": expected os/arch[/variant], for example linux/amd64 or linux/arm/v7",
        ),
        (
            "linux/",
            "invalid platform \"linux/\": expected os/arch[/variant], for example linux/amd64 or linux/arm/v7",
        ),
        (
            "linux/amd46",
            "unknown architecture \"amd46\" (did you mean \"amd64\"?)",
        ),
        (
            "linx/amd64",
            "unknown operating system \"linx\" (did you mean \"linux\"?)",
        ),
        (
            "linux/zzzzzzzzzzzz",
            "unknown architecture \"zzzzzzzzzzzz\"",
        ),
    ] {
        assert_eq!(text.parse::<Platform>().unwrap_err().to_string(), message);
    }
}

#[test]
fn only_incomplete_platforms_are_completed() {
    let of = |os: &str, architecture: &str, variant: &str| Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.to_owned(),
        ..Platform::default()
    };
    let config = of("linux", "arm", "v6");
    for (incomplete, completed) in [
        (of("", "", ""), of("linux", "arm", "v6")),
        (of("linux", "", ""), of("linux", "arm", "v6")),
        (of("", "arm", ""), of("linux", "arm", "v6")),
        (of("", "arm", "v5"), of("linux", "arm", "v5")),
        (of("", "arm64", ""), of("linux", "arm64", "")),
        (of("linux", "arm", ""), of("linux", "arm", "")),
    ] {
        assert_eq!(incomplete.completed_by(&config), completed);
    }
    assert!(config.is_complete());
    assert!(!of("linux", "", "").is_complete());
    assert!(!of("lin\nux", "arm", "").is_complete());
}

#[test]
fn a_version_is_compared_only_if_requested() {
    let image: Platform = "windows(10.0.17763)/amd64".parse().unwrap();
    assert!(image.satisfies(&"windows/amd64".parse().unwrap()));
    assert!(!image.satisfies(&"windows(10.0.20348)/amd64".parse().unwrap()));
    let other: Platform = "windows(10.0.20348)/amd64".parse().unwrap();
    assert_ne!(image.key(), other.key());
}
