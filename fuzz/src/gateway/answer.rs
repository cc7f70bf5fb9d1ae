//! ICMP errors, by RFC 792, RFC 1122, RFC 1812 and RFC 4443: whether one is due, and whether it is right.

use primary::path::errors::IcmpError;
use shm::DropReason;

use super::oracle::{Chain, Ending, Opinion, fold, ipv4, ipv6, pseudo, sum, u16_at};
use super::topology::{INTERFACES, Interface};

/// A packet that was dropped.
pub(super) struct About<'a> {
    pub(super) ingress: &'a Interface,
    pub(super) frame: &'a [u8],
    pub(super) opinion: &'a Opinion,
    pub(super) reason: DropReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Never,
    May,
    Must,
}

/// Why the answer is wrong, or why there must be one.
pub(super) fn check(about: &About<'_>, error: Option<&IcmpError>) -> Result<(), String> {
    let due = if about.opinion.end == 0 {
        Due::Never
    } else if about.opinion.six {
        about.due6()
    } else {
        about.due4()
    };
    match (due, error) {
        (Due::Never, Some(_)) => Err("an answer that must not be".to_owned()),
        (Due::Must, None) => Err("no answer where one is due".to_owned()),
        (_, None) => Ok(()),
        (_, Some(error)) => {
            let quote = about.frame.get(error.quote_at..error.quote_at + error.quote_len);
            let sent = [error.headers(), quote.unwrap_or_default()].concat();
            let right = quote.is_some()
                && error.quote_at == about.opinion.network
                && about.is_link(&sent)
                && if about.opinion.six {
                    about.is_error6(&sent[14..], error.quote_len)
                } else {
                    about.is_error4(&sent[14..], error.quote_len)
                };
            right
                .then_some(())
                .ok_or_else(|| format!("a wrong answer, {sent:02x?}"))
        }
    }
}

impl About<'_> {
    fn packet(&self) -> &[u8] {
        &self.frame[self.opinion.network..self.opinion.end]
    }

    /// To whom it came from, as RFC 894 and RFC 2464 have it.
    fn is_link(&self, sent: &[u8]) -> bool {
        let ethertype = if self.opinion.six {
            [0x86, 0xdd]
        } else {
            [0x08, 0x00]
        };
        sent[..6] == self.frame[6..12] && sent[6..12] == self.ingress.mac && sent[12..14] == ethertype
    }

    /// RFC 1812 section 4.3.2.7 and RFC 1122 section 3.2.2.
    fn due4(&self) -> Due {
        let packet = self.packet();
        let header_len = usize::from(packet[0] & 15) * 4;
        let is_first = u16_at(packet, 6) & 0x1fff == 0;
        let icmp_error = packet[9] == 1
            && !packet
                .get(header_len)
                .is_some_and(|kind| matches!(kind, 0 | 8..=10 | 13..=18 | 42 | 43));
        let to_many = self.frame[0] & 1 == 1 || packet[16] & 0xf0 == 0xe0 || packet[16..20] == [255; 4];
        let from_nobody = matches!(packet[12], 0 | 127 | 224..);
        // The link that it came by is a /24.
        let own = self.ingress.addresses.0.octets();
        let from_here = ipv4::is_from_here(packet);
        let from_all = packet[12..15] == own[..3] && matches!(packet[15], 0 | 255);
        if !is_first || icmp_error || to_many || from_nobody || from_here || from_all {
            return Due::Never;
        }
        match self.reason {
            DropReason::LocalUnhandled if matches!(packet[9], 1 | 6) => Due::Never,
            // Loopback and nobody stay inside a host.
            DropReason::Ip4MartianDestination if packet[16] == 127 || packet[16..20] == [0; 4] => Due::Never,
            DropReason::NoRoute
            | DropReason::Ip4MartianDestination
            | DropReason::NeighborFailed
            | DropReason::TtlExpired
            | DropReason::TooBig
            | DropReason::Ip4Options
            | DropReason::LocalUnhandled => Due::Must,
            _ => Due::Never,
        }
    }

    /// RFC 4443 section 2.4 (e).
    fn due6(&self) -> Due {
        let packet = self.packet();
        let from_here = ipv6::is_from_here(packet, self.ingress.addresses.2);
        let from_one = !from_here
            && packet[8] != 0xff
            && packet[8..24] != [0; 16]
            && self.reason != DropReason::Ip6MartianSource;
        let chain = Chain::through_misplaced(packet);
        let kind = packet.get(chain.offset);
        let is_error = chain.protocol == 58
            && !chain.is_later_fragment()
            && kind.is_some_and(|kind| *kind < 128 || *kind == 137);
        let to_group = self.frame[0] & 1 == 1 || packet[24] == 0xff;
        let excepted = matches!(
            self.reason,
            DropReason::TooBig | DropReason::Ip6Option | DropReason::HopByHopOption
        );
        if !from_one || is_error && chain.ending == Ending::Upper || to_group && !excepted {
            return Due::Never;
        }
        match self.reason {
            // The loopback stays inside a host.
            DropReason::Ip6MartianDestination if packet[24..39] == [0; 15] && packet[39] == 1 => Due::Never,
            DropReason::NoRoute | DropReason::Ip6MartianDestination | DropReason::NeighborFailed
            | DropReason::TtlExpired | DropReason::TooBig | DropReason::Ip6Scope
                // Where the chain breaks off it is not known whether it carries an error.
                if chain.ending == Ending::Upper && (chain.protocol != 58 || kind.is_some()) =>
            {
                Due::Must
            }
            DropReason::NoRoute
            | DropReason::Ip6MartianDestination
            | DropReason::NeighborFailed
            | DropReason::TtlExpired
            | DropReason::TooBig
            | DropReason::Ip6Scope
            | DropReason::LocalUnhandled
            | DropReason::Ip6Option
            | DropReason::Ip6ExtensionHeader
            | DropReason::Ip6RoutingHeader
            | DropReason::Ip6FirstFragment
            | DropReason::HopByHopOption
            | DropReason::JumboPayload
            | DropReason::RouterAlertLength => Due::May,
            _ => Due::Never,
        }
    }

    fn is_error4(&self, sent: &[u8], quoted: usize) -> bool {
        let packet = self.packet();
        let header_len = usize::from(packet[0] & 15) * 4;
        let (header, message) = sent.split_at(20);
        let Some(&[kind, code, _, _, ref field @ ..]) = message.first_chunk::<8>() else {
            return false;
        };
        let field = *field;
        let mtu = u16::from_be_bytes([field[2], field[3]]);
        let right = match self.reason {
            DropReason::NoRoute | DropReason::Ip4MartianDestination => (kind, code, field) == (3, 0, [0; 4]),
            DropReason::NeighborFailed => (kind, code, field) == (3, 1, [0; 4]),
            DropReason::TtlExpired => (kind, code, field) == (11, 0, [0; 4]),
            // RFC 1191 section 4.
            DropReason::TooBig => {
                (kind, code, field[0], field[1]) == (3, 4, 0, 0) && is_mtu(mtu, packet.len())
            }
            DropReason::Ip4Options => {
                (kind, code) == (12, 0) && (20..header_len).contains(&usize::from(field[0]))
            }
            _ => (kind, code, field) == (3, if packet[9] == 17 { 3 } else { 2 }, [0; 4]),
        };
        right
            && header[0] == 0x45
            && usize::from(u16_at(header, 2)) == sent.len()
            // RFC 1812 section 4.3.2.3: 576 bytes at most, and as much as fits.
            && quoted == packet.len().min(576 - 28)
            && header[8] > 1
            && header[9] == 1
            && header[12..16] == self.ingress.addresses.0.octets()
            && header[16..20] == packet[12..16]
            && fold(sum(0, header)) == 0xffff
            && fold(sum(0, message)) == 0xffff
    }

    fn is_error6(&self, sent: &[u8], quoted: usize) -> bool {
        let packet = self.packet();
        let (header, message) = sent.split_at(40);
        let Some(&[kind, code, _, _, ref field @ ..]) = message.first_chunk::<8>() else {
            return false;
        };
        let field = u32::from_be_bytes(*field);
        let at = usize::try_from(field).unwrap_or(usize::MAX);
        let pointed = packet.get(at).copied();
        let is_udp = Chain::of(packet).protocol == 17;
        let right = match self.reason {
            DropReason::NoRoute | DropReason::Ip6MartianDestination => (kind, code, field) == (1, 0, 0),
            DropReason::Ip6Scope => (kind, code, field) == (1, 2, 0),
            DropReason::NeighborFailed => (kind, code, field) == (1, 3, 0),
            DropReason::TtlExpired => (kind, code, field) == (3, 0, 0),
            DropReason::TooBig => {
                (kind, code) == (2, 0) && u16::try_from(field).is_ok_and(|mtu| is_mtu(mtu, packet.len()))
            }
            // RFC 8200 section 4.2: to the option's type; to a group only if it begins with 10.
            DropReason::Ip6Option | DropReason::HopByHopOption => {
                let to_group = packet[24] == 0xff || self.frame[0] & 1 == 1;
                let asks = |kind: u8| kind >> 6 == 2 || kind >> 6 == 3 && !to_group;
                (kind, code) == (4, 2) && at >= 42 && pointed.is_some_and(asks)
            }
            // Section 4: to the next header field that names hop-by-hop options, 0.
            DropReason::Ip6ExtensionHeader => (kind, code, pointed) == (4, 1, Some(0)),
            // Section 4.4: to the routing type.
            DropReason::Ip6RoutingHeader => {
                (kind, code) == (4, 0) && at >= 42 && packet.get(at + 1) != Some(&0)
            }
            // RFC 2711 section 2.1: to the length of the option.
            DropReason::RouterAlertLength => {
                (kind, code) == (4, 0) && at >= 43 && packet[at - 1] == 5 && pointed != Some(2)
            }
            // RFC 2675 section 3: to the option's type, or to the value, or to a length that is not that of one.
            DropReason::JumboPayload => {
                (kind, code) == (4, 0) && (at.saturating_sub(2)..=at).any(|at| packet.get(at) == Some(&0xc2))
            }
            // RFC 7112 section 5.
            DropReason::Ip6FirstFragment => (kind, code, field) == (4, 3, 0),
            _ if is_udp => (kind, code, field) == (1, 4, 0),
            _ => (kind, code) == (4, 1) && pointed == Some(Chain::of(packet).protocol),
        };
        // RFC 4443 section 2.2: from the address that was asked, if that is the gateway's own.
        let was_for_us = matches!(
            self.reason,
            DropReason::LocalUnhandled
                | DropReason::Ip6Option
                | DropReason::Ip6ExtensionHeader
                | DropReason::Ip6RoutingHeader
                | DropReason::Ip6FirstFragment
        );
        let (_, six, link_local) = self.ingress.addresses;
        let to_several = packet[24] == 0xff || packet[24..40] == ipv6::LINK_ROUTERS.octets();
        let source = if was_for_us && !to_several || ipv6::is_for_here(packet, link_local) {
            &packet[24..40]
        } else if u16_at(packet, 8) & 0xffc0 == 0xfe80 {
            &link_local.octets()
        } else {
            &six.octets()
        };
        right
            && header[..4] == [0x60, 0, 0, 0]
            && usize::from(u16_at(header, 4)) == message.len()
            && header[6] == 58
            && header[7] > 1
            && header[8..24] == *source
            && header[24..] == packet[8..24]
            // RFC 4443 section 2.4 (c).
            && quoted == packet.len().min(1280 - 48)
            && fold(sum(pseudo(&header[8..], 58, message.len()), message)) == 0xffff
    }
}

/// Whether a link has this MTU, and the packet is longer.
fn is_mtu(mtu: u16, length: usize) -> bool {
    INTERFACES.iter().any(|interface| interface.mtu == mtu) && length > usize::from(mtu)
}
