//! What goes through an interface: the counters that ports, sub-interfaces and tunnels have alike.

use serde::Serialize;
use shm::{CounterView, DropReason, InterfaceCounter};

use crate::rates::{Count, Rates};
use crate::table::{Column, Table, right};

/// The counters of an interface, part of its JSON form.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Traffic {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) drops: u64,
}

impl Traffic {
    /// What `--watch` adds to the columns.
    pub(crate) const RATE_COLUMNS: &'static [Column] = &[
        right("RX PACKETS/S"),
        right("RX BYTES/S"),
        right("TX PACKETS/S"),
        right("TX BYTES/S"),
        right("DROPS/S"),
    ];

    /// Of the interface with this index.
    pub(crate) fn of(index: u16, counters: &CounterView<'_>) -> Self {
        let count = |counter| counters.interface(index, counter);
        let drops = DropReason::ALL.iter();
        Self {
            rx_packets: count(InterfaceCounter::RxPackets),
            rx_bytes: count(InterfaceCounter::RxBytes),
            tx_packets: count(InterfaceCounter::TxPackets),
            tx_bytes: count(InterfaceCounter::TxBytes),
            drops: drops.map(|reason| counters.drops(index, *reason)).sum(),
        }
    }

    /// Adds the cells of the last columns of a table, and of [`Traffic::RATE_COLUMNS`].
    pub(crate) fn cells(&self, table: &mut Table, rates: Option<&Rates>) {
        for count in self.counts() {
            table.cell(count.value);
        }
        if let Some(rates) = rates {
            for count in self.counts() {
                table.optional(rates.of(count.name));
            }
        }
    }

    pub(crate) fn counts(&self) -> Vec<Count> {
        vec![
            Count::new("rx_packets", self.rx_packets),
            Count::new("rx_bytes", self.rx_bytes),
            Count::new("tx_packets", self.tx_packets),
            Count::new("tx_bytes", self.tx_bytes),
            Count::new("drops", self.drops),
        ]
    }
}
