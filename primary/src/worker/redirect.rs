//! Redirects beside packets that leave by the interface that they came in by.
//!
//! A host may go on to send here although it was told. So it is told of a destination at most once a second (RFC 4861
//! section 8.2), and besides, redirects are policed together with the ICMP errors of their interface.

use dpdk::Mbuf;
use fib::NextHop;
use packet::ethernet::HEADER_LEN;
use shm::DropReason;

use super::Engine;
use crate::path::{Family, Note};
use crate::{adjacency, flow};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Tells the sender of a packet of its next hop, where that is due, and makes the packet ready to leave.
    #[cold]
    pub(super) fn redirect(
        &mut self,
        interface: u16,
        next_hop: NextHop,
        mbuf: &mut Mbuf,
        note: &Note,
        now: u64,
    ) -> Result<(), DropReason> {
        let begin = usize::from(note.trim);
        let packet = mbuf.data().get(begin + HEADER_LEN..).unwrap_or_default();
        let addresses = match note.family() {
            Family::Four => packet.get(12..20),
            Family::Six => packet.get(8..40),
        };
        if addresses.is_some_and(|addresses| self.told.is_first(addresses, now)) {
            if mbuf.segment_count() == 1 {
                let frame = mbuf.data().get(begin..).unwrap_or_default();
                self.tell_better(interface, next_hop, frame, note.family(), now);
            } else {
                // What is quoted may lie in several.
                let mut buffer = std::mem::take(&mut self.buffer);
                let length = mbuf.copy_to(&mut buffer);
                let frame = buffer.get(begin..length).unwrap_or_default();
                self.tell_better(interface, next_hop, frame, note.family(), now);
                self.buffer = buffer;
            }
        }
        let frame = mbuf.data_mut().get_mut(begin..).unwrap_or_default();
        self.stages.complete(interface, frame, note)
    }

    fn tell_better(&mut self, interface: u16, next_hop: NextHop, frame: &[u8], family: Family, now: u64) {
        let redirect = self.policed(interface, now, |stages| {
            stages.redirect_for(interface, next_hop, frame, family)
        });
        if let Some(redirect) = redirect {
            self.send_copy(interface, frame, &redirect);
        }
    }
}

/// Words of the set of those who were told.
const WORDS: usize = 64;

/// The sources and destinations of a second of which it was looked into whether a redirect is due: a bit for many of them, and each
/// second other ones that share it.
pub(super) struct Told {
    bits: [u64; WORDS],
    seed: u32,
    until: u64,
    tsc_hz: u64,
}

impl Told {
    /// Nobody.
    pub(super) fn new(tsc_hz: u64) -> Self {
        Self {
            bits: [0; WORDS],
            seed: 0,
            until: 0,
            tsc_hz,
        }
    }

    /// Whether these addresses, as they stand in a header, are the first of their bit in this second.
    fn is_first(&mut self, addresses: &[u8], now: u64) -> bool {
        if now >= self.until {
            self.until = now.saturating_add(self.tsc_hz);
            self.seed = self.seed.wrapping_add(1);
            self.bits = [0; WORDS];
        }
        let number = flow::pair(self.seed, addresses) as usize;
        let (word, bit) = (number / 64 % WORDS, 1 << (number % 64));
        let is_first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 1000;

    fn pair(last: u16) -> [u8; 8] {
        let [high, low] = last.to_be_bytes();
        [192, 0, 2, 1, 10, 0, high, low]
    }

    #[test]
    fn a_pair_is_told_once_a_second() {
        let mut told = Told::new(HZ);
        let times = (5000..5000 + 3 * HZ).filter(|now| told.is_first(&pair(1), *now));
        assert_eq!(times.collect::<Vec<_>>(), [5000, 5000 + HZ, 5000 + 2 * HZ]);
    }

    #[test]
    fn most_pairs_do_not_stand_in_the_way_of_each_other() {
        let mut told = Told::new(HZ);
        let first = (0..400).filter(|last| told.is_first(&pair(*last), 5000)).count();
        // Of 400 in 4096 places 19 meet another.
        assert!((360..400).contains(&first), "{first}");
    }

    #[test]
    fn who_shares_a_bit_does_so_for_a_second_only() {
        let mut told = Told::new(HZ);
        let mut left: Vec<u16> = (0..400).collect();
        for second in 0..6 {
            let now = 5000 + second * HZ;
            // Those who were told already come first each time, as many packets as they send.
            for last in (0..400).filter(|last| !left.contains(last)).collect::<Vec<_>>() {
                told.is_first(&pair(last), now);
            }
            left.retain(|last| !told.is_first(&pair(*last), now));
        }
        assert!(left.is_empty(), "{left:?}");
    }
}
