//! JavaScript and TypeScript: npm installs what the lock file names into the project, and the SDK's own command bundles
//! the source and makes a component of it.

use std::fs;
use std::path::Path;

use hostel_api::problem::Code;
use serde_json::Value;

use crate::author::project::Project;
use crate::author::{sdk, tool};
use crate::cli::failure::Failure;

/// The oldest Node that the SDK's tools run on.
const OLDEST: u32 = 20;
const CURE: &str = "install Node 20 or newer with npm; on Debian and its relatives: apt-get install nodejs npm";
/// What builds, in the project's packages.
const COMMAND: &str = "node_modules/hostel/src/build/command.js";
/// Where the source is that exports `subscriber`, unless `main` of package.json says otherwise.
const ENTRY: &str = "src/handler.js";

pub(super) async fn build(project: &Project) -> Result<(), Failure> {
    check(&project.folder).await?;
    install(project).await?;
    let entry = entry(&project.folder)?;
    if !project.folder.join(COMMAND).is_file() {
        let text = format!("there is no `{COMMAND}`; is `hostel` among the dependencies in package.json?");
        return Err(Failure::coded(Code::BuildFailed, text));
    }
    let mut node = tool::command("node", &project.folder);
    tool::run(node.args([COMMAND, &entry, "--output"]).arg(&project.component)).await
}

pub(super) async fn check(folder: &Path) -> Result<(), Failure> {
    for program in ["node", "npm"] {
        if tool::on_path(program).is_none() {
            return Err(tool::missing(&format!("there is no `{program}`"), CURE));
        }
    }
    let text = tool::ask(tool::command("node", folder).arg("--version")).await.unwrap_or_default();
    match super::version(&text) {
        Some((major, _)) if major >= OLDEST => Ok(()),
        _ => Err(tool::missing(&format!("Node is `{text}`, older than {OLDEST}"), CURE)),
    }
}

/// Installs what package.json and its lock file name, unless that is installed.
async fn install(project: &Project) -> Result<(), Failure> {
    let stamp = project.work("build")?.join("installed-packages");
    let wanted =
        || ["package.json", "package-lock.json"].map(|name| fs::read(project.folder.join(name)).unwrap_or_default());
    let installed = fs::read(&stamp).is_ok_and(|old| old == wanted().concat());
    if installed && project.folder.join("node_modules").is_dir() {
        return Ok(());
    }
    let mut npm = tool::command("npm", &project.folder);
    // It follows the lock file, and writes into it what package.json has beyond it. No package needs its install
    // script: esbuild's only makes its first start faster.
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]);
    tool::run(&mut npm).await?;
    sdk::write(&stamp, &wanted().concat())
}

/// The source that exports `subscriber`.
///
/// # Errors
/// When package.json cannot be read.
pub(crate) fn entry(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("package.json");
    let bytes = fs::read(&path).map_err(|error| Failure::unreadable(&path, &error))?;
    let package: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::coded(Code::MalformedDocument, format!("`package.json`: {error}")))?;
    Ok(package.get("main").and_then(Value::as_str).unwrap_or(ENTRY).to_owned())
}
