//! Ports over DPDK's virtual devices: probed, configured, polled, closed, and probed again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod runtime_directory;

use dpdk::{
    Eal, LinkStatus, Mbuf, MbufBatch, NumaNode, Pool, Port, PortConfig, PortError, RxOffloads, StartedPort,
    TxQueue,
};

fn started(eal: &Eal, pool: &Pool, devargs: &str) -> StartedPort {
    Port::probe(eal, devargs)
        .unwrap()
        .configure(&PortConfig::default(), pool)
        .unwrap()
}

fn packet(pool: &Pool, bytes: &[u8]) -> Mbuf {
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(bytes).unwrap();
    mbuf
}

/// A frame of 64 bytes with a number at its end.
fn frame(pool: &Pool, number: u32) -> Mbuf {
    let mut bytes = [0; 64];
    bytes[60..].copy_from_slice(&number.to_be_bytes());
    packet(pool, &bytes)
}

fn number_of(mbuf: &Mbuf) -> u32 {
    u32::from_be_bytes(mbuf.data()[60..64].try_into().unwrap())
}

fn send_all(queue: &mut TxQueue, packets: impl Iterator<Item = Mbuf>) {
    let mut batch = MbufBatch::<32>::new();
    for mbuf in packets {
        if let Err(mbuf) = batch.push(mbuf) {
            assert_eq!(queue.send(&mut batch), 32);
            batch.push(mbuf).unwrap();
        }
    }
    let rest = batch.len();
    assert_eq!(queue.send(&mut batch), rest);
}

#[test]
fn ports_carry_packets_and_clean_up_after_themselves() {
    let _directory = runtime_directory::temporary();
    let args = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
        "--vdev",
        "net_null7",
    ];
    let eal = Eal::init(&args).unwrap();
    let pool = Pool::new(&eal, "ports", 4095, 0, Pool::DATA_ROOM, NumaNode::ANY).unwrap();

    null_ports_receive_and_send(&eal, &pool);
    a_full_port_leaves_the_rest_in_order(&eal, &pool);
    a_capture_is_written_and_read_back(&eal, &pool);
    frames_of_several_segments_are_whole(&eal, &pool);
    a_device_has_one_owner_and_can_be_probed_again(&eal, &pool);
    a_device_that_eal_probed_is_taken_over(&eal);
    queues_keep_their_port_alive(&eal, &pool);
    each_queue_is_there_once(&eal, &pool);
    what_a_device_cannot_do_is_refused(&eal, &pool);
    devices_that_do_not_exist_are_refused(&eal);

    assert_eq!(pool.in_use(), 0);
    drop(pool);
    eal.shutdown().unwrap();
}

fn null_ports_receive_and_send(eal: &Eal, pool: &Pool) {
    let mut input = started(eal, pool, "net_null0,size=100");
    let mut output = started(eal, pool, "net_null1");
    let info = input.port.info().unwrap();
    assert_eq!((info.driver.as_str(), info.if_index), ("net_null", None));
    assert!(info.max_rx_queues >= 1 && info.max_mac_addresses >= 1);
    assert_eq!(
        (input.port.name(), input.port.mtu().unwrap()),
        ("net_null0", 1500)
    );
    assert_ne!(input.port.id(), output.port.id());
    let LinkStatus {
        up,
        speed_mbps,
        full_duplex,
    } = input.port.link().unwrap();
    assert!(up && full_duplex && speed_mbps == Some(10_000));
    input.port.mac().unwrap();

    let mut batch = MbufBatch::<32>::new();
    batch.push(frame(pool, 1)).unwrap();
    assert_eq!(input.rx_queues[0].receive(&mut batch), 31);
    assert_eq!(input.rx_queues[0].receive(&mut batch), 0);
    assert!(
        batch
            .iter()
            .skip(1)
            .all(|mbuf| mbuf.data() == [0; 100] && mbuf.port() == Some(input.port.id()))
    );
    assert_eq!(output.tx_queues[0].send(&mut batch), 32);
    assert!(batch.is_empty());
    assert_eq!(output.tx_queues[0].send(&mut batch), 0);
    assert_eq!(pool.in_use(), 0);
    assert_eq!(input.port.stats().unwrap().rx_packets, 31);
    assert_eq!(output.port.stats().unwrap().tx_packets, 32);
}

/// net_ring gives back what was sent on it, and holds 1023 packets.
fn a_full_port_leaves_the_rest_in_order(eal: &Eal, pool: &Pool) {
    let mut ring = started(eal, pool, "net_ring0");
    send_all(
        &mut ring.tx_queues[0],
        (0..1000).map(|number| frame(pool, number)),
    );
    let mut batch = MbufBatch::<32>::new();
    for number in 1000..1032 {
        batch.push(frame(pool, number)).unwrap();
    }
    assert_eq!(ring.tx_queues[0].send(&mut batch), 23);
    assert_eq!(
        batch.iter().map(number_of).collect::<Vec<_>>(),
        (1023..1032).collect::<Vec<_>>()
    );
    assert_eq!(ring.tx_queues[0].send(&mut batch), 0);
    assert_eq!(batch.len(), 9);
    assert_eq!(pool.in_use(), 1032);

    let mut received = Vec::new();
    let mut burst = MbufBatch::<32>::new();
    while ring.rx_queues[0].receive(&mut burst) > 0 {
        received.extend(burst.drain().map(|mbuf| number_of(&mbuf)));
    }
    assert_eq!(received, (0..1023).collect::<Vec<_>>());
    drop(batch);
    assert_eq!(pool.in_use(), 0);
}

fn a_capture_is_written_and_read_back(eal: &Eal, pool: &Pool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    let lengths = [60, 61, 1000, 1514];
    {
        let devargs = format!("net_pcap0,tx_pcap={}", file.display());
        let mut output = started(eal, pool, &devargs);
        send_all(
            &mut output.tx_queues[0],
            lengths.into_iter().map(|len| packet(pool, &vec![len as u8; len])),
        );
    }
    let mut input = started(eal, pool, &format!("net_pcap1,rx_pcap={}", file.display()));
    let mut batch = MbufBatch::<32>::new();
    assert_eq!(input.rx_queues[0].receive(&mut batch), lengths.len());
    for (mbuf, len) in batch.iter().zip(lengths) {
        assert_eq!(mbuf.data(), vec![len as u8; len]);
    }
}

fn frames_of_several_segments_are_whole(eal: &Eal, pool: &Pool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jumbo.pcap");
    let bytes: Vec<u8> = (0..3000_u32).map(|number| number as u8).collect();
    let large = Pool::new(eal, "jumbo", 63, 0, 4096 + Pool::HEADROOM, NumaNode::ANY).unwrap();
    {
        let mut output = started(eal, &large, &format!("net_pcap2,tx_pcap={}", file.display()));
        send_all(&mut output.tx_queues[0], std::iter::once(packet(&large, &bytes)));
    }
    for cut in [3000, 2999, 2049, 2048, 2047, 1, 0] {
        let mut input = started(eal, pool, &format!("net_pcap2,rx_pcap={}", file.display()));
        let mut batch = MbufBatch::<1>::new();
        assert_eq!(input.rx_queues[0].receive(&mut batch), 1);
        let mut mbuf = batch.pop().unwrap();
        assert_eq!(
            (mbuf.len(), mbuf.segment_count(), mbuf.data().len()),
            (3000, 2, 2048)
        );
        assert_eq!(pool.in_use(), 2);
        mbuf.truncate(cut);
        assert_eq!(mbuf.segments().collect::<Vec<_>>().concat(), &bytes[..cut]);
        let segments = if cut > 2048 { 2 } else { 1 };
        assert_eq!(
            (mbuf.len(), mbuf.segment_count(), pool.in_use()),
            (cut, segments, u32::from(segments))
        );
        // The one segment of 2048 bytes is full; every other cut leaves room behind its last segment.
        assert_eq!(mbuf.append(b"tail").is_ok(), !(2045..=2048).contains(&cut));
        drop(mbuf);
        assert_eq!(pool.in_use(), 0);
    }
}

fn a_device_has_one_owner_and_can_be_probed_again(eal: &Eal, pool: &Pool) {
    let first = Port::probe(eal, "net_null2").unwrap();
    let error = Port::probe(eal, "net_null2").unwrap_err();
    assert!(matches!(error, PortError::InUse { .. }), "{error}");
    drop(first);
    let again = started(eal, pool, "net_null2");
    let error = Port::probe(eal, "net_null2").unwrap_err();
    assert!(matches!(error, PortError::InUse { .. }), "{error}");
    drop(again);
    Port::probe(eal, "net_null2").unwrap();
}

fn a_device_that_eal_probed_is_taken_over(eal: &Eal) {
    let port = Port::probe(eal, "net_null7").unwrap();
    assert_eq!(port.name(), "net_null7");
}

fn queues_keep_their_port_alive(eal: &Eal, pool: &Pool) {
    let StartedPort {
        port,
        mut rx_queues,
        tx_queues,
    } = started(eal, pool, "net_null3");
    drop((port, tx_queues));
    let mut queue = rx_queues.remove(0);
    let polled = std::thread::spawn(move || {
        let mut batch = MbufBatch::<4>::new();
        queue.receive(&mut batch)
    });
    assert_eq!(polled.join().unwrap(), 4);
    assert_eq!(Port::probe(eal, "net_null3").unwrap().name(), "net_null3");
}

fn each_queue_is_there_once(eal: &Eal, pool: &Pool) {
    let port = Port::probe(eal, "net_null4").unwrap();
    let config = PortConfig {
        rx_queues: 2,
        tx_queues: 3,
        rx_descriptors: 1,
        ..PortConfig::default()
    };
    let started = port.configure(&config, pool).unwrap();
    assert_eq!(
        started
            .rx_queues
            .iter()
            .map(|queue| queue.index())
            .collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(
        started
            .tx_queues
            .iter()
            .map(|queue| queue.index())
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(
        started
            .rx_queues
            .iter()
            .all(|queue| queue.port() == started.port.id())
    );
    started.port.set_promiscuous(true).unwrap();
    started.port.set_promiscuous(false).unwrap();
    started.port.set_all_multicast(true).unwrap();
    started.port.set_all_multicast(false).unwrap();
}

fn what_a_device_cannot_do_is_refused(eal: &Eal, pool: &Pool) {
    let refused = |config: PortConfig| {
        Port::probe(eal, "net_null5")
            .unwrap()
            .configure(&config, pool)
            .unwrap_err()
            .to_string()
    };
    let queues = refused(PortConfig {
        rx_queues: 5000,
        ..PortConfig::default()
    });
    assert!(
        queues.starts_with("net_null5 has at most") && queues.contains("receive queues, 5000"),
        "{queues}"
    );
    let none = refused(PortConfig {
        rx_queues: 0,
        tx_queues: 0,
        ..PortConfig::default()
    });
    assert!(none.contains("needs at least one queue"), "{none}");
    let mtu = refused(PortConfig {
        mtu: 10,
        ..PortConfig::default()
    });
    assert!(mtu.contains("takes an MTU from 46 to"), "{mtu}");
    let offload = refused(PortConfig {
        rx_offloads: RxOffloads::VLAN_STRIP,
        ..PortConfig::default()
    });
    assert!(
        offload.contains("does not have the offload VLAN_STRIP"),
        "{offload}"
    );
}

fn devices_that_do_not_exist_are_refused(eal: &Eal) {
    for (devargs, reason) in [
        (
            "net_no_such_driver0",
            "EAL: failed to parse device \"net_no_such_driver0\"",
        ),
        ("nonsense", "EAL: failed to parse device \"nonsense\""),
        ("", "EAL: Cannot find device ()"),
        ("0000:ff:1f.7", "EAL: Cannot find device (0000:ff:1f.7)"),
        (
            "net_null9,no-such-argument=1",
            "its driver refuses it without a reason, check its arguments",
        ),
    ] {
        let error = Port::probe(eal, devargs).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the device \"{devargs}\" cannot be opened: {reason}")
        );
        let PortError::Probe { log, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(
            log.last(),
            Some("EAL: Failed to attach device on primary process")
        );
    }
    assert!(matches!(
        Port::probe(eal, "net_null\0"),
        Err(PortError::ZeroByte { .. })
    ));
}
