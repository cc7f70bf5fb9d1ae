//! Who listens to which group: IGMP (RFC 1112, RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810).
//!
//! ```text
//!   IGMP   type  code  checksum  group (4)                                   versions 1 and 2, and queries
//!   MLD    type  code  checksum  delay (2) 0 (2)  group (16)                 version 1, and queries
//!   both   type  0     checksum  0 (2)  records (2)  record …                the later version's report
//!   record type  aux words  sources (2)  group (4 or 16)  source …  aux …
//! ```

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet::Icmpv6;
use packet::icmpv6::{
    MULTICAST_LISTENER_DONE, MULTICAST_LISTENER_QUERY, MULTICAST_LISTENER_REPORT,
    MULTICAST_LISTENER_REPORT_V2,
};

use super::{cut_short, names, payload};

/// Bytes before the records of a report.
const REPORT_START: usize = 8;
/// Bytes of an MLD message of version 1, and of a query of both.
const MLD_LEN: usize = 24;

/// Writes an IGMP message.
pub(super) fn igmp(f: &mut Formatter<'_>, message: &[u8]) -> fmt::Result {
    let Some(&[message_type, code, _, _, a, b, c, d]) = message.first_chunk() else {
        return cut_short(f, "igmp", message);
    };
    let group = Ipv4Addr::from([a, b, c, d]);
    match message_type {
        // RFC 3376 §7.1: versions are told apart by length and code.
        0x11 => {
            let version = match (message.len(), code) {
                (12.., _) => 3,
                (_, 0) => 1,
                _ => 2,
            };
            query(f, format_args!("igmp v{version}"), group.into())
        }
        0x12 => write!(f, "igmp v1 report of {group}"),
        0x16 => write!(f, "igmp v2 report of {group}"),
        0x17 => write!(f, "igmp v2 leave of {group}"),
        0x22 => report::<4>(f, "igmp v3", message),
        0x30 => f.write_str("multicast router advertisement"),
        0x31 => f.write_str("multicast router solicitation"),
        0x32 => f.write_str("multicast router termination"),
        _ => {
            write!(f, "igmp type {message_type:#04x}, ")?;
            payload(f, message)
        }
    }
}

/// Writes an ICMPv6 message, MLD or another.
pub(super) fn icmpv6(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let Ok(message) = Icmpv6::parse(bytes) else {
        return cut_short(f, "ipv6-icmp", bytes);
    };
    let group = address::<16>(message.data());
    match (message.message_type(), group) {
        (MULTICAST_LISTENER_QUERY, Some(group)) => {
            let version = if bytes.len() > MLD_LEN { 2 } else { 1 };
            query(f, format_args!("mld v{version}"), group)
        }
        (MULTICAST_LISTENER_REPORT, Some(group)) => write!(f, "mld v1 report of {group}"),
        (MULTICAST_LISTENER_DONE, Some(group)) => write!(f, "mld v1 done of {group}"),
        (MULTICAST_LISTENER_REPORT_V2, _) => report::<16>(f, "mld v2", bytes),
        (MULTICAST_LISTENER_QUERY | MULTICAST_LISTENER_REPORT | MULTICAST_LISTENER_DONE, None) => {
            cut_short(f, "mld", bytes)
        }
        // RFC 4286 §8.
        (151, _) => f.write_str("multicast router advertisement"),
        (152, _) => f.write_str("multicast router solicitation"),
        (153, _) => f.write_str("multicast router termination"),
        (message_type, _) => {
            write!(f, "ipv6-icmp type {message_type} code {}, ", message.code())?;
            payload(f, message.body())
        }
    }
}

fn query(f: &mut Formatter<'_>, name: fmt::Arguments<'_>, group: IpAddr) -> fmt::Result {
    if group.is_unspecified() {
        write!(f, "{name} general query")
    } else {
        write!(f, "{name} query for {group}")
    }
}

/// A report with records, whose addresses have `N` bytes.
fn report<const N: usize>(f: &mut Formatter<'_>, name: &str, message: &[u8]) -> fmt::Result {
    let Some((&[.., count0, count1], rest)) = message.split_first_chunk::<REPORT_START>() else {
        return cut_short(f, name, message);
    };
    let left = u16::from_be_bytes([count0, count1]);
    write!(f, "{name} report, records {left}")?;
    names(f, Records::<N> { rest, left })
}

/// Records that are ahead. Ends after one that is broken.
struct Records<'a, const N: usize> {
    rest: &'a [u8],
    left: u16,
}

enum Record {
    Of { kind: u8, sources: u16, group: IpAddr },
    Broken,
}

impl<const N: usize> Records<'_, N> {
    fn step(&mut self) -> Option<Record> {
        let (&[kind, aux, sources0, sources1], rest) = self.rest.split_first_chunk()?;
        let sources = u16::from_be_bytes([sources0, sources1]);
        let group = address::<N>(rest)?;
        let behind = N + usize::from(sources) * N + usize::from(aux) * 4;
        self.rest = rest.get(behind..)?;
        Some(Record::Of { kind, sources, group })
    }
}

impl<const N: usize> Iterator for Records<'_, N> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.left = self.left.checked_sub(1)?;
        let record = self.step();
        if record.is_none() {
            self.left = 0;
        }
        Some(record.unwrap_or(Record::Broken))
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Record::Of { kind, sources, group } = *self else {
            return f.write_str("a broken record");
        };
        match kind {
            1 => f.write_str("MODE_IS_INCLUDE")?,
            2 => f.write_str("MODE_IS_EXCLUDE")?,
            3 => f.write_str("CHANGE_TO_INCLUDE_MODE")?,
            4 => f.write_str("CHANGE_TO_EXCLUDE_MODE")?,
            5 => f.write_str("ALLOW_NEW_SOURCES")?,
            6 => f.write_str("BLOCK_OLD_SOURCES")?,
            _ => write!(f, "type {kind}")?,
        }
        write!(f, " {group}")?;
        match sources {
            0 => Ok(()),
            1 => f.write_str(" with 1 source"),
            _ => write!(f, " with {sources} sources"),
        }
    }
}

/// The address of `N` bytes, 4 or 16, at the start of `bytes`.
fn address<const N: usize>(bytes: &[u8]) -> Option<IpAddr> {
    let bytes = bytes.get(..N)?;
    let four = <[u8; 4]>::try_from(bytes).map(|four| Ipv4Addr::from(four).into());
    let six = <[u8; 16]>::try_from(bytes).map(|six| Ipv6Addr::from(six).into());
    four.or(six).ok()
}
