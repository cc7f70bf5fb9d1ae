//! Configuration payloads (RFC 7296 §3.15).
//!
//! ```text
//!   CP           │ type │ reserved, 3 │ attributes
//!   attribute    │ reserved, 1 bit │ type, 15 bits │ length, 2 │ value
//! ```

use std::fmt;

use super::reader::Reader;
use super::{ConfigurationAttributeType, ConfigurationType, Fault, ParseError, PayloadType};

/// As many attributes are taken in a payload.
pub const MAX_CONFIGURATION_ATTRIBUTES: usize = 256;

/// The reserved bit in front of an attribute's type.
const RESERVED: u16 = 0x8000;

/// A checked configuration payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// What it does.
    pub kind: ConfigurationType,
    /// Reserved; 0 when sent.
    pub reserved: [u8; 3],
    attributes: &'a [u8],
}

/// An attribute of a configuration payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigurationAttribute<'a> {
    /// What it is.
    pub kind: ConfigurationAttributeType,
    /// The reserved bit; false when sent.
    pub reserved: bool,
    /// Its value; empty where it is asked for.
    pub value: &'a [u8],
}

fn attribute<'a>(reader: &mut Reader<'a>) -> Result<ConfigurationAttribute<'a>, ParseError> {
    let [kind0, kind1, length0, length1] = reader.array("a configuration attribute")?;
    let kind = u16::from_be_bytes([kind0, kind1]);
    let length = u16::from_be_bytes([length0, length1]);
    Ok(ConfigurationAttribute {
        kind: ConfigurationAttributeType(kind & !RESERVED),
        reserved: kind & RESERVED != 0,
        value: reader.take("the value of a configuration attribute", length.into())?,
    })
}

impl<'a> Configuration<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let [kind, reserved @ ..] = reader.array::<4>("the header of a configuration")?;
        let attributes = reader.rest();
        let mut count = 0;
        while !reader.is_empty() {
            count += 1;
            if count > MAX_CONFIGURATION_ATTRIBUTES {
                let (what, limit) = ("configuration attributes", MAX_CONFIGURATION_ATTRIBUTES);
                return Err(reader.fault(Fault::TooMany { what, limit }));
            }
            attribute(&mut reader)?;
        }
        Ok(Configuration {
            kind: ConfigurationType(kind),
            reserved,
            attributes,
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.kind.0);
        out.extend(self.reserved);
        out.extend(self.attributes);
    }

    /// The attributes, at most [`MAX_CONFIGURATION_ATTRIBUTES`].
    pub fn attributes(&self) -> impl Iterator<Item = ConfigurationAttribute<'a>> + 'a {
        let mut reader = Reader::new(self.attributes, 0, Some(PayloadType::CONFIGURATION));
        std::iter::from_fn(move || {
            if reader.is_empty() {
                None
            } else {
                attribute(&mut reader).ok()
            }
        })
    }
}

impl fmt::Debug for Configuration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        f.debug_list().entries(self.attributes()).finish()
    }
}

/// Writes a configuration payload.
#[derive(Clone, Debug)]
pub struct ConfigurationBuilder {
    kind: ConfigurationType,
    reserved: [u8; 3],
    attributes: Vec<u8>,
    count: usize,
}

/// An attribute does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a configuration has at most {MAX_CONFIGURATION_ATTRIBUTES} attributes of 65,535 bytes; give fewer or shorter ones"
)]
pub struct ConfigurationFull;

impl ConfigurationBuilder {
    /// One without attributes.
    pub fn new(kind: ConfigurationType, reserved: [u8; 3]) -> ConfigurationBuilder {
        ConfigurationBuilder {
            kind,
            reserved,
            attributes: Vec::new(),
            count: 0,
        }
    }

    /// Appends an attribute.
    pub fn push(&mut self, attribute: &ConfigurationAttribute<'_>) -> Result<(), ConfigurationFull> {
        let length = u16::try_from(attribute.value.len()).map_err(|_| ConfigurationFull)?;
        if self.count == MAX_CONFIGURATION_ATTRIBUTES || attribute.kind.0 & RESERVED != 0 {
            return Err(ConfigurationFull);
        }
        self.count += 1;
        let reserved = if attribute.reserved { RESERVED } else { 0 };
        self.attributes
            .extend((attribute.kind.0 | reserved).to_be_bytes());
        self.attributes.extend(length.to_be_bytes());
        self.attributes.extend(attribute.value);
        Ok(())
    }

    /// What has been written.
    pub fn view(&self) -> Configuration<'_> {
        Configuration {
            kind: self.kind,
            reserved: self.reserved,
            attributes: &self.attributes,
        }
    }
}
