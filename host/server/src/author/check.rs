//! What came of a build: whether a host would take it, how large it is, and which lines of the manifest its imports ask
//! for.

use std::fmt::Write as _;
use std::time::Duration;

use hostel_api::manifest::Manifest;
use serde::Serialize;

use crate::cli::failure::Failure;

use super::project::Project;

/// The most bytes that a host takes unless it is configured otherwise.
const COMPONENT_LIMIT: usize = 64 * 1024 * 1024;

/// A component that a host would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Checked {
    /// Where it is, as the manifest says.
    pub(crate) component: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// The world that it fits.
    pub(crate) world: String,
    /// Everything that it imports.
    pub(crate) imports: Vec<String>,
    /// What it imports that does nothing unless the manifest allows it.
    pub(crate) grants: Vec<Grant>,
    /// How long it took to build, in milliseconds.
    pub(crate) took_ms: u64,
}

/// A line of the manifest that an import asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Grant {
    /// What the component can do with it.
    pub(crate) what: &'static str,
    /// The line, to be filled in.
    pub(crate) line: &'static str,
    /// Whether the manifest has such a line.
    pub(crate) given: bool,
}

/// Checks a component as a host does before it compiles it.
///
/// # Errors
/// With the code and the text of the host's own refusal.
pub(crate) fn check(project: &Project, bytes: &[u8], took: Duration) -> Result<Checked, Failure> {
    let inspected = hostel_runtime::inspect(bytes, COMPONENT_LIMIT).map_err(|error| {
        let text = format!("`{}`: {error}", project.component_shown());
        match crate::answer::load_code(&error) {
            Some(code) => Failure::coded(code, text),
            None => Failure::plain(text),
        }
    })?;
    Ok(Checked {
        component: project.component_shown().to_owned(),
        bytes: bytes.len() as u64,
        world: inspected.world.to_string(),
        grants: grants(&inspected.imports, &project.manifest),
        imports: inspected.imports,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn grants(imports: &[String], manifest: &Manifest) -> Vec<Grant> {
    let table: [(&str, &str, &str, bool); 4] = [
        ("hostel:handler/publisher@", "publish", r#"publish = ["some.topic"]"#, !manifest.publish.is_empty()),
        ("wasi:keyvalue/", "keep keys and values", r#"keyvalue = ["some-bucket"]"#, !manifest.keyvalue.is_empty()),
        (
            "wasi:http/outgoing-handler@",
            "send HTTP requests",
            r#"http = ["https://some.server"]"#,
            !manifest.http.is_empty(),
        ),
        ("wasi:config/store@", "read config", "[config]", !manifest.config.is_empty()),
    ];
    let imported = |prefix: &str| imports.iter().any(|import| import.starts_with(prefix));
    let wanted = table.into_iter().filter(|(prefix, ..)| imported(prefix));
    wanted.map(|(_, what, line, given)| Grant { what, line, given }).collect()
}

/// A few lines for a person.
pub(crate) fn render(checked: &Checked) -> String {
    let Checked { component, bytes, world, took_ms, .. } = checked;
    let mut text = format!("{component}  {} KiB  {world}  in {}\n", bytes.div_ceil(1024), seconds(*took_ms));
    for Grant { what, line, given } in &checked.grants {
        let state = match (*given, *line) {
            (true, _) => "handler.toml says what",
            (false, "[config]") => "handler.toml has none, which is fine if it needs none",
            (false, _) => "handler.toml has no such line, so it is refused",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "  may {what} with `{line}`: {state}");
    }
    text
}

pub(crate) fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_import_that_needs_a_line_is_told_with_it() {
        let manifest = Manifest::from_toml("name = \"a\"\ncomponent = \"a.wasm\"\npublish = [\"x\"]", "a").unwrap();
        let imports = ["hostel:handler/publisher@0.1.0", "wasi:keyvalue/atomics@0.2.0-draft", "wasi:cli/stdout@0.2.12"];
        let imports: Vec<String> = imports.map(str::to_owned).into();
        let checked = Checked {
            component: "target/a.wasm".to_owned(),
            bytes: 94_000,
            world: "hostel:handler/handler@0.1.0".to_owned(),
            grants: grants(&imports, &manifest),
            imports,
            took_ms: 3_210,
        };
        let expected = "target/a.wasm  92 KiB  hostel:handler/handler@0.1.0  in 3.2 s\n  \
                        may publish with `publish = [\"some.topic\"]`: handler.toml says what\n  \
                        may keep keys and values with `keyvalue = [\"some-bucket\"]`: handler.toml has no such line, \
                        so it is refused\n";
        assert_eq!(render(&checked), expected);
    }
}
