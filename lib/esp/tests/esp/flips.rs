//! Every bit that is authenticated is: one that is not as it was sent has the packet refused, and nothing else changed by it.

use esp::{
    Header, HeaderError, Integrity, NoRoom, OpenError, ReplayError, SealError, Sequence, Transform, Window,
};
use packet::Protocol;

use crate::oracle::{self, keys};
use crate::round_trips::{SPI, decrypt, inbound, open, outbound, seal, spi};

#[test]
fn every_flipped_bit_is_refused_and_moves_no_window() {
    for transform in Transform::ALL {
        for esn in [false, true] {
            let keys = keys(transform, 4);
            let mut outbound = outbound(&keys, Sequence::resumed(esn, 9));
            let mut inbound = inbound(&keys, esn, 5);
            let packet = seal(&mut outbound, &keys, b"attack at dawn", Protocol::UDP);
            for bit in 32..packet.len() * 8 {
                let mut flipped = packet.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let refused = open(&mut inbound, &keys, &flipped).unwrap_err();
                let in_number = (32..64).contains(&bit);
                assert!(
                    refused == OpenError::Forged || in_number && matches!(refused, OpenError::Replay(_)),
                    "{transform}, bit {bit}: {refused:?}"
                );
                assert_eq!(inbound.window().highest(), 5);
            }
            // The SPI is found wrong by finding another SA or none; with the same SA it would be the ICV.
            assert!(open(&mut inbound, &keys, &packet).is_ok());
        }
    }
}

#[test]
fn the_spi_is_authenticated() {
    for transform in Transform::ALL {
        let keys = keys(transform, 4);
        let packet = seal(
            &mut outbound(&keys, Sequence::new(false)),
            &keys,
            b"text",
            Protocol::UDP,
        );
        for bit in 0..32 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let other = Header::parse(&flipped).unwrap().spi;
            assert_ne!(other, spi());
            let window = Window::new(64, false).unwrap();
            let mut inbound = esp::Inbound::new(other, &keys.parts(), window);
            assert_eq!(open(&mut inbound, &keys, &flipped), Err(OpenError::Forged));
        }
    }
}

#[test]
fn the_high_half_of_an_extended_number_is_authenticated() {
    for transform in Transform::ALL {
        let keys = keys(transform, 4);
        let high = 7 << 32;
        let packet = seal(
            &mut outbound(&keys, Sequence::resumed(true, high)),
            &keys,
            b"text",
            Protocol::UDP,
        );
        for bit in 32..64 {
            let mut inbound = inbound(&keys, true, high ^ 1 << bit);
            assert_eq!(
                open(&mut inbound, &keys, &packet),
                Err(OpenError::Forged),
                "{transform}"
            );
        }
        // Without ESN at this end the packet is another one.
        assert_eq!(
            open(&mut inbound(&keys, false, 0), &keys, &packet),
            Err(OpenError::Forged)
        );
        assert!(open(&mut inbound(&keys, true, high), &keys, &packet).is_ok());
    }
}

#[test]
fn other_keys_are_refused() {
    for transform in Transform::ALL {
        let packet = seal(
            &mut outbound(&keys(transform, 4), Sequence::new(false)),
            &keys(transform, 4),
            b"text",
            Protocol::UDP,
        );
        let others = keys(transform, 5);
        let mut inbound = inbound(&others, false, 0);
        assert_eq!(open(&mut inbound, &others, &packet), Err(OpenError::Forged));
    }
}

#[test]
fn truncated_and_lengthened_packets_are_refused() {
    for transform in Transform::ALL {
        let keys = keys(transform, 6);
        let packet = seal(
            &mut outbound(&keys, Sequence::new(false)),
            &keys,
            &[5; 40],
            Protocol::UDP,
        );
        let mut inbound = inbound(&keys, false, 0);
        for len in 0..packet.len() {
            if len < 8 {
                assert_eq!(Header::parse(&packet[..len]), Err(HeaderError::Truncated));
                continue;
            }
            let refused = open(&mut inbound, &keys, &packet[..len]).unwrap_err();
            let around = inbound.format().head_len() + transform.icv_len();
            let is_whole_blocks = len > around && (len - around).is_multiple_of(transform.block_len());
            let expected = if is_whole_blocks {
                OpenError::Forged
            } else {
                OpenError::Length(len)
            };
            assert_eq!(refused, expected, "{transform}, {len} bytes");
        }
        for more in 1..20 {
            let longer = [&packet[..], &vec![0; more]].concat();
            assert!(open(&mut inbound, &keys, &longer).is_err());
        }
        let header = Header::parse(&packet).unwrap();
        for len in [65_516, 65_536, usize::MAX] {
            assert_eq!(inbound.open(header, len).unwrap_err(), OpenError::Length(len));
        }
    }
}

#[test]
fn padding_is_one_two_three() {
    let keys = keys(Transform::NullSha256, 0);
    for (ending, expected) in [
        (&[1, 2, 3, 4, 4, 6][..], None),
        (&[9, 9, 9, 9, 0, 6], None),
        (&[9, 9, 9, 1, 1, 6], None),
        (&[1, 2, 3, 5, 4, 6], Some(OpenError::Padding)),
        (&[0, 0, 0, 0, 4, 6], Some(OpenError::Padding)),
        (&[2, 3, 4, 5, 4, 6], Some(OpenError::Padding)),
        // Longer than the packet.
        (&[1, 2, 3, 4, 7, 6], Some(OpenError::Padding)),
        (&[1, 2, 3, 4, 255, 6], Some(OpenError::Padding)),
    ] {
        let text = [&header(1)[..], &[9, 9], ending].concat();
        let icv = oracle::hmac(Integrity::HmacSha256, keys.parts().integrity(), &[&text]);
        let packet = [text, icv].concat();
        let mut inbound = inbound(&keys, false, 0);
        assert_eq!(open(&mut inbound, &keys, &packet).err(), expected, "{ending:?}");
        // It was authentic, so it is not taken a second time.
        let again = open(&mut inbound, &keys, &packet);
        assert_eq!(again, Err(OpenError::Replay(ReplayError::Replayed)));
    }
}

#[test]
fn padding_may_have_255_bytes() {
    let keys = keys(Transform::NullSha256, 0);
    let padding: Vec<u8> = (1..=255).collect();
    let text = [&header(1)[..], &[9, 9, 9], &padding, &[255, 6]].concat();
    let icv = oracle::hmac(Integrity::HmacSha256, keys.parts().integrity(), &[&text]);
    let opened = open(&mut inbound(&keys, false, 0), &keys, &[text, icv].concat());
    assert_eq!(opened, Ok((vec![9; 3], Protocol::TCP)));
}

/// SPI and sequence number.
fn header(number: u32) -> Vec<u8> {
    [SPI, number].map(u32::to_be_bytes).concat()
}

#[test]
fn a_copy_in_the_same_burst_is_refused_after_both_were_checked() {
    let keys = keys(Transform::Aes128Gcm16, 8);
    let packet = seal(
        &mut outbound(&keys, Sequence::new(false)),
        &keys,
        b"text",
        Protocol::UDP,
    );
    let mut inbound = inbound(&keys, false, 0);
    let (mut one, mut two) = (packet.clone(), packet);
    let (first, first_is) = decrypt(&inbound, &keys, &mut one).unwrap();
    let (second, second_is) = decrypt(&inbound, &keys, &mut two).unwrap();
    assert!(first_is && second_is);
    assert!(inbound.finish(first, first_is, &one).is_ok());
    let refused = inbound.finish(second, second_is, &two);
    assert_eq!(refused, Err(OpenError::Replay(ReplayError::Replayed)));
}

#[test]
fn buffers_without_room_are_refused_unchanged() {
    for transform in Transform::ALL {
        let keys = keys(transform, 8);
        let mut outbound = outbound(&keys, Sequence::new(true));
        let sealing = outbound.seal(40, Protocol::UDP).unwrap();
        let needed = sealing.head_len() + 40 + sealing.tail_len();
        for available in 0..needed {
            let mut short = vec![0xee; available];
            assert_eq!(
                sealing.write(&mut short).err(),
                Some(NoRoom { needed, available })
            );
            assert_eq!(short, vec![0xee; available]);
        }
        assert!(sealing.write(&mut vec![0; needed + 9]).is_ok());

        let packet = seal(&mut outbound, &keys, &[1; 40], Protocol::UDP);
        let mut inbound = inbound(&keys, true, 0);
        let opening = inbound
            .open(Header::parse(&packet).unwrap(), packet.len())
            .unwrap();
        let mut short = packet[..packet.len() - 1].to_vec();
        assert!(inbound.prepare(&opening, &mut short).is_err());
        assert_eq!(short, packet[..packet.len() - 1]);
        let refused = inbound.finish(opening, true, &packet[..20]);
        assert!(matches!(refused, Err(OpenError::NoRoom(_))), "{refused:?}");
    }
}

#[test]
fn an_sa_ends_with_its_numbers_and_never_sends_what_fits_no_packet() {
    let keys = keys(Transform::Aes256Gcm16, 8);
    let mut outbound = outbound(&keys, Sequence::resumed(false, 0xffff_fffe));
    for len in [65_515, 65_536, usize::MAX] {
        assert_eq!(
            outbound.seal(len, Protocol::UDP).err(),
            Some(SealError::TooLong(len))
        );
    }
    let longest = outbound.format().payload_room(65_515).unwrap();
    assert!(outbound.seal(longest, Protocol::UDP).is_ok());
    assert_eq!(
        outbound.seal(1, Protocol::UDP).err(),
        Some(SealError::SequenceEnded(esp::SequenceEnded))
    );
    assert_eq!(outbound.sequence().left(), 0);
}
