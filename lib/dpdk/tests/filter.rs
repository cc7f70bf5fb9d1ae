//! Filters run as machine code on real mbufs, whatever program somebody hands in.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod runtime_directory;

use std::time::{Duration, Instant};

use dpdk::filter::{BadProgram, Filter, FilterError, Instruction, MOST_PATHS};
use dpdk::{Eal, Mbuf, NumaNode, Pool};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// `udp dst port 53`, as libpcap compiles it, for IPv4 alone.
fn dns() -> [Instruction; 11] {
    [
        instruction(0x28, 0, 0, 12),
        instruction(0x15, 0, 8, 0x800),
        instruction(0x30, 0, 0, 23),
        instruction(0x15, 0, 6, 17),
        instruction(0x28, 0, 0, 20),
        instruction(0x45, 4, 0, 0x1fff),
        instruction(0xb1, 0, 0, 14),
        instruction(0x48, 0, 0, 16),
        instruction(0x15, 0, 1, 53),
        instruction(0x6, 0, 0, 262_144),
        instruction(0x6, 0, 0, 0),
    ]
}

fn packet(pool: &Pool, bytes: &[u8]) -> Mbuf {
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(bytes).unwrap();
    mbuf
}

fn udp(port: u16, header_words: u8) -> Vec<u8> {
    let mut frame = vec![0; 14 + usize::from(header_words) * 4 + 8];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x40 | header_words;
    frame[23] = 17;
    let at = 14 + usize::from(header_words) * 4;
    frame[at + 2..at + 4].copy_from_slice(&port.to_be_bytes());
    frame
}

#[test]
fn filters_match_what_they_say_and_harm_nothing() {
    let _directory = runtime_directory::temporary();
    let eal = Eal::init(&[
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
    ])
    .unwrap();
    let pool = Pool::new(&eal, "packets", 127, 8, Pool::DATA_ROOM, NumaNode::ANY).unwrap();

    a_filter_of_libpcap_matches_its_packets(&eal, &pool);
    an_offset_that_wraps_matches_nothing(&eal, &pool);
    the_longest_verification_is_short(&eal);
    operations_mean_what_they_say(&eal, &pool);
    any_program_is_refused_or_runs(&eal, &pool);

    assert_eq!(pool.in_use(), 0);
    drop(pool);
    eal.shutdown().unwrap();
}

fn a_filter_of_libpcap_matches_its_packets(eal: &Eal, pool: &Pool) {
    let filter = Filter::compile(eal, &dns()).unwrap();
    for (frame, matches) in [
        (udp(53, 5), true),
        (udp(53, 15), true),
        (udp(54, 5), false),
        (udp(53, 5)[..30].to_vec(), false),
        (vec![0; 60], false),
        (vec![], false),
    ] {
        assert_eq!(filter.matches(&packet(pool, &frame)), matches, "{frame:?}");
    }
}

/// X comes from the packet; without the guard DPDK would look for the end of a segment that is not there.
fn an_offset_that_wraps_matches_nothing(eal: &Eal, pool: &Pool) {
    for load in [0x40, 0x48, 0x50] {
        for k in [0, 1, 2, 14, i32::MAX as u32] {
            let program = [
                instruction(0x20, 0, 0, 0),
                instruction(0x07, 0, 0, 0),
                instruction(load, 0, 0, k),
                instruction(0x06, 0, 0, 1),
            ];
            let filter = Filter::compile(eal, &program).unwrap();
            for x in [u32::MAX, u32::MAX - 1, u32::MAX - 3, 1 << 31, 0x1_0000] {
                let frame = [x.to_be_bytes().as_slice(), &[0; 60]].concat();
                assert!(!filter.matches(&packet(pool, &frame)), "{load:#x} {x:#x} {k:#x}");
            }
        }
    }
}

fn the_longest_verification_is_short(eal: &Eal) {
    // Each piece doubles the ways. What is compared comes from the packet, so that neither way is ruled out.
    let piece = [
        instruction(0x30, 0, 0, 3),
        instruction(0x15, 1, 0, 1),
        instruction(0x07, 0, 0, 0),
    ];
    let program = |pieces: usize| [vec![piece; pieces].concat(), vec![instruction(0x16, 0, 0, 0)]].concat();
    let most = MOST_PATHS.ilog2() as usize;
    let begin = Instant::now();
    Filter::compile(eal, &program(most)).unwrap();
    assert!(
        begin.elapsed() < Duration::from_millis(500),
        "{:?}",
        begin.elapsed()
    );
    let error = Filter::compile(eal, &program(most + 1)).unwrap_err();
    assert!(
        matches!(error, FilterError::Program(BadProgram::Paths)),
        "{error}"
    );
}

/// The number loaded from a packet, asked or calculated with, gives what it gives in Rust: for operands of each length in machine code.
fn operations_mean_what_they_say(eal: &Eal, pool: &Pool) {
    let numbers = [
        0u32,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x101,
        0x7fff,
        0x8000,
        0xffff,
        0x10002,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX,
    ];
    let (yes, no) = (instruction(0x06, 0, 0, 1), instruction(0x06, 0, 0, 0));
    let check = |load: Instruction, number: u32, rest: &[Instruction], expected: bool| {
        let program = [&[load], rest, &[yes, no]].concat();
        let filter = Filter::compile(eal, &program).unwrap();
        let found = filter.matches(&packet(pool, &number.to_be_bytes()));
        assert_eq!(found, expected, "{number:#x}: {program:x?}");
    };
    for number in numbers {
        for k in numbers {
            // The word, its lower half, its lowest byte.
            for (load, loaded) in [
                (instruction(0x20, 0, 0, 0), number),
                (instruction(0x28, 0, 0, 2), number & 0xffff),
                (instruction(0x30, 0, 0, 3), number & 0xff),
            ] {
                for (code, expected) in [
                    (0x15, loaded == k),
                    (0x25, loaded > k),
                    (0x35, loaded >= k),
                    (0x45, loaded & k != 0),
                ] {
                    check(load, number, &[instruction(code, 0, 1, k)], expected);
                    // What was asked about is still there.
                    let twice = [instruction(code, 0, 0, k), instruction(0x15, 0, 1, loaded)];
                    check(load, number, &twice, true);
                }
            }
            let word = instruction(0x20, 0, 0, 0);
            for (code, result) in [
                (0x04, Some(number.wrapping_add(k))),
                (0x14, Some(number.wrapping_sub(k))),
                (0x24, Some(number.wrapping_mul(k))),
                (0x34, number.checked_div(k)),
                (0x44, Some(number | k)),
                (0x54, Some(number & k)),
                (0x64, number.checked_shl(k)),
                (0x74, number.checked_shr(k)),
                (0x94, number.checked_rem(k)),
                (0xa4, Some(number ^ k)),
            ] {
                if let Some(result) = result {
                    check(
                        word,
                        number,
                        &[instruction(code, 0, 0, k), instruction(0x15, 0, 1, result)],
                        true,
                    );
                }
            }
        }
    }
}

fn any_program_is_refused_or_runs(eal: &Eal, pool: &Pool) {
    let operations = prop_oneof![
        any::<u16>(),
        prop::sample::select(vec![
            0x00u16, 0x01, 0x02, 0x03, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x54, 0x64,
            0x6c, 0x74, 0x84, 0x94, 0x9c, 0xa4, 0x05, 0x15, 0x1d, 0x25, 0x35, 0x45, 0x06, 0x16, 0x07, 0x87,
            0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x61, 0x80, 0x81, 0xb1,
        ]),
    ];
    let operands = prop_oneof![any::<u32>(), 0u32..64, Just(1 << 31), Just(u32::MAX)];
    let instructions =
        (operations, 0u8..6, 0u8..6, operands).prop_map(|(code, jt, jf, k)| instruction(code, jt, jf, k));
    let programs = prop::collection::vec(instructions, 1..24).prop_map(|mut program| {
        program.push(instruction(0x16, 0, 0, 0));
        program
    });
    let packets = prop::collection::vec(any::<u8>(), 0..200);
    let ran = std::cell::Cell::new(0);
    TestRunner::new(Config::with_cases(3000))
        .run(&(programs, packets), |(program, bytes)| {
            if let Ok(filter) = Filter::compile(eal, &program) {
                filter.matches(&packet(pool, &bytes));
                ran.set(ran.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(
        ran.get() > 20,
        "only {} programs were good enough to run",
        ran.get()
    );
}
