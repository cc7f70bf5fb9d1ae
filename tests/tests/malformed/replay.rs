//! A primary whose interfaces are streams of frames: net_pcap on named pipes, so that millions go through in seconds and none is
//! stored.
//!
//! ```text
//!   test ──► in ──► a0  gateway  b0 ──► out ──► test
//!   test ◄── back ◄─┘
//! ```
//!
//! A worker waits in the read of an empty pipe, so nothing else is done by it until there are frames or there is an end.

use std::{
    fs::{File, OpenOptions},
    io::BufWriter,
    path::PathBuf,
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use packet::MacAddress;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use tempfile::TempDir;
use tests::{Interface, Primary, Privilege, wait_until};

use crate::{
    LIMIT,
    gateway::{GATEWAY_A, GATEWAY_B},
    router::Router,
};

/// Of the interface that frames leave by.
pub(crate) const MTU_OUT: u16 = 1400;
/// Neighbours, whose addresses are those of [`crate::gateway`].
const HOST_A_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x0a, 2]);
const HOST_B_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x0b, 2]);

/// A gateway between streams.
pub(crate) struct Replay {
    pub(crate) primary: Primary,
    input: PcapWriter<BufWriter<File>>,
    out: File,
    back: File,
    macs: [MacAddress; 2],
    _folder: TempDir,
}

impl Replay {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["in", "out", "back"].map(|name| {
            let path = folder.path().join(name);
            mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
            path
        });
        let [input, out, back] = &pipes;
        let open = |path: &PathBuf| OpenOptions::new().read(true).write(true).open(path).unwrap();
        // Both ends, for nobody to wait for another one.
        let held = pipes.each_ref().map(open);
        let mut writer = PcapWriter::new(BufWriter::new(open(input))).unwrap();
        writer.flush().unwrap();
        let mut builder = Primary::builder(Privilege::detect(), "gw")
            .interface(
                Interface::device(
                    "a0",
                    &format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), back.display()),
                )
                .address("192.168.1.1/24")
                .address("2001:db8:1::1/64"),
            )
            .interface(
                Interface::device("b0", &format!("net_pcap1,tx_pcap={}", out.display()))
                    .address("192.168.2.1/24")
                    .address("2001:db8:2::1/64")
                    .mtu(MTU_OUT),
            )
            .route("10.1.0.0/16", "192.168.2.2")
            .route("2001:db8:b::/48", "2001:db8:2::2");
        for (address, mac, interface) in [
            ("192.168.1.2", HOST_A_MAC, "a0"),
            ("2001:db8:1::2", HOST_A_MAC, "a0"),
            ("192.168.2.2", HOST_B_MAC, "b0"),
            ("2001:db8:2::2", HOST_B_MAC, "b0"),
        ] {
            builder = builder.neighbor(address, &mac.to_string(), interface);
        }
        let primary = builder.start().unwrap();
        let links = primary.ctl_json(&["link", "show"]).unwrap();
        let macs = [0, 1].map(|link: usize| links[link]["mac"].as_str().unwrap().parse().unwrap());
        let [out, back] = [out, back].map(|path| File::open(path).unwrap());
        drop(held);
        wait_until("addresses in use", LIMIT, || {
            let addresses = primary.ctl_json(&["addr", "show"])?;
            let mut addresses = addresses.as_array().unwrap().iter();
            Ok(addresses
                .all(|address| address["state"] == "preferred")
                .then_some(()))
        })
        .unwrap();
        Self {
            primary,
            input: writer,
            out,
            back,
            macs,
            _folder: folder,
        }
    }

    /// The MAC address that frames have to come for.
    pub(crate) fn mac(&self) -> MacAddress {
        self.macs[0]
    }

    /// What the gateway has to do with a frame.
    pub(crate) fn router(&self) -> Router {
        Router {
            mac_in: self.macs[0],
            mac_out: self.macs[1],
            next: HOST_B_MAC,
            mtu: usize::from(MTU_OUT),
            address4: [GATEWAY_B, GATEWAY_A],
            leads4: |address| address.octets() == [192, 168, 2, 2] || address.octets()[..2] == [10, 1],
            leads6: |address| {
                let segments = address.segments();
                segments == [0x2001, 0xdb8, 2, 0, 0, 0, 0, 2] || segments[..3] == [0x2001, 0xdb8, 0xb]
            },
        }
    }

    /// Sends what `feed` writes, hands what leaves to `out` and `back`, asks `at_rest` when nothing moves any more, and ends.
    pub(crate) fn run(
        self,
        feed: impl FnOnce(&mut dyn FnMut(&[u8]), &mut Primary),
        out: impl FnMut(&[u8]) + Send,
        back: impl FnMut(&[u8]) + Send,
        at_rest: impl FnOnce(&Primary),
    ) {
        std::thread::scope(move |scope| {
            // In here: where a test fails, the primary goes, and with it what the readers wait for.
            let Self {
                mut primary,
                mut input,
                out: out_pipe,
                back: back_pipe,
                _folder,
                ..
            } = self;
            let readers = [
                scope.spawn(move || read(out_pipe, out)),
                scope.spawn(move || read(back_pipe, back)),
            ];
            let mut send = |frame: &[u8]| {
                let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame).unwrap();
                input.write_packet(&packet).unwrap();
            };
            feed(&mut send, &mut primary);
            input.flush().unwrap();
            drop(input);
            wait_until("that nothing waits any more", LIMIT, || {
                let counters = primary.counters_at_rest()?;
                Ok((counters.sum(|interface| interface.waiting) == 0).then_some(()))
            })
            .unwrap();
            at_rest(&primary);
            // What is still buffered is written at the end.
            let status = primary.terminate().unwrap();
            assert!(status.success(), "{status}: {}", primary.process().stderr());
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }
}

/// Packet buffers in use.
pub(crate) fn buffers(primary: &Primary) -> u64 {
    let memory = primary.ctl_json(&["memory", "show"]).unwrap();
    let mut parts = memory.as_array().unwrap().iter();
    let pool = parts.find(|part| part["part"] == "pool_packets").unwrap();
    pool["used"].as_u64().unwrap()
}

fn read(pipe: File, mut take: impl FnMut(&[u8])) {
    let mut reader = PcapReader::new(pipe).unwrap();
    while let Some(packet) = reader.next_packet() {
        take(&packet.unwrap().into_data());
    }
}
