//! The record of a rule for router alerts.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Record;

/// The most rules for router alerts; their numbers lie below it.
pub const ALERT_RULES: usize = 256;
/// The most ranges of values of a rule.
pub const ALERT_RANGES: usize = 16;
/// The longest text of what is done with the packets of a rule, bytes.
pub const HANDLER_TEXT: usize = 64;
/// The length of a prefix that a rule does not have.
pub const NO_PREFIX: u8 = u8::MAX;

record! {
    /// A rule for router alerts. The number of its slot is that of the rule, and of its counters.
    pub struct AlertRule {
        /// Its name, zero-padded.
        pub name: [u8; 32],
        /// What is done with its packets, as the command line has it, zero-padded.
        pub handler: [u8; HANDLER_TEXT],
        /// Name of the interface that packets come by, zero-padded; empty for any.
        pub interface: [u8; 16],
        /// Network address of where packets come from; IPv4 addresses are IPv4-mapped.
        pub source: [u8; 16],
        /// Network address of where packets go; IPv4 addresses are IPv4-mapped.
        pub destination: [u8; 16],
        /// Ranges of values, each as its first and its last: the first `range_count` of these.
        pub ranges: [[u16; 2]; ALERT_RANGES],
        /// Rules with a higher one are asked first.
        pub priority: u32,
        /// Of rules of one priority, the one with the lower number is asked first.
        pub order: u32,
        /// Packets per second that may go to a tool by this rule; 0 where it has no policer.
        pub rate: u32,
        /// Packets that may go to a tool at once by this rule.
        pub burst: u32,
        /// Length of the source prefix in its own family; 255 for any source.
        pub source_length: u8,
        /// Length of the destination prefix in its own family; 255 for any destination.
        pub destination_length: u8,
        /// Of the families, 4 or 6; 0 for both.
        pub family: u8,
        /// 1 when the protocol counts.
        pub has_protocol: u8,
        /// What follows the header with the router alert.
        pub protocol: u8,
        /// What becomes of packets without a tool: 1 they go on, 2 they are dropped, 0 what becomes of their class.
        pub fail: u8,
        /// 1 when observers get copies of packets whose hops have run out.
        pub see_expired: u8,
        /// 1 when a tool made it, 2 when an operator did.
        pub origin: u8,
        /// How many ranges of values there are.
        pub range_count: u8,
        /// Zero.
        pub reserved: [u8; 7],
    }
}
