//! The usual way and the stages one by one agree on every packet.

use packet::{PacketBuilder, Protocol};

use super::*;

fn usual4() -> Vec<u8> {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .udp(5000, 5001, &[7; 18])
}

fn usual6() -> Vec<u8> {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv6(HOST_A6, HOST_B6)
        .payload(Protocol::NO_NEXT_HEADER, &[7; 18])
}

/// What only interfaces of a kernel are asked for.
fn is_the_kernels(fate: &(Disposition, Vec<u8>)) -> bool {
    matches!(
        fate.0,
        Disposition::Drop(DropReason::Oversize | DropReason::PartialChecksum)
    )
}

/// A frame with one byte changed, and the IPv4 checksum made right again or not.
fn changed(frame: &[u8], place: usize, by: u8, mend: bool) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[place] ^= by;
    if mend && frame[12..14] == [8, 0] {
        frame[24..26].fill(0);
        let sum = packet::checksum::Sum::ZERO.bytes(&frame[14..34]).checksum();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

#[test]
fn a_usual_burst_leaves_without_notes() {
    let bench = Bench::on(false);
    for frame in [usual4(), usual6()] {
        for count in [1, 2, BURST] {
            assert_eq!(bench.burst(vec![frame.clone(); count]).0, Some(1));
        }
    }
}

#[test]
fn every_changed_byte_has_the_same_fate_both_ways() {
    let (quick, slow) = (Bench::on(false), Bench::on(true));
    let mut unlike_usual = 0;
    for frame in [usual4(), usual6()] {
        for place in 0..frame.len() {
            for (bit, mend) in (0..8).flat_map(|bit| [(bit, true), (bit, false)]) {
                let odd = changed(&frame, place, 1 << bit, mend);
                let expected = slow.fates(vec![odd.clone()]);
                if is_the_kernels(&expected[0]) {
                    continue;
                }
                assert_eq!(
                    quick.fates(vec![odd]),
                    expected,
                    "byte {place}, bit {bit}, mended {mend}"
                );
                unlike_usual += usize::from(expected[0].0 != Disposition::Transmit(1));
            }
        }
    }
    assert!(unlike_usual > 500, "{unlike_usual}");
}

#[test]
fn every_length_has_the_same_fate_both_ways() {
    let (quick, slow) = (Bench::on(false), Bench::on(true));
    for mut frame in [usual4(), usual6()] {
        frame.resize(frame.len() + 6, 0);
        for length in 0..=frame.len() {
            let cut = frame[..length].to_vec();
            let expected = slow.fates(vec![cut.clone()]);
            assert_eq!(quick.fates(vec![cut]), expected, "{length} bytes");
        }
    }
}

#[test]
fn one_odd_packet_changes_nothing_for_the_others_of_its_burst() {
    let (quick, slow) = (Bench::on(false), Bench::on(true));
    let no_route = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, Ipv4Addr::new(203, 0, 113, 1))
        .udp(1, 2, &[]);
    for (frame, other) in [(usual4(), usual6()), (usual6(), usual4())] {
        for odd in [
            other,
            no_route.clone(),
            changed(&frame, 0, 4, false),
            frame[..20].to_vec(),
        ] {
            for place in [0, 1, 15, 30, 31] {
                let mut burst = vec![frame.clone(); BURST];
                burst[place] = odd.clone();
                assert_eq!(quick.fates(burst.clone()), slow.fates(burst), "at {place}");
            }
        }
    }
}

#[test]
fn what_is_too_big_or_finds_the_interface_down_is_noted() {
    let bench = Bench::on(false);
    let big = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .udp(5000, 5001, &[7; MTU as usize - 27]);
    assert_eq!(bench.dropped(big), DropReason::TooBig);
    bench.up[1].store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(bench.dropped(usual4()), DropReason::InterfaceDown);
}
