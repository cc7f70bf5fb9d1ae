//! The thread between workers and taps: it makes the system calls that workers must not make.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use dpdk::ring::{MbufConsumer, MbufProducer};
use dpdk::{Mbuf, MbufBatch, Pool};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shm::{CounterBlock, DropReason, InterfaceCounter, PathStage};
use tun_rs::SyncDevice;

use crate::attachments::Beside;
use crate::worker::doorbell::Sleeper;

/// Packets that are taken from a ring or a tap before the others have their turn.
const TURN: usize = 32;
/// The longest sleep, milliseconds: whatever happens wakes the thread before.
const LONGEST_SLEEP: u16 = 1000;
/// How soon to look again for room or for packet buffers, milliseconds.
const LOOK_AGAIN: u16 = 1;
/// The longest frame that comes from a tap: the longest IP packet, an Ethernet header and a tag.
const LONGEST: usize = 65_535 + 18;

/// One tap and the rings on the other side of the thread.
pub struct TapEnd {
    interface: u16,
    device: Arc<SyncDevice>,
    from_workers: Vec<MbufConsumer>,
    to_port: MbufProducer,
    state: State,
}

/// Whether to look for packets of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// When there are some.
    Open,
    /// There are some, and no room for them at the moment.
    Full,
    /// Never again: somebody has removed it.
    Lost,
}

impl TapEnd {
    /// The tap of the interface of that index, a ring from each worker, and the ring to the worker that sends for the port.
    pub fn new(
        interface: u16,
        device: Arc<SyncDevice>,
        from_workers: Vec<MbufConsumer>,
        to_port: MbufProducer,
    ) -> Self {
        Self {
            interface,
            device,
            from_workers,
            to_port,
            state: State::Open,
        }
    }

    /// Writes what workers have for the kernel; whether there was anything.
    fn write(&mut self, counters: &CounterBlock, captures: &Beside) -> bool {
        let mut batch = MbufBatch::<TURN>::new();
        let mut any = false;
        for ring in &mut self.from_workers {
            any |= ring.dequeue(&mut batch) > 0;
            for mut mbuf in batch.drain() {
                if write_frame(&self.device, &mbuf).is_err() {
                    // It was counted as taken.
                    counters.sub(self.interface, InterfaceCounter::Delivered, 1);
                    counters.sub(self.interface, InterfaceCounter::TapRxPackets, 1);
                    let (reason, stage) = (DropReason::KernelRefused, PathStage::Kernel);
                    captures.drop_one(counters, self.interface, reason, stage, &mut mbuf);
                }
            }
        }
        any
    }

    /// Reads what the kernel sends, as much as has its turn; whether there may be more.
    fn read(&mut self, pool: &Pool, buffer: &mut [u8]) -> bool {
        if self.state == State::Lost {
            return false;
        }
        self.state = State::Open;
        for _ in 0..TURN {
            // What is not read stays with the kernel, which lets its senders wait.
            let mbuf = if self.to_port.free_count() > 0 {
                pool.alloc()
            } else {
                None
            };
            let Some(mut mbuf) = mbuf else {
                self.state = State::Full;
                return false;
            };
            let length = match self.device.recv(buffer) {
                Ok(length) => length,
                Err(error) => return self.no_more(&error),
            };
            let mut one = MbufBatch::<1>::new();
            // The tap has the MTU of the port, which has buffers for it.
            if mbuf
                .extend(pool, buffer.get(..length).unwrap_or_default())
                .is_ok()
                && one.push(mbuf).is_ok()
            {
                self.to_port.enqueue(&mut one);
            }
        }
        true
    }

    fn no_more(&mut self, error: &io::Error) -> bool {
        match error.kind() {
            io::ErrorKind::WouldBlock => false,
            io::ErrorKind::Interrupted => true,
            _ => {
                self.state = State::Lost;
                tracing::error!(
                    target: "tap",
                    "the tap of the interface with index {} is lost, nothing comes from the kernel any more: {error}; restart the \
                     primary",
                    self.interface
                );
                false
            }
        }
    }
}

fn write_frame(device: &SyncDevice, mbuf: &Mbuf) -> io::Result<usize> {
    if mbuf.segment_count() == 1 {
        device.send(mbuf.data())
    } else {
        let segments: Vec<_> = mbuf.segments().map(IoSlice::new).collect();
        device.send_vectored(&segments)
    }
}

/// Everything that the thread owns.
pub struct TapThread {
    /// All taps.
    pub taps: Vec<TapEnd>,
    /// Its sleep.
    pub sleeper: Sleeper,
    /// Where the kernel's packets are put.
    pub pool: Pool,
    /// Its counters.
    pub counters: CounterBlock,
    /// Captures that see what the kernel refuses.
    pub captures: Beside,
    /// Set when the primary ends, after the last worker.
    pub stop: Arc<AtomicBool>,
}

impl TapThread {
    /// Starts it, on the CPUs of the calling thread.
    pub fn start(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("taps".to_owned())
            .spawn(move || self.run())
    }

    fn run(mut self) {
        let mut buffer = vec![0; LONGEST];
        loop {
            // Before the rings: what is in them when it is set is still written.
            let stop = self.stop.load(Ordering::Acquire);
            let mut more = false;
            for tap in &mut self.taps {
                more |= tap.write(&self.counters, &self.captures);
                // At the end nobody would send it.
                more |= !stop && tap.read(&self.pool, &mut buffer);
            }
            if stop && !more {
                return;
            }
            if !more {
                self.sleep();
            }
        }
    }

    fn sleep(&self) {
        self.sleeper.about_to_sleep();
        let waiting = self
            .taps
            .iter()
            .any(|tap| tap.from_workers.iter().any(|ring| !ring.is_empty()));
        if !waiting && !self.stop.load(Ordering::Acquire) {
            let open = self.taps.iter().filter(|tap| tap.state == State::Open);
            let mut descriptors = vec![PollFd::new(self.sleeper.descriptor(), PollFlags::POLLIN)];
            descriptors.extend(open.map(|tap| PollFd::new(tap.device.as_fd(), PollFlags::POLLIN)));
            let full = self.taps.iter().any(|tap| tap.state == State::Full);
            let timeout = PollTimeout::from(if full { LOOK_AGAIN } else { LONGEST_SLEEP });
            // EINTR is a look round for nothing.
            let _ = poll(&mut descriptors, timeout);
        }
        self.sleeper.awake();
    }
}
