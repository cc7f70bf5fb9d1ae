//! One certificate, as far as IKE needs it.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::digest;
use der::{Decode, Encode};
use rustls_pki_types::CertificateDer;
use x509_cert::certificate::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName, SubjectKeyIdentifier};

use super::names::{clean, same_names, show};
use super::{CertificateError, Clock, MAX_CERTIFICATE_LEN};
use crate::crypto::{PublicKey, pem};
use crate::wire::{IdType, Identification};

/// So many names of a certificate are shown.
const SHOWN_NAMES: usize = 6;

/// SHA-1, which is what names a key (RFC 7296 §3.7); nothing is signed with it.
pub(super) fn key_hash(bytes: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    hash.iter_mut()
        .zip(digest.as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

/// A name that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AltName {
    Dns(String),
    Email(String),
    Address(IpAddr),
}

/// A certificate.
#[derive(Clone)]
pub struct X509 {
    pub(super) der: CertificateDer<'static>,
    subject: Vec<u8>,
    shown: String,
    pub(super) issuer: String,
    key: Result<PublicKey, String>,
    /// Of its SubjectPublicKeyInfo: what CERTREQ asks by.
    pub(super) key_hash: [u8; 20],
    names: Vec<AltName>,
    pub(super) key_ids: Vec<Vec<u8>>,
    pub(super) validity: (Clock, Clock),
    usage: Option<KeyUsage>,
    is_authority: bool,
}

fn malformed(error: der::Error) -> CertificateError {
    CertificateError::Malformed(error.to_string())
}

impl X509 {
    /// One in DER.
    pub fn parse(der: &[u8]) -> Result<X509, CertificateError> {
        let (len, max) = (der.len(), MAX_CERTIFICATE_LEN);
        if len > max {
            return Err(CertificateError::TooLong { len, max });
        }
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let tbs = certificate.tbs_certificate();
        let info = tbs.subject_public_key_info();
        let info_der = info.to_der().map_err(malformed)?;
        let mut key_ids = vec![
            key_hash(&info_der).to_vec(),
            key_hash(info.subject_public_key.raw_bytes()).to_vec(),
        ];
        if let Some((_, id)) = tbs.get_extension::<SubjectKeyIdentifier>().map_err(malformed)? {
            key_ids.push(id.0.as_bytes().to_vec());
        }
        let names = match tbs.get_extension::<SubjectAltName>().map_err(malformed)? {
            Some((_, names)) => names.0.iter().filter_map(alt_name).collect(),
            None => Vec::new(),
        };
        let usage = tbs
            .get_extension::<KeyUsage>()
            .map_err(malformed)?
            .map(|(_, usage)| usage);
        let constraints = tbs.get_extension::<BasicConstraints>().map_err(malformed)?;
        let validity = tbs.validity();
        Ok(X509 {
            der: CertificateDer::from(der.to_vec()),
            subject: tbs.subject().to_der().map_err(malformed)?,
            shown: match tbs.subject().is_empty() {
                true => "nobody".to_owned(),
                false => show(tbs.subject()),
            },
            issuer: show(tbs.issuer()),
            key: PublicKey::of_info(info),
            key_hash: key_hash(&info_der),
            names,
            key_ids,
            validity: (
                validity.not_before.to_unix_duration(),
                validity.not_after.to_unix_duration(),
            ),
            usage,
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
        })
    }

    /// The certificates of a PEM file, in their order. A file without one is an error.
    pub fn all_of_pem(text: &str) -> Result<Vec<X509>, CertificateError> {
        let mut found = Vec::new();
        for block in pem::blocks(text).filter(|block| block.label == "CERTIFICATE") {
            let (_, document) = der::Document::from_pem(block.text).map_err(malformed)?;
            found.push(X509::parse(document.as_bytes())?);
        }
        match found.is_empty() {
            true => Err(CertificateError::NoCertificate),
            false => Ok(found),
        }
    }

    /// The certificate in DER: data of CERT with encoding 4.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject in DER: data of an identity of type DER_ASN1_DN.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Its public key.
    pub fn key(&self) -> Result<&PublicKey, CertificateError> {
        self.key.as_ref().map_err(|algorithm| CertificateError::Key {
            subject: self.shown.clone(),
            algorithm: algorithm.clone(),
        })
    }

    /// Whether it is a CA's, and may sign certificates.
    pub(super) fn may_issue(&self) -> bool {
        self.is_authority && self.usage.as_ref().is_none_or(KeyUsage::key_cert_sign)
    }

    /// Whether its key may sign AUTH (RFC 4945 §5.1.3.2).
    pub(super) fn may_sign(&self) -> bool {
        let signs = |usage: &KeyUsage| usage.digital_signature() || usage.non_repudiation();
        self.usage.as_ref().is_none_or(signs)
    }

    /// Checks that it is for who a peer says to be.
    ///
    /// ```text
    ///   IPV4_ADDR, IPV6_ADDR   an address of subjectAltName
    ///   FQDN, RFC822_ADDR      a DNS name or mail address of it, without regard to case; `*` in a certificate stands for nothing else
    ///   DER_ASN1_DN            the subject, piece by piece
    ///   KEY_ID                 subjectKeyIdentifier, or SHA-1 of the key, with or without its algorithm
    /// ```
    ///
    /// So does strongSwan, which takes a serial number for a KEY_ID as well: two CAs may give the same, so that is not done here. The common
    /// name of the subject is no DNS name.
    pub fn check_identity(&self, id: &Identification<'_>) -> Result<(), CertificateError> {
        let is_name = |name: &AltName| match (id.kind, name) {
            (IdType::FQDN, AltName::Dns(name)) | (IdType::RFC822_ADDR, AltName::Email(name)) => {
                name.as_bytes().eq_ignore_ascii_case(id.data)
            }
            (IdType::IPV4_ADDR, AltName::Address(IpAddr::V4(address))) => address.octets() == id.data,
            (IdType::IPV6_ADDR, AltName::Address(IpAddr::V6(address))) => address.octets() == id.data,
            _ => false,
        };
        let fits = match id.kind {
            IdType::DER_ASN1_DN => same_names(&self.subject, id.data),
            IdType::KEY_ID => self.key_ids.iter().any(|key_id| key_id == id.data),
            _ => !id.data.is_empty() && self.names.iter().any(is_name),
        };
        if fits {
            return Ok(());
        }
        let mut names = vec![format!("subject {}", self.shown)];
        names.extend(self.names.iter().take(SHOWN_NAMES).map(AltName::to_string));
        let more = self.names.len().saturating_sub(SHOWN_NAMES);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        Err(CertificateError::Identity {
            id: id.to_string(),
            names: names.join(", "),
        })
    }
}

fn alt_name(name: &GeneralName) -> Option<AltName> {
    match name {
        GeneralName::DnsName(name) => Some(AltName::Dns(name.as_str().to_owned())),
        GeneralName::Rfc822Name(name) => Some(AltName::Email(name.as_str().to_owned())),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.ok().map(AltName::Address)
        }
        _ => None,
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AltName::Dns(name) => write!(f, "DNS {}", clean(name)),
            AltName::Email(name) => write!(f, "mail {}", clean(name)),
            AltName::Address(address) => write!(f, "address {address}"),
        }
    }
}

/// Its subject.
impl fmt::Display for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X509({self})")
    }
}
