//! The window of an inbound SA that refuses replayed packets (RFC 4303 §3.4.3, appendix A2), in a ring of words that is never
//! shifted (RFC 6479).
//!
//! ```text
//!               size = 64
//!     bottom ◄─────────────► highest
//!   ──────┼──────────────────┼──────────►  sequence numbers
//!    too  │  taken or not,   │  ahead
//!    old  │  a bit for each  │
//! ```
//!
//! A packet is checked before it is decrypted, and taken only once it is authentic: what is forged moves nothing. The second step
//! looks again, as a copy may have come in between.
//!
//! With ESN the high half of a number is not in the packet. It is the one that makes the number lie from the bottom on and
//! less than 2^32 above it (appendix A2.1), so no number is too old then: an old one is taken for one far ahead, and its ICV is
//! wrong. So an SA with ESN needs a window; one without can do without (§3.4.3), which is a window of 0: every authentic packet is
//! taken then, as often as it comes.

use crate::SequenceNumber;

/// The least size, packets (RFC 4303 §3.4.3).
pub const MIN_WINDOW: u16 = 32;
/// The largest size, packets.
pub const MAX_WINDOW: u16 = 4096;

const WORD_BITS: u64 = 64;

/// The window is smaller or larger than windows are, or there is none where sequence numbers need one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a replay window of {0} packets cannot be had; give 32 to 4096, or 0 to take repeated packets, if there is no ESN"
)]
pub struct WindowSizeError(pub u16);

/// Why a packet is refused for its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It lies below the window.
    #[error("the packet is older than the replay window; where that is often so, a larger window helps")]
    TooOld,
    /// It was taken before, or it is number 0, which nobody sends.
    #[error("a packet with this sequence number was taken before; somebody repeats packets")]
    Replayed,
}

/// Which sequence numbers of an inbound SA were taken.
///
/// ```
/// use esp::{ReplayError, Window};
///
/// let mut window = Window::new(64, false)?;
/// let number = window.check(1)?;
/// // Decrypted, and found authentic:
/// window.take(number)?;
/// assert_eq!(window.check(1), Err(ReplayError::Replayed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Window {
    highest: u64,
    size: u64,
    esn: bool,
    /// A power of two of them, and at least one more than a window of this size can touch: number n has bit n % 64 of word
    /// n / 64, around.
    words: Box<[u64]>,
}

impl Window {
    /// The window of a new SA, `size` packets wide: [`MIN_WINDOW`] to [`MAX_WINDOW`]; 0 refuses no number, and is for SAs without ESN.
    pub fn new(size: u16, esn: bool) -> Result<Window, WindowSizeError> {
        Window::resumed(size, esn, 0)
    }

    /// The window of an SA that has received before, up to and with number `highest`: all that it says is taken.
    pub fn resumed(size: u16, esn: bool, highest: u64) -> Result<Window, WindowSizeError> {
        let off = size == 0 && !esn;
        if !off && !(MIN_WINDOW..=MAX_WINDOW).contains(&size) {
            return Err(WindowSizeError(size));
        }
        let size = u64::from(size);
        // As many words as a window touches that begins at the last bit of one.
        let touched = size.saturating_sub(2) / WORD_BITS + 2;
        // At most 128.
        let count = touched.next_power_of_two() as usize;
        let highest = if esn {
            highest
        } else {
            highest.min(u32::MAX.into())
        };
        // Number 0 is never sent. Nothing above `highest` is looked at before its word is cleared.
        let words = vec![u64::MAX; count].into_boxed_slice();
        let mut window = Window {
            highest,
            size,
            esn,
            words,
        };
        if let Some(word) = window.word_mut(highest) {
            *word >>= WORD_BITS - 1 - highest % WORD_BITS;
        }
        Ok(window)
    }

    /// Whether numbers have 64 bits.
    pub(crate) fn esn(&self) -> bool {
        self.esn
    }

    /// Packets that may be late; 0 if none is ever refused.
    pub fn size(&self) -> u16 {
        // It was made of one.
        self.size as u16
    }

    /// The highest number taken, 0 before the first.
    #[inline]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet with these low 32 bits may be decrypted, and under which number: if it turns out authentic, that is its
    /// number.
    #[inline]
    pub fn check(&self, low: u32) -> Result<SequenceNumber, ReplayError> {
        let number = if self.esn {
            let bottom = self.highest.wrapping_sub(self.size - 1);
            let number = bottom.wrapping_add(low.wrapping_sub(bottom as u32).into());
            // The bottom of a young window is below 0.
            if bottom > self.highest && number >= bottom {
                return Err(ReplayError::TooOld);
            }
            number
        } else {
            low.into()
        };
        self.look(number)?;
        Ok(SequenceNumber(number))
    }

    /// Takes the number that [`Window::check`] gave for a packet that has turned out authentic; refuses it if it was taken or has
    /// become too old since.
    #[inline]
    pub fn take(&mut self, number: SequenceNumber) -> Result<(), ReplayError> {
        let number = number.0;
        self.look(number)?;
        if number > self.highest {
            let (from, to) = (self.highest / WORD_BITS, number / WORD_BITS);
            // Mostly none, else one: a word is cleared when the window enters it.
            let entered = (to - from).min(self.words.len() as u64);
            for word in to - entered + 1..=to {
                if let Some(word) = self.word_mut(word * WORD_BITS) {
                    *word = 0;
                }
            }
            self.highest = number;
        }
        if let Some(word) = self.word_mut(number) {
            *word |= 1 << (number % WORD_BITS);
        }
        Ok(())
    }

    #[inline]
    fn look(&self, number: u64) -> Result<(), ReplayError> {
        if number > self.highest {
            return Ok(());
        }
        if self.highest - number >= self.size {
            // Asked here, where packets in order do not come by.
            return if self.size == 0 {
                Ok(())
            } else {
                Err(ReplayError::TooOld)
            };
        }
        let place = (number / WORD_BITS) as usize & (self.words.len() - 1);
        let word = self.words.get(place).copied().unwrap_or(u64::MAX);
        if word >> (number % WORD_BITS) & 1 != 0 {
            return Err(ReplayError::Replayed);
        }
        Ok(())
    }

    #[inline]
    fn word_mut(&mut self, number: u64) -> Option<&mut u64> {
        let place = (number / WORD_BITS) as usize & (self.words.len() - 1);
        self.words.get_mut(place)
    }
}
