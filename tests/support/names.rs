//! Names for values that differ between runs: the address of a registry, a directory, a digest.

/// Pairs of a name in capitals and its value.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Adds a name, or changes its value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Replaces names by their values, where a name is not part of a longer word in capitals.
    pub fn expand(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = replace_word(&text, name, value);
        }
        text
    }

    /// Replaces values by their names, including values inside file names. Also replaces hashes that differ between
    /// runs.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // A later value may contain an earlier one.
        for (name, value) in self.0.iter().rev() {
            text = text.replace(value, name);
            text = text.replace(&value.replace(':', "_"), name);
        }
        // The file name of a list contains the registry with its port.
        text = replace_hash(&text, "-", ".json", "HASH");
        // A delimiter in an output of GitHub Actions is random.
        replace_hash(&text, "polyarch_", "\n", "RANDOM")
    }
}

fn replace_word(text: &str, word: &str, value: &str) -> String {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    // `$HOME` is a variable of a shell.
    let joins = |c: char| is_part(c) || c == '$' || c == '{';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let last = before.chars().last().or(result.chars().last());
        let is_whole = !last.is_some_and(joins) && !after.starts_with(is_part);
        result.push_str(before);
        result.push_str(if is_whole { value } else { word });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Replaces SHA-256 hashes in hexadecimal between `before` and `after`.
fn replace_hash(text: &str, before: &str, after: &str, by: &str) -> String {
    const LENGTH: usize = 64;
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        result.push_str(head);
        let is_hash = tail.len() > LENGTH
            && tail
                .bytes()
                .take(LENGTH)
                .all(|byte| byte.is_ascii_hexdigit())
            && tail[LENGTH..].starts_with(after);
        rest = if is_hash {
            result.push_str(by);
            &tail[LENGTH..]
        } else {
            tail
        };
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_as_whole_words() {
        let mut names = Names::default();
        names.set("HOST", "127.0.0.1:5000");
        names.set("HOME", "/tmp/x");
        let text = "HOST/a POLYARCH_HOME=HOME/y HOSTS xHOST $HOME";
        let expanded = "127.0.0.1:5000/a POLYARCH_HOME=/tmp/x/y HOSTS x127.0.0.1:5000 $HOME";
        assert_eq!(names.expand(text), expanded);
        assert_eq!(names.redact(expanded), text);
        let hash = "5a".repeat(32);
        let text = format!("{0}/127.0.0.1_5000_a-{hash}.json sha256:{hash}\n", "/tmp/x");
        assert_eq!(
            names.redact(&text),
            format!("HOME/HOST_a-HASH.json sha256:{hash}\n")
        );
    }
}
