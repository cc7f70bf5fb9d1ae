//! Certificates: whose a public key is (RFC 5280, RFC 4945).
//!
//! ```text
//!   PEM file ──► Credentials   our certificates, leaf first, and the private key    ──► CERT, AUTH
//!   PEM file ──► Authorities   whom we believe                                      ──► CERTREQ
//!   CERT     ──► X509          a peer's certificate ──► Authorities::check: chain, validity, usage
//!                                                   ──► X509::check_identity: is it for who the peer says to be?
//! ```
//!
//! Chains are built and checked by webpki, as rustls does it; what IKE asks for beside that is here: usage of keys, identities. What
//! strangers send is bounded: [`MAX_CERTIFICATES`] of [`MAX_CERTIFICATE_LEN`] bytes. Revocation is not looked at.

mod authorities;
mod credentials;
mod error;
mod names;
mod x509;

pub use authorities::Authorities;
pub use credentials::Credentials;
pub use error::{CertificateError, Clock};
pub use names::{distinguished_name, same_identity};
pub use x509::X509;

pub(crate) use names::show_name;

/// A peer sends no more certificates than these.
pub const MAX_CERTIFICATES: usize = 8;

/// Bytes that a certificate has at most. Those of usual authorities have 1 to 3 thousand.
pub const MAX_CERTIFICATE_LEN: usize = 8192;

#[cfg(test)]
mod tests;
