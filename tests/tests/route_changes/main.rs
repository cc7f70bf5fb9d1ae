//! Routes change by the hundred thousand while packets flow, and every packet that leaves is checked.
//!
//! ```text
//!   packets.pcap ─► net_pcap0, infinite_rx ─► primary ─┬─► net_pcap1 ─► FIFO ─► checked
//!     routes change ─► control thread ─► tables ──────►┘ └► net_pcap2 ─► FIFO ─► checked
//! ```
//!
//! A FIFO holds the worker up when the check is slower than it, so none is left out. A packet carries its destination in its
//! payload and must go to a next hop that some route to it has named at some time ([`plan`]).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod check;
mod plan;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::client::Client;
use control::instance::RunDir;
use control::message::{ROUTES_PER_REQUEST, Request, Route, RouteKey, RouteTarget};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tests::{Interface, Primary, Privilege, Random, RunId};

use check::{Checker, Verdict};
use plan::{NEXT_HOPS, Prefix};

/// Changes per second that must be reached beside a worker that forwards all it can.
const LEAST: f64 = 100_000.0;
/// Changes of one route whose first packets are looked at.
const WATCHED: usize = 100;

fn churned() -> Duration {
    let soak = std::env::var_os("TOLLGATE_SOAK").is_some();
    Duration::from_secs(if soak { 120 } else { 4 })
}

/// A primary between a pcap and two FIFOs.
struct Site {
    primary: Primary,
    checkers: [Checker; 2],
    _folder: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&RunId::current().prefix())
            .tempdir()
            .unwrap();
        let source = folder.path().join("packets.pcap");
        plan::write_packets(&source);
        let fifos = ["first", "second"].map(|name| folder.path().join(name));
        for fifo in &fifos {
            mkfifo(fifo, Mode::S_IRWXU).unwrap();
        }
        // Before the primary, whose writing ends wait for somebody to read.
        let opened = [0, 1].map(|number| Checker::open(&fifos[number], number));
        let mut primary = builder(&source, &fifos.each_ref().map(|fifo| fifo.as_path()))
            .start()
            .unwrap();
        assert!(primary.process().ended().is_none());
        Self {
            primary,
            checkers: opened.map(check::Opened::start),
            _folder: folder,
        }
    }

    fn client(&self) -> Client {
        let directory =
            RunDir::new(&self.primary.run_dir()).instance(&self.primary.instance().parse().unwrap());
        Client::connect(&directory, "tests").unwrap()
    }

    /// Ends the primary, and with it what is written to the FIFOs.
    fn end(mut self) -> [Verdict; 2] {
        self.primary.terminate().unwrap();
        self.checkers.map(Checker::end)
    }
}

fn builder(source: &Path, fifos: &[&Path; 2]) -> tests::PrimaryBuilder {
    let source = format!("net_pcap0,rx_pcap={},infinite_rx=1", source.display());
    let mut builder = Primary::builder(Privilege::detect(), "changes")
        .interface(Interface::device("in", &source).address("198.18.0.1/24"))
        .busy()
        .toml("[limits]\npacket_buffers = 16383\n");
    for (number, fifo) in fifos.iter().enumerate() {
        let device = format!("net_pcap{},tx_pcap={}", number + 1, fifo.display());
        let interface = Interface::device(plan::INTERFACES[number], &device);
        builder = builder.interface(interface.address(plan::SUBNETS[number]));
    }
    for next_hop in 0..NEXT_HOPS {
        let interface = plan::INTERFACES[plan::interface(next_hop)];
        builder = builder.neighbor(
            &plan::address(next_hop).to_string(),
            &plan::mac(next_hop).to_string(),
            interface,
        );
    }
    builder
}

fn route(prefix: Prefix, way: usize) -> Route {
    let target = RouteTarget::Via {
        next_hop: plan::address(prefix.next_hops()[way]).into(),
        interface: None,
    };
    Route::new(prefix.net(), target)
}

fn add(client: &mut Client, routes: Vec<Route>) {
    client
        .call(Request::RouteAdd {
            routes,
            replace: true,
        })
        .unwrap();
}

/// Adds, changes and deletes random routes until the time is over; how many a second.
fn churn(client: &mut Client, random: &mut Random) -> f64 {
    let prefixes: Vec<_> = Prefix::changing().collect();
    let mut present = vec![false; prefixes.len()];
    let (mut changes, began) = (0, Instant::now());
    while began.elapsed() < churned() {
        let mut chosen: Vec<_> = (0..ROUTES_PER_REQUEST)
            .map(|_| random.number() as usize % prefixes.len())
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        if random.number().is_multiple_of(3) {
            chosen.retain(|index| present[*index]);
            let routes: Vec<RouteKey> = chosen
                .iter()
                .map(|index| RouteKey::from(prefixes[*index].net()))
                .collect();
            client.call(Request::RouteDelete { routes }).unwrap();
            chosen.iter().for_each(|index| present[*index] = false);
        } else {
            let way = |random: &mut Random| random.number() as usize % 2;
            let routes = chosen.iter().map(|index| route(prefixes[*index], way(random)));
            add(client, routes.collect());
            chosen.iter().for_each(|index| present[*index] = true);
        }
        changes += chosen.len();
    }
    changes as f64 / began.elapsed().as_secs_f64()
}

#[test]
fn no_packet_goes_a_way_that_no_route_ever_named_while_routes_change_under_full_load() {
    let site = Site::start();
    let mut random = Random::printed("routes");
    let mut client = site.client();
    // Those that are always there: a packet that finds no longer prefix goes by them.
    add(
        &mut client,
        Prefix::covers().map(|prefix| route(prefix, 0)).collect(),
    );
    let rate = churn(&mut client, &mut random);
    let verdicts = site.end();
    let (packets, ways): (u64, usize) = verdicts.iter().fold((0, 0), |(packets, ways), verdict| {
        (packets + verdict.packets, ways + verdict.ways())
    });
    println!("{rate:.0} changes per second beside {packets} packets, by {ways} ways");
    for verdict in &verdicts {
        assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    }
    assert!(packets > 100_000, "{packets} packets are no load");
    // Every destination has three or five ways; most were taken at some time, or nothing was tested.
    let possible: usize = plan::destinations()
        .map(|to| plan::named(to).count_ones() as usize)
        .sum();
    assert!(ways > possible / 2, "{ways} of {possible} ways were taken");
    assert!(rate > LEAST, "{rate:.0} changes per second");
}

#[test]
fn a_change_that_is_answered_holds_for_all_packets_that_come_after() {
    let site = Site::start();
    let mut client = site.client();
    add(
        &mut client,
        Prefix::covers().map(|prefix| route(prefix, 0)).collect(),
    );
    let watched = Prefix::watched();
    let checker = &site.checkers[plan::interface(watched.next_hops()[0])];
    let mut changes = Vec::new();
    for number in 0..WATCHED {
        let way = number % 2;
        let asked = checker.seen();
        add(&mut client, vec![route(watched, way)]);
        let answered = checker.seen();
        // All that was on its way has left, and as many as that by the new route.
        checker.wait_for(answered + 2 * check::ON_THE_WAY);
        changes.push((asked, answered, watched.next_hops()[way]));
    }
    let last = checker.seen();
    let seen = Arc::clone(&checker.watched);
    let verdicts = site.end();
    assert!(
        verdicts.iter().all(|verdict| verdict.wrong.is_empty()),
        "{verdicts:#?}"
    );
    let seen = seen.lock().unwrap();
    let ends = changes.iter().skip(1).map(|(asked, ..)| *asked).chain([last]);
    for ((_, answered, next_hop), end) in changes.iter().zip(ends) {
        let held = answered + check::ON_THE_WAY..end;
        let of_change: Vec<_> = seen.iter().filter(|(at, _)| held.contains(at)).collect();
        assert!(!of_change.is_empty(), "no packet to look at between {held:?}");
        for (at, by) in of_change {
            assert_eq!(by, next_hop, "packet {at}, answered at {answered}");
        }
    }
}
