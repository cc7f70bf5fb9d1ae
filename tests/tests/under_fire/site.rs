//! A gateway between a port that never runs dry and one that is flooded.
//!
//! ```text
//!   good.pcap ─► net_pcap, infinite_rx ─► a ─┐                      ┌─► out ─► net_null
//!                                            ├── primary, 1 worker ─┤
//!   paced sender ─► veth ─► af_packet ─► b ──┘                      └─► far ─► net_null
//! ```
//!
//! Port a takes all time that the worker has, so every tick that b's packets cost is seen in what leaves by `out`: nothing
//! is hidden by time to spare. Port b is sent so many packets a second and no more, ordinary ones or bad ones: the sender, the
//! link and the device are the same for both, so that what differs is what the primary does with them. Ordinary ones leave by a
//! device that costs nothing, so that they are as cheap as they can be. Seconds are those in which the worker had its CPU: on a
//! host with much else to do it would have to cope with the packets of many seconds in one.

use std::{
    fs::{self, File},
    io::BufWriter,
    net::IpAddr,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use packet::MacAddress;
use pcap_file::pcap::{PcapPacket, PcapWriter};
use shm::records::{NeighborState, from_ip_field};
use tempfile::TempDir;
use tests::{
    Interface, Namespace, NamespaceOptions, Primary, Privilege, Tables, Wire, datagrams::stay_on_one_cpu,
    wait_until,
};

use crate::floods::{self, Flood};

/// Where net_pcap's first port of a process is.
const PORT_MAC: MacAddress = MacAddress([0x02, 0x70, 0x63, 0x61, 0x70, 0x00]);
/// Neighbours that the table holds.
pub(crate) const NEIGHBORS: usize = 1000;
const LIMIT: Duration = Duration::from_secs(30);
/// On a host with much else to do the worker may be late.
const STARVED: Duration = Duration::from_secs(120);
/// How soon `tollgate-ctl` is to have its answer. It takes milliseconds; the rest is for a host that has other things to do.
const ANSWER: Duration = Duration::from_secs(1);

pub(crate) struct Site {
    pub(crate) primary: Primary,
    pub(crate) tables: Tables,
    wire: Wire,
    /// Of port b.
    pub(crate) mac: MacAddress,
    worker: String,
    _folder: TempDir,
    _namespaces: [Namespace; 2],
}

/// What a turn gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Packets of port a that left, for each second that the worker had its CPU: what other processes of the host take of it
    /// is not the primary's doing.
    pub(crate) goodput: f64,
    /// Packets that port b received, for each such second.
    pub(crate) received: f64,
}

impl Site {
    pub(crate) fn start(flood: Flood) -> Self {
        let privilege = Privilege::detect();
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let host = Namespace::create_with(privilege, "host", options).unwrap();
        let gateway = Namespace::create(privilege, "gateway").unwrap();
        host.connect("eth0", &gateway, "b0").unwrap();
        host.set_mac("eth0", &floods::HOST_MAC.to_string()).unwrap();
        host.add_address("eth0", &format!("{}/16", floods::HOST)).unwrap();
        host.add_address("eth0", &format!("{}/64", floods::HOST6))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("good.pcap");
        let mut good = PcapWriter::new(BufWriter::new(File::create(&path).unwrap())).unwrap();
        for frame in floods::good(PORT_MAC) {
            let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, &frame).unwrap();
            good.write_packet(&packet).unwrap();
        }
        good.flush().unwrap();
        let endless = format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display());
        let primary = Primary::builder(privilege, "gw")
            .netns(&gateway)
            .busy()
            .interface(Interface::device("a0", &endless).address("10.7.0.1/24"))
            .interface(
                Interface::af_packet("b0")
                    .address("192.168.2.1/16")
                    .address("2001:db8:2::1/64"),
            )
            .interface(
                Interface::device("out", "net_null0,no-rx=1")
                    .address("10.9.0.1/16")
                    .address("2001:db8:9::1/64"),
            )
            .interface(
                Interface::device("far", "net_null1,no-rx=1")
                    .address("10.8.0.1/16")
                    .address("2001:db8:8::1/64"),
            )
            .route("10.1.0.0/16", "10.9.255.2")
            .route("10.2.0.0/16", "10.8.0.2")
            .route("2001:db8:b::/48", "2001:db8:8::2")
            .neighbor("10.9.255.2", "02:00:00:00:09:02", "out")
            .neighbor("10.8.0.2", "02:00:00:00:08:02", "far")
            .neighbor("2001:db8:8::2", "02:00:00:00:08:02", "far")
            .toml(&format!("[limits]\nneighbors = {NEIGHBORS}\n"))
            .toml(flood.configuration());
        let mut primary = primary.start().unwrap();
        let mac = gateway.mac("b0").unwrap().parse().unwrap();
        let tables = primary.tables().unwrap();
        let worker = worker_thread(&mut primary);
        let wire = Wire::open(&host, "eth0").unwrap();
        let site = Self {
            primary,
            tables,
            wire,
            mac,
            worker,
            _folder: folder,
            _namespaces: [host, gateway],
        };
        // Packets for the host itself have the gateway ask for it.
        wait_until("that the host is known", LIMIT, || {
            for frame in floods::for_the_host(site.mac) {
                site.wire.send(&frame)?;
            }
            Ok(site.resolved().then_some(()))
        })
        .unwrap();
        site
    }

    /// Sends `rate` frames to port b for each second of the worker, and meanwhile does what `and` says; gives what `time` of it gave.
    pub(crate) fn turn(
        &self,
        frames: &[Vec<u8>],
        rate: u32,
        time: Duration,
        and: impl FnOnce(&Self),
    ) -> Turn {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                stay_on_one_cpu().unwrap();
                self.wire
                    .send_at(
                        frames,
                        rate,
                        || self.worker_time(),
                        || !stop.load(Ordering::Relaxed),
                    )
                    .unwrap()
            });
            let _stopped = StopAtEnd(&stop);
            let first = self.received();
            wait_until("that the frames arrive", LIMIT, || {
                Ok((self.received() > first + u64::from(rate / 50)).then_some(()))
            })
            .unwrap();
            let before = self.sample();
            and(self);
            let after = self.wait_for(&before, time);
            stop.store(true, Ordering::Relaxed);
            sender.join().unwrap();
            Turn {
                goodput: (after.good - before.good) as f64 / (after.cpu - before.cpu).as_secs_f64(),
                received: (after.received - before.received) as f64 / (after.cpu - before.cpu).as_secs_f64(),
            }
        })
    }

    fn received(&self) -> u64 {
        self.tables.counters().of("b0").unwrap().rx_packets
    }

    /// How long the worker has had its CPU.
    fn worker_time(&self) -> Duration {
        let text = fs::read_to_string(&self.worker).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    fn sample(&self) -> Sample {
        let counters = self.tables.counters();
        let out = counters.of("out").unwrap();
        Sample {
            cpu: self.worker_time(),
            // What the gateway sends there by itself is not asked for.
            good: out.tx_packets - out.originated,
            received: counters.of("b0").unwrap().rx_packets,
        }
    }

    /// Packets of port a that leave while port b has none, for each second of the worker.
    pub(crate) fn alone(&self, time: Duration) -> f64 {
        let before = self.sample();
        let after = self.wait_for(&before, time);
        (after.good - before.good) as f64 / (after.cpu - before.cpu).as_secs_f64()
    }

    /// The first sample at which the worker has had its CPU for `time` since `before`.
    fn wait_for(&self, before: &Sample, time: Duration) -> Sample {
        wait_until("that the worker had its time", STARVED + time, || {
            let now = self.sample();
            Ok((now.cpu - before.cpu >= time).then_some(now))
        })
        .unwrap()
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.tables.counters().sum(|interface| interface.waiting)
    }

    /// The class of router alerts, as `tollgate-ctl punt show` has it.
    pub(crate) fn router_alerts(&self) -> serde_json::Value {
        let mut punts = self.primary.ctl_json(&["punt", "show"]).unwrap();
        let mut classes = punts.as_array_mut().unwrap().iter_mut();
        let class = classes.find(|class| class["class"] == "router_alert");
        class.unwrap().take()
    }

    /// Panics unless the primary answers a question soon.
    pub(crate) fn assert_answers(&self) {
        let asked = Instant::now();
        self.primary.ctl_json(&["punt", "show"]).unwrap();
        let took = asked.elapsed();
        assert!(took <= ANSWER, "ctl had its answer after {took:?}");
    }

    /// Whether the neighbours that have answered are known.
    pub(crate) fn resolved(&self) -> bool {
        let neighbors = self.tables.neighbors();
        let known = |address| {
            let mut found = neighbors.iter();
            let found = found.find(|neighbor| from_ip_field(neighbor.address) == address);
            found.is_some_and(|neighbor| {
                let state = NeighborState::from_raw(neighbor.state);
                neighbor.mac == floods::HOST_MAC.octets()
                    && matches!(
                        state,
                        Some(NeighborState::Reachable | NeighborState::Stale | NeighborState::Probe)
                    )
            })
        };
        known(IpAddr::V4(floods::HOST)) && known(IpAddr::V6(floods::HOST6))
    }

    /// Ends the primary; every packet is accounted for.
    pub(crate) fn end(mut self) {
        let status = self.primary.terminate().unwrap();
        assert!(status.success(), "{status}: {}", self.primary.process().stderr());
        let counters = self.tables.counters();
        counters.assert_balanced();
        assert_eq!(counters.sum(|interface| interface.waiting), 0, "{counters:?}");
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Sample {
    /// Time that the worker had its CPU.
    cpu: Duration,
    good: u64,
    received: u64,
}

/// Where the kernel says how long the worker has run.
fn worker_thread(primary: &mut Primary) -> String {
    let tasks = fs::read_dir(format!("/proc/{}/task", primary.process().pid())).unwrap();
    let is_worker = |task: &PathBuf| {
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        name.contains("worker")
    };
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let worker = tasks.find(is_worker).unwrap();
    worker.join("schedstat").display().to_string()
}
