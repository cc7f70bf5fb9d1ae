//! What RFC 4303 says of a packet, of its bytes and of what was sealed before.

use esp::{Format, OpenError, Opened, ReplayError};

use crate::wire::esp_open::{read, text, whole};

/// Numbers that are remembered, sealed and taken: more than the largest window has.
pub(super) const REMEMBERED: usize = 8192;

/// A packet as it was sealed.
#[derive(Clone, Debug, Default)]
struct Sealed {
    number: u64,
    packet: Vec<u8>,
    /// The packet up to its ICV before it was encrypted.
    clear: Vec<u8>,
}

/// The receiving end of an SA.
#[derive(Debug)]
pub(super) struct Oracle {
    format: Format,
    size: u64,
    highest: u64,
    /// Number n at place n % `REMEMBERED`.
    taken: Vec<u64>,
    sealed: Vec<Sealed>,
}

fn place(number: u64) -> usize {
    number as usize % REMEMBERED
}

impl Oracle {
    /// All numbers up to `highest` are taken.
    pub(super) fn new(format: Format, size: u16, highest: u64) -> Self {
        let mut taken = vec![u64::MAX; REMEMBERED];
        for number in highest.saturating_sub(REMEMBERED as u64 - 1)..=highest {
            taken[place(number)] = number;
        }
        Self {
            format,
            size: size.into(),
            highest,
            taken,
            sealed: vec![Sealed::default(); REMEMBERED],
        }
    }

    /// The highest number that was taken.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Remembers what was sealed.
    pub(super) fn sealed(&mut self, number: u64, packet: &[u8], clear: &[u8]) {
        let sealed = &mut self.sealed[place(number)];
        sealed.number = number;
        sealed.packet.clear();
        sealed.packet.extend_from_slice(packet);
        sealed.clear.clear();
        sealed.clear.extend_from_slice(clear);
    }

    /// The packet that was sealed under this number, if that is remembered.
    pub(super) fn packet(&self, number: u64) -> Option<&[u8]> {
        let sealed = &self.sealed[place(number)];
        (sealed.number == number && number != 0).then_some(&sealed.packet)
    }

    /// What was in the packet that was sealed under this number before it was encrypted.
    pub(super) fn clear(&self, number: u64) -> &[u8] {
        &self.sealed[place(number)].clear
    }

    /// The number of a packet that may be decrypted. It has at least the 8 bytes of a header.
    pub(super) fn check(&self, packet: &[u8]) -> Result<u64, OpenError> {
        if text(self.format, packet.len()).is_none() {
            return Err(OpenError::Length(packet.len()));
        }
        let low = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let number = whole(self.highest, self.size, self.format.esn(), low).ok_or(ReplayError::TooOld)?;
        self.acceptable(number)?;
        Ok(number)
    }

    fn acceptable(&self, number: u64) -> Result<(), ReplayError> {
        if number > self.highest {
            Ok(())
        } else if self.highest - number >= self.size {
            Err(ReplayError::TooOld)
        } else if number == 0 || self.taken[place(number)] == number {
            Err(ReplayError::Replayed)
        } else {
            Ok(())
        }
    }

    /// What comes of a packet that was found acceptable under this number.
    pub(super) fn finish(&mut self, number: u64, packet: &[u8]) -> Result<Opened, OpenError> {
        if self.packet(number) != Some(packet) {
            return Err(OpenError::Forged);
        }
        self.acceptable(number)?;
        self.taken[place(number)] = number;
        self.highest = self.highest.max(number);
        let clear = self.clear(number);
        read(clear, self.format.head_len()..clear.len())
    }
}
