//! Requests of tools, each answered at once.

use std::time::Duration;

use control::message::{Answer, ControlError, ErrorCode, MemoryUse, Reply, Request};
use fib::{GROUP_ENTRIES, TBL24_ENTRIES};
use shm::records::RouteProtocol;

use super::Control;
use crate::adjacency;
use crate::tables::NewSubInterface;

impl Control<'_> {
    /// Serves the control socket; returns whether a client has more to ask.
    pub(super) fn serve(&mut self, now: Duration) -> bool {
        // The server is lent out for the call, since answering needs everything else.
        let mut server = self.server.take();
        let mut more = false;
        if let Some(server) = &mut server {
            more = server.serve(|peer, request, descriptors| {
                let response = match request {
                    Request::CaptureStart(request) => self
                        .attachments
                        .start_capture(peer, request, &self.interfaces, now)
                        .unwrap_or_else(|error| Err(error).into()),
                    Request::PuntStart(request) => self
                        .start_punt(peer, request, now)
                        .unwrap_or_else(|error| Err(error).into()),
                    Request::AlertRules(rules) => self.set_alert_rules(peer, rules).into(),
                    Request::MemoryHold => self.hold_memory(peer, descriptors).into(),
                    Request::MemoryHeld => self.held_memory(peer).unwrap_or_else(|error| Err(error).into()),
                    Request::CaptureStop => self
                        .attachments
                        .stop_capture(peer.connection)
                        .map(|()| Reply::Done)
                        .into(),
                    Request::ConfigApply { file, dry_run } => {
                        self.apply_config(peer, file, dry_run, descriptors).into()
                    }
                    Request::ConfigShow => self.show_config(peer).into(),
                    Request::ConfigResult => self.config_result(peer),
                    Request::ConnectionShow(filter) => self.show_connections(peer, *filter).into(),
                    Request::ConnectionResult => self.connections_result(peer),
                    request => self.answer(request, now).into(),
                };
                match &response.answer {
                    Ok(_) => tracing::debug!(target: "control", "{} (pid {}): done", peer.tool, peer.pid),
                    Err(error) => {
                        tracing::debug!(target: "control", "{} (pid {}): {error}", peer.tool, peer.pid);
                    }
                }
                response
            });
            let closed = server.take_closed();
            self.attachments.closed(&closed);
            self.reload.closed(&closed);
            self.connections.closed(&closed);
        }
        self.server = server;
        more
    }

    /// Frees attachments that are over and cuts those off that must be.
    pub(super) fn collect_attachments(&mut self) {
        let cut_off = self.attachments.collect();
        for event in self.attachments.take_events() {
            tracing::debug!(target: "event", "{}", event.to_json());
            self.subscribers.tell(&event);
        }
        if let Some(server) = &mut self.server {
            for connection in cut_off {
                server.disconnect(connection);
            }
        }
    }

    fn answer(&mut self, request: Request, now: Duration) -> Answer {
        if request.changes_configuration() {
            self.reload.check_changes()?;
        }
        match request {
            // Answered before, by the server, by the attachments and by those who apply configurations.
            Request::Hello { .. }
            | Request::CaptureStart(_)
            | Request::CaptureStop
            | Request::PuntStart(_)
            | Request::AlertRules(_)
            | Request::MemoryHold
            | Request::MemoryHeld
            | Request::ConfigApply { .. }
            | Request::ConfigShow
            | Request::ConfigResult
            | Request::ConnectionShow(_)
            | Request::ConnectionResult => {
                Err(ControlError::new(ErrorCode::BadRequest, "this was said already"))
            }
            Request::ServiceAdd(services) => self.services_add(services, now),
            Request::ServiceSet { id, change } => {
                self.service_change(|tables| tables.service_set(id, &change, now))
            }
            Request::ServiceDelete(ids) => self.service_change(|tables| tables.services_delete(&ids, now)),
            Request::ServiceFlush => self.service_change(|tables| {
                tables.service_flush(now);
                Ok(())
            }),
            Request::ServerAdd { id, server } => {
                self.service_change(|tables| tables.server_add(id, server, now))
            }
            Request::ServerSet { id, server, change } => {
                self.service_change(|tables| tables.server_set(id, server, change, now))
            }
            Request::ServerDelete { id, server } => {
                self.service_change(|tables| tables.server_delete(id, server, now))
            }
            Request::LocalAdd { id, local } => self.service_change(|tables| tables.local_add(id, local, now)),
            Request::LocalDelete { id, address } => {
                self.service_change(|tables| tables.local_delete(id, address, now))
            }
            Request::WorkerZero => self.workers_zero(),
            Request::ServiceZero(id) => self.tables.service_zero(id).map(|()| Reply::Done),
            Request::ServiceShow { after } => Ok(Reply::Services(self.tables.service_page(after))),
            Request::PuntShow => Ok(Reply::Punts(self.punts())),
            Request::AlertRuleAdd(rule) => self.alert_rule_change(|tables| tables.alert_rule_add(*rule)),
            Request::AlertRuleDelete { name } => {
                self.alert_rule_change(|tables| tables.alert_rule_delete(&name))
            }
            Request::TraceStart(request) => {
                self.traces.start(request, &self.interfaces).map(|()| Reply::Done)
            }
            Request::TraceStop => {
                self.traces.stop();
                Ok(Reply::Done)
            }
            Request::TraceClear => {
                self.traces.clear();
                Ok(Reply::Done)
            }
            Request::TraceShow { after } => Ok(Reply::Traces(self.traces.show(after))),
            Request::CaptureShow => Ok(Reply::Captures(self.attachments.captures(now))),
            Request::RouteAdd { routes, replace } => {
                // What the last request took out of use may be needed now.
                self.tables.reclaim(&self.quiescence);
                self.tables
                    .routes_add(&routes, replace, RouteProtocol::BOOT, now)?;
                Ok(Reply::Done)
            }
            Request::RouteDelete { routes } => {
                self.tables.routes_delete(&routes)?;
                Ok(Reply::Done)
            }
            Request::RouteGet { flow } => Ok(Reply::Route(Box::new(self.tables.route_get(&flow)))),
            Request::AddressAdd { interface, address } => {
                let interface = self.tables.interface_index(&interface)?;
                self.tables.address_add(interface, address, now)?;
                Ok(Reply::Done)
            }
            Request::AddressDelete { interface, address } => {
                let interface = self.tables.interface_index(&interface)?;
                self.tables.address_delete(interface, address, now)?;
                Ok(Reply::Done)
            }
            Request::NeighborAdd {
                interface,
                address,
                mac,
            } => {
                let interface = self.tables.interface_index(&interface)?;
                self.tables.neighbor_add(interface, address, mac, now)?;
                Ok(Reply::Done)
            }
            Request::NeighborDelete { interface, address } => {
                let interface = self.tables.interface_index(&interface)?;
                self.tables.neighbor_delete(interface, address, now)?;
                Ok(Reply::Done)
            }
            Request::LinkSet { interface, up } => self.link_set(&interface, up, now),
            Request::LinkAdd {
                name,
                link,
                protocol,
                id,
                mtu,
            } => self.link_add(&NewSubInterface {
                name,
                link,
                protocol,
                id,
                mtu,
            }),
            Request::LinkDelete { interface } => self.link_delete(&interface, now),
            Request::TunnelAdd(tunnel) => self.tunnel_add(&tunnel),
            Request::TunnelSet { name, change } => self.tunnel_set(&name, &change, now),
            Request::TunnelDelete { name } => self.tunnel_delete(&name, now),
            Request::SaAdd { sas, replace } => self.sa_add(sas, replace, now),
            Request::SaDelete(sas) => self.sa_delete(&sas, now),
            Request::SaFlush => {
                self.sa_flush(now);
                Ok(Reply::Done)
            }
            Request::LogShow => Ok(Reply::Log(self.log.levels())),
            Request::LogSet { module, level } => {
                let set = self.log.set(module.as_deref(), level);
                set.map_err(|error| ControlError::new(ErrorCode::Invalid, error.to_string()))?;
                Ok(Reply::Done)
            }
            Request::MemoryShow => Ok(Reply::Memory(self.memory())),
            Request::Subscribe { server } => {
                let added = self.subscribers.add(self.lock.directory(), server);
                added.map_err(|error| ControlError::new(ErrorCode::Failed, error.to_string()))?;
                Ok(Reply::Done)
            }
        }
    }

    fn link_set(&mut self, interface: &str, up: bool, now: Duration) -> Answer {
        let index = self.tables.interface_index(interface)?;
        self.tables.set_admin(index, up, now);
        Ok(Reply::Done)
    }

    fn memory(&self) -> Vec<MemoryUse> {
        let used = |part: &str, bytes: usize, units: Option<(usize, usize, &str)>| MemoryUse {
            part: part.to_owned(),
            bytes: bytes as u64,
            used: units.map(|(used, _, _)| used as u64),
            capacity: units.map(|(_, capacity, _)| capacity as u64),
            unit: units.map(|(_, _, unit)| unit.to_owned()),
            huge: true,
        };
        let groups = self.plan.tbl8_groups;
        let usage = self.tables.usage();
        let pool = &self.pool_record;
        let (attached, attachments) = self.attachments.usage();
        let (sas, sa_limit, key_bytes) = self.tables.sa_usage();
        vec![
            used("eal", self.plan.memory_mb as usize * 1024 * 1024, None),
            used("fib4_tbl24", TBL24_ENTRIES * 4, None),
            used(
                "fib4_tbl8",
                groups * GROUP_ENTRIES * 4,
                Some((groups - usage.tbl8_groups_free, groups, "groups")),
            ),
            used(
                "fib6",
                self.plan.fib6_words * 8,
                Some((usage.fib6_bytes, self.plan.fib6_words * 8, "bytes")),
            ),
            used(
                "adjacencies",
                self.plan.adjacencies * adjacency::WORDS * 8,
                Some((usage.adjacencies, self.plan.adjacencies, "adjacencies")),
            ),
            used(
                "groups",
                self.plan.groups * adjacency::GROUP_WORDS * 8,
                Some((usage.groups, self.plan.groups, "groups")),
            ),
            used(
                "pool_packets",
                usize::try_from(pool.bytes).unwrap_or(usize::MAX),
                Some((
                    self.buffers_in_use() as usize,
                    pool.buffers as usize,
                    "packet buffers",
                )),
            ),
            used(
                "attachments",
                self.plan.attachments * self.plan.attachment_bytes,
                Some((attached, attachments, "attachments")),
            ),
            used(
                "tables",
                usize::try_from(self.region.bytes()).unwrap_or(usize::MAX),
                None,
            ),
            MemoryUse {
                huge: false,
                ..used("keys", key_bytes, Some((sas, sa_limit, "SAs")))
            },
            MemoryUse {
                huge: false,
                ..used(
                    "connections",
                    self.plan.connection_bytes(),
                    Some((
                        self.tables.connections(),
                        self.plan.connections * self.balancers.len(),
                        "connections",
                    )),
                )
            },
        ]
    }
}
