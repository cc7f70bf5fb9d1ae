//! Requests and replies of the control socket.
//!
//! A connection begins with [`Request::Hello`]; a primary that reads other tables or speaks another version answers
//! with [`ErrorCode::VersionMismatch`] and closes it.

mod alerts;
mod attachments;
mod config;
mod error;
mod log;
mod routes;
mod sas;
mod services;
mod trace;
mod tunnels;
mod vlan;

pub use alerts::*;
pub use attachments::*;
pub use config::*;
pub use error::*;
pub use log::*;
pub use routes::*;
pub use sas::*;
pub use services::*;
pub use trace::*;
pub use tunnels::*;
pub use vlan::*;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use packet::MacAddress;
use serde::{Deserialize, Serialize};

/// One message in either direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Chosen by the client; the reply carries the same.
    pub id: u32,
    /// The request or reply.
    pub body: T,
}

/// What a tool asks of a primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The first message of every connection.
    Hello {
        /// [`crate::VERSION`] of the tool.
        version: String,
        /// `shm::LAYOUT_HASH` of the tool.
        layout_hash: u64,
        /// Name of the tool, for the log.
        tool: String,
    },
    /// Add routes, all or none. With `replace`, a route that exists is changed instead of refused.
    RouteAdd {
        /// At most [`ROUTES_PER_REQUEST`], by [`Route::size`].
        routes: Vec<Route>,
        /// Change what exists.
        replace: bool,
    },
    /// Delete routes, all or none.
    RouteDelete {
        /// At most [`ROUTES_PER_REQUEST`].
        routes: Vec<RouteKey>,
    },
    /// Look an address up as a worker would and say why it goes where it goes.
    RouteGet {
        /// The packet that is asked for.
        flow: Flow,
    },
    /// Give an interface an address.
    AddressAdd {
        /// Name of the interface.
        interface: String,
        /// Address and length of the connected prefix.
        address: IpNet,
    },
    /// Take an address from an interface.
    AddressDelete {
        /// Name of the interface.
        interface: String,
        /// As it was added.
        address: IpNet,
    },
    /// Set a permanent neighbour.
    NeighborAdd {
        /// Name of the interface.
        interface: String,
        /// Its address.
        address: IpAddr,
        /// Its MAC address.
        mac: MacAddress,
    },
    /// Forget a neighbour, permanent or learnt.
    NeighborDelete {
        /// Name of the interface.
        interface: String,
        /// Its address.
        address: IpAddr,
    },
    /// Set an interface up or down.
    LinkSet {
        /// Name of the interface.
        interface: String,
        /// Up or down.
        up: bool,
    },
    /// Make a sub-interface.
    LinkAdd {
        /// Its name; by default that of `link`, a dot and `id`.
        name: Option<String>,
        /// The interface to make it on.
        link: String,
        /// The EtherType of its tag.
        protocol: VlanProtocol,
        /// Its VLAN identifier, 1 to 4094.
        id: u16,
        /// Longest IP packet; that of `link` by default, and at most.
        mtu: Option<u16>,
    },
    /// Delete a sub-interface, with its addresses and routes and the sub-interfaces made on it.
    LinkDelete {
        /// Name of the interface.
        interface: String,
    },
    /// What the log levels are.
    LogShow,
    /// Set the level of a module, or of all that have none of their own when `module` is `None`.
    LogSet {
        /// One of the modules that [`Reply::Log`] lists.
        module: Option<String>,
        /// The new level.
        level: LogLevel,
    },
    /// How memory is used.
    MemoryShow,
    /// Begin a capture. It is this connection's and ends with it; a connection has one at a time. The reply brings the
    /// descriptor of the attachment's memory.
    CaptureStart(CaptureRequest),
    /// Put no more packets into this connection's capture. What is in it already can still be taken.
    CaptureStop,
    /// What captures there are.
    CaptureShow,
    /// Take or watch the packets of some classes. The attachment is this connection's and ends with it; the reply brings the
    /// descriptors of its memory.
    PuntStart(PuntRequest),
    /// What classes of packets there are, and who takes them.
    PuntShow,
    /// Rules that take the place of all that tools have made, all or none. Only the tool that decides about router alerts may say
    /// so, by the connection of its attachment.
    AlertRules(Vec<AlertRule>),
    /// Make a rule for router alerts. It is an operator's.
    AlertRuleAdd(Box<AlertRule>),
    /// Delete a rule for router alerts, whoever made it.
    AlertRuleDelete {
        /// Its name.
        name: String,
    },
    /// Hold the memory whose descriptor comes with this, for the tool that decides about IKE packets after this one. It takes the place
    /// of what was held before. Only the tool that decides about them now may say so, by the connection of its attachment.
    MemoryHold,
    /// Give the memory that is held to the tool that decides about IKE packets. It is held on.
    MemoryHeld,
    /// Install SAs, all or none. With `replace`, one with the same SPI and destination gives way instead of being in the way.
    SaAdd {
        /// At most [`SAS_PER_REQUEST`].
        sas: Vec<NewSa>,
        /// Take the places of those that exist.
        replace: bool,
    },
    /// Delete SAs, all or none, and wipe their keys. At most [`SAS_PER_REQUEST`].
    SaDelete(Vec<SaId>),
    /// Delete all SAs, and wipe their keys.
    SaFlush,
    /// Send events to the one-shot IPC server at this path, which lies in the instance's `events` directory.
    Subscribe {
        /// The path that ipc-channel named.
        server: String,
    },
    /// Trace packets that come from now on. What was traced before is forgotten.
    TraceStart(TraceRequest),
    /// Trace no more; what there is stays.
    TraceStop,
    /// Trace no more, and forget what there is.
    TraceClear,
    /// The traces behind number `after`.
    TraceShow {
        /// 0: from the first on.
        after: u32,
    },
    /// Bring what runs to what a configuration says, all or nothing. With it comes the descriptor of its text.
    ConfigApply {
        /// What messages call the file.
        file: String,
        /// Only say what would be changed.
        dry_run: bool,
    },
    /// What runs, as a configuration.
    ConfigShow,
    /// How far the primary is with what this connection asked of configurations, and what came of it.
    ConfigResult,
    /// Make a tunnel, set up.
    TunnelAdd(Box<Tunnel>),
    /// Change a tunnel; its addresses and routes stay.
    TunnelSet {
        /// Its name.
        name: String,
        /// What is to be different.
        change: Box<TunnelChange>,
    },
    /// Delete a tunnel, with its addresses and routes.
    TunnelDelete {
        /// Its name.
        name: String,
    },
    /// Add services of the load balancer, with their servers and local addresses, all of them or none; as many as
    /// [`Service::REQUEST_BYTES`] have room for.
    ServiceAdd(Vec<Service>),
    /// Change a service; its connections stay.
    ServiceSet {
        /// What it is known by.
        id: ServiceId,
        /// What is to be different.
        change: Box<ServiceChange>,
    },
    /// Delete services, with their servers, local addresses and connections, all of them or none.
    ServiceDelete(Vec<ServiceId>),
    /// Delete all services.
    ServiceFlush,
    /// Set the counters of a service to zero, or of all.
    ServiceZero(Option<ServiceId>),
    /// Have workers begin what they show as the longest round anew. The answer comes when all have.
    WorkerZero,
    /// The services behind this one, or from the first on.
    ServiceShow {
        /// The last of the page before.
        after: Option<ServiceId>,
    },
    /// Add a real server to a service.
    ServerAdd {
        /// The service.
        id: ServiceId,
        /// The server.
        server: RealServer,
    },
    /// Change a real server; its connections stay.
    ServerSet {
        /// The service.
        id: ServiceId,
        /// Address and port of the server.
        server: std::net::SocketAddr,
        /// What is to be different.
        change: ServerChange,
    },
    /// Delete a real server, with its connections.
    ServerDelete {
        /// The service.
        id: ServiceId,
        /// Address and port of the server.
        server: std::net::SocketAddr,
    },
    /// Add a local address to a service.
    LocalAdd {
        /// The service.
        id: ServiceId,
        /// The local address.
        local: LocalAddress,
    },
    /// Take a local address from a service. Its connections by that end; new ones use others.
    LocalDelete {
        /// The service.
        id: ServiceId,
        /// The local address.
        address: IpAddr,
    },
    /// The connections of the load balancer. They are collected while others are served; ask for [`Request::ConnectionResult`].
    ConnectionShow(Box<ConnectionFilter>),
    /// How far the primary is with collecting connections for this connection of the control socket.
    ConnectionResult,
}

impl Request {
    /// Whether it changes what a configuration says. Such requests wait while one is applied.
    pub fn changes_configuration(&self) -> bool {
        matches!(
            self,
            Self::RouteAdd { .. }
                | Self::RouteDelete { .. }
                | Self::AddressAdd { .. }
                | Self::AddressDelete { .. }
                | Self::NeighborAdd { .. }
                | Self::NeighborDelete { .. }
                | Self::LinkSet { .. }
                | Self::LinkAdd { .. }
                | Self::LinkDelete { .. }
                | Self::TunnelAdd(_)
                | Self::TunnelSet { .. }
                | Self::TunnelDelete { .. }
                | Self::ServiceAdd(_)
                | Self::ServiceSet { .. }
                | Self::ServiceDelete(_)
                | Self::ServiceFlush
                | Self::ServerAdd { .. }
                | Self::ServerSet { .. }
                | Self::ServerDelete { .. }
                | Self::LocalAdd { .. }
                | Self::LocalDelete { .. }
                | Self::LogSet { .. }
        )
    }
}

/// What a primary answers.
pub type Answer = Result<Reply, ControlError>;

/// What a primary answers when all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Hello`].
    Hello {
        /// [`crate::VERSION`] of the primary.
        version: String,
    },
    /// It is done.
    Done,
    /// To [`Request::RouteGet`].
    Route(Box<RouteExplanation>),
    /// To [`Request::LogShow`]: level by module; `default` is for those that have none of their own.
    Log(BTreeMap<String, LogLevel>),
    /// To [`Request::MemoryShow`].
    Memory(Vec<MemoryUse>),
    /// To [`Request::CaptureStart`], with a descriptor.
    CaptureStarted(CaptureStarted),
    /// To [`Request::CaptureShow`].
    Captures(Vec<CaptureInfo>),
    /// To [`Request::PuntStart`], with descriptors.
    PuntStarted(CaptureStarted),
    /// To [`Request::PuntShow`].
    Punts(Vec<PuntInfo>),
    /// To [`Request::MemoryHeld`]: whether there is any; then with a descriptor.
    Held(bool),
    /// To [`Request::TraceShow`].
    Traces(TracePage),
    /// To [`Request::ConfigApply`] and [`Request::ConfigShow`].
    ConfigStarted,
    /// To [`Request::ConfigResult`]; where it is done, with a descriptor.
    Config(ConfigProgress),
    /// To [`Request::ServiceShow`].
    Services(ServicePage),
    /// To [`Request::ConnectionShow`], and to [`Request::ConnectionResult`] while they are collected.
    ConnectionsComing,
    /// To [`Request::ConnectionResult`], with a descriptor of a file that has so many of [`ConnectionInfo`], in postcard's form, one after the
    /// other.
    Connections(u32),
}

/// How a part of the primary uses memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Stable name: `eal_heap`, `fib4`, `pool_packets`, `tables` ...
    pub part: String,
    /// Bytes reserved for it.
    pub bytes: u64,
    /// How many of its units are in use, where it has units.
    pub used: Option<u64>,
    /// How many units it has.
    pub capacity: Option<u64>,
    /// What the units are.
    pub unit: Option<String>,
    /// Whether the bytes lie in huge pages.
    pub huge: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_of_traces_fits_into_a_frame() {
        let name = || "a-name-of-fifte".to_owned();
        let address = Some(std::net::Ipv6Addr::from_bits(u128::MAX).into());
        let leg = TraceLeg {
            interface: name(),
            length: u32::MAX,
            sa: Some(TraceSa {
                spi: u32::MAX,
                sequence: Some(u64::MAX),
                transform: name(),
                refused: Some(name()),
            }),
            received: vec![0xff; TRACED_BYTES],
            sent: vec![0xff; TRACED_SENT_BYTES],
            steps: vec![
                TraceStep {
                    stage: u8::MAX,
                    offset_ns: u32::MAX,
                };
                2 * shm::PathStage::COUNT
            ],
            lookup: Some(TraceLookup {
                adjacency: u32::MAX,
                kind: name(),
                interface: Some(name()),
                next_hop: address,
                mac: Some(MacAddress([0xff; 6])),
            }),
            tool: Some(TraceTool {
                class: PuntClass::RouterAlert,
                verdict: TraceVerdict::Replace,
                bytes: vec![0xff; TRACED_BYTES],
            }),
            end: TraceEnd::Waits {
                next_hop: address,
                interface: name(),
            },
        };
        let trace = Trace {
            number: u32::MAX,
            worker: u16::MAX,
            time_ns: u64::MAX,
            legs: vec![leg; TRACE_LEGS],
        };
        let reply = Reply::Traces(TracePage {
            request: Some(TraceStatus {
                count: u32::MAX,
                traced: u32::MAX,
                running: true,
                interfaces: vec![name(); 64],
                expression: "x".repeat(1024),
            }),
            traces: vec![trace; TRACES_PER_REPLY],
        });
        let frame = postcard::to_stdvec(&Envelope {
            id: u32::MAX,
            body: reply,
        })
        .unwrap();
        assert!(frame.len() <= crate::client::MAX_FRAME, "{}", frame.len());
    }
}
