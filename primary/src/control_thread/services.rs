//! Services of the load balancer at run time: what requests change goes to all workers anew, and back here to be freed.

use std::sync::Arc;
use std::time::Duration;

use control::message::{Answer, ControlError, Reply, Service, ServiceId};
use lb::Prepared;

use super::Control;
use super::workers::settle;
use crate::start::{AdjacencyStorage, FibStorage};
use crate::tables::Tables;

impl Control<'_> {
    /// Adds services. However many they are, workers get all of them at once.
    pub(super) fn services_add(&mut self, new: Vec<Service>, now: Duration) -> Answer {
        let ids: Vec<_> = new.iter().map(|service| service.id).collect();
        let added = self.service_change(|tables| tables.services_add(new, now))?;
        ids.into_iter().for_each(|id| self.warn_of_service(id));
        Ok(added)
    }

    /// Changes services, and has workers know.
    pub(super) fn service_change(
        &mut self,
        change: impl FnOnce(&mut Tables<FibStorage, AdjacencyStorage>) -> Result<(), ControlError>,
    ) -> Answer {
        change(&mut self.tables)?;
        self.settle_services();
        Ok(Reply::Done)
    }

    /// Says so if nobody will be told by the gateway where the address of a service is.
    pub(super) fn warn_of_service(&self, id: ServiceId) {
        if !self.tables.has_address(id.address) {
            tracing::warn!(
                target: "service",
                "{id}: {} is no address of this gateway: give an interface the address, or have others route it here",
                id.address
            );
        }
    }

    /// Gives workers the services that there are by now, if they have changed, and frees what they have handed back. Gives whether they
    /// go by them.
    pub(super) fn tell_services(&mut self) -> bool {
        if let Some(config) = self.tables.take_service_news() {
            let prepared = Prepared::new(Arc::new(config), self.balancers.len());
            for worker in &mut self.balancers {
                worker.configure(prepared.clone());
            }
        }
        self.balancers
            .iter_mut()
            .fold(true, |all, worker| worker.serve() & all)
    }

    /// As [`tell_services`](Self::tell_services), and waits until workers go by it: who is answered may count on it.
    pub(super) fn settle_services(&mut self) {
        settle(|| self.tell_services());
    }
}
