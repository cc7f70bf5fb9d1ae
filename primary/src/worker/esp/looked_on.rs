//! What is written down of traced packets that an SA opens or seals.

use dpdk::MbufBatch;
use esp::{Header, Opening};
use packet::ethernet::HEADER_LEN;
use shm::{DropReason, PathStage};

use super::super::Engine;
use crate::adjacency;
use crate::ipsec::{InboundSa, OutboundSa};
use crate::path::BURST;
use crate::trace::Protection;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Of packets that an SA has just opened, or not.
    #[cold]
    pub(super) fn see_opened(
        &mut self,
        sa: &InboundSa,
        batch: &MbufBatch<BURST>,
        openings: &[Option<Opening>; BURST],
        refused: &[Option<DropReason>; BURST],
    ) {
        for (((mbuf, arrived), opening), refused) in batch.iter().zip(&sa.arrived).zip(openings).zip(refused)
        {
            let Some(followed) = self.following.get_mut(mbuf) else {
                continue;
            };
            let known = opening.map(|opening| opening.sequence().get());
            // Where it came to no opening its header is still there.
            let header = || Header::parse(mbuf.data().get(usize::from(arrived.at)..)?).ok();
            let protection = Protection {
                spi: sa.id.spi,
                sequence: known.or_else(|| header().map(|header| header.sequence_low.into())),
                transform: sa.transform,
                refused: *refused,
            };
            match refused {
                None => followed.protection = Some((dpdk::tsc(), protection)),
                Some(reason) => {
                    let at = PathStage::Released;
                    self.lose_followed(mbuf, sa.tunnel, at, *reason, Some(protection));
                }
            }
        }
    }

    /// Of packets that an SA has just sealed, or not.
    #[cold]
    pub(super) fn see_sealed(
        &mut self,
        sa: &OutboundSa,
        batch: &MbufBatch<BURST>,
        refused: &[Option<DropReason>; BURST],
    ) {
        for (mbuf, refused) in batch.iter().zip(refused) {
            let Some(followed) = self.following.get_mut(mbuf) else {
                continue;
            };
            let esp = mbuf.data().get(HEADER_LEN + sa.outer.len()..).unwrap_or_default();
            let header = Header::parse(esp).ok().filter(|_| refused.is_none());
            let last = sa.esp.sequence().last();
            let protection = Protection {
                spi: sa.id.spi,
                sequence: header.map(|header| whole_sequence(header.sequence_low, last)),
                transform: sa.transform,
                refused: *refused,
            };
            match refused {
                None => followed.protection = Some((dpdk::tsc(), protection)),
                Some(reason) => {
                    let at = PathStage::Encapsulated;
                    self.lose_followed(mbuf, sa.tunnel, at, *reason, Some(protection));
                }
            }
        }
    }
}

/// The number with this low half that was given last, `last` being the last of all.
fn whole_sequence(low: u32, last: u64) -> u64 {
    last - u64::from((last as u32).wrapping_sub(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_half_of_a_number_is_that_of_the_last_or_the_one_before() {
        for (low, last, whole) in [
            (7, 7, 7),
            (5, 7, 5),
            (2, 0x1_0000_0002, 0x1_0000_0002),
            (u32::MAX, 0x1_0000_0002, 0xffff_ffff),
            (u32::MAX, 0x5_0000_0000, 0x4_ffff_ffff),
        ] {
            assert_eq!(whole_sequence(low, last), whole, "{low:#x} before {last:#x}");
        }
    }
}
