//! Whom we believe, and the chain from a peer's certificate to them.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath, anchor_from_trusted_cert,
};

use super::x509::X509;
use super::{CertificateError, Clock, MAX_CERTIFICATES};

/// Certificates of CAs that are believed.
#[derive(Debug)]
pub struct Authorities(Vec<Authority>);

#[derive(Debug)]
struct Authority {
    certificate: X509,
    anchor: TrustAnchor<'static>,
}

/// Takes what is for IKE, or for anything: ipsecIKE (RFC 4945 §5.1.3.12), those for IPsec that were before it, any; and TLS, which
/// certificates of gateways are often issued for.
struct ForIke;

const PURPOSES: [&[usize]; 8] = [
    &[1, 3, 6, 1, 5, 5, 7, 3, 17],
    &[2, 5, 29, 37, 0],
    &[1, 3, 6, 1, 5, 5, 7, 3, 5],
    &[1, 3, 6, 1, 5, 5, 7, 3, 6],
    &[1, 3, 6, 1, 5, 5, 7, 3, 7],
    &[1, 3, 6, 1, 5, 5, 8, 2, 2],
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
];

impl ExtendedKeyUsageValidator for ForIke {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut none = true;
        for purpose in purposes {
            none = false;
            if PURPOSES.contains(&purpose?.to_decoded_oid().as_slice()) {
                return Ok(());
            }
        }
        match none {
            true => Ok(()),
            false => Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
                required: KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 17]),
                present: Vec::new(),
            })),
        }
    }
}

impl Authorities {
    /// Of a PEM file with one or several. All have to be of CAs.
    pub fn from_pem(text: &str) -> Result<Authorities, CertificateError> {
        let mut authorities = Vec::new();
        for certificate in X509::all_of_pem(text)? {
            if !certificate.may_issue() {
                return Err(CertificateError::NoAuthority(certificate.to_string()));
            }
            let anchor = anchor_from_trusted_cert(&certificate.der)
                .map_err(|error| CertificateError::Malformed(error.to_string()))?
                .to_owned();
            authorities.push(Authority { certificate, anchor });
        }
        Ok(Authorities(authorities))
    }

    /// What CERTREQ says: SHA-1 of the keys, 20 bytes each (RFC 7296 §3.7).
    pub fn hashes(&self) -> impl Iterator<Item = [u8; 20]> {
        self.0.iter().map(|authority| authority.certificate.key_hash)
    }

    /// Checks that a chain leads from a peer's certificate to one of these at a time of day, and that its key may sign AUTH. `between`: what
    /// the peer has sent with it, in any order.
    pub fn check(&self, leaf: &X509, between: &[X509], now: Clock) -> Result<(), CertificateError> {
        let (count, max) = (between.len() + 1, MAX_CERTIFICATES);
        if count > max {
            return Err(CertificateError::TooMany { count, max });
        }
        let subject = || leaf.to_string();
        if !leaf.may_sign() {
            return Err(CertificateError::Usage(subject()));
        }
        let end =
            EndEntityCert::try_from(&leaf.der).map_err(|error| self.refused(leaf, between, now, error))?;
        let valid = |authority: &&Authority| is_valid(&authority.certificate, now);
        let anchors: Vec<TrustAnchor<'_>> = self
            .0
            .iter()
            .filter(valid)
            .map(|authority| authority.anchor.clone())
            .collect();
        let between_der: Vec<CertificateDer<'_>> =
            between.iter().map(|between| between.der.clone()).collect();
        let issuers = |path: &VerifiedPath<'_>| {
            let forbids = |der: &[u8]| X509::parse(der).map_or(true, |issuer| !issuer.may_issue());
            match path
                .intermediate_certificates()
                .any(|issuer| forbids(&issuer.der()))
            {
                // webpki does not look at keyUsage, and has no name for that.
                true => Err(Error::EndEntityUsedAsCa),
                false => Ok(()),
            }
        };
        end.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &between_der,
            UnixTime::since_unix_epoch(now),
            ForIke,
            None,
            Some(&issuers),
        )
        .map_err(|error| self.refused(leaf, between, now, error))?;
        Ok(())
    }

    /// The sentence for an error of webpki.
    fn refused(&self, leaf: &X509, between: &[X509], now: Clock, error: Error) -> CertificateError {
        let subject = leaf.to_string();
        // What is out of its time is said of whichever it is.
        let all = std::iter::once(leaf).chain(between);
        let all = all.chain(self.0.iter().map(|authority| &authority.certificate));
        match error {
            Error::CertExpired { .. } | Error::CertNotValidYet { .. } => all
                .into_iter()
                .find_map(|certificate| out_of_time(certificate, now))
                .unwrap_or(CertificateError::ChainTime(subject)),
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => {
                let authorities = self.0.iter().map(|authority| &authority.certificate);
                let mut issuers = between.iter().chain(authorities);
                let late =
                    |issuer: &X509| out_of_time(issuer, now).filter(|_| issuer.to_string() == leaf.issuer);
                issuers
                    .find_map(late)
                    .unwrap_or_else(|| CertificateError::UnknownIssuer {
                        subject,
                        issuer: leaf.issuer.clone(),
                        authorities: self.names(),
                    })
            }
            Error::RequiredEkuNotFoundContext(_) => CertificateError::Purpose(subject),
            Error::CaUsedAsEndEntity => CertificateError::Authority(subject),
            Error::EndEntityUsedAsCa => {
                let forbidden = between.iter().find(|issuer| !issuer.may_issue());
                CertificateError::MayNotIssue(forbidden.map_or(subject, X509::to_string))
            }
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Error::SignatureAlgorithmMismatch => CertificateError::WeakSignature(subject),
            other => CertificateError::Chain {
                subject,
                reason: other.to_string(),
            },
        }
    }

    fn names(&self) -> String {
        let names: Vec<String> = self
            .0
            .iter()
            .map(|authority| authority.certificate.to_string())
            .collect();
        names.join("; ")
    }
}

fn is_valid(certificate: &X509, now: Clock) -> bool {
    let (from, to) = certificate.validity;
    (from..=to).contains(&now)
}

fn out_of_time(certificate: &X509, now: Clock) -> Option<CertificateError> {
    let (from, to) = certificate.validity;
    let subject = certificate.to_string();
    if now < from {
        let until = from.saturating_sub(now);
        return Some(CertificateError::NotYetValid { subject, until });
    }
    (now > to).then(|| CertificateError::Expired {
        subject,
        ago: now.saturating_sub(to),
    })
}
