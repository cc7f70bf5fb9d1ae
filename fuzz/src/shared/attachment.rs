//! An attachment's memory, as a tool maps it: of any content, it is refused or read without harm.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use shm::attachment::{Answer, Attachment, Clock, Origin, PuntEnd, Reservation, Stage, ToolEnd, Way};

use super::patched;

/// Opens the memory, takes packets from it and answers.
pub fn body(bytes: &[u8]) {
    static MEMORY: OnceLock<Option<[Vec<u8>; 2]>> = OnceLock::new();
    let Some([packets, rings]) = MEMORY.get_or_init(memory) else {
        panic!("no attachment can be made");
    };
    let half = bytes.len() / 22 * 11;
    let packets = patched(packets, &bytes[..half]);
    let rings = patched(rings, &bytes[half..]);
    let files = || Some((file(&packets)?, file(&rings)?));
    if let Some((packets, rings)) = files()
        && let Ok(mut tool) = ToolEnd::open(packets, rings)
    {
        let taken = tool.receive(&mut |packet| assert!(packet.data.len() <= 1 << 20));
        assert!(taken.is_err() || taken.is_ok_and(|taken| taken <= 1 << 11));
        let _ = (tool.counts(), tool.has_ended());
    }
    if let Some((packets, rings)) = files()
        && let Ok(mut tool) = PuntEnd::open(packets, rings)
    {
        let mut punted = Vec::new();
        let taken = tool.receive(&mut |packet, _| punted.push(packet));
        assert!(taken.is_err() || taken == Ok(punted.len()));
        for packet in punted {
            let frame = &[7; 60];
            tool.answer(
                packet,
                Answer::Replace {
                    stage: Stage::Input,
                    interface: 0,
                    frame,
                },
            );
        }
        tool.send(Stage::Output, 0, &[7; 60]);
        tool.flush();
    }
}

fn file(bytes: &[u8]) -> Option<OwnedFd> {
    let mut file = tempfile::tempfile().ok()?;
    file.write_all(bytes).ok()?;
    Some(file.into())
}

/// The memory of an attachment with two packets in it.
fn memory() -> Option<[Vec<u8>; 2]> {
    let reservation = Reservation::new(64 << 10, false).ok()?;
    let (attachment, mut lanes) = Attachment::deciding(reservation, 2, 256).ok()??;
    attachment.set_clock(&Clock::between((0, 0), (1000, 1000)));
    for lane in &mut lanes {
        let origin = Origin::new(5, 1, Way::Rx, 100);
        lane.put(&origin, [&[1; 60][..], &[2; 40]].into_iter());
        lane.publish();
    }
    let [packets, rings] = attachment.descriptors().map(|descriptor| {
        let file = File::from(descriptor.try_clone_to_owned().ok()?);
        let mut bytes = vec![0; usize::try_from(file.metadata().ok()?.len()).ok()?];
        file.read_exact_at(&mut bytes, 0).ok()?;
        Some(bytes)
    });
    Some([packets?, rings?])
}
