//! Runs a filter on a packet that was read: classic BPF, as it is defined by its first paper and every kernel. In a primary filters
//! run as machine code; here they are as fast as files can be read.

use control::message::FilterInstruction;

/// Words of scratch memory.
const MEMORY: usize = 16;

/// What a program reads.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// What there is of the packet.
    pub(super) data: &'a [u8],
    /// Its length on the wire.
    pub(super) wire_length: u32,
}

/// Whether a program takes a packet. One that is empty takes all; one that reads behind the end of what there is takes none, as one
/// that does what it may not.
pub(super) fn takes(program: &[FilterInstruction], frame: Frame<'_>) -> bool {
    program.is_empty() || run(program, frame).unwrap_or(0) != 0
}

fn run(program: &[FilterInstruction], frame: Frame<'_>) -> Option<u32> {
    let (mut a, mut x) = (0u32, 0u32);
    let mut memory = [0u32; MEMORY];
    let mut at = 0usize;
    loop {
        let FilterInstruction { code, jt, jf, k } = *program.get(at)?;
        at += 1;
        match code & 0x07 {
            // ld, ldx
            class @ (0x00 | 0x01) => {
                let value = match code & 0xe0 {
                    0x00 => k,
                    0x20 => load(frame.data, k, code)?,
                    0x40 => load(frame.data, x.checked_add(k)?, code)?,
                    0x60 => *memory.get(k as usize)?,
                    0x80 => frame.wire_length,
                    // The length of an IPv4 header.
                    0xa0 => u32::from(*frame.data.get(k as usize)? & 0x0f) * 4,
                    _ => return None,
                };
                *(if class == 0 { &mut a } else { &mut x }) = value;
            }
            0x02 => *memory.get_mut(k as usize)? = a,
            0x03 => *memory.get_mut(k as usize)? = x,
            0x04 => a = arithmetic(code, a, if code & 0x08 == 0 { k } else { x })?,
            0x05 => {
                let operand = if code & 0x08 == 0 { k } else { x };
                let skip = match code & 0xf0 {
                    0x00 => k as usize,
                    test => usize::from(if jumps(test, a, operand)? { jt } else { jf }),
                };
                at = at.checked_add(skip)?;
            }
            0x06 => return Some(if code & 0x18 == 0x10 { a } else { k }),
            _ if code & 0xf8 == 0 => x = a,
            _ => a = x,
        }
    }
}

fn load(data: &[u8], at: u32, code: u16) -> Option<u32> {
    let at = at as usize;
    let length = match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => return None,
    };
    let bytes = data.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
}

fn arithmetic(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a.checked_shl(operand).unwrap_or(0),
        0x70 => a.checked_shr(operand).unwrap_or(0),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(operand)?,
        0xa0 => a ^ operand,
        _ => return None,
    })
}

fn jumps(test: u16, a: u32, operand: u32) -> Option<bool> {
    Some(match test {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        0x40 => a & operand != 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;
    use packet::{MacAddress, PacketBuilder};
    use pcap::{Capture, Linktype};
    use proptest::prelude::*;

    fn ping(length: usize) -> Vec<u8> {
        PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]))
            .ipv4([192, 168, 1, 2].into(), [192, 168, 2, 2].into())
            .echo_request(1, 2, &vec![0; length])
    }

    const FILTERS: [&str; 12] = [
        "icmp",
        "ip proto 1 and not tcp",
        "host 192.168.1.2",
        "src net 192.168.0.0/16 and dst net 10.0.0.0/8",
        "udp port 53",
        "ip[8] & 0xf0 = 0x40",
        "icmp[icmptype] = icmp-echo",
        "ether host 02:00:00:00:00:01",
        "ip6 or vlan 5 or arp",
        "greater 100",
        "ip[2:2] - ((ip[0] & 0xf) << 2) > 8",
        "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    ];

    proptest! {
        #[test]
        fn it_says_what_libpcap_says(data in proptest::collection::vec(any::<u8>(), 0..120), payload in 0usize..100, cut in 0usize..200) {
            let compiler = Capture::dead(Linktype::ETHERNET).unwrap();
            let mut ping = ping(payload);
            ping.truncate(cut);
            for expression in FILTERS {
                let program = Filter::compile(expression).unwrap().program;
                let libpcap = compiler.compile(expression, true).unwrap();
                for data in [&data, &ping] {
                    let frame = Frame { data, wire_length: data.len() as u32 };
                    prop_assert_eq!(takes(&program, frame), libpcap.filter(data), "{}", expression);
                }
            }
        }

        #[test]
        fn any_program_ends(
            program in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), 0u32..40), 0..40),
            data in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let program: Vec<_> = program.into_iter()
                .map(|(code, jt, jf, k)| FilterInstruction { code, jt: jt % 8, jf: jf % 8, k })
                .collect();
            takes(&program, Frame { data: &data, wire_length: 60 });
        }
    }

    #[test]
    fn lengths_are_those_on_the_wire() {
        let program = Filter::compile("greater 1000").unwrap().program;
        let data = ping(0);
        let frame = |wire_length| Frame {
            data: &data,
            wire_length,
        };
        assert!(takes(&program, frame(1000)) && !takes(&program, frame(999)));
    }
}
