//! Who this host is and where it is reached, as others are told.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use uuid::Uuid;

use hostel_api::problem::Code;

use crate::config::load::Mistake;

/// The host's UUID. Drawn at the first start and kept in the data directory, so that its nodes keep their ids.
///
/// # Errors
/// The file cannot be read or written, or somebody wrote something else into it.
pub(super) fn of(data_dir: &Path) -> Result<Uuid, Mistake> {
    let path = data_dir.join("host-id");
    let mistake = |text: String| Mistake { code: Code::DataDirectoryUnusable, text };
    match fs::read_to_string(&path) {
        Ok(text) => Uuid::try_parse(text.trim()).map_err(|error| {
            mistake(format!("`{}` does not hold a UUID: {error}; delete it to be given a new one", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
            fs::write(&path, format!("{id}\n"))
                .map_err(|error| mistake(format!("cannot write `{}`: {error}", path.display())))?;
            Ok(id)
        }
        Err(error) => Err(mistake(format!("cannot read `{}`: {error}", path.display()))),
    }
}

/// Where peers reach a listener: where it listens, or if that is everywhere, go-micro's choice: the first private
/// address of an interface that is not loopback, else the last other one.
///
/// # Errors
/// The system does not tell its interfaces, or has none but loopback.
pub(super) fn address(listens: SocketAddr) -> Result<SocketAddr, Mistake> {
    if !listens.ip().is_unspecified() {
        return Ok(listens);
    }
    let mistake = |text: String| Mistake { code: Code::BadConfigValue, text };
    let interfaces = if_addrs::get_if_addrs()
        .map_err(|error| mistake(format!("cannot list the network interfaces: {error}; set `peers.advertise`")))?;
    let others: Vec<IpAddr> =
        interfaces.iter().filter(|interface| !interface.is_loopback()).map(if_addrs::Interface::ip).collect();
    choose(&others).map(|ip| SocketAddr::new(ip, listens.port())).ok_or_else(|| {
        mistake("no network interface has an address that peers could use; set `peers.advertise`".to_owned())
    })
}

fn choose(addresses: &[IpAddr]) -> Option<IpAddr> {
    addresses.iter().find(|address| is_private(**address)).or(addresses.last()).copied()
}

/// The networks that go-micro's `addr.Extract` takes for private.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = u32::from(Ipv4Addr::new(100, 64, 0, 0));
            address.is_private() || u32::from(address) & 0xffc0_0000 == shared
        }
        IpAddr::V6(address) => address.octets().first() == Some(&0xfd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let id = of(folder.path()).unwrap();
        assert_eq!(of(folder.path()).unwrap(), id);
        assert_eq!(id.get_version_num(), 4);
        fs::write(folder.path().join("host-id"), "me").unwrap();
        let text = of(folder.path()).unwrap_err().text;
        assert!(text.contains("does not hold a UUID"), "{text}");
    }

    #[test]
    fn the_first_private_address_is_told_and_else_the_last() {
        let ip = IpAddr::from;
        let (public, private) = (ip([203, 0, 113, 1]), ip([10, 1, 2, 3]));
        assert_eq!(choose(&[public, private, ip([192, 168, 0, 1])]), Some(private));
        let (shared, beyond) = (ip([100, 127, 0, 1]), ip([100, 128, 0, 1]));
        assert_eq!(choose(&[shared, public]), Some(shared));
        assert_eq!(choose(&[beyond, public]), Some(public));
        let local = IpAddr::V6("fd00::1".parse().unwrap());
        assert_eq!(choose(&[local, public]), Some(local));
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn a_listener_at_one_address_is_reached_there() {
        let listens = SocketAddr::from(([127, 0, 0, 1], 4300));
        assert_eq!(address(listens).unwrap(), listens);
    }
}
