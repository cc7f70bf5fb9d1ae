//! SAs: all that a request says or nothing of it, keys that go with them, lifetimes in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use control::event::Event;
use control::message::{
    Df, Dscp, ErrorCode, NewSa, SAS_PER_REQUEST, Sa, SaChangeKind, SaDirection, SaId, SaKeys, SaLifetime,
    SaMode, SaState, Selector, Tunnel, TunnelMode,
};
use control::sas::listed;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::{Gateway, ROOMY};
use crate::ipsec::{SaMatter, SaSignal};

/// One that comes in, whose keys begin with this byte.
pub(super) fn sa(spi: u32, keys: u8) -> NewSa {
    NewSa {
        sa: Sa {
            spi,
            direction: SaDirection::In,
            tunnel: None,
            mode: SaMode::Tunnel,
            source: [198, 51, 100, 1].into(),
            destination: [192, 0, 2, 1].into(),
            transform: "aes128gcm16".into(),
            esn: true,
            window: 64,
            udp: None,
            keepalive: Sa::DEFAULT_KEEPALIVE,
            selectors: Vec::new(),
            soft: SaLifetime::default(),
            hard: SaLifetime::default(),
        },
        keys: SaKeys::new(Zeroizing::new(vec![keys; 20])),
        sequence: 0,
    }
}

fn id(spi: u32) -> SaId {
    sa(spi, 0).sa.id()
}

fn seconds(seconds: u64) -> SaLifetime {
    SaLifetime {
        seconds: Some(seconds),
        ..SaLifetime::default()
    }
}

fn selectors(count: usize) -> Vec<Selector> {
    let any = ([0, 0, 0, 0].into(), [255, 255, 255, 255].into());
    let selector = Selector {
        source: any,
        destination: any,
        protocol: None,
        source_ports: Selector::ANY_PORT,
        destination_ports: Selector::ANY_PORT,
    };
    vec![selector; count]
}

impl Gateway {
    pub(super) fn sas_add(&mut self, new: Vec<NewSa>, replace: bool) -> Result<(), (ErrorCode, String)> {
        let checked = self.tables.sas_check(new, replace);
        let added = checked.map(|new| self.tables.sas_install(new, self.now));
        added.map_err(|error| (error.code, error.message))
    }

    pub(super) fn sas_delete(&mut self, spis: &[u32]) -> Result<(), (ErrorCode, String)> {
        let ids: Vec<_> = spis.iter().map(|spi| id(*spi)).collect();
        let deleted = self.tables.sas_delete(&ids, self.now);
        deleted.map_err(|error| (error.code, error.message))
    }

    fn with_tunnel(&mut self, name: &str, remote: u8) {
        let tunnel = Tunnel {
            name: name.to_owned(),
            mode: TunnelMode::Esp,
            local: [192, 0, 2, 1].into(),
            remote: [198, 51, 100, remote].into(),
            key: None,
            protected: false,
            mtu: None,
            ttl: 64,
            df: Df::Copy,
            dscp: Dscp::Copy,
            unnumbered: None,
        };
        self.tables.add_tunnel(&tunnel).unwrap();
    }

    /// SPI and state of those that tools see.
    fn shown_sas(&self) -> Vec<(u32, SaState)> {
        let listed = listed(&self.reader).into_iter();
        listed.map(|listed| (listed.sa.spi, listed.state)).collect()
    }

    /// What subscribers have been told since the last call: one list for each event.
    fn told(&mut self) -> Vec<Vec<(SaChangeKind, u32)>> {
        let events = self.events().into_iter();
        let of = |event| match event {
            Event::Sas { changes } => {
                Some(changes.iter().map(|change| (change.change, change.spi)).collect())
            }
            _ => None,
        };
        events.filter_map(of).collect()
    }
}

use SaChangeKind::{
    Added, Deleted, HardSeconds, HardTraffic, Replaced, SequenceSoon, SoftSeconds, SoftTraffic,
};
use SaState::{Expiring, Installed};

#[test]
fn sas_come_and_go_and_subscribers_are_told_of_all_at_once() {
    let mut gateway = Gateway::new();
    gateway
        .sas_add(vec![sa(0x1000, 1), sa(0x1001, 2)], false)
        .unwrap();
    gateway.sas_add(vec![sa(0x1002, 3)], false).unwrap();
    gateway.sas_delete(&[0x1000]).unwrap();
    gateway.sas_add(vec![sa(0x1001, 4), sa(0x1003, 5)], true).unwrap();
    assert_eq!(gateway.told(), [[]; 0], "not before the others have come");
    let there = [0x1001, 0x1002, 0x1003].map(|spi| (spi, Installed));
    assert_eq!(gateway.shown_sas(), there);
    assert_eq!(gateway.tables.sa_usage().0, 3);
    gateway.pass(1);
    assert_eq!(
        gateway.told(),
        [[
            (Added, 0x1000),
            (Added, 0x1001),
            (Added, 0x1002),
            (Deleted, 0x1000),
            (Replaced, 0x1001),
            (Added, 0x1003),
        ]]
    );
    gateway.tables.sas_flush(gateway.now);
    assert_eq!(gateway.shown_sas(), []);
    assert_eq!(gateway.tables.sa_usage().0, 0, "no key is left");
    gateway.pass(1);
    let deleted = [0x1002, 0x1001, 0x1003].map(|spi| (Deleted, spi));
    assert_eq!(gateway.told(), [deleted]);
    gateway.pass(1);
    assert_eq!(gateway.told(), [[]; 0]);
}

#[test]
fn lifetimes_in_seconds_tell_first_and_then_delete() {
    let mut gateway = Gateway::new();
    let mut dying = sa(0x1000, 1);
    (dying.sa.soft, dying.sa.hard) = (seconds(10), seconds(15));
    let mut replaced = dying.clone();
    replaced.sa.spi = 0x1001;
    let mut deleted = dying.clone();
    deleted.sa.spi = 0x1002;
    gateway
        .sas_add(vec![dying, replaced, deleted, sa(0x1003, 2)], false)
        .unwrap();
    gateway.pass(9);
    gateway.told();
    gateway.sas_add(vec![sa(0x1001, 3)], true).unwrap();
    gateway.sas_delete(&[0x1002]).unwrap();
    gateway.pass(1);
    gateway.told();
    gateway.pass(1);
    assert_eq!(gateway.told(), [[(SoftSeconds, 0x1000)]]);
    let shown = [(0x1000, Expiring), (0x1001, Installed), (0x1003, Installed)];
    assert_eq!(gateway.shown_sas(), shown);
    gateway.pass(3);
    assert_eq!((gateway.told(), gateway.shown_sas()), (vec![], shown.to_vec()));
    gateway.pass(2);
    assert_eq!(gateway.told(), [[(HardSeconds, 0x1000)]]);
    assert_eq!(gateway.shown_sas(), shown[1..]);
    assert_eq!(gateway.tables.sa_usage().0, 2, "its keys went with it");
    gateway.pass(1000);
    assert_eq!(gateway.told(), [[]; 0], "those that are gone end no more");
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence_and_nothing_changes() {
    let mut gateway = Gateway::new();
    gateway.with_tunnel("ipsec0", 1);
    gateway.sas_add(vec![sa(0x1000, 1)], false).unwrap();
    gateway.pass(1);
    gateway.told();
    let with = |change: &dyn Fn(&mut NewSa)| {
        let mut new = sa(0x2000, 7);
        change(&mut new);
        // A good one before it goes with it.
        vec![sa(0x3000, 8), new]
    };
    let many = (0..ROOMY.sas as u32).map(|spi| sa(0x5000 + spi, 9)).collect();
    for (new, code, said) in [
        (
            with(&|new| new.sa.spi = 0x1000),
            ErrorCode::Exists,
            "there is an SA with SPI 0x00001000 to 192.0.2.1 already: use another SPI, or 'tollgate-ctl sa replace'",
        ),
        (
            with(&|new| new.sa.spi = 0x3000),
            ErrorCode::Invalid,
            "two of the SAs have SPI 0x00003000 to 192.0.2.1: give one of them another SPI",
        ),
        (
            with(&|new| new.sa.spi = 7),
            ErrorCode::Invalid,
            "7 is no SPI of an SA",
        ),
        (
            with(&|new| new.sa.transform = "des".into()),
            ErrorCode::Invalid,
            "there can be no SA with SPI 0x00002000 to 192.0.2.1: 'des' is no transform; write one of aes128gcm16, ",
        ),
        (
            with(&|new| new.sa.transform = "aes256gcm16".into()),
            ErrorCode::Invalid,
            "there can be no SA with SPI 0x00002000 to 192.0.2.1: aes256gcm16 takes 36 bytes of keys and got 20; give 32 for",
        ),
        (
            with(&|new| new.sa.tunnel = Some("ipsec1".into())),
            ErrorCode::UnknownInterface,
            "there is no tunnel 'ipsec1' for the SA with SPI 0x00002000 to 192.0.2.1: there are ipsec0",
        ),
        (
            with(&|new| new.sa.tunnel = Some("lan".into())),
            ErrorCode::UnknownInterface,
            "there is no tunnel 'lan' for",
        ),
        (
            many,
            ErrorCode::LimitReached,
            "there are 1 SAs and 8 have room: delete some, or raise sas in [limits]",
        ),
        (
            vec![sa(0x2000, 7); SAS_PER_REQUEST + 1],
            ErrorCode::BadRequest,
            "a request has 65 SAs and 64 are taken at a time",
        ),
    ] {
        for replace in [false, true] {
            let refused = gateway.sas_add(new.clone(), replace);
            if replace && code == ErrorCode::Exists {
                refused.unwrap();
                gateway.sas_delete(&[0x3000]).unwrap();
                gateway.pass(1);
                gateway.told();
                continue;
            }
            let (found, message) = refused.unwrap_err();
            assert_eq!(found, code, "{message}");
            assert!(message.starts_with(said), "{said}\n{message}");
        }
    }
    let (code, message) = gateway.sas_delete(&[0x1000, 0x1001]).unwrap_err();
    assert_eq!(code, ErrorCode::NotFound);
    assert_eq!(
        message,
        "there is no SA with SPI 0x00001001 to 192.0.2.1: 'tollgate-ctl sa' lists those that there are"
    );
    assert_eq!(gateway.shown_sas(), [(0x1000, Installed)]);
    assert_eq!(gateway.tables.sa_usage().0, 1);
    gateway.pass(1);
    assert_eq!(gateway.told(), [[]; 0]);
}

#[test]
fn an_sa_gives_way_to_one_with_other_keys_alone() {
    let mut gateway = Gateway::new();
    gateway
        .sas_add(vec![sa(0x1000, 1), sa(0x1001, 2)], false)
        .unwrap();
    gateway.pass(1);
    gateway.told();
    for direction in [SaDirection::In, SaDirection::Out] {
        let mut again = sa(0x1001, 2);
        again.sa.direction = direction;
        // It says nothing of what goes by the old one until that is gone.
        again.sequence = 1 << 33;
        let (code, message) = gateway.sas_add(vec![sa(0x1000, 3), again], true).unwrap_err();
        assert_eq!(code, ErrorCode::Invalid);
        assert_eq!(
            message,
            "the SA with SPI 0x00001001 to 192.0.2.1 has these keys already, and sequence numbers that it uses meanwhile would be used \
             again, which must never be with the same keys: give it others, or delete it and add it with a 'seq' beyond all that it \
             used"
        );
    }
    gateway.pass(1);
    assert_eq!(gateway.told(), [[]; 0], "not even the first of the two");
    // One byte is enough.
    let mut bytes = vec![2; 20];
    bytes[19] ^= 1;
    let mut other = sa(0x1001, 2);
    other.keys = SaKeys::new(Zeroizing::new(bytes));
    gateway.sas_add(vec![other], true).unwrap();
    gateway.pass(1);
    assert_eq!(gateway.told(), [[(Replaced, 0x1001)]]);
}

#[test]
fn what_a_worker_says_of_an_sa_that_gave_way_is_not_about_the_one_in_its_place() {
    let mut gateway = Gateway::new();
    gateway.sas_add(vec![sa(0x1000, 1)], false).unwrap();
    gateway.sas_add(vec![sa(0x1000, 2)], true).unwrap();
    gateway.pass(1);
    gateway.told();
    let of = |number, matter| SaSignal::Of {
        id: id(0x1000),
        number,
        matter,
    };
    for matter in SaMatter::ALL {
        gateway.tables.sa_signal(of(1, matter), gateway.now);
    }
    gateway.pass(1);
    assert_eq!(gateway.told(), [[]; 0]);
    assert_eq!(gateway.shown_sas(), [(0x1000, Installed)]);
    for matter in SaMatter::ALL {
        gateway.tables.sa_signal(of(2, matter), gateway.now);
    }
    gateway.pass(1);
    let told = [SoftTraffic, SequenceSoon, HardTraffic].map(|kind| (kind, 0x1000));
    assert_eq!(gateway.told(), [told]);
    assert_eq!(gateway.shown_sas(), []);
}

#[test]
fn selectors_have_room_of_their_own_and_leave_it_with_their_sa() {
    let mut gateway = Gateway::new();
    let with = |spi, count| {
        // Other keys whenever it is another SA.
        let mut new = sa(spi, count as u8);
        new.sa.selectors = selectors(count);
        new
    };
    // Two for each SA, and 16 more.
    gateway
        .sas_add(vec![with(0x1000, 16), with(0x1001, 16)], false)
        .unwrap();
    let (code, message) = gateway.sas_add(vec![with(0x1002, 1)], false).unwrap_err();
    assert_eq!(code, ErrorCode::LimitReached);
    assert!(
        message.starts_with("there is room for 0 more selectors of SAs and 1 are needed"),
        "{message}"
    );
    gateway
        .sas_add(vec![with(0x1001, 15), with(0x1002, 1)], true)
        .unwrap();
    gateway.sas_delete(&[0x1000]).unwrap();
    gateway.sas_add(vec![with(0x1003, 16)], false).unwrap();
    let counts: Vec<_> = listed(&gateway.reader)
        .iter()
        .map(|listed| (listed.sa.spi, listed.sa.selectors.len()))
        .collect();
    assert_eq!(counts, [(0x1001, 15), (0x1002, 1), (0x1003, 16)]);
}

#[test]
fn sas_of_a_tunnel_go_with_it() {
    let mut gateway = Gateway::new();
    gateway.with_tunnel("ipsec0", 1);
    gateway.with_tunnel("ipsec1", 2);
    let of = |spi, tunnel: &str| {
        let mut new = sa(spi, 1);
        new.sa.tunnel = Some(tunnel.to_owned());
        if tunnel == "ipsec1" {
            new.sa.source = [198, 51, 100, 2].into();
        }
        new
    };
    let new = vec![
        of(0x1000, "ipsec0"),
        of(0x1001, "ipsec1"),
        sa(0x1002, 2),
        of(0x1003, "ipsec0"),
    ];
    gateway.sas_add(new, false).unwrap();
    gateway.pass(1);
    gateway.told();
    gateway.tables.delete_tunnel("ipsec0", gateway.now).unwrap();
    assert_eq!(gateway.shown_sas(), [(0x1002, Installed), (0x1001, Installed)]);
    assert_eq!(gateway.tables.sa_usage().0, 2);
    gateway.pass(1);
    assert_eq!(gateway.told(), [[(Deleted, 0x1000), (Deleted, 0x1003)]]);
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        spis: Vec<u32>,
        replace: bool,
        hard: Option<u64>,
    },
    Delete(Vec<u32>),
    Flush,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let spis = || prop::collection::vec(0x1000..0x1010_u32, 1..4);
    prop_oneof![
        4 => (spis(), any::<bool>(), proptest::option::of(1..20_u64))
            .prop_map(|(spis, replace, hard)| Step::Add { spis, replace, hard }),
        2 => spis().prop_map(Step::Delete),
        1 => Just(Step::Flush),
        3 => (1..10_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_asked_there_is_what_a_simple_map_would_have(steps in prop::collection::vec(step(), 1..40)) {
        let mut gateway = Gateway::new();
        // By SPI: when it ends.
        let mut model: BTreeMap<u32, Option<Duration>> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add { spis, replace, hard } => {
                    let new = spis.iter().map(|spi| {
                        // Other keys than any before.
                        let mut new = sa(*spi, number as u8);
                        new.sa.hard.seconds = hard;
                        new
                    });
                    let done = gateway.sas_add(new.collect(), replace).is_ok();
                    let mut next = model.clone();
                    let ends = hard.map(|hard| gateway.now + Duration::from_secs(hard));
                    let mut all = true;
                    for (number, spi) in spis.iter().enumerate() {
                        all &= !spis[..number].contains(spi);
                        all &= next.insert(*spi, ends).is_none() || replace;
                    }
                    all &= next.len() <= ROOMY.sas;
                    prop_assert_eq!(done, all);
                    if all {
                        model = next;
                    }
                }
                Step::Delete(spis) => {
                    let all = spis.iter().all(|spi| model.contains_key(spi));
                    prop_assert_eq!(gateway.sas_delete(&spis).is_ok(), all);
                    model.retain(|spi, _| !all || !spis.contains(spi));
                }
                Step::Flush => {
                    gateway.tables.sas_flush(gateway.now);
                    model.clear();
                }
                Step::Pass(seconds) => {
                    gateway.pass(seconds);
                    model.retain(|_, ends| ends.is_none_or(|ends| ends > gateway.now));
                }
            }
            let shown: Vec<u32> = gateway.shown_sas().iter().map(|(spi, _)| *spi).collect();
            prop_assert_eq!(shown, model.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(gateway.tables.sa_usage().0, model.len());
        }
    }
}
