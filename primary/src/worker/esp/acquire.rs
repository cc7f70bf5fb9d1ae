//! Packets for tunnels that have no SA to send by: who negotiates SAs is told, RFC 4301 section 4.4.1.1. The packets themselves are dropped.

use super::super::Engine;
use crate::adjacency;
use crate::ipsec::SaSignal;

/// When it may be told of tunnels again.
pub(super) struct Acquires {
    /// By interface, ticks.
    quiet_until: Box<[u64]>,
    second: u64,
}

impl Acquires {
    /// For so many interfaces; a second has so many ticks.
    pub(super) fn new(interfaces: usize, second: u64) -> Self {
        Self {
            quiet_until: vec![0; interfaces].into(),
            second,
        }
    }

    /// Whether it was not told of a tunnel for a second.
    fn is_due(&self, tunnel: u16, now: u64) -> bool {
        let until = self.quiet_until.get(usize::from(tunnel));
        until.is_some_and(|until| now >= *until)
    }

    /// It was told of it.
    fn told(&mut self, tunnel: u16, now: u64) {
        if let Some(until) = self.quiet_until.get_mut(usize::from(tunnel)) {
            *until = now.saturating_add(self.second);
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Says that a packet was to leave by the tunnel of this interface, if that has no SA to send by and it was not said a moment ago.
    #[cold]
    pub(in crate::worker) fn acquire(&mut self, tunnel: u16, now: u64) {
        let lacks_sa = self.stages.interfaces.is_esp(tunnel) && self.esp.sas.current(tunnel).is_none();
        if lacks_sa
            && self.esp.acquires.is_due(tunnel, now)
            // What is not taken is said with the next packet.
            && self.tell_of_sa(SaSignal::Acquire { tunnel })
        {
            self.esp.acquires.told(tunnel, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tunnel_is_told_of_once_a_second() {
        let mut acquires = Acquires::new(3, 1000);
        assert!(acquires.is_due(1, 5));
        acquires.told(1, 5);
        assert!(!acquires.is_due(1, 5) && !acquires.is_due(1, 1004));
        assert!(acquires.is_due(1, 1005) && acquires.is_due(2, 5));
        // There is no such interface.
        acquires.told(3, 5);
        assert!(!acquires.is_due(3, 5));
    }
}
