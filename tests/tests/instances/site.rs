//! Two hosts that talk both families through two ports of a gateway; every site has the same addresses.

use std::fmt::Write;

use tests::{Counters, Interface, Namespace, Pinger, Primary, PrimaryBuilder, Privilege, wait_until};

use crate::LIMIT;

/// Addresses of a host and of the gateway towards it, both families.
pub(crate) struct Side {
    pub(crate) host: [&'static str; 2],
    pub(crate) gateway: [&'static str; 2],
}

pub(crate) const A: Side = Side {
    host: ["192.168.1.2", "2001:db8:1::2"],
    gateway: ["192.168.1.1", "2001:db8:1::1"],
};
pub(crate) const B: Side = Side {
    host: ["192.168.2.2", "2001:db8:2::2"],
    gateway: ["192.168.2.1", "2001:db8:2::1"],
};

/// Limits of an instance of which ten are to run at a time: with [`SMALL_MB`] and its table region it takes 59 hugepages of 2 MB, of
/// which 32 are the first table of the IPv4 lookup. Ten take 590 of the 1024 that the tests have.
pub(crate) const SMALL: &str = "[limits]\nroutes4 = 100\nroutes6 = 100\ntbl8_groups4 = 16\nneighbors = 64\naddresses = 16\n\
                                attachments = 0\npacket_buffers = 12288\n";
/// `memory_mb` for [`SMALL`].
pub(crate) const SMALL_MB: u32 = 116;

/// Two hosts.
pub(crate) struct Site {
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
    /// The kernel links of the gateway that lead to them.
    ports: [&'static str; 2],
}

impl Site {
    /// Makes the hosts and connects them to links of `gateway`.
    pub(crate) fn new(gateway: &Namespace, ports: [&'static str; 2]) -> Self {
        let privilege = Privilege::detect();
        let host = |label, side: &Side, port| {
            let host = Namespace::create(privilege, label).unwrap();
            host.connect("eth0", gateway, port).unwrap();
            // No link-local address, no router solicitations, no search for duplicates: what is sent is what a test sends.
            let mut script = String::from(
                "cd /proc/sys/net/ipv6/conf/eth0; echo 1 >addr_gen_mode; echo 0 >accept_dad; echo 0 >router_solicitations\n\
                 echo 0 >accept_ra; echo 0 >disable_ipv6\n",
            );
            for (family, length) in [(0, 24), (1, 64)] {
                let (address, router) = (side.host[family], side.gateway[family]);
                let _ = writeln!(
                    script,
                    "ip address add {address}/{length} dev eth0 && ip route add default via {router} || exit 1"
                );
            }
            host.run("gives a host its addresses", &["sh", "-c", &script])
                .unwrap();
            host
        };
        Self {
            a: host("host-a", &A, ports[0]),
            b: host("host-b", &B, ports[1]),
            ports,
        }
    }

    /// A primary between the hosts, not started yet.
    pub(crate) fn primary(&self, gateway: &Namespace, label: &str) -> PrimaryBuilder {
        let port = |name, side: &Side| {
            Interface::af_packet(name)
                .address(&format!("{}/24", side.gateway[0]))
                .address(&format!("{}/64", side.gateway[1]))
        };
        Primary::builder(gateway.privilege(), label)
            .netns(gateway)
            .interface(port(self.ports[0], &A))
            .interface(port(self.ports[1], &B))
    }

    /// Pings host-b from host-a in each family, with more words of `ping`.
    pub(crate) fn pingers(&self, words: &[&str]) -> [Pinger<'_>; 2] {
        B.host
            .map(|address| Pinger::start(&self.a, address, words).unwrap())
    }

    /// Packets that the kernels of the hosts have sent and received, by port of the gateway.
    fn kernel_counts(&self) -> [(u64, u64); 2] {
        [&self.a, &self.b].map(|host| {
            let words = ["ip", "-json", "-statistics", "link", "show", "eth0"];
            let links = host.run("reads counters", &words).unwrap().json().unwrap();
            let count = |direction: &str| links[0]["stats64"][direction]["packets"].as_u64().unwrap();
            (count("tx"), count("rx"))
        })
    }

    /// Packets that the primary has received and sent, by port.
    fn primary_counts(&self, counters: &Counters) -> [(u64, u64); 2] {
        self.ports.map(|port| {
            let mut interfaces = counters.0.iter();
            let interface = interfaces.find(|interface| interface.interface == port).unwrap();
            (interface.rx_packets, interface.tx_packets)
        })
    }

    /// By how much what the kernels of the hosts count is ahead of what the primary counts, at a moment when nothing moves.
    pub(crate) fn ahead(&self, primary: &Primary) -> [(u64, u64); 2] {
        wait_until("that no host sends anything", LIMIT, || {
            let before = self.kernel_counts();
            let counters = primary.counters_at_rest()?;
            let mut ahead = self.kernel_counts();
            if ahead != before {
                return Ok(None);
            }
            for (kernel, primary) in ahead.iter_mut().zip(self.primary_counts(&counters)) {
                *kernel = (kernel.0 - primary.0, kernel.1 - primary.1);
            }
            Ok(Some(ahead))
        })
        .unwrap()
    }
}

/// Waits until the gateway may use its IPv6 addresses: nobody else has them.
pub(crate) fn settle(primary: &Primary) {
    wait_until("addresses in use", LIMIT, || {
        let addresses = primary.ctl_json(&["addr", "show"])?;
        let mut addresses = addresses.as_array().unwrap().iter();
        Ok(addresses
            .all(|address| address["state"] == "preferred")
            .then_some(()))
    })
    .unwrap();
}
