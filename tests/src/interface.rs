//! One `[[interface]]` of a primary's configuration.

use std::fmt::Write;

use crate::Family;

/// Packets that the kernel keeps for an af_packet port, 0.2 s of the heaviest load of a test. The 1024 of the default are
/// lost packets when a worker that shares its CPU with hosts and compilers is held up for 50 ms.
const RING: u16 = 4096;

/// A port with its addresses.
#[derive(Clone, Debug)]
pub struct Interface {
    name: String,
    /// Devargs; None: af_packet on the kernel link of the same name, numbered by the builder.
    device: Option<String>,
    addresses: Vec<String>,
    mtu: Option<u16>,
    tap: Option<String>,
    redirects: bool,
    hop_by_hop: bool,
}

impl Interface {
    /// A port on the kernel link `link` of the primary's namespace.
    pub fn af_packet(link: &str) -> Self {
        Self {
            name: link.to_owned(),
            device: None,
            addresses: Vec::new(),
            mtu: None,
            tap: None,
            redirects: true,
            hop_by_hop: false,
        }
    }

    /// A port named `name` on a DPDK device, as devargs or a PCI address.
    pub fn device(name: &str, devargs: &str) -> Self {
        Self {
            device: Some(devargs.to_owned()),
            ..Self::af_packet(name)
        }
    }

    /// One more address, as `ADDRESS/LENGTH`.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// The MTU, in bytes of IP packet.
    #[must_use]
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// A tap of this name.
    #[must_use]
    pub fn tap(mut self, name: &str) -> Self {
        self.tap = Some(name.to_owned());
        self
    }

    /// No redirects to those whose packets leave by it again.
    #[must_use]
    pub fn without_redirects(mut self) -> Self {
        self.redirects = false;
        self
    }

    /// Hop-by-hop headers are judged.
    #[must_use]
    pub fn judging_hop_by_hop(mut self) -> Self {
        self.hop_by_hop = true;
        self
    }

    /// Whether it has an IPv6 address.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.addresses
            .iter()
            .any(|address| Family::of(address) == Family::Ip6)
    }

    /// Its section of the file; `number` tells af_packet devices apart.
    pub(crate) fn toml(&self, number: usize) -> String {
        let device = self
            .device
            .clone()
            .unwrap_or_else(|| format!("net_af_packet{number},iface={}", self.name));
        let mut text = format!(
            "\n[[interface]]\nname = {}\ndevice = {}\naddresses = [{}]\n",
            quoted(&self.name),
            quoted(&device),
            quoted_list(&self.addresses)
        );
        if self.device.is_none() {
            let _ = writeln!(text, "rx_descriptors = {RING}");
        }
        if let Some(mtu) = self.mtu {
            let _ = writeln!(text, "mtu = {mtu}");
        }
        if let Some(tap) = &self.tap {
            let _ = writeln!(text, "tap = true\ntap_name = {}", quoted(tap));
        }
        if !self.redirects {
            text.push_str("redirects = false\n");
        }
        if self.hop_by_hop {
            text.push_str("hop_by_hop = \"process\"\n");
        }
        text
    }
}

/// A TOML basic string; JSON's escapes are a subset of TOML's.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// TOML strings with commas between them.
pub(crate) fn quoted_list(values: &[String]) -> String {
    values
        .iter()
        .map(|value| quoted(value))
        .collect::<Vec<_>>()
        .join(", ")
}
