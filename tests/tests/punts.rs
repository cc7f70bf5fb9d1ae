//! Tools that decide about packets: what they are asked about, what becomes of their answers, and of packets whose tool goes.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    fs,
    os::unix::fs::FileExt,
    thread,
    time::{Duration, Instant},
};

use control::{
    capture::Way,
    client::Client,
    instance::{InstanceDir, RunDir},
    message::{CapturePoint, CaptureRequest, ErrorCode, PuntClass, PuntRequest, Request},
    punt::{Answer, Punts, Stage},
};
use tests::{Captured, Primary, PrimaryBuilder, Privilege, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

fn primary(hosts: &TwoHosts, fail: &str) -> PrimaryBuilder {
    hosts.primary("gw").toml(&format!(
        "[[punt]]\nclass = \"ike\"\nfail = \"{fail}\"\nrate = 1000\nburst = 200\ndeadline_ms = 60000\n"
    ))
}

fn directory(primary: &Primary) -> InstanceDir {
    RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap())
}

fn ike(observe: bool) -> PuntRequest {
    PuntRequest {
        classes: vec![PuntClass::Ike],
        observe,
        rules: None,
    }
}

/// Attaches, once the primary knows that whoever decided before has ended: a child that another thread starts at this moment has the
/// descriptors of this process until it becomes a program of its own.
fn attach(primary: &Primary, observe: bool) -> Punts {
    wait_until("that nobody else decides", LIMIT, || {
        match Punts::start(&directory(primary), "test", ike(observe)) {
            Err(refused) if refused.code == ErrorCode::Exists => Ok(None),
            attached => Ok(Some(attached.unwrap())),
        }
    })
    .unwrap()
}

/// Sends datagrams to the gateway's port 500 and gives what came back to the last. Each has a socket of its own: when nobody takes
/// one, the gateway says that the port is unreachable, and a socket that is told so fails to send its next.
fn ask(hosts: &TwoHosts, datagrams: u32) -> Captured {
    let port = format!("/dev/udp/{}/500", TwoHosts::GATEWAY_A);
    let script = format!(
        "for i in $(seq 2 {datagrams}); do printf question > {port}; done; exec 3<>{port}; printf question >&3; \
         timeout 1 head -c 8 <&3; true"
    );
    hosts
        .host_a
        .run_within(LIMIT, "asks the gateway", &["bash", "-c", &script])
        .unwrap()
}

/// Sends datagrams to the gateway's port 500 as fast as one socket does. For tests in which each has an end that nobody is told of.
fn flood(hosts: &TwoHosts, datagrams: u32) -> Captured {
    let script = format!(
        "exec 3<>/dev/udp/{}/500; for i in $(seq {datagrams}); do printf question >&3; done; timeout 1 head -c 8 <&3; true",
        TwoHosts::GATEWAY_A
    );
    hosts
        .host_a
        .run_within(LIMIT, "floods the gateway", &["bash", "-c", &script])
        .unwrap()
}

/// The frame of an answer: addresses and ports the other way round, which no checksum minds.
fn turned(question: &[u8]) -> Vec<u8> {
    let mut frame = question.to_vec();
    for (one, other, length) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        frame[one..one + length].copy_from_slice(&question[other..other + length]);
        frame[other..other + length].copy_from_slice(&question[one..one + length]);
    }
    frame
}

/// Takes packets for `time` and does `decide` with each.
fn serve(
    punts: &mut Punts,
    time: Duration,
    mut decide: impl FnMut(&mut Punts, control::punt::Punted, u16, Vec<u8>),
) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        let mut taken = Vec::new();
        punts
            .receive(Duration::from_millis(20), &mut |punted, packet| {
                taken.push((punted, packet.interface, packet.data.to_vec()));
            })
            .unwrap();
        for (punted, interface, data) in taken {
            decide(punts, punted, interface, data);
        }
        punts.flush();
    }
}

fn dropped(primary: &Primary, reason: &str) -> u64 {
    primary.counters_at_rest().unwrap().dropped(reason)
}

fn assert_balanced(primary: &Primary) {
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.sum(|interface| interface.waiting), 0, "{counters:?}");
}

#[test]
fn a_tool_answers_in_place_and_with_packets_of_its_own() {
    let hosts = hosts();
    let primary = primary(&hosts, "open").start().unwrap();
    assert_eq!(ask(&hosts, 1).stdout, "", "nobody answers yet");
    assert_eq!(dropped(&primary, "local_unhandled"), 1);
    for own in [None, Some(Answer::Drop), Some(Answer::Take)] {
        let mut punts = attach(&primary, false);
        let asked = thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&hosts, 1));
            serve(
                &mut punts,
                Duration::from_millis(1500),
                |punts, punted, interface, data| {
                    let mut frame = turned(&data);
                    frame[42..50].copy_from_slice(b"answered");
                    // No checksum: UDP over IPv4 may go without.
                    frame[40..42].fill(0);
                    if let Some(own) = own {
                        assert!(punts.answer(punted, own));
                        let stage = match own {
                            Answer::Take => Stage::Own,
                            _ => Stage::Output,
                        };
                        assert!(punts.send(stage, interface, &frame));
                    } else {
                        let answer = Answer::Replace {
                            stage: Stage::Output,
                            interface,
                            frame: &frame,
                        };
                        assert!(punts.answer(punted, answer));
                    }
                },
            );
            asked.join().unwrap()
        });
        assert_eq!(asked.stdout, "answered", "own: {own:?}");
        assert_balanced(&primary);
    }
    assert_eq!(dropped(&primary, "punt_dropped"), 1);
}

#[test]
fn a_packet_that_is_handed_back_goes_through_the_stages_and_no_tool_is_asked_again() {
    let hosts = hosts();
    let primary = primary(&hosts, "open").start().unwrap();
    let mut punts = attach(&primary, false);
    let mut asked = 0;
    thread::scope(|scope| {
        let load = scope.spawn(|| ask(&hosts, 5));
        serve(
            &mut punts,
            Duration::from_millis(1500),
            |punts, punted, interface, data| {
                asked += 1;
                // Sent on to host-b, as if it had been for it: the gateway routes it, by ARP if need be.
                let mut frame = data.clone();
                frame[30..34].copy_from_slice(&[192, 168, 2, 2]);
                frame[24..26].fill(0);
                let sum = frame[14..34]
                    .chunks(2)
                    .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                    .sum::<u32>();
                let sum = (sum & 0xffff) + (sum >> 16);
                let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
                frame[24..26].copy_from_slice(&checksum.to_be_bytes());
                match asked {
                    1 => drop(punts.answer(punted, Answer::Forward)),
                    _ => {
                        let answer = Answer::Replace {
                            stage: Stage::Input,
                            interface,
                            frame: &frame,
                        };
                        assert!(punts.answer(punted, answer));
                    }
                }
            },
        );
        load.join().unwrap();
    });
    assert_eq!(asked, 5);
    // The first went where it would have gone without a tool, the others to host-b.
    assert_eq!(dropped(&primary, "local_unhandled"), 1);
    let links = primary.ctl_json(&["link", "show"]).unwrap();
    let to_b = links
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["name"] == "b0")
        .unwrap();
    assert!(to_b["tx_packets"].as_u64().unwrap() >= 4, "{links}");
    assert_balanced(&primary);
}

#[test]
fn a_frame_that_no_interface_can_send_is_dropped_for_what_is_wrong_with_it() {
    let hosts = hosts();
    let primary = primary(&hosts, "open").start().unwrap();
    let mut punts = attach(&primary, false);
    for (stage, interface, length) in [
        (Stage::Output, 0, 0),
        (Stage::Output, 0, 13),
        (Stage::Output, 1, 1515),
        (Stage::Output, 2, 60),
        (Stage::Input, 65_535, 60),
        (Stage::Input, 0, 0),
    ] {
        assert!(punts.send(stage, interface, &vec![0; length]));
    }
    punts.flush();
    wait_until("that all are dropped", LIMIT, || {
        let drops: u64 = primary.counters()?.drops().values().sum();
        Ok((drops == 6).then_some(()))
    })
    .unwrap();
    for (reason, packets) in [
        ("ethernet_truncated", 3),
        ("punt_oversize", 1),
        ("punt_interface", 2),
    ] {
        assert_eq!(dropped(&primary, reason), packets, "{reason}");
    }
    assert_balanced(&primary);
}

#[test]
fn a_tool_that_dies_leaves_its_packets_to_the_fail_mode_of_their_class() {
    for (fail, reason) in [("open", "local_unhandled"), ("closed", "punt_closed")] {
        let hosts = hosts();
        let primary = primary(&hosts, fail).start().unwrap();
        let mut punts = attach(&primary, false);
        ask(&hosts, 20);
        let mut taken = 0;
        while taken < 20 {
            // Never answered.
            taken += punts
                .receive(Duration::from_secs(5), &mut |punted, _| drop(punted))
                .unwrap();
        }
        let waiting = primary.counters().unwrap().sum(|interface| interface.waiting);
        assert_eq!(waiting, 20);
        drop(punts);
        wait_until("that the packets go on", LIMIT, || {
            Ok((primary.counters()?.sum(|interface| interface.waiting) == 0).then_some(()))
        })
        .unwrap();
        assert_eq!(dropped(&primary, reason), 20);
        ask(&hosts, 3);
        assert_eq!(dropped(&primary, reason), 23, "without a tool: {fail}");
        assert_balanced(&primary);
    }
}

#[test]
fn one_tool_decides_others_watch_and_a_flood_is_policed() {
    let hosts = hosts();
    let primary = primary(&hosts, "open").start().unwrap();
    let mut deciding = attach(&primary, false);
    let refused = Punts::start(&directory(&primary), "second", ike(false))
        .map(drop)
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::Exists, "{refused}");
    let mut watching = attach(&primary, true);
    let shown = primary.ctl_json(&["punt", "show"]).unwrap();
    let class = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|class| class["class"] == "ike")
        .unwrap();
    assert_eq!(
        (&class["observers"], &class["tool"]),
        (&1.into(), &"test".into()),
        "{shown}"
    );

    let load = thread::scope(|scope| {
        let load = scope.spawn(|| flood(&hosts, 3000));
        serve(&mut deciding, Duration::from_secs(2), |punts, punted, _, _| {
            punts.answer(punted, Answer::Drop);
        });
        load.join().unwrap()
    });
    assert_eq!(load.stdout, "");
    let mut watched = 0;
    watching
        .receive(Duration::ZERO, &mut |punted, _| {
            drop(punted);
            watched += 1;
        })
        .unwrap();
    let (decided, policed) = (
        dropped(&primary, "punt_dropped"),
        dropped(&primary, "punt_policed"),
    );
    assert_eq!(decided + policed, 3000);
    assert!(
        policed > 0 && decided >= 200,
        "{decided} decided, {policed} policed"
    );
    assert_eq!(watched, decided);
    assert_balanced(&primary);
}

#[test]
fn a_tool_that_decides_nonsense_is_cut_off_and_the_primary_forwards_on() {
    let hosts = hosts();
    let primary = primary(&hosts, "open").start().unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut cut_off = 0;
    for _ in 0..10 {
        let mut client = Client::connect(&directory(&primary), "hostile").unwrap();
        let mut descriptors = Vec::new();
        client
            .call_with(Request::PuntStart(ike(false)), &mut descriptors)
            .unwrap();
        let rings = fs::File::from(descriptors.pop().unwrap());
        let length = rings.metadata().unwrap().len().min(65_536);
        let asked = thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&hosts, 50));
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(500) {
                for _ in 0..5000 {
                    let value = match random() % 3 {
                        0 => random() as u32,
                        1 => random() as u32 % 64,
                        _ => u32::MAX - random() as u32 % 64,
                    };
                    let place = random() % (length / 4) * 4;
                    rings.write_at(&value.to_ne_bytes(), place).unwrap();
                }
                if client.call(Request::PuntShow).is_err() {
                    cut_off += 1;
                    break;
                }
            }
            asked.join().unwrap()
        });
        assert_eq!(asked.stdout, "");
        drop(client);
        wait_until("that the next tool may come", LIMIT, || {
            let attachments = primary.ctl_json(&["memory", "show"])?;
            let used = |part: &serde_json::Value| part["part"] == "attachments" && part["used"] == 0;
            Ok(attachments.as_array().unwrap().iter().any(used).then_some(()))
        })
        .unwrap();
    }
    assert!(cut_off >= 5, "{cut_off} of 10 were cut off");
    let workers = primary.ctl_json(&["worker", "show"]).unwrap();
    assert!(
        workers[0]["bad_verdicts"].as_u64().unwrap() >= cut_off,
        "{workers}"
    );
    let words = ["-c", "20", "-i", "0.01", "-W", "2"];
    let pings = hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap();
    pings.assert_all_answered();
    assert_balanced(&primary);
}

#[test]
fn a_capture_of_a_class_sees_what_its_tool_gets_and_gives_back_and_nothing_of_others() {
    let hosts = hosts();
    let primary = primary(&hosts, "open").start().unwrap();
    let mut punts = attach(&primary, false);
    let of_class = |class| {
        let watch = primary.watch(CaptureRequest {
            points: vec![CapturePoint::Punt, CapturePoint::Reinject],
            punt_classes: vec![class],
            ..CaptureRequest::default()
        });
        watch.unwrap()
    };
    let (ours, others) = (of_class(PuntClass::Ike), of_class(PuntClass::RouterAlert));
    thread::scope(|scope| {
        scope.spawn(|| flood(&hosts, 10));
        serve(&mut punts, Duration::from_secs(3), |punts, punted, _, _| {
            punts.answer(punted, Answer::Forward);
        });
    });
    primary.counters_at_rest().unwrap();
    let (packets, counts) = ours.finish().unwrap();
    assert_eq!((counts.seen, counts.lost), (20, 0), "{counts:?}");
    let numbers = |way| -> Vec<_> {
        let seen = packets.iter().filter(|packet| packet.way == way);
        seen.map(|packet| packet.id).collect()
    };
    let given = numbers(Way::Punt);
    assert_eq!(given.len(), 10);
    assert!(given.iter().all(|number| *number != 0));
    assert_eq!(numbers(Way::Reinject), given, "they come back in their order");
    let (packets, counts) = others.finish().unwrap();
    assert_eq!((packets.len(), counts.seen), (0, 0));
}
