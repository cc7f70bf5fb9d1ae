//! ESP packets of published test vectors, byte by byte.
//!
//! RFC 4106 has none of its own; the cases are those that its author published for it in draft-mcgrew-gcm-test-01 §4.

use esp::{Header, Inbound, IvMask, Keys, OpenError, Opened, Outbound, Sequence, Spi, Transform, Window};
use packet::Protocol;

use crate::oracle::{self, Peer};

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(byte).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A vector of an AEAD: its packet is what this library makes and opens.
struct Case {
    transform: Transform,
    /// With the salt behind it.
    key: &'static str,
    spi: u32,
    number: u64,
    esn: bool,
    iv: u64,
    payload: &'static str,
    next_header: u8,
    /// Ciphertext and ICV.
    sealed: &'static str,
}

const CASES: &[Case] = &[
    // Case 1: with ESN.
    Case {
        transform: Transform::Aes128Gcm16,
        key: "4c80cdefbb5d10da906ac73c3613a634 2e443b68",
        spi: 0x4321,
        number: 0x8765_4321_0000_0000,
        esn: true,
        iv: 0x4956_ed7e_3b24_4cfe,
        payload: "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000
                  00000000045f736970045f756470037369700963796265726369747902646b00
                  00210001",
        next_header: 1,
        sealed: "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
                 cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
                 61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
    },
    // Case 2: without padding.
    Case {
        transform: Transform::Aes128Gcm16,
        key: "feffe9928665731c6d6a8f9467308308 cafebabe",
        spi: 0xa5f8,
        number: 0xa,
        esn: false,
        iv: 0xface_dbad_deca_f888,
        payload: "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100
                  00010000000000000373697009637962657263697479 02646b0000010001",
        next_header: 1,
        sealed: "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c
                 3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1
                 83b70d3aa8bc6ee4c309e9d85a41ad4a",
    },
    // Case 3: 256 bits.
    Case {
        transform: Transform::Aes256Gcm16,
        key: "abbccddef00112233445566778899aababbccddef00112233445566778899aab 11223344",
        spi: 0x4a2c_bfe3,
        number: 2,
        esn: false,
        iv: 0x0102_0304_0506_0708,
        payload: "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000
                  7002400020bf0000020405b401010402",
        next_header: 1,
        sealed: "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763
                 748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49
                 15956c96",
    },
    // Case 7: 192 bits.
    Case {
        transform: Transform::Aes192Gcm16,
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c cafebabe",
        spi: 0xa5f8,
        number: 0xa,
        esn: false,
        iv: 0xface_dbad_deca_f888,
        payload: "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e
                  501016d07568",
        next_header: 1,
        sealed: "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0
                 315b27452144cc7795457b9652037f5318027b5b4cd7a636",
    },
    // Case 9: 256 bits, ESN.
    Case {
        transform: Transform::Aes256Gcm16,
        key: "abbccddef00112233445566778899aababbccddef00112233445566778899aab 73616c74",
        spi: 0x1740_5e67,
        number: 0x156f_3126_dd0d_b99b,
        esn: true,
        iv: 0x616e_6401_6976_6563,
        payload: "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb712602
                  50101f646d54",
        next_header: 1,
        sealed: "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57f
                 f4d3a31ce673119e451626c2415771e3b7eebca614c89b35",
    },
    // Case 12: nothing in it.
    Case {
        transform: Transform::Aes128Gcm16,
        key: "7d773d00c144c525ac619d18c84a3f47 d9664267",
        spi: 0x3354_67ae,
        number: 0xffff_ffff,
        esn: false,
        iv: 0x4345_7e91_8244_3bc6,
        payload: "",
        next_header: 1,
        sealed: "437f866bcb3f699fe9b0822bac961c4504bef270",
    },
    // RFC 7634 appendix A.
    Case {
        transform: Transform::ChaCha20Poly1305,
        key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3",
        spi: 0x0102_0304,
        number: 5,
        esn: false,
        iv: 0x1011_1213_1415_1617,
        payload: "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10
                  0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
                  2425262728292a2b2c2d2e2f3031323334353637",
        next_header: 4,
        sealed: "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
                 14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
                 cbec163fac469b502773f6fb94e664da9165b82829f641e0
                 76aaa8266b7fb0f7b11b369907e1ad43",
    },
];

#[test]
fn packets_of_rfc_4106_and_rfc_7634_are_made_byte_by_byte() {
    for case in CASES {
        let keys = Keys::new(case.transform, hex(case.key).into()).unwrap();
        let spi = Spi::new(case.spi).unwrap();
        // Such a mask that the IV is the vector's.
        let mask = IvMask(case.iv ^ case.number);
        let sequence = Sequence::resumed(case.esn, case.number - 1);
        let mut outbound = Outbound::new(spi, &keys.parts(), sequence, mask);
        let payload = hex(case.payload);
        let sealing = outbound.seal(payload.len(), Protocol(case.next_header)).unwrap();
        let mut packet = [vec![0; sealing.head_len()], payload, vec![0; sealing.tail_len()]].concat();
        let work = sealing.write(&mut packet).unwrap();
        oracle::seal(&keys.parts(), outbound.format(), &work, &mut packet);
        assert_eq!(sealing.finish(&mut packet), Ok(packet.len()));
        let number = (case.number as u32).to_be_bytes();
        let head = [&case.spi.to_be_bytes()[..], &number, &case.iv.to_be_bytes()].concat();
        assert_eq!(packet, [head, hex(case.sealed)].concat(), "SPI {spi}");
    }
}

#[test]
fn packets_of_rfc_4106_and_rfc_7634_open() {
    for case in CASES {
        let keys = Keys::new(case.transform, hex(case.key).into()).unwrap();
        let number = (case.number as u32).to_be_bytes();
        let head = [&case.spi.to_be_bytes()[..], &number, &case.iv.to_be_bytes()].concat();
        let mut packet = [head, hex(case.sealed)].concat();
        let window = Window::resumed(64, case.esn, case.number - 1).unwrap();
        let header = Header::parse(&packet).unwrap();
        let mut inbound = Inbound::new(header.spi, &keys.parts(), window);
        let opening = inbound.open(header, packet.len()).unwrap();
        let work = inbound.prepare(&opening, &mut packet).unwrap();
        assert!(oracle::open(&keys.parts(), inbound.format(), &work, &mut packet));
        let Ok(Opened::Packet(payload)) = inbound.finish(opening, true, &packet) else {
            panic!("SPI {}: no payload", header.spi);
        };
        assert_eq!(packet[payload.span.range()], hex(case.payload));
        assert_eq!(payload.next_header, Protocol(case.next_header));
    }
}

/// The ESP packets of RFC 3602 §4: key, packet without ICV, payload, next header.
const RFC_3602: &[(&str, &str, &str, u8)] = &[
    // Cases 5 and 6: transport mode.
    (
        "90d382b410eeba7ad938c46cec1a82bf",
        "0000432100000001e96e8c08ab465763fd098d45dd3ff893
         f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856
         a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a
         a269add047ad2d5913ac19b7cfbad4a6",
        "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617
         18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
        1,
    ),
    (
        "90d382b410eeba7ad938c46cec1a82bf",
        "000043210000000869d08df7d203329db093fc4924e5bd80
         f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75",
        "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
        1,
    ),
    // Cases 7 and 8: tunnel mode.
    (
        "0123456789abcdef0123456789abcdef",
        "0000876500000002f4e765244f6407adf13dc1380f673f37
         773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8
         e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5
         c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
        "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d
         02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
         2425262728292a2b2c2d2e2f3031323334353637",
        4,
    ),
    (
        "0123456789abcdef0123456789abcdef",
        "000087650000000585d47224b5f3dd5d2101d4ea8dffab22
         15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5
         0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3
         d2726d9b5ef6affc6d17a0decbb13892",
        "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d
         a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff
         ffffffff",
        4,
    ),
];

#[test]
fn packets_of_rfc_3602_open_with_an_icv_behind_them() {
    for (key, packet, expected, next_header) in RFC_3602 {
        // The RFC's packets have no ICV; one that RFC 4868 allows makes them whole.
        let integrity_key = [0x0b; 32];
        let bytes = [&hex(key)[..], &integrity_key].concat();
        let keys = Keys::new(Transform::Aes128Sha256, bytes.clone().into()).unwrap();
        let sealed = hex(packet);
        let icv = oracle::hmac(esp::Integrity::HmacSha256, &integrity_key, &[&sealed]);
        let mut packet = [&sealed[..], &icv].concat();
        let header = Header::parse(&packet).unwrap();
        let window = Window::new(64, false).unwrap();
        let mut inbound = Inbound::new(header.spi, &keys.parts(), window);
        let opening = inbound.open(header, packet.len()).unwrap();
        let work = inbound.prepare(&opening, &mut packet).unwrap();
        assert!(oracle::open(&keys.parts(), inbound.format(), &work, &mut packet));
        let Ok(Opened::Packet(payload)) = inbound.finish(opening, true, &packet) else {
            panic!("SPI {}: no payload", header.spi);
        };
        assert_eq!(packet[payload.span.range()], hex(expected));
        assert_eq!(payload.next_header, Protocol(*next_header));

        // The same from the peer: so its padding is what the RFC has, and so is that of this library.
        let peer = Peer {
            spi: header.spi.get(),
            esn: false,
            keys: &bytes,
            transform: Transform::Aes128Sha256,
        };
        let payload = hex(expected);
        let pad_len = inbound.format().pad_len(payload.len()) as u8;
        let made = peer.seal(
            header.sequence_low.into(),
            &sealed[8..24],
            &payload,
            pad_len,
            *next_header,
        );
        assert_eq!(made[..sealed.len()], sealed);
    }
}

#[test]
fn a_vector_with_one_bit_wrong_is_forged() {
    let case = &CASES[0];
    let keys = Keys::new(case.transform, hex(case.key).into()).unwrap();
    let number = (case.number as u32).to_be_bytes();
    let head = [&case.spi.to_be_bytes()[..], &number, &case.iv.to_be_bytes()].concat();
    let mut packet = [head, hex(case.sealed)].concat();
    packet[30] ^= 1;
    let window = Window::resumed(64, case.esn, case.number - 1).unwrap();
    let header = Header::parse(&packet).unwrap();
    let mut inbound = Inbound::new(header.spi, &keys.parts(), window);
    let opening = inbound.open(header, packet.len()).unwrap();
    let work = inbound.prepare(&opening, &mut packet).unwrap();
    let authentic = oracle::open(&keys.parts(), inbound.format(), &work, &mut packet);
    let refused = inbound.finish(opening, authentic, &packet);
    assert_eq!(refused, Err(OpenError::Forged));
}
