//! The packets that there are most of: those of an AEAD, in tunnel mode.
//!
//! ```text
//!   0         8    16                                                      16 bytes
//!   ┌─────────┬────┬─────────────────────────────────┬─────┬─────┬──────┬───────────┐
//!   │ SPI seq │ IV │ IPv4 or IPv6                    │ 1 2 │ pad │ next │ ICV       │
//!   └─────────┴────┴─────────────────────────────────┴─────┴─────┴──────┴───────────┘
//! ```
//!
//! What is known of such without a look at the SA's layout is said here. Whatever is not so in the least is read by
//! [`Inbound::finish`](crate::Inbound::finish) and [`Payload::decapsulate`](crate::Payload::decapsulate), which alone say what is wrong.

use packet::{ipv4, ipv6};

use crate::format::TRAILER_LEN;
use crate::inbound::Opening;
use crate::tunnel::{Family, IPV4, IPV6};

/// Bytes in front of the payload: SPI, sequence number, IV (RFC 4106 §3, RFC 7634 §2).
pub const AEAD_HEAD_LEN: usize = 16;
/// Bytes of ICV.
pub const AEAD_ICV_LEN: usize = 16;
/// Packets are padded to this.
pub(crate) const AEAD_BLOCK_LEN: usize = 4;

/// Padding of each length, then the length (RFC 4303 §2.4), little-endian.
pub(crate) const PADDING: [u64; AEAD_BLOCK_LEN] = [0, 0x01_01, 0x02_02_01, 0x03_03_02_01];

/// What is inside of an authentic packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsualInner {
    /// Its family.
    pub family: Family,
    /// Bytes of it, from [`AEAD_HEAD_LEN`] on: it hides no length, and ends where the padding begins.
    pub len: usize,
}

impl Opening {
    /// Reads what is inside of a packet of an AEAD, from its ESP header on, that was decrypted and is authentic: if it is an IP packet and all of
    /// one, with no more padding than is needed and nothing else behind, and congestion on its way does not change its mark
    /// (RFC 6040 §4.2). Nothing is changed.
    #[inline(always)]
    pub fn usual_inner(&self, packet: &[u8], outer_class: u8) -> Option<UsualInner> {
        let end = usize::from(self.len).checked_sub(AEAD_ICV_LEN)?;
        // There are so many: the shortest IP packet has more.
        let tail = u64::from_le_bytes(*packet.get(..end)?.last_chunk()?);
        let pad_len = usize::from((tail >> 48) as u8);
        let padding = *PADDING.get(pad_len)?;
        let is_padded = tail << 8 >> (8 * (7 - pad_len)) == padding;
        let len = end.checked_sub(AEAD_HEAD_LEN + TRAILER_LEN + pad_len)?;
        let head: &[u8; ipv4::HEADER_LEN] = packet.get(AEAD_HEAD_LEN..)?.first_chunk()?;
        let next_header = (tail >> 56) as u8;
        let length = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low]));
        let (family, class, is_whole) = if next_header == IPV4.0 {
            (
                Family::V4,
                head[1],
                head[0] == 0x45 && length(head[2], head[3]) == len,
            )
        } else if next_header == IPV6.0 {
            let class = head[0] << 4 | head[1] >> 4;
            let says = ipv6::HEADER_LEN + length(head[4], head[5]);
            (Family::V6, class, head[0] >> 4 == 6 && says == len)
        } else {
            return None;
        };
        let keeps_mark = outer_class & 3 == 0 || (outer_class ^ class) & 3 == 0;
        let is_usual = is_padded && is_whole && keeps_mark && len >= ipv4::HEADER_LEN;
        is_usual.then_some(UsualInner { family, len })
    }
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;

    use super::*;
    use crate::{AeadOpening, Header, Inbound, Keys, Opened, Spi, Transform, Window};

    const SPI: u32 = 0xc000_0001;

    fn inbound(transform: Transform, esn: bool) -> Inbound {
        let keys = Keys::new(transform, vec![0x6b; transform.key_len()].into()).unwrap();
        let highest = if esn { 0x1_0000_0040 } else { 0x40 };
        let window = Window::resumed(64, esn, highest).unwrap();
        Inbound::new(Spi::new(SPI).unwrap(), &keys.parts(), window)
    }

    /// An ESP packet after decryption, with this padding.
    fn decrypted(payload: &[u8], padding: &[u8], pad_len: u8, next_header: u8) -> Vec<u8> {
        let mut packet = Vec::from(SPI.to_be_bytes());
        packet.extend(0x41_u32.to_be_bytes());
        packet.extend([7; 8]);
        packet.extend(payload);
        packet.extend(padding);
        packet.extend([pad_len, next_header]);
        packet.extend([9; AEAD_ICV_LEN]);
        packet
    }

    fn opened(sa: &Inbound, packet: &[u8]) -> Option<AeadOpening> {
        sa.open_aead(packet.first_chunk()?, packet.len()).ok()
    }

    #[test]
    fn an_aead_s_packet_is_opened_as_any_is() {
        let aeads = Transform::ALL.into_iter().filter(|transform| transform.is_aead());
        for sa in aeads.flat_map(|transform| [false, true].map(|esn| inbound(transform, esn))) {
            for low in [0_u32, 1, 0x20, 0x40, 0x41, u32::MAX] {
                for len in (0..200).chain(65_490..65_540) {
                    let mut packet = vec![0x5a; len.max(AEAD_HEAD_LEN)];
                    packet[..4].copy_from_slice(&SPI.to_be_bytes());
                    packet[4..8].copy_from_slice(&low.to_be_bytes());
                    let header = Header::parse(&packet).unwrap();
                    let found = sa.open_aead(packet.first_chunk().unwrap(), len);
                    let expected = match sa.open(header, len) {
                        Ok(expected) => expected,
                        Err(error) => {
                            assert_eq!(found.unwrap_err(), error, "{len}");
                            continue;
                        }
                    };
                    let found = found.unwrap();
                    assert_eq!(found.opening.sequence(), expected.sequence());
                    assert_eq!(found.opening.len, expected.len);
                    let work = sa.prepare(&expected, &mut packet).unwrap();
                    assert_eq!((found.nonce, found.aad), (work.iv(), work.aad()));
                    assert_eq!(work.cipher.range(), AEAD_HEAD_LEN..len - AEAD_ICV_LEN);
                    assert_eq!(work.icv.range(), len - AEAD_ICV_LEN..len);
                }
            }
        }
    }

    /// What is read of a packet at once, after it was compared with what is read step by step.
    fn read(packet: &[u8], class: u8) -> Option<UsualInner> {
        let mut sa = inbound(Transform::Aes256Gcm16, false);
        let opening = opened(&sa, packet)?.opening;
        let found = opening.usual_inner(packet, class);
        let mut changed = packet.to_vec();
        let inside = match sa.finish(opening, true, packet) {
            Ok(Opened::Packet(payload)) => payload.decapsulate(&mut changed, class).ok(),
            _ => None,
        };
        if let Some(found) = found {
            let (inner, span) = inside.expect("what is read at once is a packet");
            assert_eq!((found.family, found.len), (inner.family, inner.len));
            assert_eq!(span.range(), AEAD_HEAD_LEN..AEAD_HEAD_LEN + found.len);
            assert_eq!(changed, packet, "it goes on as it is");
        }
        found
    }

    fn inner(six: bool, class: u8, len: usize) -> Vec<u8> {
        let data = vec![0xd5; len];
        if six {
            let [from, to] = [1, 2].map(|last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into());
            PacketBuilder::ipv6(from, to)
                .traffic_class(class)
                .udp(1, 2, &data)
        } else {
            let [from, to] = [1, 2].map(|last| [192, 0, 2, last].into());
            PacketBuilder::ipv4(from, to)
                .traffic_class(class)
                .udp(1, 2, &data)
        }
    }

    const BYTES: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    fn padded(six: bool, class: u8, len: usize) -> Vec<u8> {
        let payload = inner(six, class, len);
        let pad_len = (payload.len() + TRAILER_LEN).wrapping_neg() & 3;
        let next_header = if six { IPV6 } else { IPV4 };
        decrypted(&payload, &BYTES[..pad_len], pad_len as u8, next_header.0)
    }

    #[test]
    fn what_others_send_is_read_at_once_whatever_its_length() {
        for six in [false, true] {
            for len in 0..60 {
                let found = read(&padded(six, 0xb8, len), 0).unwrap();
                assert_eq!(found.len, inner(six, 0xb8, len).len());
                assert_eq!(found.family == Family::V6, six);
            }
        }
    }

    #[test]
    fn congestion_that_changes_the_mark_is_left_to_others() {
        for (six, inner, outer) in (0..32).map(|marks| (marks & 16 != 0, marks & 3, marks >> 2 & 3)) {
            let found = read(&padded(six, 0xb8 | inner, 20), 0x48 | outer);
            assert_eq!(
                found.is_some(),
                outer == 0 || outer == inner,
                "{inner} in {outer}"
            );
        }
    }

    #[test]
    fn what_is_odd_in_any_bit_or_has_more_behind_is_left_to_others() {
        let mut odd = 0;
        for (six, len) in [(false, 0), (false, 1), (true, 3), (true, 6)] {
            let usual = padded(six, 0, len);
            for (place, bit) in
                (AEAD_HEAD_LEN..usual.len()).flat_map(|place| (0..8).map(move |bit| (place, bit)))
            {
                let mut changed = usual.clone();
                changed[place] ^= 1 << bit;
                odd += usize::from(read(&changed, 0).is_none());
            }
            for end in 0..usual.len() {
                read(&usual[..end], 0);
            }
            let payload = inner(six, 0, len);
            let next_header = if six { IPV6 } else { IPV4 }.0;
            for hidden in 1..9 {
                // Bytes that hide its length, and padding that could be shorter.
                for pad_len in 0..8 {
                    let longer = [&payload[..], &BYTES[..hidden]].concat();
                    let packet = decrypted(&longer, &BYTES[..pad_len], pad_len as u8, next_header);
                    assert_eq!(read(&packet, 0), None, "{hidden} hidden");
                    let packet = decrypted(&payload, &BYTES[..pad_len], pad_len as u8 + 8, next_header);
                    assert_eq!(read(&packet, 0), None);
                }
            }
        }
        // The bits of version, header and total length, next header, and of what padding there is.
        assert!(odd > 4 * 30, "{odd}");
    }
}
