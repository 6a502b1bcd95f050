//! Makes a component of a core module: gives it the types of a world of `hostel:handler`, and WASI 0.2 for the WASI
//! preview 1 that it imports.
//!
//! Compilers such as Go's and clang's build core modules. What a handler of theirs imports and exports is known by its
//! names only; the types come from the contract in `wit/`. A module that does not fit them is refused here, at build
//! time. This crate neither compiles anything nor knows of languages.

use std::path::Path;

use anyhow::{Context, Result, bail};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

/// What every handler exports.
const SUBSCRIBER: &str = "hostel:handler/subscriber@";
/// What a handler exports that prepares itself.
const LIFECYCLE: &str = "hostel:handler/lifecycle@";

/// The component of a core module.
///
/// `wit` is the folder of the contract. The world is `handler-with-lifecycle` if the module exports `lifecycle`, and
/// `handler` otherwise. Of a world's imports the component has those that the module uses.
///
/// # Errors
/// When the folder cannot be read, the bytes are not a core module, the module exports no handler, or an import or
/// export of it is not of the world's type.
pub fn component(module: &[u8], wit: &Path) -> Result<Vec<u8>> {
    let world = world(&exports(module)?)?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).with_context(|| format!("cannot read `{}`", wit.display()))?;
    with_types(module.to_vec(), &resolve, package, world)
}

fn with_types(mut module: Vec<u8>, resolve: &Resolve, package: PackageId, world: &str) -> Result<Vec<u8>> {
    let id = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, resolve, id, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("the module does not fit the world `{world}` of hostel:handler"))
}

/// The names of a core module's exports.
fn exports(module: &[u8]) -> Result<Vec<String>> {
    if Parser::is_component(module) {
        bail!("this is a component already");
    }
    if !Parser::is_core_wasm(module) {
        bail!("this is not a WebAssembly module");
    }
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(section) = payload.context("the module is malformed")? {
            for export in section {
                names.push(export?.name.to_owned());
            }
        }
    }
    Ok(names)
}

/// The world that a module with these exports is of.
fn world(exports: &[String]) -> Result<&'static str> {
    let has = |interface: &str| exports.iter().any(|name| name.starts_with(interface));
    match (has(SUBSCRIBER), has(LIFECYCLE)) {
        (true, true) => Ok("handler-with-lifecycle"),
        (true, false) => Ok("handler"),
        (false, _) => bail!(
            "the module exports no handler (`{SUBSCRIBER}…#handle`); in Go import the SDK and build with \
             -buildmode=c-shared, in C name the handler with HOSTEL_HANDLER"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
    }

    /// A module with an empty handler, from the text of its other fields.
    fn module(fields: &str) -> Vec<u8> {
        let text = format!(
            r#"(module {fields}
                (memory (export "memory") 1)
                (func (export "hostel:handler/subscriber@0.1.0#handle") (param i32) (result i32) i32.const 0)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
        );
        wat::parse_str(text).unwrap()
    }

    fn imports(component: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            match payload.unwrap() {
                Payload::ComponentImportSection(section) => {
                    names.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
                }
                // What follows imports of its own.
                Payload::ModuleSection { .. } => break,
                _ => {}
            }
        }
        names
    }

    #[test]
    fn a_module_becomes_a_component_that_imports_what_it_uses() {
        let wasm = component(&module(""), &contract()).unwrap();
        assert!(Parser::is_component(&wasm));
        assert_eq!(imports(&wasm), ["hostel:handler/types@0.1.0", "hostel:handler/events@0.1.0"]);
        let logs = r#"(import "wasi:logging/logging@0.1.0-draft" "log" (func (param i32 i32 i32 i32 i32)))"#;
        let wasm = component(&module(logs), &contract()).unwrap();
        assert!(imports(&wasm).contains(&"wasi:logging/logging@0.1.0-draft".to_owned()));
    }

    #[test]
    fn preview_1_becomes_what_the_host_offers() {
        let writes = r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#;
        let imports = imports(&component(&module(writes), &contract()).unwrap());
        assert!(imports.contains(&"wasi:cli/stdout@0.2.12".to_owned()), "{imports:?}");
    }

    #[test]
    fn a_module_with_preparation_is_of_the_other_world() {
        let prepares = r#"(func (export "hostel:handler/lifecycle@0.1.0#init") (result i32) i32.const 0)"#;
        assert!(Parser::is_component(&component(&module(prepares), &contract()).unwrap()));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let check = |module: &[u8], expected: &str| {
            let error = format!("{:#}", component(module, &contract()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check(b"\0asm", "not a WebAssembly module");
        check(&component(&module(""), &contract()).unwrap(), "a component already");
        check(&wat::parse_str("(module)").unwrap(), "exports no handler");
        let logs = r#"(import "wasi:logging/logging@0.1.0-draft" "log" (func (param i32)))"#;
        check(&module(logs), "wasi:logging/logging@0.1.0-draft");
        check(&module(r#"(import "env" "puts" (func (param i32)))"#), "env");
    }
}
