//! ICMP errors for the gateway itself about outer packets that tunnels have sent: RFC 2003 section 4, RFC 2473 section 8, and for those
//! that ESP protects RFC 4301 section 8.2.1.
//!
//! ```text
//!   link │ IP │ ICMP: type, code, …, MTU │ quote: IP │ GRE, key …          the tunnel that these say
//!                                        │ quote: IP │ ESP: SPI …          whose SA it is, the worker finds: `SentEsp`
//!                                        │ quote: IP │ UDP │ ESP: SPI …    likewise
//! ```
//!
//! Anybody can send such errors, so each thing in the quote that others would have to guess is looked at: the key of GRE, the SPI, ports.

use std::net::IpAddr;

use control::message::TunnelMode;
use packet::tunnel::Carried;
use packet::{Protocol, icmpv4, icmpv6};
use shm::DropReason;

use super::decapsulate::{Header, mode};
use super::{Disposition, Family, Interfaces, Note};

/// No path of IPv4 is taken to be narrower, whatever an error says: the least that Linux believes. Who could make outer packets
/// ever smaller would make the gateway cut ever more.
const LEAST_PATH_MTU4: u16 = 552;
/// The least of IPv6: an error that says less is not believed, RFC 8201 section 4.
const LEAST_PATH_MTU6: u32 = 1280;

/// The code of an unreachable destination that says so: RFC 792.
const FRAGMENTATION_NEEDED: u8 = 4;

/// What is known of an ESP packet that was sent, of its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentEsp {
    /// The end here.
    pub source: IpAddr,
    /// The other end.
    pub destination: IpAddr,
    /// Of the UDP header around it, if there is one.
    pub ports: Option<(u16, u16)>,
    /// `None` where the quote ends before it, which is only allowed in UDP: RFC 792 has 8 bytes behind the IP header.
    pub spi: Option<u32>,
}

impl SentEsp {
    /// `None` for what is neither ESP nor may be ESP in UDP.
    fn of(sent: &Header<'_>) -> Option<Self> {
        let quoted = |from: usize| {
            sent.payload
                .get(from..)?
                .first_chunk()
                .map(|spi| u32::from_be_bytes(*spi))
        };
        let (ports, spi) = match sent.protocol {
            Protocol::ESP => (None, Some(quoted(0)?)),
            Protocol::UDP => {
                let &[s0, s1, d0, d1] = sent.payload.first_chunk()?;
                let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                (Some(ports), quoted(esp::udp::HEADER_LEN))
            }
            _ => return None,
        };
        // Zero is IKE's: RFC 3948 section 2.2.
        (spi != Some(0)).then_some(Self {
            source: sent.source,
            destination: sent.destination,
            ports,
            spi,
        })
    }
}

/// What an ICMP message says, and what it is about.
struct Told<'p> {
    /// The longest packet that the path takes, if that is what it says and it is believed.
    mtu: Option<u16>,
    sent: Header<'p>,
}

impl<'p> Told<'p> {
    /// `None` for what is no error that can be read.
    fn of(family: Family, message: &'p [u8]) -> Option<Self> {
        let (&[message_type, code, _, _, m0, m1, m2, m3], quote) = message.split_first_chunk()?;
        let (is_error, is_too_big) = match family {
            Family::Four => (
                matches!(
                    message_type,
                    icmpv4::DESTINATION_UNREACHABLE | icmpv4::TIME_EXCEEDED | icmpv4::PARAMETER_PROBLEM
                ),
                (message_type, code) == (icmpv4::DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED),
            ),
            Family::Six => (
                icmpv6::is_error(message_type),
                message_type == icmpv6::PACKET_TOO_BIG,
            ),
        };
        let said = match family {
            Family::Four => u32::from(u16::from_be_bytes([m2, m3]).max(LEAST_PATH_MTU4)),
            Family::Six => u32::from_be_bytes([m0, m1, m2, m3]),
        };
        let believed = is_too_big && (family == Family::Four || said >= LEAST_PATH_MTU6);
        is_error.then_some(Self {
            mtu: believed.then(|| u16::try_from(said).unwrap_or(u16::MAX)),
            sent: Header::quoted(family, quote)?,
        })
    }
}

/// Notes what becomes of an ICMP message, which is behind the header `outer`. Of those that are about nothing that a tunnel has sent nothing
/// is noted.
pub(super) fn run(interfaces: &Interfaces, outer: &Header<'_>, note: &mut Note) {
    let told = Told::of(note.family, outer.payload);
    let Some(told) = told.filter(|told| told.sent.source == outer.destination) else {
        return;
    };
    if let Some(sent) = SentEsp::of(&told.sent) {
        if interfaces
            .esp_between(sent.source, sent.destination)
            .next()
            .is_some()
        {
            note.disposition = Disposition::EspError;
            note.detail = u16::from(note.network) + outer.len as u16;
        }
        return;
    }
    let Some(tunnel) = by_sent(interfaces, &told.sent) else {
        return;
    };
    match (told.mtu, interfaces.tunnel(tunnel)) {
        (Some(mtu), Some(view)) => {
            note.disposition = Disposition::TunnelMtu(tunnel);
            note.detail = mtu.saturating_sub(view.overhead());
        }
        _ => note.drop(DropReason::TunnelError),
    }
}

/// The ESP packet that an ICMP message is about, and the longest that its path takes, if it says so; the message was found to be one.
pub fn esp_error(family: Family, message: &[u8]) -> Option<(SentEsp, Option<u16>)> {
    let told = Told::of(family, message)?;
    Some((SentEsp::of(&told.sent)?, told.mtu))
}

/// The tunnel that sent a packet in clear.
fn by_sent(interfaces: &Interfaces, sent: &Header<'_>) -> Option<u16> {
    let carried = Carried::parse(sent.protocol, sent.payload)?.ok()?;
    let (mode, key): (TunnelMode, _) = mode(&carried);
    let tunnel = interfaces.by_outer(mode, sent.source, sent.destination, key)?;
    (!interfaces.is_esp(tunnel)).then_some(tunnel)
}
