//! What an engine gives: datagrams, commands for SAs of ESP, and events, in one order.
//!
//! The order is what loses no packet: an SA is there for packets that come in before the peer can know that it is.

use std::fmt;
use std::net::SocketAddr;

use ikev2::crypto::{EspSuite, IkeSpis, Secret};
use ikev2::wire::{IkeSpi, TrafficSelector};

use crate::{Failure, Identity};

/// The addresses and ports of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Ours.
    pub local: SocketAddr,
    /// The other end's, as it is seen here: that of its NAT, if it is behind one.
    pub remote: SocketAddr,
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// From where to where.
    pub path: Path,
    /// What follows the UDP header: with the non-ESP marker on port 4500 (RFC 3948 §2.2), or a keepalive.
    pub payload: Vec<u8>,
}

/// The SPIs of a pair of SAs. The first was chosen here, and no other pair has it; the other was chosen by the peer, and another peer
/// may have chosen the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiPair {
    /// Of packets that come in.
    pub inbound: u32,
    /// Of packets that go out.
    pub outbound: u32,
}

/// One direction of a child SA.
#[derive(Debug)]
pub struct ChildSa {
    /// The IKE SA that made it, by our SPI of that.
    pub ike: IkeSpi,
    /// Name of the profile.
    pub profile: String,
    /// Name of the profile of the child SA.
    pub child: String,
    /// Its SPI, and that of the other direction.
    pub pair: SpiPair,
    /// The algorithms.
    pub suite: EspSuite,
    /// The keys: of the cipher, its salt, and of the integrity algorithm.
    pub key: Secret,
    /// Traffic at our end.
    pub ours: Vec<TrafficSelector>,
    /// Traffic at the other end.
    pub theirs: Vec<TrafficSelector>,
    /// Where its packets go: the ports count with `in_udp` only.
    pub path: Path,
    /// Whether ESP is in UDP, because there is a NAT (RFC 3948).
    pub in_udp: bool,
}

/// What the data plane is to do, each before the next output is looked at.
#[derive(Debug)]
pub enum SaCommand {
    /// Take packets of this SA from now on.
    InstallInbound(Box<ChildSa>),
    /// Have this SA ready. Nothing goes out by it yet.
    InstallOutbound(Box<ChildSa>),
    /// Traffic goes out by this SA from now on, and by `from` no more.
    Switch {
        /// What was used before; `None`: nothing was.
        from: Option<SpiPair>,
        /// What is used now.
        to: SpiPair,
    },
    /// Nothing goes out by the outbound SA any more.
    RemoveOutbound(SpiPair),
    /// Packets of the SA with this inbound SPI are taken no more.
    RemoveInbound(u32),
    /// The peer, or its NAT, has another address or port: packets of both SAs go there.
    Move {
        /// Which SAs.
        pair: SpiPair,
        /// From where to where now.
        path: Path,
    },
}

/// What has happened, for logs and for who waits for it. IKE SAs are known by our SPI.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Both ends have shown who they are.
    IkeUp {
        /// Our SPI.
        ike: IkeSpi,
        /// Both SPIs.
        spis: IkeSpis,
        /// Name of the profile.
        profile: String,
        /// Who the peer is.
        peer: Identity,
    },
    /// An IKE SA has taken the place of another, with its child SAs.
    IkeRekeyed {
        /// Our SPI of the old one.
        old: IkeSpi,
        /// Our SPI of the new one.
        new: IkeSpi,
    },
    /// An IKE SA is gone, and its child SAs with it.
    IkeDown {
        /// Our SPI.
        ike: IkeSpi,
        /// Name of the profile.
        profile: String,
        /// Why.
        reason: Failure,
    },
    /// No IKE SA was made.
    Failed {
        /// Name of the profile; empty where none was found.
        profile: String,
        /// The other end.
        remote: SocketAddr,
        /// Why.
        reason: Failure,
    },
    /// A pair of child SAs is there.
    ChildUp {
        /// Our SPI of the IKE SA.
        ike: IkeSpi,
        /// Name of the profile of the child SA.
        child: String,
        /// Its SPIs.
        spis: SpiPair,
        /// The inbound SPI of the pair whose place it takes.
        instead_of: Option<u32>,
    },
    /// A pair of child SAs is gone.
    ChildDown {
        /// Our SPI of the IKE SA.
        ike: IkeSpi,
        /// Name of the profile of the child SA.
        child: String,
        /// Its SPIs.
        spis: SpiPair,
    },
    /// A child SA was not made, or not rekeyed.
    ChildFailed {
        /// Our SPI of the IKE SA.
        ike: IkeSpi,
        /// Name of the profile of the child SA; empty where none was found.
        child: String,
        /// Why.
        reason: Failure,
    },
    /// An IKE SA was not rekeyed; it is tried again.
    RekeyFailed {
        /// Our SPI.
        ike: IkeSpi,
        /// Why.
        reason: Failure,
    },
    /// The peer, or its NAT, has another address or port.
    PeerMoved {
        /// Our SPI of the IKE SA.
        ike: IkeSpi,
        /// From where.
        from: SocketAddr,
        /// To where.
        to: SocketAddr,
    },
}

/// One thing to be done, after those before it.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Send(Datagram),
    /// Tell the data plane.
    Sa(SaCommand),
    /// Tell who wants to know.
    Event(Event),
}

/// What has been counted since the engine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent again.
    pub retransmissions: u64,
    /// Requests that had been answered, and were answered again from memory.
    pub repeated_answers: u64,
    /// Keepalives sent to hold a NAT open.
    pub keepalives: u64,
    /// IKE_SA_INIT exchanges begun by this end, and answered with an SA.
    pub inits: (u64, u64),
    /// IKE SAs that became established.
    pub established: u64,
    /// IKE SAs rekeyed.
    pub ike_rekeys: u64,
    /// Child SAs rekeyed.
    pub child_rekeys: u64,
    /// Cookies asked for.
    pub cookies: u64,
    /// Datagrams that changed nothing: no IKE, forged, late, early, or for no IKE SA that is here. Requests that were answered again are
    /// none of them.
    pub dropped: u64,
    /// Requests dropped because of a limit: of strangers, or of peers that repeat one for ever.
    pub limited: u64,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.local, self.remote)
    }
}
