//! Configurations made of few addresses, prefixes and names, so that what is new and what is old get in each other's way.

use control::message::Flow;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestRng};
use router_alert::alert::{Beyond, Duplicates, Padding};

use super::*;

const ADDRESSES: &[&str] = &[
    "10.0.0.1/24",
    "10.0.0.5/24",
    "10.0.0.1/25",
    "10.0.0.9/24",
    "10.0.1.1/24",
    "10.0.1.1/16",
    "10.0.0.1/32",
    "192.0.2.1/30",
    "192.0.2.2/30",
    "2001:db8::1/64",
    "2001:db8::5/64",
    "2001:db8:1::1/64",
    "2001:db8:1::1/48",
    "fe80::1/64",
    "fe80::2/64",
];
const LINKS: &[(&str, &str, u16)] = &[
    ("lan.1", "lan", 1),
    ("lan.1", "lan", 2),
    ("lan.1", "wan", 1),
    ("both", "lan", 1),
    ("both", "lan.1", 7),
    ("wan.1", "wan", 1),
];
const PREFIXES: &[&str] = &[
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.0/25",
    "10.0.0.0/16",
    "10.0.0.9/32",
    "10.0.0.255/32",
    "10.0.0.127/32",
    "172.16.0.0/12",
    "192.0.2.0/30",
    "::/0",
    "2001:db8::/64",
    "2001:db8:9::/48",
];
const HOSTS: &[&str] = &[
    "10.0.0.9",
    "10.0.0.5",
    "10.0.0.127",
    "10.0.1.9",
    "192.0.2.2",
    "2001:db8::9",
    "2001:db8:1::9",
];
const NAMES: &[&str] = &["lan", "wan", "lan.1", "both", "tun0", "tun1"];
/// With names of sub-interfaces among theirs.
const TUNNELS: &[&str] = &["tun0", "tun1", "both"];
/// The local ends of tunnels, and their others.
const ENDS: &[(&str, &[&str])] = &[
    ("10.0.0.1", &["198.51.100.1", "198.51.100.2"]),
    ("192.0.2.1", &["198.51.100.1"]),
    ("2001:db8::1", &["2620::9"]),
];
/// Where packets go that are looked after on the way.
const DESTINATIONS: &[&str] = &[
    "10.0.0.9",
    "10.0.0.77",
    "10.0.0.200",
    "10.0.1.9",
    "10.7.7.7",
    "172.16.5.5",
    "192.0.2.2",
    "8.8.8.8",
    "2001:db8::9",
    "2001:db8:9::1",
    "2001:db8:1::9",
    "2620::1",
];

/// Local addresses of services, most of which others want as well.
const LOCALS: &[&str] = &[
    "10.0.0.5",
    "10.0.0.9",
    "10.0.1.9",
    "192.0.2.2",
    "10.9.9.9",
    "10.9.9.10",
];

/// Numbers by chance.
struct Dice(TestRng);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0.next_u32() as usize % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// A section to add, or an address of a port.
enum Part {
    Lan(String),
    Wan(String),
    Section(String),
}

fn part(dice: &mut Dice) -> Part {
    match dice.below(18) {
        0 | 1 => Part::Lan(dice.one(ADDRESSES).to_owned()),
        2 | 3 => Part::Wan(dice.one(ADDRESSES).to_owned()),
        4 => {
            let (name, link, id) = dice.one(LINKS);
            let addresses = [dice.one(ADDRESSES)];
            let addresses = &addresses[..dice.below(2)];
            let (mtu, up) = (dice.one(&[1500, 1400]), !dice.chance(4));
            Part::Section(format!(
                "[[interface]]\nname = \"{name}\"\nlink = \"{link}\"\nid = {id}\nmtu = {mtu}\nup = {up}\naddresses = {addresses:?}\n"
            ))
        }
        5 => Part::Section(format!(
            "[[neighbor]]\naddress = \"{}\"\nmac = \"02:00:00:00:00:0{}\"\ninterface = \"{}\"\n",
            dice.one(&[HOSTS, &["fe80::9"]].concat()),
            dice.below(2),
            dice.one(NAMES)
        )),
        6 => Part::Section(format!(
            "[[punt]]\nclass = \"{}\"\nrate = {}\n",
            dice.one(&["ike", "arp", "kernel"]),
            1 + dice.below(3)
        )),
        7 | 8 => Part::Section(tunnel(dice)),
        9..=12 => Part::Section(service(dice)),
        _ => Part::Section(route(dice)),
    }
}

fn tunnel(dice: &mut Dice) -> String {
    let (local, others) = dice.one(ENDS);
    let (name, mode) = (dice.one(TUNNELS), dice.one(&["ipip", "gre"]));
    let mut text = format!(
        "[[tunnel]]\nname = \"{name}\"\nmode = \"{mode}\"\nlocal = \"{local}\"\nremote = \"{}\"\n",
        dice.one(others)
    );
    text += &match dice.below(4) {
        0 => format!("unnumbered = \"{}\"\n", dice.one(&["lan", "lan.1", "both"])),
        1 => format!("addresses = [\"{}\"]\n", dice.one(ADDRESSES)),
        _ => String::new(),
    };
    if dice.chance(3) {
        text += &format!("mtu = {}\n", dice.one(&[1000, 1400]));
    }
    if dice.chance(4) {
        text += "ttl = 9\n";
    }
    if dice.chance(4) {
        text += "up = false\n";
    }
    if mode == "gre" && dice.chance(2) {
        text += &format!("key = {}\n", dice.below(2));
    }
    text
}

fn service(dice: &mut Dice) -> String {
    if dice.chance(8) {
        return format!("[load_balancer]\nudp = {}\n", 1 + dice.below(3));
    }
    let address = dice.one(&["198.51.100.1:80", "198.51.100.1:81", "10.9.9.9:80"]);
    let mut text = format!(
        "[[service]]\nprotocol = \"{}\"\naddress = \"{address}\"\nscheduler = \"{}\"\n",
        dice.one(&["tcp", "udp"]),
        dice.one(&["rr", "mh"])
    );
    let servers: Vec<String> = (0..dice.below(3))
        .map(|number| {
            format!(
                "{{ address = \"172.16.0.{number}\", weight = {} }}",
                dice.below(2)
            )
        })
        .collect();
    text += &format!("servers = [{}]\n", servers.join(", "));
    let first = dice.below(LOCALS.len());
    let locals: Vec<String> = (0..dice.below(3))
        .map(|number| {
            let address = LOCALS[(first + number) % LOCALS.len()];
            format!(
                "{{ address = \"{address}\", interface = \"{}\" }}",
                dice.one(NAMES)
            )
        })
        .collect();
    text + &format!("local_addresses = [{}]\n", locals.join(", "))
}

fn route(dice: &mut Dice) -> String {
    let mut text = format!("[[route]]\nprefix = \"{}\"\n", dice.one(PREFIXES));
    text += &match dice.below(6) {
        0 => "blackhole = true\n".to_owned(),
        1 => format!("interface = \"{}\"\n", dice.one(NAMES)),
        2 => format!(
            "nexthops = [{{ via = \"{}\", weight = {} }}, {{ via = \"{}\" }}]\n",
            dice.one(HOSTS),
            1 + dice.below(3),
            dice.one(HOSTS)
        ),
        3 => format!("via = \"fe80::9\"\ninterface = \"{}\"\n", dice.one(NAMES)),
        _ => format!("via = \"{}\"\n", dice.one(HOSTS)),
    };
    if dice.chance(4) {
        text += &format!("metric = {}\n", dice.one(&[0, 5]));
    }
    if dice.chance(6) {
        text += "mtu = 1400\n";
    }
    if dice.chance(8) {
        // Those that the ports make themselves too.
        let sources = [ADDRESSES, &["fe80::ff:fe00:1", "fe80::ff:fe00:2"]].concat();
        let source = dice.one(&sources).split('/').next().unwrap();
        text += &format!("src = \"{source}\"\n");
    }
    if dice.chance(8) {
        text += &format!("proto = \"{}\"\n", dice.one(&["boot", "ospf"]));
    }
    text
}

/// A configuration with nothing wrong: of parts by chance those that do not contradict the ones before.
fn config_by_chance(dice: &mut Dice) -> Config {
    let (mut lan, mut wan, mut sections) = (Vec::new(), Vec::new(), Vec::<String>::new());
    let mut good = parse(&with_ports(&lan, &wan, "")).unwrap();
    for _ in 0..dice.below(40) {
        let before = (lan.clone(), wan.clone(), sections.clone());
        match part(dice) {
            Part::Lan(address) => lan.push(address),
            Part::Wan(address) => wan.push(address),
            Part::Section(text) => sections.push(text),
        }
        match parse(&with_ports(&lan, &wan, &sections.concat())) {
            Ok(config) if check_sources(&config, &MACS).is_ok() => good = config,
            _ => (lan, wan, sections) = before,
        }
    }
    for port in &mut good.interfaces {
        port.up = !dice.chance(6);
    }
    good
}

/// Where packets for each destination go, as far as it is said which way.
fn ways(gateway: &Gateway) -> Vec<Option<String>> {
    let way = |destination: &&str| {
        let found = gateway.tables.route_get(&Flow::to(destination.parse().unwrap()));
        // A tentative address is none yet: it depends on the time.
        let prefix = found.prefix?;
        Some(format!("{prefix} {:?} {:?}", found.kind, found.interface))
    };
    DESTINATIONS.iter().map(way).collect()
}

/// Whether something is taken away that comes again, so that its packets miss it for a moment.
fn interrupts(changes: &[Change], wanted: &Config) -> bool {
    changes.iter().any(|change| match change {
        Change::RouteReplace { before, after } => before == after,
        Change::AddressDelete {
            interface: _,
            address,
        } => {
            let ports = wanted.interfaces.iter().flat_map(|port| &port.addresses);
            let links = wanted.sub_interfaces.iter().flat_map(|link| &link.addresses);
            let tunnels = wanted.tunnels.iter().flat_map(|tunnel| &tunnel.addresses);
            // Its subnet is there in the end as well, perhaps of another length or elsewhere.
            ports
                .chain(links)
                .chain(tunnels)
                .any(|new| new.contains(&address.trunc()) || address.contains(&new.trunc()))
        }
        // Taken from it because something else wants them.
        Change::ServiceSet { before, after } => {
            before.locals.iter().any(|local| !after.locals.contains(local))
        }
        // It may be down for a while, as one of its ends is.
        Change::LinkSet { .. } | Change::TunnelSet { .. } | Change::TunnelDelete(_) => true,
        _ => false,
    })
}

proptest! {
    #![proptest_config(Runs { cases: 4, max_shrink_iters: 0, failure_persistence: None, ..Runs::default() })]

    #[test]
    fn a_plan_leads_to_what_was_asked_for_and_what_both_have_works_all_the_time(seed: [u8; 32]) {
        let mut dice = Dice(TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let mut gateway = Gateway::new();
        let mut before = parse(&with_ports(&[], &[], "")).unwrap();
        for _ in 0..25 {
            let wanted = config_by_chance(&mut dice);
            let running = gateway.running(&wanted);
            let punts = before.punts;
            let running = Config { punts, log: before.log.clone(), ..running };
            let changes = plan(&running, &wanted, &MACS, |_| true);
            let (from, mut seen) = (ways(&gateway), Vec::new());
            let made = gateway.make(&changes, |gateway| seen.push(ways(gateway)));
            prop_assert!(made.is_ok(), "{made:?}: {:#?}", lines(&changes));
            // What a step tells is in the region by now.
            let mut reached = gateway.running(&wanted);
            reached.punts = wanted.punts;
            let left = plan(&reached, &wanted, &MACS, |_| true);
            prop_assert!(left.is_empty(), "left: {:#?}\nof: {:#?}", lines(&left), lines(&changes));
            if !interrupts(&changes, &wanted) {
                let to = ways(&gateway);
                for (index, destination) in DESTINATIONS.iter().enumerate() {
                    let stays = from[index].is_some() && from[index] == to[index];
                    let gap = seen.iter().position(|seen| stays && seen[index] != from[index]);
                    prop_assert_eq!(gap, None, "{}: {:#?}", destination, lines(&changes));
                }
            }
            gateway.pass(2);
            gateway.tables.take_actions();
            before = wanted;
        }
    }
}

fn hop_by_hop_by_chance(dice: &mut Dice) -> HopByHop {
    if dice.chance(2) {
        HopByHop::Process
    } else {
        HopByHop::Ignore
    }
}

proptest! {
    #![proptest_config(Runs { cases: 200, failure_persistence: None, ..Runs::default() })]

    #[test]
    fn what_is_rendered_reads_as_the_same(seed: [u8; 32]) {
        let mut dice = Dice(TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let mut running = normalized(config_by_chance(&mut dice));
        for port in &mut running.interfaces {
            port.redirects = dice.chance(2);
            port.hop_by_hop = hop_by_hop_by_chance(&mut dice);
        }
        for link in &mut running.sub_interfaces {
            link.redirects = dice.chance(2);
            link.hop_by_hop = hop_by_hop_by_chance(&mut dice);
        }
        let settings = &mut running.router_alert.options.settings;
        (settings.most_bytes, settings.most_options) = (8 + usize::from(seed[0]), 1 + usize::from(seed[1]));
        if dice.chance(2) {
            settings.padding = Padding::Strict;
        }
        if dice.chance(2) {
            settings.beyond = Beyond::Refuse;
        }
        settings.duplicates = match seed[2] % 3 {
            0 => Duplicates::First,
            1 => Duplicates::Last,
            _ => Duplicates::Refuse,
        };
        running.router_alert.options.tells_length = dice.chance(2);
        let overrides = Overrides::default();
        let text = running.render(&overrides);
        let again = parse(&text).map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        prop_assert_eq!(check_restart(&running, &again), Ok(()));
        prop_assert_eq!(lines(&plan(&running, &again, &MACS, |_| true)), Vec::<String>::new());
        prop_assert_eq!(normalized(again).render(&overrides), text);
    }
}
