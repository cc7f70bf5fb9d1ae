//! What the control thread looks at from time to time: links, memory pools, and signs of offloads that are left on.

use std::time::Duration;

use control::event::Event;
use shm::DropReason;
use shm::records::{self, OffloadHint};

use super::Control;

/// How often counters and pools are looked at. Links are with every heartbeat, as routes depend on them.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// What was seen of an interface when it was last looked at.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    partial_checksum: bool,
    oversize: bool,
}

impl Control<'_> {
    /// Looks at everything else once.
    pub(super) fn watch(&mut self) {
        self.watch_offloads();
        self.attachments.set_clocks();
        self.pool_record.in_use = self.buffers_in_use();
        self.pool_table.update(self.pool_slot, &self.pool_record);
    }

    /// Packet buffers that packets lie in, or ports have for those to come.
    pub(super) fn buffers_in_use(&self) -> u32 {
        self.pool.in_use().saturating_sub(self.attachments.kept_buffers())
    }

    /// Notices links that came or went, within the tenth of a second between two heartbeats.
    pub(super) fn watch_links(&mut self, now: Duration) {
        for (interface, port) in (0..).zip(&self.ports) {
            match port.port.link() {
                Ok(link) => {
                    let up = carries_packets(link.up, port.netdev.as_deref())
                        && one_carries_packets(&port.member_netdevs);
                    self.tables
                        .set_link(interface, up, link.speed_mbps.unwrap_or(0), now);
                }
                Err(error) => tracing::debug!(target: "port", "{}: cannot read the link: {error}", port.name),
            }
        }
    }

    /// Says which offload to switch off when packets come that only hardware could have finished.
    fn watch_offloads(&mut self) {
        let counters = self.region.counters();
        for (interface, port) in (0..).zip(&mut self.ports) {
            let seen = Seen {
                partial_checksum: counters.drops(interface, DropReason::PartialChecksum) > 0,
                oversize: counters.drops(interface, DropReason::Oversize) > 0,
            };
            let news = [
                (
                    seen.partial_checksum && !port.seen.partial_checksum,
                    "unfinished TCP or UDP checksums",
                ),
                (
                    seen.oversize && !port.seen.oversize,
                    "packets longer than its MTU",
                ),
            ];
            port.seen = seen;
            self.tables.set_offload_hint(
                interface,
                match (seen.partial_checksum, seen.oversize) {
                    (false, false) => OffloadHint::None,
                    (true, false) => OffloadHint::PartialChecksum,
                    (false, true) => OffloadHint::Oversize,
                    (true, true) => OffloadHint::Both,
                },
            );
            for (_, what) in news.iter().filter(|(new, _)| *new) {
                let netdev = port.netdev.as_deref().unwrap_or("the kernel interface behind it");
                let advice = format!(
                    "{} gets {what}, which are dropped: run 'ethtool -K {netdev} tx off rx off gso off gro off tso off' \
                     on {netdev} and on the other end of its link",
                    port.name
                );
                tracing::warn!(target: "port", "{advice}");
                self.subscribers.tell(&Event::Offload {
                    interface: port.name.clone(),
                    advice,
                });
            }
        }
    }
}

/// Whether a port carries packets: by its driver, or by the carrier of the kernel interface behind it,
/// sysfs-class-net(5). Drivers report those as always up (DPDK 22.11), or up as much as a second late (24.11). An interface
/// that was set down, or is gone, has no carrier to read.
pub fn carries_packets(driver: bool, netdev: Option<&str>) -> bool {
    netdev.map_or(driver, |netdev| {
        std::fs::read_to_string(format!("/sys/class/net/{netdev}/carrier"))
            .is_ok_and(|carrier| carrier.trim() == "1")
    })
}

/// Whether one of the kernel interfaces behind the members of a bond carries packets, if there are any.
fn one_carries_packets(netdevs: &[String]) -> bool {
    netdevs.is_empty() || netdevs.iter().any(|netdev| carries_packets(true, Some(netdev)))
}

/// The record of the pool that packets lie in.
pub fn pool_record(pool: &dpdk::Pool, bytes: u64) -> records::Pool {
    records::Pool {
        name: records::text(pool.name()),
        buffers: pool.capacity(),
        data_room: u32::from(pool.data_room()),
        in_use: pool.in_use(),
        reserved: 0,
        bytes,
    }
}
