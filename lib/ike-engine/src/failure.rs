//! Why an exchange failed: for people one sentence, for the peer a notify.

use ikev2::certificate::CertificateError;
use ikev2::crypto::{Group, KeyExchangeError, SealError, SignError, SuiteError, VerifyError, WrongKeys};
use ikev2::proposal::{BadAnswer, Refusal};
use ikev2::wire::{ExchangeType, KeyExchangeMethod, NotifyType, ParseError, WriteError};

/// Why an IKE SA or a child SA was not made, or is gone.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Nothing came back.
    #[error(
        "the peer has not answered {exchange}, which was sent {attempts} times; see whether it runs and UDP 500 and 4500 pass"
    )]
    NoAnswer {
        /// What was asked.
        exchange: ExchangeType,
        /// How often.
        attempts: u32,
    },
    /// The peer began, and did not go on.
    #[error("the peer has not sent IKE_AUTH in time; see its log for why")]
    HalfOpen,
    /// The peer refuses.
    #[error("the peer refuses {exchange} with {notify}; {}", advice(*.notify))]
    Refused {
        /// What was asked.
        exchange: ExchangeType,
        /// What it says.
        notify: NotifyType,
    },
    /// Nothing of what the peer proposes is allowed.
    #[error("{refusal}: change {place} of one end")]
    Proposals {
        /// What each end has.
        refusal: Refusal,
        /// The setting that it is about.
        place: String,
    },
    /// What the peer has chosen was not proposed.
    #[error("{0}; the peer is wrong")]
    Answer(#[from] BadAnswer),
    /// Nothing is selected by both ends.
    #[error(
        "peer wants traffic {wanted}, profile {profile} allows {allowed}: change the traffic selectors of one end"
    )]
    Selectors {
        /// What the peer selects: its end, then ours.
        wanted: String,
        /// What is allowed: the peer's end, then ours.
        allowed: String,
        /// The profile.
        profile: String,
    },
    /// The peer has answered with other traffic than it was asked for.
    #[error("peer answers with traffic {given}, and was asked for {asked}; the peer is wrong")]
    OtherTraffic {
        /// What it answers: its end, then ours.
        given: String,
        /// What it was asked for: its end, then ours.
        asked: String,
    },
    /// The peer's key exchange is of another group than the one that was chosen: it is asked for that.
    #[error("the peer has guessed {given}, and {wanted} was chosen; it is to try again with that")]
    Group {
        /// What it sent.
        given: KeyExchangeMethod,
        /// What was chosen.
        wanted: KeyExchangeMethod,
    },
    /// The peer wants another key exchange, or none, when a child SA is rekeyed: IKE_AUTH, which made it, has none (RFC 7296 §1.2).
    #[error("{}", rekey_group(*.wanted, .allowed, .place))]
    RekeyGroup {
        /// The group that it asks for; `None`: it does not say.
        wanted: Option<Group>,
        /// Ours.
        allowed: String,
        /// The setting that it is about.
        place: String,
    },
    /// Nobody with this identity is expected from there.
    #[error(
        "peer says to be {id} and wants {wanted}, and no profile between these addresses has that remote_id and local_id: add one"
    )]
    Identity {
        /// Who the peer says to be.
        id: String,
        /// Whom it wants.
        wanted: String,
    },
    /// The responder is another one than its profile expects.
    #[error(
        "the peer is {id}, and profile {profile} expects {expected}; change its remote_id, or the peer's identity"
    )]
    OtherPeer {
        /// Who it is.
        id: String,
        /// The profile.
        profile: String,
        /// Who it is to be.
        expected: String,
    },
    /// Both have agreed on algorithms of another profile before the peer said who it is.
    #[error(
        "peer {peer} is of profile {profile}, whose ike_proposals do not allow what another profile between the same addresses has agreed \
         to; give them the same ike_proposals"
    )]
    OtherProposals {
        /// Who the peer is.
        peer: String,
        /// Its profile.
        profile: String,
    },
    /// The key is another one.
    #[error("the AUTH of peer {0} does not fit our key; see that both ends have the same PSK")]
    Authentication(String),
    /// The peer authenticates in a way that is not allowed.
    #[error("peer authenticates by {given}, and its profile wants {wanted}; change one of both")]
    Method {
        /// How it does.
        given: String,
        /// How it has to.
        wanted: &'static str,
    },
    /// The peer's certificate is not taken.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The peer's signature is not taken.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// We cannot sign for this peer.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// There is no profile between these addresses.
    #[error("no profile is for a peer at this address: add one")]
    NoProfile,
    /// A payload is not there that has to be.
    #[error("the peer's {exchange} has no {payload} payload; the peer is wrong")]
    Missing {
        /// In which exchange.
        exchange: ExchangeType,
        /// Which.
        payload: &'static str,
    },
    /// An exchange that has no place here.
    #[error(
        "the peer sends a request of {0}, which has no place in an established IKE SA; the peer is wrong"
    )]
    Exchange(ExchangeType),
    /// A message that cannot be read, from the peer itself.
    #[error("{0}; the peer is wrong")]
    Malformed(#[from] ParseError),
    /// The peer's public value is bad.
    #[error(transparent)]
    KeyExchange(#[from] KeyExchangeError),
    /// What was chosen cannot be computed.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Keys do not fit the suite.
    #[error(transparent)]
    Keys(#[from] WrongKeys),
    /// A message that cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A message that cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There are as many child SAs as there may be.
    #[error("the peer wants more than {0} child SAs in one IKE SA; it has to delete some before")]
    TooManyChildren(usize),
    /// There are as many IKE SAs with the peer as there may be.
    #[error(
        "peer {peer} has {most} IKE SAs of profile {profile} and wants one more; have it delete some, or allow more with max_ike_per_peer"
    )]
    TooManyIkes {
        /// Who the peer is.
        peer: String,
        /// So many there may be.
        most: usize,
        /// The profile.
        profile: String,
    },
    /// The peer has chosen an SPI that stands for no SA.
    #[error("the peer has chosen SPI {0} for ESP, and those below 256 are reserved; the peer is wrong")]
    ReservedSpi(u32),
    /// It cannot be done just now (RFC 7296 §2.25).
    #[error("an exchange about the same SA is under way; try again in a second")]
    Temporary,
    /// The peer speaks of a child SA that is not here (RFC 7296 §2.25).
    #[error("the peer wants to rekey a child SA that is not here; it was deleted before")]
    ChildNotFound,
    /// The profile has no such thing.
    #[error("profile {0} cannot be initiated: it has no remote address or no proposal; add them")]
    NotInitiable(String),
    /// It was asked for here.
    #[error("it was terminated here")]
    Terminated,
    /// It was asked for there.
    #[error("the peer has deleted it")]
    Deleted,
    /// The peer has begun anew (RFC 7296 §2.4).
    #[error("the peer has started anew and says that this is its only IKE SA")]
    InitialContact,
    /// Another has taken its place.
    #[error("it was rekeyed")]
    Rekeyed,
    /// It has come to its end.
    #[error("its lifetime is over, and it could not be rekeyed before; see why in the log")]
    Expired,
}

fn rekey_group(wanted: Option<Group>, allowed: &str, place: &str) -> String {
    match wanted {
        Some(wanted) => {
            format!(
                "peer wants {wanted} when the child SA is rekeyed, we allow {allowed}: add {wanted} to {place}"
            )
        }
        None => format!(
            "peer refuses {allowed} when the child SA is rekeyed, and has taken the rest before: it wants no key exchange, or another group; change \
             {place} of one end"
        ),
    }
}

/// What to do about a refusal.
fn advice(notify: NotifyType) -> &'static str {
    match notify {
        NotifyType::NO_PROPOSAL_CHOSEN => {
            "compare the proposals of both ends, or see whether it has a profile for us"
        }
        NotifyType::TS_UNACCEPTABLE => "compare the traffic selectors of both ends",
        NotifyType::AUTHENTICATION_FAILED => "compare identities, keys and certificates of both ends",
        NotifyType::NO_ADDITIONAL_SAS => "it takes no more child SAs in this IKE SA",
        _ => "see its log for why",
    }
}

impl Failure {
    /// What the peer is told in the exchange that failed.
    pub fn notify(&self) -> NotifyType {
        match self {
            Failure::Proposals { .. } | Failure::Suite(_) | Failure::NoProfile => {
                NotifyType::NO_PROPOSAL_CHOSEN
            }
            Failure::Selectors { .. } | Failure::OtherTraffic { .. } => NotifyType::TS_UNACCEPTABLE,
            Failure::Group { .. } => NotifyType::INVALID_KE_PAYLOAD,
            Failure::Identity { .. }
            | Failure::OtherPeer { .. }
            | Failure::OtherProposals { .. }
            | Failure::Authentication(_)
            | Failure::Method { .. }
            | Failure::Certificate(_)
            | Failure::Signature(_)
            | Failure::Sign(_) => NotifyType::AUTHENTICATION_FAILED,
            Failure::TooManyChildren(_) => NotifyType::NO_ADDITIONAL_SAS,
            Failure::ChildNotFound => NotifyType::CHILD_SA_NOT_FOUND,
            Failure::Malformed(error) => error
                .notify()
                .map_or(NotifyType::INVALID_SYNTAX, |notify| notify.kind),
            Failure::Missing { .. }
            | Failure::Exchange(_)
            | Failure::KeyExchange(_)
            | Failure::ReservedSpi(_) => NotifyType::INVALID_SYNTAX,
            // What is not the peer's fault may work later.
            _ => NotifyType::TEMPORARY_FAILURE,
        }
    }

    /// Data of that notify.
    pub(crate) fn data(&self) -> Vec<u8> {
        match self {
            Failure::Group { wanted, .. } => wanted.0.to_be_bytes().to_vec(),
            Failure::Malformed(error) => error
                .notify()
                .map_or_else(Vec::new, |notify| notify.data.to_vec()),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_says_which_group_it_wants_is_quoted() {
        let failure = Failure::RekeyGroup {
            wanted: Some(Group::Modp2048),
            allowed: "curve25519 or ecp256".to_owned(),
            place: "proposals of child net of profile pr1".to_owned(),
        };
        assert_eq!(
            failure.to_string(),
            "peer wants modp2048 when the child SA is rekeyed, we allow curve25519 or ecp256: add modp2048 to proposals of child net of \
             profile pr1"
        );
    }
}
