//! A turn of `tollgate-primary` that seals or opens.
//!
//! ```text
//!   plain.pcap ──► net_pcap0 in ── seals ── out net_null0       once, for a moment, tollgate-pdump at out ──► sealed.pcap
//!   sealed.pcap ─► net_pcap0 in ── opens ── out net_null0
//! ```

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use ::tests::{Interface, Primary, PrimaryBuilder};
use control::message::SAS_PER_REQUEST;

use super::super::shape::{SINK, Shape};
use super::super::tollgate::Turn;
use super::super::traffic::PORT_MAC;
use super::super::{Bench, pcap};
use super::packets::{self, PACKETS};
use super::sas::{self, Side};
use crate::error::Error;

/// More than this, and there is no room for ESP in an Ethernet frame.
pub(super) const LONGEST: usize = 1408;
/// To capture the packets of a pcap on a host that is busy.
const CAPTURE_LIMIT: Duration = Duration::from_secs(60);

/// What a gateway of the bench is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gateway {
    pub(super) side: Side,
    /// Of the IP packets inside.
    pub(super) bytes: usize,
    /// Each with SAs for both directions.
    pub(super) tunnels: u32,
}

impl Gateway {
    /// One tunnel.
    pub(super) fn new(side: Side, bytes: usize) -> Self {
        Self {
            side,
            bytes,
            tunnels: 1,
        }
    }
}

impl Bench {
    /// Packets in the clear, as sent into so many tunnels.
    pub(super) fn plain_pcap(&self, bytes: usize, tunnels: u32) -> PathBuf {
        self.folder.join(format!("plain-{bytes}-{tunnels}.pcap"))
    }

    /// What comes out of the gateway that seals by one SA.
    pub(super) fn sealed_pcap(&self, bytes: usize) -> PathBuf {
        self.folder.join(format!("sealed-{bytes}.pcap"))
    }

    /// Writes packets of this length for so many tunnels.
    pub(super) fn write_plain(&self, bytes: usize, tunnels: u32) -> Result<(), Error> {
        pcap::write(&self.plain_pcap(bytes, tunnels), packets::plain(bytes, tunnels))
    }

    /// Has the gateway that seals write what the one that opens reads.
    pub(super) fn write_sealed(&self, bytes: usize) -> Result<(), Error> {
        self.say_what("sealing", &format!("packets of {bytes} bytes"));
        self.with_gateway(Gateway::new(Side::Seals, bytes), |primary| {
            let words = [
                "-i",
                "out",
                "--direction",
                "tx",
                "-f",
                "ip proto 50",
                "--format",
                "pcap",
                "-q",
            ];
            let mut pdump = primary
                .pdump(&words)?
                .args(["-c", &PACKETS.to_string(), "-w"])
                .arg(self.sealed_pcap(bytes))
                .start()?;
            let status = pdump.wait(CAPTURE_LIMIT)?;
            if status.success() {
                return Ok(());
            }
            let said = pdump.stderr();
            Err(Error::Unexpected(format!(
                "what is sealed was not captured: {said}"
            )))
        })
    }

    /// Lets a gateway seal or open, and measures it.
    pub(super) fn esp_turn(&self, gateway: Gateway) -> Result<Turn, Error> {
        self.with_gateway(gateway, |primary| self.watch(primary))
    }

    /// How long it takes a gateway to be given its SAs, so many by a request.
    pub(super) fn esp_installs(&self, gateway: Gateway, at_a_time: usize) -> Result<Duration, Error> {
        let source = self.plain_pcap(gateway.bytes, gateway.tunnels);
        let mut primary = self.esp_builder(gateway, &source).start()?;
        let took = sas::install(self.privilege, &primary, gateway.side, gateway.tunnels, at_a_time);
        primary.terminate()?;
        took
    }

    /// Starts a gateway, gives it its SAs, and ends it after `measure`.
    fn with_gateway<T>(
        &self,
        gateway: Gateway,
        measure: impl FnOnce(&Primary) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Gateway { side, bytes, tunnels } = gateway;
        let source = match side {
            Side::Opens => self.sealed_pcap(bytes),
            Side::Seals | Side::Alone => self.plain_pcap(bytes, tunnels),
        };
        let mut primary = self.esp_builder(gateway, &source).start()?;
        let measured = sas::install(self.privilege, &primary, side, tunnels, SAS_PER_REQUEST)
            .and_then(|_| measure(&primary));
        let ended = primary.terminate();
        let measured = measured?;
        ended?;
        Ok(measured)
    }

    fn esp_builder(&self, gateway: Gateway, source: &Path) -> PrimaryBuilder {
        let source = format!("net_pcap0,rx_pcap={},infinite_rx=1", source.display());
        let opens = gateway.side == Side::Opens;
        // The one that opens is where the other one sends to, and the other way round.
        let opener = format!("{}/24", sas::opener(0));
        let (inside, outside, beyond, next_hop) = if opens {
            (opener.as_str(), "198.18.0.1/24", packets::BEHIND, "198.18.0.10")
        } else {
            ("198.18.0.1/24", "198.19.0.1/24", sas::OPENERS, "198.19.0.10")
        };
        Primary::builder(self.privilege, "bench")
            .interface(Interface::device("in", &source).address(inside))
            .interface(Interface::device("out", SINK).address(outside))
            .busy()
            .memory_mb(512)
            .toml(&limits(gateway.tunnels))
            // What is sealed goes to the port that opens it.
            .neighbor(next_hop, &PORT_MAC.to_string(), "out")
            .route(beyond, next_hop)
            .toml(&tunnels(gateway))
    }
}

fn limits(tunnels: u32) -> String {
    let Shape {
        packet_buffers,
        buffer_bytes,
        ..
    } = Shape::ORDINARY;
    format!(
        "[limits]\npacket_buffers = {packet_buffers}\npacket_buffer_bytes = {buffer_bytes}\nsub_interfaces = {tunnels}\nsas = {}\n",
        2 * tunnels
    )
}

/// The tunnels with what lies behind each.
fn tunnels(gateway: Gateway) -> String {
    let mut text = String::new();
    for number in 0..gateway.tunnels {
        let (sealer, opener) = (sas::SEALER, sas::opener(number));
        let opens = gateway.side == Side::Opens;
        let (local, remote) = if opens { (opener, sealer) } else { (sealer, opener) };
        let name = sas::tunnel_name(number);
        let _ = writeln!(
            text,
            "[[tunnel]]\nname = \"{name}\"\nmode = \"esp\"\nlocal = \"{local}\"\nremote = \"{remote}\"\nunnumbered = \"out\"\nmtu = {LONGEST}"
        );
        if !opens {
            let prefix = packets::prefix(number);
            let _ = writeln!(text, "[[route]]\nprefix = \"{prefix}\"\ntunnel = \"{name}\"");
        }
    }
    text
}
