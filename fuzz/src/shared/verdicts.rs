//! What a tool hands back, as the primary takes it: a tool that works as it should beside bytes that anybody wrote into
//! the memory that it can write to.

use std::fs::File;
use std::os::unix::fs::FileExt;

use shm::attachment::{
    Answer, Attachment, Clock, Lane, Origin, PuntEnd, Punted, Reservation, Stage, Verdict, Way,
};

/// Longest frame of the attachment.
const SNAPLEN: usize = 256;

/// Steps: put a packet, decide, take decisions.
pub fn seeds() -> Vec<Vec<u8>> {
    let patch = |word: u16, value: u32| {
        let ([a, b], [c, d, e, f]) = (word.to_be_bytes(), value.to_le_bytes());
        vec![6, a, b, c, d, e, f]
    };
    let mut seeds = vec![
        vec![0, 0, 1, 2, 5, 1, 3, 5],
        vec![0, 1, 4, 5, 0, 1, 2, 5, 5],
        vec![0, 7, 5],
    ];
    // The positions of both rings, an element, a reply.
    for word in [0, 1024, 1056, 1057, 1088, 1089, 1120, 2048] {
        for value in [0, 1, 2, 0x0102_0003, u32::MAX] {
            seeds.push([vec![0, 1, 3], patch(word, value), vec![5, 7]].concat());
        }
    }
    seeds
}

/// Goes through the steps; the primary must take every decision once at most, and only about what is with the tool.
pub fn body(bytes: &[u8]) {
    let made = Reservation::new(16 << 10, false).map(|memory| Attachment::deciding(memory, 1, SNAPLEN));
    let Ok(Ok(Some((attachment, mut lanes)))) = made else {
        return;
    };
    attachment.set_clock(&Clock::between((0, 0), (1000, 1000)));
    let (Some(lane), Some((rings, mut tool))) = (lanes.first_mut(), tool(&attachment)) else {
        return;
    };
    let slots = attachment.slots();
    let mut with_tool: Vec<u32> = Vec::new();
    let mut punted: Vec<Punted> = Vec::new();
    let mut bytes = bytes.iter().copied();
    while let Some(step) = bytes.next() {
        match step % 8 {
            0 => {
                let origin = Origin::new(1, 0, Way::Rx, 60);
                if let Some(slot) = lane.put(&origin, [&[9; 60][..]].into_iter()) {
                    assert!(slot < slots && !with_tool.contains(&slot), "a slot in two places");
                    with_tool.push(slot);
                }
                lane.publish();
            }
            1 => {
                if tool.receive(&mut |packet, _| punted.push(packet)).is_err() {
                    return;
                }
            }
            2..=4 => {
                if let Some(packet) = punted.pop() {
                    let frame = &[step; 60];
                    let replace = Answer::Replace {
                        stage: Stage::Output,
                        interface: step.into(),
                        frame,
                    };
                    let answers = [Answer::Drop, Answer::Forward, Answer::Refuse, replace];
                    let answer = answers[usize::from(step / 8 % 4)];
                    tool.answer(packet, answer);
                    tool.flush();
                }
            }
            5 => {
                if !decisions(lane, &mut with_tool) {
                    return;
                }
            }
            6 => {
                let mut next = || bytes.next().unwrap_or_default();
                let word = u64::from(u16::from_be_bytes([next(), next()]));
                let value = [next(), next(), next(), next()];
                // Beyond the memory's end, which is sealed, it fails.
                let _ = rings.write_all_at(&value, word * 4);
            }
            _ => {
                tool.send(Stage::Input, 1, &[step; 60]);
                tool.flush();
            }
        }
    }
}

/// Takes all decisions; whether the tool is still to be believed.
fn decisions(lane: &mut Lane, with_tool: &mut Vec<u32>) -> bool {
    let mut frame = [0; SNAPLEN + 64];
    loop {
        let (verdict, length) = match lane.decision(&mut frame) {
            Ok(Some(decided)) => decided,
            Ok(None) => return true,
            // Whoever hands such a thing back is cut off.
            Err(_) => return false,
        };
        assert!(length <= frame.len());
        match verdict {
            Verdict::Drop(slot)
            | Verdict::Take(slot)
            | Verdict::Forward(slot)
            | Verdict::Refuse(slot)
            | Verdict::Rewrite { slot, .. } => {
                let place = with_tool.iter().position(|other| *other == slot);
                assert!(place.is_some(), "slot {slot} came back and was not away");
                place.map(|place| with_tool.swap_remove(place));
            }
            Verdict::Send { .. } => {}
        }
    }
}

/// The memory that the tool can write to, and the tool.
fn tool(attachment: &Attachment) -> Option<(File, PuntEnd)> {
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| descriptor.try_clone_to_owned().ok());
    let (packets, rings) = (packets?, rings?);
    let file = File::from(rings.try_clone().ok()?);
    Some((file, PuntEnd::open(packets, rings).ok()?))
}
