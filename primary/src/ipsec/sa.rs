//! SAs as the worker has them whose they are.

use std::net::IpAddr;
use std::ops::Range;

use control::message::{Sa, SaId, SaLifetime, SaMode};
use dpdk::crypto::{Job, Session};
use dpdk::{Mbuf, MbufBatch};
use esp::lifetime::{Lifetime, Limits};
use esp::outer::{Dscp, Ends, Outer, OuterSettings};
use esp::selector::{AddressRange, PortSelector, Selector, Selectors};
use esp::udp::Ports;
use esp::{Inbound, IvMask, KeyParts, Outbound, Sequence, Spi, Transform, Window, Work};
use packet::Protocol;
use shm::{SaCells, SaCounter};

use super::told::Told;
use super::{Behind, Fronts, Peer};
use crate::path::{BURST, TunnelView};

/// What an SA is made of.
pub struct Parts<'k> {
    /// As an operator has it.
    pub sa: &'k Sa,
    /// Its keys.
    pub keys: KeyParts<'k>,
    /// The last sequence number that was used before.
    pub sequence: u64,
    /// What does its cryptography.
    pub session: Session,
    /// The interface of its tunnel.
    pub tunnel: u16,
}

/// A packet that came in by an SA, and waits for the others of its burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// The interface that it came in by.
    pub(crate) ingress: u16,
    /// Where its ESP header begins.
    pub(crate) at: u16,
    /// Traffic class of the outer header.
    pub(crate) class: u8,
    /// Where its outer header begins.
    pub(crate) network: u8,
    /// Whether it comes from another place than those before.
    pub(crate) moved: bool,
}

/// An SA that has all but its place: nothing can go wrong with it any more. It takes its number and its counters.
pub enum MadeSa {
    /// Packets come in by it.
    Inbound(Box<dyn FnOnce(u64, SaCells) -> Box<InboundSa>>),
    /// Packets go out by it.
    Outbound(Box<dyn FnOnce(u64, SaCells) -> Box<OutboundSa>>),
}

/// An SA whose packets come in.
// As below: the beginning is what is needed of it until the burst is done.
#[repr(C, align(64))]
pub struct InboundSa {
    /// Tunnels that the packets of the burst were taken out of before.
    pub(crate) level: u8,
    pub(crate) tunnel: u16,
    pub(crate) source: IpAddr,
    /// In UDP: where packets come from.
    pub(crate) peer: Option<Peer>,
    pub(crate) burst: MbufBatch<BURST>,
    /// By packet of the burst.
    pub(crate) arrived: [Arrived; BURST],
    pub(crate) session: Session,
    pub(crate) esp: Inbound,
    pub(crate) lifetime: Lifetime,
    pub(crate) told: Told,
    pub(crate) selectors: Selectors,
    /// Whether it is as most are, which takes fewer steps: an AEAD in tunnel mode, for all packets.
    pub(crate) is_usual: bool,
    /// In transport mode: what is in ESP.
    pub(crate) behind: Option<Behind>,
    pub(crate) cells: SaCells,
    pub(crate) id: SaId,
    pub(crate) number: u64,
    /// For those who look on.
    pub(crate) transform: Transform,
}

/// An SA whose packets go out.
// What every packet needs stands together, so that it is few lines of cache: there may be thousands of SAs.
#[repr(C, align(64))]
pub struct OutboundSa {
    pub(crate) session: Session,
    pub(crate) esp: Outbound,
    pub(crate) lifetime: Lifetime,
    /// What it puts in front of packets.
    pub(crate) fronts: Fronts,
    pub(crate) selectors: Selectors,
    pub(crate) cells: SaCells,
    pub(crate) destination: IpAddr,
    pub(crate) told: Told,
    /// Whether something is left to be done to its packets once cryptography is done.
    pub(crate) has_end: bool,
    /// Whether it is as most are, which takes fewer steps: an AEAD in tunnel mode over IPv4, without UDP, for all packets.
    pub(crate) is_usual: bool,
    pub(crate) outer: Outer,
    pub(crate) id: SaId,
    pub(crate) number: u64,
    /// Tunnels that the packets of the burst were put into before.
    pub(crate) level: u8,
    pub(crate) tunnel: u16,
    pub(crate) burst: MbufBatch<BURST>,
    /// For those who look on.
    pub(crate) transform: Transform,
}

/// What is asked for from memory before the burst of an SA is done.
pub trait Prefetch: Sized {
    /// The bytes of it that every packet needs.
    const NEEDED: Range<usize>;

    /// What does its cryptography, and the packets for that.
    fn work(&self) -> (&Session, &MbufBatch<BURST>);

    /// Asks for the SA itself.
    #[inline]
    fn prefetch(&self) {
        prefetch_lines(self, Self::NEEDED);
    }

    /// Asks for what the driver has of its session; the SA itself is there by now.
    #[inline]
    fn prefetch_session(&self) {
        let (session, burst) = self.work();
        session.prefetch(burst.first().map_or(0, Mbuf::len));
    }
}

impl Prefetch for InboundSa {
    const NEEDED: Range<usize> = std::mem::offset_of!(Self, session)..std::mem::offset_of!(Self, id);

    #[inline]
    fn work(&self) -> (&Session, &MbufBatch<BURST>) {
        (&self.session, &self.burst)
    }
}

impl Prefetch for OutboundSa {
    const NEEDED: Range<usize> = std::mem::offset_of!(Self, session)..std::mem::offset_of!(Self, id);

    #[inline]
    fn work(&self) -> (&Session, &MbufBatch<BURST>) {
        (&self.session, &self.burst)
    }
}

/// Asks for those lines of cache that bytes of an SA are in.
#[inline(always)]
fn prefetch_lines<S>(sa: &S, bytes: Range<usize>) {
    let begin = std::ptr::from_ref(sa).cast::<u8>();
    for line in (bytes.start & !63..bytes.end).step_by(64) {
        dpdk::prefetch_address(begin.wrapping_add(line));
    }
}

impl InboundSa {
    /// `None` for what is refused when an SA is installed. What its packets carry is as its tunnel says.
    pub fn make(parts: Parts<'_>, view: &TunnelView) -> Option<MadeSa> {
        let Parts {
            sa,
            keys,
            sequence,
            session,
            tunnel,
        } = parts;
        let (id, source, lifetime) = (sa.id(), sa.source, lifetime(sa));
        let transform = keys.transform();
        let window = Window::resumed(sa.window, sa.esn, sequence).ok()?;
        let esp = Inbound::new(Spi::new(sa.spi)?, &keys, window);
        let list = selectors(sa)?;
        let behind = Behind::new(sa, &list, &view.outer);
        let peer = Peer::new(sa);
        let selectors = asked(sa, list)?;
        let is_usual =
            transform.is_aead() && sa.mode == SaMode::Tunnel && behind.is_none() && selectors.are_empty();
        Some(MadeSa::Inbound(Box::new(move |number, cells| {
            Box::new(Self {
                id,
                number,
                told: Told::default(),
                esp,
                session,
                selectors,
                is_usual,
                behind,
                lifetime,
                source,
                peer,
                tunnel,
                cells,
                burst: MbufBatch::new(),
                arrived: [Arrived::default(); BURST],
                level: 0,
                transform,
            })
        })))
    }

    /// Takes a packet for the next burst; gives it back when that is full, or of another level.
    #[inline]
    pub(crate) fn push(&mut self, mbuf: Mbuf, arrived: Arrived, level: u8) -> Result<(), Mbuf> {
        if self.burst.is_empty() {
            self.level = level;
        } else if self.level != level {
            return Err(mbuf);
        }
        if let Some(place) = self.arrived.get_mut(self.burst.len()) {
            *place = arrived;
        }
        self.burst.push(mbuf)
    }
}

impl OutboundSa {
    /// `None` for what is refused when an SA is installed. Outer headers are as its tunnel says; `mask` is random.
    pub fn make(parts: Parts<'_>, view: &TunnelView, mask: IvMask) -> Option<MadeSa> {
        let Parts {
            sa,
            keys,
            sequence,
            session,
            tunnel,
        } = parts;
        let (id, lifetime, outer) = (sa.id(), lifetime(sa), outer(sa, view)?);
        let transform = keys.transform();
        let sequence = Sequence::resumed(sa.esn, sequence);
        let esp = Outbound::new(Spi::new(sa.spi)?, &keys, sequence, mask);
        let has_end = esp.format().spare_len() != 0 || outer.needs_checksum();
        let destination = sa.destination;
        let list = selectors(sa)?;
        let fronts = Fronts::new(sa, &list, &view.outer);
        let selectors = asked(sa, list)?;
        let is_usual = esp.format().transform().is_aead()
            && sa.mode == SaMode::Tunnel
            && outer.is_ipv4()
            && fronts.are_empty()
            && selectors.are_empty();
        Some(MadeSa::Outbound(Box::new(move |number, cells| {
            Box::new(Self {
                id,
                number,
                told: Told::default(),
                esp,
                session,
                selectors,
                fronts,
                lifetime,
                outer,
                tunnel,
                cells,
                destination,
                has_end,
                is_usual,
                burst: MbufBatch::new(),
                level: 0,
                transform,
            })
        })))
    }

    /// Whether a packet of this level has room in the burst.
    #[inline]
    pub(crate) fn has_room(&self, level: u8) -> bool {
        self.burst.is_empty() || self.level == level && !self.burst.is_full()
    }

    /// Asks for what a packet needs that joins the burst.
    #[inline]
    pub(crate) fn prefetch_burst(&self) {
        let begin = std::mem::offset_of!(Self, level);
        prefetch_lines(self, begin..begin + 1);
    }

    /// Takes a packet for the next burst; gives it back when that is full, or of another level.
    #[inline]
    pub(crate) fn push(&mut self, mbuf: Mbuf, level: u8) -> Result<(), Mbuf> {
        if self.burst.is_empty() {
            self.level = level;
        } else if self.level != level {
            return Err(mbuf);
        }
        self.burst.push(mbuf)
    }
}

/// The outer headers of an SA, as its tunnel has them. The lookup takes one off their TTL.
pub fn outer(sa: &Sa, view: &TunnelView) -> Option<Outer> {
    let settings = OuterSettings {
        ttl: view.ttl.saturating_add(1),
        df: match view.df {
            control::message::Df::Copy => esp::outer::Df::Copy,
            control::message::Df::Set => esp::outer::Df::Set,
            control::message::Df::Clear => esp::outer::Df::Clear,
        },
        dscp: match view.dscp {
            control::message::Dscp::Copy => Dscp::Copy,
            control::message::Dscp::Fixed(dscp) => Dscp::Fixed(dscp),
        },
        // The same in all packets of the SA, and another than that of other SAs.
        flow_label: (sa.spi ^ sa.spi >> 20) & 0xf_ffff,
        udp: sa.udp.map(|(source, destination)| Ports { source, destination }),
    };
    Some(Outer::new(Ends::new(sa.source, sa.destination)?, settings))
}

fn lifetime(sa: &Sa) -> Lifetime {
    let limits = |lifetime: &SaLifetime| Limits {
        bytes: lifetime.bytes,
        packets: lifetime.packets,
    };
    Lifetime::new(limits(&sa.soft), limits(&sa.hard))
}

/// What is asked about each packet that goes through the tunnel: nothing in transport mode, where selectors are about the outer one.
fn asked(sa: &Sa, list: Vec<Selector>) -> Option<Selectors> {
    if list.is_empty() || sa.mode == SaMode::Transport {
        return Some(Selectors::anything());
    }
    Selectors::new(list).ok()
}

fn selectors(sa: &Sa) -> Option<Vec<Selector>> {
    let range = |(first, last)| AddressRange::new(first, last).ok();
    let ports = |ports| match ports {
        control::message::Selector::ANY_PORT => PortSelector::Any,
        control::message::Selector::OPAQUE => PortSelector::Opaque,
        (first, last) => PortSelector::Range(first, last),
    };
    let list = sa.selectors.iter().map(|selector| {
        Some(Selector {
            source: range(selector.source)?,
            destination: range(selector.destination)?,
            protocol: selector.protocol.map(Protocol),
            source_ports: ports(selector.source_ports),
            destination_ports: ports(selector.destination_ports),
        })
    });
    list.collect()
}

/// Fills in the part of a packet in the burst of its session: the ESP header begins `at` bytes into it.
#[inline(always)]
pub fn fill_in(job: &mut Job, number: usize, at: usize, work: &Work) {
    let text = if work.integrity.len == 0 {
        work.cipher
    } else {
        work.integrity
    };
    job.packet = number as u16;
    job.start = (at + usize::from(text.offset)) as u16;
    job.end = (at + text.end()) as u16;
    job.digest = (at + usize::from(work.icv.offset)) as u16;
    job.iv = work.iv();
    job.aad = work.aad();
}

/// Shows what an SA has carried so far; `used_ns` is when it did just now, if it did.
pub(crate) fn publish(cells: &SaCells, lifetime: &Lifetime, sequence: u64, used_ns: Option<u64>) {
    cells.set(SaCounter::Packets, lifetime.packets());
    cells.set(SaCounter::Bytes, lifetime.bytes());
    cells.set(SaCounter::Sequence, sequence);
    if let Some(used_ns) = used_ns {
        cells.set(SaCounter::LastUsed, used_ns);
    }
}
