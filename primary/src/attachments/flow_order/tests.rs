use std::collections::VecDeque;

use packet::{MacAddress, PacketBuilder};
use proptest::prelude::*;

use super::super::window::Window;
use super::*;

const SLOTS: u32 = 16;

/// A worker and its tool, which answers in the order in which it was asked.
struct Bench {
    order: FlowOrder<u32>,
    window: Window,
    /// By slot: the packet that waits for an answer.
    held: Vec<Option<u32>>,
    free: Vec<u32>,
    /// Slots that the tool has yet to answer about, of packets that were taken from it as well.
    tool: VecDeque<u32>,
    left: Vec<u32>,
    answered: usize,
}

impl Bench {
    fn new(slots: u32) -> Self {
        Self {
            order: FlowOrder::new(slots),
            window: Window::new(slots as usize),
            held: vec![None; slots as usize],
            free: (0..slots).collect(),
            tool: VecDeque::new(),
            left: Vec::new(),
            answered: 0,
        }
    }

    fn arrive(&mut self, packet: u32, flow: FlowNumber, excess: bool) {
        let slot = if excess || !self.window.is_open(self.free.len()) {
            None
        } else {
            self.free.pop()
        };
        if let Some(slot) = slot {
            self.held[slot as usize] = Some(packet);
            self.tool.push_back(slot);
            self.order.enter(flow, slot);
            return;
        }
        loop {
            if self.order.keep(flow, packet).is_ok() {
                return;
            }
            if !self.order.has_any(flow) {
                self.left.push(packet);
                return;
            }
            if let Some(packet) = self.order.next() {
                self.left.push(packet);
                continue;
            }
            let slot = self.order.first_slot(flow).unwrap();
            // A packet's number is its time.
            let since = self.held[slot as usize].unwrap();
            self.window.taken_back(since.into(), packet.into());
            self.release(slot);
        }
    }

    /// The packet of a slot leaves, and no other before all that waited for it.
    fn release(&mut self, slot: u32) -> bool {
        let Some(packet) = self.held[slot as usize].take() else {
            return false;
        };
        self.left.push(packet);
        self.order.leave(slot);
        true
    }

    fn settle(&mut self) {
        while let Some(packet) = self.order.next() {
            self.left.push(packet);
        }
    }

    fn answer(&mut self) {
        self.settle();
        if let Some(slot) = self.tool.pop_front() {
            self.free.push(slot);
            if self.release(slot) {
                self.answered += 1;
                self.window.answered(self.order.any_behind());
            }
        }
    }

    /// The time for the oldest is over.
    fn late(&mut self) {
        self.settle();
        let oldest = (0..self.held.len()).filter(|slot| self.held[*slot].is_some());
        if let Some(slot) = oldest.min_by_key(|slot| self.held[*slot]) {
            self.release(slot as u32);
        }
    }

    /// The tool goes.
    fn end(&mut self) {
        while self.held.iter().any(Option::is_some) {
            self.late();
        }
        self.settle();
        assert!(!self.order.any_behind());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Arrive { flow: u16, excess: bool },
    Answer,
    Late,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u16..4, any::<bool>()).prop_map(|(flow, excess)| Step::Arrive { flow, excess }),
        3 => Just(Step::Answer),
        1 => Just(Step::Late),
    ]
}

proptest! {
    #[test]
    fn req_ra_36_packets_of_a_flow_leave_once_and_in_the_order_in_which_they_came(
        steps in prop::collection::vec(step(), 0..2000),
    ) {
        let mut bench = Bench::new(SLOTS);
        let mut flows = Vec::new();
        for step in steps {
            match step {
                Step::Arrive { flow, excess } => {
                    bench.arrive(flows.len() as u32, FlowNumber(flow), excess);
                    flows.push(flow);
                }
                Step::Answer => bench.answer(),
                Step::Late => bench.late(),
            }
        }
        bench.end();
        prop_assert_eq!(bench.left.len(), flows.len());
        for flow in 0..4 {
            let of_flow: Vec<u32> = bench.left.iter().copied().filter(|packet| flows[*packet as usize] == flow).collect();
            prop_assert!(of_flow.is_sorted_by(|one, other| one < other), "flow {}: {:?}", flow, of_flow);
        }
    }
}

#[test]
fn req_ra_36_order_holds_and_the_tool_is_not_asked_in_vain_when_offered_many_times_what_it_can() {
    const PACKETS: u32 = 100_000;
    for overload in [2, 3, 10] {
        let mut bench = Bench::new(512);
        for packet in 0..PACKETS {
            bench.arrive(packet, FlowNumber(7), false);
            if packet % overload == 0 {
                bench.answer();
            }
            assert!(bench.order.behind.iter().flatten().count() <= 512);
        }
        bench.end();
        assert!(bench.left.iter().copied().eq(0..PACKETS), "overload {overload}");
        let could = (PACKETS / overload) as usize;
        assert!(
            bench.answered >= could * 3 / 4,
            "overload {overload}: {} of {could}",
            bench.answered
        );
    }
}

#[test]
fn a_packet_waits_for_those_of_its_flow_only() {
    let mut order = FlowOrder::new(4);
    let [one, other] = [3, 4].map(FlowNumber);
    order.enter(one, 0);
    order.enter(one, 1);
    assert_eq!(order.keep(other, 'x'), Err('x'));
    assert_eq!(order.keep(one, 'a'), Ok(()));
    order.enter(one, 2);
    assert_eq!(order.keep(one, 'b'), Ok(()));
    order.leave(0);
    assert_eq!(order.next(), None);
    order.leave(1);
    assert_eq!(order.next(), Some('a'));
    assert_eq!(order.next(), None);
    order.leave(2);
    // Not yet out: what comes now must not overtake it.
    assert_eq!(order.keep(one, 'c'), Ok(()));
    assert_eq!(
        [order.next(), order.next(), order.next()],
        [Some('b'), Some('c'), None]
    );
    assert!(!order.has_any(one));
}

#[test]
fn what_goes_from_one_address_to_another_and_fits_a_rule_is_a_flow_whatever_its_tags_and_ports() {
    let order = FlowOrder::<()>::new(1);
    let ethernet = || PacketBuilder::ethernet(MacAddress([2; 6]), MacAddress([4; 6]));
    let hosts4 = ([10, 0, 0, 1].into(), [10, 0, 1, 1].into());
    let four = order.flow_of(&ethernet().ipv4(hosts4.0, hosts4.1).udp(1, 2, b"a"), None);
    let tagged = ethernet().vlan(5).ipv4(hosts4.0, hosts4.1).udp(3, 4, b"b");
    assert_eq!(order.flow_of(&tagged, None), four);
    let six = |last: u16, rule| {
        let host = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let packet = ethernet().ipv6(host, "2001:db8:1::1".parse().unwrap());
        order.flow_of(&packet.udp(1, 2, b""), rule)
    };
    let rules: std::collections::HashSet<u16> = (0..100).map(|rule| six(1, Some(rule)).0).collect();
    assert!(rules.len() > 80, "{}", rules.len());
    let numbers: std::collections::HashSet<u16> = (0..100).map(|last| six(last, None).0).collect();
    assert!(numbers.len() > 80, "{}", numbers.len());
    assert_eq!(order.flow_of(b"short", None), order.flow_of(b"", None));
}
