//! What is published is what is listed, and what cannot be is refused.

use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;
use shm::{Capacity, SaCounter, TableWriter};
use zerocopy::FromZeros;

use super::*;

const CAPACITY: Capacity = Capacity {
    interfaces: 1,
    addresses: 1,
    routes4: 1,
    routes6: 1,
    neighbors: 1,
    next_hops: 1,
    workers: 1,
    pools: 1,
    sas: 8,
};

fn sa(spi: u32) -> Sa {
    Sa {
        spi,
        direction: SaDirection::In,
        tunnel: None,
        mode: SaMode::Tunnel,
        source: [198, 51, 100, 1].into(),
        destination: [192, 0, 2, 1].into(),
        transform: "aes256gcm16".into(),
        esn: false,
        window: Sa::DEFAULT_WINDOW,
        udp: None,
        keepalive: Sa::DEFAULT_KEEPALIVE,
        selectors: Vec::new(),
        soft: SaLifetime::default(),
        hard: SaLifetime::default(),
    }
}

fn any() -> Selector {
    let all: (IpAddr, IpAddr) = ([0, 0, 0, 0].into(), [255, 255, 255, 255].into());
    Selector {
        source: all,
        destination: all,
        protocol: None,
        source_ports: Selector::ANY_PORT,
        destination_ports: Selector::ANY_PORT,
    }
}

#[test]
fn what_cannot_be_an_sa_is_refused_with_what_to_write() {
    let with = |change: &dyn Fn(&mut Sa)| {
        let mut sa = sa(0x1000);
        change(&mut sa);
        check(&sa).map_err(|error| error.to_string())
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(with(&|sa| sa.window = 0), Ok(()));
    // One that goes out has no window, whatever it says.
    assert_eq!(
        with(&|sa| (sa.window, sa.esn, sa.direction) = (0, true, SaDirection::Out)),
        Ok(())
    );
    let seconds = |seconds| SaLifetime {
        seconds: Some(seconds),
        ..SaLifetime::default()
    };
    for (refused, said) in [
        (
            with(&|sa| sa.spi = 255),
            "255 is no SPI of an SA: use one from 256 on",
        ),
        (
            with(&|sa| sa.destination = [224, 0, 0, 5].into()),
            "224.0.0.5 cannot be an end of the SA with SPI 0x00001000 to 224.0.0.5: use a unicast address",
        ),
        (
            with(&|sa| sa.source = Ipv6Addr::UNSPECIFIED.into()),
            ":: cannot be an end of",
        ),
        (
            with(&|sa| sa.source = Ipv6Addr::from_bits(0xffff_0a00_0001).into()),
            "::ffff:10.0.0.1 cannot be an end of",
        ),
        (
            with(&|sa| sa.source = Ipv6Addr::from_bits(7 << 112 | 1).into()),
            "comes from 7::1: use addresses of one family",
        ),
        (
            with(&|sa| sa.tunnel = Some("two words".into())),
            "\"two words\" is no tunnel: the SA with SPI 0x00001000 to 192.0.2.1 needs one that",
        ),
        (
            with(&|sa| sa.tunnel = Some("x".repeat(16))),
            "xxxx\" is no tunnel",
        ),
        (
            with(&|sa| sa.window = 31),
            "a window of 31 cannot be: give the SA with SPI 0x00001000 to 192.0.2.1 one from 32 to 4096, or 0 to take repeated packets",
        ),
        (with(&|sa| sa.window = 4097), "a window of 4097 cannot be"),
        (
            with(&|sa| (sa.window, sa.esn) = (0, true)),
            "has extended sequence numbers, which a window of 0 cannot follow: leave 'esn' out",
        ),
        (
            with(&|sa| sa.udp = Some((4500, 0))),
            "a port of the UDP header is 0",
        ),
        (
            with(&|sa| sa.selectors = vec![any(); 17]),
            "has 17 selectors and 16 have room: make several SAs of it",
        ),
        (
            with(&|sa| sa.soft = seconds(0)),
            "0 seconds are no lifetime of the SA with SPI 0x00001000 to 192.0.2.1: use 1 to 4294967295",
        ),
        (
            with(&|sa| sa.hard = seconds(1 << 32)),
            "4294967296 seconds are no lifetime",
        ),
        (
            with(&|sa| (sa.soft, sa.hard) = (seconds(10), seconds(10))),
            "ends after 10 seconds, and its soft lifetime later: make 'soft' less than 'hard'",
        ),
    ] {
        let refused = refused.unwrap_err();
        assert!(refused.contains(said), "{said}\n{refused}");
    }
}

#[test]
fn an_sa_that_no_packet_goes_by_is_told_from_others() {
    let with = |change: &dyn Fn(&mut Sa)| {
        let mut sa = sa(0x1000);
        sa.tunnel = Some("ipsec0".into());
        change(&mut sa);
        idle(&sa).map(|idle| (idle.brief(), idle.to_string()))
    };
    for good in [
        with(&|_| ()),
        with(&|sa| sa.udp = Some((1024, 4500))),
        // Where the other end takes it is the other end's to say.
        with(&|sa| (sa.udp, sa.direction) = (Some((4500, 1024)), SaDirection::Out)),
    ] {
        assert_eq!(good, None);
    }
    for (found, brief, said) in [
        (
            with(&|sa| sa.tunnel = None),
            "protects nothing",
            "the SA with SPI 0x00001000 to 192.0.2.1 protects nothing, as it names no tunnel: delete it, and add it with 'tunnel NAME'",
        ),
        (
            with(&|sa| sa.udp = Some((1025, 1024))),
            "never in UDP",
            "the SA with SPI 0x00001000 to 192.0.2.1 is to come in UDP to port 1024, and ESP in UDP is taken at port 4500 only: delete \
             it, and add it with 'udp 1025:4500'",
        ),
    ] {
        assert_eq!(found, Some((brief, said.to_owned())));
    }
}

#[test]
fn what_cannot_be_a_selector_is_refused_with_what_to_write() {
    let with = |change: &dyn Fn(&mut Selector)| {
        let mut selector = any();
        change(&mut selector);
        check_selector(&selector).map_err(|error| error.to_string())
    };
    let six = IpAddr::from(Ipv6Addr::from_bits(7));
    for (good, what) in [
        (with(&|_| ()), "any"),
        (
            with(&|selector| (selector.protocol, selector.destination_ports) = (Some(17), (53, 53))),
            "udp to port 53",
        ),
        (
            with(&|selector| (selector.protocol, selector.source_ports) = (Some(1), (0x800, 0x8ff))),
            "echo requests",
        ),
        (
            with(&|selector| (selector.protocol, selector.source_ports) = (Some(6), Selector::OPAQUE)),
            "later fragments of tcp",
        ),
    ] {
        assert_eq!(good, Ok(()), "{what}");
    }
    for (refused, said) in [
        (
            with(&|selector| selector.destination.1 = six),
            "0.0.0.0 and ::7 are of different families",
        ),
        (
            with(&|selector| selector.source = ([10, 0, 0, 9].into(), [10, 0, 0, 1].into())),
            "the range from 10.0.0.9 to 10.0.0.1 is empty",
        ),
        (
            with(&|selector| (selector.protocol, selector.source_ports) = (Some(6), (9, 1))),
            "the range of ports from 9 to 1 is empty",
        ),
        (
            with(&|selector| selector.source_ports = (9, 10)),
            "ports need a protocol: name it with 'proto'",
        ),
        (
            with(&|selector| (selector.protocol, selector.source_ports) = (Some(50), (9, 10))),
            "esp has no ports: leave them out",
        ),
    ] {
        let refused = refused.unwrap_err();
        assert!(refused.contains(said), "{said}\n{refused}");
    }
}

#[test]
fn what_is_none_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables");
    let writer = TableWriter::create(&path, None, &CAPACITY).unwrap();
    writer.publish();
    let mut table = writer.sas().unwrap();
    let reader = TableReader::open(&path).unwrap();
    let (mut good, _) = records(&sa(0x1000), 1, Duration::from_secs(5), SaState::Installed);
    table.insert(&good, &[]).unwrap();
    // Selectors of another, of which it should have one.
    good.selectors = 1;
    good.number = 2;
    let stranger = records::SaSelector {
        sa: 3,
        ..records::SaSelector::new_zeroed()
    };
    table.insert(&good, &[stranger]).unwrap();
    table.insert(&records::Sa::new_zeroed(), &[]).unwrap();
    let found: Vec<u32> = listed(&reader).iter().map(|listed| listed.sa.spi).collect();
    assert_eq!(found, [0x1000]);
}

fn address(six: bool) -> BoxedStrategy<IpAddr> {
    if six {
        // Global ones, and not all with bits everywhere.
        (1..u128::MAX >> 3)
            .prop_map(|bits| Ipv6Addr::from_bits(0x2 << 124 | bits >> 4).into())
            .boxed()
    } else {
        (1..0x7f00_0000_u32)
            .prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).into())
            .boxed()
    }
}

fn range(six: bool) -> impl Strategy<Value = (IpAddr, IpAddr)> {
    (address(six), address(six)).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn selector() -> impl Strategy<Value = Selector> {
    let between = || (any_port(), any_port()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let ports = || prop_oneof![4 => between(), 1 => Just(Selector::OPAQUE)];
    let upper = prop_oneof![
        Just((None, Selector::ANY_PORT, Selector::ANY_PORT)),
        Just((Some(50), Selector::ANY_PORT, Selector::ANY_PORT)),
        ports().prop_map(|types| (Some(1), types, Selector::ANY_PORT)),
        (ports(), ports()).prop_map(|(from, to)| (Some(17), from, to)),
    ];
    (proptest::bool::ANY, upper).prop_flat_map(|(six, upper)| {
        let (protocol, source_ports, destination_ports) = upper;
        (range(six), range(six)).prop_map(move |(source, destination)| Selector {
            source,
            destination,
            protocol,
            source_ports,
            destination_ports,
        })
    })
}

fn any_port() -> impl Strategy<Value = u16> {
    0..=u16::MAX
}

/// Soft and hard.
type Limits = (Option<u64>, Option<u64>);

fn lifetimes() -> impl Strategy<Value = (SaLifetime, SaLifetime)> {
    let pair = || {
        prop_oneof![
            Just((None, None)),
            (1..u64::from(u32::MAX)).prop_map(|limit| (Some(limit), None)),
            (1..1000_u64, 1..1000_u64).prop_map(|(soft, more)| (Some(soft), Some(soft + more))),
        ]
    };
    (pair(), pair(), pair()).prop_map(|(bytes, packets, seconds)| {
        let of = |part: fn(&Limits) -> Option<u64>| SaLifetime {
            bytes: part(&bytes),
            packets: part(&packets),
            seconds: part(&seconds),
        };
        (of(|pair| pair.0), of(|pair| pair.1))
    })
}

prop_compose! {
    fn any_sa()(
        spi in 256..=u32::MAX,
        (source, destination) in proptest::bool::ANY.prop_flat_map(|six| (address(six), address(six))),
        (out, transport, esn) in (proptest::bool::ANY, proptest::bool::ANY, proptest::bool::ANY),
        tunnel in proptest::option::of("[a-z0-9._-]{1,15}"),
        window in 32..=4096_u16,
        udp in proptest::option::of((1..=u16::MAX, 1..=u16::MAX)),
        selectors in prop::collection::vec(selector(), 0..4),
        (soft, hard) in lifetimes(),
    ) -> Sa {
        Sa {
            direction: if out { SaDirection::Out } else { SaDirection::In },
            mode: if transport { SaMode::Transport } else { SaMode::Tunnel },
            source, destination, tunnel, esn, window, udp, selectors, soft, hard,
            ..sa(spi)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_published_is_listed(
        sas in prop::collection::vec((any_sa(), 0..u64::MAX, proptest::bool::ANY), 1..8),
        counted in 1..1000_u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let writer = TableWriter::create(&path, None, &CAPACITY).unwrap();
        writer.publish();
        let mut table = writer.sas().unwrap();
        let mut expected = Vec::new();
        for (number, (sa, added, expiring)) in (1..).zip(sas) {
            prop_assert_eq!(check(&sa), Ok(()));
            let state = if expiring { SaState::Expiring } else { SaState::Installed };
            let added = Duration::from_nanos(added);
            let (record, selectors) = records(&sa, number, added, state);
            let place = table.insert(&record, &selectors).unwrap();
            table.cells(&place).unwrap().add(SaCounter::Bytes, counted + number);
            expected.push((sa, state, added, counted + number));
        }
        let reader = TableReader::open(&path).unwrap();
        let found = listed(&reader);
        prop_assert_eq!(found.len(), expected.len());
        for listed in found {
            let bytes = listed.counts.get(SaCounter::Bytes);
            let place = expected.iter().position(|known| known.3 == bytes).unwrap();
            let (sa, state, added, _) = expected.remove(place);
            prop_assert_eq!((listed.sa, listed.state, listed.added), (sa, state, added));
        }
    }
}
