//! Vectors of RFCs.

use ikev2::crypto::{Group, IkeSuite, Opened, Opener, PrivateKey, Sealer, Secret};
use ikev2::wire::{Body, ExchangeType, Flags, Header, IkeSpi, Message, Notify, NotifyType, PayloadWriter};

use crate::{hex, random};

/// RFC 7634 appendix B: an INFORMATIONAL request with SET_WINDOW_SIZE.
const RFC_7634: &str = "c0c1c2c3c4c5c6c7 d0d1d2d3d4d5d6d7 2e202500 00000009 00000045 29000029
    1011121314151617 610394701f8d017f7c12924889 6b71bfe25236efd7cdc670669063 15b2";

#[test]
fn the_message_of_rfc_7634_is_made_byte_by_byte_and_opens() {
    let transforms = ["chacha20poly1305", "prfsha256", "curve25519"].map(|word| word.parse().unwrap());
    let suite = IkeSuite::new(&transforms).unwrap();
    let sk_e = Secret::from((0x80..=0xa3).collect::<Vec<u8>>());
    let none = Secret::from(Vec::new());
    let mut payloads = PayloadWriter::new();
    payloads
        .push(&Body::Notify(Notify::new(
            NotifyType::SET_WINDOW_SIZE,
            &[0, 0, 0, 10],
        )))
        .unwrap();
    let spi = |first: u8| IkeSpi(std::array::from_fn(|at| first + at as u8));
    let header = Header::new(
        spi(0xc0),
        spi(0xd0),
        ExchangeType::INFORMATIONAL,
        Flags::default(),
        9,
    );
    let mut sealer = Sealer::new(&suite, &sk_e, &none, 0x1011_1213_1415_1617).unwrap();
    let sealed = sealer.seal(&header, &payloads, &mut random(1)).unwrap();
    assert_eq!(sealed, hex(RFC_7634));
    assert_eq!(sealer.next_iv(), 0x1011_1213_1415_1618);

    let opener = Opener::new(&suite, &sk_e, &none).unwrap();
    match opener.open(&Message::parse(&sealed).unwrap()).unwrap() {
        Opened::Whole(clear) => {
            let shown = format!("{:?}", clear.payloads().unwrap());
            assert!(
                shown.contains("SET_WINDOW_SIZE") && shown.contains("offset: 40"),
                "{shown}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// Private keys of both ends, the initiator's public value, the responder's, and what they share.
fn agree(group: Group, [i, r, public_i, public_r, shared]: [&str; 5]) {
    let key = |text| PrivateKey::from_bytes(group, Secret::from(hex(text))).unwrap();
    let (ours, theirs) = (key(i), key(r));
    assert_eq!(ours.public(), hex(public_i));
    assert_eq!(theirs.public(), hex(public_r));
    assert_eq!(ours.agree(theirs.public()).unwrap().expose(), hex(shared));
    assert_eq!(theirs.agree(ours.public()).unwrap().expose(), hex(shared));
}

#[test]
fn values_of_rfc_5903_for_ecp256() {
    agree(
        Group::Ecp256,
        [
            "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
            "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c45
             6fa3e59ab1f45b33accf5f58389e0577b8990bb3",
            "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c
             13c58d6aac23f046ada30f8353e74f33039872ab",
            "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
        ],
    );
}

#[test]
fn values_of_rfc_5903_for_ecp384() {
    agree(
        Group::Ecp384,
        [
            "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896
             783ab194",
            "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd5
             5a7448fc",
            "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732ae
             e95f41aa9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947da
             e69b4c634573a81c",
            "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0
             774a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff
             5eaad96db9e6386c",
            "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a2
             70f59746",
        ],
    );
}

#[test]
fn values_of_rfc_5903_for_ecp521() {
    agree(
        Group::Ecp521,
        [
            "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d9
             37ba9777f5957b2639bab072462f68c27a57382d4a52",
            "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a
             3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
            "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c
             2d107564941885942af5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c946146239d099e18e
             1d5a514c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
            "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352
             f6be64a6c2912d4ef2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551
             a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
            "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a347868
             59810c06b3c715a3a8cc3151f2bee417996d19f3ddea",
        ],
    );
}

/// RFC 7748 §6.1.
#[test]
fn values_of_rfc_7748_for_curve25519() {
    let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
    let bob = PrivateKey::from_bytes(Group::Curve25519, Secret::from(hex(bob))).unwrap();
    let public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    assert_eq!(bob.public(), hex(public));
    let alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    assert_eq!(bob.agree(&hex(alice)).unwrap().expose(), hex(shared));
}
