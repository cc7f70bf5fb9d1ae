//! Messages written, read, and written again from what was read.

use ikev2::wire::{
    Body, ConfigurationBuilder, Message, Payload, PayloadWriter, Payloads, Sa, SaBuilder, Selector,
    TrafficSelectors, TrafficSelectorsBuilder, Transform,
};
use proptest::prelude::*;

use crate::generate;

/// An SA payload made anew from what can be seen of it.
fn sa_again(sa: &Sa<'_>) -> SaBuilder {
    let mut again = SaBuilder::new();
    for proposal in sa.proposals() {
        again
            .proposal_with_reserved(
                proposal.number,
                proposal.protocol,
                proposal.spi,
                proposal.reserved,
            )
            .unwrap();
        for transform in proposal.transforms() {
            let plain = Transform::new(transform.kind, transform.id);
            again
                .transform_with(plain, transform.reserved, transform.attributes())
                .unwrap();
        }
    }
    again
}

fn selectors_again(selectors: &TrafficSelectors<'_>) -> TrafficSelectorsBuilder {
    let all: Vec<Selector<'_>> = selectors.iter().collect();
    let mut again = TrafficSelectorsBuilder::new(&all[0]);
    all[1..].iter().for_each(|selector| again.push(selector).unwrap());
    again.reserved(selectors.reserved());
    again
}

/// The payloads made anew, the ones with structure from their items.
pub(crate) fn again(payloads: &Payloads<'_>) -> PayloadWriter {
    let mut writer = PayloadWriter::new();
    for Payload { body, flags, .. } in payloads.iter() {
        match body {
            Body::Sa(sa) => writer.push_with_flags(&Body::Sa(sa_again(&sa).view()), flags),
            Body::TsInitiator(ts) => {
                writer.push_with_flags(&Body::TsInitiator(selectors_again(&ts).view()), flags)
            }
            Body::TsResponder(ts) => {
                writer.push_with_flags(&Body::TsResponder(selectors_again(&ts).view()), flags)
            }
            Body::Configuration(configuration) => {
                let mut again = ConfigurationBuilder::new(configuration.kind, configuration.reserved);
                configuration
                    .attributes()
                    .for_each(|attribute| again.push(&attribute).unwrap());
                writer.push_with_flags(&Body::Configuration(again.view()), flags)
            }
            other => writer.push_with_flags(&other, flags),
        }
        .unwrap();
    }
    writer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_read_and_written_again_has_the_same_bytes(bytes in generate::message()) {
        let message = Message::parse(&bytes).unwrap();
        let again = again(&message.payloads).message(&message.header);
        prop_assert_eq!(again, bytes);
    }

    /// Any bytes: what is taken comes back, and what is not is refused in a sentence with a place inside of it.
    #[test]
    fn damaged_messages_are_refused_or_come_back(
        bytes in generate::message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
            // Half of them say so, that more than the length is looked at.
            if bytes.len() >= 28 && bytes.len() % 2 == 0 {
                let length = bytes.len() as u32;
                bytes[24..28].copy_from_slice(&length.to_be_bytes());
            }
        }
        match Message::parse(&bytes) {
            Ok(message) => prop_assert_eq!(again(&message.payloads).message(&message.header), bytes),
            Err(error) => {
                prop_assert!(error.offset <= bytes.len(), "{error}");
                prop_assert!(error.to_string().len() < 200);
            }
        }
    }
}
