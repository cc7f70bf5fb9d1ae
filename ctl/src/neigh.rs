//! `neigh show`, `neigh add`, `neigh del`: hosts on the links.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use control::message::{ErrorCode, Request};
use nix::time::{ClockId, clock_gettime};
use packet::MacAddress;
use serde::Serialize;
use shm::records::{self, NeighborState, from_ip_field};

use crate::adjacency::{Adjacency, RoutesBy};
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::{Session, Tables};
use crate::table::{Column, Table, left, right};
use crate::words::{Words, parse};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl neigh
  tollgate-ctl neigh show 192.168.10.2
  tollgate-ctl neigh show fe80::2
  tollgate-ctl neigh show --details
  tollgate-ctl neigh add 192.168.10.2 mac 02:00:00:00:10:02 dev wan
  tollgate-ctl neigh add 2001:db8:10::2 mac 02:00:00:00:10:02 dev wan
  tollgate-ctl neigh del 192.168.10.2 dev wan";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show all neighbours, or one
    Show(ShowArguments),
    /// Set a permanent neighbour
    Add(AddArguments),
    /// Forget a neighbour
    Del(DeleteArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only this address
    #[arg(value_name = "ADDR")]
    address: Option<IpAddr>,
    /// The link header that packets get, and the routes that rest on it
    #[arg(long)]
    details: bool,
}

#[derive(Debug, Args)]
struct AddArguments {
    /// Address, MAC address and interface
    #[arg(required = true, value_name = "ADDR mac MAC dev IFACE", num_args = 1..)]
    words: Vec<String>,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    /// Address and interface
    #[arg(required = true, value_name = "ADDR dev IFACE", num_args = 1..)]
    words: Vec<String>,
}

/// A host on a link.
#[derive(Debug, Serialize)]
struct Neighbor {
    address: IpAddr,
    /// Unknown until it answered.
    mac: Option<MacAddress>,
    interface: String,
    state: &'static str,
    /// ARP requests or neighbour solicitations sent since it last answered.
    probes: u8,
    /// Since the state last changed, in milliseconds.
    age_ms: u64,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Add(added)) => session.change(added.request().map_err(Failure::Usage)?),
        Some(Verb::Del(deleted)) => session.change(deleted.request().map_err(Failure::Usage)?),
        Some(Verb::Show(shown)) => show(&shown, session),
        None => show(&arguments.show, session),
    }
}

impl AddArguments {
    fn request(&self) -> Result<Request, String> {
        let parsed = || {
            let mut words = Words::new(&self.words);
            let address = parse(words.next("the address")?, "an IP address")?;
            let mac = parse(
                words.after(&["mac", "lladdr"], "MAC")?,
                "a MAC address such as 02:00:00:00:10:02",
            )?;
            let interface = words.device()?;
            words.end().map(|()| Request::NeighborAdd {
                interface,
                address,
                mac,
            })
        };
        parsed().map_err(|error| format!("{error}: write ADDR mac MAC dev IFACE"))
    }
}

impl DeleteArguments {
    fn request(&self) -> Result<Request, String> {
        let parsed = || {
            let mut words = Words::new(&self.words);
            let address = parse(words.next("the address")?, "an IP address")?;
            let interface = words.device()?;
            words
                .end()
                .map(|()| Request::NeighborDelete { interface, address })
        };
        parsed().map_err(|error| format!("{error}: write ADDR dev IFACE"))
    }
}

fn show(shown: &ShowArguments, session: &Session) -> Result<(), Failure> {
    if shown.details {
        session.show(|| {
            let (tables, records, now) = read(shown.address, session)?;
            let routes = RoutesBy::read(&tables);
            let mut adjacencies: Vec<_> = records
                .iter()
                .map(|record| Adjacency::new(record, &tables, &routes, now))
                .collect();
            adjacencies.sort_by(|a, b| a.key().cmp(&b.key()));
            Ok(tables.reading(adjacencies))
        })
    } else {
        session.show(|| {
            let (tables, records, now) = read(shown.address, session)?;
            let mut neighbors: Vec<_> = records
                .iter()
                .map(|record| Neighbor::new(record, &tables, now))
                .collect();
            neighbors.sort_by(|a, b| (a.address, &a.interface).cmp(&(b.address, &b.interface)));
            Ok(tables.reading(neighbors))
        })
    }
}

/// The neighbours of that address, or all, and when they were read.
fn read(
    address: Option<IpAddr>,
    session: &Session,
) -> Result<(Tables, Vec<records::Neighbor>, Duration), Failure> {
    let tables = session.tables()?;
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    let mut records: Vec<_> = tables
        .reader
        .neighbors()
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    if let Some(address) = address {
        records.retain(|record| from_ip_field(record.address) == address);
        if records.is_empty() {
            return Err(Failure::refused(
                ErrorCode::NotFound,
                format!("nobody has asked for the neighbour {address} yet"),
            ));
        }
    }
    Ok((tables, records, now))
}

impl Neighbor {
    fn new(record: &records::Neighbor, tables: &Tables, now: Duration) -> Self {
        let age = now.saturating_sub(Duration::from_nanos(record.changed_ns));
        Self {
            address: from_ip_field(record.address),
            mac: (record.mac != [0; 6]).then(|| record.mac.into()),
            interface: tables.interface_name(record.interface),
            state: NeighborState::from_raw(record.state).map_or("unknown", NeighborState::name),
            probes: record.probes,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Show for Neighbor {
    const COLUMNS: &'static [Column] = &[
        left("ADDRESS"),
        left("MAC"),
        left("DEV"),
        left("STATE"),
        right("PROBES"),
        right("AGE"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .cell(self.address)
            .optional(self.mac)
            .cell(&self.interface)
            .cell(self.state)
            .cell(self.probes)
            .cell(format_args!("{} s", self.age_ms / 1000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_read_as_in_ip() {
        let add = |text: &str| AddArguments { words: words(text) }.request();
        let expected = Request::NeighborAdd {
            interface: "wan".into(),
            address: [192, 168, 10, 2].into(),
            mac: [2, 0, 0, 0, 0x10, 2].into(),
        };
        assert_eq!(
            add("192.168.10.2 mac 02:00:00:00:10:02 dev wan"),
            Ok(expected.clone())
        );
        assert_eq!(
            add("192.168.10.2 lladdr 02:00:00:00:10:02 interface wan"),
            Ok(expected)
        );
        let expected = Request::NeighborAdd {
            interface: "wan".into(),
            address: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2).into(),
            mac: [2, 0, 0, 0, 0x10, 2].into(),
        };
        assert_eq!(add("FE80::2 mac 02:00:00:00:10:02 dev wan"), Ok(expected));
        assert_eq!(
            add("192.168.10.2 mac 02:00 dev wan").unwrap_err(),
            "'02:00' is not a MAC address such as 02:00:00:00:10:02: write ADDR mac MAC dev IFACE"
        );
        let delete = DeleteArguments {
            words: words("192.168.10.2 dev wan"),
        }
        .request();
        let expected = Request::NeighborDelete {
            interface: "wan".into(),
            address: [192, 168, 10, 2].into(),
        };
        assert_eq!(delete, Ok(expected));
        assert!(
            DeleteArguments {
                words: words("192.168.10.2")
            }
            .request()
            .is_err()
        );
    }

    #[test]
    fn the_json_form_is_stable() {
        let neighbor = Neighbor {
            address: [192, 168, 10, 2].into(),
            mac: None,
            interface: "wan".into(),
            state: "incomplete",
            probes: 2,
            age_ms: 1500,
        };
        assert_eq!(
            serde_json::to_string(&neighbor).unwrap(),
            r#"{"address":"192.168.10.2","mac":null,"interface":"wan","state":"incomplete","probes":2,"age_ms":1500}"#
        );
    }
}
