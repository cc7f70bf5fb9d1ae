//! The topology of the demo and of most tests: two hosts in their own networks, a gateway between them.

use crate::{Error, Interface, Namespace, Primary, PrimaryBuilder, Privilege};

/// Two hosts, each with a default route to the gateway, whose ports are left to a primary.
///
/// ```text
///   host-a  eth0 ─────────── a0  gateway  b0 ─────────── eth0  host-b
///   192.168.1.2/24   192.168.1.1      192.168.2.1   192.168.2.2/24
/// ```
///
/// The kernel of the gateway has no address on `a0` and `b0` and does not forward: what gets across went through the primary.
#[derive(Debug)]
pub struct TwoHosts {
    /// The host at [`TwoHosts::ADDRESS_A`].
    pub host_a: Namespace,
    /// The host at [`TwoHosts::ADDRESS_B`].
    pub host_b: Namespace,
    /// Where the primary goes.
    pub gateway: Namespace,
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

    /// Makes the three namespaces and what connects them.
    ///
    /// # Errors
    /// A step fails or a signal came; nothing is left behind.
    pub fn create(privilege: Privilege) -> Result<Self, Error> {
        let hosts = Self {
            host_a: Namespace::create(privilege, "host-a")?,
            host_b: Namespace::create(privilege, "host-b")?,
            gateway: Namespace::create(privilege, "gateway")?,
        };
        for (host, port, address, gateway) in [
            (&hosts.host_a, Self::PORT_A, Self::ADDRESS_A, Self::GATEWAY_A),
            (&hosts.host_b, Self::PORT_B, Self::ADDRESS_B, Self::GATEWAY_B),
        ] {
            host.connect("eth0", &hosts.gateway, port)?;
            host.add_address("eth0", &format!("{address}/24"))?;
            host.add_route("default", gateway)?;
        }
        Ok(hosts)
    }

    /// A primary for the gateway, on af_packet over both of its links, not started yet.
    pub fn primary(&self, label: &str) -> PrimaryBuilder {
        Primary::builder(self.gateway.privilege(), label)
            .netns(&self.gateway)
            .interface(Interface::af_packet(Self::PORT_A).address(&format!("{}/24", Self::GATEWAY_A)))
            .interface(Interface::af_packet(Self::PORT_B).address(&format!("{}/24", Self::GATEWAY_B)))
    }
}
