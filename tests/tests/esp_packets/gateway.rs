//! A primary between streams of frames, with protected tunnels whose other ends are the test's.
//!
//! ```text
//!   test ──► ESP, or in clear ──► a0  gateway  b0 ──► what was inside ──► test
//!   test ◄── ESP, and answers ◄───┘
//! ```

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use esp::Transform;
use packet::{EtherType, MacAddress, PacketBuilder, Protocol};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    Counters, Family, Interface, Primary, Privilege,
    streams::{Input, Streams},
    wait_until,
};

use crate::peer::Peer;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const HOST: MacAddress = MacAddress([2, 0, 0, 0, 0x0a, 2]);
/// Bytes of the headers before an ESP packet over IPv4.
pub(crate) const BEFORE: usize = 14 + 20;
const FAR: MacAddress = MacAddress([2, 0, 0, 0, 0x0b, 2]);
/// RFC 8200 section 4.5: so long fragments wait for others.
const FRAGMENTS_WAIT: Duration = Duration::from_secs(60);
/// Frames that a worker takes at a time.
const BURST: u64 = 32;

/// An SA whose other end is the test's. Its tunnel is that of its number.
#[derive(Clone)]
pub(crate) struct Sa {
    pub(crate) number: usize,
    pub(crate) over: Family,
    pub(crate) transform: Transform,
    pub(crate) esn: bool,
    pub(crate) udp: bool,
    pub(crate) spi: u32,
    pub(crate) keys: Vec<u8>,
}

impl Sa {
    pub(crate) fn new(number: usize, over: Family, transform: Transform, esn: bool, udp: bool) -> Self {
        Self {
            number,
            over,
            transform,
            esn,
            udp,
            spi: 0x1000 * (number as u32 + 1),
            keys: (0..transform.key_len())
                .map(|at| (at * 11 + number * 3) as u8)
                .collect(),
        }
    }

    fn tunnel(&self) -> String {
        format!("esp{}", self.number)
    }

    /// The end of its tunnel that is the test's.
    fn remote(&self) -> String {
        let host = 10 + self.number;
        self.over
            .choose(format!("192.168.1.{host}"), format!("2001:db8:1::{host}"))
    }

    fn local(&self) -> &'static str {
        self.over.choose("192.168.1.1", "2001:db8:1::1")
    }

    pub(crate) fn peer(&self) -> Peer<'_> {
        Peer {
            spi: self.spi,
            esn: self.esn,
            keys: &self.keys,
            transform: self.transform,
        }
    }

    /// An IV that is another for each packet.
    fn iv(&self, number: u64) -> Vec<u8> {
        let iv = [number.to_be_bytes(), (!number).to_be_bytes()].concat();
        iv[..self.transform.iv_len()].to_vec()
    }

    /// A packet inside, from where the tunnel leads to beyond the gateway.
    pub(crate) fn inner(&self, data: &[u8]) -> Vec<u8> {
        PacketBuilder::ipv4(
            Ipv4Addr::new(10, self.number as u8, 0, 2),
            Ipv4Addr::new(10, 200, 0, 9),
        )
        .udp(7, 9, data)
    }

    /// The ESP packet of this number around bytes of this next header.
    pub(crate) fn seal(&self, number: u64, inner: &[u8], next_header: u8) -> Vec<u8> {
        let block = self.transform.block_len();
        let pad = (block - (inner.len() + 2) % block) % block;
        self.peer()
            .seal(number, &self.iv(number), inner, pad as u8, next_header)
    }

    /// The packet of this number that a gateway should open: what it carries says which.
    pub(crate) fn good(&self, number: u64) -> Vec<u8> {
        self.seal(number, &self.inner(&number.to_be_bytes()), 4)
    }

    /// The frame that brings an ESP packet.
    pub(crate) fn frame(&self, gateway: MacAddress, esp: &[u8]) -> Vec<u8> {
        self.frame_from(gateway, &self.remote(), esp)
    }

    /// The same from another address.
    pub(crate) fn frame_from(&self, gateway: MacAddress, source: &str, esp: &[u8]) -> Vec<u8> {
        let frame = PacketBuilder::ethernet(gateway, HOST);
        match (self.over, self.udp) {
            (Family::Ip4, udp) => {
                let builder = frame.ipv4(source.parse().unwrap(), self.local().parse().unwrap());
                if udp {
                    builder.udp(4500, 4500, esp)
                } else {
                    builder.payload(Protocol::ESP, esp)
                }
            }
            (Family::Ip6, udp) => {
                let builder = frame.ipv6(source.parse().unwrap(), self.local().parse().unwrap());
                if udp {
                    builder.udp(4500, 4500, esp)
                } else {
                    builder.payload(Protocol::ESP, esp)
                }
            }
        }
    }

    /// Another address on the link of its other end.
    pub(crate) fn stranger(&self) -> &'static str {
        self.over.choose("192.168.1.250", "2001:db8:1::250")
    }
}

/// The gateway, as long as frames go in.
pub(crate) struct Gateway {
    pub(crate) primary: Primary,
    pub(crate) mac: MacAddress,
    input: Input,
    keys: TempDir,
}

/// Runs `steps` beside a gateway with the tunnels of these SAs, and ends it. What leaves by either port goes to `out` and `back`. `more` is
/// for its configuration.
pub(crate) fn run(
    sas: &[Sa],
    more: &str,
    steps: impl FnOnce(&mut Gateway),
    out: impl FnMut(&[u8]) + Send,
    back: impl FnMut(&[u8]) + Send,
) {
    let streams = Streams::create().unwrap();
    let [near, far] = streams.devices();
    let mut builder = Primary::builder(Privilege::detect(), "gw")
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
        .route("10.200.0.0/16", "192.168.2.2")
        .route("192.0.2.0/24", "192.168.2.2")
        .route("192.168.123.0/24", "192.168.2.2")
        .neighbor("192.168.2.2", &FAR.to_string(), "b0")
        .neighbor("192.168.1.2", &HOST.to_string(), "a0");
    let mut text = format!("{more}\n");
    for sa in sas {
        let (name, remote, number) = (sa.tunnel(), sa.remote(), sa.number);
        builder = builder.neighbor(&remote, &HOST.to_string(), "a0");
        text += &format!(
            "[[tunnel]]\nname = \"{name}\"\nmode = \"esp\"\nlocal = \"{}\"\nremote = \"{remote}\"\nunnumbered = \"b0\"\n\
             [[route]]\nprefix = \"10.{number}.0.0/16\"\ntunnel = \"{name}\"\n",
            sa.local()
        );
    }
    let primary = builder.toml(&text).start().unwrap();
    let links = primary.ctl_json(&["link", "show"]).unwrap();
    let mac = links[0]["mac"].as_str().unwrap().parse().unwrap();
    let (input, [from_far, from_near], _folder) = streams.split().unwrap();
    primary.wait_for_addresses().unwrap();
    std::thread::scope(|scope| {
        let readers = [
            scope.spawn(move || from_far.read(out).unwrap()),
            scope.spawn(move || from_near.read(back).unwrap()),
        ];
        // In here: where a step fails, the primary goes, and with it what the readers wait for.
        let mut gateway = Gateway {
            primary,
            mac,
            input,
            keys: TempDir::new().unwrap(),
        };
        steps(&mut gateway);
        let Gateway {
            mut primary, input, ..
        } = gateway;
        drop(input);
        let counters = wait_until("that nothing waits any more", FRAGMENTS_WAIT + LIMIT, || {
            let counters = primary.counters_at_rest()?;
            Ok((counters.sum(|interface| interface.waiting) == 0).then_some(counters))
        })
        .unwrap();
        counters.assert_balanced();
        wait_until("all packet buffers to be back", LIMIT, || {
            Ok((buffers(&primary) == 0).then_some(()))
        })
        .unwrap();
        let status = primary.terminate().unwrap();
        assert!(status.success(), "{status}: {}", primary.process().stderr());
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// As [`run`], and gives what left by either port, but for what the gateway says to find neighbours.
pub(crate) fn run_and_collect(sas: &[Sa], steps: impl FnOnce(&mut Gateway)) -> [Vec<Vec<u8>>; 2] {
    run_and_collect_with(sas, "", steps)
}

/// The same with more in the gateway's configuration.
pub(crate) fn run_and_collect_with(
    sas: &[Sa],
    more: &str,
    steps: impl FnOnce(&mut Gateway),
) -> [Vec<Vec<u8>>; 2] {
    let left = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let keep = |number: usize| {
        let frames: Arc<Mutex<Vec<Vec<u8>>>> = Arc::clone(&left[number]);
        move |frame: &[u8]| {
            if frame[12..14] == EtherType::IPV4.0.to_be_bytes() || frame[14 + 6] == Protocol::ESP.0 {
                frames.lock().unwrap().push(frame.to_vec());
            }
        }
    };
    run(sas, more, steps, keep(0), keep(1));
    left.map(|frames| std::mem::take(&mut *frames.lock().unwrap()))
}

impl Gateway {
    /// Installs an SA, and with the next SPI one for the other direction; `inbound` and `outbound` are more words.
    pub(crate) fn install(&mut self, sa: &Sa, inbound: &str, outbound: &str) {
        let path = self.keys.path().join(sa.tunnel());
        let hex: String = sa.keys.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&path, hex).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let (here, there) = (sa.local(), sa.remote());
        let esn = if sa.esn { "esn" } else { "" };
        let udp = if sa.udp { "udp 4500:4500" } else { "" };
        for (spi, ends, direction, more) in [
            (sa.spi, format!("src {there} dst {here}"), "in", inbound),
            (sa.spi + 1, format!("src {here} dst {there}"), "out", outbound),
        ] {
            let words = format!(
                "sa add spi {spi} {direction} {ends} tunnel {} transform {} keys {} {esn} {udp} {more}",
                sa.tunnel(),
                sa.transform,
                path.display()
            );
            let words: Vec<_> = words.split_whitespace().collect();
            self.primary.ctl(&words).unwrap().success().unwrap();
        }
        // The worker takes it with the next frames.
        self.settle();
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.input.send(frame).unwrap();
    }

    /// Frames that nobody takes, so that a worker that waits for a whole burst gets it; then waits until it has.
    pub(crate) fn settle(&mut self) -> Counters {
        let filler = PacketBuilder::ethernet(self.mac, HOST).payload(EtherType(0x88b5), &[0; 46]);
        for _ in 0..3 * BURST {
            self.send(&filler);
        }
        self.input.flush().unwrap();
        let sent = self.input.frames();
        wait_until("that frames are taken", LIMIT, || {
            let counters = self.primary.counters()?;
            let taken = counters.of("a0").unwrap().rx_packets;
            Ok((taken + BURST > sent).then_some(counters))
        })
        .unwrap()
    }

    /// The SA with this SPI, as 'sa show' has it; nothing if there is none.
    pub(crate) fn shown(&self, spi: u32) -> Option<Value> {
        let sas = self.primary.ctl_json(&["sa"]).unwrap();
        sas.as_array()
            .unwrap()
            .iter()
            .find(|sa| sa["spi"] == spi)
            .cloned()
    }

    /// Frames that were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.input.frames()
    }
}

/// Packet buffers in use.
fn buffers(primary: &Primary) -> u64 {
    let memory = primary.ctl_json(&["memory", "show"]).unwrap();
    let mut parts = memory.as_array().unwrap().iter();
    let pool = parts.find(|part| part["part"] == "pool_packets").unwrap();
    pool["used"].as_u64().unwrap()
}

/// The source of what comes in clear and is to leave by a tunnel.
pub(crate) fn clear_frame(gateway: MacAddress, sa: &Sa, data: &[u8]) -> Vec<u8> {
    PacketBuilder::ethernet(gateway, HOST)
        .ipv4(
            Ipv4Addr::new(192, 168, 1, 2),
            Ipv4Addr::new(10, sa.number as u8, 0, 2),
        )
        .udp(7, 9, data)
}

/// A packet from where the tunnel leads, without protection.
pub(crate) fn unprotected(gateway: MacAddress, sa: &Sa) -> Vec<u8> {
    let frame = PacketBuilder::ethernet(gateway, HOST);
    [&frame.payload(EtherType::IPV4, &[])[..], &sa.inner(b"clear")].concat()
}

/// A packet of IPv6, which no tunnel here carries by its selectors.
pub(crate) fn six(data: &[u8]) -> Vec<u8> {
    let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, last);
    PacketBuilder::ipv6(address(1), address(2)).udp(7, 9, data)
}

/// What was dropped between two moments, but for the frames that nobody takes.
pub(crate) fn dropped(before: &Counters, after: &Counters) -> BTreeMap<String, u64> {
    let all = after.drops();
    let new = all.into_iter().filter_map(|(reason, count)| {
        let count = count - before.dropped(reason);
        (count > 0 && reason != "unknown_ethertype").then(|| (reason.to_owned(), count))
    });
    new.collect()
}

/// A packet as it was before a router counted a hop.
pub(crate) fn before_this_hop(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[8] += 1;
    // One more hop is 0x100 more in a word of the header, and as much less in its checksum (RFC 1624).
    let sum = !u16::from_be_bytes([packet[10], packet[11]]);
    let (sum, carry) = sum.overflowing_add(0x0100);
    let sum = !(sum + u16::from(carry));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}
