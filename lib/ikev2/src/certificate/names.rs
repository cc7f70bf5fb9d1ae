//! Identities as names of certificates: how they are compared, and how people read them.

use der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RdnSequence};

use crate::wire::{IdType, Identification};

/// A distinguished name as people write it, `C=AQ, O=Example, CN=gw`: first what comes first in the certificate, as strongSwan and
/// OpenSSL show it (RFC 4514 has it the other way round). A comma in a value has `\` in front. Gives the DER of it, which is the data of
/// an identity of type DER_ASN1_DN; `None`: it cannot be read.
pub fn distinguished_name(text: &str) -> Option<Vec<u8>> {
    let parts = split(text);
    let turned: Vec<&str> = parts.iter().rev().map(|part| part.trim()).collect();
    if turned.iter().any(|part| part.is_empty()) {
        return None;
    }
    let name: RdnSequence = turned.join(",").parse().ok()?;
    name.to_der().ok()
}

/// At commas, but for those with `\` in front.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        if byte == b',' && !escaped {
            parts.extend(text.get(start..at));
            start = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    parts.extend(text.get(start..));
    parts
}

/// A distinguished name in DER as people read it; `None`: it is none. What comes from strangers is escaped.
pub(crate) fn show_name(der: &[u8]) -> Option<String> {
    Name::from_der(der).ok().map(|name| show(&name))
}

pub(super) fn show(name: &Name) -> String {
    let one = |rdn: &x509_cert::name::RelativeDistinguishedName| {
        let all: Vec<String> = rdn.iter().map(AttributeTypeAndValue::to_string).collect();
        all.join("+")
    };
    let all: Vec<String> = name.iter_rdn().map(one).collect();
    clean(&all.join(", "))
}

/// Without what a terminal would take for something else.
pub(super) fn clean(text: &str) -> String {
    let one = |letter: char| match letter {
        '\\' | '"' | '\'' => letter.to_string(),
        _ => letter.escape_debug().to_string(),
    };
    text.chars().map(one).collect()
}

/// Whether both are the same: names without regard to case, distinguished names piece by piece, all else byte for byte. Reserved bytes
/// are no part of who somebody is.
pub fn same_identity(one: &Identification<'_>, other: &Identification<'_>) -> bool {
    if one.kind != other.kind {
        return false;
    }
    match one.kind {
        IdType::FQDN | IdType::RFC822_ADDR => one.data.eq_ignore_ascii_case(other.data),
        IdType::DER_ASN1_DN => one.data == other.data || same_names(one.data, other.data),
        _ => one.data == other.data,
    }
}

/// Whether two distinguished names have the same pieces in the same order. Strings are compared without regard to case and to the type
/// that they are encoded in, as strongSwan does: authorities change that when they issue.
pub(super) fn same_names(one: &[u8], other: &[u8]) -> bool {
    let (Ok(one), Ok(other)) = (Name::from_der(one), Name::from_der(other)) else {
        return false;
    };
    let same = |(one, other): (&AttributeTypeAndValue, &AttributeTypeAndValue)| {
        one.oid == other.oid
            && match (text(one), text(other)) {
                (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
                _ => one.value == other.value,
            }
    };
    let shape = |name: &Name| name.iter_rdn().map(|rdn| rdn.len()).collect::<Vec<usize>>();
    !one.is_empty() && shape(&one) == shape(&other) && one.iter().zip(other.iter()).all(same)
}

fn text(attribute: &AttributeTypeAndValue) -> Option<&str> {
    let value = &attribute.value;
    match value.tag() {
        Tag::PrintableString => PrintableStringRef::try_from(value).ok().map(|text| text.as_str()),
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|text| text.as_str()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|text| text.as_str()),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok().map(|text| text.as_str()),
        _ => None,
    }
}
