//! Reads what leaves by an interface, as a pcap from a FIFO, and looks at every packet of it.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::plan;

/// Bytes of a pcap before each packet, and before the first.
const RECORD_HEADER: usize = 16;
const FILE_HEADER: usize = 24;
const FRAME: usize = 60;
/// What our reader takes at a time, what a FIFO holds, what the writer keeps back until it has that much.
const READ_AT_ONCE: usize = 64 * 1024;
const IN_FIFO: usize = 64 * 1024;
const HELD_BACK: usize = 4096;
/// The most packets that have left the worker and are not looked at yet, and a burst that is on its way through.
pub(crate) const ON_THE_WAY: u64 =
    ((READ_AT_ONCE + IN_FIFO + HELD_BACK) / (RECORD_HEADER + FRAME) + 64) as u64;
/// Of wrong packets, so many are told.
const TOLD: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

/// What came of the packets of an interface.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) packets: u64,
    /// By destination, in the order of [`plan::destinations`]: the next hops that packets went by, a bit each.
    taken: std::collections::HashMap<Ipv4Addr, u64>,
    /// Sentences.
    pub(crate) wrong: Vec<String>,
}

impl Verdict {
    /// Different pairs of destination and next hop.
    pub(crate) fn ways(&self) -> usize {
        self.taken.values().map(|bits| bits.count_ones() as usize).sum()
    }
}

/// The reading end of a FIFO that nobody reads from yet.
pub(crate) struct Opened {
    fifo: File,
    interface: usize,
}

/// Looks at packets as they come.
pub(crate) struct Checker {
    seen: Arc<AtomicU64>,
    /// The packets to the watched destination: which packet of the interface, and to which next hop.
    pub(crate) watched: Arc<Mutex<Vec<(u64, usize)>>>,
    thread: JoinHandle<Verdict>,
}

impl Checker {
    /// Opens the FIFO of an interface, so that there is somebody to write for.
    pub(crate) fn open(fifo: &Path, interface: usize) -> Opened {
        let fifo = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(fifo)
            .unwrap();
        Opened { fifo, interface }
    }

    /// How many packets were looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    pub(crate) fn wait_for(&self, packets: u64) {
        let began = Instant::now();
        while self.seen() < packets {
            assert!(began.elapsed() < LIMIT, "{} of {packets} packets", self.seen());
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits for the last packet.
    pub(crate) fn end(self) -> Verdict {
        self.thread.join().unwrap()
    }
}

impl Opened {
    /// Begins to read; the writer is there.
    pub(crate) fn start(self) -> Checker {
        fcntl(self.fifo.as_fd(), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let (seen, watched) = (Arc::<AtomicU64>::default(), Arc::default());
        let mut look = Look {
            seen: Arc::clone(&seen),
            watched: Arc::clone(&watched),
            interface: self.interface,
            verdict: Verdict {
                packets: 0,
                taken: plan::destinations().map(|destination| (destination, 0)).collect(),
                wrong: Vec::new(),
            },
        };
        let thread = thread::spawn(move || {
            look.read(BufReader::with_capacity(READ_AT_ONCE, self.fifo));
            look.verdict
        });
        Checker {
            seen,
            watched,
            thread,
        }
    }
}

struct Look {
    seen: Arc<AtomicU64>,
    watched: Arc<Mutex<Vec<(u64, usize)>>>,
    interface: usize,
    verdict: Verdict,
}

impl Look {
    fn read(&mut self, mut pcap: impl Read) {
        if pcap.read_exact(&mut [0; FILE_HEADER]).is_err() {
            return self.complain("nothing came".to_owned());
        }
        let (mut header, mut frame) = ([0; RECORD_HEADER], Vec::new());
        // The end is where no record begins.
        while pcap.read_exact(&mut header).is_ok() {
            let [.., a, b, c, d, _, _, _, _] = header;
            frame.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
            if pcap.read_exact(&mut frame).is_err() {
                return self.complain("the last packet is cut".to_owned());
            }
            self.packet(&frame);
        }
    }

    fn packet(&mut self, frame: &[u8]) {
        // The gateway announces its addresses, which is ARP.
        if frame.get(12..14) == Some(&[0x08, 0x06]) {
            return;
        }
        let number = self.verdict.packets;
        self.verdict.packets += 1;
        match self.way(frame) {
            Ok((destination, next_hop)) => {
                if let Some(taken) = self.verdict.taken.get_mut(&destination) {
                    *taken |= 1 << next_hop;
                }
                if plan::is_watched(destination) {
                    self.watched.lock().unwrap().push((number, next_hop));
                }
            }
            Err(why) => self.complain(format!("packet {number}: {why}: {frame:02x?}")),
        }
        self.seen.store(self.verdict.packets, Ordering::Release);
    }

    /// Where a packet goes, and by which next hop.
    fn way(&self, frame: &[u8]) -> Result<(Ipv4Addr, usize), String> {
        if frame.len() != FRAME {
            return Err(format!("{} bytes", frame.len()));
        }
        let address = |at: usize| {
            frame[at..at + 4]
                .first_chunk()
                .map_or(Ipv4Addr::UNSPECIFIED, |bytes| Ipv4Addr::from_octets(*bytes))
        };
        // In the header, and in the payload behind UDP's.
        let (destination, carried) = (address(30), address(42));
        if destination != carried {
            return Err(format!("it was sent to {carried} and goes to {destination}"));
        }
        if frame[22] != 63 {
            return Err(format!("its TTL is {}", frame[22]));
        }
        let next_hop = plan::next_hop(&frame[..6]).ok_or("its MAC address is nobody's")?;
        if plan::named(destination) >> next_hop & 1 == 0 {
            return Err(format!(
                "no route to {destination} ever named next hop {next_hop}"
            ));
        }
        if plan::interface(next_hop) != self.interface {
            return Err(format!("next hop {next_hop} is not on this interface"));
        }
        Ok((destination, next_hop))
    }

    fn complain(&mut self, why: String) {
        if self.verdict.wrong.len() < TOLD {
            self.verdict.wrong.push(why);
        }
    }
}
