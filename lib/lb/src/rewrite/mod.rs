//! Translating a packet: addresses, ports and identifiers of one side into those of the other, checksums changed by the
//! difference (RFC 1624).
//!
//! ```text
//!   client:port ─► service:port     to_server ─►     local:port ─► server:port
//!   client:port ◄─ service:port     ◄─ to_client     local:port ◄─ server:port
//! ```
//!
//! A client's SYN first loses its timestamps ([`remove_timestamps`]); segments that [`Sequence::carries_address`] names get it
//! ([`insert_toa`]), and the server's SYN then offers so much less ([`clamp_mss`]). The order of these and of the translation
//! does not matter.

mod difference;
mod options;
mod sequence;
mod toa;

use packet::tcp::TcpFlags;

pub(crate) use difference::Difference;
pub(crate) use options::shift_sack;
pub use options::{clamp_mss, remove_timestamps};
pub use sequence::Sequence;
pub use toa::{insert_toa, toa_len};

use crate::{View, What};

/// The four ends of a Full-NAT connection. IPv4 addresses are mapped. For ICMP queries the client's and the local port are
/// identifiers, and the other two are not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// All addresses are IPv6.
    pub six: bool,
    /// Address of the client.
    pub client: u128,
    /// Port of the client.
    pub client_port: u16,
    /// Address of the service.
    pub service: u128,
    /// Port of the service.
    pub service_port: u16,
    /// The gateway's address towards the server.
    pub local: u128,
    /// The gateway's port towards the server.
    pub local_port: u16,
    /// Address of the server.
    pub server: u128,
    /// Port of the server.
    pub server_port: u16,
}

impl Ends {
    /// Source and destination of what goes to the server.
    #[inline]
    fn towards_server(&self) -> Towards {
        Towards {
            source: self.local,
            destination: self.server,
            source_port: self.local_port,
            destination_port: self.server_port,
            id: self.local_port,
        }
    }

    /// Source and destination of what goes to the client.
    #[inline]
    fn towards_client(&self) -> Towards {
        Towards {
            source: self.service,
            destination: self.client,
            source_port: self.service_port,
            destination_port: self.client_port,
            id: self.client_port,
        }
    }
}

/// What a packet gets.
#[derive(Clone, Copy)]
struct Towards {
    source: u128,
    destination: u128,
    source_port: u16,
    destination_port: u16,
    id: u16,
}

/// Translates a client's TCP segment, UDP datagram or ICMP query. `false`, and nothing is changed, if the bytes are not those
/// looked at.
#[inline]
pub fn to_server(bytes: &mut [u8], view: &View, ends: &Ends, sequence: &Sequence) -> bool {
    translate(bytes, view, ends.towards_server(), |header, _, difference| {
        let [.., n0, n1, n2, n3, _, _, _, _, _, _, _, _, _, _, _, _] = header;
        add(difference, [n0, n1, n2, n3], sequence.in_delta);
    })
}

/// Translates a server's TCP segment (SACK blocks too), UDP datagram or ICMP reply. `false`, and nothing is changed, if the
/// bytes are not those looked at.
#[inline]
pub fn to_client(bytes: &mut [u8], view: &View, ends: &Ends, sequence: &Sequence) -> bool {
    let back = sequence.in_delta.wrapping_neg();
    translate(
        bytes,
        view,
        ends.towards_client(),
        |header, options, difference| {
            let [.., a0, a1, a2, a3, _, flags, _, _, _, _, _, _] = header;
            if TcpFlags(*flags).has(TcpFlags::ACK) {
                add(difference, [a0, a1, a2, a3], back);
            }
            if !options.is_empty() {
                shift_sack(options, back, difference);
            }
        },
    )
}

/// Adds to a number of TCP in place.
#[inline(always)]
pub(crate) fn add(difference: &mut Difference, number: [&mut u8; 4], value: u32) {
    let [a, b, c, d] = number;
    let old = u32::from_be_bytes([*a, *b, *c, *d]);
    let new = old.wrapping_add(value);
    [*a, *b, *c, *d] = new.to_be_bytes();
    difference.long(old, new);
}

/// Gives a packet its new ends; of a TCP segment `numbers` changes the header and the options.
#[inline(always)]
fn translate(
    bytes: &mut [u8],
    view: &View,
    ends: Towards,
    numbers: impl FnOnce(&mut [u8; 20], &mut [u8], &mut Difference),
) -> bool {
    let Some((head, carried)) = bytes.split_at_mut_checked(view.transport.into()) else {
        return false;
    };
    let network = head.get_mut(usize::from(view.network)..).unwrap_or_default();
    match view.what {
        What::Segment { header, .. } => {
            let options_len = usize::from(header).saturating_sub(20);
            let Some((header, rest)) = carried.split_first_chunk_mut::<20>() else {
                return false;
            };
            let Some(options) = rest.get_mut(..options_len) else {
                return false;
            };
            let Some(mut difference) = set_addresses(network, view.six, ends.source, ends.destination) else {
                return false;
            };
            set_ports(header, ends, &mut difference);
            numbers(header, options, &mut difference);
            let [.., c0, c1, _, _] = header;
            let mut field = [*c0, *c1];
            difference.apply_to(&mut field);
            [*c0, *c1] = field;
        }
        What::Datagram => {
            let Some(header) = carried.first_chunk_mut::<8>() else {
                return false;
            };
            let Some(mut difference) = set_addresses(network, view.six, ends.source, ends.destination) else {
                return false;
            };
            set_ports(header, ends, &mut difference);
            let [.., c0, c1] = header;
            let mut field = [*c0, *c1];
            difference.apply_to_udp(&mut field);
            [*c0, *c1] = field;
        }
        What::Query { .. } | What::Reply { .. } => {
            let Some([_, _, c0, c1, i0, i1, ..]) = carried.first_chunk_mut::<8>() else {
                return false;
            };
            let Some(difference) = set_addresses(network, view.six, ends.source, ends.destination) else {
                return false;
            };
            // ICMP of IPv4 has no pseudo-header.
            let mut difference = if view.six {
                difference
            } else {
                Difference::default()
            };
            difference.word(u16::from_be_bytes([*i0, *i1]), ends.id);
            [*i0, *i1] = ends.id.to_be_bytes();
            let mut field = [*c0, *c1];
            difference.apply_to(&mut field);
            [*c0, *c1] = field;
        }
        _ => return false,
    }
    true
}

/// Sets the ports at the start of a TCP or UDP header.
#[inline(always)]
fn set_ports(header: &mut [u8], ends: Towards, difference: &mut Difference) {
    if let Some(ports) = header.first_chunk_mut::<4>() {
        let new = u32::from(ends.source_port) << 16 | u32::from(ends.destination_port);
        difference.long(u32::from_be_bytes(*ports), new);
        *ports = new.to_be_bytes();
    }
}

/// Sets both addresses of the network header, and the checksum of IPv4's. Gives what that changes of a pseudo-header; `None`, and
/// nothing is changed, if the header is not all there.
#[inline(always)]
pub(crate) fn set_addresses(
    network: &mut [u8],
    six: bool,
    source: u128,
    destination: u128,
) -> Option<Difference> {
    let mut difference = Difference::default();
    if six {
        let (_, addresses) = network.first_chunk_mut::<40>()?.split_at_mut(8);
        let (old_source, old_destination) = addresses.split_first_chunk_mut::<16>()?;
        let old_destination = old_destination.first_chunk_mut::<16>()?;
        difference.address(u128::from_be_bytes(*old_source), source);
        difference.address(u128::from_be_bytes(*old_destination), destination);
        *old_source = source.to_be_bytes();
        *old_destination = destination.to_be_bytes();
    } else {
        let (_, rest) = network.first_chunk_mut::<20>()?.split_at_mut(10);
        let [c0, c1, s0, s1, s2, s3, d0, d1, d2, d3] = rest.first_chunk_mut::<10>()?;
        // The lower half of a mapped address is the address.
        let (source, destination) = (source as u32, destination as u32);
        difference.long(u32::from_be_bytes([*s0, *s1, *s2, *s3]), source);
        difference.long(u32::from_be_bytes([*d0, *d1, *d2, *d3]), destination);
        [*s0, *s1, *s2, *s3] = source.to_be_bytes();
        [*d0, *d1, *d2, *d3] = destination.to_be_bytes();
        let mut field = [*c0, *c1];
        difference.apply_to(&mut field);
        [*c0, *c1] = field;
    }
    Some(difference)
}
