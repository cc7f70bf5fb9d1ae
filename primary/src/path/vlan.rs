//! Sub-interfaces: which of them a tagged frame belongs to, IEEE 802.1Q clauses 6.9 and 9.
//!
//! ```text
//!   port wan ─┬─ untagged, VLAN 0 ────────► wan
//!             ├─ 802.1Q 100 ──────────────► wan.100
//!             └─ 802.1ad 200, 802.1Q 7 ───► wan.200.7, a sub-interface of wan.200
//! ```
//!
//! Tags of VLAN 0 carry a priority only and are passed over, wherever they stand. What leaves by a sub-interface is
//! untagged until [`crate::worker`] hands it to the port.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use control::message::TunnelMode;
use packet::EtherType;
use packet::ethernet::{EthernetHeader, HEADER_LEN, VlanTag, VlanTags};

use super::{InterfaceView, Note, Outer, PathMtu, TunnelView};

/// What makes an interface a sub-interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubInterface {
    /// Index of the port's interface, by which its frames come and go.
    pub port: u16,
    /// Index of the interface that it was made on: the port's, or another sub-interface.
    pub parent: u16,
    /// The tags of its frames, outermost first.
    pub tags: VlanTags,
}

/// All interfaces by index, the sub-interfaces by their tags, and the tunnels by their outer packets.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    views: Vec<InterfaceView>,
    /// Sorted.
    by_tags: Vec<(Key, u16)>,
    /// Sorted.
    by_outer: Vec<(Outer, u16)>,
    /// By index, of tunnels that ESP protects: what was learned of the path. Empty where there is none.
    esp: Vec<Option<Arc<PathMtu>>>,
    /// By index: whether it was taken out, and no other has its place.
    gone: Vec<bool>,
    /// By index: whether the kernel gets packets of the interface, or of a sub-interface whose port's it is.
    tapped: Vec<bool>,
}

/// Port, EtherTypes and identifiers; an inner tag that is not there is zero.
type Key = (u16, [(u16, u16); 2]);

/// The key of frames with these tags; `None` where no tag names a VLAN.
fn key(port: u16, tags: &VlanTags) -> Option<Key> {
    let mut named = tags
        .iter()
        .filter(|tag| tag.vid() != 0)
        .map(|tag| (tag.tpid.0, tag.vid()));
    let outer = named.next()?;
    Some((port, [outer, named.next().unwrap_or_default()]))
}

impl Interfaces {
    /// These interfaces.
    pub fn new(views: Vec<InterfaceView>) -> Self {
        let mut interfaces = Self {
            views,
            ..Self::default()
        };
        interfaces.sort();
        interfaces
    }

    /// Puts an interface at an index, over what was there. Between the last index and this one there must be none.
    pub fn set(&mut self, index: u16, view: InterfaceView) {
        match self.views.get_mut(usize::from(index)) {
            Some(place) => *place = view,
            None => self.views.push(view),
        }
        self.mark(index, false);
    }

    /// Takes a sub-interface or a tunnel out: no frame belongs to it any more, and none leaves by it.
    pub fn remove(&mut self, index: u16) {
        if let Some(view) = self.views.get_mut(usize::from(index)) {
            // It still says which port its last packets came by.
            view.up = Arc::new(AtomicBool::new(false));
        }
        self.mark(index, true);
    }

    fn mark(&mut self, index: u16, gone: bool) {
        self.gone.resize(self.views.len(), false);
        if let Some(place) = self.gone.get_mut(usize::from(index)) {
            *place = gone;
        }
        self.sort();
    }

    fn is_gone(&self, index: u16) -> bool {
        self.gone.get(usize::from(index)) == Some(&true)
    }

    fn sort(&mut self) {
        let there = || (0..).zip(&self.views).filter(|(index, _)| !self.is_gone(*index));
        let keys = there().filter_map(|(index, view)| {
            let sub = view.sub?;
            Some((key(sub.port, &sub.tags)?, index))
        });
        let mut by_tags: Vec<(Key, u16)> = keys.collect();
        by_tags.sort_unstable();
        let tunnels = there().filter_map(|(index, view)| Some((view.tunnel.as_ref()?.outer, index)));
        let mut by_outer: Vec<(Outer, u16)> = tunnels.collect();
        by_outer.sort_unstable();
        self.esp.clear();
        for (_, index) in &by_outer {
            let view = self.views.get(usize::from(*index));
            let tunnel = view.and_then(|view| view.tunnel.as_ref());
            if let Some(tunnel) = tunnel.filter(|tunnel| tunnel.is_protected) {
                self.esp.resize(self.views.len(), None);
                if let Some(place) = self.esp.get_mut(usize::from(*index)) {
                    *place = Some(tunnel.path_mtu.clone());
                }
            }
        }
        (self.by_tags, self.by_outer) = (by_tags, by_outer);
        self.tapped = self.views.iter().map(|view| view.tap).collect();
        for view in &self.views {
            if let (true, Some(sub)) = (view.tap, view.sub)
                && let Some(port) = self.tapped.get_mut(usize::from(sub.port))
            {
                *port = true;
            }
        }
    }

    /// Whether the kernel gets packets that come by the port of interface `port`.
    #[inline]
    pub(super) fn is_tapped(&self, port: u16) -> bool {
        self.tapped.get(usize::from(port)) == Some(&true)
    }

    /// An interface.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&InterfaceView> {
        self.views.get(index)
    }

    /// Why an interface is a sub-interface, if it is one.
    pub fn sub_interface(&self, index: u16) -> Option<SubInterface> {
        self.views.get(usize::from(index))?.sub
    }

    /// The interface of the port that frames of an interface come and go by: its own, where it is a port's, or a tunnel's, which
    /// is on no port.
    pub fn port_of(&self, index: u16) -> u16 {
        self.sub_interface(index).map_or(index, |sub| sub.port)
    }

    /// The sub-interface, and the interface it was made on, and so on to that of the port, which is left out.
    pub fn chain(&self, index: u16) -> impl Iterator<Item = (u16, SubInterface)> + '_ {
        let link = |index| Some((index, self.sub_interface(index)?));
        std::iter::successors(link(index), move |(_, sub)| link(sub.parent))
    }

    /// The interfaces that frames with such tags pass which come or go by the port of interface `port`: it, and each
    /// sub-interface with the number of tags that led there. The last is their own.
    pub fn levels(&self, port: u16, tags: &VlanTags) -> [Option<(u16, usize)>; 3] {
        let sub = |tags: VlanTags| {
            let index = self.by_tags(port, &tags).filter(|index| *index != port)?;
            Some((index, tags.count()))
        };
        let outer = tags.outer().and_then(|tag| sub(VlanTags::one(tag)));
        let both = tags.inner().and_then(|_| sub(*tags));
        // An inner tag may name no VLAN.
        let both = both.filter(|(index, _)| outer.is_none_or(|(outer, _)| outer != *index));
        [Some((port, 0)), outer, both]
    }

    /// Whether there is a tunnel.
    #[inline]
    pub fn has_tunnels(&self) -> bool {
        !self.by_outer.is_empty()
    }

    /// Whether there is a tunnel that ESP protects.
    #[inline]
    pub fn has_esp(&self) -> bool {
        !self.esp.is_empty()
    }

    /// Whether an interface is a tunnel that ESP protects.
    #[inline]
    pub fn is_esp(&self, index: u16) -> bool {
        self.esp_path(index).is_some()
    }

    /// Asks for what packets need that leave by an interface.
    #[inline]
    pub(super) fn prefetch(&self, index: u16) {
        if let Some(view) = self.views.get(usize::from(index)) {
            dpdk::prefetch(&*view.up);
        }
        if let Some(path) = self.esp_path(index) {
            dpdk::prefetch(path);
        }
    }

    /// What was learned of the path of a tunnel that ESP protects.
    #[inline]
    pub fn esp_path(&self, index: u16) -> Option<&PathMtu> {
        self.esp.get(usize::from(index))?.as_deref()
    }

    /// The tunnels between these ends that ESP protects.
    pub fn esp_between(&self, local: IpAddr, remote: IpAddr) -> impl Iterator<Item = u16> + '_ {
        let of_mode = move |mode| {
            let least = Outer {
                mode,
                local,
                remote,
                key: None,
            };
            let begin = self.by_outer.partition_point(|(outer, _)| *outer < least);
            let behind = self.by_outer.iter().skip(begin);
            behind.take_while(move |(outer, _)| {
                (outer.mode, outer.local, outer.remote) == (mode, local, remote)
            })
        };
        let all = TunnelMode::ALL.into_iter().flat_map(of_mode);
        all.map(|(_, index)| *index).filter(|index| self.is_esp(*index))
    }

    /// What makes an interface a tunnel, if it is one.
    pub fn tunnel(&self, index: u16) -> Option<&TunnelView> {
        self.views.get(usize::from(index))?.tunnel.as_deref()
    }

    /// The tunnel that outer packets from `remote` to `local` belong to, be it up or down. A packet without a key is of the tunnel
    /// without one.
    pub fn by_outer(&self, mode: TunnelMode, local: IpAddr, remote: IpAddr, key: Option<u32>) -> Option<u16> {
        let outer = Outer {
            mode,
            local,
            remote,
            key,
        };
        let place = self
            .by_outer
            .binary_search_by_key(&outer, |(outer, _)| *outer)
            .ok()?;
        Some(self.by_outer.get(place)?.1)
    }

    /// Whether there is an interface of this index.
    pub fn is_there(&self, index: u16) -> bool {
        self.get(usize::from(index)).is_some() && !self.is_gone(index)
    }

    /// The interface that frames with such tags belong to which came in by the port of interface `port`; `None` when
    /// there is none.
    pub(super) fn by_tags(&self, port: u16, tags: &VlanTags) -> Option<u16> {
        let Some(key) = key(port, tags) else {
            return Some(port);
        };
        let find = |key: Key| {
            let place = self.by_tags.binary_search_by_key(&key, |(key, _)| *key).ok()?;
            Some(self.by_tags.get(place)?.1)
        };
        find(key).or_else(|| {
            if !self.get(usize::from(port))?.any_tpid {
                return None;
            }
            let (port, [(_, outer), inner]) = key;
            find((port, [(EtherType::SERVICE_VLAN.0, outer), inner]))
        })
    }
}

/// Takes the tags off a frame that is answered with its own bytes: they are written anew.
pub(super) fn untag(packet: &mut [u8], note: &mut Note) {
    note.trim = move_addresses(packet, usize::from(note.network)) as u8;
}

/// Takes the tags off a frame: it begins as many bytes later as the answer says.
pub fn take_tags(frame: &mut [u8]) -> usize {
    let header = EthernetHeader::parse(frame).map_or(HEADER_LEN, |(header, _)| header.len());
    move_addresses(frame, header)
}

/// Moves the MAC addresses of a frame to before the EtherType of its payload, which begins at `network`.
pub(super) fn move_addresses(frame: &mut [u8], network: usize) -> usize {
    let begin = network.saturating_sub(HEADER_LEN);
    if frame.len() < HEADER_LEN + begin {
        return 0;
    }
    frame.copy_within(..HEADER_LEN - 2, begin);
    begin
}

/// Writes tags behind the MAC addresses of a frame that begins with as many free bytes as they take.
pub fn write_tags(frame: &mut [u8], tags: &VlanTags) {
    let length = tags.count() * packet::ethernet::TAG_LEN;
    let addresses = HEADER_LEN - 2;
    if frame.len() < addresses + length {
        return;
    }
    frame.copy_within(length..length + addresses, 0);
    let bytes = tags
        .iter()
        .flat_map(|VlanTag { tpid, tci }| [tpid.0, tci])
        .flat_map(u16::to_be_bytes);
    for (to, from) in frame.iter_mut().skip(addresses).zip(bytes) {
        *to = from;
    }
}
