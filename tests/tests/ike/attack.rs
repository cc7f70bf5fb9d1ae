//! Strangers in large numbers: IKE_SA_INIT as an honest peer sends it, from addresses where nobody is.

use std::{
    fs,
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use packet::{EtherType, EthernetHeader, Ipv4, MacAddress, PacketBuilder, Protocol, Udp};
use serde_json::Value;
use tests::{Family, Pinger, Pings, TwoGateways, Wire, memory::resident, wait_until};

use crate::site::LIMIT;
use crate::strongswan::{Site, inside};

/// All strangers' addresses are behind the peer, which drops what is for them.
const STRANGERS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// Requests that differ.
const REQUESTS: u32 = 65_536;
/// The daemon may have grown by so much, kB. A half-open IKE SA has some, and there are 64 of them.
const GROWTH: u64 = 8192;
/// An honest peer gets in within this: what it has to send twice is sent again after half a second.
const HONEST: Duration = Duration::from_secs(3);
const MORE: &str = "[[route]]\nprefix = \"198.18.0.0/15\"\nvia = \"10.0.0.2\"\n[[punt]]\nclass = \"ike\"\nrate = 200000\nburst = 20000\n";

fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

/// Requests a second, and for how long. Without optimisations a worker and a daemon that share two CPUs with all else do not get through more.
fn flood() -> (u32, Duration) {
    match (is_soak(), cfg!(debug_assertions)) {
        (true, _) => (50_000, Duration::from_secs(60)),
        (false, false) => (10_000, Duration::from_secs(5)),
        (false, true) => (2_000, Duration::from_secs(5)),
    }
}

/// What follows the header of UDP in a frame from or to port 500, and for whom it is.
fn ike(frame: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (link, packet) = EthernetHeader::parse(frame).ok()?;
    let header = (link.ethertype == EtherType::IPV4).then(|| Ipv4::parse(packet).ok())??;
    let udp = (header.protocol() == Protocol::UDP).then(|| Udp::parse(header.payload()).ok())??;
    (udp.destination_port() == 500).then(|| (header.destination(), udp.payload()))
}

/// The first request that strongSwan sends, and the MAC addresses that it is for and from.
fn honest_request(site: &Site) -> ([MacAddress; 2], Vec<u8>) {
    let wire = Wire::open(&site.gateway, "w0").unwrap();
    site.initiate_there();
    loop {
        let frame = wire.receive(LIMIT).unwrap().unwrap();
        if let Some((_, request)) = ike(&frame) {
            let (link, _) = EthernetHeader::parse(&frame).unwrap();
            return ([link.destination, link.source], request.to_vec());
        }
    }
}

/// That request with other SPIs from other addresses.
fn spoofed([to, from]: [MacAddress; 2], request: &[u8]) -> Vec<Vec<u8>> {
    let west = TwoGateways::outside(Family::Ip4, 1).parse().unwrap();
    let frame = |number: u32| {
        let mut request = request.to_vec();
        request[..4].copy_from_slice(&number.to_be_bytes());
        let stranger = Ipv4Addr::from_bits(STRANGERS.to_bits() + number);
        PacketBuilder::ethernet(to, from)
            .ipv4(stranger, west)
            .udp(500, 500, &request)
    };
    (1..=REQUESTS).map(frame).collect()
}

fn half_open(site: &Site) -> usize {
    let all = site.west.ctl_json(&["ike", "show"]).unwrap();
    let all = all.as_array().unwrap().iter();
    all.filter(|sa| sa["state"] == "half_open").count()
}

fn statistics(site: &Site) -> Value {
    site.west.ctl_json(&["ike", "show", "--details"]).unwrap()["statistics"].clone()
}

/// Answers to strangers until `stop`: how many, and how long the longest was.
fn answers(wire: &Wire, stop: &AtomicBool) -> (u64, usize) {
    let (mut count, mut longest) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        if let Some(frame) = wire.receive(Duration::from_millis(20)).unwrap()
            && let Some((to, answer)) = ike(&frame)
            && to.octets()[..2] == STRANGERS.octets()[..2]
        {
            count += 1;
            longest = longest.max(answer.len());
        }
    }
    (count, longest)
}

#[test]
fn a_flood_of_spoofed_requests_keeps_nobody_out_and_costs_nothing_for_long() {
    let site = Site::create_with(
        Family::Ip4,
        "aes256gcm16-prfsha256-curve25519",
        "aes256gcm16-noesn",
        "[ike]\nhalf_open_timeout = \"5s\"\n",
        MORE,
    );
    // Anybody may begin.
    let config = site.files.path().join("1.toml");
    let text = fs::read_to_string(&config).unwrap();
    let (remote, peer) = ("remote_address = ", TwoGateways::outside(Family::Ip4, 2));
    let changed = text.replace(remote, "remote_id = ");
    assert!(changed != text && changed.contains(&peer), "{text}");
    fs::write(&config, changed).unwrap();
    site.west.tell("ike reload");

    let (macs, request) = honest_request(&site);
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "3", "-i", "0.05"]);
    let frames = spoofed(macs, &request);
    let [out, back] = [(); 2].map(|()| Wire::open(&site.peer.namespace, "p0").unwrap());
    let (before, pid) = (statistics(&site), site.daemon.pid());
    let memory = resident(pid).unwrap();
    let (rate, time) = flood();
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    let (sent, count, longest) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let go_on = || !stop.load(Ordering::Relaxed);
            out.send_at(&frames, rate, || began.elapsed(), go_on).unwrap()
        });
        let answered = scope.spawn(|| answers(&back, &stop));
        // A panic ends the flood as well.
        let _stopped = StopAtEnd(&stop);
        wait_until("that cookies are asked for", LIMIT, || {
            let cookies = &statistics(&site)["cookies"];
            Ok((cookies.as_u64() > before["cookies"].as_u64()).then_some(()))
        })
        .unwrap();
        // A host that is busy with something else as well may not run the gateway for a while, in which packets are lost that the flood
        // has nothing to do with: of a few turns one has to be without any loss.
        let words = ["-i", "0.02", "-c", "50"];
        let turns: Vec<_> = (0..3)
            .map(|_| Pinger::start(&site.host_a, inside(Family::Ip4), &words).unwrap())
            .map(|pinger| pinger.finish(LIMIT).unwrap())
            .collect();
        println!("{turns:?}");
        assert!(turns.iter().any(Pings::all_answered), "{turns:?}");
        // The honest peer begins anew.
        site.peer.tell(&["--terminate", "--ike", "pr1"]);
        site.wait_for_sas(0, &[]);
        let since = Instant::now();
        site.initiate_there();
        let took = since.elapsed();
        assert!(took < HONEST, "{took:?}");
        println!("an honest peer got in after {took:?}");
        site.ping(&["-c", "3", "-i", "0.05"]);
        assert!(half_open(&site) <= 64);
        thread::sleep(time.saturating_sub(began.elapsed()));
        stop.store(true, Ordering::Relaxed);
        let (count, longest) = answered.join().unwrap();
        (flood.join().unwrap(), count, longest)
    });
    let lasted = began.elapsed();
    let (after, grown) = (statistics(&site), resident(pid).unwrap().saturating_sub(memory));
    println!(
        "{count} answers to {sent} requests in {lasted:?}, of {longest} bytes at most to {} bytes; {grown} kB more; {after}",
        request.len()
    );
    let more = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    // What the sender did not get out says nothing of the gateway.
    assert!(more("cookies") > sent / 2, "of {sent}: {after}");
    assert!(count > 0 && longest <= request.len(), "{longest}");
    assert!(grown < GROWTH, "{grown} kB more");
    wait_until("that no IKE SA is half-open", LIMIT, || {
        Ok((half_open(&site) == 0).then_some(()))
    })
    .unwrap();
    assert_eq!(site.established().len(), 1);
    site.ping(&["-c", "3", "-i", "0.05"]);
}

#[test]
fn requests_of_a_later_version_are_told_which_one_is_spoken() {
    let (ike_proposal, esp_proposal) = ("aes256gcm16-prfsha256-curve25519", "aes256gcm16-noesn");
    let site = Site::create_with(Family::Ip4, ike_proposal, esp_proposal, "", MORE);
    let (macs, mut request) = honest_request(&site);
    site.wait_for_sas(2, &[]);
    request[17] = 0x30;
    let frames = spoofed(macs, &request);
    let [out, back] = [(); 2].map(|()| Wire::open(&site.peer.namespace, "p0").unwrap());
    let (asked, began) = (300, Instant::now());
    let mut answers = Vec::new();
    // A host that is busy with something else may not run the gateway for a second.
    while answers.is_empty() && began.elapsed() < LIMIT {
        for frame in &frames[..asked] {
            out.send(frame).unwrap();
        }
        while let Some(frame) = back.receive(Duration::from_secs(1)).unwrap() {
            if let Some((to, answer)) = ike(&frame)
                && to.octets()[..2] == STRANGERS.octets()[..2]
            {
                answers.push(answer.to_vec());
            }
        }
    }
    // Some at once, and then ten a second.
    let most = 16 + 10 * usize::try_from(began.elapsed().as_secs() + 1).unwrap();
    assert!(
        (1..=most).contains(&answers.len()),
        "{} of {asked}",
        answers.len()
    );
    for answer in &answers {
        // Version 2.0, an answer, and one notify: INVALID_MAJOR_VERSION, which is 5.
        assert_eq!((answer[17], answer[19] & 0x20), (0x20, 0x20), "{answer:x?}");
        assert_eq!(answer[28..], [0, 0, 0, 8, 0, 0, 0, 5], "{answer:x?}");
    }
    assert_eq!((half_open(&site), site.established().len()), (0, 1));
    site.ping(&["-c", "3", "-i", "0.05"]);
}

/// Has a thread end that runs until this is set.
struct StopAtEnd<'s>(&'s AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
