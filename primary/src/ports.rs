//! Opens the ports and shares their queues out among the workers.
//!
//! ```text
//!   port p, queue q ─► worker (p + q) mod workers            receive and transmit alike
//!   worker without a transmit queue of p ─► ring ─► worker that has one
//!   worker with a receive queue of p     ─► ring ─► workers that have none, by flow
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use dpdk::ring::{self, MbufProducer};
use dpdk::{Eal, Pool, Port, PortConfig, PortError, PortInfo, RunningPort, RxQueue, TxQueue};

use crate::config::{Config, Interface, SpreadPolicy};
use crate::worker::spread::{HandedOver, Spread};
use crate::worker::{Entry, Exit, Originated};

/// Packets that a ring between two threads holds.
pub const RING: u32 = 512;

/// A port that runs.
pub struct OpenPort {
    /// The port.
    pub port: RunningPort,
    /// What it can do.
    pub info: PortInfo,
    /// What the interface of the kernel behind it had before.
    pub kernel_mtu: Option<KernelMtu>,
    rx_queues: Vec<RxQueue>,
    tx_queues: Vec<TxQueue>,
}

impl OpenPort {
    /// Receive queues in use.
    pub fn rx_queue_count(&self) -> usize {
        self.rx_queues.len()
    }

    /// Transmit queues in use.
    pub fn tx_queue_count(&self) -> usize {
        self.tx_queues.len()
    }

    /// Whether a kernel interface feeds it: packets may come with work left to hardware that is not there.
    pub fn is_kernel_device(&self) -> bool {
        matches!(
            self.info.driver.as_str(),
            "net_af_packet" | "net_af_xdp" | "net_tap"
        )
    }
}

/// The MTU that an interface of the kernel had before its port was opened: drivers set the port's. Dropping it gives the
/// interface that MTU back.
pub struct KernelMtu {
    file: PathBuf,
    mtu: String,
}

impl KernelMtu {
    fn of(interface: &str) -> Option<Self> {
        let file = Path::new("/sys/class/net").join(interface).join("mtu");
        let mtu = fs::read_to_string(&file).ok()?;
        Some(Self { file, mtu })
    }
}

impl Drop for KernelMtu {
    fn drop(&mut self) {
        // An interface that is gone needs none.
        if fs::read_to_string(&self.file).is_ok_and(|mtu| mtu != self.mtu) {
            drop(fs::write(&self.file, &self.mtu));
        }
    }
}

/// Why the ports do not run.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// A device that DPDK cannot make, find or start.
    #[error("interface '{interface}', device '{device}': {source}")]
    Port {
        /// Name of the interface.
        interface: String,
        /// Its devargs.
        device: String,
        /// What DPDK said.
        source: PortError,
    },
    /// A ring between two threads.
    #[error("cannot make the ring '{name}': {source}; raise [eal] memory_mb")]
    Ring {
        /// Name of the ring.
        name: String,
        /// What DPDK said.
        source: dpdk::ring::RingError,
    },
}

/// Opens the port of an interface with as many queues as there are workers, or as many as it has.
pub fn open(eal: &Eal, pool: &Pool, interface: &Interface, workers: u16) -> Result<OpenPort, PortsError> {
    let failed = |source| PortsError::Port {
        interface: interface.name.clone(),
        device: interface.device.devargs().to_owned(),
        source,
    };
    let kernel_mtu = interface.device.kernel_interface().and_then(KernelMtu::of);
    let devargs = interface.device.devargs_with(interface.rx_descriptors);
    let port = Port::probe(eal, &devargs).map_err(failed)?;
    let info = port.info().map_err(failed)?;
    let config = PortConfig {
        rx_queues: info.max_rx_queues.min(workers),
        tx_queues: info.max_tx_queues.min(workers),
        rx_descriptors: interface.rx_descriptors,
        tx_descriptors: interface.tx_descriptors,
        mtu: interface.mtu,
        ..PortConfig::default()
    };
    let started = port.configure(&config, pool).map_err(failed)?;
    // Neighbours ask for IPv6 addresses by groups.
    started.port.set_all_multicast(true).map_err(failed)?;
    Ok(OpenPort {
        port: started.port,
        info,
        kernel_mtu,
        rx_queues: started.rx_queues,
        tx_queues: started.tx_queues,
    })
}

/// What one worker has of all ports.
#[derive(Default)]
pub struct Share {
    /// Receive queues.
    pub entries: Vec<Entry>,
    /// What other workers receive for it.
    pub handed_over: Vec<HandedOver>,
    /// How packets leave, by interface index.
    pub exits: Vec<Exit>,
    /// Rings that this worker empties.
    pub originated: Vec<Originated>,
}

/// Shares the queues of all ports out. Also returns, by interface index, the rings by which the control thread sends.
pub fn share_out(
    eal: &Eal,
    config: &Config,
    ports: &mut [OpenPort],
) -> Result<(Vec<Share>, Vec<MbufProducer>), PortsError> {
    let workers = config.workers.lcores.len();
    let mut shares: Vec<Share> = (0..workers).map(|_| Share::default()).collect();
    let mut from_control = Vec::new();
    for (number, port) in ports.iter_mut().enumerate() {
        // The configuration has no more interfaces than an index can name.
        let interface = number as u16;
        let owner_of = |queue: usize| (number + queue) % workers;
        let queues = port.rx_queues.len();
        for (queue_number, queue) in port.rx_queues.drain(..).enumerate() {
            let mut rings = Vec::new();
            if config.workers.spread == SpreadPolicy::Auto {
                // The workers that would have the queues that the device lacks, each ring as long as such a queue: the pool has
                // packet buffers for that many.
                let depth = u32::from(config.interfaces[number].rx_descriptors);
                for other in (queue_number + queues..workers).step_by(queues) {
                    let name = format!("rx.p{number}.w{}", owner_of(other));
                    let (producer, packets) = mbuf_ring(eal, &name, depth)?;
                    rings.push(producer);
                    shares[owner_of(other)]
                        .handed_over
                        .push(HandedOver { interface, packets });
                }
            }
            shares[owner_of(queue_number)].entries.push(Entry {
                interface,
                queue,
                spread: Some(rings).filter(|rings| !rings.is_empty()).map(Spread::new),
            });
        }
        let mut queues: Vec<Option<TxQueue>> = port.tx_queues.drain(..).map(Some).collect();
        for (worker, _) in (0..workers).enumerate() {
            // The queue that this worker would have, were there enough.
            let wanted = (worker + workers - number % workers) % workers;
            let exit = match queues.get_mut(wanted).and_then(Option::take) {
                Some(queue) => Exit::Queue(queue),
                None => {
                    let owner = owner_of(wanted % queues.len().max(1));
                    let name = format!("tx.p{number}.w{worker}");
                    let (producer, frames) = mbuf_ring(eal, &name, RING)?;
                    shares[owner].originated.push(Originated { interface, frames });
                    Exit::HandOver(producer)
                }
            };
            shares[worker].exits.push(exit);
        }
        let (producer, frames) = mbuf_ring(eal, &format!("tx.p{number}.control"), RING)?;
        shares[owner_of(0)]
            .originated
            .push(Originated { interface, frames });
        from_control.push(producer);
    }
    Ok((shares, from_control))
}

fn mbuf_ring(eal: &Eal, name: &str, capacity: u32) -> Result<(MbufProducer, ring::MbufConsumer), PortsError> {
    ring::mbufs(eal, name, capacity).map_err(|source| PortsError::Ring {
        name: name.to_owned(),
        source,
    })
}
