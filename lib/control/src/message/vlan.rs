//! Protocols of VLANs.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whose tags the frames of a sub-interface have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VlanProtocol {
    /// IEEE 802.1Q customer tags, EtherType 0x8100.
    Dot1q,
    /// IEEE 802.1ad service tags, EtherType 0x88a8.
    Dot1ad,
}

impl VlanProtocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dot1q, Self::Dot1ad];

    /// The name as configuration and command line have it, and `ip link`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dot1q => "802.1q",
            Self::Dot1ad => "802.1ad",
        }
    }

    /// By the EtherType of its tags.
    pub fn of_ethertype(ethertype: u16) -> Option<Self> {
        match ethertype {
            0x8100 => Some(Self::Dot1q),
            0x88a8 => Some(Self::Dot1ad),
            _ => None,
        }
    }
}

impl FromStr for VlanProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("'{text}' is no protocol of VLANs: use 802.1q or 802.1ad"))
    }
}
