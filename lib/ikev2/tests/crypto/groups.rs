//! Key exchange: both ends share the same, and what a peer sends wrong is refused (RFC 6989, RFC 7748).

use ikev2::crypto::{Group, KeyExchangeError, PrivateKey, Secret};
use ikev2::wire::KeyExchangeMethod;

use crate::{hex, random};

fn key(group: Group, seed: u64) -> PrivateKey {
    PrivateKey::generate(group, &mut random(seed)).unwrap()
}

#[test]
fn both_ends_share_the_same_and_others_do_not() {
    for group in Group::ALL {
        let (ours, theirs, other) = (key(group, 1), key(group, 2), key(group, 3));
        assert_eq!(ours.public().len(), group.public_len(), "{group}");
        let shared = ours.agree(theirs.public()).unwrap();
        assert_eq!(
            shared.expose(),
            theirs.agree(ours.public()).unwrap().expose(),
            "{group}"
        );
        assert_ne!(
            shared.expose(),
            ours.agree(other.public()).unwrap().expose(),
            "{group}"
        );
        let len = match group {
            Group::Ecp256 | Group::Curve25519 => 32,
            Group::Ecp384 => 48,
            Group::Ecp521 => 66,
            modp => modp.public_len(),
        };
        assert_eq!(shared.len(), len, "{group}");
        assert_eq!(Group::of(group.method()), Some(group));
    }
    assert_eq!(Group::of(KeyExchangeMethod::MODP_1024), None);
    assert_eq!(Group::of(KeyExchangeMethod::ML_KEM_768), None);
}

#[test]
fn keys_are_taken_up_from_their_bytes_and_hang_on_the_random_ones_alone() {
    for group in Group::ALL {
        let ours = key(group, 1);
        assert_eq!(ours.public(), key(group, 1).public());
        let again = PrivateKey::from_bytes(group, Secret::from(ours.bytes().expose().to_vec())).unwrap();
        assert_eq!(again.public(), ours.public());
        assert_eq!(format!("{again:?}"), format!("PrivateKey({group}, ..)"));
    }
}

#[test]
fn random_bytes_that_are_no_key_are_not_taken_and_others_asked_for() {
    for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521] {
        // Above the order of each curve first.
        let mut asked = 0;
        let mut random = |bytes: &mut [u8]| {
            asked += 1;
            bytes.fill(if asked < 3 { 0xff } else { 1 });
        };
        PrivateKey::generate(group, &mut random).unwrap();
        assert_eq!(asked, 3);
        // A generator that is broken does not hang.
        let broken = PrivateKey::generate(group, &mut |bytes: &mut [u8]| bytes.fill(0)).unwrap_err();
        assert_eq!(broken, KeyExchangeError::Failed(group));
    }
    // Of P-521 only one bit of the first byte counts.
    let mut asked = 0;
    let mut random = |bytes: &mut [u8]| {
        asked += 1;
        bytes.fill(0x7e);
    };
    PrivateKey::generate(Group::Ecp521, &mut random).unwrap();
    assert_eq!(asked, 1);
    for group in Group::ALL {
        for len in [0, group.private_len() - 1, group.private_len() + 1] {
            let refused = PrivateKey::from_bytes(group, Secret::from(vec![1; len])).unwrap_err();
            assert_eq!(refused, KeyExchangeError::PrivateKey(group));
        }
    }
}

#[test]
fn public_values_of_other_lengths_are_refused() {
    for group in Group::ALL {
        let ours = key(group, 1);
        let needed = group.public_len();
        let theirs = key(group, 2);
        for given in [0, 1, needed - 1, needed + 1] {
            let mut value = theirs.public().to_vec();
            value.resize(given, 0);
            let refused = ours.agree(&value).unwrap_err();
            assert_eq!(refused, KeyExchangeError::Length { group, given, needed });
        }
        // Nor with what TLS puts in front of a point.
        let sec1 = [&[4], theirs.public()].concat();
        assert!(matches!(ours.agree(&sec1), Err(KeyExchangeError::Length { .. })));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for group in [Group::Modp2048, Group::Modp3072, Group::Modp4096] {
        let ours = key(group, 1);
        let mut one = vec![0; group.public_len()];
        assert_eq!(ours.agree(&one).unwrap_err(), KeyExchangeError::OutOfRange(group));
        *one.last_mut().unwrap() = 1;
        assert_eq!(ours.agree(&one).unwrap_err(), KeyExchangeError::OutOfRange(group));
        assert_eq!(
            ours.agree(&vec![0xff; group.public_len()]).unwrap_err(),
            KeyExchangeError::OutOfRange(group)
        );
    }
}

#[test]
fn points_that_are_not_on_the_curve_are_refused() {
    for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521] {
        let (ours, theirs) = (key(group, 1), key(group, 2));
        let refused = |value: &[u8]| {
            assert_eq!(
                ours.agree(value).unwrap_err(),
                KeyExchangeError::NotOnCurve(group)
            );
        };
        for at in [
            0,
            group.public_len() / 2 - 1,
            group.public_len() / 2,
            group.public_len() - 1,
        ] {
            let mut value = theirs.public().to_vec();
            value[at] ^= 1;
            refused(&value);
        }
        // The point at infinity, and coordinates above the prime.
        refused(&vec![0; group.public_len()]);
        refused(&vec![0xff; group.public_len()]);
        // A point of the same length of another curve.
        let mut swapped = theirs.public().to_vec();
        swapped.rotate_left(group.public_len() / 2);
        refused(&swapped);
    }
}

/// All points of small order on curve25519 and on its twist, as their coordinates are written, canonical or not.
#[test]
fn points_that_make_the_secret_zero_are_refused() {
    let ours = key(Group::Curve25519, 1);
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for point in points {
        let refused = ours.agree(&hex(point)).unwrap_err();
        assert_eq!(refused, KeyExchangeError::Zero(Group::Curve25519), "{point}");
        let expected =
            "the peer's public value for curve25519 makes the shared secret zero; it is to be refused";
        assert_eq!(refused.to_string(), expected);
    }
}
