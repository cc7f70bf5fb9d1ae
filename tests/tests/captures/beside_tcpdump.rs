//! The same traffic taken by captures and by tcpdump at the other end of the link: the same packets, in the same order, at the same
//! time, for filters of each kind.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tests::{Family, Primary, Privilege, Process, Recorded, TwoHosts, datagrams::stay_on_one_cpu, read_pcap};

use crate::{LIMIT, capture, datagrams, finish, hosts, is_icmp, is_udp, pings};

/// Captures at a time.
const AT_ONCE: usize = 8;
/// How often each frame is sent.
const REPEATS: usize = 10;
/// Nothing but what is sent on purpose is on the link for so long before and after.
const QUIET: Duration = Duration::from_millis(150);
/// tcpdump is handed what it has captured once a second.
const TCPDUMP_READS: Duration = Duration::from_millis(1500);

/// A capture is as exact as the kernel's, but for so much of a hundredth of its packets.
const EXACT: Duration = Duration::from_micros(100);
/// How long an adaptive worker sleeps at most while somebody captures, and then takes to wake up.
const SLEEP: Duration = Duration::from_micros(20 + 60);

/// What is asked of the capture; and of tcpdump, if that is not the same for frames without a tag, with one and with two: its filters
/// on files do not mean tagged frames unless they say so.
const FILTERS: [(&str, Option<&str>); 24] = [
    ("", Some("")),
    ("ip", None),
    ("ip6", None),
    ("arp", None),
    ("icmp", None),
    ("icmp6", None),
    ("ip proto 50", None),
    ("tcp dst port 80", None),
    ("udp port 9000", None),
    ("udp src portrange 1000-2000", None),
    ("src host 192.168.1.2 and not icmp", None),
    ("src net 192.168.1.0/24 and dst net 192.168.2.0/24", None),
    ("net 2001:db8:2::/64", None),
    ("vlan 100", Some("vlan 100")),
    ("vlan and icmp", Some("vlan and icmp")),
    ("icmp and not vlan", Some("icmp and not vlan")),
    ("ether host 02:00:00:00:00:99", None),
    ("ether multicast", None),
    ("less 100", None),
    ("greater 500", None),
    ("ip[8] < 10", None),
    ("tcp[tcpflags] & (tcp-syn|tcp-fin) = tcp-syn", None),
    ("udp[8:4] = 0x61626364", None),
    // Turned round, so that what has a tag must not be taken for having none.
    (
        "not (udp or icmp)",
        Some(
            "(not (udp or icmp) and not vlan) or (ether[12:2] = 0x8100 and not (udp or icmp) and not vlan) \
             or (ether[12:2] = 0x8100 and ether[16:2] = 0x8100 and not (udp or icmp))",
        ),
    ),
];

/// Frames for scapy: of each kind that the filters tell apart.
fn frames(hosts: &TwoHosts) -> Vec<String> {
    let here = hosts.host_a.mac("eth0").unwrap();
    let gateway = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
    let ether = format!("Ether(dst='{gateway}', src='{here}')");
    let (a, b) = (TwoHosts::ADDRESS_A, TwoHosts::ADDRESS_B);
    let ip = format!("IP(src='{a}', dst='{b}')");
    let (a6, b6) = (Family::Ip6.address_a(), Family::Ip6.address_b());
    let ip6 = format!("IPv6(src='{a6}', dst='{b6}')");
    let local = format!("IP(src='{a}', dst='{}')", TwoHosts::GATEWAY_A);
    vec![
        format!("{ether}/{ip}/UDP(sport=1024, dport=9000)/b'abcdefgh'"),
        format!("{ether}/{ip}/UDP(sport=1024, dport=9000)/(b'x'*800)"),
        format!("{ether}/{ip}/UDP(sport=5000, dport=9001)/b'abcdefgh'"),
        format!("{ether}/{ip6}/UDP(sport=1500, dport=9000)/b'abcdefgh'"),
        format!("{ether}/{ip}/TCP(sport=1024, dport=80, flags='S')"),
        format!("{ether}/{ip}/TCP(sport=1024, dport=80, flags='SF')"),
        format!("{ether}/{ip}/TCP(sport=1024, dport=443, flags='A')/b'data'"),
        format!("{ether}/{ip6}/TCP(sport=1024, dport=80, flags='S')"),
        format!("{ether}/{ip}/ICMP(id=1, seq=2)/b'echo'"),
        format!("{ether}/{local}/ICMP(id=1, seq=3)/b'echo'"),
        format!("{ether}/{ip6}/ICMPv6EchoRequest(id=1, seq=2)/b'echo'"),
        format!("{ether}/IP(src='{a}', dst='{b}', proto=50)/bytes.fromhex('0102030400000005' + '00'*24)"),
        format!("{ether}/IP(src='{a}', dst='{b}', ttl=1)/UDP(sport=1024, dport=9002)/b'expires'"),
        format!("{ether}/IP(src='{a}', dst='{b}', ttl=5)/UDP(sport=1024, dport=9002)/b'lives'"),
        format!("{ether}/IP(src='{a}', dst='{b}', frag=100, proto=17)/b'fragment'"),
        format!("{ether}/Dot1Q(vlan=100)/{ip}/ICMP(id=1, seq=4)/b'tagged'"),
        format!("{ether}/Dot1Q(vlan=100)/{ip}/UDP(sport=3000, dport=9000)/b'tagged'"),
        format!("{ether}/Dot1Q(vlan=101)/{ip6}/UDP(sport=3000, dport=53)/b'tagged'"),
        format!("{ether}/Dot1Q(vlan=200)/Dot1Q(vlan=7)/{ip}/ICMP(id=1, seq=5)/b'twice'"),
        format!("{ether}/Dot1Q(vlan=200)/Dot1Q(vlan=7)/{ip6}/TCP(sport=1, dport=2)/b'twice'"),
        format!(
            "Ether(dst='ff:ff:ff:ff:ff:ff', src='{here}')/ARP(op=1, hwsrc='{here}', psrc='{a}', pdst='{}')",
            TwoHosts::GATEWAY_A
        ),
        format!(
            "Ether(dst='01:00:5e:00:00:05', src='{here}')/IP(src='{a}', dst='224.0.0.5', ttl=1, proto=89)/(b'y'*24)"
        ),
        format!(
            "Ether(dst='02:00:00:00:00:99', src='{here}')/{ip}/UDP(sport=1024, dport=9003)/b'for another'"
        ),
        format!("Ether(dst='{gateway}', src='{here}', type=0x88b5)/Raw(b'z'*46)"),
    ]
}

/// tcpdump at the host's end of the link, with the kernel's clock.
fn tcpdump(hosts: &TwoHosts, file: &Path) -> Process {
    let words = "-i eth0 -n -Z root -B 65536 -j host --time-stamp-precision=nano -w";
    let mut process = hosts
        .host_a
        .process("captures at the other end of the link", "tcpdump")
        .args(words.split(' '))
        .arg(file)
        .start()
        .unwrap();
    process
        .wait_for_stderr("that it listens", LIMIT, |line| line.contains("listening on"))
        .unwrap();
    process
}

/// Ends it; it has lost nothing.
fn end(mut tcpdump: Process) {
    thread::sleep(TCPDUMP_READS);
    tcpdump.signal(Signal::SIGINT);
    tcpdump.wait(LIMIT).unwrap();
    let said = tcpdump.stderr();
    assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
}

/// The packets of a file that a filter of tcpdump's takes.
fn filtered(file: &Path, filter: &str) -> Vec<Recorded> {
    let taken = file.with_extension("taken");
    let output = Command::new("tcpdump")
        .args(["--time-stamp-precision=nano", "-Z", "root", "-r"])
        .arg(file)
        .arg("-w")
        .arg(&taken)
        .arg(filter)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{filter}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    read_pcap(&taken).unwrap()
}

/// Those of one direction that came while it was not quiet.
fn of_way<'a>(
    packets: &'a [Recorded],
    host: &[u8],
    from_host: bool,
    when: (Duration, Duration),
) -> Vec<&'a Recorded> {
    let is_meant = |packet: &&Recorded| {
        (packet.data[6..12] == *host) == from_host && (when.0..when.1).contains(&packet.time)
    };
    packets.iter().filter(is_meant).collect()
}

/// The time since 1970 that a mark is put at, in the middle of a silence.
fn silence() -> Duration {
    thread::sleep(QUIET);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    thread::sleep(QUIET);
    now
}

/// Other tools read a file of ours to its end and have nothing to say.
fn assert_read_without_a_warning(file: &Path) {
    for (tool, words) in [
        ("tshark", &["-n", "-r"][..]),
        ("tcpdump", &["-n", "-r"]),
        ("capinfos", &[]),
    ] {
        let output = Command::new(tool).args(words).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let warnings: Vec<&str> = said
            .lines()
            // That it is root, and what it reads.
            .filter(|line| !line.starts_with("Running as user") && !line.starts_with("reading from file"))
            .collect();
        assert!(output.status.success() && warnings.is_empty(), "{tool}: {said}");
    }
}

fn host_mac(hosts: &TwoHosts) -> Vec<u8> {
    let mac = hosts.host_a.mac("eth0").unwrap();
    mac.split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

#[test]
fn filters_take_the_packets_that_tcpdump_takes() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[Family::Ip4, Family::Ip6]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let limits = format!("[limits]\nattachments = {AT_ONCE}");
    let primary = hosts.primary("gw").toml(&limits).start().unwrap();
    primary.wait_for_addresses().unwrap();
    let host = host_mac(&hosts);
    let expressions: Vec<String> = frames(&hosts)
        .into_iter()
        .map(|frame| format!("[{frame}]*{REPEATS}"))
        .collect();
    // Neighbours are found before it counts.
    hosts.host_a.send_frames("eth0", &expressions).unwrap();
    thread::sleep(Duration::from_secs(1));

    for (round, filters) in FILTERS.chunks(AT_ONCE).enumerate() {
        let reference = folder.path().join(format!("{round}.pcap"));
        let tcpdump = tcpdump(&hosts, &reference);
        let start = |(number, (filter, _)): (usize, &(&str, Option<&str>))| {
            let name = format!("{round}-{number}.pcapng");
            capture(
                &primary,
                folder.path(),
                &name,
                &["-i", TwoHosts::PORT_A, "-f", filter],
            )
        };
        let captures: Vec<(Process, PathBuf)> = filters.iter().enumerate().map(start).collect();
        let begin = silence();
        hosts.host_a.send_frames("eth0", &expressions).unwrap();
        primary.counters_at_rest().unwrap();
        let when = (begin, silence());
        end(tcpdump);
        for ((process, file), (filter, theirs)) in captures.into_iter().zip(filters) {
            let captured = finish(process, &file);
            // Each `vlan` moves what comes behind it by a tag.
            let with_tags = || format!("({filter}) or (vlan and ({filter})) or (vlan and ({filter}))");
            let expected = filtered(&reference, &theirs.map_or_else(with_tags, str::to_owned));
            let mut sum = 0;
            for from_host in [true, false] {
                let ours = of_way(&captured, &host, from_host, when);
                let theirs = of_way(&expected, &host, from_host, when);
                let data = |packets: &[&Recorded]| {
                    packets
                        .iter()
                        .map(|packet| packet.data.clone())
                        .collect::<Vec<_>>()
                };
                let (our_data, their_data) = (data(&ours), data(&theirs));
                assert_eq!(
                    our_data.len(),
                    their_data.len(),
                    "{filter}, from the host: {from_host}"
                );
                for (number, (ours, theirs)) in our_data.iter().zip(&their_data).enumerate() {
                    assert_eq!(
                        ours, theirs,
                        "{filter}, from the host: {from_host}, packet {number}"
                    );
                }
                assert!(
                    ours.is_sorted_by_key(|packet| packet.time),
                    "{filter}: time goes back"
                );
                sum += ours.len();
            }
            assert!(sum >= REPEATS, "{filter}: {sum} packets show nothing");
            println!("{sum:6} packets  {filter}");
            assert_read_without_a_warning(&file);
        }
    }
}

/// Times of numbered datagrams and of pings, beside the kernel's; `bound` is what a hundredth may exceed.
fn assert_times(hosts: &TwoHosts, mut primary: Primary, bound: Duration) {
    let folder = tempfile::tempdir().unwrap();
    pings(hosts, 1).finish(LIMIT).unwrap().assert_all_answered();
    let host = host_mac(hosts);
    let reference = folder.path().join("tcpdump.pcap");
    let tcpdump = tcpdump(hosts, &reference);
    let (process, file) = capture(&primary, folder.path(), "ours.pcapng", &["-i", TwoHosts::PORT_A]);
    let begin = silence();
    let (since, waited) = (Instant::now(), primary.workers_kept_waiting().unwrap());
    let pinger = pings(hosts, 2);
    datagrams(hosts, 10_000, 5_000);
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    let waited =
        (primary.workers_kept_waiting().unwrap() - waited).as_secs_f64() / since.elapsed().as_secs_f64();
    let when = (begin, silence());
    end(tcpdump);
    let (captured, expected) = (finish(process, &file), read_pcap(&reference).unwrap());
    for from_host in [true, false] {
        let ours = of_way(&captured, &host, from_host, when);
        let theirs = of_way(&expected, &host, from_host, when);
        assert!(ours.is_sorted_by_key(|packet| packet.time), "time goes back");
        // One kind from one process: how two processes follow each other depends on the end of the link.
        let of_kind = |packets: &[&Recorded], is_meant: fn(&Recorded) -> bool| -> Vec<Recorded> {
            packets
                .iter()
                .filter(|packet| is_meant(packet))
                .map(|packet| (*packet).clone())
                .collect()
        };
        let mut differences = Vec::new();
        for kind in [is_icmp as fn(&Recorded) -> bool, is_udp] {
            let (ours, theirs) = (of_kind(&ours, kind), of_kind(&theirs, kind));
            assert_eq!(ours.len(), theirs.len(), "from the host: {from_host}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.data, theirs.data);
                differences.push(ours.time.abs_diff(theirs.time));
            }
        }
        differences.sort();
        let at = |part: f64| differences[(differences.len() as f64 * part) as usize];
        let late = differences
            .iter()
            .filter(|difference| **difference > bound)
            .count() as f64;
        let late = late / differences.len() as f64;
        println!(
            "{} packets {}: clocks differ by {:?} (median), {:?} (99 of 100), {:?} (most); {late:.4} of them by more than {bound:?}, the \
             worker was kept from its CPU for {waited:.4} of the time",
            differences.len(),
            if from_host { "received" } else { "sent" },
            at(0.5),
            at(0.99),
            at(0.999_999),
        );
        // What comes while the host runs something else on the worker's CPU is late by that, and nothing else is.
        assert!(
            late <= 0.01 + 3.0 * waited,
            "{late} of the packets are late, the worker waited {waited}"
        );
    }
}

#[test]
fn times_are_the_kernel_s_with_a_busy_worker() {
    let hosts = hosts();
    let primary = hosts.primary("gw").busy().start().unwrap();
    // The worker has a CPU of its own.
    stay_on_one_cpu().unwrap();
    assert_times(&hosts, primary, EXACT);
}

#[test]
fn times_are_the_kernel_s_but_for_the_sleep_of_an_adaptive_worker() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    assert_times(&hosts, primary, EXACT + SLEEP);
}
