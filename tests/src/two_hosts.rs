//! The topology of the demo and of most tests: two hosts in their own networks, a gateway between them.

use std::time::{Duration, Instant};

use crate::{
    Error, Family, Interface, Namespace, NamespaceOptions, Primary, PrimaryBuilder, Privilege, wait_until,
};

/// A kernel that gets addresses says so on the link, within milliseconds.
const QUIET: Duration = Duration::from_millis(100);
const QUIET_LIMIT: Duration = Duration::from_secs(10);

/// Two hosts, each with a default route to the gateway, whose ports are left to a primary.
///
/// ```text
///   host-a  eth0 ─────────── a0  gateway  b0 ─────────── eth0  host-b
///   192.168.1.2/24   192.168.1.1      192.168.2.1   192.168.2.2/24
///   2001:db8:1::2/64  2001:db8:1::1    2001:db8:2::1   2001:db8:2::2/64
/// ```
///
/// The kernel of the gateway has no address on `a0` and `b0`, not even a link-local one, and does not forward: what gets
/// across went through the primary.
#[derive(Debug)]
pub struct TwoHosts {
    /// The host at [`TwoHosts::ADDRESS_A`].
    pub host_a: Namespace,
    /// The host at [`TwoHosts::ADDRESS_B`].
    pub host_b: Namespace,
    /// Where the primary goes.
    pub gateway: Namespace,
    families: Vec<Family>,
}

impl TwoHosts {
    /// Address of host-a.
    pub const ADDRESS_A: &str = "192.168.1.2";
    /// Address of host-b.
    pub const ADDRESS_B: &str = "192.168.2.2";
    /// The gateway's address towards host-a.
    pub const GATEWAY_A: &str = "192.168.1.1";
    /// The gateway's address towards host-b.
    pub const GATEWAY_B: &str = "192.168.2.1";
    /// The gateway's link to host-a.
    pub const PORT_A: &str = "a0";
    /// The gateway's link to host-b.
    pub const PORT_B: &str = "b0";

    /// Makes the three namespaces and what connects them, for IPv4.
    ///
    /// # Errors
    /// A step fails or a signal came; nothing is left behind.
    pub fn create(privilege: Privilege) -> Result<Self, Error> {
        Self::create_for(privilege, &[Family::Ip4])
    }

    /// As [`TwoHosts::create`], for these families.
    ///
    /// # Errors
    /// A step fails or a signal came; nothing is left behind.
    pub fn create_for(privilege: Privilege, families: &[Family]) -> Result<Self, Error> {
        let options = NamespaceOptions {
            ipv6: families.contains(&Family::Ip6),
            ..NamespaceOptions::default()
        };
        let hosts = Self {
            host_a: Namespace::create_with(privilege, "host-a", options)?,
            host_b: Namespace::create_with(privilege, "host-b", options)?,
            gateway: Namespace::create(privilege, "gateway")?,
            families: families.to_vec(),
        };
        for (host, port) in hosts.ends() {
            host.connect("eth0", &hosts.gateway, port)?;
            for family in families {
                let (address, gateway) = match port {
                    Self::PORT_A => (family.address_a(), family.gateway_a()),
                    _ => (family.address_b(), family.gateway_b()),
                };
                host.add_address("eth0", &family.in_subnet(address))?;
                host.add_route("default", gateway)?;
            }
        }
        if options.ipv6 {
            hosts.settle()?;
        }
        Ok(hosts)
    }

    /// The hosts, each with the gateway's port towards it.
    pub fn ends(&self) -> [(&Namespace, &'static str); 2] {
        [(&self.host_a, Self::PORT_A), (&self.host_b, Self::PORT_B)]
    }

    /// The gateway's ports with their addresses.
    pub fn interfaces(&self) -> [Interface; 2] {
        let interface = |port, address: fn(Family) -> &'static str| {
            self.families
                .iter()
                .fold(Interface::af_packet(port), |interface, family| {
                    interface.address(&family.in_subnet(address(*family)))
                })
        };
        [
            interface(Self::PORT_A, Family::gateway_a),
            interface(Self::PORT_B, Family::gateway_b),
        ]
    }

    /// A primary for the gateway, on af_packet over both of its links, not started yet.
    pub fn primary(&self, label: &str) -> PrimaryBuilder {
        self.interfaces()
            .into_iter()
            .fold(self.portless(label), PrimaryBuilder::interface)
    }

    /// A primary for the gateway that has no ports yet.
    pub fn portless(&self, label: &str) -> PrimaryBuilder {
        Primary::builder(self.gateway.privilege(), label).netns(&self.gateway)
    }

    /// Waits until the kernels have said what they say of new addresses.
    fn settle(&self) -> Result<(), Error> {
        for (host, _) in self.ends() {
            let (mut before, mut since) = (host.packets("eth0")?, Instant::now());
            wait_until("a quiet link", QUIET_LIMIT, || {
                let now = host.packets("eth0")?;
                if now != before {
                    (before, since) = (now, Instant::now());
                }
                Ok((since.elapsed() > QUIET).then_some(()))
            })?;
        }
        Ok(())
    }
}
