//! What is asked of each packet of a burst before the stages, where there are protected tunnels: read once.

use dpdk::Mbuf;
use esp::udp;
use packet::ethernet::HEADER_LEN;
use packet::{Protocol, ipv6};

use crate::path::{BURST, HEAD4};

/// What a burst is like.
pub(super) struct Survey {
    /// A bit for each packet that may be ESP, in UDP or not.
    pub(super) candidates: u32,
    /// Of all packets.
    pub(super) bytes: usize,
    /// Whether all are IPv4 packets without tags.
    pub(super) are_plain: bool,
    sources: [u32; BURST],
    count: usize,
}

impl Survey {
    /// Looks at a burst.
    #[inline(always)]
    pub(super) fn of(packets: &[Mbuf]) -> Self {
        Self::of_frames(packets.iter().map(|mbuf| (mbuf.len(), mbuf.data())))
    }

    /// Looks at packets by their length and what is in the first segment.
    #[inline(always)]
    fn of_frames<'f>(frames: impl Iterator<Item = (usize, &'f [u8])>) -> Self {
        let mut sources = [0; BURST];
        // One by one, so that they stay in registers.
        let (mut candidates, mut bytes, mut are_plain) = (0, 0, true);
        let (mut count, mut last) = (0, None);
        for (number, (length, frame)) in (0..).zip(frames) {
            bytes += length;
            let Some(head) = frame.first_chunk() else {
                are_plain = false;
                continue;
            };
            candidates |= u32::from(may_be_esp(head)) << number;
            are_plain &= head[12] == 0x08 && head[13] == 0;
            let source = u32::from_be_bytes([head[26], head[27], head[28], head[29]]);
            if last != Some(source)
                && let Some(place) = sources.get_mut(count)
            {
                *place = source;
                last = Some(source);
                count += 1;
            }
        }
        Self {
            candidates,
            bytes,
            are_plain,
            sources,
            count,
        }
    }

    /// Where the packets come from, if all are plain. Packets come in trains: a source that is the one before is not said again.
    #[inline]
    pub(super) fn sources(&self) -> &[u32] {
        self.sources.get(..self.count).unwrap_or_default()
    }
}

/// Whether a frame has an ESP header right behind its IP header, or UDP that may be around one.
#[inline(always)]
pub(super) fn may_be_esp(head: &[u8; HEAD4 + 4]) -> bool {
    match [head[12], head[13], head[14]] {
        [0x08, 0x00, 0x45] => {
            head[23] == Protocol::ESP.0
                || head[23] == Protocol::UDP.0 && head[36..] == udp::PORT.to_be_bytes()
        }
        // Of UDP somebody has to look at the checksum.
        [0x86, 0xdd, first] => first >> 4 == 6 && head[20] == Protocol::ESP.0,
        _ => false,
    }
}

/// Where the packets of a burst come from, as [`Survey::sources`], if all are IPv6 packets without tags from addresses of 2000::/3.
#[inline]
pub(super) fn sources6<'s>(packets: &[Mbuf], sources: &'s mut [u128; BURST]) -> Option<&'s [u128]> {
    let mut count = 0;
    for mbuf in packets {
        let source = source6(mbuf.data())?;
        if count == 0 || sources.get(count - 1) != Some(&source) {
            *sources.get_mut(count)? = source;
            count += 1;
        }
    }
    sources.get(..count)
}

/// Where a frame comes from, as above.
#[inline]
fn source6(frame: &[u8]) -> Option<u128> {
    let head: &[u8; HEADER_LEN + ipv6::HEADER_LEN] = frame.first_chunk()?;
    let is_usual = head[12..14] == [0x86, 0xdd] && head[14] >> 4 == 6 && head[22] >> 5 == 1;
    let source = u128::from_be_bytes(*head.get(22..)?.first_chunk()?);
    is_usual.then_some(source)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use packet::builder::EthernetBuilder;
    use packet::{MacAddress, PacketBuilder};

    use super::*;

    fn frame() -> EthernetBuilder {
        PacketBuilder::ethernet(MacAddress([2; 6]), MacAddress([4; 6]))
    }

    fn from(last: u8) -> Vec<u8> {
        frame()
            .ipv4([192, 0, 2, last].into(), [10, 0, 0, 1].into())
            .udp(1, 2, b"")
    }

    fn survey_of(frames: &[Vec<u8>]) -> Survey {
        Survey::of_frames(frames.iter().map(|frame| (frame.len(), &frame[..])))
    }

    #[test]
    fn sources_are_said_once_for_each_train_and_none_is_left_out() {
        let frames: Vec<_> = [1, 1, 2, 2, 2, 1, 3].map(from).into();
        let survey = survey_of(&frames);
        assert!(survey.are_plain);
        assert_eq!(survey.candidates, 0);
        let said: Vec<_> = survey.sources().iter().map(|source| source & 0xff).collect();
        assert_eq!(said, [1, 2, 1, 3]);
        let mut full: Vec<_> = (0..BURST as u8).map(from).collect();
        assert_eq!(survey_of(&full).sources().len(), BURST);
        // An address of zeros is one too.
        full.iter_mut().for_each(|frame| frame[26..30].fill(0));
        assert_eq!(survey_of(&full).sources(), [0]);
    }

    #[test]
    fn what_is_no_ipv4_or_has_tags_or_is_short_is_not_plain() {
        let six = frame()
            .ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
            .udp(1, 2, b"");
        let mut tagged = from(1);
        tagged[12..14].copy_from_slice(&[0x81, 0x00]);
        for odd in [six, tagged, from(1)[..37].to_vec()] {
            assert!(!survey_of(&[from(1), odd, from(1)]).are_plain);
        }
    }

    #[test]
    fn esp_is_told_from_others_by_its_bit() {
        let esp = frame().ipv4([192, 0, 2, 1].into(), [10, 0, 0, 1].into());
        let in_udp = frame().ipv4([192, 0, 2, 1].into(), [10, 0, 0, 1].into());
        let frames = [
            from(1),
            esp.payload(Protocol::ESP, &[7; 16]),
            from(2),
            in_udp.udp(9, udp::PORT, &[7; 16]),
        ];
        assert_eq!(survey_of(&frames).candidates, 0b1010);
    }

    #[test]
    fn ipv6_packets_from_everywhere_but_the_link_are_plain_too() {
        let six = |source: &str| {
            frame()
                .ipv6(source.parse().unwrap(), Ipv6Addr::LOCALHOST)
                .udp(1, 2, b"")
        };
        let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        assert_eq!(source6(&six("2001:db8::1")), Some(source.to_bits()));
        for odd in ["fe80::1", "::", "fd00::1", "ff02::1"] {
            assert_eq!(source6(&six(odd)), None, "{odd}");
        }
        assert_eq!(source6(&from(1)), None);
        assert_eq!(source6(&six("2001:db8::1")[..53]), None);
    }
}
