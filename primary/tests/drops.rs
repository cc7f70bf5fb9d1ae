//! What captures see of drops where no packet buffer is free, and of frames that lie in none.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::sync::Arc;

use dpdk::filter::{Filter, Instruction};
use dpdk::{Eal, NumaNode, Pool};
use packet::MacAddress;
use primary::attachments::{Beside, Loose, PartControl, Seen, Sight, Spare, Tap, Taps, Terms, parts};
use primary::path::{InterfaceView, Interfaces, OptionPolicy};
use shm::attachment::{Attachment, Clock, Reservation, ToolEnd, Way};
use shm::{Capacity, CounterBlock, DropReason, PathStage, TableReader, TableWriter};

const WAN: u16 = 0;
/// Packet buffers, each with so much room for a packet.
const BUFFERS: u32 = 15;
const ROOM: u16 = 256;

const CAPACITY: Capacity = Capacity {
    interfaces: 1,
    addresses: 1,
    routes4: 1,
    routes6: 1,
    neighbors: 1,
    next_hops: 1,
    workers: 1,
    pools: 1,
    sas: 4,
};

fn main() {
    let (_folder, eal) = common::eal();
    let room = Pool::HEADROOM + ROOM;
    let pool = Pool::new(&eal, "packets", BUFFERS, 0, room, NumaNode::ANY).unwrap();
    what_there_is_no_buffer_for_is_seen_or_counted_as_lost(&eal, &pool);
    a_capture_of_other_reasons_counts_nothing(&pool);
    assert_eq!(pool.in_use(), 0, "every packet was freed");
    drop(pool);
    eal.shutdown().unwrap();
}

/// Captures of one thread's drops, their tools, and what is counted.
struct Bench {
    control: PartControl<Tap>,
    taps: Option<Taps>,
    counters: CounterBlock,
    reader: TableReader,
    _region: TableWriter,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(pool: &Pool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let region = TableWriter::create(&path, None, &CAPACITY).unwrap();
        region.publish();
        let (control, worker) = parts(4);
        let spare = Spare::new(pool);
        assert!(spare.is_some());
        Self {
            control,
            taps: Some(Taps::new(worker, (0, 1), spare)),
            counters: region.counter_block(1).unwrap(),
            reader: TableReader::open(&path).unwrap(),
            _region: region,
            _folder: folder,
        }
    }

    fn capture(&mut self, id: u32, filter: Option<Filter>, terms: Terms) -> (Attachment, ToolEnd) {
        let reservation = Reservation::new(256 * 1024, false).unwrap();
        let (attachment, mut lanes) = Attachment::new(reservation, 1, 2048).unwrap().unwrap();
        attachment.set_clock(&Clock::between((0, 0), (1, 1)));
        let descriptors = attachment.descriptors();
        let [packets, rings] = descriptors.map(|descriptor| descriptor.try_clone_to_owned().unwrap());
        let tool = ToolEnd::open(packets, rings).unwrap();
        let view = InterfaceView {
            mac: MacAddress::ZERO,
            mtu: 1500,
            kernel_device: false,
            tap: false,
            redirects: false,
            options: OptionPolicy::default(),
            up: Arc::default(),
            sources: Arc::default(),
            any_tpid: false,
            sub: None,
            tunnel: None,
        };
        let interfaces = Arc::new(Interfaces::new(vec![view]));
        let sight = Sight::new(&interfaces, &[WAN], Way::Drop.bit(), true);
        let lane = lanes.remove(0);
        assert!(
            self.control
                .add(Tap::new(id, filter.map(Arc::new), sight, terms, None, lane))
        );
        if let Some(taps) = &mut self.taps {
            taps.serve();
        }
        (attachment, tool)
    }
}

/// Number, bytes, and how many were lost right before it.
fn received(tool: &mut ToolEnd) -> Vec<(u64, Vec<u8>, u32)> {
    let mut seen = Vec::new();
    tool.receive(&mut |packet| {
        let dropped = packet.dropped.unwrap();
        assert_eq!(dropped.reason, DropReason::NoBuffer as u16);
        assert_eq!(dropped.stage, PathStage::Errors as u8);
        seen.push((packet.id, packet.data.to_vec(), packet.lost_before));
    })
    .unwrap();
    seen
}

fn what_there_is_no_buffer_for_is_seen_or_counted_as_lost(eal: &Eal, pool: &Pool) {
    let mut bench = Bench::new(pool);
    let begins_with_9 = [
        Instruction {
            code: 0x30,
            jt: 0,
            jf: 0,
            k: 0,
        },
        Instruction {
            code: 0x15,
            jt: 0,
            jf: 1,
            k: 9,
        },
        Instruction {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: 2048,
        },
        Instruction {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: 0,
        },
    ];
    let filter = Filter::compile(eal, &begins_with_9).unwrap();
    let (all, mut all_tool) = bench.capture(1, None, Terms::default());
    let (some, mut some_tool) = bench.capture(2, Some(filter), Terms::default());
    let mut taps = bench.taps.take().unwrap();
    let held: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!(held.len() as u32, BUFFERS - 1, "all but the one that is kept");
    let (reason, stage) = (DropReason::NoBuffer, PathStage::Errors);
    let (seen, known) = (Seen::dropped(WAN, reason, stage), 77);
    // The last reaches beyond the buffer.
    for (parts, mark) in [
        ([&[9; 100][..], &[8; 20]], Some(known)),
        ([&[7; 60], &[]], None),
        ([&[9; 100], &[8; ROOM as usize]], None),
    ] {
        taps.observe_loose(&seen, &Loose { parts: &parts, mark });
    }
    taps.publish();
    let first = [vec![9; 100], vec![8; 20]].concat();
    let shown = received(&mut all_tool);
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0], (known, first.clone(), 0));
    assert_eq!((&shown[1].1, shown[1].2), (&vec![7; 60], 0));
    assert_ne!(shown[1].0, known, "it has the number of another");
    assert_eq!(received(&mut some_tool), [(known, first, 0)]);
    // With a filter or without: nobody knows whether it would have matched.
    assert_eq!((all.counts().seen, all.counts().lost), (3, 1));
    assert_eq!((some.counts().seen, some.counts().lost), (3, 1));

    drop(held);
    let beside = Beside::new(taps);
    beside.drop_frame(&bench.counters, WAN, reason, stage, &[9; 1000]);
    assert_eq!(pool.in_use(), 1, "what is more than one buffer is given back");
    for tool in [&mut all_tool, &mut some_tool] {
        let shown = received(tool);
        assert_eq!((&shown[0].1, shown[0].2), (&vec![9; 1000], 1));
    }
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(&[7; 60]).unwrap();
    beside.drop_one(&bench.counters, WAN, reason, stage, &mut mbuf);
    assert_eq!(received(&mut all_tool).len(), 1);
    assert_eq!(received(&mut some_tool), []);
    assert_eq!(bench.reader.counters().drops(WAN, reason), 2);
    beside.stop();
    assert!(all_tool.has_ended() && some_tool.has_ended());
}

fn a_capture_of_other_reasons_counts_nothing(pool: &Pool) {
    let mut bench = Bench::new(pool);
    let mut reasons = [false; DropReason::COUNT];
    reasons[DropReason::NoRoute as usize] = true;
    let terms = Terms {
        reasons: Some(Arc::new(reasons)),
        ..Terms::default()
    };
    let (attachment, _tool) = bench.capture(1, None, terms);
    let mut taps = bench.taps.take().unwrap();
    for (reason, lost) in [(DropReason::ReassemblyFull, 0), (DropReason::NoRoute, 3)] {
        taps.lose(&Seen::dropped(WAN, reason, PathStage::Reassembly), 3);
        taps.publish();
        let counts = attachment.counts();
        assert_eq!((counts.seen, counts.lost), (lost, lost), "{reason}");
    }
}
