//! ICMP errors of the gateway about packets that it has translated: they are for the address that it translated to, so who really sent
//! the packet gets them as those of any other router, translated back. RFC 5508 section 4.2.

use dpdk::Mbuf;
use lb::{IcmpCount, Look, Verdict};
use shm::{DropReason, InterfaceCounter, PathStage};

use super::super::Engine;
use super::frame::Frame;
use super::handed::{Label, RELEASED};
use crate::adjacency;
use crate::path::Hop;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Sends an error of the gateway about a packet of its own addresses, which came in by `ingress`, if that was one of a connection.
    /// Whether it leaves.
    #[cold]
    pub(in crate::worker) fn send_translated(&mut self, ingress: u16, mut mbuf: Mbuf) -> bool {
        let now = dpdk::tsc();
        let look = self.services.balancer.look(mbuf.data(), |_| {});
        let verdict = if look.is_ours() {
            self.services
                .balancer
                .judge(&look, &mut Frame(&mut mbuf), ingress, now)
        } else {
            Verdict::NotOurs
        };
        let worker = match verdict {
            Verdict::Forward { path } => return self.send_judged(ingress, &look, path, mbuf, now),
            Verdict::Elsewhere { worker } => worker,
            Verdict::Next => self.next_worker(),
            Verdict::NotOurs => {
                // The gateway does not tell itself: there was none.
                self.counters.sub(ingress, InterfaceCounter::IcmpErrors, 1);
                self.counters.sub(ingress, InterfaceCounter::Originated, 1);
                return false;
            }
            _ => {
                // Somebody made the packet up that it is about.
                self.drop_error(ingress, DropReason::ServiceErrorNoConnection, mbuf);
                return false;
            }
        };
        // What it was made of was received there.
        let received_by = self.interface_of(&mbuf).unwrap_or(ingress);
        let label = Label {
            asked: 1,
            ..Label::default()
        };
        match self.hand_to_balancer(worker, label, received_by, mbuf) {
            Ok(()) => {
                self.services.balancer.count_icmp(IcmpCount::Redirected);
                self.hand_over_balanced();
                true
            }
            Err(mbuf) => {
                self.services.balancer.count_error_of_none();
                self.drop_error(ingress, DropReason::ServiceErrorNoConnection, mbuf);
                false
            }
        }
    }

    fn send_judged(
        &mut self,
        ingress: u16,
        look: &Look,
        path: Option<lb::Path>,
        mut mbuf: Mbuf,
        now: u64,
    ) -> bool {
        let ready = path.and_then(|path| {
            let ready = self.stages.leave_by(&path, Hop::Kept, mbuf.data_mut(), 0)?;
            Some((path.interface, ready.end))
        });
        let Some((interface, end)) = ready else {
            if path.is_some() {
                self.services.balancer.count_way_lost(look);
            }
            let Ok(port) = self.stages.originate(ingress, mbuf.data_mut()) else {
                self.drop_error(ingress, DropReason::InterfaceDown, mbuf);
                return false;
            };
            self.go_through(RELEASED, port, mbuf, now);
            return true;
        };
        mbuf.truncate(end);
        match self.leave(interface, mbuf) {
            Ok(()) => true,
            Err((mbuf, reason)) => {
                self.drop_error(ingress, reason, mbuf);
                false
            }
        }
    }

    fn drop_error(&mut self, ingress: u16, reason: DropReason, mut mbuf: Mbuf) {
        self.drop_one(ingress, reason, PathStage::Errors, &mut mbuf);
    }
}
