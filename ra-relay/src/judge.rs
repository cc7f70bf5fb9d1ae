//! What a rule makes of a packet.

use packet::ethernet::EthernetHeader;
use packet::{EtherType, Ipv4, Ipv6};
use router_alert::Family;
use router_alert::alert::{self, Beyond, Duplicates, Padding, Settings, Unrecognized};
use router_alert::strip::How;
use router_alert::{rewrite, strip};

/// Where a frame has its packet, and what its router alert says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Where the IP header begins.
    pub network: usize,
    /// Where the packet ends; behind it is what the link padded it with.
    pub end: usize,
    /// Its family.
    pub family: Family,
    /// The value of its router alert.
    pub value: u16,
}

/// Why a packet is not changed as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is a fragment, and its payload would be another.
    Fragment,
    /// It cannot be read, is protected, or has nothing to be changed.
    Other,
}

impl From<rewrite::Refused> for Refused {
    fn from(refused: rewrite::Refused) -> Self {
        match refused {
            rewrite::Refused::Fragment => Self::Fragment,
            _ => Self::Other,
        }
    }
}

/// What is wrong with options was for the primary to judge.
const READABLE: Settings = Settings {
    padding: Padding::Lenient,
    duplicates: Duplicates::First,
    unrecognized: Unrecognized::Skip,
    beyond: Beyond::Refuse,
    most_bytes: usize::MAX,
    most_options: usize::MAX,
};

impl Sight {
    /// Looks at a frame. `None` for one without a router alert, or that cannot be read.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let (link, packet) = EthernetHeader::parse(frame).ok()?;
        let (family, length) = match link.ethertype {
            EtherType::IPV4 => (Family::Four, usize::from(Ipv4::parse(packet).ok()?.total_len())),
            EtherType::IPV6 => (Family::Six, Ipv6::parse(packet).ok()?.total_len()),
            _ => return None,
        };
        let alert = alert::find(packet, &READABLE).ok()??;
        Some(Self {
            network: link.len(),
            end: link.len() + length,
            family,
            value: alert.value,
        })
    }

    /// The addresses in the packet's header, source first.
    pub fn addresses<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        let addresses = match self.family {
            Family::Four => 12..20,
            Family::Six => 8..40,
        };
        self.packet(frame).get(addresses).unwrap_or_default()
    }

    /// The packet of the frame.
    pub fn packet<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        frame.get(self.network..self.end).unwrap_or_default()
    }
}

/// Writes to `out` the frame with its packet stripped.
///
/// # Errors
///
/// It cannot be.
pub fn stripped(frame: &[u8], how: How, out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut packet = packet_of(frame)?;
    strip::strip(&mut packet.1, how).map_err(|_| Refused::Other)?;
    put_together(frame, &packet, out);
    Ok(())
}

/// Writes to `out` the frame with another DSCP in its packet.
///
/// # Errors
///
/// It cannot be.
pub fn with_dscp(frame: &[u8], dscp: u8, out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut packet = packet_of(frame)?;
    rewrite::set_dscp(&mut packet.1, dscp)?;
    put_together(frame, &packet, out);
    Ok(())
}

/// Writes to `out` the frame with what a helper has made of its packet, lengths and checksums made right.
///
/// # Errors
///
/// It is not to be sent.
pub fn with_packet(frame: &[u8], changed: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    let (network, original) = packet_of(frame)?;
    let mut changed = changed.to_vec();
    rewrite::correct(&original, &mut changed)?;
    put_together(frame, &(network, changed), out);
    Ok(())
}

/// Where the packet of a frame begins, and the packet without what the link padded it with.
fn packet_of(frame: &[u8]) -> Result<(usize, Vec<u8>), Refused> {
    let sight = Sight::of(frame).ok_or(Refused::Other)?;
    Ok((sight.network, sight.packet(frame).to_vec()))
}

/// A frame with another packet in it.
fn put_together(frame: &[u8], (network, packet): &(usize, Vec<u8>), out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(frame.get(..*network).unwrap_or_default());
    out.extend_from_slice(packet);
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    const LINK: [u8; 18] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 100, 0x86, 0xdd];

    fn packet(text: &[u8]) -> Vec<u8> {
        let (host, peer) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        PacketBuilder::ipv6(host, peer).router_alert(5).udp(1, 2, text)
    }

    /// In a frame with one tag, and padding behind it.
    fn frame(packet: &[u8]) -> Vec<u8> {
        [&LINK[..], packet, &[0; 7]].concat()
    }

    #[test]
    fn a_frame_is_looked_at_behind_its_tag_and_before_its_padding() {
        let packet = packet(b"hello");
        let frame = frame(&packet);
        let sight = Sight::of(&frame).unwrap();
        assert_eq!((sight.network, sight.family, sight.value), (18, Family::Six, 5));
        assert_eq!(sight.packet(&frame), packet);
    }

    #[test]
    fn what_goes_on_changed_keeps_its_link_header_and_loses_the_padding() {
        let frame = frame(&packet(b"hello"));
        let mut out = vec![1, 2, 3];
        assert_eq!(stripped(&frame, How::Remove, &mut out), Ok(()));
        assert_eq!(out.len(), frame.len() - 8 - 7);
        assert_eq!(out[..18], frame[..18]);
        assert_eq!((out[18 + 6], &out[out.len() - 5..]), (17, &b"hello"[..]));
        assert_eq!(with_dscp(&frame, 46, &mut out), Ok(()));
        assert_eq!((out.len(), out[18], out[19]), (frame.len() - 7, 0x6b, 0x80));
    }

    #[test]
    fn req_ra_29_what_a_helper_has_made_of_a_packet_is_made_right() {
        let original = packet(b"hello");
        let changed = [&original[..original.len() - 5], b"good morning"].concat();
        let mut out = Vec::new();
        assert_eq!(with_packet(&frame(&original), &changed, &mut out), Ok(()));
        assert_eq!(out, [&LINK[..], &packet(b"good morning")].concat());
    }

    #[test]
    fn req_ra_25_and_28_what_cannot_be_changed_is_refused() {
        let (host, peer) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        // RFC 4302: an authentication header covers the option.
        let packet = PacketBuilder::ipv6(host, peer).router_alert(5).payload(
            packet::Protocol(51),
            &[
                17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        );
        let mut out = Vec::new();
        assert_eq!(
            stripped(&frame(&packet), How::Remove, &mut out),
            Err(Refused::Other)
        );
        let fragment = PacketBuilder::ipv6(host, peer)
            .router_alert(5)
            .fragment(8, true, 7)
            .payload(packet::Protocol::UDP, &[1; 16]);
        let changed = [&fragment[..fragment.len() - 16], &[2; 16]].concat();
        assert_eq!(
            with_packet(&frame(&fragment), &changed, &mut out),
            Err(Refused::Fragment)
        );
        assert_eq!(stripped(&frame(&fragment), How::Remove, &mut out), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(
            mut bytes in prop::collection::vec(any::<u8>(), 0..120),
            changed in prop::collection::vec(any::<u8>(), 0..120),
            six: bool,
        ) {
            let ethertype = if six { [0x86, 0xdd] } else { [8, 0] };
            if let Some(place) = bytes.get_mut(12..14) {
                place.copy_from_slice(&ethertype);
            }
            let mut out = Vec::new();
            let _ = (Sight::of(&bytes), stripped(&bytes, How::Remove, &mut out), with_dscp(&bytes, 9, &mut out));
            let _ = with_packet(&bytes, &changed, &mut out);
        }
    }
}
