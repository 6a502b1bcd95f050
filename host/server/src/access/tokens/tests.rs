//! Tokens and the certificates that stand for them, with a log and without.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use hostel_api::unit::Span;
use hostel_log::log::Log;
use hostel_log::record::Kind;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn log(folder: &Path) -> Option<Arc<Log>> {
    let settings = hostel_log::settings::Settings { reserve: 0, ..hostel_log::settings::Settings::default() };
    Some(Arc::new(Log::open(&folder.join("log"), settings).unwrap()))
}

async fn open(log: Option<Arc<Log>>, folder: &Path) -> Tokens {
    Tokens::open(Documents::new(log, Kind::Token), folder).await.unwrap()
}

fn request(scopes: &[&str]) -> TokenRequest {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    TokenRequest { name: "ci".to_owned(), scopes, ..TokenRequest::default() }
}

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

#[tokio::test]
async fn a_token_holds_until_it_is_revoked_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (text, id) = {
        let tokens = open(log(folder.path()), folder.path()).await;
        let (token, text) = tokens.create(Some(&acme()), &request(&["deploy"]), NOW).await.unwrap();
        (text.unwrap(), token.id.clone())
    };
    let tokens = open(log(folder.path()), folder.path()).await;
    let token = tokens.verify(&text, NOW).unwrap();
    assert_eq!((token.tenant.clone(), &token.scopes[..]), (Some(acme()), &[Scope::Deploy][..]));
    let mut other = text.clone();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    assert!(tokens.verify(&other, NOW).is_none(), "a token that is nearly right");
    assert!(tokens.revoke(None, &id).await.unwrap().is_none(), "it is not the host's");
    assert!(tokens.revoke(Some(&acme()), &id).await.unwrap().is_some());
    assert!(token.revoked.is_cancelled() && tokens.verify(&text, NOW).is_none());
    assert!(tokens.revoke(Some(&acme()), &id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_expires() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(None, folder.path()).await;
    let expires_in = Some(Span(Duration::from_secs(1)));
    let request = TokenRequest { expires_in, ..request(&["read"]) };
    let (_, text) = tokens.create(Some(&acme()), &request, NOW).await.unwrap();
    let text = text.unwrap();
    assert!(tokens.verify(&text, Timestamp::from_millis(1_999)).is_some());
    assert!(tokens.verify(&text, Timestamp::from_millis(2_000)).is_none());
}

#[tokio::test]
async fn a_certificate_stands_for_one_token_until_that_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Fingerprint::of(b"certificate");
    let wanted = TokenRequest { certificate: Some(certificate.to_string()), ..request(&["read"]) };
    let id = {
        let tokens = open(log(folder.path()), folder.path()).await;
        let (token, text) = tokens.create(Some(&acme()), &wanted, NOW).await.unwrap();
        assert!(text.is_none(), "there is no secret to tell");
        let other = Tenant::new("other").unwrap();
        let taken = tokens.create(Some(&other), &wanted, NOW).await.unwrap_err();
        assert!(matches!(taken, Refusal::CertificateTaken(_)), "{taken}");
        token.id.clone()
    };
    let tokens = open(log(folder.path()), folder.path()).await;
    let token = tokens.of_certificate(&certificate, NOW).unwrap();
    assert_eq!((token.tenant.clone(), token.certificate()), (Some(acme()), Some(certificate)));
    assert!(tokens.of_certificate(&Fingerprint::of(b"another"), NOW).is_none());
    assert!(tokens.revoke(Some(&acme()), &id).await.unwrap().is_some());
    assert!(token.revoked.is_cancelled() && tokens.of_certificate(&certificate, NOW).is_none());
    tokens.create(Some(&acme()), &wanted, NOW).await.unwrap();
    assert_eq!(tokens.revoke_all(&acme()).await.unwrap(), 1);
    assert!(tokens.of_certificate(&certificate, NOW).is_none());
}

#[tokio::test]
async fn the_operators_first_token_is_in_a_file_that_nobody_else_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FIRST);
    let tokens = open(log(folder.path()), folder.path()).await;
    tokens.ensure_operator(NOW).await.unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = tokens.verify(text.trim(), NOW).unwrap();
    tokens.ensure_operator(NOW).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "one holds, so none is made");
    tokens.revoke(None, &token.id).await.unwrap();
    assert!(!file.exists(), "a revoked token lies nowhere");
    let certificate = Some(Fingerprint::of(b"certificate").to_string());
    tokens.create(None, &TokenRequest { certificate, ..request(&["operator"]) }, NOW).await.unwrap();
    tokens.ensure_operator(NOW).await.unwrap();
    assert_ne!(fs::read_to_string(&file).unwrap(), text, "a certificate may end unseen");
}

#[tokio::test]
async fn a_host_that_keeps_nothing_goes_on_with_the_operators_token() {
    let folder = tempfile::tempdir().unwrap();
    open(None, folder.path()).await.ensure_operator(NOW).await.unwrap();
    let text = fs::read_to_string(folder.path().join(FIRST)).unwrap();
    let again = open(None, folder.path()).await;
    again.ensure_operator(NOW).await.unwrap();
    assert!(again.verify(text.trim(), NOW).is_some());
}

#[tokio::test]
async fn a_request_that_cannot_be_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(None, folder.path()).await;
    let check = async |tenant: Option<&Tenant>, request: TokenRequest, expected: &str| {
        let error = tokens.create(tenant, &request, NOW).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    let acme = acme();
    let acme = Some(&acme);
    check(acme, request(&[]), "`scopes` must have 1 to 64 entries").await;
    check(acme, request(&["read", "write"]), "`scopes[1]`: `write` is no scope").await;
    check(acme, request(&["operator"]), "`scopes[0]`: a tenant's token cannot have `operator`").await;
    check(None, request(&["read"]), "`scopes[0]`: a token of the host itself").await;
    check(acme, TokenRequest { name: String::new(), ..request(&["read"]) }, "`name` must have 1 to 100").await;
    let certificate = Some("client.pem".to_owned());
    check(acme, TokenRequest { certificate, ..request(&["read"]) }, "`certificate` must be the SHA-256").await;
    let expires_in = Some(Span(Duration::ZERO));
    check(acme, TokenRequest { expires_in, ..request(&["read"]) }, "`expires_in` must be longer").await;
}
