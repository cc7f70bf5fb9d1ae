//! ESP packets of any bytes, as they are before decryption and, since keys would keep a fuzzer out, as they are behind it.
//!
//! ```text
//!   input: │ transform │ flags │ highest number, 8 bytes │ outer class │ ESP packet, its text in clear │
//!            flags: 1 ESN   2 a window of 4096, not 64
//! ```

use std::ops::Range;

use esp::selector::{Flow, Selectors};
use esp::tunnel::{Family, Inner};
use esp::udp::{self, Datagram};
use esp::{
    Format, Header, Inbound, IvMask, Keys, OpenError, Opened, Outbound, Payload, ReplayError, Sequence, Spi,
    Transform, Window,
};
use packet::Protocol;

use super::{sums_up, u16_at};

const ESN: u8 = 1;
const LARGE_WINDOW: u8 = 2;

fn keys(transform: Transform) -> Keys {
    match Keys::new(transform, vec![7; transform.key_len()].into()) {
        Ok(keys) => keys,
        Err(error) => panic!("{error}"),
    }
}

/// Packets of each transform, and what goes into them.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut insides = crate::network_packets(0x08, 0x00);
    insides.truncate(6);
    let mut six = crate::network_packets(0x86, 0xdd);
    six.truncate(6);
    insides.extend(six);
    let mut seeds = Vec::new();
    for (number, transform) in Transform::ALL.into_iter().enumerate() {
        for (flags, last) in [
            (0, 100),
            (ESN, 100),
            (ESN | LARGE_WINDOW, 0xffff_ffff),
            (LARGE_WINDOW, 0),
        ] {
            let outbound = || {
                let sequence = Sequence::resumed(flags & ESN != 0, last);
                Outbound::new(Spi::MIN, &keys(transform).parts(), sequence, IvMask(9))
            };
            let head = |class: u8| [&[number as u8, flags][..], &u64::to_be_bytes(last), &[class]].concat();
            for inside in &insides {
                let next_header = if inside[0] >> 4 == 4 { 4 } else { 41 };
                seeds.push([head(number as u8), sealed(&mut outbound(), inside, next_header)].concat());
            }
            // Bytes that hide the length of the packet, an upper layer, a dummy.
            let hidden = [&insides[0][..], &[0; 100]].concat();
            seeds.push([head(2), sealed(&mut outbound(), &hidden, 4)].concat());
            seeds.push([head(0), sealed(&mut outbound(), &[0, 9, 0, 9, 0, 8, 0, 0], 17)].concat());
            seeds.push([head(0), sealed(&mut outbound(), &[0; 30], 59)].concat());
        }
    }
    seeds
}

/// A packet with its text in clear and an ICV of zeros.
fn sealed(outbound: &mut Outbound, payload: &[u8], next_header: u8) -> Vec<u8> {
    let Ok(sealing) = outbound.seal(payload.len(), Protocol(next_header)) else {
        panic!("no number left for a seed");
    };
    let mut packet = vec![0; sealing.head_len()];
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + sealing.tail_len(), 0);
    match sealing
        .write(&mut packet)
        .and_then(|_| sealing.finish(&mut packet))
    {
        Ok(len) => packet.truncate(len),
        Err(error) => panic!("{error}"),
    }
    packet
}

/// Opens a packet as a worker does, without its cryptography, beside a reading of its own.
pub fn body(input: &[u8]) {
    let Some((&[transform, flags, ref highest @ .., class], packet)) = input.split_first_chunk::<11>() else {
        return;
    };
    // What comes from outside comes here first, whatever it is.
    let is_esp = packet.first_chunk::<4>().is_some_and(|first| *first != [0; 4]);
    assert_eq!(udp::classify(packet) == Datagram::Esp, is_esp);
    let transform = Transform::ALL[usize::from(transform) % Transform::ALL.len()];
    let esn = flags & ESN != 0;
    let size = if flags & LARGE_WINDOW != 0 { 4096 } else { 64 };
    // So far from the end that nothing overflows in the reading here.
    let highest = u64::from_be_bytes(*highest) >> 2;
    let highest = if esn { highest } else { highest & 0xffff_ffff };

    let header = match Header::parse(packet) {
        Ok(header) => header,
        Err(_) => {
            assert!(packet.len() < 8 || u16_at(packet, 0) == 0 && packet[2] == 0);
            return;
        }
    };
    let Ok(window) = Window::resumed(size, esn, highest) else {
        panic!("no window of {size}");
    };
    let mut inbound = Inbound::new(header.spi, &keys(transform).parts(), window);
    let number = number(highest, size.into(), esn, header.sequence_low);
    let at_once = packet
        .first_chunk()
        .filter(|_| transform.is_aead())
        .map(|head| inbound.open_aead(head, packet.len()));
    let opening = match inbound.open(header, packet.len()) {
        Ok(opening) => opening,
        Err(OpenError::Length(len)) => {
            assert_eq!(len, packet.len());
            assert!(at_once.is_none_or(|opened| matches!(opened, Err(OpenError::Length(_)))));
            assert!(text(inbound.format(), len).is_none());
            return;
        }
        Err(error) => {
            assert_eq!(
                error,
                OpenError::Replay(number.err().unwrap_or(ReplayError::Replayed))
            );
            assert!(number.is_err());
            assert!(at_once.is_none_or(|opened| opened.is_err_and(|at_once| at_once == error)));
            return;
        }
    };
    let Some(text) = text(inbound.format(), packet.len()) else {
        panic!("{} bytes are no packet of {transform}", packet.len());
    };
    assert_eq!(Ok(opening.sequence().get()), number);
    let at_once = at_once.map(|opened| opened.unwrap_or_else(|error| panic!("not opened at once: {error}")));

    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + inbound.format().spare_len(), 0xee);
    let Ok(work) = inbound.prepare(&opening, &mut buffer) else {
        panic!("no room where there is");
    };
    let spare = if esn && !transform.is_aead() { 4 } else { 0 };
    assert_eq!(buffer[..text.end], packet[..text.end]);
    assert_eq!(buffer[text.end + spare..], packet[text.end..]);
    assert_eq!(work.icv.range(), text.end + spare..packet.len() + spare);
    if transform.is_aead() {
        assert_eq!(work.cipher.range(), text);
        assert_eq!(work.iv()[4..12], packet[8..16]);
        let Some(at_once) = at_once else {
            panic!("no head in {} bytes", packet.len());
        };
        assert_eq!((at_once.nonce, at_once.aad), (work.iv(), work.aad()));
        assert_eq!(at_once.opening.sequence(), opening.sequence());
    } else {
        assert_eq!(work.integrity.range(), 0..text.end + spare);
        assert!(work.cipher.len == 0 || work.cipher.range() == text);
    }

    let window_before = inbound.window().highest();
    assert_eq!(inbound.finish(opening, false, &buffer), Err(OpenError::Forged));
    assert_eq!(inbound.window().highest(), window_before);
    let usual = opening
        .usual_inner(&buffer, class)
        .filter(|_| transform.is_aead());
    let opened = inbound.finish(opening, true, &buffer);
    assert_eq!(opened, read(packet, text.clone()));
    assert_eq!(
        inbound.finish(opening, true, &buffer),
        Err(OpenError::Replay(ReplayError::Replayed))
    );
    let before = buffer.clone();
    let inside = match opened {
        Ok(Opened::Packet(payload)) => tunnel(&mut buffer, &payload, class),
        _ => None,
    };
    if let Some(usual) = usual {
        assert_eq!(inside, Some((usual.family, text.start..text.start + usual.len)));
        assert_eq!(buffer, before, "it goes on as it is");
    }
}

/// The number of a packet, if it is acceptable where all up to `highest` were taken.
fn number(highest: u64, size: u64, esn: bool, low: u32) -> Result<u64, ReplayError> {
    let number = whole(highest, size, esn, low).ok_or(ReplayError::TooOld)?;
    if number > highest {
        Ok(number)
    } else if number + size <= highest {
        Err(ReplayError::TooOld)
    } else {
        Err(ReplayError::Replayed)
    }
}

/// The whole number of a packet with these low bits (RFC 4303 appendix A2.1); `None` where it lies below zero.
pub(crate) fn whole(highest: u64, size: u64, esn: bool, low: u32) -> Option<u64> {
    let mut number = u64::from(low);
    if esn {
        // The first with these low bits that is not below the window.
        let bottom = (highest + 1).saturating_sub(size);
        number |= bottom >> 32 << 32;
        if number < bottom {
            number += 1 << 32;
        }
        // A young window begins below zero, where the highest numbers of 32 bits are.
        if highest + 1 < size && number > (1 << 32) - (size - highest) {
            return None;
        }
    }
    Some(number)
}

/// Where the text of a packet of `len` bytes is, if it may have as many.
pub(crate) fn text(format: Format, len: usize) -> Option<Range<usize>> {
    let transform = format.transform();
    let text = 8 + transform.iv_len()..len.checked_sub(transform.icv_len())?;
    let block = if transform.name().starts_with("aes") && !transform.is_aead() {
        16
    } else {
        4
    };
    (text.start < text.end && (text.end - text.start).is_multiple_of(block) && len <= 65_515).then_some(text)
}

/// What is in the clear text of a packet.
pub(crate) fn read(packet: &[u8], text: Range<usize>) -> Result<Opened, OpenError> {
    let (pad_len, next_header) = (usize::from(packet[text.end - 2]), packet[text.end - 1]);
    let end = (text.end - 2).checked_sub(pad_len).ok_or(OpenError::Padding)?;
    if end < text.start || (0..pad_len).any(|at| usize::from(packet[end + at]) != at + 1) {
        return Err(OpenError::Padding);
    }
    if next_header == 59 {
        return Ok(Opened::Dummy);
    }
    let (offset, len) = (text.start as u16, (end - text.start) as u16);
    Ok(Opened::Packet(Payload {
        next_header: Protocol(next_header),
        span: esp::Span { offset, len },
    }))
}

/// Takes the packet out of a tunnel. Gives what it is, and where.
pub(crate) fn tunnel(buffer: &mut [u8], payload: &Payload, class: u8) -> Option<(Family, Range<usize>)> {
    let before = buffer.to_vec();
    let inside = &before[payload.span.range()];
    let Ok((inner, span)) = payload.decapsulate(buffer, class) else {
        assert_eq!(buffer, before);
        return None;
    };
    let (six, len) = match payload.next_header.0 {
        4 => (false, usize::from(u16_at(inside, 2))),
        41 => (true, 40 + usize::from(u16_at(inside, 4))),
        other => panic!("a packet of protocol {other}"),
    };
    assert_eq!(inside[0] >> 4, if six { 6 } else { 4 });
    assert_eq!(inner.family, if six { Family::V6 } else { Family::V4 });
    assert_eq!(
        span.range(),
        payload.span.range().start..payload.span.range().start + len
    );
    let after = &buffer[span.range()];
    assert_eq!(Inner::read(after), Ok(inner));
    // RFC 6040: what was Not-ECT is, what was CE is, and CE outside is CE inside.
    let ecn = |packet: &[u8]| {
        if six { packet[1] >> 4 & 3 } else { packet[1] & 3 }
    };
    let (marked, mark) = (ecn(inside), ecn(after));
    assert!(marked != 0 || mark == 0 && class & 3 != 3);
    assert!(marked != 3 || mark == 3);
    assert!(marked == 0 || class & 3 != 3 || mark == 3);
    let header_len = usize::from(inside[0] & 15) * 4;
    if !six && sums_up(0, &inside[..header_len]) {
        assert!(sums_up(0, &after[..header_len]));
    }
    assert!(Selectors::anything().allow(after));
    if let Some(flow) = Flow::of(after) {
        assert_eq!(flow.source.is_ipv6(), six);
    }
    Some((inner.family, span.range()))
}
