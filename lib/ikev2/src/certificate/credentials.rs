//! What an end shows: its certificates, and the private key of the first.

use super::CertificateError;
use super::x509::X509;
use crate::crypto::{RsaPadding, SigningKey};

/// Our certificates and the private key.
#[derive(Debug)]
pub struct Credentials {
    chain: Vec<X509>,
    key: SigningKey,
    padding: RsaPadding,
}

impl Credentials {
    /// Of a PEM file with our certificate, and behind it those between it and the CA, and of its private key. `padding`: how it signs if
    /// it is for RSA.
    pub fn new(chain: &str, key: SigningKey, padding: RsaPadding) -> Result<Credentials, CertificateError> {
        let chain = X509::all_of_pem(chain)?;
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        if !key.is_of(leaf.key()?) {
            return Err(CertificateError::OtherKey(leaf.to_string()));
        }
        Ok(Credentials { chain, key, padding })
    }

    /// Our certificate; `None`: there is none, which [`Credentials::new`] refuses.
    pub fn leaf(&self) -> Option<&X509> {
        self.chain.first()
    }

    /// The private key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// How RSA pads.
    pub fn padding(&self) -> RsaPadding {
        self.padding
    }

    /// What to send to a peer that asks with these hashes (RFC 7296 §3.7): our certificate and those behind it, without what the peer has
    /// itself, and those further up. A peer that asks for nothing, or for CAs that are not ours, gets all: it may know them by others.
    pub fn certificates_for<'a>(&'a self, asked: &'a [u8]) -> impl Iterator<Item = &'a X509> {
        let has = |issuer: &X509| asked.chunks_exact(20).any(|hash| hash == issuer.key_hash);
        let known = self.chain.iter().skip(1).position(has);
        let count = known.map_or(self.chain.len(), |above| above + 1);
        self.chain.iter().take(count)
    }
}
