//! The control socket and the events: nobody who is slow, stopped or hostile holds up another or the primary.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use control::{
    client::{Client, MAX_FRAME},
    instance::{InstanceDir, RunDir},
    message::{Answer, Envelope, ErrorCode, Reply, Request, Route, RouteTarget},
};
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket,
            sockopt,
        },
        time::TimeVal,
    },
};
use serde_json::Value;
use tests::{Family, Interface, Primary, Privilege, Process, TwoHosts, apart, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// What another tool may wait at most, its start included.
const AT_ONCE: Duration = Duration::from_millis(100);

fn primary() -> Primary {
    Primary::builder(Privilege::detect(), "gw")
        .interface(Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24"))
        .start()
        .unwrap()
}

fn directory(primary: &Primary) -> InstanceDir {
    RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap())
}

/// A connection that says what a test wants, not what a tool would.
struct Raw(OwnedFd);

impl Raw {
    fn connect(primary: &Primary) -> Self {
        let socket = socket(
            AddressFamily::Unix,
            SockType::SeqPacket,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        let patience = TimeVal::new(10, 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience).unwrap();
        let address = UnixAddr::new(&directory(primary).socket()).unwrap();
        connect(socket.as_raw_fd(), &address).unwrap();
        Self(socket)
    }

    fn send(&self, bytes: &[u8], flags: MsgFlags) -> Result<(), Errno> {
        let sent = send(self.0.as_raw_fd(), bytes, flags | MsgFlags::MSG_NOSIGNAL);
        sent.map(drop)
    }

    fn request(&self, id: u32, body: Request) -> Result<(), Errno> {
        self.send(
            &postcard::to_stdvec(&Envelope { id, body }).unwrap(),
            MsgFlags::empty(),
        )
    }

    /// The next answer; `None` when the other end has closed the connection.
    fn answer(&self) -> Option<Envelope<Answer>> {
        let mut buffer = vec![0; MAX_FRAME];
        match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(0) | Err(Errno::ECONNRESET) => None,
            length => Some(postcard::from_bytes(&buffer[..length.unwrap()]).unwrap()),
        }
    }
}

fn hello() -> Request {
    Request::Hello {
        version: control::VERSION.to_owned(),
        layout_hash: shm::LAYOUT_HASH,
        tool: "tests".to_owned(),
    }
}

/// Asserts that ctl, which asks the primary for its log levels, is served at once: in the best of three times, as what else the host does
/// makes it longer.
fn assert_served_at_once(primary: &Primary) {
    let times = [(); 3].map(|()| {
        let began = Instant::now();
        primary.ctl(&["log", "show"]).unwrap().success().unwrap();
        began.elapsed()
    });
    assert!(times.iter().min() < Some(&AT_ONCE), "answers took {times:?}");
}

#[test]
fn a_verbose_primary_logs_more_than_its_file_says() {
    let levels = |flag| {
        let builder = Primary::builder(Privilege::detect(), "gw");
        let port = Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24");
        let builder = builder.interface(port).log_level("warning");
        let checked = builder.argument("--check").argument(flag).run_to_end().unwrap();
        let line = checked.stdout.lines().find(|line| line.starts_with("log "));
        line.unwrap_or(&checked.stderr).to_owned()
    };
    assert!(
        levels("-v").ends_with(" debug,eal=warning to stderr"),
        "{}",
        levels("-v")
    );
    assert!(levels("-vv").ends_with(" debug to stderr"), "{}", levels("-vv"));
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_holds_nobody_up() {
    let primary = primary();
    let client = Raw::connect(&primary);
    client.request(0, hello()).unwrap();
    assert!(client.answer().unwrap().body.is_ok());
    // Asks on and on, and reads no answer.
    let request = postcard::to_stdvec(&Envelope {
        id: 1,
        body: Request::LogShow,
    })
    .unwrap();
    let mut asked = 0;
    let cut = wait_until("that the connection is cut", LIMIT, || {
        for _ in 0..100 {
            match client.send(&request, MsgFlags::MSG_DONTWAIT) {
                Ok(()) => asked += 1,
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Ok(Some(errno)),
            }
        }
        assert_served_at_once(&primary);
        Ok(None)
    })
    .unwrap();
    assert!(
        matches!(cut, Errno::EPIPE | Errno::ECONNRESET),
        "{cut} after {asked} requests"
    );
    assert!(asked > 64, "cut off after only {asked} requests");
    assert_served_at_once(&primary);
}

#[test]
fn malformed_frames_are_refused_and_the_primary_lives() {
    let mut primary = primary();
    let good = postcard::to_stdvec(&Envelope { id: 1, body: hello() }).unwrap();
    let (half, more) = (
        good[..good.len() / 2].to_vec(),
        [good.as_slice(), b"more"].concat(),
    );
    let frames = [
        ("zeros", vec![0; 16]),
        ("ones", vec![0xff; 16]),
        ("text", b"route show\n".to_vec()),
        ("half a request", half),
        ("a request and more", more),
        ("too long", vec![0xff; MAX_FRAME + 1]),
    ];
    for (name, frame) in frames {
        for greeted in [false, true] {
            let client = Raw::connect(&primary);
            if greeted {
                client.request(0, hello()).unwrap();
                assert!(client.answer().unwrap().body.is_ok());
            }
            client.send(&frame, MsgFlags::empty()).unwrap();
            let refusal = client.answer().unwrap().body.unwrap_err();
            assert_eq!(refusal.code, ErrorCode::BadRequest, "{name}: {refusal}");
            assert!(client.answer().is_none(), "{name}: the connection stays open");
            assert_served_at_once(&primary);
        }
    }
    // An empty one, and the end in the middle of a conversation.
    let client = Raw::connect(&primary);
    client.send(&[], MsgFlags::empty()).unwrap();
    assert!(client.answer().is_none());
    let client = Raw::connect(&primary);
    client.request(0, hello()).unwrap();
    drop(client);
    assert_served_at_once(&primary);
    assert_eq!(primary.process().ended(), None);
}

#[test]
fn a_tool_of_another_build_is_told_what_differs() {
    let primary = primary();
    let layout_hash = shm::LAYOUT_HASH ^ 1;
    for (version, layout_hash) in [("0.0.1", shm::LAYOUT_HASH), (control::VERSION, layout_hash)] {
        let client = Raw::connect(&primary);
        let tool = "another".to_owned();
        let version = version.to_owned();
        client
            .request(
                7,
                Request::Hello {
                    version: version.clone(),
                    layout_hash,
                    tool,
                },
            )
            .unwrap();
        let refusal = client.answer().unwrap().body.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::VersionMismatch);
        for word in [version.as_str(), control::VERSION, &format!("{layout_hash:016x}")] {
            assert!(refusal.message.contains(word), "{word} in: {refusal}");
        }
        assert!(client.answer().is_none());
    }
    // Without a hello nothing is answered.
    let client = Raw::connect(&primary);
    client.request(1, Request::LogShow).unwrap();
    assert_eq!(
        client.answer().unwrap().body.unwrap_err().code,
        ErrorCode::BadRequest
    );
}

/// The JSON object of a line of `monitor`, if it is that event.
fn event(line: &str, name: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value["event"] == name).then_some(value)
}

/// `monitor`, from where it misses nothing.
fn monitor(primary: &Primary) -> Process {
    let mut monitor = primary.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("`subscribed`", LIMIT, |line| event(line, "subscribed").is_some())
        .unwrap();
    monitor
}

#[test]
fn monitor_shows_what_happens_as_json_lines() {
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let mut monitor = monitor(&primary);
    let mut wait = |name: &str, is_it: &dyn Fn(&Value) -> bool| {
        let found = monitor.wait_for_stdout(name, LIMIT, |line| {
            event(line, name).is_some_and(|event| is_it(&event))
        });
        found.unwrap();
    };
    let ctl = |words: &[&str]| drop(primary.ctl(words).unwrap().success().unwrap());

    let words = ["-c", "1", "-W", "2"];
    hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap();
    let mac = hosts.host_b.mac("eth0").unwrap();
    wait("neighbor", &|event| {
        event["address"] == TwoHosts::ADDRESS_B && event["state"] == "reachable" && event["mac"] == mac
    });
    ctl(&["route", "add", "10.1.0.0/16", "via", TwoHosts::ADDRESS_B]);
    wait("route_added", &|event| event["route"]["prefix"] == "10.1.0.0/16");
    ctl(&["route", "del", "10.1.0.0/16"]);
    wait("route_deleted", &|event| event["prefix"] == "10.1.0.0/16");
    ctl(&["addr", "add", "192.168.1.9/24", "dev", TwoHosts::PORT_A]);
    wait("address", &|event| {
        event["address"] == "192.168.1.9/24" && event["added"] == true
    });
    ctl(&["link", "set", TwoHosts::PORT_B, "down"]);
    wait("link", &|event| {
        event["interface"] == TwoHosts::PORT_B && event["admin_up"] == false
    });
    // The other end of the link goes.
    hosts.host_a.set_up("eth0", false).unwrap();
    wait("link", &|event| {
        event["interface"] == TwoHosts::PORT_A && event["link_up"] == false
    });
    primary.terminate().unwrap();
    wait("stopping", &|_| true);
    assert!(monitor.wait(LIMIT).unwrap().success());
    for line in monitor.stdout().lines() {
        assert!(
            serde_json::from_str::<Value>(line).unwrap()["event"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn an_interface_that_is_set_down_forwards_nothing_until_it_is_up_again() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let words = ["-c", "5", "-i", "0.01", "-W", "0.5"];
    let pings = || Family::BOTH.map(|family| hosts.host_a.ping(family.address_b(), &words, LIMIT).unwrap());
    let assert_all_answered = || {
        for pings in pings() {
            pings.assert_all_answered();
        }
    };
    assert_all_answered();
    // By one that is down nothing comes in, and no route leads out.
    for (port, reason) in [
        (TwoHosts::PORT_A, "interface_down"),
        (TwoHosts::PORT_B, "no_route"),
    ] {
        let before = primary.counters_at_rest().unwrap().dropped(reason);
        primary
            .ctl(&["link", "set", port, "down"])
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(pings().map(|pings| pings.answered), [0, 0], "{port} is down");
        let counters = primary.counters_at_rest().unwrap();
        assert!(counters.dropped(reason) >= before + 10, "{counters:?}");
        counters.assert_balanced();
        primary
            .ctl(&["link", "set", port, "up"])
            .unwrap()
            .success()
            .unwrap();
        assert_all_answered();
    }
}

/// Adds and deletes a thousand routes, which are two thousand events.
fn stir_routes(client: &mut Client) {
    let routes: Vec<Route> = (0..1000_u32)
        .map(|number| {
            let prefix = format!("10.{}.{}.0/24", number / 250, number % 250);
            Route::new(prefix.parse().unwrap(), RouteTarget::Blackhole)
        })
        .collect();
    let keys = routes.iter().map(|route| route.prefix.into()).collect();
    for request in [
        Request::RouteAdd {
            routes,
            replace: false,
        },
        Request::RouteDelete { routes: keys },
    ] {
        assert_eq!(client.call(request).unwrap(), Reply::Done);
    }
}

#[test]
fn a_stopped_monitor_holds_nobody_up() {
    let mut primary = primary();
    let mut stopped = monitor(&primary);
    stopped.signal(Signal::SIGSTOP);
    let mut client = Client::connect(&directory(&primary), "tests").unwrap();
    // Many times what its queue and its socket hold.
    for _ in 0..10 {
        stir_routes(&mut client);
        assert_served_at_once(&primary);
    }
    // A new one hears what happens from now on.
    let mut listening = monitor(&primary);
    let add = ["route", "add", "203.0.113.0/24", "blackhole"];
    primary.ctl(&add).unwrap().success().unwrap();
    listening
        .wait_for_stdout("the route", LIMIT, |line| {
            event(line, "route_added").is_some_and(|event| event["route"]["prefix"] == "203.0.113.0/24")
        })
        .unwrap();
    // The stopped one was cut off, and says so when it runs again.
    stopped.signal(Signal::SIGCONT);
    let status = stopped.wait(LIMIT).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        stopped.stderr().contains("cut this tool off"),
        "{}",
        stopped.stderr()
    );
    assert!(primary.terminate().unwrap().success());
}

#[test]
fn the_configuration_that_doctor_writes_is_one_that_the_primary_takes() {
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    hosts
        .gateway
        .add_address(TwoHosts::PORT_A, "192.168.1.1/24")
        .unwrap();
    hosts.gateway.add_route("203.0.113.0/24", "192.168.1.2").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a0.toml");
    let doctor = tests::binaries::find("tollgate-hugepage-setup").unwrap();
    // In /sys are the devices of the namespace in which it was mounted.
    let mut words = apart("mount -n -t sysfs none /sys && exec \"$@\"").to_vec();
    words.extend([doctor.to_str().unwrap(), "doctor", TwoHosts::PORT_A]);
    // Its status says whether the host lacks anything, which is not what is asked here.
    let written = hosts.gateway.run_within(LIMIT, "looks at a0", &words).unwrap();
    std::fs::write(&file, &written.stdout).unwrap();
    for part in [
        "net_af_packet",
        "iface=a0",
        "192.168.1.1/24",
        "203.0.113.0/24",
        "192.168.1.2",
    ] {
        assert!(written.stdout.contains(part), "{part} in:\n{}", written.stdout);
    }
    let primary = tests::binaries::find("tollgate-primary").unwrap();
    let words = [
        &primary.to_string_lossy(),
        "--config",
        &file.to_string_lossy(),
        "--check",
    ];
    let checked = hosts
        .gateway
        .run_within(LIMIT, "checks the configuration", &words)
        .unwrap();
    assert!(checked.status.success(), "{}\n{}", checked.stderr, written.stdout);
    assert!(checked.stdout.contains("nothing wrong"), "{}", checked.stdout);
}
