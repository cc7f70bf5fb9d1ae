//! Traffic selectors (RFC 7296 §3.13).
//!
//! ```text
//!   TSi, TSr    │ number │ reserved, 3 │ selectors
//!   selector    │ type │ protocol │ length, 2 │ first port, 2 │ last port, 2 │ first address │ last address │
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::Reader;
use super::{ParseError, PayloadType, TsType};

/// As many selectors does a payload have: its count is one byte.
pub const MAX_SELECTORS: usize = 255;

/// Ports that are not to be seen: a selector's first is above its last (RFC 7296 §3.13.1).
pub const OPAQUE_PORTS: (u16, u16) = (0xffff, 0);

/// A range of addresses and ports, and a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    /// Protocol of IP; 0: any.
    pub protocol: u8,
    /// First and last port; of ICMP type and code. [`OPAQUE_PORTS`]: none can be seen.
    pub ports: (u16, u16),
    /// First and last address.
    addresses: Addresses,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl TrafficSelector {
    /// A selector; `None` if the addresses are of two families or out of order, or the ports are (opaque ones aside).
    pub fn new(protocol: u8, ports: (u16, u16), first: IpAddr, last: IpAddr) -> Option<TrafficSelector> {
        let addresses = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Addresses::V4(first, last),
            (IpAddr::V6(first), IpAddr::V6(last)) => Addresses::V6(first, last),
            _ => return None,
        };
        let in_order = first <= last && (ports.0 <= ports.1 || ports == OPAQUE_PORTS);
        in_order.then_some(TrafficSelector {
            protocol,
            ports,
            addresses,
        })
    }

    /// First and last address, of one family.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        match self.addresses {
            Addresses::V4(first, last) => (first.into(), last.into()),
            Addresses::V6(first, last) => (first.into(), last.into()),
        }
    }

    /// What it is on the wire.
    pub fn kind(&self) -> TsType {
        match self.addresses {
            Addresses::V4(..) => TsType::IPV4_ADDR_RANGE,
            Addresses::V6(..) => TsType::IPV6_ADDR_RANGE,
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let length: u16 = match self.addresses {
            Addresses::V4(..) => 16,
            Addresses::V6(..) => 40,
        };
        out.extend([self.kind().0, self.protocol]);
        out.extend(length.to_be_bytes());
        out.extend(self.ports.0.to_be_bytes());
        out.extend(self.ports.1.to_be_bytes());
        match self.addresses {
            Addresses::V4(first, last) => [first, last]
                .iter()
                .for_each(|address| out.extend(address.octets())),
            Addresses::V6(first, last) => [first, last]
                .iter()
                .for_each(|address| out.extend(address.octets())),
        }
    }
}

/// `10.0.0.0-10.0.0.255`, and where they are not all `[protocol/ports]`.
impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.addresses();
        write!(f, "{first}")?;
        if first != last {
            write!(f, "-{last}")?;
        }
        if self.protocol == 0 && self.ports == (0, 0xffff) {
            return Ok(());
        }
        write!(f, "[{}", self.protocol)?;
        match self.ports {
            (0, 0xffff) => {}
            OPAQUE_PORTS => f.write_str("/opaque")?,
            (first, last) if first == last => write!(f, "/{first}")?,
            (first, last) => write!(f, "/{first}-{last}")?,
        }
        f.write_str("]")
    }
}

impl fmt::Debug for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A selector as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    /// A range of addresses.
    Range(TrafficSelector),
    /// One of a type that is not known here, which selects nothing.
    Other {
        /// Its type.
        kind: TsType,
        /// The byte where others have the protocol.
        protocol: u8,
        /// What follows its length.
        body: &'a [u8],
    },
}

/// A checked TSi or TSr payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrafficSelectors<'a> {
    bytes: &'a [u8],
}

fn selector<'a>(reader: &mut Reader<'a>) -> Result<Selector<'a>, ParseError> {
    let start = *reader;
    let [kind, protocol, length0, length1] = reader.array("a traffic selector")?;
    let length = u16::from_be_bytes([length0, length1]);
    let kind = TsType(kind);
    let fits = match kind {
        TsType::IPV4_ADDR_RANGE => length == 16,
        TsType::IPV6_ADDR_RANGE => length == 40,
        _ => length >= 4,
    };
    if !fits {
        return Err(start.field(
            "the length of a traffic selector",
            length.into(),
            "that of its type",
        ));
    }
    let mut inside = reader.inside("a traffic selector", usize::from(length).saturating_sub(4))?;
    if !matches!(kind, TsType::IPV4_ADDR_RANGE | TsType::IPV6_ADDR_RANGE) {
        return Ok(Selector::Other {
            kind,
            protocol,
            body: inside.rest(),
        });
    }
    let [first0, first1, last0, last1] = inside.array("ports")?;
    let ports = (
        u16::from_be_bytes([first0, first1]),
        u16::from_be_bytes([last0, last1]),
    );
    let (first, last): (IpAddr, IpAddr) = if kind == TsType::IPV4_ADDR_RANGE {
        (
            inside.array::<4>("an address")?.into(),
            inside.array::<4>("an address")?.into(),
        )
    } else {
        (
            inside.array::<16>("an address")?.into(),
            inside.array::<16>("an address")?.into(),
        )
    };
    TrafficSelector::new(protocol, ports, first, last)
        .map(Selector::Range)
        .ok_or_else(|| {
            start.field(
                "a range of a traffic selector, by its first port",
                ports.0.into(),
                "in order",
            )
        })
}

impl<'a> TrafficSelectors<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let start = reader;
        let bytes = reader.rest();
        let [count, _reserved @ ..] = reader.array::<4>("the header of traffic selectors")?;
        if count == 0 {
            return Err(start.field("the number of traffic selectors", 0, "1 or more"));
        }
        for _ in 0..count {
            selector(&mut reader)?;
        }
        reader.end("the last traffic selector")?;
        Ok(TrafficSelectors { bytes })
    }

    /// The body of the payload.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The reserved bytes.
    pub fn reserved(&self) -> [u8; 3] {
        match self.bytes {
            [_, reserved0, reserved1, reserved2, ..] => [*reserved0, *reserved1, *reserved2],
            _ => [0; 3],
        }
    }

    /// The selectors, at most [`MAX_SELECTORS`].
    pub fn iter(&self) -> impl Iterator<Item = Selector<'a>> + 'a {
        let mut reader = Reader::new(
            self.bytes.get(4..).unwrap_or_default(),
            4,
            Some(PayloadType::TS_INITIATOR),
        );
        std::iter::from_fn(move || {
            if reader.is_empty() {
                None
            } else {
                selector(&mut reader).ok()
            }
        })
    }
}

impl fmt::Debug for TrafficSelectors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Writes a TSi or TSr payload.
#[derive(Clone, Debug)]
pub struct TrafficSelectorsBuilder {
    bytes: Vec<u8>,
}

/// A payload has room for 255 selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload has room for {MAX_SELECTORS} traffic selectors; give fewer")]
pub struct TooManySelectors;

impl TrafficSelectorsBuilder {
    /// Begins with the first selector: there is no payload without one.
    pub fn new(first: &Selector<'_>) -> TrafficSelectorsBuilder {
        let mut builder = TrafficSelectorsBuilder { bytes: vec![0; 4] };
        builder.append(first, 1);
        builder
    }

    /// Writes these; `None` if there are none or too many.
    pub fn of(selectors: &[TrafficSelector]) -> Option<TrafficSelectorsBuilder> {
        let (first, rest) = selectors.split_first()?;
        let mut builder = TrafficSelectorsBuilder::new(&Selector::Range(*first));
        for selector in rest {
            builder.push(&Selector::Range(*selector)).ok()?;
        }
        Some(builder)
    }

    /// Sets the reserved bytes, 0 otherwise.
    pub fn reserved(&mut self, reserved: [u8; 3]) {
        for (to, from) in self.bytes.iter_mut().skip(1).zip(reserved) {
            *to = from;
        }
    }

    /// Appends a selector.
    pub fn push(&mut self, selector: &Selector<'_>) -> Result<(), TooManySelectors> {
        let count = self
            .bytes
            .first()
            .and_then(|count| count.checked_add(1))
            .ok_or(TooManySelectors)?;
        self.append(selector, count);
        Ok(())
    }

    fn append(&mut self, selector: &Selector<'_>, count: u8) {
        if let Some(to) = self.bytes.first_mut() {
            *to = count;
        }
        match selector {
            Selector::Range(selector) => selector.emit(&mut self.bytes),
            Selector::Other { kind, protocol, body } => {
                // What does not fit here does not fit into the payload either, which is refused then.
                let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
                self.bytes.extend([kind.0, *protocol]);
                self.bytes.extend(length.to_be_bytes());
                self.bytes.extend(*body);
            }
        }
    }

    /// What has been written.
    pub fn view(&self) -> TrafficSelectors<'_> {
        TrafficSelectors { bytes: &self.bytes }
    }
}
