//! The loop of a capture: packets go from the source to the output until somebody ends it, and then those that are
//! still on their way.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::output::{Output, OutputError};
use crate::report::Report;
use crate::source::{CaptureError, Source};

/// How long to wait for a packet. A capture that is idle for so long writes out what it has.
const IDLE: Duration = Duration::from_millis(100);

/// Why a capture ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Interruption {
    /// There are no more packets.
    #[error(transparent)]
    Source(#[from] CaptureError),
    /// They cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Captures until `stopped` says so, or `count` packets are written. However it ends, the output is finished and the
/// report says what became of the packets.
pub fn run(
    source: &mut dyn Source,
    output: &mut dyn Output,
    count: Option<NonZeroU64>,
    stopped: &dyn Fn() -> bool,
) -> (Report, Result<(), Interruption>) {
    let left = count.map(u64::from);
    let mut ended = (Rounds { source, output, left }).until(stopped);
    source.stop();
    let counts = source.counts();
    // An output that failed was left as good as it can be.
    if !matches!(ended, Err(Interruption::Output(_))) {
        let finished = output.finish(counts);
        ended = ended.and(finished.map_err(Interruption::from));
    }
    let report = Report {
        seen: counts.seen,
        filtered: counts.seen.saturating_sub(counts.matched),
        written: output.written(),
        lost: counts.lost,
    };
    (report, ended)
}

/// Bursts from the source to the output.
struct Rounds<'a> {
    source: &'a mut dyn Source,
    output: &'a mut dyn Output,
    /// Packets until the capture is complete, if that is limited.
    left: Option<u64>,
}

impl Rounds<'_> {
    fn until(&mut self, stopped: &dyn Fn() -> bool) -> Result<(), Interruption> {
        while !stopped() && !self.is_complete() {
            let taken = self.once(IDLE)?;
            self.output.round(taken == 0)?;
        }
        self.source.stop();
        while !self.is_complete() && self.once(Duration::ZERO)? > 0 {}
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.left == Some(0)
    }

    /// Gives how many packets were taken from the source; the output gets no more than are left.
    fn once(&mut self, timeout: Duration) -> Result<usize, Interruption> {
        let Self { source, output, left } = self;
        let mut written = Ok(());
        let taken = source.receive(timeout, &mut |packet| {
            if *left == Some(0) || written.is_err() {
                return;
            }
            written = output.packet(packet);
            if let (Some(left), Ok(())) = (left.as_mut(), &written) {
                *left -= 1;
            }
        });
        written?;
        Ok(taken?)
    }
}
