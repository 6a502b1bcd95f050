//! Where a handler may send HTTP requests: what its manifest names, and which addresses of the network that covers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A part of the web that a manifest names: `https://api.example.com`, `http://127.0.0.1:8080/hooks`,
/// `GET,HEAD https://example.com/public`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// In upper case; none: every method.
    methods: Vec<String>,
    origin: Origin,
    /// Begins with `/`, and ends without one unless that is all of it.
    path: String,
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `https`, not `http`.
    pub secure: bool,
    /// A name in lower case, or an address; of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` {problem}; write for example `https://api.example.com`, `http://127.0.0.1:8080/hooks` or `GET,POST https://example.com`"
)]
pub struct DestinationError {
    text: String,
    problem: &'static str,
}

impl Destination {
    /// Reads methods, if there are any, scheme, host, port, if there is one, and the beginning of the path.
    ///
    /// # Errors
    /// [`DestinationError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let error = |problem| DestinationError { text: text.to_owned(), problem };
        let (methods, url) = text.rsplit_once(' ').unwrap_or(("", text));
        let is_method = |method: &str| !method.is_empty() && method.bytes().all(|c| c.is_ascii_uppercase());
        let methods: Vec<String> = match methods {
            "" => Vec::new(),
            list => list.split(',').map(|method| method.trim().to_owned()).collect(),
        };
        if !methods.iter().all(|method| is_method(method)) {
            return Err(error("has a method that is not in capital letters"));
        }
        let (secure, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(error("does not begin with https:// or http://")),
        };
        if rest.contains(['?', '#', '@', '*', '\\', '%']) {
            return Err(error("has a character that has no place there"));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let path = path.trim_end_matches('/');
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(error("has `.` or `..` in its path"));
        }
        let origin =
            Origin::parse(secure, authority).ok_or_else(|| error("has no host, or a port that is no number"))?;
        Ok(Self { methods, origin, path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } })
    }

    /// Whether a request belongs to it.
    #[must_use]
    pub fn includes(&self, method: &str, origin: &Origin, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|own| own == method))
            && self.origin == *origin
            && self.includes_path(path)
    }

    /// A path below this one, as every server would read it: one that could lead out of it again is not below it.
    fn includes_path(&self, path: &str) -> bool {
        if self.path == "/" {
            return true;
        }
        let lower = path.to_ascii_lowercase();
        let is_dots = |segment: &str| matches!(segment.replace("%2e", ".").as_str(), "." | "..");
        if lower.contains("%2f") || lower.contains("%5c") || lower.contains('\\') || lower.split('/').any(is_dots) {
            return false;
        }
        path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it names this address itself, for requests to the same port in the same way.
    fn names(&self, address: IpAddr, origin: &Origin) -> bool {
        let is_named = match self.origin.host.parse::<IpAddr>() {
            Ok(named) => named == address,
            Err(_) => self.origin.host == "localhost" && origin.host == "localhost" && address.is_loopback(),
        };
        is_named && (self.origin.secure, self.origin.port) == (origin.secure, origin.port)
    }
}

/// Whether a request to `origin` may go to `address`, to which its host was resolved.
///
/// A public address may always be meant. Another, which reaches this machine or its neighbours, must be named itself by
/// one of the destinations, or a name that somebody else controls would lead there.
#[must_use]
pub fn may_connect(destinations: &[Destination], origin: &Origin, address: IpAddr) -> bool {
    is_public(address) || destinations.iter().any(|destination| destination.names(address, origin))
}

impl Origin {
    /// Reads a host and perhaps a port.
    #[must_use]
    pub fn parse(secure: bool, authority: &str) -> Option<Self> {
        let standard = if secure { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port)
            }
            None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|_| port.bytes().all(|c| c.is_ascii_digit()))?,
            None if port.is_empty() => standard,
            None => return None,
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_host) {
            return None;
        }
        // An address has many spellings; a name only differs in case.
        let host = host.parse::<IpAddr>().map_or_else(|_| host.to_ascii_lowercase(), |address| address.to_string());
        Some(Self { secure, host, port })
    }
}

impl fmt::Display for Origin {
    /// As a manifest would name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, standard) = if self.secure { ("https", 443) } else { ("http", 80) };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}", self.host)?;
        if self.port == standard { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Whether an address belongs to the internet at large, by the registries of special addresses of IANA.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 240
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Addresses that carry one of IPv4: mapped, translated (RFC 6052), 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Documentation (RFC 3849), and Teredo and its neighbours (RFC 2928).
        [0x2001, 0xdb8, ..] | [0x2001, 0..=0x1ff, ..] => false,
        // All that is given to the world is here (RFC 4291, section 2.4).
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        let (scheme, authority) = url.split_once("://").unwrap();
        Origin::parse(scheme == "https", authority).unwrap()
    }

    #[test]
    fn a_destination_is_method_origin_and_the_beginning_of_a_path() {
        let check = |destination: &str, method: &str, url: &str, path: &str, expected: bool| {
            let destination = Destination::parse(destination).unwrap();
            assert_eq!(destination.includes(method, &origin(url), path), expected, "{destination:?} {url}{path}");
        };
        check("https://a.example", "GET", "https://A.example:443", "/any", true);
        check("https://a.example", "GET", "http://a.example:443", "/", false);
        check("https://a.example", "GET", "https://b.a.example", "/", false);
        check("https://a.example", "GET", "https://a.example:8443", "/", false);
        check("http://[::1]:80/", "GET", "http://[0:0::1]", "/x", true);
        check("GET,HEAD https://a.example", "HEAD", "https://a.example", "/", true);
        check("GET,HEAD https://a.example", "POST", "https://a.example", "/", false);
        check("https://a.example/v1/", "GET", "https://a.example", "/v1", true);
        check("https://a.example/v1", "GET", "https://a.example", "/v1/x..y", true);
        for path in ["/v10", "/", "/V1", "/v1/../x", "/v1/%2e%2E/x", "/v1/..%2fx", "/v1/..\\x", "/v1/.", "//v1"] {
            check("https://a.example/v1", "GET", "https://a.example", path, false);
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let problem = |text: &str| Destination::parse(text).unwrap_err().problem;
        assert_eq!(problem("a.example"), "does not begin with https:// or http://");
        assert_eq!(problem("ftp://a.example"), "does not begin with https:// or http://");
        assert_eq!(problem("get https://a.example"), "has a method that is not in capital letters");
        assert_eq!(problem("https://*.example"), "has a character that has no place there");
        assert_eq!(problem("https://user@a.example"), "has a character that has no place there");
        assert_eq!(problem("https://a.example/a/../b"), "has `.` or `..` in its path");
        for text in ["https://", "https:///x", "https://a:b", "https://a:+1", "https://[::1", "https://::1"] {
            assert_eq!(problem(text), "has no host, or a port that is no number", "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_a_manifest_names_it() {
        for text in ["https://a.example", "http://127.0.0.1:8080", "http://[::1]:443"] {
            assert_eq!(origin(text).to_string(), text);
        }
    }

    #[test]
    fn an_address_that_is_not_public_must_be_named() {
        let check = |destinations: &[&str], to: &str, address: &str, expected: bool| {
            let list: Vec<Destination> = destinations.iter().map(|text| Destination::parse(text).unwrap()).collect();
            let found = may_connect(&list, &origin(to), address.parse().unwrap());
            assert_eq!(found, expected, "{destinations:?} {to} {address}");
        };
        check(&["http://a.example"], "http://a.example", &IpAddr::from([1, 1, 1, 1]).to_string(), true);
        check(&["http://a.example"], "http://a.example", "2606:4700::1", true);
        let special = [
            "127.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ];
        for address in special {
            check(&["http://a.example"], "http://a.example", address, false);
        }
        check(&["http://127.0.0.1:80"], "http://127.0.0.1", "127.0.0.1", true);
        check(&["http://a.example", "http://127.0.0.1"], "http://a.example", "127.0.0.1", true);
        check(&["http://a.example", "http://127.0.0.1:81"], "http://a.example", "127.0.0.1", false);
        check(&["http://a.example", "https://127.0.0.1:80"], "http://a.example", "127.0.0.1", false);
        check(&["http://localhost:81"], "http://localhost:81", "::1", true);
        check(&["http://localhost"], "http://localhost", "169.254.0.1", false);
        check(&["http://localhost", "http://a.example"], "http://a.example", "127.0.0.1", false);
    }
}
