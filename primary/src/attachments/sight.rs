//! On which interfaces a frame is seen, and what it looks like there.
//!
//! ```text
//!   802.1Q 100, IPv4 ─┬─ wan ─────── 802.1Q 100, IPv4
//!                     └─ wan.100 ─── IPv4
//! ```
//!
//! A frame is seen on its port with all of its tags, and on a sub-interface without those that led there, as on a VLAN device of
//! Linux. Who looks at all interfaces sees it once, on the one that it belongs to.

use std::sync::Arc;

use dpdk::Mbuf;
use packet::ethernet::{EthernetHeader, HEADER_LEN, TAG_LEN, VlanTags};
use shm::attachment::Way;

use crate::path::Interfaces;

/// By this name all interfaces are meant, as in libpcap.
const ANY: &str = "any";

/// Whether these names of a request mean all interfaces.
pub fn means_all(names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| name == ANY)
}

/// Which interfaces somebody looks at.
#[derive(Clone, Debug)]
pub struct Sight {
    /// By interface: a bit for each [`Way`].
    ways: Vec<u8>,
    /// By port: the same for it and all of its sub-interfaces.
    ports: Vec<u8>,
    /// All interfaces, where sub-interfaces are among those that are looked at.
    interfaces: Option<Arc<Interfaces>>,
    /// Whether a frame is seen on its own interface only.
    once: bool,
}

impl Sight {
    /// On the interfaces `chosen`, packets of the ways whose bits ([`Way::bit`]) are set; a frame `once`, or on each interface that it passes.
    pub fn new(interfaces: &Arc<Interfaces>, chosen: &[u16], way: u8, once: bool) -> Self {
        let mark = |marks: &mut Vec<u8>, index: u16| {
            let index = usize::from(index);
            marks.resize(marks.len().max(index + 1), 0);
            marks[index] |= way;
        };
        let (mut ways, mut ports) = (Vec::new(), Vec::new());
        for index in chosen {
            mark(&mut ways, *index);
            mark(&mut ports, interfaces.port_of(*index));
        }
        let any_sub = chosen
            .iter()
            .any(|index| interfaces.sub_interface(*index).is_some());
        Self {
            ways,
            ports,
            interfaces: any_sub.then(|| interfaces.clone()),
            once,
        }
    }

    /// Whether frames that come or go by the port of interface `port` may be seen at all.
    #[inline]
    pub fn covers(&self, port: u16, way: Way) -> bool {
        has(&self.ports, port, way)
    }

    /// All ways that packets are seen on, on any interface.
    pub fn ways(&self) -> u8 {
        self.ways.iter().fold(0, |all, ways| all | ways)
    }

    /// Whether frames that are of interface `interface` itself, whatever led there, are seen.
    #[inline]
    pub fn is_on(&self, interface: u16, way: Way) -> bool {
        has(&self.ways, interface, way)
    }

    /// Shows a frame of such an interface, without the tags that led there if it still has them.
    #[inline]
    pub fn own(&self, interface: u16, mbuf: &mut Mbuf, see: impl FnOnce(u16, &mut Mbuf)) {
        let tags = self.interfaces.as_ref().map_or(0, |interfaces| {
            let port = interfaces.port_of(interface);
            let levels = interfaces.levels(port, &tags_of(mbuf.data()));
            let own = levels
                .into_iter()
                .flatten()
                .find(|(index, _)| *index == interface);
            own.map_or(0, |(_, tags)| tags)
        });
        if tags == 0 {
            see(interface, mbuf);
        } else {
            without_tags(mbuf, tags, |mbuf| see(interface, mbuf));
        }
    }

    /// Whether frames are shown as they are on their port, and there alone: none of its sub-interfaces is looked at.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.interfaces.is_none()
    }

    /// Shows a frame that comes or goes by a port that is covered as it looks on each interface that it is seen on.
    #[inline]
    pub fn each(&self, port: u16, way: Way, mbuf: &mut Mbuf, mut see: impl FnMut(u16, &mut Mbuf)) {
        let Some(interfaces) = &self.interfaces else {
            return see(port, mbuf);
        };
        for (interface, tags) in self.places(interfaces, port, way, tags_of(mbuf.data())) {
            if tags == 0 {
                see(interface, mbuf);
            } else {
                without_tags(mbuf, tags, |mbuf| see(interface, mbuf));
            }
        }
    }

    /// The interfaces that a frame is seen on, and how many of its tags are gone there.
    fn places(
        &self,
        interfaces: &Interfaces,
        port: u16,
        way: Way,
        tags: VlanTags,
    ) -> impl Iterator<Item = (u16, usize)> {
        let levels = interfaces.levels(port, &tags);
        let own = levels.into_iter().flatten().last();
        levels
            .into_iter()
            .flatten()
            .filter(move |level| has(&self.ways, level.0, way) && (!self.once || Some(*level) == own))
    }
}

fn tags_of(frame: &[u8]) -> VlanTags {
    EthernetHeader::parse(frame).map_or(VlanTags::NONE, |(header, _)| header.tags)
}

#[inline]
fn has(marks: &[u8], index: u16, way: Way) -> bool {
    marks
        .get(usize::from(index))
        .is_some_and(|ways| ways & way.bit() != 0)
}

/// Shows a frame without its first `tags` tags, which are put back afterwards.
#[cold]
fn without_tags(mbuf: &mut Mbuf, tags: usize, see: impl FnOnce(&mut Mbuf)) {
    const ADDRESSES: usize = HEADER_LEN - 2;
    let gone = tags * TAG_LEN;
    let mut kept = [0; ADDRESSES + 2 * TAG_LEN];
    let kept = &mut kept[..ADDRESSES + gone];
    // A frame whose tags were read has all of these.
    let Some(head) = mbuf.data_mut().get_mut(..kept.len()) else {
        return;
    };
    kept.copy_from_slice(head);
    head.copy_within(..ADDRESSES, gone);
    if mbuf.trim_front(gone).is_ok() {
        see(mbuf);
        // What was just cut off fits in again.
        drop(mbuf.prepend(gone));
    }
    for (to, from) in mbuf.data_mut().iter_mut().zip(kept) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use packet::{EtherType, MacAddress, PacketBuilder, VlanTag};

    use super::*;
    use crate::path::{InterfaceView, OptionPolicy, SubInterface};

    const WAN: u16 = 0;
    const LAN: u16 = 1;
    const SERVICE: u16 = 2;
    const INNER: u16 = 3;
    const Q100: u16 = 4;
    const BOTH: u8 = Way::Rx.bit() | Way::Tx.bit();

    fn tag(tpid: EtherType, tci: u16) -> VlanTag {
        VlanTag { tpid, tci }
    }

    /// Two ports; on the first a service VLAN with a customer's in it, and another.
    fn interfaces() -> Arc<Interfaces> {
        let service = VlanTags::one(tag(EtherType::SERVICE_VLAN, 200));
        let subs = [
            (WAN, service),
            (SERVICE, service.with_inner(tag(EtherType::VLAN, 7)).unwrap()),
            (WAN, VlanTags::one(tag(EtherType::VLAN, 100))),
        ];
        let subs = subs.map(|(parent, tags)| {
            Some(SubInterface {
                port: WAN,
                parent,
                tags,
            })
        });
        let views = [None, None].into_iter().chain(subs).map(|sub| InterfaceView {
            mac: MacAddress::BROADCAST,
            mtu: 1500,
            kernel_device: false,
            tap: false,
            redirects: false,
            options: OptionPolicy::default(),
            up: Arc::default(),
            sources: Arc::default(),
            any_tpid: false,
            sub,
            tunnel: None,
        });
        Arc::new(Interfaces::new(views.collect()))
    }

    fn frame(tags: &[(EtherType, u16)]) -> Vec<u8> {
        let frame = PacketBuilder::ethernet(MacAddress::BROADCAST, MacAddress::BROADCAST);
        let frame = tags
            .iter()
            .fold(frame, |frame, (tpid, tci)| frame.tag(tag(*tpid, *tci)));
        frame
            .ipv4([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
            .udp(1, 2, b"x")
    }

    const TWO: &[(EtherType, u16)] = &[(EtherType::SERVICE_VLAN, 200), (EtherType::VLAN, 7)];
    const UNKNOWN_IN_SERVICE: &[(EtherType, u16)] = &[(EtherType::SERVICE_VLAN, 200), (EtherType::VLAN, 8)];
    const ONE: &[(EtherType, u16)] = &[(EtherType::VLAN, 100)];
    const PRIORITY: &[(EtherType, u16)] = &[(EtherType::VLAN, 0), (EtherType::VLAN, 100)];
    const UNKNOWN: &[(EtherType, u16)] = &[(EtherType::VLAN, 8)];

    fn seen(chosen: &[u16], once: bool, tags: &[(EtherType, u16)]) -> Vec<(u16, usize)> {
        let interfaces = interfaces();
        let sight = Sight::new(&interfaces, chosen, BOTH, once);
        let tags = tags_of(&frame(tags));
        sight.places(&interfaces, WAN, Way::Rx, tags).collect()
    }

    #[test]
    fn a_frame_is_seen_on_all_interfaces_that_it_passes() {
        let all = [WAN, LAN, SERVICE, INNER, Q100];
        assert_eq!(seen(&all, false, &[]), [(WAN, 0)]);
        assert_eq!(seen(&all, false, ONE), [(WAN, 0), (Q100, 1)]);
        assert_eq!(seen(&all, false, TWO), [(WAN, 0), (SERVICE, 1), (INNER, 2)]);
        assert_eq!(seen(&all, false, PRIORITY), [(WAN, 0), (Q100, 2)]);
        assert_eq!(seen(&all, false, UNKNOWN), [(WAN, 0)]);
        assert_eq!(seen(&all, false, UNKNOWN_IN_SERVICE), [(WAN, 0), (SERVICE, 1)]);
        assert_eq!(seen(&[SERVICE], false, TWO), [(SERVICE, 1)]);
        assert_eq!(seen(&[Q100], false, TWO), []);
    }

    #[test]
    fn who_looks_at_all_interfaces_sees_a_frame_once_on_its_own() {
        let all = [WAN, LAN, SERVICE, INNER, Q100];
        assert_eq!(seen(&all, true, &[]), [(WAN, 0)]);
        assert_eq!(seen(&all, true, ONE), [(Q100, 1)]);
        assert_eq!(seen(&all, true, TWO), [(INNER, 2)]);
        assert_eq!(seen(&all, true, UNKNOWN), [(WAN, 0)]);
    }

    #[test]
    fn a_frame_that_a_tool_has_is_seen_at_that_point_alone() {
        let interfaces = interfaces();
        for chosen in Way::ALL {
            let sight = Sight::new(&interfaces, &[LAN], chosen.bit(), false);
            for way in Way::ALL {
                assert_eq!(sight.covers(LAN, way), way == chosen);
            }
        }
    }

    #[test]
    fn a_port_is_covered_when_it_or_a_sub_interface_of_it_is_looked_at() {
        let interfaces = interfaces();
        let sight = Sight::new(&interfaces, &[INNER], Way::Tx.bit(), false);
        assert!(sight.covers(WAN, Way::Tx) && !sight.covers(WAN, Way::Rx));
        assert!(!sight.covers(LAN, Way::Tx));
        // Without a sub-interface nobody looks for tags.
        let sight = Sight::new(&interfaces, &[LAN], BOTH, false);
        assert!(sight.interfaces.is_none() && sight.covers(LAN, Way::Rx) && !sight.covers(WAN, Way::Rx));
    }
}
