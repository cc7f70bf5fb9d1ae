//! Two gateways with a tunnel between them, and a daemon at each.
//!
//! ```text
//!   host-a eth0 ─── a0  west  w0 ─────────── e0  east  b0 ─── eth0 host-b
//!          .1.2    .1.1      10.0.0.1   10.0.0.2      .2.1    .2.2
//!                  initiator                responder
//! ```

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Family, Namespace, Primary, PrimaryBuilder, Privilege, Process, TwoGateways, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// The tunnel at both ends.
pub(crate) const TUNNEL: &str = "ipsec0";

/// The gateways. Daemons are started on them.
pub(crate) struct Site {
    // End before their namespaces do.
    pub(crate) west: Primary,
    pub(crate) east: Primary,
    pub(crate) host_a: Namespace,
    _host_b: Namespace,
    pub(crate) over: Family,
    files: TempDir,
    _gateways: [Namespace; 2],
}

/// What is different about a configuration.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes<'c> {
    /// The key, if another one.
    pub(crate) psk: Option<&'c str>,
    /// More lines of the profile.
    pub(crate) profile: &'c str,
    /// More lines of its child.
    pub(crate) child: &'c str,
    /// Lines before all others.
    pub(crate) ike: &'c str,
}

/// The lines of a primary, 1 or 2, for the tunnel and what is behind it.
pub(crate) fn tunnel_toml(over: Family, number: u8) -> String {
    let there = 3 - number;
    let inside = if number == 1 { "a0" } else { "b0" };
    let (local, remote) = (
        TwoGateways::outside(over, number),
        TwoGateways::outside(over, there),
    );
    let mut text = format!(
        "[[tunnel]]\nname = \"{TUNNEL}\"\nmode = \"esp\"\nlocal = \"{local}\"\nremote = \"{remote}\"\nunnumbered = \"{inside}\"\n"
    );
    for family in Family::BOTH {
        let prefix = network(family, there);
        text += &format!("[[route]]\nprefix = \"{prefix}\"\ntunnel = \"{TUNNEL}\"\n");
    }
    text
}

/// Starts the daemon of a primary, and waits until it has its packets.
pub(crate) fn daemon_of(primary: &Primary, config: &Path) -> Process {
    let words = ["--config", config.to_str().unwrap()];
    let tool = primary.tool("negotiates", "tollgate-ikev2d", &words);
    let mut daemon = tool.unwrap().start().unwrap();
    daemon
        .wait_for_stderr("attached", LIMIT, |line| line.starts_with("attached to instance"))
        .unwrap();
    daemon
}

/// The network of a host, 1 or 2.
pub(crate) fn network(family: Family, number: u8) -> String {
    family.choose(
        format!("192.168.{number}.0/24"),
        format!("2001:db8:{number}::/64"),
    )
}

/// The address of a host, 1 or 2.
pub(crate) fn host_address(family: Family, host: u8) -> String {
    family.choose(format!("192.168.{host}.2"), format!("2001:db8:{host}::2"))
}

/// Writes the configuration of the daemon of a gateway, 1 or 2, into a folder. AES-GCM-256, MODP-2048 and ESN, unless something else is said.
pub(crate) fn configure(folder: &Path, over: Family, number: u8, changes: Changes<'_>) -> PathBuf {
    let there = 3 - number;
    let key = folder.join(format!("{number}.psk"));
    fs::write(&key, changes.psk.unwrap_or("Vpp123")).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let list = |number| {
        let networks = Family::BOTH.map(|family| format!("\"{}\"", network(family, number)));
        networks.join(", ")
    };
    let proposal = |key: &str, default: &str, lines: &str| {
        if lines.contains(key) {
            String::new()
        } else {
            format!("{key} = [\"{default}\"]\n")
        }
    };
    let text = format!(
        "{}\n[[profile]]\nname = \"pr1\"\nlocal_address = \"{}\"\nremote_address = \"{}\"\npsk_file = \"{number}.psk\"\n{}{}\n\
         [[profile.child]]\nname = \"net\"\ntunnel = \"{TUNNEL}\"\nlocal_ts = [{}]\nremote_ts = [{}]\n{}{}\n",
        changes.ike,
        TwoGateways::outside(over, number),
        TwoGateways::outside(over, there),
        proposal("ike_proposals", "aes256gcm16-prfsha256-modp2048", changes.profile),
        changes.profile,
        list(number),
        list(there),
        proposal("esp_proposals", "aes256gcm16-esn", changes.child),
        changes.child,
    );
    let path = folder.join(format!("{number}.toml"));
    fs::write(&path, text).unwrap();
    path
}

impl Site {
    /// With a tunnel over packets of a family, and routes of both into it; without SAs or daemons.
    pub(crate) fn create(over: Family) -> Self {
        Self::create_with(over, |primary| primary)
    }

    /// As [`Site::create`], with primaries that are started as `change` makes them.
    pub(crate) fn create_with(over: Family, change: impl Fn(PrimaryBuilder) -> PrimaryBuilder) -> Self {
        let addresses = |family, host| vec![host_address(family, host)];
        let both = TwoGateways::create(Privilege::detect(), 1500, addresses, |primary: PrimaryBuilder| {
            let number = if primary.config_text().contains("iface=a0") {
                1
            } else {
                2
            };
            change(primary.toml(&tunnel_toml(over, number)))
        });
        let TwoGateways {
            west,
            east,
            host_a,
            host_b,
            gateways,
        } = both.unwrap();
        Self {
            west,
            east,
            host_a,
            _host_b: host_b,
            over,
            files: TempDir::new().unwrap(),
            _gateways: gateways,
        }
    }

    /// The gateway of this number.
    pub(crate) fn primary(&self, number: u8) -> &Primary {
        if number == 1 { &self.west } else { &self.east }
    }

    /// Writes the configuration of the daemon of a gateway, 1 or 2.
    pub(crate) fn configure(&self, number: u8, changes: Changes<'_>) -> PathBuf {
        configure(self.files.path(), self.over, number, changes)
    }

    /// Starts the daemon of a gateway, 1 or 2, and waits until it has its packets.
    pub(crate) fn daemon(&self, number: u8, changes: Changes<'_>) -> Process {
        let config = self.configure(number, changes);
        self.daemon_by(number, &config)
    }

    /// Starts it with this configuration.
    pub(crate) fn daemon_by(&self, number: u8, config: &Path) -> Process {
        daemon_of(self.primary(number), config)
    }

    /// Both daemons.
    pub(crate) fn daemons(&self, changes: Changes<'_>) -> [Process; 2] {
        [1, 2].map(|number| self.daemon(number, changes))
    }

    /// The IKE SAs of a gateway that are established.
    pub(crate) fn established(&self, number: u8) -> Vec<Value> {
        let all = self.primary(number).ctl_json(&["ike", "show"]).unwrap();
        let all = all.as_array().unwrap().iter();
        all.filter(|sa| sa["state"] == "established").cloned().collect()
    }

    /// What a daemon shows beside its SAs.
    pub(crate) fn details(&self, number: u8) -> Value {
        self.primary(number)
            .ctl_json(&["ike", "show", "--details"])
            .unwrap()
    }

    /// Inbound and outbound SPIs of the SAs that a primary has for the tunnel, in order.
    pub(crate) fn spis(&self, number: u8) -> (Vec<u64>, Vec<u64>) {
        let sas = self.primary(number).ctl_json(&["sa", "show"]).unwrap();
        let of = |direction: &str| {
            let all = sas.as_array().unwrap().iter();
            let mut spis: Vec<u64> = all
                .filter(|sa| sa["direction"] == direction && sa["tunnel"] == TUNNEL)
                .map(|sa| sa["spi"].as_u64().unwrap())
                .collect();
            spis.sort_unstable();
            spis
        };
        (of("in"), of("out"))
    }

    /// Waits until each end has one SA of each direction, which is that of the other.
    #[track_caller]
    pub(crate) fn wait_for_one_pair(&self) {
        wait_until("one pair of SAs at both ends", LIMIT, || {
            let (west, east) = (self.spis(1), self.spis(2));
            let is_one = west.0.len() == 1 && west.1.len() == 1;
            Ok((is_one && west.0 == east.1 && west.1 == east.0).then_some(()))
        })
        .unwrap();
    }

    /// Waits until no end has an SA.
    #[track_caller]
    pub(crate) fn wait_for_none(&self) {
        let nothing = (Vec::new(), Vec::new());
        wait_until("no SA at either end", LIMIT, || {
            Ok((self.spis(1) == nothing && self.spis(2) == nothing).then_some(()))
        })
        .unwrap();
    }

    /// Pings from host-a through the tunnel, of which each has to be answered.
    #[track_caller]
    pub(crate) fn ping(&self, family: Family, words: &[&str]) {
        let pings = self.host_a.ping(&host_address(family, 2), words, LIMIT).unwrap();
        pings.assert_all_answered();
    }

    /// Waits until pings go through the tunnel: neighbours are known then.
    pub(crate) fn warm_up(&self) {
        for family in Family::BOTH {
            wait_until("that pings go through the tunnel", LIMIT, || {
                let to = host_address(family, 2);
                let pings = self.host_a.ping(&to, &["-c", "1", "-W", "1"], LIMIT)?;
                Ok(pings.all_answered().then_some(()))
            })
            .unwrap();
        }
    }

    /// Each packet of both gateways is accounted for.
    #[track_caller]
    pub(crate) fn assert_balanced(&self) {
        for number in [1, 2] {
            self.primary(number).counters_at_rest().unwrap().assert_balanced();
        }
    }
}
