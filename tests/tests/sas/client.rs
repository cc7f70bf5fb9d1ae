//! Clients that install many SAs, or die before they are answered.

use std::{
    collections::BTreeSet,
    os::fd::{AsRawFd, OwnedFd},
    time::Instant,
};

use control::{
    client::{Client, MAX_FRAME},
    message::{
        Envelope, NewSa, Request, SAS_PER_REQUEST, Sa, SaDirection, SaKeys, SaLifetime, SaMode, Selector,
    },
};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use tests::{Primary, Privilege, Random, memory};
use zeroize::Zeroizing;

use super::tunnel::TUNNEL;
use super::{builder, directory, keys_held, new_keys, shown};

/// One that comes in.
pub(crate) fn sa(spi: u32, selectors: usize) -> Sa {
    let all = ([0, 0, 0, 0].into(), [255, 255, 255, 255].into());
    let selector = Selector {
        source: all,
        destination: all,
        protocol: None,
        source_ports: Selector::ANY_PORT,
        destination_ports: Selector::ANY_PORT,
    };
    Sa {
        spi,
        direction: SaDirection::In,
        tunnel: None,
        mode: SaMode::Tunnel,
        source: [198, 51, 100, 1].into(),
        destination: [192, 0, 2, 1].into(),
        transform: "aes256gcm16".into(),
        esn: true,
        window: Sa::DEFAULT_WINDOW,
        udp: None,
        keepalive: Sa::DEFAULT_KEEPALIVE,
        selectors: vec![selector; selectors],
        soft: SaLifetime::default(),
        hard: SaLifetime::default(),
    }
}

pub(crate) fn new(sa: Sa, keys: &[u8]) -> NewSa {
    let keys = SaKeys::new(Zeroizing::new(keys.to_vec()));
    NewSa {
        sa,
        keys,
        sequence: 0,
    }
}

/// A connection of a client that has said hello.
pub(crate) fn greeted(primary: &Primary) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    let address = UnixAddr::new(&directory(primary).socket()).unwrap();
    connect(socket.as_raw_fd(), &address).unwrap();
    let hello = Request::Hello {
        version: control::VERSION.to_owned(),
        layout_hash: shm::LAYOUT_HASH,
        tool: "tests".to_owned(),
    };
    say(&socket, &frame(hello));
    recv(socket.as_raw_fd(), &mut vec![0; MAX_FRAME], MsgFlags::empty()).unwrap();
    socket
}

pub(crate) fn frame(body: Request) -> Vec<u8> {
    postcard::to_stdvec(&Envelope { id: 1, body }).unwrap()
}

pub(crate) fn say(socket: &OwnedFd, frame: &[u8]) {
    send(socket.as_raw_fd(), frame, MsgFlags::MSG_NOSIGNAL).unwrap();
}

#[test]
fn a_client_that_dies_before_it_is_answered_leaves_all_of_its_request_or_nothing() {
    const CLIENTS: u32 = 40;
    let mut primary = builder().toml("[limits]\nsas = 3000").start().unwrap();
    let mut random = Random::printed("keys");
    let keys = new_keys(&mut random);
    let mut watching = Client::connect(&directory(&primary), "tests").unwrap();
    for client in 0..CLIENTS {
        let first = 0x1_0000 + client * SAS_PER_REQUEST as u32;
        let spis = first..first + SAS_PER_REQUEST as u32;
        let sas: Vec<_> = spis.clone().map(|spi| new(sa(spi, 1), &keys)).collect();
        let whole = frame(Request::SaAdd { sas, replace: false });
        let socket = greeted(&primary);
        // Some say only the beginning of it.
        let said = if client % 4 == 3 {
            &whole[..whole.len() / 2]
        } else {
            &whole[..]
        };
        say(&socket, said);
        drop(socket);
        // Answered behind what was said before.
        watching.call(Request::LogShow).unwrap();
    }
    let there: BTreeSet<u64> = shown(&primary).into_iter().map(|(spi, _)| spi).collect();
    assert_eq!(keys_held(&primary), there.len() as u64);
    let mut whole = 0;
    for client in 0..CLIENTS {
        let first = u64::from(0x1_0000 + client * SAS_PER_REQUEST as u32);
        let count = there.range(first..first + SAS_PER_REQUEST as u64).count();
        assert!(
            count == 0 || count == SAS_PER_REQUEST,
            "{count} of client {client}"
        );
        whole += usize::from(count > 0);
        assert!(count == 0 || client % 4 != 3, "half a request of client {client}");
    }
    assert!(whole > 0, "none was there in time");
    let usage = primary.ctl_json(&["memory"]).unwrap();
    let used = |part: &str| {
        let parts = usage.as_array().unwrap().iter();
        let mut found = parts.filter(|found| found["part"] == part);
        found.next().unwrap()["used"].as_u64().unwrap()
    };
    assert_eq!(
        (used("table_sas"), used("table_sa_selectors")),
        (there.len() as u64, there.len() as u64)
    );
    primary.tell("sa flush");
    let found = memory::find(Privilege::detect(), primary.process().pid(), &keys).unwrap();
    assert_eq!(found, []);
}

const COUNT: u32 = 8192;

/// What installing costs beside a question that changes nothing: what depends on the machine and the build is in both.
#[derive(Debug)]
struct Cost {
    /// Questions that were answered in the time of an SA that is installed by itself.
    alone: f64,
    /// The same of an SA among as many as can be at a time.
    among_many: f64,
    /// How much longer the last eighth of those installed alone took than the first.
    growth: f64,
}

fn seconds(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

/// Installs these one at a time, and all at once after that.
fn cost(primary: &Primary, sas: &[NewSa]) -> Cost {
    let mut client = Client::connect(&directory(primary), "tests").unwrap();
    let mut install = |sas: &[NewSa], at_a_time: usize| {
        seconds(|| {
            for sas in sas.chunks(at_a_time) {
                let (sas, replace) = (sas.to_vec(), false);
                client.call(Request::SaAdd { sas, replace }).unwrap();
            }
        })
    };
    let mut asking = Client::connect(&directory(primary), "tests").unwrap();
    let (mut questions, mut alone) = (Vec::new(), Vec::new());
    // By turns, so that what else the machine does meets both.
    for part in sas.chunks(sas.len() / 8) {
        alone.push(install(part, 1));
        questions.push(seconds(|| {
            for _ in 0..part.len() {
                asking.call(Request::LogShow).unwrap();
            }
        }));
    }
    assert_eq!(keys_held(primary), sas.len() as u64);
    asking.call(Request::SaFlush).unwrap();
    let among_many = install(sas, SAS_PER_REQUEST);
    assert_eq!(keys_held(primary), sas.len() as u64);
    let question = questions.iter().sum::<f64>();
    let cost = Cost {
        alone: alone.iter().sum::<f64>() / question,
        among_many: among_many / question,
        growth: alone[7] / alone[0],
    };
    let rate = |seconds: f64| sas.len() as f64 / seconds;
    println!(
        "per second: {:.0} questions, {:.0} installs one at a time, {:.0} by the request: {cost:?}",
        rate(question),
        rate(alone.iter().sum()),
        rate(among_many)
    );
    cost
}

#[test]
fn sas_are_installed_fast_one_at_a_time_and_by_the_request() {
    let primary = builder()
        .toml(&format!("[limits]\nsas = {COUNT}"))
        .start()
        .unwrap();
    let keys = new_keys(&mut Random::printed("keys"));
    let sas: Vec<_> = (0..COUNT).map(|spi| new(sa(0x1000 + spi, 1), &keys)).collect();
    let cost = cost(&primary, &sas);
    assert!(cost.alone < 5.0, "{cost:?}");
    assert!(cost.among_many < 2.0, "{cost:?}");
    assert!(cost.growth < 3.0, "{cost:?}");
}

/// As above, with what workers need of each.
#[test]
fn sas_of_protected_tunnels_are_installed_fast() {
    let primary = builder()
        .toml(&format!("[limits]\nsas = {COUNT}\n{TUNNEL}"))
        .start()
        .unwrap();
    let keys = new_keys(&mut Random::printed("keys"));
    let of_tunnel = |spi: u32| {
        let mut sa = sa(0x1000 + spi, 1);
        sa.tunnel = Some("ipsec0".to_owned());
        if spi % 2 == 1 {
            sa.direction = SaDirection::Out;
            (sa.source, sa.destination) = (sa.destination, sa.source);
        }
        new(sa, &keys)
    };
    let sas: Vec<_> = (0..COUNT).map(of_tunnel).collect();
    let cost = cost(&primary, &sas);
    assert!(cost.alone < 40.0, "{cost:?}");
    assert!(cost.among_many < 5.0, "{cost:?}");
    assert!(cost.growth < 3.0, "{cost:?}");
}
