//! Tunnels that ESP protects: what leads into them while they have SAs, and while they have none.

use control::event::Event;
use control::message::{SaDirection, Tunnel, TunnelMode};
use shm::records::TunnelLack;

use super::sas::sa;
use super::*;
use crate::ipsec::SaSignal;

/// A protected tunnel from `wan`'s address, and routes into it and beside it, all of which are set up.
fn protected() -> (Gateway, u16) {
    let mut gateway = Gateway::with_neighbors();
    let ends = ([192, 0, 2, 1].into(), [198, 51, 100, 1].into());
    let esp = Tunnel::new("ipsec0", TunnelMode::Esp, ends.0, ends.1);
    let index = gateway.tables.add_tunnel(&esp).unwrap();
    (gateway, index)
}

impl Gateway {
    /// Installs an SA of `ipsec0`.
    fn protect(&mut self, spi: u32, direction: SaDirection) {
        let mut new = sa(spi, spi as u8);
        new.sa.tunnel = Some("ipsec0".into());
        new.sa.direction = direction;
        if direction == SaDirection::Out {
            (new.sa.source, new.sa.destination) = (new.sa.destination, new.sa.source);
        }
        self.sas_add(vec![new], false).unwrap();
    }

    /// What the tunnel lacks, as tools see it.
    fn lacks(&self) -> Vec<TunnelLack> {
        let [(_, shown)] = self.reader.tunnels()[..] else {
            panic!("not one tunnel")
        };
        TunnelLack::ALL
            .into_iter()
            .filter(|lack| lack.is_in(shown.lacks))
            .collect()
    }
}

#[test]
fn packets_of_a_protected_tunnel_take_no_other_way_while_it_lacks_sas() {
    use TunnelLack::{InboundSa, LocalAddress, OutboundSa};
    let (mut gateway, index) = protected();
    let through = Adjacency::Forward {
        interface: index,
        mac: MacAddress::ZERO,
    };
    let via_lan = gateway.lookup("10.0.0.7");
    gateway.add("10.9.0.0/16", "ipsec0").unwrap();
    gateway.add("10.9.0.0/16", "10.0.0.7 metric 500").unwrap();
    gateway.add("10.8.0.0/13", "10.0.0.7").unwrap();
    let up = |gateway: &Gateway| gateway.tables.link_state(index).unwrap().1;
    assert_eq!(
        (gateway.lacks(), up(&gateway)),
        (vec![InboundSa, OutboundSa], false)
    );
    assert_eq!(gateway.lookup("10.9.1.1"), through, "dropped there");
    gateway.protect(0x1000, SaDirection::In);
    assert_eq!((gateway.lacks(), up(&gateway)), (vec![OutboundSa], false));
    gateway.protect(0x1001, SaDirection::Out);
    assert_eq!((gateway.lacks(), up(&gateway)), (vec![], true));
    assert_eq!(gateway.lookup("10.9.1.1"), through);
    let outbound: Vec<u32> = gateway.tables.outbound_sas(index).map(|(_, sa)| sa.spi).collect();
    assert_eq!(outbound, [0x1001]);
    gateway.sas_delete(&[0x1000]).unwrap();
    assert_eq!((gateway.lacks(), up(&gateway)), (vec![InboundSa], false));
    assert_eq!(gateway.lookup("10.9.1.1"), through);
    // An operator who sets it down says that packets may go elsewhere.
    gateway.tables.set_admin(index, false, gateway.now);
    assert_eq!(gateway.lookup("10.9.1.1"), via_lan);
    gateway.tables.set_admin(index, true, gateway.now);
    assert_eq!(gateway.lookup("10.9.1.1"), through);
    // So does one who takes away the address that it leaves from.
    gateway.drop_address(WAN, "192.0.2.1/28").unwrap();
    assert_eq!(gateway.lacks(), [LocalAddress, InboundSa]);
    assert_eq!(gateway.lookup("10.9.1.1"), via_lan);
}

#[test]
fn tunnels_that_packets_are_for_and_have_no_sa_to_send_by_are_told_together() {
    let (mut gateway, index) = protected();
    let second = Tunnel::new(
        "ipsec1",
        TunnelMode::Esp,
        gateway.tables.tunnel(index).unwrap().local,
        [198, 51, 100, 2].into(),
    );
    let second = gateway.tables.add_tunnel(&second).unwrap();
    gateway.protect(0x1000, SaDirection::In);
    gateway.pass(1);
    let acquire = |gateway: &mut Gateway, tunnel| {
        gateway
            .tables
            .sa_signal(SaSignal::Acquire { tunnel }, gateway.now);
    };
    let told = |gateway: &mut Gateway| -> Vec<Vec<String>> {
        let acquires = |event| match event {
            Event::Acquire { tunnels } => Some(tunnels),
            _ => None,
        };
        gateway.events().into_iter().filter_map(acquires).collect()
    };
    told(&mut gateway);
    // Of several workers.
    for tunnel in [second, index, second, WAN, 99] {
        acquire(&mut gateway, tunnel);
    }
    assert_eq!(told(&mut gateway), [[""; 0]; 0], "it is collected");
    gateway.pass(1);
    assert_eq!(told(&mut gateway), [["ipsec0", "ipsec1"]]);
    gateway.pass(10);
    assert_eq!(told(&mut gateway), [[""; 0]; 0]);
    // One that has an SA meanwhile, or no address to leave from, waits for none.
    acquire(&mut gateway, index);
    gateway.protect(0x1001, SaDirection::Out);
    gateway.pass(1);
    assert_eq!(told(&mut gateway), [[""; 0]; 0]);
    gateway.tables.sas_flush(gateway.now);
    acquire(&mut gateway, index);
    gateway.pass(1);
    assert_eq!(told(&mut gateway), [["ipsec0"]]);
    acquire(&mut gateway, index);
    gateway.drop_address(WAN, "192.0.2.1/28").unwrap();
    gateway.pass(1);
    assert_eq!(told(&mut gateway), [[""; 0]; 0]);
}

#[test]
fn a_protected_tunnel_without_sas_gives_way_to_another_protected_one_alone() {
    let (mut gateway, first) = protected();
    let local = gateway.tables.tunnel(first).unwrap().local;
    let other = Tunnel::new("ipsec1", TunnelMode::Esp, local, [198, 51, 100, 2].into());
    let second = gateway.tables.add_tunnel(&other).unwrap();
    gateway.add("10.9.0.0/16", "ipsec0").unwrap();
    gateway.add("10.9.0.0/16", "10.0.0.7 metric 500").unwrap();
    gateway.add("10.9.0.0/16", "ipsec1 metric 1000").unwrap();
    let through = |interface| Adjacency::Forward {
        interface,
        mac: MacAddress::ZERO,
    };
    assert_eq!(gateway.lookup("10.9.1.1"), through(first));
    for (spi, direction, leads) in [
        (0x2000, SaDirection::In, first),
        (0x2001, SaDirection::Out, second),
    ] {
        let mut new = sa(spi, spi as u8);
        new.sa.tunnel = Some("ipsec1".into());
        new.sa.direction = direction;
        let remote = [198, 51, 100, 2].into();
        (new.sa.source, new.sa.destination) = match direction {
            SaDirection::In => (remote, local),
            SaDirection::Out => (local, remote),
        };
        gateway.sas_add(vec![new], false).unwrap();
        assert_eq!(gateway.lookup("10.9.1.1"), through(leads));
    }
    gateway.protect(0x1000, SaDirection::In);
    gateway.protect(0x1001, SaDirection::Out);
    assert_eq!(gateway.lookup("10.9.1.1"), through(first));
    gateway.tables.sas_flush(gateway.now);
    assert_eq!(gateway.lookup("10.9.1.1"), through(first));
}
