//! Which crate of `host/` may import which: the table of `docs/architecture.md`, read from the manifests.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::assert_none;
use crate::tree;

/// A crate and the crates of the tree that it may import. `server` puts all together.
const EDGES: [(&str, &[&str]); 8] = [
    ("event", &[]),
    ("log", &[]),
    ("broker", &["event", "log"]),
    ("registry", &["event", "api"]),
    ("runtime", &["event"]),
    ("dispatch", &["event"]),
    ("api", &[]),
    ("server", &["event", "log", "broker", "registry", "runtime", "dispatch", "api"]),
];

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for file in tree::files() {
        let parts: Vec<&str> = file.path.split('/').collect();
        if let ["host", name, "Cargo.toml"] = parts[..] {
            seen += 1;
            problems.extend(check(name, &file.text).into_iter().map(|problem| format!("{}: {problem}", file.path)));
        }
    }
    assert!(seen >= 6, "only {seen} manifests in host/");
    assert_none(&problems, "move what is shared to a crate that both may import, or pass it through a port of `event`");
}

fn check(name: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
        return vec![format!("crate `{name}` is not in the table of allowed imports")];
    };
    let manifest: Table = manifest.parse().unwrap_or_else(|error| panic!("host/{name}/Cargo.toml: {error}"));
    let of = |kind| imports(&manifest, kind);
    let (normal, development) = (&of("dependencies") | &of("build-dependencies"), of("dev-dependencies"));
    // The words may serve any test.
    let forbidden =
        |import: &&String, also: &[&str]| !allowed.contains(&import.as_str()) && !also.contains(&import.as_str());
    let normal = normal.iter().filter(|import| forbidden(import, &[]));
    let development = development.iter().filter(|import| forbidden(import, &["event"]));
    let mut problems: Vec<String> = normal.map(|import| format!("`{name}` may not import `{import}`")).collect();
    problems.extend(development.map(|import| format!("the tests of `{name}` may not import `{import}`")));
    problems
}

/// The crates of the tree in a table of dependencies, for whatever target.
fn imports(manifest: &Table, kind: &str) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = targets.filter_map(Value::as_table).chain([manifest]);
    let names = tables.filter_map(|table| table.get(kind)?.as_table()).flat_map(Table::keys);
    names.filter_map(|name| name.strip_prefix("hostel-")).map(str::to_owned).collect()
}

#[test]
fn a_forbidden_edge_is_named() {
    let import = |table: &str, name: &str| format!("[{table}]\nhostel-{name}.workspace = true\n");
    assert_eq!(check("broker", &import("dependencies", "log")), Vec::<String>::new());
    assert_eq!(check("broker", &import("dependencies", "runtime")), ["`broker` may not import `runtime`"]);
    let only_on_unix = import("target.'cfg(unix)'.dependencies", "api");
    assert_eq!(check("event", &only_on_unix), ["`event` may not import `api`"]);
    assert_eq!(check("api", &import("dev-dependencies", "event")), Vec::<String>::new());
    assert_eq!(check("api", &import("dependencies", "event")), ["`api` may not import `event`"]);
    assert_eq!(check("api", &import("dev-dependencies", "log")), ["the tests of `api` may not import `log`"]);
    assert_eq!(check("cache", ""), ["crate `cache` is not in the table of allowed imports"]);
}
