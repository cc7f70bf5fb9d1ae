//! What outer headers are like.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How packets are wrapped up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelMode {
    /// IP in IP, both families in either: RFC 2003, RFC 4213, RFC 2473.
    Ipip,
    /// Generic routing encapsulation: RFC 2784, with the key of RFC 2890.
    Gre,
    /// ESP in tunnel mode, by the SAs that have the tunnel's name: RFC 4303.
    Esp,
}

impl TunnelMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ipip, Self::Gre, Self::Esp];

    /// The name as configuration and command line have it, and `ip tunnel`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gre => "gre",
            Self::Esp => "esp",
        }
    }

    /// The number in a record of the table region.
    pub fn number(self) -> u8 {
        match self {
            Self::Ipip => 1,
            Self::Gre => 2,
            Self::Esp => 3,
        }
    }

    /// By the number in a record of the table region.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }
}

impl FromStr for TunnelMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Self::ALL.into_iter().find(|mode| mode.name() == text) {
            Some(mode) => Ok(mode),
            None => Err(format!("'{text}' is no mode of tunnels: use ipip, gre or esp")),
        }
    }
}

/// What the outer IPv4 header says of being cut: its "don't fragment" bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Df {
    /// What the inner one says; set for IPv6.
    #[default]
    Copy,
    /// Never to be cut.
    Set,
    /// May be cut.
    Clear,
}

impl Df {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Copy, Self::Set, Self::Clear];

    /// The name as configuration and command line have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Set => "set",
            Self::Clear => "clear",
        }
    }

    /// The number in a record of the table region.
    pub fn number(self) -> u8 {
        match self {
            Self::Copy => 0,
            Self::Set => 1,
            Self::Clear => 2,
        }
    }

    /// By the number in a record of the table region.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|df| df.number() == number)
    }
}

impl FromStr for Df {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|df| df.name() == text)
            .ok_or_else(|| format!("'{text}' says nothing of the outer DF bit: use copy, set or clear"))
    }
}

/// The DSCP of outer headers, RFC 2474 and RFC 2983.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dscp {
    /// That of the inner header.
    #[default]
    Copy,
    /// Always this one, 0 to 63.
    Fixed(u8),
}

impl Dscp {
    /// The largest.
    pub const MAX: u8 = 63;
    const COPY: u8 = u8::MAX;

    /// The number in a record of the table region.
    pub fn number(self) -> u8 {
        match self {
            Self::Copy => Self::COPY,
            Self::Fixed(dscp) => dscp,
        }
    }

    /// By the number in a record of the table region.
    pub fn of_number(number: u8) -> Option<Self> {
        match number {
            Self::COPY => Some(Self::Copy),
            dscp => (dscp <= Self::MAX).then_some(Self::Fixed(dscp)),
        }
    }
}

impl FromStr for Dscp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "copy" {
            return Ok(Self::Copy);
        }
        let number = text.parse().ok().filter(|dscp| *dscp <= Self::MAX);
        number.map(Self::Fixed).ok_or_else(|| {
            format!(
                "'{text}' is no DSCP: use copy or a number from 0 to {}",
                Self::MAX
            )
        })
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy => f.pad("copy"),
            Self::Fixed(dscp) => dscp.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_come_back() {
        for mode in TunnelMode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
            assert_eq!(TunnelMode::of_number(mode.number()), Some(mode));
        }
        for df in Df::ALL {
            assert_eq!(df.name().parse(), Ok(df));
            assert_eq!(Df::of_number(df.number()), Some(df));
        }
        for dscp in (0..=Dscp::MAX).map(Dscp::Fixed).chain([Dscp::Copy]) {
            assert_eq!(dscp.to_string().parse(), Ok(dscp));
            assert_eq!(Dscp::of_number(dscp.number()), Some(dscp));
        }
        assert_eq!(
            (TunnelMode::of_number(0), Df::of_number(9), Dscp::of_number(64)),
            (None, None, None)
        );
        assert!("ah".parse::<TunnelMode>().is_err());
        assert!(
            "64".parse::<Dscp>().is_err() && "-1".parse::<Dscp>().is_err() && "on".parse::<Df>().is_err()
        );
    }
}
