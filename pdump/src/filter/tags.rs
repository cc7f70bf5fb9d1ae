//! Filters and VLAN tags. libpcap compiles `icmp` for frames without a tag alone; whoever writes it at a port means those with tags
//! as well, as the kernel's captures have it. So a program is there three times, and the frame says which one is asked:
//!
//! ```text
//!   EtherType is no tag's ─► the program
//!   a tag's               ─► EtherType behind it is no tag's ─► the program, 4 bytes further on
//!                            another tag's                   ─► the program, 8 bytes further on
//! ```
//!
//! So `not icmp` takes no tagged echo request, which `(EXPRESSION) or (vlan and (EXPRESSION))` would. A frame without a tag costs
//! four instructions more.
//!
//! An expression that speaks of tags or of places in the link header itself says what it means, and is left alone: `vlan 100 and
//! icmp` has libpcap's meaning, `icmp and not vlan` takes frames without a tag only, and `ether[12:2]` are these two bytes.

use control::message::FilterInstruction;

use super::caret;

/// EtherTypes that libpcap takes for a tag: IEEE 802.1Q customer and service tags, and what came before the latter.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// The first and the last of them differ by a bit, without which both are the first.
const WITHOUT_BIT: u32 = 0xefff;
/// Where the EtherType of a frame is; what is before it does not move.
const ETHERTYPE: u32 = 12;
/// Bytes of a tag.
const TAG: u32 = 4;

// Operations of classic BPF (bpf(4)).
const LOAD_HALF: u16 = 0x28;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;

/// Whether an expression says itself which tags it wants, or where in the frame something is.
pub(super) fn speaks_of_tags(expression: &str) -> bool {
    let tokens = caret::tokens(expression);
    // Behind Geneve places are calculated.
    let named = tokens.iter().any(|token| matches!(token.text, "vlan" | "geneve"));
    let placed = tokens
        .iter()
        .zip(tokens.iter().skip(1))
        .any(|(word, next)| match word.text {
            "ether" | "link" => next.text == "[",
            "proto" => number(next.text).is_some_and(|it| TAGS.contains(&it)),
            _ => false,
        });
    named || placed
}

fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hexadecimal) => u16::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The program for frames with no, one and two tags, made of that for frames without. It ends in returns.
pub(super) fn expand(program: &[FilterInstruction]) -> Vec<FilterInstruction> {
    let mut expanded = Vec::with_capacity(program.len() * 3 + 10);
    for tags in [0, TAG] {
        expanded.extend(choice(ETHERTYPE + tags, program.len()));
        expanded.extend(program.iter().map(|instruction| moved(*instruction, tags)));
    }
    expanded.extend(program.iter().map(|instruction| moved(*instruction, 2 * TAG)));
    expanded
}

/// Goes on behind itself if the EtherType at `offset` is that of no tag, else beyond the `skipped` instructions there. There are few
/// ways through it, as each counts for all that follows: a primary bounds the ways through a program.
fn choice(offset: u32, skipped: usize) -> [FilterInstruction; 5] {
    let instruction = |code, jt, jf, k| FilterInstruction { code, jt, jf, k };
    let [first, second, _] = TAGS.map(u32::from);
    [
        instruction(LOAD_HALF, 0, 0, offset),
        instruction(JUMP_IF_EQUAL, 2, 0, second),
        instruction(AND, 0, 0, WITHOUT_BIT),
        instruction(JUMP_IF_EQUAL, 0, 1, first),
        // Programs are far shorter than what can be counted.
        instruction(JUMP, 0, 0, skipped as u32),
    ]
}

/// The same, `bytes` further on in the frame, if it looks at anything from its EtherType on.
fn moved(mut instruction: FilterInstruction, bytes: u32) -> FilterInstruction {
    // Loads from a place in the frame, or from one that is calculated: modes ABS, IND and MSH.
    let is_load = matches!(instruction.code & 0x07, 0x00 | 0x01);
    let is_of_frame = matches!(instruction.code & 0xe0, 0x20 | 0x40 | 0xa0);
    if is_load && is_of_frame && instruction.k >= ETHERTYPE {
        instruction.k = instruction.k.saturating_add(bytes);
    }
    instruction
}

#[cfg(test)]
mod tests {
    use packet::builder::EthernetBuilder;
    use packet::{EtherType, MacAddress, PacketBuilder, VlanTag};
    use proptest::prelude::*;

    use super::*;
    use crate::filter::{Compiler, Filter, run};

    fn ethernet(tags: usize) -> EthernetBuilder {
        let start = PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]));
        (0..tags).fold(start, |frame, number| {
            frame.tag(VlanTag::new(100 + number as u16))
        })
    }

    fn ping(tags: usize) -> Vec<u8> {
        ethernet(tags)
            .ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
            .echo_request(1, 2, b"data")
    }

    fn datagram6(tags: usize) -> Vec<u8> {
        ethernet(tags)
            .ipv6("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
            .udp(500, 500, b"data")
    }

    /// Which of the frames with no, one and two tags match.
    fn taken(expression: &str, frame: fn(usize) -> Vec<u8>) -> [bool; 3] {
        let filter = Filter::compile(expression).unwrap();
        [0, 1, 2].map(|tags| {
            let frame = frame(tags);
            filter.matches(&frame, frame.len() as u32)
        })
    }

    #[test]
    fn a_filter_means_tagged_frames_too_and_not_turns_it_round() {
        for expression in [
            "icmp",
            "ip",
            "host 10.0.0.1",
            "net 10.0.0.0/8 and icmp[icmptype] = icmp-echo",
            "not ip6 and not udp",
            "ether host 02:00:00:00:00:01",
            "ether proto 0x0800",
            "ip[8] = 64",
            "len > 40",
        ] {
            assert_eq!(taken(expression, ping), [true; 3], "{expression}");
            let not = format!("not ({expression})");
            assert_eq!(taken(&not, ping), [false; 3], "{not}");
        }
        assert_eq!(taken("udp port 500 and ip6", datagram6), [true; 3]);
        assert_eq!(taken("not (udp port 500)", datagram6), [false; 3]);
    }

    #[test]
    fn an_expression_that_speaks_of_tags_keeps_libpcap_s_meaning() {
        for (expression, expected) in [
            ("vlan", [false, true, true]),
            ("not vlan", [true, false, false]),
            ("icmp and not vlan", [true, false, false]),
            ("vlan 100 and icmp", [false, true, false]),
            ("vlan and vlan and icmp", [false, false, true]),
            ("ether proto 0x8100", [false, true, true]),
            ("ether proto 33024", [false, true, true]),
            ("ether[12:2] = 0x8100", [false, true, true]),
            ("ether[12:2] = 0x0800", [true, false, false]),
            ("link [16:2] = 0x0800", [false, true, false]),
        ] {
            assert_eq!(taken(expression, ping), expected, "{expression}");
        }
        assert!(!speaks_of_tags("port 33024"));
    }

    #[test]
    fn tags_of_every_kind_are_tags() {
        let filter = Filter::compile("icmp").unwrap();
        for kind in TAGS {
            let mut frame = ping(1);
            frame[12..14].copy_from_slice(&kind.to_be_bytes());
            assert!(filter.matches(&frame, frame.len() as u32), "{kind:#x}");
        }
    }

    #[test]
    fn a_frame_without_a_tag_costs_four_instructions_more() {
        for frame in [ping(0), datagram6(0)] {
            let expression = "udp port 500";
            let steps = |program: &[FilterInstruction]| run::steps(program, &frame);
            let alone = Compiler::new().unwrap().compile(expression, true).unwrap();
            let filter = Filter::compile(expression).unwrap();
            assert_eq!(steps(&filter.program), steps(&alone) + 4);
        }
    }

    const EXPRESSIONS: [&str; 16] = [
        "icmp",
        "not icmp",
        "udp port 500",
        "tcp[tcpflags] & tcp-syn != 0 or udp[8:2] = 0x6461",
        "ip[2:2] - ((ip[0] & 0xf) << 2) > 20",
        "ip[ip[0] & 0xf] > 3",
        "icmp[icmptype] = icmp-echo",
        "ip6[40] = 1 or ip6[6] = 17",
        "ether host 02:00:00:00:00:01",
        "ether proto 0x0800 and not ether multicast",
        "net 10.0.0.0/8 or net 2001:db8::/32",
        "src portrange 100-600",
        "arp or rarp",
        "less 60 and ip",
        "icmp6 or ip proto 50",
        "arp or mpls 100",
    ];

    /// What libpcap's own program for frames with so many tags says.
    fn libpcap_says(expression: &str, tags: usize, frame: &[u8]) -> bool {
        let behind = format!("{}({expression})", "vlan and ".repeat(tags));
        let program = Compiler::new().unwrap().compile(&behind, true).unwrap();
        run::run(&program, frame, frame.len() as u32) != 0
    }

    /// Tags at the start of a frame, two at most.
    fn tags_of(frame: &[u8]) -> usize {
        let is_tag = |at: usize| {
            let ethertype = frame
                .get(at..at + 2)
                .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
            ethertype.is_some_and(|ethertype| TAGS.contains(&ethertype))
        };
        [12, 16].into_iter().take_while(|at| is_tag(*at)).count()
    }

    proptest! {
        #[test]
        fn short_frames_match_what_libpcap_says_of_them(cut in 0..60_usize, tags in 0..3_usize) {
            let mut frame = ping(tags);
            let length = frame.len() as u32;
            frame.truncate(cut);
            let filter = Filter::compile("icmp").unwrap();
            // The protocol is the last that is looked at.
            prop_assert_eq!(filter.matches(&frame, length), frame.len() > 14 + 4 * tags + 9);
        }

        #[test]
        fn frames_match_that_libpcap_takes_behind_as_many_tags(
            expression in prop::sample::select(EXPRESSIONS.as_slice()),
            tags in 0..4_usize,
            is_v6: bool,
            changes in prop::collection::vec((0..70_usize, any::<u8>()), 0..3),
            cut in 20..90_usize,
        ) {
            let mut frame = if is_v6 { datagram6(tags) } else { ping(tags) };
            for (place, byte) in changes {
                if let Some(place) = frame.get_mut(place) {
                    *place = byte;
                }
            }
            frame.truncate(cut);
            let filter = Filter::compile(expression).unwrap();
            let ours = filter.matches(&frame, frame.len() as u32);
            prop_assert_eq!(ours, libpcap_says(expression, tags_of(&frame), &frame));
        }

        #[test]
        fn no_frame_leads_out_of_the_program(frame in proptest::collection::vec(any::<u8>(), 0..80)) {
            let filter = Filter::compile("icmp or udp port 53 or tcp[13] & 2 != 0").unwrap();
            let frame = PacketBuilder::ethernet(MacAddress([2; 6]), MacAddress([4; 6])).payload(EtherType::VLAN, &frame);
            prop_assert!(run::steps(&filter.program, &frame) < filter.program.len());
        }
    }
}
