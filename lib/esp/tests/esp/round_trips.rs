//! Everything that is sealed opens, here and at a peer that knows ESP by itself, and what the peer seals opens here.

use esp::{
    Header, Inbound, IvMask, Keys, OpenError, Opened, Opening, Outbound, Sequence, Spi, Transform, Window,
};
use packet::Protocol;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::oracle::{self, Peer, keys};

pub(crate) const SPI: u32 = 0xc0de_0001;

pub(crate) fn spi() -> Spi {
    Spi::new(SPI).unwrap()
}

pub(crate) fn transform() -> impl Strategy<Value = Transform> {
    prop::sample::select(&Transform::ALL[..])
}

pub(crate) fn outbound(keys: &Keys, sequence: Sequence) -> Outbound {
    Outbound::new(spi(), &keys.parts(), sequence, IvMask(0x0123_4567_89ab_cdef))
}

/// Seals as a worker does: room in front and behind, headers, cryptography, what is spare taken off.
pub(crate) fn seal(outbound: &mut Outbound, keys: &Keys, payload: &[u8], next_header: Protocol) -> Vec<u8> {
    let sealing = outbound.seal(payload.len(), next_header).unwrap();
    let mut packet = [
        &vec![0xee; sealing.head_len()][..],
        payload,
        &vec![0xee; sealing.tail_len()],
    ]
    .concat();
    let work = sealing.write(&mut packet).unwrap();
    // Nothing of the payload was touched.
    assert_eq!(packet[sealing.head_len()..][..payload.len()], *payload);
    oracle::seal(&keys.parts(), outbound.format(), &work, &mut packet);
    let len = sealing.finish(&mut packet).unwrap();
    assert_eq!(packet.len(), len + outbound.format().spare_len());
    packet.truncate(len);
    packet
}

/// Decrypts as a worker does; gives what is needed to finish.
pub(crate) fn decrypt(
    inbound: &Inbound,
    keys: &Keys,
    packet: &mut Vec<u8>,
) -> Result<(Opening, bool), OpenError> {
    let header = Header::parse(packet).unwrap();
    let opening = inbound.open(header, packet.len())?;
    packet.resize(packet.len() + inbound.format().spare_len(), 0xee);
    let work = inbound.prepare(&opening, packet).unwrap();
    let authentic = oracle::open(&keys.parts(), inbound.format(), &work, packet);
    Ok((opening, authentic))
}

pub(crate) fn open(
    inbound: &mut Inbound,
    keys: &Keys,
    packet: &[u8],
) -> Result<(Vec<u8>, Protocol), OpenError> {
    let mut packet = packet.to_vec();
    let (opening, authentic) = decrypt(inbound, keys, &mut packet)?;
    match inbound.finish(opening, authentic, &packet)? {
        Opened::Packet(payload) => Ok((packet[payload.span.range()].to_vec(), payload.next_header)),
        Opened::Dummy => Ok((Vec::new(), Protocol::NO_NEXT_HEADER)),
    }
}

pub(crate) fn inbound(keys: &Keys, esn: bool, highest: u64) -> Inbound {
    let window = Window::resumed(64, esn, highest).unwrap();
    Inbound::new(spi(), &keys.parts(), window)
}

proptest! {
    #[test]
    fn what_is_sealed_opens_here_and_at_the_peer(
        transform in transform(),
        esn: bool,
        last in prop_oneof![0..100_u64, 0xffff_fff0..0xffff_fffe_u64, 0x5_0000_0000..0x5_0000_0010_u64],
        payloads in vec(vec(any::<u8>(), 0..200), 1..5),
        next_header in (0..=255_u8).prop_filter("a dummy", |number| *number != 59),
    ) {
        let last = if esn { last } else { last.min(0xffff_ff00) };
        let keys = keys(transform, 3);
        let bytes: Vec<u8> = (0..transform.key_len()).map(|at| (at as u8).wrapping_mul(7).wrapping_add(3)).collect();
        let mut outbound = outbound(&keys, Sequence::resumed(esn, last));
        let mut inbound = inbound(&keys, esn, last);
        let peer = Peer { spi: SPI, esn, keys: &bytes, transform };
        for (number, payload) in (last + 1..).zip(payloads) {
            let packet = seal(&mut outbound, &keys, &payload, Protocol(next_header));
            prop_assert_eq!(packet.len(), outbound.format().sealed_len(payload.len()));
            prop_assert_eq!(peer.open(number, &packet), Some((payload.clone(), next_header)));
            let opened = open(&mut inbound, &keys, &packet);
            prop_assert_eq!(opened, Ok((payload, Protocol(next_header))));
            prop_assert_eq!(inbound.window().highest(), number);
        }
    }

    #[test]
    fn what_the_peer_seals_opens_whatever_its_iv_and_however_long_its_padding(
        transform in transform(),
        esn: bool,
        number in 1..=60_u64,
        high in 0..3_u64,
        iv: [u8; 16],
        payload in vec(any::<u8>(), 0..200),
        more_padding in 0..64_usize,
    ) {
        let number = if esn { number | high << 32 } else { number };
        let keys = keys(transform, 9);
        let bytes: Vec<u8> = (0..transform.key_len()).map(|at| (at as u8).wrapping_mul(7).wrapping_add(9)).collect();
        let peer = Peer { spi: SPI, esn, keys: &bytes, transform };
        let mut inbound = inbound(&keys, esn, number - 1);
        let least = inbound.format().pad_len(payload.len());
        let pad_len = least + more_padding.min((255 - least) / transform.block_len()) * transform.block_len();
        let pad_len = u8::try_from(pad_len).unwrap();
        let packet = peer.seal(number, &iv[..transform.iv_len()], &payload, pad_len, 6);
        prop_assert_eq!(open(&mut inbound, &keys, &packet), Ok((payload, Protocol::TCP)));
    }

    #[test]
    fn ivs_of_an_sa_differ(transform in transform(), last in 0..u64::MAX - 40) {
        let keys = keys(transform, 1);
        let mut outbound = outbound(&keys, Sequence::resumed(true, last));
        let iv = |packet: Vec<u8>| packet[8..8 + transform.iv_len()].to_vec();
        let mut ivs: Vec<_> = (0..40).map(|_| iv(seal(&mut outbound, &keys, b"same", Protocol::UDP))).collect();
        ivs.sort_unstable();
        ivs.dedup();
        prop_assert_eq!(ivs.len(), if transform.iv_len() == 0 { 1 } else { 40 });
    }
}

#[test]
fn dummies_are_recognised_and_their_numbers_taken() {
    for transform in Transform::ALL {
        let keys = keys(transform, 2);
        let mut outbound = outbound(&keys, Sequence::new(false));
        let mut inbound = inbound(&keys, false, 0);
        let packet = seal(&mut outbound, &keys, &[7; 100], Protocol::NO_NEXT_HEADER);
        let mut buffer = packet.clone();
        let (opening, authentic) = decrypt(&inbound, &keys, &mut buffer).unwrap();
        assert_eq!(inbound.finish(opening, authentic, &buffer), Ok(Opened::Dummy));
        assert_eq!(inbound.window().highest(), 1);
    }
}

#[test]
fn the_iv_of_cbc_is_the_encryption_of_mask_and_number() {
    // One block more from zeros, as NIST SP 800-38A appendix C has it: the peer sees an ordinary IV.
    let keys = keys(Transform::Aes128Sha256, 5);
    let mut outbound = outbound(&keys, Sequence::resumed(true, 41));
    let packet = seal(&mut outbound, &keys, b"text", Protocol::UDP);
    let mut block = [0; 16];
    block[..8].copy_from_slice(&0x0123_4567_89ab_cdef_u64.to_be_bytes());
    block[15] = 42;
    use aes::cipher::{BlockEncrypt, KeyInit};
    let aes = aes::Aes128::new_from_slice(keys.parts().cipher()).unwrap();
    let mut iv = aes::Block::from(block);
    aes.encrypt_block(&mut iv);
    assert_eq!(packet[8..24], iv[..]);
}
