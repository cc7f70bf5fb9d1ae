//! What holds for all SAs: timeouts, and how much strangers may take.

use std::time::Duration;

/// How requests are sent again (RFC 7296 §2.1, §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetransmissionPolicy {
    /// From the first time to the second; each pause after it is twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// A request is sent so many times; when the pause after the last is over, the peer is dead.
    pub attempts: u32,
}

impl RetransmissionPolicy {
    /// The pause after a request has been sent `sent` times.
    pub fn pause(&self, sent: u32) -> Duration {
        let doublings = sent.saturating_sub(1).min(16);
        (self.first * (1 << doublings)).min(self.longest)
    }

    /// How long it takes until a peer is dead that does not answer.
    pub fn total(&self) -> Duration {
        (1..=self.attempts).map(|sent| self.pause(sent)).sum()
    }
}

/// Timeouts and limits of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How requests are sent again.
    pub retransmission: RetransmissionPolicy,
    /// A peer that has had an answer to IKE_SA_INIT has so long for IKE_AUTH.
    pub half_open_timeout: Duration,
    /// With so many half-open IKE SAs a peer has to show a COOKIE (RFC 7296 §2.6). 0: always.
    pub cookie_threshold: usize,
    /// More half-open IKE SAs are not made: requests are dropped.
    pub max_half_open: usize,
    /// More half-open IKE SAs are not made for one address of IPv4 or one /64 of IPv6.
    pub max_half_open_per_source: usize,
    /// More IKE SAs are not made for one peer of a profile, who has shown who it is, when it is the initiator of them. Those that are being
    /// replaced or deleted count.
    pub max_ike_per_peer: usize,
    /// An IKE SA has so many child SAs, and no more are made for its peer.
    pub max_children: usize,
    /// Packets to an SA that is deleted are taken for so long, because some may be on their way.
    pub linger: Duration,
    /// After TEMPORARY_FAILURE an exchange is tried again at this time, and up to as much later (RFC 7296 §2.25).
    pub retry: Duration,
    /// A peer that has rekeyed an SA has so long to delete the old one, before that is done here.
    pub replaced_timeout: Duration,
    /// How often a NAT in front of us is kept open (RFC 3948 §4).
    pub keepalive: Duration,
    /// Bytes of a datagram's payload above which messages are sent in fragments, where the peer takes such (RFC 7383). The default
    /// makes IP packets of at most 1280 bytes in both families.
    pub fragment_len: usize,
    /// First pause before a profile that is to be up is started again; each after it is twice as long.
    pub restart_first: Duration,
    /// No such pause is longer.
    pub restart_longest: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            retransmission: RetransmissionPolicy {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(8),
                attempts: 8,
            },
            half_open_timeout: Duration::from_secs(30),
            cookie_threshold: 64,
            max_half_open: 4096,
            max_half_open_per_source: 32,
            max_ike_per_peer: 8,
            max_children: 256,
            linger: Duration::from_secs(3),
            retry: Duration::from_secs(1),
            replaced_timeout: Duration::from_secs(45),
            keepalive: Duration::from_secs(20),
            fragment_len: 1280 - 40 - 8,
            restart_first: Duration::from_secs(1),
            restart_longest: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = Settings::default().retransmission;
        let pauses: Vec<u128> = (1..=8).map(|sent| policy.pause(sent).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        assert_eq!(policy.total(), Duration::from_millis(39_500));
        assert_eq!(policy.pause(u32::MAX), policy.longest);
    }
}
