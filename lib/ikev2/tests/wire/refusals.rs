//! One wrong message for each check: what is told, in which payload, and where.

use ikev2::wire::{Message, NotifyType, PayloadType, Payloads};

/// A message with one payload of this body; it begins at byte 28, and its body at 32.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    payload(
        kind,
        [0, 0],
        &u16::try_from(body.len() + 4).unwrap().to_be_bytes(),
        body,
    )
}

fn payload(kind: u8, next_and_flags: [u8; 2], length: &[u8], body: &[u8]) -> Vec<u8> {
    let head = [&[7; 16][..], &[kind, 0x20, 34, 8], &[0; 4]].concat();
    let length_of_all = u32::try_from(28 + 4 + body.len()).unwrap().to_be_bytes();
    [&head[..], &length_of_all, &next_and_flags, length, body].concat()
}

/// The sentence of the refusal, which is told as INVALID_SYNTAX.
fn refusal(bytes: &[u8]) -> String {
    let error = Message::parse(bytes).unwrap_err();
    let notify = error.notify().unwrap();
    assert_eq!((notify.kind, notify.data), (NotifyType::INVALID_SYNTAX, &[][..]));
    error.to_string()
}

#[track_caller]
fn refused(kind: u8, body: &[u8], expected: &str) {
    let bytes = message(kind, body);
    let refusal = refusal(&bytes);
    assert_eq!(refusal, expected, "{body:02x?}");
}

#[test]
fn headers_of_payloads() {
    let short = |length: u16| refusal(&payload(43, [0, 0], &length.to_be_bytes(), &[]));
    for length in 0..4 {
        let expected =
            format!("V payload, byte 28: the length of the payload is {length}, which is not 4 or more");
        assert_eq!(short(length), expected);
    }
    assert_eq!(
        short(5),
        "V payload, byte 32: the payload takes 1 bytes where 0 are left"
    );
    let more = refusal(&payload(43, [0, 0], &[0, 4], &[1]));
    assert_eq!(more, "IKE header, byte 32: 1 bytes follow the last payload");
    let next = refusal(&payload(43, [40, 0], &[0, 4], &[]));
    assert_eq!(
        next,
        "Nonce payload, byte 32: the header of a payload takes 4 bytes where 0 are left"
    );
    let cut = [&[7; 16][..], &[43, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 31, 0, 0, 0]].concat();
    assert_eq!(
        refusal(&cut),
        "V payload, byte 28: the header of a payload takes 4 bytes where 3 are left"
    );
    // No payload at all is a message.
    let empty = [&[7; 16][..], &[0, 0x20, 37, 8, 0, 0, 0, 0, 0, 0, 0, 28]].concat();
    assert_eq!(Message::parse(&empty).unwrap().payloads.iter().count(), 0);
}

#[test]
fn payloads_that_are_critical_and_not_known() {
    for kind in [1, 32, 49, 52, 54, 255] {
        let bytes = payload(kind, [0, 0x80], &[0, 4], &[]);
        let error = Message::parse(&bytes).unwrap_err();
        let notify = error.notify().unwrap();
        assert_eq!(
            (notify.kind, notify.data),
            (NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, &[kind][..])
        );
        assert_eq!(error.offset, 28);
        // Not critical, or known: the bit means nothing (RFC 7296 §2.5).
        assert!(Message::parse(&payload(kind, [0, 0x7f], &[0, 4], &[])).is_ok());
    }
    assert!(Message::parse(&payload(43, [0, 0x80], &[0, 4], &[])).is_ok());
}

#[test]
fn security_associations() {
    let sa = |body: &[u8], expected: &str| refused(33, body, &format!("SA payload, byte {expected}"));
    sa(&[], "32: a proposal takes 4 bytes where 0 are left");
    sa(
        &[1, 0, 0, 8, 1, 1, 0, 0],
        "32: the mark of the last proposal is 1, which is not 0 or 2",
    );
    sa(
        &[0, 0, 0, 3, 1, 1, 0, 0],
        "32: the length of a proposal is 3, which is not 8 or more",
    );
    sa(
        &[0, 0, 0, 7, 1, 1, 0, 0],
        "36: the header of a proposal takes 4 bytes where 3 are left",
    );
    sa(
        &[0, 0, 0, 9, 1, 1, 0, 0],
        "36: a proposal takes 5 bytes where 4 are left",
    );
    sa(
        &[0, 0, 0, 9, 1, 1, 0, 0, 0],
        "40: 1 bytes follow the last transform",
    );
    sa(
        &[0, 0, 0, 8, 1, 1, 0, 0, 0],
        "40: 1 bytes follow the last proposal",
    );
    sa(
        &[2, 0, 0, 8, 1, 1, 0, 0],
        "40: a proposal takes 4 bytes where 0 are left",
    );
    sa(
        &[0, 0, 0, 8, 1, 9, 1, 0],
        "40: the SPI of a proposal takes 1 bytes where 0 are left",
    );
    for (protocol, size) in [(1, 4), (1, 7), (2, 0), (2, 8), (3, 0), (3, 3), (3, 8)] {
        let expected = format!("32: the SPI size of a proposal is {size}, which is not that of its protocol");
        sa(&[0, 0, 0, 8, 1, protocol, size, 0], &expected);
    }
    let with = |count: u8, transforms: &[u8]| {
        let length = 8 + transforms.len() as u8;
        [&[0, 0, 0, length, 1, 1, 0, count][..], transforms].concat()
    };
    let aes = [0, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 0, 128];
    assert!(Message::parse(&message(33, &with(1, &aes))).is_ok());
    sa(&with(1, &[]), "40: a transform takes 4 bytes where 0 are left");
    sa(
        &with(2, &aes),
        "32: the number of transforms is 2, which is not as many as follow",
    );
    let two = [&[3][..], &aes[1..], &aes].concat();
    assert!(Message::parse(&message(33, &with(2, &two))).is_ok());
    sa(
        &with(1, &two),
        "32: the number of transforms is 1, which is not as many as follow",
    );
    sa(
        &with(3, &two),
        "32: the number of transforms is 3, which is not as many as follow",
    );
    let changed = |at: usize, value: u8| {
        let mut changed = aes;
        changed[at] = value;
        with(1, &changed)
    };
    sa(
        &changed(0, 2),
        "40: the mark of the last transform is 2, which is not 0 or 3",
    );
    sa(
        &changed(3, 3),
        "40: the length of a transform is 3, which is not 8 or more",
    );
    sa(
        &changed(3, 7),
        "44: the header of a transform takes 4 bytes where 3 are left",
    );
    sa(&changed(3, 8), "48: 4 bytes follow the last transform");
    sa(&changed(3, 11), "48: an attribute takes 4 bytes where 3 are left");
    sa(&changed(3, 13), "44: a transform takes 9 bytes where 8 are left");
    // Of any length, and longer than there is.
    sa(
        &changed(8, 0),
        "52: the value of an attribute takes 128 bytes where 0 are left",
    );
}

#[test]
fn plain_payloads() {
    refused(
        34,
        &[0, 14, 0],
        "KE payload, byte 32: the header of a key exchange takes 4 bytes where 3 are left",
    );
    refused(
        35,
        &[2, 0, 0],
        "IDi payload, byte 32: the header of an identity takes 4 bytes where 3 are left",
    );
    refused(
        35,
        &[1, 0, 0, 0, 10, 0, 0],
        "IDi payload, byte 36: the length of an address is 3, which is not that of its family",
    );
    refused(
        36,
        &[5, 0, 0, 0, 10, 0, 0, 1],
        "IDr payload, byte 36: the length of an address is 4, which is not that of its family",
    );
    refused(
        37,
        &[],
        "CERT payload, byte 32: a certificate encoding takes 1 bytes where 0 are left",
    );
    refused(
        38,
        &[],
        "CERTREQ payload, byte 32: a certificate encoding takes 1 bytes where 0 are left",
    );
    refused(
        39,
        &[2, 0, 0],
        "AUTH payload, byte 32: the header of an AUTH payload takes 4 bytes where 3 are left",
    );
    for len in [0, 15, 257] {
        let expected =
            format!("Nonce payload, byte 32: the length of a nonce is {len}, which is not 16 to 256");
        refused(40, &vec![1; len], &expected);
    }
    refused(
        41,
        &[0, 0, 0],
        "N payload, byte 32: the header of a notify takes 4 bytes where 3 are left",
    );
    refused(
        41,
        &[3, 4, 0, 11, 1, 2],
        "N payload, byte 36: the SPI of a notify takes 4 bytes where 2 are left",
    );
}

#[test]
fn deletes() {
    let delete = |body: &[u8], expected: &str| refused(42, body, &format!("D payload, byte {expected}"));
    delete(
        &[1, 0, 0],
        "32: the header of a delete takes 4 bytes where 3 are left",
    );
    delete(
        &[1, 8, 0, 0],
        "32: the SPI size of a delete is 8, which is not that of its protocol",
    );
    delete(
        &[1, 0, 0, 1],
        "32: the SPI size of a delete is 0, which is not that of its protocol",
    );
    delete(
        &[3, 8, 0, 0],
        "32: the SPI size of a delete is 8, which is not that of its protocol",
    );
    delete(
        &[9, 0, 0, 1],
        "32: the SPI size of a delete is 0, which is not that of its protocol",
    );
    delete(
        &[3, 4, 0, 1, 1, 2, 3],
        "36: the SPIs of a delete takes 4 bytes where 3 are left",
    );
    delete(&[3, 4, 0, 1, 1, 2, 3, 4, 5], "40: 1 bytes follow the last SPI");
    delete(
        &[3, 4, 255, 255],
        "36: the SPIs of a delete takes 262140 bytes where 0 are left",
    );
}

#[test]
fn traffic_selectors() {
    let ts = |body: &[u8], expected: &str| refused(44, body, &format!("TSi payload, byte {expected}"));
    let one = |kind: u8, length: u8, rest: &[u8]| [&[1, 0, 0, 0, kind, 0, 0, length][..], rest].concat();
    ts(
        &[1, 0, 0],
        "32: the header of traffic selectors takes 4 bytes where 3 are left",
    );
    ts(
        &[0, 0, 0, 0],
        "32: the number of traffic selectors is 0, which is not 1 or more",
    );
    ts(
        &[1, 0, 0, 0],
        "36: a traffic selector takes 4 bytes where 0 are left",
    );
    for (kind, length) in [(7, 15), (7, 17), (7, 40), (8, 16), (8, 39), (9, 3)] {
        let expected =
            format!("36: the length of a traffic selector is {length}, which is not that of its type");
        ts(&one(kind, length, &[0; 40]), &expected);
    }
    let good = one(7, 16, &[0, 0, 255, 255, 10, 0, 0, 0, 10, 0, 0, 9]);
    assert!(Message::parse(&message(44, &good)).is_ok());
    ts(
        &good[..19],
        "40: a traffic selector takes 12 bytes where 11 are left",
    );
    ts(
        &[&good[..], &[0]].concat(),
        "52: 1 bytes follow the last traffic selector",
    );
    ts(
        &[&[2][..], &good[1..]].concat(),
        "52: a traffic selector takes 4 bytes where 0 are left",
    );
    let out_of_order = "36: a range of a traffic selector, by its first port, is";
    let ranges = [
        [0, 0, 255, 255, 10, 0, 0, 9, 10, 0, 0, 0],
        [0, 2, 0, 1, 10, 0, 0, 0, 10, 0, 0, 9],
        [255, 255, 0, 1, 10, 0, 0, 0, 10, 0, 0, 9],
    ];
    for range in ranges {
        let refusal = refusal(&message(45, &one(7, 16, &range)));
        assert!(
            refusal.starts_with(&format!("TSr payload, byte {}", &out_of_order[..35])),
            "{refusal}"
        );
    }
    let six = [&[0, 0, 255, 255][..], &[2; 16], &[1; 16]].concat();
    let refusal = refusal(&message(45, &one(8, 40, &six)));
    assert!(refusal.starts_with("TSr payload, byte 36: a range"), "{refusal}");
}

#[test]
fn configurations_and_eap() {
    refused(
        47,
        &[1, 0, 0],
        "CP payload, byte 32: the header of a configuration takes 4 bytes where 3 are left",
    );
    refused(
        47,
        &[1, 0, 0, 0, 0],
        "CP payload, byte 36: a configuration attribute takes 4 bytes where 1 are left",
    );
    refused(
        47,
        &[1, 0, 0, 0, 0, 1, 0, 4, 1],
        "CP payload, byte 40: the value of a configuration attribute takes 4 bytes where 1 are left",
    );
    let eap = |body: &[u8], expected: &str| refused(48, body, &format!("EAP payload, byte 32: {expected}"));
    eap(
        &[1, 0, 0],
        "the header of an EAP packet takes 4 bytes where 3 are left",
    );
    eap(
        &[1, 0, 0, 6, 1],
        "the length of the EAP packet is 6, which is not that of its payload",
    );
    eap(
        &[1, 0, 0, 4],
        "the length of the EAP packet is 4, which is not that of its code",
    );
    eap(
        &[3, 0, 0, 5, 1],
        "the length of the EAP packet is 5, which is not that of its code",
    );
    eap(
        &[0, 0, 0, 5, 1],
        "the code of the EAP packet is 0, which is not 1 to 4",
    );
    eap(
        &[5, 0, 0, 5, 1],
        "the code of the EAP packet is 5, which is not 1 to 4",
    );
}

#[test]
fn encrypted_payloads() {
    refused(
        53,
        &[0, 1, 0],
        "SKF payload, byte 32: the header of an encrypted fragment takes 4 bytes where 3 are left",
    );
    for (number, total) in [(0u8, 0u8), (0, 1), (2, 1)] {
        let error = Message::parse(&message(53, &[0, number, 0, total])).silent_refusal();
        assert_eq!(
            error,
            format!("SKF payload, byte 32: the fragment is number {number} of {total}")
        );
    }
    // It is the last.
    let more = refusal(&payload(46, [43, 0], &[0, 4], &[0, 0, 0, 4]));
    assert_eq!(more, "IKE header, byte 32: 4 bytes follow the last payload");
    // And there is none inside of it.
    for kind in [PayloadType::ENCRYPTED, PayloadType::ENCRYPTED_FRAGMENT] {
        let error = Payloads::parse(kind, &[0, 0, 0, 8, 0, 1, 0, 1], 40).unwrap_err();
        let expected = format!("{kind} payload, byte 40: an encrypted payload is inside of another");
        assert_eq!(error.to_string(), expected);
    }
}

/// The sentence of a refusal of which nothing is told to anybody.
trait Silent {
    fn silent_refusal(self) -> String;
}

impl Silent for Result<Message<'_>, ikev2::wire::ParseError> {
    fn silent_refusal(self) -> String {
        let error = self.unwrap_err();
        assert_eq!(error.notify(), None);
        error.to_string()
    }
}
