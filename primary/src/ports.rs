//! Opens the ports and shares their queues out among the workers.
//!
//! ```text
//!   port p, queue q ─► worker (p + q) mod workers            receive and transmit alike
//!   worker without a transmit queue of p ─► ring ─► worker that has one
//!   worker with a receive queue of p     ─► ring ─► workers that have none, by flow
//! ```

mod refused;

use std::fs;
use std::path::{Path, PathBuf};

use dpdk::ring::{self, Arrivals, MbufProducer};
use dpdk::{Eal, Pool, Port, PortConfig, PortInfo, RunningPort, RxQueue, TxOffloads, TxQueue};

pub use self::refused::PortsError;
use self::refused::{not_opened, not_started};
use crate::config::{BondMode, Config, Device, Interface, SpreadPolicy};
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
    /// What is one in it, if it is a bond. After the port, which it outlives.
    pub members: Vec<Port>,
    /// The drivers that packets come by: its own, or those of the members of a bond.
    pub drivers: Vec<String>,
    /// What the interfaces of the kernel behind it had before.
    pub kernel_mtu: Vec<KernelMtu>,
    /// Whether it is a bond that speaks LACP.
    lacp: bool,
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

    /// Whether it sends packets of several segments: a driver that copies what it sends does so without saying it. A bond
    /// cannot say it before it has its members, so it does not.
    pub fn takes_chains(&self) -> bool {
        self.info.tx_offloads.contains(TxOffloads::MULTI_SEGMENT)
            || matches!(self.info.driver.as_str(), "net_pcap" | "net_null")
    }

    /// Whether a kernel interface feeds it: packets may come with work left to hardware that is not there.
    pub fn is_kernel_device(&self) -> bool {
        self.drivers
            .iter()
            .any(|driver| matches!(driver.as_str(), "net_af_packet" | "net_af_xdp" | "net_tap"))
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

    /// Gives the interface another, unless it has it: not every driver does.
    fn change(&self, mtu: u16) -> std::io::Result<()> {
        let now = fs::read_to_string(&self.file)?;
        if now.trim().parse() == Ok(mtu) {
            return Ok(());
        }
        fs::write(&self.file, mtu.to_string())
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

/// Opens the port of an interface with as many queues as there are workers, or as many as it has.
pub fn open(eal: &Eal, pool: &Pool, interface: &Interface, workers: u16) -> Result<OpenPort, PortsError> {
    let failed = |source| PortsError::Port {
        interface: interface.name.clone(),
        device: interface.device.devargs().to_owned(),
        source,
    };
    let kernel_mtu: Vec<_> = interface.kernel_interfaces().filter_map(KernelMtu::of).collect();
    let devargs_of = |device: &Device| device.devargs_with(interface.rx_descriptors, interface.mtu);
    let mut devargs = devargs_of(&interface.device);
    let mut members = Vec::new();
    if let Some(bond) = &interface.bond {
        devargs += &format!(",mode={}", bond.mode as u8);
        if bond.members.iter().any(Device::is_af_packet) && release(&eal.version()) < LINK_OF_AF_PACKET {
            tracing::warn!(
                target: "port",
                "{}: net_af_packet of this DPDK says that its link is always up, so a member whose link fails stays in the bond and \
                 packets are lost; use devices that report their link, or DPDK 24.11",
                interface.name
            );
        }
        for member in &bond.members {
            let port = Port::probe(eal, &devargs_of(member))
                .map_err(|source| not_opened(interface, member, source))?;
            devargs += &format!(",{}={}", member_key(&eal.version()), port.name());
            members.push(port);
        }
    }
    let port =
        Port::probe(eal, &devargs).map_err(|source| not_opened(interface, &interface.device, source))?;
    let info = port.info().map_err(failed)?;
    let (mut rx_queues, mut tx_queues) = (info.max_rx_queues.min(workers), info.max_tx_queues.min(workers));
    let mut drivers = Vec::new();
    let mut max_mtu = info.max_mtu;
    for member in &members {
        let info = member.info().map_err(failed)?;
        rx_queues = rx_queues.min(info.max_rx_queues);
        tx_queues = tx_queues.min(info.max_tx_queues);
        max_mtu = max_mtu.min(info.max_mtu);
        drivers.push(info.driver);
    }
    if members.is_empty() {
        drivers.push(info.driver.clone());
    }
    let config = PortConfig {
        rx_queues,
        tx_queues,
        rx_descriptors: interface.rx_descriptors,
        tx_descriptors: interface.tx_descriptors,
        mtu: if interface.devices().any(Device::is_af_packet) {
            // The driver says that it takes no longer frames; how long they may be is what its ring was laid out for.
            interface.mtu.min(max_mtu)
        } else {
            interface.mtu
        },
        ..PortConfig::default()
    };
    let started = port
        .configure(&config, pool)
        .map_err(|source| not_started(interface, source))?;
    for kernel in &kernel_mtu {
        kernel.change(interface.mtu).map_err(|source| PortsError::Mtu {
            interface: interface.name.clone(),
            mtu: interface.mtu,
            source,
        })?;
    }
    // Neighbours ask for IPv6 addresses by groups.
    started.port.set_all_multicast(true).map_err(failed)?;
    if interface.bond.is_some() {
        // A bond passes frames to groups and to everybody on where all of its members can be told to receive them, which
        // net_af_packet cannot; this it can. What is for other stations the workers drop.
        started.port.set_promiscuous(true).map_err(failed)?;
    }
    Ok(OpenPort {
        port: started.port,
        lacp: interface
            .bond
            .as_ref()
            .is_some_and(|bond| bond.mode == BondMode::Lacp),
        members,
        drivers,
        info,
        kernel_mtu,
        rx_queues: started.rx_queues,
        tx_queues: started.tx_queues,
    })
}

/// The release since which net_af_packet looks at the carrier of its kernel interface.
const LINK_OF_AF_PACKET: (u32, u32) = (24, 11);

/// The argument of net_bonding that names a member: DPDK 23.11 gave it another name.
fn member_key(version: &str) -> &'static str {
    if release(version) < (23, 11) {
        "slave"
    } else {
        "member"
    }
}

/// Year and month of DPDK's version.
fn release(version: &str) -> (u32, u32) {
    let number = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
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
    /// Whether there is something in one of those.
    pub arrivals: Arrivals,
}

/// The rings by which others than workers send, by interface index.
#[derive(Default)]
pub struct Senders {
    /// Those of the control thread; of ports alone.
    pub control: Vec<MbufProducer>,
    /// Those of the kernel, where the interface has a tap.
    pub kernel: Vec<Option<MbufProducer>>,
}

/// Shares the queues of all ports out, and makes the rings to them.
pub fn share_out(
    eal: &Eal,
    config: &Config,
    ports: &mut [OpenPort],
) -> Result<(Vec<Share>, Senders), PortsError> {
    let workers = config.workers.lcores.len();
    let mut shares: Vec<Share> = (0..workers).map(|_| Share::default()).collect();
    let mut senders = Senders::default();
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
                    shares[owner_of(other)].handed_over.push(HandedOver {
                        interface,
                        queue: queue.index(),
                        packets,
                    });
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
                Some(queue) if port.lacp => Exit::Lacp(queue),
                Some(queue) => Exit::Queue(queue),
                None => {
                    let owner = owner_of(wanted % queues.len().max(1));
                    let name = format!("tx.p{number}.w{worker}");
                    let (producer, frames) = mbuf_ring(eal, &name, RING)?;
                    shares[owner].originated.push(Originated {
                        interface,
                        frames,
                        from_kernel: false,
                    });
                    Exit::HandOver(producer.noting(&shares[owner].arrivals))
                }
            };
            shares[worker].exits.push(exit);
        }
        let mut sender = |name: &str, from_kernel| {
            let (producer, frames) = mbuf_ring(eal, &format!("tx.p{number}.{name}"), RING)?;
            shares[owner_of(0)].originated.push(Originated {
                interface,
                frames,
                from_kernel,
            });
            Ok(producer.noting(&shares[owner_of(0)].arrivals))
        };
        senders.control.push(sender("control", false)?);
        let has_tap = config.interfaces.get(number).is_some_and(|of| of.tap.is_some());
        senders
            .kernel
            .push(has_tap.then(|| sender("kernel", true)).transpose()?);
    }
    // The indices of sub-interfaces follow those of ports.
    for (index, sub_interface) in (ports.len()..).zip(&config.sub_interfaces) {
        let port = config.port_of(sub_interface);
        let producer = match port.filter(|_| sub_interface.tap.is_some()) {
            None => None,
            Some(port) => {
                let (producer, frames) = mbuf_ring(eal, &format!("tx.i{index}.kernel"), RING)?;
                // The worker of the port's first transmit queue, as for the kernel's packets for the port itself.
                shares[port % workers].originated.push(Originated {
                    interface: index as u16,
                    frames,
                    from_kernel: true,
                });
                Some(producer.noting(&shares[port % workers].arrivals))
            }
        };
        senders.kernel.push(producer);
    }
    Ok((shares, senders))
}

fn mbuf_ring(eal: &Eal, name: &str, capacity: u32) -> Result<(MbufProducer, ring::MbufConsumer), PortsError> {
    ring::mbufs(eal, name, capacity).map_err(|source| PortsError::Ring {
        name: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_the_installed_dpdk_has_them() {
        for (version, key) in [
            ("DPDK 22.11.11", "slave"),
            ("DPDK 23.07.0", "slave"),
            ("DPDK 23.11.0", "member"),
            ("DPDK 24.11.1", "member"),
        ] {
            assert_eq!(member_key(version), key, "{version}");
        }
    }
}
