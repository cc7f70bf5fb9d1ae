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
        .dont_fragment()
        .udp(5000, 5001, &[7; MTU as usize - 27]);
    assert_eq!(bench.dropped(big), DropReason::TooBig);
    bench.up[1].store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(bench.dropped(usual4()), DropReason::InterfaceDown);
}

/// A frame of each kind that leaves by interface 0, which it came in by.
fn back() -> [Vec<u8>; 2] {
    let frame = || PacketBuilder::ethernet(GATEWAY[0], SENDER);
    [
        frame()
            .ipv4(HOST_A, Ipv4Addr::new(10, 80, 0, 1))
            .udp(5000, 5001, &[7; 33]),
        frame()
            .ipv6(HOST_A6, "2001:db8:80::1".parse().unwrap())
            .payload(Protocol::NO_NEXT_HEADER, &[7; 33]),
    ]
}

/// A burst whose packets leave by turns by either interface.
fn by_turns(there: &[u8], back: &[u8], count: usize) -> Vec<Vec<u8>> {
    let turns = [there, back].into_iter().cycle();
    turns.take(count).map(<[u8]>::to_vec).collect()
}

fn leaves_apart(bench: &Bench, mut burst: Vec<Vec<u8>>) -> bool {
    let view = bench.path.interfaces.get(0).unwrap();
    matches!(
        bench.path.usual(view, &mut burst, &mut NOTES.clone()),
        Leaving::Apart
    )
}

#[test]
fn a_usual_burst_that_leaves_by_several_interfaces_does_so_as_by_the_stages() {
    let both = || [false, true].map(|kernel| Bench::on(kernel).without_redirects());
    let [quick, slow] = both();
    for (there, back) in [usual4(), usual6()].iter().zip(&back()) {
        for count in [2, 3, BURST] {
            let burst = by_turns(there, back, count);
            assert!(leaves_apart(&quick, burst.clone()));
            assert_eq!(quick.fates(burst.clone()), slow.fates(burst.clone()));
            let ways = |bench: &Bench| -> Vec<_> {
                let notes = bench.run(&mut burst.clone());
                notes.iter().map(|note| (note.passed, note.family())).collect()
            };
            assert_eq!(ways(&quick), ways(&slow));
        }
    }
}

#[test]
fn one_that_is_not_usual_takes_a_burst_that_leaves_by_several_interfaces_through_the_stages() {
    let [quick, slow] = [false, true].map(|kernel| Bench::on(kernel).without_redirects());
    let frame = || PacketBuilder::ethernet(GATEWAY[0], SENDER);
    let big = frame()
        .ipv4(HOST_A, HOST_B)
        .dont_fragment()
        .udp(5000, 5001, &[7; MTU as usize - 27]);
    let waits = frame().ipv4(HOST_A, Ipv4Addr::new(10, 1, 0, 1)).udp(1, 2, &[]);
    let refused = frame().ipv4(HOST_A, Ipv4Addr::new(10, 5, 0, 1)).udp(1, 2, &[]);
    let shared = frame().ipv4(HOST_A, Ipv4Addr::new(10, 9, 0, 1)).udp(1, 2, &[]);
    let [back, _] = back();
    for odd in [big, waits, refused, shared, usual6()] {
        for place in [0, 1, 30, 31] {
            let mut burst = by_turns(&usual4(), &back, BURST);
            burst[place] = odd.clone();
            assert!(!leaves_apart(&quick, burst.clone()));
            assert_eq!(quick.fates(burst.clone()), slow.fates(burst), "at {place}");
        }
    }
    // Its sender is told.
    let telling = Bench::on(false);
    assert!(!leaves_apart(&telling, by_turns(&usual4(), &back, 4)));
    quick.up[1].store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(!leaves_apart(&quick, by_turns(&usual4(), &back, 4)));
}

/// Destinations one bit from that of a neighbour, the gateway's own and those that no packet may have, alone and beside a usual one; also too
/// long for the link.
#[test]
fn what_the_load_balancer_has_carried_goes_where_it_would_by_all_stages() {
    let to = |destination: Ipv4Addr, payload: usize| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .ipv4(HOST_A, destination)
            .udp(5000, 5001, &vec![7; payload])
    };
    let mut bursts: Vec<_> = (0..32)
        .map(|bit| vec![to((u32::from(HOST_B) ^ 1 << bit).into(), 18)])
        .collect();
    bursts.extend([OWN, Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST].map(|special| vec![to(special, 18)]));
    bursts.push(vec![to(HOST_B, usize::from(MTU))]);
    for burst in bursts.clone() {
        bursts.push([vec![to(HOST_B, 18)], burst].concat());
    }
    bursts.push(vec![to(HOST_B, 18); BURST]);
    let mut together_count = 0;
    for kernels in [false, true] {
        let bench = Bench::on(kernels);
        for packets in &bursts {
            let mut destinations = [0; BURST];
            for (packet, destination) in packets.iter().zip(&mut destinations) {
                *destination = u32::from_be_bytes(packet[30..34].try_into().unwrap());
            }
            let fates = |is_carried: bool| {
                let (mut packets, mut notes) = (packets.clone(), NOTES);
                let mut burst = Burst {
                    packets: packets.as_mut_slice(),
                    notes: &mut notes,
                };
                let together = if is_carried {
                    bench.path.run_carried(0, &mut burst, &destinations)
                } else {
                    bench.path.run_judged(0, &mut burst)
                };
                let dispositions: Vec<_> = match together {
                    Some(together) => vec![Disposition::Transmit(together.egress); packets.len()],
                    None => notes
                        .iter()
                        .map(|note| note.disposition)
                        .take(packets.len())
                        .collect(),
                };
                (together.is_some(), dispositions, packets)
            };
            let carried = fates(true);
            assert_eq!(carried, fates(false));
            together_count += usize::from(carried.0);
        }
    }
    assert!(together_count >= 1, "none left together");
}
