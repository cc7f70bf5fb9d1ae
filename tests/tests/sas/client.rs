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
use super::{ask, builder, directory, keys_held, new_keys, shown};

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
    ask(&primary, "sa flush");
    let found = memory::find(Privilege::detect(), primary.process().pid(), &keys).unwrap();
    assert_eq!(found, []);
}

const COUNT: u32 = 8192;

/// How many of these are installed a second: one, two, and as many as can be at a time.
fn rates(primary: &Primary, sas: &[NewSa]) -> [f64; 3] {
    let mut client = Client::connect(&directory(primary), "tests").unwrap();
    [1, 2, SAS_PER_REQUEST].map(|at_a_time| {
        let began = Instant::now();
        for sas in sas.chunks(at_a_time) {
            let (sas, replace) = (sas.to_vec(), false);
            client.call(Request::SaAdd { sas, replace }).unwrap();
        }
        let rate = sas.len() as f64 / began.elapsed().as_secs_f64();
        println!("{rate:.0} installs per second, {at_a_time} at a time");
        assert_eq!(keys_held(primary), sas.len() as u64);
        client.call(Request::SaFlush).unwrap();
        rate
    })
}

/// Far less than there is in a build for use: the figures are printed.
#[test]
fn sas_are_installed_fast_one_at_a_time_and_by_the_request() {
    let primary = builder()
        .toml(&format!("[limits]\nsas = {COUNT}"))
        .start()
        .unwrap();
    let keys = new_keys(&mut Random::printed("keys"));
    let sas: Vec<_> = (0..COUNT).map(|spi| new(sa(0x1000 + spi, 1), &keys)).collect();
    let rates = rates(&primary, &sas);
    assert!(rates[0] > 2_000.0, "{rates:?}");
    assert!(rates[2] > 20_000.0, "{rates:?}");
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
    let rates = rates(&primary, &sas);
    assert!(rates[0] > 300.0, "{rates:?}");
    assert!(rates[2] > 2_000.0, "{rates:?}");
}
