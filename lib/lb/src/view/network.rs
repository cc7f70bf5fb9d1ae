//! The network layer, and TCP and UDP behind it.

use packet::ipv4_options::Ipv4Options;
use packet::tcp::{self, TcpFlags};
use packet::{Ipv4, Ipv6, Protocol, extension, ipv6, udp};

use super::{Flow, View, What, mapped, message};
use crate::Refused;

/// Options of IPv4 that name the next router: the destination is not yet the packet's own (RFC 791 section 3.1).
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// An IPv4 packet at `network`, the length of the link header.
#[inline]
pub(super) fn four(frame: &[u8], network: usize, behind: usize) -> View {
    let bytes = frame.get(network..).unwrap_or_default();
    let Ok(ip) = Ipv4::parse_start(bytes, behind) else {
        return View::OTHER;
    };
    let [first, ..] = ip.source().octets();
    // 0/8 and 127/8 are nobody's on a wire, 224/3 no source.
    if first.wrapping_sub(1) >= 223 || first == 127 {
        return View::OTHER;
    }
    let len = usize::from(ip.total_len()).saturating_sub(ip.header_len());
    let end = network + ip.header_len() + ip.payload().len();
    let mut view = View {
        flow: Flow {
            source: mapped(ip.source()),
            destination: mapped(ip.destination()),
            ..Flow::default()
        },
        what: What::Fragment,
        network: network as u16,
        transport: (network + ip.header_len()) as u16,
        end: end as u16,
        traffic_class: ip.traffic_class(),
        ttl: ip.ttl(),
        six: false,
        plain: ip.options().is_empty(),
    };
    if !view.plain && !options_may_pass(ip.options()) {
        return View::OTHER;
    }
    if !ip.is_fragment() {
        match ip.protocol() {
            Protocol::TCP => segment(&mut view, ip.payload()),
            Protocol::UDP => datagram(&mut view, ip.payload(), len),
            Protocol::ICMP => message::look(&mut view, frame, behind),
            _ => view.what = What::Other,
        }
    }
    view
}

#[cold]
fn options_may_pass(options: &[u8]) -> bool {
    Ipv4Options::new(options).all(|option| option.is_ok_and(|option| !SOURCE_ROUTES.contains(&option.kind)))
}

/// An IPv6 packet at `network`, the length of the link header.
#[inline]
pub(super) fn six(frame: &[u8], network: usize, behind: usize) -> View {
    let bytes = frame.get(network..).unwrap_or_default();
    let Ok(ip) = Ipv6::parse_start(bytes, behind) else {
        return View::OTHER;
    };
    let (source, destination) = (u128::from(ip.source()), u128::from(ip.destination()));
    if is_nobodys(source) || is_nobodys(destination) || ip.source().is_multicast() {
        return View::OTHER;
    }
    let end = network + ipv6::HEADER_LEN + ip.payload().len();
    let mut view = View {
        flow: Flow {
            source,
            destination,
            ..Flow::default()
        },
        what: What::Fragment,
        network: network as u16,
        transport: (network + ipv6::HEADER_LEN) as u16,
        end: end as u16,
        traffic_class: ip.traffic_class(),
        ttl: ip.hop_limit(),
        six: true,
        plain: true,
    };
    match ip.next_header() {
        Protocol::TCP => segment(&mut view, ip.payload()),
        Protocol::UDP => datagram(&mut view, ip.payload(), usize::from(ip.payload_len())),
        Protocol::ICMPV6 => message::look(&mut view, frame, behind),
        other if extension::is_extension(other) => return behind_extensions(frame, view, &ip, behind),
        _ => view.what = What::Other,
    }
    view
}

/// The unspecified and the loopback address, and those that are an IPv4 address in disguise, which would be taken for it.
#[inline]
pub(super) fn is_nobodys(address: u128) -> bool {
    address >> 64 == 0
}

/// The rest of `six` for a packet with extension headers. Those that cannot be followed, that protect the addresses (AH, RFC 4302)
/// or have further destinations are left to the stages.
#[cold]
fn behind_extensions(frame: &[u8], mut view: View, ip: &Ipv6<'_>, behind: usize) -> View {
    let Some(upper) = upper_layer(ip).filter(|upper| !upper.has_segments_left) else {
        return View::OTHER;
    };
    view.plain = false;
    if upper.is_fragment() {
        return view;
    }
    view.transport = view.network.saturating_add(upper.offset as u16);
    let len = (ipv6::HEADER_LEN + usize::from(ip.payload_len())).saturating_sub(upper.offset);
    match upper.protocol {
        Protocol::TCP => segment(&mut view, upper.payload),
        Protocol::UDP => datagram(&mut view, upper.payload, len),
        Protocol::ICMPV6 => message::look(&mut view, frame, behind),
        _ => view.what = What::Other,
    }
    view
}

/// What is behind the extension headers, unless one of them is AH or they cannot be followed.
pub(super) fn upper_layer<'a>(ip: &Ipv6<'a>) -> Option<extension::UpperLayer<'a>> {
    let protected =
        extension::walk(ip).any(|header| header.is_ok_and(|header| header.protocol == Protocol::AH));
    extension::upper_layer(ip).ok().filter(|_| !protected)
}

/// A TCP segment of which `bytes` are the start, its header at least.
#[inline]
fn segment(view: &mut View, bytes: &[u8]) {
    let header = match bytes.first_chunk::<{ tcp::HEADER_LEN }>() {
        Some(header) => header,
        None => return view.what = What::Bad(Refused::Short),
    };
    let &[s0, s1, d0, d1, n0, n1, n2, n3, a0, a1, a2, a3, offset, flags, ..] = header;
    let header_len = usize::from(offset >> 4) * 4;
    if header_len < tcp::HEADER_LEN || header_len > bytes.len() {
        return view.what = What::Bad(Refused::Short);
    }
    view.flow.source_port = u16::from_be_bytes([s0, s1]);
    view.flow.destination_port = u16::from_be_bytes([d0, d1]);
    view.what = What::Segment {
        flags: TcpFlags(flags),
        header: header_len as u8,
        sequence: u32::from_be_bytes([n0, n1, n2, n3]),
        acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
    };
}

/// A UDP datagram in `len` bytes of which `bytes` are the start, its header at least.
#[inline]
fn datagram(view: &mut View, bytes: &[u8], len: usize) {
    let &[s0, s1, d0, d1, l0, l1, ..] = match bytes.first_chunk::<{ udp::HEADER_LEN }>() {
        Some(header) => header,
        None => return view.what = What::Bad(Refused::Short),
    };
    let claimed = usize::from(u16::from_be_bytes([l0, l1]));
    if claimed < udp::HEADER_LEN || claimed > len {
        return view.what = What::Bad(Refused::Short);
    }
    view.flow.source_port = u16::from_be_bytes([s0, s1]);
    view.flow.destination_port = u16::from_be_bytes([d0, d1]);
    view.what = What::Datagram;
}
