//! Fragments that were given up are there to be shown.

use reassembly::{GivenUp, Inserted, Reassembler};

use crate::{LINK, SECOND, fragments, insert, parse, piece, piece6};

/// Each fragment that was given up: its bytes with the link header, and its mark.
fn shown(lost: &GivenUp<'_>) -> Vec<(Vec<u8>, Option<u64>)> {
    lost.each()
        .map(|piece| (piece.parts.concat(), piece.mark))
        .collect()
}

#[test]
fn what_is_given_up_is_there_as_it_came_in_the_order_in_which_it_came() {
    for make in [piece as fn(u16, bool, &[u8]) -> Vec<u8>, piece6] {
        let came = [
            make(24, true, &[2; 8]),
            make(0, true, &[1; 16]),
            make(40, false, &[3; 5]),
        ];
        let marks = [Some(7), None, Some(u64::MAX)];
        let expected: Vec<_> = came
            .iter()
            .zip(marks)
            .map(|(bytes, mark)| ([&LINK[..], bytes].concat(), mark))
            .collect();
        let filled = || {
            let mut table = Reassembler::new(1, SECOND);
            for (bytes, mark) in came.iter().zip(marks) {
                let fragment = parse(bytes).unwrap().marked(mark);
                assert!(matches!(
                    table.insert(&fragment, &LINK, 3, 0),
                    Inserted::Held { .. }
                ));
            }
            table
        };
        let mut table = filled();
        let Inserted::Overlap(lost) = insert(&mut table, &make(8, true, &[4; 16]), 0) else {
            panic!("it overlaps");
        };
        assert_eq!((lost.interface, shown(&lost)), (3, expected.clone()));
        // What is refused has nothing to show any more.
        assert_eq!(shown(&table.give_up().unwrap()), []);

        let mut table = filled();
        let (_, others) = fragments(false, 3000, 1500, 9);
        let Inserted::Held {
            evicted: Some(lost), ..
        } = insert(&mut table, &others[0], 1)
        else {
            panic!("there is room for one");
        };
        assert_eq!(shown(&lost), expected);
        // Its place is taken by the next.
        let (_, others) = fragments(false, 3000, 1500, 10);
        assert!(matches!(
            insert(&mut table, &others[0], 2),
            Inserted::Held { evicted: Some(_), .. }
        ));

        let mut table = filled();
        let expired = table.expire(60 * SECOND).unwrap();
        assert_eq!(shown(&expired.lost), expected);
        assert_eq!(expired.first.unwrap().1, expected[1].0);
        assert_eq!(shown(&filled().give_up().unwrap()), expected);
    }
}

#[test]
fn of_a_packet_in_very_many_fragments_the_first_are_shown() {
    const COUNT: u16 = 1000;
    let mut table = Reassembler::new(1, SECOND);
    for number in 0..COUNT {
        insert(
            &mut table,
            &piece(8 * number, true, &number.to_be_bytes().repeat(4)),
            0,
        );
    }
    let lost = table.give_up().unwrap();
    assert_eq!(lost.fragments, u32::from(COUNT));
    let shown = shown(&lost);
    assert!((120..1000).contains(&shown.len()), "{}", shown.len());
    for (number, (bytes, _)) in (0u16..).zip(shown) {
        assert_eq!(bytes[14 + 20..], number.to_be_bytes().repeat(4));
    }
}

#[test]
fn the_longest_packet_in_fragments_of_the_shortest_link_is_shown_whole() {
    for six in [false, true] {
        let mut table = Reassembler::new(1, SECOND);
        let (_, all) = fragments(six, 60_000, 1280, 1);
        // Without the first.
        for fragment in &all[1..] {
            insert(&mut table, fragment, 0);
        }
        let lost = table.give_up().unwrap();
        assert_eq!(shown(&lost).len(), all.len() - 1);
    }
}
