//! Tunnels come, change and go at run time.

use std::sync::Arc;
use std::time::Duration;

use control::message::{Answer, CaptureInterface, ControlError, ErrorCode, Reply, Tunnel, TunnelChange};
use packet::MacAddress;

use super::Control;
use crate::attachments::AttachmentInterface;
use crate::path::{InterfaceView, OptionPolicy, TunnelView};
use crate::start::{AdjacencyStorage, FibStorage};
use crate::tables::Tables;

impl Control<'_> {
    pub(super) fn tunnel_add(&mut self, new: &Tunnel) -> Answer {
        self.let_go()?;
        // What the last request took out of use may be needed now.
        self.tables.reclaim(&self.quiescence);
        let index = self.tables.add_tunnel(new)?;
        // What is made of router alerts is the same everywhere, and the first interface is always there.
        let first = self.interfaces.get(0);
        let options = first.map_or_else(OptionPolicy::default, |view| view.options.with_hop_by_hop(false));
        // What had this index before was another tunnel, whatever its ends.
        self.show_tunnel(index, options, None)?;
        self.traces
            .name_interface(index, self.tables.interface_name(index));
        self.counters.clear(index);
        self.tell_workers(Some(index));
        Ok(Reply::Done)
    }

    pub(super) fn tunnel_set(&mut self, name: &str, change: &TunnelChange, now: Duration) -> Answer {
        self.let_go()?;
        let index = self.tables.set_tunnel(name, change, now)?;
        let view = self.interfaces.get(usize::from(index));
        let options = view.map_or_else(OptionPolicy::default, |view| view.options);
        let before = view.and_then(|view| view.tunnel.clone());
        self.attachments.remove_interface(index);
        self.show_tunnel(index, options, before.as_deref())?;
        self.tell_workers(None);
        self.tell_outer(index, now);
        Ok(Reply::Done)
    }

    pub(super) fn tunnel_delete(&mut self, name: &str, now: Duration) -> Answer {
        self.let_go()?;
        let index = self.tables.delete_tunnel(name, now)?;
        // What it still has to say, such as that its addresses are gone, is said before it is.
        self.perform();
        self.interfaces.remove(index);
        self.attachments.remove_interface(index);
        self.tell_workers(None);
        Ok(Reply::Done)
    }

    /// Has workers and tools that take packets see a tunnel as it is now, which was seen like that `before`, if it was there. Workers are yet
    /// to be told.
    fn show_tunnel(
        &mut self,
        index: u16,
        options: OptionPolicy,
        before: Option<&TunnelView>,
    ) -> Result<(), ControlError> {
        let Some(view) = tunnel_view(&self.tables, index, options, before) else {
            return Err(ControlError::new(ErrorCode::Failed, "the interface is no tunnel"));
        };
        self.interfaces.set(index, view);
        self.attachments
            .extend_interfaces(attachment_tunnel(&self.tables, index));
        Ok(())
    }
}

/// A tunnel as tools see it that take packets.
pub fn attachment_tunnel(
    tables: &Tables<FibStorage, AdjacencyStorage>,
    index: u16,
) -> Option<AttachmentInterface> {
    let tunnel = tables.tunnel(index)?;
    Some(AttachmentInterface {
        interface: CaptureInterface {
            index,
            name: tunnel.name.clone(),
            device: format!("{} to {}", tunnel.mode.name(), tunnel.remote),
            mac: MacAddress::ZERO,
            speed_mbps: 0,
        },
        mtu: tables.interface_mtu(index)?,
        is_port: false,
    })
}

/// A worker's view of a tunnel, which was seen like that `before`, if it was. Nobody behind it has a MAC address that a redirect could be about.
pub fn tunnel_view(
    tables: &Tables<FibStorage, AdjacencyStorage>,
    index: u16,
    options: OptionPolicy,
    before: Option<&TunnelView>,
) -> Option<InterfaceView> {
    let tunnel = tables.tunnel(index)?;
    let addressed = tables.unnumbered(index).unwrap_or(index);
    Some(InterfaceView {
        mac: MacAddress::ZERO,
        mtu: tables.interface_mtu(index)?,
        kernel_device: false,
        tap: false,
        redirects: false,
        options,
        up: tables.up_flag(index)?,
        sources: tables.sources(addressed)?,
        any_tpid: false,
        sub: None,
        tunnel: Some(Arc::new(match before {
            Some(before) => before.changed(tunnel),
            None => TunnelView::new(tunnel),
        })),
    })
}
