//! Fragments of packets for services, and from their servers: put together, judged as any packet, and cut again.
//!
//! ```text
//!   fragment ─► the worker that joins its packet ─► whole ─┬─► no service's: the gateway's own, or the stages
//!     └── ring ──┘                                         ├─► ring ─► the worker that has its connection, or is to begin it
//!                                                          └─► translated ─► cut ─┬─► by the way that its connection has learned
//!                                                                                 └─► the stages, as if received so
//! ```
//!
//! The worker that joins a packet is named by its identification, so its connection may be another's. A packet from a server says whose by
//! its port. One from a client does not: each worker is asked in turn, and if none has a connection, the first one begins it.
//!
//! What came in fragments leaves in fragments where it is longer than what it leaves by takes. Nobody between may cut packets of IPv6, so
//! those leave no longer than they came: their sender has found out what the path takes.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use dpdk::{Mbuf, MbufBatch};
use lb::{Path, Verdict};
use packet::ethernet::HEADER_LEN;
use packet::fragment::{cut_v4, cut_v6};
use packet::{Protocol, ipv6};
use reassembly::Whole;
use shm::{DropReason, Passed, PathStage};

use super::super::Engine;
use super::super::fragment::MOST_FRAGMENTS;
use super::super::spread::share;
use super::frame::Frame;
use super::handed::{Label, RELEASED};
use super::judged::{Fate, Step};
use crate::adjacency;
use crate::balancer::drop_reason;
use crate::path::{Hop, LONGEST_BEHIND};

/// The least that each link takes of IPv6: RFC 8200 section 5.
const LEAST_MTU6: u16 = 1280;
/// The longest header of IPv4, and where it has the identification.
const MOST_HEADER4: usize = 60;
const IDENTIFICATION: Range<usize> = 4..6;
/// Bytes from the start of a frame on that have all headers, and all that an ICMP error has.
const LOOKED_AT: usize = 1536;
/// Bytes of two MAC addresses.
const ADDRESSES: usize = 12;
/// Bytes of an EtherType.
const ETHERTYPE: usize = 2;

/// A packet that was put together, and has been judged.
pub(super) struct Joined {
    /// By which its first fragment came in.
    ingress: u16,
    /// Bytes of its longest fragment.
    longest: u16,
    /// It, without tags.
    mbuf: Mbuf,
    next: Next,
}

/// What is to become of it.
enum Next {
    /// It leaves, by this way if there is one, else by the routes.
    Leaves(Option<Path>),
    /// It is the gateway's own, whatever came before.
    Own,
    /// This worker is to judge it, and so many have had it.
    Elsewhere(usize, u8),
    /// It is dropped.
    Refused(DropReason),
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Takes a fragment for a service, or from a server, that came in by `interface`, which the port of `ingress` has received. `from` is where
    /// its way began.
    #[cold]
    pub(super) fn join_fragment(
        &mut self,
        from: Passed,
        ingress: u16,
        interface: u16,
        mut mbuf: Mbuf,
        now: u64,
    ) {
        self.came_in(ingress, interface, &mut mbuf);
        self.join(from.with(PathStage::Reassembly), interface, mbuf, now);
    }

    /// Judges a packet that was put together. Whether it is the load balancer's: then [`place_joined`](Self::place_joined) does what is to
    /// become of it.
    pub(in crate::worker) fn judge_whole(&mut self, whole: &Whole<'_>, now: u64) -> bool {
        let services = &self.services;
        if !services.on || services.placing || !services.balancer.joins_fragments() {
            return false;
        }
        // The balancer looks at no frame that is longer than a link takes, nor need it.
        let start = whole.frame.get(..LOOKED_AT).unwrap_or(whole.frame);
        let behind = whole.frame.len() - start.len();
        if !services.balancer.look_start(start, behind, |_| {}).is_ours() {
            return false;
        }
        let begin = whole.link_len.saturating_sub(ETHERTYPE);
        let (Some(addresses), Some(packet)) = (whole.frame.get(..ADDRESSES), whole.frame.get(begin..)) else {
            return false;
        };
        let (ingress, longest) = (whole.interface, whole.longest);
        let Ok(mut mbuf) = self.filled(ingress, &[addresses, packet]) else {
            self.drop_frame(ingress, DropReason::NoBuffer, PathStage::Reassembly, whole.frame);
            self.count_way(RELEASED.with(PathStage::Drop));
            return true;
        };
        let label = Label { asked: 0, longest };
        let next = self.judge_joined(ingress, label, &mut mbuf, now);
        if matches!(next, Next::Own) {
            // It is still as it was, and tools may decide about it.
            return false;
        }
        self.services.joined = Some(Joined {
            ingress,
            longest,
            mbuf,
            next,
        });
        true
    }

    /// Judges a packet that another worker has put together.
    #[cold]
    pub(super) fn judge_again(&mut self, ingress: u16, label: Label, mut mbuf: Mbuf, now: u64) {
        let next = self.judge_joined(ingress, label, &mut mbuf, now);
        self.services.joined = Some(Joined {
            ingress,
            longest: label.longest,
            mbuf,
            next,
        });
        self.place_joined(now);
    }

    fn judge_joined(&mut self, ingress: u16, label: Label, mbuf: &mut Mbuf, now: u64) -> Next {
        let behind = mbuf.len() - mbuf.data().len();
        let look = self.services.balancer.look_start(mbuf.data(), behind, |_| {});
        let look = if behind > 0 {
            look.of_length(mbuf.len())
        } else {
            look
        };
        if look.is_ours()
            && self.services.balancer.would_begin(&look)
            && let Some((worker, asked)) = self.asked_before(ingress, label.asked, mbuf)
        {
            return Next::Elsewhere(worker, asked);
        }
        let verdict = self
            .services
            .balancer
            .judge(&look, &mut Frame(mbuf), ingress, now);
        let worker = match verdict {
            Verdict::Forward { path } => return Next::Leaves(path),
            Verdict::Drop(refused) => return Next::Refused(drop_reason(refused)),
            Verdict::Elsewhere { worker } => worker,
            Verdict::Next => self.next_worker(),
            Verdict::NotOurs | Verdict::Join => {
                let destination = Ipv6Addr::from_bits(look.view().flow.destination);
                return if look.is_ours() && !self.is_own(destination) {
                    Next::Leaves(None)
                } else {
                    Next::Own
                };
            }
        };
        // As with packets that came whole, each worker but the first has had it from another.
        let asked = label.asked.saturating_add(1);
        if usize::from(asked) >= self.services.handover.workers() {
            return Next::Refused(DropReason::ServiceErrorNoConnection);
        }
        Next::Elsewhere(worker, asked)
    }

    fn is_own(&self, destination: Ipv6Addr) -> bool {
        let destination = IpAddr::V6(destination).to_canonical();
        self.stages.is_own(destination)
    }

    /// Who is to be asked for the connection of a client's packet before one is begun, and how many have been asked then: all, from the worker on
    /// that has the client's whole packets where a port has one queue. That one, asked again, begins it.
    fn asked_before(&self, ingress: u16, asked: u8, mbuf: &Mbuf) -> Option<(usize, u8)> {
        let workers = self.services.handover.workers();
        if workers < 2 || usize::from(asked) >= workers {
            return None;
        }
        let port = usize::from(self.stages.interfaces.port_of(ingress));
        let first = (port + share(mbuf.data(), workers)) % workers;
        if asked == 0 && first != self.services.handover.number() {
            return Some((first, 0));
        }
        Some((self.next_worker(), asked + 1))
    }

    /// Does what is to become of a packet that was judged a moment ago, if there is one. Not to be called while fragments or the buffer for
    /// copies are in use.
    #[inline]
    pub(in crate::worker) fn place_joined(&mut self, now: u64) {
        if let Some(joined) = self.services.joined.take() {
            self.services.placing = true;
            self.place_one(joined, now);
            self.services.placing = false;
        }
    }

    #[cold]
    fn place_one(&mut self, joined: Joined, now: u64) {
        let Joined {
            ingress,
            longest,
            mbuf,
            next,
        } = joined;
        let (mut mbuf, reason) = match next {
            Next::Leaves(path) => return self.send_joined(path, longest, ingress, mbuf, now),
            Next::Own => return self.go_through(RELEASED, ingress, mbuf, now),
            Next::Elsewhere(worker, asked) => {
                match self.hand_to_balancer(worker, Label { asked, longest }, ingress, mbuf) {
                    Ok(()) => {
                        self.count_way(RELEASED.with(PathStage::Waiting));
                        return self.hand_over_balanced();
                    }
                    Err(mbuf) => (mbuf, DropReason::SpreadRingFull),
                }
            }
            Next::Refused(reason) => (mbuf, reason),
        };
        self.drop_one(ingress, reason, PathStage::Service, &mut mbuf);
        self.count_way(RELEASED.with(PathStage::Drop));
    }

    /// Sends a packet by `path` if there is one, else as routes say, in fragments if it must be.
    fn send_joined(&mut self, path: Option<Path>, longest: u16, ingress: u16, mut mbuf: Mbuf, now: u64) {
        let by_path = path.and_then(|path| Some((path, self.stages.longest_by(&path)?)));
        let (path, mtu) = match by_path {
            Some((path, mtu)) => (Some(path), mtu),
            None => (None, self.stages.longest_towards(mbuf.data())),
        };
        // The stages take no longer one, not even to say why it cannot leave.
        let mtu = mtu.min(LONGEST_BEHIND as u16);
        match self.cut_joined(ingress, &mbuf, mtu, longest) {
            Ok(None) => self.send_piece(RELEASED, path, ingress, mbuf, now),
            Ok(Some(mut pieces)) => {
                drop(mbuf);
                for piece in pieces.drain() {
                    self.send_piece(RELEASED.with(PathStage::Fragment), path, ingress, piece, now);
                }
            }
            Err(reason) => {
                self.drop_one(ingress, reason, PathStage::Fragment, &mut mbuf);
                self.count_way(RELEASED.with(PathStage::Fragment).with(PathStage::Drop));
            }
        }
    }

    /// The fragments that a packet is to leave in where `mtu` bytes may; `None` where it leaves whole, or the stages are to say why it cannot.
    fn cut_joined(
        &mut self,
        ingress: u16,
        mbuf: &Mbuf,
        mtu: u16,
        longest: u16,
    ) -> Result<Option<MbufBatch<MOST_FRAGMENTS>>, DropReason> {
        let length = mbuf.len().saturating_sub(HEADER_LEN);
        let packet = mbuf.data().get(HEADER_LEN..).unwrap_or_default();
        let (cuts, header_len) = if packet.first().is_some_and(|first| first >> 4 == 4) {
            if length <= usize::from(mtu) {
                return Ok(None);
            }
            // The client's own may be that of another client's packet by now, which has the same addresses: RFC 6864 section 5.3.
            let identification = self.tunnels.identification();
            let mut header = [0; MOST_HEADER4];
            let header_len = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            let (Some(place), Some(bytes)) = (header.get_mut(..header_len), packet.get(..header_len)) else {
                return Ok(None);
            };
            place.copy_from_slice(bytes);
            header[IDENTIFICATION].copy_from_slice(&identification.to_be_bytes());
            // Each fragment has a checksum of its own.
            (cut_v4(&header, mtu), header_len)
        } else {
            let mtu = mtu.min(longest.max(LEAST_MTU6));
            let header = packet.first_chunk::<{ ipv6::HEADER_LEN }>();
            let header = header.filter(|header| header[6] != Protocol::HOP_BY_HOP.0);
            let (Some(header), true) = (header, length > usize::from(mtu)) else {
                return Ok(None);
            };
            let header = *header;
            (cut_v6(&header, mtu, self.identification6()), ipv6::HEADER_LEN)
        };
        let (Some(cuts), Some(link)) = (cuts, mbuf.data().first_chunk::<HEADER_LEN>()) else {
            return Ok(None);
        };
        self.cut(ingress, mbuf, link, cuts, header_len).map(Some)
    }

    /// Sends one fragment, or a packet that leaves whole, and counts its way.
    fn send_piece(&mut self, from: Passed, path: Option<Path>, ingress: u16, mut mbuf: Mbuf, now: u64) {
        let step = path.and_then(|path| self.leaves_by(&path, Hop::Counted, &mut mbuf));
        let Some(step @ Step::Leaves(..)) = step else {
            return self.go_through(from, ingress, mbuf, now);
        };
        let end = match self.act(step, 0, ingress, ingress, mbuf) {
            Fate::Sent => PathStage::Tx,
            _ => PathStage::Drop,
        };
        self.count_way(from.with(end));
    }
}
