//! What a router has to do with a frame, written from the RFCs once more, byte by byte and without the parsers of the suite.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::MacAddress;

pub(crate) const ETHERNET: usize = 14;

/// The ones' complement sum of 16-bit words, RFC 1071.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum over a whole ICMPv6 packet and its pseudo-header.
pub(crate) fn sum6(packet: &[u8]) -> u16 {
    let length = u32::try_from(packet.len() - 40).unwrap();
    sum(&[
        &packet[8..40],
        &length.to_be_bytes(),
        &[0, 0, 0, 58],
        &packet[40..],
    ]
    .concat())
}

/// Makes the checksum of the IPv4 header at the start of `packet` right, however long that says it is.
pub(crate) fn fix_checksum(packet: &mut [u8]) {
    let length = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if length >= 12 && length <= packet.len() {
        packet[10..12].fill(0);
        let checksum = !sum(&packet[..length]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// One way through a router.
pub(crate) struct Router {
    /// Its MAC address where the frame comes in.
    pub(crate) mac_in: MacAddress,
    /// Its MAC address where the frame leaves.
    pub(crate) mac_out: MacAddress,
    /// Whose MAC address the frame gets.
    pub(crate) next: MacAddress,
    /// Bytes of IP packet that may leave.
    pub(crate) mtu: usize,
    /// Its address where the frame leaves, and where it comes in.
    pub(crate) address4: [Ipv4Addr; 2],
    /// Whether this way leads to an IPv4 address.
    pub(crate) leads4: fn(Ipv4Addr) -> bool,
    /// Whether this way leads to an IPv6 address.
    pub(crate) leads6: fn(Ipv6Addr) -> bool,
}

impl Router {
    /// The frame that has to leave, without times; `None` if none may.
    pub(crate) fn forward(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let (network, version) = self.network_header(frame)?;
        let packet = &frame[network..];
        let packet = match version {
            4 => self.forward4(packet)?,
            _ => self.forward6(packet)?,
        };
        let ethertype = if version == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
        let link = [&self.next.octets(), &self.mac_out.octets(), &ethertype[..]].concat();
        Some(without_times(&[link, packet].concat()))
    }

    /// Where the IP packet begins in a frame for the router, and its version as the link layer has it.
    fn network_header(&self, frame: &[u8]) -> Option<(usize, u8)> {
        if frame.get(..6)? != self.mac_in.octets() || frame.get(6)? & 1 != 0 {
            return None;
        }
        let mut offset = 12;
        for tags in 0.. {
            let ethertype = frame.get(offset..offset + 2)?;
            match (ethertype, tags) {
                ([0x08, 0x00], _) => return Some((offset + 2, 4)),
                ([0x86, 0xdd], _) => return Some((offset + 2, 6)),
                // IEEE 802.1Q: VLAN 0 is a priority without a VLAN.
                ([0x81, 0x00] | [0x88, 0xa8], 0 | 1) => {
                    let vlan = frame.get(offset + 2..offset + 4)?;
                    if vlan[0] & 0x0f != 0 || vlan[1] != 0 {
                        return None;
                    }
                }
                _ => return None,
            }
            offset += 4;
        }
        None
    }

    /// RFC 1812 sections 5.2.2, 5.3.1 and 5.3.7.
    fn forward4(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let header = packet.get(..20)?;
        let header_length = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        let (source, destination) = (address(12), address(16));
        let is_host = |address: Ipv4Addr| {
            let first = address.octets()[0];
            first != 0 && first != 127 && first < 224
        };
        let good = header[0] >> 4 == 4
            && header_length >= 20
            && total >= header_length
            && total <= packet.len()
            && sum(packet.get(..header_length)?) == 0xffff
            && is_host(source)
            && is_host(destination)
            && (self.leads4)(destination)
            && options_are_good(&packet[20..header_length])
            && header[8] > 1
            && total <= self.mtu;
        good.then(|| {
            let mut packet = packet[..total].to_vec();
            packet[8] -= 1;
            write_options(&mut packet[20..header_length], self.address4);
            fix_checksum(&mut packet);
            packet
        })
    }

    /// RFC 8200 section 3, RFC 4291 sections 2.5 to 2.7.
    fn forward6(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let header = packet.first_chunk::<40>()?;
        let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let address =
            |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&header[at..at + 16]).unwrap_or_default());
        let (source, destination) = (address(8), address(24));
        let is_host = |address: Ipv6Addr| {
            let octets = address.octets();
            let is_mapped = octets[..10] == [0; 10] && octets[10..12] == [0xff; 2];
            octets[0] != 0xff
                && octets != [0; 16]
                && address != Ipv6Addr::LOCALHOST
                && !is_mapped
                && !(octets[0] == 0xfe && octets[1] & 0xc0 == 0x80)
        };
        let good = header[0] >> 4 == 6
            && total <= packet.len()
            && is_host(source)
            && is_host(destination)
            && (self.leads6)(destination)
            && header[7] > 1
            && total <= self.mtu;
        good.then(|| {
            let mut packet = packet[..total].to_vec();
            packet[7] -= 1;
            packet
        })
    }
}

/// RFC 791 section 3.1: each option within the header; router alert (RFC 2113) of the length that it has. RFC 7126 section 4.3.5: no
/// source route.
fn options_are_good(mut options: &[u8]) -> bool {
    let mut seen = [false; 2];
    loop {
        options = match options {
            [] | [0, ..] => return true,
            [1, rest @ ..] => rest,
            [kind, length, ..] if *length >= 2 && usize::from(*length) <= options.len() => {
                let (option, rest) = options.split_at(usize::from(*length));
                if *kind == 148 && option.len() != 4 || [131, 137].contains(kind) {
                    return false;
                }
                if [7, 68].contains(kind) {
                    let twice = std::mem::replace(&mut seen[usize::from(*kind == 68)], true);
                    if twice || !can_be_written(option) {
                        return false;
                    }
                }
                rest
            }
            _ => return false,
        };
    }
}

/// RFC 791 section 3.1: record route and timestamp have room for a whole entry, or none at all; then a timestamp's overflow has
/// to count one more.
fn can_be_written(option: &[u8]) -> bool {
    let length = option.len();
    match option {
        [7, _, pointer, ..] => {
            let pointer = usize::from(*pointer);
            pointer >= 4 && (pointer > length || pointer + 3 <= length)
        }
        [68, _, pointer, overflow_flag, ..] => {
            let (pointer, flag) = (usize::from(*pointer), overflow_flag & 15);
            let entry = if flag == 0 { 4 } else { 8 };
            pointer >= 5
                && if pointer > length {
                    flag == 3 || *overflow_flag < 0xf0
                } else {
                    ![0, 1, 3].contains(&flag) || pointer + entry - 1 <= length
                }
        }
        _ => false,
    }
}

/// Writes into good options what each router writes, with the time left out as [`without_times`] does.
fn write_options(mut options: &mut [u8], own: [Ipv4Addr; 2]) {
    loop {
        let length = match options {
            [] | [0, ..] => return,
            [1, ..] => 1,
            [_, length, ..] => usize::from(*length),
            _ => return,
        };
        let (option, rest) = options.split_at_mut(length);
        let at = usize::from(option.get(2).copied().unwrap_or(0)).saturating_sub(1);
        let is_full = at >= length;
        match (option[0], option.get(3).map_or(0, |byte| byte & 15)) {
            (7, _) if !is_full => {
                option[at..at + 4].copy_from_slice(&own[0].octets());
                option[2] += 4;
            }
            (68, flag) if is_full && flag != 3 => option[3] += 0x10,
            (68, 0) if !is_full => option[2] += 4,
            (68, 1) if !is_full => option[2] += 8,
            (68, 3) if !is_full && own.iter().any(|own| option[at..at + 4] == own.octets()) => option[2] += 8,
            _ => {}
        }
        options = rest;
    }
}

/// A frame without what stands in its timestamp option, its checksum made right again: no two routers have the same time.
pub(crate) fn without_times(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let is_ip4 = frame
        .get(12..15)
        .is_some_and(|bytes| bytes[..2] == [8, 0] && bytes[2] > 0x45);
    let header = frame.get(14).map_or(0, |first| usize::from(first & 15) * 4);
    if !is_ip4 || frame.len() < ETHERNET + header || sum(&frame[ETHERNET..ETHERNET + header]) != 0xffff {
        return frame;
    }
    let mut at = ETHERNET + 20;
    while at + 1 < ETHERNET + header && frame[at] != 0 {
        let length = if frame[at] == 1 {
            1
        } else {
            usize::from(frame[at + 1])
        };
        let end = at + length.max(1);
        if frame[at] == 68
            && let Some(data) = frame.get_mut(at + 4..end)
        {
            data.fill(0);
        }
        at = end;
    }
    fix_checksum(&mut frame[ETHERNET..]);
    frame
}
