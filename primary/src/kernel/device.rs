//! One tap: made, and brought to what its interface is like.

use std::sync::Arc;

use ipnet::IpNet;
use nix::net::if_::if_nametoindex;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::netlink::Netlink;
use super::{KernelError, Like, TapState, sysctl};

/// What the kernel is told of a tap once. Addresses are the gateway's to find and to defend, RFC 4862.
const ONCE: [(&str, &str); 9] = [
    ("ipv4/conf/{}/promote_secondaries", "1"),
    ("ipv6/conf/{}/accept_ra", "0"),
    ("ipv6/conf/{}/autoconf", "0"),
    ("ipv6/conf/{}/accept_dad", "0"),
    ("ipv6/conf/{}/dad_transmits", "0"),
    ("ipv6/conf/{}/router_solicitations", "0"),
    // No link-local address of the kernel's own making.
    ("ipv6/conf/{}/addr_gen_mode", "1"),
    ("ipv6/conf/{}/use_tempaddr", "0"),
    (IPV6_OFF, "1"),
];
/// On until the first IPv6 address comes: the kernel then says nothing by itself.
const IPV6_OFF: &str = "ipv6/conf/{}/disable_ipv6";

/// A kernel interface that belongs to one of the gateway's.
pub(super) struct Tap {
    name: String,
    index: u32,
    pub(super) device: Arc<SyncDevice>,
    /// What the kernel was brought to.
    applied: TapState,
}

impl Tap {
    /// Makes the tap of an interface, down and without addresses.
    pub(super) fn make(like: &Like<'_>, name: &str) -> Result<Self, KernelError> {
        if if_nametoindex(name).is_ok() {
            return Err(KernelError::Exists {
                interface: like.interface.to_owned(),
                tap: name.to_owned(),
            });
        }
        let refused = |step| {
            move |source| KernelError::Refused {
                interface: like.interface.to_owned(),
                tap: name.to_owned(),
                step,
                source,
            }
        };
        let device = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L2)
            .mac_addr(like.mac.octets())
            .mtu(like.mtu)
            .enable(false)
            .build_sync()
            .map_err(refused("make"))?;
        device.set_nonblocking(true).map_err(refused("prepare"))?;
        for (setting, value) in ONCE {
            sysctl::set(&setting.replace("{}", name), value).map_err(refused("set the parameters of"))?;
        }
        let index = if_nametoindex(name).map_err(|errno| refused("find")(errno.into()))?;
        Ok(Self {
            name: name.to_owned(),
            index,
            device: Arc::new(device),
            applied: TapState {
                link_up: true,
                ..TapState::default()
            },
        })
    }

    /// Brings it to a state.
    pub(super) fn sync(&mut self, netlink: &mut Netlink, wanted: &TapState) {
        if *wanted == self.applied {
            return;
        }
        let is_ipv6 = |net: &IpNet| net.addr().is_ipv6();
        if wanted.addresses.iter().any(is_ipv6) != self.applied.addresses.iter().any(is_ipv6) {
            self.switch_ipv6(wanted.addresses.iter().any(is_ipv6));
        }
        if wanted.admin_up != self.applied.admin_up {
            let done = netlink.set_up(self.index, wanted.admin_up);
            if self.succeeded("set it up or down", done) {
                self.applied.admin_up = wanted.admin_up;
                // Of an interface that goes down the kernel forgets IPv6 addresses.
                self.applied.addresses.retain(|net| !is_ipv6(net));
            }
        }
        if wanted.link_up != self.applied.link_up {
            let done = netlink.set_carrier(self.index, wanted.link_up);
            if self.succeeded("set its carrier", done) {
                self.applied.link_up = wanted.link_up;
            }
        }
        self.sync_addresses(netlink, wanted);
    }

    fn sync_addresses(&mut self, netlink: &mut Netlink, wanted: &TapState) {
        let applied = self.applied.addresses.clone();
        for net in applied.difference(&wanted.addresses) {
            let done = netlink.delete_address(self.index, *net);
            if self.succeeded(&format!("take the address {net} from it"), done) {
                self.applied.addresses.remove(net);
            }
        }
        for net in wanted.addresses.difference(&applied) {
            // It would be forgotten again.
            if net.addr().is_ipv6() && !wanted.admin_up {
                continue;
            }
            let done = netlink.add_address(self.index, *net);
            if self.succeeded(&format!("give it the address {net}"), done) {
                self.applied.addresses.insert(*net);
            }
        }
    }

    fn switch_ipv6(&mut self, on: bool) {
        let done = sysctl::set(&IPV6_OFF.replace("{}", &self.name), if on { "0" } else { "1" });
        if self.succeeded("switch IPv6 on or off", done) && !on {
            // They went with it.
            self.applied.addresses.retain(|net| net.addr().is_ipv4());
        }
    }

    fn succeeded(&self, step: &str, done: std::io::Result<()>) -> bool {
        if let Err(error) = &done {
            tracing::warn!(target: "tap", "{}: the kernel does not let the gateway {step}: {error}", self.name);
        }
        done.is_ok()
    }
}
