//! The network: whether the ports are free, and whether a host answers and is of this version.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::cli::Connection;
use crate::cli::failure::Failure;
use crate::config::Config;

use super::Examined;

const OURS: &str = env!("CARGO_PKG_VERSION");

/// What came of asking the host that the connection names.
pub(super) enum Host {
    /// It answers and is of this version, as far as it says.
    Running { address: String, version: Option<String> },
    /// Nobody is there.
    Away { address: String },
    /// It could not be asked, or it is something else.
    Strange { address: String, reason: String },
}

/// Asks the host.
pub(super) async fn ask(connection: Connection) -> Host {
    let address = connection.admin_url.clone();
    let client = match connection.client() {
        Ok(client) => client,
        Err(failure) => return Host::Strange { address, reason: told(&failure) },
    };
    match client.version().await {
        Ok(version) => Host::Running { address, version },
        Err(hostel_api::client::ClientError::Unreachable { .. }) => Host::Away { address },
        Err(error) => Host::Strange { address, reason: told(&error.into()) },
    }
}

fn told(failure: &Failure) -> String {
    let text = failure.render().unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

impl Host {
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    pub(super) fn into_examined(self) -> Examined {
        const ABOUT: &str = "host";
        match self {
            Self::Running { address, version: Some(version) } if version == OURS => {
                Examined::fine(ABOUT, format!("version {version} answers at {address}"))
            }
            Self::Running { address, version } => {
                let version = version
                    .map_or_else(|| "older than this command".to_owned(), |version| format!("version {version}"));
                Examined::finding(
                    ABOUT,
                    format!("the host at {address} is {version}, this command is version {OURS}"),
                    "they may not know each other's requests and answers",
                    "use the command of the host's version, or update the older one",
                )
            }
            Self::Away { address } => Examined::note(
                ABOUT,
                format!("no host answers at {address}"),
                "start one with `hostel serve`, or say where it is with `--admin-url`",
            ),
            Self::Strange { address, reason } => Examined::finding(
                ABOUT,
                format!("what is at {address} cannot be asked: {reason}"),
                "every other command asks there",
                "correct `--admin-url`, `--token-file` or what the error names",
            ),
        }
    }
}

/// Whether a host with this config could listen.
pub(super) async fn ports(config: &Config, is_running: bool) -> Vec<Examined> {
    let further = config.ingress.listeners.iter().map(|listener| ("ingress.listeners", listener.listen));
    let mut examined = Vec::new();
    for (key, address) in
        [("ingress.listen", config.ingress.listen), ("admin.listen", config.admin.listen)].into_iter().chain(further)
    {
        // Bound and let go at once.
        let bound = TcpListener::bind(address).await.map(drop).map_err(|error| error.kind());
        examined.push(judge(key, address, bound, is_running));
    }
    examined
}

fn judge(key: &str, address: SocketAddr, bound: Result<(), io::ErrorKind>, is_running: bool) -> Examined {
    const ABOUT: &str = "port";
    match bound {
        Ok(()) => Examined::fine(ABOUT, format!("{address} is free for `{key}`")),
        Err(io::ErrorKind::AddrInUse) if is_running => Examined::note(
            ABOUT,
            format!("{address} for `{key}` is taken, and a host runs here already"),
            "if that is another one, give this one another address",
        ),
        Err(io::ErrorKind::AddrInUse) => Examined::finding(
            ABOUT,
            format!("{address} for `{key}` is taken"),
            "a host that cannot listen there does not start",
            format!("stop what listens there (`ss -ltnp 'sport = :{}'` names it), or change `{key}`", address.port()),
        ),
        Err(kind) => Examined::finding(
            ABOUT,
            format!("cannot listen on {address} for `{key}`: {kind}"),
            "a host that cannot listen there does not start",
            "write an address that this machine has; ports below 1024 take a privilege",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_taken_port_is_a_finding_unless_a_host_runs_here() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4300));
        let verdict = |bound, is_running| judge("ingress.listen", address, bound, is_running).verdict;
        assert_eq!(verdict(Ok(()), false), Verdict::Fine);
        assert_eq!(verdict(Err(io::ErrorKind::AddrInUse), false), Verdict::Finding);
        assert_eq!(verdict(Err(io::ErrorKind::AddrInUse), true), Verdict::Note);
        assert_eq!(verdict(Err(io::ErrorKind::AddrNotAvailable), true), Verdict::Finding);
    }

    #[test]
    fn a_host_of_another_version_is_a_finding() {
        let verdict = |version: Option<&str>| {
            let version = version.map(str::to_owned);
            Host::Running { address: "a".to_owned(), version }.into_examined().verdict
        };
        assert_eq!(verdict(Some(OURS)), Verdict::Fine);
        assert_eq!(verdict(Some("99.0.0")), Verdict::Finding);
        assert_eq!(verdict(None), Verdict::Finding);
    }
}
