//! Clients and servers with a load balancer between them, as in the first example of DPVS's tutorial.
//!
//! ```text
//!   two-arm   client eth0 ─────── wan  balancer  lan ─────── eth0 servers
//!             10.0.0.48, .49      10.0.0.100     192.168.100.200     192.168.100.2, .3
//!   one-arm   client eth0 ─┐
//!                          ├─ bridge ─ lan  balancer
//!            servers eth0 ─┘           192.168.100.254, 192.168.100.200
//! ```

use std::{cell::Cell, fs, time::Duration};

use tempfile::TempDir;
use tests::{Family, Interface, Namespace, NamespaceOptions, Primary, Privilege, Process, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Real servers of each site.
pub(crate) const SERVERS: [u8; 2] = [2, 3];

/// Where clients and servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arms {
    /// On the same link.
    One,
    /// On a link each.
    Two,
}

pub(crate) struct Site {
    // Processes end before their namespaces do.
    servers_up: Vec<Process>,
    pub(crate) balancer: Primary,
    pub(crate) client: Namespace,
    pub(crate) servers: Namespace,
    gateway: Namespace,
    _switch: Option<Namespace>,
    folder: TempDir,
    family: Family,
    arms: Arms,
    has_route: Cell<bool>,
}

impl Site {
    /// With the addresses, and no service.
    pub(crate) fn create(family: Family, arms: Arms, workers: usize) -> Self {
        Self::create_with(family, arms, workers, "")
    }

    /// The same with more tables in the balancer's configuration.
    pub(crate) fn create_with(family: Family, arms: Arms, workers: usize, tables: &str) -> Self {
        let privilege = Privilege::detect();
        let options = NamespaceOptions {
            ipv6: family == Family::Ip6,
            ..NamespaceOptions::default()
        };
        let namespace = |label| Namespace::create_with(privilege, label, options).unwrap();
        let (client, servers) = (namespace("client"), namespace("servers"));
        let gateway = Namespace::create(privilege, "balancer").unwrap();
        let switch = match arms {
            Arms::Two => {
                client.connect("eth0", &gateway, "wan").unwrap();
                servers.connect("eth0", &gateway, "lan").unwrap();
                None
            }
            Arms::One => Some(switch(&[
                (&client, "eth0"),
                (&servers, "eth0"),
                (&gateway, "lan"),
            ])),
        };
        let mut builder = Primary::builder(privilege, "lb")
            .netns(&gateway)
            .workers(workers)
            .toml(tables);
        if arms == Arms::Two {
            builder = builder.interface(Interface::af_packet("wan"));
        }
        let balancer = builder.interface(Interface::af_packet("lan")).start().unwrap();
        let site = Self {
            servers_up: Vec::new(),
            balancer,
            client,
            servers,
            gateway,
            _switch: switch,
            folder: TempDir::new().unwrap(),
            family,
            arms,
            has_route: Cell::new(arms == Arms::One),
        };
        for number in [48, 49] {
            let address = format!("{}/{}", site.client_address(number), site.client_length());
            site.client.add_address("eth0", &address).unwrap();
        }
        for number in SERVERS {
            let address = format!("{}/{}", site.server(number), family.choose(24, 64));
            site.servers.add_address("eth0", &address).unwrap();
        }
        site.balancer.tell(&format!(
            "addr add {}/{} dev {}",
            site.vip(),
            family.choose(32, 128),
            site.client_side()
        ));
        if arms == Arms::One {
            site.balancer.tell(&format!(
                "route add {} dev lan",
                family.choose("192.168.100.0/24", "2001:db8:100::/64")
            ));
        } else {
            let clients = family.choose("10.0.0.0/16", "2001:db8:10::/64");
            site.balancer.tell(&format!("route add {clients} dev wan"));
        }
        site
    }

    /// The interface by which clients come.
    pub(crate) fn client_side(&self) -> &'static str {
        match self.arms {
            Arms::One => "lan",
            Arms::Two => "wan",
        }
    }

    fn client_length(&self) -> u8 {
        match self.arms {
            Arms::Two => self.family.choose(16, 64),
            Arms::One => self.family.choose(24, 64),
        }
    }

    /// A client's address, 48 or 49.
    pub(crate) fn client_address(&self, number: u8) -> String {
        match self.arms {
            Arms::Two => self
                .family
                .choose(format!("10.0.0.{number}"), format!("2001:db8:10::{number}")),
            Arms::One => self
                .family
                .choose(format!("192.168.100.{number}"), format!("2001:db8:100::{number}")),
        }
    }

    /// The address of services.
    pub(crate) fn vip(&self) -> &'static str {
        match self.arms {
            Arms::Two => self.family.choose("10.0.0.100", "2001:db8:10::100"),
            Arms::One => self.family.choose("192.168.100.254", "2001:db8:100::254"),
        }
    }

    /// The local address.
    pub(crate) fn local(&self) -> &'static str {
        self.family.choose("192.168.100.200", "2001:db8:100::200")
    }

    /// A server's address.
    pub(crate) fn server(&self, number: u8) -> String {
        self.family
            .choose(format!("192.168.100.{number}"), format!("2001:db8:100::{number}"))
    }

    /// An address with a port, as command lines and tables have it.
    pub(crate) fn at(&self, address: &str, port: u16) -> String {
        self.family
            .choose(format!("{address}:{port}"), format!("[{address}]:{port}"))
    }

    /// A service with both servers at the same port, reached from the local address.
    pub(crate) fn serve(&self, protocol: &str, port: u16, more: &str) {
        let service = format!("{protocol} {}", self.at(self.vip(), port));
        self.balancer.tell(&format!("service add {service} {more}"));
        for number in SERVERS {
            let server = self.at(&self.server(number), port);
            self.balancer.tell(&format!("server add {service} {server}"));
        }
        self.add_local(&service);
    }

    /// Gives a service the local address. With the first one the servers can be reached: a route by an interface needs an address there.
    pub(crate) fn add_local(&self, service: &str) {
        self.balancer
            .tell(&format!("laddr add {service} {} --dev lan", self.local()));
        if !self.has_route.replace(true) {
            let lan = self.family.choose("192.168.100.0/24", "2001:db8:100::/64");
            self.balancer.tell(&format!("route add {lan} dev lan"));
        }
        self.wait_for_addresses();
    }

    /// Addresses of IPv6 are tentative for a second.
    pub(crate) fn wait_for_addresses(&self) {
        self.balancer.wait_for_addresses().unwrap();
    }

    /// Starts an nginx at each server's address, which says which server it is and whom it sees.
    pub(crate) fn start_web_servers(&mut self) {
        let folder = self.folder.path().display().to_string();
        for number in SERVERS {
            let listen = self.at(&self.server(number), 80);
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|what| format!("{what}_temp_path {folder}/{number}.{what}; "))
                .collect();
            let text = format!(
                "daemon off; worker_processes 1; pid {folder}/{number}.pid; error_log stderr;\n\
                 events {{ worker_connections 4096; }}\n\
                 http {{ access_log off; keepalive_requests 1000000000; {temporary}\n\
                 server {{ listen {listen} backlog=4096; default_type text/plain;\n\
                 location / {{ return 200 \"server {number}: $remote_addr:$remote_port\\n\"; }} }} }}\n"
            );
            let config = self.folder.path().join(format!("nginx-{number}.conf"));
            fs::write(&config, text).unwrap();
            let process = self.servers.process("serves", "/usr/sbin/nginx");
            let process = process.args(["-c", config.to_str().unwrap()]).start().unwrap();
            self.servers_up.push(process);
        }
        for number in SERVERS {
            let url = format!("http://{}/", self.at(&self.server(number), 80));
            wait_until("that nginx serves", LIMIT, || {
                let shown = self
                    .servers
                    .run_within(LIMIT, "asks", &["curl", "-s", "-g", &url])?;
                Ok(shown.status.success().then_some(()))
            })
            .unwrap();
        }
    }

    /// What curl gets of the service at port 80, by a client's address.
    pub(crate) fn curl(&self, client: u8) -> String {
        let url = format!("http://{}/", self.at(self.vip(), 80));
        let from = self.client_address(client);
        let words = ["curl", "-sS", "-g", "-m", "10", "--interface", &from, &url];
        let shown = self.client.run_within(LIMIT, "asks the service", &words).unwrap();
        assert!(shown.status.success(), "{shown:?}");
        shown.stdout
    }

    /// Each request is served, and either server serves some. A port may be one that a server still knows for a client who has gone,
    /// so that a SYN comes twice and a turn is passed over, and another server may have its turn only after many.
    pub(crate) fn assert_both_serve(&self) {
        let mut served = Vec::new();
        let by = |number, served: &[String]| {
            let by_it = format!("server {number}:");
            served.iter().any(|text| text.starts_with(&by_it))
        };
        while !SERVERS.iter().all(|number| by(*number, &served)) {
            assert!(served.len() < 24, "{served:?}");
            served.push(self.curl(48));
        }
    }

    /// Waits until nothing moves; then what came is what went.
    pub(crate) fn assert_balanced(&self) {
        self.balancer.counters_at_rest().unwrap().assert_balanced();
    }

    /// How often packets were dropped for a reason.
    pub(crate) fn drops(&self, reason: &str) -> u64 {
        let counters = self.balancer.counters().unwrap();
        counters.drops().get(reason).copied().unwrap_or_default()
    }

    /// How often it was so with ICMP for services, as of late.
    pub(crate) fn icmp(&self, counter: &str) -> u64 {
        let shown = self.balancer.ctl_json(&["service", "icmp-counters"]).unwrap();
        shown[0][counter].as_u64().unwrap()
    }

    /// Waits until it was so often: workers show it every now and then.
    pub(crate) fn wait_for_icmp(&self, counters: &[(&str, u64)]) {
        let now = || -> Vec<_> {
            let names = counters.iter().map(|(name, _)| *name);
            names.map(|name| (name, self.icmp(name))).collect()
        };
        let reached = wait_until(
            "counters of ICMP",
            LIMIT,
            || Ok((now() == counters).then_some(())),
        );
        assert!(reached.is_ok(), "{:?}, and not {counters:?}", now());
    }

    /// What runs in the balancer's namespace beside it.
    pub(crate) fn gateway(&self) -> &Namespace {
        &self.gateway
    }
}

/// A bridge with these links on it.
fn switch(ends: &[(&Namespace, &str)]) -> Namespace {
    let switch = Namespace::create(Privilege::detect(), "switch").unwrap();
    let run = |words: &[&str]| drop(switch.run("makes a switch", words).unwrap());
    run(&[
        "ip",
        "link",
        "add",
        "br0",
        "type",
        "bridge",
        "mcast_snooping",
        "0",
    ]);
    for (number, (namespace, name)) in ends.iter().enumerate() {
        let port = format!("p{number}");
        namespace.connect(name, &switch, &port).unwrap();
        run(&["ip", "link", "set", &port, "master", "br0"]);
    }
    run(&["ip", "link", "set", "br0", "up"]);
    switch
}

impl Site {
    /// The MAC address of an interface of the balancer's.
    pub(crate) fn balancer_mac(&self, interface: &str) -> String {
        self.gateway.mac(interface).unwrap()
    }
}
