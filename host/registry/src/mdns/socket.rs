//! The interface and its sockets.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdSocket};

use if_addrs::{IfAddr, get_if_addrs};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::mdns::StartError;

/// Where mDNS is spoken (RFC 6762, section 3).
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// The port of mDNS.
pub(crate) const PORT: u16 = 5353;

/// Bytes that wait in the kernel until they are read. Several hundred nodes answer one question at the same instant;
/// the system may grant less.
const WAITING: usize = 1 << 20;

/// An interface and who is near on it.
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    netmask: Ipv4Addr,
    /// This machine's addresses on all interfaces: a process here may send from any.
    own: Vec<Ipv4Addr>,
}

impl Link {
    /// The interface of this name.
    pub(crate) fn find(name: &str) -> Result<Self, StartError> {
        let all = get_if_addrs().map_err(StartError::Interfaces)?;
        let mut own = Vec::new();
        let mut found = None;
        for interface in &all {
            let IfAddr::V4(address) = &interface.addr else { continue };
            own.push(address.ip);
            if interface.name == name && found.is_none() {
                found = Some((address.ip, address.netmask));
            }
        }
        let Some((address, netmask)) = found else {
            let mut known: Vec<_> = all.iter().map(|interface| format!("`{}`", interface.name)).collect();
            known.dedup();
            return Err(StartError::NoInterface { name: name.to_owned(), known: known.join(", ") });
        };
        Ok(Self { name: name.to_owned(), address, netmask, own })
    }

    /// Whether an address is on the interface's network or this machine's own. Others have no business with mDNS (RFC
    /// 6762, section 11), and answering them would let a forged address aim our answers at a stranger.
    pub(crate) fn is_near(&self, from: SocketAddr) -> bool {
        let SocketAddr::V4(from) = from else { return false };
        let network = |address: Ipv4Addr| address.to_bits() & self.netmask.to_bits();
        network(*from.ip()) == network(self.address) || self.own.contains(from.ip())
    }

    /// The socket on which everyone is heard. Other programs on this machine may have the same.
    pub(crate) fn listen(&self) -> io::Result<UdpSocket> {
        let socket = self.socket()?;
        socket.set_reuse_address(true)?;
        // What other systems want for the same.
        #[cfg(all(unix, not(target_os = "linux")))]
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        socket.join_multicast_v4(&GROUP, &self.address)?;
        // Or it would hear what any program of this machine has joined on any interface.
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
        finished(socket)
    }

    /// A socket with a port of its own, for one question: answers come to it and to no other.
    pub(crate) fn ask(&self) -> io::Result<UdpSocket> {
        let socket = self.socket()?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
        finished(socket)
    }

    fn socket(&self) -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_multicast_if_v4(&self.address)?;
        socket.set_multicast_loop_v4(true)?;
        // More than is granted is no reason to fail.
        _ = socket.set_recv_buffer_size(WAITING);
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn finished(socket: Socket) -> io::Result<UdpSocket> {
    UdpSocket::from_std(StdSocket::from(socket))
}

/// Everyone.
pub(crate) fn everyone() -> SocketAddr {
    SocketAddrV4::new(GROUP, PORT).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_interface_s_network_and_this_machine_are_near() {
        let link = Link {
            name: "test0".to_owned(),
            address: Ipv4Addr::new(192, 0, 2, 7),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
            own: vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(198, 51, 100, 1)],
        };
        let check = |from: &str, expected| assert_eq!(link.is_near(from.parse().unwrap()), expected, "{from}");
        check("192.0.2.200:40000", true);
        check("127.0.0.1:40000", true);
        check("198.51.100.1:40000", true);
        check("198.51.100.2:40000", false);
        check("203.0.113.9:5353", false);
        check("[::1]:5353", false);
    }
}
