//! What the primary is asked to install.

use control::message::{NewSa, Sa, SaDirection, SaKeys, SaLifetime, SaMode};
use ike_engine::{ChildSa, SpiPair};
use ikev2::crypto::EspSuite;
use zeroize::Zeroizing;

use super::Problem;
use crate::config::ChildConfig;
use crate::selectors;

/// An SA that is to be installed.
pub(super) struct Wanted {
    pub(super) new: NewSa,
    pub(super) profile: String,
    pub(super) pair: SpiPair,
}

/// After how many seconds beyond its hard lifetime an SA ends that no daemon has ended.
pub(super) const GRACE: u64 = 60;
/// Sequence numbers that an SA may use while it is looked at how many it has used: a second of the fastest link.
pub(super) const MARGIN: u64 = 1 << 24;

/// How far an SA may be by the time that it is taken out, which has used this number. `None`: that is not known, or beyond all numbers.
pub(super) fn far_beyond(sequence: Option<u64>, suite: &EspSuite) -> Option<u64> {
    let last = if suite.has_extended_sequence_numbers() {
        u64::MAX
    } else {
        u64::from(u32::MAX)
    };
    sequence?.checked_add(MARGIN).filter(|used| *used < last)
}

/// What the primary is to be told of an SA, the last sequence number of which was `sequence`.
pub(super) fn wanted(
    sa: &ChildSa,
    child: &ChildConfig,
    direction: SaDirection,
    sequence: u64,
) -> Result<Wanted, Problem> {
    let (local, remote) = (sa.path.local, sa.path.remote);
    let (spi, from, to) = match direction {
        SaDirection::In => (sa.pair.inbound, remote, local),
        SaDirection::Out => (sa.pair.outbound, local, remote),
    };
    let selectors = selectors::of(&sa.ours, &sa.theirs, direction).ok_or_else(|| Problem {
        profile: sa.profile.clone(),
        sentence: format!(
            "child {}: both ends have agreed on more pairs of traffic selectors than an SA takes: write fewer",
            child.name
        ),
    })?;
    let seconds = child.lifetime.hard.as_secs().saturating_add(GRACE);
    let keys = SaKeys::new(Zeroizing::new(sa.key.expose().to_vec()));
    let sa_of = Sa {
        spi,
        direction,
        tunnel: Some(child.tunnel.clone()),
        mode: SaMode::Tunnel,
        source: from.ip(),
        destination: to.ip(),
        transform: sa.suite.to_string(),
        esn: sa.suite.has_extended_sequence_numbers(),
        window: Sa::DEFAULT_WINDOW,
        udp: sa.in_udp.then_some((from.port(), to.port())),
        keepalive: Sa::DEFAULT_KEEPALIVE,
        selectors,
        // Time is the engine's.
        soft: child.soft,
        hard: SaLifetime {
            seconds: Some(seconds),
            ..child.hard
        },
    };
    Ok(Wanted {
        new: NewSa {
            sa: sa_of,
            keys,
            sequence,
        },
        profile: sa.profile.clone(),
        pair: sa.pair,
    })
}
