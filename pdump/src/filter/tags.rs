//! Filters and VLAN tags. libpcap compiles `icmp` for frames without a tag alone; whoever writes it at a port means those with tags
//! as well, as the kernel's captures have it. So a filter is compiled three times, and the frame says which one is asked:
//!
//! ```text
//!   EtherType is no tag ─► EXPRESSION
//!   a tag               ─► EtherType behind it is no tag ─► vlan and (EXPRESSION)
//!                          another tag                   ─► vlan and vlan and (EXPRESSION)
//! ```
//!
//! So `not icmp` takes no tagged echo request, which `(EXPRESSION) or (vlan and (EXPRESSION))` would. A frame without a tag costs
//! two instructions more, or five if its EtherType is above that of a tag, as IPv6's is.
//!
//! An expression that speaks of tags itself says what it means, and is left alone: `vlan 100 and icmp` has libpcap's meaning, and
//! `icmp and not vlan` takes frames without a tag only.

use control::message::FilterInstruction;

use super::caret;

/// EtherTypes that libpcap takes for a tag: IEEE 802.1Q customer and service tags, and what came before the latter. The lowest
/// first.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Where the EtherType of a frame is, and that behind its first tag.
const ETHERTYPE: u32 = 12;
const ETHERTYPE_BEHIND_TAG: u32 = 16;

// Operations of classic BPF (bpf(4)).
const LOAD_HALF: u16 = 0x28;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_NOT_BELOW: u16 = 0x35;

/// Whether an expression says itself which tags it wants.
pub(super) fn speaks_of_tags(expression: &str) -> bool {
    let tokens = caret::tokens(expression);
    let named = tokens.iter().any(|token| token.text == "vlan");
    let numbered = tokens
        .iter()
        .zip(tokens.iter().skip(1))
        .any(|(word, value)| word.text == "proto" && number(value.text).is_some_and(|it| TAGS.contains(&it)));
    named || numbered
}

fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hexadecimal) => u16::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    }
}

/// One program of the three: for frames without a tag, with one, and with more. Each ends in returns.
pub(super) fn join(programs: [Vec<FilterInstruction>; 3]) -> Vec<FilterInstruction> {
    let [untagged, one, more] = programs;
    let mut tagged = choice(ETHERTYPE_BEHIND_TAG, one.len());
    tagged.extend(one);
    tagged.extend(more);
    let mut program = choice(ETHERTYPE, untagged.len());
    program.extend(untagged);
    program.extend(tagged);
    program
}

/// Goes on behind itself if the EtherType at `offset` is that of no tag, else beyond the `skipped` instructions there.
fn choice(offset: u32, skipped: usize) -> Vec<FilterInstruction> {
    let instruction = |code, jt, jf, k| FilterInstruction { code, jt, jf, k };
    let [lowest, second, third] = TAGS.map(u32::from);
    vec![
        instruction(LOAD_HALF, 0, 0, offset),
        // Most frames are IPv4: those are below.
        instruction(JUMP_IF_NOT_BELOW, 0, 4, lowest),
        instruction(JUMP_IF_EQUAL, 2, 0, lowest),
        instruction(JUMP_IF_EQUAL, 1, 0, second),
        instruction(JUMP_IF_EQUAL, 0, 1, third),
        // Programs are far shorter than what can be counted.
        instruction(JUMP, 0, 0, skipped as u32),
    ]
}

#[cfg(test)]
mod tests {
    use packet::builder::EthernetBuilder;
    use packet::{EtherType, MacAddress, PacketBuilder, VlanTag};
    use proptest::prelude::*;

    use super::*;
    use crate::filter::{Filter, run};

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
    fn a_frame_without_a_tag_costs_two_to_five_instructions_more() {
        for (frame, more) in [(ping(0), 2), (datagram6(0), 5)] {
            let expression = "udp port 500";
            let plain = Filter::compile(&format!("{expression} and not vlan")).unwrap();
            assert!(speaks_of_tags(&plain.expression));
            let steps = |filter: &Filter| run::steps(&filter.program, &frame);
            let alone = Filter {
                program: crate::filter::Compiler::new()
                    .unwrap()
                    .compile(expression, true)
                    .unwrap(),
                expression: expression.to_owned(),
            };
            assert_eq!(steps(&Filter::compile(expression).unwrap()), steps(&alone) + more);
        }
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
        fn no_frame_leads_out_of_the_program(frame in proptest::collection::vec(any::<u8>(), 0..80)) {
            let filter = Filter::compile("icmp or udp port 53 or tcp[13] & 2 != 0").unwrap();
            let frame = PacketBuilder::ethernet(MacAddress([2; 6]), MacAddress([4; 6])).payload(EtherType::VLAN, &frame);
            prop_assert!(run::steps(&filter.program, &frame) < filter.program.len());
        }
    }
}
