//! `Link` headers, which name the next page of a list. <https://www.rfc-editor.org/rfc/rfc8288#section-3>.

use http::{HeaderMap, header};

use crate::text::unquoted;

/// A `Link` header that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Returns the distinct targets of all links with the relation `next`. A link that cannot be parsed is an error only if
/// it may name the next page.
pub(super) fn next_targets(headers: &HeaderMap) -> Result<Vec<String>, Malformed> {
    let mut targets = Vec::new();
    for value in headers.get_all(header::LINK) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let mut rest = value.as_ref();
        while !rest.trim_matches(is_between).is_empty() {
            let Some((link, behind)) = first_link(rest) else {
                if rest.to_ascii_lowercase().contains("next") {
                    return Err(Malformed);
                }
                break;
            };
            if link.is_next && !targets.iter().any(|known| known == link.target) {
                targets.push(link.target.to_owned());
            }
            rest = behind;
        }
    }
    Ok(targets)
}

struct Link<'a> {
    target: &'a str,
    is_next: bool,
}

/// Returns whether a character separates two links.
fn is_between(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

/// Splits `<target>; name=value; name="value"` from the rest.
fn first_link(text: &str) -> Option<(Link<'_>, &str)> {
    let text = text.trim_start_matches(is_between);
    let (target, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let mut relation: Option<String> = None;
    loop {
        rest = rest.trim_start();
        let Some(parameter) = rest.strip_prefix(';') else {
            break;
        };
        let parameter = parameter.trim_start();
        let end = parameter.find([';', ',', '=']).unwrap_or(parameter.len());
        let (name, behind) = parameter.split_at(end);
        rest = behind;
        if let Some(value) = rest.strip_prefix('=') {
            let (value, behind) = parameter_value(value.trim_start())?;
            rest = behind;
            // Of several relations, only the first parameter counts: section 3.3.
            if name.trim().eq_ignore_ascii_case("rel") && relation.is_none() {
                relation = Some(value);
            }
        }
    }
    if !rest.is_empty() && !rest.starts_with(',') {
        return None;
    }
    let is_next = relation.is_some_and(|relation| {
        let mut types = relation.split_ascii_whitespace();
        types.any(|kind| kind.eq_ignore_ascii_case("next"))
    });
    Some((
        Link {
            target: target.trim(),
            is_next,
        },
        rest,
    ))
}

/// Splits a word or a quoted text from the rest.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let (value, rest) = unquoted(quoted);
    Some((value, rest?))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn targets(links: &[&str]) -> Result<Vec<String>, Malformed> {
        let mut headers = HeaderMap::new();
        for link in links {
            headers.append(header::LINK, HeaderValue::from_str(link).unwrap());
        }
        next_targets(&headers)
    }

    #[test]
    fn every_form_of_the_next_page_is_found() {
        for links in [
            &["</n>; rel=\"next\""][..],
            &["</n>; rel=next"],
            &["</n>;rel = \"next\""],
            &["</n>; title=\"a, <b>; rel=\\\"first\\\"\"; rel=NEXT; type=x"],
            &["</n>; rel=\"last next\""],
            &["</f>; rel=\"first\"", "</n>; rel=\"next\""],
            &["</f>; rel=\"first\", </n>; rel=\"next\", </l>; rel=last"],
            &["</n>; flag; rel=next", "</n>; rel=next"],
            &[", </f> , </n>; rel=next,"],
            &["broken", "</n>; rel=next"],
        ] {
            assert_eq!(targets(links), Ok(vec!["/n".to_owned()]), "{links:?}");
        }
    }

    #[test]
    fn other_links_are_ignored() {
        for links in [
            &[][..],
            &["</f>; rel=\"first\""],
            &["</f>; rel=first; rel=next"],
            &["</next>; rel=prev; title=next"],
            &["</n>; rel=nextish"],
            &["</n>"],
            &["nonsense"],
        ] {
            assert_eq!(targets(links), Ok(Vec::new()), "{links:?}");
        }
    }

    #[test]
    fn a_next_page_that_cannot_be_read_is_an_error() {
        for link in [
            "/n; rel=next",
            "</n; rel=next",
            "</n>; rel=\"next",
            "</n> rel=next",
        ] {
            assert_eq!(targets(&[link]), Err(Malformed), "{link}");
        }
    }
}
