//! Python: a virtual environment in the project holds the SDK's pinned tools, and `hostel.build` of the SDK makes a
//! component.

use std::fs;
use std::path::Path;

use hostel_api::problem::Code;

use crate::author::project::Project;
use crate::author::{sdk, tool};
use crate::cli::failure::Failure;
use crate::cli::output;

const CURE: &str = "install Python 3.11 or newer with venv; on Debian and its relatives: apt-get install python3-venv";
/// Where the tools and the project's own packages are installed.
const ENVIRONMENT: &str = ".venv";
/// The module with the handler, unless pyproject.toml says otherwise.
const MODULE: &str = "handler";
/// The tools, with their digests.
const TOOLS: &str = "hostel-sdk/requirements-build.txt";
/// What the handler itself needs.
const OWN: &str = "requirements.txt";

pub(super) async fn build(project: &Project) -> Result<(), Failure> {
    let module = module(&project.folder)?;
    install(project).await?;
    let mut python = tool::command(project.folder.join(ENVIRONMENT).join("bin/python"), &project.folder);
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    tool::run(python.args(["-m", "hostel.build", &module, "--output"]).arg(&project.component)).await
}

/// Makes the environment, unless it holds what is asked for.
async fn install(project: &Project) -> Result<(), Failure> {
    let folder = project.folder.join(ENVIRONMENT);
    let stamp = folder.join("hostel-installed");
    let wanted = [TOOLS, OWN].map(|name| fs::read(project.folder.join(name)).unwrap_or_default()).concat();
    if fs::read(&stamp).is_ok_and(|old| old == wanted) {
        return Ok(());
    }
    check(&project.folder).await?;
    tool::run(tool::command("python3", &project.folder).args(["-m", "venv", "--clear", ENVIRONMENT])).await?;
    let python = folder.join("bin/python");
    let pip = || {
        let mut pip = tool::command(&python, &project.folder);
        pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]);
        pip
    };
    tool::run(pip().args(["--require-hashes", "-r", TOOLS])).await?;
    if project.folder.join(OWN).is_file() {
        tool::run(pip().args(["-r", OWN])).await?;
    }
    link_sdk(project, &python).await?;
    sdk::write(&stamp, &wanted)
}

/// Lets the environment find the SDK in the project, in tests as in a build.
async fn link_sdk(project: &Project, python: &Path) -> Result<(), Failure> {
    let asks = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let Some(packages) = tool::ask(tool::command(python, &project.folder).args(["-c", asks])).await else {
        return Err(Failure::coded(Code::BuildFailed, format!("`{}` does not run", python.display())));
    };
    let source = project.folder.join(sdk::FOLDER).join("src");
    if !source.is_dir() {
        output::talk("no `hostel-sdk` in the project: the package `hostel` is taken from requirements.txt");
        return Ok(());
    }
    sdk::write(&Path::new(&packages).join("hostel-sdk.pth"), format!("{}\n", source.display()).as_bytes())
}

pub(super) async fn check(folder: &Path) -> Result<(), Failure> {
    if tool::on_path("python3").is_none() {
        return Err(tool::missing("there is no `python3`", CURE));
    }
    let asks = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))";
    match tool::ask(tool::command("python3", folder).args(["-c", asks])).await {
        Some(_) => Ok(()),
        None => Err(tool::missing("`python3` is older than 3.11 or lacks venv", CURE)),
    }
}

/// The module with the handler: `module` in `[tool.hostel]` of pyproject.toml.
fn module(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("pyproject.toml");
    let text = fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
    let table: toml::Table =
        text.parse().map_err(|error| Failure::coded(Code::MalformedDocument, format!("`pyproject.toml`: {error}")))?;
    let module = table.get("tool").and_then(|it| it.get("hostel")).and_then(|it| it.get("module"));
    Ok(module.and_then(toml::Value::as_str).unwrap_or(MODULE).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_what_the_project_says() {
        let check = |text: &str, expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("pyproject.toml"), text).unwrap();
            assert_eq!(module(folder.path()).unwrap(), expected);
        };
        check("[project]\nname = \"a\"", "handler");
        check("[tool.hostel]\nmodule = \"orders.main\"", "orders.main");
    }
}
