//! `hostel tokens`: who may do what, as tokens that are made, listed and revoked.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use hostel_api::client::{Client, Owner};
use hostel_api::problem::Code;
use hostel_api::token::{TokenRequest, TokenView};
use hostel_api::unit::Span;

use super::failure::Failure;
use super::{output, table};
use crate::access::certificate::Fingerprint;

/// The flags of `tokens`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token and print it; nobody can be told it a second time
    Create(CreateArguments),
    /// List the tokens, without what makes them tokens
    List(ListArguments),
    /// Revoke a token; from then on nobody is let in with it
    Revoke(RevokeArguments),
}

#[derive(Debug, clap::Args)]
struct CreateArguments {
    /// What to call it: whose it is, or what for
    name: String,
    /// What it may do: `publish:PATTERN`, `subscribe:PATTERN`, `read`, `deploy`, `admin`
    #[arg(long = "scope", value_name = "SCOPE", required_unless_present = "operator")]
    scopes: Vec<String>,
    /// How long it is good, such as `90d`; without it until it is revoked
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<Span>,
    /// A token of the host itself, that may do everything in every tenant
    #[arg(long, conflicts_with = "scopes")]
    operator: bool,
    /// The certificate of a client that has it, in place of a secret: a PEM file, or the SHA-256 of one
    #[arg(long, value_name = "FILE|SHA256")]
    certificate: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Those of the host itself
    #[arg(long)]
    operator: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct RevokeArguments {
    /// The token's id, as `hostel tokens list` shows it
    id: String,
    /// One of the host itself
    #[arg(long)]
    operator: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const fn owner(operator: bool) -> Owner {
    if operator { Owner::Host } else { Owner::Tenant }
}

/// Makes, lists or revokes.
pub(crate) async fn run(client: &Client, arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create(arguments) => create(client, arguments).await,
        Command::List(arguments) => list(client, &arguments).await,
        Command::Revoke(arguments) => revoke(client, &arguments).await,
    }
}

async fn create(client: &Client, arguments: CreateArguments) -> Result<(), Failure> {
    let CreateArguments { name, mut scopes, expires_in, operator, certificate, json } = arguments;
    let certificate = certificate.map(|text| fingerprint(&text)).transpose()?;
    if operator {
        scopes.push("operator".to_owned());
    }
    let request = TokenRequest { name, scopes, expires_in, certificate };
    let created = client.create_token(owner(operator), &request).await?;
    if json {
        return output::json(&created);
    }
    if let Some(certificate) = &created.token.certificate {
        output::talk(&format!("token {}; who shows the certificate {certificate} has it", created.token.id));
        return Ok(());
    }
    output::talk(&format!("token {}; keep it now, nobody can be told it again", created.token.id));
    output::data(&format!("{}\n", created.secret))
}

/// What a certificate is known by, from its file or as it is.
fn fingerprint(text: &str) -> Result<String, Failure> {
    if let Some(fingerprint) = Fingerprint::parse(text) {
        return Ok(fingerprint.to_string());
    }
    let path = Path::new(text);
    let bytes = std::fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
    match CertificateDer::from_pem_slice(&bytes) {
        Ok(certificate) => Ok(Fingerprint::of(&certificate).to_string()),
        Err(error) => Err(Failure::coded(Code::FileUnreadable, format!("no certificate in `{text}`: {error}"))),
    }
}

async fn list(client: &Client, arguments: &ListArguments) -> Result<(), Failure> {
    let tokens = client.tokens(owner(arguments.operator)).await?;
    if arguments.json {
        return output::json(&tokens);
    }
    if tokens.is_empty() {
        output::talk("no tokens; `hostel tokens create` makes one");
        return Ok(());
    }
    output::data(&render(&tokens))
}

fn render(tokens: &[TokenView]) -> String {
    let row = |token: &TokenView| {
        let until = match (&token.expires_at, token.expired) {
            (Some(at), true) => format!("{at} (over)"),
            (Some(at), false) => at.clone(),
            (None, _) => "-".to_owned(),
        };
        // Enough to tell one from another; the whole is in the JSON.
        let shown_by = match token.certificate.as_deref() {
            Some(certificate) => format!("certificate {}", certificate.get(..23).unwrap_or(certificate)),
            None => "secret".to_owned(),
        };
        [token.id.clone(), token.name.clone(), token.scopes.join(" "), shown_by, token.created_at.clone(), until]
    };
    table::render(
        ["ID", "NAME", "SCOPES", "SHOWN BY", "CREATED", "GOOD UNTIL"],
        &tokens.iter().map(row).collect::<Vec<_>>(),
    )
}

async fn revoke(client: &Client, arguments: &RevokeArguments) -> Result<(), Failure> {
    let token = client.revoke_token(owner(arguments.operator), &arguments.id).await?;
    if arguments.json {
        return output::json(&token);
    }
    output::talk(&format!("revoked `{}` ({})", token.name, token.id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_each_token_may_do_and_until_when() {
        let token = TokenView {
            id: "00112233445566ab".to_owned(),
            name: "ci".to_owned(),
            tenant: Some("acme".to_owned()),
            scopes: vec!["deploy".to_owned(), "publish:orders.>".to_owned()],
            created_at: "2026-01-01T00:00:00.000Z".to_owned(),
            expires_at: Some("2026-02-01T00:00:00.000Z".to_owned()),
            expired: true,
            certificate: None,
        };
        let of_certificate = TokenView {
            scopes: vec!["read".to_owned()],
            expires_at: None,
            certificate: Some(Fingerprint::of(b"a").to_string()),
            ..token.clone()
        };
        assert_eq!(
            render(&[token, of_certificate]),
            "ID                NAME  SCOPES                   SHOWN BY                             CREATED                   GOOD UNTIL\n\
             00112233445566ab  ci    deploy publish:orders.>  secret                               2026-01-01T00:00:00.000Z  2026-02-01T00:00:00.000Z (over)\n\
             00112233445566ab  ci    read                     certificate sha256:ca978112ca1bbdca  2026-01-01T00:00:00.000Z  -\n"
        );
    }

    #[test]
    fn a_certificate_is_given_by_its_fingerprint_or_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let expected = Fingerprint::of(certificate.der()).to_string();
        let file = folder.path().join("client.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        assert_eq!(fingerprint(&file.to_string_lossy()), Ok(expected.clone()));
        assert_eq!(fingerprint(&expected), Ok(expected));
        std::fs::write(&file, "nothing").unwrap();
        let Err(Failure::Coded { code, .. }) = fingerprint(&file.to_string_lossy()) else { panic!("it has none") };
        assert_eq!(code, "E0037");
    }
}
