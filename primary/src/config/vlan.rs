//! Sub-interfaces: an `[[interface]]` with `link` and `id` instead of `device`.

use std::collections::HashMap;

use control::message::VlanProtocol;

use super::SubInterface;
use super::network::{RawInterface, no_such_interface};
use document::Place;
use document::{At, Document, Section};

/// What makes an `[[interface]]` a sub-interface.
pub(super) struct RawVlan {
    pub(super) link: At<String>,
    protocol: VlanProtocol,
    id: Option<At<u16>>,
}

impl RawVlan {
    pub(super) fn parse(section: &Section<'_>) -> Option<Self> {
        let link = section.string("link").map(|at| at.map(str::to_owned));
        let protocol = section.string("protocol");
        let id = section.integer("id", 1..=4094);
        let Some(link) = link else {
            let stray = [
                protocol.as_ref().map(|at| ("protocol", at.place)),
                id.as_ref().map(|at| ("id", at.place)),
            ];
            for (key, place) in stray.into_iter().flatten() {
                let sentence = format!(
                    "{key} is of a sub-interface: add link = \"wan\" with the interface that it is on, or remove {key}"
                );
                section.document.report(place, sentence);
            }
            return None;
        };
        section.missing("id", "100");
        let protocol = protocol.and_then(|text| section.parse::<VlanProtocol>(&text));
        Some(Self {
            link,
            protocol: protocol.map_or(VlanProtocol::Dot1q, |at| at.value),
            id,
        })
    }
}

/// The sub-interfaces, each after the one that it is on: of what is wrong with one, or with what it is on, it is left out.
pub(super) fn sub_interfaces(document: &Document<'_>, all: &[RawInterface], limit: u32) -> Vec<SubInterface> {
    let names: Vec<&str> = all
        .iter()
        .filter_map(|raw| Some(raw.name.as_ref()?.value.as_str()))
        .collect();
    let vlans: Vec<(&RawInterface, &RawVlan)> = all
        .iter()
        .filter_map(|raw| Some((raw, raw.vlan.as_ref()?)))
        .collect();
    if let Some((_, vlan)) = vlans.get(limit as usize) {
        let sentence = format!(
            "there are {} sub-interfaces and [limits] has room for {limit}: raise sub_interfaces there",
            vlans.len()
        );
        document.report(vlan.link.place, sentence);
    }
    for (_, vlan) in &vlans {
        if !names.contains(&vlan.link.value.as_str()) {
            document.report(vlan.link.place, no_such_interface(&vlan.link.value, &names));
        }
    }
    check_identifiers(document, &vlans);
    // By name: how many tags its frames have, and its MTU.
    let mut known: HashMap<&str, (usize, u16)> = all
        .iter()
        .filter(|raw| raw.vlan.is_none())
        .map(|raw| (raw.label(), (0, raw.mtu.as_ref().map_or(1500, |at| at.value))))
        .collect();
    let mut found = Vec::new();
    let mut left = vlans;
    loop {
        let before = left.len();
        left.retain(|(raw, vlan)| {
            let Some((tags, most)) = known.get(vlan.link.value.as_str()).copied() else {
                return true;
            };
            if tags == 2 {
                let sentence = format!(
                    "frames of {} have two tags already, and no more are read: put '{}' on another interface",
                    vlan.link.value,
                    raw.label()
                );
                document.report(vlan.link.place, sentence);
                return false;
            }
            let mtu = raw.mtu.as_ref().map_or(most, |at| at.value);
            if let Some(at) = raw.mtu.as_ref().filter(|at| at.value > most) {
                let sentence = format!(
                    "mtu = {} is longer than what {} carries: give '{}' at most {most}",
                    at.value,
                    vlan.link.value,
                    raw.label()
                );
                document.report(at.place, sentence);
            }
            known.insert(raw.label(), (tags + 1, mtu));
            if let (Some(name), Some(id)) = (&raw.name, &vlan.id) {
                found.push(SubInterface {
                    name: name.value.clone(),
                    link: vlan.link.value.clone(),
                    protocol: vlan.protocol,
                    id: id.value,
                    mtu,
                    up: raw.up,
                    addresses: raw.addresses.iter().map(|at| at.value).collect(),
                    tap: raw.tap.as_ref().map(|at| at.value.clone()),
                    redirects: raw.redirects,
                    hop_by_hop: raw.hop_by_hop,
                });
            }
            false
        });
        if left.len() == before {
            break;
        }
    }
    for (raw, vlan) in left {
        if names.contains(&vlan.link.value.as_str()) {
            let sentence = format!(
                "'{}' is on '{}', which leads to no device: put one of them on an interface that has one",
                raw.label(),
                vlan.link.value
            );
            document.report(vlan.link.place, sentence);
        }
    }
    found
}

/// No two of one interface with the same tag.
fn check_identifiers(document: &Document<'_>, vlans: &[(&RawInterface, &RawVlan)]) {
    let mut seen: HashMap<(&str, &str, u16), (&str, Place)> = HashMap::new();
    for (raw, vlan) in vlans {
        let Some(id) = &vlan.id else { continue };
        let key = (vlan.link.value.as_str(), vlan.protocol.name(), id.value);
        if let Some((other, first)) = seen.insert(key, (raw.label(), id.place)) {
            let sentence = format!(
                "VLAN {} of {} on {} is '{other}' already ({first}): give '{}' another",
                id.value,
                vlan.protocol.name(),
                vlan.link.value,
                raw.label()
            );
            document.report(id.place, sentence);
        }
    }
}
