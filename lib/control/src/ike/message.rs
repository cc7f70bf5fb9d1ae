//! Requests to the IKEv2 daemon, and its replies.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::message::SaKeys;

/// What a tool asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IkeRequest {
    /// The IKE SAs. The answer is any number of [`IkeReply::Sas`] and an [`IkeReply::Summary`].
    Show {
        /// Only those of this profile.
        profile: Option<String>,
        /// With their keys, which root alone may ask for.
        secrets: bool,
    },
    /// The profiles.
    Profiles,
    /// Make an IKE SA, and its child SAs, with the peer of a profile.
    Initiate {
        /// Its name.
        profile: String,
    },
    /// Delete the IKE SAs of a profile, or only their child SAs.
    Terminate {
        /// Its name.
        profile: String,
        /// The IKE SAs stay.
        children_only: bool,
    },
    /// Rekey what a profile has.
    Rekey {
        /// Its name.
        profile: String,
        /// What of it.
        what: IkeRekey,
    },
    /// Read the configuration again: all of it counts from now on, or nothing.
    Reload,
}

/// What is rekeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IkeRekey {
    /// IKE SAs.
    Ike,
    /// Child SAs.
    Children,
}

/// What the daemon answers when all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IkeReply {
    /// Some of the IKE SAs; others follow, and so may other child SAs of the last one.
    Sas(Vec<IkeSa>),
    /// The end of the answer to [`IkeRequest::Show`].
    Summary(Box<IkeSummary>),
    /// To [`IkeRequest::Profiles`]; others follow, and so may other children of the last one.
    Profiles(Vec<IkeProfile>),
    /// It is done, or begun; or there are no more profiles.
    Done,
    /// To [`IkeRequest::Reload`].
    Reloaded {
        /// What has changed, in a sentence.
        sentence: String,
    },
}

impl IkeReply {
    /// Whether no other reply to the same request follows.
    pub(super) fn is_last(&self) -> bool {
        !matches!(self, Self::Sas(_) | Self::Profiles(_))
    }
}

/// An IKE SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeSa {
    /// Name of the profile; empty where it is not known yet.
    pub profile: String,
    /// How far it is: `init_sent`, `auth_sent`, `half_open`, `established`, `replaced`, `closing` or `closed`.
    pub state: String,
    /// Whether this end has begun it.
    pub initiator: bool,
    /// SPI of who has begun it.
    pub initiator_spi: u64,
    /// SPI of the other end; 0 as long as it has not answered.
    pub responder_spi: u64,
    /// Address and port here.
    pub local: SocketAddr,
    /// Address and port of the peer as it is seen here.
    pub remote: SocketAddr,
    /// Who this end says to be, once a profile is known.
    pub local_id: Option<String>,
    /// Who the peer is, once that is known.
    pub remote_id: Option<String>,
    /// Whether this end is behind a NAT.
    pub nat_here: bool,
    /// Whether the peer is.
    pub nat_there: bool,
    /// The algorithms: encryption, integrity where that is one of its own, PRF and group with `-` between.
    pub suite: Option<String>,
    /// Milliseconds since both ends have shown who they are.
    pub age_ms: Option<u64>,
    /// Whether a request of this end waits for its answer.
    pub busy: bool,
    /// What it protects.
    pub children: Vec<IkeChild>,
    /// Its keys, for who may have them.
    pub keys: Option<IkeKeys>,
}

/// The keys of an IKE SA (RFC 7296 section 2.14).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeKeys {
    /// What keys of child SAs are made of.
    pub sk_d: SaKeys,
    /// Authenticate messages of the initiator and of the responder; empty where the cipher does.
    pub sk_a: (SaKeys, SaKeys),
    /// Encrypt messages of the initiator and of the responder; a salt is at the end.
    pub sk_e: (SaKeys, SaKeys),
    /// Go into AUTH of the initiator and of the responder.
    pub sk_p: (SaKeys, SaKeys),
}

/// A pair of SAs of ESP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeChild {
    /// Name of the child of the profile.
    pub name: String,
    /// The tunnel that it protects, if the profile has this child still.
    pub tunnel: Option<String>,
    /// SPI of packets that come in.
    pub inbound_spi: u32,
    /// SPI of packets that go out.
    pub outbound_spi: u32,
    /// The transform.
    pub transform: String,
    /// Whether sequence numbers have 64 bits.
    pub esn: bool,
    /// Group of its own key exchange, if it had one.
    pub group: Option<String>,
    /// Whether ESP is in UDP.
    pub in_udp: bool,
    /// Traffic at this end.
    pub local_ts: Vec<String>,
    /// Traffic at the other end.
    pub remote_ts: Vec<String>,
    /// Whether traffic goes out by it.
    pub in_use: bool,
    /// Whether it stays: it is neither rekeyed nor being deleted.
    pub stays: bool,
    /// Keys of packets that come in and of those that go out, for who may have them.
    pub keys: Option<(SaKeys, SaKeys)>,
}

/// What is said beside the IKE SAs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeSummary {
    /// Whether there is a primary.
    pub attached: bool,
    /// Why there is none, where that is more than that none runs.
    pub why_not: Option<String>,
    /// What was counted since the daemon began.
    pub statistics: IkeStatistics,
    /// What failed last, the newest first.
    pub failures: Vec<IkeFailure>,
}

/// What the daemon has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeStatistics {
    /// Keepalives sent to hold a NAT open.
    pub keepalives: u64,
    /// IKE SAs rekeyed.
    pub ike_rekeys: u64,
    /// Child SAs rekeyed.
    pub child_rekeys: u64,
    /// IKE_SA_INIT exchanges that this end has begun.
    pub init_sent: u64,
    /// IKE_SA_INIT requests that were answered with an SA.
    pub init_answered: u64,
    /// IKE SAs whose ends have both shown who they are.
    pub authenticated: u64,
    /// Requests sent again.
    pub retransmitted: u64,
    /// Requests that came again and were answered as before.
    pub repeated_answers: u64,
    /// Cookies asked for.
    pub cookies: u64,
    /// Datagrams that were no IKE, forged, or for no IKE SA that is here.
    pub dropped: u64,
    /// Requests of strangers beyond a limit.
    pub limited: u64,
    /// Answers and requests that could not be handed to the primary.
    pub unsent: u64,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeFailure {
    /// Name of the profile; empty where none was found.
    pub profile: String,
    /// The other end, where that is known.
    pub remote: Option<IpAddr>,
    /// What failed, why, and what to do.
    pub sentence: String,
    /// Milliseconds since.
    pub ago_ms: u64,
    /// How often it has come in a row.
    pub times: u32,
}

/// A profile, without what is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeProfile {
    /// Its name.
    pub name: String,
    /// Our address.
    pub local_address: IpAddr,
    /// The peer's; none: any, and the peer has to begin.
    pub remote_address: Option<IpAddr>,
    /// Who we are.
    pub local_id: String,
    /// Who the peer is; none: who knows the key.
    pub remote_id: Option<String>,
    /// How we show who we are: `psk` or `certificate`.
    pub local_auth: String,
    /// How the peer has to.
    pub remote_auth: String,
    /// What is allowed for the IKE SA.
    pub ike_proposals: Vec<String>,
    /// When the IKE SA is made: `none`, `start`, or `trap`, when traffic wants it.
    pub start: String,
    /// Whether IKE_AUTH makes no child SA.
    pub childless: bool,
    /// Seconds after which the IKE SA is rekeyed.
    pub rekey_seconds: u64,
    /// Seconds after which it is deleted.
    pub life_seconds: u64,
    /// Seconds after which a silent peer is asked whether it is alive.
    pub dpd_seconds: u64,
    /// What becomes of it when the peer is dead: `restart`, `clear`, or `trap`, when traffic wants it.
    pub dpd_action: String,
    /// What is protected.
    pub children: Vec<IkeProfileChild>,
}

/// Traffic of a profile that a tunnel carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeProfileChild {
    /// Its name.
    pub name: String,
    /// The tunnel.
    pub tunnel: String,
    /// What is allowed for its SAs.
    pub esp_proposals: Vec<String>,
    /// Traffic at this end.
    pub local_ts: Vec<String>,
    /// Traffic at the other end.
    pub remote_ts: Vec<String>,
    /// Seconds after which its SAs are rekeyed.
    pub rekey_seconds: u64,
    /// Seconds after which they are deleted.
    pub life_seconds: u64,
}
