//! Puts into the binary what `hostel new` and `hostel build` write into a project: the templates, the SDKs, the
//! contract, and the source of the tool that makes components of core modules.
//!
//! The files are read from the tree, so what is embedded is what stands there. Of an SDK goes along what an author
//! builds with; its tests, and what tools may have left beside them, do not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The names under which the code finds the files, the folder that each comes from, and the entries of it that go
/// along; all of them where none are named.
const PARTS: [(&str, &str, &[&str]); 14] = [
    ("CONTRACT", "../../wit", &["handler.wit", "deps"]),
    ("COMPONENT_TOOL", "../../guest-sdk/component", &["Cargo.toml", "Cargo.lock", "src"]),
    (
        "RUST_SDK",
        "../../guest-sdk/rust",
        &["Cargo.toml", "README.md", "hostel/Cargo.toml", "hostel/src", "macros/Cargo.toml", "macros/src"],
    ),
    ("JAVASCRIPT_SDK", "../../guest-sdk/javascript", &["README.md", "package.json", "src", "types"]),
    ("PYTHON_SDK", "../../guest-sdk/python", &["README.md", "pyproject.toml", "requirements-build.txt", "src/hostel"]),
    ("GO_SDK", "../../guest-sdk/go", &["README.md", "go.mod", "hostel", "internal"]),
    ("C_SDK", "../../guest-sdk/c", &["README.md", "include", "src", "bindings/bindings.c", "bindings/bindings.h"]),
    ("SHARED_TEMPLATE", "templates/shared", &[]),
    ("RUST_TEMPLATE", "templates/rust", &[]),
    ("JAVASCRIPT_TEMPLATE", "templates/javascript", &[]),
    ("TYPESCRIPT_TEMPLATE", "templates/typescript", &[]),
    ("PYTHON_TEMPLATE", "templates/python", &[]),
    ("GO_TEMPLATE", "templates/go", &[]),
    ("C_TEMPLATE", "templates/c", &[]),
];

fn main() -> io::Result<()> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let mut code = String::new();
    for (name, folder, entries) in PARTS {
        let root = here.join(folder);
        let mut files = Vec::new();
        if entries.is_empty() {
            collect(&root, &mut files)?;
        }
        for entry in entries {
            collect(&root.join(entry), &mut files)?;
        }
        files.sort();
        code += &format!("pub(super) static {name}: &[File] = &[\n");
        for file in files {
            let below = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            writeln!(code, "    ({below:?}, include_bytes!({:?})),", file.display().to_string())
                .map_err(io::Error::other)?;
        }
        code += "];\n";
    }
    fs::write(PathBuf::from(variable("OUT_DIR")?).join("embedded.rs"), code)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

/// A file, or every file below a folder. Cargo runs this again when one of them changes, comes or goes.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", path.display());
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What Python leaves; the SDKs' copies of the contract, which is embedded once; the tests of the Go SDK.
        let is_left_out = name == "__pycache__" || name == "wit" || name.ends_with("_test.go");
        // Of a template the tests are the point.
        let is_template = path.components().any(|part| part.as_os_str() == "templates");
        if is_template || !is_left_out {
            collect(&path, files)?;
        }
    }
    Ok(())
}
