//! What each stage saw of a packet, from the bytes that were kept of it.

use std::fmt::Write as _;

use control::message::{Trace, TraceEnd, TraceLeg};
use packet::ethernet::EthernetHeader;
use packet::{EtherType, Ipv6, ipv4, ipv6};
use serde_json::Value;
use shm::PathStage;

/// A stage of a traced packet.
pub(super) struct Step {
    pub(super) stage: &'static str,
    pub(super) offset_ns: u32,
    /// Names and values, in the order in which people read them.
    pub(super) fields: Fields,
}

type Fields = Vec<(&'static str, Value)>;

impl Step {
    /// As `name value, name value`; what is merely so is only named, what is not so is left out.
    pub(super) fn fields_in_words(&self) -> String {
        let words = self.fields.iter().filter_map(|(name, value)| {
            let name = name.replace('_', " ");
            match value {
                Value::Null | Value::Bool(false) => None,
                Value::Bool(true) => Some(name),
                // As RFCs and other tools write it.
                Value::Number(spi) if name == "spi" => {
                    Some(format!("spi {:#x}", spi.as_u64().unwrap_or_default()))
                }
                Value::String(text) => Some(format!("{name} {text}")),
                other => Some(format!("{name} {other}")),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// All stages of a packet, in order.
pub(super) fn steps(trace: &Trace) -> Vec<Step> {
    let legs = trace.legs.iter().enumerate();
    legs.flat_map(|(place, leg)| of_leg(leg, (place == 0).then_some(trace.worker)))
        .collect()
}

/// The stages of a leg, which a port received where there is a `worker`.
fn of_leg(leg: &TraceLeg, worker: Option<u16>) -> Vec<Step> {
    let stage = |number: u8| PathStage::ALL.get(usize::from(number)).copied();
    let last = leg.steps.len().saturating_sub(1);
    let steps = leg.steps.iter().enumerate();
    // When a tool was given it, and the bytes that the stages see.
    let (mut given, mut bytes) = (0, leg.received.as_slice());
    steps
        .filter_map(|(place, step)| {
            let stage = stage(step.stage)?;
            let mut fields = fields(leg, bytes, stage);
            match (stage, &leg.tool) {
                (PathStage::Rx, _) => fields.extend(worker.map(|worker| ("worker", worker.into()))),
                (PathStage::Tool, Some(tool)) => {
                    given = step.offset_ns;
                    fields.push(("class", tool.class.name().into()));
                }
                (PathStage::FromTool, Some(tool)) => {
                    bytes = &tool.bytes;
                    fields.push(("verdict", tool.verdict.name().into()));
                    fields.push(("waited_ns", step.offset_ns.saturating_sub(given).into()));
                }
                _ => {}
            }
            if place == last {
                fields.extend(end(leg));
            }
            Some(Step {
                stage: stage.name(),
                offset_ns: step.offset_ns,
                fields,
            })
        })
        .collect()
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn fields(leg: &TraceLeg, bytes: &[u8], stage: PathStage) -> Fields {
    match stage {
        PathStage::Rx => vec![
            ("interface", leg.interface.as_str().into()),
            ("length", leg.length.into()),
        ],
        // What waited for a neighbour is not followed: only what waited for its SA comes here.
        PathStage::Released => protection(leg, "opened"),
        PathStage::Encapsulated => protection(leg, "sealed"),
        PathStage::Service => service(if leg.sent.is_empty() { bytes } else { &leg.sent }),
        PathStage::Ethernet => ethernet(bytes),
        PathStage::Ip4Input => network(bytes).map_or_else(Vec::new, |(_, bytes)| four(bytes)),
        PathStage::Ip6Input => network(bytes).map_or_else(Vec::new, |(_, bytes)| six(bytes)),
        PathStage::Ip4Options => network(bytes).map_or_else(Vec::new, |(_, bytes)| {
            let end = usize::from(bytes.first().map_or(0, |first| first & 0x0f)) * 4;
            let options = bytes.get(ipv4::HEADER_LEN..end).unwrap_or_default();
            vec![("options", hex(options).into())]
        }),
        PathStage::Lookup => lookup(leg),
        PathStage::Rewrite => rewrite(&leg.sent),
        _ => Vec::new(),
    }
}

fn ethernet(bytes: &[u8]) -> Fields {
    let Ok((header, _)) = EthernetHeader::parse(bytes) else {
        return Vec::new();
    };
    let tags = header.tags.iter().map(|tag| ("vlan", tag.vid().into()));
    let mut fields: Fields = vec![
        ("source", header.source.to_string().into()),
        ("destination", header.destination.to_string().into()),
    ];
    fields.extend(tags);
    fields.push(("ethertype", header.ethertype.to_string().into()));
    fields
}

/// Between whom a packet is that the load balancer has judged.
fn service(frame: &[u8]) -> Fields {
    let mut fields = match network(frame) {
        Some((EtherType::IPV4, bytes)) => four(bytes),
        Some((EtherType::IPV6, bytes)) => six(bytes),
        _ => Vec::new(),
    };
    fields.retain(|(name, _)| matches!(*name, "source" | "destination"));
    fields
}

/// What lies behind the link header.
fn network(frame: &[u8]) -> Option<(EtherType, &[u8])> {
    let (header, payload) = EthernetHeader::parse(frame).ok()?;
    Some((header.ethertype, payload))
}

/// Of a header that need not be right.
fn four(bytes: &[u8]) -> Fields {
    let Some(header) = bytes.first_chunk::<{ ipv4::HEADER_LEN }>() else {
        return Vec::new();
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let address = |at: usize| {
        let [a, b, c, d] = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        std::net::Ipv4Addr::new(a, b, c, d).to_string()
    };
    let fragment = word(6);
    vec![
        ("source", address(12).into()),
        ("destination", address(16).into()),
        ("protocol", header[9].into()),
        ("ttl", header[8].into()),
        ("length", word(2).into()),
        ("id", word(4).into()),
        ("traffic_class", header[1].into()),
        ("dont_fragment", (fragment & 0x4000 != 0).into()),
        ("more_fragments", (fragment & 0x2000 != 0).into()),
        (
            "fragment_offset",
            Some((fragment & 0x1fff) * 8).filter(|offset| *offset != 0).into(),
        ),
    ]
}

fn six(bytes: &[u8]) -> Fields {
    // The length may be that of a packet of which only the first bytes are here.
    let Some(mut header) = bytes.first_chunk::<{ ipv6::HEADER_LEN }>().copied() else {
        return Vec::new();
    };
    let length = u16::from_be_bytes([header[4], header[5]]);
    header[4..6].fill(0);
    let Ok(header) = Ipv6::parse(&header) else {
        return Vec::new();
    };
    vec![
        ("source", header.source().to_string().into()),
        ("destination", header.destination().to_string().into()),
        ("next_header", header.next_header().0.into()),
        ("hop_limit", header.hop_limit().into()),
        ("payload_length", length.into()),
        ("traffic_class", header.traffic_class().into()),
        ("flow_label", header.flow_label().into()),
    ]
}

/// What a tunnel, and its SA if it has one, did to a packet.
fn protection(leg: &TraceLeg, done: &'static str) -> Fields {
    let mut fields: Fields = vec![("tunnel", leg.interface.as_str().into())];
    if let Some(sa) = &leg.sa {
        fields.extend([
            ("spi", sa.spi.into()),
            ("sequence", sa.sequence.into()),
            ("transform", sa.transform.as_str().into()),
            ("outcome", sa.refused.as_deref().unwrap_or(done).into()),
        ]);
    }
    if leg.steps.len() > 2 {
        fields.push(("length", leg.length.into()));
    }
    fields
}

fn lookup(leg: &TraceLeg) -> Fields {
    let Some(found) = &leg.lookup else {
        return Vec::new();
    };
    vec![
        ("adjacency", found.adjacency.into()),
        ("kind", found.kind.as_str().into()),
        (
            "next_hop",
            found.next_hop.map(|address| address.to_string()).into(),
        ),
        ("interface", found.interface.as_deref().into()),
        ("mac", found.mac.map(|mac| mac.to_string()).into()),
    ]
}

/// What the packet has when it leaves.
fn rewrite(sent: &[u8]) -> Fields {
    let mut fields = ethernet(sent);
    fields.retain(|(name, _)| *name != "ethertype");
    match network(sent) {
        Some((EtherType::IPV4, bytes)) => {
            fields.extend(four(bytes).into_iter().filter(|(name, _)| *name == "ttl"));
        }
        Some((EtherType::IPV6, bytes)) => {
            fields.extend(six(bytes).into_iter().filter(|(name, _)| *name == "hop_limit"));
        }
        _ => {}
    }
    fields
}

/// Where the packet went, or why it did not.
fn end(leg: &TraceLeg) -> Fields {
    match &leg.end {
        TraceEnd::Sent(interface) => vec![("interface", interface.as_str().into())],
        TraceEnd::Waits { next_hop, interface } => vec![
            ("for", next_hop.map(|address| address.to_string()).into()),
            ("on", interface.as_str().into()),
        ],
        TraceEnd::SentInFragments(interface) => vec![
            ("interface", interface.as_str().into()),
            ("in_fragments", true.into()),
        ],
        TraceEnd::Kernel(interface) => vec![("interface", interface.as_str().into())],
        TraceEnd::WaitsForFragments => vec![("for", "other fragments".into())],
        TraceEnd::WaitsForBurst => vec![("for", "the burst of its SA".into())],
        TraceEnd::OtherWorker => vec![("for", "the worker of its connection".into())],
        TraceEnd::Translated => Vec::new(),
        TraceEnd::Decapsulated(tunnel) => vec![("tunnel", tunnel.as_deref().into())],
        TraceEnd::Control => vec![("taken", true.into())],
        TraceEnd::Tool(class) => vec![("class", class.name().into())],
        TraceEnd::Dropped { reason, answered } => vec![
            ("dropped", reason.as_str().into()),
            ("icmp_error_sent", (*answered).into()),
            // An error goes back the way that the packet came.
            ("interface", answered.then(|| leg.interface.as_str()).into()),
        ],
    }
}
