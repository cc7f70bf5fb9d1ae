//! The whole file: what is taken, and what is said of what is wrong.

mod bond;
mod crypto;
mod ipv6;
mod kernel;
mod network;
mod router_alert;
mod service;
mod tunnel;
mod vlan;

use std::fs;

use proptest::prelude::*;

use super::*;
use control::message::{FailMode, LogLevel, RouteTarget};

/// A configuration that has nothing wrong with it; tests add to it or change it.
const GOOD: &str = r#"
[instance]
name = "blue"

[[interface]]
name = "wan"
device = "net_af_packet0,iface=wan0"
addresses = ["192.168.10.1/24"]

[[interface]]
name = "lan"
device = "net_af_packet1,iface=lan0"
addresses = ["10.0.0.1/16", "10.0.0.2/16"]
"#;

fn machine() -> Machine {
    Machine {
        online: vec![0, 1, 2, 3],
        allowed: vec![0, 1, 2, 3],
        nodes: vec![(0, vec![0, 1, 2, 3])],
    }
}

fn parse_with(text: &str, overrides: &Overrides) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("blue.toml"), overrides, &machine())
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, &Overrides::default())
}

fn problems(text: &str) -> Vec<String> {
    parse(text).map_or_else(
        |errors| errors.problems().iter().map(ToString::to_string).collect(),
        |_| Vec::new(),
    )
}

/// The good configuration and `more`: exactly one problem, found at the place of the last `needle` in the text, whose
/// sentence contains all of `parts`.
#[track_caller]
fn assert_problem(text: &str, needle: &str, parts: &[&str]) {
    let offset = text.rfind(needle).expect("the needle is in the text");
    let line = text[..offset].matches('\n').count() + 1;
    let column = offset - text[..offset].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    let found = problems(text);
    let [problem] = &found[..] else {
        panic!("not one problem: {found:#?}")
    };
    let place = format!("blue.toml:{line}:{column}: ");
    assert!(problem.starts_with(&place), "{problem} is not at {place}");
    for part in parts {
        assert!(problem.contains(part), "{problem} does not say {part}");
    }
}

/// [`assert_problem`] for what is added to the good configuration.
#[track_caller]
fn assert_added(more: &str, needle: &str, parts: &[&str]) {
    assert_problem(&format!("{GOOD}{more}\n"), needle, parts);
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.instance.file_prefix, "tg-blue");
    assert_eq!((config.instance.netns, config.instance.group), (None, None));
    assert_eq!((config.eal.memory_mb, config.eal.stock_tools), (256, false));
    assert_eq!((config.limits.routes4, config.limits.routes6), (100_000, 50_000));
    assert_eq!(config.limits.tbl8_groups4, 26_024);
    assert!(config.limits.packet_buffers >= 4096);
    assert_eq!(
        (config.workers.lcores, config.workers.control_cpus),
        (vec![3], vec![0])
    );
    assert_eq!(config.workers.idle, IdlePolicy::Adaptive);
    assert_eq!(config.workers.spread, SpreadPolicy::Auto);
    assert_eq!(config.log.levels.of("arp"), LogLevel::Info);
    let [wan, lan] = &config.interfaces[..] else {
        panic!()
    };
    assert_eq!(
        (wan.mtu, wan.rx_descriptors, wan.tx_descriptors),
        (1500, 1024, 1024)
    );
    assert_eq!(lan.device.kernel_interface(), Some("lan0"));
    assert_eq!(lan.addresses.len(), 2);
}

#[test]
fn everything_that_is_written_is_taken() {
    let text = r#"
instance = { name = "blue", netns = "red", file_prefix = "x", group = "root" }
log = { level = "warning,arp=debug", target = "/var/log/tollgate" }
eal = { memory_mb = 1_024, stock_tools = true, huge_dir = "/dev/hugepages", args = ["--iova-mode=va"] }
crypto = { devices = ["crypto_aesni_mb7,max_nb_queue_pairs=2", "crypto_null0"] }
limits = { routes4 = 5, routes6 = 4, tbl8_groups4 = 6, neighbors = 7, addresses = 8, packet_buffers = 5000, packet_buffer_bytes = 256, attachments = 9, sub_interfaces = 10, groups = 11, reassemblies = 12, sas = 13, connections = 2000 }
workers = { lcores = [2, 1], control_cpus = [0, 3], idle = "busy", spread = "off" }
[[interface]]
name = "wan"
device = "0000:01:00.0"
addresses = ["192.0.2.2/30"]
mtu = 9000
rx_descriptors = 512
tx_descriptors = 256
[[route]]
prefix = "default"
via = "192.0.2.1"
[[route]]
prefix = "10.0.0.0/8"
blackhole = true
[[route]]
prefix = "10.1.0.0/16"
interface = "wan"
[[neighbor]]
address = "192.0.2.1"
mac = "02:00:00:00:10:02"
interface = "wan"
"#;
    let config = parse(text).unwrap();
    assert_eq!(config.instance.netns.as_deref(), Some("red"));
    assert_eq!(config.instance.group.unwrap().gid, 0);
    assert_eq!(config.log.levels.to_string(), "warning,arp=debug");
    assert_eq!(config.eal.args, ["--iova-mode=va"]);
    assert_eq!(config.eal.memory_mb, 1024);
    assert_eq!(
        config.crypto.devices,
        ["crypto_aesni_mb7,max_nb_queue_pairs=2", "crypto_null0"]
    );
    assert_eq!(config.memory_place, "blue.toml:4:21");
    assert_eq!(
        config.limits,
        Limits {
            routes4: 5,
            routes6: 4,
            tbl8_groups4: 6,
            neighbors: 7,
            addresses: 8,
            packet_buffers: 5000,
            packet_buffer_bytes: 256,
            attachments: 9,
            attachment_mb: 8,
            sub_interfaces: 10,
            groups: 11,
            reassemblies: 12,
            sas: 13,
            connections: 2000,
        }
    );
    let workers = Workers {
        lcores: vec![2, 1],
        control_cpus: vec![0, 3],
        idle: IdlePolicy::Busy,
        spread: SpreadPolicy::Off,
    };
    assert_eq!(config.workers, workers);
    let targets: Vec<_> = config.routes.into_iter().map(|route| route.target).collect();
    let via = RouteTarget::Via {
        next_hop: "192.0.2.1".parse().unwrap(),
        interface: None,
    };
    assert_eq!(
        targets,
        [via, RouteTarget::Blackhole, RouteTarget::Interface("wan".into())]
    );
    assert_eq!(config.neighbors[0].mac.to_string(), "02:00:00:00:10:02");
    assert_eq!(config.interfaces[0].rx_descriptors, 512);
}

#[test]
fn unknown_keys_and_sections_are_answered_with_the_nearest() {
    assert_added(
        "[limits]\nroute4 = 5",
        "route4",
        &["unknown key 'route4'", "[limits]", "'routes4'"],
    );
    assert_added(
        "[limit]\nroutes4 = 5",
        "limit]",
        &["unknown section 'limit'", "'limits'"],
    );
    assert_added(
        "[limits]\nfrobnicate = 5",
        "frobnicate",
        &["routes4", "neighbors"],
    );
    let text = GOOD.replace(
        "device = \"net_af_packet1",
        "devise = 1\ndevice = \"net_af_packet1",
    );
    assert_problem(&text, "devise", &["[[interface]]", "'device'"]);
}

#[test]
fn bad_prefixes_say_what_is_right() {
    let route = |prefix: &str| format!("[[route]]\nprefix = \"{prefix}\"\nblackhole = true");
    assert_added(&route("172.16.3.7/24"), "\"172.16.3.7/24\"", &["172.16.3.0/24"]);
    assert_added(
        &route("172.16.0.0/33"),
        "\"172.16",
        &["'172.16.0.0/33'", "not an IP prefix"],
    );
    assert_added(&route("2001:db8::7/32"), "\"2001", &["2001:db8::/32"]);
    let address = |address: &str| GOOD.replace("192.168.10.1/24", address);
    assert_problem(
        &address("192.168.10.1"),
        "\"192.168.10.1\"",
        &["no prefix length"],
    );
    assert_problem(
        &address("192.168.10.0/24"),
        "\"192.168",
        &["subnet's own address"],
    );
}

#[test]
fn cpus_exist_and_are_used_once() {
    assert_added(
        "[workers]\nlcores = [1, 9]",
        "9]",
        &["CPU 9 in lcores is not online", "0-3"],
    );
    assert_added("[workers]\nlcores = [1, 1]", "1]", &["CPU 1 is in lcores twice"]);
    assert_added("[workers]\nlcores = [-1]", "-1]", &["CPU -1"]);
    assert_added(
        "[workers]\nlcores = \"1\"",
        "\"1\"",
        &["a list of whole numbers", "not string"],
    );
    let busy = "[workers]\nlcores = [1]\ncontrol_cpus = [1]\nidle = \"busy\"";
    assert_added(busy, "1]\nidle", &["CPU 1 is in lcores and in control_cpus"]);
    assert!(parse(&format!("{GOOD}{}", busy.replace("busy", "adaptive"))).is_ok());
    assert_added(
        "[workers]\nidle = \"lazy\"",
        "\"lazy",
        &["\"adaptive\" or \"busy\""],
    );
    assert_added("[workers]\nspread = \"some\"", "\"some", &["\"auto\" or \"off\""]);
    let single = Machine {
        online: vec![0],
        allowed: vec![0],
        nodes: Vec::new(),
    };
    let config = Config::parse(GOOD, Path::new("x"), &Overrides::default(), &single).unwrap();
    assert_eq!(
        (config.workers.lcores, config.workers.control_cpus),
        (vec![0], vec![0])
    );
}

#[test]
fn numbers_out_of_range_are_answered_with_the_range() {
    assert_added("[limits]\nroutes4 = 0", "0", &["routes4 = 0", "1 to 10000000"]);
    assert_added(
        "[limits]\nroutes6 = 1000001",
        "1000001",
        &["routes6", "1 to 1000000"],
    );
    assert_added("[limits]\npacket_buffers = 100", "100", &["4096 to"]);
    assert_added(
        "[eal]\nmemory_mb = 99999999999",
        "99999999999",
        &["memory_mb = 99999999999"],
    );
    assert_problem(
        &GOOD.replace(
            "[[interface]]\nname = \"lan\"",
            "[[interface]]\nmtu = 67\nname = \"lan\"",
        ),
        "67",
        &["68 to 9000"],
    );
}

#[test]
fn eal_arguments_of_the_suite_are_refused_in_file_and_command_line() {
    assert_added(
        "[eal]\nargs = [\"-v\", \"--vdev=net_null0\"]",
        "\"--vdev",
        &["--vdev=net_null0", "[[interface]]"],
    );
    let overrides = Overrides {
        eal_args: vec!["-l".into(), "0".into()],
        ..Overrides::default()
    };
    let message = parse_with(GOOD, &overrides).unwrap_err().to_string();
    assert!(
        message.starts_with("command line: ") && message.contains("lcores"),
        "{message}"
    );
}

#[test]
fn the_command_line_adds_to_the_file_and_does_not_contradict_it() {
    let red = Overrides {
        instance: Some("red".parse().unwrap()),
        ..Overrides::default()
    };
    let message = parse_with(GOOD, &red).unwrap_err().to_string();
    assert!(
        message.starts_with("blue.toml:3:8: ") && message.contains("--instance red"),
        "{message}"
    );

    let nameless = GOOD.replace("name = \"blue\"", "netns = \"green\"");
    let config = parse_with(&nameless, &red).unwrap();
    assert_eq!(
        (
            config.instance.name.as_str(),
            config.instance.file_prefix.as_str()
        ),
        ("red", "tg-red")
    );
    let message = parse(&nameless).unwrap_err().to_string();
    assert!(
        message.starts_with("blue.toml: ") && message.contains("--instance NAME"),
        "{message}"
    );

    let netns = Overrides {
        netns: Some("yellow".into()),
        ..red
    };
    let message = parse_with(&nameless, &netns).unwrap_err().to_string();
    assert!(
        message.starts_with("blue.toml:3:9: ") && message.contains("--netns yellow"),
        "{message}"
    );
    let config = parse_with(&nameless.replace("netns = \"green\"", ""), &netns).unwrap();
    assert_eq!(config.instance.netns.as_deref(), Some("yellow"));
}

#[test]
fn names_that_become_file_names_are_checked() {
    let name = |name: &str| GOOD.replace("\"blue\"", &format!("\"{name}\""));
    assert_problem(&name("Blue"), "\"Blue", &["'Blue' is not an instance name"]);
    assert_eq!(problems(&name("map_a")).len(), 1);
    assert!(problems(&name("map_a"))[0].contains("set file_prefix"));
    let more = |key: &str| GOOD.replace("\"blue\"", &format!("\"blue\"\n{key}"));
    assert_problem(&more("file_prefix = \"a/b\""), "\"a/b", &["'a/b'", "letters"]);
    assert_problem(&more("netns = \"a/b\""), "\"a/b", &["ip netns list"]);
    assert_problem(&more("group = \"no-such-group\""), "\"no-such", &["groupadd"]);
    assert_problem(
        &GOOD.replace("\"wan\"", "\"wan port\""),
        "\"wan port",
        &["not an interface name"],
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once_in_the_order_of_the_file() {
    let text = r#"
[instance]
name = "UP"
[log]
level = "loud"
[eal]
huge_dir = "relative"
[[interface]]
nam = "wan"
device = "eth0"
addresses = ["10.0.0.1/24", "10.0.0.300/24"]
[[route]]
prefix = "10.1.0.1/16"
via = "10.0.0.1"
"#;
    let lines: Vec<usize> = problems(text)
        .iter()
        .map(|problem| problem.split(':').nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(lines, [3, 5, 7, 8, 9, 10, 11, 13, 14], "{:#?}", problems(text));
}

#[test]
fn what_is_not_toml_is_said_with_its_place() {
    assert_problem("[instance]\nname = blue\n", "blue", &["not TOML"]);
    assert_problem(&format!("{GOOD}[instance]\n"), "instance", &["not TOML"]);
}

#[test]
fn sections_are_single_or_repeated_as_they_should_be() {
    assert_added("[[log]]\nlevel = \"info\"", "[[log]]", &["write [log]"]);
    assert_added("[route]\nprefix = \"default\"", "[route]", &["[[route]]"]);
    let message = parse("[instance]\nname = \"blue\"\n").unwrap_err().to_string();
    assert!(message.contains("no [[interface]]"), "{message}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let message = Config::load(Path::new("/nonexistent/blue.toml"), &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("/nonexistent/blue.toml: ") && message.contains("--config"),
        "{message}"
    );
}

/// Examples that tools read, whose own tests check them.
const OF_TOOLS: [&str; 1] = ["ike.toml"];

#[test]
fn the_examples_have_nothing_wrong_with_them() {
    let machine = Machine {
        online: (0..8).collect(),
        allowed: (0..8).collect(),
        nodes: Vec::new(),
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut examples = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_of_a_tool = OF_TOOLS.iter().any(|name| path.ends_with(name));
        if !is_of_a_tool && path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).unwrap();
            Config::parse(&text, &path, &Overrides::default(), &machine)
                .unwrap_or_else(|errors| panic!("{errors}"));
            examples += 1;
        }
    }
    assert!(examples >= 3);
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_refused_with_places(
        lines in proptest::collection::vec("[a-z_0-9=\\[\\]\"{}., ]{0,30}", 0..8),
    ) {
        let text = lines.join("\n");
        for problem in problems(&text) {
            prop_assert!(problem.starts_with("blue.toml:"), "{}", problem);
        }
    }
}
