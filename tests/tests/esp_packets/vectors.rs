//! Published test vectors through a primary: what is in them comes out, or is refused for what it is.
//!
//! RFC 3602 has packets without an ICV: one that RFC 4868 allows is put behind them. Those that draft-mcgrew-gcm-test-01 section 4 has for
//! RFC 4106 say 1 where a packet follows, and the authenticators of RFC 4868 section 2.7.2 are of other text than packets: that such are
//! malformed is only found once they are authentic, so `esp_malformed` is as good an answer as a packet, and `esp_icv` with a bit changed.

use esp::{Integrity, Transform};
use tests::Family;

use crate::{
    gateway::{Sa, before_this_hop, run_and_collect},
    peer::hmac,
};

struct Vector {
    name: &'static str,
    transform: Transform,
    keys: Vec<u8>,
    esn: bool,
    /// The number of the packet.
    number: u64,
    packet: Vec<u8>,
    /// The packet inside, if it is one in tunnel mode.
    inner: Option<Vec<u8>>,
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let digits: Vec<u8> = digits
        .map(|byte| char::from(byte).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn vectors() -> Vec<Vector> {
    let mut vectors = vec![
        Vector {
            name: "RFC 7634 appendix A",
            transform: Transform::ChaCha20Poly1305,
            keys: hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3"),
            esn: false,
            number: 5,
            packet: hex("01020304 00000005 1011121314151617
                         24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
                         14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
                         cbec163fac469b502773f6fb94e664da9165b82829f641e0
                         76aaa8266b7fb0f7b11b369907e1ad43"),
            inner: Some(hex(
                "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10
                             0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
                             2425262728292a2b2c2d2e2f3031323334353637",
            )),
        },
        Vector {
            name: "GCM case 1, with ESN",
            transform: Transform::Aes128Gcm16,
            keys: hex("4c80cdefbb5d10da906ac73c3613a634 2e443b68"),
            esn: true,
            number: 0x8765_4321_0000_0000,
            packet: hex("00004321 00000000 4956ed7e3b244cfe
                         fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
                         cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
                         61bc17d768fd9732459018148f6cbe722fd04796562dfdb4"),
            inner: None,
        },
        Vector {
            name: "GCM case 3, 256 bits",
            transform: Transform::Aes256Gcm16,
            keys: hex("abbccddef00112233445566778899aababbccddef00112233445566778899aab 11223344"),
            esn: false,
            number: 2,
            packet: hex("4a2cbfe3 00000002 0102030405060708
                         ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763
                         748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49
                         15956c96"),
            inner: None,
        },
        Vector {
            name: "GCM case 7, 192 bits",
            transform: Transform::Aes192Gcm16,
            keys: hex("feffe9928665731c6d6a8f9467308308feffe9928665731c cafebabe"),
            esn: false,
            number: 0xa,
            packet: hex("0000a5f8 0000000a facedbaddecaf888
                         a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0
                         315b27452144cc7795457b9652037f5318027b5b4cd7a636"),
            inner: None,
        },
    ];
    for (name, number, packet, inner) in RFC_3602 {
        let packet = hex(packet);
        let integrity_key = [0x0b; 32];
        let icv = hmac(Integrity::HmacSha256, &integrity_key, &[&packet]);
        vectors.push(Vector {
            name,
            transform: Transform::Aes128Sha256,
            keys: [&hex("0123456789abcdef0123456789abcdef")[..], &integrity_key].concat(),
            esn: false,
            number: *number,
            packet: [packet, icv].concat(),
            inner: Some(hex(inner)),
        });
    }
    for (name, transform, icv) in RFC_4868 {
        let text = b"what do ya want for nothing?";
        vectors.push(Vector {
            name,
            transform: *transform,
            keys: b"Jefe".repeat(transform.key_len() / 4),
            esn: false,
            number: u32::from_be_bytes(*text[4..].first_chunk().unwrap()).into(),
            packet: [&text[..], &hex(icv)].concat(),
            inner: None,
        });
    }
    vectors
}

/// Cases 7 and 8 of section 4: those in tunnel mode.
const RFC_3602: &[(&str, u64, &str, &str)] = &[
    (
        "RFC 3602 case 7",
        2,
        "0000876500000002f4e765244f6407adf13dc1380f673f37
         773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8
         e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5
         c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
        "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d
         02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
         2425262728292a2b2c2d2e2f3031323334353637",
    ),
    (
        "RFC 3602 case 8",
        5,
        "000087650000000585d47224b5f3dd5d2101d4ea8dffab22
         15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5
         0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3
         d2726d9b5ef6affc6d17a0decbb13892",
        "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d
         a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff
         ffffffff",
    ),
];

/// AUTH256-2, AUTH384-2 and AUTH512-2.
const RFC_4868: &[(&str, Transform, &str)] = &[
    (
        "RFC 4868 AUTH256-2",
        Transform::NullSha256,
        "167f928588c5cc2eef8e3093caa0e87c",
    ),
    (
        "RFC 4868 AUTH384-2",
        Transform::NullSha384,
        "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d",
    ),
    (
        "RFC 4868 AUTH512-2",
        Transform::NullSha512,
        "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
    ),
];

#[test]
fn published_packets_are_opened_and_what_is_in_them_goes_on() {
    let vectors = vectors();
    let sas: Vec<Sa> = (0..)
        .zip(&vectors)
        .map(|(number, vector)| Sa {
            spi: u32::from_be_bytes(*vector.packet.first_chunk().unwrap()),
            keys: vector.keys.clone(),
            ..Sa::new(number, Family::Ip4, vector.transform, vector.esn, false)
        })
        .collect();
    let [out, _] = run_and_collect(&sas, |gateway| {
        for (sa, vector) in sas.iter().zip(&vectors) {
            // Those of RFC 3602 have one SPI: each in its turn.
            gateway.primary.ctl(&["sa", "flush"]).unwrap().success().unwrap();
            gateway.install(sa, &format!("seq {}", vector.number - 1), "");
            let mac = gateway.mac;
            let mut changed = vector.packet.clone();
            changed[20] ^= 1;
            let before = gateway.settle();
            gateway.send(&sa.frame(mac, &changed));
            gateway.send(&sa.frame(mac, &vector.packet));
            let after = gateway.settle();
            let dropped = |reason| after.dropped(reason) - before.dropped(reason);
            let malformed = u64::from(vector.inner.is_none());
            assert_eq!(
                (dropped("esp_icv"), dropped("esp_malformed")),
                (1, malformed),
                "{}: {:?}",
                vector.name,
                after.drops()
            );
            let shown = gateway.shown(sa.spi).unwrap();
            assert_eq!(shown["sequence"], vector.number, "{}", vector.name);
        }
    });
    let inners: Vec<_> = vectors.into_iter().filter_map(|vector| vector.inner).collect();
    let left: Vec<_> = out.iter().map(|frame| before_this_hop(&frame[14..])).collect();
    assert_eq!(left, inners);
}
