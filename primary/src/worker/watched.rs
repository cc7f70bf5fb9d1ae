//! Router alerts that stay on their link, as tools see them that watch: MLD and IGMP. No tool decides about these, since none
//! may send them on.

use control::message::PuntClass;
use dpdk::MbufBatch;
use router_alert::alert::{self, Settings};
use shm::DropReason;

use super::Engine;
use crate::adjacency;
use crate::path::{BURST, Disposition, Note};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Copies what of a burst is for a group of its link and has a router alert to the tools that watch.
    #[cold]
    pub(super) fn show_local(
        &mut self,
        port: u16,
        batch: &MbufBatch<BURST>,
        notes: &[Note; BURST],
        now: u64,
    ) {
        for (mbuf, note) in batch.iter().zip(notes) {
            let stays = matches!(
                note.disposition,
                Disposition::Drop(
                    DropReason::Ip4Multicast | DropReason::Ip6Multicast | DropReason::LocalUnhandled
                ) | Disposition::Kernel(_)
            );
            let packet = mbuf.data().get(note.link_len()..).unwrap_or_default();
            if stays
                && is_to_group(packet)
                && matches!(alert::find(packet, &Settings::default()), Ok(Some(_)))
            {
                let ingress = note.sub_interface().unwrap_or(port);
                self.consumers
                    .show(PuntClass::RouterAlert, None, ingress, mbuf, now);
            }
        }
    }
}

fn is_to_group(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(16).is_some_and(|first| first >> 4 == 0xe),
        Some(6) => packet.get(24) == Some(&0xff),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;

    use super::*;

    #[test]
    fn req_ra_20_a_group_is_told_by_its_address() {
        let four = |to: [u8; 4]| PacketBuilder::ipv4([10, 0, 0, 1].into(), to.into()).udp(1, 2, b"");
        let six =
            |to: &str| PacketBuilder::ipv6("fe80::1".parse().unwrap(), to.parse().unwrap()).udp(1, 2, b"");
        for (packet, expected) in [
            (four([224, 0, 0, 22]), true),
            (four([239, 255, 255, 255]), true),
            (four([240, 0, 0, 1]), false),
            (four([10, 0, 0, 2]), false),
            (six("ff02::16"), true),
            (six("fe80::2"), false),
            (Vec::new(), false),
        ] {
            assert_eq!(is_to_group(&packet), expected, "{packet:02x?}");
        }
    }
}
