//! The hop-by-hop header of IPv6: right or not, where anybody wants to know, and whether it has a router alert. RFC 8200
//! sections 4.2 and 4.3, RFC 2711, RFC 9673.
//!
//! ```text
//!   link-local, group ─► judge, where each header is ──► local6, or dropped as it would be without
//!   all else ──────────► judge, where each header is, or router alerts concern anybody ──► a tool, or the lookup
//! ```

use control::message::PuntClass;
use packet::{Ipv6, Protocol};
use router_alert::alert::{Alert, find_v6};
use shm::PathStage;

use super::punt::Punts;
use super::{InterfaceView, Note, Tracer, options};

/// Where an IPv6 header names what follows it.
const NEXT_HEADER: usize = 6;

/// Whether a packet has hop-by-hop options.
#[inline]
pub(super) fn has(datagram: &[u8]) -> bool {
    datagram.get(NEXT_HEADER) == Some(&Protocol::HOP_BY_HOP.0)
}

/// Whether a packet with hop-by-hop options goes on to the lookup: not when they are wrong, and not when a tool decides about it.
#[cold]
pub(super) fn run<T: Tracer>(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
    (datagram, behind): (&[u8], usize),
    note: &mut Note,
) -> bool {
    enter(tracer, note);
    if !interface.options.processes() && punts.is_off(PuntClass::RouterAlert) {
        return true;
    }
    let goes_on = match judge(interface, (datagram, behind), note) {
        None => false,
        Some(None) => true,
        Some(Some(alert)) => {
            punts.is_off(PuntClass::RouterAlert) || !punts.apply_alert(&alert, ingress, datagram, note)
        }
    };
    if !goes_on {
        note.stays_before_lookup();
    }
    goes_on
}

/// Whether nothing is wrong with the hop-by-hop options of a packet that stays on its link, as far as anybody looks: no tool is
/// asked about such a packet.
#[cold]
pub(super) fn run_on_link<T: Tracer>(
    interface: &InterfaceView,
    tracer: &mut T,
    (datagram, behind): (&[u8], usize),
    note: &mut Note,
) -> bool {
    if !interface.options.processes() || !has(datagram) {
        return true;
    }
    enter(tracer, note);
    judge(interface, (datagram, behind), note).is_some()
}

fn enter<T: Tracer>(tracer: &mut T, note: &mut Note) {
    tracer.enter(PathStage::Ip6Options);
    note.passed = note.passed.with(PathStage::Ip6Options);
}

/// The router alert, if there is one; `None` if something is wrong, and the packet is dropped.
fn judge(
    interface: &InterfaceView,
    (datagram, behind): (&[u8], usize),
    note: &mut Note,
) -> Option<Option<Alert>> {
    // ip6_input has checked the header.
    let header = Ipv6::parse_start(datagram, behind).ok()?;
    match find_v6(&header, &interface.options.settings) {
        Ok(alert) => {
            note.remarks = alert.as_ref().map_or(note.remarks, options::remarks);
            Some(alert)
        }
        Err(fault) => {
            interface.options.refuse(fault, note);
            None
        }
    }
}
