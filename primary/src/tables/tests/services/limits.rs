//! As much as there may be.

use super::*;

#[test]
fn full_services_come_in_pages_that_fit_into_frames() {
    let mut gateway = Gateway::with(
        Limits {
            addresses: SERVERS_PER_SERVICE,
            ..ROOMY
        },
        64,
    );
    let host = |last: usize| {
        std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, last as u16)
    };
    let services = 5;
    for number in 0..services {
        let mut full = Service {
            id: ServiceId {
                protocol: ServiceProtocol::Tcp,
                address: host(0xf000).into(),
                port: 60_000 + number,
            },
            options: ServiceOptions::new(Scheduler::Conhash),
            servers: (0..SERVERS_PER_SERVICE)
                .map(|last| RealServer::new(host(0x8000 + last).into(), 60_000))
                .collect(),
            locals: (0..SERVERS_PER_SERVICE)
                .map(|last| LocalAddress {
                    address: host(0xe000 + last).into(),
                    interface: "lan".to_owned(),
                })
                .collect(),
        };
        let prefixes = |from: u16| {
            (0..64)
                .map(|last| ipnet::IpNet::from(IpAddr::from(host(usize::from(from + last)))))
                .collect()
        };
        full.options.allow = prefixes(0x9000);
        full.options.deny = prefixes(0xa000);
        gateway.service_add(full).unwrap();
    }
    for made in gateway.news().services {
        let servers = made.servers.iter().map(|server| &server.counts);
        let locals = made.locals.iter().map(|local| &local.counts);
        for counts in servers.chain(locals).chain([&made.counts]) {
            for what in Count::ALL {
                counts.add(0, what, u64::from(u32::MAX) << 30);
            }
            Refused::ALL
                .iter()
                .for_each(|reason| Counts::refused(counts, 0, *reason));
        }
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = gateway.tables.service_page(after);
        pages += 1;
        let ids: Vec<_> = page.services.iter().map(|info| info.id).collect();
        assert!(!ids.is_empty());
        after = ids.last().copied();
        seen.extend(ids);
        let more = page.more;
        let frame = postcard::to_stdvec(&Envelope {
            id: u32::MAX,
            body: Ok::<_, ControlError>(Reply::Services(page)),
        })
        .unwrap();
        assert!(frame.len() <= MAX_FRAME, "{}", frame.len());
        if !more {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(seen.len(), usize::from(services));
    assert!(seen.is_sorted());
}

#[test]
fn there_are_so_many_services_and_no_more() {
    let mut gateway = Gateway::with_addresses();
    for number in 0..SERVICES as u16 {
        gateway
            .service_add(service(&format!("192.0.2.10:{}", 1 + number), &[], &[]))
            .unwrap();
    }
    let one_more = service("192.0.2.10:60000", &[], &[]);
    assert_eq!(refusal(gateway.service_add(one_more)).0, ErrorCode::LimitReached);
    let mut full = service("192.0.2.10:1", &[], &[]);
    full.servers = (0..SERVERS_PER_SERVICE as u16)
        .map(|port| server(&format!("10.0.0.2:{}", 1 + port)))
        .collect();
    gateway.tables.service_put(full, gateway.now).unwrap();
    let more = gateway
        .tables
        .server_add(id("192.0.2.10:1"), server("10.0.0.3:80"), gateway.now);
    assert_eq!(refusal(more).0, ErrorCode::LimitReached);
}
