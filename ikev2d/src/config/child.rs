//! `[[profile.child]]`: traffic that a tunnel carries.

use std::str::FromStr;
use std::time::Duration;

use control::message::{SA_SELECTORS, SaLifetime};
use document::{At, Section};
use ike_engine::{ChildProfile, Lifetime};
use ikev2::proposal::Proposal;
use ikev2::wire::{ProtocolId, TrafficSelector};

use super::selector::WrittenSelector;
use super::time::Span;
use super::{profile, proposals};
use crate::selectors;

/// How long SAs live where nothing is said.
const REKEY_TIME: Duration = Duration::from_secs(3600);
/// What is proposed then: RFC 8221 section 5.
const PROPOSAL: &str = "aes256gcm16-esn-noesn";

/// Traffic that a tunnel carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildConfig {
    /// Its name, for people.
    pub name: String,
    /// The tunnel of the primary, which is of mode esp.
    pub tunnel: String,
    /// What is allowed for its SAs.
    pub proposals: Vec<Proposal>,
    /// Traffic at this end.
    pub local: Vec<TrafficSelector>,
    /// Traffic at the other end.
    pub remote: Vec<TrafficSelector>,
    /// How long its SAs live.
    pub lifetime: Lifetime,
    /// By how much traffic they are to be rekeyed. Time is the engine's.
    pub soft: SaLifetime,
    /// By how much traffic they end.
    pub hard: SaLifetime,
}

impl ChildConfig {
    pub(super) fn engine(&self) -> ChildProfile {
        ChildProfile {
            name: self.name.clone(),
            proposals: self.proposals.clone(),
            local: self.local.clone(),
            remote: self.remote.clone(),
            lifetime: self.lifetime,
        }
    }
}

/// Reads a child of a profile. `None` only when something was noted as wrong.
pub(super) fn read(section: Section<'_>) -> Option<ChildConfig> {
    let tunnel = section.string("tunnel");
    section.missing("tunnel", "\"ipsec0\"");
    let name = section.string("name");
    let proposals = proposals::read(&section, "esp_proposals", ProtocolId::ESP, PROPOSAL);
    let local = traffic(&section, "local_ts");
    let remote = traffic(&section, "remote_ts");
    let lifetime = lifetime(&section, REKEY_TIME);
    let soft = limits(&section, "rekey_bytes", "rekey_packets");
    let hard = limits(&section, "life_bytes", "life_packets");
    for (key, soft, hard) in [
        ("life_bytes", soft.bytes, hard.bytes),
        ("life_packets", soft.packets, hard.packets),
    ] {
        if let (Some(soft), Some(hard)) = (soft, hard)
            && hard <= soft
        {
            let sentence = format!("{key} is reached before the SA is rekeyed: write more than {soft}");
            section.document.report(section.place, sentence);
        }
    }
    if let (Some(local), Some(remote)) = (&local, &remote)
        && selectors::pairs(local, remote).is_none_or(|pairs| pairs.is_empty())
    {
        let sentence = format!(
            "local_ts and remote_ts have no family in common, or make more than {SA_SELECTORS} pairs: write others, or several \
             children with a tunnel each"
        );
        section.document.report(section.place, sentence);
    }
    let document = section.document;
    section.finish();
    let At { place, value: tunnel } = tunnel?;
    if let Some(name) = &name
        && !profile::is_name(name.value)
    {
        document.report(name.place, profile::bad_name(name.value));
    }
    if !profile::is_name(tunnel) || tunnel.len() > TUNNEL_NAME {
        let sentence =
            format!("'{tunnel}' is no name of a tunnel: 'tollgate-ctl tunnel' lists those that there are");
        document.report(place, sentence);
    }
    Some(ChildConfig {
        name: name.map_or(tunnel, |name| name.value).to_owned(),
        tunnel: tunnel.to_owned(),
        proposals: proposals?,
        local: local?,
        remote: remote?,
        lifetime: lifetime?,
        soft,
        hard,
    })
}

/// The longest name of an interface.
const TUNNEL_NAME: usize = 15;

fn traffic(section: &Section<'_>, key: &'static str) -> Option<Vec<TrafficSelector>> {
    let written = section.strings(key);
    section.missing(key, "[\"10.1.0.0/16\"]");
    let written = written?;
    if written.is_empty() {
        let sentence =
            format!("{key} is empty, so nothing would be protected: write {key} = [\"10.1.0.0/16\"]");
        section.document.report(section.place, sentence);
        return None;
    }
    let count = written.len();
    let selectors: Vec<TrafficSelector> = written
        .iter()
        .filter_map(|text| match WrittenSelector::from_str(text.value) {
            Ok(selector) => Some(selector.0),
            Err(sentence) => {
                section.document.report(text.place, sentence);
                None
            }
        })
        .collect();
    (selectors.len() == count).then_some(selectors)
}

fn limits(section: &Section<'_>, bytes: &'static str, packets: &'static str) -> SaLifetime {
    // What TOML has for numbers.
    const MOST: i64 = i64::MAX;
    let limit = |key| section.integer(key, 1..=MOST).map(|at| at.value.unsigned_abs());
    SaLifetime {
        bytes: limit(bytes),
        packets: limit(packets),
        seconds: None,
    }
}

/// `rekey_time`, `rekey_jitter` and `life_time`, of which the last two follow from the first where they are not there. `None` only when
/// something was noted as wrong.
pub(super) fn lifetime(section: &Section<'_>, default: Duration) -> Option<Lifetime> {
    let times = ["rekey_time", "rekey_jitter", "life_time"].map(|key| section.parsed::<Span>(key));
    let [soft, jitter, hard] = times.map(|time| time.map(|at| at.value.0));
    let soft = soft.unwrap_or(default);
    let jitter = jitter.unwrap_or(soft / 10);
    let hard = hard.unwrap_or(soft + soft / 10);
    if jitter >= soft || hard <= soft {
        let sentence =
            "rekey_jitter has to be shorter than rekey_time, and life_time longer: change one of them";
        section.document.report(section.place, sentence);
        return None;
    }
    Some(Lifetime { soft, jitter, hard })
}
