//! How many packets one worker forwards, beside DPDK's own programs on the same devices.

use super::figures::{Bound, Section, Unit};
use super::shape::Shape;
use super::tollgate::Setup;
use super::traffic::{Family, Size};
use super::{Bench, l3fwd};
use crate::{error::Error, progress::say};

const IO: &str = "testpmd io";
const MAC: &str = "testpmd mac";
/// With as many packets as full tables get, in buffers as short.
const MAC_FULL: &str = "testpmd mac, 262,144 packets";
const LPM: &str = "l3fwd lpm, 10,000 routes";
const FIB: &str = "l3fwd fib, 10,000 routes";
const V4: &str = "IPv4, 10,000 routes";
const V6: &str = "IPv6, 10,000 routes";
const V4_FULL: &str = "IPv4, 1,000,000 routes";
const V6_FULL: &str = "IPv6, 250,000 routes";

/// Ours, each with what it is measured with.
const OURS: [(&str, Family, Size); 6] = [
    ("IPv4, 1 route", Family::Four, Size::One),
    (V4, Family::Four, Size::Ordinary),
    (V4_FULL, Family::Four, Size::Full),
    ("IPv6, 1 route", Family::Six, Size::One),
    (V6, Family::Six, Size::Ordinary),
    (V6_FULL, Family::Six, Size::Full),
];

impl Bench {
    /// All programs take turns.
    pub(super) fn forwarding(&self) -> Result<Section, Error> {
        let mut section = Section::new("Forwarding of one worker");
        let l3fwd = match l3fwd::L3FWD.provide() {
            Ok(program) => Some(program),
            Err(why) => {
                say!("    {why}");
                section.remarks.push(why);
                None
            }
        };
        let full = Shape::of(Size::Full);
        for round in 1..=self.times.rounds {
            self.progress("forwarding", round);
            let mut record = |name: &str, rate: f64| section.record(name, Unit::PacketsPerSecond, rate);
            record(IO, self.testpmd("io", Shape::ORDINARY)?);
            record(MAC, self.testpmd("mac", Shape::ORDINARY)?);
            if let Some(program) = &l3fwd {
                record(LPM, self.l3fwd(program, "lpm")?);
                record(FIB, self.l3fwd(program, "fib")?);
            }
            record(MAC_FULL, self.testpmd("mac", full)?);
            for (name, family, size) in OURS {
                let turn = self.tollgate(&Setup::new(family, Shape::of(size)))?;
                section.record(name, Unit::PacketsPerSecond, turn.rate);
                section.record(&format!("{name}: a packet"), Unit::Cycles, turn.cycles);
            }
        }
        // In the order in which they are read.
        section.series.sort_by_key(|series| series.unit == Unit::Cycles);
        section.compare(V4, LPM, Some(Bound::AtLeast(1.0)));
        section.compare(V4, FIB, None);
        section.compare(V4, MAC, Some(Bound::AtLeast(0.65)));
        section.compare(V4, IO, None);
        section.compare(V4_FULL, MAC_FULL, Some(Bound::AtLeast(0.45)));
        section.compare(V6, V4, Some(Bound::AtLeast(0.8)));
        section.compare(V6_FULL, MAC_FULL, None);
        section.compare(LPM, MAC, None);
        Ok(section)
    }
}
