//! Reads `GITHUB_OUTPUT` by the rules of the runner: `EnvFileKeyValuePairs` in
//! <https://github.com/actions/runner/blob/main/src/Runner.Worker/FileCommandManager.cs>.

/// Returns the names and values that the runner reads from the file.
pub(super) fn parse_outputs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut lines = text.split_inclusive('\n');
    let mut pairs = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        match (equals, heredoc) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                pairs.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            }
            (_, Some(heredoc)) => {
                let (key, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
                if key.is_empty() || delimiter.is_empty() {
                    return Err(format!("invalid format {line:?}"));
                }
                let mut value = String::new();
                loop {
                    let next = lines.next().ok_or("matching delimiter not found")?;
                    if next.strip_suffix('\n').unwrap_or(next) == delimiter {
                        break;
                    }
                    if !next.ends_with('\n') {
                        return Err("EOF marker missing new line".to_owned());
                    }
                    value.push_str(next);
                }
                let value = value.strip_suffix('\n').unwrap_or(&value);
                pairs.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("invalid format {line:?}")),
        }
    }
    Ok(pairs)
}
