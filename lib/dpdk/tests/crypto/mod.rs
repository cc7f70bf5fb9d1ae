//! What tests of crypto share: EAL, devices, packets with a text and a digest in them.

use dpdk::crypto::{Config, Device, Queue};
use dpdk::{Eal, Mbuf, NumaNode, Pool};

pub(crate) const ANY: NumaNode = NumaNode::ANY;

pub(crate) fn start() -> Eal {
    Eal::init(&[
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "128",
        "-l",
        "0",
    ])
    .unwrap()
}

pub(crate) fn packets(eal: &Eal) -> Pool {
    Pool::new(eal, "packets", 511, 0, Pool::DATA_ROOM, ANY).unwrap()
}

/// The device with one queue of 63 packets.
pub(crate) fn open(eal: &Eal, devargs: &str) -> (Device, Queue) {
    let config = Config {
        queues: 1,
        descriptors: 64,
        node: ANY,
    };
    let (device, mut queues) = Device::open(eal, devargs, &config).unwrap();
    (device, queues.pop().unwrap())
}

pub(crate) fn packet(pool: &Pool, parts: &[&[u8]]) -> Mbuf {
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(&parts.concat()).unwrap();
    mbuf
}
