//! Whether profiles fit the gateway: their addresses, and the tunnels of their children. What does not is said when the daemon attaches and
//! when it has read its file again, since otherwise it would show as a peer that never answers, or as an SA that is refused.

use std::net::IpAddr;

use control::message::TunnelMode;
use shm::TableReader;
use shm::records::{from_ip_field, from_text};

use crate::config::{Config, ProfileConfig};

/// What a gateway has that profiles need.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    addresses: Vec<IpAddr>,
    tunnels: Vec<Tunnel>,
}

#[derive(Debug)]
struct Tunnel {
    name: String,
    is_esp: bool,
    local: IpAddr,
    remote: IpAddr,
}

impl Gateway {
    /// As the tables of the primary have it.
    pub(crate) fn read(reader: &TableReader) -> Self {
        let interfaces = reader.interfaces();
        let name = |index: u16| {
            let found = interfaces.iter().find(|(other, _)| *other == u32::from(index));
            found.map_or_else(String::new, |(_, record)| from_text(&record.name))
        };
        let addresses = reader.addresses();
        let tunnels = reader.tunnels();
        Self {
            addresses: addresses
                .iter()
                .map(|(_, record)| from_ip_field(record.address))
                .collect(),
            tunnels: tunnels
                .iter()
                .map(|(_, record)| Tunnel {
                    name: name(record.interface),
                    is_esp: record.mode == TunnelMode::Esp as u8,
                    local: from_ip_field(record.local),
                    remote: from_ip_field(record.remote),
                })
                .collect(),
        }
    }

    /// What does not fit, a sentence each.
    pub(crate) fn unfit(&self, config: &Config) -> Vec<String> {
        config
            .profiles
            .iter()
            .flat_map(|profile| self.unfit_of(profile))
            .collect()
    }

    fn unfit_of(&self, profile: &ProfileConfig) -> Vec<String> {
        let (who, local) = (&profile.name, profile.local_address);
        let mut sentences = Vec::new();
        if !self.addresses.contains(&local) {
            sentences.push(format!(
                "profile {who}: {local} is no address of the gateway, so no answer comes there: 'tollgate-ctl addr' lists those \
                 that are"
            ));
        }
        for child in &profile.children {
            let name = &child.tunnel;
            let Some(tunnel) = self.tunnels.iter().find(|tunnel| tunnel.name == *name) else {
                sentences.push(format!(
                    "profile {who}: the gateway has no tunnel {name}, and SAs for it are refused: 'tollgate-ctl tunnel add {name} \
                     mode esp local {local} remote ADDR'"
                ));
                continue;
            };
            if !tunnel.is_esp {
                sentences.push(format!(
                    "profile {who}: tunnel {name} is not of mode esp, and SAs for it are refused: make it one that is"
                ));
            } else if tunnel.local != local {
                sentences.push(format!(
                    "profile {who}: tunnel {name} begins at {}, and the profile at {local}: give both the same address",
                    tunnel.local
                ));
            } else if let Some(remote) = profile.remote_address.filter(|remote| *remote != tunnel.remote) {
                sentences.push(format!(
                    "profile {who}: tunnel {name} ends at {}, and the profile at {remote}: give both the same address, which is \
                     that of the peer's NAT if it has one",
                    tunnel.remote
                ));
            }
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::tests::config;

    #[test]
    fn what_does_not_fit_is_said_with_what_to_do() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let gateway = |address, name: &str, is_esp, ends: [&str; 2]| Gateway {
            addresses: vec![ip(address)],
            tunnels: vec![Tunnel {
                name: name.to_owned(),
                is_esp,
                local: ip(ends[0]),
                remote: ip(ends[1]),
            }],
        };
        let (own, peer, other) = ("192.0.2.1", "198.51.100.1", "203.0.113.9");
        let config = config("remote_address = \"198.51.100.1\"");
        assert_eq!(gateway(own, "ipsec0", true, [own, peer]).unfit(&config), [""; 0]);
        for (gateway, expected) in [
            (
                gateway(other, "ipsec0", true, [own, peer]),
                "192.0.2.1 is no address of the gateway",
            ),
            (
                gateway(own, "ipsec1", true, [own, peer]),
                "the gateway has no tunnel ipsec0",
            ),
            (
                gateway(own, "ipsec0", false, [own, peer]),
                "tunnel ipsec0 is not of mode esp",
            ),
            (
                gateway(own, "ipsec0", true, [other, peer]),
                "tunnel ipsec0 begins at 203.0.113.9",
            ),
            (
                gateway(own, "ipsec0", true, [own, other]),
                "tunnel ipsec0 ends at 203.0.113.9",
            ),
        ] {
            let said = gateway.unfit(&config);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains(expected), "{said:?}");
        }
        // A tunnel is made to end where a peer is that comes from anywhere.
        let anybody = crate::plane::tests::config("");
        assert_eq!(
            gateway(own, "ipsec0", true, [own, other]).unfit(&anybody),
            [""; 0]
        );
    }
}
