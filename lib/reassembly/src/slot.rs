//! One packet that is being put together.
//!
//! ```text
//!   bytes of a slot   │ … link header, headers of the first fragment │ payload, each byte at its offset │ notes of each
//!                     0                                        HEAD_ROOM
//!   blocks of 8       have:   1 1 1 0 0 1 1 …      which are there
//!                     starts: 1 0 1 0 0 1 0 …      where a fragment began: so a copy is told from an overlap
//! ```

use packet::fragment::FRAGMENT_HEADER_LEN;
use packet::{ipv4, ipv6};

use crate::fragment::{Fragment, Key, MAX_LEN};
use crate::given_up::{self, NOTES_BYTES};

/// The longest headers of a first fragment.
pub(crate) const HEADERS_ROOM: usize = 256;
/// The longest link header: Ethernet with two tags.
const LINK_ROOM: usize = 22;
/// Where the payload begins.
pub(crate) const HEAD_ROOM: usize = (LINK_ROOM + HEADERS_ROOM).next_multiple_of(64);
/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = HEAD_ROOM + MAX_LEN + 1 + NOTES_BYTES;

/// A bit for each block of 8 bytes.
const WORDS: usize = (MAX_LEN + 1) / 8 / 64;

#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) state: State,
    pub(crate) key: Key,
    /// Number of the interface that the first to come came in by.
    pub(crate) interface: u16,
    /// When that was.
    pub(crate) since: u64,
    /// Fragments that are in it.
    pub(crate) fragments: u32,
    /// Bytes of the longest of them, with its headers.
    pub(crate) longest: u16,
    have: [u64; WORDS],
    starts: [u64; WORDS],
    /// Blocks that are there.
    blocks: usize,
    /// The block behind the last of them.
    beyond: usize,
    /// Bytes of the whole payload, once the last fragment has come.
    end: Option<usize>,
    first: Option<First>,
    /// Bytes of notes.
    pub(crate) notes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// Waits for more.
    Open,
    /// Its fragments overlapped: what still comes of it is not taken (RFC 5722 §4).
    Refused,
}

/// What is known of the fragment with offset 0.
#[derive(Clone, Copy)]
struct First {
    /// By which it came.
    interface: u16,
    link_len: usize,
    headers_len: usize,
    payload_len: usize,
    named_at: usize,
}

/// What a fragment is beside those that are there.
pub(crate) enum Placed {
    Taken,
    /// It is there already, byte for byte.
    Copy,
    /// It overlaps another, or they differ over where the packet ends.
    Contradiction,
}

impl Slot {
    pub(crate) fn new(key: Key, interface: u16, since: u64) -> Self {
        Self {
            state: State::Open,
            key,
            interface,
            since,
            fragments: 0,
            longest: 0,
            have: [0; WORDS],
            starts: [0; WORDS],
            blocks: 0,
            beyond: 0,
            end: None,
            first: None,
            notes: 0,
        }
    }

    /// Makes it that of another packet. Only what was used of it is cleared: most packets are far from the longest.
    pub(crate) fn reset(&mut self, key: Key, interface: u16, since: u64) {
        let used = self.beyond.div_ceil(64).min(WORDS);
        for bits in [&mut self.have, &mut self.starts] {
            if let Some(words) = bits.get_mut(..used) {
                words.fill(0);
            }
        }
        self.state = State::Open;
        (self.key, self.interface, self.since) = (key, interface, since);
        (self.fragments, self.blocks, self.beyond) = (0, 0, 0);
        self.longest = 0;
        (self.end, self.first, self.notes) = (None, None, 0);
    }

    /// Takes a fragment that came by `interface`, `link` in front of it.
    pub(crate) fn place(
        &mut self,
        fragment: &Fragment<'_>,
        link: &[u8],
        interface: u16,
        bytes: &mut [u8],
    ) -> Placed {
        let (from, to) = (fragment.offset / 8, fragment.end().div_ceil(8));
        let Some(place) = bytes.get_mut(HEAD_ROOM + fragment.offset..HEAD_ROOM + fragment.end()) else {
            return Placed::Contradiction;
        };
        let held = (from..to).filter(|block| get(&self.have, *block)).count();
        if held > 0 {
            let same =
                held == to - from && self.was_one_fragment(from, to, fragment) && place == fragment.payload;
            return if same { Placed::Copy } else { Placed::Contradiction };
        }
        let contradicts = match self.end {
            Some(end) => !fragment.more || fragment.end() > end,
            None => !fragment.more && self.beyond > to,
        };
        if contradicts {
            return Placed::Contradiction;
        }
        place.copy_from_slice(fragment.payload);
        for block in from..to {
            set(&mut self.have, block);
        }
        set(&mut self.starts, from);
        self.blocks += to - from;
        self.beyond = self.beyond.max(to);
        self.fragments += 1;
        let length = fragment.headers.len() + fragment.payload.len();
        self.longest = self.longest.max(u16::try_from(length).unwrap_or(u16::MAX));
        if !fragment.more {
            self.end = Some(fragment.end());
        }
        let link = link.get(..LINK_ROOM).unwrap_or(link);
        if fragment.offset == 0 {
            self.keep_headers(fragment, link, interface, bytes);
        }
        self.notes = given_up::note(fragment, link, bytes, self.notes);
        Placed::Taken
    }

    /// Whether the blocks, all of which are there, came in one fragment that was followed by others if this one is.
    fn was_one_fragment(&self, from: usize, to: usize, fragment: &Fragment<'_>) -> bool {
        let one = get(&self.starts, from) && !(from + 1..to).any(|block| get(&self.starts, block));
        let ends_here = get(&self.starts, to) || !get(&self.have, to);
        // By blocks: the last fragment may end within one, and what is behind it there is nobody's.
        let last = self.end.filter(|end| end.div_ceil(8) == to);
        let same_end = last.map_or(fragment.more, |end| !fragment.more && end == fragment.end());
        one && ends_here && same_end
    }

    fn keep_headers(&mut self, fragment: &Fragment<'_>, link: &[u8], interface: u16, bytes: &mut [u8]) {
        let headers_at = HEAD_ROOM - fragment.headers.len();
        for (at, part) in [(headers_at - link.len(), link), (headers_at, fragment.headers)] {
            if let Some(place) = bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        self.first = Some(First {
            interface,
            link_len: link.len(),
            headers_len: fragment.headers.len(),
            payload_len: fragment.payload.len(),
            named_at: fragment.named_at,
        });
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.blocks == end.div_ceil(8))
    }

    /// By which interface the first fragment came, if it did, and as what: link header in front.
    pub(crate) fn first_frame<'b>(&self, bytes: &'b [u8]) -> Option<(u16, &'b [u8])> {
        let first = self.first?;
        let begin = HEAD_ROOM - first.headers_len - first.link_len;
        let frame = bytes.get(begin..HEAD_ROOM + first.payload_len)?;
        Some((first.interface, frame))
    }

    /// Makes one packet of what is there: where it begins in `bytes`, the bytes of its link header, and where it ends. `None`
    /// if it would be too long.
    pub(crate) fn join(&self, bytes: &mut [u8]) -> Option<Joined> {
        let (first, end) = (self.first?, self.end?);
        let headers_at = HEAD_ROOM - first.headers_len;
        let begin = headers_at - first.link_len;
        let joined = if self.key.is_v6() {
            // The fragment header goes: RFC 8200 section 4.5.
            let kept = first.headers_len - FRAGMENT_HEADER_LEN;
            let payload_len = u16::try_from(kept - ipv6::HEADER_LEN + end).ok()?;
            let next_header = *bytes.get(headers_at + kept)?;
            *bytes.get_mut(headers_at + first.named_at)? = next_header;
            bytes
                .get_mut(headers_at + 4..headers_at + 6)?
                .copy_from_slice(&payload_len.to_be_bytes());
            bytes.copy_within(begin..headers_at + kept, begin + FRAGMENT_HEADER_LEN);
            begin + FRAGMENT_HEADER_LEN
        } else {
            let total_len = u16::try_from(first.headers_len + end).ok()?;
            ipv4::make_whole(bytes.get_mut(headers_at..HEAD_ROOM)?, total_len);
            begin
        };
        Some(Joined {
            begin: joined,
            interface: first.interface,
            link_len: first.link_len,
            end: HEAD_ROOM + end,
        })
    }
}

/// Where a packet lies that was put together.
pub(crate) struct Joined {
    /// By which its first fragment came.
    pub(crate) interface: u16,
    pub(crate) begin: usize,
    pub(crate) link_len: usize,
    pub(crate) end: usize,
}

fn get(bits: &[u64; WORDS], block: usize) -> bool {
    bits.get(block / 64)
        .is_some_and(|word| word >> (block % 64) & 1 != 0)
}

fn set(bits: &mut [u64; WORDS], block: usize) {
    if let Some(word) = bits.get_mut(block / 64) {
        *word |= 1 << (block % 64);
    }
}
