//! Fragments in, packets out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::fragment::{cut_v4, cut_v6};
use packet::{Ipv4, Ipv6, PacketBuilder, Protocol};
use proptest::prelude::*;
use reassembly::{Fragment, FragmentError, GivenUp, Inserted, Reassembler};

mod given_up;

const A: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 2);
const B: Ipv4Addr = Ipv4Addr::new(192, 168, 20, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const LINK: [u8; 14] = [7; 14];
/// Ticks of a second.
const SECOND: u64 = 1000;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// A packet with `len` bytes behind its header and its fragments, each with its bytes.
fn fragments(six: bool, len: usize, mtu: u16, identification: u16) -> (Vec<u8>, Vec<Vec<u8>>) {
    if six {
        let packet = PacketBuilder::ipv6(A6, B6).payload(Protocol::UDP, &payload(len));
        let cuts = cut_v6(packet.first_chunk().unwrap(), mtu, identification.into()).unwrap();
        let all = cuts.map(|cut| [cut.headers(), &packet[40..][cut.payload.clone()]].concat());
        (packet.clone(), all.collect())
    } else {
        let packet = PacketBuilder::ipv4(A, B)
            .identification(identification)
            .payload(Protocol::UDP, &payload(len));
        let all = cut_v4(&packet, mtu)
            .unwrap()
            .map(|cut| [cut.headers(), &packet[20..][cut.payload.clone()]].concat());
        (packet.clone(), all.collect())
    }
}

fn parse(bytes: &[u8]) -> Result<Fragment<'_>, FragmentError> {
    if bytes[0] >> 4 == 6 {
        Fragment::parse_v6(bytes, 0)
    } else {
        Fragment::parse_v4(bytes)
    }
}

fn insert<'r>(table: &'r mut Reassembler, bytes: &[u8], now: u64) -> Inserted<'r> {
    table.insert(&parse(bytes).unwrap(), &LINK, 0, now)
}

/// An IPv4 fragment of a UDP packet.
fn piece(offset: u16, more: bool, bytes: &[u8]) -> Vec<u8> {
    PacketBuilder::ipv4(A, B)
        .identification(1)
        .fragment(offset, more)
        .payload(Protocol::UDP, bytes)
}

fn piece6(offset: u16, more: bool, bytes: &[u8]) -> Vec<u8> {
    PacketBuilder::ipv6(A6, B6)
        .fragment(offset, more, 1)
        .payload(Protocol::UDP, bytes)
}

#[test]
fn fragments_in_either_order_become_the_packet_that_was_cut() {
    for six in [false, true] {
        for backwards in [false, true] {
            let mut table = Reassembler::new(4, SECOND);
            let (packet, mut all) = fragments(six, 4008, 1500, 7);
            if backwards {
                all.reverse();
            }
            let last = all.pop().unwrap();
            for fragment in &all {
                assert!(matches!(insert(&mut table, fragment, 0), Inserted::Held { .. }));
            }
            let Inserted::Whole(whole) = insert(&mut table, &last, 0) else {
                panic!("not whole");
            };
            assert_eq!((whole.link_len, whole.six), (14, six));
            assert_eq!(whole.made_of.fragments, 3);
            assert_eq!(whole.frame[..14], LINK);
            assert_eq!(whole.frame[14..], packet);
        }
    }
}

#[test]
fn headers_in_front_of_the_fragment_header_stay() {
    let mut table = Reassembler::new(1, SECOND);
    let ip = || PacketBuilder::ipv6(A6, B6).router_alert(0).routing(0, 0);
    let first = ip().fragment(0, true, 9).payload(Protocol::UDP, &[1; 16]);
    let last = ip().fragment(16, false, 9).payload(Protocol::UDP, &[2; 5]);
    insert(&mut table, &last, 0);
    let Inserted::Whole(whole) = insert(&mut table, &first, 0) else {
        panic!("not whole");
    };
    let expected = ip().payload(Protocol::UDP, &[&[1; 16][..], &[2; 5]].concat());
    assert_eq!(whole.frame[14..], expected);
    assert!(Ipv6::parse(&whole.frame[14..]).is_ok());
}

#[test]
fn a_copy_changes_nothing_and_an_overlap_discards_all_that_came_and_comes() {
    for make in [piece, piece6] {
        let overlaps = [
            (8, true, 16),
            (0, true, 16),
            (0, true, 32),
            (16, true, 8),
            // The end is where it cannot be.
            (8, false, 4),
        ];
        for (offset, more, len) in overlaps {
            let mut table = Reassembler::new(2, SECOND);
            let first = make(0, true, &[1; 24]);
            insert(&mut table, &first, 0);
            assert!(matches!(insert(&mut table, &first, 0), Inserted::Copy));
            let Inserted::Overlap(lost) = insert(&mut table, &make(offset, more, &vec![1; len]), 0) else {
                panic!("{offset} {more} {len} taken");
            };
            assert_eq!(lost.fragments, 1);
            assert!(matches!(
                insert(&mut table, &make(24, false, &[1; 8]), 0),
                Inserted::Refused
            ));
        }
    }
}

#[test]
fn a_copy_with_other_bytes_is_an_overlap() {
    let mut table = Reassembler::new(1, SECOND);
    insert(&mut table, &piece(0, true, &[1; 24]), 0);
    assert!(matches!(
        insert(&mut table, &piece(0, true, &[2; 24]), 0),
        Inserted::Overlap(_)
    ));
}

#[test]
fn two_ends_or_bytes_behind_the_end_are_a_contradiction() {
    for second in [(40, false, 8), (40, true, 8)] {
        let mut table = Reassembler::new(1, SECOND);
        insert(&mut table, &piece(24, false, &[1; 8]), 0);
        let second = piece(second.0, second.1, &vec![1; second.2]);
        assert!(matches!(insert(&mut table, &second, 0), Inserted::Overlap(_)));
    }
    let mut table = Reassembler::new(1, SECOND);
    insert(&mut table, &piece(40, true, &[1; 8]), 0);
    assert!(matches!(
        insert(&mut table, &piece(24, false, &[1; 8]), 0),
        Inserted::Overlap(_)
    ));
}

#[test]
fn packets_longer_than_any_and_pieces_that_leave_gaps_are_refused() {
    assert_eq!(
        parse(&piece(65_528, false, &[1; 8])).unwrap_err(),
        FragmentError::TooLong { pointer: 6 }
    );
    assert_eq!(
        parse(&piece6(65_528, false, &[1; 8])).unwrap_err(),
        FragmentError::TooLong { pointer: 42 }
    );
    for make in [piece, piece6] {
        let error = parse(&make(0, true, &[1; 12])).unwrap_err();
        assert_eq!(error, FragmentError::Length { len: 12 });
        let error = parse(&make(8, false, &[])).unwrap_err();
        assert_eq!(error, FragmentError::Length { len: 0 });
    }
    // RFC 6946: one that is whole is no fragment.
    assert_eq!(
        parse(&piece6(0, false, &[1; 8])).unwrap_err(),
        FragmentError::NoFragment
    );
}

#[test]
fn a_header_of_the_first_fragment_may_make_the_packet_too_long() {
    let mut table = Reassembler::new(1, SECOND);
    let last = piece(65_504, false, &[1; 11]);
    let mut offset = 0;
    while offset < 65_504 {
        let len = (65_504 - offset).min(8_000);
        let ip = PacketBuilder::ipv4(A, B).identification(1);
        let ip = if offset == 0 { ip.options(&[1; 40]) } else { ip };
        let fragment = ip
            .fragment(offset as u16, true)
            .payload(Protocol::UDP, &vec![1; len]);
        assert!(matches!(insert(&mut table, &fragment, 0), Inserted::Held { .. }));
        offset += len;
    }
    assert!(matches!(insert(&mut table, &last, 0), Inserted::Overlap(_)));
}

#[test]
fn the_longest_packets_are_put_together() {
    for (six, len) in [(false, 65_515), (true, 65_535)] {
        let mut table = Reassembler::new(1, SECOND);
        let (packet, all) = fragments(six, len, 1500, 1);
        let mut found = None;
        for fragment in &all {
            if let Inserted::Whole(whole) = insert(&mut table, fragment, 0) {
                found = Some(whole.frame[14..].to_vec());
            }
        }
        assert_eq!(found.unwrap(), packet);
    }
}

#[test]
fn what_does_not_come_in_time_is_given_up_and_the_first_fragment_shown() {
    for (make, patience) in [(piece as fn(u16, bool, &[u8]) -> Vec<u8>, 30), (piece6, 60)] {
        let mut table = Reassembler::new(4, SECOND);
        assert!(!table.is_due(u64::MAX - 1), "nothing is under way");
        let first = make(0, true, &[1; 24]);
        insert(&mut table, &first, 5);
        assert!(!table.is_due(patience * SECOND));
        assert!(table.is_due(5 + patience * SECOND));
        let expired = table.expire(5 + patience * SECOND).unwrap();
        assert_eq!((expired.lost.interface, expired.lost.fragments), (0, 1));
        let (_, told) = expired.first.unwrap();
        assert_eq!(told, [&LINK[..], &first].concat());
        assert!(table.expire(u64::MAX).is_none());
        // Without the first there is nobody to be told.
        insert(&mut table, &make(8, true, &[1; 24]), 0);
        assert!(table.expire(patience * SECOND).unwrap().first.is_none());
    }
}

#[test]
fn a_flood_of_unfinished_packets_takes_no_more_than_there_is_and_the_oldest_goes() {
    let mut table = Reassembler::new(8, SECOND);
    let mut lost = 0;
    for number in 0..10_000 {
        let (_, all) = fragments(false, 2000, 1500, number);
        match insert(&mut table, &all[0], number.into()) {
            Inserted::Held { evicted, .. } => lost += evicted.map_or(0, |lost| lost.fragments),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lost, 10_000 - 8);
    // The newest is still there.
    let (packet, all) = fragments(false, 2000, 1500, 9_999);
    match insert(&mut table, &all[1], 10_000) {
        Inserted::Whole(whole) => assert_eq!(whole.frame[14..], packet),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::iter::from_fn(|| table.give_up().map(drop)).count(), 7);
}

#[test]
fn nothing_is_left_in_a_slot_of_the_packet_that_it_was_of() {
    let mut table = Reassembler::new(1, SECOND);
    // Given up, refused for an overlap, whole: the slot was used in all ways.
    let ways: [&dyn Fn(&mut Reassembler); 3] = [
        &|table| {
            insert(table, &fragments(false, 60_000, 1500, 1).1[30], 0);
        },
        &|table| {
            for first in [0, 1] {
                insert(table, &piece(first * 8, true, &[1; 4000]), 0);
            }
        },
        &|table| {
            for fragment in fragments(false, 60_000, 1500, 2).1 {
                insert(table, &fragment, 0);
            }
        },
    ];
    for (number, used) in (10..).zip(ways) {
        used(&mut table);
        let (packet, all) = fragments(false, 65_000, 1500, number);
        let (last, others) = all.split_last().unwrap();
        for fragment in others {
            assert!(matches!(insert(&mut table, fragment, 1), Inserted::Held { .. }));
        }
        match insert(&mut table, last, 1) {
            Inserted::Whole(whole) => assert_eq!(whole.frame[14..], packet),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_longer_fragment_in_the_place_of_the_last_is_no_copy_of_it() {
    // The bytes behind the last one's, in its last block, are zeroes of the slot: nothing that came.
    for zeroes in [32, 31] {
        let mut table = Reassembler::new(1, SECOND);
        insert(&mut table, &piece(16, false, &[0; 29]), 0);
        let longer = piece(16, zeroes == 32, &vec![0; zeroes]);
        let inserted = insert(&mut table, &longer, 0);
        assert!(
            matches!(inserted, Inserted::Overlap(GivenUp { fragments: 1, .. })),
            "{inserted:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_order_with_copies_gives_the_packets_that_were_cut(
        six: bool, lens in prop::collection::vec(100usize..6000, 1..4), mtu in 80u16..1500, seed: u64,
    ) {
        let mut table = Reassembler::new(4, SECOND);
        let mut packets = Vec::new();
        let mut all = Vec::new();
        for (number, len) in lens.into_iter().enumerate() {
            let (packet, fragments) = fragments(six, len + usize::from(mtu), mtu, number as u16);
            packets.push(packet);
            for fragment in fragments {
                // Each with something to sort by, and some of them twice.
                let mut mixed = seed ^ all.len() as u64;
                mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                all.push((mixed, fragment.clone()));
                if mixed & 3 == 0 {
                    all.push((mixed + 1, fragment));
                }
            }
        }
        all.sort();
        let mut found = Vec::new();
        for (_, fragment) in &all {
            match insert(&mut table, fragment, 0) {
                Inserted::Whole(whole) => found.push(whole.frame[14..].to_vec()),
                Inserted::Held { .. } | Inserted::Copy => {}
                other => panic!("{other:?}"),
            }
        }
        for packet in packets {
            prop_assert!(found.contains(&packet));
        }
    }

    #[test]
    fn what_is_put_together_is_what_a_map_of_bytes_says(
        pieces in prop::collection::vec((0u16..12, 1usize..5, any::<bool>(), any::<u8>()), 1..20)
    ) {
        let mut table = Reassembler::new(1, SECOND);
        let mut model: Vec<Option<u8>> = vec![None; 200];
        let mut taken: Vec<(u16, bool, Vec<u8>)> = Vec::new();
        for (block, blocks, more, byte) in pieces {
            let len = blocks * 8 - usize::from(!more) * 3;
            let bytes = vec![byte & 1; len];
            let (from, to) = (usize::from(block) * 8, usize::from(block) * 8 + len);
            if from == 0 && !more {
                continue;
            }
            let this = (block, more, bytes.clone());
            match insert(&mut table, &piece(block * 8, more, &bytes), 0) {
                Inserted::Copy => prop_assert!(taken.contains(&this)),
                Inserted::Held { .. } => {
                    prop_assert!(model[from..to].iter().all(Option::is_none));
                    model[from..to].fill(Some(byte & 1));
                    taken.push(this);
                }
                Inserted::Whole(whole) => {
                    prop_assert!(model[from..to].iter().all(Option::is_none));
                    model[from..to].fill(Some(byte & 1));
                    let ip = Ipv4::parse(&whole.frame[14..]).unwrap();
                    let whole: Vec<_> = model.iter().map_while(|byte| *byte).collect();
                    prop_assert_eq!(ip.payload(), whole.as_slice());
                    prop_assert_eq!(model.iter().flatten().count(), whole.len());
                    break;
                }
                Inserted::Overlap(lost) => {
                    prop_assert_eq!(lost.fragments as usize, taken.len());
                    prop_assert!(!taken.contains(&this));
                    break;
                }
                Inserted::Refused => prop_assert!(false, "refused without a reason"),
            }
        }
    }
}

#[test]
fn a_packet_belongs_to_the_interface_that_its_first_fragment_came_by() {
    for six in [false, true] {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut table = Reassembler::new(4, SECOND);
            let (_, all) = fragments(six, 4008, 1500, 7);
            let mut joined = None;
            for number in order {
                // By interfaces 10, 11 and 12.
                let fragment = parse(&all[number]).unwrap();
                if let Inserted::Whole(whole) = table.insert(&fragment, &LINK, 10 + number as u16, 0) {
                    joined = Some(whole.interface);
                }
            }
            assert_eq!(joined, Some(10), "{order:?}");
            // So does what never becomes whole.
            for number in order.into_iter().filter(|number| *number != 2) {
                let fragment = parse(&all[number]).unwrap();
                table.insert(&fragment, &LINK, 10 + number as u16, 0);
            }
            let expired = table.expire(60 * SECOND).unwrap();
            assert_eq!(expired.first.unwrap().0, 10);
        }
    }
}

#[test]
fn a_packet_says_how_long_the_longest_of_its_fragments_was() {
    for six in [false, true] {
        let mut table = Reassembler::new(1, SECOND);
        // The second time in a slot that had longer ones.
        for (identification, mtu) in [(1, 1500), (2, 1280)] {
            let (_, all) = fragments(six, 4008, mtu, identification);
            let longest = all.iter().map(Vec::len).max().unwrap();
            let said = all
                .iter()
                .rev()
                .find_map(|bytes| match insert(&mut table, bytes, 0) {
                    Inserted::Whole(whole) => Some(usize::from(whole.longest)),
                    _ => None,
                });
            assert_eq!(said, Some(longest));
        }
    }
}

#[test]
fn all_fragments_of_a_packet_have_one_worker_and_packets_all_of_them() {
    for six in [false, true] {
        for workers in 1..5 {
            let mut packets = vec![0; workers];
            for identification in 0..400 {
                let (_, all) = fragments(six, 4008, 1500, identification);
                let of_all: Vec<_> = all
                    .iter()
                    .map(|bytes| parse(bytes).unwrap().worker(workers))
                    .collect();
                assert!(of_all.iter().all(|worker| *worker == of_all[0]), "{of_all:?}");
                packets[of_all[0]] += 1;
            }
            let fair = 400 / workers;
            assert!(
                packets.iter().all(|count| (fair / 2..=fair * 2).contains(count)),
                "{packets:?}"
            );
        }
    }
}
