//! Ethernet II headers with up to two VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).
//!
//! ```text
//!    0           6          12              14/18/22
//!   +-----------+-----------+ - - - - - - - +-----------+---------
//!   |destination|  source   | tag | tag     | EtherType | payload
//!   +-----------+-----------+ - - - - - - - +-----------+---------
//!                             tag: TPID (16) | PCP (3) DEI (1) VID (12)
//! ```
//!
//! The frame check sequence is not there: NICs strip and add it.

use std::fmt;

use crate::{BufferTooShort, MacAddress, reserve};

/// Bytes of an untagged header.
pub const HEADER_LEN: usize = 14;
/// Bytes of one VLAN tag.
pub const TAG_LEN: usize = 4;
/// Most tags that are taken apart; what follows them is the payload.
pub const MAX_TAGS: usize = 2;
/// The shortest frame that may go on the wire, without frame check sequence (IEEE 802.3 §4.2.3.3).
pub const MIN_FRAME_LEN: usize = 60;

/// The type field of an Ethernet header or tag. Values below 0x0600 are lengths of IEEE 802.3 frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: EtherType = EtherType(0x0800);
    /// ARP (RFC 826).
    pub const ARP: EtherType = EtherType(0x0806);
    /// Customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: EtherType = EtherType(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: EtherType = EtherType(0x86dd);
    /// Service VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: EtherType = EtherType(0x88a8);
    /// LLDP (IEEE 802.1AB).
    pub const LLDP: EtherType = EtherType(0x88cc);

    /// Introduces a VLAN tag.
    #[inline]
    pub const fn is_tag(self) -> bool {
        self.0 == EtherType::VLAN.0 || self.0 == EtherType::SERVICE_VLAN.0
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// TPID: [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    pub tpid: EtherType,
    /// TCI: priority, drop eligibility and VLAN identifier.
    pub tci: u16,
}

impl VlanTag {
    /// A customer tag of VLAN `vid` (its low 12 bits), priority 0.
    #[inline]
    pub const fn new(vid: u16) -> VlanTag {
        VlanTag {
            tpid: EtherType::VLAN,
            tci: vid & 0x0fff,
        }
    }

    /// VLAN identifier, 0 to 4095. 0 is a frame that has a priority but no VLAN.
    #[inline]
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }

    /// Priority code point, 0 to 7.
    #[inline]
    pub const fn pcp(self) -> u8 {
        (self.tci >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    pub const fn dei(self) -> bool {
        self.tci & 0x1000 != 0
    }
}

/// The tags of a frame, outermost first: none, one or two.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct VlanTags {
    tags: [Option<VlanTag>; MAX_TAGS],
}

impl VlanTags {
    /// No tag.
    pub const NONE: VlanTags = VlanTags {
        tags: [None; MAX_TAGS],
    };

    /// One tag.
    #[inline]
    pub const fn one(tag: VlanTag) -> VlanTags {
        VlanTags {
            tags: [Some(tag), None],
        }
    }

    /// Two tags.
    #[inline]
    pub const fn two(outer: VlanTag, inner: VlanTag) -> VlanTags {
        VlanTags {
            tags: [Some(outer), Some(inner)],
        }
    }

    /// The outermost tag.
    #[inline]
    pub const fn outer(&self) -> Option<VlanTag> {
        self.tags[0]
    }

    /// The second tag.
    #[inline]
    pub const fn inner(&self) -> Option<VlanTag> {
        self.tags[1]
    }

    /// How many there are.
    #[inline]
    pub const fn count(&self) -> usize {
        self.tags[0].is_some() as usize + self.tags[1].is_some() as usize
    }

    /// The tags, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = VlanTag> {
        self.tags.into_iter().flatten()
    }

    /// These tags with `tag` put in as the innermost; `None` if there are two already.
    pub const fn with_inner(self, tag: VlanTag) -> Option<VlanTags> {
        match self.tags {
            [None, _] => Some(VlanTags::one(tag)),
            [Some(outer), None] => Some(VlanTags::two(outer, tag)),
            [Some(_), Some(_)] => None,
        }
    }
}

impl fmt::Debug for VlanTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Why bytes are no Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EthernetError {
    /// The header, or a tag that it announces, is not all there.
    #[error("the frame ends within its Ethernet header")]
    Truncated,
}

/// An Ethernet header, tags included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// Destination address.
    pub destination: MacAddress,
    /// Source address.
    pub source: MacAddress,
    /// VLAN tags.
    pub tags: VlanTags,
    /// What the payload is: the type field behind the last tag that was taken apart.
    pub ethertype: EtherType,
}

impl EthernetHeader {
    /// Reads the header at the start of `frame` and gives it with the payload (padding of short frames included).
    /// A third tag is left to the payload: then `ethertype` is a tag's.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(EthernetHeader, &[u8]), EthernetError> {
        let (header, mut payload) = frame
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(EthernetError::Truncated)?;
        let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, type0, type1] = header;
        let mut ethertype = EtherType(u16::from_be_bytes([type0, type1]));
        let mut tags = VlanTags::NONE;
        for tag in &mut tags.tags {
            if !ethertype.is_tag() {
                break;
            }
            let (&[tci0, tci1, type0, type1], rest) = payload
                .split_first_chunk::<TAG_LEN>()
                .ok_or(EthernetError::Truncated)?;
            *tag = Some(VlanTag {
                tpid: ethertype,
                tci: u16::from_be_bytes([tci0, tci1]),
            });
            ethertype = EtherType(u16::from_be_bytes([type0, type1]));
            payload = rest;
        }
        let header = EthernetHeader {
            destination: MacAddress([d0, d1, d2, d3, d4, d5]),
            source: MacAddress([s0, s1, s2, s3, s4, s5]),
            tags,
            ethertype,
        };
        Ok((header, payload))
    }

    /// Bytes on the wire, which is also the offset of the payload: 14, 18 or 22.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN + TAG_LEN * self.tags.count()
    }

    /// Writes the header to the start of `buffer`; gives the bytes written.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let out = reserve(buffer, self.len())?;
        let addresses = [self.destination.octets(), self.source.octets()];
        let tags = self.tags.iter().flat_map(|tag| [tag.tpid.0, tag.tci]);
        let words = tags.chain([self.ethertype.0]).flat_map(u16::to_be_bytes);
        for (to, from) in out.iter_mut().zip(addresses.into_iter().flatten().chain(words)) {
            *to = from;
        }
        Ok(self.len())
    }
}

/// Sets destination and source of `frame` in place; tags, type and payload stay.
#[inline]
pub fn rewrite(frame: &mut [u8], destination: MacAddress, source: MacAddress) -> Result<(), EthernetError> {
    let addresses = frame.first_chunk_mut::<12>().ok_or(EthernetError::Truncated)?;
    let [d0, d1, d2, d3, d4, d5] = destination.octets();
    let [s0, s1, s2, s3, s4, s5] = source.octets();
    *addresses = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5];
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: EthernetHeader = EthernetHeader {
        destination: MacAddress([2, 0, 0, 0, 0x10, 1]),
        source: MacAddress([2, 0, 0, 0, 0x10, 2]),
        tags: VlanTags::NONE,
        ethertype: EtherType::IPV4,
    };

    #[test]
    fn untagged_tagged_and_double_tagged_headers_round_trip() {
        let service = VlanTag {
            tpid: EtherType::SERVICE_VLAN,
            tci: 0xb064,
        };
        for (tags, len) in [
            (VlanTags::NONE, 14),
            (VlanTags::one(VlanTag::new(100)), 18),
            (VlanTags::two(service, VlanTag::new(7)), 22),
        ] {
            let header = EthernetHeader { tags, ..HEADER };
            let mut frame = [0xee; 30];
            assert_eq!(header.emit(&mut frame), Ok(len));
            let (parsed, payload) = EthernetHeader::parse(&frame).unwrap();
            assert_eq!((parsed, parsed.len()), (header, len));
            assert_eq!(payload, &[0xee; 30][len..]);
            for cut in 0..len {
                assert_eq!(
                    EthernetHeader::parse(&frame[..cut]),
                    Err(EthernetError::Truncated),
                    "{cut} of {len}"
                );
                let short = BufferTooShort {
                    needed: len,
                    available: cut,
                };
                assert_eq!(header.emit(&mut frame[..cut]), Err(short));
            }
        }
    }

    #[test]
    fn tag_fields_are_told_apart() {
        let tag = VlanTag {
            tpid: EtherType::VLAN,
            tci: 0xb064,
        };
        assert_eq!((tag.pcp(), tag.dei(), tag.vid()), (5, true, 100));
    }

    #[test]
    fn a_third_tag_is_left_to_the_payload() {
        let tags = VlanTags::two(VlanTag::new(1), VlanTag::new(2));
        assert_eq!(tags.with_inner(VlanTag::new(3)), None);
        let mut frame = [0; 26];
        EthernetHeader {
            tags,
            ethertype: EtherType::VLAN,
            ..HEADER
        }
        .emit(&mut frame)
        .unwrap();
        frame[22..].copy_from_slice(&[0x00, 0x03, 0x08, 0x00]);
        let (header, payload) = EthernetHeader::parse(&frame).unwrap();
        assert_eq!(
            (header.ethertype, header.tags, payload),
            (EtherType::VLAN, tags, &frame[22..])
        );
    }

    #[test]
    fn rewrite_touches_the_addresses_alone() {
        let mut frame = [0; 64];
        EthernetHeader {
            tags: VlanTags::one(VlanTag::new(9)),
            ..HEADER
        }
        .emit(&mut frame)
        .unwrap();
        frame[18..].fill(0x55);
        let mut expected = frame;
        expected[..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0x20, 9]);
        rewrite(
            &mut frame,
            MacAddress::BROADCAST,
            MacAddress([2, 0, 0, 0, 0x20, 9]),
        )
        .unwrap();
        assert_eq!(frame, expected);
        assert_eq!(
            rewrite(&mut frame[..11], MacAddress::ZERO, MacAddress::ZERO),
            Err(EthernetError::Truncated)
        );
        assert_eq!(frame, expected);
    }
}
