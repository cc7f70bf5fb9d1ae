//! How far a TCP connection is, as somebody in the middle can tell (RFC 9293 section 3.3.2, from the server's side):
//!
//! ```text
//!   SYN ─► syn_recv ── client's ACK after the server's SYN ─► established
//!            │                                                   │
//!            └──────────────────────┬────────────────────────────┘
//!          client's FIN ────────────┴──────────── server's FIN
//!               ▼                                      ▼
//!          close_wait                              fin_wait
//!               │ server's FIN                         │ client's FIN
//!               ▼                                      ▼
//!           last_ack ── client's ACK ─► close      time_wait
//! ```
//!
//! RST of either side: close.

use packet::tcp::TcpFlags;

use crate::table::Direction;
use crate::verdict::State;

/// The state after a segment. `answered`: the server has sent its SYN, so that a client who invents ACKs gets nowhere.
#[inline]
pub(crate) fn next(state: State, direction: Direction, flags: TcpFlags, answered: bool) -> State {
    if flags.has(TcpFlags::RST) {
        return State::Close;
    }
    let is_fin = flags.has(TcpFlags::FIN);
    match (direction, state) {
        (Direction::In, State::SynRecv | State::Established) if is_fin => State::CloseWait,
        (Direction::In, State::FinWait) if is_fin => State::TimeWait,
        (Direction::In, State::SynRecv) if answered && is_ack(flags) => State::Established,
        (Direction::In, State::LastAck) if !is_fin && is_ack(flags) => State::Close,
        (Direction::Out, State::SynRecv | State::Established) if is_fin => State::FinWait,
        (Direction::Out, State::CloseWait) if is_fin => State::LastAck,
        _ => state,
    }
}

#[inline]
fn is_ack(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::SYN)
}

/// Whether a segment asks for a connection, and does nothing else.
#[inline]
pub(crate) fn begins(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::SYN) && flags.0 & (TcpFlags::ACK.0 | TcpFlags::RST.0 | TcpFlags::FIN.0) == 0
}

/// Whether a client's new SYN takes the place of a connection in this state: both ends have done with it.
#[inline]
pub(crate) fn is_over(state: State) -> bool {
    matches!(state, State::TimeWait | State::Close | State::LastAck)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: TcpFlags = TcpFlags::SYN;
    const ACK: TcpFlags = TcpFlags::ACK;
    const FIN: TcpFlags = TcpFlags::FIN.and(TcpFlags::ACK);
    const RST: TcpFlags = TcpFlags::RST;

    fn after(steps: &[(Direction, TcpFlags)]) -> State {
        let mut answered = false;
        let mut state = State::SynRecv;
        for (direction, flags) in steps {
            answered |= *direction == Direction::Out && flags.has(SYN);
            state = next(state, *direction, *flags, answered);
        }
        state
    }

    use Direction::{In, Out};

    #[test]
    fn handshake_establishes_and_an_invented_ack_does_not() {
        let syn_ack = SYN.and(ACK);
        assert_eq!(after(&[(In, SYN)]), State::SynRecv);
        assert_eq!(after(&[(In, SYN), (In, ACK)]), State::SynRecv);
        assert_eq!(after(&[(In, SYN), (Out, syn_ack)]), State::SynRecv);
        assert_eq!(after(&[(In, SYN), (Out, syn_ack), (In, ACK)]), State::Established);
        assert_eq!(
            after(&[(In, SYN), (Out, syn_ack), (In, ACK), (In, SYN)]),
            State::Established
        );
    }

    #[test]
    fn either_side_closes_first() {
        let open = [(In, SYN), (Out, SYN.and(ACK)), (In, ACK)];
        let with = |more: &[(Direction, TcpFlags)]| after(&[&open, more].concat());
        assert_eq!(with(&[(In, FIN)]), State::CloseWait);
        assert_eq!(with(&[(In, FIN), (Out, ACK), (In, ACK)]), State::CloseWait);
        assert_eq!(with(&[(In, FIN), (Out, FIN)]), State::LastAck);
        assert_eq!(with(&[(In, FIN), (Out, FIN), (In, FIN)]), State::LastAck);
        assert_eq!(with(&[(In, FIN), (Out, FIN), (In, ACK)]), State::Close);
        assert_eq!(with(&[(Out, FIN)]), State::FinWait);
        assert_eq!(with(&[(Out, FIN), (In, ACK), (Out, ACK)]), State::FinWait);
        assert_eq!(with(&[(Out, FIN), (In, FIN)]), State::TimeWait);
        assert_eq!(with(&[(Out, FIN), (In, FIN), (Out, ACK)]), State::TimeWait);
    }

    #[test]
    fn reset_of_either_side_closes_in_any_state() {
        for state in State::ALL {
            for direction in [In, Out] {
                assert_eq!(next(state, direction, RST.and(ACK), true), State::Close);
            }
        }
    }

    #[test]
    fn only_a_bare_syn_begins_a_connection() {
        assert!(begins(SYN));
        assert!(begins(SYN.and(TcpFlags::PSH)));
        for other in [
            ACK,
            FIN,
            RST,
            SYN.and(ACK),
            SYN.and(RST),
            SYN.and(TcpFlags::FIN),
            TcpFlags(0),
        ] {
            assert!(!begins(other), "{other:?}");
        }
    }
}
