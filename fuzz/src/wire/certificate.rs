//! Certificates of peers, names and algorithms of signatures. A certificate that has been changed is never believed.
//!
//! ```text
//!   input: │ 0 │ certificate in DER │    │ 1 │ AlgorithmIdentifier in DER │    │ 2 │ distinguished name │    │ 3 │ PEM │
//! ```

use std::sync::OnceLock;
use std::time::Duration;

use ikev2::certificate::{Authorities, X509, distinguished_name, same_identity};
use ikev2::crypto::{Hashes, RsaPadding, Secret, Sha2, SignatureAlgorithm, SigningKey};
use ikev2::wire::{Authentication, IdType, Identification};

use super::sure;

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../../../lib/ikev2/tests/certificates/", $name, ".pem"))
    };
}

/// 1 March 2027, when all of them are valid.
const NOW: Duration = Duration::from_secs(1_803_859_200);
const LEAVES: &str = concat!(
    pem!("left-ecdsa256"),
    pem!("left-ecdsa384"),
    pem!("left-ed25519"),
    pem!("left-rsa"),
    pem!("odd-tls"),
    // Its key is for nothing that is here, which is said later.
    pem!("odd-ed448"),
);
/// The private key of one of them.
const KEY: &[u8] = include_bytes!("../../../lib/ikev2/tests/certificates/left-ed25519.key");
const OTHERS: &str = concat!(pem!("odd-impostor"), pem!("odd-critical"), pem!("root"));

struct Known {
    authorities: Authorities,
    leaves: Vec<X509>,
    between: Vec<X509>,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| Known {
        authorities: sure(Authorities::from_pem(pem!("root"))),
        leaves: sure(X509::all_of_pem(LEAVES)),
        between: sure(X509::all_of_pem(pem!("intermediate"))),
    })
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

/// Certificates that are believed and others, all algorithms, names, PEM.
pub fn seeds() -> Vec<Vec<u8>> {
    let certificates = known()
        .leaves
        .iter()
        .cloned()
        .chain(sure(X509::all_of_pem(OTHERS)));
    let mut seeds: Vec<Vec<u8>> = certificates
        .map(|certificate| tagged(0, certificate.der()))
        .collect();
    for hash in Sha2::ALL {
        for algorithm in [
            SignatureAlgorithm::RsaPkcs1(hash),
            SignatureAlgorithm::RsaPss(hash),
            SignatureAlgorithm::Ecdsa(hash),
        ] {
            seeds.push(tagged(1, &algorithm.identifier()));
        }
    }
    seeds.push(tagged(1, &SignatureAlgorithm::Ed25519.identifier()));
    seeds.push(tagged(2, b"C=AQ, O=One\\, Two, OU=a+CN=b, CN=gw"));
    seeds.push(tagged(3, pem!("left-ed25519").as_bytes()));
    seeds.push(tagged(3, KEY));
    seeds
}

/// Reads it, and sees what becomes of it.
pub fn body(input: &[u8]) {
    match input {
        [0, der @ ..] => certificate(der),
        [1, identifier @ ..] => {
            if let Ok(algorithm) = SignatureAlgorithm::of_identifier(identifier) {
                assert_eq!(
                    SignatureAlgorithm::of_identifier(&algorithm.identifier()),
                    Ok(algorithm)
                );
            }
        }
        [2, text @ ..] => {
            if let Some(der) = std::str::from_utf8(text).ok().and_then(distinguished_name) {
                let name = Identification::new(IdType::DER_ASN1_DN, &der);
                assert!(same_identity(&name, &name));
                assert!(name.to_string().chars().all(|letter| !letter.is_control()));
            }
        }
        [3, text @ ..] => {
            key(text);
            if let Ok(text) = std::str::from_utf8(text) {
                let _ = X509::all_of_pem(text);
                let _ = Authorities::from_pem(text);
            }
        }
        _ => {}
    }
}

/// A private key that says to be that of a certificate signs for it, whatever has been changed in its file.
fn key(text: &[u8]) {
    let Ok(key) = SigningKey::from_pem(&Secret::from(text.to_vec())) else {
        assert_ne!(text, KEY);
        return;
    };
    let public = known().leaves.iter().filter_map(|leaf| leaf.key().ok());
    let Some(public) = public.into_iter().find(|public| key.is_of(public)) else {
        assert_ne!(text, KEY);
        return;
    };
    let hashes = Hashes::of_notify(&Hashes::notify_data());
    let signed = sure(key.sign(b"octets", Some(hashes), RsaPadding::Pss));
    let auth = Authentication::new(signed.method, &signed.data);
    assert_eq!(public.verify(&auth, b"octets"), Ok(()));
    assert!(public.verify(&auth, b"others").is_err());
}

fn certificate(der: &[u8]) {
    let Ok(certificate) = X509::parse(der) else {
        return;
    };
    assert_eq!(certificate.der(), der);
    assert!(certificate.to_string().chars().all(|letter| !letter.is_control()));
    let believed = known().authorities.check(&certificate, &known().between, NOW);
    let unchanged = known().leaves.iter().any(|leaf| leaf.der() == der);
    assert_eq!(believed.is_ok(), unchanged, "{believed:?}");
    let subject = Identification::new(IdType::DER_ASN1_DN, certificate.subject());
    for id in [subject, Identification::new(IdType::FQDN, b"left.example.org")] {
        if let Err(error) = certificate.check_identity(&id) {
            assert!(error.to_string().chars().all(|letter| !letter.is_control()));
        }
    }
}
