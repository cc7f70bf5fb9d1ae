//! What workers write down of a packet, as tools get it.

use std::net::IpAddr;

use control::message::{PuntClass, Trace, TraceEnd, TraceLeg, TraceLookup, TraceSa, TraceStep};
use shm::attachment::Clock;
use shm::{DropReason, PathStage};

use super::{Finished, Judged, Leg};
use crate::adjacency::Adjacency;
use crate::path::Disposition;

/// One packet. `interfaces` by index.
pub(super) fn trace(finished: &Finished, number: u32, interfaces: &[String], clock: &Clock) -> Trace {
    let name = |index: u16| {
        interfaces
            .get(usize::from(index))
            .cloned()
            .unwrap_or_else(|| format!("#{index}"))
    };
    let begun = finished.legs().next().map_or(0, |leg| leg.watched.begun);
    let count = finished.legs().count();
    Trace {
        number,
        worker: finished.worker,
        time_ns: clock.time_ns(begun),
        legs: finished
            .legs()
            .zip(1..)
            .map(|(of, place)| leg(of, place == count, begun, clock, name))
            .collect(),
    }
}

/// One of a packet's legs, which began at `begun`.
fn leg(leg: &Leg, is_last: bool, begun: u64, clock: &Clock, name: impl Fn(u16) -> String + Copy) -> TraceLeg {
    let watched = &leg.watched;
    let offset = |ticks: u64| {
        let nanoseconds = clock.time_ns(ticks).saturating_sub(clock.time_ns(begun));
        u32::try_from(nanoseconds).unwrap_or(u32::MAX)
    };
    TraceLeg {
        interface: name(leg.note.sub_interface().unwrap_or(watched.ingress)),
        length: watched.length,
        sa: leg.protection.map(|sa| TraceSa {
            spi: sa.spi,
            sequence: sa.sequence,
            transform: sa.transform.name().to_owned(),
            refused: sa.refused.map(|reason| reason.name().to_owned()),
        }),
        received: watched.received().to_vec(),
        sent: watched.sent().to_vec(),
        steps: watched
            .recorder
            .steps()
            .iter()
            .map(|(stage, ticks)| TraceStep {
                stage: *stage as u8,
                offset_ns: offset(*ticks),
            })
            .collect(),
        lookup: leg.found.map(|(adjacency, next_hop)| {
            let number = watched.recorder.next_hop.unwrap_or_default().get();
            lookup(number, adjacency, next_hop, name)
        }),
        tool: watched.tool(),
        end: end(leg, is_last, name),
    }
}

fn end(leg: &Leg, is_last: bool, name: impl Fn(u16) -> String) -> TraceEnd {
    let recorder = &leg.watched.recorder;
    if let Some(reason) = recorder.refused {
        return TraceEnd::Dropped {
            reason: reason.name().to_owned(),
            answered: recorder.last() == PathStage::Tx,
        };
    }
    if let Some(judged) = leg.judged {
        return match judged {
            Judged::GoesOn => TraceEnd::Translated,
            Judged::Elsewhere => TraceEnd::OtherWorker,
        };
    }
    let note = leg.watched.last_note().unwrap_or(&leg.note);
    match note.disposition {
        Disposition::Transmit(interface) => TraceEnd::Sent(name(interface)),
        Disposition::Fragment(interface) => TraceEnd::SentInFragments(name(interface)),
        Disposition::Redirect { interface, .. } if note.detail != 0 => {
            TraceEnd::SentInFragments(name(interface))
        }
        Disposition::Redirect { interface, .. } => TraceEnd::Sent(name(interface)),
        Disposition::Kernel(interface) => TraceEnd::Kernel(name(interface)),
        Disposition::Gather | Disposition::Reassemble => put_together(leg, is_last, name),
        Disposition::Wait { interface, .. } => TraceEnd::Waits {
            next_hop: leg.awaited,
            interface: name(interface),
        },
        Disposition::Arp | Disposition::Nd => TraceEnd::Control,
        Disposition::Punt(class) => TraceEnd::Tool(class),
        Disposition::Tunnelled(interface) => TraceEnd::Decapsulated(Some(name(interface))),
        // Whether it is authentic the next leg says.
        Disposition::Esp => TraceEnd::WaitsForBurst,
        // The worker has told the recorder as well.
        Disposition::TunnelMtu(_) | Disposition::EspError => TraceEnd::Dropped {
            reason: DropReason::TunnelError.name().to_owned(),
            answered: false,
        },
        Disposition::Drop(reason) => TraceEnd::Dropped {
            reason: reason.name().to_owned(),
            answered: false,
        },
    }
}

/// Of a packet for the gateway itself that its worker put together, or not yet.
fn put_together(leg: &Leg, is_last: bool, name: impl Fn(u16) -> String) -> TraceEnd {
    let ingress = leg.note.sub_interface().unwrap_or(leg.watched.ingress);
    match leg.watched.recorder.last() {
        // A reply goes back the way that the request came.
        PathStage::Tx => TraceEnd::Sent(name(ingress)),
        PathStage::Kernel => TraceEnd::Kernel(name(ingress)),
        // Of what has arrived, tools decide about IKE alone.
        PathStage::Tool => TraceEnd::Tool(PuntClass::Ike),
        PathStage::Decapsulated => TraceEnd::Decapsulated(None),
        // It was whole, and has gone on.
        _ if !is_last => TraceEnd::WaitsForBurst,
        _ => TraceEnd::WaitsForFragments,
    }
}

fn lookup(number: u32, adjacency: Adjacency, next_hop: IpAddr, name: impl Fn(u16) -> String) -> TraceLookup {
    let (kind, interface, mac) = match adjacency {
        Adjacency::NoRoute => ("no_route", None, None),
        Adjacency::Blackhole => ("blackhole", None, None),
        Adjacency::Local { interface } => ("local", Some(interface), None),
        Adjacency::Unreachable => ("unreachable", None, None),
        Adjacency::Prohibit => ("prohibit", None, None),
        Adjacency::Broadcast => ("broadcast", None, None),
        Adjacency::Anycast { interface } => ("anycast", Some(interface), None),
        Adjacency::Glean { interface } => ("glean", Some(interface), None),
        Adjacency::Incomplete { interface } => ("incomplete", Some(interface), None),
        Adjacency::Failed { interface } => ("failed", Some(interface), None),
        Adjacency::Forward { interface, mac } => ("forward", Some(interface), Some(mac)),
    };
    TraceLookup {
        adjacency: number,
        kind: kind.to_owned(),
        interface: interface.map(name),
        next_hop: Some(next_hop).filter(|address| !address.is_unspecified()),
        mac,
    }
}
