//! Tools that decide about packets.

use super::*;

fn attach_deciding(slots_for: usize) -> (Attachment, Vec<Lane>, PuntEnd) {
    let reservation = Reservation::new(slots_for, false).unwrap();
    let (attachment, lanes) = Attachment::deciding(reservation, 1, 96).unwrap().unwrap();
    attachment.set_clock(&CLOCK);
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    let tool = PuntEnd::open(packets, rings).unwrap();
    (attachment, lanes, tool)
}

#[test]
fn a_tool_that_decides_is_woken_by_its_own_threads_and_sleeps_no_more_than_once_less() {
    let (_attachment, _lanes, tool) = attach_deciding(64 * 1024);
    let waker = tool.waker();
    let began = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        waker.wake();
    });
    while !tool.was_woken() {
        assert!(began.elapsed() < Duration::from_secs(10), "it slept on");
        tool.wait(Duration::from_secs(20));
    }
    thread.join().unwrap();
    // Used while the tool is awake it is not forgotten, and counts once.
    tool.waker().wake();
    tool.wait(Duration::from_secs(20));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(tool.was_woken());
    assert!(!tool.was_woken());
    let began = Instant::now();
    tool.wait(Duration::from_millis(20));
    assert!(began.elapsed() >= Duration::from_millis(20));
}

fn decisions(lane: &mut Lane) -> Vec<(Verdict, Vec<u8>)> {
    let mut bytes = [0; 2048];
    let mut all = Vec::new();
    while let Some((verdict, length)) = lane.decision(&mut bytes).unwrap() {
        all.push((verdict, bytes[..length].to_vec()));
    }
    all
}

#[test]
fn a_tool_drops_takes_refuses_forwards_replaces_and_sends_and_the_worker_learns_which() {
    let (_attachment, mut lanes, mut tool) = attach_deciding(64 * 1024);
    let slots: Vec<_> = (0..5u8)
        .map(|number| {
            lanes[0]
                .put(&origin(0), [[number; 40].as_slice()].into_iter())
                .unwrap()
        })
        .collect();
    lanes[0].publish();
    let mut taken = Vec::new();
    tool.receive(&mut |punted, packet| taken.push((punted, packet.data[0])))
        .unwrap();
    for (punted, number) in taken {
        let frame = [number; 50];
        let answer = match number {
            0 => Answer::Drop,
            1 => Answer::Forward,
            2 => Answer::Refuse,
            3 => Answer::Take,
            _ => Answer::Replace {
                stage: Stage::Output,
                interface: 7,
                frame: &frame,
            },
        };
        assert!(tool.answer(punted, answer));
    }
    assert!(tool.send(Stage::Input, 2, b"its own"));
    assert!(tool.send(Stage::Own, 3, b"from here"));
    assert_eq!(decisions(&mut lanes[0]), [], "nothing is seen before it is shown");
    tool.flush();
    let rewrite = Verdict::Rewrite {
        slot: slots[4],
        stage: Stage::Output,
        interface: 7,
    };
    let send = |stage, interface| Verdict::Send { stage, interface };
    assert_eq!(
        decisions(&mut lanes[0]),
        [
            (Verdict::Drop(slots[0]), vec![]),
            (Verdict::Forward(slots[1]), vec![]),
            (Verdict::Refuse(slots[2]), vec![]),
            (Verdict::Take(slots[3]), vec![]),
            (rewrite, vec![4; 50]),
            (send(Stage::Input, 2), b"its own".to_vec()),
            (send(Stage::Own, 3), b"from here".to_vec()),
        ]
    );
}

#[test]
fn req_ra_15_a_tool_learns_which_rule_a_packet_fits() {
    let (_attachment, mut lanes, mut tool) = attach_deciding(64 * 1024);
    let rules = [None, Some(0), Some(255), Some(u16::MAX - 1)];
    for rule in rules {
        let origin = Origin { rule, ..origin(0) };
        lanes[0].put(&origin, [[0; 40].as_slice()].into_iter());
    }
    lanes[0].publish();
    let mut seen = Vec::new();
    tool.receive(&mut |punted, packet| {
        seen.push((punted, packet.rule));
        assert_eq!((packet.interface, packet.way), (3, Way::Tx));
    })
    .unwrap();
    let (punted, seen): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    assert_eq!(seen, rules);
    for punted in punted {
        tool.answer(punted, Answer::Forward);
    }
}

#[test]
fn req_ra_37_a_decision_that_means_nothing_names_the_packet_that_it_is_about() {
    let (attachment, mut lanes, mut tool) = attach_deciding(64 * 1024);
    let slot = lanes[0].put(&origin(0), [[0; 40].as_slice()].into_iter());
    lanes[0].publish();
    let mut taken = Vec::new();
    tool.receive(&mut |punted, _| taken.push(punted)).unwrap();
    for punted in taken {
        tool.answer(punted, Answer::Forward);
    }
    tool.flush();
    let rings = std::fs::File::from(attachment.descriptors()[1].try_clone_to_owned().unwrap());
    let length = rings.metadata().unwrap().len() as usize;
    let hostile = crate::mapping::Mapping::writable(&rings, length).unwrap();
    let geometry = Geometry::fit(64 * 1024, 1, 96).unwrap().deciding(32);
    let head = geometry.reply(0, slot.unwrap()) / 4;
    hostile.halves()[head].store(0xff, Ordering::Relaxed);
    let bad = lanes[0].decision(&mut [0; 128]).unwrap_err();
    assert_eq!(bad.slot(), slot);
    assert_eq!(BadVerdict::Slot { slot: 0 }.slot(), None);
}

#[test]
fn req_ra_16_a_tool_that_only_watches_gives_copies_back_and_decides_nothing() {
    let reservation = Reservation::new(16 * 1024, false).unwrap();
    let (attachment, mut lanes) = Attachment::new(reservation, 1, 96).unwrap().unwrap();
    attachment.set_clock(&CLOCK);
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    let mut tool = PuntEnd::open(packets, rings).unwrap();
    let frame = [7; 40];
    let answers = [
        Answer::Drop,
        Answer::Forward,
        Answer::Refuse,
        Answer::Replace {
            stage: Stage::Output,
            interface: 0,
            frame: &frame,
        },
    ];
    for round in 0..10 * attachment.slots() as usize {
        lanes[0].put(&origin(0), [frame.as_slice()].into_iter()).unwrap();
        lanes[0].publish();
        let mut taken = Vec::new();
        tool.receive(&mut |punted, _| taken.push(punted)).unwrap();
        for punted in taken {
            assert!(tool.answer(punted, answers[round % 4]));
        }
        tool.flush();
        lanes[0].reclaim().unwrap();
    }
    assert!(!tool.send(Stage::Output, 0, &frame));
    assert_eq!(lanes[0].free(), attachment.slots() as usize);
}

#[test]
fn slots_for_packets_of_its_own_come_back_to_the_tool() {
    let (_attachment, mut lanes, mut tool) = attach_deciding(64 * 1024);
    for round in 0..100 {
        let mut sent = 0;
        while tool.send(Stage::Output, 0, &[round; 20]) {
            sent += 1;
        }
        assert!(sent > 0, "in round {round}");
        tool.flush();
        assert_eq!(decisions(&mut lanes[0]).len(), sent);
        lanes[0].publish();
        tool.receive(&mut |_, _| panic!("no packet was put in")).unwrap();
    }
}

#[test]
fn a_frame_that_is_too_long_is_not_taken() {
    let (_attachment, mut lanes, mut tool) = attach_deciding(64 * 1024);
    let slot = lanes[0]
        .put(&origin(0), [[0; 40].as_slice()].into_iter())
        .unwrap();
    lanes[0].publish();
    let long = vec![0; tool.longest() + 1];
    assert!(!tool.send(Stage::Output, 0, &long));
    let mut taken = Vec::new();
    tool.receive(&mut |punted, _| taken.push(punted)).unwrap();
    for punted in taken {
        let answer = Answer::Replace {
            stage: Stage::Input,
            interface: 0,
            frame: &long,
        };
        assert!(!tool.answer(punted, answer));
    }
    tool.flush();
    assert_eq!(decisions(&mut lanes[0]), [(Verdict::Drop(slot), vec![])]);
}

proptest! {
    #[test]
    fn whatever_a_deciding_tool_writes_the_worker_refuses_it_or_gets_a_decision_it_can_check(
        writes in prop::collection::vec((any::<u32>(), any::<u32>()), 1..200),
    ) {
        let (attachment, mut lanes, _tool) = attach_deciding(16 * 1024);
        let rings = std::fs::File::from(attachment.descriptors()[1].try_clone_to_owned().unwrap());
        let length = rings.metadata().unwrap().len() as usize;
        let hostile = crate::mapping::Mapping::writable(&rings, length).unwrap();
        let words = hostile.halves();
        let slots = attachment.slots();
        for (place, value) in writes {
            words[place as usize % words.len()].store(value, Ordering::Relaxed);
            let returned = Geometry::fit(16 * 1024, 1, 96).unwrap().deciding(8).rings(0)[1].start;
            words[returned + ring::offset::PRODUCER / 4 + 1].store(value % (2 * slots), Ordering::Release);
            lanes[0].put(&origin(0), [[0; 96].as_slice()].into_iter());
            lanes[0].publish();
            let mut bytes = [0; 128];
            match lanes[0].decision(&mut bytes) {
                Ok(Some((
                    Verdict::Drop(slot)
                    | Verdict::Forward(slot)
                    | Verdict::Refuse(slot)
                    | Verdict::Rewrite { slot, .. },
                    length,
                ))) => {
                    prop_assert!(slot < slots && length <= 96);
                }
                Ok(_) => {}
                Err(_) => return Ok(()),
            }
        }
    }
}
