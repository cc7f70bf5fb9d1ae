//! PGM packets (RFC 3208 §8).
//!
//! ```text
//!    0               2               4       5       6               8                       14             16
//!   +---------------+---------------+-------+-------+---------------+-----------------------+---------------+-----------
//!   | source port   |destination    | type  |options| checksum      | global source id      | TSDU length   | sequence …
//!   +---------------+---------------+-------+-------+---------------+-----------------------+---------------+-----------
//! ```

use std::fmt::{self, Formatter};

use packet::Protocol;

use super::{Hex, cut_short};

/// PGM (RFC 3208).
pub(super) const PGM: Protocol = Protocol(113);

/// Asks for an SPM: the only type without a sequence number.
const SPMR: u8 = 0x0c;

/// Writes the type of a packet, its ports, its source and its sequence number.
pub(super) fn write(f: &mut Formatter<'_>, packet: &[u8]) -> fmt::Result {
    let Some((&[source0, source1, destination0, destination1, packet_type, _, _, _], rest)) =
        packet.split_first_chunk()
    else {
        return cut_short(f, "pgm", packet);
    };
    let Some((source_id, rest)) = rest.split_first_chunk::<6>() else {
        return cut_short(f, "pgm", packet);
    };
    let name = match packet_type {
        0x00 => "SPM",
        0x01 => "POLL",
        0x02 => "POLR",
        0x04 => "ODATA",
        0x05 => "RDATA",
        0x08 => "NAK",
        0x09 => "NNAK",
        0x0a => "NCF",
        SPMR => "SPMR",
        _ => return write!(f, "pgm type {packet_type:#04x}"),
    };
    let source = u16::from_be_bytes([source0, source1]);
    let destination = u16::from_be_bytes([destination0, destination1]);
    write!(
        f,
        "pgm {name} {source} > {destination}, source {}",
        Hex(source_id)
    )?;
    match rest.get(2..).and_then(<[u8]>::first_chunk) {
        Some(sequence) if packet_type != SPMR => write!(f, ", sequence {}", u32::from_be_bytes(*sequence)),
        _ => Ok(()),
    }
}
