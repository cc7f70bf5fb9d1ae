//! Kernel parameters of this network namespace, and what keeps the kernel silent on a device that is the gateway's.
//!
//! An af_packet port sees copies of what the kernel gets on the device beneath. As long as the kernel has no address, it drops its
//! copy. With a tap it has the gateway's addresses, on whatever interface packets for them come in, and would answer ARP,
//! echo requests and TCP a second time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/proc/sys/net";

/// Sets a parameter, by its path below /proc/sys/net. One that this kernel lacks is passed over: it may have no IPv6.
pub(super) fn set(parameter: &str, value: &str) -> io::Result<()> {
    match fs::write(Path::new(ROOT).join(parameter), value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What silences the kernel on a device.
const SILENT: [(&str, &str); 3] = [
    // Only packets whose source is reached by this device, and that is none: RFC 3704 section 2.2.
    ("ipv4/conf/{}/rp_filter", "1"),
    // No answer to ARP.
    ("ipv4/conf/{}/arp_ignore", "8"),
    ("ipv6/conf/{}/disable_ipv6", "1"),
];
/// The larger of this and the device's counts, and 2 lets pass what the device's 1 drops.
const FILTER_OF_ALL: &str = "ipv4/conf/all/rp_filter";

/// A device on which the kernel is silent; dropped, it has its parameters back.
#[derive(Debug)]
pub(super) struct Silenced {
    before: Vec<(PathBuf, String)>,
}

impl Silenced {
    /// Silences the kernel on a device. Fails with the file that cannot be written.
    pub(super) fn new(device: &str) -> Result<Self, (String, io::Error)> {
        let mut silenced = Self { before: Vec::new() };
        for (setting, value) in SILENT {
            let file = Path::new(ROOT).join(setting.replace("{}", device));
            let Ok(before) = fs::read_to_string(&file) else {
                // This kernel has no IPv6, or no such device, which opening the port tells.
                continue;
            };
            if before.trim() != value {
                fs::write(&file, value).map_err(|error| (file.display().to_string(), error))?;
                silenced.before.push((file, before));
            }
        }
        let all = fs::read_to_string(Path::new(ROOT).join(FILTER_OF_ALL)).unwrap_or_default();
        if all.trim() == "2" {
            tracing::warn!(
                target: "tap",
                "net.ipv4.conf.all.rp_filter is 2, so the kernel answers on {device} beside its tap: run 'sysctl -w \
                 net.ipv4.conf.all.rp_filter=0' in this namespace"
            );
        }
        Ok(silenced)
    }
}

impl Drop for Silenced {
    fn drop(&mut self) {
        for (file, before) in &self.before {
            // A device that is gone needs none.
            drop(fs::write(file, before));
        }
    }
}
