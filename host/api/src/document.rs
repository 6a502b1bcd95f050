//! Reading what people write: TOML files and JSON, with errors that name the file, the line, the key, and the nearest
//! known name where a key is unknown.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::suggest::explain_unknown_key;

/// Why a text is not what it should be. Its own text names the file, the line and the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{what}", place = Place { file: file.as_deref(), line: *line })]
pub struct DocumentError {
    /// The file, if it came from one.
    pub file: Option<String>,
    /// The line, counted from 1, where one is to blame.
    pub line: Option<usize>,
    /// Which kind of mistake.
    pub mistake: Mistake,
    /// What is wrong, and with which key.
    pub what: String,
}

/// The kinds of mistake in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// It is not TOML or JSON at all.
    Syntax,
    /// A key that is not known.
    UnknownKey,
    /// A key that must be there and is not.
    MissingKey,
    /// A value that its key cannot have.
    Value,
}

/// Reads TOML. `file` is its name for errors.
///
/// # Errors
/// [`DocumentError`] says what is wrong and where.
pub fn from_toml<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, DocumentError> {
    let failed = |path: Option<&str>, error: &toml::de::Error| {
        let (mistake, what) = explain(error.message(), path);
        // A missing key is no line's fault: its span is the whole table.
        let span = error.span().filter(|_| mistake != Mistake::MissingKey);
        let line = span.and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        DocumentError { file: Some(file.to_owned()), line, mistake, what }
    };
    let reader = toml::Deserializer::parse(text).map_err(|error| failed(None, &error))?;
    serde_path_to_error::deserialize(reader).map_err(|error| failed(Some(&error.path().to_string()), error.inner()))
}

/// Reads JSON.
///
/// # Errors
/// [`DocumentError`] says what is wrong and where.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    // Serde would take an array for a record, field by field.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let what = "an array where an object is expected, such as `{\"name\": …}`".to_owned();
        return Err(DocumentError { file: None, line: None, mistake: Mistake::Value, what });
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| json_error(error.inner(), Some(&error.path().to_string())))?;
    reader.end().map_err(|error| json_error(&error, None))?;
    Ok(value)
}

/// File and line before a sentence, as far as they are known.
struct Place<'a> {
    file: Option<&'a str>,
    line: Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "`{file}` line {line}: "),
            (Some(file), None) => write!(f, "`{file}`: "),
            (None, Some(line)) => write!(f, "line {line}: "),
            (None, None) => Ok(()),
        }
    }
}

fn json_error(error: &serde_json::Error, path: Option<&str>) -> DocumentError {
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&suffix).unwrap_or(&text);
    // Where serde_json could not read on, the path says nothing of use: the text itself is broken.
    let (mistake, what) = explain(message, path.filter(|_| error.is_data()));
    let line = Some(error.line()).filter(|line| *line > 0 && mistake != Mistake::MissingKey);
    DocumentError { file: None, line, mistake, what }
}

/// Puts a deserializer's message into our words. `path` is where it stood, as `serde_path_to_error` writes it; `None`
/// where the text could not even be parsed.
fn explain(message: &str, path: Option<&str>) -> (Mistake, String) {
    let message = message.trim_end().replace('\n', ", ");
    let Some(path) = path else { return (Mistake::Syntax, message) };
    let path = if path == "." { "" } else { path };
    // The path of an unknown key ends in that key; the table is what lies before.
    let table = path.rsplit_once('.').map_or("", |(table, _)| table);
    if let Some(text) = explain_unknown_key(&message, table) {
        return (Mistake::UnknownKey, text);
    }
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match (missing, path) {
        (Some(key), "") => (Mistake::MissingKey, format!("key `{key}` is missing")),
        (Some(key), path) => (Mistake::MissingKey, format!("key `{key}` is missing in `{path}`")),
        (None, "") => (Mistake::Value, message),
        (None, path) => (Mistake::Value, format!("key `{path}`: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Numbers = BTreeMap<String, BTreeMap<String, u8>>;

    #[test]
    fn each_kind_of_mistake_is_told() {
        let toml = |text| from_toml::<Numbers>(text, "a.toml").map_err(|error| (error.mistake, error.to_string()));
        assert_eq!(
            toml("[a]\nb = 300"),
            Err((Mistake::Value, "`a.toml` line 2: key `a.b`: invalid value: integer `300`, expected u8".to_owned()))
        );
        assert_eq!(toml("[a]\nb == 3").unwrap_err().0, Mistake::Syntax);
        assert_eq!(toml("[a]\nb = 3").unwrap()["a"]["b"], 3);
    }

    #[test]
    fn json_is_told_apart_from_what_is_not() {
        let json =
            |text: &str| from_json::<Numbers>(text.as_bytes()).map_err(|error| (error.mistake, error.to_string()));
        let wrong = "line 2: key `a.b`: invalid type: string \"x\", expected u8";
        assert_eq!(json("{\"a\":\n{\"b\":\"x\"}}"), Err((Mistake::Value, wrong.to_owned())));
        assert_eq!(json(" [1]").unwrap_err().1, "an array where an object is expected, such as `{\"name\": …}`");
        assert_eq!(json("{\"a\":{"), Err((Mistake::Syntax, "line 1: EOF while parsing an object".to_owned())));
    }
}
