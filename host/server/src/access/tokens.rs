//! The tokens that hold: made, checked, revoked. What is kept of one is in the log, and never the token itself.
//!
//! One is shown by its text, which is a secret, or stands for a client's certificate, which is none: that its holder has
//! the key was proven when the connection began.
//!
//! All of them are in memory, so that a revocation counts for the next request, and ends the streams that the token
//! follows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use hostel_api::token::TokenRequest;
use hostel_event::name::Tenant;
use hostel_event::time::Timestamp;

use super::certificate::Fingerprint;
use super::scope::Scope;
use super::secret::{self, Drawn, Hash};
use crate::deploy::Refusal;
use crate::private;
use crate::telemetry;
use crate::tenants::documents::Documents;

/// The most tokens of a tenant, and of the host itself. Arbitrary: one for each of many services and people.
const LIMIT: usize = 1000;
/// The most scopes of a token. Arbitrary.
const SCOPES: usize = 64;
/// The most characters of a token's name. Arbitrary: a line.
const NAME: usize = 100;
/// The file of the operator's first token, in the data directory.
const FIRST: &str = "operator-token";

/// What is known of a token.
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Whose it is; none: the host's own.
    pub(crate) tenant: Option<Tenant>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// Cancelled when it is revoked.
    pub(crate) revoked: CancellationToken,
    proof: Proof,
}

/// What its holder has.
#[derive(Clone, Copy)]
enum Proof {
    /// The text of this hash.
    Secret(Hash),
    /// The key of this certificate.
    Certificate(Fingerprint),
}

impl Token {
    /// The certificate that it stands for, if it is not shown by its text.
    pub(crate) fn certificate(&self) -> Option<Fingerprint> {
        match self.proof {
            Proof::Secret(_) => None,
            Proof::Certificate(certificate) => Some(certificate),
        }
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// As it is kept. Keys that a later version adds are passed over.
#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    tenant: Option<String>,
    scopes: Vec<String>,
    /// The SHA-256 of the token's text, or if it has none, that of a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// Milliseconds since 1970.
    created_at: u64,
    expires_at: Option<u64>,
}

#[derive(Default)]
struct Table {
    by_id: BTreeMap<String, Arc<Token>>,
    by_certificate: BTreeMap<Fingerprint, Arc<Token>>,
}

impl Table {
    fn insert(&mut self, token: &Arc<Token>) {
        if let Some(certificate) = token.certificate() {
            self.by_certificate.insert(certificate, Arc::clone(token));
        }
        self.by_id.insert(token.id.clone(), Arc::clone(token));
    }

    fn remove(&mut self, token: &Token) {
        if let Some(certificate) = token.certificate() {
            self.by_certificate.remove(&certificate);
        }
        self.by_id.remove(&token.id);
    }
}

/// See the module's page.
pub(crate) struct Tokens {
    documents: Documents,
    table: RwLock<Table>,
    /// Held for the length of a change.
    changing: tokio::sync::Mutex<()>,
    first: PathBuf,
}

impl Tokens {
    /// Those that are kept. The operator's first one stands in a file of `data_dir`, or will.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) async fn open(documents: Documents, data_dir: &Path) -> Result<Self, Refusal> {
        let mut table = Table::default();
        for (id, document) in documents.read::<Document>().await? {
            let token = revived(&id, &document)
                .ok_or_else(|| Refusal::Internal(format!("what the log keeps of token `{id}` is malformed")))?;
            table.insert(&Arc::new(token));
        }
        let first = data_dir.join(FIRST);
        Ok(Self { documents, table: RwLock::new(table), changing: tokio::sync::Mutex::default(), first })
    }

    /// The token of this text, if it holds. Only the id is looked up; the rest is compared in constant time.
    pub(crate) fn verify(&self, text: &str, now: Timestamp) -> Option<Arc<Token>> {
        let token = self.table.read().by_id.get(secret::id(text)?).cloned()?;
        let Proof::Secret(hash) = token.proof else { return None };
        (hash.is_of(text) && !token.has_expired(now)).then_some(token)
    }

    /// The token that stands for this certificate, if it holds.
    pub(crate) fn of_certificate(&self, certificate: &Fingerprint, now: Timestamp) -> Option<Arc<Token>> {
        let token = self.table.read().by_certificate.get(certificate).cloned()?;
        (!token.has_expired(now)).then_some(token)
    }

    /// Those of a tenant, or of the host itself, the oldest first.
    pub(crate) fn list(&self, tenant: Option<&Tenant>) -> Vec<Arc<Token>> {
        let table = self.table.read();
        let mut tokens: Vec<_> =
            table.by_id.values().filter(|token| token.tenant.as_ref() == tenant).cloned().collect();
        tokens.sort_by_key(|token| token.created_at);
        tokens
    }

    /// Makes a token; also gives its text, which nobody is told again, unless it stands for a certificate.
    pub(crate) async fn create(
        &self,
        tenant: Option<&Tenant>,
        request: &TokenRequest,
        now: Timestamp,
    ) -> Result<(Arc<Token>, Option<String>), Refusal> {
        let scopes = checked(tenant, request)?;
        let certificate = request.certificate.as_deref().map(|text| {
            let malformed = "`certificate` must be the SHA-256 of a certificate: 64 hexadecimal digits";
            Fingerprint::parse(text).ok_or_else(|| Refusal::Manifest(malformed.to_owned()))
        });
        let certificate = certificate.transpose()?;
        let expires_at = match request.expires_in {
            Some(span) if span.0.is_zero() => {
                return Err(Refusal::Manifest("`expires_in` must be longer than nothing".to_owned()));
            }
            Some(span) => {
                let millis = u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
                Some(Timestamp::from_millis(now.as_millis().saturating_add(millis)))
            }
            None => None,
        };
        let _changing = self.changing.lock().await;
        if self.list(tenant).len() >= LIMIT {
            return Err(Refusal::Limit(format!("there are {LIMIT} tokens already, as many as there may be")));
        }
        if let Some(taken) = certificate.and_then(|one| self.table.read().by_certificate.get(&one).cloned()) {
            let text = format!("token `{}` stands for this certificate already; revoke it first", taken.id);
            return Err(Refusal::CertificateTaken(text));
        }
        let Drawn { id, text, hash } = secret::drawn(rand::random(), rand::random());
        let (proof, text) = match certificate {
            Some(certificate) => (Proof::Certificate(certificate), None),
            None => (Proof::Secret(hash), Some(text)),
        };
        let token = Token {
            id,
            name: request.name.clone(),
            tenant: tenant.cloned(),
            scopes,
            created_at: now,
            expires_at,
            revoked: CancellationToken::new(),
            proof,
        };
        self.keep(token).await.map(|token| (token, text))
    }

    /// Revokes a token of a tenant, or of the host itself; `None` if there is none of this id.
    pub(crate) async fn revoke(&self, tenant: Option<&Tenant>, id: &str) -> Result<Option<Arc<Token>>, Refusal> {
        let _changing = self.changing.lock().await;
        let found = self.table.read().by_id.get(id).filter(|token| token.tenant.as_ref() == tenant).cloned();
        let Some(token) = found else { return Ok(None) };
        self.documents.remove(&[id]).await?;
        self.table.write().remove(&token);
        token.revoked.cancel();
        self.forget_first(id);
        Ok(Some(token))
    }

    /// Revokes all that a tenant has; says how many.
    pub(crate) async fn revoke_all(&self, tenant: &Tenant) -> Result<usize, Refusal> {
        let _changing = self.changing.lock().await;
        let tokens = self.list(Some(tenant));
        let ids: Vec<&str> = tokens.iter().map(|token| token.id.as_str()).collect();
        self.documents.remove(&ids).await?;
        for token in &tokens {
            self.table.write().remove(token);
            token.revoked.cancel();
        }
        Ok(tokens.len())
    }

    /// Sees to it that the operator can come in: writes a token to a file if there is none that holds and is shown as a
    /// secret. One that a certificate stands for ends with the certificate, and with the config that asks for it.
    ///
    /// A host that keeps nothing takes the token that its file has: whoever has copied it goes on with it.
    pub(crate) async fn ensure_operator(&self, now: Timestamp) -> Result<(), Refusal> {
        let _changing = self.changing.lock().await;
        let lets_in = |token: &Arc<Token>| {
            token.certificate().is_none() && token.scopes.contains(&Scope::Operator) && !token.has_expired(now)
        };
        if self.list(None).iter().any(lets_in) {
            return Ok(());
        }
        let kept = match self.documents.is_durable() {
            true => None,
            false => fs::read_to_string(&self.first).ok().and_then(|text| secret::parsed(text.trim())),
        };
        let (drawn, is_new) = match kept {
            Some(drawn) => (drawn, false),
            None => (secret::drawn(rand::random(), rand::random()), true),
        };
        let token = Token {
            id: drawn.id,
            name: "first".to_owned(),
            tenant: None,
            scopes: vec![Scope::Operator],
            created_at: now,
            expires_at: None,
            revoked: CancellationToken::new(),
            proof: Proof::Secret(drawn.hash),
        };
        self.keep(token).await?;
        if is_new {
            private::write(&self.first, &format!("{}\n", drawn.text)).map_err(|error| {
                Refusal::Internal(format!("cannot write the operator's token to `{}`: {error}", self.first.display()))
            })?;
            telemetry::operator_token(&self.first);
        }
        Ok(())
    }

    async fn keep(&self, token: Token) -> Result<Arc<Token>, Refusal> {
        let (hash, certificate) = match token.proof {
            Proof::Secret(hash) => (Some(hash.to_hex()), None),
            Proof::Certificate(certificate) => (None, Some(certificate.to_string())),
        };
        let document = Document {
            name: token.name.clone(),
            tenant: token.tenant.as_ref().map(ToString::to_string),
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            hash,
            certificate,
            created_at: token.created_at.as_millis(),
            expires_at: token.expires_at.map(Timestamp::as_millis),
        };
        self.documents.put(&token.id, &document).await?;
        let token = Arc::new(token);
        self.table.write().insert(&token);
        Ok(token)
    }

    /// A file with a token that was revoked would let it in again at a start that has no other.
    fn forget_first(&self, id: &str) {
        let is_its = fs::read_to_string(&self.first).is_ok_and(|text| secret::id(text.trim()) == Some(id));
        if is_its && let Err(error) = fs::remove_file(&self.first) {
            telemetry::internal_error(&format!("cannot remove `{}`: {error}", self.first.display()));
        }
    }
}

fn checked(tenant: Option<&Tenant>, request: &TokenRequest) -> Result<Vec<Scope>, Refusal> {
    let wrong = |text: String| Err(Refusal::Manifest(text));
    if request.name.is_empty() || request.name.chars().count() > NAME || request.name.chars().any(char::is_control) {
        return wrong(format!("`name` must have 1 to {NAME} characters and none that is a control character"));
    }
    if request.scopes.is_empty() || request.scopes.len() > SCOPES {
        return wrong(format!("`scopes` must have 1 to {SCOPES} entries: a token without one may do nothing"));
    }
    let mut scopes = Vec::with_capacity(request.scopes.len());
    for (at, text) in request.scopes.iter().enumerate() {
        let scope: Scope = match text.parse() {
            Ok(scope) => scope,
            Err(error) => return wrong(format!("`scopes[{at}]`: {error}")),
        };
        match (tenant.is_some(), scope == Scope::Operator) {
            (true, true) => return wrong(format!("`scopes[{at}]`: a tenant's token cannot have `operator`")),
            (false, false) => {
                return wrong(format!(
                    "`scopes[{at}]`: a token of the host itself has the scope `operator` and no other"
                ));
            }
            _ => scopes.push(scope),
        }
    }
    Ok(scopes)
}

fn revived(id: &str, document: &Document) -> Option<Token> {
    let proof = match (&document.hash, &document.certificate) {
        (Some(hash), None) => Proof::Secret(Hash::from_hex(hash)?),
        (None, Some(certificate)) => Proof::Certificate(Fingerprint::parse(certificate)?),
        _ => return None,
    };
    Some(Token {
        id: id.to_owned(),
        name: document.name.clone(),
        tenant: document.tenant.as_deref().map(Tenant::new).transpose().ok()?,
        scopes: document.scopes.iter().map(|text| text.parse()).collect::<Result<_, _>>().ok()?,
        created_at: Timestamp::from_millis(document.created_at),
        expires_at: document.expires_at.map(Timestamp::from_millis),
        revoked: CancellationToken::new(),
        proof,
    })
}

#[cfg(test)]
mod tests;
