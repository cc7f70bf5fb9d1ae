//! The packets: one of each client to the service, in random order and the same in every run.

use std::net::Ipv4Addr;

use packet::tcp::{TcpFlags, TcpHeader};
use packet::{PacketBuilder, ipv4, udp};

use super::super::traffic::{FRAME_BYTES, PORT_MAC, Random, SENDER_MAC};

/// The port that clients reach.
pub(super) const SERVICE_PORT: u16 = 53;

/// What packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Datagrams.
    Udp,
    /// First segments of connections.
    Syn,
}

impl Kind {
    /// In file names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Udp => "clients-udp",
            Self::Syn => "clients-syn",
        }
    }

    /// Of the service.
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Syn => "tcp",
        }
    }
}

/// Frames of 64 bytes, each of another client.
pub(super) fn of(kind: Kind, clients: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut order: Vec<u32> = (0..clients).collect();
    let mut random = Random(0x7365_7276_6963_6573);
    for place in (1..order.len()).rev() {
        order.swap(place, random.below(place + 1));
    }
    order.into_iter().map(move |client| frame(kind, client))
}

fn frame(kind: Kind, client: u32) -> Vec<u8> {
    const HEADERS: usize = 14 + ipv4::HEADER_LEN;
    let source = Ipv4Addr::from_bits(0x0a00_0000 + client / 4);
    let port = 10_000 + (client % 4) as u16;
    let link = PacketBuilder::ethernet(PORT_MAC, SENDER_MAC).ipv4(source, Ipv4Addr::new(198, 18, 0, 100));
    match kind {
        Kind::Udp => link.udp(port, SERVICE_PORT, &[0; FRAME_BYTES - HEADERS - udp::HEADER_LEN]),
        Kind::Syn => {
            let header = TcpHeader {
                source_port: port,
                destination_port: SERVICE_PORT,
                sequence: client,
                acknowledgment: 0,
                flags: TcpFlags::SYN,
                window: 65_535,
            };
            let mut frame = link.tcp(&header, &[]);
            frame.resize(FRAME_BYTES, 0);
            frame
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_client_sends_one_frame_of_64_bytes() {
        for kind in [Kind::Udp, Kind::Syn] {
            let frames: Vec<_> = of(kind, 1000).collect();
            assert!(frames.iter().all(|frame| frame.len() == FRAME_BYTES));
            let clients: HashSet<_> = frames.iter().map(|frame| frame[26..36].to_vec()).collect();
            assert_eq!(clients.len(), 1000);
        }
    }
}
