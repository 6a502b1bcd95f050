//! Errors as the API answers them: RFC 9457 problems with a stable code.
//!
//! What an operator or an author can cure has a [`Code`], and each code a page in `docs/errors/`. The pages are built
//! in, so that a code without its page does not compile.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong with a request, as the API answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:hostel:error:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The code, such as `E0012`. A text: a newer host may know more codes than an older client.
    pub code: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    /// A problem with its code's own title, status and hint.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:hostel:error:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code: code.as_str().to_owned(),
            hint: code.hint().to_owned(),
        }
    }

    /// With a hint that knows more of this one case.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// With another status than its code's, for the one code that has two: headers too large are a 431.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// A text that is no code of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an error code of this version")]
pub struct UnknownCode(pub String);

macro_rules! codes {
    ($($name:ident, $code:literal, $status:literal, $title:literal, $hint:literal;)*) => {
        /// What can go wrong and be cured. The number is stable; a code that is retired is never given again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!($code, ": ", $title, ".")] $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Such as `E0012`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// What every problem of this code has in common.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// The HTTP status it is answered with. What never crosses the wire says 500.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// What to do about it, in a line.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint),* }
            }

            /// Its page in Markdown: what happened, why, and the cure.
            #[must_use]
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!("../../../docs/errors/", $code, ".md"))),*
                }
            }
        }
    };
}

codes! {
    NotWasm, "E0001", 422, "not a WebAssembly file",
        "give the `.wasm` file that your build made, not its source";
    CoreModule, "E0002", 422, "a core module, not a component",
        "build for `wasm32-wasip2`, or make a component of it with `wasm-tools component new`";
    UnknownWorld, "E0003", 422, "component fits no known world",
        "export `hostel:handler/subscriber` by building against the package in `wit/`";
    OtherContractVersion, "E0004", 422, "component built for another version of the contract",
        "rebuild it with the SDK of this host's version";
    DamagedComponent, "E0005", 422, "component is damaged or cut",
        "build or copy it again and compare the sizes";
    ComponentTooLarge, "E0006", 413, "component too large",
        "build with optimisation for size and strip its debug information";
    UnknownImport, "E0007", 422, "component imports what this host does not offer",
        "leave out the library or feature that needs the import";
    InitFailed, "E0008", 422, "handler's init failed",
        "see the reason above; what `init` needs is often a key in `[config]`";
    LimitsTooSmall, "E0009", 422, "component exceeds the limits before its first event",
        "raise `memory` or `deadline` in `[limits]` of the manifest";
    MalformedTopic, "E0010", 400, "malformed topic",
        "write a topic as dotted names, such as `orders.created`";
    MalformedName, "E0011", 400, "malformed name or pattern",
        "names are of a-z, 0-9 and -; patterns are topics with `*` for one token and a final `>` for the rest";
    MalformedDocument, "E0012", 400, "malformed JSON or manifest",
        "correct the key or value that the error names";
    MethodNotAllowed, "E0013", 405, "method not allowed",
        "use one of the methods in the answer's `Allow` header";
    UnknownPath, "E0014", 404, "unknown path",
        "check the path; the ingress and the admin API listen on ports of their own";
    NotFound, "E0015", 404, "no such thing",
        "list what there is with `hostel handlers` or `hostel dead-letters list`";
    BodyTooLarge, "E0016", 413, "body too large",
        "send less, or raise the host's limit";
    MalformedHeaders, "E0017", 400, "malformed or too large headers",
        "send at most 128 headers of together 64 KiB, with values in UTF-8";
    Overloaded, "E0018", 429, "overloaded",
        "wait as long as `Retry-After` says and send it again; nothing of it was kept";
    ShuttingDown, "E0019", 503, "shutting down",
        "send it again once the host is back; nothing of it was kept";
    RequestTooSlow, "E0020", 408, "request too slow",
        "send the whole request without long pauses";
    DigestMismatch, "E0021", 422, "digest does not match",
        "send the bytes whose SHA-256 stands in the path";
    MalformedQuery, "E0022", 400, "malformed query parameter",
        "correct the parameter that the error names";
    BrokenBody, "E0023", 400, "broken body",
        "send the whole body, as long as `Content-Length` says or in well-formed chunks";
    ServiceRefused, "E0024", 422, "registry does not take the service",
        "correct what the error names, and register it again";
    RegistryUnreachable, "E0025", 503, "registry out of reach",
        "look whether the registry runs where the host looks for it, and try again";
    DiskFull, "E0026", 507, "disk full",
        "make space; the host takes events again by itself, and nothing that it acknowledged is lost";
    LogUnusable, "E0027", 503, "log takes no more events",
        "look at the host's own log for the first failure, cure it, and start the host again";
    UnknownConfigKey, "E0030", 500, "unknown config key",
        "correct or remove the key that the error names";
    BadConfigValue, "E0031", 500, "bad config value",
        "correct the value that the error names";
    AddressInUse, "E0032", 500, "address in use",
        "stop what listens there, or choose another address with `--ingress` or `--admin`";
    DataDirectoryUnusable, "E0033", 500, "data directory not usable",
        "make it a folder that this user may write to, or choose another with `--data-dir`";
    RemoteRefused, "E0034", 500, "refusing to listen beyond loopback",
        "listen on 127.0.0.1, or say `--allow-remote` if everyone on that network may use the host";
    ConfigUnreadable, "E0035", 500, "cannot read config file",
        "check the path and its permissions";
    HostUnreachable, "E0036", 500, "no host answers at the address",
        "is `hostel serve` running?";
    FileUnreadable, "E0037", 500, "file cannot be read",
        "check the path and its permissions";
    DataDirectoryLocked, "E0038", 500, "data directory used by another host",
        "stop the other host, or give this one a folder of its own with `--data-dir`";
    LogFormat, "E0039", 500, "log of another format",
        "start the version of the host that wrote it, or choose another folder with `--data-dir`";
    Internal, "E0040", 500, "internal error",
        "look at the host's own log around this time, and report what you find there";
    LogDamaged, "E0041", 500, "log damaged",
        "copy the data directory away before anything else, then restore it from a backup";
    ReplayUnderWay, "E0042", 409, "replay under way",
        "wait until it is over, or end it with `hostel replay --end`";
    NothingKept, "E0043", 422, "broker keeps nothing to replay",
        "let the host keep events: leave out `broker.use = \"memory\"` of its config, or write \"durable\"";
    Unauthorized, "E0046", 401, "no token that holds",
        "give a token with `--token-file` or `HOSTEL_TOKEN`; the operator's first one is in the host's data directory";
    Forbidden, "E0047", 403, "token may not do this",
        "use a token with the scope that the error names, or ask an admin of the tenant for one";
    TenantNotEmpty, "E0048", 409, "tenant still has handlers",
        "undeploy them first, or delete the tenant with all it has: `hostel tenants delete --force`";
    TenantOfConfig, "E0049", 409, "tenant is set in the host's config",
        "change it in `hostel.toml` and restart the host";
    LimitReached, "E0050", 409, "limit reached",
        "remove one that is not needed any more, or ask the operator to raise the limit";
    NotExported, "E0051", 422, "topics not exported to this tenant",
        "ask the operator to add the topics to `exports` of the tenant that they belong to";
    ClientCertificateRefused, "E0052", 500, "host refuses the client's certificate, or wants one",
        "give one that the host's `client_ca` has signed, with `--client-certificate` and `--client-key`";
    CertificateTaken, "E0053", 409, "certificate stands for another token",
        "revoke that token first";
    QuotaExceeded, "E0056", 429, "quota used up",
        "send again after `Retry-After`, or ask the operator for a larger quota";
    NobodysFolder, "E0057", 422, "folder of no tenant",
        "create the tenant with `hostel tenants create`, or rename the folder";
    BundleRefused, "E0058", 422, "bundle of files refused",
        "bring plain files and folders, and fewer or smaller ones than the error names";
    ToolMissing, "E0060", 500, "tool for building is missing",
        "install what the error names";
    BuildFailed, "E0061", 500, "handler does not build",
        "cure what the language's own tools say above, and build again";
    NoProject, "E0062", 500, "no project that can be built",
        "go to a folder that `hostel new` made, or name one";
    FolderTaken, "E0063", 500, "folder is taken",
        "choose another name or another folder";
    MalformedCloudEvent, "E0066", 400, "malformed CloudEvent",
        "correct the attribute that the error names; the rules are those of CloudEvents 1.0";
    UnknownEventFormat, "E0067", 415, "unknown format of CloudEvents",
        "send `application/cloudevents+json` in UTF-8, or binary mode";
    BatchInPart, "E0068", 503, "batch published in part",
        "send it again from the index that the error names, or whole: the durable broker knows the events that it has";
    TooMuchAsked, "E0070", 422, "too much asked for at once",
        "ask for less time, one handler, or days and not hours";
    NoSecret, "E0076", 422, "no such secret",
        "ask the operator to add it to `[secrets]` of the host's config, or leave it out of the manifest";
    SecretUnusable, "E0077", 500, "secret cannot be read",
        "cure the file or variable that the error names; the value is text in UTF-8 of at most 64 KiB";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    /// Reads `E0012`, and what people type for it: `e0012`, `E12`, `12`.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let digits = text.trim().trim_start_matches(['E', 'e']);
        let number = digits.parse::<u32>().ok().map(|number| format!("E{number:04}"));
        number
            .and_then(|code| Self::ALL.iter().copied().find(|known| known.as_str() == code))
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_page_is_well_formed() {
        for code in Code::ALL {
            let page = code.page();
            let mut lines = page.lines();
            assert_eq!(lines.next(), Some(format!("# {code}: {}", code.title()).as_str()));
            let sections: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(sections, ["## What", "## Why", "## Cure"], "{code}");
            for section in page.split("\n## ").skip(1) {
                let (_, text) = section.split_once('\n').unwrap();
                assert!(text.trim().len() > 20, "{code}: {section}");
            }
            assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{code} ends in one line end");
            assert!(page.lines().all(|line| line.chars().count() <= 120), "{code} has a line over 120 characters");
        }
    }

    #[test]
    fn every_page_in_the_folder_belongs_to_a_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let code = name.strip_suffix(".md").unwrap();
            assert!(Code::ALL.iter().any(|known| known.as_str() == code), "{name}");
        }
    }

    #[test]
    fn codes_are_unique_and_read_as_people_type_them() {
        let unique: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(unique.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        for text in ["E0012", "e0012", "E12", "12", " 0012 "] {
            assert_eq!(text.parse(), Ok(Code::MalformedDocument), "{text}");
        }
        assert_eq!("E9999".parse::<Code>(), Err(UnknownCode("E9999".to_owned())));
        assert!("".parse::<Code>().is_err());
        assert!("twelve".parse::<Code>().is_err());
    }

    #[test]
    fn a_problem_is_written_as_rfc_9457_says() {
        let problem = Problem::new(Code::NotFound, "no handler `hello`").with_hint("`hostel handlers` lists them");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"urn:hostel:error:E0015","title":"no such thing","status":404,"detail":"no handler `hello`","code":"E0015","hint":"`hostel handlers` lists them"}"#
        );
        assert_eq!(Problem::new(Code::MalformedHeaders, "too many").with_status(431).status, 431);
    }
}
