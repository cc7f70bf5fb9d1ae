//! How far address resolution got with one neighbour: RFC 1122 section 2.3.2 with the states of RFC 4861 section 7.3.2.
//!
//! ```text
//!              wanted              no answer to 3                  hold over, wanted
//!   (idle) ────────────► Incomplete ───────────► Failed (1, 2, 4 … 30 s) ────────► Incomplete
//!                            │ heard               ▲       │ not wanted for 60 s
//!                            ▼      not used       │       └──► forgotten, or idle when a route needs it
//!        heard ─────► Reachable ───────────► Stale │
//!          ▲        15 to 45 s │               │   │ not used for 300 s ──► likewise
//!          │              used ▼          used │   │
//!          └───────────────── Probe ◄──────────┘   │
//!                               └──────────────────┘ no answer to 3 unicast and 3 broadcast requests
//! ```
//!
//! Packets go to a neighbour in Reachable, Stale, Probe and Permanent. Nothing here knows of addresses or packets, so
//! that ARP and neighbour discovery share it.

use std::time::Duration;

use shm::records::NeighborState;

/// Between two requests: RFC 4861's `RETRANS_TIMER`.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// Requests before the next kind of request, or the end: `MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`.
const REQUESTS: u8 = 3;
/// Jittered, how long an answer holds: `REACHABLE_TIME`.
pub(super) const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// Between two looks whether a stale neighbour is used: `DELAY_FIRST_PROBE_TIME`.
const STALE_LOOK: Duration = Duration::from_secs(5);
/// After which a stale neighbour that nobody uses is forgotten.
const STALE_TIME: Duration = Duration::from_secs(300);
/// Packets for a neighbour that does not answer are dropped for so long at first, and at most, before it is asked anew.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// After the hold, when a neighbour that nobody wants is forgotten.
const FAILED_TIME: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Incomplete { requests: u8 },
    Reachable,
    Stale { since: Duration },
    Probe { requests: u8 },
    Failed { holding: bool },
    Permanent,
}

/// What a transition asks for. The state itself is looked at afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Rest,
    /// Ask everyone on the link.
    AskAll,
    /// Ask the neighbour itself.
    AskIt,
    /// It did not answer.
    Fail,
    /// Nobody needs it.
    Forget,
}

/// The state of one neighbour and when it must be looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reachability {
    state: State,
    deadline: Option<Duration>,
    hold: Duration,
}

impl Reachability {
    /// Not asked for.
    pub(super) const IDLE: Self = Self {
        state: State::Idle,
        deadline: None,
        hold: FIRST_HOLD,
    };
    /// Set by hand.
    pub(super) const PERMANENT: Self = Self {
        state: State::Permanent,
        deadline: None,
        hold: FIRST_HOLD,
    };

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Set by hand, and never changed by what is heard.
    pub(super) fn is_permanent(&self) -> bool {
        self.state == State::Permanent
    }

    /// Packets go there.
    pub(super) fn forwards(&self) -> bool {
        matches!(
            self.state,
            State::Reachable | State::Stale { .. } | State::Probe { .. } | State::Permanent
        )
    }

    /// Packets for it are dropped rather than kept.
    pub(super) fn is_holding(&self) -> bool {
        self.state == State::Failed { holding: true }
    }

    /// It failed, and the next packet that needs it has it asked.
    pub(super) fn may_be_asked(&self) -> bool {
        self.state == State::Failed { holding: false }
    }

    /// Whether it serves as a next hop, given whether it did: not after it failed, until it is known again.
    pub(super) fn serves(&self, before: bool) -> bool {
        match self.state {
            State::Failed { .. } => false,
            State::Incomplete { .. } => before,
            _ => true,
        }
    }

    /// The state that tools see.
    pub(super) fn state(&self) -> NeighborState {
        match self.state {
            State::Idle | State::Incomplete { .. } => NeighborState::Incomplete,
            State::Reachable => NeighborState::Reachable,
            State::Stale { .. } => NeighborState::Stale,
            State::Probe { .. } => NeighborState::Probe,
            State::Failed { .. } => NeighborState::Failed,
            State::Permanent => NeighborState::Permanent,
        }
    }

    /// It is being asked.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.state, State::Incomplete { .. } | State::Probe { .. })
    }

    /// Requests since it last answered.
    pub(super) fn requests(&self) -> u8 {
        match self.state {
            State::Incomplete { requests } | State::Probe { requests } => requests,
            _ => 0,
        }
    }

    /// A packet needs it.
    pub(super) fn wanted(&mut self, now: Duration) -> Step {
        match self.state {
            State::Idle | State::Failed { holding: false } => {
                self.state = State::Incomplete { requests: 1 };
                self.deadline = Some(now + RETRANSMIT);
                Step::AskAll
            }
            _ => Step::Rest,
        }
    }

    /// It was heard from; that holds for `reachable`.
    pub(super) fn heard(&mut self, now: Duration, reachable: Duration) {
        *self = Self {
            state: State::Reachable,
            deadline: Some(now + reachable),
            hold: FIRST_HOLD,
        };
    }

    /// It said where it is, but not in answer to the gateway: RFC 4861 sections 7.2.3 and 7.2.5. `moved`: that is news.
    pub(super) fn seen(&mut self, now: Duration, moved: bool) {
        if moved || !self.forwards() {
            *self = Self {
                state: State::Stale { since: now },
                deadline: Some(now + STALE_LOOK),
                hold: FIRST_HOLD,
            };
        }
    }

    /// Its link came back: what was said of it before counts no more.
    pub(super) fn link_returned(&mut self, now: Duration) {
        if let State::Failed { .. } = self.state {
            self.hold = FIRST_HOLD;
            self.state = State::Failed { holding: false };
            self.deadline = Some(now + FAILED_TIME);
        }
    }

    /// The deadline has passed. `used`: packets went there lately; `needed`: a route names it.
    pub(super) fn due(&mut self, now: Duration, used: bool, needed: bool) -> Step {
        match self.state {
            State::Idle | State::Permanent => {
                self.deadline = None;
                Step::Rest
            }
            State::Incomplete { requests } if requests < REQUESTS => {
                self.state = State::Incomplete {
                    requests: requests + 1,
                };
                self.deadline = Some(now + RETRANSMIT);
                Step::AskAll
            }
            State::Incomplete { .. } => self.fail(now),
            State::Reachable if used => self.probe(now, 1),
            State::Reachable => {
                self.state = State::Stale { since: now };
                self.deadline = Some(now + STALE_LOOK);
                Step::Rest
            }
            State::Stale { .. } if used => self.probe(now, 1),
            State::Stale { since } if now >= since + STALE_TIME => self.rest(needed),
            State::Stale { since } => {
                self.deadline = Some((now + STALE_LOOK).min(since + STALE_TIME));
                Step::Rest
            }
            State::Probe { requests } if requests < 2 * REQUESTS => self.probe(now, requests + 1),
            State::Probe { .. } => self.fail(now),
            State::Failed { holding: true } => {
                self.state = State::Failed { holding: false };
                self.deadline = Some(now + FAILED_TIME);
                Step::Rest
            }
            State::Failed { holding: false } => self.rest(needed),
        }
    }

    fn probe(&mut self, now: Duration, requests: u8) -> Step {
        self.state = State::Probe { requests };
        self.deadline = Some(now + RETRANSMIT);
        if requests <= REQUESTS {
            Step::AskIt
        } else {
            Step::AskAll
        }
    }

    fn fail(&mut self, now: Duration) -> Step {
        self.state = State::Failed { holding: true };
        self.deadline = Some(now + self.hold);
        self.hold = (self.hold * 2).min(LONGEST_HOLD);
        Step::Fail
    }

    fn rest(&mut self, needed: bool) -> Step {
        if !needed {
            return Step::Forget;
        }
        *self = Self::IDLE;
        Step::Rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Lets the deadline pass; gives the step and the time.
    fn pass(neighbor: &mut Reachability, used: bool) -> (Step, Duration) {
        let now = neighbor.deadline().unwrap();
        (neighbor.due(now, used, false), now)
    }

    #[test]
    fn three_requests_a_second_apart_then_failed() {
        let mut neighbor = Reachability::IDLE;
        assert_eq!(neighbor.wanted(at(100)), Step::AskAll);
        assert_eq!(neighbor.wanted(at(100)), Step::Rest);
        assert_eq!(pass(&mut neighbor, false), (Step::AskAll, at(101)));
        assert_eq!(pass(&mut neighbor, false), (Step::AskAll, at(102)));
        assert_eq!(neighbor.requests(), 3);
        assert_eq!(pass(&mut neighbor, false), (Step::Fail, at(103)));
        assert!(neighbor.is_holding());
    }

    #[test]
    fn the_hold_doubles_up_to_thirty_seconds_while_asked_in_vain() {
        let mut neighbor = Reachability::IDLE;
        let holds: Vec<u64> = (0..7)
            .map(|_| {
                let now = neighbor.deadline().unwrap_or(at(0));
                assert_eq!(neighbor.wanted(now), Step::AskAll);
                while pass(&mut neighbor, false).0 != Step::Fail {}
                let failed = neighbor.deadline().unwrap();
                assert_eq!(
                    neighbor.wanted(failed - at(1) / 2),
                    Step::Rest,
                    "asked while held"
                );
                pass(&mut neighbor, false);
                (failed - now - at(3)).as_secs()
            })
            .collect();
        assert_eq!(holds, [1, 2, 4, 8, 16, 30, 30]);
        neighbor.heard(at(1000), at(30));
        assert_eq!(neighbor.hold, FIRST_HOLD);
    }

    #[test]
    fn a_used_neighbor_is_asked_itself_and_then_all_are_while_packets_flow() {
        let mut neighbor = Reachability::IDLE;
        neighbor.heard(at(0), at(30));
        let steps: Vec<Step> = (0..7)
            .map(|_| {
                assert!(neighbor.forwards());
                pass(&mut neighbor, true).0
            })
            .collect();
        use Step::{AskAll, AskIt, Fail};
        assert_eq!(steps, [AskIt, AskIt, AskIt, AskAll, AskAll, AskAll, Fail]);
        assert!(!neighbor.forwards());
    }

    #[test]
    fn an_unused_neighbor_turns_stale_and_is_forgotten_after_300_seconds() {
        let mut neighbor = Reachability::IDLE;
        neighbor.heard(at(0), at(30));
        assert_eq!(pass(&mut neighbor, false), (Step::Rest, at(30)));
        assert_eq!(neighbor.state(), NeighborState::Stale);
        let forgotten = loop {
            match pass(&mut neighbor, false) {
                (Step::Rest, _) => assert!(neighbor.forwards()),
                other => break other,
            }
        };
        assert_eq!(forgotten, (Step::Forget, at(330)));
    }

    #[test]
    fn a_stale_neighbor_in_use_is_probed() {
        let mut neighbor = Reachability::IDLE;
        neighbor.heard(at(0), at(30));
        pass(&mut neighbor, false);
        assert_eq!(pass(&mut neighbor, true), (Step::AskIt, at(35)));
        assert_eq!(neighbor.state(), NeighborState::Probe);
    }

    #[test]
    fn one_that_says_where_it_is_unasked_is_stale_until_it_is_used() {
        let mut neighbor = Reachability::IDLE;
        neighbor.seen(at(0), true);
        assert_eq!(neighbor.state(), NeighborState::Stale);
        assert_eq!(pass(&mut neighbor, true), (Step::AskIt, at(5)));
        neighbor.heard(at(5), at(30));
        neighbor.seen(at(6), false);
        assert_eq!(neighbor.state(), NeighborState::Reachable);
        neighbor.seen(at(7), true);
        assert_eq!(neighbor.state(), NeighborState::Stale);
    }

    #[test]
    fn one_that_a_route_names_rests_instead_of_being_forgotten() {
        let mut neighbor = Reachability::IDLE;
        neighbor.heard(at(0), at(30));
        neighbor.due(at(30), false, true);
        assert_eq!(neighbor.due(at(330), false, true), Step::Rest);
        assert_eq!(neighbor, Reachability::IDLE);
    }
}
