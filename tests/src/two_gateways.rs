//! Two gateways between two hosts, for what is between gateways: tunnels.

use crate::{Error, Family, Interface, Namespace, NamespaceOptions, Primary, PrimaryBuilder, Privilege};

/// What links carry unless another MTU is asked for.
const USUAL_MTU: u16 = 1500;

/// Two hosts, each with default routes to a gateway of its own.
///
/// ```text
///   host-a eth0 ─── a0  west  w0 ─────────── e0  east  b0 ─── eth0 host-b
///                  .1.1      10.0.0.1   10.0.0.2      .2.1
///         2001:db8:1::1  2001:db8:f::1  2001:db8:f::2  2001:db8:2::1
/// ```
#[derive(Debug)]
pub struct TwoGateways {
    // End before their namespaces do.
    /// The gateway of host-a.
    pub west: Primary,
    /// The gateway of host-b.
    pub east: Primary,
    /// The host behind west.
    pub host_a: Namespace,
    /// The host behind east.
    pub host_b: Namespace,
    /// Where west and east are.
    pub gateways: [Namespace; 2],
}

impl TwoGateways {
    /// With links of an MTU. `addresses` gives those of a host, 1 or 2, in a family: 192.168.HOST.x and 2001:db8:HOST::x. Primaries are
    /// started as `change` makes them.
    ///
    /// # Errors
    /// A step fails or a signal came; nothing is left behind.
    pub fn create(
        privilege: Privilege,
        mtu: u16,
        addresses: impl Fn(Family, u8) -> Vec<String>,
        change: impl Fn(PrimaryBuilder) -> PrimaryBuilder,
    ) -> Result<Self, Error> {
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let host = |name| Namespace::create_with(privilege, name, options);
        let (host_a, host_b) = (host("host-a")?, host("host-b")?);
        let gateways = [
            Namespace::create(privilege, "west")?,
            Namespace::create(privilege, "east")?,
        ];
        let [west, east] = &gateways;
        for (one, link, other, peer) in [
            (&host_a, "eth0", west, "a0"),
            (west, "w0", east, "e0"),
            (&host_b, "eth0", east, "b0"),
        ] {
            one.connect(link, other, peer)?;
            if mtu != USUAL_MTU {
                one.set_mtu(link, mtu)?;
                other.set_mtu(peer, mtu)?;
            }
        }
        for (number, host) in [(1, &host_a), (2, &host_b)] {
            for family in Family::BOTH {
                for address in addresses(family, number) {
                    let length = family.choose(24, 64);
                    host.add_address("eth0", &format!("{address}/{length}"))?;
                }
                host.add_route("default", &Self::inside(family, number))?;
            }
        }
        let primary = |namespace, label, [inside, outside]: [&str; 2], number| {
            let port = |link, address: fn(Family, u8) -> String| {
                Family::BOTH
                    .iter()
                    .fold(Interface::af_packet(link).mtu(mtu), |port, family| {
                        let length = family.choose(24, 64);
                        port.address(&format!("{}/{length}", address(*family, number)))
                    })
            };
            change(
                Primary::builder(privilege, label)
                    .netns(namespace)
                    .interface(port(inside, Self::inside))
                    .interface(port(outside, Self::outside)),
            )
        };
        let other = primary(east, "east", ["b0", "e0"], 2);
        let (west, east) = primary(west, "west", ["a0", "w0"], 1).start_both(other)?;
        Ok(Self {
            west,
            east,
            host_a,
            host_b,
            gateways,
        })
    }

    /// The address of a gateway, 1 or 2, towards its host.
    pub fn inside(family: Family, gateway: u8) -> String {
        family.choose(format!("192.168.{gateway}.1"), format!("2001:db8:{gateway}::1"))
    }

    /// The address of a gateway, 1 or 2, towards the other one.
    pub fn outside(family: Family, gateway: u8) -> String {
        family.choose(format!("10.0.0.{gateway}"), format!("2001:db8:f::{gateway}"))
    }
}
