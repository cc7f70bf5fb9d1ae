//! ESP (RFC 4303): everything about an SA and its packets but cryptography.

#![forbid(unsafe_code)]

mod keys;
mod transform;

pub use keys::{KeyLengthError, KeyParts, Keys};
pub use transform::{Cipher, Integrity, Transform, TransformError};
