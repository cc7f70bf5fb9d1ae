//! `addr show`, `addr add`, `addr del`: addresses of the gateway.

use clap::{Args, Subcommand};
use control::message::Request;
use ipnet::IpNet;
use serde::Serialize;
use shm::records::{AddressState, from_ip_field};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::Session;
use crate::table::{Column, Table, left};
use crate::words::{Words, parse};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl addr
  tollgate-ctl addr add 192.168.1.1/24 dev wan
  tollgate-ctl addr add 2001:db8:1::1/64 dev wan
  tollgate-ctl addr del 192.168.1.1/24 dev wan";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show all addresses
    Show,
    /// Give an interface an address
    Add(ChangeArguments),
    /// Take an address from an interface
    Del(ChangeArguments),
}

#[derive(Debug, Args)]
struct ChangeArguments {
    /// The address with the length of its subnet, and the interface
    #[arg(required = true, value_name = "ADDR/LEN dev IFACE", num_args = 1..)]
    words: Vec<String>,
}

/// An address of the gateway.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Address {
    /// With the length of the connected prefix.
    address: IpNet,
    interface: String,
    /// Whether it is in use, as RFC 4862 names it.
    state: &'static str,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Add(change)) => {
            let (address, interface) = change.parse()?;
            session.change(Request::AddressAdd { interface, address })
        }
        Some(Verb::Del(change)) => {
            let (address, interface) = change.parse()?;
            session.change(Request::AddressDelete { interface, address })
        }
        Some(Verb::Show) | None => show(session),
    }
}

impl ChangeArguments {
    fn parse(&self) -> Result<(IpNet, String), Failure> {
        let parsed = || {
            let mut words = Words::new(&self.words);
            let address = parse(
                words.next("the address")?,
                "an address with a length such as 192.168.1.1/24 or 2001:db8:1::1/64",
            )?;
            let interface = words.device()?;
            words.end().map(|()| (address, interface))
        };
        parsed().map_err(|error| Failure::Usage(format!("{error}: write ADDR/LEN dev IFACE")))
    }
}

fn show(session: &Session) -> Result<(), Failure> {
    session.show(|| {
        let tables = session.tables()?;
        let mut addresses: Vec<_> = tables
            .reader
            .addresses()
            .into_iter()
            .filter_map(|(_, record)| {
                let address = IpNet::new(from_ip_field(record.address), record.prefix_length).ok()?;
                Some(Address {
                    address,
                    interface: tables.interface_name(record.interface),
                    state: AddressState::from_raw(record.state).map_or("unknown", AddressState::name),
                })
            })
            .collect();
        addresses.sort();
        Ok(tables.reading(addresses))
    })
}

impl Show for Address {
    const COLUMNS: &'static [Column] = &[left("ADDRESS"), left("DEV"), left("STATE")];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table.cell(self.address).cell(&self.interface).cell(self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<(IpNet, String), String> {
        let words = words.split_whitespace().map(str::to_owned).collect();
        ChangeArguments { words }
            .parse()
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn words_read_as_in_ip() {
        let expected = ("192.168.1.1/24".parse().unwrap(), "wan".to_owned());
        assert_eq!(parse("192.168.1.1/24 dev wan"), Ok(expected.clone()));
        assert_eq!(parse("192.168.1.1/24 interface wan"), Ok(expected));
        let expected = ("2001:db8:1::1/64".parse().unwrap(), "wan".to_owned());
        assert_eq!(parse("2001:DB8:1:0::1/64 dev wan"), Ok(expected));
        for wrong in [
            "192.168.1.1 dev wan",
            "192.168.1.1/33 dev wan",
            "2001:db8:1::1 dev wan",
            "2001:db8:1::1/129 dev wan",
            "192.168.1.1/24",
            "192.168.1.1/24 dev wan up",
        ] {
            assert!(
                parse(wrong).unwrap_err().ends_with("write ADDR/LEN dev IFACE"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_json_form_is_stable() {
        let address = Address {
            address: "192.168.1.1/24".parse().unwrap(),
            interface: "wan".into(),
            state: AddressState::Tentative.name(),
        };
        let json = serde_json::to_string(&address).unwrap();
        assert_eq!(
            json,
            r#"{"address":"192.168.1.1/24","interface":"wan","state":"tentative"}"#
        );
    }
}
