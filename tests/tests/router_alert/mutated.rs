//! Mutated router alerts through a primary and a relay that reads, strips, marks and drops them: nothing ends, nothing is lost without a
//! name, and what leaves is what may.
//!
//! ```text
//!   test ──► in ──► a0  gateway  b0 ──► out ──► test        net_pcap on named pipes
//!   test ◄── back ◄─┘      │ ▲
//!                       ra-relay
//! ```
//!
//! A worker waits in the read of an empty pipe, so the relay's verdicts are taken when frames come, and at the end.

use std::{
    fs::{self, File, OpenOptions},
    io::BufWriter,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use packet::{EtherType, EthernetHeader, Ipv4, Ipv6, MacAddress, PacketBuilder, Protocol};
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use tempfile::TempDir;
use tests::{
    Interface, Primary, Privilege, Random,
    mutate::{mend_checksum, mutate},
    wait_until,
};

use crate::LIMIT;

const HOST_A: (&str, MacAddress) = ("2001:db8:1::2", MacAddress([2, 0, 0, 0, 0x0a, 2]));
const HOST_B_MAC: &str = "02:00:00:00:0b:02";
/// Frames before the mutated ones, by which workers find out that there is a relay.
const FIRST: u64 = 256;
/// RFC 8200 section 4.5: so long fragments for the gateway itself wait for others.
const FRAGMENTS_WAIT: Duration = Duration::from_secs(60);
/// One for each handler, and one for what is mutated from all of them.
const RULES: &str = "
[[rule]]
name = \"log\"
values = \"0\"
handler = \"log\"
[[rule]]
name = \"remove\"
values = \"1\"
handler = \"strip\"
[[rule]]
name = \"pad\"
values = \"2\"
handler = \"strip\"
strip = \"pad\"
[[rule]]
name = \"mark\"
values = \"3\"
handler = \"dscp\"
dscp = 46
[[rule]]
name = \"drop\"
values = \"4\"
handler = \"drop\"
[[rule]]
name = \"rest\"
values = \"6-65535\"
handler = \"relay\"
";

fn mutations() -> u64 {
    let soak = std::env::var_os("TOLLGATE_SOAK").is_some();
    if soak { 10_000_000 } else { 20_000 }
}

/// A gateway between streams of frames.
struct Streams {
    primary: Primary,
    input: PcapWriter<BufWriter<File>>,
    outputs: [File; 2],
    mac: MacAddress,
    _folder: TempDir,
}

impl Streams {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["in", "out", "back"].map(|name| {
            let path = folder.path().join(name);
            mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
            path
        });
        let open = |path: &PathBuf| OpenOptions::new().read(true).write(true).open(path).unwrap();
        // Both ends, for nobody to wait for another one.
        let held = pipes.each_ref().map(open);
        let [input, out, back] = &pipes;
        let mut writer = PcapWriter::new(BufWriter::new(open(input))).unwrap();
        writer.flush().unwrap();
        let [near, far] = [
            format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), back.display()),
            format!("net_pcap1,tx_pcap={}", out.display()),
        ];
        let primary = Primary::builder(Privilege::detect(), "gw")
            .interface(
                Interface::device("a0", &near)
                    .address("192.168.1.1/24")
                    .address("2001:db8:1::1/64"),
            )
            .interface(
                Interface::device("b0", &far)
                    .address("192.168.2.1/24")
                    .address("2001:db8:2::1/64"),
            )
            .route("10.1.0.0/16", "192.168.2.2")
            .route("2001:db8:b::/48", "2001:db8:2::2")
            .neighbor(HOST_A.0, &HOST_A.1.to_string(), "a0")
            .neighbor("192.168.1.2", &HOST_A.1.to_string(), "a0")
            .neighbor("2001:db8:2::2", HOST_B_MAC, "b0")
            .neighbor("192.168.2.2", HOST_B_MAC, "b0")
            .toml("[[punt]]\nclass = \"router_alert\"\nrate = 10000000\nburst = 1000000\n")
            .start()
            .unwrap();
        let links = primary.ctl_json(&["link", "show"]).unwrap();
        let mac = links[0]["mac"].as_str().unwrap().parse().unwrap();
        let outputs = [out, back].map(|path| File::open(path).unwrap());
        drop(held);
        Self {
            primary,
            input: writer,
            outputs,
            mac,
            _folder: folder,
        }
    }
}

#[test]
fn req_ra_4_34_and_37_mutated_alerts_end_neither_the_primary_nor_the_relay_and_all_are_accounted_for() {
    let count = mutations();
    let mut random = Random::printed("mutated alerts");
    std::thread::scope(|scope| {
        // In here: where the test fails, the primary goes, and with it what the readers wait for.
        let Streams {
            mut primary,
            mut input,
            outputs,
            mac,
            _folder,
        } = Streams::start();
        let readers = outputs.map(|pipe| scope.spawn(move || read(pipe, mac)));
        let file = primary.config_path().with_file_name("ra.toml");
        fs::write(&file, RULES).unwrap();
        let mut relay = primary
            .tool(
                "relays",
                "tollgate-ra-relay",
                &["--json", "--rate", "10", "--config"],
            )
            .unwrap()
            .arg(&file)
            .start()
            .unwrap();
        relay
            .wait_for_stderr("that it relays", LIMIT, |line| line.contains("relaying"))
            .unwrap();
        let mut send = |frame: &[u8]| {
            let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame).unwrap();
            input.write_packet(&packet).unwrap();
        };
        let valid = valid(mac);
        for _ in 0..FIRST {
            send(&valid[0]);
        }
        let mut frame = Vec::new();
        for _ in 0..count {
            frame.clear();
            frame.extend_from_slice(&valid[random.below(valid.len())]);
            mutate(&mut random, &mut frame);
            if !random.once_in(4) {
                mend_checksum(&mut frame);
            }
            send(&frame);
        }
        input.flush().unwrap();
        drop(input);
        wait_until("that nothing waits any more", FRAGMENTS_WAIT + LIMIT, || {
            let counters = primary.counters_at_rest()?;
            Ok((counters.sum(|interface| interface.waiting) == 0).then_some(()))
        })
        .unwrap();
        assert!(relay.terminate().unwrap().success(), "{}", relay.stderr());
        let report = relay.stderr();
        let report: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
        let counters = primary.counters_at_rest().unwrap();
        counters.assert_balanced();
        assert_eq!(counters.of("a0").unwrap().rx_packets, FIRST + count);
        wait_until("all packet buffers to be back", LIMIT, || {
            Ok((buffers(&primary) == 0).then_some(()))
        })
        .unwrap();
        let workers = primary.ctl_json(&["worker", "show"]).unwrap();
        assert_eq!(workers[0]["bad_verdicts"], 0, "{workers}");
        let status = primary.terminate().unwrap();
        assert!(status.success(), "{status}: {}", primary.process().stderr());
        let [out, back] = readers.map(|reader| reader.join().unwrap());
        let seen = report["report"]["seen"].as_u64().unwrap();
        println!(
            "{count} mutated alerts: {seen} seen by the relay, {out} left, {back} came back; {:?}",
            counters.drops()
        );
        assert!(
            seen > count / 10 && out > count / 10 && back > 0 && counters.drops().len() >= 10,
            "{report}"
        );
    });
}

/// Packet buffers in use.
fn buffers(primary: &Primary) -> u64 {
    let memory = primary.ctl_json(&["memory", "show"]).unwrap();
    let mut parts = memory.as_array().unwrap().iter();
    let pool = parts.find(|part| part["part"] == "pool_packets").unwrap();
    pool["used"].as_u64().unwrap()
}

/// Reads all that leaves by a pipe, and how much that is; panics at what may not leave.
fn read(pipe: File, gateway: MacAddress) -> u64 {
    let mut reader = PcapReader::new(pipe).unwrap();
    let mut frames = 0;
    while let Some(frame) = reader.next_packet() {
        let frame = frame.unwrap().into_data();
        frames += 1;
        let (link, packet) = EthernetHeader::parse(&frame).unwrap();
        assert_eq!(link.source.octets()[..5], gateway.octets()[..5], "{frame:02x?}");
        match link.ethertype {
            EtherType::IPV4 => {
                let header = Ipv4::parse(packet).unwrap();
                assert!(header.ttl() > 0, "{frame:02x?}");
                assert_eq!(usize::from(header.total_len()), packet.len());
            }
            EtherType::IPV6 => {
                let header = Ipv6::parse(packet).unwrap();
                // Discovery of neighbours has 255, and nobody else: a hop limit of 0 that was counted down would.
                let discovers =
                    header.next_header() == Protocol::ICMPV6 && matches!(packet.get(40), Some(133..=137));
                let limit = header.hop_limit();
                assert!(limit > 0 && (limit < 255 || discovers), "{frame:02x?}");
                assert_eq!(header.total_len(), packet.len());
            }
            other => assert_eq!(other, EtherType::ARP, "{frame:02x?}"),
        }
    }
    frames
}

/// Alerts of both families for all rules, and others, from the host of a0.
fn valid(gateway: MacAddress) -> Vec<Vec<u8>> {
    let frame = || PacketBuilder::ethernet(gateway, HOST_A.1);
    let far6 = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 3);
    let six = || frame().ipv6(HOST_A.0.parse().unwrap(), far6);
    let four = || frame().ipv4(Ipv4Addr::new(192, 168, 1, 2), Ipv4Addr::new(10, 1, 2, 3));
    let mut frames = vec![six().udp(1, 2, b"no alert"), four().udp(1, 2, b"no alert")];
    for value in [0, 1, 2, 3, 4, 5, 0xffff] {
        let [high, low] = u16::to_be_bytes(value);
        let (alert6, alert4) = ([5, 2, high, low], [148, 4, high, low]);
        let with6 = |more: &[u8]| six().hop_by_hop(&[&alert6[..], more].concat());
        let with4 = |more: &[u8]| four().options(&[&alert4[..], more].concat());
        frames.extend([
            with6(&[]).udp(1, 2, "请将".as_bytes()),
            with6(&[])
                .hop_limit(2)
                .payload(Protocol::RSVP, &[0x10, 1, 0, 0, 63, 0, 0, 8]),
            with6(&[]).hop_limit(1).udp(1, 2, b"its last hop"),
            with6(&[]).fragment(0, true, 7).udp(1, 2, &[7; 16]),
            with6(&[]).fragment(64, false, 7).payload(Protocol::UDP, &[7; 16]),
            with6(&[0x1e, 2, 1, 2, 1, 4, 0, 0, 0, 0]).udp(1, 2, b"an option more"),
            with6(&[0x9e, 2, 1, 2]).udp(1, 2, b"an option that is judged"),
            with6(&[5, 2, 0, 7]).udp(1, 2, b"twice"),
            with6(&[0xc2, 4, 0, 1, 0, 0]).udp(1, 2, b"jumbo"),
            with6(&[]).destination_options(&[]).udp(1, 2, &[7; 600]),
            with4(&[]).udp(1, 2, "请将".as_bytes()),
            with4(&[]).ttl(1).udp(1, 2, b"its last hop"),
            with4(&[]).fragment(0, true).udp(1, 2, &[7; 16]),
            with4(&[]).fragment(64, false).payload(Protocol::UDP, &[7; 16]),
            with4(&[7, 7, 4, 0, 0, 0, 0]).payload(Protocol::RSVP, &[0x10, 1, 0, 0, 63, 0, 0, 8]),
            with4(&[148, 4, 0, 7]).udp(1, 2, b"twice"),
        ]);
    }
    frames
}
