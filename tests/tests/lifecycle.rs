//! Primaries start, end, die and meet each other; what they leave behind and what they refuse.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tests::{
    Captured, HostState, Interface, Namespace, Pings, Primary, Privilege, RunId, TwoHosts, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

fn pings(hosts: &TwoHosts) -> Pings {
    let words = ["-c", "5", "-i", "0.01", "-W", "2"];
    hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap()
}

/// What `instance show` has of the instance.
fn instance(primary: &Primary) -> Value {
    primary.ctl_json(&["instance", "show"]).unwrap()[0].clone()
}

/// Names in a folder; none when there is no such folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn left_behind(before: &HostState) -> Vec<String> {
    before.differences(&HostState::take(), &RunId::current())
}

/// Asserts that a primary refused to start, with one line that has all `words`.
fn assert_refused(captured: &Captured, words: &[&str]) {
    assert_eq!(captured.status.code(), Some(1), "{captured:?}");
    let complaints = captured.complaints();
    assert_eq!(complaints.len(), 1, "{}", captured.stderr);
    for word in words {
        assert!(complaints[0].contains(word), "{word} in: {}", complaints[0]);
    }
}

#[test]
fn a_second_primary_of_the_name_is_refused_and_the_first_goes_on() {
    let hosts = hosts();
    let mut first = hosts.primary("gw").start().unwrap();
    let second = Primary::builder(Privilege::detect(), "second")
        .instance(first.instance())
        .interface(Interface::device("n0", "net_null0,no-rx=1"))
        .run_dir(&first.run_dir());
    let pid = first.process().pid().to_string();
    assert_refused(
        &second.run_to_end().unwrap(),
        &[first.instance(), "running already", &pid],
    );
    pings(&hosts).assert_all_answered();
    assert_eq!(instance(&first)["state"], "ready");
}

#[test]
fn sigterm_leaves_nothing_behind() {
    let hosts = hosts();
    let before = HostState::take();
    let mut primary = hosts.primary("gw").start().unwrap();
    assert!(!left_behind(&before).is_empty(), "a running primary has files");
    pings(&hosts).assert_all_answered();
    let status = primary.terminate().unwrap();
    assert!(status.success(), "{status}: {}", primary.process().stderr());
    assert_eq!(left_behind(&before), Vec::<String>::new());
    assert!(
        !primary.run_dir().exists(),
        "{:?} in the run directory",
        names(&primary.run_dir())
    );
}

#[test]
fn a_kernel_interface_gets_its_mtu_back() {
    let hosts = hosts();
    let mtu = || {
        let words = ["ip", "-json", "link", "show", TwoHosts::PORT_B];
        hosts
            .gateway
            .run("reads the MTU", &words)
            .unwrap()
            .json()
            .unwrap()[0]["mtu"]
            .clone()
    };
    hosts.gateway.set_mtu(TwoHosts::PORT_B, 1400).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    assert_eq!(mtu(), 1500, "the port has the MTU of the configuration");
    primary.terminate().unwrap();
    assert_eq!(mtu(), 1400);
}

#[test]
fn a_killed_primary_is_shown_dead_and_its_remains_alone_are_cleaned_up() {
    let hosts = hosts();
    let live = hosts.primary("live").start().unwrap();
    // A run that was killed may have left dead ones of its own.
    live.hugepage_setup(&["clean"]).unwrap().success().unwrap();
    let (others, run_dir) = (HostState::take(), names(&live.run_dir()));
    let victim = || {
        Primary::builder(Privilege::detect(), "victim")
            .interface(Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24"))
            .run_dir(&live.run_dir())
    };
    let mut dead = victim().start().unwrap();
    assert_eq!(instance(&dead)["state"], "ready");
    let killed = SystemTime::now();
    dead.kill();

    let shown = instance(&dead);
    assert_eq!(shown["state"], "dead", "{shown}");
    let since = humantime::parse_rfc3339(shown["dead_since"].as_str().unwrap()).unwrap();
    let apart = since
        .duration_since(killed)
        .unwrap_or_else(|error| error.duration());
    assert!(apart <= Duration::from_secs(1), "{shown}, killed at {killed:?}");
    assert_eq!(instance(&live)["state"], "ready");
    let tables = shown["tables"].as_str().unwrap().to_owned();
    assert!(
        Path::new(&tables).exists(),
        "there is something to clean: {tables}"
    );

    // The next primary of that name needs no cleaning.
    let mut next = victim().start_after(dead).unwrap();
    assert_eq!(instance(&next)["state"], "ready");
    next.kill();
    assert!(!left_behind(&others).is_empty());

    // Clean takes the dead one's files and nothing else.
    let cleaned = next.hugepage_setup(&["clean"]).unwrap().success().unwrap();
    assert!(
        cleaned.stdout.contains(&tables) && !cleaned.stdout.contains(live.instance()),
        "{}",
        cleaned.stdout
    );
    assert_eq!(left_behind(&others), Vec::<String>::new());
    assert_eq!(names(&live.run_dir()), run_dir);
    pings(&hosts).assert_all_answered();
    let again = next.hugepage_setup(&["clean"]).unwrap().success().unwrap();
    assert_eq!(again.stdout, "nothing to clean\n");

    let next = victim().start_after(next).unwrap();
    assert_eq!(instance(&next)["state"], "ready");
}

/// The level of a module as `log show` has it.
fn level(primary: &Primary, module: &str) -> Value {
    let levels = primary.ctl_json(&["log", "show"]).unwrap();
    let mut levels = levels.as_array().unwrap().iter();
    levels.find(|level| level["module"] == module).unwrap()["level"].clone()
}

fn is_arp_debug(line: &str) -> bool {
    line.contains("arp") && line.contains("debug")
}

#[test]
fn sighup_and_ctl_change_what_is_logged() {
    let hosts = hosts();
    let mut primary = hosts.primary("gw").start().unwrap();
    let config = fs::read_to_string(primary.config_path()).unwrap();
    pings(&hosts).assert_all_answered();
    assert!(!primary.process().stderr().lines().any(is_arp_debug));

    // By ctl: the next neighbour is written of.
    let set = ["log", "set", "arp", "debug"];
    primary.ctl(&set).unwrap().success().unwrap();
    assert_eq!(level(&primary, "arp"), "debug");
    hosts
        .host_a
        .ping("192.168.2.77", &["-c", "1", "-W", "0.1"], LIMIT)
        .unwrap();
    primary
        .process()
        .wait_for_stderr("a line about ARP at level debug", LIMIT, is_arp_debug)
        .unwrap();

    // By SIGHUP: what the file says counts again.
    let quieter = config.replace("level = \"info\"", "level = \"warning,control=debug\"");
    assert_ne!(quieter, config);
    fs::write(primary.config_path(), quieter).unwrap();
    primary.reload();
    wait_until("the levels of the file", LIMIT, || {
        Ok((level(&primary, "control") == "debug").then_some(()))
    })
    .unwrap();
    assert_eq!(level(&primary, "arp"), "warning");

    // A file that is wrong changes nothing, and is complained of.
    fs::write(primary.config_path(), "[log]\nlevle = \"debug\"\n").unwrap();
    primary.reload();
    primary
        .process()
        .wait_for_stderr("what is wrong with the file", LIMIT, |line| {
            line.contains("levle")
        })
        .unwrap();
    assert_eq!(level(&primary, "control"), "debug");
    pings(&hosts).assert_all_answered();
}

#[test]
fn an_unknown_log_module_is_refused_by_name() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let refused = primary.ctl(&["--json", "log", "set", "apr", "debug"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], "invalid");
    assert!(
        error["error"]["message"].as_str().unwrap().contains("arp"),
        "{error}"
    );
}

#[test]
fn the_primary_is_in_its_namespace_and_ctl_need_not_be() {
    let hosts = hosts();
    let mut primary = hosts.primary("gw").start().unwrap();
    let pid = primary.process().pid();
    let of = |pid: &str, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    let pid = pid.to_string();
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let namespace = format!("net:[{}]", inode(&hosts.gateway.path()));
    assert_eq!(of(&pid, "net"), Path::new(&namespace));
    assert_ne!(of(&pid, "mnt"), of("self", "mnt"), "its /sys is the namespace's");
    assert_ne!(of(&pid, "net"), of("self", "net"));
    assert_eq!(instance(&primary)["netns"], hosts.gateway.name());
    let link = primary.ctl_json(&["link", "show", TwoHosts::PORT_A]).unwrap();
    assert_eq!(link[0]["netdev"], TwoHosts::PORT_A);
}

#[test]
fn a_device_belongs_to_one_instance() {
    let hosts = hosts();
    let first = hosts.primary("first").start().unwrap();
    let second = Primary::builder(Privilege::detect(), "second")
        .netns(&hosts.gateway)
        .interface(Interface::af_packet(TwoHosts::PORT_B).address("192.0.2.1/24"))
        .run_dir(&first.run_dir());
    let before = (HostState::take(), names(&first.run_dir()));
    assert_refused(
        &second.run_to_end().unwrap(),
        &[first.instance(), TwoHosts::PORT_B, "another device"],
    );
    assert_eq!(left_behind(&before.0), Vec::<String>::new());
    assert_eq!(names(&first.run_dir()), before.1);
    pings(&hosts).assert_all_answered();
}

#[test]
fn the_same_name_of_a_device_in_another_namespace_is_another_device() {
    let (one, two) = (hosts(), hosts());
    let first = one.primary("first").start().unwrap();
    let _second = two.primary("second").run_dir(&first.run_dir()).start().unwrap();
    pings(&one).assert_all_answered();
    pings(&two).assert_all_answered();
    let all = first.ctl(&["--json", "instance", "show"]).unwrap().success();
    assert_eq!(all.unwrap().json().unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn a_busy_cpu_belongs_to_one_instance() {
    let privilege = Privilege::detect();
    let idle =
        |label| Primary::builder(privilege, label).interface(Interface::device("n0", "net_null0,no-rx=1"));
    let first = idle("first").start().unwrap();
    let cpu = instance(&first)["cpus"][0]["cpu"].to_string();
    let busy = idle("busy").busy().run_dir(&first.run_dir());
    let before = (HostState::take(), names(&first.run_dir()));
    assert_refused(
        &busy.run_to_end().unwrap(),
        &[first.instance(), &format!("CPU {cpu}"), "busy"],
    );
    assert_eq!(left_behind(&before.0), Vec::<String>::new());
    assert_eq!(names(&first.run_dir()), before.1);
    // Two that both make way share it.
    let second = idle("second").run_dir(&first.run_dir()).start().unwrap();
    assert_eq!(instance(&second)["state"], "ready");
}

#[test]
fn the_device_of_the_default_route_is_taken_only_when_told_so() {
    let hosts = hosts();
    hosts
        .gateway
        .add_address(TwoHosts::PORT_A, "192.168.1.254/24")
        .unwrap();
    hosts.gateway.add_route("default", TwoHosts::ADDRESS_A).unwrap();
    let before = HostState::take();
    assert_refused(
        &hosts.primary("gw").run_to_end().unwrap(),
        &[TwoHosts::PORT_A, "default route", "--take-over"],
    );
    assert_eq!(left_behind(&before), Vec::<String>::new());
    let _primary = hosts.primary("gw").argument("--take-over").start().unwrap();
    pings(&hosts).assert_all_answered();
}

#[test]
fn the_device_of_an_ssh_connection_is_taken_only_when_told_so() {
    let hosts = hosts();
    hosts
        .gateway
        .add_address(TwoHosts::PORT_A, "192.168.1.254/24")
        .unwrap();
    // What matters is the connection to port 22, not who talks there.
    let mut server = server_at_port_22(&hosts.gateway);
    let mut client = hosts
        .host_a
        .process("connects to port 22", "iperf3")
        .args(["-c", "192.168.1.254", "-p", "22", "-t", "60", "-b", "10k"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("a connection", LIMIT, |line| line.contains("Accepted connection"))
        .unwrap();
    assert_refused(
        &hosts.primary("gw").run_to_end().unwrap(),
        &[TwoHosts::PORT_A, "ssh", "--take-over"],
    );
    client.kill();
}

fn server_at_port_22(namespace: &Namespace) -> tests::Process {
    let mut server = namespace
        .process("listens at port 22", "iperf3")
        .args(["-s", "-1", "-p", "22", "--forceflush"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();
    server
}
