//! Proposals as the file has them, which is as strongSwan has them. What this build cannot do is found here, not when a peer chooses it.

use document::{At, Section};
use ikev2::crypto::{EspSuite, IkeSuite};
use ikev2::proposal::Proposal;
use ikev2::wire::{ProtocolId, Transform, TransformType};

/// Those at `key`, or `default` where there are none. `None` only when something was noted as wrong.
pub(super) fn read(
    section: &Section<'_>,
    key: &'static str,
    protocol: ProtocolId,
    default: &str,
) -> Option<Vec<Proposal>> {
    let Some(written) = section.strings(key) else {
        return Proposal::parse(protocol, default)
            .ok()
            .map(|proposal| vec![proposal]);
    };
    if written.is_empty() {
        section.document.report(
            section.place,
            format!("{key} is empty: write {key} = [\"{default}\"]"),
        );
        return None;
    }
    let count = written.len();
    let proposals: Vec<Proposal> = written
        .iter()
        .filter_map(|text| match one(protocol, text) {
            Ok(proposal) => Some(proposal),
            Err(sentence) => {
                section.document.report(text.place, format!("{key}: {sentence}"));
                None
            }
        })
        .collect();
    (proposals.len() == count).then_some(proposals)
}

fn one(protocol: ProtocolId, text: &At<&str>) -> Result<Proposal, String> {
    let proposal = Proposal::parse(protocol, text.value).map_err(|error| error.to_string())?;
    if let Some(more) = proposal
        .transforms()
        .iter()
        .find(|transform| transform.kind.is_additional_key_exchange())
    {
        return Err(format!(
            "{more} is an additional key exchange, which this build cannot do: leave it out"
        ));
    }
    for transforms in choices(&proposal) {
        if protocol == ProtocolId::IKE {
            IkeSuite::new(&transforms).map_err(|error| error.to_string())?;
        } else {
            let suite = EspSuite::new(&transforms).map_err(|error| error.to_string())?;
            let transform: Result<esp::Transform, _> = suite.to_string().parse();
            transform.map_err(|error| error.to_string())?;
        }
    }
    Ok(proposal)
}

/// All that a peer can choose, one transform of each type.
fn choices(proposal: &Proposal) -> Vec<Vec<Transform>> {
    const TYPES: [TransformType; 5] = [
        TransformType::ENCR,
        TransformType::PRF,
        TransformType::INTEG,
        TransformType::KE,
        TransformType::ESN,
    ];
    let mut choices = vec![Vec::new()];
    for kind in TYPES {
        let of_kind: Vec<Transform> = proposal.of(kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        choices = choices
            .iter()
            .flat_map(|before: &Vec<Transform>| {
                of_kind
                    .iter()
                    .map(|transform| [&before[..], &[*transform]].concat())
            })
            .collect();
    }
    choices
}
