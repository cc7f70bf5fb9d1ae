//! Identities as the file has them: an address, a mail address, a name, the subject of a certificate, or what a word and a colon in front say.

use std::net::IpAddr;
use std::str::FromStr;

use ike_engine::Identity;
use ikev2::certificate::distinguished_name;
use ikev2::wire::IdType;

/// The longest that the wire takes is much longer, but nobody means that.
const LONGEST: usize = 255;

/// An identity.
pub(super) struct WrittenIdentity(pub(super) Identity);

impl FromStr for WrittenIdentity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind @ ("fqdn" | "email" | "keyid" | "ipv4" | "ipv6"), rest)) => (kind, rest),
            _ if text.parse::<IpAddr>().is_ok() => ("address", text),
            _ if text.contains('=') => ("subject", text),
            _ if text.contains('@') => ("email", text),
            _ => ("fqdn", text),
        };
        if rest.is_empty() || rest.len() > LONGEST {
            return Err(format!("an identity has 1 to {LONGEST} characters: write one"));
        }
        let text = |kind| {
            let is_text = rest.chars().all(|char| char.is_ascii_graphic());
            is_text
                .then(|| Identity {
                    kind,
                    data: rest.as_bytes().to_vec(),
                })
                .ok_or_else(|| {
                    format!(
                        "'{rest}' has characters that no name has: write letters, digits, '.', '-' and '@'"
                    )
                })
        };
        let address = |is_right: fn(&IpAddr) -> bool| {
            let address = rest.parse().ok().filter(is_right);
            address.map(Identity::address).ok_or_else(|| {
                format!("'{rest}' is no address of that kind: write one, or leave the word before it out")
            })
        };
        match kind {
            "fqdn" => text(IdType::FQDN),
            "email" => text(IdType::RFC822_ADDR),
            "keyid" => key_id(rest),
            "subject" => subject(rest),
            "ipv4" => address(IpAddr::is_ipv4),
            "ipv6" => address(IpAddr::is_ipv6),
            _ => address(|_| true),
        }
        .map(Self)
    }
}

/// The subject of a certificate.
fn subject(text: &str) -> Result<Identity, String> {
    let der = distinguished_name(text).ok_or_else(|| {
        format!(
            "'{text}' is no subject of a certificate: write it like C=AQ, O=Example, CN=gw, in that order"
        )
    })?;
    Ok(Identity::distinguished_name(&der))
}

/// The bytes of a key id: hex digits behind `0x`, or the text itself.
fn key_id(text: &str) -> Result<Identity, String> {
    match text.strip_prefix("0x") {
        None => Ok(Identity::key_id(text.as_bytes())),
        Some(digits) => super::key::hex(digits.as_bytes())
            .map(|bytes| Identity::key_id(&bytes))
            .ok_or_else(|| {
                format!("'{text}' has no pairs of hex digits behind 0x: write them, or the text itself")
            }),
    }
}
