//! What a feature costs that is on but not used: in instructions per packet, which noise cannot move, and in time.
//!
//! The base is a primary with no place for captures, no policy for what goes to tools, two interfaces and one next hop to a route.

use std::time::Duration;

use ::tests::{Namespace, Primary, Process};
use nix::sys::signal::Signal;

use super::callgrind::{self, Profile};
use super::figures::{Bound, Section, Unit};
use super::shape::Shape;
use super::tollgate::Setup;
use super::traffic::Family;
use super::{Bench, number_of, pause};
use crate::{cargo, error::Error};

/// On, and not used by any packet of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    /// Nothing is on.
    None,
    /// There is room for captures, and none is attached.
    Capture,
    /// One is attached to an interface that receives nothing.
    CaptureElsewhere,
    /// One waits for packets of an interface that receives nothing.
    Trace,
    /// The classes of packets for tools fail closed, each with a policer.
    Punts,
    /// A route has several next hops, and no packet goes by it.
    Multipath,
    /// Two interfaces more.
    Interfaces,
    /// Both interfaces have taps.
    Taps,
}

use Feature::{Capture, CaptureElsewhere, Interfaces, Multipath, Punts, Taps, Trace};

const FEATURES: [Feature; 7] = [
    Capture,
    CaptureElsewhere,
    Trace,
    Punts,
    Multipath,
    Interfaces,
    Taps,
];
/// What a feature may cost: instructions and time.
const MOST_INSTRUCTIONS: Bound = Bound::AtMost(1.01);
const LEAST_RATE: Bound = Bound::AtLeast(0.97);
/// How long valgrind may take to end, on a host that is busy with other things.
const ENDING: Duration = Duration::from_secs(120);
const BASE: &str = "no feature";

impl Feature {
    fn name(self) -> &'static str {
        match self {
            Self::None => BASE,
            Capture => "capture, none attached",
            CaptureElsewhere => "capture, attached to another interface",
            Trace => "trace, of another interface",
            Punts => "policers",
            Multipath => "multipath",
            Interfaces => "two interfaces more",
            Taps => "taps",
        }
    }

    /// The name of what it leaves of the rate of its round without it.
    fn share(self) -> String {
        format!("{} / {BASE}", self.name())
    }

    fn setup(self, taps_in: &Namespace) -> Setup<'_> {
        let mut setup = Setup::new(Family::Four, Shape::ORDINARY);
        setup.attachments = u8::from(self == Capture || self == CaptureElsewhere) * 4;
        match self {
            Punts => {
                for class in ["router_alert", "ike"] {
                    setup.more += &format!(
                        "[[punt]]\nclass = \"{class}\"\nfail = \"closed\"\nrate = 100\nburst = 10\n"
                    );
                }
            }
            Multipath => {
                setup.more += "[[route]]\nprefix = \"198.18.128.0/24\"\n\
                               nexthops = [{ via = \"198.19.0.10\" }, { via = \"198.19.0.11\" }]\n";
            }
            Interfaces => setup.idle_interfaces = 2,
            Taps => setup.taps_in = Some(taps_in),
            Self::None | Capture | CaptureElsewhere | Trace => {}
        }
        setup
    }

    /// Switches on what is switched on while packets flow; what comes back keeps it on.
    fn switch_on(self, primary: &Primary) -> Result<Option<Process>, Error> {
        match self {
            CaptureElsewhere => capture(primary, "out").map(Some),
            Trace => {
                primary.ctl(&["trace", "start", "-i", "out"])?.success()?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

/// Attaches a capture of what an interface receives.
fn capture(primary: &Primary, interface: &str) -> Result<Process, Error> {
    let words = [
        "-i",
        interface,
        "--direction",
        "rx",
        "-f",
        "udp dst port 53",
        "-w",
        "/dev/null",
    ];
    let mut pdump = primary.pdump(&words)?.start()?;
    pdump.wait_for_stderr("that it captures", Duration::from_secs(60), |line| {
        line.starts_with("capturing")
    })?;
    Ok(pdump)
}

impl Bench {
    /// All of them, each beside the base.
    pub(super) fn features(&self) -> Result<Section, Error> {
        let mut section = Section::new("Features that are on but not used");
        let namespace = Namespace::create(self.privilege, "taps")?;
        for feature in [Feature::None].into_iter().chain(FEATURES) {
            self.say_what("instructions with", feature.name());
            match self.instructions(feature, &namespace) {
                Ok(instructions) => {
                    section.record(
                        &format!("{}: a packet", feature.name()),
                        Unit::Instructions,
                        instructions,
                    );
                }
                Err(error @ Error::Step(::tests::Error::Interrupted(_))) => return Err(error),
                Err(error) => section.remarks.push(format!(
                    "{}: instructions could not be counted: {error}",
                    feature.name()
                )),
            }
        }
        for round in 1..=self.times.rounds {
            self.progress("unused features", round);
            for feature in FEATURES {
                // Next to each other, and each with a base of its own: a host's speed swings.
                let base = self.rate_with(Feature::None, &namespace)?;
                let rate = self.rate_with(feature, &namespace)?;
                section.record(BASE, Unit::PacketsPerSecond, base);
                section.record(feature.name(), Unit::PacketsPerSecond, rate);
                section.record(&feature.share(), Unit::Ratio, rate / base.max(1.0));
            }
        }
        for feature in FEATURES {
            let name = |what: Feature| format!("{}: a packet", what.name());
            section.compare(&name(feature), &name(Feature::None), Some(MOST_INSTRUCTIONS));
            section.judge(&feature.share(), LEAST_RATE);
        }
        let slots = number_of(&cargo::example("shm", "slots")?)?;
        section.record("slots through an attachment", Unit::SlotsPerSecond, slots * 1e6);
        Ok(section)
    }

    fn rate_with(&self, feature: Feature, namespace: &Namespace) -> Result<f64, Error> {
        let turn = self.with_primary(&feature.setup(namespace), |primary| {
            let _on = feature.switch_on(primary)?;
            self.watch(primary)
        })?;
        Ok(turn.rate)
    }

    /// Instructions per packet of a worker's loop, devices and all: of the whole primary under callgrind.
    fn instructions(&self, feature: Feature, namespace: &Namespace) -> Result<f64, Error> {
        let setup = feature.setup(namespace);
        let profile = Profile::new(&self.folder.join("callgrind.out"));
        let mut builder = self.builder(&setup);
        // In the configuration: a control thread under valgrind is too slow to load them beside a worker.
        for route in &self.traffic(setup.family, setup.shape.size)?.table {
            builder = builder.route(&route.prefix.to_string(), &route.via.to_string());
        }
        // Valgrind has no room for all the addresses that DPDK reserves otherwise.
        builder = builder.stock_tools();
        let words = profile.words("primary::worker::Worker*::run");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut primary = builder.under(&words).start()?;
        let on = feature.switch_on(&primary);
        let worked = on.and_then(|_on| pause(callgrind::COUNTED));
        // Valgrind takes its time to write down what it saw.
        primary.process().signal(Signal::SIGTERM);
        let ended = primary.process().wait(ENDING);
        worked?;
        ended?;
        profile.per_call("primary::worker::Engine*::burst", super::BURST)
    }
}
