//! Bonds: an `[[interface]]` whose device is net_bonding, and the devices that are one in it.

use super::Device;
use document::{At, Section};

/// The most devices in one: those of DPDK's ports beside it.
const MAX_MEMBERS: usize = 8;

/// Devices that are one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// How packets are shared out among them.
    pub mode: BondMode,
    /// The devices.
    pub members: Vec<Device>,
}

/// How packets are shared out among the members of a bond. The numbers are DPDK's, and the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondMode {
    /// By turns.
    RoundRobin = 0,
    /// By flow among those that the other end has agreed to by LACP, IEEE 802.1AX.
    Lacp = 4,
}

/// The keys of a bond, as far as they are there. `is_bond` says whether they should be.
pub(super) fn parse(section: &Section<'_>, is_bond: bool) -> Option<(BondMode, Vec<At<Device>>)> {
    let mode = section.integer::<u16>("mode", 0..=4);
    let members = section.strings("members");
    if !is_bond {
        let places = [
            mode.map(|at| at.place),
            members.as_ref().and_then(|all| Some(all.first()?.place)),
        ];
        for place in places.into_iter().flatten() {
            let sentence = "mode and members are of a bond: write device = \"net_bonding0\", or remove them";
            section.document.report(place, sentence);
        }
        return None;
    }
    section.missing("mode", "4");
    section.missing(
        "members",
        "[\"net_af_packet0,iface=eth1\", \"net_af_packet1,iface=eth2\"]",
    );
    let (mode, members) = (mode?, members?);
    let found = match mode.value {
        0 => Some(BondMode::RoundRobin),
        4 => Some(BondMode::Lacp),
        other => {
            let sentence = format!("mode = {other} is not supported: use 0, round robin, or 4, LACP");
            section.document.report(mode.place, sentence);
            None
        }
    };
    if !(1..=MAX_MEMBERS).contains(&members.len()) {
        let sentence = format!(
            "a bond of {} devices cannot be: name 1 to {MAX_MEMBERS} in members",
            members.len()
        );
        section.document.report(section.place, sentence);
    }
    let members = members
        .iter()
        .filter_map(|text| section.parse::<Device>(text))
        .collect();
    Some((found?, members))
}
