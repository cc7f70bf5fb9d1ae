//! A primary without packets.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use control::event::{Event, Subscribers};
use control::instance::{CpuClaim, Description, DeviceClaim, InstanceDir, InstanceLock, RunDir};
use control::message::{
    Answer, Budget, CaptureInfo, CapturePoint, ControlError, ErrorCode, LogLevel, MemoryUse, Reply, Request,
    RouteExplanation,
};
use control::server::{Response, Server};
use nix::poll::{PollTimeout, poll};
use shm::records::{
    Address, AddressState, IdlePolicy, Interface, NO_INTERFACE, Neighbor, NeighborState, OffloadHint, Route4,
    Route6, RouteKind, RouteProtocol, Worker, ip_field, text,
};
use shm::{
    AlertRuleTable, Capacity, CounterBlock, DiscoveryPage, DropReason, IcmpCounter, InstanceState,
    InterfaceCounter, ProcessId, SaTable, TableWriter, WorkerCounter,
};

use crate::fake_services;

/// Everything that a tool sees of an instance. It heartbeats until it is dropped.
pub(crate) struct FakePrimary {
    pub(crate) run_dir: PathBuf,
    pub(crate) lock: Option<InstanceLock>,
    pub(crate) directory: InstanceDir,
    pub(crate) description: Description,
    /// What the worker counts.
    pub(crate) worker: CounterBlock,
    asked: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<DiscoveryPage>>,
    tables: Option<TableWriter>,
}

impl FakePrimary {
    /// An instance of that name under `place`, with `routes` IPv4 routes besides the four of IPv4 and the three of IPv6
    /// that it always has.
    pub(crate) fn start(place: &Path, name: &str, routes: u32) -> Self {
        let run_dir = place.join("run");
        let directory = RunDir::new(&run_dir).instance(&name.parse().unwrap());
        let lock = directory.claim().unwrap();
        lock.open_to(None).unwrap();
        let page = DiscoveryPage::create(&directory.segment(), None, control::VERSION).unwrap();
        let description = description(&directory, place);
        let tables = fill_tables(&description.tables, routes);
        let worker = tables.counter_block(1).unwrap();
        fill_counters(&worker);
        tables.publish();
        lock.publish(&description, None).unwrap();
        page.set_state(InstanceState::Ready);

        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server::bind(&directory, None).unwrap();
        let thread = thread::spawn({
            let (asked, stop, directory) = (asked.clone(), stop.clone(), directory.clone());
            move || {
                serve(server, &page, &asked, &stop, &directory);
                page
            }
        });
        let (lock, thread, tables) = (Some(lock), Some(thread), Some(tables));
        Self {
            run_dir,
            lock,
            directory,
            description,
            worker,
            asked,
            stop,
            thread,
            tables,
        }
    }

    /// The rules for router alerts, to be written once.
    pub(crate) fn alert_rules(&self) -> AlertRuleTable {
        self.tables.as_ref().unwrap().alert_rules().unwrap()
    }

    /// The SAs, to be written once.
    pub(crate) fn sas(&self) -> SaTable {
        self.tables.as_ref().unwrap().sas().unwrap()
    }

    /// The requests that came, hellos not among them.
    pub(crate) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Ends as by SIGKILL: directory, socket, segment and tables stay, the lock does not.
    pub(crate) fn die(mut self) -> DeadPrimary {
        // A killed process drops nothing.
        std::mem::forget(self.end().unwrap());
        // The lock removes what is at its path when it is dropped, so something else is there for that moment.
        let aside = self.run_dir.join("aside");
        fs::rename(self.directory.path(), &aside).unwrap();
        drop(self.lock.take());
        fs::rename(&aside, self.directory.path()).unwrap();
        std::mem::forget(self.tables.take());
        DeadPrimary {
            run_dir: self.run_dir.clone(),
            segment: self.description.segment.clone(),
        }
    }

    /// Ends the thread, which gives the discovery page back.
    fn end(&mut self) -> Option<DiscoveryPage> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().map(|thread| thread.join().unwrap())
    }
}

impl Drop for FakePrimary {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// What a dead primary left. Its segment is no file of the test's directory, so it is removed here.
pub(crate) struct DeadPrimary {
    pub(crate) run_dir: PathBuf,
    segment: String,
}

impl Drop for DeadPrimary {
    fn drop(&mut self) {
        shm::discovery::remove(&self.segment);
    }
}

fn serve(
    mut server: Server,
    page: &DiscoveryPage,
    asked: &Mutex<Vec<Request>>,
    stop: &AtomicBool,
    directory: &InstanceDir,
) {
    let mut subscribers = Subscribers::default();
    while !stop.load(Ordering::Acquire) {
        page.beat();
        let mut descriptors = Vec::new();
        server.descriptors(&mut descriptors);
        poll(&mut descriptors, PollTimeout::from(5u8)).unwrap();
        drop(descriptors);
        server.serve(|_, request, _| {
            let before = asked
                .lock()
                .unwrap()
                .iter()
                .filter(|other| **other == request)
                .count();
            asked.lock().unwrap().push(request.clone());
            let services = fake_services::answer(&request, before);
            services.unwrap_or_else(|| Response::from(answer(request, &mut subscribers, directory)))
        });
        subscribers.tell(&Event::Link {
            interface: "wan".into(),
            admin_up: true,
            link_up: false,
        });
    }
}

fn answer(request: Request, subscribers: &mut Subscribers, directory: &InstanceDir) -> Answer {
    match request {
        Request::RouteGet { flow } => Ok(Reply::Route(Box::new(RouteExplanation {
            destination: flow.destination,
            prefix: Some("10.1.0.0/16".parse().unwrap()),
            kind: Some("via".into()),
            next_hop: Some([192, 168, 10, 2].into()),
            interface: Some("wan".into()),
            neighbor_state: Some("reachable".into()),
            mac: Some([2, 0, 0, 0, 0x10, 2].into()),
            protocol: Some("static".into()),
            metric: Some(0),
            source: None,
            mtu: Some(1500),
            next_hops: Some((2, 1)),
            outcome: "packets leave by wan".into(),
        }))),
        Request::LogShow => Ok(Reply::Log(BTreeMap::from([
            ("default".to_owned(), LogLevel::Info),
            ("arp".to_owned(), LogLevel::Debug),
        ]))),
        Request::CaptureShow => Ok(Reply::Captures(vec![CaptureInfo {
            id: 3,
            tool: "tollgate-pdump".into(),
            pid: 77,
            uid: 1000,
            interfaces: vec!["wan".into(), "lan".into()],
            points: vec![CapturePoint::Rx, CapturePoint::Tx],
            expression: "udp port 53".into(),
            snaplen: 1526,
            queue: None,
            drop_reasons: Vec::new(),
            punt_classes: Vec::new(),
            related: false,
            ring_kb: 8192,
            budget: Budget::default(),
            age_s: 4,
            seen: 100,
            matched: 10,
            lost: 1,
            unsampled: 0,
        }])),
        Request::MemoryShow => Ok(Reply::Memory(vec![MemoryUse {
            part: "eal_heap".into(),
            bytes: 1 << 20,
            used: None,
            capacity: None,
            unit: None,
            huge: true,
        }])),
        Request::Subscribe { server } => subscribers
            .add(directory, server)
            .map(|()| Reply::Done)
            .map_err(|error| ControlError::new(ErrorCode::Failed, error.to_string())),
        Request::LinkSet { interface, .. } if interface != "wan" => Err(ControlError::new(
            ErrorCode::UnknownInterface,
            format!("there is no interface '{interface}'"),
        )),
        // 10.66.0.0/16 stands for a route that is there already.
        Request::RouteAdd {
            routes,
            replace: false,
        } if routes
            .iter()
            .any(|route| route.prefix.to_string() == "10.66.0.0/16") =>
        {
            Err(ControlError::new(ErrorCode::Exists, "10.66.0.0/16 exists"))
        }
        // 10.67.0.0/16 stands for a route that cannot be.
        Request::RouteAdd { routes, .. }
            if routes
                .iter()
                .any(|route| route.prefix.to_string() == "10.67.0.0/16") =>
        {
            Err(ControlError::new(ErrorCode::Invalid, "10.67.0.0/16 cannot be"))
        }
        _ => Ok(Reply::Done),
    }
}

fn description(directory: &InstanceDir, place: &Path) -> Description {
    let me = ProcessId::current();
    Description {
        name: directory.name().clone(),
        version: control::VERSION.into(),
        pid: me.pid,
        start_time: me.start_time,
        file_prefix: format!("tg-{}", directory.name()),
        netns: None,
        config: "/etc/tollgate/test.toml".into(),
        huge_dir: place.into(),
        tables: place.join(format!("tg-{}.tables", directory.name())),
        segment: directory.segment(),
        group: None,
        stock_tools: false,
        devices: vec![DeviceClaim {
            interface: "wan".into(),
            device: "net_null0".into(),
            key: None,
        }],
        cpus: vec![CpuClaim { cpu: 1, busy: false }],
    }
}

const NO_ROUTE: Route4 = Route4 {
    prefix: [0; 4],
    next_hop: [0; 4],
    interface: NO_INTERFACE,
    prefix_length: 0,
    kind: RouteKind::Blackhole as u8,
    protocol: RouteProtocol::STATIC.0,
    active: 1,
    mtu: 0,
    metric: 0,
    source: [0; 4],
};

fn fill_tables(path: &Path, routes: u32) -> TableWriter {
    let capacity = Capacity {
        interfaces: 4,
        addresses: 8,
        routes4: routes as usize + 8,
        routes6: 8,
        neighbors: 8,
        next_hops: 8,
        workers: 1,
        pools: 1,
        sas: 4,
    };
    let tables = TableWriter::create(path, None, &capacity).unwrap();

    let mut interfaces = tables.interfaces().unwrap();
    for (port, name) in ["wan", "lan"].into_iter().enumerate() {
        let hint = if name == "lan" {
            OffloadHint::PartialChecksum
        } else {
            OffloadHint::None
        };
        interfaces
            .insert(&Interface {
                name: text(name),
                device: text(&format!("net_af_packet{port},iface={name}0")),
                driver: text("net_af_packet"),
                netdev: text(&format!("{name}0")),
                mac: [2, 0, 0, 0, 0, u8::try_from(port).unwrap()],
                mtu: 1500,
                speed_mbps: 10_000,
                port: u16::try_from(port).unwrap(),
                rx_queues: 1,
                tx_queues: 1,
                link_up: 1,
                admin_up: 1,
                offload_hint: hint as u8,
                reserved: [0; 3],
                parent: 0,
                vlan_protocol: 0,
                vlan_id: 0,
                reserved2: 0,
                tap: text(if name == "wan" { "wan" } else { "" }),
            })
            .unwrap();
    }
    let mut addresses = tables.addresses().unwrap();
    // Not in the order in which they are shown.
    for (address, prefix_length, state) in [
        ("fe80::1", 64, AddressState::Tentative),
        ("2001:db8:10::1", 64, AddressState::Preferred),
        ("192.168.10.1", 24, AddressState::Preferred),
    ] {
        addresses
            .insert(&Address {
                address: ip_field(address.parse().unwrap()),
                prefix_length,
                state: state as u8,
                interface: 0,
                reserved: 0,
            })
            .unwrap();
    }

    let mut table = tables.routes4().unwrap();
    for index in 0..routes {
        let prefix = (0x1400_0000 + (index << 8)).to_be_bytes();
        let (next_hop, kind) = ([192, 168, 10, 2], RouteKind::Via as u8);
        table
            .insert(&Route4 {
                prefix,
                next_hop,
                interface: 0,
                prefix_length: 24,
                kind,
                ..NO_ROUTE
            })
            .unwrap();
    }
    let kernel = RouteProtocol::KERNEL.0;
    // Not in the order in which they are shown.
    for route in [
        Route4 {
            prefix: [192, 168, 10, 1],
            prefix_length: 32,
            interface: 0,
            kind: RouteKind::Local as u8,
            protocol: kernel,
            ..NO_ROUTE
        },
        Route4 {
            prefix: [192, 168, 10, 0],
            prefix_length: 24,
            interface: 0,
            kind: RouteKind::Connected as u8,
            protocol: kernel,
            ..NO_ROUTE
        },
        Route4 {
            prefix: [10, 1, 0, 0],
            prefix_length: 16,
            interface: 0,
            next_hop: [192, 168, 10, 2],
            kind: RouteKind::Via as u8,
            ..NO_ROUTE
        },
        Route4 {
            prefix: [10, 0, 0, 0],
            prefix_length: 8,
            ..NO_ROUTE
        },
    ] {
        table.insert(&route).unwrap();
    }
    fill_routes6(&tables);
    let mut neighbors = tables.neighbors().unwrap();
    for (address, state) in [
        ("fe80::2", NeighborState::Stale),
        ("192.168.10.2", NeighborState::Permanent),
    ] {
        neighbors
            .insert(&Neighbor {
                address: ip_field(address.parse().unwrap()),
                mac: [2, 0, 0, 0, 0x10, 2],
                interface: 0,
                changed_ns: 0,
                state: state as u8,
                probes: 0,
                reserved: [0; 2],
                adjacency: 5,
            })
            .unwrap();
    }
    let mut workers = tables.workers().unwrap();
    workers
        .insert(&Worker {
            lcore: 1,
            cpu: 1,
            idle: IdlePolicy::Adaptive as u8,
            reserved: [0; 3],
            rx_queues: 2,
            queues: [0, 1 << 16, 0, 0, 0, 0, 0, 0],
            tsc_hz: 1_000_000_000,
        })
        .unwrap();
    tables
}

fn fill_routes6(tables: &TableWriter) {
    let mut routes = tables.routes6().unwrap();
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    // Not in the order in which they are shown.
    for (prefix, prefix_length, kind, next_hop) in [
        ("2001:db8:10::1", 128, RouteKind::Local, "::"),
        ("2001:db8:10::", 64, RouteKind::Connected, "::"),
        ("::", 0, RouteKind::Via, "fe80::2"),
    ] {
        let protocol = if kind == RouteKind::Via {
            RouteProtocol::STATIC
        } else {
            RouteProtocol::KERNEL
        };
        routes
            .insert(&Route6 {
                prefix: address(prefix),
                next_hop: address(next_hop),
                interface: 0,
                prefix_length,
                kind: kind as u8,
                protocol: protocol.0,
                active: 1,
                mtu: 0,
                metric: 0,
                source: [0; 16],
                reserved: [0; 4],
            })
            .unwrap();
    }
}

fn fill_counters(worker: &CounterBlock) {
    worker.add(0, InterfaceCounter::RxPackets, 1000);
    worker.add(0, InterfaceCounter::RxBytes, 64_000);
    worker.drop(0, DropReason::NoRoute, 7);
    worker.drop(0, DropReason::TtlExpired, 2);
    worker.set_worker(WorkerCounter::Packets, 1000);
    worker.set_worker(WorkerCounter::BusyLoops, 100);
    worker.set_worker(WorkerCounter::BusyTicks, 250_000);
    worker.set_worker(WorkerCounter::Ticks, 1_000_000);
    worker.set_worker(WorkerCounter::LongestTicks, 5_000);
    worker.set_icmp(IcmpCounter::QueryNew, 12);
}
