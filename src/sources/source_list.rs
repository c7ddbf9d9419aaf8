//! A list of sources in one text.

use super::error::SourceError;
use super::limits::{check_count, check_size};
use super::outputs::sources_in_json;
use super::source::{SourceSpec, parse_one, starts_json};

/// Parses the sources of one argument or variable, in their order.
///
/// They are separated by line breaks or commas. Each is a reference, a digest, a layout, a descriptor, or a JSON object
/// or array of these. Every item outside of JSON objects must be a source. A JSON object may be the outputs of a job: a
/// value in it is a source if it is a digest, a descriptor, a layout, a reference with a digest, or a reference with
/// registry host and tag. (`1.2.3` and `success` are outputs too, and valid references to Docker Hub.) A layout whose
/// path contains a comma must be written in a JSON array.
///
/// It is an error if a source is invalid, if there is none, or if an object contains none.
pub fn parse_sources(text: &str) -> Result<Vec<SourceSpec>, SourceError> {
    check_size(text)?;
    let mut sources = Vec::new();
    let mut rest = skip_separators(text);
    while !rest.is_empty() {
        if starts_json(rest) {
            let (value, after) = first_json_value(rest)?;
            sources.append(&mut sources_in_json(&value)?);
            let after = after.trim_start_matches([' ', '\t']);
            if !after.is_empty() && !after.starts_with(SEPARATORS) {
                return Err(SourceError::not_a_source(first_piece(after).0));
            }
            rest = skip_separators(after);
        } else {
            let (piece, after) = first_piece(rest);
            sources.push(parse_one(piece)?);
            rest = skip_separators(after);
        }
        check_count(sources.len())?;
    }
    if sources.is_empty() {
        return Err(SourceError::Empty);
    }
    Ok(sources)
}

const SEPARATORS: [char; 3] = ['\n', '\r', ','];

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || SEPARATORS.contains(&c))
}

/// Splits at the first separator.
fn first_piece(text: &str) -> (&str, &str) {
    let end = text.find(SEPARATORS).unwrap_or(text.len());
    let (piece, rest) = text.split_at(end);
    (piece.trim_end(), rest)
}

fn first_json_value(text: &str) -> Result<(serde_json::Value, &str), SourceError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values
        .next()
        .unwrap_or_else(|| Ok(serde_json::Value::Null))
        .map_err(|reason| SourceError::json(text, reason))?;
    Ok((value, text.get(values.byte_offset()..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::limits::{MAX_ITEMS, MAX_TEXT};
    use super::super::source::SourceForm;
    use super::*;

    const A: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn shown(text: &str) -> Vec<String> {
        let sources = parse_sources(text).unwrap();
        let form = |source: SourceSpec| match source.form {
            SourceForm::Reference(reference) => format!("reference {reference}"),
            SourceForm::Digest(digest) => format!("digest {}", digest.short()),
            SourceForm::Descriptor(it) => format!("descriptor {} {}", it.digest.short(), it.size),
            SourceForm::Layout(layout) => format!("layout {layout}"),
        };
        sources.into_iter().map(form).collect()
    }

    #[test]
    fn every_form_is_recognised() {
        let descriptor = format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{A}","size":7}}"#
        );
        let pinned = format!("ghcr.io/o/app:1@{A}");
        let in_layout = format!("oci:./build:1@{A}");
        for (text, form) in [
            ("nginx", "reference docker.io/library/nginx:latest"),
            ("[::1]:5000/app:1", "reference [::1]:5000/app:1"),
            ("[fe80::1]/app", "reference [fe80::1]/app:latest"),
            (&pinned, &format!("reference {pinned}")),
            (A, "digest e3b0c44298fc"),
            (&descriptor, "descriptor e3b0c44298fc 7"),
            (&in_layout, &format!("layout {in_layout}")),
            ("oci-archive:a b.tar", "layout oci-archive:a b.tar"),
        ] {
            assert_eq!(shown(text), [form], "{text}");
        }
    }

    #[test]
    fn a_text_may_contain_many_sources() {
        let text = format!(
            "\n  ghcr.io/o/a:1, ghcr.io/o/b:1\r\n,\n{A}\n[\n \"nginx:1\",\n \"oci:a,b\"\n],oci:c\n"
        );
        assert_eq!(
            shown(&text),
            [
                "reference ghcr.io/o/a:1",
                "reference ghcr.io/o/b:1",
                "digest e3b0c44298fc",
                "reference docker.io/library/nginx:1",
                "layout oci:a,b",
                "layout oci:c",
            ]
        );
    }

    #[test]
    fn sources_keep_their_text() {
        let sources = parse_sources("nginx, oci:x").unwrap();
        assert_eq!(sources[0].text, "nginx");
        assert_eq!(sources[1].text, "oci:x");
    }

    #[test]
    fn invalid_sources_have_hints() {
        let hex = &A[7..];
        let cut = &A[..40];
        for (text, message, hint) in [
            ("", "no source was given", "use a reference"),
            (" \n,", "no source was given", "use a reference"),
            (
                hex,
                "cannot specify 64-byte hexadecimal strings",
                "sha256:e3b0",
            ),
            (cut, "64 hex digits, not 33", ""),
            ("sha256:latest", "invalid digest", ""),
            ("sha384:abc", "unsupported digest algorithm", ""),
            ("oci://ghcr.io/o/app", "looks like a registry reference", ""),
            ("docker://nginx", "invalid source", "omit docker://"),
            (
                "ghcr.io/O/app:1",
                "must be lowercase",
                "use ghcr.io/o/app:1",
            ),
            ("./build", "invalid source", "oci:./build"),
            (
                "build/image.TAR",
                "must be lowercase",
                "use build/image.tar",
            ),
            ("/tmp/i.tar", "invalid source", "oci-archive:/tmp/i.tar"),
            ("ghcr.io/o/app:${TAG}", "invalid source", "not replaced"),
            ("ghcr.io/o/app:", "invalid source", "a variable is empty"),
            ("nginx alpine", "invalid source", "line breaks or commas"),
            ("[1, 2]", "[0]: \"1\" is not a source", "use a reference"),
            ("[null]", "[0]: \"null\" is not a source", "use a reference"),
            ("{\"a\":", "not valid JSON", "toJSON"),
            (
                "[\"nginx\"] alpine",
                "\"alpine\" is not a source",
                "use a reference",
            ),
        ] {
            let error = parse_sources(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            let hints = format!("{:?}", error.hints());
            assert!(hints.contains(hint), "{text}: {hints}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let many = "a\n".repeat(MAX_ITEMS + 1);
        assert!(matches!(
            parse_sources(&many),
            Err(SourceError::TooMany { .. })
        ));
        let long = " ".repeat(MAX_TEXT + 1);
        assert!(matches!(
            parse_sources(&long),
            Err(SourceError::TooLarge { .. })
        ));
        let deep = "[".repeat(100_000);
        assert!(parse_sources(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in ".{0,200}") {
            let _ = parse_sources(&text);
        }

        #[test]
        fn texts_of_tokens_are_parsed_without_panic(pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "{", "}", "[", "]", "\"", ":", ",", "\n", " ", "@", "oci:", "sha256:", "a", "\\",
                "\"digest\":", "\"mediaType\":", "null", "1", A, "ghcr.io/o/a:1", "\u{e4}",
            ]), 0..30))
        {
            let _ = parse_sources(&pieces.concat());
        }
    }
}
