//! The reference against the authenticator test vectors of RFC 4868 §2.7.2, so that what it says of ESP can be trusted.

use esp::Integrity;

use crate::oracle::hmac;
use crate::vectors::hex;

#[test]
fn authenticators_are_those_of_rfc_4868() {
    // The key of AUTH384-4 begins again in its last third.
    let counting = |len| match len {
        48 => (1..=0x20).chain(0x0a..0x1a).collect(),
        len => (1..=len as u8).collect(),
    };
    // AUTH256-1 to 4, AUTH384-1 to 4, AUTH512-1 to 4.
    let expected = [
        (
            Integrity::HmacSha256,
            [
                "198a607eb44bfbc69903a0f1cf2bbdc5",
                "167f928588c5cc2eef8e3093caa0e87c",
                "cdcb1220d1ecccea91e53aba3092f962",
                "372efcf9b40b35c2115b1346903d2ef4",
            ],
        ),
        (
            Integrity::HmacSha384,
            [
                "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
                "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d",
                "809f439be00274321d4a538652164b53554a508184a0c316",
                "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c",
            ],
        ),
        (
            Integrity::HmacSha512,
            [
                "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
                "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
                "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
                "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108",
            ],
        ),
    ];
    for (integrity, icvs) in expected {
        let len = integrity.key_len();
        let cases: [(Vec<u8>, &[u8]); 4] = [
            (vec![0x0b; len], b"Hi There"),
            (b"Jefe".repeat(len / 4), b"what do ya want for nothing?"),
            (vec![0xaa; len], &[0xdd; 50]),
            (counting(len), &[0xcd; 50]),
        ];
        for ((key, data), icv) in cases.into_iter().zip(icvs) {
            assert_eq!(hmac(integrity, &key, &[data]), hex(icv), "{integrity:?}");
            assert_eq!(hex(icv).len(), integrity.icv_len());
        }
    }
}
