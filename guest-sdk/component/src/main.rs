//! `hostel-component MODULE WIT OUT`: the command line of this crate.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, wit, out] = &arguments[..] else {
        eprintln!("usage: hostel-component MODULE WIT OUT");
        return ExitCode::from(2);
    };
    match run(Path::new(module), Path::new(wit), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(module: &Path, wit: &Path, out: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let component = hostel_component::component(&bytes, wit)
        .with_context(|| format!("cannot make a component of `{}`", module.display()))?;
    fs::write(out, component).with_context(|| format!("cannot write `{}`", out.display()))
}
