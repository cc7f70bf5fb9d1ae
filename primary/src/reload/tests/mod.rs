//! Configurations by chance: what a plan leads to on real tables, what it leaves alone meanwhile, and what comes back from the
//! text of what runs.

mod chance;
mod chosen;
mod services;

use std::path::Path;
use std::time::Duration;

use control::message::ControlError;

use super::routes::normal;
use super::*;
use crate::config::machine::Machine;
use crate::config::{Config, ConfigErrors, HopByHop, LoadBalancer, Overrides, SubInterface, Tunnel};
use crate::tables::NewSubInterface;
use crate::tables::tests::{Gateway, MACS};

/// The ports of the gateway of the tables' tests, and its limits.
const PORTS: &str = r#"
[instance]
name = "blue"
[limits]
routes4 = 1000
routes6 = 1000
neighbors = 100
addresses = 20
sub_interfaces = 2
groups = 16
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, &Overrides::default())
}

fn parse_with(text: &str, overrides: &Overrides) -> Result<Config, ConfigErrors> {
    let machine = Machine {
        online: vec![0, 1],
        allowed: vec![0, 1],
        nodes: Vec::new(),
    };
    Config::parse(text, Path::new("blue.toml"), overrides, &machine)
}

/// The two ports with these addresses, and `more`.
fn with_ports(lan: &[String], wan: &[String], more: &str) -> String {
    let port = |name: &str, number: usize, addresses: &[String]| {
        format!(
            "[[interface]]\nname = \"{name}\"\ndevice = \"net_null{number}\"\naddresses = {addresses:?}\n"
        )
    };
    format!("{PORTS}{}{}{more}", port("lan", 0, lan), port("wan", 1, wan))
}

/// Those words of a file that a test is about: addresses of both ports, separated by spaces, and more sections.
fn config(lan: &str, wan: &str, more: &str) -> Config {
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    parse(&with_ports(&words(lan), &words(wan), more)).unwrap()
}

/// As what runs is compared.
fn normalized(mut config: Config) -> Config {
    config.routes = config.routes.iter().map(normal).collect();
    config
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

impl Gateway {
    /// What runs, on the ports of `base`.
    fn running(&self, base: &Config) -> Config {
        let mut config = base.without_tables();
        for (index, port) in (0..).zip(&mut config.interfaces) {
            port.addresses = self.tables.given_addresses(index).collect();
            port.up = self.tables.link_state(index).unwrap().0;
        }
        let link = |(new, up): (NewSubInterface, bool)| {
            let name = new.name();
            let index = self.tables.interface_index(&name).unwrap();
            SubInterface {
                tap: None,
                redirects: true,
                hop_by_hop: HopByHop::Ignore,
                addresses: self.tables.given_addresses(index).collect(),
                name,
                link: new.link,
                protocol: new.protocol,
                id: new.id,
                mtu: new.mtu.unwrap(),
                up,
            }
        };
        config.sub_interfaces = self.tables.sub_interfaces().into_iter().map(link).collect();
        let tunnel = |(tunnel, up): (control::message::Tunnel, bool)| {
            let index = self.tables.interface_index(&tunnel.name).unwrap();
            Tunnel {
                addresses: self.tables.given_addresses(index).collect(),
                tunnel,
                up,
            }
        };
        config.tunnels = self.tables.tunnels().into_iter().map(tunnel).collect();
        config.services = self.tables.services();
        let (timeouts, policy) = self.tables.balancing();
        config.load_balancer = LoadBalancer { timeouts, policy };
        (config.routes, config.neighbors) = super::running::read(&self.reader);
        config
    }

    /// Makes all changes; `look` sees the gateway after each step.
    fn make(&mut self, changes: &[Change], mut look: impl FnMut(&Self)) -> Result<(), ControlError> {
        let mut left = changes;
        while let Some((count, step)) = next_step(left) {
            if !change_tables(&mut self.tables, &step, self.now)? {
                match step {
                    Step::One(Change::LinkAdd(link)) => {
                        self.tables.add_sub_interface(&NewSubInterface {
                            name: Some(link.name.clone()),
                            link: link.link.clone(),
                            protocol: link.protocol,
                            id: link.id,
                            mtu: Some(link.mtu),
                        })?;
                    }
                    Step::One(Change::TunnelAdd(tunnel)) => {
                        self.tables.add_tunnel(tunnel)?;
                    }
                    Step::One(Change::TunnelSet { before, after }) => {
                        assert_eq!(before.name, after.name);
                        self.tables.set_tunnel(&after.name, &after.into(), self.now)?;
                    }
                    Step::One(Change::TunnelDelete(tunnel)) => {
                        self.tables.delete_tunnel(&tunnel.name, self.now)?;
                        self.tables.free_indices();
                    }
                    Step::One(Change::LinkDelete(link)) => {
                        let gone = self.tables.delete_sub_interface(&link.name, self.now)?;
                        assert_eq!(gone.len(), 1, "{} had others on it", link.name);
                        self.tables.free_indices();
                    }
                    _ => {}
                }
            }
            self.now += Duration::from_millis(1);
            self.tables.take_actions();
            self.reclaim();
            look(self);
            left = &left[count..];
        }
        Ok(())
    }
}
