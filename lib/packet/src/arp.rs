//! ARP for IPv4 over Ethernet (RFC 826; announcements as in RFC 5227).
//!
//! ```text
//!    0               2               4       5       6
//!   +---------------+---------------+-------+-------+---------------+
//!   | hardware 1    | protocol 0800 | len 6 | len 4 | operation     |
//!   +---------------+---------------+-------+-------+---------------+
//!    8              14              18              24             28
//!   +---------------+---------------+---------------+---------------+
//!   | sender MAC    | sender IPv4   | target MAC    | target IPv4   |
//!   +---------------+---------------+---------------+---------------+
//! ```

use std::net::Ipv4Addr;

use crate::ethernet::{MIN_FRAME_LEN, VlanTags};
use crate::{BufferTooShort, EtherType, EthernetHeader, MacAddress, reserve};

/// Bytes of an ARP message.
pub const LEN: usize = 28;

/// The fixed first six bytes: Ethernet, IPv4, lengths 6 and 4.
const PREAMBLE: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];

/// Why bytes are no ARP message for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArpError {
    /// Fewer than 28 bytes.
    #[error("the ARP message is shorter than 28 bytes")]
    Truncated,
    /// Hardware type is not 1.
    #[error("the hardware type of the ARP message is not Ethernet (1)")]
    HardwareType,
    /// Protocol type is not 0x0800.
    #[error("the protocol type of the ARP message is not IPv4 (0x0800)")]
    ProtocolType,
    /// Address lengths are not 6 and 4.
    #[error("the address lengths of the ARP message are not 6 and 4")]
    AddressLength,
    /// Neither request nor reply.
    #[error("the operation of the ARP message is neither request (1) nor reply (2)")]
    Operation,
}

/// What an ARP message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// Whether a frame is filled up to the shortest length that Ethernet allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Ends with the message: 42 bytes untagged.
    None,
    /// Zeros up to [`MIN_FRAME_LEN`].
    Minimum,
}

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// ar$op.
    pub operation: Operation,
    /// ar$sha.
    pub sender_mac: MacAddress,
    /// ar$spa. Unspecified in a probe (RFC 5227 §2.1.1).
    pub sender_address: Ipv4Addr,
    /// ar$tha. Says nothing in a request.
    pub target_mac: MacAddress,
    /// ar$tpa.
    pub target_address: Ipv4Addr,
}

impl Arp {
    /// Asks who has `target`.
    pub const fn request(sender_mac: MacAddress, sender_address: Ipv4Addr, target: Ipv4Addr) -> Arp {
        Arp {
            operation: Operation::Request,
            sender_mac,
            sender_address,
            target_mac: MacAddress::ZERO,
            target_address: target,
        }
    }

    /// Announces an own address (gratuitous ARP): a request for it that names it as the sender's too (RFC 5227 §2.3).
    pub const fn announcement(mac: MacAddress, address: Ipv4Addr) -> Arp {
        Arp::request(mac, address, address)
    }

    /// The answer to this request: `mac` has the target address.
    pub const fn reply(&self, mac: MacAddress) -> Arp {
        Arp {
            operation: Operation::Reply,
            sender_mac: mac,
            sender_address: self.target_address,
            target_mac: self.sender_mac,
            target_address: self.sender_address,
        }
    }

    /// Sender and target address are the same: the sender announces its own.
    pub fn is_announcement(&self) -> bool {
        self.sender_address == self.target_address
    }

    /// The sender address is unspecified: somebody checks whether the target address is free.
    pub const fn is_probe(&self) -> bool {
        self.sender_address.is_unspecified()
    }

    /// Reads an Ethernet payload; what follows the 28 bytes is padding.
    pub fn parse(bytes: &[u8]) -> Result<Arp, ArpError> {
        let (preamble, rest) = bytes.split_first_chunk::<6>().ok_or(ArpError::Truncated)?;
        let body = rest.first_chunk::<{ LEN - 6 }>().ok_or(ArpError::Truncated)?;
        if preamble[..2] != PREAMBLE[..2] {
            return Err(ArpError::HardwareType);
        }
        if preamble[2..4] != PREAMBLE[2..4] {
            return Err(ArpError::ProtocolType);
        }
        if preamble[4..] != PREAMBLE[4..] {
            return Err(ArpError::AddressLength);
        }
        let &[
            op0,
            op1,
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            a,
            b,
            c,
            d,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            e,
            f,
            g,
            h,
        ] = body;
        Ok(Arp {
            operation: match u16::from_be_bytes([op0, op1]) {
                1 => Operation::Request,
                2 => Operation::Reply,
                _ => return Err(ArpError::Operation),
            },
            sender_mac: MacAddress([s0, s1, s2, s3, s4, s5]),
            sender_address: Ipv4Addr::new(a, b, c, d),
            target_mac: MacAddress([t0, t1, t2, t3, t4, t5]),
            target_address: Ipv4Addr::new(e, f, g, h),
        })
    }

    /// Writes the message to the start of `buffer`; gives the bytes written, [`LEN`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let out = reserve(buffer, LEN)?;
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let fields = PREAMBLE
            .into_iter()
            .chain(operation.to_be_bytes())
            .chain(self.sender_mac.octets())
            .chain(self.sender_address.octets())
            .chain(self.target_mac.octets())
            .chain(self.target_address.octets());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        Ok(LEN)
    }

    /// Writes the message as a whole frame from the sender's MAC to `destination`; gives the frame's length.
    pub fn emit_frame(
        &self,
        destination: MacAddress,
        tags: VlanTags,
        padding: Padding,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let header = EthernetHeader {
            destination,
            source: self.sender_mac,
            tags,
            ethertype: EtherType::ARP,
        };
        let len = match padding {
            Padding::None => header.len() + LEN,
            Padding::Minimum => MIN_FRAME_LEN.max(header.len() + LEN),
        };
        let frame = reserve(buffer, len)?;
        let start = header.emit(frame)?;
        if let Some(rest) = frame.get_mut(start..) {
            rest.fill(0);
            self.emit(rest)?;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VlanTag;

    const ASKER: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 2]);
    const OWNER: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 1]);
    const REQUEST: Arp = Arp::request(
        ASKER,
        Ipv4Addr::new(192, 168, 10, 2),
        Ipv4Addr::new(192, 168, 10, 1),
    );

    #[test]
    fn request_has_the_bytes_of_rfc_826() {
        let mut bytes = [0; LEN];
        assert_eq!(REQUEST.emit(&mut bytes), Ok(LEN));
        let expected = [
            0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01, // Ethernet, IPv4, lengths, request
            2, 0, 0, 0, 0x10, 2, 192, 168, 10, 2, // sender
            0, 0, 0, 0, 0, 0, 192, 168, 10, 1, // target, MAC unknown
        ];
        assert_eq!(bytes, expected);
        assert_eq!(Arp::parse(&bytes), Ok(REQUEST));
        for cut in 0..LEN {
            assert_eq!(Arp::parse(&bytes[..cut]), Err(ArpError::Truncated));
        }
    }

    #[test]
    fn reply_goes_back_to_the_asker_with_the_owner_as_sender() {
        let reply = REQUEST.reply(OWNER);
        assert_eq!(reply.operation, Operation::Reply);
        assert_eq!(
            (reply.sender_mac, reply.sender_address),
            (OWNER, Ipv4Addr::new(192, 168, 10, 1))
        );
        assert_eq!(
            (reply.target_mac, reply.target_address),
            (ASKER, Ipv4Addr::new(192, 168, 10, 2))
        );
    }

    #[test]
    fn announcement_and_probe_are_recognised() {
        assert!(Arp::announcement(OWNER, Ipv4Addr::new(10, 0, 0, 1)).is_announcement());
        assert!(Arp::request(OWNER, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 0, 0, 1)).is_probe());
        assert!(!REQUEST.is_announcement() && !REQUEST.is_probe());
    }

    #[test]
    fn other_hardware_protocol_length_or_operation_is_refused() {
        let mut good = [0; LEN];
        REQUEST.emit(&mut good).unwrap();
        for (offset, value, error) in [
            (1, 6, ArpError::HardwareType),
            (2, 0x86, ArpError::ProtocolType),
            (4, 8, ArpError::AddressLength),
            (5, 16, ArpError::AddressLength),
            (7, 0, ArpError::Operation),
            (7, 3, ArpError::Operation),
            (6, 1, ArpError::Operation),
        ] {
            let mut bytes = good;
            bytes[offset] = value;
            assert_eq!(Arp::parse(&bytes), Err(error));
        }
    }

    #[test]
    fn frame_is_padded_with_zeros_on_demand_only() {
        for (tags, padding, len) in [
            (VlanTags::NONE, Padding::None, 42),
            (VlanTags::NONE, Padding::Minimum, 60),
            (VlanTags::one(VlanTag::new(5)), Padding::None, 46),
            (VlanTags::one(VlanTag::new(5)), Padding::Minimum, 60),
        ] {
            let mut buffer = [0xee; 64];
            assert_eq!(
                REQUEST.emit_frame(MacAddress::BROADCAST, tags, padding, &mut buffer),
                Ok(len)
            );
            let (header, payload) = EthernetHeader::parse(&buffer[..len]).unwrap();
            assert_eq!(
                (header.destination, header.source),
                (MacAddress::BROADCAST, ASKER)
            );
            assert_eq!((header.tags, header.ethertype), (tags, EtherType::ARP));
            assert_eq!(Arp::parse(payload), Ok(REQUEST));
            assert!(payload[LEN..].iter().all(|&byte| byte == 0));
            assert!(buffer[len..].iter().all(|&byte| byte == 0xee));
            let short = BufferTooShort {
                needed: len,
                available: len - 1,
            };
            let refused = REQUEST.emit_frame(MacAddress::BROADCAST, tags, padding, &mut buffer[..len - 1]);
            assert_eq!(refused, Err(short));
        }
    }
}
