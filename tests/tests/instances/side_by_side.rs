//! Two instances at a time: same addresses and names, and nothing shared.

use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use tests::{Namespace, Pings, Primary, Privilege, Process, Receiver, read_pcapng};

use crate::{
    LIMIT,
    site::{B, Site, settle},
};

fn gateway() -> Namespace {
    Namespace::create(Privilege::detect(), "gateway").unwrap()
}

/// A capture of all that an instance receives and sends.
fn capture(primary: &Primary, file: &Path) -> Process {
    let mut process = primary.pdump(&[]).unwrap().arg("-w").arg(file).start().unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    process
}

/// Packets of a capture whose last bytes are `marker`, over and over.
fn marked(process: &mut Process, file: &Path, marker: u8) -> usize {
    process.signal(Signal::SIGINT);
    assert!(process.wait(LIMIT).unwrap().success(), "{}", process.stderr());
    let packets = read_pcapng(file).unwrap();
    let marked = packets
        .iter()
        .filter(|packet| packet.data.ends_with(&[marker; 32]));
    marked.count()
}

/// Both sites ping in both families at a time, each with a payload of its own; nothing of one is anywhere in the other.
fn assert_apart(sites: [(&Site, &Primary); 2]) {
    let folder = tempfile::tempdir().unwrap();
    let files = ["one.pcapng", "two.pcapng"].map(|name| folder.path().join(name));
    let markers = [0xa5, 0x5a];
    let counts = [150, 250];
    for (_, primary) in sites {
        settle(primary);
    }
    let ahead = sites.map(|(site, primary)| site.ahead(primary));
    let mut captures = [0, 1].map(|number| capture(sites[number].1, &files[number]));
    let pingers: Vec<_> = (0..2)
        .flat_map(|number| {
            let (count, pattern) = (counts[number].to_string(), format!("{:02x}", markers[number]));
            let words = ["-i", "0.004", "-W", "2", "-c", &count, "-p", &pattern];
            sites[number]
                .0
                .pingers(&words)
                .map(|pinger| (counts[number], pinger))
        })
        .collect();
    for (count, pinger) in pingers {
        let all = Pings {
            sent: count,
            answered: count,
            odd: 0,
        };
        assert_eq!(pinger.finish(LIMIT).unwrap(), all);
    }
    for (number, (site, primary)) in sites.into_iter().enumerate() {
        assert_eq!(
            site.ahead(primary),
            ahead[number],
            "instance {number} counts what its own hosts' kernels count"
        );
        let counters = primary.counters_at_rest().unwrap();
        counters.assert_balanced();
        // Request and reply of both families, each seen coming and going.
        let seen = marked(&mut captures[number], &files[number], markers[number]);
        assert_eq!(seen as u32, 8 * counts[number], "instance {number}");
        let packets = read_pcapng(&files[number]).unwrap();
        let other = [markers[1 - number]; 8];
        let foreign = packets.iter().filter(|packet| packet.data.ends_with(&other));
        assert_eq!(foreign.count(), 0, "packets of the other in instance {number}");
    }
}

#[test]
fn instances_in_two_namespaces_with_the_same_names_and_addresses_share_nothing() {
    let run_dir = tempfile::tempdir().unwrap();
    let gateways = [gateway(), gateway()];
    let sites = gateways
        .each_ref()
        .map(|gateway| Site::new(gateway, ["a0", "b0"]));
    let primaries = [0, 1].map(|number| {
        let builder = sites[number].primary(&gateways[number], "gw");
        builder.run_dir(run_dir.path()).start().unwrap()
    });
    assert_apart([0, 1].map(|number| (&sites[number], &primaries[number])));
}

#[test]
fn instances_in_one_namespace_on_devices_of_their_own_share_nothing() {
    let run_dir = tempfile::tempdir().unwrap();
    let gateway = gateway();
    let sites = [["a0", "b0"], ["c0", "d0"]].map(|ports| Site::new(&gateway, ports));
    let primaries = sites.each_ref().map(|site| {
        site.primary(&gateway, "gw")
            .run_dir(run_dir.path())
            .start()
            .unwrap()
    });
    assert_apart([0, 1].map(|number| (&sites[number], &primaries[number])));
}

#[test]
fn an_instance_that_ends_dies_and_comes_back_costs_another_no_packet() {
    let run_dir = tempfile::tempdir().unwrap();
    let gateways = [gateway(), gateway()];
    let sites = gateways
        .each_ref()
        .map(|gateway| Site::new(gateway, ["a0", "b0"]));
    let start = |number: usize| {
        sites[number]
            .primary(&gateways[number], "gw")
            .run_dir(run_dir.path())
    };
    let stays = start(0).start().unwrap();
    let mut goes = start(1).start().unwrap();
    settle(&stays);
    // The host knows its gateway before: its kernel lets packets overtake those that it kept for ARP.
    for pinger in sites[0].pingers(&["-c", "1", "-W", "2"]) {
        pinger.finish(LIMIT).unwrap().assert_all_answered();
    }
    let (count, rate) = (12_000, 2000);
    let receivers = [format!("{}:4789", B.host[0]), format!("[{}]:4790", B.host[1])]
        .map(|address| Receiver::start(&sites[0].b, &address, 4, count).unwrap());
    let goes = std::thread::scope(|scope| {
        let mut turns = 0;
        let senders = receivers
            .each_ref()
            .map(|receiver| scope.spawn(|| receiver.send_from(&sites[0].a, 64, rate).unwrap()));
        // It ends and it dies at least once, and on a host that is fast many times, beside the packets.
        while turns < 2 || !senders.iter().all(|sender| sender.is_finished()) {
            if turns % 2 == 0 {
                assert!(goes.terminate().unwrap().success(), "{}", goes.process().stderr());
            } else {
                goes.kill();
            }
            // It takes over from itself without any cleaning.
            let instance = goes.instance().to_owned();
            goes = start(1).instance(&instance).start_after(goes).unwrap();
            turns += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        goes
    });
    settle(&goes);
    for receiver in receivers {
        let total = receiver.report(LIMIT).unwrap().total;
        let faults = (total.lost, total.duplicates, total.out_of_order);
        assert_eq!((total.received, faults), (count, (0, 0, 0)));
    }
    let counters = stays.counters_at_rest().unwrap();
    counters.assert_balanced();
    for pinger in sites[1].pingers(&["-c", "3", "-i", "0.05", "-W", "5"]) {
        pinger.finish(LIMIT).unwrap().assert_all_answered();
    }
}
