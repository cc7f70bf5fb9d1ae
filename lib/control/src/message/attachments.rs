//! What tools say that take packets: captures, and those that decide.

use packet::MacAddress;
use serde::{Deserialize, Serialize};
use shm::attachment::Way;

use super::AlertRule;

/// Packets that the path hands to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PuntClass {
    /// Packets with the router alert option, wherever they are going (RFC 2113, RFC 2711).
    RouterAlert = 0,
    /// UDP to port 500 or 4500 of an address of the gateway (RFC 7296 section 2).
    Ike = 1,
    /// ARP, to the primary's control thread.
    Arp = 2,
    /// Neighbour solicitations and advertisements, to the primary's control thread.
    Nd = 3,
    /// What the gateway does not handle, to the kernel by the tap of the interface that it came in by.
    Kernel = 4,
}

impl PuntClass {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::RouterAlert, Self::Ike, Self::Arp, Self::Nd, Self::Kernel];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The name as configuration and JSON have it.
    pub fn name(self) -> &'static str {
        ["router_alert", "ike", "arp", "nd", "kernel"][self as usize]
    }

    /// Whether tools may decide about its packets. The others have their takers, and no fail mode.
    pub fn is_for_tools(self) -> bool {
        matches!(self, Self::RouterAlert | Self::Ike)
    }
}

/// What becomes of the packets of a class while no tool takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// What would become of them if there were no such class.
    Open,
    /// They are dropped and counted.
    Closed,
}

impl FailMode {
    /// The name as configuration and JSON have it.
    pub fn name(self) -> &'static str {
        ["open", "closed"][self as usize]
    }
}

/// What a tool wants of the packets that are left to tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PuntRequest {
    /// Classes, at least one.
    pub classes: Vec<PuntClass>,
    /// Only copies, while another tool decides, or none.
    pub observe: bool,
    /// Of a tool that decides about router alerts: rules that take the place of all that tools have made, at most
    /// [`ALERT_RULES`](super::ALERT_RULES) with those of operators; `None` leaves the rules as they are. While there is any, the tool is
    /// asked about packets that one fits, otherwise about all.
    pub rules: Option<Vec<AlertRule>>,
}

/// A class of packets as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PuntInfo {
    /// The class.
    pub class: PuntClass,
    /// What becomes of its packets without a tool; `None` for a class that is not for tools.
    pub fail: Option<FailMode>,
    /// Packets per second that its policer lets through.
    pub rate: u32,
    /// Packets that its policer lets through at once.
    pub burst: u32,
    /// How long a tool may take to answer about a packet before that goes the way of `fail`, milliseconds; `None` as there.
    pub deadline_ms: Option<u32>,
    /// Who takes them: a tool as it calls itself, or a part of the gateway; empty when nobody does.
    pub tool: String,
    /// Its process; 0 when there is none.
    pub pid: i32,
    /// Packets of the classes of that tool that it was to be asked about; of a class that is not for tools those that came.
    pub seen: u64,
    /// Of these, those that found no room because it was behind, or that were too many for the policer of a class that is not
    /// for tools.
    pub lost: u64,
    /// Packets of the classes of that tool that went on without its answer, since the deadline had passed.
    pub late: u64,
    /// Tools that watch.
    pub observers: Vec<Observer>,
}

/// A tool that watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observer {
    /// As it calls itself.
    pub tool: String,
    /// Its process.
    pub pid: i32,
}

/// What a capture is to take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRequest {
    /// Names of interfaces, or PCI addresses of their devices; empty: all.
    pub interfaces: Vec<String>,
    /// Where: at least at one point.
    pub points: Vec<CapturePoint>,
    /// A program in classic BPF over the Ethernet frame, at most [`FILTER_INSTRUCTIONS`]; empty: every packet.
    pub filter: Vec<FilterInstruction>,
    /// What the program was compiled from, for those who look at it.
    pub expression: String,
    /// Bytes of each packet to copy, from the Ethernet header on, 1 to [`SNAPLEN_MAX`].
    pub snaplen: u32,
    /// The only receive or transmit queue that it is on. What is at none is not taken then.
    pub queue: Option<u16>,
    /// Names of the reasons whose drops it takes at [`CapturePoint::Drop`]; empty: all.
    pub drop_reasons: Vec<String>,
    /// Classes that it takes at [`CapturePoint::Punt`] and [`CapturePoint::Reinject`]; empty: all.
    pub punt_classes: Vec<PuntClass>,
    /// Whether it takes ICMP errors, too, that quote a packet which the filter matches.
    pub related: bool,
    /// Kilobytes of 1,024 bytes for packets on their way to the tool; `None`: all that `[limits]` has set aside for an attachment.
    pub ring_kb: Option<u32>,
    /// How much it takes of what matches.
    pub budget: Budget,
}

/// How much a capture takes of what matches. What it leaves out is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Packets per second, from 1. Above that the packets that are left are spread over those that there are.
    pub max_pps: Option<u64>,
    /// Megabits per second of captured bytes, from 1.
    pub max_mbps: Option<u64>,
    /// A part of the packets.
    pub sample: Option<Sample>,
}

/// One of so many packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// One of `every`, from 1.
    pub every: u32,
    /// What is chosen.
    pub by: SampleBy,
}

/// What a sample is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleBy {
    /// Single packets.
    Packet,
    /// All packets of some flows, in both directions.
    Flow,
}

impl SampleBy {
    /// The name as JSON has it.
    pub fn name(self) -> &'static str {
        ["packet", "flow"][self as usize]
    }
}

/// The most instructions of a filter, as many as the kernel's own filters may have.
pub const FILTER_INSTRUCTIONS: usize = 4096;
/// The longest snapshot of a packet, bytes.
pub const SNAPLEN_MAX: u32 = 16_384;

/// Where a packet is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapturePoint {
    /// Where it was received.
    Rx,
    /// Where it is sent.
    Tx,
    /// Where it is handed to a tool that decides about it, as it was received.
    Punt,
    /// Where it comes back from that tool, before it is looked up: also when the tool has gone, or has not answered in time.
    Reinject,
    /// Where it is dropped, as it is at that moment.
    Drop,
    /// Where a tunnel's SA is about to seal it, as it was routed into the tunnel.
    PreEncrypt,
    /// Where a tunnel's SA has opened it, before it is looked up.
    PostDecrypt,
}

impl CapturePoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Rx,
        Self::Tx,
        Self::Punt,
        Self::Reinject,
        Self::Drop,
        Self::PreEncrypt,
        Self::PostDecrypt,
    ];

    /// The name as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::Punt => "punt",
            Self::Reinject => "reinject",
            Self::Drop => "drop",
            Self::PreEncrypt => "pre-encrypt",
            Self::PostDecrypt => "post-decrypt",
        }
    }
}

impl From<Way> for CapturePoint {
    fn from(way: Way) -> Self {
        match way {
            Way::Rx => Self::Rx,
            Way::Tx => Self::Tx,
            Way::Punt => Self::Punt,
            Way::Reinject => Self::Reinject,
            Way::Drop => Self::Drop,
            Way::PreEncrypt => Self::PreEncrypt,
            Way::PostDecrypt => Self::PostDecrypt,
        }
    }
}

impl From<CapturePoint> for Way {
    fn from(point: CapturePoint) -> Self {
        match point {
            CapturePoint::Rx => Self::Rx,
            CapturePoint::Tx => Self::Tx,
            CapturePoint::Punt => Self::Punt,
            CapturePoint::Reinject => Self::Reinject,
            CapturePoint::Drop => Self::Drop,
            CapturePoint::PreEncrypt => Self::PreEncrypt,
            CapturePoint::PostDecrypt => Self::PostDecrypt,
        }
    }
}

/// One instruction of classic BPF, as libpcap compiles it: bpf_insn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterInstruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if the condition holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A capture that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStarted {
    /// Its number, as `capture show` has it.
    pub id: u32,
    /// The interfaces that it is on.
    pub interfaces: Vec<CaptureInterface>,
}

/// An interface that a capture is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureInterface {
    /// Its index: packets carry it.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// Its device, as configured.
    pub device: String,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Megabit per second; 0 when unknown.
    pub speed_mbps: u32,
}

/// A capture as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureInfo {
    /// Its number.
    pub id: u32,
    /// The tool that captures, as it calls itself.
    pub tool: String,
    /// Its process.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
    /// Where.
    pub points: Vec<CapturePoint>,
    /// What the filter was compiled from.
    pub expression: String,
    /// Bytes of each packet.
    pub snaplen: u32,
    /// The only queue that it is on.
    pub queue: Option<u16>,
    /// The reasons whose drops it takes; empty: all.
    pub drop_reasons: Vec<String>,
    /// The classes that it takes; empty: all.
    pub punt_classes: Vec<PuntClass>,
    /// Whether it takes ICMP errors that quote what matches.
    pub related: bool,
    /// Kilobytes for packets on their way to the tool.
    pub ring_kb: u32,
    /// How much it takes of what matches.
    pub budget: Budget,
    /// Seconds since it began.
    pub age_s: u64,
    /// Packets that its filter was asked about.
    pub seen: u64,
    /// Of these, those that matched.
    pub matched: u64,
    /// Of the matching ones, those that found no room because the tool was behind.
    pub lost: u64,
    /// Of the matching ones, those that its budget or sample left out.
    pub unsampled: u64,
}
