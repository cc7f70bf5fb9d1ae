//! Neighbour discovery: solicitations and advertisements over Ethernet (RFC 4861 §4.3, §4.4; RFC 2464 §6). Redirects are in
//! [`redirect`].
//!
//! ```text
//!    0       1       2               4               8                24                              32
//!   +-------+-------+---------------+---------------+-----------------+- - - - - - - - - - - - - - - -+
//!   |135/136|   0   | checksum      | RSO  reserved | target          | option: 1/2 | 1 | MAC address |
//!   +-------+-------+---------------+---------------+-----------------+- - - - - - - - - - - - - - - -+
//!                                     RSO: router, solicited, override, in advertisements alone
//! ```
//!
//! [`NeighborMessage::parse`] does every check of RFC 4861 §7.1: what it gives may be believed as far as anything on
//! the link may.

pub mod redirect;

use std::net::Ipv6Addr;

use crate::checksum::Sum;
use crate::ethernet::{self, VlanTags};
use crate::extension::{self, ExtensionError};
use crate::icmpv6::{Icmpv6, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION};
use crate::ipv6::{self, Ipv6, Ipv6Header, is_solicited_node};
use crate::{BufferTooShort, EtherType, EthernetHeader, MacAddress, Protocol, reserve};

/// Bytes of a message without options.
pub const LEN: usize = 24;
/// Bytes of the longest frame that is written: untagged, with a link-layer address option.
pub const MAX_FRAME_LEN: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + LEN + OPTION_LEN;
/// Messages from beyond the link have a lower hop limit (RFC 4861 §7.1).
pub const HOP_LIMIT: u8 = 255;

/// Bytes of a link-layer address option of Ethernet.
const OPTION_LEN: usize = 8;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Why a packet is no neighbour solicitation or advertisement that may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NdError {
    /// The chain of extension headers is broken.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// Something else.
    #[error("the packet is neither a neighbour solicitation (type 135) nor an advertisement (type 136)")]
    NotNeighborMessage,
    /// Has a fragment header (RFC 6980 §5).
    #[error("the neighbour message has a fragment header")]
    Fragment,
    /// May come from beyond the link.
    #[error("the hop limit of the neighbour message is not 255")]
    HopLimit,
    /// The checksum does not fit.
    #[error("the checksum of the neighbour message is wrong")]
    Checksum,
    /// Code is not 0.
    #[error("the code of the neighbour message is not 0")]
    Code,
    /// Fewer than 24 bytes.
    #[error("the neighbour message is shorter than 24 bytes")]
    Truncated,
    /// Asks for, or tells of, a group.
    #[error("the target of the neighbour message is a multicast address")]
    MulticastTarget,
    /// An option has length 0 or goes beyond the message.
    #[error("an option of the neighbour message has length 0 or goes beyond its end")]
    OptionLength,
    /// The link-layer address is not one of Ethernet.
    #[error(
        "the link-layer address option of the neighbour message has not the 8 bytes that it has on Ethernet"
    )]
    LinkLayerLength,
    /// A solicitation from the unspecified address to something else than a solicited-node address.
    #[error("the neighbour solicitation comes from :: and does not go to a solicited-node address")]
    UnspecifiedToOther,
    /// A solicitation from the unspecified address that says where its sender is.
    #[error("the neighbour solicitation comes from :: and has a source link-layer address")]
    UnspecifiedWithLinkLayer,
    /// A solicited advertisement to a group.
    #[error("the neighbour advertisement goes to a multicast address and says that it was solicited")]
    SolicitedMulticast,
}

/// Asks who has the target (RFC 4861 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborSolicitation {
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The sender's MAC address; not there if the sender's address is still being tested (RFC 4862 §5.4).
    pub source_link_layer: Option<MacAddress>,
}

/// Tells who has the target (RFC 4861 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborAdvertisement {
    /// The address told of.
    pub target: Ipv6Addr,
    /// The sender is a router.
    pub router: bool,
    /// Answers a solicitation.
    pub solicited: bool,
    /// Replaces what is known of the target (the override flag).
    pub overrides: bool,
    /// The target's MAC address.
    pub target_link_layer: Option<MacAddress>,
}

/// A neighbour solicitation or advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborMessage {
    /// Who has the target?
    Solicitation(NeighborSolicitation),
    /// The target is here.
    Advertisement(NeighborAdvertisement),
}

impl NeighborMessage {
    /// Reads the message in `packet` with every check of RFC 4861 §7.1.1 and §7.1.2. Options that are not known are
    /// skipped; of several link-layer addresses the first counts. Whether a MAC address can be a station's is not
    /// checked.
    pub fn parse(packet: &Ipv6<'_>) -> Result<NeighborMessage, NdError> {
        let upper = extension::upper_layer(packet)?;
        if upper.protocol != Protocol::ICMPV6 || upper.is_later_fragment() {
            return Err(NdError::NotNeighborMessage);
        }
        let icmp = Icmpv6::parse(upper.payload).map_err(|_| NdError::Truncated)?;
        let is_solicitation = match icmp.message_type() {
            NEIGHBOR_SOLICITATION => true,
            NEIGHBOR_ADVERTISEMENT => false,
            _ => return Err(NdError::NotNeighborMessage),
        };
        if upper.fragment.is_some() {
            return Err(NdError::Fragment);
        }
        if packet.hop_limit() != HOP_LIMIT {
            return Err(NdError::HopLimit);
        }
        if !icmp.checksum_is_valid(packet.source(), packet.destination()) {
            return Err(NdError::Checksum);
        }
        if icmp.code() != 0 {
            return Err(NdError::Code);
        }
        let (octets, options) = icmp.data().split_first_chunk::<16>().ok_or(NdError::Truncated)?;
        let target = Ipv6Addr::from(*octets);
        if target.is_multicast() {
            return Err(NdError::MulticastTarget);
        }
        if is_solicitation {
            let source_link_layer = link_layer_address(options, SOURCE_LINK_LAYER_ADDRESS)?;
            let message = NeighborSolicitation {
                target,
                source_link_layer,
            };
            message.check(packet).map(NeighborMessage::Solicitation)
        } else {
            let flags = icmp.body().first().copied().unwrap_or_default();
            let message = NeighborAdvertisement {
                target,
                router: flags & ROUTER != 0,
                solicited: flags & SOLICITED != 0,
                overrides: flags & OVERRIDE != 0,
                target_link_layer: link_layer_address(options, TARGET_LINK_LAYER_ADDRESS)?,
            };
            message.check(packet).map(NeighborMessage::Advertisement)
        }
    }

    /// Writes the message as [`NeighborSolicitation::emit_frame`] and [`NeighborAdvertisement::emit_frame`] do.
    pub fn emit_frame(
        &self,
        source_mac: MacAddress,
        destination_mac: MacAddress,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        match self {
            Self::Solicitation(message) => {
                message.emit_frame(source_mac, destination_mac, source, destination, buffer)
            }
            Self::Advertisement(message) => {
                message.emit_frame(source_mac, destination_mac, source, destination, buffer)
            }
        }
    }
}

impl NeighborSolicitation {
    /// What RFC 4861 §7.1.1 says of the unspecified source.
    fn check(self, packet: &Ipv6<'_>) -> Result<Self, NdError> {
        if !packet.source().is_unspecified() {
            return Ok(self);
        }
        if !is_solicited_node(packet.destination()) {
            return Err(NdError::UnspecifiedToOther);
        }
        match self.source_link_layer {
            Some(_) => Err(NdError::UnspecifiedWithLinkLayer),
            None => Ok(self),
        }
    }

    /// Writes the message as a whole untagged frame to the start of `buffer`, for which [`MAX_FRAME_LEN`] bytes are
    /// always enough; gives the frame's length: 78, with the sender's MAC address 86.
    pub fn emit_frame(
        &self,
        source_mac: MacAddress,
        destination_mac: MacAddress,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let option = self.source_link_layer.map(|mac| (SOURCE_LINK_LAYER_ADDRESS, mac));
        let fields = Fields {
            message_type: NEIGHBOR_SOLICITATION,
            flags: 0,
            target: self.target,
            option,
        };
        fields.emit_frame(source_mac, destination_mac, source, destination, buffer)
    }
}

impl NeighborAdvertisement {
    /// What RFC 4861 §7.1.2 says of the multicast destination.
    fn check(self, packet: &Ipv6<'_>) -> Result<Self, NdError> {
        if self.solicited && packet.destination().is_multicast() {
            return Err(NdError::SolicitedMulticast);
        }
        Ok(self)
    }

    /// Writes the message as a whole untagged frame to the start of `buffer`, for which [`MAX_FRAME_LEN`] bytes are
    /// always enough; gives the frame's length: 78, with the target's MAC address 86.
    pub fn emit_frame(
        &self,
        source_mac: MacAddress,
        destination_mac: MacAddress,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags =
            flag(self.router, ROUTER) | flag(self.solicited, SOLICITED) | flag(self.overrides, OVERRIDE);
        let option = self.target_link_layer.map(|mac| (TARGET_LINK_LAYER_ADDRESS, mac));
        let fields = Fields {
            message_type: NEIGHBOR_ADVERTISEMENT,
            flags,
            target: self.target,
            option,
        };
        fields.emit_frame(source_mac, destination_mac, source, destination, buffer)
    }
}

/// The MAC address in the first option of type `wanted`. Goes through all options: one of length 0 or beyond the end
/// makes the message invalid (RFC 4861 §7.1).
fn link_layer_address(mut options: &[u8], wanted: u8) -> Result<Option<MacAddress>, NdError> {
    let mut found = None;
    while !options.is_empty() {
        let &[option_type, units] = options.first_chunk().ok_or(NdError::OptionLength)?;
        if units == 0 {
            return Err(NdError::OptionLength);
        }
        let (option, rest) = options
            .split_at_checked(usize::from(units) * 8)
            .ok_or(NdError::OptionLength)?;
        if option_type == wanted && found.is_none() {
            let &[_, _, a, b, c, d, e, f] =
                <&[u8; OPTION_LEN]>::try_from(option).map_err(|_| NdError::LinkLayerLength)?;
            found = Some(MacAddress([a, b, c, d, e, f]));
        }
        options = rest;
    }
    Ok(found)
}

/// What a message of either kind consists of.
struct Fields {
    message_type: u8,
    flags: u8,
    target: Ipv6Addr,
    /// Type and address of the link-layer address option.
    option: Option<(u8, MacAddress)>,
}

impl Fields {
    fn emit_frame(
        self,
        source_mac: MacAddress,
        destination_mac: MacAddress,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let payload_len = LEN + if self.option.is_some() { OPTION_LEN } else { 0 };
        let len = ethernet::HEADER_LEN + ipv6::HEADER_LEN + payload_len;
        let frame = reserve(buffer, len)?;
        let ethernet = EthernetHeader {
            destination: destination_mac,
            source: source_mac,
            tags: VlanTags::NONE,
            ethertype: EtherType::IPV6,
        };
        let start = ethernet.emit(frame)?;
        let packet = frame.get_mut(start..).unwrap_or_default();
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: 0,
            next_header: Protocol::ICMPV6,
            hop_limit: HOP_LIMIT,
            source,
            destination,
            // At most 32.
            payload_len: payload_len as u16,
        };
        let start = header.emit(packet)?;
        let message = packet.get_mut(start..).unwrap_or_default();
        let option = self
            .option
            .map(|(option_type, MacAddress([a, b, c, d, e, f]))| [option_type, 1, a, b, c, d, e, f]);
        let fields = [self.message_type, 0, 0, 0, self.flags, 0, 0, 0]
            .into_iter()
            .chain(self.target.octets())
            .chain(option.into_iter().flatten());
        for (to, from) in message.iter_mut().zip(fields) {
            *to = from;
        }
        let checksum = Sum::ZERO
            .pseudo_header(source, destination, Protocol::ICMPV6, header.payload_len)
            .bytes(message)
            .checksum();
        if let Some(field) = message.get_mut(2..4) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
