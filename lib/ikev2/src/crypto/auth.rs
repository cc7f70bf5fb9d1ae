//! What AUTH covers, and AUTH by a shared key (RFC 7296 §2.15); the hash by which NATs are found (§2.23).

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest;

use super::{IkeSpis, Prf, Secret, equal};
use crate::wire::Identification;

/// What goes into AUTH of one end.
///
/// ```text
///   message | nonce of the other end | prf(SK_p, body of the IDi or IDr payload)
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SignedOctets<'a> {
    /// Its message of IKE_SA_INIT as it was sent, from the header on: with the COOKIE, if it was asked for one.
    pub message: &'a [u8],
    /// The nonce of the other end.
    pub nonce: &'a [u8],
    /// Who it says to be.
    pub id: Identification<'a>,
}

impl SignedOctets<'_> {
    /// The octets that are signed, or that a MAC is made of. `sk_p` is of the end whose AUTH it is.
    pub fn octets(&self, prf: Prf, sk_p: &Secret) -> Vec<u8> {
        let mut id = Vec::new();
        self.id.emit(&mut id);
        let mac = prf.apply(sk_p.expose(), &[&id]);
        [self.message, self.nonce, mac.expose()].concat()
    }
}

/// The data of AUTH by a shared key: `prf(prf(key, "Key Pad for IKEv2"), octets)`.
pub fn shared_key_auth(prf: Prf, shared_key: &Secret, octets: &[u8]) -> Secret {
    let key = prf.apply(shared_key.expose(), &[b"Key Pad for IKEv2"]);
    prf.apply(key.expose(), &[octets])
}

/// Whether a peer's AUTH is that of the shared key. All of it is compared, in a time that says nothing.
pub fn shared_key_auth_is_valid(prf: Prf, shared_key: &Secret, octets: &[u8], received: &[u8]) -> bool {
    equal(shared_key_auth(prf, shared_key, octets).expose(), received)
}

/// The data of NAT_DETECTION_SOURCE_IP or NAT_DETECTION_DESTINATION_IP for an end's address and port: SHA-1 over SPIs, address
/// and port. In the first request the responder's SPI is zero.
pub fn nat_detection_hash(spis: IkeSpis, end: SocketAddr) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&spis.initiator.0);
    context.update(&spis.responder.0);
    match end.ip() {
        IpAddr::V4(address) => context.update(&address.octets()),
        IpAddr::V6(address) => context.update(&address.octets()),
    }
    context.update(&end.port().to_be_bytes());
    let mut hash = [0; 20];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{IdType, IkeSpi};

    const ID: Identification<'static> = Identification::new(IdType::FQDN, b"gw.example.org");

    #[test]
    fn octets_are_message_nonce_and_mac_of_the_identity() {
        let sk_p = Secret::from(vec![7; 32]);
        let signed = SignedOctets {
            message: b"message",
            nonce: &[1; 16],
            id: ID,
        };
        let mac = Prf::HmacSha256.apply(&[7; 32], &[&[2, 0, 0, 0], b"gw.example.org"]);
        let expected = [&b"message"[..], &[1; 16], mac.expose()].concat();
        assert_eq!(signed.octets(Prf::HmacSha256, &sk_p), expected);
        // Reserved bytes are the peer's to choose, and are covered.
        let odd = SignedOctets {
            id: Identification {
                reserved: [0, 0, 1],
                ..ID
            },
            ..signed
        };
        assert_ne!(odd.octets(Prf::HmacSha256, &sk_p), expected);
    }

    #[test]
    fn only_the_whole_auth_of_the_same_key_is_valid() {
        let (prf, key) = (Prf::HmacSha384, Secret::from(b"presharedkey".to_vec()));
        let auth = shared_key_auth(prf, &key, b"octets");
        let pad = prf.apply(b"presharedkey", &[b"Key Pad for IKEv2"]);
        assert_eq!(auth.expose(), prf.apply(pad.expose(), &[b"octets"]).expose());
        let valid = |octets: &[u8], auth: &[u8]| shared_key_auth_is_valid(prf, &key, octets, auth);
        assert!(valid(b"octets", auth.expose()));
        assert!(!valid(b"octett", auth.expose()));
        assert!(!shared_key_auth_is_valid(
            prf,
            &Secret::from(b"another".to_vec()),
            b"octets",
            auth.expose()
        ));
        for cut in 0..auth.len() {
            assert!(!valid(b"octets", &auth.expose()[..cut]));
            let mut wrong = auth.expose().to_vec();
            wrong[cut] ^= 1;
            assert!(!valid(b"octets", &wrong));
        }
        assert!(!valid(b"octets", &[auth.expose(), &[0]].concat()));
    }

    #[test]
    fn nat_detection_covers_spis_address_and_port() {
        let spis = IkeSpis {
            initiator: IkeSpi([1, 2, 3, 4, 5, 6, 7, 8]),
            responder: IkeSpi::ZERO,
        };
        let hash = |spis, end: &str| {
            let hash = nat_detection_hash(spis, end.parse().unwrap());
            hash.map(|byte| format!("{byte:02x}")).concat()
        };
        // By Python's hashlib.
        assert_eq!(hash(spis, "192.0.2.1:500"), NAT4);
        assert_eq!(hash(spis, "[2001:db8::1]:4500"), NAT6);
        assert_ne!(hash(spis, "192.0.2.1:501"), NAT4);
        let other = IkeSpis {
            responder: IkeSpi([1; 8]),
            ..spis
        };
        assert_ne!(hash(other, "192.0.2.1:500"), NAT4);
    }

    const NAT4: &str = "644b4575455bd6fcc1efe2be8162a9218e448e5f";
    const NAT6: &str = "98c75483db80168697635aa7844504963e87de33";
}
