//! Profiles: with whom an IKE SA is made, how, and for which traffic.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ikev2::certificate::same_identity;
use ikev2::proposal::Proposal;
use ikev2::wire::{IdType, Identification, TrafficSelector};

use crate::{LocalAuth, RemoteAuth};

/// Who an end says to be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// What the data are.
    pub kind: IdType,
    /// The identity as it is on the wire.
    pub data: Vec<u8>,
}

impl Identity {
    /// A name like `gw.example.org`.
    pub fn fqdn(name: &str) -> Identity {
        Identity {
            kind: IdType::FQDN,
            data: name.as_bytes().to_vec(),
        }
    }

    /// An address.
    pub fn address(address: IpAddr) -> Identity {
        match address {
            IpAddr::V4(address) => Identity {
                kind: IdType::IPV4_ADDR,
                data: address.octets().to_vec(),
            },
            IpAddr::V6(address) => Identity {
                kind: IdType::IPV6_ADDR,
                data: address.octets().to_vec(),
            },
        }
    }

    /// Any bytes.
    pub fn key_id(data: &[u8]) -> Identity {
        Identity {
            kind: IdType::KEY_ID,
            data: data.to_vec(),
        }
    }

    /// That of a payload. Its reserved bytes are no part of who somebody is.
    pub fn of(id: &Identification<'_>) -> Identity {
        Identity {
            kind: id.kind,
            data: id.data.to_vec(),
        }
    }

    /// A subject of a certificate, in DER: that of our own ([`ikev2::certificate::X509::subject`]), or of a text
    /// ([`ikev2::certificate::distinguished_name`]).
    pub fn distinguished_name(der: &[u8]) -> Identity {
        Identity {
            kind: IdType::DER_ASN1_DN,
            data: der.to_vec(),
        }
    }

    /// A mail address.
    pub fn mail(address: &str) -> Identity {
        Identity {
            kind: IdType::RFC822_ADDR,
            data: address.as_bytes().to_vec(),
        }
    }

    /// Whether both are the same: names without regard to case, distinguished names piece by piece.
    pub fn is(&self, other: &Identity) -> bool {
        same_identity(&self.payload(), &other.payload())
    }

    /// The payload that says it.
    pub fn payload(&self) -> Identification<'_> {
        Identification::new(self.kind, &self.data)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.payload(), f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.payload(), f)
    }
}

/// How long an SA lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// It is rekeyed after this.
    pub soft: Duration,
    /// And up to so much earlier, at random, so that both ends seldom rekey at once.
    pub jitter: Duration,
    /// It is deleted after this, rekeyed or not.
    pub hard: Duration,
}

/// When an SA is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAction {
    /// When the peer or an operator wants it.
    None,
    /// At once, and again whenever it is lost, for ever.
    Start,
    /// When the peer or an operator wants it, or a packet is to leave by a child SA that there is not
    /// ([`Engine::acquire`](crate::Engine::acquire)).
    Trap,
}

/// What becomes of a profile whose peer does not answer any more. Its SAs go in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadPeerAction {
    /// It is started again, with growing pauses, until it is up.
    Restart,
    /// Nothing, until the peer or an operator wants it.
    Clear,
    /// It waits for traffic, until it is up.
    Trap,
}

/// Traffic that is protected by one pair of SAs at a time.
#[derive(Clone, Debug)]
pub struct ChildProfile {
    /// Its name, for people.
    pub name: String,
    /// What is allowed, in the order in which it is liked. Key exchanges are for perfect forward secrecy.
    pub proposals: Vec<Proposal>,
    /// Traffic at our end.
    pub local: Vec<TrafficSelector>,
    /// Traffic at the other end.
    pub remote: Vec<TrafficSelector>,
    /// How long the SAs live.
    pub lifetime: Lifetime,
}

/// A peer.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name, for people.
    pub name: String,
    /// Our address.
    pub local_address: IpAddr,
    /// Its address; `None`: any, and nothing can be initiated.
    pub remote_address: Option<IpAddr>,
    /// Who we are.
    pub local_id: Identity,
    /// Who it is; `None`: whoever can show who it is.
    pub remote_id: Option<Identity>,
    /// How we show who we are.
    pub local_auth: LocalAuth,
    /// How it has to show who it is.
    pub remote_auth: RemoteAuth,
    /// What is allowed for the IKE SA, in the order in which it is liked.
    pub proposals: Vec<Proposal>,
    /// What is protected. The initiator asks for all of them.
    pub children: Vec<ChildProfile>,
    /// Whether IKE_AUTH is to make no child SA, if the peer can do that (RFC 6023).
    pub childless: bool,
    /// How long the IKE SA lives.
    pub lifetime: Lifetime,
    /// A peer that has not been heard for so long is asked whether it is alive (RFC 7296 §2.4).
    pub liveness: Duration,
    /// When the IKE SA is made.
    pub start: StartAction,
    /// What becomes of it when the peer is dead; `None`: what `start` says.
    pub dead_peer: Option<DeadPeerAction>,
}

impl Profile {
    /// What becomes of it when the peer is dead.
    pub fn dead_peer(&self) -> DeadPeerAction {
        self.dead_peer.unwrap_or(match self.start {
            StartAction::None => DeadPeerAction::Clear,
            StartAction::Start => DeadPeerAction::Restart,
            StartAction::Trap => DeadPeerAction::Trap,
        })
    }

    /// Whether it is for an IKE SA between these addresses.
    pub fn is_between(&self, local: IpAddr, remote: IpAddr) -> bool {
        self.local_address == local && self.remote_address.is_none_or(|address| address == remote)
    }
}
