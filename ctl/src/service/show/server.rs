//! A real server in listings, and what services and servers have alike: counters and their rates.

use std::net::IpAddr;

use control::message::{ServerInfo, ServiceId, TrafficCounts};
use serde::{Serialize, Serializer};

use crate::rates::{Count, Rates};
use crate::service::words::end_words;
use crate::table::{Column, Table, right};

/// A real server.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    address: IpAddr,
    port: u16,
    forwarding: &'static str,
    weight: u16,
    /// 0 for any number.
    max_connections: u32,
    active: u64,
    inactive: u64,
    #[serde(flatten)]
    counts: TrafficCounts,
    #[serde(flatten)]
    rates: PerSecond,
    #[serde(skip)]
    end: String,
}

/// Rates beside counters, where there are any.
#[derive(Debug, Default)]
pub(super) struct PerSecond(Option<Rates>);

impl PerSecond {
    pub(super) fn new(rates: Option<Rates>) -> Self {
        Self(rates)
    }

    pub(super) fn get(&self) -> Option<&Rates> {
        self.0.as_ref()
    }
}

impl Serialize for PerSecond {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rates = self.0.as_ref().map(Rates::to_json);
        rates.unwrap_or_default().serialize(serializer)
    }
}

impl Server {
    /// Without rates.
    pub(crate) fn new(id: &ServiceId, info: ServerInfo) -> Self {
        let server = info.server;
        Self {
            address: server.address,
            port: server.port,
            forwarding: server.forwarding.name(),
            weight: server.weight,
            max_connections: server.max_connections,
            active: info.active,
            inactive: info.inactive,
            counts: info.counts,
            rates: PerSecond::default(),
            end: end_words(id.protocol, server.address, server.port),
        }
    }

    /// The cells from FORWARD to OUT BYTES.
    pub(crate) fn cells(&self, table: &mut Table) {
        table
            .cell(self.forwarding)
            .cell(self.weight)
            .cell(self.active)
            .cell(self.inactive);
        traffic_cells(&self.counts, table);
    }

    /// With rates.
    pub(super) fn with(self, rates: PerSecond) -> Self {
        Self { rates, ..self }
    }

    pub(super) fn rates(&self) -> Option<&Rates> {
        self.rates.get()
    }

    pub(super) fn active(&self) -> u64 {
        self.active
    }

    pub(super) fn inactive(&self) -> u64 {
        self.inactive
    }

    /// Whether it gets no new connections.
    pub(super) fn is_quiesced(&self) -> bool {
        self.weight == 0
    }

    pub(crate) fn traffic(&self) -> &TrafficCounts {
        &self.counts
    }

    pub(crate) fn end(&self) -> &str {
        &self.end
    }

    pub(crate) fn remarks(&self) -> String {
        let mut remarks = Vec::new();
        remarks.extend(self.is_quiesced().then(|| "quiesced".to_owned()));
        if self.max_connections > 0 {
            let full = self.active + self.inactive >= u64::from(self.max_connections);
            let full = if full { ", full" } else { "" };
            remarks.push(format!("max {}{full}", self.max_connections));
        }
        remarks.join(", ")
    }
}

/// The cells from CONNECTIONS to OUT BYTES.
pub(super) fn traffic_cells(counts: &TrafficCounts, table: &mut Table) {
    table
        .cell(counts.connections)
        .cell(counts.in_packets)
        .cell(counts.out_packets)
        .cell(counts.in_bytes)
        .cell(counts.out_bytes);
}

/// The counters that rates are taken of.
pub(crate) fn counts(counts: &TrafficCounts) -> Vec<Count> {
    vec![
        Count::new("connections", counts.connections),
        Count::new("in_packets", counts.in_packets),
        Count::new("out_packets", counts.out_packets),
        Count::new("in_bytes", counts.in_bytes),
        Count::new("out_bytes", counts.out_bytes),
    ]
}

/// The rates of traffic as counters have them; 0 where there is none.
pub(super) fn per_second(rates: &Rates) -> TrafficCounts {
    let whole = |name| rates.of(name).unwrap_or_default().round() as u64;
    TrafficCounts {
        connections: whole("connections"),
        in_packets: whole("in_packets"),
        out_packets: whole("out_packets"),
        in_bytes: whole("in_bytes"),
        out_bytes: whole("out_bytes"),
        // Of errors there are no rates.
        ..TrafficCounts::default()
    }
}

/// What `--watch` and `--rate` add, of all objects with such traffic.
pub(crate) const RATE_COLUMNS: &[Column] = &[
    right("CONNECTIONS/S"),
    right("IN PACKETS/S"),
    right("OUT PACKETS/S"),
    right("IN BYTES/S"),
    right("OUT BYTES/S"),
];

/// Their cells.
pub(crate) fn rate_cells(rates: Option<&Rates>, table: &mut Table) {
    for name in [
        "connections",
        "in_packets",
        "out_packets",
        "in_bytes",
        "out_bytes",
    ] {
        table.optional(rates.and_then(|rates| rates.of(name)));
    }
}
