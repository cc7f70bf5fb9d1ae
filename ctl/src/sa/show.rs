//! `sa show`: the SAs and what was counted of them, as shared memory has them. No key is there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use control::message::{ErrorCode, SaLifetime};
use control::sas::{ListedSa, SaIdle, idle, listed};
use nix::time::{ClockId, clock_gettime};
use serde::{Serialize, Serializer};
use shm::SaCounter;

use super::ShowArguments;
use super::selector::Shown;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

/// An SA.
#[derive(Debug, Serialize)]
struct Sa {
    spi: u32,
    direction: &'static str,
    source: IpAddr,
    destination: IpAddr,
    tunnel: Option<String>,
    mode: &'static str,
    transform: String,
    state: &'static str,
    esn: bool,
    /// None for one that goes out.
    window: Option<u16>,
    udp: Option<Ports>,
    /// Seconds; none where it sends no keepalive.
    keepalive: Option<u64>,
    selectors: Vec<Shown>,
    soft: Lifetime,
    hard: Lifetime,
    age_ms: u64,
    /// None as long as no packet went by.
    idle_ms: Option<u64>,
    sequence: u64,
    packets: u64,
    bytes: u64,
    #[serde(serialize_with = "by_name")]
    drops: Vec<(SaCounter, u64)>,
    /// Why no packet goes by it, or none in UDP, if so.
    #[serde(serialize_with = "sentence")]
    warning: Option<SaIdle>,
}

#[derive(Debug, Serialize)]
struct Ports {
    source: u16,
    destination: u16,
}

/// None where there is no limit.
#[derive(Debug, Serialize)]
struct Lifetime {
    bytes: Option<u64>,
    packets: Option<u64>,
    seconds: Option<u64>,
}

fn by_name<S: Serializer>(drops: &[(SaCounter, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    let drops: BTreeMap<_, _> = drops
        .iter()
        .map(|(counter, value)| (counter.name(), value))
        .collect();
    drops.serialize(serializer)
}

fn sentence<S: Serializer>(warning: &Option<SaIdle>, serializer: S) -> Result<S::Ok, S::Error> {
    warning.map(|idle| idle.to_string()).serialize(serializer)
}

pub(super) fn run(arguments: &ShowArguments, session: &Session) -> Result<(), Failure> {
    session.show(|| {
        let tables = session.tables()?;
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        let all = listed(&tables.reader);
        let wanted = |listed: &ListedSa| {
            let tunnel = arguments.tunnel.as_ref();
            tunnel.is_none_or(|tunnel| listed.sa.tunnel.as_ref() == Some(tunnel))
        };
        let sas: Vec<_> = all
            .into_iter()
            .filter(wanted)
            .map(|listed| Sa::new(listed, now))
            .collect();
        match &arguments.tunnel {
            Some(tunnel) if sas.is_empty() => Err(Failure::refused(
                ErrorCode::NotFound,
                format!("no SA protects '{tunnel}': 'tollgate-ctl sa' lists all that there are"),
            )),
            _ => Ok(tables.reading(sas)),
        }
    })
}

impl Sa {
    fn new(listed: ListedSa, now: Duration) -> Self {
        let ListedSa {
            sa,
            state,
            added,
            counts,
        } = listed;
        let ago = |then: Duration| u64::try_from(now.saturating_sub(then).as_millis()).unwrap_or(u64::MAX);
        let last_used = Duration::from_nanos(counts.get(SaCounter::LastUsed));
        let keepalive = sa.keepalive().map(|after| after.as_secs());
        let warning = idle(&sa);
        Self {
            spi: sa.spi,
            direction: sa.direction.name(),
            source: sa.source,
            destination: sa.destination,
            tunnel: sa.tunnel,
            mode: sa.mode.name(),
            transform: sa.transform,
            state: state.name(),
            esn: sa.esn,
            window: (sa.direction == control::message::SaDirection::In).then_some(sa.window),
            keepalive,
            udp: sa.udp.map(|(source, destination)| Ports { source, destination }),
            selectors: sa.selectors.iter().map(Shown::from).collect(),
            soft: sa.soft.into(),
            hard: sa.hard.into(),
            age_ms: ago(added),
            idle_ms: (!last_used.is_zero()).then(|| ago(last_used)),
            sequence: counts.get(SaCounter::Sequence),
            packets: counts.get(SaCounter::Packets),
            bytes: counts.get(SaCounter::Bytes),
            drops: SaCounter::DROPS
                .into_iter()
                .map(|counter| (counter, counts.get(counter)))
                .collect(),
            warning,
        }
    }

    fn dropped(&self) -> u64 {
        self.drops.iter().map(|(_, count)| count).sum()
    }

    /// What the table says beside the columns.
    fn remarks(&self) -> String {
        let esn = self.esn.then(|| "esn".to_owned());
        let window = self.window.map(|window| format!("window {window}"));
        let udp = self.udp.as_ref();
        let udp = udp.map(|ports| format!("udp {}:{}", ports.source, ports.destination));
        let lifetimes = [self.soft.remark("soft"), self.hard.remark("hard")];
        let warning = self.warning.map(|idle| idle.brief().to_owned());
        let all = [warning, esn, window, udp].into_iter().chain(lifetimes).flatten();
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Lifetime {
    fn remark(&self, name: &str) -> Option<String> {
        let limits = [
            (self.bytes, "bytes"),
            (self.packets, "packets"),
            (self.seconds, "seconds"),
        ];
        let limits: Vec<_> = limits
            .into_iter()
            .filter_map(|(limit, unit)| Some(format!("{} {unit}", limit?)))
            .collect();
        (!limits.is_empty()).then(|| format!("{name} {}", limits.join(" or ")))
    }
}

impl From<SaLifetime> for Lifetime {
    fn from(lifetime: SaLifetime) -> Self {
        let SaLifetime {
            bytes,
            packets,
            seconds,
        } = lifetime;
        Self {
            bytes,
            packets,
            seconds,
        }
    }
}

impl Show for Sa {
    const COLUMNS: &'static [Column] = &[
        left("DIR"),
        left("SPI"),
        left("FROM"),
        left("TO"),
        left("TUNNEL"),
        left("MODE"),
        left("TRANSFORM"),
        left("STATE"),
        left("REMARKS"),
        right("AGE"),
        right("PACKETS"),
        right("BYTES"),
        right("DROPS"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("PACKETS/S"), right("BYTES/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(self.direction)
            .cell(format_args!("{:#010x}", self.spi))
            .cell(self.source)
            .cell(self.destination)
            .optional(self.tunnel.as_ref())
            .cell(self.mode)
            .cell(&self.transform)
            .cell(self.state)
            .cell(self.remarks())
            .cell(format_args!("{} s", self.age_ms / 1000))
            .cell(self.packets)
            .cell(self.bytes)
            .cell(self.dropped());
        if let Some(rates) = rates {
            for name in ["packets", "bytes"] {
                table.optional(rates.of(name));
            }
        }
        // Its selectors, each on a line of its own.
        for selector in &self.selectors {
            for column in Self::COLUMNS
                .iter()
                .chain(rates.map_or(&[][..], |_| Self::RATE_COLUMNS))
            {
                if column.head == "REMARKS" {
                    table.cell(selector);
                } else {
                    table.cell("");
                }
            }
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.destination, self.spi)
    }

    fn counts(&self) -> Vec<Count> {
        let drops = self.drops.iter().map(|(counter, value)| Count {
            group: Some("drops"),
            name: counter.name(),
            value: *value,
        });
        [
            Count::new("packets", self.packets),
            Count::new("bytes", self.bytes),
        ]
        .into_iter()
        .chain(drops)
        .collect()
    }
}
