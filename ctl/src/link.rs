//! `link show`, `link set`, `link add` and `link del`: ports and sub-interfaces with their device, state and packets.

use clap::{Args, Subcommand, ValueEnum};
use control::message::{Request, VlanProtocol};
use packet::MacAddress;
use serde::Serialize;
use shm::CounterView;
use shm::records::{Interface, OffloadHint, from_text};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};
use crate::traffic::Traffic;
use crate::words::{Words, parse};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl link
  tollgate-ctl --watch 1 link show wan
  tollgate-ctl link set wan down
  tollgate-ctl link add wan.100 link wan proto 802.1q id 100
  tollgate-ctl link del wan.100";

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
    /// Show all interfaces, or one
    Show(ShowArguments),
    /// Set an interface up or down
    Set {
        /// The interface
        name: String,
        /// What to set it to
        state: AdminState,
    },
    /// Make a sub-interface: 802.1Q (the default) or 802.1ad, on a port's interface or on another sub-interface
    Add(AddArguments),
    /// Delete a sub-interface, with its addresses and routes and the sub-interfaces made on it
    Del {
        /// The interface
        name: String,
    },
}

#[derive(Debug, Args)]
struct AddArguments {
    /// Its name, which is that of the link, a dot and the VLAN identifier if not given; and what it is made on
    #[arg(required = true, value_name = "[NAME] link IFACE [proto 802.1q|802.1ad] id VID [mtu BYTES]", num_args = 1..)]
    words: Vec<String>,
}

impl AddArguments {
    fn request(&self) -> Result<Request, String> {
        let parsed = || {
            let (mut name, mut link, mut id, mut mtu) = (None, None, None, None);
            let mut protocol = VlanProtocol::Dot1q;
            let mut words = Words::new(&self.words);
            while let Some(word) = words.next_if_any() {
                match word {
                    "link" => link = Some(words.next("the interface")?.to_owned()),
                    "proto" | "protocol" => protocol = words.next("the protocol")?.parse()?,
                    "id" => {
                        id = Some(parse(
                            words.next("the VLAN identifier")?,
                            "a number from 1 to 4094",
                        )?)
                    }
                    "mtu" => mtu = Some(parse(words.next("the MTU")?, "a number of bytes")?),
                    "name" => name = Some(words.next("the name")?.to_owned()),
                    // As `ip link` prints them.
                    "type" if words.next("the type")? == "vlan" => {}
                    "type" => return Err("the type can only be vlan".to_owned()),
                    other if name.is_none() && link.is_none() => name = Some(other.to_owned()),
                    other => {
                        return Err(format!(
                            "'{other}' stands where 'proto', 'id' or 'mtu' is expected"
                        ));
                    }
                }
            }
            Ok(Request::LinkAdd {
                name,
                link: link.ok_or("'link IFACE' is missing")?,
                protocol,
                id: id.ok_or("'id VID' is missing")?,
                mtu,
            })
        };
        parsed().map_err(|error| {
            format!("{error}: write [NAME] link IFACE [proto 802.1q|802.1ad] id VID [mtu BYTES]")
        })
    }
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only this interface
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AdminState {
    Up,
    Down,
}

/// An interface and its packets.
#[derive(Debug, Serialize)]
struct Link {
    name: String,
    device: String,
    driver: String,
    /// The kernel interface behind it.
    netdev: Option<String>,
    mac: MacAddress,
    mtu: u16,
    admin: &'static str,
    link: &'static str,
    /// Megabit per second.
    speed_mbps: Option<u32>,
    #[serde(flatten)]
    traffic: Traffic,
    offload_hint: Option<&'static str>,
    /// What to type against what the hint tells of.
    offload_advice: Option<String>,
    /// Of a sub-interface: what it is made on.
    parent: Option<String>,
    /// Of a sub-interface: `802.1q` or `802.1ad`.
    vlan_protocol: Option<&'static str>,
    /// Of a sub-interface.
    vlan_id: Option<u16>,
    /// The kernel interface that gets what the gateway does not handle.
    tap: Option<String>,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match arguments.verb {
        Some(Verb::Set { name, state }) => {
            return session.change(Request::LinkSet {
                interface: name,
                up: state == AdminState::Up,
            });
        }
        Some(Verb::Add(added)) => return session.change(added.request().map_err(Failure::Usage)?),
        Some(Verb::Del { name }) => return session.change(Request::LinkDelete { interface: name }),
        Some(Verb::Show(shown)) => shown,
        None => arguments.show,
    };
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let links = tables.selected(shown.name.as_deref())?;
        let links = links
            .into_iter()
            .map(|(index, record)| {
                Link::new(*index, record, &counters, |parent| tables.interface_name(parent))
            })
            .collect();
        Ok(tables.reading(links))
    })
}

impl Link {
    fn new(
        index: u16,
        record: &Interface,
        counters: &CounterView<'_>,
        name_of: impl Fn(u16) -> String,
    ) -> Self {
        let up_or_down = |up: u8| if up == 0 { "down" } else { "up" };
        let name = from_text(&record.name);
        let netdev = Some(from_text(&record.netdev)).filter(|netdev| !netdev.is_empty());
        let vlan_id = Some(record.vlan_id).filter(|id| *id != 0);
        let hint = OffloadHint::from_raw(record.offload_hint).filter(|hint| *hint != OffloadHint::None);
        Self {
            device: from_text(&record.device),
            driver: from_text(&record.driver),
            mac: record.mac.into(),
            mtu: record.mtu,
            admin: up_or_down(record.admin_up),
            link: up_or_down(record.link_up),
            speed_mbps: Some(record.speed_mbps).filter(|speed| *speed != 0),
            traffic: Traffic::of(index, counters),
            offload_hint: hint.map(OffloadHint::name),
            offload_advice: hint.map(|hint| offload_advice(&name, netdev.as_deref(), hint)),
            parent: vlan_id.map(|_| name_of(record.parent)),
            vlan_protocol: vlan_id
                .and_then(|_| VlanProtocol::of_ethertype(record.vlan_protocol))
                .map(VlanProtocol::name),
            vlan_id,
            tap: Some(from_text(&record.tap)).filter(|tap| !tap.is_empty()),
            name,
            netdev,
        }
    }

    /// What stands in the place of the device: that of a sub-interface is on another interface.
    fn on(&self) -> String {
        match (&self.parent, self.vlan_protocol, self.vlan_id) {
            (Some(parent), Some(protocol), Some(id)) => format!("{parent} {protocol} id {id}"),
            _ => self.device.clone(),
        }
    }
}

/// Packets come unfinished from who sends them: on a veth that is the peer, not the device that the gateway reads.
fn offload_advice(name: &str, netdev: Option<&str>, hint: OffloadHint) -> String {
    let seen = match hint {
        OffloadHint::Oversize => "longer than its MTU",
        OffloadHint::Both => "with unfinished checksums and longer than its MTU",
        OffloadHint::None | OffloadHint::PartialChecksum => "with unfinished checksums",
    };
    let device = netdev.unwrap_or("DEVICE");
    format!(
        "{name}: packets come {seen}, left to hardware that is not there, and are dropped: run \
         'ethtool -K {device} tx off rx off gso off gro off tso off' for {device}, and the same for its peer and on the \
         hosts behind it, since it is the sender who leaves them unfinished"
    )
}

impl Show for Link {
    const COLUMNS: &'static [Column] = &[
        left("NAME"),
        left("DEVICE"),
        left("DRIVER"),
        left("MAC"),
        right("MTU"),
        left("ADMIN"),
        left("LINK"),
        left("TAP"),
        right("MBIT/S"),
        right("RX PACKETS"),
        right("RX BYTES"),
        right("TX PACKETS"),
        right("TX BYTES"),
        right("DROPS"),
    ];
    const RATE_COLUMNS: &'static [Column] = Traffic::RATE_COLUMNS;

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(&self.name)
            .cell(self.on())
            .cell(&self.driver)
            .cell(self.mac)
            .cell(self.mtu)
            .cell(self.admin)
            .cell(self.link)
            .optional(self.tap.as_ref())
            .optional(self.speed_mbps);
        self.traffic.cells(table, rates);
    }

    fn key(&self) -> String {
        self.name.clone()
    }

    fn counts(&self) -> Vec<Count> {
        self.traffic.counts()
    }

    fn note(&self) -> Option<String> {
        self.offload_advice.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let link = Link {
            name: "wan".into(),
            device: "net_af_packet0,iface=wan0".into(),
            driver: "net_af_packet".into(),
            netdev: Some("wan0".into()),
            mac: [2, 0, 0, 0, 0, 1].into(),
            mtu: 1500,
            admin: "up",
            link: "down",
            speed_mbps: None,
            traffic: Traffic {
                rx_packets: 1,
                rx_bytes: 64,
                tx_packets: 2,
                tx_bytes: 128,
                drops: 3,
            },
            offload_hint: None,
            offload_advice: None,
            parent: None,
            vlan_protocol: None,
            vlan_id: None,
            tap: Some("wan".into()),
        };
        assert_eq!(
            serde_json::to_string(&link).unwrap(),
            r#"{"name":"wan","device":"net_af_packet0,iface=wan0","driver":"net_af_packet","netdev":"wan0","mac":"02:00:00:00:00:01","mtu":1500,"admin":"up","link":"down","speed_mbps":null,"rx_packets":1,"rx_bytes":64,"tx_packets":2,"tx_bytes":128,"drops":3,"offload_hint":null,"offload_advice":null,"parent":null,"vlan_protocol":null,"vlan_id":null,"tap":"wan"}"#
        );
    }

    fn parsed(words: &str) -> Result<Request, String> {
        let words = words.split_whitespace().map(str::to_owned).collect();
        AddArguments { words }.request()
    }

    #[test]
    fn a_sub_interface_is_written_as_ip_link_has_it() {
        let wanted = |name: Option<&str>, protocol, mtu| {
            Ok(Request::LinkAdd {
                name: name.map(str::to_owned),
                link: "wan".into(),
                protocol,
                id: 100,
                mtu,
            })
        };
        let (q, ad) = (VlanProtocol::Dot1q, VlanProtocol::Dot1ad);
        for (words, request) in [
            (
                "wan.100 link wan proto 802.1q id 100",
                wanted(Some("wan.100"), q, None),
            ),
            ("link wan id 100", wanted(None, q, None)),
            (
                "link wan name blue type vlan proto 802.1AD id 100",
                wanted(Some("blue"), ad, None),
            ),
            (
                "blue link wan id 100 mtu 1400",
                wanted(Some("blue"), q, Some(1400)),
            ),
        ] {
            assert_eq!(parsed(words), request, "{words}");
        }
        for (words, missing) in [
            ("link wan", "'id VID' is missing"),
            ("blue id 100", "'link IFACE' is missing"),
            ("link wan id many", "'many' is not a number from 1 to 4094"),
            ("link wan id 100 type bridge", "the type can only be vlan"),
            ("link wan proto 802.3 id 100", "'802.3' is no protocol"),
            ("link wan id 100 more", "'more' stands where"),
        ] {
            let error = parsed(words).unwrap_err();
            assert!(error.contains(missing), "{words}: {error}");
        }
    }

    #[test]
    fn the_advice_can_be_typed() {
        let advice = offload_advice("wan", Some("wan0"), OffloadHint::Both);
        assert!(
            advice.contains("'ethtool -K wan0 tx off rx off gso off gro off tso off'"),
            "{advice}"
        );
    }
}
