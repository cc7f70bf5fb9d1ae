//! Fragments that were held and are no more, as they came: for who wants to see what is dropped.
//!
//! ```text
//!   behind the payload of a slot:  note │ link header, headers │ note │ link header, headers │ …
//!   a note: mark, offset in blocks of 8, bytes of the payload, bytes of what follows
//! ```
//!
//! There is room for those of the longest packet in fragments of 1,280 bytes, and some more. Of a packet in smaller ones the first are kept.

use crate::Lost;
use crate::fragment::Fragment;
use crate::slot::HEAD_ROOM;

/// Bytes for all notes and headers of a slot.
pub(crate) const NOTES_BYTES: usize = 8192;
const NOTE: usize = 8 + 3 * 2;

/// Fragments that were held and are no more, since they had to make room, overlap, or were not completed.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp<'r> {
    /// Number of the interface that they count for.
    pub interface: u16,
    /// How many.
    pub fragments: u32,
    /// Of the slot, up to the notes.
    held: &'r [u8],
    notes: &'r [u8],
}

/// A fragment as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'r> {
    /// Link header and headers, and what they are in front of.
    pub parts: [&'r [u8]; 2],
    /// What was marked on it.
    pub mark: Option<u64>,
}

impl<'r> GivenUp<'r> {
    /// `bytes` are those of the slot, of which so many are `notes`.
    pub(crate) fn new(lost: Lost, bytes: &'r [u8], notes: usize) -> Self {
        let (held, behind) = bytes
            .split_at_checked(bytes.len().saturating_sub(NOTES_BYTES))
            .unwrap_or_default();
        Self {
            interface: lost.interface,
            fragments: lost.fragments,
            held,
            notes: behind.get(..notes).unwrap_or_default(),
        }
    }

    /// Each of them in the order in which they came; of very many, which are short then, the first.
    pub fn each(&self) -> impl Iterator<Item = Piece<'r>> {
        let (held, mut rest) = (self.held, self.notes);
        // One that made the packet too long is noted behind them, and is the caller's.
        std::iter::from_fn(move || {
            let (note, behind) = rest.split_first_chunk::<NOTE>()?;
            let [m0, m1, m2, m3, m4, m5, m6, m7, numbers @ ..] = *note;
            let mark = u64::from_ne_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
            let [block, payload, headers] =
                [0, 2, 4].map(|at| usize::from(u16::from_ne_bytes([numbers[at], numbers[at + 1]])));
            let (headers, behind) = behind.split_at_checked(headers)?;
            rest = behind;
            let begin = HEAD_ROOM + block * 8;
            Some(Piece {
                parts: [headers, held.get(begin..begin + payload)?],
                mark: (mark != 0).then_some(mark),
            })
        })
        .take(self.fragments as usize)
    }
}

/// Notes a fragment behind so many bytes of others, in a slot's `bytes`; gives how many there are then. Where there is no room it is not noted.
pub(crate) fn note(fragment: &Fragment<'_>, link: &[u8], bytes: &mut [u8], notes: usize) -> usize {
    let at = bytes.len().saturating_sub(NOTES_BYTES) + notes;
    let headers = link.len() + fragment.headers.len();
    let length = NOTE + headers;
    let numbers =
        [fragment.offset / 8, fragment.payload.len(), headers].map(|number| u16::try_from(number).ok());
    let (Some(mut place), [Some(block), Some(payload), Some(headers)]) =
        (bytes.get_mut(at..at + length), numbers)
    else {
        return notes;
    };
    let parts: [&[u8]; 6] = [
        &fragment.mark.unwrap_or(0).to_ne_bytes(),
        &block.to_ne_bytes(),
        &payload.to_ne_bytes(),
        &headers.to_ne_bytes(),
        link,
        fragment.headers,
    ];
    for part in parts {
        let Some((now, rest)) = place.split_at_mut_checked(part.len()) else {
            break;
        };
        now.copy_from_slice(part);
        place = rest;
    }
    notes + length
}
