//! What an IKE SA is when it is written down. Bytes are borrowed both ways, so that no key is copied.
//!
//! Whoever changes something here gives the journal another version.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds of the caller's clock.
pub(super) type Moment = u64;
/// Type, number, bits of the key.
pub(super) type TransformRecord = (u8, u16, Option<u16>);
/// Protocol, ports, addresses.
pub(super) type SelectorRecord = (u8, (u16, u16), IpAddr, IpAddr);
/// Group and private key.
pub(super) type KeyRecord<'a> = (u16, &'a [u8]);
pub(super) type SpiRecord = [u8; 8];

#[derive(Serialize, Deserialize)]
pub(super) struct SaRecord<'a> {
    #[serde(borrow)]
    pub(super) channel: ChannelRecord<'a>,
    #[serde(borrow)]
    pub(super) body: BodyRecord<'a>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum BodyRecord<'a> {
    /// Until when.
    Closed(Moment),
    #[serde(borrow)]
    Established(Box<EstablishedRecord<'a>>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct ChannelRecord<'a> {
    pub(super) is_responder: bool,
    pub(super) spis: (SpiRecord, SpiRecord),
    pub(super) path: (SocketAddr, SocketAddr),
    pub(super) nat: (bool, bool),
    pub(super) suite: Vec<TransformRecord>,
    /// SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr.
    #[serde(borrow)]
    pub(super) keys: [&'a [u8]; 7],
    pub(super) fragments: bool,
    pub(super) next_iv: u64,
    pub(super) next_request: u32,
    pub(super) next_expected: u32,
    #[serde(borrow)]
    pub(super) under_way: Option<RequestRecord<'a>>,
    #[serde(borrow)]
    pub(super) answered: Vec<&'a [u8]>,
    pub(super) heard: Moment,
    pub(super) sent: Moment,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RequestRecord<'a> {
    pub(super) exchange: u8,
    #[serde(borrow)]
    pub(super) messages: Vec<&'a [u8]>,
    pub(super) sent: u32,
    pub(super) due: Moment,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EstablishedRecord<'a> {
    pub(super) profile: &'a str,
    pub(super) peer: (u8, &'a [u8]),
    #[serde(borrow)]
    pub(super) children: Vec<ChildRecord<'a>>,
    #[serde(borrow)]
    pub(super) exchange: Option<ExchangeRecord<'a>>,
    #[serde(borrow)]
    pub(super) wanted: Vec<(Moment, WantedRecord<'a>)>,
    pub(super) since: Moment,
    pub(super) rekey_at: Option<Moment>,
    pub(super) expire_at: Option<Moment>,
    pub(super) predecessor: Option<SpiRecord>,
    pub(super) successors: Vec<SpiRecord>,
    pub(super) replaced: Option<Moment>,
    pub(super) closing: Option<ClosingRecord>,
    pub(super) announced: bool,
}

/// Why it is being deleted.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum ClosingRecord {
    Terminated,
    Rekeyed,
    Expired,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ChildRecord<'a> {
    /// Name of its profile.
    pub(super) name: &'a str,
    pub(super) inbound: u32,
    pub(super) outbound: u32,
    pub(super) suite: Vec<TransformRecord>,
    pub(super) ours: Vec<SelectorRecord>,
    pub(super) theirs: Vec<SelectorRecord>,
    pub(super) rekey_at: Option<Moment>,
    pub(super) expire_at: Option<Moment>,
    pub(super) after_trial: Option<Moment>,
    pub(super) state: ChildStateRecord,
    pub(super) in_use: bool,
    pub(super) was_used: bool,
    pub(super) unwanted: bool,
    pub(super) inbound_key: &'a [u8],
    pub(super) outbound_key: &'a [u8],
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum ChildStateRecord {
    Active,
    Replaced { by: u32, until: Moment },
    Closing { by: Option<u32> },
}

#[derive(Serialize, Deserialize)]
pub(super) enum ExchangeRecord<'a> {
    Liveness,
    #[serde(borrow)]
    CreateChild(Box<CreateChildRecord<'a>>),
    DeleteChild(u32),
    DeleteUnknown,
    #[serde(borrow)]
    RekeyIke(RekeyIkeRecord<'a>),
    DeleteIke,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CreateChildRecord<'a> {
    pub(super) name: &'a str,
    pub(super) spi: u32,
    pub(super) proposals: Vec<Vec<TransformRecord>>,
    pub(super) ours: Vec<SelectorRecord>,
    pub(super) theirs: Vec<SelectorRecord>,
    #[serde(borrow)]
    pub(super) key: Option<KeyRecord<'a>>,
    pub(super) nonce: &'a [u8],
    pub(super) rekeys: Option<u32>,
    pub(super) collision: Option<(u32, &'a [u8])>,
    pub(super) deleted: Vec<u32>,
    pub(super) unwanted: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RekeyIkeRecord<'a> {
    pub(super) spi: SpiRecord,
    pub(super) nonce: &'a [u8],
    #[serde(borrow)]
    pub(super) key: KeyRecord<'a>,
    pub(super) collision: Option<(SpiRecord, &'a [u8])>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum WantedRecord<'a> {
    /// The profile of the child SA by its name, and the group that the peer wants.
    Child(&'a str, Option<u16>),
    RekeyChild(u32, Option<u16>),
    DeleteChild(u32),
    DeleteUnknown(u32),
    RekeyIke(Option<u16>),
    DeleteIke,
    Liveness,
}

/// What belongs to no IKE SA.
#[derive(Serialize, Deserialize)]
pub(super) struct GeneralRecord<'a> {
    /// Inbound SAs that linger, and until when.
    pub(super) lingering: Vec<(Moment, u32)>,
    /// Profiles that would be started, and were terminated.
    #[serde(borrow)]
    pub(super) stopped: Vec<&'a str>,
    /// Profiles that are started again later: when, and after how many attempts.
    #[serde(borrow)]
    pub(super) waiting: Vec<(&'a str, Moment, u32)>,
    /// Profiles that traffic starts since their peer was dead.
    #[serde(borrow)]
    pub(super) trapped: Vec<&'a str>,
}
