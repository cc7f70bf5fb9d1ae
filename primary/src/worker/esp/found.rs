//! What is read of an ESP packet before the stages, which read it as [`packet`]'s parsers do: only what is whole, without options and tags,
//! and about which nothing else is out of the ordinary is found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::esp::udp;
use packet::checksum::Sum;
use packet::ethernet::HEADER_LEN;
use packet::{Protocol, ipv4, ipv6};

use crate::ipsec::Arrived;
use crate::path::{HEAD4, HEAD6};

/// What is known of an ESP packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) spi: u32,
    pub(super) arrived: Arrived,
    /// Where the IP packet ends.
    pub(super) end: usize,
}

/// What is known of a frame that came for `mac`, if it is an ESP packet about which nothing is out of the ordinary.
#[inline]
pub(super) fn find(ingress: u16, mac: &[u8; 6], frame: &[u8]) -> Option<Found> {
    if frame.first_chunk() != Some(mac) {
        return None;
    }
    let length = |high, low| usize::from(u16::from_be_bytes([high, low]));
    let (source, destination, protocol, class, head, end): (IpAddr, IpAddr, _, _, _, _) = if frame.get(12)
        == Some(&0x08)
    {
        let header: &[u8; ipv4::HEADER_LEN] = frame.get(HEADER_LEN..)?.first_chunk()?;
        let &[
            _,
            class,
            l0,
            l1,
            _,
            _,
            f0,
            f1,
            _,
            protocol,
            _,
            _,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        ] = header;
        let is_whole = f0 & 0x3f == 0 && f1 == 0;
        if !is_whole || !Sum::ZERO.ipv4_header(header).is_valid() {
            return None;
        }
        (
            Ipv4Addr::new(a, b, c, d).into(),
            Ipv4Addr::new(e, f, g, h).into(),
            protocol,
            class,
            HEAD4,
            HEADER_LEN + length(l0, l1),
        )
    } else {
        let header: &[u8; ipv6::HEADER_LEN] = frame.get(HEADER_LEN..)?.first_chunk()?;
        let &[first, second, _, _, l0, l1, protocol, ..] = header;
        let address =
            |at: usize| -> Option<Ipv6Addr> { Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?)) };
        (
            address(8)?.into(),
            address(24)?.into(),
            protocol,
            first << 4 | second >> 4,
            HEAD6,
            HEAD6 + length(l0, l1),
        )
    };
    let mut at = head;
    if protocol == Protocol::UDP.0 {
        let &[_, _, d0, d1, l0, l1, _, _] = frame.get(head..)?.first_chunk::<{ udp::HEADER_LEN }>()?;
        if [d0, d1] != udp::PORT.to_be_bytes() || head + length(l0, l1) != end || head == HEAD6 {
            return None;
        }
        at += udp::HEADER_LEN;
    }
    if end > frame.len() || at + ::esp::HEADER_LEN > end {
        return None;
    }
    let spi = u32::from_be_bytes(*frame.get(at..)?.first_chunk()?);
    // Zero says that it is IKE.
    (spi != 0).then_some(Found {
        source,
        destination,
        spi,
        arrived: Arrived {
            ingress,
            at: at as u16,
            class,
            network: HEADER_LEN as u8,
            moved: false,
        },
        end,
    })
}

/// What the packets of a burst have in common with its first one, which is an ESP packet over IPv4.
pub(super) struct Alike {
    /// Destination MAC address, in the upper bytes.
    mac: u64,
    /// Source and destination.
    ends: [u8; 8],
    spi: [u8; 4],
}

impl Alike {
    /// To a frame.
    pub(super) fn to(frame: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD4 + ::esp::HEADER_LEN] = frame.first_chunk()?;
        let is_esp = head[12..15] == [0x08, 0x00, 0x45] && head[23] == Protocol::ESP.0;
        is_esp.then_some(Self {
            mac: link_destination(head),
            ends: *head[26..].first_chunk()?,
            spi: *head[HEAD4..].first_chunk()?,
        })
    }

    /// The traffic class of a frame, if it is like the first one and nothing about it is out of the ordinary: as [`find`] says.
    #[inline(always)]
    pub(super) fn class_of(&self, frame: &[u8]) -> Option<u8> {
        let head: &[u8; HEAD4 + ::esp::HEADER_LEN] = frame.first_chunk()?;
        let header: &[u8; ipv4::HEADER_LEN] = head[HEADER_LEN..].first_chunk()?;
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_alike = (link_destination(head) == self.mac)
            & (head[12..15] == [0x08, 0x00, 0x45])
            & (header[6] & 0x3f == 0)
            & (header[7] == 0)
            & (header[9] == Protocol::ESP.0)
            & (head[26..34] == self.ends)
            & (head[HEAD4..HEAD4 + 4] == self.spi)
            & (HEADER_LEN + total_len == frame.len())
            & Sum::ZERO.ipv4_header(header).is_valid();
        is_alike.then_some(header[1])
    }
}

/// The address that a frame is for, as a number.
#[inline(always)]
fn link_destination<const LEN: usize>(head: &[u8; LEN]) -> u64 {
    head.first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes) << 16)
}

#[cfg(test)]
mod tests {
    use packet::builder::EthernetBuilder;
    use packet::ethernet::VlanTags;
    use packet::{EtherType, EthernetHeader, Ipv4, Ipv6, MacAddress, PacketBuilder};

    use super::super::survey::may_be_esp;
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const ESP: [u8; 16] = [0xc0, 0, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8];
    const FOUR: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    const SIX: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    ];

    fn frame() -> EthernetBuilder {
        PacketBuilder::ethernet(MacAddress(OWN), MacAddress([2; 6]))
    }

    fn frames() -> [Vec<u8>; 3] {
        let port = udp::PORT;
        [
            frame().ipv4(FOUR[0], FOUR[1]).payload(Protocol::ESP, &ESP),
            frame().ipv6(SIX[0], SIX[1]).payload(Protocol::ESP, &ESP),
            frame().ipv4(FOUR[0], FOUR[1]).udp(port, port, &ESP),
        ]
    }

    fn found(frame: &[u8]) -> Option<Found> {
        let may_be = frame.first_chunk().is_some_and(may_be_esp);
        may_be.then(|| find(3, &OWN, frame)).flatten()
    }

    /// What the parsers of whole packets know of a frame.
    fn parsed(frame: &[u8]) -> Option<Found> {
        let (link, packet) = EthernetHeader::parse(frame).ok()?;
        if link.destination != MacAddress(OWN) || link.tags != VlanTags::NONE {
            return None;
        }
        let (source, destination, protocol, class, header_len, payload): (IpAddr, IpAddr, _, _, _, _) =
            match link.ethertype {
                EtherType::IPV4 => {
                    let ip = Ipv4::parse(packet).ok()?;
                    let is_usual = ip.options().is_empty() && !ip.is_fragment();
                    let parts = (ip.protocol(), ip.traffic_class(), ipv4::HEADER_LEN, ip.payload());
                    let (protocol, class, header_len, payload) = is_usual.then_some(parts)?;
                    (
                        ip.source().into(),
                        ip.destination().into(),
                        protocol,
                        class,
                        header_len,
                        payload,
                    )
                }
                EtherType::IPV6 => {
                    let ip = Ipv6::parse(packet).ok()?;
                    (
                        ip.source().into(),
                        ip.destination().into(),
                        ip.next_header(),
                        ip.traffic_class(),
                        ipv6::HEADER_LEN,
                        ip.payload(),
                    )
                }
                _ => return None,
            };
        let (before, esp) = match (protocol, source) {
            (Protocol::ESP, _) => (0, payload),
            (Protocol::UDP, IpAddr::V4(_)) => {
                let (header, datagram) = payload.split_at_checked(udp::HEADER_LEN)?;
                let is_esp = header[2..4] == udp::PORT.to_be_bytes()
                    && usize::from(u16::from_be_bytes([header[4], header[5]])) == payload.len();
                is_esp.then_some((udp::HEADER_LEN, datagram))?
            }
            _ => return None,
        };
        let header: &[u8; ::esp::HEADER_LEN] = esp.first_chunk()?;
        let spi = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        (spi != 0).then_some(Found {
            source,
            destination,
            spi,
            arrived: Arrived {
                ingress: 3,
                at: (HEADER_LEN + header_len + before) as u16,
                class,
                network: HEADER_LEN as u8,
                moved: false,
            },
            end: HEADER_LEN + header_len + payload.len(),
        })
    }

    #[test]
    fn what_is_found_is_what_a_whole_packet_says() {
        for (frame, at) in frames().into_iter().zip([34, 54, 42]) {
            let found = found(&frame);
            assert_eq!(found, parsed(&frame));
            let found = found.unwrap();
            assert_eq!((found.spi, found.arrived.at), (0xc000_0001, at));
            assert_eq!(found.end, frame.len());
        }
    }

    #[test]
    fn every_changed_byte_and_every_length_is_read_as_by_the_parsers() {
        let mut refused = 0;
        for frame in frames() {
            for (place, bit) in (0..frame.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
                for mend in [true, false] {
                    let mut odd = frame.clone();
                    odd[place] ^= 1 << bit;
                    if mend && odd[12..14] == [8, 0] {
                        odd[24..26].fill(0);
                        let sum = Sum::ZERO.bytes(&odd[14..34]).checksum();
                        odd[24..26].copy_from_slice(&sum.to_be_bytes());
                    }
                    let found = found(&odd);
                    refused += usize::from(found.is_none());
                    assert_eq!(found, parsed(&odd), "byte {place}, bit {bit}, mended {mend}");
                }
            }
            for padding in 0..8 {
                let longer = [&frame[..], &[0; 8][..padding]].concat();
                assert_eq!(found(&longer), parsed(&longer));
                assert_eq!(found(&longer).unwrap().end, frame.len(), "padding is nobody's");
            }
            for length in 0..frame.len() {
                assert_eq!(found(&frame[..length]), None, "{length} bytes");
            }
        }
        assert!(refused > 500, "{refused}");
    }

    #[test]
    fn what_is_like_the_first_of_a_burst_is_found_as_that_was() {
        let [first, _, _] = frames();
        let alike = Alike::to(&first).unwrap();
        let expected = found(&first).unwrap();
        let (mut like, mut unlike) = (0, 0);
        for (place, bit) in (0..first.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            for mend in [true, false] {
                let mut other = first.clone();
                other[place] ^= 1 << bit;
                if mend {
                    other[24..26].fill(0);
                    let sum = Sum::ZERO.bytes(&other[14..34]).checksum();
                    other[24..26].copy_from_slice(&sum.to_be_bytes());
                }
                let as_first = found(&other).filter(|found| {
                    let ends = (
                        found.source,
                        found.destination,
                        found.spi,
                        found.arrived.at,
                        found.end,
                    );
                    ends == (
                        expected.source,
                        expected.destination,
                        expected.spi,
                        expected.arrived.at,
                        other.len(),
                    )
                });
                let class = alike.class_of(&other);
                assert_eq!(
                    class,
                    as_first.map(|found| found.arrived.class),
                    "byte {place}, bit {bit}"
                );
                *if class.is_some() { &mut like } else { &mut unlike } += 1;
            }
        }
        assert!(like > 200 && unlike > 200, "{like} {unlike}");
        for length in 0..first.len() {
            assert_eq!(alike.class_of(&first[..length]), None, "{length} bytes");
        }
        // What is behind the packet has to be taken off.
        assert_eq!(alike.class_of(&[&first[..], &[0; 4]].concat()), None);
        let [_, six, udp] = frames();
        assert!(Alike::to(&six).is_none() && Alike::to(&udp).is_none());
    }
}
