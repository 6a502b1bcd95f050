//! The command line and its client over TLS: whom they believe.

use std::path::Path;

use hostel_api::client::{Client, ClientError};
use hostel_tests::host::Host;

#[tokio::test]
async fn a_host_is_believed_by_its_certificate_and_by_nothing_else() {
    let host = Host::start_with("admin.secure = true\ningress.secure = true\n").await;
    let (target, certificate) = (host.target("default"), |folder| host.certificate(folder));

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
    let empty = host.data().join("empty.pem");
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
}
