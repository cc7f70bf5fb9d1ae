//! Tunnels: what makes an interface one, and which of them an outer packet belongs to.

use std::net::IpAddr;
use std::sync::Arc;

use control::message::{Df, Dscp, Tunnel, TunnelMode};

use super::PathMtu;

/// What workers know of a tunnel.
#[derive(Debug)]
pub struct TunnelView {
    /// What outer packets of the other end are told by.
    pub outer: Outer,
    /// Whether SAs protect its packets.
    pub is_protected: bool,
    /// TTL or hop limit of outer packets.
    pub ttl: u8,
    /// DF bit of outer packets, where those are IPv4.
    pub df: Df,
    /// DSCP of outer packets.
    pub dscp: Dscp,
    /// Bytes that are put around a packet, at most.
    pub(super) overhead: u16,
    /// What was learned of the path that they go.
    pub path_mtu: Arc<PathMtu>,
}

/// What outer packets of a tunnel have in common, no two tunnels the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outer {
    /// How inner packets are wrapped up.
    pub mode: TunnelMode,
    /// The end here: source of what leaves, destination of what comes.
    pub local: IpAddr,
    /// The other end.
    pub remote: IpAddr,
    /// Of GRE: the key, where there is to be one. A packet without one is of the tunnel without one.
    pub key: Option<u32>,
}

impl TunnelView {
    /// As an operator has it.
    pub fn new(tunnel: &Tunnel) -> Self {
        let (mode, local, remote, key) = tunnel.ends();
        Self {
            outer: Outer {
                mode,
                local,
                remote,
                key,
            },
            is_protected: tunnel.is_protected(),
            ttl: tunnel.ttl,
            df: tunnel.df,
            dscp: tunnel.dscp,
            overhead: tunnel.overhead(),
            path_mtu: Arc::default(),
        }
    }

    /// As an operator has it by now. What was learned of its path counts still, unless that is another.
    pub fn changed(&self, tunnel: &Tunnel) -> Self {
        let mut view = Self::new(tunnel);
        if view.outer == self.outer {
            view.path_mtu = self.path_mtu.clone();
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use packet::MacAddress;

    use super::*;
    use crate::path::{InterfaceView, Interfaces, OptionPolicy};

    fn view(tunnel: Option<&Tunnel>) -> InterfaceView {
        InterfaceView {
            mac: MacAddress::ZERO,
            mtu: 1480,
            kernel_device: false,
            tap: false,
            redirects: false,
            options: OptionPolicy::default(),
            up: Arc::new(AtomicBool::new(true)),
            sources: Arc::default(),
            any_tpid: false,
            sub: None,
            tunnel: tunnel.map(|tunnel| Arc::new(TunnelView::new(tunnel))),
        }
    }

    fn gre(remote: u8, key: Option<u32>) -> Tunnel {
        Tunnel {
            key,
            ..Tunnel::new("t0", TunnelMode::Gre, LOCAL, remote_of(remote))
        }
    }

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn remote_of(last: u8) -> IpAddr {
        [198, 51, 100, last].into()
    }

    #[test]
    fn what_was_learned_of_a_path_counts_as_long_as_its_ends_are_the_same() {
        let before = TunnelView::new(&gre(1, None));
        before.path_mtu.learn(1300, 0, u64::MAX);
        let other_ttl = before.changed(&Tunnel {
            ttl: 7,
            ..gre(1, None)
        });
        assert_eq!((other_ttl.ttl, other_ttl.path_mtu.at(0)), (7, 1300));
        // Packets that are under way as it was are learned of all the same.
        before.path_mtu.learn(1290, 0, u64::MAX);
        assert_eq!(other_ttl.path_mtu.at(0), 1290);
        for other in [gre(2, None), gre(1, Some(7))] {
            assert_eq!(before.changed(&other).path_mtu.at(0), u16::MAX);
        }
    }

    #[test]
    fn a_tunnel_is_found_by_what_its_outer_packets_have_in_common() {
        let mut interfaces = Interfaces::new(vec![view(None)]);
        assert!(!interfaces.has_tunnels());
        // In another order than that in which they are sorted.
        let tunnels = [gre(2, Some(7)), gre(1, None), gre(1, Some(7)), gre(1, Some(0))];
        for (index, tunnel) in (1..).zip(&tunnels) {
            interfaces.set(index, view(Some(tunnel)));
        }
        assert!(interfaces.has_tunnels());
        let find = |interfaces: &Interfaces, remote, key| {
            interfaces.by_outer(TunnelMode::Gre, LOCAL, remote_of(remote), key)
        };
        for (index, tunnel) in (1..).zip(&tunnels) {
            let (mode, local, remote, key) = tunnel.ends();
            assert_eq!(interfaces.by_outer(mode, local, remote, key), Some(index));
            assert_eq!(interfaces.by_outer(mode, remote, local, key), None);
            assert_eq!(interfaces.by_outer(TunnelMode::Ipip, local, remote, key), None);
        }
        assert_eq!(find(&interfaces, 2, None), None);
        assert_eq!((interfaces.port_of(1), interfaces.chain(1).count()), (1, 0));
        assert!(interfaces.tunnel(1).is_some() && interfaces.tunnel(0).is_none());

        // One that is gone stays gone when another comes, and its place may be another's.
        interfaces.remove(3);
        assert!(!interfaces.is_there(3) && interfaces.is_there(0) && interfaces.is_there(1));
        interfaces.set(5, view(Some(&gre(9, None))));
        assert_eq!(find(&interfaces, 1, Some(7)), None);
        assert_eq!(find(&interfaces, 9, None), Some(5));
        interfaces.set(3, view(Some(&gre(8, None))));
        assert!(interfaces.is_there(3));
        assert_eq!(find(&interfaces, 8, None), Some(3));
    }
}
