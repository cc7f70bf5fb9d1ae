//! SA payloads: proposals, their transforms, and the attributes of those (RFC 7296 §3.3).
//!
//! ```text
//!   proposal    │ 2 or 0 │ reserved │ length │ number │ protocol │ SPI size │ transforms │ SPI │ transforms
//!   transform   │ 3 or 0 │ reserved │ length │ type │ reserved │ number │ attributes
//!   attribute   │ 1, type │ value, 2 bytes │      or     │ 0, type │ length │ value
//! ```

use super::reader::Reader;
use super::{AttributeType, Fault, ParseError, PayloadType, ProtocolId, Transform, TransformType};

/// As many proposals are taken in a payload.
pub const MAX_PROPOSALS: usize = 64;
/// As many attributes are taken in a transform.
pub const MAX_ATTRIBUTES: usize = 8;

/// The bit of an attribute whose value has two bytes.
const SHORT_FORM: u16 = 0x8000;

/// A checked SA payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sa<'a> {
    bytes: &'a [u8],
}

/// One proposal of a received SA payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProposalView<'a> {
    /// Its number, which the answer repeats.
    pub number: u8,
    /// What it is for.
    pub protocol: ProtocolId,
    /// The SPI that the sender chose: 4 bytes for ESP and AH; 8 for an IKE SA that is rekeyed, none for one that is new.
    pub spi: &'a [u8],
    /// The reserved byte.
    pub reserved: u8,
    transforms: &'a [u8],
}

/// One transform of a received proposal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TransformView<'a> {
    /// What it is for.
    pub kind: TransformType,
    /// Its number in the registry of its type.
    pub id: u16,
    /// Both reserved bytes.
    pub reserved: [u8; 2],
    attributes: &'a [u8],
}

/// An attribute of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What it says.
    pub kind: AttributeType,
    /// Its value.
    pub value: AttributeValue<'a>,
}

/// The value of an attribute, in the form that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeValue<'a> {
    /// Two bytes.
    Short(u16),
    /// Any number of bytes.
    Long(&'a [u8]),
}

fn proposal<'a>(reader: &mut Reader<'a>) -> Result<(bool, ProposalView<'a>), ParseError> {
    let start = *reader;
    let [more, reserved, length0, length1] = reader.array("a proposal")?;
    let length = usize::from(u16::from_be_bytes([length0, length1]));
    let more = match more {
        0 => false,
        2 => true,
        other => return Err(start.field("the mark of the last proposal", other.into(), "0 or 2")),
    };
    let Some(inside) = length.checked_sub(4) else {
        return Err(start.field("the length of a proposal", length as u32, "8 or more"));
    };
    let mut inside = reader.inside("a proposal", inside)?;
    let [number, protocol, spi_size, count] = inside.array("the header of a proposal")?;
    let protocol = ProtocolId(protocol);
    let fits = match protocol {
        ProtocolId::IKE => spi_size == 0 || spi_size == 8,
        ProtocolId::AH | ProtocolId::ESP => spi_size == 4,
        _ => true,
    };
    if !fits {
        return Err(start.field(
            "the SPI size of a proposal",
            spi_size.into(),
            "that of its protocol",
        ));
    }
    let spi = inside.take("the SPI of a proposal", spi_size.into())?;
    let transforms = inside.rest();
    let mut more_transforms = count > 0;
    for seen in 0..count {
        more_transforms = transform(&mut inside)?.0;
        if more_transforms != (seen + 1 < count) {
            return Err(start.field("the number of transforms", count.into(), "as many as follow"));
        }
    }
    debug_assert!(!more_transforms);
    inside.end("the last transform")?;
    Ok((
        more,
        ProposalView {
            number,
            protocol,
            spi,
            reserved,
            transforms,
        },
    ))
}

fn transform<'a>(reader: &mut Reader<'a>) -> Result<(bool, TransformView<'a>), ParseError> {
    let start = *reader;
    let [more, reserved0, length0, length1] = reader.array("a transform")?;
    let length = usize::from(u16::from_be_bytes([length0, length1]));
    let more = match more {
        0 => false,
        3 => true,
        other => return Err(start.field("the mark of the last transform", other.into(), "0 or 3")),
    };
    let Some(inside) = length.checked_sub(4) else {
        return Err(start.field("the length of a transform", length as u32, "8 or more"));
    };
    let mut inside = reader.inside("a transform", inside)?;
    let [kind, reserved1, id0, id1] = inside.array("the header of a transform")?;
    let attributes = inside.rest();
    let mut count = 0;
    while !inside.is_empty() {
        count += 1;
        if count > MAX_ATTRIBUTES {
            return Err(inside.fault(Fault::TooMany {
                what: "attributes in a transform",
                limit: MAX_ATTRIBUTES,
            }));
        }
        attribute(&mut inside)?;
    }
    let view = TransformView {
        kind: TransformType(kind),
        id: u16::from_be_bytes([id0, id1]),
        reserved: [reserved0, reserved1],
        attributes,
    };
    Ok((more, view))
}

fn attribute<'a>(reader: &mut Reader<'a>) -> Result<Attribute<'a>, ParseError> {
    let [kind0, kind1, value0, value1] = reader.array("an attribute")?;
    let (kind, value) = (
        u16::from_be_bytes([kind0, kind1]),
        u16::from_be_bytes([value0, value1]),
    );
    let value = if kind & SHORT_FORM != 0 {
        AttributeValue::Short(value)
    } else {
        AttributeValue::Long(reader.take("the value of an attribute", value.into())?)
    };
    Ok(Attribute {
        kind: AttributeType(kind & !SHORT_FORM),
        value,
    })
}

/// Reads what has been checked: ends where it would fail.
struct Checked<'a, F>(Reader<'a>, F);

impl<'a, T, F: Fn(&mut Reader<'a>) -> Result<T, ParseError>> Iterator for Checked<'a, F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.0.is_empty() {
            None
        } else {
            (self.1)(&mut self.0).ok()
        }
    }
}

fn checked<'a, T, F>(bytes: &'a [u8], read: F) -> impl Iterator<Item = T> + 'a
where
    F: Fn(&mut Reader<'a>) -> Result<T, ParseError> + 'a,
    T: 'a,
{
    Checked(Reader::new(bytes, 0, Some(PayloadType::SA)), read)
}

impl<'a> Sa<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Sa<'a>, ParseError> {
        let bytes = reader.rest();
        for _ in 0..MAX_PROPOSALS {
            let (more, _) = proposal(&mut reader)?;
            if !more {
                reader.end("the last proposal")?;
                return Ok(Sa { bytes });
            }
        }
        Err(reader.fault(Fault::TooMany {
            what: "proposals",
            limit: MAX_PROPOSALS,
        }))
    }

    /// What [`super::SaBuilder`] has written.
    pub(super) fn written(bytes: &'a [u8]) -> Sa<'a> {
        Sa { bytes }
    }

    /// The body of the payload.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its proposals, at most [`MAX_PROPOSALS`].
    pub fn proposals(&self) -> impl Iterator<Item = ProposalView<'a>> + 'a {
        checked(self.bytes, |reader| {
            proposal(reader).map(|(_, proposal)| proposal)
        })
    }
}

impl<'a> ProposalView<'a> {
    /// Its transforms, at most 255.
    pub fn transforms(&self) -> impl Iterator<Item = TransformView<'a>> + 'a {
        checked(self.transforms, |reader| {
            transform(reader).map(|(_, transform)| transform)
        })
    }
}

impl<'a> TransformView<'a> {
    /// Its attributes, at most [`MAX_ATTRIBUTES`].
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + 'a {
        checked(self.attributes, attribute)
    }

    /// The transform, if it has no attribute but one key length: others may not be chosen (RFC 7296 §3.3.6).
    pub fn plain(&self) -> Option<Transform> {
        let mut key_length = None;
        for attribute in self.attributes() {
            match attribute {
                Attribute {
                    kind: AttributeType::KEY_LENGTH,
                    value: AttributeValue::Short(bits),
                } if key_length.is_none() => {
                    key_length = Some(bits);
                }
                _ => return None,
            }
        }
        Some(Transform {
            kind: self.kind,
            id: self.id,
            key_length,
        })
    }
}

impl std::fmt::Debug for Sa<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.proposals()).finish()
    }
}

impl std::fmt::Debug for ProposalView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:02x?} ", self.number, self.protocol, self.spi)?;
        f.debug_list().entries(self.transforms()).finish()
    }
}

impl std::fmt::Debug for TransformView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.plain() {
            Some(transform) => write!(f, "{transform}"),
            None => {
                write!(f, "{} with ", Transform::new(self.kind, self.id))?;
                f.debug_list().entries(self.attributes()).finish()
            }
        }
    }
}
