//! Negotiation: what is chosen of what two ends have, and what is said when nothing is.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use ikev2::proposal::{BadAnswer, Prefer, Proposal, accept, choose};
use ikev2::wire::{
    Attribute, AttributeType, AttributeValue, EncryptionId, ProtocolId, SaBuilder, Transform, TransformType,
};
use proptest::prelude::*;

const ESP: ProtocolId = ProtocolId::ESP;
const IKE: ProtocolId = ProtocolId::IKE;

fn proposals(protocol: ProtocolId, texts: &[&str]) -> Vec<Proposal> {
    texts
        .iter()
        .map(|text| Proposal::parse(protocol, text).unwrap())
        .collect()
}

/// What a peer sends that has these words, whether they make sense or not.
fn offer(protocol: ProtocolId, texts: &[&str]) -> SaBuilder {
    let mut sa = SaBuilder::new();
    let spi: &[u8] = if protocol == IKE { &[] } else { &[0xc0, 0, 0, 1] };
    for (text, number) in texts.iter().zip(1..) {
        sa.proposal(number, protocol, spi).unwrap();
        text.split('-')
            .for_each(|word| sa.transform(word.parse().unwrap()).unwrap());
    }
    sa
}

/// The number and the words of what is chosen, or the sentence that says why nothing is.
fn chosen(protocol: ProtocolId, ours: &[&str], theirs: &[&str], prefer: Prefer) -> String {
    match choose(
        &proposals(protocol, ours),
        &offer(protocol, theirs).view(),
        prefer,
    ) {
        Ok(chosen) => {
            let words: Vec<_> = chosen.transforms.iter().map(Transform::to_string).collect();
            format!("{} {}", chosen.number, words.join("-"))
        }
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn one_transform_of_each_type_is_chosen_by_the_order_that_counts() {
    let ours = ["aes256gcm16-aes128gcm16-prfsha384-prfsha256-curve25519-ecp256"];
    let theirs = ["aes128gcm16-aes256gcm16-prfsha256-prfsha384-ecp256-curve25519"];
    assert_eq!(
        chosen(IKE, &ours, &theirs, Prefer::Ours),
        "1 aes256gcm16-prfsha384-curve25519"
    );
    assert_eq!(
        chosen(IKE, &ours, &theirs, Prefer::Theirs),
        "1 aes128gcm16-prfsha256-ecp256"
    );
}

#[test]
fn the_first_proposal_of_who_counts_is_chosen() {
    let ours = ["chacha20poly1305-noesn", "aes256gcm16-noesn"];
    let theirs = ["aes128-sha1-noesn", "aes256gcm16-noesn", "chacha20poly1305-noesn"];
    assert_eq!(
        chosen(ESP, &ours, &theirs, Prefer::Ours),
        "3 chacha20poly1305-noesn"
    );
    assert_eq!(chosen(ESP, &ours, &theirs, Prefer::Theirs), "2 aes256gcm16-noesn");
    let sa = offer(ESP, &theirs);
    let chosen = choose(&proposals(ESP, &ours), &sa.view(), Prefer::Theirs).unwrap();
    assert_eq!(
        (chosen.ours, chosen.protocol, &chosen.spi[..]),
        (1, ESP, &[0xc0, 0, 0, 1][..])
    );
    assert_eq!(
        chosen.of(TransformType::ENCR),
        Some("aes256gcm16".parse().unwrap())
    );
}

#[test]
fn what_stands_for_nothing_fits_who_says_nothing() {
    // Ours without a type, theirs with one that may be none.
    let with_none = "aes128gcm16-esn-modp2048-modpnone";
    assert_eq!(
        chosen(ESP, &["aes128gcm16-esn"], &[with_none], Prefer::Ours),
        "1 aes128gcm16-esn-modpnone"
    );
    // The other way round the answer says nothing either.
    assert_eq!(
        chosen(ESP, &[with_none], &["aes128gcm16-esn"], Prefer::Ours),
        "1 aes128gcm16-esn"
    );
    // Old peers say nothing of sequence numbers: they have those of 32 bits.
    assert_eq!(
        chosen(ESP, &["aes128gcm16-esn-noesn"], &["aes128gcm16"], Prefer::Ours),
        "1 aes128gcm16"
    );
    let refusal = chosen(ESP, &["aes128gcm16-esn"], &["aes128gcm16"], Prefer::Ours);
    assert_eq!(refusal, "peer wants no sequence numbers, we allow esn");
    // Additional key exchanges that may be left out (RFC 9370).
    let additional = "aes128gcm16-prfsha256-ecp256-ke1_mlkem768-ke1_none";
    let answer = chosen(
        IKE,
        &["aes128gcm16-prfsha256-ecp256"],
        &[additional],
        Prefer::Ours,
    );
    assert_eq!(answer, "1 aes128gcm16-prfsha256-ecp256-ke1_none");
}

#[test]
fn ciphers_that_authenticate_take_no_integrity_but_none() {
    let mut sa = offer(IKE, &["aes128gcm16-prfsha256-ecp256-sha256"]);
    let ours = proposals(IKE, &["aes128gcm16-prfsha256-ecp256"]);
    let refusal = choose(&ours, &sa.view(), Prefer::Ours).unwrap_err();
    assert_eq!(refusal.to_string(), "peer wants sha256, we allow no integrity");
    sa.transform(Transform::new(TransformType::INTEG, 0)).unwrap();
    let chosen = choose(&ours, &sa.view(), Prefer::Theirs).unwrap();
    assert!(chosen.of(TransformType::INTEG).unwrap().is_none());
    // And one that does not takes no none.
    let refusal = chosen_without_integrity();
    assert_eq!(refusal, "peer wants no integrity algorithm, we allow sha256");
}

fn chosen_without_integrity() -> String {
    let mut sa = offer(ESP, &["aes128-noesn"]);
    sa.transform(Transform::new(TransformType::INTEG, 0)).unwrap();
    let refusal = choose(
        &proposals(ESP, &["aes128-sha256-noesn"]),
        &sa.view(),
        Prefer::Ours,
    )
    .unwrap_err();
    refusal.to_string()
}

#[test]
fn key_lengths_have_to_be_the_same() {
    let refusal = chosen(
        ESP,
        &["aes256gcm16-noesn"],
        &["aes128gcm16-aes192gcm16-noesn"],
        Prefer::Ours,
    );
    assert_eq!(
        refusal,
        "peer wants aes128gcm16 or aes192gcm16, we allow aes256gcm16"
    );
    let mut sa = SaBuilder::new();
    sa.proposal(1, ESP, &[0; 4]).unwrap();
    sa.transform(Transform::encryption(EncryptionId::AES_GCM_16, None))
        .unwrap();
    let refusal = choose(&proposals(ESP, &["aes256gcm16"]), &sa.view(), Prefer::Ours).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "peer wants ENCR_AES_GCM_16 without a key length, we allow aes256gcm16"
    );
}

#[test]
fn transforms_with_attributes_that_are_not_known_are_not_chosen() {
    let key_length = Attribute {
        kind: AttributeType::KEY_LENGTH,
        value: AttributeValue::Short(256),
    };
    let strange = Attribute {
        kind: AttributeType(99),
        value: AttributeValue::Long(b"x"),
    };
    let long = Attribute {
        kind: AttributeType::KEY_LENGTH,
        value: AttributeValue::Long(&[1, 0]),
    };
    let ours = proposals(ESP, &["aes256gcm16"]);
    let cipher = Transform::encryption(EncryptionId::AES_GCM_16, None);
    let answer = |attributes: &[Attribute<'static>]| {
        let mut sa = SaBuilder::new();
        sa.proposal(1, ESP, &[0; 4]).unwrap();
        sa.transform_with(cipher, [0; 2], attributes.iter().copied())
            .unwrap();
        choose(&ours, &sa.view(), Prefer::Ours)
    };
    assert!(answer(&[key_length]).is_ok());
    for attributes in [
        &[key_length, strange][..],
        &[strange, key_length],
        &[key_length, key_length],
        &[long],
    ] {
        let refusal = answer(attributes).unwrap_err().to_string();
        let expected = "peer wants encryption with attributes that are not known here, we allow aes256gcm16";
        assert_eq!(refusal, expected);
    }
}

#[test]
fn types_that_are_not_known_cannot_be_chosen() {
    let mut sa = offer(ESP, &["aes256gcm16-noesn"]);
    sa.transform(Transform::new(TransformType(200), 0)).unwrap();
    let refusal = choose(&proposals(ESP, &["aes256gcm16"]), &sa.view(), Prefer::Ours).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "peer wants transform type 200 number 0, we allow no transform type 200"
    );
}

#[test]
fn refusals_say_in_one_sentence_what_each_end_has() {
    let modp = "aes256gcm16-prfsha256-modp2048";
    let curve = "aes256gcm16-prfsha256-curve25519";
    assert_eq!(
        chosen(IKE, &[curve], &[modp], Prefer::Ours),
        "peer wants modp2048, we allow curve25519"
    );
    // Of several the pair that is closest.
    let far = "aes128-sha1-prfsha1-modp1024";
    assert_eq!(
        chosen(IKE, &[curve], &[far, modp], Prefer::Ours),
        "peer wants modp2048, we allow curve25519"
    );
    assert_eq!(
        chosen(
            IKE,
            &[curve, "aes128-sha256-ecp256"],
            &[modp, far],
            Prefer::Theirs
        ),
        "peer wants modp2048, we allow curve25519"
    );
    let sentence = "peer wants aes128, we allow aes256gcm16; peer wants sha1, we allow no integrity; \
        peer wants prfsha1, we allow prfsha256; peer wants modp1024, we allow curve25519";
    assert_eq!(chosen(IKE, &[curve], &[far], Prefer::Ours), sentence);
    // Perfect forward secrecy at one end alone.
    let pfs = chosen(
        ESP,
        &["aes256gcm16-curve25519-noesn"],
        &["aes256gcm16-noesn"],
        Prefer::Ours,
    );
    assert_eq!(pfs, "peer wants no key exchange, we allow curve25519");
    let pfs = chosen(
        ESP,
        &["aes256gcm16-noesn"],
        &["aes256gcm16-noesn-modp2048"],
        Prefer::Ours,
    );
    assert_eq!(pfs, "peer wants modp2048, we allow no key exchange");
    let many = "3des-aes128-aes192-aes256-camellia128-camellia192-camellia256-aes128ctr-aes192ctr-aes256ctr";
    let refusal = chosen(
        ESP,
        &["chacha20poly1305-noesn"],
        &[&format!("{many}-noesn")],
        Prefer::Ours,
    );
    let shown = "peer wants 3des, aes128, aes192, aes256, camellia128, camellia192, camellia256, aes128ctr or 2 more, we allow";
    assert!(refusal.starts_with(shown), "{refusal}");
}

#[test]
fn proposals_for_something_else_are_said_to_be_that() {
    let mut sa = offer(ESP, &["aes256gcm16"]);
    sa.proposal(2, ProtocolId::AH, &[0; 4]).unwrap();
    let refusal = choose(
        &proposals(IKE, &["aes256gcm16-prfsha256-ecp256"]),
        &sa.view(),
        Prefer::Ours,
    );
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "peer offers ESP or AH, we allow IKE"
    );
    let refusal = choose(&[], &sa.view(), Prefer::Ours).unwrap_err();
    assert_eq!(refusal.to_string(), "peer offers ESP or AH, we allow nothing");
}

#[test]
fn answers_are_taken_as_far_as_they_were_offered() {
    let ours = proposals(
        ESP,
        &[
            "aes256gcm16-esn",
            "aes128-aes256-sha256-curve25519-modpnone-noesn",
        ],
    );
    let answer = |number: u8, protocol, text: &str| {
        let mut sa = SaBuilder::new();
        sa.proposal(number, protocol, &[1, 2, 3, 4]).unwrap();
        text.split('-')
            .for_each(|word| sa.transform(word.parse().unwrap()).unwrap());
        accept(&ours, &sa.view())
    };
    let taken = answer(2, ESP, "aes256-sha256-curve25519-noesn").unwrap();
    assert_eq!(
        (taken.ours, taken.number, &taken.spi[..]),
        (1, 2, &[1, 2, 3, 4][..])
    );
    // None of what may be none, and of old peers of sequence numbers.
    assert!(answer(2, ESP, "aes256-sha256").is_ok());
    let refused = [
        (answer(0, ESP, "aes256gcm16-esn"), BadAnswer::Number(0)),
        (answer(3, ESP, "aes256gcm16-esn"), BadAnswer::Number(3)),
        (
            answer(1, ProtocolId::AH, "aes256gcm16-esn"),
            BadAnswer::Protocol {
                got: ProtocolId::AH,
                offered: ESP,
            },
        ),
        (
            answer(1, ESP, "aes128gcm16-esn"),
            BadAnswer::NotOffered(TransformType::ENCR),
        ),
        (
            answer(1, ESP, "aes256gcm16-noesn"),
            BadAnswer::NotOffered(TransformType::ESN),
        ),
        (
            answer(1, ESP, "aes256gcm16-esn-sha256"),
            BadAnswer::NotOffered(TransformType::INTEG),
        ),
        (
            answer(2, ESP, "aes128-aes256-sha256"),
            BadAnswer::Several(TransformType::ENCR),
        ),
        (
            answer(1, ESP, "aes256gcm16"),
            BadAnswer::Missing(TransformType::ESN),
        ),
        (
            answer(2, ESP, "aes128-noesn"),
            BadAnswer::Missing(TransformType::INTEG),
        ),
    ];
    for (result, error) in refused {
        assert_eq!(result, Err(error));
    }
    let two = offer(ESP, &["aes256gcm16-esn", "aes256-sha256"]);
    assert_eq!(accept(&ours, &two.view()), Err(BadAnswer::Proposals(2)));
}

/// Some of these words in any order.
fn some(words: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(words, least..=words.len()).prop_shuffle()
}

/// A proposal that makes sense.
fn proposal() -> impl Strategy<Value = Proposal> {
    let combined = some(&["aes128gcm16", "aes256gcm16", "chacha20poly1305"], 1);
    let plain = (some(&["aes128", "aes256"], 1), some(&["sha256", "sha384"], 1));
    let ciphers = prop_oneof![
        combined,
        plain.prop_map(|(ciphers, integrity)| [ciphers, integrity].concat())
    ];
    let others = (
        some(&["modp2048", "ecp256", "modpnone"], 0),
        some(&["esn", "noesn"], 1),
    );
    (ciphers, others).prop_map(|(ciphers, (groups, numbers))| {
        Proposal::parse(ESP, &[ciphers, groups, numbers].concat().join("-")).unwrap()
    })
}

proptest! {
    /// What one end chooses the other takes, has one transform of each type, and is of both ends' proposals.
    #[test]
    fn what_is_chosen_was_allowed_and_is_taken(
        ours in prop::collection::vec(proposal(), 1..4),
        theirs in prop::collection::vec(proposal(), 1..4),
        prefer in prop::sample::select(vec![Prefer::Ours, Prefer::Theirs]),
    ) {
        let mut sa = SaBuilder::new();
        for (proposal, number) in theirs.iter().zip(1..) {
            proposal.write(number, &[9; 4], &mut sa).unwrap();
        }
        match choose(&ours, &sa.view(), prefer) {
            Ok(chosen) => {
                let (our, their) = (&ours[chosen.ours], &theirs[usize::from(chosen.number) - 1]);
                for transform in &chosen.transforms {
                    prop_assert!(their.transforms().contains(transform));
                    let unsaid = transform.is_none() && our.of(transform.kind).count() == 0;
                    prop_assert!(our.transforms().contains(transform) || unsaid);
                }
                let mut answer = SaBuilder::new();
                answer.proposal(chosen.number, ESP, &[8; 4]).unwrap();
                chosen.transforms.iter().for_each(|transform| answer.transform(*transform).unwrap());
                let taken = accept(&theirs, &answer.view()).unwrap();
                prop_assert_eq!(taken.transforms, chosen.transforms);
            }
            Err(refusal) => {
                // Nothing that both have: no pair of proposals has something of each type.
                for our in &ours {
                    for their in &theirs {
                        let common = [TransformType::ENCR, TransformType::INTEG, TransformType::KE, TransformType::ESN]
                            .into_iter()
                            .all(|kind| {
                                let none = Transform::new(kind, 0);
                                let has = |proposal: &Proposal, transform| {
                                    proposal.of(kind).any(|own| own == transform)
                                        || proposal.of(kind).count() == 0 && transform == none
                                };
                                let mut all = our.of(kind).chain(their.of(kind)).chain([none]);
                                all.any(|transform| has(our, transform) && has(their, transform))
                            });
                        prop_assert!(!common, "{our:?} and {their:?} fit, and yet: {refusal}");
                    }
                }
                prop_assert!(refusal.to_string().contains(", we allow "));
            }
        }
    }
}
