//! A filter program as people read it: the listing of `tcpdump -d`.

use control::message::FilterInstruction;

/// What an empty program amounts to: every packet is returned, as much of it as libpcap's own programs return.
const EVERY_PACKET: FilterInstruction = FilterInstruction {
    code: 0x06,
    jt: 0,
    jf: 0,
    k: 65_535,
};

/// A line per instruction, numbered from 0 on.
pub fn listing(program: &[FilterInstruction]) -> String {
    let program = if program.is_empty() {
        &[EVERY_PACKET]
    } else {
        program
    };
    let mut lines = String::new();
    for (number, instruction) in (0..).zip(program) {
        let (name, operand) = words(instruction, number);
        let line = if is_conditional(instruction) {
            let yes = number + 1 + u32::from(instruction.jt);
            let no = number + 1 + u32::from(instruction.jf);
            format!("({number:03}) {name:<8} {operand:<16} jt {yes}\tjf {no}")
        } else {
            format!("({number:03}) {name:<8} {operand}")
        };
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

/// A jump that depends on something: all but `ja`.
fn is_conditional(instruction: &FilterInstruction) -> bool {
    instruction.code & 0x07 == 0x05 && instruction.code & 0xf0 != 0x00
}

/// Name and operand. The codes are those of bpf(4): class in bits 0-2, then for loads size in bits 3-4 and mode in bits
/// 5-7, for arithmetic and jumps source in bit 3 and operation in bits 4-7.
fn words(instruction: &FilterInstruction, number: u32) -> (&'static str, String) {
    let FilterInstruction { code, k, .. } = *instruction;
    // Offsets below zero exist: they are shown as such.
    let signed = k.cast_signed();
    let memory = || format!("M[{k}]");
    match code {
        0x00 => ("ld", format!("#{k:#x}")),
        0x20 => ("ld", format!("[{signed}]")),
        0x28 => ("ldh", format!("[{signed}]")),
        0x30 => ("ldb", format!("[{signed}]")),
        0x40 => ("ld", format!("[x + {signed}]")),
        0x48 => ("ldh", format!("[x + {signed}]")),
        0x50 => ("ldb", format!("[x + {signed}]")),
        0x60 => ("ld", memory()),
        0x80 => ("ld", "#pktlen".to_owned()),
        0x01 => ("ldx", format!("#{k:#x}")),
        0x61 => ("ldx", memory()),
        0x81 => ("ldx", "#pktlen".to_owned()),
        0xb1 => ("ldxb", format!("4*([{signed}]&0xf)")),
        0x02 => ("st", memory()),
        0x03 => ("stx", memory()),
        0x05 => ("ja", (number.wrapping_add(1).wrapping_add(k)).to_string()),
        0x06 => ("ret", format!("#{signed}")),
        0x16 => ("ret", String::new()),
        0x07 => ("tax", String::new()),
        0x87 => ("txa", String::new()),
        0x84 => ("neg", String::new()),
        _ => {
            let name = match code & 0xf7 {
                0x04 => "add",
                0x14 => "sub",
                0x24 => "mul",
                0x34 => "div",
                0x44 => "or",
                0x54 => "and",
                0x64 => "lsh",
                0x74 => "rsh",
                0x94 => "mod",
                0xa4 => "xor",
                0x15 => "jeq",
                0x25 => "jgt",
                0x35 => "jge",
                0x45 => "jset",
                _ => return ("unimp", format!("{code:#x}")),
            };
            let in_hex = matches!(name, "or" | "and" | "xor") || code & 0x07 == 0x05;
            let operand = match (code & 0x08 != 0, in_hex) {
                (true, _) => "x".to_owned(),
                (false, true) => format!("#{k:#x}"),
                (false, false) => format!("#{signed}"),
            };
            (name, operand)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::filter::Compiler;

    #[test]
    fn it_reads_like_tcpdump_s_own() {
        for expression in [
            "udp port 500 or esp",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8",
            "ip[2:2] - ((ip[0] & 0xf) << 2) > 40 and len < 1500",
            "ip6 protochain 17 or (ip[8] * 3) % 7 = ip[9] / ip[10]",
            "vlan 100 and ip6 and ip6[7] ^ 3 = 1",
            "",
            "ether[0] & 1 != 0 or ip[20] >= -ip[21]",
        ] {
            // The snapshot length is what libpcap returns for a packet that matches.
            let output = Command::new("tcpdump")
                .args(["-s", "65535", "-y", "EN10MB", "-d", expression])
                .output()
                .expect("tcpdump has to be installed for this test");
            assert!(
                output.status.success(),
                "{expression}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let theirs: Vec<String> = String::from_utf8(output.stdout)
                .unwrap()
                .lines()
                .filter(|line| line.starts_with('('))
                .map(|line| line.trim_end().to_owned())
                .collect();
            // As libpcap compiles it: the whole of a filter has this three times, with jumps between.
            let program = match expression {
                "" => Vec::new(),
                _ => Compiler::new().unwrap().compile(expression, true).unwrap(),
            };
            let ours: Vec<String> = listing(&program).lines().map(str::to_owned).collect();
            assert_eq!(ours, theirs, "{expression}");
        }
    }

    #[test]
    fn codes_that_do_not_exist_are_shown_as_numbers() {
        let odd = FilterInstruction {
            code: 0xfff5,
            jt: 0,
            jf: 0,
            k: u32::MAX,
        };
        assert!(listing(&[odd]).contains("unimp"), "{}", listing(&[odd]));
    }
}
