//! What rtnetlink is needed for, rtnetlink(7): addresses of an interface, up and down, carrier. Each request waits for its
//! acknowledgement, which the kernel writes before the request returns.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::sys::socket::{
    AddressFamily as SocketFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// Longer than any acknowledgement, which holds the request it is for.
const ANSWER: usize = 4096;

/// A socket of rtnetlink, of the network namespace in which it was opened.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(
            SocketFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Gives an interface an address, without looking for it on the link. It may have it.
    pub(super) fn add_address(&mut self, interface: u32, net: IpNet) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewAddress(address(interface, net));
        self.request(message, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes an address from an interface.
    pub(super) fn delete_address(&mut self, interface: u32, net: IpNet) -> io::Result<()> {
        self.request(RouteNetlinkMessage::DelAddress(address(interface, net)), 0)
    }

    /// Sets an interface up or down.
    pub(super) fn set_up(&mut self, interface: u32, up: bool) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = interface;
        message.header.change_mask = LinkFlags::Up;
        if up {
            message.header.flags = LinkFlags::Up;
        }
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Says whether an interface has a carrier.
    pub(super) fn set_carrier(&mut self, interface: u32, carrier: bool) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = interface;
        message.attributes = vec![LinkAttribute::Carrier(carrier.into())];
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut buffer = vec![0; request.buffer_len()];
        request.serialize(&mut buffer);
        send(self.socket.as_raw_fd(), &buffer, MsgFlags::empty())?;
        loop {
            let mut answer = [0; ANSWER];
            let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            let answer = answer.get(..length).unwrap_or_default();
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            if let NetlinkPayload::Error(error) = answer.payload {
                return match error.code {
                    None => Ok(()),
                    Some(code) => Err(io::Error::from_raw_os_error(code.get().saturating_abs())),
                };
            }
        }
    }
}

fn address(interface: u32, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = interface;
    message.header.prefix_len = net.prefix_len();
    message.attributes = vec![
        AddressAttribute::Local(net.addr()),
        AddressAttribute::Address(net.addr()),
    ];
    match net {
        IpNet::V4(net) => {
            message.header.family = AddressFamily::Inet;
            if net.prefix_len() < 31 {
                message
                    .attributes
                    .push(AddressAttribute::Broadcast(net.broadcast()));
            }
        }
        IpNet::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.attributes.push(AddressAttribute::Flags(
                AddressFlags::Nodad | AddressFlags::Permanent,
            ));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_kernel_is_understood() {
        // Refused for want of rights or of the interface, on every machine.
        let error = Netlink::open().unwrap().set_up(u32::MAX >> 1, true).unwrap_err();
        assert!(
            matches!(error.raw_os_error(), Some(code) if code == nix::errno::Errno::ENODEV as i32 || code == nix::errno::Errno::EPERM as i32),
            "{error}"
        );
    }

    #[test]
    fn an_address_has_its_subnet_and_broadcast() {
        let message = address(7, "192.0.2.1/24".parse().unwrap());
        assert_eq!((message.header.prefix_len, message.header.index), (24, 7));
        let broadcast = AddressAttribute::Broadcast([192, 0, 2, 255].into());
        assert!(message.attributes.contains(&broadcast));
        let link = address(7, "192.0.2.0/31".parse().unwrap());
        assert_eq!(link.attributes.len(), 2, "RFC 3021: no broadcast");
        let message = address(7, "2001:db8::1/64".parse().unwrap());
        let local = AddressAttribute::Local("2001:db8::1".parse().unwrap());
        assert!(message.attributes.contains(&local));
    }
}
