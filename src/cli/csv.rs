//! Parses lists in one argument as Docker's flags do: as fields of CSV.

/// Returns the fields of the first line of `text` that is not empty, by the rules of Go's `encoding/csv`:
/// <https://pkg.go.dev/encoding/csv>. Without such a line there are no fields.
pub(super) fn fields(text: &str) -> Result<Vec<String>, &'static str> {
    let mut rest = text.trim_start_matches(['\r', '\n']);
    let mut fields = Vec::new();
    if rest.is_empty() {
        return Ok(fields);
    }
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let end = rest.find([',', '\n']).unwrap_or(rest.len());
            let field = &rest[..end];
            if field.contains('"') {
                return Err("unexpected quote in a field");
            }
            (field.trim_end_matches('\r').to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() || after.starts_with(['\r', '\n']) => return Ok(fields),
            None => return Err("unexpected text after a closing quote"),
        }
    }
}

/// Returns the field before its closing quote, and the text after that quote. Two quotes stand for one.
fn unquote(quoted: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"').ok_or("missing closing quote")?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn fields_are_read_as_go_does() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            ("a,,b", &["a", "", "b"]),
            (",", &["", ""]),
            (" a , b", &[" a ", " b"]),
            (r#""a""#, &["a"]),
            (r#""x,y",z"#, &["x,y", "z"]),
            (r#""say ""hi""","""#, &[r#"say "hi""#, ""]),
            ("a\nb,c", &["a"]),
            ("a\r\nb", &["a"]),
            ("\"a\nb\",c", &["a\nb", "c"]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text:?}");
        }
        for wrong in [r#"a"b"#, r#""a"b"#, r#""a"#, "\""] {
            fields(wrong).unwrap_err();
        }
    }
}
