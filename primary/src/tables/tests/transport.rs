//! Tunnels that SAs protect: which SAs they take, and when they are up.

use control::message::{
    ErrorCode, NewSa, Sa, SaDirection, SaId, SaKeys, SaLifetime, SaMode, Tunnel, TunnelChange, TunnelMode,
};
use zeroize::Zeroizing;

use super::*;
use crate::ipsec::SaSignal;
use crate::tables::SaNews;

const OWN: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [198, 51, 100, 1];

/// An SA of the tunnel `t0`.
fn sa(direction: SaDirection, mode: SaMode) -> NewSa {
    let (source, destination) = match direction {
        SaDirection::In => (OTHER, OWN),
        SaDirection::Out => (OWN, OTHER),
    };
    NewSa {
        sa: Sa {
            spi: 0x1000,
            direction,
            tunnel: Some("t0".into()),
            mode,
            source: source.into(),
            destination: destination.into(),
            transform: "aes128gcm16".into(),
            esn: true,
            window: 64,
            udp: None,
            keepalive: Sa::DEFAULT_KEEPALIVE,
            selectors: Vec::new(),
            soft: SaLifetime::default(),
            hard: SaLifetime::default(),
        },
        keys: SaKeys::new(Zeroizing::new(vec![7; 20])),
        sequence: 0,
    }
}

fn tunnel(mode: TunnelMode, protected: bool) -> Tunnel {
    Tunnel {
        protected,
        ..Tunnel::new("t0", mode, OWN.into(), OTHER.into())
    }
}

impl Gateway {
    fn install_one(&mut self, new: NewSa) -> Result<(), ControlError> {
        let checked = self.tables.sas_check(vec![new], true)?;
        self.tables.sas_install(checked, self.now);
        Ok(())
    }

    fn install(&mut self, direction: SaDirection, mode: SaMode) -> Result<(), String> {
        self.install_one(sa(direction, mode)).map_err(|error| {
            assert_eq!(error.code, ErrorCode::Invalid);
            error.message
        })
    }

    fn is_link_up(&self, index: u16) -> bool {
        self.tables.link_state(index).unwrap().1
    }
}

#[test]
fn each_tunnel_takes_sas_of_its_mode_and_says_so_of_others() {
    for (mode, protected, sa_mode, refused) in [
        (TunnelMode::Esp, false, SaMode::Tunnel, None),
        (
            TunnelMode::Esp,
            false,
            SaMode::Transport,
            Some("give it mode tunnel"),
        ),
        (TunnelMode::Gre, true, SaMode::Transport, None),
        (TunnelMode::Ipip, true, SaMode::Transport, None),
        (
            TunnelMode::Gre,
            true,
            SaMode::Tunnel,
            Some("t0 sends is gre already: give it mode transport"),
        ),
        (
            TunnelMode::Ipip,
            true,
            SaMode::Tunnel,
            Some("is ipip already: give it mode transport"),
        ),
        (
            TunnelMode::Gre,
            false,
            SaMode::Transport,
            Some("t0, which is not protected: 'tollgate-ctl tunnel set t0 protected on' first"),
        ),
        (
            TunnelMode::Ipip,
            false,
            SaMode::Tunnel,
            Some("protected on' first, and give it mode transport; or name a tunnel of mode esp"),
        ),
    ] {
        let mut gateway = Gateway::with_addresses();
        gateway.tables.add_tunnel(&tunnel(mode, protected)).unwrap();
        let said = gateway.install(SaDirection::In, sa_mode).err();
        match refused {
            None => assert_eq!(said, None),
            Some(part) => assert!(said.as_ref().is_some_and(|said| said.contains(part)), "{said:?}"),
        }
    }
}

#[test]
fn one_that_is_to_be_protected_is_down_until_it_is() {
    let mut gateway = Gateway::with_addresses();
    let index = gateway.tables.add_tunnel(&tunnel(TunnelMode::Gre, true)).unwrap();
    assert!(!gateway.is_link_up(index));
    gateway.install(SaDirection::In, SaMode::Transport).unwrap();
    assert!(!gateway.is_link_up(index));
    gateway.install(SaDirection::Out, SaMode::Transport).unwrap();
    assert!(gateway.is_link_up(index));
    // Not protected any more: SAs have no use, and nothing is waited for.
    let protected = |protected| TunnelChange {
        protected: Some(protected),
        ..TunnelChange::default()
    };
    gateway
        .tables
        .set_tunnel("t0", &protected(false), gateway.now)
        .unwrap();
    assert_eq!(gateway.tables.sa_usage().0, 0);
    assert!(gateway.is_link_up(index));
    gateway
        .tables
        .set_tunnel("t0", &protected(true), gateway.now)
        .unwrap();
    assert!(!gateway.is_link_up(index));
}

/// How often an SA of this tunnel was to send a keepalive since the last call.
fn keepalives(gateway: &mut Gateway) -> usize {
    let news = gateway.tables.take_sa_news().into_iter();
    news.filter(|news| matches!(news, SaNews::Keepalive { .. }))
        .count()
}

#[test]
fn what_goes_out_in_udp_sends_a_keepalive_when_it_has_sent_nothing_for_a_while() {
    let with = |udp: bool, keepalive, direction| {
        let mut gateway = Gateway::with_addresses();
        gateway
            .tables
            .add_tunnel(&tunnel(TunnelMode::Esp, false))
            .unwrap();
        let mut new = sa(direction, SaMode::Tunnel);
        new.sa.udp = udp.then_some((4500, 4500));
        new.sa.keepalive = keepalive;
        gateway.install_one(new).unwrap();
        gateway
    };
    let mut gateway = with(true, 20, SaDirection::Out);
    gateway.pass(19);
    assert_eq!(keepalives(&mut gateway), 0);
    gateway.pass(1);
    assert_eq!(keepalives(&mut gateway), 1);
    gateway.pass(40);
    assert_eq!(keepalives(&mut gateway), 2);
    // It sends something 10 s later: the next one is due 20 s after that.
    gateway.pass(10);
    let used = gateway.now;
    let sa_id = sa(SaDirection::Out, SaMode::Tunnel).sa.id();
    let installed = (0..10)
        .find_map(|number| gateway.tables.installed_sa(sa_id, number))
        .unwrap();
    installed
        .cells
        .set(shm::SaCounter::LastUsed, used.as_nanos() as u64);
    gateway.pass(19);
    assert_eq!(keepalives(&mut gateway), 0);
    gateway.pass(1);
    assert_eq!(keepalives(&mut gateway), 1);
    // Of two, the one that packets leave by.
    let mut second = sa(SaDirection::Out, SaMode::Tunnel);
    second.sa.spi += 1;
    second.sa.udp = Some((4500, 4500));
    gateway.install_one(second).unwrap();
    gateway.pass(60);
    assert_eq!(keepalives(&mut gateway), 3);
    gateway.tables.sas_flush(gateway.now);
    gateway.pass(60);
    assert_eq!(keepalives(&mut gateway), 0);

    for (udp, keepalive, direction) in [
        (true, 0, SaDirection::Out),
        (false, 20, SaDirection::Out),
        (true, 20, SaDirection::In),
    ] {
        let mut gateway = with(udp, keepalive, direction);
        gateway.pass(100);
        assert_eq!(keepalives(&mut gateway), 0, "{udp} {keepalive} {direction:?}");
    }
}

#[test]
fn what_workers_learn_of_the_other_end_and_the_path_is_told() {
    let mut gateway = Gateway::with_addresses();
    let index = gateway.tables.add_tunnel(&tunnel(TunnelMode::Gre, true)).unwrap();
    gateway.install(SaDirection::In, SaMode::Transport).unwrap();
    gateway.events();
    let id = sa(SaDirection::In, SaMode::Transport).sa.id();
    let [from, to] = ["198.51.100.1:4500", "198.51.100.7:1024"].map(|place| place.parse().unwrap());
    let unknown = SaId { spi: 0x9999, ..id };
    // Neither is one that had the name before.
    for (id, number) in [(id, 1), (unknown, 1), (id, 0)] {
        gateway
            .tables
            .sa_signal(SaSignal::Moved { id, number, from, to }, gateway.now);
    }
    gateway.tables.sa_signal(
        SaSignal::PathMtu {
            tunnel: index,
            mtu: 1200,
        },
        gateway.now,
    );
    let overhead = tunnel(TunnelMode::Gre, true).overhead();
    assert_eq!(
        gateway.events(),
        [
            Event::SaMoved {
                spi: id.spi,
                destination: id.destination,
                tunnel: Some("t0".into()),
                from,
                to,
            },
            Event::PathMtu {
                tunnel: "t0".into(),
                inner: 1200,
                outer: 1200 + overhead,
            },
        ]
    );
}
