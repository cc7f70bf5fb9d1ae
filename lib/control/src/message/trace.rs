//! What is said about traces: the stages that single packets went through.

use std::net::IpAddr;

use packet::MacAddress;
use serde::{Deserialize, Serialize};

use super::{FilterInstruction, PuntClass};

/// The most packets of one trace.
pub const TRACES_MAX: u32 = 1000;
/// Bytes of a received packet that are kept.
pub const TRACED_BYTES: usize = 128;
/// Bytes of a sent packet that are kept: enough for the headers that a gateway changes.
pub const TRACED_SENT_BYTES: usize = 64;
/// The most traces of one reply: it must fit into [`crate::client::MAX_FRAME`] bytes.
pub const TRACES_PER_REPLY: usize = 16;
/// The most legs of one packet's way: into and out of two tunnels inside of each other, each.
pub const TRACE_LEGS: usize = 5;

/// Which packets are to be traced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRequest {
    /// How many, 1 to [`TRACES_MAX`].
    pub count: u32,
    /// Names of the interfaces that they come in by; empty: all.
    pub interfaces: Vec<String>,
    /// A program in classic BPF over the Ethernet frame as it is received; empty: every packet.
    pub filter: Vec<FilterInstruction>,
    /// What the program was compiled from, for those who look at it.
    pub expression: String,
}

/// Some of the traces that there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePage {
    /// What was asked for last; empty when nothing was.
    pub request: Option<TraceStatus>,
    /// At most [`TRACES_PER_REPLY`], by number; none when there are no more.
    pub traces: Vec<Trace>,
}

/// How far a trace has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStatus {
    /// How many packets it is to have.
    pub count: u32,
    /// How many there are.
    pub traced: u32,
    /// Whether it waits for more.
    pub running: bool,
    /// Interfaces by which they come in.
    pub interfaces: Vec<String>,
    /// Its filter; empty: every packet.
    pub expression: String,
}

/// The way of one packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// From 1 on, in the order in which the control thread got them.
    pub number: u32,
    /// The worker that received it, from 0 on.
    pub worker: u16,
    /// When the stages began, nanoseconds since 1970.
    pub time_ns: u64,
    /// What it was on its way, at most [`TRACE_LEGS`]: as received, then inside of a tunnel or outside of it, and so on.
    pub legs: Vec<TraceLeg>,
}

/// The way of a packet from where it came in, or a tunnel made it, to where it left, a tunnel took it, or it was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLeg {
    /// Name of the interface that it came in by; of an outer packet the tunnel.
    pub interface: String,
    /// Length as it began, from the Ethernet header on.
    pub length: u32,
    /// The SA that opened or sealed it, or was to.
    pub sa: Option<TraceSa>,
    /// Its first bytes as it began, at most [`TRACED_BYTES`].
    pub received: Vec<u8>,
    /// Its first bytes as sent, at most [`TRACED_SENT_BYTES`]; empty when it was not sent.
    pub sent: Vec<u8>,
    /// The stages, in order.
    pub steps: Vec<TraceStep>,
    /// What the lookup found, if it came so far.
    pub lookup: Option<TraceLookup>,
    /// What the tool made of it that it was given to, if it is back from there.
    pub tool: Option<TraceTool>,
    /// What became of it.
    pub end: TraceEnd,
}

/// What an SA did to a traced packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSa {
    /// Its SPI.
    pub spi: u32,
    /// The sequence number; of a packet that was refused before its number was known to be authentic, what stands in its header; none
    /// where it got none.
    pub sequence: Option<u64>,
    /// Name of its transform.
    pub transform: String,
    /// Why it did not open or seal the packet, as `drop show` names it.
    pub refused: Option<String>,
}

/// What a tool made of a traced packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceTool {
    /// The class that it decides about.
    pub class: PuntClass,
    /// What it decided.
    pub verdict: TraceVerdict,
    /// The first bytes of what came back, at most [`TRACED_BYTES`]; empty when it was dropped.
    pub bytes: Vec<u8>,
}

/// What a tool decided about a traced packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceVerdict {
    /// It goes on: so the tool said, or it did not answer in time, or went.
    Forward,
    /// Other bytes go on in its place.
    Replace,
    /// It is dropped: so the tool said, or it went without, and such packets are dropped then.
    Drop,
    /// It was for the tool.
    Take,
}

impl TraceVerdict {
    /// Its name as tools show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Replace => "replace",
            Self::Drop => "drop",
            Self::Take => "take",
        }
    }
}

/// A stage that a packet went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// Its number among `shm::PathStage::ALL`.
    pub stage: u8,
    /// When it began, nanoseconds after the first of the whole way.
    pub offset_ns: u32,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLookup {
    /// Number of the adjacency.
    pub adjacency: u32,
    /// Its kind: `forward`, `local`, `glean` ...
    pub kind: String,
    /// Name of its interface, where it has one.
    pub interface: Option<String>,
    /// The next hop, where it names one.
    pub next_hop: Option<IpAddr>,
    /// The MAC address, where it is known.
    pub mac: Option<MacAddress>,
}

/// What became of a traced packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceEnd {
    /// It left by this interface.
    Sent(String),
    /// It waits for a neighbour.
    Waits {
        /// The neighbour's address.
        next_hop: Option<IpAddr>,
        /// Name of the interface that it is on.
        interface: String,
    },
    /// The control thread has it.
    Control,
    /// The tool that decides about such packets has it.
    Tool(PuntClass),
    /// It was dropped.
    Dropped {
        /// The reason, as `drop show` names it.
        reason: String,
        /// Whether the sender is told by an ICMP error.
        answered: bool,
    },
    /// It left by this interface, in fragments.
    SentInFragments(String),
    /// The kernel has it, by the tap of this interface.
    Kernel(String),
    /// It is a fragment for the gateway itself that waits for the others.
    WaitsForFragments,
    /// It is an ESP packet that waits for the others of its SA's burst.
    WaitsForBurst,
    /// It is of a connection of another worker, which judges it.
    OtherWorker,
    /// It was translated: what it is now goes through the stages, which the next leg says.
    Translated,
    /// It was an outer packet of a tunnel: what was inside goes on as received by this interface, where that is known.
    Decapsulated(Option<String>),
}
