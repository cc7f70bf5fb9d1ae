//! How fast one worker translates the packets of connections (Full-NAT), and makes new connections, beside testpmd on the same packets.
//!
//! ```text
//!   packets of so many clients to one service ─► net_pcap0, infinite_rx ─► tollgate-primary ─► net_null0, 16 servers
//! ```

mod packets;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::tests::{Captured, Interface, Primary, PrimaryBuilder, interrupt};

use self::packets::Kind;
use super::figures::{Bound, Section, Unit};
use super::shape::SINK;
use super::tollgate::Turn;
use super::traffic::{self, Family};
use super::{Bench, START_LIMIT, pause, pcap};
use crate::error::Error;

const MAC_FEW: &str = "testpmd mac, 1,000 packets";
const MAC: &str = "testpmd mac, 100,000 packets";
const MAC_MANY: &str = "testpmd mac, 1,000,000 packets";
const FEW: &str = "UDP, 1,000 connections";
const USUAL: &str = "UDP, 100,000 connections";
const MANY: &str = "UDP, 1,000,000 connections";
const NEW: &str = "new connections of TCP";
/// Turns: testpmd's and ours, and the number of connections, each with a packet of its own in the pcap.
const ESTABLISHED: [(&str, &str, u32); 3] = [
    (MAC_FEW, FEW, 1000),
    (MAC, USUAL, 100_000),
    (MAC_MANY, MANY, 1_000_000),
];
/// The longest round of the worker while a tool is shown the connections, and in as long a time before that.
const SHOWN: &str = "longest round while 1,000,000 connections are shown";
const NOT_SHOWN: &str = "longest round in as long a time before";
/// How long it takes to show them.
const SHOW: &str = "1,000,000 connections shown";
/// Of SYN segments.
const CLIENTS: u32 = 1_000_000;
/// What DPVS is published to take for a packet and to make of connections: cycles, and per second.
const DPVS: &str = "DPVS takes 760 cycles for a packet and makes 200,000 connections a second on its own machine, by its published figures.";

const LONGEST: &str = "The longest round is that of a worker whose processor may be taken from it: only what it is beside the other one says \
                       something of showing connections.";

/// The service, in the subnet of the port that receives.
const SERVICE: &str = "198.18.0.100";
/// Addresses of the gateway towards servers: each has 64,511 ports.
const LOCALS: u8 = 20;
/// Buffers beside those of the pcap.
const BUFFERS: u32 = 16_383;
/// Bytes of a buffer: as short as there may be.
const BUFFER_BYTES: u32 = 128;
/// Between two looks at how many connections there are.
const LOOK: Duration = Duration::from_millis(20);

impl Bench {
    /// All turns, one after the other.
    pub(super) fn services(&self) -> Result<Section, Error> {
        let mut section = Section::new("Services of one worker, Full-NAT of IPv4, frames of 64 bytes");
        for (_, _, connections) in ESTABLISHED {
            self.write_clients(Kind::Udp, connections)?;
        }
        self.write_clients(Kind::Syn, CLIENTS)?;
        for round in 1..=self.times.rounds {
            self.progress("services", round);
            for (mac, name, connections) in ESTABLISHED {
                let rate = self.testpmd_on(Kind::Udp, connections)?;
                section.record(mac, Unit::PacketsPerSecond, rate);
                let (turn, rounds) = self.established(connections)?;
                if connections == CLIENTS {
                    section.record(SHOW, Unit::Seconds, rounds.took);
                    section.record(NOT_SHOWN, Unit::Seconds, rounds.before);
                    section.record(SHOWN, Unit::Seconds, rounds.during);
                }
                section.record(name, Unit::PacketsPerSecond, turn.rate);
                section.record(&format!("{name}: a packet"), Unit::Cycles, turn.cycles);
            }
            section.record(NEW, Unit::ConnectionsPerSecond, self.new_connections()?);
        }
        section.series.sort_by_key(|series| series.unit == Unit::Cycles);
        section.compare(USUAL, MAC, Some(Bound::AtLeast(0.35)));
        section.compare(MANY, FEW, Some(Bound::AtLeast(0.7)));
        // What more packets in the pcap cost whoever reads them.
        section.compare(MAC_MANY, MAC_FEW, None);
        section.judge(NEW, Bound::AtLeast(400_000.0));
        section.remarks.push(DPVS.to_owned());
        section.remarks.push(LONGEST.to_owned());
        Ok(section)
    }

    fn clients_pcap(&self, kind: Kind, clients: u32) -> PathBuf {
        self.folder.join(format!("{}-{clients}.pcap", kind.name()))
    }

    fn write_clients(&self, kind: Kind, clients: u32) -> Result<(), Error> {
        pcap::write(&self.clients_pcap(kind, clients), packets::of(kind, clients))
    }

    fn clients_source(&self, kind: Kind, clients: u32) -> String {
        let pcap = self.clients_pcap(kind, clients);
        format!("net_pcap0,rx_pcap={},infinite_rx=1", pcap.display())
    }

    fn testpmd_on(&self, kind: Kind, clients: u32) -> Result<f64, Error> {
        let lcores = format!("0@{},1@{}", self.cores.control, self.cores.measured);
        let source = self.clients_source(kind, clients);
        self.peer("dpdk-testpmd".into(), &lcores, &[&source, SINK], |builder| {
            builder
                .args([
                    "--burst=32",
                    "--nb-cores=1",
                    "--forward-mode=mac",
                    "--stats-period=3600",
                ])
                .arg(format!("--total-num-mbufs={}", clients + BUFFERS))
                // What DPDK puts in front of each packet is in it.
                .arg(format!("--mbuf-size={}", BUFFER_BYTES + 128))
        })
    }

    /// The speed once all connections are there, and how long rounds are while they are shown.
    fn established(&self, connections: u32) -> Result<(Turn, Rounds), Error> {
        let mut primary = self.balancer(Kind::Udp, connections).start()?;
        let measured = wait_for(&primary, u64::from(connections))
            .and_then(|_| Ok((self.watch(&primary)?, Rounds::measure(&primary)?)));
        let ended = primary.terminate();
        let turn = measured?;
        ended?;
        Ok(turn)
    }

    /// Connections per second while there is none of a client yet: the service comes when packets do.
    fn new_connections(&self) -> Result<f64, Error> {
        let mut primary = self.without_service(Kind::Syn, CLIENTS).start()?;
        let file = self.folder.join("service.txt");
        super::write(&file, &saved())?;
        let measured = primary
            .ctl(&["service", "restore", &file.to_string_lossy()])
            .and_then(Captured::success)
            .map_err(Error::from)
            .and_then(|_| wait_for(&primary, u64::from(CLIENTS) * 9 / 10));
        let ended = primary.terminate();
        let rate = measured?;
        ended?;
        Ok(rate)
    }

    /// With a service from the start.
    fn balancer(&self, kind: Kind, clients: u32) -> PrimaryBuilder {
        let port = packets::SERVICE_PORT;
        let servers: Vec<_> = servers()
            .map(|address| format!("{{ address = \"{address}:{port}\" }}"))
            .collect();
        let locals: Vec<_> = locals()
            .map(|address| format!("{{ address = \"{address}\", interface = \"out\" }}"))
            .collect();
        self.without_service(kind, clients).toml(&format!(
            "[[service]]\nprotocol = \"{}\"\naddress = \"{SERVICE}:{port}\"\nscheduler = \"rr\"\n\
             servers = [{}]\nlocal_addresses = [{}]\n",
            kind.protocol(),
            servers.join(", "),
            locals.join(", ")
        ))
    }

    fn without_service(&self, kind: Kind, clients: u32) -> PrimaryBuilder {
        let vip = format!("{SERVICE}/32");
        let ends = [
            (
                "in",
                self.clients_source(kind, clients),
                [&traffic::IN_ADDRESSES[..], &[&vip]].concat(),
            ),
            ("out", SINK.to_owned(), traffic::OUT_ADDRESSES.to_vec()),
        ];
        let mut builder = Primary::builder(self.privilege, "bench");
        for (name, device, addresses) in ends {
            let interface = Interface::device(name, &device);
            builder = builder.interface(addresses.into_iter().fold(interface, Interface::address));
        }
        for (address, mac) in traffic::neighbors(Family::Four) {
            builder = builder.neighbor(&address.to_string(), &mac.to_string(), "out");
        }
        builder.busy().memory_mb(768).toml(&format!(
            "[limits]\npacket_buffers = {}\npacket_buffer_bytes = {BUFFER_BYTES}\nconnections = {}\n",
            clients + BUFFERS,
            clients + clients / 8,
        ))
    }
}

fn servers() -> impl Iterator<Item = IpAddr> {
    traffic::neighbors(Family::Four).map(|(address, _)| address)
}

fn locals() -> impl Iterator<Item = IpAddr> {
    (0..LOCALS).map(|number| Ipv4Addr::new(198, 19, 0, 100 + number).into())
}

/// The service for TCP as `tollgate-ctl service restore` reads it.
fn saved() -> String {
    let port = packets::SERVICE_PORT;
    let service = format!("tcp {SERVICE}:{port}");
    let mut text = format!("service add {service} --scheduler rr\n");
    for address in servers() {
        text += &format!("server add {service} {address}:{port}\n");
    }
    for address in locals() {
        text += &format!("laddr add {service} {address} --dev out\n");
    }
    text
}

/// The longest rounds of a worker, seconds.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    /// How long connections were shown.
    took: f64,
    /// In as long a time before.
    before: f64,
    during: f64,
}

impl Rounds {
    fn measure(primary: &Primary) -> Result<Self, Error> {
        // All of them come to the tool, which shows few.
        let show = || -> Result<Duration, Error> {
            let began = Instant::now();
            primary.ctl_json(&["conn", "show", "--top", "packets", "--limit", "1"])?;
            Ok(began.elapsed())
        };
        let took = show()?;
        begin_anew(primary)?;
        pause(took)?;
        let before = longest(primary)?;
        begin_anew(primary)?;
        let took = show()?;
        Ok(Self {
            took: took.as_secs_f64(),
            before,
            during: longest(primary)?,
        })
    }
}

fn begin_anew(primary: &Primary) -> Result<(), Error> {
    primary.ctl(&["worker", "zero"])?.success()?;
    Ok(())
}

fn longest(primary: &Primary) -> Result<f64, Error> {
    let workers = primary.ctl_json(&["worker", "show"])?;
    Ok(workers[0]["longest_loop_us"].as_f64().unwrap_or_default() / 1e6)
}

/// Waits for so many connections; how many there were in a second, over the last nine tenths of them.
fn wait_for(primary: &Primary, connections: u64) -> Result<f64, Error> {
    let began = Instant::now();
    let mut first = None;
    loop {
        let shown = primary.ctl_json(&["service", "show"])?;
        let now = Instant::now();
        let made = shown[0]["connections"].as_u64().unwrap_or_default();
        let (then, before) = match first {
            None if made >= connections / 10 => *first.insert((now, made)),
            None => (now, made),
            Some(first) => first,
        };
        if made >= connections {
            let took = now.duration_since(then).as_secs_f64();
            // All came between two looks.
            let took = if took > 0.0 { took } else { LOOK.as_secs_f64() };
            return Ok((made - before) as f64 / took);
        }
        if began.elapsed() > START_LIMIT {
            return Err(Error::Unexpected(format!(
                "there are {made} connections and not {connections}: `tollgate-ctl drop show` names the reason"
            )));
        }
        interrupt::check()?;
        pause(LOOK)?;
    }
}
