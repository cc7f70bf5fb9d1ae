//! Sub-interfaces come and go at run time.

use std::time::{Duration, Instant};

use control::message::{Answer, CaptureInterface, ControlError, ErrorCode, Reply};

use super::Control;
use crate::attachments::AttachmentInterface;
use crate::config::{HopByHop, RouterAlert};
use crate::path::{InterfaceView, OptionPolicy};
use crate::start::{AdjacencyStorage, FibStorage};
use crate::tables::{NewSubInterface, Tables};

/// How long workers have to let go of a deleted interface before another can take its place. They sleep for less than a
/// millisecond.
const PATIENCE: Duration = Duration::from_millis(100);

impl Control<'_> {
    pub(super) fn link_add(&mut self, new: &NewSubInterface) -> Answer {
        self.let_go()?;
        // What the last request took out of use may be needed now.
        self.tables.reclaim(&self.quiescence);
        let index = self.tables.add_sub_interface(new)?;
        let Some(view) = sub_interface_view(&self.tables, index, |port| self.interfaces.get(port)) else {
            return Err(ControlError::new(ErrorCode::Failed, "the interface has no port"));
        };
        self.interfaces.set(index, view);
        self.traces
            .name_interface(index, self.tables.interface_name(index));
        self.attachments
            .extend_interfaces(attachment_interface(&self.tables, index));
        self.counters.clear(index);
        self.tell_workers(Some(index));
        Ok(Reply::Done)
    }

    pub(super) fn link_delete(&mut self, name: &str, now: Duration) -> Answer {
        self.let_go()?;
        self.refuse_tapped(name)?;
        for index in self.tables.delete_sub_interface(name, now)? {
            // What it still has to say, such as that its addresses are gone, is said before its tags are.
            self.perform();
            self.interfaces.remove(index);
            self.attachments.remove_interface(index);
        }
        self.tell_workers(None);
        Ok(Reply::Done)
    }

    /// Has workers send redirects to an interface, or none.
    pub(super) fn set_redirects(&mut self, name: &str, on: bool) -> Result<(), ControlError> {
        self.change_view(name, |view| view.redirects = on)
    }

    /// Has workers make this of the options of what comes in by an interface.
    pub(super) fn set_options(&mut self, name: &str, options: OptionPolicy) -> Result<(), ControlError> {
        self.change_view(name, |view| view.options = options)
    }

    /// Changes what workers know of an interface.
    fn change_view(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut InterfaceView),
    ) -> Result<(), ControlError> {
        self.let_go()?;
        let index = self.tables.interface_index(name)?;
        if let Some(mut view) = self.interfaces.get(usize::from(index)).cloned() {
            change(&mut view);
            self.interfaces.set(index, view);
            self.tell_workers(None);
        }
        Ok(())
    }

    /// Has workers make something else of options, by all interfaces.
    pub(super) fn set_router_alert(&mut self, router_alert: &RouterAlert) -> Result<(), ControlError> {
        self.let_go()?;
        for index in 0..=u16::MAX {
            let Some(mut view) = self.interfaces.get(usize::from(index)).cloned() else {
                break;
            };
            view.options = router_alert.on(HopByHop::of(&view.options));
            self.interfaces.set(index, view);
        }
        self.tell_workers(None);
        Ok(())
    }

    /// What becomes of the hop-by-hop headers of what comes in by an interface.
    pub(super) fn hop_by_hop(&self, index: u16) -> HopByHop {
        let view = self.interfaces.get(usize::from(index));
        view.map_or_else(HopByHop::default, |view| HopByHop::of(&view.options))
    }

    /// Whether redirects are sent to an interface.
    pub(super) fn redirects(&self, index: u16) -> bool {
        self.interfaces
            .get(usize::from(index))
            .is_some_and(|view| view.redirects)
    }

    /// Fails if the sub-interface or one made on it has a tap: those are made at the start.
    fn refuse_tapped(&self, name: &str) -> Result<(), ControlError> {
        let index = self.tables.interface_index(name)?;
        let mut tapped = self.kernel.interfaces().into_iter();
        let on_it = |tap: &u16| self.interfaces.chain(*tap).any(|(level, _)| level == index);
        match tapped.find(on_it) {
            None => Ok(()),
            Some(tap) => Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "{} has a tap, which stays while the primary runs: set it down instead",
                    self.tables.interface_name(tap)
                ),
            )),
        }
    }

    /// Makes the indices of deleted interfaces free, once all workers have taken all changes.
    pub(super) fn let_go(&mut self) -> Result<(), ControlError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let under_way: usize = self.links.iter_mut().map(|worker| worker.collect()).sum();
            if under_way == 0 {
                self.tables.free_indices();
                return Ok(());
            }
            if Instant::now() >= until {
                let room = self.links.iter_mut().all(|worker| worker.has_room());
                if room && !self.tables.has_deleted_interfaces() {
                    return Ok(());
                }
                return Err(ControlError::new(
                    ErrorCode::Failed,
                    "a worker has not taken the last change of interfaces yet: try again in a moment",
                ));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    pub(super) fn tell_workers(&mut self, new: Option<u16>) {
        for worker in &mut self.links {
            worker.tell(self.interfaces.clone(), new);
        }
        // Their names may mean others now.
        self.alert_rules.change([]);
        self.tell_alert_rules();
    }
}

/// A sub-interface as tools see it that take packets.
pub fn attachment_interface(
    tables: &Tables<FibStorage, AdjacencyStorage>,
    index: u16,
) -> Option<AttachmentInterface> {
    let sub = tables.sub_interface(index)?;
    let tag = sub.tags.inner().or(sub.tags.outer())?;
    Some(AttachmentInterface {
        interface: CaptureInterface {
            index,
            name: tables.interface_name(index).to_owned(),
            device: format!("VLAN {}", tag.vid()),
            mac: tables.interface_mac(index)?,
            speed_mbps: 0,
        },
        mtu: tables.interface_mtu(index)?,
        is_port: false,
    })
}

/// A worker's view of a sub-interface as they are unless more is said, without a tap, with redirects, and without a look at
/// hop-by-hop headers, on ports whose views `port` knows.
pub fn sub_interface_view<'v>(
    tables: &Tables<FibStorage, AdjacencyStorage>,
    index: u16,
    port: impl FnOnce(usize) -> Option<&'v InterfaceView>,
) -> Option<InterfaceView> {
    let sub = tables.sub_interface(index)?;
    let port = port(usize::from(sub.port))?;
    Some(InterfaceView {
        mtu: tables.interface_mtu(index)?,
        up: tables.up_flag(index)?,
        sources: tables.sources(index)?,
        tap: false,
        redirects: true,
        options: port.options.with_hop_by_hop(false),
        sub: Some(sub),
        ..port.clone()
    })
}
