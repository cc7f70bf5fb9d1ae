//! A filter asked here: for files, which no primary reads.

use control::message::FilterInstruction;

/// Words of scratch memory.
const SCRATCH: usize = 16;

/// What the program returns for a packet of which `data` are the first bytes and that had `wire_length` bytes: 0 if it does not
/// match. As in the primary, a load beyond the bytes that there are matches nothing. Every program ends, as jumps go forward.
pub(super) fn run(program: &[FilterInstruction], data: &[u8], wire_length: u32) -> u32 {
    Machine::default().run(program, data, wire_length).unwrap_or(0)
}

/// The registers.
#[derive(Default)]
struct Machine {
    a: u32,
    x: u32,
    scratch: [u32; SCRATCH],
    /// Instructions that were run.
    steps: usize,
}

impl Machine {
    /// `None`: a load failed, or the program is none.
    fn run(&mut self, program: &[FilterInstruction], data: &[u8], wire_length: u32) -> Option<u32> {
        let mut at = 0;
        loop {
            let FilterInstruction { code, jt, jf, k } = *program.get(at)?;
            at += 1;
            self.steps += 1;
            let operand = if code & 0x08 == 0 { k } else { self.x };
            // The codes are those of bpf(4), as in the listing.
            match code & 0x07 {
                0x00 => self.a = self.load(code, k, data, wire_length)?,
                0x01 if code == 0xb1 => self.x = 4 * (byte(data, k)? & 0x0f),
                0x01 => self.x = self.load(code, k, data, wire_length)?,
                0x02 => *self.scratch.get_mut(k as usize)? = self.a,
                0x03 => *self.scratch.get_mut(k as usize)? = self.x,
                0x04 => self.a = calculate(code, self.a, operand)?,
                0x05 => {
                    let holds = match code & 0xf0 {
                        0x00 => {
                            at = at.checked_add(k as usize)?;
                            continue;
                        }
                        0x10 => self.a == operand,
                        0x20 => self.a > operand,
                        0x30 => self.a >= operand,
                        0x40 => self.a & operand != 0,
                        _ => return None,
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
                0x06 => return Some(if code & 0x10 == 0 { k } else { self.a }),
                _ if code & 0x80 == 0 => self.x = self.a,
                _ => self.a = self.x,
            }
        }
    }

    fn load(&self, code: u16, k: u32, data: &[u8], wire_length: u32) -> Option<u32> {
        let at = match code & 0xe0 {
            0x00 => return Some(k),
            0x20 => k,
            0x40 => self.x.checked_add(k)?,
            0x60 => return self.scratch.get(k as usize).copied(),
            0x80 => return Some(wire_length),
            _ => return None,
        };
        match code & 0x18 {
            0x00 => some_bytes(data, at).map(u32::from_be_bytes),
            0x08 => some_bytes(data, at).map(u16::from_be_bytes).map(u32::from),
            0x10 => byte(data, at),
            _ => None,
        }
    }
}

fn byte(data: &[u8], at: u32) -> Option<u32> {
    data.get(at as usize).copied().map(u32::from)
}

fn some_bytes<const N: usize>(data: &[u8], at: u32) -> Option<[u8; N]> {
    data.get(at as usize..)?.first_chunk().copied()
}

fn calculate(code: u16, a: u32, operand: u32) -> Option<u32> {
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

/// How many instructions are run for a packet.
#[cfg(test)]
pub(super) fn steps(program: &[FilterInstruction], packet: &[u8]) -> usize {
    let mut machine = Machine::default();
    let _ = machine.run(program, packet, packet.len() as u32);
    machine.steps
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use packet::{MacAddress, PacketBuilder};

    use crate::filter::Filter;

    /// Asked of libpcap's own machine, by tcpdump on a file.
    fn tcpdump_takes(expression: &str, packets: &[Vec<u8>]) -> Vec<u64> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = pcap_file::pcap::PcapWriter::new(file.as_file()).unwrap();
        for (number, packet) in packets.iter().enumerate() {
            let time = std::time::Duration::from_secs(number as u64);
            let packet = pcap_file::pcap::PcapPacket::new(time, packet.len() as u32, packet);
            writer.write_packet(&packet.unwrap()).unwrap();
        }
        let output = Command::new("tcpdump")
            .args(["-n", "-tt", "-r"])
            .arg(file.path())
            .arg(expression)
            .output()
            .expect("tcpdump has to be installed for this test");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let number = |line: &str| line.split('.').next()?.parse().ok();
        text.lines().filter_map(number).collect()
    }

    #[test]
    fn it_takes_the_packets_that_libpcap_takes() {
        let ethernet =
            || PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]));
        let ip = |last: u8| ethernet().ipv4([10, 0, 0, last].into(), [10, 0, 1, 1].into());
        let ip6 = || ethernet().ipv6("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let packets = [
            ip(1).echo_request(1, 2, &[0; 56]),
            ip(2).udp(500, 4500, b"ike"),
            ip(3).options(&[148, 4, 0, 0]).udp(53, 1053, &[7; 300]),
            ip(4)
                .fragment(1480, false)
                .payload(packet::Protocol::UDP, &[0; 40]),
            ip6().echo_request(1, 2, b"data"),
            ip6().router_alert(0).udp(500, 500, b"ike"),
            ip6().udp(53, 53, &[1; 100]),
        ];
        for expression in [
            "icmp",
            "icmp6",
            "udp port 53",
            "src port 500 or dst port 1053",
            "ip[20] & 0x0f = 4",
            "ip[2:2] - ((ip[0] & 0xf) << 2) > 40",
            "udp[4:2] * 2 > 100 and udp[0] ^ 1 = 0",
            "ip6 proto 17 or ip6[40] = 17",
            "len >= 100 and not host 10.0.0.1",
            "ip[8] / 2 = 32 and ip[9] % 2 = 1",
            "src net 10.0.0.2/31",
            "ip[6:2] & 0x1fff != 0",
            "greater 300 or less 50",
            "ip[40000] = 1 or icmp",
        ] {
            let filter = Filter::compile(expression).unwrap();
            let ours: Vec<u64> = (0..)
                .zip(&packets)
                .filter(|(_, packet)| filter.matches(packet, packet.len() as u32))
                .map(|(number, _)| number)
                .collect();
            assert_eq!(ours, tcpdump_takes(expression, &packets), "{expression}");
        }
    }
}
