//! The tables of a primary, read in place: as often as a test likes, and still there once the primary has ended.

use std::ops::Range;

use control::instance::RunDir;
use shm::records::{Neighbor, Tunnel, from_text};
use shm::{DropReason, InterfaceCounter, TableReader, punt_bucket_start};

use crate::{Counters, Error, InterfaceCounters, Primary};

/// The tables of a primary. They stay as they were at its end.
pub struct Tables {
    reader: TableReader,
}

impl Primary {
    /// Opens its tables.
    ///
    /// # Errors
    /// It has none, or this process may not read them.
    pub fn tables(&self) -> Result<Tables, Error> {
        let failed = |reason: String| Error::Tables {
            instance: self.instance().to_owned(),
            reason,
        };
        let name = self.instance().parse();
        let directory =
            RunDir::new(&self.run_dir()).instance(&name.map_err(|error| failed(format!("{error}")))?);
        let description = directory
            .description()
            .map_err(|error| failed(error.to_string()))?;
        let description =
            description.ok_or_else(|| failed("it has not written where they are".to_owned()))?;
        let reader = TableReader::open(&description.tables).map_err(|error| failed(error.to_string()))?;
        Ok(Tables { reader })
    }
}

impl Tables {
    /// The counters of all interfaces. While packets move, those of a packet may not be seen together.
    pub fn counters(&self) -> Counters {
        let view = self.reader.counters();
        let interface = |(index, name): (u16, String)| {
            let of = |counter| view.interface(index, counter);
            let drops = DropReason::ALL.iter();
            InterfaceCounters {
                interface: name,
                rx_packets: of(InterfaceCounter::RxPackets),
                tx_packets: of(InterfaceCounter::TxPackets),
                delivered: of(InterfaceCounter::Delivered),
                originated: of(InterfaceCounter::Originated),
                echo_replies: of(InterfaceCounter::EchoReplies),
                icmp_errors: of(InterfaceCounter::IcmpErrors),
                icmp_errors_policed: of(InterfaceCounter::IcmpErrorsPoliced),
                waiting: of(InterfaceCounter::Waiting),
                to_sub_interfaces: of(InterfaceCounter::ToSubInterfaces),
                from_sub_interfaces: of(InterfaceCounter::FromSubInterfaces),
                encapsulated: of(InterfaceCounter::Encapsulated),
                decapsulated: of(InterfaceCounter::Decapsulated),
                fragmented: of(InterfaceCounter::Fragmented),
                fragments: of(InterfaceCounter::Fragments),
                reassembled: of(InterfaceCounter::Reassembled),
                drops: drops
                    .map(|reason| (reason.name().to_owned(), view.drops(index, *reason)))
                    .collect(),
            }
        };
        Counters(self.names().into_iter().map(interface).collect())
    }

    /// How long router alerts were with tools: packets by nanoseconds, the shortest first.
    pub fn alert_latency(&self) -> Vec<(Range<u64>, u64)> {
        let took = self.reader.counters().punt_took();
        let classes = took.iter().enumerate().map(|(bucket, packets)| {
            let class = punt_bucket_start(bucket)..punt_bucket_start(bucket + 1);
            (class, *packets)
        });
        classes.collect()
    }

    /// The neighbours.
    pub fn neighbors(&self) -> Vec<Neighbor> {
        let neighbors = self.reader.neighbors().into_iter();
        neighbors.map(|(_, neighbor)| neighbor).collect()
    }

    /// The tunnel of this name, with the index of its interface.
    pub fn tunnel(&self, name: &str) -> Option<(u16, Tunnel)> {
        let (index, _) = self.names().into_iter().find(|(_, known)| known == name)?;
        let mut tunnels = self.reader.tunnels().into_iter().map(|(_, tunnel)| tunnel);
        Some((index, tunnels.find(|tunnel| tunnel.interface == index)?))
    }

    fn names(&self) -> Vec<(u16, String)> {
        let interfaces = self.reader.interfaces().into_iter();
        interfaces
            .filter_map(|(index, record)| Some((u16::try_from(index).ok()?, from_text(&record.name))))
            .collect()
    }
}
