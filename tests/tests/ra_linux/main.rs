//! Router alerts through a relay of Linux, a raw socket that counts the hop limit down and sends on, and through Tollgate with its
//! relay: what leaves at the far host and what comes back to the sender is the same, but for what docs/router-alert-differences.md lists.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod listeners;

use std::{fs, time::Duration};

use listeners::{Listeners, Taker};
use tests::{
    Interface, Namespace, Primary, PrimaryBuilder, Privilege,
    side_by_side::{self, Comparison, Topology},
    wait_until,
};

const DOCUMENT: &str = include_str!("../../../docs/router-alert-differences.md");
const RELAYED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ra_linux/stimuli/relayed.py");
/// What the reasons in the document refer to.
const SOURCES: [&str; 2] = ["REQ-RA-", "RFC "];
/// What the stimuli say that is taken, stimuli/alerts.py.
const RULES: &str = "[[rule]]\nname = \"six\"\nfamily = \"ipv6\"\nvalues = \"5\"\nhandler = \"relay\"\n\
                     [[rule]]\nname = \"four\"\nfamily = \"ipv4\"\nvalues = \"0\"\nprotocol = 46\nhandler = \"relay\"\n";
const SOCKETS: [&str; 2] = ["v6=5", "v4=46"];
/// The packet that all began with, from its IPv6 header on.
const SEED: &str = "60000000008200ff20010db800000000021451fffe2f15562404680040050803000000000000200e\
                    06000502000501000050005000000000000000005002ffff7bba0000";

/// Routes to where the two seeds go.
const ROUTES: [(&str, &str); 2] = [
    ("2404:6800::/32", "2001:db8:2::2"),
    ("203.0.113.64/26", "192.168.2.2"),
];

fn with_routes(privilege: Privilege, gateway: &Namespace) -> PrimaryBuilder {
    let builder = side_by_side::builder(privilege, gateway);
    ROUTES
        .iter()
        .fold(builder, |builder, (prefix, via)| builder.route(prefix, via))
}

#[test]
fn req_ra_16_18_and_20_to_26_what_comes_out_is_what_a_relay_of_linux_sends_but_for_the_listed_differences() {
    let mut comparison = Comparison::new(DOCUMENT, &SOURCES);
    let topology = Topology::with(with_routes);
    for (prefix, via) in ROUTES {
        topology.linux.add_route(prefix, via).unwrap();
    }
    // Addresses are preferred after a second and announced, and two seconds later once more.
    std::thread::sleep(Duration::from_secs(3));
    let buffers = topology.buffers();
    let listeners = Listeners::new(&topology);
    let mut exchange = |scenario| comparison.exchange(&topology, RELAYED, &[scenario]);
    exchange("nobody");
    {
        let mut takers = [
            listeners.linux(&topology.linux, &["--swallow", SOCKETS[0]]),
            listeners.consumer(&["--swallow", "--print"]),
        ];
        exchange("swallowed");
        // Both saw it as it was sent, its hop limit too.
        for taker in &mut takers {
            taker.wait_for(SEED);
        }
    }
    nobody_decides(&topology.primary);
    {
        let _takers = [
            listeners.linux(&topology.linux, &SOCKETS),
            listeners.relay(&topology.primary, RULES),
        ];
        exchange("relayed");
    }
    nobody_decides(&topology.primary);
    {
        let _takers = [
            listeners.linux(&topology.linux, &SOCKETS),
            listeners.linux(&topology.linux, &SOCKETS),
            listeners.relay(&topology.primary, RULES),
            listeners.consumer(&["--observe"]),
        ];
        assert!(
            listeners.is_refused(&topology.primary, RULES),
            "two relays decide"
        );
        exchange("two-relays");
    }
    {
        let elsewhere = Elsewhere::create();
        let rules = RULES.replace("\"5\"", "\"65510-65511\"");
        let _takers: [Taker; 3] = [
            listeners.linux(&elsewhere.namespace, &["--swallow", "--shared", "v6=65510"]),
            listeners.linux(&elsewhere.namespace, &["--swallow", "v6=65511"]),
            listeners.relay(&elsewhere.primary, &rules),
        ];
        exchange("elsewhere");
    }
    let (stimuli, answered) = comparison.assert_listed();
    assert!(stimuli > 70 && answered > stimuli / 2, "{answered} of {stimuli}");
    comparison.assert_needed();
    let counters = topology.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    let waiting = counters.sum(|interface| interface.waiting);
    let used = topology.buffers();
    assert!(
        (buffers..=buffers + waiting).contains(&used),
        "{used} packet buffers in use after {buffers}, {waiting} packets wait"
    );
}

/// Waits until the primary has seen the end of the tool that decided about router alerts.
fn nobody_decides(primary: &Primary) {
    wait_until("the end of the tool", listeners::LIMIT, || {
        let punts = primary.ctl_json(&["punt", "show"])?;
        let mut classes = punts.as_array().unwrap().iter();
        let class = classes.find(|class| class["class"] == "router_alert").unwrap();
        Ok(class["tool"].is_null().then_some(()))
    })
    .unwrap();
}

/// Another instance, in another namespace.
struct Elsewhere {
    primary: Primary,
    namespace: Namespace,
}

impl Elsewhere {
    fn create() -> Self {
        let privilege = Privilege::detect();
        let namespace = Namespace::create(privilege, "elsewhere").unwrap();
        let primary = Primary::builder(privilege, "elsewhere")
            .netns(&namespace)
            .interface(Interface::device("other", "net_null0,no-rx=1").address("192.0.2.1/24"))
            .start()
            .unwrap();
        Self { primary, namespace }
    }
}

#[test]
fn req_ra_17_a_listener_has_many_values_where_a_socket_of_linux_has_one() {
    let privilege = Privilege::detect();
    let namespace = Namespace::create(privilege, "linux").unwrap();
    let mut linux = namespace
        .process("listens for two values", listeners::PYTHON)
        .args(["-I", "-c", TWO_VALUES])
        .start()
        .unwrap();
    assert!(
        linux.wait(listeners::LIMIT).unwrap().success(),
        "{}",
        linux.stderr()
    );
    // The second is refused, and a value that no packet can have is taken.
    assert_eq!(linux.stdout().trim(), "EADDRINUSE taken");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ra.toml");
    for (values, status) in [("5,7,9-11", 0), ("70000", 2)] {
        fs::write(&file, RULES.replace("\"5\"", &format!("\"{values}\""))).unwrap();
        let relay = tests::binaries::find("tollgate-ra-relay").unwrap();
        let mut relay = tests::ProcessBuilder::new(privilege, "looks at rules", relay)
            .args(["--check-config", "--config"])
            .arg(&file)
            .start()
            .unwrap();
        let ended = relay.wait(listeners::LIMIT).unwrap();
        assert_eq!(ended.code(), Some(status), "{values}: {}", relay.stderr());
    }
}

/// Selects two values by one socket, then one that does not exist by another.
const TWO_VALUES: &str = "
import errno, socket
def select(taker, value):
    try:
        taker.setsockopt(socket.IPPROTO_IPV6, 30, 1)
        taker.setsockopt(socket.IPPROTO_IPV6, 22, value)
        return 'taken'
    except OSError as error:
        return errno.errorcode[error.errno]
raw = lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
first, second = raw(), raw()
select(first, 65512)
print(select(first, 65513), select(second, 70000))
";
