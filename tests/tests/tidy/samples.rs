//! Every sample handler runs in the black-box suite.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::tree;

#[test]
fn every_sample_handler_has_a_case() {
    let files = tree::files();
    let samples: BTreeSet<&str> = files.iter().filter_map(|file| sample(&file.path)).collect();
    assert!(!samples.is_empty(), "no handlers/<language>/<name>/handler.toml");
    // What stands in these files are rules, not cases.
    let is_case = |path: &str| path.starts_with("tests/tests/") && !path.starts_with("tests/tests/tidy/");
    let cases: Vec<&str> = files.iter().filter(|file| is_case(&file.path)).map(|file| file.text.as_str()).collect();
    let problems: Vec<String> = samples
        .into_iter()
        .filter(|sample| !cases.iter().any(|text| mentions(text, sample)))
        .map(|sample| format!("handlers/{sample}: no file in tests/tests mentions \"{sample}\""))
        .collect();
    assert_none(&problems, "add a test that deploys the handler and checks what it does with an event");
}

/// `rust/hello` of `handlers/rust/hello/…`.
fn sample(path: &str) -> Option<&str> {
    let sample = path.strip_prefix("handlers/")?.strip_suffix("/handler.toml")?;
    (sample.split('/').count() == 2).then_some(sample)
}

/// Whether a text holds the name as a string, with or without its language.
fn mentions(text: &str, sample: &str) -> bool {
    let name = sample.rsplit('/').next().unwrap_or(sample);
    [sample, name].iter().any(|name| text.contains(&format!("\"{name}\"")))
}

#[test]
fn a_sample_is_known_by_its_manifest_and_its_name_by_its_quotes() {
    assert_eq!(sample("handlers/rust/hello/handler.toml"), Some("rust/hello"));
    assert_eq!(sample("handlers/rust/hello/deep/handler.toml"), None);
    assert!(mentions("deploy(\"hello\")", "rust/hello"));
    assert!(mentions("deploy(\"rust/hello\")", "rust/hello"));
    assert!(!mentions("say hello", "rust/hello"));
}
