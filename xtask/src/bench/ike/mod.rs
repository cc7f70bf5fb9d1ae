//! How fast IKE SAs are made, and what many of them take: `tollgate-ikev2d` at both ends, beside strongSwan as the one that answers.
//!
//! ```text
//!   tg-ike-load ─► tollgate-ikev2d, primary  w0 ── veth ── e0  primary, tollgate-ikev2d     ours
//!   tg-ike-load ─► tollgate-ikev2d, primary  w0 ── veth ── e0  charon-systemd               strongSwan
//! ```
//!
//! What the one that answers spends is counted by the kernel, thread by thread: so it does not hang on who else has the CPUs meanwhile.
//! Rates do.

mod answers;
mod charon;
mod load;
mod site;

use std::time::{Duration, Instant};

use super::Bench;
use super::figures::{Bound, Section, Unit};
use super::start::resident;
use super::{number_of, pause};
use crate::cargo;
use crate::error::Error;
use answers::Answers;
use charon::Charon;
use load::{One, Rate};
use site::{Log, Proposals, Site};

/// A handshake by ours, by what it takes strongSwan.
const MOST_OF_CHARON: Bound = Bound::AtMost(0.25);
const FEWEST_BY_ENGINES: Bound = Bound::AtLeast(4000.0);
const FEWEST_BY_GATEWAYS: Bound = Bound::AtLeast(2000.0);
const MOST_MEMORY: Bound = Bound::AtMost(200e6);
const LONGEST_SHOW: Bound = Bound::AtMost(0.5);
const LONGEST_ANSWER: Bound = Bound::AtMost(5e-3);

/// IKE SAs while the rate is taken, and all that there are in the end.
const FIRST: u32 = 2000;
const ALL: u32 = 10_000;
/// How often they are shown.
const SHOWS: usize = 5;
/// After the last handshake, until what was freed meanwhile is counted as free.
const SETTLED: Duration = Duration::from_secs(1);

/// What a handshake takes who answers it, seconds of CPU: ours, strongSwan, the primary beside ours.
const USUAL: [&str; 3] = [
    "a handshake: tollgate-ikev2d that answers",
    "a handshake: charon-systemd that answers",
    "a handshake: the primary beside tollgate-ikev2d",
];
/// The same where neither writes a log.
const SILENT: [&str; 3] = [
    "a handshake: tollgate-ikev2d, no log",
    "a handshake: charon-systemd, no log",
    "a handshake: the primary, no log",
];
const ENGINES: &str = "two engines on one core";
const GATEWAYS: &str = "two gateways, up to 2,000 IKE SAs";
const MORE: &str = "two gateways, from 2,000 to 10,000 IKE SAs";
const MEMORY: &str = "10,000 IKE SAs with a child SA each";
const JOURNAL: &str = "10,000 IKE SAs: what is kept for the next daemon";
const ANSWERED: &str = "IKE_SA_INIT with modp2048 until it is answered";

/// What is shown of 10,000 IKE SAs, and how.
const SHOWN: [(&str, &[&str]); 3] = [
    ("ike show, 10,000 IKE SAs", &["ike", "show"]),
    ("--json ike show, 10,000 IKE SAs", &["--json", "ike", "show"]),
    (
        "ike show --details, 10,000 IKE SAs",
        &["ike", "show", "--details"],
    ),
];

impl Bench {
    /// Both take turns.
    pub(super) fn ike(&self) -> Result<Section, Error> {
        let mut section = Section::new("IKE: pre-shared key, ecp256, AES-GCM-128, with a child SA");
        for round in 1..=self.times.rounds {
            self.progress("IKE", round);
            section.record(ENGINES, Unit::HandshakesPerSecond, engines()?);
            self.one_by_one(&mut section, USUAL, Log::Usual)?;
            self.one_by_one(&mut section, SILENT, Log::Nothing)?;
            self.answers(&mut section)?;
            self.many(&mut section)?;
        }
        section.compare(USUAL[0], USUAL[1], Some(MOST_OF_CHARON));
        section.compare(SILENT[0], SILENT[1], None);
        section.judge(ENGINES, FEWEST_BY_ENGINES);
        section.judge(GATEWAYS, FEWEST_BY_GATEWAYS);
        section.judge(MEMORY, MOST_MEMORY);
        for (name, _) in SHOWN {
            section.judge(name, LONGEST_SHOW);
        }
        section.judge(ANSWERED, LONGEST_ANSWER);
        section.remarks.push(
            "The same tollgate-ikev2d initiates with both that answer, one IKE SA after the other, each deleted before the next, which does \
             not count. Both write their logs into files, as much as they do unless they are told otherwise. strongSwan has ESP in its own process, whose installation counts; ours is in the primary, whose worker also looks \
             for packets meanwhile."
                .to_owned(),
        );
        section.remarks.push(
            "Rates are those of two gateways with all their processes on the CPUs that there are. Memory is what the process has for itself \
             and of its program; what is kept for the next daemon is shared with the primary and comes besides."
                .to_owned(),
        );
        Ok(section)
    }

    /// One after the other, by ours and by strongSwan.
    fn one_by_one(&self, section: &mut Section, names: [&str; 3], log: Log) -> Result<(), Error> {
        let count = self.times.handshakes;
        let mut site = Site::with_ours(self.privilege, Proposals::Ecp256, 64, log)?;
        let pids = [site.answering(), site.answering_primary()];
        let [ours, primary] = One::measure(&site, count, pids)?.cpu;
        site.end()?;
        let charon = Charon::create(self.privilege, log)?;
        let [theirs] = One::measure(&charon.site, count, [charon.pid()])?.cpu;
        charon.end()?;
        for (name, value) in names.into_iter().zip([ours, theirs, primary]) {
            section.record(name, Unit::Seconds, value);
        }
        Ok(())
    }

    /// How long IKE_SA_INIT waits for its answer.
    fn answers(&self, section: &mut Section) -> Result<(), Error> {
        let count = self.times.handshakes;
        let site = Site::with_ours(self.privilege, Proposals::Modp2048, 64, Log::Usual)?;
        let answers = Answers::watch(&site, &self.folder)?;
        One::measure(&site, count / 4, [])?;
        for took in answers.end()? {
            section.record(ANSWERED, Unit::Seconds, took);
        }
        site.end()
    }

    /// Many at a time, and then all that are there.
    fn many(&self, section: &mut Section) -> Result<(), Error> {
        let site = Site::with_ours(self.privilege, Proposals::Ecp256, ALL, Log::Usual)?;
        let mut record = |name, rate| section.record(name, Unit::HandshakesPerSecond, rate);
        record(GATEWAYS, Rate::measure(&site, FIRST)?.per_second);
        record(MORE, Rate::measure(&site, ALL - FIRST)?.per_second);
        pause(SETTLED)?;
        let pid = site.answering();
        let all = resident(pid, "RssAnon")? + resident(pid, "RssFile")?;
        section.record(MEMORY, Unit::Bytes, all as f64);
        section.record(JOURNAL, Unit::Bytes, resident(pid, "RssShmem")? as f64);
        for (name, words) in SHOWN {
            for _ in 0..SHOWS {
                let began = Instant::now();
                let shown = site.east()?.ctl(words)?.success()?;
                section.record(name, Unit::Seconds, began.elapsed().as_secs_f64());
                if shown.stdout.len() < ALL as usize * 20 {
                    return Err(Error::Unexpected(format!(
                        "'tollgate-ctl {}' shows {} bytes, which are not all IKE SAs",
                        words.join(" "),
                        shown.stdout.len()
                    )));
                }
            }
        }
        site.end()
    }
}

/// Handshakes per second of two engines without I/O.
fn engines() -> Result<f64, Error> {
    number_of(&cargo::example("ike-engine", "handshakes")?)
}
