//! Events: what a primary tells those who subscribed, over ipc-channel.
//!
//! The primary only sends. A tool makes a one-shot server in the instance's `events` directory and names it in
//! [`Request::Subscribe`](crate::message::Request::Subscribe). Each subscriber has a thread and a bounded queue in the
//! primary: one that does not read fills its queue and is cut off, and nobody waits for it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver, IpcSender};
use packet::MacAddress;
use serde::{Deserialize, Serialize};

use crate::instance::InstanceDir;
use crate::message::{AlertOrigin, PuntClass, Route, SaChange, Tunnel};

/// Events that wait for a subscriber before it is cut off.
pub const QUEUE: usize = 64;
/// How long a tool waits for the primary to connect to its event server.
pub const CONNECT: Duration = Duration::from_secs(5);
/// The most subscribers at a time.
pub const SUBSCRIBERS: usize = 16;

/// Something that happened. The JSON form names it in `event` and has its fields beside that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first event of every subscription: from here on nothing is missed.
    Subscribed {
        /// Name of the instance.
        instance: String,
    },
    /// An interface was set up or down, or its link came or went.
    Link {
        /// Name of the interface.
        interface: String,
        /// Set up by the operator.
        admin_up: bool,
        /// Carries packets.
        link_up: bool,
    },
    /// A sub-interface or a tunnel was deleted, and with it its addresses and routes.
    LinkDeleted {
        /// Name of the interface.
        interface: String,
    },
    /// A neighbour's state or MAC address changed.
    Neighbor {
        /// Name of the interface.
        interface: String,
        /// Its address.
        address: IpAddr,
        /// Its MAC address, once it has answered.
        mac: Option<MacAddress>,
        /// The new state, or `deleted`.
        state: String,
    },
    /// A route was added or changed by request.
    RouteAdded {
        /// The route.
        route: Route,
    },
    /// A route was deleted by request.
    RouteDeleted {
        /// Its prefix.
        prefix: ipnet::IpNet,
        /// Its metric.
        metric: u32,
    },
    /// An address came or went.
    Address {
        /// Name of the interface.
        interface: String,
        /// Address and prefix length.
        address: ipnet::IpNet,
        /// Whether it came.
        added: bool,
    },
    /// An IPv6 address was looked for on its link, RFC 4862 section 5.4.
    AddressState {
        /// Name of the interface.
        interface: String,
        /// Address and prefix length.
        address: ipnet::IpNet,
        /// The new state, as `addr show` names it.
        state: String,
    },
    /// An interface gets packets that only hardware offloads could have finished.
    Offload {
        /// Name of the interface.
        interface: String,
        /// What was seen and what to type against it.
        advice: String,
    },
    /// Rules for router alerts were made, changed or deleted by one request.
    AlertRules {
        /// Whose they are.
        origin: AlertOrigin,
        /// Names of those that are new, or other than they were.
        added: Vec<String>,
        /// Names of those that are no more.
        deleted: Vec<String>,
    },
    /// What happened to SAs during a tenth of a second, in order: with one event for each, thousands that are installed at a time
    /// would cut off every subscriber.
    Sas {
        /// One or more.
        changes: Vec<SaChange>,
    },
    /// A tool that decides about packets, or watches them, came or went.
    Listener {
        /// As it calls itself.
        tool: String,
        /// Its process.
        pid: i32,
        /// Whose packets.
        classes: Vec<PuntClass>,
        /// Whether it only watches.
        observes: bool,
        /// Whether it came.
        came: bool,
    },
    /// The primary ends.
    Stopping,
    /// A tunnel was made or changed.
    Tunnel {
        /// As it is now.
        tunnel: Tunnel,
    },
    /// Packets were to leave by these tunnels that ESP protects, and were dropped, since there is no SA to send them by: who negotiates SAs may
    /// make some, RFC 4301 section 4.4.1.1. Told once a second at most of each tunnel, by each worker.
    Acquire {
        /// Names of the tunnels.
        tunnels: Vec<String>,
    },
    /// An ESP packet came for an address of the gateway, by an SPI that is that of no SA. Told once a second at most, by each
    /// worker.
    UnknownSpi {
        /// The SPI.
        spi: u32,
        /// Where it came from.
        source: IpAddr,
        /// Where it went.
        destination: IpAddr,
    },
    /// Packets of an SA that come in UDP come from another address or port than before, and are authentic: an address translation has changed,
    /// or the other end has moved, RFC 7296 section 2.23. What is sent goes where it went. Told once a second at most of each SA.
    SaMoved {
        /// The SPI.
        spi: u32,
        /// Where its packets go.
        destination: IpAddr,
        /// The tunnel whose packets it protects.
        tunnel: Option<String>,
        /// Where they came from before.
        from: SocketAddr,
        /// Where they come from.
        to: SocketAddr,
    },
    /// A tunnel has learned that its path takes no longer packets than this, for ten minutes.
    PathMtu {
        /// Name of the tunnel.
        tunnel: String,
        /// Longest packet inside, bytes.
        inner: u16,
        /// Longest outer packet, bytes.
        outer: u16,
    },
}

impl Event {
    /// One flat JSON object: the name under `event`, then the fields.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => {
                object.insert("event".into(), name.into());
            }
            Ok(serde_json::Value::Object(tagged)) => {
                for (name, fields) in tagged {
                    object.insert("event".into(), name.into());
                    if let serde_json::Value::Object(fields) = fields {
                        object.extend(fields);
                    }
                }
            }
            // Every event serialises to one of the two.
            _ => {}
        }
        serde_json::Value::Object(object)
    }
}

/// The primary's side: everyone who subscribed.
#[derive(Default)]
pub struct Subscribers {
    queues: Vec<SyncSender<Event>>,
    threads: Arc<AtomicUsize>,
}

/// Why a subscription was refused.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The server named lies elsewhere.
    #[error("the event server {server} does not lie in {directory}")]
    Elsewhere {
        /// What was named.
        server: String,
        /// Where it must lie.
        directory: String,
    },
    /// Too many.
    #[error("{SUBSCRIBERS} tools are subscribed already, and no more are served: end one of them")]
    Full,
    /// No thread could be made.
    #[error("cannot start a thread for the subscription: {0}")]
    Thread(io::Error),
}

impl Subscribers {
    /// Starts to send events to the one-shot server at `server`, beginning with [`Event::Subscribed`].
    pub fn add(&mut self, directory: &InstanceDir, server: String) -> Result<(), SubscribeError> {
        let events = directory.events();
        // Root connects to a path that an ordinary user chose, so it must be where such paths belong.
        let inside = Path::new(&server)
            .canonicalize()
            .is_ok_and(|real| events.canonicalize().is_ok_and(|events| real.starts_with(events)));
        if !inside {
            return Err(SubscribeError::Elsewhere {
                server,
                directory: events.display().to_string(),
            });
        }
        if self.threads.load(Ordering::Relaxed) >= SUBSCRIBERS {
            return Err(SubscribeError::Full);
        }
        let (queue, events) = sync_channel::<Event>(QUEUE);
        let threads = self.threads.clone();
        threads.fetch_add(1, Ordering::Relaxed);
        // A send to a stopped subscriber blocks this thread and no other; it ends when the subscriber does.
        let body = move || {
            if let Ok(sender) = IpcSender::<Event>::connect(server) {
                for event in events {
                    if sender.send(event).is_err() {
                        break;
                    }
                }
            }
            threads.fetch_sub(1, Ordering::Relaxed);
        };
        thread::Builder::new()
            .name("events".into())
            .spawn(body)
            .map_err(SubscribeError::Thread)?;
        // The queue is empty, so this cannot fail.
        drop(queue.try_send(Event::Subscribed {
            instance: directory.name().to_string(),
        }));
        self.queues.push(queue);
        Ok(())
    }

    /// Tells everyone. Whoever has [`QUEUE`] events waiting, or is gone, is cut off.
    pub fn tell(&mut self, event: &Event) {
        self.queues.retain(|queue| match queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        });
    }

    /// How many are told.
    pub fn count(&self) -> usize {
        self.queues.len()
    }
}

/// A tool's side before the primary connected.
pub struct Subscription {
    server: IpcOneShotServer<Event>,
    name: String,
}

impl Subscription {
    /// Makes the one-shot server in the instance's `events` directory. Once per process and before it has threads that
    /// use temporary files: it sets where the process keeps them.
    pub fn new(directory: &InstanceDir) -> io::Result<Self> {
        // ipc-channel makes its socket in a temporary directory of the crate tempfile. An Err says that the directory
        // was set before.
        drop(tempfile::env::override_temp_dir(&directory.events()));
        let (server, name) = IpcOneShotServer::new().map_err(io::Error::other)?;
        Ok(Self { server, name })
    }

    /// What to name in [`Request::Subscribe`](crate::message::Request::Subscribe).
    pub fn server(&self) -> &str {
        &self.name
    }

    /// Waits for the primary to connect, after it has answered the request with `Done`; at most [`CONNECT`].
    pub fn accept(self) -> io::Result<(IpcReceiver<Event>, Event)> {
        // The server waits for ever, so a thread does that: it is left behind when the primary died meanwhile.
        let (accepted, result) = sync_channel(1);
        thread::Builder::new()
            .name("accept".into())
            .spawn(move || drop(accepted.send(self.server.accept().map_err(io::Error::other))))?;
        result
            .recv_timeout(CONNECT)
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_the_event_beside_its_fields() {
        let event = Event::Link {
            interface: "wan".into(),
            admin_up: true,
            link_up: false,
        };
        assert_eq!(
            event.to_json().to_string(),
            r#"{"admin_up":true,"event":"link","interface":"wan","link_up":false}"#
        );
        assert_eq!(Event::Stopping.to_json().to_string(), r#"{"event":"stopping"}"#);
    }
}
