//! Bytes of a packet that may have been cut: by the snapshot length, or by whoever made it.

/// A header and what follows it, as far as it was captured. What is read beyond that is `None`, which ends a description with
/// the mark of something cut.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    captured: &'a [u8],
    /// How many there were on the wire, at least as many as were captured.
    length: usize,
}

impl<'a> Bytes<'a> {
    /// The first bytes of what had `length` bytes.
    pub(super) fn new(captured: &'a [u8], length: usize) -> Self {
        Self {
            captured,
            length: length.max(captured.len()),
        }
    }

    /// How many there were on the wire.
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// Those that were captured.
    pub(super) fn captured(self) -> &'a [u8] {
        self.captured
    }

    /// Without the first `count`.
    pub(super) fn skip(self, count: usize) -> Self {
        Self {
            captured: self.captured.get(count..).unwrap_or_default(),
            length: self.length.saturating_sub(count),
        }
    }

    /// The first `count`: what comes behind them is padding.
    pub(super) fn take(self, count: usize) -> Self {
        Self {
            captured: self.captured.get(..count).unwrap_or(self.captured),
            length: self.length.min(count),
        }
    }

    pub(super) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.captured.get(at..)?.first_chunk().copied()
    }

    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.captured.get(at).copied()
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
}
