//! Finds the router alert of a packet: its value, and where it stands.
//!
//! ```text
//!   IPv4 header, 20 bytes │ options: … 94 04 vv vv …                      RFC 2113, anywhere among the options
//!   IPv6 header, 40 bytes │ next units │ options: … 05 02 vv vv …         RFC 2711, in the hop-by-hop header alone
//! ```
//!
//! The options are walked to their end, so that their order changes nothing: what is wrong behind the alert is seen as well.
//! All offsets count from the start of the IP header, as the pointer of a Parameter Problem does.

mod fault;
mod ipv4;
mod ipv6;

pub use fault::{Fault, ParameterProblem};
pub use ipv4::find_v4;
pub use ipv6::find_v6;

use packet::{Ipv4, Ipv6, Protocol};

use crate::Family;

/// A router alert that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The family of the packet, which says what the value means.
    pub family: Family,
    /// Its value: what should be looked at, see [`crate::values`].
    pub value: u16,
    /// What follows the header that the option is in: the protocol of IPv4, the next header of the hop-by-hop header.
    pub protocol: Protocol,
    /// Where the option begins.
    pub offset: usize,
    /// There is more than one, with equal values or as [`Duplicates`] allows it.
    pub duplicate: bool,
    /// It does not stand at an even offset, as RFC 2711 §2.1 asks. Never so in IPv4.
    pub misaligned: bool,
    /// There is padding that RFC 8504 §5.3 lets a node refuse: see [`Padding`]. Never so in IPv4.
    pub irregular_padding: bool,
}

/// What is taken of a packet with a router alert. The default is what a router should do that forwards for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of irregular padding.
    pub padding: Padding,
    /// What becomes of several alerts with different values.
    pub duplicates: Duplicates,
    /// Whether options that are not known are judged by their type.
    pub unrecognized: Unrecognized,
    /// What becomes of a hop-by-hop header beyond the limits.
    pub beyond: Beyond,
    /// The longest hop-by-hop header that is looked at, bytes.
    pub most_bytes: usize,
    /// Most options of a hop-by-hop header, not counting padding.
    pub most_options: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            padding: Padding::Lenient,
            duplicates: Duplicates::Refuse,
            unrecognized: Unrecognized::Judge,
            beyond: Beyond::Ignore,
            most_bytes: 256,
            most_options: 8,
        }
    }
}

/// What becomes of padding of IPv6 that is more than 7 bytes long, or not zero. There is no use for it but a hidden channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// [`Alert::irregular_padding`] says that there is some.
    Lenient,
    /// [`Fault::Padding`], as Linux does.
    Strict,
}

/// What becomes of several alerts whose values differ: RFC 2711 §2.1 allows one. Equal ones are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// The first counts.
    First,
    /// The last counts, as with Linux.
    Last,
    /// [`Fault::Duplicate`].
    Refuse,
}

/// What becomes of IPv6 options that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecognized {
    /// What the high bits of their type say (RFC 8200 §4.2): [`Fault::Unrecognized`] unless they say "skip".
    Judge,
    /// They are skipped, as a router does that is not asked to look at hop-by-hop options.
    Skip,
}

/// What becomes of a hop-by-hop header that is too long, or has too many options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It has no alert: the packet is forwarded as any other (RFC 9673 §5.2).
    Ignore,
    /// [`Fault::HeaderTooBig`] or [`Fault::TooManyOptions`] (RFC 8883).
    Refuse,
}

/// The router alert of `packet`, of either family; `None` if it has none. What follows the packet (Ethernet padding) is no
/// part of it.
///
/// ```
/// use packet::PacketBuilder;
/// use router_alert::alert::{Settings, find};
///
/// let (host, peer) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
/// let packet = PacketBuilder::ipv4(host, peer).options(&[148, 4, 0, 0]).udp(5000, 500, b"hello");
/// let alert = find(&packet, &Settings::default())?.ok_or("there is none")?;
/// assert_eq!((alert.value, alert.offset), (0, 20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What is wrong with the packet, or refused by the settings. [`Fault::problem`] says how a router answers it.
#[inline]
pub fn find(packet: &[u8], settings: &Settings) -> Result<Option<Alert>, Fault> {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => find_v4(&Ipv4::parse(packet)?, settings),
        Some(6) => find_v6(&Ipv6::parse(packet)?, settings),
        _ => Err(Fault::Version),
    }
}

/// Makes `found` that of a packet that has `next` as well.
fn join(found: &mut Option<Alert>, next: Alert, duplicates: Duplicates) -> Result<(), Fault> {
    let Some(alert) = found else {
        *found = Some(next);
        return Ok(());
    };
    alert.duplicate = true;
    alert.misaligned |= next.misaligned;
    match duplicates {
        Duplicates::Refuse if alert.value != next.value => {
            return Err(Fault::Duplicate { pointer: next.offset });
        }
        Duplicates::Last => (alert.value, alert.offset) = (next.value, next.offset),
        Duplicates::First | Duplicates::Refuse => {}
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
