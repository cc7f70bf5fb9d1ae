//! How many packets took which way through the stages: cells behind the other counters of each writer.
//!
//! ```text
//!   usual ways: packets and bursts of each        two additions for a burst that goes one as a whole
//!   any other:  packets by (stage, next stage)    added up packet by packet
//!               bursts by stage
//! ```
//!
//! A reader adds the usual ways to the steps that they are made of, so what goes into a stage is what comes out of it.

use crate::cells::{CounterBlock, CounterView};
use crate::counters::counter_enum;

counter_enum! {
    /// A stage of the path, or a place where packets come from or end. A packet passes them in this order, each at most once.
    pub enum PathStage {
        /// Received by a port, or out of a tunnel.
        Rx => "rx",
        /// Has waited for a neighbour and goes through the stages again.
        Released => "released",
        /// Comes back from a tool, or is a tool's own.
        FromTool => "from_tool",
        /// A tunnel has put other headers in front: a packet of its own, which goes through the stages.
        Encapsulated => "encapsulated",
        /// For a service of the load balancer, or from one of its servers: translated.
        Service => "service",
        /// Link header.
        Ethernet => "ethernet",
        /// It belongs to a sub-interface.
        Vlan => "vlan",
        /// ARP, on its way to the control thread.
        Arp => "arp",
        /// Header checks of IPv4.
        Ip4Input => "ip4_input",
        /// Options of IPv4.
        Ip4Options => "ip4_options",
        /// Header checks of IPv6.
        Ip6Input => "ip6_input",
        /// Hop-by-hop options of IPv6.
        Ip6Options => "ip6_options",
        /// Where the destination leads.
        Lookup => "lookup",
        /// Which of the next hops of a route.
        Multipath => "multipath",
        /// IPv4 for the gateway itself.
        Local4 => "local4",
        /// IPv6 for the gateway itself or a group that it is in.
        Local6 => "local6",
        /// For the gateway itself or a service, and put together from segments or fragments.
        Reassembly => "reassembly",
        /// Neighbour discovery, on its way to the control thread.
        Nd => "nd",
        /// On its way to a tool that decides about it.
        Punt => "punt",
        /// TTL or hop limit, MTU, new link header.
        Rewrite => "rewrite",
        /// The gateway writes its address or the time into the options of IPv4.
        Ip4Record => "ip4_record",
        /// Cut into fragments.
        Fragment => "fragment",
        /// Leaves by the interface that it came in by; its sender may be told of its next hop.
        Redirect => "redirect",
        /// The sender may be told why it is dropped.
        Errors => "errors",
        /// Given to an interface; the answer, where it went through errors.
        Tx => "tx",
        /// Stays until its next hop has answered, or as a fragment until the others have come.
        Waiting => "waiting",
        /// Given to the control thread.
        Control => "control",
        /// Given to a tool.
        Tool => "tool",
        /// Given to the kernel, by the tap of its interface.
        Kernel => "kernel",
        /// A tunnel has taken off its headers: what was inside is received by the tunnel's interface.
        Decapsulated => "decapsulated",
        /// Dropped; 'drop show' has the reasons.
        Drop => "drop",
    }
}

/// The stages that a packet has passed, a set. Their order is that of [`PathStage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed(u32);

impl Passed {
    /// None.
    pub const NONE: Self = Self(0);
    /// What an IPv4 packet passes that is forwarded and has no options, from the link header to the new one.
    pub const USUAL4: Self = Self::NONE
        .with(PathStage::Ethernet)
        .with(PathStage::Ip4Input)
        .with(PathStage::Lookup)
        .with(PathStage::Rewrite);
    /// The same for IPv6.
    pub const USUAL6: Self = Self::NONE
        .with(PathStage::Ethernet)
        .with(PathStage::Ip6Input)
        .with(PathStage::Lookup)
        .with(PathStage::Rewrite);

    /// What an ESP packet over IPv4 passes that is for the gateway itself, until the burst of its SA is opened.
    pub const TO_ESP4: Self = Self::USUAL4
        .without(PathStage::Rewrite)
        .with(PathStage::Rx)
        .with(PathStage::Local4)
        .with(PathStage::Waiting);
    /// The same over IPv6.
    pub const TO_ESP6: Self = Self::USUAL6
        .without(PathStage::Rewrite)
        .with(PathStage::Rx)
        .with(PathStage::Local6)
        .with(PathStage::Waiting);
    /// What it passes from then on.
    pub const OUT_OF_ESP: Self = Self::NONE.with(PathStage::Released).with(PathStage::Decapsulated);
    /// What a packet over IPv4 passes that a tunnel has made, from there to an interface.
    pub const SEALED4: Self = Self::USUAL4.with(PathStage::Encapsulated).with(PathStage::Tx);
    /// The same over IPv6.
    pub const SEALED6: Self = Self::USUAL6.with(PathStage::Encapsulated).with(PathStage::Tx);
    /// What a packet of a known connection passes that is translated and leaves by the way that its connection knows.
    pub const BALANCED: Self = Self::NONE
        .with(PathStage::Rx)
        .with(PathStage::Service)
        .with(PathStage::Tx);

    /// These and one more.
    #[inline]
    #[must_use]
    pub const fn with(self, stage: PathStage) -> Self {
        Self(self.0 | 1 << stage as u8)
    }

    /// These without one.
    #[inline]
    #[must_use]
    pub const fn without(self, stage: PathStage) -> Self {
        Self(self.0 & !(1 << stage as u8))
    }

    /// These and others.
    #[inline]
    #[must_use]
    pub const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The one that a packet passed last; `rx` where there is none.
    pub fn last(self) -> PathStage {
        let last = (u32::BITS - 1).checked_sub(self.0.leading_zeros());
        last.and_then(|last| PathStage::from_index(last as usize))
            .unwrap_or(PathStage::Rx)
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = PathStage> {
        PathStage::ALL
            .iter()
            .copied()
            .filter(move |stage| self.0 & 1 << *stage as u8 != 0)
    }
}

const _: () = assert!(PathStage::COUNT <= u32::BITS as usize, "each stage has a bit");

/// The usual ways, whole: those of the two families first.
const USUAL: [Passed; 8] = [
    Passed::USUAL4.with(PathStage::Rx).with(PathStage::Tx),
    Passed::USUAL6.with(PathStage::Rx).with(PathStage::Tx),
    Passed::TO_ESP4,
    Passed::TO_ESP6,
    Passed::OUT_OF_ESP,
    Passed::SEALED4,
    Passed::SEALED6,
    Passed::BALANCED,
];

/// What tells them apart, and their order, for who reads the cells of another process.
pub(crate) const USUAL_BITS: [usize; USUAL.len()] = {
    let mut bits = [0; USUAL.len()];
    let mut index = 0;
    while index < bits.len() {
        bits[index] = USUAL[index].0 as usize;
        index += 1;
    }
    bits
};

/// Where the cells lie, counted from the first: packets of the usual ways, their bursts, bursts by stage, packets by step.
const USUAL_PACKETS: usize = 0;
const USUAL_BURSTS: usize = USUAL_PACKETS + USUAL.len();
const BURSTS: usize = USUAL_BURSTS + USUAL.len();
const STEPS: usize = BURSTS + PathStage::COUNT;
/// Cells of one writer, rounded up to whole cache lines.
pub(crate) const STAGE_CELLS: usize = (STEPS + PathStage::COUNT * PathStage::COUNT).next_multiple_of(8);

/// The ways of the packets of one burst that were not counted as a whole.
#[derive(Debug, Default)]
pub struct Ways {
    /// Packets of the usual ways, by family.
    usual: [u64; 2],
    /// The stages that any packet of another way passed.
    passed: Passed,
}

impl Ways {
    /// Whether a packet of another way has passed one of these stages.
    #[inline]
    pub fn pass_any(&self, stages: Passed) -> bool {
        self.passed.0 & stages.0 != 0
    }
}

impl CounterBlock {
    /// Counts a burst that went the usual way of IPv4 from its port to an interface.
    #[inline]
    pub fn usual4(&self, packets: u64) {
        self.bump_stage(USUAL_PACKETS, packets);
        self.bump_stage(USUAL_BURSTS, 1);
    }

    /// The same for a burst of which so many packets are IPv6.
    #[inline(never)]
    pub fn usual(&self, four: u64, six: u64) {
        for (family, packets) in [four, six].into_iter().enumerate() {
            if packets > 0 {
                self.bump_stage(USUAL_PACKETS + family, packets);
                self.bump_stage(USUAL_BURSTS + family, 1);
            }
        }
    }

    /// Counts a packet; [`CounterBlock::ways`] ends its burst.
    #[inline]
    pub fn way(&self, ways: &mut Ways, passed: Passed) {
        if passed == USUAL[0] {
            ways.usual[0] += 1;
        } else if passed == USUAL[1] {
            ways.usual[1] += 1;
        } else {
            self.unusual(ways, passed);
        }
    }

    #[inline(never)]
    fn unusual(&self, ways: &mut Ways, passed: Passed) {
        ways.passed = ways.passed.union(passed);
        for (from, to) in passed.iter().zip(passed.iter().skip(1)) {
            self.bump_stage(STEPS + from as usize * PathStage::COUNT + to as usize, 1);
        }
    }

    /// Counts a burst of packets that all went one way.
    #[inline(always)]
    pub fn burst_of(&self, passed: Passed, packets: u64) {
        // Mostly it is known which when this is compiled.
        match USUAL.iter().position(|way| *way == passed) {
            Some(way) => {
                self.bump_stage(USUAL_PACKETS + way, packets);
                self.bump_stage(USUAL_BURSTS + way, 1);
            }
            None => self.burst_of_other(passed, packets),
        }
    }

    #[inline(never)]
    fn burst_of_other(&self, passed: Passed, packets: u64) {
        for (from, to) in passed.iter().zip(passed.iter().skip(1)) {
            self.bump_stage(STEPS + from as usize * PathStage::COUNT + to as usize, packets);
        }
        for stage in passed.iter() {
            self.bump_stage(BURSTS + stage as usize, 1);
        }
    }

    /// Counts a burst that was counted packet by packet.
    #[inline]
    pub fn ways(&self, ways: &Ways) {
        let [four, six] = ways.usual;
        if four | six != 0 {
            self.usual(four, six);
        }
        if ways.passed != Passed::NONE {
            self.unusual_burst(ways);
        }
    }

    #[inline(never)]
    fn unusual_burst(&self, ways: &Ways) {
        // A stage of a usual way has had its burst counted.
        let counted = (0..).zip(ways.usual).filter(|(_, packets)| *packets > 0);
        let counted = counted.fold(Passed::NONE, |passed, (family, _): (usize, _)| {
            passed.union(USUAL[family])
        });
        for stage in ways.passed.iter().filter(|stage| counted.with(*stage) != counted) {
            self.bump_stage(BURSTS + stage as usize, 1);
        }
    }
}

impl CounterView<'_> {
    /// Packets that went from a stage to another, summed over all writers.
    pub fn step(&self, from: PathStage, to: PathStage) -> u64 {
        let counted = self.stage(STEPS + from as usize * PathStage::COUNT + to as usize);
        let usual = |(family, way): (usize, &Passed)| {
            let is_step = way.iter().zip(way.iter().skip(1)).any(|step| step == (from, to));
            if is_step {
                self.stage(USUAL_PACKETS + family)
            } else {
                0
            }
        };
        USUAL
            .iter()
            .enumerate()
            .map(usual)
            .fold(counted, u64::wrapping_add)
    }

    /// Bursts of which packets passed a stage. One of both families counts twice in the stages that they share.
    pub fn bursts(&self, stage: PathStage) -> u64 {
        let usual = |(family, way): (usize, &Passed)| {
            if way.with(stage) == *way {
                self.stage(USUAL_BURSTS + family)
            } else {
                0
            }
        };
        USUAL
            .iter()
            .enumerate()
            .map(usual)
            .fold(self.stage(BURSTS + stage as usize), u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capacity, TableReader, TableWriter};

    #[test]
    fn what_goes_into_a_stage_comes_out_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tables");
        let capacity = Capacity {
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
        let region = TableWriter::create(&path, None, &capacity).unwrap();
        let counters = region.counter_block(1).unwrap();
        counters.usual4(32);
        counters.usual(3, 2);
        let mut ways = Ways::default();
        let arp = Passed::NONE
            .with(PathStage::Rx)
            .with(PathStage::Ethernet)
            .with(PathStage::Arp)
            .with(PathStage::Control);
        counters.way(&mut ways, arp);
        counters.way(&mut ways, arp);
        counters.way(&mut ways, USUAL[0]);
        let any = |stage| ways.pass_any(Passed::NONE.with(stage));
        assert!(any(PathStage::Arp) && !any(PathStage::Ip4Input) && !any(PathStage::Nd));
        counters.ways(&ways);
        counters.burst_of(Passed::TO_ESP4, 5);
        counters.burst_of(Passed::OUT_OF_ESP, 4);
        counters.burst_of(
            Passed::OUT_OF_ESP
                .without(PathStage::Decapsulated)
                .with(PathStage::Drop),
            1,
        );
        region.publish();

        let reader = TableReader::open(&path).unwrap();
        let view = reader.counters();
        let into = |stage| {
            PathStage::ALL
                .iter()
                .map(|from| view.step(*from, stage))
                .sum::<u64>()
        };
        let out_of = |stage| PathStage::ALL.iter().map(|to| view.step(stage, *to)).sum::<u64>();
        assert_eq!(out_of(PathStage::Rx), 45);
        for stage in [
            PathStage::Ethernet,
            PathStage::Arp,
            PathStage::Ip4Input,
            PathStage::Ip6Input,
            PathStage::Lookup,
            PathStage::Local4,
            PathStage::Rewrite,
        ] {
            assert_eq!(into(stage), out_of(stage), "{stage}");
        }
        assert_eq!(view.step(PathStage::Ethernet, PathStage::Ip4Input), 41);
        assert_eq!(view.step(PathStage::Ethernet, PathStage::Ip6Input), 2);
        assert_eq!(view.step(PathStage::Arp, PathStage::Control), 2);
        assert_eq!((into(PathStage::Tx), into(PathStage::Control)), (38, 2));
        assert_eq!(
            (view.bursts(PathStage::Ip6Input), view.bursts(PathStage::Arp)),
            (1, 1)
        );
        assert_eq!(view.bursts(PathStage::Ip4Input), 4);
        // What waits and what is released is not one way.
        assert_eq!((into(PathStage::Waiting), out_of(PathStage::Released)), (5, 5));
        assert_eq!((into(PathStage::Decapsulated), into(PathStage::Drop)), (4, 1));
        assert_eq!(view.bursts(PathStage::Released), 2);
    }

    #[test]
    fn stages_are_told_in_the_order_in_which_they_are_passed() {
        let passed = Passed::USUAL4.with(PathStage::Drop).without(PathStage::Rewrite);
        let names: Vec<_> = passed.iter().map(PathStage::name).collect();
        assert_eq!(names, ["ethernet", "ip4_input", "lookup", "drop"]);
    }
}
