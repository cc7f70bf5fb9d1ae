//! Only watches: prints what others decide about, and decides nothing.

use std::io::Write;
use std::time::Instant;

use control::alerts::RuleTable;
use control::instance::InstanceDir;
use control::punt::{Answer, Punted, Punts};

use crate::failure::Failure;
use crate::lines::{Lines, Shown};
use crate::relay::LOOK;
use crate::report::Report;
use crate::work::name_of;

/// Watches until `stopped` says so or the primary ends; what was counted is in `report` either way.
///
/// # Errors
///
/// The primary ended, or the lines could not be written.
pub fn run<W: Write>(
    directory: &InstanceDir,
    punts: &mut Punts,
    lines: &mut Lines<W>,
    report: &mut Report,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let mut table = RuleTable::open(directory)?;
    let interfaces = punts.interfaces().to_vec();
    let mut taken: Vec<Punted> = Vec::new();
    while !stopped() {
        let mut written = Ok(());
        let received = punts.receive(LOOK, &mut |punted, packet| {
            table.refresh();
            let rules = table.rules().iter();
            let rule = rules.map(|listed| (listed.id, listed.rule.rule.name.as_str()));
            let rule = rule.clone().find(|(id, _)| Some(*id) == packet.rule);
            report.seen += 1;
            match rule {
                Some((_, name)) => {
                    let place = report.place(name);
                    report.count(place, |counts| counts.relayed += 1);
                }
                None => report.no_rule += 1,
            }
            let shown = Shown {
                frame: packet.data,
                interface: name_of(&interfaces, packet.interface),
                rule: rule.map_or("", |(_, name)| name),
                time_ns: packet.time_ns,
            };
            let said = lines.packet(&shown, Instant::now());
            written = std::mem::replace(&mut written, Ok(())).and(said);
            taken.push(punted);
        });
        // Of a copy this only gives the slot back.
        for punted in taken.drain(..) {
            punts.answer(punted, Answer::Forward);
        }
        punts.flush();
        report.suppressed = lines.suppressed();
        received?;
        written.and_then(|()| lines.flush())?;
    }
    Ok(())
}
