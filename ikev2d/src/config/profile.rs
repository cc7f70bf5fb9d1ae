//! `[[profile]]`: a peer, and how it is known.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use document::{At, Section};
use ike_engine::{DeadPeerAction, Identity, Lifetime, Profile, StartAction};
use ikev2::proposal::Proposal;
use ikev2::wire::ProtocolId;

use super::authentication::{self, AuthConfig};
use super::child::{self, ChildConfig};
use super::identity::WrittenIdentity;
use super::names::Names;
use super::own_identity;
use super::proposals;
use super::time::Span;

/// How long IKE SAs live where nothing is said.
const REKEY_TIME: Duration = Duration::from_secs(4 * 3600);
/// After how long a silent peer is asked then.
const DPD_DELAY: Duration = Duration::from_secs(30);
/// What is proposed then: RFC 8247.
const PROPOSAL: &str = "aes256gcm16-prfsha256-prfsha384-curve25519-ecp256-ecp384-modp2048";
/// The longest name.
const NAME: usize = 31;

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileConfig {
    /// Its name.
    pub name: String,
    /// Our address.
    pub local_address: IpAddr,
    /// Its address; `None`: any, and it has to begin.
    pub remote_address: Option<IpAddr>,
    /// Who we are.
    pub local_id: Identity,
    /// Who it is; `None`: whoever can show who it is.
    pub remote_id: Option<Identity>,
    /// How both show who they are.
    pub auth: AuthConfig,
    /// What is allowed for the IKE SA.
    pub proposals: Vec<Proposal>,
    /// How long the IKE SA lives.
    pub lifetime: Lifetime,
    /// After how long a silent peer is asked whether it is alive.
    pub dpd_delay: Duration,
    /// What becomes of it when the peer is dead; `None`: what `start` says.
    pub dpd_action: Option<DeadPeerAction>,
    /// Whether IKE_AUTH makes no child SA.
    pub childless: bool,
    /// When the IKE SA is made.
    pub start: StartAction,
    /// What is protected.
    pub children: Vec<ChildConfig>,
}

impl ProfileConfig {
    /// As the engine has it.
    pub fn engine(&self) -> Profile {
        let (local_auth, remote_auth) = self.auth.engine();
        Profile {
            name: self.name.clone(),
            local_address: self.local_address,
            remote_address: self.remote_address,
            local_id: self.local_id.clone(),
            remote_id: self.remote_id.clone(),
            local_auth,
            remote_auth,
            proposals: self.proposals.clone(),
            children: self.children.iter().map(ChildConfig::engine).collect(),
            childless: self.childless,
            lifetime: self.lifetime,
            liveness: self.dpd_delay,
            start: self.start,
            dead_peer: self.dpd_action,
        }
    }

    /// The word for when the IKE SA is made.
    pub fn start_word(&self) -> &'static str {
        match self.start {
            StartAction::None => "none",
            StartAction::Start => "start",
            StartAction::Trap => "trap",
        }
    }

    /// The word for what becomes of it when the peer is dead.
    pub fn dpd_action_word(&self) -> &'static str {
        match self.engine().dead_peer() {
            DeadPeerAction::Restart => "restart",
            DeadPeerAction::Clear => "clear",
            DeadPeerAction::Trap => "trap",
        }
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let is_right = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    (1..=NAME).contains(&text.len()) && text.chars().all(is_right)
}

pub(super) fn bad_name(text: &str) -> String {
    format!("'{text}' is no name: use 1 to {NAME} letters, digits, '_', '.' and '-'")
}

/// Reads a profile. `None` only when something was noted as wrong.
pub(super) fn read(section: Section<'_>, folder: &Path, names: &mut Names) -> Option<ProfileConfig> {
    let document = section.document;
    let name = section.string("name");
    section.missing("name", "\"pr1\"");
    let local_address = address(&section, "local_address", None, names);
    section.missing("local_address", "\"192.0.2.1\"");
    let remote_address = address(&section, "remote_address", local_address, names);
    let has_remote = remote_address.is_some() || section.is_text("remote_address");
    let local_id = section.parsed::<WrittenIdentity>("local_id");
    let remote_id = section.parsed::<WrittenIdentity>("remote_id");
    let auth = authentication::read(&section, folder);
    let proposals = proposals::read(&section, "ike_proposals", ProtocolId::IKE, PROPOSAL);
    let lifetime = child::lifetime(&section, REKEY_TIME);
    let dpd_delay = section.parsed::<Span>("dpd_delay");
    let childless = section.boolean("childless");
    let start = word(
        &section,
        "start",
        &[
            ("none", StartAction::None),
            ("start", StartAction::Start),
            ("trap", StartAction::Trap),
        ],
        "none, when the peer or an operator wants it, start, at once and whenever it is lost, or trap, when traffic wants it",
    );
    let dpd_action = word(
        &section,
        "dpd_action",
        &[
            ("restart", DeadPeerAction::Restart),
            ("clear", DeadPeerAction::Clear),
            ("trap", DeadPeerAction::Trap),
        ],
        "restart, again and again until it is up, clear, which leaves it at that, or trap, when traffic wants it",
    );
    let begins = start
        .clone()
        .filter(|at| at.value != StartAction::None)
        .map(|at| (at.place, "start"));
    let calls = dpd_action
        .clone()
        .filter(|at| at.value != DeadPeerAction::Clear)
        .map(|at| (at.place, "dpd_action"));
    for (place, key) in [begins, calls].into_iter().flatten() {
        if !has_remote {
            let sentence = format!("this {key} needs to know where the peer is: add remote_address");
            document.report(place, sentence);
        }
    }
    let sections = section.sections("child", "[[profile.child]]");
    if sections.is_empty() {
        let sentence = "the profile protects nothing: write [[profile.child]] below it, with tunnel, local_ts and remote_ts";
        document.report(section.place, sentence);
    }
    let count = sections.len();
    let children: Vec<ChildConfig> = sections.into_iter().filter_map(child::read).collect();
    for (at, child) in children.iter().enumerate() {
        if children.iter().take(at).any(|other| other.name == child.name) {
            let sentence = format!(
                "two children are called '{}': give one of them another name",
                child.name
            );
            document.report(section.place, sentence);
        }
    }
    let place = section.place;
    section.finish();
    let name = name?;
    if !is_name(name.value) {
        document.report(name.place, bad_name(name.value));
    }
    let local_address = local_address?;
    if let Some(remote) = remote_address
        && (remote.is_ipv4() != local_address.is_ipv4() || remote == local_address)
    {
        let sentence = format!(
            "local_address is {local_address} and remote_address {remote}: write two addresses of one family that are not the same"
        );
        document.report(place, sentence);
    }
    let own_id = local_id
        .as_ref()
        .map_or_else(|| Identity::address(local_address), |at| at.value.0.clone());
    if let Some(auth) = &auth {
        own_identity::check(
            document,
            local_id.as_ref().map_or(place, |at| at.place),
            &own_id,
            auth,
        );
    }
    Some(ProfileConfig {
        name: name.value.to_owned(),
        local_address,
        remote_address,
        local_id: own_id,
        remote_id: remote_id
            .map(|at| at.value.0)
            .or_else(|| remote_address.map(Identity::address)),
        auth: auth?,
        proposals: proposals?,
        lifetime: lifetime?,
        dpd_delay: dpd_delay.map_or(DPD_DELAY, |at| at.value.0),
        childless: childless.is_some_and(|at| at.value),
        dpd_action: dpd_action.map(|at| at.value),
        start: start.map_or(StartAction::None, |at| at.value),
        children: Some(children).filter(|children| children.len() == count)?,
    })
}

/// One of a few words. `means`: what these are, for who writes another.
fn word<T: Copy>(
    section: &Section<'_>,
    key: &'static str,
    words: &[(&str, T)],
    means: &str,
) -> Option<At<T>> {
    let text = section.string(key)?;
    let found = words.iter().find(|(word, _)| *word == text.value);
    if found.is_none() {
        let sentence = format!(
            "{key} = \"{}\" is nothing that can be done: use {means}",
            text.value
        );
        section.document.report(text.place, sentence);
    }
    found.map(|(_, value)| At {
        place: text.place,
        value: *value,
    })
}

/// An address, or that of a name, of the family of `like` if it has one of that.
fn address(
    section: &Section<'_>,
    key: &'static str,
    like: Option<IpAddr>,
    names: &mut Names,
) -> Option<IpAddr> {
    let text = section.string(key)?;
    names
        .address(text.value, like)
        .map_err(|problem| section.document.report(text.place, format!("{key}: {problem}")))
        .ok()
}
