//! What becomes of a packet.

use packet::Protocol;
use packet::tcp::TcpFlags;

use super::usual::counted;
use super::{Balancer, Look, searched};
use crate::config::{Fragments, Kind};
use crate::counts::Count;
use crate::icmp::{IcmpCount, error_to_client, error_to_server};
use crate::ports;
use crate::prepared::Role;
use crate::rewrite::{clamp_mss, insert_toa, remove_timestamps, to_client, to_server, toa_len};
use crate::table::{Direction, Phase, came_by};
use crate::tcp;
use crate::verdict::{Buffer, Refused, State, Verdict};
use crate::view::{Quoted, View, What};

/// The most bytes of a packet that has the client's address put in: what links have that nothing was said about.
const TOA_MTU: u16 = 1500;

impl Balancer {
    /// Says what is to become of a frame that came by the interface `ingress`, and translates it in place. It must be as it was when
    /// it was looked at.
    #[inline]
    pub fn judge<B: Buffer>(&mut self, look: &Look, frame: &mut B, ingress: u16, now: u64) -> Verdict {
        if !look.is_ours {
            return Verdict::NotOurs;
        }
        match look.view.what {
            What::Other => Verdict::NotOurs,
            What::Bad(reason) => self.bad(reason),
            What::Fragment => self.fragment(&look.view, frame.bytes()),
            What::Error(quoted) => self.error(look, &quoted, frame),
            What::Segment { .. } | What::Datagram => self.packet(look, frame, ingress, now),
            What::Query { .. } | What::Reply { .. } => self.query(look, frame, ingress, now),
        }
    }

    #[inline]
    pub(super) fn packet<B: Buffer>(
        &mut self,
        look: &Look,
        frame: &mut B,
        ingress: u16,
        now: u64,
    ) -> Verdict {
        let Some((flow, kind)) = searched(&look.view) else {
            return Verdict::NotOurs;
        };
        let Some((at, direction)) = self.table.find(look.hash, &flow, kind) else {
            return self.unknown(look, kind, frame, ingress, now);
        };
        if !self.is_of_connection(at, direction, &look.view, now) {
            return self.unknown(look, kind, frame, ingress, now);
        }
        self.carry(at, direction, &look.view, frame, ingress, now)
    }

    /// Whether a packet with a connection's flow belongs to it; one that does not is treated as if there were no connection.
    #[inline]
    fn is_of_connection(&mut self, at: u32, direction: Direction, view: &View, now: u64) -> bool {
        if !self.is_current(at, now) {
            return false;
        }
        let Some(connection) = self.table.get(at) else {
            return false;
        };
        if connection.hot.phase == Phase::Ended {
            return false;
        }
        match view.what {
            What::Segment { flags, .. } if direction == Direction::In => {
                !(tcp::begins(flags) && tcp::is_over(connection.hot.state))
            }
            What::Query { .. } => direction == Direction::In,
            What::Reply { .. } => direction == Direction::Out,
            _ => true,
        }
    }

    /// Translates a packet of a live connection.
    #[inline]
    pub(super) fn carry<B: Buffer>(
        &mut self,
        at: u32,
        direction: Direction,
        view: &View,
        frame: &mut B,
        ingress: u16,
        now: u64,
    ) -> Verdict {
        let Some(mut connection) = self.table.get_mut(at) else {
            return Verdict::NotOurs;
        };
        let (Some(service), Some(server)) = (
            self.prepared.service(connection.hot.belongs.service),
            self.prepared.server(connection.hot.belongs.server),
        ) else {
            return Verdict::NotOurs;
        };
        let came = came_by(frame.bytes(), ingress);
        let bytes = u64::from(view.end.saturating_sub(view.network));
        let was = connection.hot.state;
        let ends = connection.ends();
        let mut keeps_alive = true;
        let is_done = if let What::Segment { flags, .. } = view.what {
            let answered = connection.hot.sequence.first_ack;
            if direction == Direction::Out {
                connection.hot.sequence.answered(view);
            }
            connection.hot.state = tcp::next(was, direction, flags, connection.hot.sequence.first_ack != 0);
            // Whoever says the same again must not keep it half open for ever.
            keeps_alive =
                connection.hot.state != State::SynRecv || connection.hot.sequence.first_ack != answered;
            if flags.has(TcpFlags::SYN) || service.toa {
                let toa = service.toa;
                segment(
                    direction,
                    view,
                    frame,
                    &ends,
                    &connection.hot.sequence,
                    flags,
                    toa,
                )
            } else {
                translate(
                    direction,
                    frame.bytes_mut(),
                    view,
                    &ends,
                    &connection.hot.sequence,
                )
            }
        } else {
            translate(
                direction,
                frame.bytes_mut(),
                view,
                &ends,
                &connection.hot.sequence,
            )
        };
        if !is_done {
            return Verdict::Drop(Refused::Short);
        }
        if keeps_alive {
            let seconds = service
                .timeouts
                .get(connection.hot.state as usize)
                .copied()
                .unwrap_or(0);
            connection.hot.deadline = now.wrapping_add(self.hz.wrapping_mul(u64::from(seconds)));
        }
        connection.count(direction, bytes as u16);
        if let Some(came) = came {
            connection.came(direction, self.ways.number(came), came);
        }
        let path = connection.path(direction, &self.ways);
        let is = connection.hot.state;
        let (packets, bytes_of) = counted(direction);
        for counts in [&service.counts, &server.counts] {
            counts.add(self.worker, packets, 1);
            counts.add(self.worker, bytes_of, bytes);
        }
        if is != was {
            self.changed(at, was);
        }
        Verdict::Forward {
            // The stages say who is to hear of a packet that has been under way for too long, and heed options.
            path: path.filter(|_| view.ttl > 1 && view.plain),
        }
    }

    /// What a change of its state means for a connection.
    fn changed(&mut self, at: u32, was: State) {
        let Some(connection) = self.table.get(at) else {
            return;
        };
        let (is_active, belongs) = (connection.hot.is_active(), connection.hot.belongs);
        let was_active = matches!(was, State::Normal | State::Established);
        if is_active != was_active {
            let (more, less) = if is_active {
                (Count::Active, Count::Inactive)
            } else {
                (Count::Inactive, Count::Active)
            };
            let service = self.prepared.service(belongs.service).map(|entry| &entry.counts);
            let server = self.prepared.server(belongs.server).map(|entry| &entry.counts);
            for counts in [service, server].into_iter().flatten() {
                counts.add(self.worker, more, 1);
                counts.subtract(self.worker, less, 1);
            }
        }
        self.table.hasten(at);
    }

    /// A packet that belongs to no connection of this worker.
    #[inline(never)]
    fn unknown<B: Buffer>(
        &mut self,
        look: &Look,
        kind: Kind,
        frame: &mut B,
        ingress: u16,
        now: u64,
    ) -> Verdict {
        let flow = &look.view.flow;
        let Some(role) = self.prepared.role(flow.destination) else {
            return Verdict::NotOurs;
        };
        let is_reply = matches!(look.view.what, What::Reply { .. });
        let service_port = if kind == Kind::Icmp {
            0
        } else {
            flow.destination_port
        };
        if role.serves(kind)
            && let Some(service) = self.prepared.service_at(flow.destination, service_port, kind)
        {
            // A reply to the address of a service may still be one of a server to a local address.
            if !(is_reply && role.is_local(kind)) {
                return match self.begin(service, look, kind, now) {
                    Ok(at) => self.carry(at, Direction::In, &look.view, frame, ingress, now),
                    Err(reason) => self.refuse(service, reason),
                };
            }
        }
        if role.is_local(kind)
            && let Some(owner) = ports::owner(flow.destination_port, self.workers)
        {
            if owner != self.worker {
                return Verdict::Elsewhere { worker: owner };
            }
            if is_reply {
                return Verdict::Drop(Refused::Unsolicited);
            }
        }
        Verdict::NotOurs
    }

    /// Drops a packet for a service.
    fn refuse(&self, service: u32, reason: Refused) -> Verdict {
        if let Some(service) = self.prepared.service(service) {
            service.counts.refused(self.worker, reason);
        }
        Verdict::Drop(reason)
    }

    /// An ICMP error. It changes nothing of the connection that it is about (RFC 5508 REQ-6).
    #[cold]
    fn error<B: Buffer>(&mut self, look: &Look, quoted: &Quoted, frame: &mut B) -> Verdict {
        let verdict = self.translated_error(look, quoted, frame);
        if let Verdict::Drop(reason) = verdict {
            self.count_refused(reason);
        }
        verdict
    }

    fn translated_error<B: Buffer>(&mut self, look: &Look, quoted: &Quoted, frame: &mut B) -> Verdict {
        let view = &look.view;
        let found = self.table.find(look.hash, &quoted.flow.reversed(), quoted.kind);
        let Some((at, direction)) = found else {
            return self.error_of_none(quoted);
        };
        let Some(connection) = self.table.get(at) else {
            return Verdict::NotOurs;
        };
        let of_now = connection.hot.epoch == self.epoch;
        let service = self
            .prepared
            .service(connection.hot.belongs.service)
            .filter(|_| of_now);
        let server = self
            .prepared
            .server(connection.hot.belongs.server)
            .filter(|_| of_now);
        let refused = if !self.policy.source_quench_forward && !view.six && quoted.message_type == 4 {
            Some(Refused::SourceQuench)
        } else if self.policy.strict_inner_csum && !quoted.sound {
            Some(Refused::BadInner)
        } else {
            None
        };
        if let Some(reason) = refused {
            if let Some(service) = service {
                service.counts.refused(self.worker, reason);
            }
            return Verdict::Drop(reason);
        }
        // What is quoted was sent the other way: the error is for its sender.
        let (is_done, what, icmp, path) = match direction {
            Direction::Out => {
                let toa = service.is_some_and(|service| service.toa) && connection.hot.kind == Kind::Tcp;
                let added = if toa { toa_len(view.six) } else { 0 };
                let bytes = frame.bytes_mut();
                let is_done =
                    error_to_client(bytes, view, &connection.ends(), &connection.hot.sequence, added);
                (
                    is_done,
                    Count::ErrorsOut,
                    IcmpCount::ErrorsToClients,
                    connection.path(Direction::Out, &self.ways),
                )
            }
            Direction::In => {
                let bytes = frame.bytes_mut();
                let is_done = error_to_server(bytes, view, &connection.ends(), &connection.hot.sequence);
                (
                    is_done,
                    Count::ErrorsIn,
                    IcmpCount::ErrorsToServers,
                    connection.path(Direction::In, &self.ways),
                )
            }
        };
        if !is_done {
            return Verdict::Drop(Refused::IcmpShort);
        }
        self.icmp.add(IcmpCount::ErrorsIn);
        self.icmp.add(icmp);
        let service = service.map(|entry| &entry.counts);
        let server = server.map(|entry| &entry.counts);
        for counts in [service, server].into_iter().flatten() {
            counts.add(self.worker, what, 1);
        }
        let path = path.filter(|_| view.ttl > 1 && view.plain);
        self.count_way(path.is_some());
        Verdict::Forward { path }
    }

    /// An error about a packet that this worker has no connection for: of another's, of one that is long over, or of the gateway's own.
    fn error_of_none(&self, quoted: &Quoted) -> Verdict {
        let (flow, kind) = (&quoted.flow, quoted.kind);
        let Some(role) = self.prepared.role(flow.source) else {
            return Verdict::NotOurs;
        };
        // Of queries a service sends the replies only: the gateway's own are its own.
        let service_port = match kind {
            Kind::Icmp => quoted.is_reply.then_some(0),
            Kind::Tcp | Kind::Udp => Some(flow.source_port),
        };
        if role.serves(kind)
            && let Some(port) = service_port
            && let Some(service) = self.prepared.service_at(flow.source, port, kind)
        {
            if self.workers > 1 {
                return Verdict::Next;
            }
            return self.refuse(service, Refused::ErrorNoConnection);
        }
        if role.is_local(kind)
            && let Some(owner) = ports::owner(flow.source_port, self.workers)
        {
            if owner != self.worker {
                return Verdict::Elsewhere { worker: owner };
            }
            return Verdict::Drop(Refused::ErrorNoConnection);
        }
        Verdict::NotOurs
    }

    /// Part of a packet: it is not known whose, unless no service takes what it carries.
    #[cold]
    fn fragment(&self, view: &View, frame: &[u8]) -> Verdict {
        let Some(role) = self.prepared.role(view.flow.destination) else {
            return Verdict::NotOurs;
        };
        let is_of = |kind| role.serves(kind) || role.is_local(kind);
        let is_ours = match carried(view, frame) {
            Some(Protocol::TCP) => is_of(Kind::Tcp),
            Some(Protocol::UDP) => is_of(Kind::Udp),
            Some(Protocol::ICMP | Protocol::ICMPV6) => is_of(Kind::Icmp),
            Some(_) => false,
            None => role != Role::default(),
        };
        match self.policy.fragments {
            _ if !is_ours => Verdict::NotOurs,
            Fragments::Join => Verdict::Join,
            Fragments::Drop => Verdict::Drop(Refused::Fragment),
        }
    }
}

/// What a fragment is part of; `None`: something behind further extension headers.
fn carried(view: &View, frame: &[u8]) -> Option<Protocol> {
    let header = frame.get(usize::from(view.network)..)?;
    if !view.six {
        return header.get(9).map(|protocol| Protocol(*protocol));
    }
    let is_next = header.get(6).copied()? == Protocol::FRAGMENT.0;
    header
        .get(40)
        .filter(|_| is_next)
        .map(|protocol| Protocol(*protocol))
}

#[inline]
fn translate(
    direction: Direction,
    bytes: &mut [u8],
    view: &View,
    ends: &crate::Ends,
    sequence: &crate::Sequence,
) -> bool {
    match direction {
        Direction::In => to_server(bytes, view, ends, sequence),
        Direction::Out => to_client(bytes, view, ends, sequence),
    }
}

/// Translates a segment that begins a connection, or may be told whose it is.
fn segment<B: Buffer>(
    direction: Direction,
    view: &View,
    frame: &mut B,
    ends: &crate::Ends,
    sequence: &crate::Sequence,
    flags: TcpFlags,
    toa: bool,
) -> bool {
    if !translate(direction, frame.bytes_mut(), view, ends, sequence) {
        return false;
    }
    let is_syn = flags.has(TcpFlags::SYN);
    match direction {
        Direction::In => {
            if is_syn {
                remove_timestamps(frame.bytes_mut(), view);
            }
            if toa && sequence.carries_address(view) {
                insert_toa(frame, &mut { *view }, ends, TOA_MTU);
            }
        }
        Direction::Out if is_syn && toa => {
            clamp_mss(frame.bytes_mut(), view, toa_len(view.six));
        }
        Direction::Out => {}
    }
    true
}
