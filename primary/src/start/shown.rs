//! What the region shows of interfaces and workers from the start on.

use shm::records;
use zerocopy::FromZeros;

use super::Failure;
use crate::config::Config;
use crate::control_thread;
use crate::plan::Plan;
use crate::ports::OpenPort;
use crate::worker::Entry;

/// The interfaces as the region shows them, by index.
pub(super) fn interfaces(
    config: &Config,
    open_ports: &[OpenPort],
) -> Result<Vec<records::Interface>, Failure> {
    let mut all = Vec::with_capacity(open_ports.len());
    for (interface, port) in config.interfaces.iter().zip(open_ports) {
        let link = port.port.link()?;
        let netdev = interface.device.kernel_interface();
        let link_up = control_thread::carries_packets(link.up, netdev);
        all.push(records::Interface {
            name: records::text(&interface.name),
            device: records::text(interface.device.devargs()),
            driver: records::text(&port.info.driver),
            netdev: records::text(netdev.unwrap_or_default()),
            mac: port.port.mac()?.0,
            mtu: interface.mtu,
            speed_mbps: link.speed_mbps.unwrap_or(0),
            port: port.port.id().number(),
            rx_queues: port.rx_queue_count() as u16,
            tx_queues: port.tx_queue_count() as u16,
            link_up: u8::from(link_up),
            admin_up: 1,
            tap: records::text(interface.tap.as_deref().unwrap_or_default()),
            ..records::Interface::new_zeroed()
        });
    }
    Ok(all)
}

/// Worker `number` as the region shows it.
pub(super) fn worker(config: &Config, plan: &Plan, number: usize, entries: &[Entry]) -> records::Worker {
    let mut queues = [0; 8];
    for (place, entry) in queues.iter_mut().zip(entries) {
        *place = u32::from(entry.queue.port().number()) << 16 | u32::from(entry.queue.index());
    }
    records::Worker {
        lcore: u32::from(plan.worker_lcores[number]),
        cpu: config.workers.lcores[number],
        idle: config.workers.idle as u8,
        reserved: [0; 3],
        rx_queues: entries.len() as u32,
        queues,
        tsc_hz: dpdk::tsc_hz(),
    }
}
