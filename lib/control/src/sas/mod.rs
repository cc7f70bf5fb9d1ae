//! SAs: what they must be like, how they lie in the table region, and how they are read from there.
//!
//! ```text
//!   Sa ─ check ─► primary ─ records ─► region ─ listed ─► tools
//!   keys ───────► primary, and no further
//! ```

mod check;
mod idle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use shm::records::{self, from_ip_field, from_text, ip_field, text};
use shm::{SaCounts, TableReader};

use crate::message::{Sa, SaDirection, SaLifetime, SaMode, SaState, Selector};

pub use self::check::{SaError, SelectorError, check, check_selector, check_sequence};
pub use self::idle::{SaIdle, idle};

/// An SA as it lies in the region, and its selectors. What [`check`] refuses is cut.
pub fn records(
    sa: &Sa,
    number: u64,
    added: Duration,
    state: SaState,
) -> (records::Sa, Vec<records::SaSelector>) {
    let (udp_source, udp_destination) = sa.udp.unwrap_or_default();
    let selectors: Vec<_> = (0..)
        .zip(&sa.selectors)
        .take(records::SA_SELECTORS)
        .map(|(place, selector)| selector_record(selector, number, place))
        .collect();
    let record = records::Sa {
        source: ip_field(sa.source),
        destination: ip_field(sa.destination),
        tunnel: text(sa.tunnel.as_deref().unwrap_or_default()),
        transform: text(&sa.transform),
        // Nanoseconds since boot: 584 years of them fit.
        added_ns: added.as_nanos() as u64,
        soft: lifetime_field(&sa.soft),
        hard: lifetime_field(&sa.hard),
        number,
        spi: sa.spi,
        window: sa.window,
        udp_source,
        udp_destination,
        selectors: selectors.len() as u8,
        direction: sa.direction as u8,
        mode: sa.mode as u8,
        esn: u8::from(sa.esn),
        state: state as u8,
        keepalive: sa.keepalive,
    };
    (record, selectors)
}

fn lifetime_field(lifetime: &SaLifetime) -> [u64; 3] {
    [lifetime.bytes, lifetime.packets, lifetime.seconds].map(Option::unwrap_or_default)
}

fn from_lifetime_field(field: [u64; 3]) -> SaLifetime {
    let [bytes, packets, seconds] = field.map(|limit| (limit != 0).then_some(limit));
    SaLifetime {
        bytes,
        packets,
        seconds,
    }
}

fn selector_record(selector: &Selector, sa: u64, place: u8) -> records::SaSelector {
    records::SaSelector {
        sa,
        source_first: ip_field(selector.source.0),
        source_last: ip_field(selector.source.1),
        destination_first: ip_field(selector.destination.0),
        destination_last: ip_field(selector.destination.1),
        source_ports: selector.source_ports.into(),
        destination_ports: selector.destination_ports.into(),
        protocol: selector.protocol.unwrap_or_default(),
        has_protocol: u8::from(selector.protocol.is_some()),
        place,
        reserved: [0; 5],
    }
}

fn from_selector_record(record: &records::SaSelector) -> Selector {
    Selector {
        source: (
            from_ip_field(record.source_first),
            from_ip_field(record.source_last),
        ),
        destination: (
            from_ip_field(record.destination_first),
            from_ip_field(record.destination_last),
        ),
        protocol: (record.has_protocol != 0).then_some(record.protocol),
        source_ports: record.source_ports.into(),
        destination_ports: record.destination_ports.into(),
    }
}

/// An SA in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSa {
    /// The SA.
    pub sa: Sa,
    /// How far it is.
    pub state: SaState,
    /// When it was installed, `CLOCK_BOOTTIME`.
    pub added: Duration,
    /// What was counted of it.
    pub counts: SaCounts,
}

/// The SAs in the region: by tunnel, and of one those that come in first. What is none is passed over, whatever wrote it.
pub fn listed(reader: &TableReader) -> Vec<ListedSa> {
    // In this order: an SA is there later than its selectors. Those that have gone meanwhile took it with them.
    let records = reader.sas();
    let mut selectors: HashMap<u64, Vec<records::SaSelector>> = HashMap::new();
    for (_, selector) in reader.sa_selectors() {
        selectors.entry(selector.sa).or_default().push(selector);
    }
    let mut listed: Vec<_> = records
        .iter()
        .filter_map(|(slot, record)| {
            let selectors = selectors.remove(&record.number).unwrap_or_default();
            parse(record, selectors, reader.sa_counts(*slot))
        })
        .collect();
    listed.sort_by(|a, b| {
        let key = |listed: &ListedSa| (listed.sa.direction as u8, listed.sa.id());
        (&a.sa.tunnel, key(a)).cmp(&(&b.sa.tunnel, key(b)))
    });
    listed
}

fn parse(
    record: &records::Sa,
    mut selectors: Vec<records::SaSelector>,
    counts: SaCounts,
) -> Option<ListedSa> {
    selectors.sort_unstable_by_key(|selector| selector.place);
    if selectors.len() != usize::from(record.selectors) {
        return None;
    }
    let udp = (record.udp_source, record.udp_destination);
    let sa = Sa {
        spi: record.spi,
        direction: SaDirection::of_number(record.direction)?,
        tunnel: Some(from_text(&record.tunnel)).filter(|name| !name.is_empty()),
        mode: SaMode::of_number(record.mode)?,
        source: from_ip_field(record.source),
        destination: from_ip_field(record.destination),
        transform: from_text(&record.transform),
        esn: record.esn != 0,
        window: record.window,
        udp: (udp != (0, 0)).then_some(udp),
        keepalive: record.keepalive,
        selectors: selectors.iter().map(from_selector_record).collect(),
        soft: from_lifetime_field(record.soft),
        hard: from_lifetime_field(record.hard),
    };
    check(&sa).ok()?;
    Some(ListedSa {
        sa,
        state: SaState::of_number(record.state)?,
        added: Duration::from_nanos(record.added_ns),
        counts,
    })
}
