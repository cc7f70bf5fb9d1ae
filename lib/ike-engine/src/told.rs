//! What the data plane tells of child SAs.

use std::net::SocketAddr;

use ikev2::wire::IkeSpi;

use crate::Time;
use crate::child::Child;
use crate::engine::Engine;
use crate::established::Wanted;
use crate::state::State;

impl Engine {
    /// Rekeys the child SA with this inbound SPI, if there is one that is to stay: it has carried enough, or the data plane has lost it.
    pub fn rekey_child(&mut self, now: Time, inbound: u32) {
        self.core.now = now;
        if let Some(ike) = self.ike_of(|child| child.inbound == inbound && child.is_active()) {
            self.proceed(ike, |sa, core| {
                sa.want(Wanted::RekeyChild { inbound, group: None }, core.now);
            });
            self.settle();
        }
    }

    /// Deletes the child SA with this inbound SPI, if there is one: the data plane has no place for it any more.
    pub fn delete_child(&mut self, now: Time, inbound: u32) {
        self.core.now = now;
        if let Some(ike) = self.ike_of(|child| child.inbound == inbound && child.is_active()) {
            self.proceed(ike, |sa, core| sa.close_child(core, inbound, None));
            self.settle();
        }
    }

    /// Packets of the child SA with this inbound SPI come from somewhere else, and are authentic: a peer behind a NAT is followed there
    /// (RFC 7296 §2.23), another is not.
    pub fn peer_moved(&mut self, now: Time, inbound: u32, remote: SocketAddr) {
        self.core.now = now;
        if let Some(ike) = self.ike_of(|child| child.inbound == inbound) {
            self.with(ike, |state, core| match state {
                State::Established(mut sa) => {
                    sa.follow(core, remote);
                    sa.proceed(core)
                }
                other => Some(other),
            });
            self.settle();
        }
    }

    /// The IKE SA of a child SA.
    fn ike_of(&self, is_it: impl Fn(&Child) -> bool) -> Option<IkeSpi> {
        let has_it = |state: &State| match state {
            State::Established(sa) => sa.children.iter().any(&is_it),
            _ => false,
        };
        let found = self.sas.iter().find(|(_, state)| has_it(state));
        found.map(|(ike, _)| *ike)
    }
}
