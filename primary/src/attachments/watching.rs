//! Tools that watch: they get copies, and no packet waits for them.

use control::message::PuntClass;
use dpdk::Mbuf;

use super::Consumers;

impl Consumers {
    /// Whether any tool watches a class.
    #[inline]
    pub fn is_watched(&self, class: PuntClass) -> bool {
        self.watched[class as usize]
    }

    /// Copies a packet to the tools that watch its class. One that is behind goes without.
    pub fn show(&mut self, class: PuntClass, rule: Option<u16>, ingress: u16, mbuf: &Mbuf, now: u64) {
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            if part.observes && part.classes[class as usize] {
                part.put(rule, ingress, mbuf, now);
            }
            place += 1;
        }
    }

    /// Copies a router alert whose hops have run out to the tools that watch, if its rule says so.
    pub fn show_expired(&mut self, rule: u16, ingress: u16, mbuf: &Mbuf, now: u64) {
        let terms = self.fail.rules.as_ref().and_then(|rules| rules.rule(rule));
        if terms.is_some_and(|terms| terms.see_expired) {
            self.show(PuntClass::RouterAlert, Some(rule), ingress, mbuf, now);
        }
    }
}
