//! Security associations of ESP in requests and events, RFC 4301 section 4.4.2. Their keys go beside them, and one way only.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

pub use shm::records::SA_SELECTORS;

/// The most SAs that one request may carry: it must fit into [`crate::client::MAX_FRAME`] bytes.
pub const SAS_PER_REQUEST: usize = 64;

/// Whose packets an SA is for. The number is that of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaDirection {
    /// Those that come in: its SPI was chosen here.
    In = 1,
    /// Those that go out: its SPI was chosen by the other end.
    Out = 2,
}

/// What ESP protects, RFC 4303 section 3.1. The number is that of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaMode {
    /// A whole IP packet.
    Tunnel = 1,
    /// What follows the IP header.
    Transport = 2,
}

/// How far an SA is. The number is that of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaState {
    /// It is used.
    Installed = 1,
    /// It is used still, but its soft lifetime is over.
    Expiring = 2,
}

macro_rules! words {
    ($name:ident, $what:literal, $($variant:ident => $word:literal),*) => {
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as command line, tables and JSON have it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// By the number in a record.
            pub fn of_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| *value as u8 == number)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|value| value.name() == text);
                let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                found.ok_or_else(|| format!("'{text}' is no {}: use {}", $what, names.join(" or ")))
            }
        }
    };
}

words!(SaDirection, "direction of an SA", In => "in", Out => "out");
words!(SaMode, "mode of an SA", Tunnel => "tunnel", Transport => "transport");
words!(SaState, "state of an SA", Installed => "installed", Expiring => "expiring");

/// What an SA is known by: RFC 4301 section 4.1 looks them up by these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SaId {
    /// Where its packets go, as their outer header has it.
    pub destination: IpAddr,
    /// Its SPI.
    pub spi: u32,
}

impl fmt::Display for SaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SPI {:#010x} to {}", self.spi, self.destination)
    }
}

/// A security association, without its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sa {
    /// Its SPI, from 256 on: RFC 4303 section 2.1.
    pub spi: u32,
    /// Whose packets it is for.
    pub direction: SaDirection,
    /// The tunnel whose packets it protects, which goes with it.
    pub tunnel: Option<String>,
    /// What is protected.
    pub mode: SaMode,
    /// Where its packets come from, as their outer header has it.
    pub source: IpAddr,
    /// Where its packets go, as their outer header has it; of the same family.
    pub destination: IpAddr,
    /// How they are protected: the name of a transform.
    pub transform: String,
    /// Whether sequence numbers have 64 bits, RFC 4303 section 2.2.1.
    pub esn: bool,
    /// Sequence numbers behind the highest one in which packets may come late, 32 to 4096; 0 if no packet is refused for its
    /// number, RFC 4303 section 3.4.3.
    pub window: u16,
    /// Source and destination port of a UDP header before its packets, RFC 3948.
    pub udp: Option<(u16, u16)>,
    /// Of one that goes out in UDP: seconds without a packet after which it sends a NAT keepalive, RFC 3948 section 4; 0 for none.
    pub keepalive: u8,
    /// What its packets may hold, at most [`SA_SELECTORS`]; with none, anything.
    pub selectors: Vec<Selector>,
    /// When another one should take its place: subscribers are told, and nothing else happens.
    pub soft: SaLifetime,
    /// When it ends.
    pub hard: SaLifetime,
}

impl Sa {
    /// The window of an SA for which none is asked.
    pub const DEFAULT_WINDOW: u16 = 1024;

    /// After how long an SA sends a keepalive for which nothing is said: RFC 3948 section 4.
    pub const DEFAULT_KEEPALIVE: u8 = 20;

    /// After how long it sends a keepalive, if it does.
    pub fn keepalive(&self) -> Option<std::time::Duration> {
        let sends = self.direction == SaDirection::Out && self.udp.is_some() && self.keepalive != 0;
        sends.then(|| std::time::Duration::from_secs(self.keepalive.into()))
    }

    /// What it is known by.
    pub fn id(&self) -> SaId {
        SaId {
            destination: self.destination,
            spi: self.spi,
        }
    }
}

/// How long an SA is good, RFC 4301 section 4.4.2.1; what is `None` does not end it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaLifetime {
    /// Bytes that the cipher was applied to.
    pub bytes: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
    /// Seconds since it was installed.
    pub seconds: Option<u64>,
}

/// Packets that an SA may carry, RFC 4301 section 4.4.1.1. Source and destination are those of the packets inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// The first and the last source address.
    pub source: (IpAddr, IpAddr),
    /// The first and the last destination address.
    pub destination: (IpAddr, IpAddr),
    /// The protocol; `None` for any.
    pub protocol: Option<u8>,
    /// The first and the last source port, or [`Selector::OPAQUE`]. ICMP, ICMPv6 and the mobility header have one value in place of
    /// two ports, the type in its upper eight bits and the code in its lower ones, and both selectors look at it.
    pub source_ports: (u16, u16),
    /// The first and the last destination port, likewise.
    pub destination_ports: (u16, u16),
}

impl Selector {
    /// All ports.
    pub const ANY_PORT: (u16, u16) = (0, u16::MAX);
    /// No ports: packets that have none, such as later fragments, RFC 4301 section 7.2. As RFC 7296 section 3.13.1 writes it.
    pub const OPAQUE: (u16, u16) = (u16::MAX, 0);
}

/// The keys of an SA, one behind the other: that of the cipher, then its salt or that of the integrity algorithm. Nothing shows
/// them, and they are wiped when this is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SaKeys(Zeroizing<Vec<u8>>);

impl SaKeys {
    /// These keys. Whoever has made the vector has not let it grow: what it grew out of is not wiped.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The keys themselves. Whoever copies them wipes the copy.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SaKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaKeys(..)")
    }
}

impl Serialize for SaKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for SaKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = SaKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            // Copied once, from the message to where they stay: whoever has the message wipes that.
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<SaKeys, E> {
                Ok(SaKeys(Zeroizing::new(bytes.to_vec())))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// An SA to install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSa {
    /// What it is.
    pub sa: Sa,
    /// Its keys, as many bytes as its transform takes.
    pub keys: SaKeys,
    /// The last sequence number that was sent by it, or the highest that came, wherever it was before; 0 for a new one. At most
    /// 2^32 - 1 without extended sequence numbers.
    pub sequence: u64,
}

/// Something that happened to an SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaChange {
    /// What.
    pub change: SaChangeKind,
    /// Its SPI.
    pub spi: u32,
    /// Where its packets go.
    pub destination: IpAddr,
    /// Whose packets it is for.
    pub direction: SaDirection,
    /// The tunnel whose packets it protects.
    pub tunnel: Option<String>,
}

/// What can happen to an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaChangeKind {
    /// It was installed.
    Added,
    /// It was installed in place of one with the same SPI and destination.
    Replaced,
    /// It was deleted, by request or with its tunnel.
    Deleted,
    /// Its soft lifetime in seconds is over: another one should take its place.
    SoftSeconds,
    /// Its hard lifetime in seconds is over: it was deleted.
    HardSeconds,
    /// Its soft lifetime in packets or bytes is over: another one should take its place.
    SoftTraffic,
    /// Its hard lifetime in packets or bytes is over: it was deleted.
    HardTraffic,
    /// Its sequence numbers near their end: another one should take its place.
    SequenceSoon,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Request};

    fn largest() -> NewSa {
        let address = IpAddr::from(std::net::Ipv6Addr::from_bits(u128::MAX));
        let selector = Selector {
            source: (address, address),
            destination: (address, address),
            protocol: Some(u8::MAX),
            source_ports: (u16::MAX, u16::MAX),
            destination_ports: (u16::MAX, u16::MAX),
        };
        let lifetime = SaLifetime {
            bytes: Some(u64::MAX),
            packets: Some(u64::MAX),
            seconds: Some(u64::MAX),
        };
        NewSa {
            sa: Sa {
                spi: u32::MAX,
                direction: SaDirection::Out,
                tunnel: Some("a-name-of-fifte".into()),
                mode: SaMode::Transport,
                source: address,
                destination: address,
                transform: "x".repeat(shm::records::TRANSFORM_NAME),
                esn: true,
                window: u16::MAX,
                udp: Some((u16::MAX, u16::MAX)),
                keepalive: u8::MAX,
                selectors: vec![selector; SA_SELECTORS],
                soft: lifetime,
                hard: lifetime,
            },
            keys: SaKeys::new(Zeroizing::new(vec![0xab; shm::keys::KEY_BYTES])),
            sequence: u64::MAX,
        }
    }

    #[test]
    fn the_largest_request_fits_into_a_frame_and_comes_back_whole() {
        let request = Request::SaAdd {
            sas: vec![largest(); SAS_PER_REQUEST],
            replace: true,
        };
        let frame = postcard::to_stdvec(&Envelope {
            id: u32::MAX,
            body: request.clone(),
        })
        .unwrap();
        assert!(frame.len() <= crate::client::MAX_FRAME, "{}", frame.len());
        let read: Envelope<Request> = postcard::from_bytes(&frame).unwrap();
        assert_eq!(read.body, request);
    }

    #[test]
    fn nothing_of_the_keys_is_shown() {
        let shown = format!("{:?}", largest());
        assert!(shown.contains("keys: SaKeys(..)"), "{shown}");
        assert!(!shown.contains("171") && !shown.contains("ab, "), "{shown}");
    }

    #[test]
    fn words_and_numbers_come_back() {
        for direction in SaDirection::ALL {
            assert_eq!(direction.name().parse(), Ok(*direction));
            assert_eq!(SaDirection::of_number(*direction as u8), Some(*direction));
        }
        for mode in SaMode::ALL {
            assert_eq!(mode.name().parse(), Ok(*mode));
            assert_eq!(SaMode::of_number(*mode as u8), Some(*mode));
        }
        assert_eq!(SaMode::of_number(3), None);
        assert_eq!(
            "inside".parse::<SaDirection>(),
            Err("'inside' is no direction of an SA: use in or out".into())
        );
    }
}
