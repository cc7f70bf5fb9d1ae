//! Limits: as much is taken as they say, and no more.

use ikev2::wire::{
    Attribute, AttributeType, AttributeValue, Body, ConfigurationAttribute, ConfigurationAttributeType,
    ConfigurationBuilder, ConfigurationFull, ConfigurationType, ExchangeType, Fault, Flags, Header, IkeSpi,
    MAX_ATTRIBUTES, MAX_CONFIGURATION_ATTRIBUTES, MAX_PAYLOADS, MAX_PROPOSALS, MAX_SELECTORS, Message,
    NotifyType, PayloadType, PayloadWriter, ProtocolId, SaBuilder, Selector, TooManySelectors,
    TrafficSelector, TrafficSelectorsBuilder, Transform, TransformType, WriteError,
};

use crate::round_trip::again;

const HEADER: Header = Header::new(
    IkeSpi([1; 8]),
    IkeSpi([2; 8]),
    ExchangeType::IKE_AUTH,
    Flags::INITIATOR,
    1,
);

/// A message with payloads of one type.
fn message(kind: PayloadType, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut payloads = PayloadWriter::new();
    bodies
        .iter()
        .for_each(|body| payloads.push(&Body::Unknown(kind, body)).unwrap());
    payloads.message(&HEADER)
}

fn fault(bytes: &[u8]) -> Fault {
    let error = Message::parse(bytes).unwrap_err();
    assert_eq!(error.notify().unwrap().kind, NotifyType::INVALID_SYNTAX);
    error.fault
}

#[test]
fn payloads() {
    let vendor_ids = |count| message(PayloadType::VENDOR_ID, &vec![vec![]; count]);
    let bytes = vendor_ids(MAX_PAYLOADS);
    assert_eq!(
        Message::parse(&bytes).unwrap().payloads.iter().count(),
        MAX_PAYLOADS
    );
    let fault = fault(&vendor_ids(MAX_PAYLOADS + 1));
    assert_eq!(
        fault,
        Fault::TooMany {
            what: "payloads",
            limit: MAX_PAYLOADS
        }
    );
}

#[test]
fn proposals() {
    let mut sa = SaBuilder::new();
    for number in 1..=MAX_PROPOSALS {
        sa.proposal(number as u8, ProtocolId::IKE, &[]).unwrap();
    }
    assert_eq!(
        sa.proposal(65, ProtocolId::IKE, &[]),
        Err(WriteError::Full("proposal"))
    );
    let body = sa.view().bytes().to_vec();
    let bytes = message(PayloadType::SA, std::slice::from_ref(&body));
    let parsed = Message::parse(&bytes).unwrap();
    assert_eq!(again(&parsed.payloads).message(&HEADER), bytes);
    // One more in front, with the mark that others follow.
    let more = [&[2, 0, 0, 8, 1, 1, 0, 0][..], &body].concat();
    let fault = fault(&message(PayloadType::SA, &[more]));
    assert_eq!(
        fault,
        Fault::TooMany {
            what: "proposals",
            limit: MAX_PROPOSALS
        }
    );
}

#[test]
fn transforms() {
    let mut sa = SaBuilder::new();
    assert_eq!(
        sa.transform("aes128".parse().unwrap()),
        Err(WriteError::Full("transform"))
    );
    sa.proposal(1, ProtocolId::ESP, &[1, 2, 3, 4]).unwrap();
    for id in 0..255 {
        sa.transform(Transform::new(TransformType::ENCR, id)).unwrap();
    }
    let full = sa.view().bytes().to_vec();
    assert_eq!(
        sa.transform("esn".parse().unwrap()),
        Err(WriteError::Full("transform"))
    );
    assert_eq!(sa.view().bytes(), full);
    let bytes = message(PayloadType::SA, &[full]);
    assert!(Message::parse(&bytes).is_ok());
}

#[test]
fn transforms_that_do_not_fit_leave_the_proposal_as_it_was() {
    let mut sa = SaBuilder::new();
    sa.proposal(1, ProtocolId::ESP, &[1, 2, 3, 4]).unwrap();
    sa.transform("aes128".parse().unwrap()).unwrap();
    let before = sa.view().bytes().to_vec();
    let long = vec![0; 65_000];
    let attribute = Attribute {
        kind: AttributeType(3),
        value: AttributeValue::Long(&long),
    };
    let strange = Transform::new(TransformType::ENCR, 1);
    assert_eq!(
        sa.transform_with(strange, [0; 2], [attribute; 2]),
        Err(WriteError::Full("transform"))
    );
    assert_eq!(sa.view().bytes(), before);
    sa.transform_with(strange, [0; 2], [attribute]).unwrap();
    let before = sa.view().bytes().to_vec();
    assert_eq!(
        sa.transform_with(strange, [0; 2], [attribute]),
        Err(WriteError::Full("transform"))
    );
    assert_eq!(sa.view().bytes(), before);
    assert!(Message::parse(&message(PayloadType::SA, &[before])).is_ok());
}

#[test]
fn attributes_of_a_transform() {
    let attribute = Attribute {
        kind: AttributeType(20),
        value: AttributeValue::Short(1),
    };
    let with = |count| {
        let mut sa = SaBuilder::new();
        sa.proposal(1, ProtocolId::IKE, &[]).unwrap();
        sa.transform_with(
            Transform::new(TransformType::ENCR, 1),
            [0; 2],
            vec![attribute; count],
        )
        .unwrap();
        message(PayloadType::SA, &[sa.view().bytes().to_vec()])
    };
    assert!(Message::parse(&with(MAX_ATTRIBUTES)).is_ok());
    let fault = fault(&with(MAX_ATTRIBUTES + 1));
    assert_eq!(
        fault,
        Fault::TooMany {
            what: "attributes in a transform",
            limit: MAX_ATTRIBUTES
        }
    );
}

#[test]
fn traffic_selectors() {
    let any = TrafficSelector::new(0, (0, 0xffff), [0; 4].into(), [255; 4].into()).unwrap();
    let all = vec![any; MAX_SELECTORS];
    let mut builder = TrafficSelectorsBuilder::of(&all).unwrap();
    assert_eq!(builder.push(&Selector::Range(any)), Err(TooManySelectors));
    assert!(TrafficSelectorsBuilder::of(&vec![any; MAX_SELECTORS + 1]).is_none());
    assert!(TrafficSelectorsBuilder::of(&[]).is_none());
    let bytes = message(PayloadType::TS_INITIATOR, &[builder.view().bytes().to_vec()]);
    match Message::parse(&bytes)
        .unwrap()
        .payloads
        .iter()
        .next()
        .unwrap()
        .body
    {
        Body::TsInitiator(selectors) => assert_eq!(selectors.iter().count(), MAX_SELECTORS),
        other => panic!("{other:?}"),
    }
}

#[test]
fn attributes_of_a_configuration() {
    let attribute = |value| ConfigurationAttribute {
        kind: ConfigurationAttributeType::INTERNAL_IP4_DNS,
        reserved: false,
        value,
    };
    let mut builder = ConfigurationBuilder::new(ConfigurationType::REPLY, [0; 3]);
    assert_eq!(builder.push(&attribute(&[0; 65_536])), Err(ConfigurationFull));
    let wide = ConfigurationAttribute {
        kind: ConfigurationAttributeType(0x8001),
        ..attribute(&[])
    };
    assert_eq!(builder.push(&wide), Err(ConfigurationFull));
    for _ in 0..MAX_CONFIGURATION_ATTRIBUTES {
        builder.push(&attribute(&[])).unwrap();
    }
    assert_eq!(builder.push(&attribute(&[])), Err(ConfigurationFull));
    let mut payloads = PayloadWriter::new();
    payloads.push(&Body::Configuration(builder.view())).unwrap();
    let bytes = payloads.message(&HEADER);
    assert!(Message::parse(&bytes).is_ok());
    let more = [&bytes[32..], &[0, 3, 0, 0]].concat();
    let fault = fault(&message(PayloadType::CONFIGURATION, &[more]));
    let limit = MAX_CONFIGURATION_ATTRIBUTES;
    assert_eq!(
        fault,
        Fault::TooMany {
            what: "configuration attributes",
            limit
        }
    );
}

#[test]
fn payloads_longer_than_their_length_field_are_not_written() {
    let mut payloads = PayloadWriter::new();
    payloads.push(&Body::VendorId(&[1; 65_531])).unwrap();
    let before = payloads.bytes().to_vec();
    let refused = payloads.push(&Body::VendorId(&[1; 65_532])).unwrap_err();
    assert_eq!(
        refused,
        WriteError::TooLong {
            kind: PayloadType::VENDOR_ID,
            len: 65_536
        }
    );
    assert_eq!(payloads.bytes(), before);
    assert!(Message::parse(&payloads.message(&HEADER)).is_ok());
}
