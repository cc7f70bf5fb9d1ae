//! From what two ends share to the keys of an IKE SA and of its child SAs. All of the key schedule is here.
//!
//! ```text
//!   SKEYSEED = prf(Ni | Nr, g^ir)                         a new IKE SA                  RFC 7296 §2.14
//!   SKEYSEED = prf(SK_d, g^ir | Ni | Nr)                  one that replaces another     §2.18
//!   SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
//!   KEYMAT   = prf+(SK_d, [g^ir |] Ni | Nr)               a child SA                    §2.17
//! ```
//!
//! The second is also the step after each additional key exchange (RFC 9370 §2.2.2).

use super::{IkeSuite, Prf, Secret};
use crate::wire::IkeSpi;

/// The nonces of an exchange, as they are in its payloads.
#[derive(Clone, Copy, Debug)]
pub struct Nonces<'a> {
    /// Of who sent the request.
    pub initiator: &'a [u8],
    /// Of who answered it.
    pub responder: &'a [u8],
}

/// The SPIs of an IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IkeSpis {
    /// Of who initiated it.
    pub initiator: IkeSpi,
    /// Of the other end.
    pub responder: IkeSpi,
}

/// What the keys of an IKE SA are made of.
#[derive(Debug)]
pub struct Skeyseed(Secret);

impl Skeyseed {
    /// That of an IKE SA made by IKE_SA_INIT.
    pub fn initial(prf: Prf, shared: &Secret, nonces: Nonces<'_>) -> Skeyseed {
        let key = [nonces.initiator, nonces.responder].concat();
        Skeyseed(prf.apply(&key, &[shared.expose()]))
    }

    /// That of an IKE SA that comes after another: `prf` and `sk_d` are of the one before, the rest is of the exchange between.
    pub fn following(prf: Prf, sk_d: &Secret, shared: &Secret, nonces: Nonces<'_>) -> Skeyseed {
        Skeyseed(prf.apply(
            sk_d.expose(),
            &[shared.expose(), nonces.initiator, nonces.responder],
        ))
    }
}

/// The keys of an IKE SA. SK_a are empty where the cipher authenticates.
#[derive(Debug)]
pub struct IkeKeys {
    /// What keys of child SAs, and of the next IKE SA, are made of.
    pub sk_d: Secret,
    /// Authenticates messages of the initiator.
    pub sk_ai: Secret,
    /// Authenticates messages of the responder.
    pub sk_ar: Secret,
    /// Encrypts messages of the initiator; its salt is at the end.
    pub sk_ei: Secret,
    /// Encrypts messages of the responder; its salt is at the end.
    pub sk_er: Secret,
    /// Goes into AUTH of the initiator.
    pub sk_pi: Secret,
    /// Goes into AUTH of the responder.
    pub sk_pr: Secret,
}

impl IkeKeys {
    /// The keys of an IKE SA.
    pub fn derive(suite: &IkeSuite, seed: &Skeyseed, nonces: Nonces<'_>, spis: IkeSpis) -> IkeKeys {
        let (d, a, e) = (
            suite.prf.len(),
            suite.integrity_key_len(),
            suite.encryption.key_len(),
        );
        let parts = [
            nonces.initiator,
            nonces.responder,
            &spis.initiator.0,
            &spis.responder.0,
        ];
        let [sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr] =
            split(suite.prf, &seed.0, &parts, [d, a, a, e, e, d, d]);
        IkeKeys {
            sk_d,
            sk_ai,
            sk_ar,
            sk_ei,
            sk_er,
            sk_pi,
            sk_pr,
        }
    }
}

/// The keys of a child SA: for each direction the key of the cipher, its salt, then the key of the integrity algorithm.
#[derive(Debug)]
pub struct ChildKeys {
    /// For packets of who sent the request that made it.
    pub initiator: Secret,
    /// For packets of who answered that.
    pub responder: Secret,
}

impl ChildKeys {
    /// The keys of a child SA whose directions take `key_len` bytes each ([`super::EspSuite::key_len`]). `shared`: what a key
    /// exchange of its own gave. `prf` and `sk_d` are of its IKE SA.
    pub fn derive(
        prf: Prf,
        sk_d: &Secret,
        shared: Option<&Secret>,
        nonces: Nonces<'_>,
        key_len: usize,
    ) -> ChildKeys {
        let shared = shared.map_or(&[][..], Secret::expose);
        let parts = [shared, nonces.initiator, nonces.responder];
        let [initiator, responder] = split(prf, sk_d, &parts, [key_len; 2]);
        ChildKeys { initiator, responder }
    }
}

/// `prf+` in pieces of these lengths.
fn split<const N: usize>(prf: Prf, key: &Secret, seed: &[&[u8]], lengths: [usize; N]) -> [Secret; N] {
    let all = prf.plus(key.expose(), seed, lengths.iter().sum());
    // Seven keys of 64 bytes at most are far from the 255 outputs that there are; one that is not made stays empty, and nothing
    // takes an empty key for one.
    let mut rest = all.as_ref().map_or(&[][..], Secret::expose);
    lengths.map(|len| {
        let (piece, behind) = rest.split_at_checked(len).unwrap_or_default();
        rest = behind;
        Secret::concat(&[piece])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Encryption, Group, Integrity, KeyBits};

    const NONCES: Nonces<'static> = Nonces {
        initiator: &[1; 16],
        responder: &[2; 32],
    };
    const SPIS: IkeSpis = IkeSpis {
        initiator: IkeSpi([3; 8]),
        responder: IkeSpi([4; 8]),
    };

    fn suite(integrity: Option<Integrity>) -> IkeSuite {
        let encryption = match integrity {
            Some(_) => Encryption::AesCbc(KeyBits::Bits192),
            None => Encryption::AesGcm16(KeyBits::Bits256),
        };
        IkeSuite {
            encryption,
            integrity,
            prf: Prf::HmacSha384,
            group: Group::Ecp256,
        }
    }

    #[test]
    fn keys_are_cut_from_prf_plus_in_the_order_of_rfc_7296() {
        for suite in [suite(None), suite(Some(Integrity::HmacSha512))] {
            let seed = Skeyseed::initial(suite.prf, &Secret::from(vec![9; 32]), NONCES);
            assert_eq!(
                seed.0.expose(),
                suite
                    .prf
                    .apply(&[&[1; 16][..], &[2; 32]].concat(), &[&[9; 32]])
                    .expose()
            );
            let keys = IkeKeys::derive(&suite, &seed, NONCES, SPIS);
            let all = [
                &keys.sk_d,
                &keys.sk_ai,
                &keys.sk_ar,
                &keys.sk_ei,
                &keys.sk_er,
                &keys.sk_pi,
                &keys.sk_pr,
            ];
            let (a, e) = if suite.integrity.is_some() {
                (64, 24)
            } else {
                (0, 36)
            };
            assert_eq!(all.map(Secret::len), [48, a, a, e, e, 48, 48]);
            let parts = [&[1; 16][..], &[2; 32], &[3; 8], &[4; 8]];
            let whole = suite
                .prf
                .plus(seed.0.expose(), &parts, 3 * 48 + 2 * a + 2 * e)
                .unwrap();
            assert_eq!(all.map(Secret::expose).concat(), whole.expose());
        }
    }

    #[test]
    fn the_next_sa_hangs_on_the_one_before_and_on_both_nonces() {
        let prf = Prf::HmacSha256;
        let (sk_d, shared) = (Secret::from(vec![5; 32]), Secret::from(vec![6; 32]));
        let seed = Skeyseed::following(prf, &sk_d, &shared, NONCES);
        let data = [&[6; 32][..], &[1; 16], &[2; 32]];
        assert_eq!(seed.0.expose(), prf.apply(&[5; 32], &data).expose());
    }

    #[test]
    fn child_keys_are_the_initiators_then_the_responders() {
        let (prf, sk_d, shared) = (
            Prf::HmacSha512,
            Secret::from(vec![5; 64]),
            Secret::from(vec![6; 32]),
        );
        let keys = ChildKeys::derive(prf, &sk_d, None, NONCES, 48);
        let whole = prf.plus(&[5; 64], &[&[1; 16], &[2; 32]], 96).unwrap();
        assert_eq!(
            [keys.initiator.expose(), keys.responder.expose()].concat(),
            whole.expose()
        );
        let keys = ChildKeys::derive(prf, &sk_d, Some(&shared), NONCES, 36);
        let whole = prf.plus(&[5; 64], &[&[6; 32], &[1; 16], &[2; 32]], 72).unwrap();
        assert_eq!(
            [keys.initiator.expose(), keys.responder.expose()].concat(),
            whole.expose()
        );
    }

    #[test]
    fn nothing_of_any_key_is_shown() {
        let suite = suite(Some(Integrity::HmacSha256));
        let seed = Skeyseed::initial(suite.prf, &Secret::from(vec![0xab; 32]), NONCES);
        let keys = IkeKeys::derive(&suite, &seed, NONCES, SPIS);
        let child = ChildKeys::derive(suite.prf, &keys.sk_d, None, NONCES, 36);
        let expected = "IkeKeys { sk_d: Secret(48 bytes), sk_ai: Secret(32 bytes), sk_ar: Secret(32 bytes), \
            sk_ei: Secret(24 bytes), sk_er: Secret(24 bytes), sk_pi: Secret(48 bytes), sk_pr: Secret(48 bytes) }";
        assert_eq!(format!("{keys:?}"), expected);
        assert_eq!(format!("{seed:?}"), "Skeyseed(Secret(48 bytes))");
        let expected = "ChildKeys { initiator: Secret(36 bytes), responder: Secret(36 bytes) }";
        assert_eq!(format!("{child:?}"), expected);
    }
}
