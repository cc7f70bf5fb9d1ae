//! What is done with the packets of a rule.

use router_alert::strip::How;

/// What is done with the packets of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Sent on.
    Relay,
    /// Printed and sent on.
    Log,
    /// Sent on without the option.
    Strip(How),
    /// Sent on with this differentiated services codepoint, RFC 2474.
    Dscp(u8),
    /// Dropped.
    Drop,
}

impl Handler {
    /// The names that configurations have.
    pub const NAMES: [&'static str; 5] = ["relay", "log", "strip", "dscp", "drop"];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Log => "log",
            Self::Strip(_) => "strip",
            Self::Dscp(_) => "dscp",
            Self::Drop => "drop",
        }
    }
}
