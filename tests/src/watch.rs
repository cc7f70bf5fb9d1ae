//! A capture in the test itself: what the primary says of each packet, as no file has it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use control::{
    capture::{Capture, Counts, DropReason, PathStage, Way},
    instance::RunDir,
    message::{CaptureRequest, ControlError, ErrorCode, SNAPLEN_MAX},
};

use crate::Primary;

/// A packet, and all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Name of the interface.
    pub interface: String,
    /// The point.
    pub way: Way,
    /// The same wherever it is seen; 0 for none.
    pub id: u64,
    /// The queue of the port.
    pub queue: Option<u16>,
    /// Packets that were lost right before it.
    pub lost_before: u32,
    /// Why it was dropped, and the stage that it had come to.
    pub dropped: Option<(DropReason, PathStage)>,
    /// Since 1970, UTC.
    pub time: Duration,
    /// Its bytes, as many as were asked for.
    pub data: Vec<u8>,
}

/// A capture that is taken by a thread until it is finished.
#[derive(Debug)]
pub struct Watch {
    over: Arc<AtomicBool>,
    taken: JoinHandle<Result<(Vec<Watched>, Counts), String>>,
}

impl Primary {
    /// Begins a capture; with a snapshot length of 0 of whole packets.
    ///
    /// # Errors
    /// The primary refuses.
    pub fn watch(&self, request: CaptureRequest) -> Result<Watch, ControlError> {
        let mut capture = self.capture(request)?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let taken = thread::spawn(move || {
            let mut packets = Vec::new();
            loop {
                let ends = is_over.load(Ordering::Acquire);
                if ends {
                    capture.stop();
                }
                let timeout = Duration::from_millis(if ends { 0 } else { 20 });
                if take(&mut capture, timeout, &mut packets)? == 0 && ends {
                    return Ok((packets, capture.counts()));
                }
            }
        });
        Ok(Watch { over, taken })
    }

    /// Begins a capture whose packets nobody takes until [`take`] does.
    ///
    /// # Errors
    /// The primary refuses.
    pub fn capture(&self, mut request: CaptureRequest) -> Result<Capture, ControlError> {
        if request.snaplen == 0 {
            request.snaplen = SNAPLEN_MAX;
        }
        let name = self.instance().parse();
        let name = name.map_err(|_| ControlError::new(ErrorCode::Invalid, "the instance has no name"))?;
        let directory = RunDir::new(&self.run_dir()).instance(&name);
        Capture::start(&directory, "tests", request)
    }
}

/// Takes what packets there are, and waits at most `timeout` for the first; gives how many.
///
/// # Errors
/// The capture ended.
pub fn take(capture: &mut Capture, timeout: Duration, into: &mut Vec<Watched>) -> Result<usize, String> {
    let names: Vec<_> = capture.interfaces().to_vec();
    let taken = capture.receive(timeout, &mut |packet| {
        let name = names.iter().find(|known| known.index == packet.interface);
        into.push(Watched {
            interface: name.map(|known| known.name.clone()).unwrap_or_default(),
            way: packet.way,
            id: packet.id,
            queue: packet.queue,
            lost_before: packet.lost_before,
            dropped: packet.dropped.and_then(|dropped| {
                let reason = DropReason::from_index(dropped.reason.into())?;
                Some((reason, PathStage::from_index(dropped.stage.into())?))
            }),
            time: Duration::from_nanos(packet.time_ns),
            data: packet.data.to_vec(),
        });
    });
    taken.map_err(|error| error.to_string())
}

impl Watch {
    /// Ends it; gives its packets and what the primary has counted.
    ///
    /// # Errors
    /// It had ended before.
    pub fn finish(self) -> Result<(Vec<Watched>, Counts), String> {
        self.over.store(true, Ordering::Release);
        let ended = self.taken.join();
        ended.unwrap_or_else(|_| Err("the thread of the capture ended".to_owned()))
    }
}
