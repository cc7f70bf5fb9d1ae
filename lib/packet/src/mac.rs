//! MAC addresses: EUI-48 as Ethernet carries them (IEEE 802-2014 §8).

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A MAC address, octets in the order of transmission.
///
/// Text form, also in serde's human-readable formats: `02:00:00:00:10:02`. Binary formats carry the six octets.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// A text is not a MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address: write six pairs of hexadecimal digits, as in 02:00:00:00:10:02")]
pub struct MacAddressError(String);

impl MacAddress {
    /// All hosts of the link: `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: MacAddress = MacAddress([0xff; 6]);
    /// `00:00:00:00:00:00`: the target that an ARP request does not know yet. No station has it.
    pub const ZERO: MacAddress = MacAddress([0; 6]);

    /// The six octets.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Has the group bit: multicast, broadcast included.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// Is [`MacAddress::BROADCAST`].
    #[inline]
    pub const fn is_broadcast(self) -> bool {
        self.to_bits() == MacAddress::BROADCAST.to_bits()
    }

    /// Can belong to a station: neither multicast nor zero.
    #[inline]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && self.to_bits() != 0
    }

    /// The address as a number below 2^48, first octet most significant.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The address in the low 48 bits of `bits`; the bits above are not looked at.
    #[inline]
    pub const fn from_bits(bits: u64) -> MacAddress {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        MacAddress([a, b, c, d, e, f])
    }
}

impl From<[u8; 6]> for MacAddress {
    #[inline]
    fn from(octets: [u8; 6]) -> Self {
        MacAddress(octets)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        // `pad` lets tables align the text.
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || MacAddressError(text.to_owned());
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let pair = pairs.next().ok_or_else(refused)?;
            // from_str_radix would take a sign as well.
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(refused());
            }
            *octet = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
        }
        match pairs.next() {
            None => Ok(MacAddress(octets)),
            Some(_) => Err(refused()),
        }
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(D::Error::custom)
        } else {
            <[u8; 6]>::deserialize(deserializer).map(MacAddress)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let mac: MacAddress = "02:00:5E:00:10:fF".parse().unwrap();
        assert_eq!(mac.octets(), [0x02, 0x00, 0x5e, 0x00, 0x10, 0xff]);
        assert_eq!(mac.to_string(), "02:00:5e:00:10:ff");
        assert_eq!(format!("{mac:>20}"), "   02:00:5e:00:10:ff");
    }

    #[test]
    fn malformed_text_is_refused_with_an_example() {
        for text in [
            "",
            "02:00:00:00:10",
            "02:00:00:00:10:02:03",
            "2:0:0:0:10:2",
            "02-00-00-00-10-02",
            "+2:00:00:00:10:02",
            "02:00:00:00:10:0g",
            "02:00:00:00:10:02 ",
            "é2:00:00:00:10:02",
        ] {
            let refused = text.parse::<MacAddress>().unwrap_err().to_string();
            assert!(
                refused.contains(&format!("`{text}`")) && refused.contains("02:00:00:00:10:02"),
                "{refused}"
            );
        }
    }

    #[test]
    fn group_bit_and_zero_are_no_station() {
        let multicast: MacAddress = "01:00:5e:00:00:01".parse().unwrap();
        let station: MacAddress = "02:00:00:00:10:02".parse().unwrap();
        assert!(multicast.is_multicast() && !multicast.is_broadcast() && !multicast.is_unicast());
        assert!(MacAddress::BROADCAST.is_multicast() && MacAddress::BROADCAST.is_broadcast());
        assert!(station.is_unicast() && !station.is_multicast());
        assert!(!MacAddress::ZERO.is_unicast());
    }

    #[test]
    fn bits_round_trip_and_ignore_what_lies_above() {
        let mac: MacAddress = "02:01:03:04:10:fe".parse().unwrap();
        assert_eq!(mac.to_bits(), 0x0201_0304_10fe);
        assert_eq!(MacAddress::from_bits(mac.to_bits() | 0xabcd << 48), mac);
    }

    #[test]
    fn serde_uses_the_text_form_where_people_read() {
        let mac: MacAddress = "02:00:00:00:10:02".parse().unwrap();
        let json = serde_json::to_string(&mac).unwrap();
        assert_eq!(json, "\"02:00:00:00:10:02\"");
        assert_eq!(serde_json::from_str::<MacAddress>(&json).unwrap(), mac);
        assert!(serde_json::from_str::<MacAddress>("\"02:00\"").is_err());
    }
}
