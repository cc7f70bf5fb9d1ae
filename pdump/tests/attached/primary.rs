//! A primary that forwards nothing, but answers, and puts packets into real attachments; and the tool started against it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use control::instance::RunDir;
use control::message::{
    CaptureInterface, CaptureRequest, CaptureStarted, ControlError, ErrorCode, Reply, Request,
};
use control::server::{Response, Server};
use nix::poll::{PollTimeout, poll};
use packet::{MacAddress, PacketBuilder};
use pcap_file::pcapng::PcapNgReader;
use shm::attachment::{Attachment, Clock, Lane, Origin, Reservation, Way};

/// Packets that the primary has for every capture.
pub(crate) const PACKETS: u16 = 5;
/// Those that it has besides, and that match no filter.
const OTHERS: u64 = 3;
/// 2026-11-21 12:34:56.123456789 UTC, the time of the first packet. A tick is a nanosecond.
const NOON: u64 = 1_795_264_496_123_456_789;

/// A primary that is there as long as this.
pub(crate) struct Primary {
    pub(crate) place: tempfile::TempDir,
    over: Arc<AtomicBool>,
    /// Whether a capture has begun.
    pub(crate) captures: Arc<AtomicBool>,
    serving: Option<JoinHandle<Vec<CaptureRequest>>>,
}

impl Primary {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// Starts another one in the place of one that has ended.
    pub(crate) fn restart(mut self) -> Self {
        self.end();
        let empty = tempfile::tempdir().unwrap();
        Self::start_in(std::mem::replace(&mut self.place, empty))
    }

    fn start_in(place: tempfile::TempDir) -> Self {
        let lock = RunDir::new(&place.path().join("run"))
            .instance(&"blue".parse().unwrap())
            .claim()
            .unwrap();
        let mut server = Server::bind(lock.directory(), None).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let captures = Arc::new(AtomicBool::new(false));
        let (ends, begun) = (Arc::clone(&over), Arc::clone(&captures));
        let serving = thread::spawn(move || {
            let _lock = lock;
            let mut attachments = Vec::new();
            let mut asked = Vec::new();
            while !ends.load(Ordering::Acquire) {
                let mut descriptors = Vec::new();
                server.descriptors(&mut descriptors);
                poll(&mut descriptors, PollTimeout::from(5u8)).unwrap();
                drop(descriptors);
                server.serve(|_, request, _| match request {
                    Request::CaptureStart(request) => {
                        asked.push(request.clone());
                        let (response, capture) = begin(&request);
                        attachments.push(capture);
                        begun.store(true, Ordering::Release);
                        response
                    }
                    Request::CaptureStop => {
                        attachments.iter_mut().for_each(|(_, lane)| lane.end());
                        Ok::<_, ControlError>(Reply::Done).into()
                    }
                    _ => Err(ControlError::new(ErrorCode::BadRequest, "captures alone")).into(),
                });
            }
            asked
        });
        Self {
            place,
            over,
            captures,
            serving: Some(serving),
        }
    }

    /// Ends it; gives what captures it was asked for.
    pub(crate) fn end(&mut self) -> Vec<CaptureRequest> {
        self.over.store(true, Ordering::Release);
        self.serving
            .take()
            .map(|serving| serving.join().unwrap())
            .unwrap_or_default()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.place.path().join("out.pcapng")
    }

    /// Starts the tool, with pipes.
    pub(crate) fn pdump(&self, words: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"))
            .args(words)
            .env("TOLLGATE_INSTANCE", "blue")
            .env("TOLLGATE_RUN_DIR", self.place.path().join("run"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.end();
    }
}

/// A capture with all the packets in it already.
fn begin(request: &CaptureRequest) -> (Response, (Attachment, Lane)) {
    let reservation = Reservation::new(4 << 20, false).unwrap();
    let (attachment, lanes) = Attachment::new(reservation, 1, request.snaplen as usize)
        .unwrap()
        .unwrap();
    attachment.set_clock(&Clock {
        ticks: 0,
        time_ns: NOON,
        tick_ns_32: 1 << 32,
    });
    let [mut lane] = <[_; 1]>::try_from(lanes).ok().expect("a lane per worker");
    lane.count_seen(u64::from(PACKETS) + OTHERS);
    for number in 0..PACKETS {
        let ping = PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 9]))
            .ipv4([10, 0, 0, 1].into(), [10, 0, 1, 1].into())
            .echo_request(1, number, &[0; 56]);
        let origin = Origin::new(u64::from(number), 4, Way::Rx, u32::try_from(ping.len()).unwrap());
        lane.put(&origin, std::iter::once(&ping[..]));
    }
    lane.publish();
    let wan = CaptureInterface {
        index: 4,
        name: "wan".into(),
        device: "net_null0".into(),
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        speed_mbps: 0,
    };
    let started = CaptureStarted {
        id: 1,
        interfaces: vec![wan],
    };
    let descriptors = attachment.descriptors();
    let response = Response {
        answer: Ok(Reply::CaptureStarted(started)),
        descriptors: descriptors.map(|fd| fd.try_clone_to_owned().unwrap()).into(),
    };
    (response, (attachment, lane))
}

/// Exit status, stdout and stderr, once it has ended.
pub(crate) fn ended(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().expect("no signal kills it"),
        text(output.stdout),
        text(output.stderr),
    )
}

pub(crate) fn packets_in(path: &Path) -> usize {
    File::open(path).map_or(0, packets_of)
}

/// How many packets there are, and nothing but whole blocks; 0 if it has not begun yet.
pub(crate) fn packets_of(bytes: impl Read) -> usize {
    let Ok(reader) = PcapNgReader::new(bytes) else {
        return 0;
    };
    let packets = reader.into_iter().filter(|block| {
        let block = block.as_ref().expect("a whole block");
        block.as_enhanced_packet().is_some()
    });
    packets.count()
}

pub(crate) fn wait_for_packets(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while packets_in(path) < usize::from(PACKETS) {
        assert!(Instant::now() < deadline, "{} packets", packets_in(path));
        thread::sleep(Duration::from_millis(5));
    }
}
