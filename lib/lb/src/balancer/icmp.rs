//! What is counted of ICMP.

use super::{Balancer, Look};
use crate::icmp::IcmpCount;
use crate::verdict::{Buffer, Refused, Verdict};
use crate::view::What;

impl Balancer {
    /// How often it was so, with this worker.
    pub fn icmp(&self, what: IcmpCount) -> u64 {
        self.icmp.of(what)
    }

    /// Counts what only the caller can tell: what became of a packet after [`Balancer::judge`].
    #[inline]
    pub fn count_icmp(&mut self, what: IcmpCount) {
        self.icmp.add(what);
    }

    /// Counts a translated message that could not leave by the way that the verdict has, and goes as the routes say.
    #[cold]
    pub fn count_way_lost(&mut self, look: &Look) {
        if look.view.is_icmp() {
            self.icmp.move_one(IcmpCount::SisoHits, IcmpCount::SisoMisses);
        }
    }

    /// Counts an error that no worker has a connection for: the last that was asked.
    pub fn count_error_of_none(&mut self) {
        self.count_refused(Refused::ErrorNoConnection);
    }

    /// Whether a frame comes from an address of a service, or from a local address: the gateway may have translated it.
    pub fn has_sent(&self, frame: &[u8]) -> bool {
        self.prepared.role(crate::view::look(frame).flow.source).is_some()
    }

    /// A query, or a reply.
    #[inline(never)]
    pub(super) fn query<B: Buffer>(&mut self, look: &Look, frame: &mut B, ingress: u16, now: u64) -> Verdict {
        let is_query = matches!(look.view.what, What::Query { .. });
        let begun = self.icmp.of(IcmpCount::QueriesNew);
        let verdict = self.packet(look, frame, ingress, now);
        match verdict {
            Verdict::Forward { path } => {
                self.count_way(path.is_some());
                if !is_query {
                    self.icmp.add(IcmpCount::QueriesOut);
                } else if begun == self.icmp.of(IcmpCount::QueriesNew) {
                    self.icmp.add(IcmpCount::QueriesIn);
                }
            }
            Verdict::NotOurs if is_query => self.icmp.add(IcmpCount::QueriesLocal),
            Verdict::Drop(reason) => self.count_refused(reason),
            _ => {}
        }
        verdict
    }

    /// Counts by what way a translated message leaves.
    pub(super) fn count_way(&mut self, is_learned: bool) {
        self.icmp.add(if is_learned {
            IcmpCount::SisoHits
        } else {
            IcmpCount::SisoMisses
        });
    }

    /// Drops what cannot be judged.
    #[cold]
    pub(super) fn bad(&mut self, reason: Refused) -> Verdict {
        self.count_refused(reason);
        Verdict::Drop(reason)
    }

    /// Counts a message that is dropped. Of other kinds only those are to come here that are dropped for what is not counted.
    pub(super) fn count_refused(&mut self, reason: Refused) {
        let what = match reason {
            Refused::ErrorNoConnection => IcmpCount::ErrorsNoConnection,
            Refused::BadChecksum => IcmpCount::ErrorsBadChecksum,
            Refused::BadInner => IcmpCount::ErrorsBadInner,
            Refused::IcmpShort => IcmpCount::ErrorsShort,
            Refused::SourceQuench => return self.icmp.add(IcmpCount::ErrorsIn),
            Refused::Unsolicited => return self.icmp.add(IcmpCount::Unsolicited),
            Refused::NoServer | Refused::ServerFull => return self.icmp.add(IcmpCount::QueriesNoServer),
            Refused::NoPort => return self.icmp.add(IcmpCount::IdMisses),
            Refused::Short
            | Refused::TableFull
            | Refused::NoConnection
            | Refused::Denied
            | Refused::Fragment => return,
        };
        self.icmp.add(IcmpCount::ErrorsIn);
        self.icmp.add(what);
    }
}
