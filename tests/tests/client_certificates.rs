//! Listeners that ask their clients for certificates: who is let in, who is told why not, and what a certificate may do.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hostel_api::client::{Certificate, Client, ClientError, Owner, Publication, Target, Tls};
use hostel_api::token::TokenRequest;
use hostel_tests::cli::Ran;
use hostel_tests::host::{Host, PATIENCE, publication, serve};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// An authority that signs certificates of clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// A certificate for somebody, in files of a folder.
    fn sign(&self, folder: &Path, name: &str) -> Certificate {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("signed");
        let (chain, own) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")));
        fs::write(&chain, certificate.pem()).expect("written");
        fs::write(&own, key.serialize_pem()).expect("written");
        Certificate { chain, key: own }
    }
}

/// A host over TLS, whose certificate is its own.
struct Secure {
    child: Child,
    folder: TempDir,
    admin: String,
    ingress: String,
    /// Where its further listeners are.
    further: Vec<String>,
}

impl Secure {
    /// Starts one; `config` follows `admin.secure` and `ingress.secure` and says how many further listeners there are.
    async fn start(folder: TempDir, config: &str) -> Self {
        let file = folder.path().join("hostel.toml");
        fs::write(&file, config).expect("a config file");
        let further = config.matches("[[ingress.listeners]]").count();
        let mut child = serve(folder.path()).arg("--config").arg(file).spawn().expect("the host starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let mut host = Self { child, folder, admin: String::new(), ingress: String::new(), further: Vec::new() };
        let mut said = String::new();
        let ready = async {
            while host.admin.is_empty() || host.further.len() < further {
                let Some(line) = lines.next_line().await.expect("readable") else { panic!("no start:\n{said}") };
                said += &line;
                let text = |key: &str| {
                    let (_, rest) = line.split_once(&format!(r#""{key}":""#))?;
                    Some(rest.split_once('"')?.0.to_owned())
                };
                if line.contains(r#""message":"ready""#) {
                    host.admin = text("admin").expect("an address");
                    host.ingress = text("ingress").expect("an address");
                } else if line.contains("listens for the events of a tenant") {
                    host.further.push(format!("https://{}", text("address").expect("an address")));
                }
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the host is ready in time");
        // Whatever more it says must not block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        host
    }

    /// The certificate of one of its faces.
    fn own(&self, folder: &str) -> PathBuf {
        self.folder.path().join("data").join(folder).join("certificate.pem")
    }

    /// A client of the admin API that shows this certificate, or none.
    fn admin(&self, tenant: &str, certificate: Option<Certificate>) -> Client {
        let target = Target { admin: self.admin.clone(), ingress: self.ingress.clone(), tenant: tenant.to_owned() };
        let tls = Tls { authorities: Some(self.own("tls-admin")), certificate };
        Client::over(&target, &tls).expect("good files")
    }

    /// The same of a listener of the ingress.
    fn ingress(&self, address: &str, certificate: Option<Certificate>) -> Client {
        let target = Target { admin: self.admin.clone(), ingress: address.to_owned(), tenant: "default".to_owned() };
        Client::over(&target, &Tls { authorities: Some(self.own("tls")), certificate }).expect("good files")
    }

    fn operator_token(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("data/operator-token")).expect("the host wrote a token");
        text.trim().to_owned()
    }

    /// Runs a command with these flags beside those that say where the host is.
    async fn run(&self, arguments: &[&str], certificate: Option<&Certificate>) -> Ran {
        let mut command = Command::new(hostel_tests::binary());
        command.env_clear().args(arguments).args(["--admin-url", &self.admin, "--ca"]).arg(self.own("tls-admin"));
        if let Some(Certificate { chain, key }) = certificate {
            command.arg("--client-certificate").arg(chain).env("HOSTEL_CLIENT_KEY", key);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("ends in time").expect("runs");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    async fn end(mut self) {
        self.child.kill().await.expect("ended");
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Whether the host sent the alert that a certificate is wanted, or another one.
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, ClientError>, alert: &str) {
    let error = answer.expect_err("refused");
    assert!(matches!(error, ClientError::Certificate { .. }), "{error:?}");
    assert!(error.with_cause().contains(alert), "{}", error.with_cause());
}

#[tokio::test]
async fn who_has_no_certificate_of_the_authority_does_not_get_in_by_any_listener() {
    let folder = folder();
    let (ours, rival) = (Authority::new("ours"), Authority::new("rival"));
    let path = folder.path().to_owned();
    fs::write(path.join("ours.pem"), &ours.pem).expect("written");
    fs::write(path.join("rival.pem"), &rival.pem).expect("written");
    let listener = |extra: &str| format!("[[ingress.listeners]]\nlisten = '127.0.0.1:0'\ntenant = 'acme'\n{extra}");
    let config = format!(
        "[admin]\nsecure = true\nclient_ca = '{0}/ours.pem'\n[ingress]\nsecure = true\nclient_ca = '{0}/ours.pem'\n{1}{2}{3}",
        path.display(),
        listener(""),
        listener(&format!("client_ca = '{}/rival.pem'\n", path.display())),
        listener("client_ca = ''\n"),
    );
    let host = Secure::start(folder, &config).await;
    let (good, bad) = (ours.sign(&path, "good"), rival.sign(&path, "bad"));

    host.admin("default", Some(good.clone())).ready().await.expect("let in");
    assert_refused(host.admin("default", None).ready().await, "CertificateRequired");
    assert_refused(host.admin("default", Some(bad.clone())).ready().await, "UnknownCA");

    let publish = async |address: &str, certificate: Option<&Certificate>| {
        host.ingress(address, certificate.cloned()).publish(&publication("a", "b")).await
    };
    let [follows, of_rival, open] = &host.further[..] else { panic!("{:?}", host.further) };
    for address in [&host.ingress, follows] {
        publish(address, Some(&good)).await.expect("let in");
        assert_refused(publish(address, None).await, "CertificateRequired");
        assert_refused(publish(address, Some(&bad)).await, "UnknownCA");
    }
    publish(of_rival, Some(&bad)).await.expect("let in");
    assert_refused(publish(of_rival, Some(&good)).await, "UnknownCA");
    publish(open, None).await.expect("this one asks for none");
    host.end().await;
}

#[tokio::test]
async fn the_command_line_shows_a_certificate_and_says_what_to_do_without() {
    let folder = folder();
    let ours = Authority::new("ours");
    let path = folder.path().to_owned();
    fs::write(path.join("ca.pem"), &ours.pem).expect("written");
    let config = format!("[admin]\nsecure = true\nclient_ca = '{}/ca.pem'\n", path.display());
    let host = Secure::start(folder, &config).await;
    let good = ours.sign(&path, "good");
    let ran = host.run(&["handlers", "--json"], Some(&good)).await;
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "[]"), "{ran:?}");
    let ran = host.run(&["handlers", "--json"], None).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("error[E0052]: ") && ran.stderr.contains("--client-certificate"), "{ran:?}");
    let key = good.key.display().to_string();
    let ran = host.run(&["handlers", "--client-key", &key], None).await;
    assert_eq!(
        (ran.code, ran.stderr.trim()),
        (Some(2), "error: `--client-certificate` and `--client-key` go together")
    );
    host.end().await;
}

#[tokio::test]
async fn other_authorities_count_as_soon_as_the_file_has_changed() {
    let folder = folder();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let path = folder.path().to_owned();
    let file = path.join("ca.pem");
    fs::write(&file, &old.pem).expect("written");
    let config = format!("[admin]\nsecure = true\nclient_ca = '{}'\n", file.display());
    let host = Secure::start(folder, &config).await;
    let (first, second) = (old.sign(&path, "first"), new.sign(&path, "second"));
    // A client of its own each time: an open connection goes on.
    let asks = |certificate: &Certificate| {
        let client = host.admin("default", Some(certificate.clone()));
        async move { client.ready().await }
    };
    asks(&first).await.expect("let in");
    assert_refused(asks(&second).await, "UnknownCA");

    let written = fs::metadata(&file).and_then(|about| about.modified()).expect("a time");
    let write = |text: &str, seconds: u64| {
        fs::write(&file, text).expect("written");
        // A file that is written twice within a tick of the file system's clock has changed all the same.
        let at = written + Duration::from_secs(seconds);
        fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(at)).expect("a time");
    };
    write(&format!("{}{}", old.pem, new.pem), 10);
    let until = async |certificate: &Certificate, wanted: bool| {
        let wait = async {
            while asks(certificate).await.is_ok() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the host looks at the file in time");
    };
    until(&second, true).await;
    asks(&first).await.expect("both count");
    write(&new.pem, 20);
    until(&first, false).await;
    asks(&second).await.expect("this one still counts");
    host.end().await;
}

#[tokio::test]
async fn a_certificate_stands_for_a_token_with_its_scopes_and_its_end() {
    let folder = folder();
    let ours = Authority::new("ours");
    let path = folder.path().to_owned();
    fs::write(path.join("ca.pem"), &ours.pem).expect("written");
    let both = format!("secure = true\nclient_ca = '{}/ca.pem'\nclient_certificates = 'optional'\n", path.display());
    let config = format!("[access]\nrequire = 'token'\n[[tenants]]\nname = 'acme'\n[admin]\n{both}[ingress]\n{both}");
    let host = Secure::start(folder, &config).await;
    let operator = host.admin("acme", None).with_token(&host.operator_token()).expect("a token");
    let (reader, shop, nobody) = (ours.sign(&path, "reader"), ours.sign(&path, "shop"), ours.sign(&path, "nobody"));

    // By the command line for one, by the API for the other.
    let file = reader.chain.display().to_string();
    let token_file = host.folder.path().join("data/operator-token").display().to_string();
    let arguments = [
        "--token-file",
        &token_file,
        "--tenant",
        "acme",
        "tokens",
        "create",
        "ann",
        "--scope",
        "read",
        "--certificate",
    ];
    let ran = host.run(&[&arguments[..], &[file.as_str()]].concat(), None).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "there is no secret: {ran:?}");
    let ran = host.run(&[&arguments[..], &[file.as_str()]].concat(), None).await;
    assert!(ran.code == Some(1) && ran.stderr.starts_with("error[E0053]: "), "{ran:?}");
    let of_reader = operator.tokens(Owner::Tenant).await.expect("listed").remove(0).certificate.expect("a fingerprint");
    assert!(ran.stderr.contains("stands for this certificate already") && of_reader.starts_with("sha256:"));

    let scopes = vec!["publish:orders.>".to_owned()];
    let fingerprint = fingerprint(&shop.chain);
    let request = TokenRequest { name: "shop".to_owned(), scopes, certificate: Some(fingerprint), expires_in: None };
    let by_tenant = TokenRequest { scopes: vec!["admin".to_owned()], certificate: None, ..request.clone() };
    let admin = operator.create_token(Owner::Tenant, &by_tenant).await.expect("made").secret;
    let admin = host.admin("acme", None).with_token(&admin).expect("a token");
    let code = |error: ClientError| match error {
        ClientError::Problem { problem, .. } => problem.code,
        other => panic!("{other:?}"),
    };
    let refused = admin.create_token(Owner::Tenant, &request).await.expect_err("only the operator may");
    assert_eq!(code(refused), "E0047");
    let made = operator.create_token(Owner::Tenant, &request).await.expect("made");
    assert_eq!(made.secret, "");

    // Each may what its token may, in its tenant, and not more.
    let of = |tenant: &str, certificate: &Certificate| host.admin(tenant, Some(certificate.clone()));
    assert_eq!(of("acme", &reader).handlers().await.expect("may read"), []);
    assert_eq!(code(of("acme", &reader).undeploy("a").await.expect_err("may not")), "E0047");
    assert_eq!(code(of("default", &reader).handlers().await.expect_err("not its tenant")), "E0015");
    assert_eq!(code(of("acme", &shop).handlers().await.expect_err("may not")), "E0047");
    let shops = host.ingress(&host.ingress, Some(shop.clone()));
    shops.publish(&publication("orders.created", "1")).await.expect("may publish");
    assert_eq!(code(shops.publish(&publication("bills", "1")).await.expect_err("may not")), "E0047");
    // A browser shows it for any page; only one of the host's own counts.
    let foreign = vec![("Origin".to_owned(), "https://other.example".to_owned())];
    let foreign = Publication { headers: foreign, ..publication("orders.created", "1") };
    assert_eq!(code(shops.publish(&foreign).await.expect_err("of another site")), "E0046");
    // A good certificate that stands for nothing, none at all, and a bad token beside a good certificate.
    assert_eq!(code(of("acme", &nobody).handlers().await.expect_err("stands for nothing")), "E0046");
    assert_eq!(code(host.admin("acme", None).handlers().await.expect_err("nobody")), "E0046");
    let confused = of("acme", &reader).with_token(&"hostel_x".repeat(3)).expect("may be sent");
    assert_eq!(code(confused.handlers().await.expect_err("the token counts")), "E0046");

    // On the connection that is open.
    operator.revoke_token(Owner::Tenant, &made.token.id).await.expect("revoked");
    assert_eq!(code(shops.publish(&publication("orders.created", "2")).await.expect_err("revoked")), "E0046");
    host.end().await;
}

#[tokio::test]
async fn a_host_shows_its_certificate_to_the_registry_of_another() {
    let folder = folder();
    let ours = Authority::new("ours");
    let path = folder.path().to_owned();
    fs::write(path.join("ca.pem"), &ours.pem).expect("written");
    let config =
        format!("[access]\nrequire = 'token'\n[admin]\nsecure = true\nclient_ca = '{}/ca.pem'\n", path.display());
    let keeper = Secure::start(folder, &config).await;
    let (known, unknown) = (ours.sign(&path, "known"), ours.sign(&path, "unknown"));
    let operator = keeper.admin("default", Some(known.clone())).with_token(&keeper.operator_token()).expect("a token");
    let request = TokenRequest {
        name: "host-2".to_owned(),
        scopes: vec!["operator".to_owned()],
        certificate: Some(fingerprint(&known.chain)),
        expires_in: None,
    };
    operator.create_token(Owner::Host, &request).await.expect("made");
    let user = async |certificate: &Certificate| {
        let Certificate { chain, key } = certificate;
        let address = &keeper.admin;
        let config = format!(
            "[registry]\nuse = 'http'\naddress = '{address}'\nca = '{}'\nclient_certificate = '{}'\nclient_key = '{}'\n",
            keeper.own("tls-admin").display(),
            chain.display(),
            key.display()
        );
        Host::start_with(&config).await
    };
    let (let_in, not_let_in) = (user(&known).await, user(&unknown).await);
    let services = let_in.client.services().await.expect("let in");
    assert_eq!(services, operator.services().await.expect("listed"));
    // It is believed on the wire, and stands for no token.
    let error = not_let_in.client.services().await.expect_err("not let in").to_string();
    assert!(error.contains("this takes a token"), "{error}");
    keeper.end().await;
}

/// The SHA-256 of the certificate in a PEM file, as OpenSSL would say it.
fn fingerprint(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file");
    let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, inner).expect("base64");
    let digest = hostel_tests::host::digest(&der);
    digest.trim_start_matches("sha256:").to_uppercase()
}

#[tokio::test]
async fn a_host_does_not_start_without_the_authorities_that_its_config_names() {
    let folder = folder();
    let start = async |config: &str| {
        let file = folder.path().join("hostel.toml");
        fs::write(&file, config).expect("a config file");
        let mut command = serve(folder.path());
        let output = command.arg("--config").arg(file).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("ends in time").expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = start("[admin]\nsecure = true\nclient_ca = 'nowhere.pem'").await;
    assert!(code == Some(1) && said.contains("`admin.client_ca`: cannot read `nowhere.pem`"), "{said}");
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").expect("written");
    let (code, said) = start(&format!("[ingress]\nsecure = true\nclient_ca = '{}'", empty.display())).await;
    assert!(code == Some(1) && said.contains("`ingress.client_ca`: there is no certificate in"), "{said}");
    let (code, said) = start("[ingress]\nclient_ca = 'ca.pem'").await;
    assert!(code == Some(2) && said.contains("`ingress.client_ca` has no effect without"), "{said}");
    // A certificate is no reason to ask nobody who they are where others can reach the host.
    let remote = "[[ingress.listeners]]\nlisten = '0.0.0.0:1'\ntenant = 'acme'\n";
    let (code, said) = start(&format!("[ingress]\nsecure = true\nclient_ca = 'ca.pem'\n{remote}")).await;
    assert!(code == Some(2) && said.starts_with("error[E0034]: "), "{said}");
}
