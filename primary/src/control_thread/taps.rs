//! Taps follow their interfaces; and what is told of the packets that the primary itself hands on.

use std::process;

use control::event::Event;
use control::message::{PuntClass, PuntInfo};
use shm::{DropReason, InterfaceCounter};

use super::Control;
use crate::kernel::TapState;

/// Whether a tap may have to change with this.
pub(super) fn follow(event: &Event) -> bool {
    matches!(
        event,
        Event::Link { .. } | Event::Address { .. } | Event::AddressState { .. }
    )
}

impl Control<'_> {
    /// Brings the taps to what their interfaces are like.
    pub(super) fn sync_taps(&mut self) {
        for interface in self.kernel.interfaces() {
            let (admin_up, link_up) = self.tables.link_state(interface).unwrap_or_default();
            let wanted = TapState {
                admin_up,
                link_up,
                addresses: self.tables.addresses_in_use(interface).collect(),
            };
            self.kernel.sync(interface, &wanted);
        }
    }

    /// All classes of packets that are handed to others.
    pub(super) fn punts(&self) -> Vec<PuntInfo> {
        let mut all = self.attachments.punts();
        for info in all.iter_mut().filter(|info| !info.class.is_for_tools()) {
            self.tell_of_own(info);
        }
        all
    }

    fn tell_of_own(&self, info: &mut PuntInfo) {
        let counters = self.region.counters();
        let interfaces = || 0..self.plan.capacity.interfaces as u16;
        let sum = |counter| -> u64 {
            interfaces()
                .map(|interface| counters.interface(interface, counter))
                .sum()
        };
        let dropped = |reason| -> u64 {
            interfaces()
                .map(|interface| counters.drops(interface, reason))
                .sum()
        };
        let (taken, lost) = match info.class {
            PuntClass::Arp => (
                sum(InterfaceCounter::ArpDelivered),
                dropped(DropReason::ArpPoliced),
            ),
            PuntClass::Nd => (sum(InterfaceCounter::NdDelivered), dropped(DropReason::NdPoliced)),
            _ => (
                sum(InterfaceCounter::TapRxPackets),
                dropped(DropReason::KernelPoliced)
                    + dropped(DropReason::KernelRingFull)
                    + dropped(DropReason::KernelRefused),
            ),
        };
        (info.seen, info.lost) = (taken + lost, lost);
        if info.class != PuntClass::Kernel {
            info.tool = "control thread".to_owned();
            info.pid = process::id().cast_signed();
        } else if !self.kernel.is_empty() {
            info.tool = "kernel".to_owned();
        }
    }
}
