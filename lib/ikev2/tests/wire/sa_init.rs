//! A message of IKE_SA_INIT as other daemons send it, field by field, and what is shown of payloads.

use ikev2::certificate::distinguished_name;
use ikev2::wire::{
    AuthMethod, Authentication, Body, Delete, ExchangeType, Flags, Header, IdType, Identification, IkeSpi,
    KeyExchange, KeyExchangeMethod, Message, Notify, NotifyType, PayloadType, PayloadWriter, ProtocolId,
    SaBuilder, Selector, TrafficSelector, TrafficSelectorsBuilder, WriteError,
};

#[test]
fn a_request_for_an_ike_sa_has_the_bytes_of_rfc_7296() {
    let mut sa = SaBuilder::new();
    sa.proposal(1, ProtocolId::IKE, &[]).unwrap();
    for word in ["aes256gcm16", "prfsha256", "curve25519"] {
        sa.transform(word.parse().unwrap()).unwrap();
    }
    let mut payloads = PayloadWriter::new();
    payloads.push(&Body::Sa(sa.view())).unwrap();
    let public = KeyExchange::new(KeyExchangeMethod::CURVE25519, &[0xaa; 32]);
    payloads.push(&Body::KeyExchange(public)).unwrap();
    payloads.push(&Body::Nonce(&[0xbb; 16])).unwrap();
    let notify = Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[]);
    payloads.push(&Body::Notify(notify)).unwrap();
    let header = Header::new(
        IkeSpi([1; 8]),
        IkeSpi::ZERO,
        ExchangeType::IKE_SA_INIT,
        Flags::INITIATOR,
        0,
    );
    let bytes = payloads.message(&header);
    let expected = [
        // SPIs, first payload SA, version 2.0, exchange, flags, message id, length.
        &[1; 8][..],
        &[0; 8],
        &[33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 136],
        // SA: next is KE; one proposal of 36 bytes with three transforms.
        &[34, 0, 0, 40, 0, 0, 0, 36, 1, 1, 0, 3],
        &[3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0],
        &[3, 0, 0, 8, 2, 0, 0, 5],
        &[0, 0, 0, 8, 4, 0, 0, 31],
        // KE: next is Nonce; group 31.
        &[40, 0, 0, 40, 0, 31, 0, 0],
        &[0xaa; 32],
        // Nonce: next is Notify.
        &[41, 0, 0, 20],
        &[0xbb; 16],
        // Notify: the last; no protocol, no SPI, 16430.
        &[0, 0, 0, 8, 0, 0, 0x40, 0x2e],
    ]
    .concat();
    assert_eq!(bytes, expected);

    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        (message.header.exchange, message.header.length),
        (ExchangeType::IKE_SA_INIT, 136)
    );
    let kinds: Vec<PayloadType> = message
        .payloads
        .iter()
        .map(|payload| payload.body.kind())
        .collect();
    assert_eq!(format!("{kinds:?}"), "[SA, KE, Nonce, N]");
    let shown = format!("{:?}", message.payloads.iter().next().unwrap().body);
    assert_eq!(shown, "Sa([1 IKE [] [aes256gcm16, prfsha256, curve25519]])");
    assert!(message.encrypted().is_none());
}

#[test]
fn identities_are_shown_as_people_write_them() {
    let shown = |kind, data: &[u8]| Identification::new(kind, data).to_string();
    assert_eq!(shown(IdType::IPV4_ADDR, &[192, 0, 2, 1]), "192.0.2.1");
    assert_eq!(
        shown(
            IdType::IPV6_ADDR,
            &[0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        ),
        "2001:db8::1"
    );
    assert_eq!(shown(IdType::FQDN, b"gw.example.org"), "gw.example.org");
    // Nothing that a terminal would take for a command.
    assert_eq!(shown(IdType::RFC822_ADDR, b"a\x1b[2J@b"), "a\\u{1b}[2J@b");
    assert_eq!(shown(IdType::FQDN, &[0xff, 0xfe]), "ID_FQDN fffe");
    assert_eq!(shown(IdType::KEY_ID, &[1, 0xab]), "ID_KEY_ID 01ab");
    assert_eq!(shown(IdType(77), &[]), "ID type 77 ");
}

#[test]
fn an_identity_of_any_length_is_shown_in_a_line() {
    let longest = [0x61; 65_527];
    let cut = "a".repeat(255) + "...";
    let shown = |kind, data: &[u8]| Identification::new(kind, data).to_string();
    assert_eq!(shown(IdType::FQDN, &longest), cut);
    assert_eq!(shown(IdType::FQDN, &longest[..255]), cut[..255]);
    // Between letters.
    let letters = "\u{20ac}".repeat(86);
    let kept = "\u{20ac}".repeat(85) + "...";
    assert_eq!(shown(IdType::RFC822_ADDR, letters.as_bytes()), kept);
    let hex = shown(IdType::KEY_ID, &longest);
    assert_eq!((hex.len(), hex.ends_with("616...")), (258, true), "{hex}");
    let subject = distinguished_name(&format!("CN={}", "a".repeat(60_000))).unwrap();
    assert_eq!(shown(IdType::DER_ASN1_DN, &subject).len(), 258);
}

#[test]
fn traffic_selectors_are_made_in_order_and_shown() {
    let selector = |protocol, ports, first: &str, last: &str| {
        TrafficSelector::new(protocol, ports, first.parse().unwrap(), last.parse().unwrap())
    };
    let shown = [
        (
            selector(0, (0, 0xffff), "10.0.0.0", "10.0.0.255"),
            "10.0.0.0-10.0.0.255",
        ),
        (
            selector(0, (0, 0xffff), "2001:db8::1", "2001:db8::1"),
            "2001:db8::1",
        ),
        (selector(6, (80, 80), "10.0.0.1", "10.0.0.1"), "10.0.0.1[6/80]"),
        (
            selector(17, (500, 4500), "10.0.0.1", "10.0.0.2"),
            "10.0.0.1-10.0.0.2[17/500-4500]",
        ),
        (selector(1, (0, 0xffff), "::", "::"), "::[1]"),
        (selector(0, (0xffff, 0), "::", "::"), "::[0/opaque]"),
    ];
    for (selector, text) in shown {
        let selector = selector.unwrap();
        assert_eq!(selector.to_string(), text);
        let builder = TrafficSelectorsBuilder::of(&[selector]).unwrap();
        assert_eq!(
            builder.view().iter().collect::<Vec<_>>(),
            [Selector::Range(selector)]
        );
    }
    assert_eq!(selector(0, (0, 1), "10.0.0.2", "10.0.0.1"), None);
    assert_eq!(selector(0, (2, 1), "10.0.0.1", "10.0.0.1"), None);
    assert_eq!(selector(0, (0, 1), "10.0.0.1", "::1"), None);
}

#[test]
fn spis_of_deletes_are_of_four_bytes_and_of_child_sas() {
    let delete = Delete::new(ProtocolId::ESP, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    assert_eq!(delete.spis().collect::<Vec<_>>(), [[1, 2, 3, 4], [5, 6, 7, 8]]);
    assert_eq!(Delete::IKE.spis().count(), 0);
    assert_eq!(Delete::new(ProtocolId::ESP, &[1, 2, 3]), None);
    assert_eq!(Delete::new(ProtocolId::IKE, &[1, 2, 3, 4]), None);
    assert_eq!(Delete::new(ProtocolId::AH, &[0; 4 * 16_384]), None);
}

#[test]
fn digital_signatures_name_their_algorithm() {
    let of = |method, data| Authentication::new(method, data).digital_signature();
    let data: &[u8] = &[2, 0x30, 0, 1, 2, 3];
    assert_eq!(
        of(AuthMethod::DIGITAL_SIGNATURE, data),
        Some((&[0x30, 0][..], &[1, 2, 3][..]))
    );
    assert_eq!(of(AuthMethod::SHARED_KEY_MIC, data), None);
    assert_eq!(of(AuthMethod::DIGITAL_SIGNATURE, &[]), None);
    assert_eq!(of(AuthMethod::DIGITAL_SIGNATURE, &[0, 1]), None);
    assert_eq!(of(AuthMethod::DIGITAL_SIGNATURE, &[3, 1, 2]), None);
}

#[test]
fn nothing_is_written_behind_an_encrypted_payload() {
    let encrypted = [
        &[9; 16][..],
        &[46, 0x20, 35, 8, 0, 0, 0, 1, 0, 0, 0, 36, 35, 0, 0, 8, 1, 2, 3, 4],
    ]
    .concat();
    let message = Message::parse(&encrypted).unwrap();
    let mut payloads = PayloadWriter::new();
    payloads.push(&message.encrypted().unwrap().body).unwrap();
    let refused = payloads.push(&Body::VendorId(&[])).unwrap_err();
    assert_eq!(refused, WriteError::BehindEncrypted(PayloadType::VENDOR_ID));
    assert_eq!(payloads.message(&message.header), encrypted);
}
