//! Tunnels that SAs protect: which SAs they take, and when they are up.

use control::message::{
    ErrorCode, NewSa, Sa, SaDirection, SaKeys, SaLifetime, SaMode, Tunnel, TunnelChange, TunnelMode,
};
use zeroize::Zeroizing;

use super::*;

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
            selectors: Vec::new(),
            soft: SaLifetime::default(),
            hard: SaLifetime::default(),
        },
        keys: SaKeys::new(Zeroizing::new(vec![7; 20])),
    }
}

fn tunnel(mode: TunnelMode, protected: bool) -> Tunnel {
    Tunnel {
        protected,
        ..Tunnel::new("t0", mode, OWN.into(), OTHER.into())
    }
}

impl Gateway {
    fn install(&mut self, direction: SaDirection, mode: SaMode) -> Result<(), String> {
        let added = self.tables.sas_add(vec![sa(direction, mode)], true, self.now);
        added.map_err(|error| {
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
            Some("tunnel set t0 protected on"),
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
