//! `hostel doctor`: what it finds on a machine that is well, and on one that is not.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use hostel_tests::binary;
use hostel_tests::cli::Ran;
use hostel_tests::host::{Host, PATIENCE};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Runs it apart from any project, with a config.
async fn doctor(folder: &Path, config: &str, arguments: &[&str]) -> Ran {
    let file = folder.join("hostel.toml");
    fs::write(&file, config).expect("a config file");
    let mut command = Command::new(binary());
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).current_dir(folder);
    command.args(["doctor", "--config"]).arg(&file).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("ends in time").expect("runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What it says of these things, as `(about, verdict, what)`.
fn said(ran: &Ran, about: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&ran.stdout).expect("a report in JSON");
    let examined = report.get("examined").and_then(Value::as_array).expect("what was examined");
    let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let meant = examined.iter().filter(|one| text(one, "about") == about);
    meant.map(|one| (text(one, "verdict"), text(one, "what"))).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

const FREE: &str =
    "data_dir = 'data'\nbroker.use = 'memory'\nadmin.listen = '127.0.0.1:0'\ningress.listen = '127.0.0.1:0'\n";

#[tokio::test]
async fn every_mistake_in_the_config_is_found_and_what_needs_none_is_looked_at_all_the_same() {
    let folder = folder();
    let ran = doctor(folder.path(), "[runtime]\ninvocations = 0\nmemory_limit = '1B'\n", &["--json"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found = said(&ran, "config");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(verdict, _)| verdict == "finding"), "{found:?}");
    assert_eq!(said(&ran, "rust").len(), 1);
    assert!(said(&ran, "port").is_empty());
}

#[tokio::test]
async fn ports_permissions_and_the_clock_are_looked_at() {
    let folder = folder();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("its owner's");
    let token = data.join("operator-token");
    fs::write(&token, "s3cret").expect("a file");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("open to all");
    // In the year 2096.
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    fs::File::options().append(true).open(&token).and_then(|file| file.set_modified(later)).expect("of the future");
    let config = FREE.replacen("127.0.0.1:0", &address.to_string(), 1);

    let ran = doctor(folder.path(), &config, &["--json", "--admin-url", "http://127.0.0.1:9"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(!ran.stdout.contains("s3cret"));
    let is_finding = |about: &str, part: &str| {
        let said = said(&ran, about);
        assert!(said.iter().any(|(verdict, what)| verdict == "finding" && what.contains(part)), "{about}: {said:?}");
    };
    is_finding("port", &format!("{address} for `admin.listen` is taken"));
    is_finding("data directory", "operator-token` may be read by others");
    is_finding("clock", "s in its future");
    let host = said(&ran, "host");
    assert_eq!(host.first().map(|(verdict, _)| verdict.as_str()), Some("note"), "{host:?}");
}

#[tokio::test]
async fn a_host_that_answers_is_found_with_its_version() {
    let (host, folder) = (Host::start().await, folder());
    let url = format!("http://{}", host.admin);
    let ran = doctor(folder.path(), FREE, &["--json", "--admin-url", &url]).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(said(&ran, "host"), [("fine".to_owned(), format!("version {version} answers at {url}"))]);
    let of_people = doctor(folder.path(), FREE, &["--admin-url", &url]).await;
    assert!(of_people.stdout.lines().any(|line| line.starts_with("ok    host ")), "{}", of_people.stdout);
    assert_eq!(ran.code, of_people.code);
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_found() {
    let folder = folder();
    let config = |path: &str| format!("{FREE}admin.secure = true\nadmin.client_ca = '{path}'\n");
    let ran = doctor(folder.path(), &config("nowhere.pem"), &["--json"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found = said(&ran, "client certificates");
    let [(verdict, what)] = &found[..] else { panic!("{found:?}") };
    assert!(verdict == "finding" && what.starts_with("`admin.client_ca`: cannot read `nowhere.pem`"), "{what}");

    let made = rcgen::generate_simple_self_signed(["ca".to_owned()]).expect("a certificate");
    fs::write(folder.path().join("ca.pem"), made.cert.pem()).expect("written");
    let ran = doctor(folder.path(), &config("ca.pem"), &["--json"]).await;
    let expected = ("fine".to_owned(), "`ca.pem` has 1 certificate, for `admin.client_ca`".to_owned());
    assert_eq!(said(&ran, "client certificates"), [expected]);
}
