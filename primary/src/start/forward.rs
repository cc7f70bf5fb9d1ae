//! What forwards: ports, tables, workers and the control thread, from when EAL is there until the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use control::event::Subscribers;
use control::instance::{Description, InstanceLock};
use control::message::CaptureInterface;
use control::server::Server;
use dpdk::{Eal, LcoreId, NumaNode, PortId, ring};
use fib::Quiescence;
use lb::Balancer;
use reassembly::Reassembler;
use shm::records;
use shm::{DiscoveryPage, InstanceState, TableWriter};

use super::{Failure, lookup, shown};
use crate::alerts::Told;
use crate::attachments::{
    self, AttachmentInterface, Attachments, Beside, BesideControl, Consumers, Spare, Taps, WorkerControl,
};
use crate::balancer;
use crate::config::{Config, HopByHop, Overrides};
use crate::control_thread::{self, Connections, Control, Held, PortState, Punts, Reload, Signals};
use crate::ipsec::{self, Crypto};
use crate::kernel::{self, Kernel, TapThread};
use crate::log::Log;
use crate::path::{InterfaceView, Interfaces, Stages};
use crate::plan::Plan;
use crate::ports::{self, OpenPort, RING};
use crate::tables::NewSubInterface;
use crate::trace::{self, Traces};
use crate::worker::{LongestAnew, Policies, ToKernel, Worker, doorbell, news};

/// Beyond that a worker has lost its CPU. DPDK's own tools wait for five seconds.
const LONGEST_BURST: Duration = Duration::from_secs(3);

/// Makes ports, tables and workers, and runs the control thread until the end.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a start, each made by a step of its own"
)]
pub(super) fn forward(
    eal: &Eal,
    config: &Config,
    plan: &Plan,
    overrides: &Overrides,
    lock: &InstanceLock,
    description: &Description,
    page: &DiscoveryPage,
    signals: Signals,
    log: Log,
) -> Result<(), Failure> {
    let group = config.instance.group.as_ref().map(|group| group.gid);
    let node = plan.node.map_or(NumaNode::ANY, NumaNode::new);
    let region = TableWriter::create(&description.tables, group, &plan.capacity)?;
    let pool = plan.pool.make(eal, "packets", node)?;
    let long_pool = plan.long_pool.map(|plan| plan.make(eal, "long packets", node));
    let long_pool = long_pool.transpose()?;

    let workers = config.workers.lcores.len();
    let mut open_ports = Vec::with_capacity(config.interfaces.len());
    for interface in &config.interfaces {
        // A configuration has far fewer workers than 65,536.
        open_ports.push(ports::open(eal, &pool, interface, workers as u16)?);
    }
    let records = shown::interfaces(config, &open_ports)?;
    let (shares, send) = ports::share_out(eal, config, &mut open_ports)?;
    let macs: Vec<_> = records.iter().map(|record| record.mac.into()).collect();
    let kernel = Kernel::make(config, &macs)?;
    let (kernel_bell, kernel_sleeper) = doorbell::pair()?;
    let mut kernel_rings = kernel::rings(eal, &kernel, workers, send.kernel)?;

    let mut tables = lookup::tables(eal, config, plan, &region, node)?;

    let mut interface_of_port = Vec::new();
    let takes_chains: Vec<_> = open_ports.iter().map(OpenPort::takes_chains).collect();
    let port_ids: Vec<_> = open_ports.iter().map(|port| port.port.id()).collect();
    let mut views = Vec::new();
    let mut states = Vec::new();
    for (number, (port, record)) in open_ports.into_iter().zip(&records).enumerate() {
        let index = tables.add_interface(*record)?;
        // Packets of a bond carry the number of the member that they came by.
        let ports = port.members.iter().map(|member| member.id());
        for id in ports.chain([port.port.id()]) {
            let id = usize::from(id.number());
            interface_of_port.resize(interface_of_port.len().max(id + 1), u16::MAX);
            interface_of_port[id] = index;
        }
        let kernel_device = port.is_kernel_device();
        let netdev = Some(records::from_text(&record.netdev)).filter(|name| !name.is_empty());
        views.push(InterfaceView {
            mac: record.mac.into(),
            mtu: record.mtu,
            kernel_device,
            tap: config.interfaces[number].tap.is_some(),
            redirects: config.interfaces[number].redirects,
            options: config.router_alert.on(config.interfaces[number].hop_by_hop),
            up: tables.up_flag(index).unwrap_or_default(),
            sources: tables.sources(index).unwrap_or_default(),
            any_tpid: port.drivers.iter().any(|driver| driver == "net_af_packet"),
            sub: None,
            tunnel: None,
        });
        states.push(PortState::new(
            config.interfaces[number].name.clone(),
            port,
            netdev,
            match &config.interfaces[number].bond {
                None => Vec::new(),
                Some(_) => config.interfaces[number]
                    .kernel_interfaces()
                    .map(str::to_owned)
                    .collect(),
            },
        ));
    }
    for interface in &config.sub_interfaces {
        let index = tables.add_sub_interface(&NewSubInterface {
            name: Some(interface.name.clone()),
            link: interface.link.clone(),
            protocol: interface.protocol,
            id: interface.id,
            mtu: Some(interface.mtu),
        })?;
        tables.set_tap(index, interface.tap.as_deref().unwrap_or_default());
        let view = control_thread::sub_interface_view(&tables, index, |port| views.get(port));
        views.push(InterfaceView {
            tap: interface.tap.is_some(),
            redirects: interface.redirects,
            options: config.router_alert.on(interface.hop_by_hop),
            ..view.ok_or("a sub-interface has no port")?
        });
    }
    let options = config.router_alert.on(HopByHop::default());
    for tunnel in &config.tunnels {
        let index = tables.add_tunnel(&tunnel.tunnel)?;
        let view = control_thread::tunnel_view(&tables, index, options, None);
        views.push(view.ok_or("a tunnel has no interface")?);
    }
    // What came in by a sub-interface or a tunnel is marked with a number beyond those of ports.
    for index in 0..plan.capacity.interfaces as u16 {
        let id = usize::from(PortId::beyond_ports(index).number());
        interface_of_port.resize(interface_of_port.len().max(id + 1), u16::MAX);
        interface_of_port[id] = index;
    }

    let mut traces = Traces::new(
        eal,
        records
            .iter()
            .map(|record| records::from_text(&record.name))
            .collect(),
    );
    for index in records.len()..views.len() {
        let index = index as u16;
        traces.name_interface(index, tables.interface_name(index));
    }
    let beyond_ports = || records.len() as u16..views.len() as u16;
    let attachment_interfaces = (0..)
        .zip(&records)
        .map(|(index, record)| AttachmentInterface {
            interface: CaptureInterface {
                index,
                name: records::from_text(&record.name),
                device: records::from_text(&record.device),
                mac: record.mac.into(),
                speed_mbps: record.speed_mbps,
            },
            mtu: record.mtu,
            is_port: true,
        })
        .chain(beyond_ports().filter_map(|index| control_thread::attachment_interface(&tables, index)))
        .chain(beyond_ports().filter_map(|index| control_thread::attachment_tunnel(&tables, index)))
        .collect();
    let policies = Policies {
        classes: config.punts,
        alerts: config.router_alert.limits,
    };
    let mut worker_controls = Vec::with_capacity(workers);
    let mut worker_parts = Vec::with_capacity(workers);
    for number in 0..workers {
        let (taps, worker_taps) = attachments::parts(plan.attachments);
        let (consumers, worker_consumers) = attachments::parts(plan.attachments);
        worker_controls.push(WorkerControl { taps, consumers });
        let consumers = Consumers::new(
            worker_consumers,
            &policies,
            workers as u64,
            dpdk::tsc_hz(),
            dpdk::tsc(),
        );
        let (control, worker_traces) = attachments::parts(trace::PARTS);
        traces.add_worker(control);
        let taps = Taps::new(worker_taps, (number, workers + 1), Spare::new(&pool));
        worker_parts.push((taps, consumers, worker_traces));
    }
    let (beside_control, beside_taps) = attachments::parts(plan.attachments);
    let beside = Beside::new(Taps::new(beside_taps, (workers, workers + 1), Spare::new(&pool)));
    let attachments = Attachments::new(
        eal,
        attachment_interfaces,
        worker_controls,
        BesideControl {
            parts: beside_control,
            taps: beside.clone(),
        },
        config.punts,
        (plan.attachments, plan.attachment_bytes),
    )?;

    let (quiescence, checkpoints) = Quiescence::new(workers);
    if config.eal.stock_tools {
        let quiescence = quiescence.clone();
        eal.serve_captures(move || await_workers(&quiescence))?;
    }
    let (doorbell, sleeper) = doorbell::pair()?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut worker_table = region.workers().ok_or("the worker table was taken")?;
    let mut ready = Vec::with_capacity(workers);
    let mut links = Vec::with_capacity(workers);
    let mut punts = Vec::with_capacity(workers);
    let siblings = crate::worker::siblings(eal, workers)?;
    let handovers = crate::worker::handovers(eal, workers)?;
    let mut sas = Vec::with_capacity(workers);
    let connections = plan.connections;
    let balancing = crate::worker::balancing(eal, workers, connections)?;
    let mut balancers = Vec::with_capacity(workers);
    let anew: Vec<_> = (0..workers).map(|_| LongestAnew::default()).collect();
    let mut secret = [0; 8];
    getrandom::fill(&mut secret).map_err(|error| error.to_string())?;
    for (number, (((((share, checkpoint), (taps, consumers, traces)), siblings), handover), balancing)) in
        shares
            .into_iter()
            .zip(checkpoints)
            .zip(worker_parts)
            .zip(siblings)
            .zip(handovers)
            .zip(balancing)
            .enumerate()
    {
        let (discovery, from_discovery) = ring::mbufs(eal, &format!("discovery.w{number}"), RING)?;
        let (resolve, from_resolve) = ring::spsc(eal, &format!("resolve.w{number}"), RING)?;
        punts.push(Punts {
            discovery: from_discovery,
            resolve: from_resolve,
        });
        worker_table.insert(&shown::worker(config, plan, number, &share.entries));
        let (link_control, link_news) = news();
        links.push(link_control);
        let (sa_control, sa_news) = ipsec::news();
        sas.push(sa_control);
        let (balancer_control, services) = balancer::news(doorbell.clone());
        balancers.push(balancer_control);
        let balancer = Balancer::new(
            number,
            workers,
            connections,
            dpdk::tsc_hz(),
            dpdk::tsc(),
            u64::from_ne_bytes(secret),
        );
        balancer.memory(dpdk::prefer_huge_pages);
        ready.push(Worker {
            stages: Stages::new(
                views.clone(),
                tables.fib4_reader(),
                tables.fib6_reader(),
                tables.adjacency_reader(),
                consumers.punts(),
            ),
            entries: share.entries,
            handed_over: share.handed_over,
            exits: share.exits,
            originated: share.originated,
            arrivals: share.arrivals,
            discovery,
            resolve,
            doorbell: doorbell.clone(),
            to_kernel: ToKernel {
                rings: std::mem::take(&mut kernel_rings.of_workers[number]),
                doorbell: kernel_bell.clone(),
            },
            policies,
            counters: region
                .counter_block(number + 1)
                .ok_or("the worker's counters were taken")?,
            checkpoint,
            idle: config.workers.idle,
            anew: anew[number].clone(),
            stop: stop.clone(),
            interface_of_port: interface_of_port.clone(),
            links: link_news,
            taps,
            consumers,
            traces,
            ports: port_ids.clone(),
            pool: pool.clone(),
            takes_chains: takes_chains.clone(),
            siblings,
            sas: sa_news,
            handover,
            long_pool: long_pool.clone(),
            sa_limit: plan.capacity.sas,
            balancer,
            services,
            balancing,
            reassembly: Reassembler::new(config.limits.reassemblies as usize, dpdk::tsc_hz()),
        });
    }

    let mut pool_table = region.pools().ok_or("the pool table was taken")?;
    let pool_record = control_thread::pool_record(&pool, plan.pool.bytes() as u64);
    let pool_slot = pool_table.insert(&pool_record).ok_or("the pool table is full")?;
    let mut control = Control {
        tables,
        quiescence,
        sleeper,
        punts,
        send: send.control,
        pool: pool.clone(),
        counters: region
            .counter_block(0)
            .ok_or("the control thread's counters were taken")?,
        region: &region,
        page,
        lock,
        server: None,
        attachments,
        held: Held::default(),
        kernel,
        traces,
        subscribers: Subscribers::default(),
        log,
        signals,
        ports: states,
        interface_of_port,
        interfaces: Interfaces::new(views),
        links,
        crypto: Crypto::new(eal, node, config.limits.sas, &config.crypto.devices),
        sas,
        balancers,
        anew,
        connections: Connections::default(),
        alert_rules: Told::default(),
        pool_table,
        pool_slot,
        pool_record,
        config,
        plan,
        reload: Reload::new(config, overrides, description, doorbell),
    };
    control.configure()?;
    if config.expects_sas() {
        control.open_crypto();
    }
    region.publish();

    let mut handles = Vec::with_capacity(workers);
    for (worker, lcore) in ready.into_iter().zip(&plan.worker_lcores) {
        handles.push(eal.launch(LcoreId::new(*lcore), move || worker.run())?);
    }
    let kernel_stop = Arc::new(AtomicBool::new(false));
    let tap_thread = TapThread {
        taps: kernel_rings.taps,
        sleeper: kernel_sleeper,
        pool,
        counters: region
            .counter_block(workers + 1)
            .ok_or("the counters of the taps were taken")?,
        captures: beside.clone(),
        stop: kernel_stop.clone(),
    };
    let tap_thread = tap_thread.start()?;
    control.server = Some(Server::bind(lock.directory(), group)?);
    page.set_state(InstanceState::Ready);
    eprintln!("ready");
    // Without systemd there is nobody to tell.
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    crate::log::notice!(target: "instance", "{} forwards; workers: {workers}", config.instance.name);

    control.run();

    page.set_state(InstanceState::Stopping);
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    stop.store(true, Ordering::Relaxed);
    for handle in handles {
        handle.join();
    }
    kernel_stop.store(true, Ordering::Release);
    kernel_bell.ring();
    // A panic of its ends the process.
    drop(tap_thread.join());
    beside.stop();
    crate::log::notice!(target: "instance", "{} ends as told", config.instance.name);
    Ok(())
}

/// Waits until every worker is done with what it had at hand, or is stuck: then nobody should wait for it.
fn await_workers(quiescence: &Quiescence) {
    let ticket = quiescence.ticket();
    let began = Instant::now();
    while !quiescence.passed(&ticket) && began.elapsed() < LONGEST_BURST {
        thread::sleep(Duration::from_micros(50));
    }
}
