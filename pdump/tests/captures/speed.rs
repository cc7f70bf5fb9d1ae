//! How fast packets go from a source into a file.

use std::path::Path;
use std::time::{Duration, Instant};

use pdump::arguments::Format;
use pdump::capture::{Limits, Run};
use pdump::source::{CaptureError, Counts, Packet, Source, Way};

use crate::script::{NOON, WAN, begin};

/// Packets of a call, as of a primary.
const BURST: u64 = 256;

/// Always has packets of 64 bytes.
struct Endless {
    given: u64,
    data: [u8; 64],
}

impl Source for Endless {
    fn receive(&mut self, _: Duration, take: &mut dyn FnMut(&Packet<'_>)) -> Result<usize, CaptureError> {
        for number in self.given..self.given + BURST {
            take(&Packet {
                time_ns: NOON + number,
                interface: WAN,
                way: Way::Rx,
                wire_length: 64,
                rule: None,
                id: number + 1,
                worker: Some(0),
                queue: Some(0),
                lost_before: 0,
                dropped: None,
                data: &self.data,
            });
        }
        self.given += BURST;
        Ok(BURST as usize)
    }

    fn stop(&mut self) {}

    fn counts(&self) -> Counts {
        Counts {
            seen: self.given,
            matched: self.given,
            ..Counts::default()
        }
    }
}

/// Packets per second into a file.
fn rate(path: &Path) -> f64 {
    let mut output = begin(path, Format::Pcapng).unwrap();
    let mut source = Endless {
        given: 0,
        data: [0xa5; 64],
    };
    let packets = 4_000_000;
    let limits = Limits {
        packets: Some(packets.try_into().unwrap()),
        duration: None,
    };
    let mut watch = |_: &_| {};
    let begun = Instant::now();
    let mut run = Run::new(&mut output, limits, &|| false, &mut watch);
    run.capture(&mut source).unwrap();
    assert_eq!(run.report().written, packets);
    packets as f64 / begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a figure: run it with --release, on a machine that does nothing else"]
fn three_million_packets_a_second_go_into_memory() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let [nowhere, file] = ["/dev/null".as_ref(), &*memory.path().join("out.pcapng")].map(rate);
    println!("packets/s: {nowhere:.0} to /dev/null, {file:.0} to tmpfs");
    assert!(file > 3e6);
}
