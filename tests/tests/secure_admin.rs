//! The command line and its client over TLS: whom they believe.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::Path;

use hostel_api::client::{Client, ClientError, Target};
use hostel_tests::host::{PATIENCE, serve};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

/// Starts a host whose two faces speak TLS, each with a certificate that it made, and says where they are.
async fn start(data: &Path) -> (Child, Target) {
    let config = data.join("hostel.toml");
    std::fs::write(&config, "admin.secure = true\ningress.secure = true\n").expect("a config file");
    let mut child = serve(data).arg("--config").arg(config).spawn().expect("the host starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            let url = |key: &str| {
                let (_, rest) = line.split_once(&format!(r#""{key}":"https://"#))?;
                Some(format!("https://{}", rest.split_once('"')?.0))
            };
            if let (Some(admin), Some(ingress)) = (url("admin"), url("ingress")) {
                return Target { admin, ingress, tenant: "default".to_owned() };
            }
        }
        panic!("the host did not start");
    };
    let target = tokio::time::timeout(PATIENCE, ready).await.expect("the host is ready in time");
    (child, target)
}

#[tokio::test]
async fn a_host_is_believed_by_its_certificate_and_by_nothing_else() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (mut child, target) = start(data.path()).await;
    let certificate = |folder: &str| data.path().join("data").join(folder).join("certificate.pem");

    let believing = Client::trusting(&target, Some(&certificate("tls-admin"))).expect("a good file");
    believing.ready().await.expect("the host is up");
    let doubting = Client::new(&target).expect("good addresses");
    let error = doubting.ready().await.expect_err("nobody vouches for it");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    let other = Client::trusting(&target, Some(&certificate("tls"))).expect("a good file");
    assert!(other.ready().await.is_err(), "the certificate of the other face does not vouch for this one");

    let missing = Client::trusting(&target, Some(Path::new("no-such-file.pem")));
    let Err(ClientError::Invalid(text)) = missing else { panic!("it is not there") };
    assert!(text.starts_with("cannot read certificates from `no-such-file.pem`"), "{text}");
    let empty = data.path().join("empty.pem");
    std::fs::write(&empty, "").expect("a file");
    let Err(ClientError::Invalid(text)) = Client::trusting(&target, Some(&empty)) else { panic!("it is empty") };
    assert!(text.ends_with("has no certificate that can be used"), "{text}");

    let mut command = tokio::process::Command::new(hostel_tests::binary());
    command
        .env_clear()
        .args(["handlers", "--json", "--admin-url", &target.admin, "--ca"])
        .arg(certificate("tls-admin"));
    let ran = command.output().await.expect("runs");
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stdout).trim()), (Some(0), "[]"), "{ran:?}");
    child.kill().await.expect("ended");
}
