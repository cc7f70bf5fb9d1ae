//! Workers between rings: what a port would receive is put into one, what it would send comes out of another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use control::message::{FailMode, PuntClass};
use dpdk::ring::{self, Arrivals, MbufConsumer, MbufProducer};
use dpdk::{Eal, MbufBatch, Pool, PortId};
use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, NextHop, Quiescence, TBL24_ENTRIES, words6};
use lb::{Balancer, Config, Prepared};
use packet::ethernet::VlanTags;
use packet::{MacAddress, VlanTag};
use primary::adjacency::{Adjacency, AdjacencyWriter, WORDS};
use primary::attachments::{ClassPolicy, Consumers, Taps, parts};
use primary::balancer::{BalancerControl, Part};
use primary::path::punt::Punts;
use primary::path::{InterfaceView, OptionPolicy, Stages, SubInterface};
use primary::worker::spread::HandedOver;
use primary::worker::{
    AlertPolicy, Exit, LongestAnew, Policies, ToKernel, Worker, balancing, doorbell, handovers, news,
    siblings,
};
use reassembly::Reassembler;
use shm::records::IdlePolicy;
use shm::{Capacity, IcmpCounter, InterfaceCounter, TableReader, TableWriter, WorkerCounter};

pub(crate) const WAN: u16 = 0;
pub(crate) const LAN: u16 = 1;
/// A sub-interface of the first.
pub(crate) const VLAN: VlanTag = VlanTag::new(100);
const INTERFACES: u16 = 3;
/// Of the gateway's interfaces.
pub(crate) const MACS: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
/// Where routes lead to, on each interface.
pub(crate) const ROUTER: MacAddress = MacAddress([2, 0, 0, 0, 1, 9]);
pub(crate) const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 2, 2]);
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub(crate) const LIP: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 200);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 2);
pub(crate) const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x100);
pub(crate) const LIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x200);
pub(crate) const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 2);
pub(crate) const MTU: u16 = 1500;

const PATIENCE: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 4096;
const CAPACITY: Capacity = Capacity {
    interfaces: INTERFACES as usize,
    addresses: 1,
    routes4: 1,
    routes6: 1,
    neighbors: 1,
    next_hops: 1,
    workers: 4,
    pools: 1,
    sas: 4,
};

type Table32 = Vec<AtomicU32>;
type Table64 = Vec<AtomicU64>;

pub(crate) struct Gateway<'p> {
    pool: &'p Pool,
    /// By worker and interface.
    inputs: Vec<Vec<MbufProducer>>,
    outputs: Vec<Vec<MbufConsumer>>,
    controls: Vec<BalancerControl>,
    anew: Vec<LongestAnew>,
    reader: TableReader,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _fib: (Fib4Writer<Table32>, Fib6Writer<Table64>, AdjacencyWriter<Table64>),
    _region: TableWriter,
    _folder: tempfile::TempDir,
    /// The packets that were put in.
    sent: u64,
}

impl<'p> Gateway<'p> {
    pub(crate) fn new(eal: &Eal, pool: &'p Pool, workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let region = TableWriter::create(&path, None, &CAPACITY).unwrap();
        region.publish();
        let fib = tables();
        let views = views();
        let (quiescence, checkpoints) = Quiescence::new(workers);
        drop(quiescence);
        let (bell, _sleeper) = doorbell::pair().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut interface_of_port = Vec::new();
        for index in 0..INTERFACES {
            let port = usize::from(PortId::beyond_ports(index).number());
            interface_of_port.resize(interface_of_port.len().max(port + 1), u16::MAX);
            interface_of_port[port] = index;
        }
        let policies = policies();
        let mut gateway = Self {
            pool,
            inputs: Vec::new(),
            outputs: Vec::new(),
            controls: Vec::new(),
            anew: Vec::new(),
            reader: TableReader::open(&path).unwrap(),
            stop: stop.clone(),
            threads: Vec::new(),
            _fib: fib,
            _region: region,
            _folder: folder,
            sent: 0,
        };
        let siblings = siblings(eal, workers).unwrap();
        let handovers = handovers(eal, workers).unwrap();
        let balancing = balancing(eal, workers, CONNECTIONS).unwrap();
        let made = siblings.into_iter().zip(handovers).zip(balancing);
        for ((number, checkpoint), ((siblings, handover), balancing)) in
            checkpoints.into_iter().enumerate().zip(made)
        {
            let ring = |name: &str| ring::mbufs(eal, &format!("{name}.w{number}"), 2048).unwrap();
            let (in_wan, from_wan) = ring("in.wan");
            let (in_lan, from_lan) = ring("in.lan");
            let (to_wan, out_wan) = ring("out.wan");
            let (to_lan, out_lan) = ring("out.lan");
            let (discovery, _) = ring("discovery");
            let (resolve, _) = ring::spsc(eal, &format!("resolve.w{number}"), 64).unwrap();
            gateway.inputs.push(vec![in_wan, in_lan]);
            gateway.outputs.push(vec![out_wan, out_lan]);
            let (control, services) = primary::balancer::news(bell.clone());
            gateway.controls.push(control);
            let anew = LongestAnew::default();
            gateway.anew.push(anew.clone());
            let (_, taps) = parts(1);
            let (_, consumers) = parts(1);
            let (_, traces) = parts(1);
            let now = dpdk::tsc();
            let worker = Worker {
                stages: Stages::new(
                    views.clone(),
                    gateway._fib.0.reader(),
                    gateway._fib.1.reader(),
                    gateway._fib.2.reader(),
                    Punts::OFF,
                ),
                entries: Vec::new(),
                handed_over: [(WAN, from_wan), (LAN, from_lan)]
                    .map(|(interface, packets)| HandedOver {
                        interface,
                        queue: 0,
                        packets,
                    })
                    .into(),
                exits: vec![Exit::HandOver(to_wan), Exit::HandOver(to_lan)],
                originated: Vec::new(),
                arrivals: Arrivals::default(),
                discovery,
                resolve,
                doorbell: bell.clone(),
                to_kernel: ToKernel {
                    rings: Vec::new(),
                    doorbell: bell.clone(),
                },
                policies,
                counters: gateway._region.counter_block(number + 1).unwrap(),
                checkpoint,
                idle: IdlePolicy::Adaptive,
                anew,
                stop: stop.clone(),
                interface_of_port: interface_of_port.clone(),
                links: news().1,
                taps: Taps::new(taps, (number, workers), None),
                consumers: Consumers::new(consumers, &policies, workers as u64, dpdk::tsc_hz(), now),
                traces,
                ports: Vec::new(),
                pool: pool.clone(),
                takes_chains: vec![true; 2],
                reassembly: Reassembler::new(1, dpdk::tsc_hz()),
                siblings,
                sas: primary::ipsec::news().1,
                handover,
                long_pool: None,
                sa_limit: 0,
                balancer: Balancer::new(number, workers, CONNECTIONS, dpdk::tsc_hz(), now, 1),
                services,
                balancing,
            };
            gateway.threads.push(std::thread::spawn(move || worker.run()));
        }
        gateway
    }

    /// Has all workers go by these services.
    pub(crate) fn configure(&mut self, config: Config) {
        let prepared = Prepared::new(Arc::new(config), self.controls.len());
        for control in &mut self.controls {
            control.configure(prepared.clone());
        }
        until("services", || {
            self.controls.iter_mut().all(BalancerControl::serve).then_some(())
        });
    }

    /// Connections of a worker.
    pub(crate) fn connections(&mut self, worker: usize) -> usize {
        let control = &mut self.controls[worker];
        control.ask(Part::first()).unwrap();
        let part = until("connections", || control.take());
        assert!(part.is_last);
        part.rows.len()
    }

    /// Has a worker receive a frame.
    pub(crate) fn receive(&mut self, worker: usize, interface: u16, frame: &[u8]) {
        let mut mbuf = self.pool.alloc().unwrap();
        mbuf.append(frame).unwrap();
        mbuf.set_port(PortId::beyond_ports(interface));
        let mut one = MbufBatch::<1>::new();
        one.push(mbuf).unwrap();
        assert_eq!(self.inputs[worker][usize::from(interface)].enqueue(&mut one), 1);
        self.sent += 1;
    }

    /// What a worker sends next by an interface.
    pub(crate) fn sent(&mut self, worker: usize, interface: u16) -> Vec<u8> {
        let output = &mut self.outputs[worker][usize::from(interface)];
        let mut one = MbufBatch::<1>::new();
        until("a packet", || {
            output.dequeue(&mut one);
            Some(one.pop()?.data().to_vec())
        })
    }

    /// What is sent next by an interface, whichever worker sends it.
    pub(crate) fn sent_by_any(&mut self, interface: u16) -> Vec<u8> {
        let mut one = MbufBatch::<1>::new();
        until("a packet", || {
            for outputs in &mut self.outputs {
                if outputs[usize::from(interface)].dequeue(&mut one) > 0 {
                    let mbuf = one.pop()?;
                    return Some(mbuf.segments().collect::<Vec<_>>().concat());
                }
            }
            None
        })
    }

    /// What all workers together have counted.
    pub(crate) fn count(&self, counter: InterfaceCounter) -> u64 {
        let counters = self.reader.counters();
        (0..INTERFACES)
            .map(|interface| counters.interface(interface, counter))
            .sum()
    }

    /// Waits until all workers together have counted so much of ICMP.
    pub(crate) fn wait_for_icmp(&self, counters: &[(IcmpCounter, u64)]) {
        for (counter, count) in counters {
            until(&format!("{count} {counter}"), || {
                let view = self.reader.counters();
                let workers = 0..self.inputs.len();
                let sum: u64 = workers.map(|worker| view.icmp(worker, *counter)).sum();
                (sum == *count).then_some(())
            });
        }
    }

    /// Waits until a worker shows a longest round.
    pub(crate) fn has_longest(&self, worker: usize) {
        until("a longest round", || (self.longest(worker) > 0).then_some(()));
    }

    /// Has a worker begin its longest round anew; gives what it shows then.
    pub(crate) fn longest_anew(&self, worker: usize) -> u64 {
        self.anew[worker].ask();
        until("that it begins anew", || {
            self.anew[worker].is_done().then_some(())
        });
        self.longest(worker)
    }

    fn longest(&self, worker: usize) -> u64 {
        let counters = self.reader.counters();
        counters.worker(worker, WorkerCounter::LongestTicks)
    }

    /// Waits until a packet is dropped for this reason.
    pub(crate) fn dropped(&self, reason: shm::DropReason) {
        until(reason.name(), || {
            let counters = self.reader.counters();
            let drops: u64 = (0..INTERFACES)
                .map(|interface| counters.drops(interface, reason))
                .sum();
            (drops > 0).then_some(())
        });
    }

    /// Ends the workers. All that came in went out: `dropped` packets excepted.
    pub(crate) fn stop(mut self, dropped: u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let counters = self.reader.counters();
        let drops: u64 = shm::DropReason::ALL
            .iter()
            .map(|reason| {
                (0..INTERFACES)
                    .map(|interface| counters.drops(interface, *reason))
                    .sum::<u64>()
            })
            .sum();
        assert_eq!(drops, dropped);
        let again = self.count(InterfaceCounter::ToSubInterfaces);
        assert_eq!(self.count(InterfaceCounter::RxPackets), self.sent + again);
        assert_eq!(self.count(InterfaceCounter::Waiting), 0);
        for outputs in &self.outputs {
            assert!(
                outputs.iter().all(MbufConsumer::is_empty),
                "a packet that nobody wanted"
            );
        }
    }
}

fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn tables() -> (Fib4Writer<Table32>, Fib6Writer<Table64>, AdjacencyWriter<Table64>) {
    let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let words = |count| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    let mut fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(64 * GROUP_ENTRIES), 100).unwrap();
    let mut fib6 = Fib6Writer::new(words(words6(100)), 100).unwrap();
    let mut adjacencies = AdjacencyWriter::new(words(64 * WORDS));
    let forward = |interface, mac| Adjacency::Forward { interface, mac };
    for (prefix, adjacency) in [
        // Not where clients are: what goes back to them by this was not sent by the way that they came.
        ("0.0.0.0/0", forward(WAN, ROUTER)),
        ("192.168.100.2/32", forward(LAN, SERVER_MAC)),
        ("192.168.100.200/32", Adjacency::Local { interface: LAN }),
        ("10.0.0.100/32", Adjacency::Local { interface: WAN }),
    ] {
        let to: NextHop = adjacencies
            .allocate(adjacency, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
            .unwrap();
        fib4.insert(prefix.parse().unwrap(), to).unwrap();
    }
    for (prefix, adjacency) in [
        ("::/0", forward(WAN, ROUTER)),
        ("2001:db8:100::2/128", forward(LAN, SERVER_MAC)),
        ("2001:db8:100::200/128", Adjacency::Local { interface: LAN }),
        ("2001:db8:10::100/128", Adjacency::Local { interface: WAN }),
    ] {
        let to: NextHop = adjacencies
            .allocate(adjacency, IpAddr::V6(Ipv6Addr::UNSPECIFIED))
            .unwrap();
        fib6.insert(prefix.parse().unwrap(), to).unwrap();
    }
    (fib4, fib6, adjacencies)
}

fn views() -> Vec<InterfaceView> {
    let view = |index: usize| InterfaceView {
        mac: MACS[index],
        mtu: MTU,
        kernel_device: false,
        tap: false,
        redirects: true,
        options: OptionPolicy::default(),
        up: Arc::new(AtomicBool::new(true)),
        sources: Arc::default(),
        any_tpid: false,
        sub: None,
        tunnel: None,
    };
    let sub = SubInterface {
        port: WAN,
        parent: WAN,
        tags: VlanTags::one(VLAN),
    };
    let tagged = InterfaceView {
        sub: Some(sub),
        ..view(0)
    };
    let views = vec![view(0), view(1), tagged];
    for (view, own) in views
        .iter()
        .zip(["10.0.0.1/24", "192.168.100.1/24", "10.0.2.1/24"])
    {
        view.sources
            .set(None, [own.parse().unwrap()].into_iter(), std::iter::empty());
    }
    views
}

fn policies() -> Policies {
    let policy = ClassPolicy {
        fail: FailMode::Open,
        rate: 1,
        burst: 1,
        deadline_ms: 10,
    };
    Policies {
        classes: [policy; PuntClass::COUNT],
        alerts: AlertPolicy::DEFAULT,
    }
}
