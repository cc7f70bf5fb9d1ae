//! How many packets of no bytes an attachment passes from one process to another per second: what its rings and slots cost
//! by themselves.
//!
//! `cargo run --release -p shm --example slots` takes a second; the child is the same program. Needs no hugepages.

use std::env;
use std::error::Error;
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{self, Command};
use std::time::{Duration, Instant};

use shm::attachment::{Attachment, Clock, Origin, Reservation, ToolEnd, Way};

/// Bursts between two looks at the clock, and packets in a burst.
const ROUND: usize = 32;
const BURST: usize = 32;
const TIME: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(descriptors) => receive(&descriptors),
        None => send(),
    }
}

fn send() -> Result<(), Box<dyn Error>> {
    let reservation = Reservation::new(8 << 20, false)?;
    let (attachment, mut lanes) = Attachment::new(reservation, 1, 32)?.ok_or("no room for a slot")?;
    attachment.set_clock(&Clock::between((0, 0), (1, 1)));
    let names = attachment
        .descriptors()
        .map(|descriptor| format!("/proc/{}/fd/{}", process::id(), descriptor.as_raw_fd()));
    let mut child = Command::new(env::current_exe()?).arg(names.join(",")).spawn()?;
    let origin = Origin::new(0, 0, Way::Rx, 64);
    let lane = &mut lanes[0];
    // Until the child takes packets.
    let all = lane.free();
    lane.put(&origin, std::iter::empty());
    lane.publish();
    while lane.free() < all {
        lane.reclaim()?;
    }
    let mut passed = 0;
    let begin = Instant::now();
    while begin.elapsed() < TIME {
        for _ in 0..ROUND {
            lane.reclaim()?;
            let burst = lane.free().min(BURST);
            for _ in 0..burst {
                lane.put(&origin, std::iter::empty());
            }
            lane.publish();
            passed += burst;
        }
    }
    let rate = passed as f64 / begin.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.1} million slots per second");
    lane.end();
    child.wait()?;
    Ok(())
}

fn receive(descriptors: &str) -> Result<(), Box<dyn Error>> {
    let open = |name: &str, write: bool| -> std::io::Result<OwnedFd> {
        Ok(OpenOptions::new().read(true).write(write).open(name)?.into())
    };
    let (packets, rings) = descriptors.split_once(',').ok_or("two descriptors are needed")?;
    let mut end = ToolEnd::open(open(packets, false)?, open(rings, true)?)?;
    loop {
        let over = end.has_ended();
        if end.receive(&mut |_| {})? == 0 && over {
            return Ok(());
        }
    }
}
