//! The loop of a capture: packets go from the source to the output until somebody ends it, and then those that are
//! still on their way.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::output::{About, Output, OutputError};
use crate::report::Report;
use crate::source::{CaptureError, Counts, Source};

/// How long to wait for a packet. A capture that is idle for so long writes out what it has.
const IDLE: Duration = Duration::from_millis(100);

/// How often to say what was counted.
const EVERY: Duration = Duration::from_secs(1);

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

/// When a capture is complete, besides when its files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// So many packets are written.
    pub packets: Option<NonZeroU64>,
    /// It ran for so long.
    pub duration: Option<Duration>,
}

/// A capture, of one source or of several one after another.
pub struct Run<'a> {
    output: &'a mut dyn Output,
    stopped: &'a dyn Fn() -> bool,
    /// Told once a second how it is.
    watch: &'a mut dyn FnMut(&Report),
    /// Packets until the capture is complete, if that is limited.
    left: Option<u64>,
    ends: Option<Instant>,
    next_second: Instant,
    /// Of the sources that have ended.
    before: Counts,
}

impl<'a> Run<'a> {
    /// Begins now. It ends when `stopped` says so, or a limit is reached.
    pub fn new(
        output: &'a mut dyn Output,
        limits: Limits,
        stopped: &'a dyn Fn() -> bool,
        watch: &'a mut dyn FnMut(&Report),
    ) -> Self {
        let now = Instant::now();
        Self {
            output,
            stopped,
            watch,
            left: limits.packets.map(u64::from),
            ends: limits.duration.and_then(|duration| now.checked_add(duration)),
            next_second: now + EVERY,
            before: Counts::default(),
        }
    }

    /// Captures until the end. However that comes, the output is finished.
    ///
    /// # Errors
    ///
    /// The source ended before its time, or the output failed.
    pub fn capture(&mut self, source: &mut dyn Source) -> Result<(), Interruption> {
        let mut ended = self.rounds(source);
        source.stop();
        let counts = source.counts();
        // An output that failed was left as good as it can be.
        if !matches!(ended, Err(Interruption::Output(_))) {
            let finished = self.output.finish(counts);
            ended = ended.and(finished.map_err(Interruption::from));
        }
        add(&mut self.before, counts);
        ended
    }

    /// Whether it is complete, or somebody has ended it.
    pub fn is_over(&self) -> bool {
        (self.stopped)() || self.is_complete() || self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// The next source is of other interfaces.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn section(&mut self, about: &About<'_>) -> Result<(), OutputError> {
        self.output.section(about)
    }

    /// What became of the packets of the sources until now.
    pub fn report(&self) -> Report {
        Report::new(self.before, self.output.written())
    }

    fn rounds(&mut self, source: &mut dyn Source) -> Result<(), Interruption> {
        while !self.is_over() {
            self.output.counted(source.counts());
            let taken = self.once(source, IDLE)?;
            self.output.round(taken == 0)?;
            if Instant::now() >= self.next_second {
                self.second(source.counts())?;
            }
        }
        source.stop();
        while !self.is_complete() && self.once(source, Duration::ZERO)? > 0 {}
        Ok(())
    }

    fn second(&mut self, counts: Counts) -> Result<(), Interruption> {
        self.next_second = Instant::now() + EVERY;
        self.output.second(counts)?;
        let mut all = self.before;
        add(&mut all, counts);
        // What waits for this tool is written next.
        let unwritten = 0;
        let report = Report::new(all, self.output.written());
        (self.watch)(&Report { unwritten, ..report });
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.left == Some(0) || self.output.is_complete()
    }

    /// Gives how many packets were taken from the source; the output gets no more than are left.
    fn once(&mut self, source: &mut dyn Source, timeout: Duration) -> Result<usize, Interruption> {
        let Self { output, left, .. } = self;
        let mut written = Ok(());
        let taken = source.receive(timeout, &mut |packet| {
            if *left == Some(0) || written.is_err() || output.is_complete() {
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

fn add(sum: &mut Counts, more: Counts) {
    sum.seen += more.seen;
    sum.matched += more.matched;
    sum.lost += more.lost;
    sum.unsampled += more.unsampled;
    sum.late += more.late;
}
