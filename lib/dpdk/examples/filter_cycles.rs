//! Cycles of the time stamp counter that a compiled filter takes per packet, by itself: `udp dst port 53` on 64-byte UDP
//! packets over IPv4 for another port.
//!
//! `cargo run --release -p dpdk --example filter_cycles` needs no hugepages and prints the median of many bursts.

use std::error::Error;
use std::hint::black_box;

use dpdk::filter::{Filter, Instruction};
use dpdk::{Eal, MbufBatch, NumaNode, Pool};

const BURSTS: usize = 100_001;

/// What libpcap makes of it: code, jt, jf, k.
const PROGRAM: [(u16, u8, u8, u32); 16] = [
    (0x28, 0, 0, 12),
    (0x15, 0, 4, 0x86dd),
    (0x30, 0, 0, 20),
    (0x15, 0, 11, 17),
    (0x28, 0, 0, 56),
    (0x15, 8, 9, 53),
    (0x15, 0, 8, 0x800),
    (0x30, 0, 0, 23),
    (0x15, 0, 6, 17),
    (0x28, 0, 0, 20),
    (0x45, 4, 0, 0x1fff),
    (0xb1, 0, 0, 14),
    (0x48, 0, 0, 16),
    (0x15, 0, 1, 53),
    (0x06, 0, 0, 0xffff),
    (0x06, 0, 0, 0),
];

fn main() -> Result<(), Box<dyn Error>> {
    // EAL leaves its runtime directory behind: this one goes with the program.
    let directory = tempfile::tempdir()?;
    dpdk::set_runtime_directory(directory.path())?;
    let eal = Eal::init(&[
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
    ])?;
    let pool = Pool::new(&eal, "packets", 127, 8, Pool::DATA_ROOM, NumaNode::ANY)?;
    let filter = Filter::compile(
        &eal,
        &PROGRAM.map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }),
    )?;
    let mut frame = [0u8; 60];
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[23] = 17;
    frame[36..38].copy_from_slice(&[0, 9]);
    let mut batch = MbufBatch::<32>::new();
    while !batch.is_full() {
        let mut mbuf = pool.alloc().ok_or("the pool is empty")?;
        mbuf.append(&frame)?;
        batch.push(mbuf).map_err(|_| "the batch is full")?;
    }
    let mut cycles: Vec<u64> = (0..BURSTS)
        .map(|_| {
            let begin = dpdk::tsc();
            for mbuf in batch.iter() {
                black_box(filter.matches(mbuf));
            }
            dpdk::tsc() - begin
        })
        .collect();
    cycles.sort_unstable();
    println!("{:.1}", cycles[BURSTS / 2] as f64 / 32.0);
    drop((filter, batch, pool));
    eal.shutdown()?;
    Ok(())
}
