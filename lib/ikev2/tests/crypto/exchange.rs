//! Exchanges with strongSwan 5.9.8 as the responder, recorded: it has taken what was made here, and its own keys for the child
//! SA, from its log, are ours.

use ikev2::crypto::{
    ChildKeys, EspSuite, Group, IkeKeys, IkeSpis, IkeSuite, Nonces, Opened, Opener, PrivateKey, Sealer,
    Secret, SignedOctets, Skeyseed, nat_detection_hash, shared_key_auth, shared_key_auth_is_valid,
};
use ikev2::proposal::{Proposal, accept};
use ikev2::wire::{
    Authentication, Body, Identification, Message, NotifyType, PayloadWriter, Payloads, ProtocolId,
};

use crate::{hex, random};

/// What was sent and received, and what only the initiator has.
struct Exchange {
    proposal: &'static str,
    private_key: &'static str,
    init: [&'static str; 2],
    auth: [&'static str; 2],
    /// What the peer logs as keys of the child SA, salt included: the initiator's, then its own.
    child: [&'static str; 2],
}

const PSK: &[u8] = b"presharedkey";

const AEAD: Exchange = Exchange {
    proposal: "aes256gcm16-prfsha384-ecp256",
    private_key: "9fa98671b64d998dcfe9cb79a603d69276c1e054676af6d2a6a6b8229d5bea18",
    init: [
        "6f4162943f16d63e00000000000000002120220800000000000000f02200002800000024010100030300000c01000014800e010003000008
            02000006000000080400001328000048001300006601f72f54723ee6035b506439bcce5fd72986b33aff16fefd003f30c07ca49a7cea594d
            f23b12b3462721b06e8205af8f822a0b9c2b4e4cad6ef0961374518b29000024261ebe611d5c7b642ddd1d3c6cf83f29ecb3da340f98eccd
            b8ad3cce213940962900001c0000400435bd10ea7cda0e05ad8431867fc32390d0b266192900001c000040059fd666659332067e92829726
            6e252acfef8d605f000000080000402e",
        "6f4162943f16d63e21ba0a6e5abd035c2120222000000000000001002200002800000024010100030300000c01000014800e010003000008
            0200000600000008040000132800004800130000c3145f129e2437840ddf5873d325e8849bd5abccfdc5ec4a4c87cd0305929d47b30d0d82
            258320daac3b3dbc1c51be675be198a411cf7e28998c17eeb8fc27da29000024199ed393fc1ebb28cc5a0735ec17890be0a13cb3f072c334
            738bd905827a52112900001c00004004a3c35c756c04e31df03cdcbabea2c8bce624dd1f2900001c000040056c8cd0e9503b5230eaa60144
            07049611d4466146290000080000402e29000008000040220000000800004014",
    ],
    auth: [
        "6f4162943f16d63e21ba0a6e5abd035c2e20230800000001000000de230000c20000000000000000783012593ba284a2c466fa9a425ce50c
            7688436a8fb0152b07efb4c17598810140870c1760d8bf8a33037861a257522b47d988c0c28d86418924314453eef9e8fe6f822ab5f81feb
            9cf501187ab2640899d7f0224e1441ebca17631709b35c2e165c86fdf6dd365a0606e4071c5d419b5c260a1b6583d7ef6f31d1ee06cf0761
            c7c281dd84fc2e8d7737b896770e22abcbc6557b017a72cad3028eb97f5b639af02aed32efb96b85db2db7cdd8c6393116c2e11cd5d5",
        "6f4162943f16d63e21ba0a6e5abd035c2e20232000000001000000d6240000badd9c25d41add50099e76710d88d550dd1940fd0b814da509
            ead5244b51a440162f050adbccae28033b9a4dbd6631e09a08ca1760cb4eba0c73f483ddcf53bc66e8960aeaa080702041f86b6a30a2bf4e
            af9c0f237b9cf451ccaecb3ae2dad67db703b4e016bf2c37227b890fe5950dfd97440abf8e524d43acf037b2a171f842a3858ba10fcad144
            ec1ca1ca1b90ceef1ac4192fe389dbdbc74b4fa47c71fdf95212e739627b742160ed9a3c195e38bf983286826efa",
    ],
    child: ["48b2f69046685ef0128b6851d1ec21274b46016d", "57c6755cf708e5b97101b3b51181694def7e87ba"],
};

const CBC: Exchange = Exchange {
    proposal: "aes128-sha256-prfsha256-curve25519",
    private_key: "b670949b300c4c0d0d143f87b9a6c5e3ff533ac4bb207787cc8aeeda12d4d5aa",
    init: [
        "2c19ad2af5dec10700000000000000002120220800000000000000d8220000300000002c010100040300000c0100000c800e008003000008
            0300000c0300000802000005000000080400001f28000028001f00007de3099ccf5b5235596444322273c388c7c817295bd9211b36cad8d3
            ed2ea9542900002452e415755af1e9cacfea2b620867052c0355d90c494eae6273f9e8a9563398772900001c000040048dbe23d8b6ee06a8
            ed38eb3bc73c1955ed27a6c62900001c0000400591b52ded3babfc634869a3febe7e7388375bcc22000000080000402e",
        "2c19ad2af5dec10762fc631f2080dfac2120222000000000000000e8220000300000002c010100040300000c0100000c800e008003000008
            0300000c0300000802000005000000080400001f28000028001f00002e104a32eb536c8addbc8e74bc9bcb76cde6dab494571c09418f6e42
            6ad5996129000024b4389665d5e75e57be231e8b715fcf4e8f8f876225ecbb0f0df333148f04fc8e2900001c00004004cc95ea8f9c2a642b
            1288831533131f1dfe68e4902900001c0000400596670b8cc644157d95edebf40ff4a36959fe2200290000080000402e2900000800004022
            0000000800004014",
    ],
    auth: [
        "2c19ad2af5dec10762fc631f2080dfac2e20230800000001000000e0230000c46c82a562cb808d10d632be89c8513ebf770efea44318053d
            ac55b871435de8d9d562723a851f1019b867869a9ac789427eda23badee782b7363cbe81c4d88dd8155e714e90b977b5d42932c6bbe02765
            43a033685c104a4fa4d5370bb7e7e5b7ef78bfbba33b399af07db9ed88e0e6db2869d2511c64a9ffd8382110fe5f8ce3f37a4d9a464a6ad3
            cd27c274e57503c2624f2e1eca637209b9e06fad52baade39c111dab8c69cb2d70845a78774a40cadf3f4008af82bd4371fe3f72a7349062",
        "2c19ad2af5dec10762fc631f2080dfac2e20232000000001000000d0240000b4d0d73c2188fae1b931d30d2aaba052203a866a4ff8b33a30
            eb387207aaafc9bfacb1a807b91ce9cea1653adf5304d7137fb7afcc4d9b0afe502aa91fdb173412bdb8abe37520d8af3504f58d52defce7
            4b2ced69841be40a308b4e061b645bdee380258f01af85839a8eb79874bf6307c0bbd1843be39b4946309365cedaa8547d244efc1149d5d1
            a2758d877291960c0f07cbd0e6225915922c9345eb465f8390b50ab5f01b5c11b5ba4a2d6c2fc5d4",
    ],
    child: ["62bec767387c8f4f05d78d5e8f8f04b2a8919e9b", "1fbd3f9a3e9b9ccfbc2ae8ef771a19577930a14d"],
};

/// The one payload that `pick` takes.
fn payload<'a, T>(payloads: &Payloads<'a>, pick: impl Fn(Body<'a>) -> Option<T>) -> T {
    let mut found = payloads.iter().filter_map(|payload| pick(payload.body));
    let one = found.next().unwrap();
    assert!(found.next().is_none());
    one
}

fn nonce<'a>(payloads: &Payloads<'a>) -> &'a [u8] {
    payload(payloads, |body| match body {
        Body::Nonce(nonce) => Some(nonce),
        _ => None,
    })
}

fn authentication<'a>(payloads: &Payloads<'a>) -> Authentication<'a> {
    payload(payloads, |body| match body {
        Body::Authentication(authentication) => Some(authentication),
        _ => None,
    })
}

fn identity<'a>(payloads: &Payloads<'a>) -> Identification<'a> {
    payload(payloads, |body| match body {
        Body::IdInitiator(id) | Body::IdResponder(id) => Some(id),
        _ => None,
    })
}

/// Takes the initiator's part again.
fn replay(exchange: &Exchange) {
    let [request, response] = exchange.init.map(hex);
    let (sent, received) = (
        Message::parse(&request).unwrap(),
        Message::parse(&response).unwrap(),
    );
    let nonces = Nonces {
        initiator: nonce(&sent.payloads),
        responder: nonce(&received.payloads),
    };
    let spis = IkeSpis {
        initiator: received.header.initiator_spi,
        responder: received.header.responder_spi,
    };

    // The suite is what the peer chose of what was offered.
    let offered = [Proposal::parse(ProtocolId::IKE, exchange.proposal).unwrap()];
    let chosen = payload(&received.payloads, |body| match body {
        Body::Sa(sa) => Some(accept(&offered, &sa).unwrap()),
        _ => None,
    });
    let suite = IkeSuite::new(&chosen.transforms).unwrap();
    assert_eq!(suite.to_string(), exchange.proposal);

    // The peer knows where it sees us, and there is no NAT between.
    let source = payload(&received.payloads, |body| match body {
        Body::Notify(notify) if notify.kind == NotifyType::NAT_DETECTION_DESTINATION_IP => Some(notify.data),
        _ => None,
    });
    assert_eq!(source, nat_detection_hash(spis, "10.9.0.2:500".parse().unwrap()));

    // Both ends have the same keys.
    let theirs = payload(&received.payloads, |body| match body {
        Body::KeyExchange(theirs) => Some(theirs),
        _ => None,
    });
    let group = Group::of(theirs.method).unwrap();
    let private_key = PrivateKey::from_bytes(group, Secret::from(hex(exchange.private_key))).unwrap();
    let shared = private_key.agree(theirs.data).unwrap();
    let keys = IkeKeys::derive(
        &suite,
        &Skeyseed::initial(suite.prf(), &shared, nonces),
        nonces,
        spis,
    );

    // What was sent is made again, byte by byte; what was received opens.
    let [request_auth, response_auth] = exchange.auth.map(hex);
    let clear = |message: &Message<'_>, sk_e, sk_a| match Opener::new(&suite, sk_e, sk_a)
        .unwrap()
        .open(message)
        .unwrap()
    {
        Opened::Whole(clear) => clear,
        other => panic!("{other:?}"),
    };
    let message = Message::parse(&request_auth).unwrap();
    let ours = clear(&message, &keys.sk_ei, &keys.sk_ai);
    let ours = ours.payloads().unwrap();
    let mut again = PayloadWriter::new();
    ours.iter().for_each(|payload| again.push(&payload.body).unwrap());
    let mut sealer = Sealer::new(&suite, &keys.sk_ei, &keys.sk_ai, 0).unwrap();
    assert_eq!(
        sealer.seal(&message.header, &again, &mut random(1)).unwrap(),
        request_auth
    );
    let theirs = clear(&Message::parse(&response_auth).unwrap(), &keys.sk_er, &keys.sk_ar);
    let theirs = theirs.payloads().unwrap();

    // AUTH of both ends.
    let psk = Secret::from(PSK.to_vec());
    let octets = SignedOctets {
        message: &request,
        nonce: nonces.responder,
        id: identity(&ours),
    };
    let auth = shared_key_auth(suite.prf(), &psk, &octets.octets(suite.prf(), &keys.sk_pi));
    assert_eq!(auth.expose(), authentication(&ours).data);
    let octets = SignedOctets {
        message: &response,
        nonce: nonces.initiator,
        id: identity(&theirs),
    };
    assert_eq!(octets.id.to_string(), "responder");
    let octets = octets.octets(suite.prf(), &keys.sk_pr);
    assert!(shared_key_auth_is_valid(
        suite.prf(),
        &psk,
        &octets,
        authentication(&theirs).data
    ));
    let other = Secret::from(b"anotherkey".to_vec());
    assert!(!shared_key_auth_is_valid(
        suite.prf(),
        &other,
        &octets,
        authentication(&theirs).data
    ));

    // The child SA.
    let offered = [Proposal::parse(ProtocolId::ESP, "aes128gcm16").unwrap()];
    let chosen = payload(&theirs, |body| match body {
        Body::Sa(sa) => Some(accept(&offered, &sa).unwrap()),
        _ => None,
    });
    let esp = EspSuite::new(&chosen.transforms).unwrap();
    let child = ChildKeys::derive(suite.prf(), &keys.sk_d, None, nonces, esp.key_len());
    assert_eq!(
        [child.initiator.expose(), child.responder.expose()],
        exchange.child.map(hex)
    );
}

#[test]
fn an_exchange_with_a_cipher_that_authenticates() {
    replay(&AEAD);
}

#[test]
fn an_exchange_with_cbc_and_hmac() {
    replay(&CBC);
}
