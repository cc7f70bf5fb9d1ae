//! Certificates and signatures that OpenSSL has made (tests/certificates/make.sh).
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::*;
use crate::crypto::{
    AlgorithmError, Hashes, KeyError, KeyKind, RsaPadding, Secret, Sha2, SignError, SignatureAlgorithm,
    SigningKey, VerifyError,
};
use crate::wire::{AuthMethod, Authentication, HashAlgorithm, IdType, Identification};

const OCTETS: &[u8] = b"octets that are signed";

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../../tests/certificates/", $name, ".pem"))
    };
}

macro_rules! key {
    ($name:literal) => {
        SigningKey::from_pem(&Secret::from(
            include_bytes!(concat!("../../tests/certificates/", $name, ".key")).to_vec(),
        ))
        .unwrap()
    };
}

macro_rules! sig {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/certificates/", $name, ".sig"))
    };
}

fn one(pem: &str) -> X509 {
    X509::all_of_pem(pem).unwrap().remove(0)
}

/// A day after the certificates were made.
fn now() -> Clock {
    one(pem!("left-ecdsa256")).validity.0 + Duration::from_secs(86_400)
}

fn digital(algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    let identifier = algorithm.identifier();
    [&[identifier.len() as u8], &identifier[..], signature].concat()
}

fn all_hashes() -> Option<Hashes> {
    Some(Hashes::of_notify(&Hashes::notify_data()))
}

#[test]
fn signatures_of_openssl_are_verified_and_others_are_not() {
    let cases = [
        (
            pem!("left-rsa"),
            SignatureAlgorithm::RsaPkcs1(Sha2::Sha256),
            &sig!("rsa-sha256")[..],
        ),
        (
            pem!("left-rsa"),
            SignatureAlgorithm::RsaPkcs1(Sha2::Sha384),
            sig!("rsa-sha384"),
        ),
        (
            pem!("left-rsa"),
            SignatureAlgorithm::RsaPkcs1(Sha2::Sha512),
            sig!("rsa-sha512"),
        ),
        (
            pem!("left-rsa"),
            SignatureAlgorithm::RsaPss(Sha2::Sha256),
            sig!("pss-sha256"),
        ),
        (
            pem!("left-rsa"),
            SignatureAlgorithm::RsaPss(Sha2::Sha384),
            sig!("pss-sha384"),
        ),
        (
            pem!("left-rsa"),
            SignatureAlgorithm::RsaPss(Sha2::Sha512),
            sig!("pss-sha512"),
        ),
        (
            pem!("left-ecdsa256"),
            SignatureAlgorithm::Ecdsa(Sha2::Sha256),
            sig!("ecdsa256-sha256"),
        ),
        (
            pem!("left-ecdsa384"),
            SignatureAlgorithm::Ecdsa(Sha2::Sha384),
            sig!("ecdsa384-sha384"),
        ),
        (pem!("left-ed25519"), SignatureAlgorithm::Ed25519, sig!("ed25519")),
    ];
    for (number, (pem, algorithm, signature)) in cases.into_iter().enumerate() {
        let certificate = one(pem);
        let key = certificate.key().unwrap();
        let data = digital(algorithm, signature);
        let auth = Authentication::new(AuthMethod::DIGITAL_SIGNATURE, &data);
        assert_eq!(key.verify(&auth, OCTETS), Ok(()), "{algorithm}");
        assert!(matches!(
            key.verify(&auth, b"others"),
            Err(VerifyError::Invalid { .. })
        ));
        let mut flipped = data.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let auth = Authentication::new(AuthMethod::DIGITAL_SIGNATURE, &flipped);
        assert!(matches!(
            key.verify(&auth, OCTETS),
            Err(VerifyError::Invalid { .. })
        ));
        // By the name of any other algorithm it is no signature of this key.
        for (_, (_, other, _)) in cases.iter().enumerate().filter(|(at, _)| *at != number) {
            let data = digital(*other, signature);
            let auth = Authentication::new(AuthMethod::DIGITAL_SIGNATURE, &data);
            assert!(key.verify(&auth, OCTETS).is_err(), "{algorithm} as {other}");
        }
    }
}

#[test]
fn what_is_signed_here_is_what_openssl_signs() {
    // Without randomness in them they are the same bytes.
    let rsa = key!("left-rsa");
    for (hash, signature) in [
        (Sha2::Sha256, &sig!("rsa-sha256")[..]),
        (Sha2::Sha384, sig!("rsa-sha384")),
        (Sha2::Sha512, sig!("rsa-sha512")),
    ] {
        let offered = Hashes::of_notify(&hash.number().0.to_be_bytes());
        let signed = rsa.sign(OCTETS, Some(offered), RsaPadding::Pkcs1).unwrap();
        assert_eq!(
            signed.data,
            digital(SignatureAlgorithm::RsaPkcs1(hash), signature)
        );
    }
    let signed = key!("left-ed25519")
        .sign(OCTETS, all_hashes(), RsaPadding::Pss)
        .unwrap();
    assert_eq!(signed.data, digital(SignatureAlgorithm::Ed25519, sig!("ed25519")));
    // With it they are as good as those of OpenSSL.
    for (key, pem, padding) in [
        (key!("left-rsa"), pem!("left-rsa"), RsaPadding::Pss),
        (key!("left-ecdsa256"), pem!("left-ecdsa256"), RsaPadding::Pkcs1),
        (key!("left-ecdsa384"), pem!("left-ecdsa384"), RsaPadding::Pkcs1),
    ] {
        let signed = key.sign(OCTETS, all_hashes(), padding).unwrap();
        assert_eq!(signed.method, AuthMethod::DIGITAL_SIGNATURE);
        let auth = Authentication::new(signed.method, &signed.data);
        assert_eq!(one(pem).key().unwrap().verify(&auth, OCTETS), Ok(()));
    }
}

#[test]
fn old_methods_are_for_ecdsa_and_for_rsa_without_sha1() {
    for (key, pem, method, len) in [
        (
            key!("left-ecdsa256"),
            pem!("left-ecdsa256"),
            AuthMethod::ECDSA_SHA256_P256,
            64,
        ),
        (
            key!("left-ecdsa384"),
            pem!("left-ecdsa384"),
            AuthMethod::ECDSA_SHA384_P384,
            96,
        ),
    ] {
        let signed = key.sign(OCTETS, None, RsaPadding::Pkcs1).unwrap();
        assert_eq!((signed.method, signed.data.len()), (method, len));
        let auth = Authentication::new(method, &signed.data);
        let certificate = one(pem);
        assert_eq!(certificate.key().unwrap().verify(&auth, OCTETS), Ok(()));
        assert!(certificate.key().unwrap().verify(&auth, b"others").is_err());
        assert!(matches!(
            one(pem!("left-rsa")).key().unwrap().verify(&auth, OCTETS),
            Err(VerifyError::OtherKey {
                key: KeyKind::Rsa,
                ..
            })
        ));
    }
    let refused = key!("left-rsa").sign(OCTETS, None, RsaPadding::Pkcs1);
    assert_eq!(refused, Err(SignError::OldPeer(KeyKind::Rsa)));
    let rsa = one(pem!("left-rsa"));
    let verify = |signature| {
        rsa.key()
            .unwrap()
            .verify(&Authentication::new(AuthMethod::RSA_SIGNATURE, signature), OCTETS)
    };
    assert_eq!(verify(sig!("rsa-sha256")), Ok(()));
    assert_eq!(verify(sig!("rsa-sha512")), Ok(()));
    assert_eq!(verify(sig!("rsa-sha1")), Err(AlgorithmError::Sha1.into()));
    assert!(matches!(
        verify(sig!("pss-sha256")),
        Err(VerifyError::Invalid { .. })
    ));
    let mac = Authentication::new(AuthMethod::SHARED_KEY_MIC, sig!("rsa-sha256"));
    assert!(matches!(
        rsa.key().unwrap().verify(&mac, OCTETS),
        Err(VerifyError::Method(_))
    ));
}

#[test]
fn a_hash_that_the_peer_does_not_take_is_not_signed_with() {
    let identity = Some(Hashes::of_notify(&HashAlgorithm::IDENTITY.0.to_be_bytes()));
    let sha512 = Some(Hashes::of_notify(&HashAlgorithm::SHA2_512.0.to_be_bytes()));
    let sentence = |key: SigningKey, offered| {
        key.sign(OCTETS, offered, RsaPadding::Pkcs1)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        sentence(key!("left-ecdsa256"), sha512),
        "the peer takes signatures with SHA2-512, and our key for ECDSA P-256 needs SHA2-256: allow that at the peer, or use another key"
    );
    assert!(
        sentence(key!("left-rsa"), identity)
            .contains("with Identity, and our key for RSA needs one of SHA-2")
    );
    assert!(sentence(key!("left-ed25519"), sha512).contains("needs Identity, which RFC 8420 has for it"));
    assert!(sentence(key!("left-rsa"), Some(Hashes::default())).contains("with none"));
}

#[test]
fn keys_are_read_in_every_form_and_never_shown() {
    assert_eq!(key!("sec1").kind(), KeyKind::EcdsaP256);
    assert!(key!("sec1").is_of(one(pem!("left-ecdsa256")).key().unwrap()));
    assert!(key!("pkcs1").is_of(one(pem!("left-rsa")).key().unwrap()));
    assert!(!key!("pkcs1").is_of(one(pem!("right-rsa")).key().unwrap()));
    assert_eq!(format!("{:?}", key!("pkcs1")), "SigningKey(RSA, ..)");
    let read = |text: &str| SigningKey::from_pem(&Secret::from(text.as_bytes().to_vec())).unwrap_err();
    assert_eq!(read("nothing"), KeyError::NoKey);
    assert_eq!(read(pem!("root")), KeyError::NoKey);
    let block = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
    assert_eq!(read(&block("ENCRYPTED PRIVATE KEY")), KeyError::Encrypted);
    assert_eq!(read(&block("PRIVATE KEY")), KeyError::Unusable);
}

fn check(leaf: &str, between: &[&str], authorities: &[&str], at: Clock) -> Result<(), CertificateError> {
    let between: Vec<X509> = between.iter().map(|pem| one(pem)).collect();
    Authorities::from_pem(&authorities.concat())
        .unwrap()
        .check(&one(leaf), &between, at)
}

#[test]
fn chains_lead_to_an_authority_that_is_believed() {
    let (root, other, between) = (pem!("root"), pem!("other"), pem!("intermediate"));
    assert_eq!(check(pem!("left-ecdsa256"), &[], &[root], now()), Ok(()));
    assert_eq!(check(pem!("left-ed25519"), &[], &[other, root], now()), Ok(()));
    assert_eq!(
        check(pem!("left-rsa"), &[pem!("right-rsa"), between], &[root], now()),
        Ok(())
    );
    // One in between may be believed itself.
    assert_eq!(check(pem!("left-rsa"), &[], &[between], now()), Ok(()));
    assert_eq!(check(pem!("odd-tls"), &[], &[root], now()), Ok(()));
    assert_eq!(
        check(pem!("left-rsa"), &[], &[root], now())
            .unwrap_err()
            .to_string(),
        "the certificate of C=AQ, O=Tollgate tests, CN=left is issued by C=AQ, O=Tollgate tests, CN=intermediate, and no chain leads from there \
         to a CA of ours: C=AQ, O=Tollgate tests, CN=root; add its CA, or have the peer send the certificates between"
    );
    // Another key under the name of the CA.
    for leaf in [pem!("odd-impostor"), pem!("odd-other")] {
        assert!(matches!(
            check(leaf, &[], &[root], now()),
            Err(CertificateError::UnknownIssuer { .. })
        ));
    }
    assert!(matches!(
        check(pem!("left-ecdsa256"), &[], &[pem!("impostor")], now()),
        Err(CertificateError::UnknownIssuer { .. })
    ));
    // What a peer sends along is not believed for that.
    assert!(matches!(
        check(pem!("odd-other"), &[other], &[root], now()),
        Err(CertificateError::UnknownIssuer { .. })
    ));
}

#[test]
fn certificates_are_taken_in_their_time_only() {
    let days = |days: u64| Duration::from_secs(86_400 * days);
    let sentence = |at| {
        check(pem!("left-ecdsa256"), &[], &[pem!("root")], at)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        sentence(now() + days(1009)),
        "the certificate of C=AQ, O=Tollgate tests, CN=left expired 10 days ago; renew it, or set the clock"
    );
    assert_eq!(
        sentence(now() - days(11)),
        "the certificate of C=AQ, O=Tollgate tests, CN=left is valid in 10 days and not before; see which end's clock is wrong"
    );
    // A CA whose time is over is believed no more, and what it has signed with it.
    let brief = |at| check(pem!("odd-brief"), &[], &[pem!("brief"), pem!("root")], at);
    assert_eq!(brief(now()), Ok(()));
    assert_eq!(
        brief(now() + days(109)).unwrap_err().to_string(),
        "the certificate of C=AQ, O=Tollgate tests, CN=brief expired 10 days ago; renew it, or set the clock"
    );
    let late = check(pem!("left-ecdsa256"), &[], &[pem!("root")], now() + days(10_009)).unwrap_err();
    assert!(matches!(late, CertificateError::Expired { .. }));
}

#[test]
fn usage_and_constraints_are_kept() {
    let root = pem!("root");
    let refused = |leaf, between: &[&str]| check(leaf, between, &[root], now()).unwrap_err();
    assert_eq!(
        refused(pem!("odd-usage"), &[]),
        CertificateError::Usage("CN=usage".to_owned())
    );
    assert_eq!(
        refused(pem!("odd-purpose"), &[]),
        CertificateError::Purpose("CN=purpose".to_owned())
    );
    assert!(matches!(
        refused(pem!("odd-critical"), &[]),
        CertificateError::Chain { .. }
    ));
    assert_eq!(
        refused(pem!("odd-nobodys"), &[pem!("left-ecdsa256")]),
        CertificateError::MayNotIssue("C=AQ, O=Tollgate tests, CN=left".to_owned())
    );
    assert_eq!(
        refused(pem!("odd-issued"), &[pem!("odd-issuer")]),
        CertificateError::MayNotIssue("CN=issuer".to_owned())
    );
    assert_eq!(
        refused(pem!("odd-sha1"), &[]),
        CertificateError::WeakSignature("CN=sha1".to_owned())
    );
    assert_eq!(
        refused(pem!("odd-issuer"), &[]),
        CertificateError::Authority("CN=issuer".to_owned())
    );
    // An authority's own is no peer's: the key of this one may not even sign.
    assert!(matches!(
        refused(pem!("intermediate"), &[]),
        CertificateError::Usage(_)
    ));
    assert_eq!(
        Authorities::from_pem(pem!("left-rsa")).unwrap_err(),
        CertificateError::NoAuthority("C=AQ, O=Tollgate tests, CN=left".to_owned())
    );
    assert_eq!(
        Authorities::from_pem("").unwrap_err(),
        CertificateError::NoCertificate
    );
    let many = [pem!("intermediate"); MAX_CERTIFICATES];
    assert!(matches!(
        refused(pem!("left-rsa"), &many),
        CertificateError::TooMany { count: 9, max: 8 }
    ));
    assert!(matches!(
        X509::parse(&[0x30; 9000]),
        Err(CertificateError::TooLong { len: 9000, .. })
    ));
    assert!(matches!(
        X509::parse(&[0x30, 0]),
        Err(CertificateError::Malformed(_))
    ));
    assert_eq!(
        one(pem!("odd-short")).key().unwrap_err().to_string(),
        "the certificate of CN=short has a key for RSA of 1024 bits, which is not here; give it one for RSA of 2048 to 8192 bits, ECDSA P-256 \
         or P-384, or Ed25519"
    );
    assert!(matches!(
        one(pem!("odd-ed448")).key(),
        Err(CertificateError::Key { .. })
    ));
}

#[test]
fn identities_are_names_of_the_certificate() {
    let certificate = one(pem!("left-ecdsa256"));
    let is = |kind, data: &[u8]| {
        certificate
            .check_identity(&Identification::new(kind, data))
            .is_ok()
    };
    assert!(is(IdType::FQDN, b"left.example.org") && is(IdType::FQDN, b"LEFT.Example.org"));
    assert!(is(IdType::RFC822_ADDR, b"left@example.org"));
    assert!(is(IdType::IPV4_ADDR, &[192, 0, 2, 1]));
    let six: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    assert!(is(IdType::IPV6_ADDR, &six.octets()));
    for (kind, data) in [
        (IdType::FQDN, &b"right.example.org"[..]),
        (IdType::FQDN, b"left@example.org"),
        (IdType::FQDN, b"left"),
        (IdType::FQDN, b"left.example.org\0"),
        (IdType::FQDN, b""),
        (IdType::FQDN, b"*.example.org"),
        (IdType::RFC822_ADDR, b"left.example.org"),
        (IdType::IPV4_ADDR, &[192, 0, 2, 2]),
        (IdType::IPV6_ADDR, &[0; 16]),
        (IdType::KEY_ID, b"left.example.org"),
        (IdType::KEY_ID, b""),
        (IdType::DER_ASN1_DN, b""),
        (IdType::NULL, b""),
    ] {
        assert!(!is(kind, data), "{kind} {data:?}");
    }
    let refused = certificate.check_identity(&Identification::new(IdType::FQDN, b"x.example.org"));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the peer says to be x.example.org, and its certificate is for subject C=AQ, O=Tollgate tests, CN=left, DNS left.example.org, mail \
         left@example.org, address 192.0.2.1, address 2001:db8::1: change the identity of the peer, or issue a certificate with it"
    );
    // All ways to name a key.
    for key_id in &certificate.key_ids {
        assert!(is(IdType::KEY_ID, key_id));
    }
    assert_eq!(certificate.key_ids.len(), 3);
}

#[test]
fn distinguished_names_are_compared_piece_by_piece() {
    let certificate = one(pem!("left-ecdsa256"));
    let is = |name: &str| {
        let der = distinguished_name(name).unwrap();
        certificate
            .check_identity(&Identification::new(IdType::DER_ASN1_DN, &der))
            .is_ok()
    };
    assert!(is("C=AQ, O=Tollgate tests, CN=left") && is("c=aq,o=TOLLGATE tests,cn=Left"));
    for name in [
        "CN=left, O=Tollgate tests, C=AQ",
        "C=AQ, O=Tollgate tests",
        "C=AQ, O=Tollgate tests, CN=left, CN=left",
        "C=AQ, O=Tollgate tests, OU=left",
        "C=AQ+O=Tollgate tests, CN=left",
        "CN=left",
    ] {
        assert!(!is(name), "{name}");
    }
    assert_eq!(distinguished_name("no name"), None);
    assert_eq!(distinguished_name(""), None);
    let comma = distinguished_name("O=One\\, Two, CN=x").unwrap();
    assert_eq!(show_name(&comma).unwrap(), "O=One\\, Two, CN=x");
    assert_eq!(
        Identification::new(IdType::DER_ASN1_DN, certificate.subject()).to_string(),
        "C=AQ, O=Tollgate tests, CN=left"
    );
}

#[test]
fn what_a_peer_has_itself_is_not_sent() {
    let chain = [pem!("left-rsa"), pem!("intermediate"), pem!("root")].concat();
    let credentials = Credentials::new(&chain, key!("left-rsa"), RsaPadding::Pkcs1).unwrap();
    let count = |asked: &[u8]| credentials.certificates_for(asked).count();
    let hash = |pem: &str| one(pem).key_hash;
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&hash(pem!("root"))), 2);
    assert_eq!(
        count(&[hash(pem!("other")), hash(pem!("intermediate"))].concat()),
        1
    );
    assert_eq!(count(&hash(pem!("other"))), 3);
    assert_eq!(count(&hash(pem!("root"))[1..]), 3);
    let wrong = Credentials::new(pem!("right-rsa"), key!("left-rsa"), RsaPadding::Pkcs1).unwrap_err();
    assert_eq!(
        wrong,
        CertificateError::OtherKey("C=AQ, O=Tollgate tests, CN=right".to_owned())
    );
}
