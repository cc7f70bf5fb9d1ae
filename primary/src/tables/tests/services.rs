//! Services: all that a request says or nothing of it, local addresses that come and go with them, and what workers get.

mod limits;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use control::client::MAX_FRAME;
use control::message::{
    ControlError, Envelope, ErrorCode, LocalAddress, RealServer, Reply, SERVERS_PER_SERVICE, SERVICES,
    Scheduler, ServerChange, Service, ServiceChange, ServiceId, ServiceOptions, ServiceProtocol,
};
use lb::{Count, Counts, Refused};

use super::{Gateway, LAN, Limits, ROOMY, WAN};

const VIP: &str = "192.0.2.10:80";
const LIP: &str = "10.0.0.200";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn id(address: &str) -> ServiceId {
    let address = at(address);
    ServiceId {
        protocol: ServiceProtocol::Tcp,
        address: address.ip(),
        port: address.port(),
    }
}

fn server(address: &str) -> RealServer {
    RealServer::new(at(address).ip(), at(address).port())
}

fn local(address: &str) -> LocalAddress {
    LocalAddress {
        address: address.parse().unwrap(),
        interface: "lan".to_owned(),
    }
}

fn service(address: &str, servers: &[&str], locals: &[&str]) -> Service {
    Service {
        id: id(address),
        options: ServiceOptions::new(Scheduler::Rr),
        servers: servers.iter().copied().map(server).collect(),
        locals: locals.iter().copied().map(local).collect(),
    }
}

fn usual() -> Service {
    service(VIP, &["10.0.0.2:80", "10.0.0.3:80"], &[LIP])
}

fn refusal(result: Result<(), ControlError>) -> (ErrorCode, String) {
    let error = result.unwrap_err();
    (error.code, error.message)
}

impl Gateway {
    fn service_add(&mut self, new: Service) -> Result<(), ControlError> {
        self.tables.service_add(new, self.now)
    }

    fn service_delete(&mut self, address: &str) -> Result<(), ControlError> {
        self.tables.service_delete(id(address), self.now)
    }

    /// What workers get, which is to have changed.
    fn news(&mut self) -> lb::Config {
        self.tables.take_service_news().unwrap()
    }

    fn on_lan(&self) -> Vec<String> {
        let all = self.tables.addresses_in_use(LAN);
        all.map(|net| net.to_string()).collect()
    }

    fn given_on_lan(&self) -> Vec<String> {
        let given = self.tables.given_addresses(LAN);
        given.map(|net| net.to_string()).collect()
    }
}

#[test]
fn a_service_is_told_to_workers_as_it_is_shown() {
    let mut gateway = Gateway::with_addresses();
    assert!(gateway.tables.take_service_news().is_none());
    let mut new = usual();
    new.options.toa = true;
    new.options.timeout = Some(7);
    new.options.deny = vec!["198.51.100.9/24".parse().unwrap()];
    new.servers[1].weight = 5;
    new.servers[1].max_connections = 9;
    gateway.service_add(new.clone()).unwrap();

    let config = gateway.news();
    assert!(gateway.tables.take_service_news().is_none());
    let [made] = &config.services[..] else { panic!() };
    assert_eq!(
        (made.kind, made.address, made.port),
        (lb::Kind::Tcp, at(VIP).ip(), 80)
    );
    assert!(made.toa && made.fast_xmit);
    assert_eq!(made.timeout, Some(7));
    assert_eq!(made.deny, ["198.51.100.0/24".parse().unwrap()]);
    assert_eq!((made.servers[1].weight, made.servers[1].max_connections), (5, 9));
    assert_eq!(made.locals[0].address, LIP.parse::<IpAddr>().unwrap());

    new.options = new.options.normal();
    assert_eq!(gateway.tables.services(), [new]);
}

#[test]
fn a_thousand_services_are_one_piece_of_news_and_all_of_them_or_none() {
    let mut gateway = Gateway::with_addresses();
    let many: Vec<_> = (0..1000)
        .map(|port| Service {
            id: ServiceId {
                port: 1000 + port,
                ..usual().id
            },
            ..usual()
        })
        .collect();
    let ids: Vec<_> = many.iter().map(|service| service.id).collect();
    gateway.tables.services_add(many.clone(), gateway.now).unwrap();
    assert_eq!(gateway.news().services.len(), 1000);
    assert!(gateway.tables.take_service_news().is_none());
    // One of several is there already.
    let mut more = vec![usual()];
    more.extend_from_slice(&many[..1]);
    let refused = gateway.tables.services_add(more, gateway.now).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Exists);
    assert!(gateway.tables.take_service_news().is_none());
    assert_eq!(gateway.tables.services().len(), 1000);
    let refused = gateway
        .tables
        .services_delete(&[ids[0], usual().id], gateway.now)
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    assert_eq!(gateway.tables.services().len(), 1000);
    gateway
        .tables
        .services_delete(&[&ids[..], &ids[..1]].concat(), gateway.now)
        .unwrap();
    assert_eq!(gateway.news().services.len(), 0);
    assert!(gateway.on_lan().iter().all(|address| !address.starts_with(LIP)));
}

#[test]
fn numbers_and_counts_stay_with_what_stays_and_are_never_used_again() {
    let mut gateway = Gateway::with_addresses();
    gateway.service_add(usual()).unwrap();
    let first = gateway.news().services.remove(0);
    gateway
        .tables
        .server_delete(id(VIP), at("10.0.0.2:80"), gateway.now)
        .unwrap();
    gateway
        .tables
        .server_add(id(VIP), server("10.0.0.2:80"), gateway.now)
        .unwrap();
    let change = ServerChange {
        weight: Some(0),
        max_connections: None,
    };
    gateway
        .tables
        .server_set(id(VIP), at("10.0.0.3:80"), change, gateway.now)
        .unwrap();
    let second = gateway.news().services.remove(0);

    assert_eq!(second.number, first.number);
    assert!(Arc::ptr_eq(&first.counts, &second.counts));
    assert!(Arc::ptr_eq(&first.locals[0], &second.locals[0]));
    // The one that stayed is the first now, and has another weight.
    assert_eq!(
        (first.servers[1].number, 1),
        (second.servers[0].number, first.servers[1].weight)
    );
    assert_eq!(second.servers[0].weight, 0);
    assert!(Arc::ptr_eq(&first.servers[1].counts, &second.servers[0].counts));
    let old = [first.number, first.servers[0].number, first.servers[1].number];
    assert!(!old.contains(&second.servers[1].number));

    gateway.service_delete(VIP).unwrap();
    assert!(gateway.news().services.is_empty());
    gateway.service_add(usual()).unwrap();
    let third = gateway.news().services.remove(0);
    assert!(![first.number, second.servers[1].number].contains(&third.number));
}

#[test]
fn other_services_are_the_same_to_workers_when_one_changes() {
    let mut gateway = Gateway::with_addresses();
    gateway.service_add(usual()).unwrap();
    gateway
        .service_add(service("192.0.2.11:80", &["10.0.0.2:80"], &[LIP]))
        .unwrap();
    let before = gateway.news();
    let change = ServiceChange {
        scheduler: Some(Scheduler::Mh),
        ..ServiceChange::default()
    };
    gateway.tables.service_set(id(VIP), &change, gateway.now).unwrap();
    let after = gateway.news();
    assert_eq!(after.services[0].scheduler, lb::Scheduler::Mh);
    assert!(Arc::ptr_eq(&before.services[1], &after.services[1]));
    assert!(Arc::ptr_eq(
        &before.services[0].servers[0],
        &after.services[0].servers[0]
    ));
    assert!(
        Arc::ptr_eq(&after.services[0].locals[0], &after.services[1].locals[0]),
        "its ports are shared"
    );
}

#[test]
fn a_local_address_is_there_as_long_as_a_service_uses_it() {
    let mut gateway = Gateway::with_addresses();
    gateway.service_add(usual()).unwrap();
    gateway
        .service_add(service("192.0.2.11:80", &[], &[LIP]))
        .unwrap();
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24", "10.0.0.200/32"]);
    assert_eq!(
        gateway.given_on_lan(),
        ["10.0.0.1/24"],
        "it is no address that a configuration says"
    );
    gateway.service_delete(VIP).unwrap();
    assert_eq!(gateway.on_lan().len(), 2);
    gateway
        .tables
        .local_delete(id("192.0.2.11:80"), LIP.parse().unwrap(), gateway.now)
        .unwrap();
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24"]);
    gateway
        .tables
        .local_add(id("192.0.2.11:80"), local("10.0.0.1"), gateway.now)
        .unwrap();
    gateway.tables.service_flush(gateway.now);
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24"], "the operator's stays");
    assert!(gateway.news().services.is_empty());
}

#[test]
fn an_address_can_become_the_operators_and_back() {
    let mut gateway = Gateway::with_addresses();
    gateway.service_add(usual()).unwrap();
    for given in ["10.0.0.200/32", "10.0.0.200/24"] {
        let (code, sentence) = refusal(gateway.drop_address(LAN, "10.0.0.200/32"));
        assert_eq!(code, ErrorCode::Invalid);
        assert!(sentence.contains("take it from the services"), "{sentence}");
        gateway.address(LAN, given).unwrap();
        assert_eq!(gateway.given_on_lan(), ["10.0.0.1/24", given]);
        gateway.drop_address(LAN, given).unwrap();
        assert_eq!(gateway.given_on_lan(), ["10.0.0.1/24"]);
        assert_eq!(gateway.on_lan(), ["10.0.0.1/24", "10.0.0.200/32"]);
    }
    gateway.address(LAN, "10.0.0.200/32").unwrap();
    gateway.service_delete(VIP).unwrap();
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24", "10.0.0.200/32"]);
}

#[test]
fn an_address_that_cannot_be_the_operators_is_there_for_services_still() {
    let mut gateway = Gateway::with_addresses();
    gateway.service_add(service(VIP, &[], &["10.0.9.200"])).unwrap();
    gateway.address(WAN, "10.0.9.1/25").unwrap();
    assert_eq!(
        refusal(gateway.address(LAN, "10.0.9.200/24")).0,
        ErrorCode::Invalid
    );
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24", "10.0.9.200/32"]);
    assert_eq!(gateway.given_on_lan(), ["10.0.0.1/24"]);
    gateway.service_delete(VIP).unwrap();
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24"]);
}

#[test]
fn a_service_that_cannot_have_one_local_address_gets_none() {
    let mut gateway = Gateway::with_addresses();
    // In the subnet of the other interface.
    let (code, sentence) = refusal(gateway.service_add(service(VIP, &[], &[LIP, "192.0.2.3"])));
    assert_eq!(code, ErrorCode::Invalid);
    assert!(sentence.contains("overlaps 192.0.2.1/28 on wan"), "{sentence}");
    let (_, sentence) = refusal(gateway.service_add(service(VIP, &[], &[LIP, "192.0.2.1"])));
    assert!(sentence.contains("192.0.2.1 is an address of wan"), "{sentence}");
    let mut nowhere = usual();
    nowhere.locals[0].interface = "lna".to_owned();
    assert_eq!(
        refusal(gateway.service_add(nowhere)).0,
        ErrorCode::UnknownInterface
    );
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24"]);
    assert!(gateway.tables.services().is_empty());
    assert!(gateway.tables.take_service_news().is_none());
}

#[test]
fn there_is_no_more_room_for_local_addresses_than_for_others() {
    let mut gateway = Gateway::with(
        Limits {
            addresses: 2,
            ..ROOMY
        },
        64,
    );
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    let two = service(VIP, &[], &[LIP, "10.0.0.201"]);
    assert_eq!(refusal(gateway.service_add(two)).0, ErrorCode::LimitReached);
    assert_eq!(gateway.on_lan(), ["10.0.0.1/24"]);
    gateway.service_add(usual()).unwrap();
}

#[test]
fn a_local_address_is_no_service_and_a_service_no_local_address() {
    let mut gateway = Gateway::with_addresses();
    gateway.service_add(usual()).unwrap();
    let (code, sentence) = refusal(gateway.service_add(service("10.0.0.200:80", &[], &[])));
    assert_eq!(code, ErrorCode::Invalid);
    assert!(sentence.contains("is a local address of services"), "{sentence}");
    let (code, sentence) = refusal(gateway.service_add(service("10.0.0.77:80", &[], &["192.0.2.10"])));
    assert_eq!(code, ErrorCode::Invalid);
    assert!(
        sentence.contains("is the address of the service tcp 192.0.2.10:80"),
        "{sentence}"
    );
}

#[test]
fn what_exists_or_does_not_is_said() {
    let mut gateway = Gateway::with_addresses();
    let now = gateway.now;
    gateway.service_add(usual()).unwrap();
    assert_eq!(refusal(gateway.service_add(usual())).0, ErrorCode::Exists);
    let tables = &mut gateway.tables;
    let exists = [
        tables.server_add(id(VIP), server("10.0.0.2:80"), now),
        tables.local_add(id(VIP), local(LIP), now),
    ];
    for result in exists {
        assert_eq!(refusal(result).0, ErrorCode::Exists);
    }
    let other = id("192.0.2.10:81");
    let set = ServerChange::default();
    let missing = [
        tables.service_delete(other, now),
        tables.service_set(other, &ServiceChange::default(), now),
        tables.service_zero(Some(other)),
        tables.server_add(other, server("10.0.0.2:80"), now),
        tables.local_add(other, local(LIP), now),
        tables.server_set(id(VIP), at("10.0.0.4:80"), set, now),
        tables.server_delete(id(VIP), at("10.0.0.4:80"), now),
        tables.local_delete(id(VIP), "10.0.0.4".parse().unwrap(), now),
    ];
    for result in missing {
        let (code, sentence) = refusal(result);
        assert_eq!(code, ErrorCode::NotFound);
        assert!(
            sentence.contains("192.0.2.10:80") || sentence.contains("10.0.0.200"),
            "{sentence}"
        );
    }
    assert_eq!(tables.services(), [usual()]);
    let six = RealServer::new("2001:db8::9".parse().unwrap(), 80);
    assert_eq!(
        refusal(tables.server_add(id(VIP), six, now)).0,
        ErrorCode::Invalid
    );
}

#[test]
fn an_interface_stays_while_services_have_local_addresses_on_it() {
    let mut gateway = Gateway::with_addresses();
    let sub = crate::tables::NewSubInterface {
        name: None,
        link: "lan".to_owned(),
        protocol: control::message::VlanProtocol::Dot1q,
        id: 5,
        mtu: None,
    };
    gateway.tables.add_sub_interface(&sub).unwrap();
    let mut new = service(VIP, &[], &["10.0.9.1"]);
    new.locals[0].interface = "lan.5".to_owned();
    gateway.service_add(new).unwrap();
    let error = gateway
        .tables
        .delete_sub_interface("lan.5", gateway.now)
        .unwrap_err();
    assert!(error.message.contains("which are 10.0.9.1"), "{}", error.message);
    gateway.service_delete(VIP).unwrap();
    gateway.tables.delete_sub_interface("lan.5", gateway.now).unwrap();
}

#[test]
fn counters_begin_at_zero_again_and_keep_what_deleted_servers_had() {
    let mut gateway = Gateway::with_addresses();
    gateway.tables.set_workers(2);
    gateway.service_add(usual()).unwrap();
    let made = gateway.news().services.remove(0);
    for worker in 0..2 {
        for counts in [&made.counts, &made.servers[0].counts] {
            counts.add(worker, Count::Connections, 3);
            counts.add(worker, Count::InBytes, 100);
        }
        made.servers[0].counts.add(worker, Count::Active, 2);
        Counts::refused(&made.counts, worker, Refused::BadInner);
        Counts::refused(&made.counts, worker, Refused::BadChecksum);
        made.locals[0].counts.add(worker, Count::PortsUsed, 2);
    }
    // What one worker began another may end.
    made.servers[0].counts.subtract(1, Count::Active, 3);
    let info = gateway.tables.service_page(None).services.remove(0);
    assert_eq!((info.counts.connections, info.counts.in_bytes), (6, 200));
    assert_eq!(
        (info.servers[0].active, info.servers[0].counts.connections),
        (1, 6)
    );
    assert_eq!(info.drops, [("service_checksum".to_owned(), 4)]);
    assert_eq!(info.locals[0].ports_used, 4);
    // Each server has as many ports, unless another has the same.
    let ports = info.locals[0].ports_free + 4;
    assert!([64_511, 2 * 64_511].contains(&ports), "{ports}");

    gateway
        .tables
        .server_delete(id(VIP), at("10.0.0.2:80"), gateway.now)
        .unwrap();
    let info = gateway.tables.service_page(None).services.remove(0);
    assert_eq!((info.servers.len(), info.counts.connections), (1, 6));

    gateway.tables.service_zero(Some(id(VIP))).unwrap();
    made.counts.add(0, Count::Connections, 1);
    let info = gateway.tables.service_page(None).services.remove(0);
    assert_eq!((info.counts.connections, info.counts.in_bytes), (1, 0));
    assert!(info.drops.is_empty());
    assert_eq!(info.locals[0].ports_used, 4, "what is in use is in use");
}
