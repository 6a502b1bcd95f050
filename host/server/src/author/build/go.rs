//! Go: `go build` makes a core module of WASI preview 1, and a component is made of that.

use std::path::Path;

use crate::author::project::Project;
use crate::author::tool;
use crate::cli::failure::Failure;

use super::component;

/// The first Go that can export functions to WebAssembly.
const OLDEST: (u32, u32) = (1, 24);
const CURE: &str = "install Go 1.24 or newer (go.dev/dl) and have `go` on PATH";

pub(super) async fn build(project: &Project) -> Result<(), Failure> {
    check(&project.folder).await?;
    let module = project.work("build")?.join("module.wasm");
    let mut go = tool::command("go", &project.folder);
    // Without the state of a repository, or each commit would make another component; without this machine's folders
    // in stack traces; as a library, or Go would call `main` and end.
    go.env("GOOS", "wasip1").env("GOARCH", "wasm");
    go.args(["build", "-buildvcs=false", "-trimpath", "-buildmode=c-shared", "-o"]).arg(&module).arg(".");
    tool::run(&mut go).await?;
    component::wrap(project, &module).await
}

pub(super) async fn check(folder: &Path) -> Result<(), Failure> {
    if tool::on_path("go").is_none() {
        return Err(tool::missing("there is no `go`", CURE));
    }
    let text = tool::ask(tool::command("go", folder).args(["env", "GOVERSION"])).await.unwrap_or_default();
    match super::version(&text) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => Err(tool::missing(&format!("Go is `{text}`, older than {}.{}", OLDEST.0, OLDEST.1), CURE)),
    }
}
