//! How ends show who they are: by a key that both know (RFC 7296 §2.15), or by a signature and certificates (RFC 7427, RFC 7296 §3.6 to 3.8).
//!
//! ```text
//!   IKE_SA_INIT   N(SIGNATURE_HASH_ALGORITHMS) ──►             ◄── N(SIGNATURE_HASH_ALGORITHMS), CERTREQ
//!   IKE_AUTH      IDi, CERT, .., CERTREQ, AUTH ──►             ◄── IDr, CERT, .., AUTH
//! ```
//!
//! Each end has its own way, and the other need not have the same.

use std::sync::Arc;

use ikev2::certificate::{Authorities, CertificateError, Clock, Credentials, MAX_CERTIFICATES, X509};
use ikev2::crypto::{Hashes, Prf, Secret, shared_key_auth, shared_key_auth_is_valid};
use ikev2::wire::{
    AuthMethod, Authentication, Body, Certificate, CertificateEncoding, Identification, NotifyType,
    PayloadWriter,
};

use crate::payloads::{Contents, push_notify};
use crate::{Failure, Profile};

/// So many CAs are named in the answer to IKE_SA_INIT, which goes to strangers and cannot be sent in fragments. It is advice: a peer
/// that has a certificate of another sends it all the same.
const MAX_ASKED_IN_INIT: usize = 8;

/// And so many in IKE_AUTH.
const MAX_ASKED: usize = 128;

/// How we show who we are.
#[derive(Clone, Debug)]
pub enum LocalAuth {
    /// By a key that the peer knows.
    Psk(Arc<Secret>),
    /// By the private key of a certificate.
    Signature(Arc<Credentials>),
}

/// How a peer has to show who it is.
#[derive(Clone, Debug)]
pub enum RemoteAuth {
    /// By a key that we know.
    Psk(Arc<Secret>),
    /// By the private key of a certificate that one of these has issued, for the identity that the peer says to have.
    Signature(Arc<Authorities>),
}

/// What a peer has said of signatures before it has to show who it is.
#[derive(Debug)]
pub(crate) struct Signatures {
    /// The hashes that it takes; `None`: it does not know RFC 7427.
    pub(crate) hashes: Option<Hashes>,
    /// The CAs that it asks for: hashes of their keys.
    pub(crate) asked: Vec<u8>,
}

impl Signatures {
    /// What the answer to IKE_SA_INIT says.
    pub(crate) fn of(contents: &Contents<'_>) -> Signatures {
        Signatures {
            hashes: offered(contents),
            asked: asked(contents),
        }
    }
}

/// The hashes that the sender of a message takes.
pub(crate) fn offered(contents: &Contents<'_>) -> Option<Hashes> {
    let notify = contents.notify(NotifyType::SIGNATURE_HASH_ALGORITHMS)?;
    Some(Hashes::of_notify(notify.data))
}

/// The CAs that a message asks for.
pub(crate) fn asked(contents: &Contents<'_>) -> Vec<u8> {
    let x509 = |request: &&Certificate<'_>| request.encoding == CertificateEncoding::X509_SIGNATURE;
    let hashes = contents.certificate_requests.iter().filter(x509);
    hashes
        .flat_map(|request| request.data.chunks_exact(20))
        .flatten()
        .copied()
        .collect()
}

fn push_request(writer: &mut PayloadWriter, mut hashes: Vec<[u8; 20]>, most: usize) -> Result<(), Failure> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes.truncate(most);
    if !hashes.is_empty() {
        writer.push(&Body::CertificateRequest(Certificate {
            encoding: CertificateEncoding::X509_SIGNATURE,
            data: hashes.as_flattened(),
        }))?;
    }
    Ok(())
}

/// Writes what a message of IKE_SA_INIT says of signatures: nothing, unless one of these profiles takes them. Only the responder asks for
/// certificates so early.
pub(crate) fn write_init<'a>(
    writer: &mut PayloadWriter,
    profiles: impl Iterator<Item = &'a Profile>,
    asks: bool,
) -> Result<(), Failure> {
    let mut hashes = Vec::new();
    let mut takes = false;
    for profile in profiles {
        if let RemoteAuth::Signature(authorities) = &profile.remote_auth {
            takes = true;
            // Many profiles may have the same: no stranger makes us look at all of them.
            if hashes.len() < MAX_ASKED {
                hashes.extend(authorities.hashes());
            }
        }
    }
    if takes {
        push_notify(
            writer,
            NotifyType::SIGNATURE_HASH_ALGORITHMS,
            &Hashes::notify_data(),
        )?;
        if asks {
            push_request(writer, hashes, MAX_ASKED_IN_INIT)?;
        }
    }
    Ok(())
}

impl LocalAuth {
    /// Writes certificates, if there are any, and AUTH over these octets.
    pub(crate) fn write(
        &self,
        writer: &mut PayloadWriter,
        prf: Prf,
        octets: &[u8],
        peer: &Signatures,
    ) -> Result<(), Failure> {
        match self {
            LocalAuth::Psk(key) => {
                let mac = shared_key_auth(prf, key, octets);
                writer.push(&Body::Authentication(Authentication::new(
                    AuthMethod::SHARED_KEY_MIC,
                    mac.expose(),
                )))?;
            }
            LocalAuth::Signature(credentials) => {
                let signed = credentials
                    .key()
                    .sign(octets, peer.hashes, credentials.padding())?;
                for certificate in credentials.certificates_for(&peer.asked) {
                    writer.push(&Body::Certificate(Certificate {
                        encoding: CertificateEncoding::X509_SIGNATURE,
                        data: certificate.der(),
                    }))?;
                }
                writer.push(&Body::Authentication(Authentication::new(
                    signed.method,
                    &signed.data,
                )))?;
            }
        }
        Ok(())
    }
}

impl RemoteAuth {
    /// Asks for certificates, in the initiator's IKE_AUTH.
    pub(crate) fn write_request(&self, writer: &mut PayloadWriter) -> Result<(), Failure> {
        match self {
            RemoteAuth::Psk(_) => Ok(()),
            RemoteAuth::Signature(authorities) => {
                push_request(writer, authorities.hashes().collect(), MAX_ASKED)
            }
        }
    }

    /// Checks that a peer is who it says to be. `octets`: what its AUTH covers; `clock`: the time of day.
    pub(crate) fn check(
        &self,
        prf: Prf,
        octets: &[u8],
        id: &Identification<'_>,
        auth: &Authentication<'_>,
        contents: &Contents<'_>,
        clock: Option<Clock>,
    ) -> Result<(), Failure> {
        let wrong_method = |wanted| Failure::Method {
            given: auth.method.to_string(),
            wanted,
        };
        let is_key = auth.method == AuthMethod::SHARED_KEY_MIC;
        match self {
            RemoteAuth::Psk(key) if is_key => match shared_key_auth_is_valid(prf, key, octets, auth.data) {
                true => Ok(()),
                false => Err(Failure::Authentication(id.to_string())),
            },
            RemoteAuth::Psk(_) => Err(wrong_method("a shared key")),
            RemoteAuth::Signature(_) if is_key => Err(wrong_method("a signature and a certificate")),
            RemoteAuth::Signature(authorities) => {
                let (leaf, between) = certificates(contents)?;
                leaf.check_identity(id)?;
                let clock = clock.ok_or_else(|| CertificateError::NoClock(leaf.to_string()))?;
                authorities.check(&leaf, &between, clock)?;
                leaf.key()?.verify(auth, octets)?;
                Ok(())
            }
        }
    }
}

/// The peer's certificate, which is the first (RFC 7296 §3.6), and those behind it.
fn certificates(contents: &Contents<'_>) -> Result<(X509, Vec<X509>), CertificateError> {
    let x509 = |certificate: &&Certificate<'_>| certificate.encoding == CertificateEncoding::X509_SIGNATURE;
    let sent: Vec<&Certificate<'_>> = contents.certificates.iter().filter(x509).collect();
    let (count, max) = (sent.len(), MAX_CERTIFICATES);
    if count > max {
        return Err(CertificateError::TooMany { count, max });
    }
    let mut parsed = sent.into_iter().map(|certificate| X509::parse(certificate.data));
    let leaf = parsed.next().ok_or(CertificateError::Missing)??;
    Ok((leaf, parsed.collect::<Result<_, _>>()?))
}
