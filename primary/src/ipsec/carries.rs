//! What stands between an ESP header and the packet that goes through a tunnel.
//!
//! ```text
//!   mode esp          │ outer │ ESP │ packet         tunnel mode: next header 4 or 41, RFC 4303 section 3.1.2
//!   protected ipip    │ outer │ ESP │ packet         transport mode: the outer packet's own protocol, section 3.1.1
//!   protected gre     │ outer │ ESP │ GRE │ packet   likewise: 47
//! ```
//!
//! So transport mode is told from tunnel mode by what selectors are asked about, which is the outer packet there: its addresses are those of
//! the SA, so that what they say is known when the SA is made.

use control::message::{Sa, SaMode, TunnelMode};
use esp::Payload;
use esp::selector::{Flow, Ports, Selector};
use esp::tunnel::{Family, IPV4, IPV6};
use packet::tunnel::{Carried, gre};
use packet::{EtherType, Protocol};
use shm::DropReason;

use crate::path::Outer;

/// The longest GRE header that is sent.
const FRONT: usize = gre::len(Some(0));

/// What an SA of a tunnel puts in front of packets of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    /// What is in ESP.
    pub(crate) next_header: Protocol,
    /// Whether its selectors let it go. Of packets in tunnel mode they say more.
    pub(crate) may_go: bool,
    header: [u8; FRONT],
    len: u8,
}

impl Front {
    /// The bytes in front: none, or a GRE header.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.header.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What an outbound SA puts in front of packets of either family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fronts {
    four: Front,
    six: Front,
}

impl Fronts {
    /// For an SA of a tunnel whose outer packets are these.
    pub(super) fn new(sa: &Sa, selectors: &[Selector], outer: &Outer) -> Self {
        let front = |family: Family| {
            let next_header = protocol(family, outer.mode);
            let mut front = Front {
                next_header,
                may_go: sa.mode == SaMode::Tunnel || allows(selectors, sa, next_header),
                header: [0; FRONT],
                len: 0,
            };
            if next_header == Protocol::GRE {
                let ethertype = match family {
                    Family::V4 => EtherType::IPV4,
                    Family::V6 => EtherType::IPV6,
                };
                // It is never longer than its place.
                front.len = gre::emit(ethertype, outer.key, &mut front.header).unwrap_or_default() as u8;
            }
            front
        };
        Self {
            four: front(Family::V4),
            six: front(Family::V6),
        }
    }

    /// Whether packets of both families go, and nothing is put in front of them.
    pub(super) fn are_empty(&self) -> bool {
        [&self.four, &self.six]
            .iter()
            .all(|front| front.may_go && front.len == 0)
    }

    /// Of a family.
    #[inline]
    pub(crate) fn of(&self, family: Family) -> &Front {
        match family {
            Family::V4 => &self.four,
            Family::V6 => &self.six,
        }
    }
}

/// What comes by an SA of transport mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    mode: TunnelMode,
    key: Option<u32>,
    /// Whether selectors let the outer packet go that carries IPv4, and IPv6.
    may_come: [bool; 2],
}

impl Behind {
    /// Of an SA of a tunnel whose outer packets are these; `None` in tunnel mode, where nothing stands before the packet.
    pub(super) fn new(sa: &Sa, selectors: &[Selector], outer: &Outer) -> Option<Self> {
        let families = [Family::V4, Family::V6];
        (sa.mode == SaMode::Transport).then(|| Self {
            mode: outer.mode,
            key: outer.key,
            may_come: families.map(|family| allows(selectors, sa, protocol(family, outer.mode))),
        })
    }

    /// What is inside of what was decrypted, as if that had come in tunnel mode. `packet` begins with the ESP header.
    #[cold]
    pub(crate) fn inside(&self, payload: &Payload, packet: &[u8]) -> Result<Payload, DropReason> {
        let is_its = match self.mode {
            TunnelMode::Gre => payload.next_header == Protocol::GRE,
            TunnelMode::Ipip | TunnelMode::Esp => [IPV4, IPV6].contains(&payload.next_header),
        };
        if !is_its {
            return Err(DropReason::EspSelector);
        }
        let bytes = packet.get(payload.span.range()).unwrap_or_default();
        let carried = Carried::parse(payload.next_header, bytes).ok_or(DropReason::EspSelector)?;
        let carried = carried.map_err(|_| DropReason::TunnelMalformed)?;
        if let Carried::Gre(gre) = &carried
            && gre.key() != self.key
        {
            return Err(DropReason::TunnelUnknown);
        }
        let (ethertype, before) = carried.inner().map_err(|_| DropReason::TunnelMalformed)?;
        let [four, six] = self.may_come;
        let (next_header, may_come) = match ethertype {
            EtherType::IPV4 => (IPV4, four),
            _ => (IPV6, six),
        };
        if !may_come {
            return Err(DropReason::EspSelector);
        }
        let mut span = payload.span;
        span.offset += before as u16;
        span.len -= before as u16;
        Ok(Payload { next_header, span })
    }
}

/// What follows the outer header of a packet of a tunnel.
fn protocol(family: Family, mode: TunnelMode) -> Protocol {
    match mode {
        TunnelMode::Gre => Protocol::GRE,
        TunnelMode::Ipip | TunnelMode::Esp => family.next_header(),
    }
}

/// Whether an SA may carry outer packets of a protocol between its ends.
fn allows(selectors: &[Selector], sa: &Sa, protocol: Protocol) -> bool {
    let flow = Flow {
        source: sa.source,
        destination: sa.destination,
        protocol: Some(protocol),
        ports: Ports::None,
    };
    selectors.is_empty() || selectors.iter().any(|selector| selector.has(&flow))
}

#[cfg(test)]
mod tests;
