//! Cryptography: keys, what is made with them, and nothing about when.
//!
//! ```text
//!   algorithm, prf, group     what there is, and how long everything is
//!   suite                     the algorithms of an SA, from transforms that were negotiated
//!   schedule                  from a shared secret and nonces to keys
//!   auth                      what AUTH covers, AUTH by shared keys, hashes for NATs
//!   signature                 hashes and algorithms of AUTH by signature
//!   signing, verifying        private keys and public keys
//!   protection                keys of one direction made ready
//!   seal, open, fragments     messages sealed and opened, whole and in fragments
//!   secret                    bytes that are wiped and not shown
//! ```
//!
//! All of it is done by AWS-LC, by aws-lc-rs and lib/modp. Random bytes are passed in ([`Random`]), so that an engine can be run
//! again with the same ones.

mod algorithm;
mod auth;
mod fragments;
mod group;
mod open;
pub(crate) mod pem;
mod prf;
mod protection;
mod schedule;
mod seal;
mod secret;
mod signature;
mod signing;
mod suite;
mod verifying;

pub use algorithm::{Encryption, Integrity, KeyBits};
pub use auth::{SignedOctets, nat_detection_hash, shared_key_auth, shared_key_auth_is_valid};
pub use fragments::{FragmentError, Fragments, MAX_FRAGMENTED_LEN};
pub use group::{Group, KeyExchangeError, PrivateKey};
pub use open::{Clear, Fragment, OpenError, Opened, Opener};
pub use prf::Prf;
pub use protection::{MAX_FRAGMENTS, WrongKeys};
pub use schedule::{ChildKeys, IkeKeys, IkeSpis, Nonces, Skeyseed};
pub use seal::{SealError, Sealer};
pub use secret::{Random, Secret, equal};
pub use signature::{AlgorithmError, Hashes, Sha2, SignatureAlgorithm};
pub use signing::{KeyError, RsaPadding, SignError, Signed, SigningKey};
pub use suite::{EspSuite, IkeSuite, SuiteError};
pub use verifying::{KeyKind, PublicKey, VerifyError};
