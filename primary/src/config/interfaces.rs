//! What interfaces say of each other, and their taps: names, devices, MTUs.

use std::collections::HashMap;

use super::network::RawInterface;
use document::Place;
use document::{At, Document};

/// The MTU that every link of IPv6 has (RFC 8200 section 5).
pub(super) const MIN_MTU6: u16 = 1280;

/// Each name once, each device once, and packets as long as IPv6 needs them where there is IPv6.
pub(super) fn check_interfaces(document: &Document<'_>, interfaces: &[RawInterface]) {
    if interfaces.is_empty() {
        document.report_missing("there is no [[interface]]: add one for each port");
    }
    let mut names: HashMap<&str, Place> = HashMap::new();
    let mut devices: HashMap<String, (&str, Place)> = HashMap::new();
    for raw in interfaces {
        let name = raw.label();
        check_mtu(document, raw);
        if let Some(At { place, .. }) = raw.name
            && let Some(first) = names.insert(name, place)
        {
            document.report(
                place,
                format!("there is an interface '{name}' already ({first}): give this one another name"),
            );
        }
        let members = raw.bond.iter().flat_map(|(_, members)| members);
        for At { place, value: device } in raw.device.iter().chain(members) {
            let mut keys = vec![device.pci().map_or_else(
                || format!("device {}", device.name()),
                |pci| format!("PCI device {pci}"),
            )];
            keys.extend(
                device
                    .kernel_interface()
                    .map(|interface| format!("kernel interface {interface}")),
            );
            for key in keys {
                if let Some((other, first)) = devices.insert(key.clone(), (name, *place)) {
                    let sentence = format!("the {key} is '{other}' already ({first}): give '{name}' another");
                    document.report(*place, sentence);
                    break;
                }
            }
        }
    }
}

/// Each tap is an interface of the kernel, beside those of the devices.
pub(super) fn check_taps(document: &Document<'_>, interfaces: &[RawInterface]) {
    let devices: HashMap<&str, &str> = interfaces
        .iter()
        .filter_map(|raw| Some((raw.device.as_ref()?.value.kernel_interface()?, raw.label())))
        .collect();
    let mut names: HashMap<&str, &str> = HashMap::new();
    for raw in interfaces {
        let Some(At { place, value: name }) = &raw.tap else {
            continue;
        };
        let taken = match (devices.get(name.as_str()), names.insert(name, raw.label())) {
            (Some(other), _) => format!("the device of '{other}' is the kernel interface of that name"),
            (None, Some(other)) => format!("that of '{other}' has the name"),
            (None, None) => continue,
        };
        document.report(
            *place,
            format!(
                "the tap of '{}' cannot be named '{name}', {taken}: set tap_name to another",
                raw.label()
            ),
        );
    }
}

/// IPv6 needs an MTU of its own.
fn check_mtu(document: &Document<'_>, raw: &RawInterface) {
    let (Some(mtu), Some(first)) = (
        raw.mtu.as_ref().filter(|mtu| mtu.value < MIN_MTU6),
        raw.addresses.iter().find(|at| at.value.addr().is_ipv6()),
    ) else {
        return;
    };
    let sentence = format!(
        "mtu = {} is too short for IPv6, and {} has {} ({}): give it at least {MIN_MTU6}, or remove that address",
        mtu.value,
        raw.label(),
        first.value,
        first.place
    );
    document.report(mtu.place, sentence);
}
