//! Options of TCP (RFC 9293 section 3.1): found, and changed in place.

use std::ops::Range;

use packet::checksum::Sum;
use packet::tcp::{HEADER_LEN, TcpFlags};

use super::Difference;
use crate::{View, What};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
/// RFC 9293 section 3.7.1.
const MSS: u8 = 2;
/// RFC 2018.
const SACK: u8 = 5;
/// RFC 7323.
const TIMESTAMPS: u8 = 8;
/// No MSS is made smaller than that: a segment is to have room for its options and a byte.
const LEAST_MSS: u16 = 64;

/// Where in `options` the first one of this kind is.
fn find(options: &[u8], wanted: u8) -> Option<Range<usize>> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            END => return None,
            NO_OPERATION => at += 1,
            kind => {
                let end = at + usize::from(*options.get(at + 1)?);
                if end < at + 2 || end > options.len() {
                    return None;
                }
                if kind == wanted {
                    return Some(at..end);
                }
                at = end;
            }
        }
    }
}

/// Has `change` change the options of a segment, and its checksum follow. What `change` says; `false` if the bytes are not those looked at.
fn change(bytes: &mut [u8], view: &View, change: impl FnOnce(&mut [u8]) -> bool) -> bool {
    let What::Segment { header, .. } = view.what else {
        return false;
    };
    let segment = bytes.get_mut(usize::from(view.transport)..).unwrap_or_default();
    let header = segment.get_mut(..usize::from(header)).unwrap_or_default();
    let Some((fixed, options)) = header.split_first_chunk_mut::<HEADER_LEN>() else {
        return false;
    };
    let old = Sum::ZERO.bytes(options);
    if !change(options) {
        return false;
    }
    let mut difference = Difference::default();
    difference.sums(old, Sum::ZERO.bytes(options));
    let [.., c0, c1, _, _] = fixed;
    let mut field = [*c0, *c1];
    difference.apply_to(&mut field);
    [*c0, *c1] = field;
    true
}

/// Lowers the MSS that a SYN offers by `lower_by` bytes, but not below 64: [`super::toa_len`] where the client's address is inserted
/// into what answers it. `false` if it offers none.
pub fn clamp_mss(bytes: &mut [u8], view: &View, lower_by: u16) -> bool {
    change(bytes, view, |options| {
        let option = find(options, MSS).and_then(|range| options.get_mut(range));
        let Some([_, _, high, low]) = option else {
            return false;
        };
        let mss = u16::from_be_bytes([*high, *low]);
        let lowered = mss.saturating_sub(lower_by).max(mss.min(LEAST_MSS));
        [*high, *low] = lowered.to_be_bytes();
        true
    })
}

/// Takes the timestamps option out of a client's SYN (no-operations take its place): to the server all clients of a local address are
/// one host, whose clock would jump (RFC 7323 section 5). `false` if it is no such SYN or has none.
pub fn remove_timestamps(bytes: &mut [u8], view: &View) -> bool {
    let is_first = matches!(view.what, What::Segment { flags, .. }
        if flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK));
    is_first
        && change(bytes, view, |options| {
            let option = find(options, TIMESTAMPS).and_then(|range| options.get_mut(range));
            let Some(option) = option.filter(|option| option.len() == 10) else {
                return false;
            };
            option.fill(NO_OPERATION);
            true
        })
}

/// Adds `value` to the edges of all SACK blocks.
pub(crate) fn shift_sack(options: &mut [u8], value: u32, difference: &mut Difference) {
    // Timestamps alone, as most segments with options have them.
    if let [NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10, _, _, _, _, _, _, _, _] = options {
        return;
    }
    let Some(range) = find(options, SACK) else {
        return;
    };
    let old = Sum::ZERO.bytes(options);
    let option = options.get_mut(range).unwrap_or_default();
    let (_, edges) = option.split_at_mut_checked(2).unwrap_or_default();
    let (edges, rest) = edges.as_chunks_mut::<4>();
    if !rest.is_empty() || !edges.len().is_multiple_of(2) {
        return;
    }
    for edge in edges {
        *edge = u32::from_be_bytes(*edge).wrapping_add(value).to_be_bytes();
    }
    difference.sums(old, Sum::ZERO.bytes(options));
}
